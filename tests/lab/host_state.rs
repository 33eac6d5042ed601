//! Everything that a check could have changed, and that it did not.

use std::collections::HashSet;

use crate::machine::Machine;

/// Every file's name, type, mode, owner, size, time and content, the packages, the units, live
/// kernel parameters and modules, the accounts.
/// Left out: kernel file systems, fleet's own directory and the time of the one it is in, what
/// the machine writes by itself (journal, login records, ssh and systemd's run-time state), and
/// the lock table that every reader of rpm's database writes, this one's `rpm -qa` too.
const STATE: &str = r"
exec 2>/dev/null
{
find / -xdev \( -path /var/lib/fleet -o -path /var/log -o -path /run -o -path /tmp \
  -o -path /var/lib/systemd -o -path /var/cache -o -path /proc -o -path /sys \) -prune \
  -o -printf '%p %y %m %U %G %s %T@ %l\n' | sort
find /etc /usr/local /opt /srv /root /home /var/lib/rpm -xdev -type f -print0 | sort -z | xargs -0 sha256sum
rpm -qa | sort
systemctl list-units --all --no-legend --plain --type=service,socket,target | awk '{print $1, $2, $3, $4}' | grep -v -e ^session -e ^user -e run-user
systemctl list-unit-files --no-legend
sysctl -a 2>/dev/null | grep -v -e random -e ^fs.dentry -e ^fs.inode -e ^fs.file-nr -e ^kernel.ns_last_pid -e ^fs.quota -e hostname
cut -d' ' -f1 /proc/modules | sort
getent passwd; getent group; getent shadow
} | grep -v -e rpmdb.sqlite-shm -e '^/var/lib d ' -e nf_conntrack_count";

/// Stops what would change the machine by itself: after a reset its clock jumps, and timers that
/// slept too long fire.
pub(crate) fn quiet(machine: &Machine) {
    machine
        .sh("systemctl stop '*.timer' && systemctl is-system-running --wait >/dev/null; sleep 2");
}

/// What the machine looks like now.
pub(crate) fn state(machine: &Machine) -> String {
    machine.sh(STATE)
}

/// Shows what differs instead of two long texts.
#[track_caller]
pub(crate) fn same(before: &str, after: &str) {
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
