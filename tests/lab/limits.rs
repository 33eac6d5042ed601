//! What the kernel holds a container to, from control groups of either version.

use super::machine::Machine;
use super::on_container::containers::{apply, check};

/// In bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) memory: u64,
    pub(crate) with_swap: u64,
}

/// The kernel's two versions of control groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Version {
    pub(crate) fn of(machine: &Machine) -> Self {
        match machine.sh("stat -fc %T /sys/fs/cgroup").as_str() {
            "cgroup2fs\n" => Self::Two,
            _ => Self::One,
        }
    }

    /// What containers of this computer have.
    pub(crate) fn here() -> Self {
        if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            Self::Two
        } else {
            Self::One
        }
    }

    /// The files of the limits of memory, and of memory with swap or, in version 2, of swap alone.
    fn files(self, container: &str) -> (String, String) {
        let process = format!("$(docker inspect -f '{{{{.State.Pid}}}}' {container})");
        let (directory, memory, swap) = match self {
            Self::One => (
                format!(
                    "/sys/fs/cgroup/memory/$(sed -n 's/^[0-9]*:memory://p' /proc/{process}/cgroup)"
                ),
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
            ),
            Self::Two => (
                format!("/sys/fs/cgroup/$(sed -n 's/^0:://p' /proc/{process}/cgroup)"),
                "memory.max",
                "memory.swap.max",
            ),
        };
        (
            format!("{directory}/{memory}"),
            format!("{directory}/{swap}"),
        )
    }
}

impl Limits {
    pub(crate) fn of(machine: &Machine, container: &str) -> Self {
        let version = Version::of(machine);
        let (memory, swap) = version.files(container);
        let read =
            |file: &str| -> u64 { machine.sh(&format!("cat {file}")).trim().parse().unwrap() };
        let (memory, swap) = (read(&memory), read(&swap));
        let with_swap = match version {
            Version::One => swap,
            Version::Two => memory + swap,
        };
        Self { memory, with_swap }
    }
}

/// A container's limits are set, read back from the kernel, found when the kernel has others, and
/// set again.
pub(crate) fn the_limit_that_counts_is_the_kernels(machine: &Machine) {
    let playbook = machine.playbook(
        "- name: Image\n  docker_image:\n    archive: \"{{ lab_images.hello_1.archive.src }}\"\n    \
         image_id: \"{{ lab_images.hello_1.image_id }}\"\n\
         - name: Container\n  docker_container:\n    name: hello\n    \
         image: \"{{ lab_images.hello_1.image_id }}\"\n    memory: 64m\n    memory_swap: 96m",
    );
    let _ = apply(machine, &playbook, 0);
    assert_eq!(
        Limits::of(machine, "hello"),
        Limits {
            memory: 64 << 20,
            with_swap: 96 << 20
        }
    );
    let _ = machine.fleet(&["check", &playbook]).exits(0);

    let version = Version::of(machine);
    let (memory, _) = version.files("hello");
    machine.sh(&format!("echo 50M >{memory}"));
    let mut expected = vec!["docker_container hello: memory (as the kernel limits it) 64m ← 50m"];
    if version == Version::Two {
        // There swap is counted by itself.
        expected.push("docker_container hello: memory_swap (as the kernel limits it) 96m ← 82m");
    }
    assert_eq!(check(machine, &playbook), expected);
    let _ = apply(machine, &playbook, 0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}
