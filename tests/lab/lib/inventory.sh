# shellcheck shell=bash
# The inventory of the machines that run, for fleet and for Ansible alike. Sourced by lab.sh.

# write_inventory writes hosts.yml, group_vars and the known_hosts file they point to; without machines it removes them.
write_inventory() {
    mkdir -p "$LAB_STATE"
    (
        flock 8
        if [[ -z $(running) ]]; then
            rm -f "$LAB_INVENTORY/hosts.yml" "$LAB_INVENTORY"/group_vars/{all,lab,container,vm}.yml "$LAB_STATE/known_hosts"
            exit 0
        fi
        mkdir -p "$LAB_INVENTORY/group_vars"
        known_hosts | replace "$LAB_STATE/known_hosts"
        hosts_yml | replace "$LAB_INVENTORY/hosts.yml"
        # Only `up` knows the packages; `down` leaves what `up` wrote.
        [[ -z ${LAB_RPMS:-} ]] || group_vars_yml | replace "$LAB_INVENTORY/group_vars/all.yml"
        local group
        for group in lab container vm; do
            replace "$LAB_INVENTORY/group_vars/$group.yml" <"$LAB_DIR/standard-host/$group.yml"
        done
    ) 8>"$LAB_STATE/inventory.lock"
}

# A reader sees the old file or the new one, never half of it.
replace() { cat >"$1.new" && mv "$1.new" "$1"; }

known_hosts() {
    local name
    for name in $(running); do
        echo "[127.0.0.1]:$(cat "$LAB_STATE/$name/port") $(cut -d' ' -f2- "$LAB_STATE/$name/host_key")"
    done
}

hosts_yml() {
    local kind name
    echo "# Written by tests/lab/up."
    echo "lab:"
    echo "  children:"
    for kind in container vm; do
        echo "    $kind:"
        echo "      hosts:"
        for name in $(running); do
            [[ $(kind_of "$name") == "$kind" ]] || continue
            cat <<YAML
        $name:
          ansible_host: 127.0.0.1
          ansible_port: $(cat "$LAB_STATE/$name/port")
          ansible_user: root
          ansible_ssh_private_key_file: "$LAB_STATE/$name/id_ed25519"
          ansible_ssh_common_args: "-o UserKnownHostsFile=$LAB_STATE/known_hosts -o StrictHostKeyChecking=yes"
YAML
        done
    done
}

# inventory_is_current NAME…: it was written after these machines got their ports.
inventory_is_current() {
    local name
    for name; do
        [[ $LAB_INVENTORY/hosts.yml -nt $LAB_STATE/$name/port ]] || return 1
    done
}

# The packages, as the `rpm` kind takes them, the registry and the images.
group_vars_yml() {
    local engine newest rpm
    newest=$(engines | tail -n 1)
    echo "# Written by tests/lab/up."
    echo "# The newest engine of the lab."
    echo "docker_engine_packages:"
    packages "$LAB_RPMS" "$LAB_RPMS/$newest" "  "
    echo "# A load balancer."
    echo "haproxy_packages:"
    packages "$LAB_HAPROXY" "$LAB_HAPROXY" "  "
    echo "# Every engine of the lab, by its version."
    echo "lab_engine_sets:"
    for engine in $(engines); do
        echo "  \"$engine\":"
        packages "$LAB_RPMS" "$LAB_RPMS/$engine" "    "
    done
    echo "# Packages that must be refused, all docker-ce $newest, named by what is wrong with them."
    echo "lab_bad_rpms:"
    for rpm in "$LAB_RPMS"/bad/*.rpm; do
        echo "  $(basename "$rpm" .rpm): { src: \"$rpm\", sha256: $(sum_of "$LAB_RPMS" "$rpm") }"
    done
    echo "lab_signing_key: \"$LAB_KEYS/RPM-GPG-KEY-lab\""
    registry_vars_yml
}

engines() { find "$LAB_RPMS" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' -printf '%f\n' | sort -V; }

# sum_of DIR FILE: the sums were taken when the files were built.
sum_of() { awk -v file="${2#"$1"/}" '$2 == file { print $1 }' "$1/SHA256SUMS"; }

# packages SUMS DIR INDENT prints the packages in DIR as a YAML list; their sums are in SUMS.
packages() {
    local rpm name epoch version release arch
    for rpm in "$2"/*.rpm; do
        read -r name epoch version release arch < <(rpm -qp --nosignature --define "_dbpath $LAB_STATE/rpmdb" \
            --qf '%{NAME} %{EPOCHNUM} %{VERSION} %{RELEASE} %{ARCH}\n' "$rpm")
        echo "$3- { name: $name, epoch: $epoch, version: \"$version\", release: \"$release\", arch: $arch, src: \"$rpm\", sha256: $(sum_of "$1" "$rpm") }"
    done
}
