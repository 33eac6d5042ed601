# shellcheck shell=bash
# The machines of one state directory: which there are, how one comes up. Sourced after common.sh and qemu.sh.

# prepare makes what every machine shares and sets where it is: LAB_KEYS, LAB_RPMS, LAB_HAPROXY, LAB_IMAGE,
# LAB_REGISTRY_KEYS, LAB_CONTAINERS.
prepare() {
    "$LAB_DIR/install"
    LAB_KEYS=$(artifact keys "$(hash_of keys)" keys/build)
    local key
    key="=$(sha256sum <"$LAB_KEYS/RPM-GPG-KEY-lab") $(sha256sum <"$LAB_KEYS/id_ed25519.pub")"
    LAB_RPMS=$(artifact rpms "$(hash_of rpm "$key")" rpm/build "$LAB_KEYS")
    LAB_HAPROXY=$(artifact haproxy "$(hash_of haproxy rpm/fetch-debs rpm/pack rpm/sign "$key")" haproxy/build "$LAB_KEYS")
    LAB_IMAGE=$(artifact image "$(hash_of image rpm/lab-base.spec rpm/pack "$key")" image/build "$LAB_KEYS")
    LAB_REGISTRY_KEYS=$(artifact registry-keys "$(hash_of registry-keys)" registry-keys/build)
    LAB_CONTAINERS=$(artifact containers "$(hash_of containers rpm/fetch-debs image/release)" containers/build)
    export LAB_KEYS LAB_RPMS LAB_HAPROXY LAB_IMAGE LAB_REGISTRY_KEYS LAB_CONTAINERS
}

# pristine NAME prints the directory of the machine's saved first boot.
pristine() {
    artifact "machine-$1" "$(hash_of machine lib/qemu.sh "=$LAB_IMAGE $(machine_kind) ${FLEET_LAB_KERNEL_ARGS:-}")" machine/build "$1" "$LAB_IMAGE" "$LAB_KEYS"
}

# boot NAME puts a pristine copy of the machine in place of whatever was there and runs it from the snapshot.
boot() {
    local name=$1 dir=$LAB_STATE/$1 from
    from=$(pristine "$name")
    stop "$dir"
    rm -rf "$dir"
    mkdir -p "$dir"
    cp -a --reflink=auto "$from/." "$dir/"
    start "$dir" "$name" -loadvm pristine
    wait_for_ssh "$dir" "$name" 60
    say "$name: up on port $(cat "$dir/port")"
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
        is_running "${pid%/pid}" || continue
        pid=${pid%/pid}
        printf '%s\n' "${pid##*/}"
    done
}
