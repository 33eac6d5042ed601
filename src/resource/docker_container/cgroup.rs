//! What the kernel really enforces: the control group that a container's process is in.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::size::Size;
use crate::host::Failure;
use crate::protocol::Drift;

/// Limits are kept in whole pages, of up to 64 KiB.
const PAGE: u64 = 64 << 10;

/// The limits in force; `None`: there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    memory: Option<u64>,
    /// Memory and swap together.
    both: Option<u64>,
}

impl Limits {
    /// Of a container, as Docker describes it; `None` while it does not run.
    pub(super) fn of(container: &Value) -> Result<Option<Self>, Failure> {
        let state = &container["State"];
        match state["Pid"].as_u64() {
            Some(process @ 1..) if state["Running"] == true => {
                Self::read(Path::new("/"), process).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn read(root: &Path, process: u64) -> Result<Self, Failure> {
        let path = root.join(format!("proc/{process}/cgroup"));
        let groups =
            std::fs::read_to_string(&path).map_err(|source| Failure::io("read", &path, source))?;
        let base = root.join("sys/fs/cgroup");
        let below = |base: PathBuf, group: &str| base.join(group.trim_start_matches('/'));
        for line in groups.lines() {
            // hierarchy:controllers:path
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
                continue;
            };
            if controllers.split(',').any(|name| name == "memory") {
                let group = below(base.join("memory"), group);
                return Ok(Self {
                    memory: value(&group.join("memory.limit_in_bytes"))?,
                    both: value(&group.join("memory.memsw.limit_in_bytes"))?,
                });
            }
        }
        let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::")) else {
            // No controller at all: Docker warned, and nothing limits it.
            return Ok(Self {
                memory: None,
                both: None,
            });
        };
        let group = below(base, group);
        let memory = value(&group.join("memory.max"))?;
        let swap = value(&group.join("memory.swap.max"))?;
        Ok(Self {
            memory,
            both: memory.zip(swap).map(|(memory, swap)| memory + swap),
        })
    }

    /// What differs from the declaration.
    pub(super) fn drift(&self, memory: Size, both: Size) -> Vec<Drift> {
        let differs = |wanted: Size, found: Option<u64>| {
            found.is_none_or(|found| found.abs_diff(wanted.0) >= PAGE)
        };
        let mut drift = Vec::new();
        for (attribute, wanted, found) in [
            ("memory (as the kernel limits it)", memory, self.memory),
            ("memory_swap (as the kernel limits it)", both, self.both),
        ] {
            if differs(wanted, found) {
                let found = found.map_or("not limited".to_owned(), |found| Size(found).to_string());
                drift.push(Drift::update(attribute, wanted.to_string(), found));
            }
        }
        drift
    }
}

/// The number in a file of a control group; `None` if there is no limit, or no such file because
/// the kernel has no such controller.
fn value(path: &Path) -> Result<Option<u64>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Failure::io("read", path, source)),
    };
    match text.trim() {
        "max" => Ok(None),
        text => match text.parse::<u64>() {
            // Version 1 writes the largest number of pages for "no limit".
            Ok(bytes) => Ok((bytes < 1 << 62).then_some(bytes)),
            Err(_) => Err(Failure::Unexpected(format!(
                "{} says `{text}`, which is no limit",
                path.display()
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MEMORY: Size = Size(256 << 20);

    /// A host with one process in a control group.
    fn read(cgroup: &str, files: &[(&str, &str)]) -> Limits {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/7")).unwrap();
        fs::write(root.path().join("proc/7/cgroup"), cgroup).unwrap();
        for (path, text) in files {
            let path = root.path().join("sys/fs/cgroup").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limits::read(root.path(), 7).unwrap()
    }

    #[test]
    fn both_versions_say_the_same_in_their_own_words() {
        let wanted = Limits {
            memory: Some(MEMORY.0),
            both: Some(MEMORY.0),
        };
        let version_1 = read(
            "4:cpu,cpuacct:/docker/a\n3:memory:/docker/a\n1:name=systemd:/docker/a\n",
            &[
                ("memory/docker/a/memory.limit_in_bytes", "268435456\n"),
                ("memory/docker/a/memory.memsw.limit_in_bytes", "268435456\n"),
            ],
        );
        let version_2 = read(
            "0::/system.slice/docker-a.scope\n",
            &[
                ("system.slice/docker-a.scope/memory.max", "268435456\n"),
                ("system.slice/docker-a.scope/memory.swap.max", "0\n"),
            ],
        );
        assert_eq!((version_1, version_2), (wanted, wanted));
        assert_eq!(wanted.drift(MEMORY, MEMORY), []);
        // Not a whole number of pages.
        assert_eq!(wanted.drift(Size(MEMORY.0 + 1), Size(MEMORY.0 + 1)), []);
    }

    #[test]
    fn no_limit_is_found_however_it_is_said() {
        for limits in [
            read(
                "0::/a\n",
                &[("a/memory.max", "max\n"), ("a/memory.swap.max", "max\n")],
            ),
            read("0::/a\n", &[]),
            read(
                "3:memory:/a\n",
                &[("memory/a/memory.limit_in_bytes", "9223372036854771712\n")],
            ),
            read("1:name=systemd:/a\n", &[]),
        ] {
            let drift = limits.drift(MEMORY, MEMORY);
            assert_eq!(drift.len(), 2);
            assert_eq!(
                (drift[0].expected.as_str(), drift[0].actual.as_str()),
                ("256m", "not limited")
            );
        }
    }
}
