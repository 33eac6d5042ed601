# shellcheck shell=bash
# The machines of one state directory: which there are, how one comes up, is reset and ends. Sourced by lab.sh. What differs
# between the two kinds, containers and virtual machines, is in container.sh and vm.sh, in functions named KIND_WHAT.
# A machine's directory holds: kind, identity.tar, host_key, id_ed25519, and while it runs: pid, port, ssh.log.

# prepare makes what every machine shares and sets where it is: LAB_KEYS, LAB_RPMS, LAB_HAPROXY, LAB_IMAGE,
# LAB_REGISTRY_KEYS, LAB_CONTAINERS. What takes long is made side by side.
prepare() {
    # Who runs many commands prepares once and exports it.
    [[ ${LAB_PREPARED:-} != "$LAB_DIR" ]] || return 0
    "$LAB_REPO/tests/setup" lab
    LAB_KEYS=$(artifact keys "$(hash_of keys)" keys/build)
    local key made
    key="=$(sha256sum <"$LAB_KEYS/RPM-GPG-KEY-lab") $(sha256sum <"$LAB_KEYS/id_ed25519.pub")"
    made=$(mktemp -d)
    artifact rpms "$(hash_of rpm "$key")" rpm/build "$LAB_KEYS" >"$made/rpms" &
    artifact image "$(hash_of image rpm/lab-base.spec rpm/pack "$key")" image/build "$LAB_KEYS" >"$made/image" &
    artifact containers "$(hash_of containers rpm/fetch-debs image/release)" containers/build >"$made/containers" &
    LAB_HAPROXY=$(artifact haproxy "$(hash_of haproxy rpm/fetch-debs rpm/pack rpm/sign "$key")" haproxy/build "$LAB_KEYS")
    LAB_REGISTRY_KEYS=$(artifact registry-keys "$(hash_of registry-keys)" registry-keys/build)
    wait
    LAB_RPMS=$(<"$made/rpms") LAB_IMAGE=$(<"$made/image") LAB_CONTAINERS=$(<"$made/containers")
    rm -r "$made"
    [[ -n $LAB_RPMS && -n $LAB_IMAGE && -n $LAB_CONTAINERS ]] || exit 1
    LAB_PREPARED=$LAB_DIR
    export LAB_KEYS LAB_RPMS LAB_HAPROXY LAB_IMAGE LAB_REGISTRY_KEYS LAB_CONTAINERS LAB_PREPARED
}

# default_kind prints the kind of machine to boot where nobody asks for one.
default_kind() {
    local obstacle
    obstacle=$(container_obstacle)
    if [[ -z $obstacle ]]; then
        echo container
    else
        say "virtual machines instead of containers: $obstacle"
        echo vm
    fi
}

kind_of() { cat "$LAB_STATE/$1/kind"; }

# pristine KIND NAME prints the directory of what a machine is booted from.
pristine() { artifact "machine-$1-$2" "$("$1_hash" "$2")" machine/build "$1" "$2"; }

# boot KIND NAME puts a pristine machine in place of whatever was there and runs it.
boot() {
    local kind=$1 name=$2 dir=$LAB_STATE/$2 from
    "$LAB_REPO/tests/setup" "$kind"
    from=$(pristine "$kind" "$name")
    stop "$dir"
    rm -rf "$dir"
    mkdir -p "$dir"
    cp -a --reflink=auto "$from/." "$dir/"
    "${kind}_boot" "$dir" "$name"
    wait_for_ssh "$dir" "$name" 60
    say "$name: up on port $(cat "$dir/port") ($kind)"
}

# is_running DIR: the recorded process is there and still is the one that was started for this directory.
is_running() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    "$(<"$1/kind")_pid_is" "$1" "$pid"
}

# stop DIR ends a machine like a power cut and waits until it is gone.
stop() {
    [[ -e $1/pid ]] || return 0
    "$(<"$1/kind")_stop" "$1"
}

# end_process PID TEST… ends a process for which `TEST… PID` is true, and waits until it is gone.
end_process() {
    local pid=$1 tries
    shift
    "$@" "$pid" || return 0
    kill "$pid" 2>/dev/null || true
    for tries in {1..500}; do
        "$@" "$pid" || return 0
        sleep 0.02
        ((tries != 250)) || kill -9 "$pid" 2>/dev/null || true
    done
    die "process $pid does not end"
}

# guest_ssh DIR NAME USER [CMD…] with the host key that is known beforehand and nothing of the caller's configuration. A guest
# that has just booted, beside others, may take long to greet; who only tries sets connect_timeout.
guest_ssh() {
    local dir=$1 name=$2 user=$3
    shift 3
    ssh -F none -i "$dir/id_ed25519" -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$dir/host_key" \
        -o "HostKeyAlias=$name" -o LogLevel=ERROR -o "ConnectTimeout=${connect_timeout:-60}" -p "$(cat "$dir/port")" "$user@127.0.0.1" "$@"
}

# wait_for_ssh DIR NAME SECONDS until it answers and what its kind wants done first is done.
wait_for_ssh() {
    local dir=$1 name=$2 deadline=$((SECONDS + $3)) connect_timeout=5 kind log
    kind=$(<"$dir/kind")
    until "${kind}_ready" "$dir" "$name" </dev/null >/dev/null 2>"$dir/ssh.log"; do
        if ! is_running "$dir" || ((SECONDS >= deadline)); then
            for log in $("${kind}_logs" "$dir") "$dir/ssh.log"; do tail -n 20 "$log" >&2 || true; done
            die "$name: no ssh within $3 s; above: the end of its console and of the last attempt"
        fi
        sleep 0.1
    done
}

# with_lock NAME COMMAND… while nobody else starts, resets or ends this machine.
with_lock() {
    local name=$1
    shift
    mkdir -p "$LAB_STATE"
    (
        flock 9
        "$@"
    ) 9>"$LAB_STATE/$name.lock"
}

# The machines that run, one name per line.
running() {
    local pid
    for pid in "$LAB_STATE"/*/pid; do
        pid=${pid%/pid}
        if [[ ! -e $pid/kind ]] || ! is_running "$pid"; then continue; fi
        printf '%s\n' "${pid##*/}"
    done
}
