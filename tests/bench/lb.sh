#!/bin/bash
# What a proxy costs: nginx, HAProxy and `ctl lb` in turn, so that whatever else the machine does falls on all of them.
# Each peer is set up as who knows it would: a worker for each core with a socket of its own, connections to targets kept, and
# buffers that a large answer fits into. Ratios count. CPU seconds are those of the proxy for 100,000 requests, or handshakes.
#
#   tests/bench/lb.sh DIRECTORY [WORK...]     DIRECTORY: where `make build` has put ctl and load
#
# WORK is any of  h1-64 h1-512 h1-100k https handshakes http2 latency idle flood attacks rules;  h1-64 without it, and `all` is all.
# ROUNDS (7) and SECONDS_EACH (4) set how often and how long; latency has five times as many rounds, of two seconds.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

binaries=${1:?usage: $0 DIRECTORY [WORK...]}
shift
[ $# -gt 0 ] || set -- h1-64
[ "$*" != all ] || set -- h1-64 h1-512 h1-100k https handshakes http2 latency idle flood attacks rules
rounds=${ROUNDS:-7}
seconds=${SECONDS_EACH:-4}
cores=$(nproc)
proxies=(nginx haproxy roadstead)
# shellcheck source=tests/bench/common.sh
source "$(dirname "$0")/common.sh"
ulimit -n "$(ulimit -Hn)"

declare -A port=([backend]=18080 [other]=18079 [nginx]=18081 [haproxy]=18082 [roadstead]=18083 [ruled]=18084 [again]=18085) session=()
declare -A secure=([nginx]=18091 [haproxy]=18092 [roadstead]=18093 [again]=18095)

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat "$work/cert.pem" "$work/key.pem" >"$work/both.pem"
mkdir "$work/www"
head -c 1024 /dev/zero | tr '\0' x >"$work/www/small"
head -c 102400 /dev/zero | tr '\0' x >"$work/www/large"

cat >"$work/backend.conf" <<CONF
daemon off; worker_processes $cores; pid $work/backend.pid; error_log $work/backend.log; user root;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000000; sendfile on; open_file_cache max=16 inactive=1h;
    server { listen 127.0.0.1:${port[backend]} reuseport; listen 127.0.0.1:${port[other]} reuseport; root $work/www; } }
CONF
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes $cores; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000000; proxy_temp_path $work/proxied;
    ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; ssl_protocols TLSv1.3;
    upstream backend { server 127.0.0.1:${port[backend]}; server 127.0.0.1:${port[other]};
        keepalive 512; keepalive_requests 1000000000; }
    server { listen 127.0.0.1:${port[nginx]} reuseport; listen 127.0.0.1:${secure[nginx]} ssl http2 reuseport;
        location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_buffer_size 16k; proxy_buffers 8 32k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0; } } }
CONF
cat >"$work/haproxy.cfg" <<CONF
global
    nbthread $cores
    maxconn 9000
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option forwardfor
    http-reuse always
frontend front
    bind 127.0.0.1:${port[haproxy]} shards by-thread
    bind 127.0.0.1:${secure[haproxy]} shards by-thread ssl crt $work/both.pem alpn h2,http/1.1
    default_backend back
backend back
    server one 127.0.0.1:${port[backend]} pool-max-conn 512
    server two 127.0.0.1:${port[other]} pool-max-conn 512
CONF
cat >"$work/table.toml" <<CONF
[[certificate]]
name = "own"
chain = "cert.pem"
key = "key.pem"
[[listener]]
port = ${port[roadstead]}
[[listener.rule]]
forward = "backend"
[[listener]]
port = ${secure[roadstead]}
certificates = ["own"]
[[listener.rule]]
forward = "backend"
[[listener]]
port = ${port[ruled]}
$(rules 1000)
[[listener.rule]]
forward = "backend"
[[target_group]]
name = "backend"
targets = ["127.0.0.1:${port[backend]}", "127.0.0.1:${port[other]}"]
health_check = false
CONF

