#!/bin/bash
# CPU seconds of a proxy per 100,000 requests of HTTP/1.1 keep-alive with 1 KiB answers over 64 connections: nginx,
# HAProxy and `ctl lb` in turn, so that whatever else the machine does falls on all of them. Ratios count.
#
#   tests/bench/proxy.sh CTL [ROUNDS [SECONDS]]
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

ctl=${1:?usage: $0 CTL [ROUNDS [SECONDS]]}
rounds=${2:-7}
seconds=${3:-4}
cores=$(nproc)
work=$(mktemp -d)
pids=()
cleanup() {
    kill "${pids[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

declare -A port=([backend]=18080 [nginx]=18081 [haproxy]=18082 [roadstead]=18083) session=()

body=$(printf 'x%.0s' $(seq 1024))
cat >"$work/backend.conf" <<CONF
daemon off; worker_processes $cores; pid $work/backend.pid; error_log $work/backend.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
    server { listen 127.0.0.1:${port[backend]} reuseport; location / { return 200 "$body"; } } }
CONF
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes $cores; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
    upstream backend { server 127.0.0.1:${port[backend]}; keepalive 256; keepalive_requests 1000000000; }
    server { listen 127.0.0.1:${port[nginx]} reuseport;
        location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; } } }
CONF
cat >"$work/haproxy.cfg" <<CONF
global
    nbthread $cores
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option forwardfor
    http-reuse always
frontend front
    bind 127.0.0.1:${port[haproxy]}
    default_backend back
backend back
    server one 127.0.0.1:${port[backend]}
CONF
cat >"$work/table.toml" <<CONF
[[listener]]
port = ${port[roadstead]}
[[listener.rule]]
forward = "backend"

[[target_group]]
name = "backend"
targets = ["127.0.0.1:${port[backend]}"]
health_check = false
CONF

# start NAME COMMAND...: in a session of its own, by which its CPU time is found, however many processes it has.
start() {
    local name=$1
    shift
    setsid "$@" >"$work/$name.out" 2>&1 &
    pids+=($!)
    session[$name]=$!
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/${port[$name]}") 2>/dev/null && return
        sleep 0.1
    done
    cat "$work/$name.out" >&2
    echo "$name does not listen" >&2
    exit 1
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

start backend nginx -c "$work/backend.conf"
start nginx nginx -c "$work/nginx.conf"
start haproxy haproxy -db -f "$work/haproxy.cfg"
start roadstead "$ctl" lb --table "$work/table.toml" --bind 127.0.0.1 --data-dir "$work/lb"

load() { wrk --threads 1 --connections 64 --duration "$1s" "http://127.0.0.1:${port[$2]}/" >"$work/wrk.out"; }
for name in nginx haproxy roadstead; do
    load 1 $name # warm
done
for _ in $(seq "$rounds"); do
    for name in nginx haproxy roadstead; do
        before=$(ticks "${session[$name]}")
        load "$seconds" $name
        after=$(ticks "${session[$name]}")
        if grep -E 'Non-2xx|Socket errors' "$work/wrk.out" >&2; then
            echo "$name failed requests" >&2
            exit 1
        fi
        requests=$(awk '/ requests in / { print $1 }' "$work/wrk.out")
        echo "$name $((after - before)) $requests" >>"$work/results"
    done
done

printf '\n| proxy | CPU s per 100,000 requests: median (least to most) | times nginx |\n|---|---|---|\n'
awk -v hertz="$(getconf CLK_TCK)" '
    { value[$1, ++count[$1]] = $2 / hertz / $3 * 100000 }
    function sort(name,    i, j, swap) {
        for (i = 2; i <= count[name]; i++)
            for (j = i; j > 1 && value[name, j] < value[name, j - 1]; j--) {
                swap = value[name, j]; value[name, j] = value[name, j - 1]; value[name, j - 1] = swap
            }
    }
    function median(name) { return value[name, int((count[name] + 1) / 2)] }
    END {
        for (name in count) sort(name)
        order = split("nginx haproxy roadstead", names, " ")
        for (i = 1; i <= order; i++) {
            name = names[i]
            printf "| %s | %.2f (%.2f to %.2f) | %.2f |\n", name, median(name), value[name, 1],
                value[name, count[name]], median(name) / median("nginx")
        }
    }' "$work/results"
