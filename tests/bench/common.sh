# shellcheck shell=bash
# What the benchmarks have in common; they source it.
# `work` is a directory that goes with the script, and so does every process in `pids`.
work=$(mktemp -d)
pids=()
cleanup() {
    kill "${pids[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# until_listening PORT LOG: waits for whoever writes LOG to listen there.
until_listening() {
    for _ in $(seq 300); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    cat "$2" >&2
    echo "nobody listens on port $1" >&2
    exit 1
}
