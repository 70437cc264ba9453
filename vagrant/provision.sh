#!/bin/bash
# Makes this host, which runs systemd, a host of Roadstead: packages, binary, users, units, and the roles asked for.
# `provision.sh --help` says how, docs/operations.md what stands where and why. Vagrantfile uses this very script.
#
# It looks at what is there and changes only what is missing or old, so it can be run again at any time: to finish what
# was interrupted, to add a role, to upgrade.
set -euo pipefail

usage() {
    cat <<'TEXT'
Makes this host run roles of Roadstead, as units of systemd. Run it as root, as often as you like: what is as asked for
stays as it is.

Usage: provision.sh [OPTIONS] ROLE...
       provision.sh --remove ROLE...

ROLE is server, agent or lb. Roles of one run are started, or restarted, one at a time in this order; each must be well
before the next one is touched.

Options:
  --binary FILE        the `ctl` to install; one that differs from the installed one is an upgrade
  --address ADDRESS    where other hosts reach this one: needed for a new server or agent. An IP address for an agent;
                       HOST:PORT gives a server another port than 7443
  --first              the server is the first one of a new control plane
  --join HOST[:PORT]   a server of the control plane that is there already
  --servers HOST[:PORT],...
                       every server there is or will be: a new agent or lb keeps them. Without it, it knows those that
                       are there when it joins, and learns of others only while it runs
  --token ROLE=FILE    file with the token for that ROLE, as `ctl token create` prints it; `-` is standard input.
                       A host with a server of its own needs none for agent and lb
  --patience SECONDS   how long a role may take until it is well [default: 120]
  --remove             stop the roles and delete what they have on this host; an agent's containers end.
                       Drain the host first, and take a server out with `ctl server remove`
  -h, --help           show this

Exit codes:
    0  the host is as asked for
    1  something failed; what was done until then stays, and the next run goes on from there
   64  the command line is wrong, or says something else than the host's files
   69  a role was started and is not well within its time
TEXT
}

readonly binary=/usr/local/bin/ctl
readonly settings=/etc/roadstead
readonly data=/var/lib/roadstead
readonly logs=/var/log/roadstead
readonly socket=$data/server/server.sock
readonly units=/etc/systemd/system
readonly policy=/usr/sbin/policy-rc.d
own_units=$(dirname "$(readlink -f "$0")")/units
readonly own_units

changes=0
say() { printf 'provision: %s\n' "$*"; }
changed() {
    changes=$((changes + 1))
    say "$*"
}
fail() {
    printf 'provision: error: %s\n' "$*" >&2
    exit 1
}
wrong() {
    printf 'provision: error: %s\n' "$*" >&2
    echo "provision: see provision.sh --help" >&2
    exit 64
}

# ---- what is asked for --------------------------------------------------------------------------------------------

new_binary='' address='' first='' server='' servers='' patience=120 remove=''
declare -A token=() asked=()

read_arguments() {
    local option
    while [ $# -gt 0 ]; do
        option=$1
        shift
        case $option in
            -h | --help)
                usage
                exit 0
                ;;
            --first) first=yes ;;
            --remove) remove=yes ;;
            --binary | --address | --join | --servers | --token | --patience)
                [ $# -gt 0 ] || wrong "$option needs a value"
                take "$option" "$1"
                shift
                ;;
            server | agent | lb) asked[$option]=yes ;;
            *) wrong "there is no option or role $option" ;;
        esac
    done
}

take() {
    case $1 in
        --binary) new_binary=$2 ;;
        --address) address=$2 ;;
        --join) server=$2 ;;
        --servers) servers=$2 ;;
        --patience)
            [[ $2 =~ ^[1-9][0-9]*$ ]] || wrong "--patience: $2 is no number of seconds"
            patience=$2
            ;;
        --token)
            [[ $2 =~ ^(server|agent|lb)=(.+)$ ]] ||
                wrong "--token: give it as ROLE=FILE; a token itself does not belong on a command line, where all can read it"
            token[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
            ;;
    esac
}

