# shellcheck shell=bash
# What every lab script shares: where things are, how to speak, how an expensive thing is made once.
# Sourced, never run. The sourcing script has set `set -euo pipefail`; without the next line a failure inside `$(…)` would
# be carried on from.
shopt -s inherit_errexit
PATH=$PATH:/usr/sbin:/sbin

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_REPO=$(cd "$LAB_DIR/../.." && pwd)
LAB_CACHE=$(realpath -m "${FLEET_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fleet-lab}")
LAB_STATE=$(realpath -m "${FLEET_LAB_STATE:-$LAB_CACHE/state}")

# A second set of machines (FLEET_LAB_STATE) keeps its inventory beside its state, so that tests never
# overwrite the inventory of a demo that is running from the same checkout.
if [[ -n ${FLEET_LAB_INVENTORY:-} ]]; then
    LAB_INVENTORY=$(realpath -m "$FLEET_LAB_INVENTORY")
elif [[ -n ${FLEET_LAB_STATE:-} ]]; then
    LAB_INVENTORY=$LAB_STATE/inventory
else
    LAB_INVENTORY=$LAB_REPO/inventory/lab
fi
export LAB_DIR LAB_REPO LAB_CACHE LAB_STATE LAB_INVENTORY

say() { printf 'lab: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# Names become directory names, host names and part of socket paths.
check_name() {
    [[ $1 =~ ^[a-z][a-z0-9-]{0,30}$ ]] || die "'$1' is not a machine name: want lower case letters, digits and '-'"
}

check_kind() {
    [[ $1 == container || $1 == vm ]] || die "'$1' is no kind of machine: container or vm"
}

# One short hash of the names and contents of files and directories, and of any `=text` arguments.
# Keeps working when a checkout moves: only the names below tests/lab count.
hash_of() {
    local arg
    (
        cd "$LAB_DIR" || exit
        for arg in "$@"; do
            case $arg in
            =*) printf '%s\n' "$arg" ;;
            *) find "$arg" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum ;;
            esac
        done
    ) | sha256sum | cut -c1-16
}

# artifact THING HASH BUILDER [ARG…] prints the directory $LAB_CACHE/THING-HASH, made by `BUILDER DIR ARG…` if it is
# missing. The builder works in a temporary directory that is renamed when it succeeded, so a directory under its final
# name is always complete; the lock keeps two runs from building the same thing at once.
artifact() {
    local thing=$1 hash=$2 dir log
    shift 2
    dir=$LAB_CACHE/$thing-$hash
    if [[ ! -d $dir ]]; then
        mkdir -p "$LAB_CACHE"
        (
            flock 8
            [[ ! -d $dir ]] || exit 0
            rm -rf "$dir.partial"
            mkdir -p "$dir.partial"
            log=$LAB_CACHE/$thing.log
            say "making $thing (once; log: $log)"
            started=$SECONDS
            if ! "$LAB_DIR/$1" "$dir.partial" "${@:2}" >"$log" 2>&1 8>&-; then
                tail -n 25 "$log" >&2
                die "making $thing failed: $log"
            fi
            mv "$dir.partial" "$dir"
            say "made $thing in $((SECONDS - started)) s"
        ) 8>"$LAB_CACHE/$thing.lock"
    fi
    printf '%s\n' "$dir"
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

# A number of N hex digits that is always the same for a name.
digits_of() { printf '%s' "fleet-lab $1" | sha256sum | cut -c1-"$2"; }
