//! `check` and `plan` change nothing on a host but fleet's own cache.

use std::collections::HashSet;

use crate::machine::Machine;

const PLAYBOOK: &str = "playbooks/host-init.yml";

/// Everything that a check could have changed: every file's name, type, mode, owner, size, time
/// and content, the packages, the units, live kernel parameters and modules, the accounts.
/// Left out: kernel file systems, fleet's own directory, and what the machine writes by itself
/// (journal, login records, ssh and systemd's run-time state).
const STATE: &str = r"
find / -xdev \( -path /var/lib/fleet -o -path /var/log -o -path /run -o -path /tmp \
  -o -path /var/lib/systemd -o -path /var/cache -o -path /proc -o -path /sys \) -prune \
  -o -printf '%p %y %m %U %G %s %T@ %l\n' | sort
find /etc /usr/local /opt /srv /root /home /var/lib/rpm -xdev -type f -print0 | sort -z | xargs -0 sha256sum
rpm -qa | sort
systemctl list-units --all --no-legend --plain --type=service,socket,target | awk '{print $1, $2, $3, $4}' | grep -v -e ^session -e ^user -e run-user
systemctl list-unit-files --no-legend
sysctl -a 2>/dev/null | grep -v -e random -e ^fs.dentry -e ^fs.inode -e ^fs.file-nr -e ^kernel.ns_last_pid -e ^fs.quota -e hostname
cut -d' ' -f1 /proc/modules | sort
getent passwd; getent group; getent shadow";

#[test]
fn check_and_plan_leave_an_empty_host_as_it_was() {
    let machine = Machine::pristine();
    let before = machine.sh(STATE);
    let _ = machine.fleet(&["plan", PLAYBOOK, "-D"]).exits(2);
    let _ = machine.fleet(&["check", PLAYBOOK]).exits(2);
    same(&before, &machine.sh(STATE));
    assert_eq!(
        machine.sh("ls -A /tmp /var/tmp | grep -i fleet || true"),
        ""
    );
}

#[test]
fn check_leaves_a_drifted_host_as_it_was() {
    let machine = Machine::pristine();
    let _ = machine.fleet(&["apply", PLAYBOOK, "-y"]).exits(0);
    machine.sh("chmod 0777 /srv/data; echo '# by hand' >> /etc/security/limits.d/90-fleet.conf; rm /etc/localtime; userdel app");
    let before = machine.sh(STATE);
    let _ = machine.fleet(&["check", PLAYBOOK, "-D"]).exits(2);
    same(&before, &machine.sh(STATE));
}

/// Shows what differs instead of two long texts.
#[track_caller]
fn same(before: &str, after: &str) {
    assert!(
        before.lines().count() > 1000,
        "the host's state was not read"
    );
    let lines = |text| str::lines(text).collect::<HashSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let changed: Vec<_> = after.difference(&before).collect();
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(
        changed.is_empty() && gone.is_empty(),
        "now: {changed:#?}\nbefore: {gone:#?}"
    );
}
