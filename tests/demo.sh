#!/bin/bash
# The job of `make demo`: a service of four tasks goes from v1 to v2 under load, and no request is lost.
#
#   tests/demo.sh DIRECTORY     where `make build` has put ctl, load and sample-service
#
# Everything lives where `ctl dev` keeps it, so that `ctl` afterwards needs no flag. It can be run again, and
# `make demo-down` removes it all.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
binaries=$1
ctl=$binaries/ctl
data=/var/lib/roadstead-dev
logs=$data/demo
rate=300

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { printf '\ndemo: %s\n' "$*" >&2; exit 1; }
show() { printf '$ ctl %s\n' "$*"; "$ctl" "$@"; }

# await SECONDS WHAT COMMAND...: until COMMAND succeeds.
await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || fail "$what did not come within time; see $logs"
        sleep 0.1
    done
}
describe_has() {
    "$ctl" service describe web --output json | grep -q "$1"
}
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

[ "$(id -u)" = 0 ] || fail "containers need root"
unset ROADSTEAD_ENDPOINT ROADSTEAD_CLUSTER ROADSTEAD_CONTEXT
if [ -e $data ]; then
    [ -e $logs ] || fail "$data belongs to a \`ctl dev\` of your own; \`ctl dev down\` removes it"
    say "Removing the demo of before"
    "$(dirname "$0")/demo-down.sh" "$binaries"
fi
mkdir -p $logs

say "Starting ctl dev: one server, one agent with a containerd of its own, one load balancer"
setsid --fork "$ctl" dev >$logs/dev.log 2>&1 </dev/null
await 30 "the control plane" "$ctl" status
await 30 "the container instance" sh -c "'$ctl' instance list --output json | grep -q container-instance/"

say "Building the sample service's image, here, without registry or network"
for version in v1 v2; do
    "$binaries/sample-service" image --version $version --output $logs/sample.tar
    show image import $logs/sample.tar
done
rm $logs/sample.tar

say "Cluster, load balancer, target group, listener"
port=8080
while is_taken $port; do
    echo "port $port is taken; trying the next"
    port=$((port + 1))
done
show cluster create default
show load-balancer create web
show target-group create web --health-check-path /health --health-check-interval 5 --deregistration-delay 30
show listener create --load-balancer web --port $port --target-group web

say "Task definition web:1 and a service of 4 tasks"
show task-definition register --file - <<'JSON'
{
    "family": "web",
    "networkMode": "bridge",
    "containerDefinitions": [
        {"name": "web", "image": "sample:v1", "memory": 32, "portMappings": [{"containerPort": 8080}], "stopTimeout": 5}
    ]
}
JSON
show service create web --task-definition web --desired-count 4 --load-balancer web:web:8080
await 60 "the service" describe_has '"rolloutState": "COMPLETED"'
url=http://127.0.0.1:$port/
echo "$url answers: $(curl --silent --fail $url)"

say "Rolling out v2 under $rate requests a second"
coproc load { exec "$binaries/load" --url $url --rate $rate --until-stdin-closes --output json >$logs/load.json; }
load_pid=$!
load_stdin=${load[1]}
sleep 2 # of v1 under load, before anything changes
update=("$ctl" service update web --image sample:v2)
echo '$ ctl service update web --image sample:v2'
if [ -t 1 ]; then
    # script(1) keeps what the terminal shows, for the check below.
    script --quiet --return --flush --command "${update[*]}" $logs/rollout.log || fail "the rollout failed"
else
    "${update[@]}" | tee $logs/rollout.log || fail "the rollout failed"
fi
sleep 2 # of v2 under load, after everything has changed
exec {load_stdin}>&-
lost=0
wait $load_pid || lost=$?

say "What the client counted"
grep -E '"(requests|ok|failed|v1|v2|p50|p99|max)":' $logs/load.json
[ $lost = 0 ] || { cat $logs/load.json; fail "the client counted lost requests"; }
receipt=$(grep -aoE 'served [0-9]+ +retried [0-9]+ +failed [0-9]+ +cut at the deadline [0-9]+' $logs/rollout.log | tail -1) ||
    fail "there was no receipt"
[[ $receipt == *" failed 0 "* ]] || fail "the receipt says: $receipt"

say "The service is up: $url"
cat <<TEXT
Try next (ctl is $ctl):

  curl $url
  ctl service list
  ctl service describe web
  ctl service rollback web          back to v1
  ctl service update web --desired-count 8
  ctl task list
  ctl target-group health web
  make demo-down                    leaves nothing behind
TEXT
