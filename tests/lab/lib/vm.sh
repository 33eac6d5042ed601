# shellcheck shell=bash
# Machines with a kernel of their own, under qemu. Sourced by lab.sh; machines.sh calls the functions named vm_….
# Besides what every machine has, a directory holds: root.qcow2 and data.qcow2 (disks), vmlinuz and initrd (links into the
# image), and while the machine runs: monitor.sock, serial.log.

# /dev/kvm may exist and be unusable: it needs the CPU's flag and must open.
accelerator() {
    if grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo && : 2>/dev/null <>/dev/kvm; then
        echo kvm
    else
        echo tcg,thread=multi
    fi
}

# What a snapshot depends on besides its recipe: it loads only into the same qemu on the same kind of CPU.
vm_kind() {
    qemu-system-x86_64 --version | head -n 1
    accelerator
    [[ $(accelerator) != kvm ]] || grep -m 1 '^model name' /proc/cpuinfo
}

# vm_start DIR NAME [QEMU-ARG…] runs it in the background.
vm_start() {
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


# vm_pid_is DIR PID: this process is the qemu that was started for this directory.
vm_pid_is() { tr '\0' '\n' 2>/dev/null <"/proc/$2/cmdline" | grep -qxF "$1/pid"; }

# vm_hash NAME: what the saved first boot depends on.
vm_hash() { hash_of machine lib/vm.sh "=$LAB_IMAGE $(vm_kind) ${FLEET_LAB_KERNEL_ARGS:-}"; }

# vm_build DIR NAME boots it for the first time and saves it running: root.qcow2 (with the snapshot `pristine`), data.qcow2.
# Every later start begins from that snapshot.
vm_build() {
    local dir=$1 name=$2 seconds=${FLEET_LAB_BOOT_TIMEOUT:-240} started=$SECONDS
    echo "${FLEET_LAB_KERNEL_ARGS:-}" >"$dir/kernel-arguments"
    ln -s "$LAB_IMAGE/vmlinuz" "$LAB_IMAGE/initrd" "$dir/"
    qemu-img create -q -f qcow2 -b "$LAB_IMAGE/root.img" -F raw "$dir/root.qcow2"
    qemu-img create -q -f qcow2 "$dir/data.qcow2" 4G
    # shellcheck disable=SC2064 # now: the directory is renamed before the end
    trap "stop '$dir'" EXIT
    vm_start "$dir" "$name"
    wait_for_ssh "$dir" "$name" "$seconds"
    say "$name: booted in $((SECONDS - started)) s"
    # Snapshot a machine at rest: all units started, nothing failed, caches on disk.
    guest_ssh "$dir" "$name" root "timeout $seconds systemctl is-system-running --wait || { systemctl --failed; exit 1; }; sync"
    sleep 1
    monitor "$dir" 'savevm pristine'
    stop "$dir"
    rm -f "$dir"/{pid,port,monitor.sock,serial.log,qemu.log,ssh.log}
}

# vm_fits DIR: a kernel that runs has the arguments it was started with.
vm_fits() { [[ $(<"$1/kernel-arguments") == "${FLEET_LAB_KERNEL_ARGS:-}" ]]; }

vm_boot() { vm_start "$1" "$2" -loadvm pristine; }

# After a restore the clock stands at the snapshot's.
vm_ready() { guest_ssh "$1" "$2" root "date -s @$(date +%s.%N)"; }

vm_logs() { printf '%s\n' "$1/serial.log" "$1/qemu.log"; }

vm_reset() {
    monitor "$1" "loadvm $3"
    # loadvm leaves a guest that was paused paused.
    monitor "$1" cont
}

vm_power_cut() { monitor "$1" system_reset; }

vm_snapshot() { monitor "$1" "savevm $3"; }

# vm_forward DIR ADDRESS:PORT PORT-THERE
vm_forward() { monitor "$1" "hostfwd_add net tcp:$2-:$3"; }

# Ends like a power cut.
vm_stop() { end_process "$(<"$1/pid")" vm_pid_is "$1"; }
