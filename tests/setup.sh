#!/bin/bash
# Installs what is missing on a Debian machine, and says what and why. Run as root:
#
#   tests/setup.sh MODE...      MODE is any of  build  run  test  check  bench
#
# What is there already is left alone, also when it came from elsewhere (Docker's containerd, for one). The packages
# start no daemon, now or at the next boot: Roadstead starts its own containerd, and the tests their own registry.
set -euo pipefail

export PATH="$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"
packages=()
tools=()

# need_command COMMAND PACKAGE WHY: COMMAND must be on the path.
need_command() { command -v "$1" >/dev/null || add "$2" "$3"; }

# need_package PACKAGE WHY: this very package must be installed.
need_package() {
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] || add "$1" "$2"
}

# need_tool TOOL WHY: a command that cargo builds.
need_tool() {
    command -v "$1" >/dev/null && return
    echo "missing: $1 ($2)"
    tools+=("$1")
}

add() {
    echo "missing: $1 ($2)"
    packages+=("$1")
}

for_mode() {
    case $1 in
        build)
            need_command cc gcc "links what cargo compiles"
            need_package libc6-dev "the C library that the static binaries contain"
            need_command make make "runs the Makefile"
            need_command protoc protobuf-compiler "containerd's API is generated from its protobuf files"
            ;;
        run)
            need_command containerd containerd "keeps images and containers"
            need_command runc runc "starts containers"
            need_command nft nftables "forwards the host ports of tasks in bridge mode"
            need_command curl curl "asks the demo's service"
            ;;
        test)
            need_command ip iproute2 "makes the tests' hosts: network namespaces and a bridge"
            need_command strace strace "slows a server's disk"
            need_command mkfs.ext4 e2fsprogs "makes a disk that can be filled"
            need_tool cargo-nextest "runs the tests, each in a process of its own with a time limit"
            need_package busybox-static "the container of the agent's tests"
            need_command openssl openssl "makes the certificates of the load balancer's guide"
            need_command nginx nginx-light "servers of others, which must read requests as the load balancer does"
            need_command apache2 apache2-bin "the second of them"
            need_command gunicorn gunicorn "the third"
            need_command node nodejs "the fourth"
            need_command haproxy haproxy "the fifth"
            need_package python3-websockets "WebSockets of others, which must pass through the load balancer"
            need_package node-ws "the second of them"
            need_command slowhttptest slowhttptest "attacks the load balancer with slow clients"
            need_command testssl testssl.sh "looks for weaknesses of its TLS"
            need_command valgrind valgrind "counts the instructions of a request"
            need_command docker-registry docker-registry "a real registry to pull from, on loopback"
            need_command htpasswd apache2-utils "makes the registry's password file"
            need_command systemd-nspawn systemd-container "starts the hosts of the provisioning script's test"
            need_package systemd-sysv "what those hosts boot"
            need_package dbus "through which systemd tells those hosts' units"
            ;;
        check)
            need_tool cargo-deny "checks licences and sources of the dependencies"
            need_command shellcheck shellcheck "checks the scripts"
            need_command vagrant vagrant "checks vagrant/Vagrantfile; it runs no machine"
            ;;
        bench)
            need_command nginx nginx-light "the load balancer to compare with"
            need_command haproxy haproxy "the other load balancer to compare with"
            need_command wrk wrk "the load on all of them"
            need_command h2load nghttp2-client "the same in HTTP/2"
            need_command openssl openssl "makes the certificate that they show"
            need_command python3 python3 "holds idle connections, and tells how far ratios may be by chance"
            need_command slowhttptest slowhttptest "attacks while others are served"
            ;;
        *)
            echo "usage: $0 build|run|test|check|bench ..." >&2
            exit 2
            ;;
    esac
}

# While this file answers 101, Debian's packages start nothing. It is put back as it was, also after a failure.
policy=/usr/sbin/policy-rc.d
forbid_daemons() {
    if [ -e $policy ] && [ ! -e $policy.roadstead ]; then
        mv $policy $policy.roadstead
    fi
    trap allow_daemons EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
}
allow_daemons() {
    trap - EXIT
    rm -f $policy
    if [ -e $policy.roadstead ]; then
        mv $policy.roadstead $policy
    fi
}

install_packages() {
    if [ "$(id -u)" != 0 ]; then
        echo "$0: only root can install ${packages[*]}" >&2
        exit 1
    fi
    echo "installing ${packages[*]}"
    forbid_daemons
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=120)
    "${apt[@]}" update
    "${apt[@]}" install --yes --no-install-recommends "${packages[@]}" >/dev/null
    allow_daemons
    command -v systemctl >/dev/null || return 0
    for unit in containerd docker-registry nginx haproxy; do
        if [[ " ${packages[*]} " == *" ${unit/%nginx/nginx-light} "* ]]; then
            systemctl --quiet disable "$unit"
        fi
    done
}

install_tools() {
    echo "building ${tools[*]} from source; on two cores that takes a few minutes for each"
    # Without optimisation: they build in half the time and run for seconds.
    cargo install --quiet --locked --debug "${tools[@]}"
}

[ $# -gt 0 ] || for_mode none
for mode in "$@"; do
    for_mode "$mode"
done
[ ${#packages[@]} -eq 0 ] || install_packages
[ ${#tools[@]} -eq 0 ] || install_tools