# start NAME COMMAND...: in a session of its own, by which its CPU time is found, however many processes it has.
start() {
    local name=$1
    shift
    setsid "$@" >"$work/$name.out" 2>&1 &
    pids+=($!)
    session[$name]=$!
    until_listening "${port[$name]}" "$work/$name.out"
}

# The CPU time of a session so far, in ticks of the clock.
ticks() {
    local pid total=0 fields
    for pid in $(pgrep --session "$1"); do
        read -ra fields <"/proc/$pid/stat"
        total=$((total + fields[13] + fields[14]))
    done
    echo $total
}

# The memory of a session, its share of what processes have in common, in KiB.
memory() {
    local pid total=0 share
    for pid in $(pgrep --session "$1"); do
        share=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")
        total=$((total + share))
    done
    echo $total
}

start_proxies() {
    start nginx nginx -c "$work/nginx.conf"
    start haproxy haproxy -db -f "$work/haproxy.cfg"
    start roadstead "$binaries/ctl" lb --table "$work/table.toml" --bind 127.0.0.1 --data-dir "$work/lb" \
        --max-requests-per-connection 1000000000 # as nginx above
}

start backend nginx -c "$work/backend.conf"
start_proxies

failed() {
    cat "$work/out" >&2
    echo "$1 failed requests of $2" >&2
    exit 1
}

# ask_wrk NAME URL CONNECTIONS [FLAG...]: returns how many requests were answered.
ask_wrk() {
    local name=$1 url=$2 connections=$3
    shift 3
    wrk --threads 2 --connections "$connections" --duration "${seconds}s" "$@" "$url" >"$work/out" 2>&1
    ! grep -qE 'Non-2xx|Socket errors: connect [1-9]' "$work/out" || failed "$name" wrk
    awk '/ requests in / { print $1 }' "$work/out"
}

# ask WORK NAME: one load of one kind.
ask() {
    local plain=http://127.0.0.1:${port[$2]} tls=https://localhost:${secure[$2]:-}
    case $1 in
        h1-64) ask_wrk "$2" "$plain/small" 64 ;;
        h1-512) ask_wrk "$2" "$plain/small" 512 ;;
        h1-100k) ask_wrk "$2" "$plain/large" 32 ;;
        https) ask_wrk "$2" "$tls/small" 64 ;;
        handshakes) ask_wrk "$2" "$tls/small" 8 --header 'Connection: close' ;;
        http2)
            h2load --clients=16 --max-concurrent-streams=16 --duration="$seconds" "$tls/small" >"$work/out" 2>&1
            grep -q ' 0 failed, 0 errored, 0 timeout' "$work/out" || failed "$2" h2load
            awk '/^requests: / { gsub(",", ""); for (i = 2; i <= NF; i++) if ($i == "succeeded") print $(i - 1) }' "$work/out"
            ;;
        *)
            echo "unknown work: $1" >&2
            exit 2
            ;;
    esac
}

# Reads lines of NAME VALUE; prints a table with the medians, and their ratios.
table() {
    printf '\n| %s | %s: median (least to most) | times nginx | times HAProxy |\n|---|---|---|---|\n' "$1" "$2"
    sort -k1,1 -k2,2g "$work/results" | awk '
        { value[$1, ++count[$1]] = $2 }
        function median(name) { return value[name, int((count[name] + 1) / 2)] }
        END {
            split("nginx haproxy roadstead", names, " ")
            for (i = 1; i <= 3; i++) {
                name = names[i]
                printf "| %s | %.3g (%.3g to %.3g) | %.2f | %.2f |\n", name, median(name), value[name, 1],
                    value[name, count[name]], median(name) / median("nginx"), median(name) / median("haproxy")
            }
        }'
}