# All that can be known to be wrong is found here, before anything changes.
check_arguments() {
    local role
    [ ${#asked[@]} -gt 0 ] || wrong "say which roles: server, agent, lb"
    [ "$(id -u)" = 0 ] || fail "only root can install units; run it with sudo"
    [ -d /run/systemd/system ] || fail "systemd does not run here, and the roles are its units"
    if [ -n "$remove" ]; then
        [ -z "$new_binary$address$first$server$servers${token[*]-}" ] || wrong "--remove goes with roles alone"
        return
    fi
    [ -z "$first" ] || [ -z "$server" ] || wrong "--first makes a new control plane, --join goes to one that is there: give one"
    [ -z "$first" ] || [ -n "${asked[server]-}" ] || wrong "--first is for a server: ask for the role server too"
    if [ -n "$new_binary" ]; then
        [ -f "$new_binary" ] || wrong "--binary: there is no file $new_binary"
    elif [ ! -x $binary ]; then
        wrong "$binary is not there: say with --binary which ctl to install"
    fi
    for role in "${!token[@]}"; do
        [ -n "${asked[$role]-}" ] || wrong "there is a token for $role, but the role $role is not asked for"
        [ "${token[$role]}" = - ] || [ -r "${token[$role]}" ] || wrong "--token: cannot read ${token[$role]}"
    done
    local from_stdin=0
    for role in "${!token[@]}"; do
        [ "${token[$role]}" != - ] || from_stdin=$((from_stdin + 1))
    done
    [ $from_stdin -le 1 ] || wrong "--token: standard input has one token only; put the others into files"
    [ -z "${asked[agent]-}" ] || [ -n "$address" ] || [ -e $settings/agent.toml ] ||
        wrong "a new agent needs --address, where other hosts reach this one"
    for role in "${!asked[@]}"; do
        ! has_joined "$role" || continue
        [ "$role" != server ] || [ -n "$address" ] || wrong "a new server needs --address, where other hosts reach this one"
        check_way_in "$role"
    done
    [ -z "$first" ] || ! has_joined server || is_first ||
        wrong "--first: this host's server has joined another control plane already; $data/server/joined.toml says which"
    check_address
}

# A new role needs a way into the control plane.
check_way_in() {
    case $1 in
        server)
            [ -n "$first" ] || [ -n "$server" ] || wrong "a new server needs --first, or --join with a --token server=FILE"
            [ -n "$first" ] || [ -n "${token[server]-}" ] ||
                wrong "a new server needs a token: \`ctl token create --role server\` on a host that has a server prints one"
            ;;
        *)
            [ -z "${asked[server]-}" ] || return 0
            ! has_joined server || return 0
            [ -n "$server" ] || wrong "a new $1 needs --join, a server to go to"
            [ -n "${token[$1]-}" ] ||
                wrong "a new $1 needs a token: \`ctl token create --role $(certified "$1")\` on a host that has a server prints one"
            ;;
    esac
}

# The address stands in the agent's settings and in the server's membership; a second word on it would be ignored.
check_address() {
    local file=$settings/agent.toml
    if [ -n "$address" ] && [ -n "${asked[agent]-}" ] && ! [[ $(agent_address) =~ ^[0-9.]+$|: ]]; then
        wrong "--address: an agent needs an IP address, and $(agent_address) is none"
    fi
    if [ -n "$address" ] && [ -n "${asked[agent]-}" ] && [ -e $file ] &&
        ! grep -qxF "address = \"$(agent_address)\"" $file; then
        wrong "--address: $file says another address than $(agent_address); change it there, or leave --address out"
    fi
}

# ---- names --------------------------------------------------------------------------------------------------------

# The role's name after `ctl`.
part_of() { if [ "$1" = server ]; then echo controlplane; else echo "$1"; fi; }
unit_of() { echo "roadstead-$(part_of "$1")"; }
# The role's name in a certificate.
certified() { if [ "$1" = lb ]; then echo load-balancer; else echo "$1"; fi; }
# An agent is root: it makes namespaces and mounts.
user_of() { if [ "$1" = agent ]; then echo root; else echo "roadstead-$1"; fi; }

has_joined() { [ -e "$data/$1/joined.toml" ]; }
is_first() { grep -qx 'first = true' $data/server/joined.toml; }
main_pid() { systemctl show --property MainPID --value "$(unit_of "$1")"; }
is_running() { systemctl is-active --quiet "$(unit_of "$1")"; }
# Files replaced under a running process keep its inode: that tells a process that runs what is installed.
is_current() { [ "/proc/$(main_pid "$1")/exe" -ef $binary ]; }
# Handles SIGUSR2: hands over to a successor, where another program would end.
hands_over() {
    local caught
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$(main_pid "$1")/status" 2>/dev/null)
    [ -n "$caught" ] && (((0x$caught >> 11) & 1))
}
# As the role's user. Its working directory must be one that this user may enter.
as_user() {
    local user=$1
    shift
    (cd / && exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all -- "$@")
}
# As this host's operator, whatever root's environment says.
operator() {
    env --unset ROADSTEAD_CLUSTER --unset ROADSTEAD_CONTEXT ROADSTEAD_ENDPOINT="unix:$socket" timeout 20 $binary "$@"
}

