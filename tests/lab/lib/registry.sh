# shellcheck shell=bash
# The registry of one state directory. Sourced by lab.sh; starting it wants what `prepare` sets.
# Its directory holds: storage, origin (what it was made from), config.yml, port, registry.log, and while it runs: pid.
# It cannot be taken for a machine's: their names have no dot.
LAB_REGISTRY=$LAB_STATE/registry.d

# The port is chosen once: machines have it in their configuration.
registry_port() {
    mkdir -p "$LAB_REGISTRY"
    [[ -e $LAB_REGISTRY/port ]] || free_port >"$LAB_REGISTRY/port"
    cat "$LAB_REGISTRY/port"
}

# The recorded process is there and still is the registry that was started for this directory.
registry_is_up() {
    local pid
    pid=$(cat "$LAB_REGISTRY/pid" 2>/dev/null) || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$LAB_REGISTRY/config.yml"
}

# start_registry runs it unless it is up. What was pushed stays, and so does the port.
start_registry() {
    local tries origin="$LAB_CONTAINERS $LAB_REGISTRY_KEYS"
    # The variables name the keys and images of this recipe; a registry by another one would contradict them.
    [[ $(cat "$LAB_REGISTRY/origin" 2>/dev/null) == "$origin" ]] || renew_registry "$origin"
    registry_is_up && return
    registry_port >/dev/null
    registry_config >"$LAB_REGISTRY/config.yml"
    # Locks must not outlive us in it, nor a Ctrl-C end it.
    setsid "$LAB_CONTAINERS/docker-registry" serve "$LAB_REGISTRY/config.yml" \
        </dev/null >"$LAB_REGISTRY/registry.log" 2>&1 8>&- 9>&- &
    echo $! >"$LAB_REGISTRY/pid"
    for tries in {1..100}; do
        if registry_answers; then
            say "registry: up on port $(<"$LAB_REGISTRY/port")"
            return
        fi
        # Not at once: the process is this shell for a moment.
        ((tries < 10)) || registry_is_up || break
        sleep 0.1
    done
    tail -n 20 "$LAB_REGISTRY/registry.log" >&2
    die "registry: does not answer on port $(<"$LAB_REGISTRY/port"); above: the end of $LAB_REGISTRY/registry.log"
}

# renew_registry ORIGIN: its first day again. `origin` comes last, so a copy that was cut off is made anew.
renew_registry() {
    stop_registry
    rm -rf "$LAB_REGISTRY"/{origin,storage}
    mkdir -p "$LAB_REGISTRY"
    cp -a --reflink=auto "$LAB_CONTAINERS/storage" "$LAB_REGISTRY/"
    echo "$1" >"$LAB_REGISTRY/origin"
}

# An answer without a user is a refusal; from another registry that got the port it would not be by our certificate.
registry_answers() {
    [[ $(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --cacert "$LAB_REGISTRY_KEYS/ca/ca.crt" \
        "https://127.0.0.1:$(<"$LAB_REGISTRY/port")/v2/") == 401 ]]
}

registry_config() {
    cat <<YAML
version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: "$LAB_REGISTRY/storage" }, delete: { enabled: true } }
auth: { htpasswd: { realm: fleet lab, path: "$LAB_REGISTRY_KEYS/htpasswd" } }
http:
  addr: 127.0.0.1:$(<"$LAB_REGISTRY/port")
  secret: one registry needs none, and warns without
  tls: { certificate: "$LAB_REGISTRY_KEYS/server.crt", key: "$LAB_REGISTRY_KEYS/server.key" }
YAML
}

# stop_registry ends it; `start_registry` goes on from there.
stop_registry() {
    local pid tries
    registry_is_up || return 0
    pid=$(<"$LAB_REGISTRY/pid")
    kill "$pid" 2>/dev/null || true
    for tries in {1..100}; do
        if ! registry_is_up; then
            say "registry: down"
            return
        fi
        sleep 0.1
        ((tries != 50)) || kill -9 "$pid" 2>/dev/null || true
    done
    die "registry $pid does not end"
}

# It ends with the last machine, and is forgotten with it.
retire_registry() {
    [[ -z $(running) ]] || return 0
    stop_registry
    rm -rf "$LAB_REGISTRY"
}

# The variables of the registry and the images, for group_vars.
registry_vars_yml() {
    local port name tag digest id archive
    port=$(<"$LAB_REGISTRY/port")
    echo "# The lab's registry. \`host\` is its name on the machines; from here it is \`local\`. The CA signed its certificate, for both"
    echo "# names; the stranger did not."
    echo "lab_registry:"
    echo "  host: \"registry.lab:$port\""
    echo "  local: \"127.0.0.1:$port\""
    echo "  ca: \"$LAB_REGISTRY_KEYS/ca/ca.crt\""
    echo "  stranger_ca: \"$LAB_REGISTRY_KEYS/stranger.crt\""
    echo "  username: puller"
    echo "  password: '$(<"$LAB_REGISTRY_KEYS/puller")'"
    echo "# The images, in the registry and as archives for \`docker load\`."
    echo "lab_images:"
    while read -r name tag digest id; do
        archive=$LAB_CONTAINERS/$name.tar
        cat <<YAML
  $name:
    ref: "registry.lab:$port/$tag"
    pull: "registry.lab:$port/${tag%:*}@$digest"
    digest: "$digest"
    image_id: "$id"
    archive: { tag: "$tag", src: "$archive", sha256: $(sum_of "$LAB_CONTAINERS" "$archive"), size: $(stat -c %s "$archive") }
YAML
    done <"$LAB_CONTAINERS/images"
    echo "# Archives that must be refused, all for app/hello:1, named by what is wrong with them."
    echo "lab_bad_archives:"
    for archive in "$LAB_CONTAINERS"/bad/*.tar; do
        echo "  $(basename "$archive" .tar): { src: \"$archive\", sha256: $(sum_of "$LAB_CONTAINERS" "$archive"), size: $(stat -c %s "$archive") }"
    done
}
