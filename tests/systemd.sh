#!/bin/bash
# vagrant/provision.sh on three hosts that run systemd: installs, runs again, upgrades under load, removes.
#
#   tests/systemd.sh DIRECTORY     where `make build` has put ctl, load and sample-service
#
# A host is a systemd-nspawn machine that boots from this machine's own /usr, read-only, with a copy of its /etc: real
# units under a real systemd, in two seconds and without a download. Everything lives in namespaces of process ids, mounts
# and networks that end with this script, however it ends; only a directory and control groups are to be removed.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: containers need root" >&2; exit 1; }
binaries=$(readlink -f "$1")
repository=$(readlink -f "$(dirname "$0")/..")
readonly binaries repository

readonly prefix=rsn
if [ -z "${ROADSTEAD_IN_NAMESPACES-}" ]; then
    # What a run has left that was killed.
    for old in "/var/tmp/$prefix"*; do
        if [ ! -d "$old" ] || [ -e "/proc/${old#"/var/tmp/$prefix"}" ]; then continue; fi
        find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup*/${old#/var/tmp/}-s*" -exec rmdir {} + || true # what is busy goes next time
        rm -rf --one-file-system "$old" || true
    done
    # Process ids are told apart out here: inside they begin with 1 in each run.
    export ROADSTEAD_IN_NAMESPACES=$prefix$$
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc --net "$BASH" "$0" "$binaries"
fi
name=$ROADSTEAD_IN_NAMESPACES
unset ROADSTEAD_IN_NAMESPACES ROADSTEAD_ENDPOINT ROADSTEAD_CLUSTER ROADSTEAD_CONTEXT ROADSTEAD_CONFIG
readonly name
readonly work=/var/tmp/$name
readonly hosts=(s1 s2 s3)
readonly subnet=10.77.7
declare -A leader=() keeper=()
failed=yes

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
fail() { printf 'systemd.sh: %s\n' "$*" >&2; exit 1; }

# await SECONDS WHAT COMMAND...: until COMMAND succeeds.
await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt "$until" ] || fail "not within time: $what"
        sleep 0.1
    done
}

# ---- hosts --------------------------------------------------------------------------------------------------------

address() { echo "$subnet.1${1#s}"; }

# on HOST COMMAND...: as root of that host.
on() {
    local host=$1
    shift
    nsenter --target "${leader[$host]}" --all -- \
        env --ignore-environment PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb "$@"
}
provision() {
    local host=$1
    shift
    on "$host" /vagrant/provision.sh --patience 120 "$@"
}

control_groups() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -name cgroup.procs -printf '%h\n'
    fi
}

make_root() {
    local root=$work/$1 link
    mkdir -p "$root"/{usr,proc,sys,dev,run,tmp,root,var/lib,var/log,var/tmp} "$work/local-$1"
    for link in bin sbin lib lib64; do
        [ ! -L /$link ] || ln -s usr/$link "$root/$link"
    done
    # All but what this machine starts, mounts and is called.
    cp --archive /etc "$root/etc"
    rm -rf "$root"/etc/{systemd/system,machine-id,fstab,hostname,resolv.conf,roadstead} "$root"/etc/rc?.d
    mkdir "$root/etc/systemd/system"
    touch "$root/etc/machine-id"
    ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    # At each start: its address, and the hierarchies of control groups, which nspawn keeps from a machine and an agent needs.
    cat >"$root/etc/machine.sh" <<TEXT
ip address add $(address "$1")/24 dev host0 && ip link set host0 up || exit 1
for one in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [ -L "\${one%/}" ] || mount -o remount,bind,rw "\$one" 2>/dev/null || true
done
TEXT
    cat >"$root/etc/systemd/system/machine.service" <<'UNIT'
[Unit]
Before=network.target network-online.target
[Service]
Type=oneshot
ExecStart=/bin/sh /etc/machine.sh
RemainAfterExit=yes
UNIT
    mkdir "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../machine.service "$root/etc/systemd/system/multi-user.target.wants/machine.service"
    mount --bind /usr "$root/usr"
    mount -o remount,bind,ro "$root/usr"
    mount --bind "$work/local-$1" "$root/usr/local/bin"
}

children() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }

# The host's process 1, below nspawn, which is below the shell that starts it.
find_leader() {
    local nspawn process
    for nspawn in $(children "${keeper[$1]}"); do
        for process in $(children "$nspawn"); do
            if [[ $(grep NSpid "/proc/$process/status" 2>/dev/null) == *[[:space:]]1 ]]; then
                leader[$1]=$process
                return
            fi
        done
    done
    return 1
}