# ---- packages -----------------------------------------------------------------------------------------------------

install_packages() {
    local missing=() command
    local -A package=([containerd]=containerd [runc]=runc [nft]=nftables)
    for command in containerd runc nft; do
        command -v $command >/dev/null || missing+=("${package[$command]}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}: the agent needs them"
    if command -v apt-get >/dev/null; then
        # Nothing that comes with them shall start, now or at the next boot: the agent starts a containerd of its own.
        local ours=''
        [ -e $policy ] || {
            ours=yes
            trap 'rm -f $policy' EXIT
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod 0755 $policy
        }
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 update
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends \
            "${missing[@]}" >/dev/null
        [ -z "$ours" ] || {
            rm -f $policy
            trap - EXIT
        }
    elif command -v dnf >/dev/null; then
        dnf --quiet --assumeyes install "${missing[@]}" ||
            fail "dnf cannot install ${missing[*]}: install them from where you have them, then run this again"
    else
        fail "no apt-get and no dnf here: install ${missing[*]}, then run this again"
    fi
    for command in containerd nft; do
        [[ " ${missing[*]} " != *" ${package[$command]} "* ]] ||
            systemctl --quiet disable --now "${package[$command]}.service" 2>/dev/null || true
    done
    for command in containerd runc nft; do
        command -v $command >/dev/null ||
            fail "${package[$command]} is installed and $command is still missing: install a $command, then run this again"
    done
    changed "installed ${missing[*]}"
}

# ---- files --------------------------------------------------------------------------------------------------------

# put FILE MODE: what comes on standard input becomes FILE, at once or not at all; says whether that changed it.
put() {
    local file=$1 mode=$2 new
    new=$(mktemp "$file.XXXXXX")
    cat >"$new"
    chmod "$mode" "$new"
    if [ -e "$file" ] && cmp -s "$new" "$file"; then
        rm "$new"
        return 1
    fi
    mv -f "$new" "$file"
    ! command -v restorecon >/dev/null || restorecon "$file"
}

install_binary() {
    [ -n "$new_binary" ] || return 0
    if [ -e $binary ] && cmp -s "$new_binary" $binary; then
        return 0
    fi
    local new=$binary.new
    install -D --mode 0755 "$new_binary" $new
    local version
    version=$($new --version) || {
        rm -f $new
        fail "$new_binary does not run on this host; was it built for another machine?"
    }
    sync $new
    # A rename: whoever starts it, a container's log writer for one, finds the old one or the new one.
    mv -f $new $binary
    ! command -v restorecon >/dev/null || restorecon $binary
    changed "installed $version as $binary"
}

make_user() {
    local user
    user=$(user_of "$1")
    ! getent passwd "$user" >/dev/null || return 0
    useradd --system --user-group --no-create-home --home-dir "$data/$1" --shell /usr/sbin/nologin \
        --comment "Roadstead $1" "$user"
    changed "made user $user"
}

make_directories() {
    local role=$1 user
    user=$(user_of "$role")
    install -d --mode 0755 $settings $data
    [ -d "$data/$role" ] || {
        install -d --mode 0700 --owner "$user" --group "$user" "$data/$role"
        changed "made $data/$role, for $user alone"
    }
}

# Settings are written once, and are the operator's from then on.
write_settings() {
    local role=$1 part file
    part=$(part_of "$role")
    file=$settings/$part.toml
    [ ! -e "$file" ] || return 0
    {
        echo "# Settings of \`ctl $part\`: the keys are its flags, with _ for -; \`ctl $part --help\` lists them."
        if [ "$role" = lb ]; then
            echo "# Take effect, without a request lost, with: systemctl reload $(unit_of "$role")"
        else
            echo "# Take effect with: systemctl restart $(unit_of "$role")"
        fi
        [ "$role" != agent ] || printf '\n# Where others reach the ports of tasks.\naddress = "%s"\n' "$(agent_address)"
        [ "$role" = server ] || [ -z "$servers" ] || printf '\nendpoints = [%s]\n' "$(endpoints)"
    } | put "$file" 0644
    changed "wrote $file"
}

reload=''
install_unit() {
    local role=$1 unit
    unit=$(unit_of "$role").service
    [ -r "$own_units/$unit" ] || fail "$own_units/$unit is missing: the folder units/ belongs beside provision.sh"
    if put "$units/$unit" 0644 <"$own_units/$unit"; then
        reload=yes
        renewed[$role]=yes
        changed "wrote $units/$unit"
    fi
}

# `ctl` without flags goes where root's context file says; on a host with a server that is this server.
write_context() {
    local file=/root/.config/roadstead/context.toml
    [ ! -e $file ] || return 0
    ROADSTEAD_CONTEXT=$file $binary --endpoint "unix:$socket" context set >/dev/null
    changed "wrote $file: root's ctl goes to this host's server"
}

# ---- joining ------------------------------------------------------------------------------------------------------

join_control_plane() {
    local role=$1 part command
    has_joined "$role" && return
    part=$(part_of "$role")
    if [ "$role" = server ] && [ -n "$first" ]; then
        as_user "$(user_of server)" $binary controlplane init --address "$address" --data-dir $data/server
        changed "this host has the first server of a new control plane"
        return
    fi
    command=("$binary" "$part" join --data-dir "$data/$role")
    [ "$role" != server ] || command+=(--address "$address")
    if [ -n "${token[$role]-}" ]; then
        command+=(--server "https://$(with_port "$server")")
        say "$role: joining by $server"
        # Opened by root: the role's user need not be able to read the file.
        if [ "${token[$role]}" = - ]; then
            as_user "$(user_of "$role")" "${command[@]}"
        else
            as_user "$(user_of "$role")" "${command[@]}" <"${token[$role]}"
        fi
    else
        command+=(--server "$(own_endpoint)")
        say "$role: joining by this host's server"
        operator token create --role "$(certified "$role")" --valid 5m |
            as_user "$(user_of "$role")" "${command[@]}"
    fi
    changed "$role has joined"
}

# The address without a port, which only a server has.
agent_address() { if [[ $address =~ ^([^:]+):[0-9]+$ ]]; then echo "${BASH_REMATCH[1]}"; else echo "$address"; fi; }
endpoints() {
    local one list='' all
    IFS=, read -r -a all <<<"$servers"
    for one in "${all[@]}"; do
        list+="${list:+, }\"https://$(with_port "$one")\""
    done
    echo "$list"
}
with_port() { if [[ $1 =~ :[0-9]+$ ]]; then echo "$1"; else echo "$1:7443"; fi; }
own_endpoint() { sed -n 's/^endpoint = "\(.*\)"$/\1/p' $data/server/joined.toml; }

# ---- health -------------------------------------------------------------------------------------------------------

# The role has done, since its process started, what shows that it is of use.
is_well() {
    is_running "$1" && is_current "$1" || return 1
    case $1 in
        # What it lists it has confirmed with a quorum and applied itself: it follows, and the next server may be touched.
        server)
            operator status --output json 2>/dev/null | is_voter "$(own_endpoint)" &&
                operator cluster list >/dev/null 2>&1
            ;;
        agent) has_said agent 'first set of tasks' ;;
        # One that it has on its disk is in force at once, or with its predecessor's listeners; received says that it hears
        # the control plane too.
        lb)
            has_said lb 'routing table received' &&
                { has_said lb 'routing table in force' || has_said lb 'serving the last known good routing table'; }
            ;;
    esac
}