# compared WORK FILE: keeps how `ctl lb` compares, by the lines of NAME VALUE there, for the last table.
compared() {
    sort -k1,1 -k2,2g "$2" | awk -v work="$1" '
        { value[$1, ++count[$1]] = $2 }
        function median(name) { return value[name, int((count[name] + 1) / 2)] }
        END {
            print work "|times nginx|" median("roadstead") / median("nginx")
            print work "|times HAProxy|" median("roadstead") / median("haproxy")
        }' >>"$work/compared"
}

# Each goal of what was done, and whether it is met.
goals() {
    [ -e "$work/compared" ] || return 0
    printf '\n| work | measure | is | at most | goal |\n|---|---|---|---|---|\n'
    awk -F '|' '
        NR == FNR { is[$1, $2] = sprintf("%.2f", $3); next }
        {
            for (i = 2; i < NF; i += 2)
                if (($1, $i) in is)
                    printf "| %s | %s | %s | %s | %s |\n", $1, $i, is[$1, $i], $(i + 1), is[$1, $i] + 0 <= $(i + 1) + 0 ? "met" : "missed"
        }' "$work/compared" - <<'GOALS'
h1-64|times nginx|0.95|times HAProxy|0.85
h1-512|times nginx|0.95|times HAProxy|0.85
h1-100k|times nginx|1.00|times HAProxy|0.70
https|times nginx|0.85|times HAProxy|0.75
handshakes|times nginx|0.55|times HAProxy|0.50
http2|times nginx|0.95|times HAProxy|1.15
p50|times nginx|1.00|times HAProxy|1.00
p99|times nginx|1.00|times HAProxy|1.00
idle|KiB for each|4.00
GOALS
}

# measured NAME SESSION PER COMMAND...: adds to the results what CPU time, in seconds, a session spends on PER of the requests that COMMAND
# makes; it tells how many they are.
measured() {
    local name=$1 of=${session[$2]} per=$3 before requests
    shift 3
    before=$(ticks "$of")
    requests=$("$@")
    awk -v name="$name" -v spent=$(($(ticks "$of") - before)) -v requests="$requests" -v per="$per" \
        -v hertz="$(getconf CLK_TCK)" 'BEGIN { print name, spent / hertz / requests * per }' >>"$work/results"
}

cpu() {
    local name
    : >"$work/results"
    for name in "${proxies[@]}"; do
        seconds=1 ask "$1" "$name" >/dev/null # warm
    done
    for _ in $(seq "$rounds"); do
        for name in "${proxies[@]}"; do
            measured "$name" "$name" 100000 ask "$1" "$name"
        done
    done
    table "$1" "CPU s per 100,000"
    compared "$1" "$work/results"
}

# Latency differs more from round to round than from proxy to proxy: many short rounds, each in an order of its own, and a second nginx that
# tells what a difference between two of the same is.
latency() {
    local quantile name seconds=2 proxies=(nginx again haproxy roadstead)
    sed "s|$work/nginx|$work/again|g; s/:${port[nginx]}/:${port[again]}/; s/:${secure[nginx]}/:${secure[again]}/" \
        "$work/nginx.conf" >"$work/again.conf"
    start again nginx -c "$work/again.conf"
    for _ in $(seq $((5 * rounds))); do
        for name in $(shuf --echo "${proxies[@]}"); do
            "$binaries/load" --url "http://127.0.0.1:${port[$name]}/small" --rate 3000 --seconds "$seconds" --output json \
                >"$work/out" || failed "$name" load
            for quantile in p50 p99; do
                grep -oE "\"$quantile\": *[0-9.]+" "$work/out" | sed "s/.*: */$name /" >>"$work/$quantile"
            done
        done
    done
    kill -- "-${session[again]}"
    wait "${session[again]}" || true
    for quantile in p50 p99; do
        python3 "$(dirname "$0")/ratios.py" "3,000 requests/s, $quantile in ms" "$work/$quantile"
        compared "$quantile" "$work/$quantile"
    done
}