await_boot() {
    await 60 "the start of $1" find_leader "$1"
    has_booted() { on "$1" systemctl is-active multi-user.target && on "$1" systemctl is-active machine; }
    await 60 "the boot of $1" has_booted "$1"
}

# In a control group of its own in each hierarchy, so that hosts do not see, or clean up, each other's.
boot() {
    local host=$1 group
    for group in $(control_groups); do
        mkdir "$group/$name-$host"
        if [ -e "$group/$name-$host/cpuset.cpus" ] && [ -z "$(<"$group/$name-$host/cpuset.cpus")" ]; then
            cat "$group/cpuset.cpus" >"$group/$name-$host/cpuset.cpus" || true
            cat "$group/cpuset.mems" >"$group/$name-$host/cpuset.mems" || true
        fi
    done
    (
        for group in $(control_groups); do
            echo "$BASHPID" >"$group/$name-$host/cgroup.procs"
        done
        # 133 says that the host wants to be started again: it reboots.
        while
            ended=0
            systemd-nspawn --quiet --machine "$host" --hostname "$host" --directory "$work/$host" --boot \
                --register=no --keep-unit --network-bridge=bridge --capability=all \
                "--system-call-filter=@keyring bpf @privileged" \
                --resolv-conf=off --timezone=off --link-journal=no --console=pipe \
                --bind-ro="$repository/vagrant:/vagrant" --bind-ro="$work/files:/files" \
                </dev/null >>"$work/$host.console" 2>&1 || ended=$?
            [ $ended = 133 ]
        do :; done
    ) &
    keeper[$host]=$!
    await_boot "$host"
}

clean_up() {
    local host group
    if [ $failed = yes ]; then
        for host in "${!leader[@]}"; do
            printf '\n-- the end of the journal of %s\n' "$host"
            on "$host" journalctl --quiet --no-pager --lines 60 --output short-precise 2>/dev/null || tail -n 20 "$work/$host.console"
        done
    fi >&8 2>&1
    # Whatever is left of this script, load clients and hosts, is a child of this shell or of such a child.
    exec 9>&-
    for host in "${!leader[@]}"; do
        kill -KILL "${leader[$host]}" 2>/dev/null || true
    done
    wait
    for group in $(control_groups); do
        # Innermost first; a group that has just lost its last process is busy for a moment.
        for host in "${hosts[@]}"; do
            [ -d "$group/$name-$host" ] || continue
            removed() { find "$group/$name-$host" -depth -type d -exec rmdir {} + ; [ ! -e "$group/$name-$host" ]; }
            local tries=100
            until removed 2>/dev/null || [ $((tries -= 1)) = 0 ]; do sleep 0.05; done
        done
    done
    for host in "${hosts[@]}"; do
        umount --recursive "$work/$host/usr" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}

main_pid() { on "$1" systemctl show --property MainPID --value "roadstead-$2"; }
# What runs for tasks on a host, and must outlive the agent: containers, shims, log writers, containerd.
of_tasks() {
    # shellcheck disable=SC2016 # expanded by the host's shell
    on "$1" bash -c 'for process in /proc/[0-9]*; do
        [ $process != /proc/$$ ] || continue
        line=$(tr "\\0" " " <$process/cmdline) 2>/dev/null || continue
        case $line in
            */sample-service* | *containerd-shim* | *container-logger* | containerd\ *) echo "${process#/proc/} $line" ;;
        esac
    done'
}

# ---- the story ----------------------------------------------------------------------------------------------------

# says TEXT COMMAND...: succeeds and says so.
says() {
    local text=$1 output
    shift
    output=$("$@" 2>&1) || fail "failed: $*: $output"
    grep -qF -- "$text" <<<"$output" || fail "did not say \`$text\`: $*: $output"
}
# refuses CODE TEXT COMMAND...: ends with this code and says why.
refuses() {
    local code=$1 text=$2 output status=0
    shift 2
    output=$("$@" 2>&1) || status=$?
    [ $status = "$code" ] || fail "ended with $status, not $code: $*: $output"
    grep -qF -- "$text" <<<"$output" || fail "did not say \`$text\`: $*: $output"
}
token() { on s1 ctl token create --role "$1"; }
describe_has() { on s1 ctl service describe web --output json | grep -q "$1"; }
has_voters() { [ "$(on s1 ctl status --output json | grep -c '"voter": true')" = "$1" ]; }
answers() { [[ $(curl --silent --max-time 5 "http://$(address "$1")/") == "$2 "* ]]; }

