#!/bin/bash
# Removes the demo, and checks that nothing is left of it on this machine.
#
#   tests/demo-down.sh DIRECTORY     where `make build` has put ctl
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
data=/var/lib/roadstead-dev
name=dev

[ "$(id -u)" = 0 ] || { echo "$0: containers need root" >&2; exit 1; }
export PATH="$PATH:/usr/sbin:/sbin"
if [ -e $data/agent/agent.toml ]; then
    "$1/ctl" dev down
elif [ -e $data/demo ]; then
    rm -r $data # the demo ended before `ctl dev` had begun
fi

left=$(
    pgrep --list-full --full "$data/|/run/$name-agent" || true
    grep -E "$data|/run/$name-agent" /proc/self/mounts || true
    find $data /run/$name-agent /sys/class/net/${name}0 -maxdepth 0 2>/dev/null || true
    find /sys/fs/cgroup -maxdepth 2 -type d -name $name 2>/dev/null || true
    nft list tables | grep -E " $name-agent\$" || true
)
if [ -n "$left" ]; then
    printf 'left behind:\n%s\n' "$left" >&2
    exit 1
fi
echo "nothing is left of the demo"