# idle [silent]: the memory of connections, each of which has asked once, or never. What a proxy holds from work before would hide some of
# it, so all of them begin anew.
idle() {
    local name before connections=5000
    : >"$work/results"
    for name in "${proxies[@]}"; do
        kill -- "-${session[$name]}"
        wait "${session[$name]}" || true
    done
    start_proxies
    for name in "${proxies[@]}"; do
        before=$(memory "${session[$name]}")
        coproc HOLDER { exec python3 "$(dirname "$0")/idle.py" "${port[$name]}" "$connections" "$@"; }
        read -r _ <&"${HOLDER[0]}"
        awk -v name="$name" -v grown=$(($(memory "${session[$name]}") - before)) -v connections=$connections \
            'BEGIN { print name, grown / connections }' >>"$work/results"
        eval "exec ${HOLDER[1]}>&-"
        wait "$HOLDER_PID"
    done
    table "$connections ${1:-idle} connections" "KiB for each"
    awk -v work="${1:-idle}" '$1 == "roadstead" { print work "|KiB for each|" $2 }' "$work/results" >>"$work/compared"
}

# What a thousand slow clients of each kind cost the others of `ctl lb`: latency at 3,000 requests a second with them, and without.
attacks() {
    local kind quantile attacker url=http://127.0.0.1:${port[roadstead]}
    local -A flags=([headers]="-H -u $url/small" [bodies]="-B -s 8192 -u $url/small" [readers]="-X -w 1 -y 8 -z 1 -k 3 -u $url/large")
    for _ in $(seq "$rounds"); do
        for kind in nobody headers bodies readers; do
            if [ $kind != nobody ]; then
                # shellcheck disable=SC2086
                slowhttptest ${flags[$kind]} -c 1000 -r 1000 -i 1 -l $((seconds + 10)) -p 3 >"$work/attack" 2>&1 &
                attacker=$!
                pids+=("$attacker")
                sleep 3 # they have come
            fi
            "$binaries/load" --url "$url/small" --rate 3000 --seconds "$seconds" --output json >"$work/out" || failed "$kind" load
            if [ $kind != nobody ]; then
                kill "$attacker" 2>/dev/null || true
                wait "$attacker" || true
            fi
            for quantile in p50 p99; do
                grep -oE "\"$quantile\": *[0-9.]+" "$work/out" | sed "s/.*: */$quantile $kind /" >>"$work/attacked"
            done
        done
    done
    printf '\n| 3,000 requests/s, among 1,000 slow | ms: median (least to most) | times without |\n|---|---|---|\n'
    sort -k1,1 -k2,2 -k3,3g "$work/attacked" | awk '
        { value[$1, $2, ++count[$1, $2]] = $3 }
        function median(of, kind) { return value[of, kind, int((count[of, kind] + 1) / 2)] }
        END {
            split("nobody headers bodies readers", kinds, " ")
            for (which = 50; which <= 99; which += 49)
                for (i = 1; i <= 4; i++) {
                    of = "p" which
                    kind = kinds[i]
                    printf "| %s, %s | %.3g (%.3g to %.3g) | %.2f |\n", of, kind, median(of, kind), value[of, kind, 1],
                        value[of, kind, count[of, kind]], median(of, kind) / median(of, "nobody")
                }
        }'
}

# What a hundred rules that do not match cost, by a thousand, for a hundred are lost in the noise.
hundred_rules() {
    local listener
    : >"$work/results"
    for _ in $(seq "$rounds"); do
        for listener in roadstead ruled; do
            measured "$listener" roadstead 1000000 ask h1-64 "$listener"
        done
    done
    sort -k1,1 -k2,2g "$work/results" | awk '
        { value[$1, ++count[$1]] = $2 }
        function median(name) { return value[name, int((count[name] + 1) / 2)] }
        END {
            printf "\n%.2f microseconds of CPU for each 100 rules that do not match\n", (median("ruled") - median("roadstead")) / 10
        }'
}

for kind in "$@"; do
    case $kind in
        rules) hundred_rules ;;
        latency) latency ;;
        idle) idle ;;
        flood) idle silent ;;
        attacks) attacks ;;
        *) cpu "$kind" ;;
    esac
done
goals