# How many sockets systemd keeps for the load balancer.
kept() { on "$1" systemctl show --property NFileDescriptorStore --value roadstead-lb; }
keeps() { [ "$(kept "$1")" = "$2" ]; }

is_another() { [ "$(main_pid "$1" lb)" != "$2" ]; }

# Two clients for each of these hosts' load balancers, one of which opens a connection for each request; none may lose a
# request. They run until their standard input ends: one pipe for all.
load_pids=()
start_load() {
    local host
    rm -f "$work/until"
    mkfifo "$work/until"
    exec 9<>"$work/until"
    load_pids=()
    for host in "$@"; do
        "$binaries/load" --url "http://$(address "$host")/" --rate 100 --until-stdin-closes --output json \
            <"$work/until" 9>&- >"$work/load-$host.json" &
        load_pids+=($!)
        "$binaries/load" --url "http://$(address "$host")/" --rate 50 --no-keep-alive --until-stdin-closes --output json \
            <"$work/until" 9>&- >"$work/load-$host-anew.json" &
        load_pids+=($!)
    done
}
end_load() {
    local host process kind
    exec 9>&-
    for process in "${load_pids[@]}"; do
        wait "$process" || { cat "$work"/load-*.json; fail "a client counted lost requests"; }
    done
    for host in "$@"; do
        for kind in "" -anew; do
            echo "by the load balancer on $host$kind: $(grep -E '"(requests|failed|max)":' "$work/load-$host$kind.json" | tr -d ' \n')"
        done
    done
}

exec 8>&2 # for the end, which can come where standard error is not to be seen
trap clean_up EXIT
ip link set lo up
ip link add bridge type bridge
ip address add $subnet.1/24 dev bridge
ip link set bridge up
rm -rf "$work"
mkdir "$work" "$work/files"
cp "$binaries/ctl" "$work/files/ctl"
# The next version: another file, which does the same.
cp "$binaries/ctl" "$work/files/ctl-next"
printf '\n' >>"$work/files/ctl-next"
"$binaries/sample-service" image --version v1 --output "$work/files/v1.tar"

say "Three hosts that run systemd"
for host in "${hosts[@]}"; do
    make_root "$host"
    boot "$host"
done
on s1 systemctl is-active containerd && fail "a containerd of Debian's runs before anything was done"

say "What is wrong is refused before anything changes"
refuses 64 "there is no option or role web" provision s1 web
refuses 64 "say with --binary" provision s1 --first --address "$(address s1)" server
refuses 64 "needs --address" provision s1 --binary /files/ctl --first server
refuses 64 "an agent needs an IP address" provision s1 --binary /files/ctl --first --address s1 server agent
refuses 64 "does not belong on a command line" provision s2 --binary /files/ctl --join s1 --token roadstead.secret agent
refuses 64 "a new agent needs a token" provision s2 --binary /files/ctl --address "$(address s2)" --join s1 agent
on s1 test ! -e /etc/roadstead || fail "a refused run has left /etc/roadstead"

say "s1: the first server, an agent, a load balancer"
servers=$(address s1),$(address s2),$(address s3):7443
provision s1 --binary /files/ctl --first --address "$(address s1)" --servers "$servers" server agent lb
say "s2 and s3 join, by tokens on standard input and in a file"
token server | provision s2 --binary /files/ctl --join "$(address s1)" --token server=- --address "$(address s2)" server agent
await 60 "s2 as a voter" has_voters 2
token server >"$work/files/token"
chmod 0600 "$work/files/token"
provision s3 --binary /files/ctl --join "$(address s1):7443" --token server=/files/token --address "$(address s3):7443" \
    --servers "$servers" server agent lb
await 60 "s3 as a voter" has_voters 3
on s1 ctl status
for host in "${hosts[@]}"; do
    ! on "$host" systemctl is-active --quiet containerd || fail "Debian's own containerd runs on $host"
done
found=$(on s1 systemd-analyze verify /etc/systemd/system/roadstead-{controlplane,agent,lb}.service 2>&1 | grep -i roadstead || true)
[ -z "$found" ] || fail "systemd finds fault with a unit: $found"

