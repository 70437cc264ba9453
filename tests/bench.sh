#!/bin/bash
# The job of `make bench`: the figures of docs/benchmarks.md, as Markdown, but those of `make bench-lb`.
#
#   tests/bench.sh DIRECTORY     where `make build` has put ctl, bench and sample-service
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: containers need root" >&2; exit 1; }
binaries=$(realpath "$1")

echo "Machine: $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)), $(uname -sr), $(date +%F)"
ROADSTEAD_CTL=$binaries/ctl "$binaries/bench"
"$(dirname "$0")/bench/lb.sh" "$binaries"
