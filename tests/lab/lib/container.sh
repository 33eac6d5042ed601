# shellcheck shell=bash
# Machines that share this computer's kernel, under systemd-nspawn. Sourced by lab.sh; machines.sh calls the functions named
# container_….
# Besides what every machine has, a directory holds: `disk`, what the machine changed of the image (`upper`, and the whole of
# /var in `var`), `snapshots`, and while the machine runs: leader (the process id of its init), ways (those of the programs
# that lead into it), console.log.
# Everything that the kernel keeps of a machine belongs to its processes: mounts are in a mount namespace of its own, the
# network in another; only its control groups are removed by `container_stop`.

# What keeps containers from running here; prints nothing where they can.
container_obstacle() {
    if [[ $(id -u) -ne 0 ]]; then
        echo "only root can start containers"
    elif ! grep -qw overlay /proc/filesystems && ! modprobe overlay 2>/dev/null; then
        echo "this kernel has no overlayfs"
    elif ! unshare --mount --net true 2>/dev/null; then
        echo "no namespaces can be made here"
    fi
}

# The name of its control groups, in each hierarchy.
container_group() { echo "fleet-lab-$(digits_of "$1" 16)"; }

container_groups() { printf '%s\n' /sys/fs/cgroup{,/*}/"$(container_group "$1")" | grep -v '\*'; }

# container_pid_is DIR PID: this process is the systemd-nspawn that was started for this directory.
container_pid_is() { tr '\0' '\n' 2>/dev/null <"/proc/$2/cmdline" | grep -qxF -- "--directory=$1/root"; }

container_hash() { hash_of machine lib/container.sh lib/container-run "=$LAB_IMAGE"; }

# A machine's identity is all that is made beforehand; its boot takes a second.
container_build() { install_identity "$1" "$2"; }

# install_identity DIR NAME puts a pristine disk in place.
install_identity() {
    local disk=$1/disk
    mkdir -p "$disk"/{upper/etc,work} "$1/root"
    cp -a --reflink=auto "$LAB_IMAGE/rootfs/var" "$disk/var"
    tar -xf "$1/identity.tar" -C "$disk/upper" --no-overwrite-dir
    digits_of "$2" 32 >"$disk/upper/etc/machine-id"
    # Homes are the image's; a directory that tar had to make is root's.
    chmod 700 "$disk/upper/root"
    chown 1000:1000 "$disk/upper/home/ops"
    chown 1001:1001 "$disk/upper/home/opspw"
}

container_boot() {
    local dir=$1 name=$2 port tries
    container_run "$dir" "$name"
    for tries in 1 2 3 4 5; do
        port=$(free_port)
        if way_in "$dir" 127.0.0.1 "$port" 22; then
            echo "$port" >"$dir/port"
            return
        fi
    done
    die "$name: found no free port (try $tries); see $dir/ways.log"
}

# container_run DIR NAME boots what is on its disk.
container_run() {
    local dir=$1 name=$2 tries
    setsid unshare --mount --propagation private "$LAB_DIR/lib/container-run" "$dir" "$name" "$LAB_IMAGE/rootfs" \
        "$(container_group "$dir")" </dev/null >"$dir/console.log" 2>&1 8>&- 9>&- &
    echo $! >"$dir/pid"
    for tries in {1..300}; do
        if container_leader "$dir"; then
            lead_to_registry "$dir"
            return
        fi
        # Not at once: the process is a shell for a moment.
        ((tries < 100)) || container_pid_is "$dir" "$(<"$dir/pid")" || break
        sleep 0.02
    done
    cat "$dir/console.log" >&2
    die "$name: systemd-nspawn did not start"
}

# container_leader DIR writes down the process id of its init, once there is one.
container_leader() {
    local pid child children
    pid=$(<"$1/pid")
    container_pid_is "$1" "$pid" || return 1
    read -ra children < <(cat "/proc/$pid/task/$pid/children" 2>/dev/null) || true
    for child in "${children[@]}"; do
        # The child that has become process 1 of a namespace of its own.
        if grep -qE '^NSpid:.*\s1$' "/proc/$child/status" 2>/dev/null; then
            echo "$child" >"$1/leader.new"
            mv "$1/leader.new" "$1/leader"
            return 0
        fi
    done
    return 1
}

# In the programs below, FD:0 is the connection: with shut-down its end is passed on at once, in either direction.

# way DIR ADDRESS PORT FROM TO [COMMAND…] runs socat, as an argument of COMMAND, from the machine's directory; its process id is
# kept for container_stop. False when it cannot listen.
way() {
    local dir=$1 address port=$3 from=$4 to=$5 socket pid tries
    IFS=. read -ra address <<<"$2"
    shift 5
    # As the kernel lists it. The address, too: until COMMAND has entered the machine's namespace, this computer's sockets are
    # listed, and the registry's has the same port.
    socket=$(printf '%02X%02X%02X%02X:%04X' "${address[3]}" "${address[2]}" "${address[1]}" "${address[0]}" "$port")
    (cd "$dir" && exec setsid "$@" socat "$from" "$to" </dev/null >>ways.log 2>&1 8>&- 9>&-) &
    pid=$!
    for tries in {1..100}; do
        kill -0 "$pid" 2>/dev/null || return 1
        if grep -q " $socket 00000000:0000 0A" "/proc/$pid/net/tcp"; then
            echo "$pid" >>"$dir/ways"
            return 0
        fi
        sleep 0.02
    done
    kill "$pid"
    return 1
}

# way_in DIR ADDRESS PORT PORT-THERE: a socket of this computer, programs in the machine's namespace; each connection asks
# who is its init by now. False when it cannot listen.
way_in() {
    # shellcheck disable=SC2016 # for the shell that socat starts
    way "$1" "$2" "$3" "TCP-LISTEN:$3,bind=$2,fork,reuseaddr,backlog=128" \
        'SYSTEM:exec nsenter --net="/proc/$(cat leader)/ns/net" socat -t 60 FD\:0\,shut-down TCP\:127.0.0.1\:'"$4,nofork"
}

# What is 10.0.2.2 for the machine leads to the registry on this computer's loopback.
lead_to_registry() {
    local port host
    port=$(registry_port)
    exec {host}</proc/self/ns/net
    way "$1" 10.0.2.2 "$port" "TCP-LISTEN:$port,bind=10.0.2.2,freebind,fork,reuseaddr,backlog=128" \
        "EXEC:nsenter --net=/proc/self/fd/$host socat -t 60 FD\\:0\\,shut-down TCP\\:127.0.0.1\\:$port,nofork" \
        nsenter "--net=/proc/$(<"$1/leader")/ns/net" || die "the machine's way to the registry: $(tail -n 3 "$1/ways.log")"
    exec {host}<&-
}

# container_forward DIR ADDRESS:PORT PORT-THERE
container_forward() {
    way_in "$1" "${2%:*}" "${2#*:}" "$3" ||
        die "$2 does not become a way: $(tail -n 3 "$1/ways.log")"
}

# All units are started and none has failed.
container_ready() { guest_ssh "$1" "$2" root "timeout 60 systemctl is-system-running --wait || { systemctl --failed; exit 1; }"; }

container_logs() { printf '%s\n' "$1/console.log" "$1/ways.log"; }

container_fits() { true; }

# container_reset DIR NAME SNAPSHOT: its processes are new, the ways into it stay.
container_reset() {
    local dir=$1 name=$2 disk=$1/snapshots/$3
    [[ $3 == pristine || -d $disk ]] || die "$name has no snapshot $3"
    container_end "$dir"
    mv "$dir/disk" "$dir/old-$BASHPID"
    if [[ $3 == pristine ]]; then install_identity "$dir" "$name"; else cp -a --reflink=auto "$disk" "$dir/disk"; fi
    container_run "$dir" "$name"
    # Whoever asks for a machine does not wait until the old one's files are gone.
    (rm -rf "$dir/old-$BASHPID" 8>&- 9>&- &)
}

# Memory is lost, the disk stays; what the kernel had not yet written is not lost, as it would be in a power cut.
container_power_cut() {
    container_end "$1"
    container_run "$1" "$2"
}

# container_snapshot DIR NAME SNAPSHOT keeps the disk as it is at one moment, with all processes stopped meanwhile.
container_snapshot() {
    local dir=$1
    mkdir -p "$dir/snapshots"
    rm -rf "$dir/snapshots/$3"
    guest_ssh "$dir" "$2" root sync
    container_freeze "$dir" 1
    cp -a --reflink=auto "$dir/disk" "$dir/snapshots/$3.new" || {
        container_freeze "$dir" 0
        return 1
    }
    container_freeze "$dir" 0
    # What overlayfs works with is of no use in a copy.
    rm -rf "$dir/snapshots/$3.new/work"
    mkdir "$dir/snapshots/$3.new/work"
    mv "$dir/snapshots/$3.new" "$dir/snapshots/$3"
}

# container_freeze DIR 1|0 stops all processes of a machine, or lets them go on: control groups of either version.
container_freeze() {
    local group state=THAWED
    group=$(container_group "$1")
    [[ $2 == 0 ]] || state=FROZEN
    if [[ -e /sys/fs/cgroup/freezer/$group ]]; then
        echo "$state" >"/sys/fs/cgroup/freezer/$group/freezer.state"
        until [[ $(<"/sys/fs/cgroup/freezer/$group/freezer.state") == "$state" ]]; do sleep 0.01; done
    else
        echo "$2" >"/sys/fs/cgroup/$group/cgroup.freeze"
    fi
}

# Ends it like a power cut, with everything that led into it.
container_stop() {
    local pid
    container_end "$1"
    while read -r pid; do
        # Only what still is a way out of this directory.
        if [[ $(readlink "/proc/$pid/cwd") == "$1" && $(<"/proc/$pid/comm") == socat ]]; then kill "$pid" 2>/dev/null || true; fi
    done < <(cat "$1/ways" 2>/dev/null)
    rm -f "$1/ways"
}

# container_end DIR kills its processes and removes its control groups.
container_end() {
    local dir=$1 group tries
    # Its init takes all others with it, and systemd-nspawn then ends by itself.
    if container_leader "$dir"; then kill -9 "$(<"$dir/leader")" 2>/dev/null || true; fi
    end_process "$(<"$dir/pid")" container_pid_is "$dir"
    rm -f "$dir/leader"
    for group in $(container_groups "$dir"); do
        for tries in {1..100}; do
            [[ -d $group ]] || break
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.02
        done
        [[ ! -d $group ]] || die "$group does not go away: $(cat "$group/cgroup.procs")"
    done
}