say "How much of the host each unit can reach, by systemd's count: 10 is everything"
exposure() { on s1 systemd-analyze security --no-pager "roadstead-$1.service" 2>/dev/null | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p'; }
for unit in controlplane lb agent; do
    printf '%-14s %s\n' $unit "$(exposure $unit)"
done
for unit in controlplane lb; do
    awk -v is="$(exposure $unit)" 'BEGIN { exit !(is > 0 && is <= 2.0) }' || fail "roadstead-$unit.service reaches more than it needs"
done

say "A service of three tasks, on port 80 of both load balancers"
for host in "${hosts[@]}"; do
    on "$host" ctl image import --data-dir /var/lib/roadstead/agent /files/v1.tar
done
on s1 ctl load-balancer create web
on s1 ctl target-group create web --health-check-path /health --health-check-interval 5 --deregistration-delay 10
on s1 ctl listener create --load-balancer web --port 80 --target-group web
on s1 ctl task-definition register --file - <<'JSON'
{
    "family": "web",
    "networkMode": "bridge",
    "containerDefinitions": [
        {"name": "web", "image": "sample:v1", "memory": 32, "portMappings": [{"containerPort": 8080}], "stopTimeout": 5}
    ]
}
JSON
on s1 ctl service create web --task-definition web --desired-count 3 --load-balancer web:web:8080
await 60 "the service" describe_has '"rolloutState": "COMPLETED"'
for host in s1 s3; do
    await 30 "an answer from the load balancer on $host" answers "$host" v1
done

say "A restart of the agent's unit leaves all that runs for tasks as it is"
for host in "${hosts[@]}"; do
    of_tasks "$host" >"$work/before-$host"
    grep -q sample-service "$work/before-$host" || fail "no container runs on $host: the test would prove nothing"
done
cat "$work/before-s2"
before=$(main_pid s2 agent)
on s2 systemctl restart roadstead-agent
[ "$(main_pid s2 agent)" != "$before" ] || fail "the agent on s2 was not restarted"
says "nothing to do" provision s2 agent
unchanged() { diff "$work/before-$1" <(of_tasks "$1") || fail "other processes run for tasks on $1 than before $2"; }
unchanged s2 "the restart"
# And the new agent has them in hand.
on s1 ctl service update web --desired-count 4
await 60 "a fourth task" describe_has '"runningCount": 4'
for host in "${hosts[@]}"; do of_tasks "$host" >"$work/before-$host"; done

say "A second run changes nothing"
for host in "${hosts[@]}"; do
    roles=(server agent lb)
    [ "$host" != s2 ] || roles=(server agent)
    pids() { for role in controlplane agent lb; do main_pid "$host" $role; done; }
    before=$(pids)
    says "nothing to do" provision "$host" --binary /files/ctl --address "$(address "$host")" "${roles[@]}"
    [ "$(pids)" = "$before" ] || fail "the second run restarted something on $host"
done

say "Upgrade: servers first, then agents, then load balancers, under load"
start_load s1 s3
for role in server agent; do
    for host in "${hosts[@]}"; do
        says "$role is well" provision "$host" --binary /files/ctl-next "$role"
    done
done
for host in s1 s3; do
    before=$(main_pid "$host" lb)
    says "lb: handing over" provision "$host" --binary /files/ctl-next lb
    is_another "$host" "$before" || fail "the load balancer on $host is the old process"
    says "nothing to do" provision "$host" lb
    # The order may come while the first one still ends its requests.
    before=$(main_pid "$host" lb)
    on "$host" systemctl reload roadstead-lb
    await 60 "one more load balancer on $host" is_another "$host" "$before"
    says "nothing to do" provision "$host" lb
done
end_load s1 s3

say "A load balancer whose settings are wrong serves on"
start_load s1
before=$(main_pid s1 lb)
on s1 sh -c 'echo "bindd = 1" >>/etc/roadstead/lb.toml'
! on s1 systemctl reload roadstead-lb || fail "a reload with wrong settings seems to have succeeded"
says "unknown field \`bindd\`" on s1 journalctl --quiet --unit roadstead-lb --lines 20
on s1 sed -i '/^bindd =/d' /etc/roadstead/lb.toml
[ "$(main_pid s1 lb)" = "$before" ] || fail "the load balancer on s1 is another process"
says "nothing to do" provision s1 lb
end_load s1
for host in "${hosts[@]}"; do
    unchanged "$host" "the upgrade"
    says "nothing to do" provision "$host" --binary /files/ctl-next server agent
done

say "A restart refuses nobody, and loses nothing"
# In a container, and with control groups of version 1, systemd does not wait for the end of a main process that it has not started itself.
on s1 systemctl restart roadstead-lb
start_load s1
before=$(main_pid s1 lb)
on s1 systemctl restart roadstead-lb
is_another s1 "$before" || fail "the load balancer on s1 was not restarted"
end_load s1

say "A successor that dies is started again, as any main process; who connects meanwhile waits for the next one"
is_alone() { [ "$(on s1 pgrep --count --uid roadstead-lb)" = 1 ]; }
before=$(main_pid s1 lb)
on s1 systemctl reload roadstead-lb
await 60 "a successor on s1" is_another s1 "$before"
await 60 "the end of its predecessor" is_alone
before=$(main_pid s1 lb)
on s1 sh -c "kill -KILL $before; while [ -e /proc/$before ]; do :; done"
answers s1 v1 || fail "the load balancer on s1 was not waited for"
is_another s1 "$before" || fail "the load balancer on s1 was not killed"
says "nothing to do" provision s1 lb

say "systemd keeps no socket of a listener that is gone, and none of a load balancer that is stopped"
refuses_connections() { [ "$(curl --silent --max-time 5 --output "$work/nothing" --write-out '%{exitcode}' "http://$(address "$1"):$2/")" = 7 ]; }
sockets=$(kept s1)
on s1 ctl listener create --load-balancer web --port 81 --target-group web
await 30 "sockets of port 81 with systemd on s1" keeps s1 $((sockets * 2))
on s1 ctl listener delete web:81
await 30 "port 81 closed on s1" refuses_connections s1 81
keeps s1 "$sockets" || fail "systemd keeps $(kept s1) sockets on s1, not $sockets"
on s1 systemctl stop roadstead-lb
refuses_connections s1 80 || fail "port 80 is open on s1 and nobody serves there"
on s1 systemctl start roadstead-lb

say "A role that does not come up is told, with its journal"
on s2 sh -c 'echo "addres = 1" >>/etc/roadstead/agent.toml; systemctl restart roadstead-agent' || true
refuses 69 "unknown field" provision s2 --patience 20 agent
on s2 sed -i '/^addres =/d' /etc/roadstead/agent.toml
says "agent is well" provision s2 agent

say "After a reboot of the host its roles come by themselves"
on s2 systemctl reboot || true # the command ends with the host
leader_gone() { [ ! -e "/proc/$1" ]; }
await 60 "the end of s2" leader_gone "${leader[s2]}"
await_boot s2
await 60 "the server on s2" on s2 ctl cluster list
has_container() { of_tasks s2 | grep sample-service; }
await 60 "a container on s2" has_container
says "nothing to do" provision s2 server agent

say "Removal leaves nothing"
instance=$(on s3 cat /var/lib/roadstead/agent/container-instance-id)
on s1 ctl instance drain "$instance"
is_empty() { on s1 ctl instance describe "$instance" --output json | grep -q '"runningTasksCount": 0'; }
await 60 "s3 without tasks" is_empty
on s3 /vagrant/provision.sh --remove agent lb
on s1 ctl instance deregister "$instance"
number=$(on s3 sed -n 's/^id = //p' /var/lib/roadstead/server/joined.toml)
on s1 ctl server remove "$number"
on s3 /vagrant/provision.sh --remove server
says "nothing to do" on s3 /vagrant/provision.sh --remove server agent lb
left=$(on s3 sh -c 'ls -d /var/lib/roadstead /etc/roadstead /etc/systemd/system/roadstead* /usr/local/bin/ctl /run/roadstead* /var/log/roadstead 2>/dev/null; getent passwd | grep roadstead' || true)
[ -z "$left$(of_tasks s3)" ] || fail "left on s3: $left $(of_tasks s3)"
await 30 "an answer from s1" answers s1 v1

say "A host without a server"
token load-balancer >"$work/files/token"
token agent | provision s3 --binary /files/ctl-next --join "$(address s2)" --token agent=- --token lb=/files/token \
    --address "$(address s3)" --servers "$(address s1),$(address s2)" agent lb
says "nothing to do" provision s3 agent lb
await 30 "an answer from s3" answers s3 v1

failed=no
say "Passed"