# has_said ROLE TEXT: in the journal, since its process was started: a load balancer's may be a successor. A journal that
# does not go back so far cannot tell, and a role that has run for so long is not on trial.
has_said() {
    local unit invocation journal
    unit=$(unit_of "$1")
    invocation=$(systemctl show --property InvocationID --value "$unit")
    journal=(journalctl --quiet --boot --output cat)
    "${journal[@]}" "_SYSTEMD_INVOCATION_ID=$invocation" "_PID=$(main_pid "$1")" 2>/dev/null | grep -F -- "$2" >/dev/null ||
        [ -z "$("${journal[@]}" "INVOCATION_ID=$invocation" "UNIT=$unit.service" --lines 1 2>/dev/null)" ]
}

# is_voter ENDPOINT: says the JSON of `ctl status` on standard input, which has one key a line.
is_voter() {
    awk -v mine="\"endpoint\": \"$1\"" '
        /{/ { here = voter = 0 }
        index($0, mine) { here = 1 }
        /"voter": true/ { voter = 1 }
        /}/ { member = member || here && voter }
        END { exit !member }'
}

await_well() {
    local role=$1 until=$((SECONDS + patience)) unit
    unit=$(unit_of "$role")
    until is_well "$role"; do
        if [ $SECONDS -ge $until ] || systemctl is-failed --quiet "$unit"; then
            echo "provision: error: $role was started and is not well after $patience s; the end of its journal:" >&2
            journalctl --quiet --unit "$unit" --boot --lines 15 --no-pager >&2 || true
            echo "provision: look on with: journalctl --unit $unit; then run this again" >&2
            exit 69
        fi
        sleep 0.2
    done
}

