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

# rules NUMBER: for a table file; they take no request of ours, and are of each kind: by host, by path, by header, by query.
rules() {
    local number
    for number in $(seq "$1"); do
        case $((number % 4)) in
            0) printf '[[listener.rule]]\nhost = ["*.shop-%d.example"]\nforward = "backend"\n' "$number" ;;
            1) printf '[[listener.rule]]\npath = ["/api/v%d/*"]\nforward = "backend"\n' "$number" ;;
            2) printf '[[listener.rule]]\nheader = { x-version = ["%d.*"] }\nforward = "backend"\n' "$number" ;;
            3) printf '[[listener.rule]]\nhost = ["shop.example"]\nquery = ["tenant=%d"]\nforward = "backend"\n' "$number" ;;
        esac
    done
}
