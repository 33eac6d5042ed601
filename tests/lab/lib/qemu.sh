# shellcheck shell=bash
# Running one guest: start it, talk to its monitor, wait for its ssh, end it. Sourced after common.sh.
# A machine's directory holds: root.qcow2 and data.qcow2 (disks), identity.tar, vmlinuz and initrd (links into the image),
# known_hosts.d (its host key), and while it runs: pid, port, monitor.sock, serial.log.

# /dev/kvm may exist and be unusable: it needs the CPU's flag and must open.
accelerator() {
    if grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo && : 2>/dev/null <>/dev/kvm; then
        echo kvm
    else
        echo tcg,thread=multi
    fi
}

# What a snapshot depends on besides its recipe: it loads only into the same qemu on the same kind of CPU.
machine_kind() {
    qemu-system-x86_64 --version | head -n 1
    accelerator
    [[ $(accelerator) != kvm ]] || grep -m 1 '^model name' /proc/cpuinfo
}

# A number of N hex digits that is always the same for a name.
digits_of() { printf '%s' "fleet-lab $1" | sha256sum | cut -c1-"$2"; }

# is_running DIR: the recorded process is there and still is the qemu that was started for this directory.
is_running() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$1/pid"
}

# A port on the loopback that nothing answers on, below the range the kernel gives to outgoing connections.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# start DIR NAME [QEMU-ARG…] runs the guest in the background.
start() {
    local dir=$1 name=$2 mac id tries port
    shift 2
    id=$(digits_of "$name" 32)
    mac=52:54:00:$(digits_of "$name" 6 | sed 's/../&:/g; s/:$//')
    for tries in 1 2 3 4 5; do
        port=$(free_port)
        rm -f "$dir/pid" "$dir/monitor.sock"
        # The monitor's path is relative: a socket path has at most 107 bytes. Locks must not outlive us in qemu.
        if (
            cd "$dir" && qemu-system-x86_64 -name "$name" -accel "$(accelerator)" -cpu max -smp 2 -m 2048 \
                -nodefaults -display none -no-user-config -daemonize -pidfile "$dir/pid" -rtc base=utc \
                -serial "file:$dir/serial.log" -monitor unix:monitor.sock,server=on,wait=off \
                -kernel vmlinuz -initrd initrd -append "$(kernel_arguments "$name" "$id")" \
                -fw_cfg name=opt/fleet-lab/identity,file=identity.tar \
                -drive file=root.qcow2,format=qcow2,if=none,id=root,discard=unmap \
                -device virtio-blk-pci,drive=root,serial=lab-root \
                -drive file=data.qcow2,format=qcow2,if=none,id=data,discard=unmap \
                -device virtio-blk-pci,drive=data,serial=lab-data \
                -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:22" -device "virtio-net-pci,netdev=net,mac=$mac" \
                -device virtio-rng-pci "$@" 8>&- 9>&-
        ) 2>"$dir/qemu.log"; then
            echo "$port" >"$dir/port"
            return
        fi
        # Another machine may have taken the port since we looked; anything else will not get better.
        grep -q 'host forwarding' "$dir/qemu.log" || break
    done
    cat "$dir/qemu.log" >&2
    die "$name: qemu did not start (try $tries)"
}

# CPU mitigations and predictable names cost time and buy nothing in here. No AppArmor: EL7 has none, and with it dockerd wants
# a program that only Debian has. No SELinux: there is no policy here. FLEET_LAB_KERNEL_ARGS adds to them.
kernel_arguments() {
    printf '%s ' root=/dev/vda rootfstype=ext4 rw console=ttyS0 quiet net.ifnames=0 mitigations=off lsm=capability,yama \
        "systemd.hostname=$1" "systemd.machine_id=$2" \
        "${FLEET_LAB_KERNEL_ARGS:-}"
}

# monitor DIR COMMAND runs one command of qemu's monitor; what it prints is an error.
monitor() {
    local answer
    answer=$(cd "$1" && printf '%s\n' "$2" | socat -t 120 - UNIX-CONNECT:monitor.sock | tr -d '\r')
    answer=$(grep -iE '^error|^unknown command|^could not|^invalid' <<<"$answer") || return 0
    die "qemu monitor: $2: $answer"
}

# guest_ssh DIR NAME USER [CMD…] with the host key that is known beforehand and nothing of the caller's configuration. A guest
# that has just booted, beside others, may take long to greet; who only tries sets connect_timeout.
guest_ssh() {
    local dir=$1 name=$2 user=$3
    shift 3
    ssh -F none -i "$dir/id_ed25519" -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$dir/host_key" \
        -o "HostKeyAlias=$name" -o LogLevel=ERROR -o "ConnectTimeout=${connect_timeout:-60}" -p "$(cat "$dir/port")" "$user@127.0.0.1" "$@"
}

# wait_for_ssh DIR NAME SECONDS sets the guest's clock as soon as it answers: after a restore it stands at the snapshot's.
wait_for_ssh() {
    local dir=$1 name=$2 deadline=$((SECONDS + $3)) connect_timeout=5
    until guest_ssh "$dir" "$name" root "date -s @$(date +%s.%N)" </dev/null >/dev/null 2>"$dir/ssh.log"; do
        if ! is_running "$dir" || ((SECONDS >= deadline)); then
            tail -n 20 "$dir/serial.log" "$dir/qemu.log" "$dir/ssh.log" >&2
            die "$name: no ssh within $3 s; above: the end of its console and of the last attempt"
        fi
        sleep 0.2
    done
}

# stop DIR ends the guest like a power cut and waits until the process is gone.
stop() {
    local pid tries
    is_running "$1" || return 0
    pid=$(cat "$1/pid")
    kill "$pid" 2>/dev/null || true
    for tries in {1..100}; do
        is_running "$1" || return 0
        sleep 0.1
        ((tries != 50)) || kill -9 "$pid" 2>/dev/null || true
    done
    die "qemu $pid does not end"
}