declare -A renewed=()
bring_up() {
    local role=$1 unit why='' order=restart
    unit=$(unit_of "$role")
    systemctl is-enabled --quiet "$unit" 2>/dev/null || {
        systemctl --quiet enable "$unit"
        changed "$unit starts with the host from now on"
    }
    if ! is_running "$role"; then
        why="starting"
    elif [ -n "${renewed[$role]-}" ]; then
        why="restarting, for its unit has changed"
    elif ! is_current "$role" && [ "$role" = lb ] && hands_over lb; then
        why="handing over, for the binary is newer"
        order=reload
    elif ! is_current "$role"; then
        why="restarting, for the binary is newer"
    fi
    if [ -n "$why" ]; then
        say "$role: $why"
        systemctl reset-failed "$unit" 2>/dev/null || true
        systemctl $order "$unit" || true # what came of it is seen next
    fi
    await_well "$role"
    [ -z "$why" ] || changed "$role is well"
}

# The cluster that agents are in unless their settings say otherwise. It has been there since the first start or was
# deleted by somebody: only the run that makes the control plane makes it.
make_default_cluster() {
    operator cluster create default >/dev/null
    changed "made cluster default"
}

# ---- removal ------------------------------------------------------------------------------------------------------

remove_role() {
    local role=$1 unit user
    unit=$(unit_of "$role")
    user=$(user_of "$role")
    if systemctl cat "$unit" >/dev/null 2>&1; then
        say "$role: stopping"
        systemctl --quiet disable --now "$unit"
        changed "$unit is stopped"
    fi
    if [ "$role" = agent ] && [ -e $data/agent/agent.toml ]; then
        say "agent: ending its containers and its containerd"
        $binary agent remove --data-dir $data/agent
    fi
    if [ -e "$data/$role" ]; then
        rm -rf "${data:?}/$role"
        changed "deleted $data/$role"
    fi
    # Only the unit of the load balancer makes it.
    if [ "$role" = lb ] && [ -e $logs ]; then
        rm -rf $logs
        changed "deleted $logs"
    fi
    rm -f "$units/$unit.service" "$settings/$(part_of "$role").toml"
    systemctl daemon-reload
    if [ "$user" != root ] && getent passwd "$user" >/dev/null; then
        userdel "$user"
        changed "deleted user $user"
    fi
}

remove_rest() {
    local role
    for role in server agent lb; do
        [ ! -e "$units/$(unit_of $role).service" ] || return 0
    done
    rmdir --ignore-fail-on-non-empty $settings $data 2>/dev/null || true
    [ ! -e $binary ] || {
        rm -f $binary
        changed "deleted $binary: no role needs it"
    }
}

# ---- the run ------------------------------------------------------------------------------------------------------

provision() {
    local role
    [ -z "${asked[agent]-}" ] || install_packages
    install_binary
    for role in server agent lb; do
        [ -n "${asked[$role]-}" ] || continue
        make_user "$role"
        make_directories "$role"
        write_settings "$role"
        install_unit "$role"
    done
    [ -z "$reload" ] || systemctl daemon-reload
    for role in server agent lb; do
        [ -n "${asked[$role]-}" ] || continue
        local new=''
        has_joined "$role" || new=yes
        join_control_plane "$role"
        bring_up "$role"
        if [ "$role" = server ]; then
            write_context
            [ -z "$new" ] || [ -z "$first" ] || make_default_cluster
        fi
    done
    if [ $changes = 0 ]; then
        say "nothing to do: ${!asked[*]} run $($binary --version) and are well"
    else
        say "done: ${!asked[*]} run $($binary --version) and are well"
    fi
}

read_arguments "$@"
check_arguments
if [ -n "$remove" ]; then
    for role in lb agent server; do
        [ -z "${asked[$role]-}" ] || remove_role $role
    done
    remove_rest
    [ $changes -gt 0 ] || say "nothing to do: ${!asked[*]} are not here"
else
    provision
fi
