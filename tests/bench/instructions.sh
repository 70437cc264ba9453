#!/bin/bash
# Counts the instructions that the load balancer spends on a request, and compares them with the number that is kept beside this script.
# Other than times, they are the same on a busy machine.
#
#   tests/bench/instructions.sh DIRECTORY     DIRECTORY: where `make build` has put ctl, load and sample-service
#
# One keep-alive connection asks for a small answer, through HTTP/1.1 on both sides. With RULES=100 it also tells what a hundred rules that do
# not match cost. Fails when a request costs 3 % more than the kept number. A change that is worth it, and one that makes a request cheaper, are
# kept with UPDATE=1. A number belongs to a compiler and to a processor, whose vector instructions are used: with others than it was counted
# with it is only told.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=tests/bench/common.sh
source "$(dirname "$0")/common.sh"
cd "$(dirname "$0")"

binaries=${1:?usage: $0 DIRECTORY}
kept=instructions.txt
most_growth=3 # percent
few=1000 many=4000 rate=500

# A port on which nobody listens just now, below those that the kernel gives to connections.
free_port() {
    local port
    while :; do
        port=$((RANDOM % 12000 + 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

backend=$(free_port)
PORT=$backend "$binaries/sample-service" >"$work/backend.log" 2>&1 &
pids+=($!)
until_listening "$backend" "$work/backend.log"

# instructions REQUESTS RULES: of a load balancer, from its start to its end, and how many requests there were.
instructions() {
    local port process
    port=$(free_port)
    cat >"$work/table.toml" <<TABLE
[[listener]]
port = $port
$(rules "$2")
[[listener.rule]]
forward = "backend"
[[target_group]]
name = "backend"
targets = ["127.0.0.1:$backend"]
health_check = false
TABLE
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binaries/ctl" \
        lb --table "$work/table.toml" --bind 127.0.0.1 --workers 1 >"$work/lb.log" 2>&1 &
    process=$!
    # This is a shell of its own: what it starts, it ends.
    trap 'kill "$process" 2>/dev/null || true' EXIT
    until_listening "$port" "$work/lb.log"
    "$binaries/load" --url "http://127.0.0.1:$port/" --connections 1 --rate $rate --seconds $(($1 / rate)) \
        -o json >"$work/load.json" 2>"$work/load.log" || {
        cat "$work/load.log" "$work/lb.log" >&2
        exit 1
    }
    kill -TERM "$process"
    wait "$process" || true
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/lb.log"
    sed -n 's/.*"requests": *\([0-9]*\).*/\1/p' "$work/load.json"
}

# a_request RULES
a_request() {
    local counts
    counts=$(instructions $few "$1")
    counts+=$'\n'$(instructions $many "$1")
    # Instructions and requests of the first run, and of the second.
    awk '{ count[NR] = $1 } END {
        if (NR != 4 || count[4] <= count[2]) { print "nothing was counted" >"/dev/stderr"; exit 1 }
        printf "%d\n", (count[3] - count[1]) / (count[4] - count[2])
    }' <<<"$counts"
}

counted=$(a_request 0)
# valgrind shows its programs a processor of its own, in one of a few kinds.
with="$(rustc --version), $(grep -qw avx2 /proc/cpuinfo && echo with AVX2 || echo without AVX2)"
echo "$counted instructions a request, with $with"
if [ -n "${RULES:-}" ]; then
    echo "$(($(a_request "$RULES") - counted)) more with $RULES rules that do not match"
fi

if [ -n "${UPDATE:-}" ]; then
    printf '%s\n%s\n' "$counted" "$with" >$kept
    exit
fi
{ read -r known && read -r known_with; } <$kept
growth=$(awk -v counted="$counted" -v known="$known" 'BEGIN { printf "%.1f", (counted / known - 1) * 100 }')
echo "kept in $kept: $known, with $known_with; that is $growth % more"
if [ "$with" != "$known_with" ]; then
    echo "another compiler or processor: nothing follows from it; keep the new number with UPDATE=1"
elif awk -v growth="$growth" -v most=$most_growth 'BEGIN { exit !(growth > most) }'; then
    echo "a request costs more than $most_growth % more: find out why, or keep it with UPDATE=1" >&2
    exit 1
fi
