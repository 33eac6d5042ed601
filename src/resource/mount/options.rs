//! Options that the kernel shows as they are given.

use std::collections::BTreeSet;

/// Each with the option that takes it back.
const SHOWN: [(&str, &str); 6] = [
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("noatime", "relatime"),
    ("nodiratime", "diratime"),
];

/// Those of a list that hold: the last word counts, and some options bring others with them.
pub(super) fn declared(opts: &str) -> BTreeSet<&'static str> {
    let mut held = BTreeSet::new();
    for option in opts.split(',') {
        let brought: &[&str] = match option {
            "user" | "users" => &["nosuid", "nodev", "noexec"],
            "owner" | "group" => &["nosuid", "nodev"],
            _ => &[],
        };
        for (shown, opposite) in SHOWN {
            if option == shown || brought.contains(&shown) {
                held.insert(shown);
            } else if option == opposite
                || shown == "noatime" && matches!(option, "atime" | "strictatime")
            {
                held.remove(shown);
            }
        }
    }
    held
}

/// Those that the kernel shows.
pub(super) fn mounted(opts: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let shown = SHOWN.into_iter().map(|(shown, _)| shown);
    shown.filter(|shown| opts.contains(*shown)).collect()
}

/// In words, and in one order.
pub(super) fn in_words(held: &BTreeSet<&'static str>) -> String {
    if held.is_empty() {
        return "defaults".to_owned();
    }
    let shown = SHOWN.into_iter().map(|(shown, _)| shown);
    let held: Vec<_> = shown.filter(|shown| held.contains(shown)).collect();
    held.join(",")
}

/// For a remount: `defaults` would not take away what was given before.
pub(super) fn spelled_out(held: &BTreeSet<&'static str>) -> String {
    let all = SHOWN.map(|(shown, opposite)| {
        if held.contains(shown) {
            shown
        } else {
            opposite
        }
    });
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_an_option_counts() {
        for (opts, expected) in [
            ("defaults", "defaults"),
            ("defaults,noatime,nodev", "nodev,noatime"),
            ("noatime,noatime", "noatime"),
            ("ro,rw", "defaults"),
            ("rw,ro", "ro"),
            ("noexec,exec,ro", "ro"),
            ("noatime,strictatime", "defaults"),
            ("noatime,defaults", "noatime"),
            ("user", "nosuid,nodev,noexec"),
            ("user,exec", "nosuid,nodev"),
            ("owner,ro", "ro,nosuid,nodev"),
            ("bind,_netdev,size=10m", "defaults"),
        ] {
            assert_eq!(in_words(&declared(opts)), expected, "{opts}");
        }
        assert_eq!(
            spelled_out(&declared("ro,noatime")),
            "ro,suid,dev,exec,noatime,diratime"
        );
    }
}
