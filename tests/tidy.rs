//! Rules about the source itself: who may use whom, what may be called what.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which top-level modules a module may use. Data flows one way: left of the arrow may use what
/// is right of it. A module that is not listed here fails the test.
const MAY_USE: &[(&str, &[&str])] = &[
    ("protocol", &["resource"]),
    ("host", &["protocol"]),
    ("resource", &["host", "protocol"]),
    ("reconcile", &["host", "protocol", "resource"]),
    ("secret", &["diagnostic", "host", "trust", "yaml"]),
    ("http", &[]),
    ("trust", &["host"]),
    (
        "image",
        &["diagnostic", "http", "protocol", "secret", "yaml"],
    ),
    ("artifact", &["diagnostic", "http", "protocol", "yaml"]),
    ("harmless", &[]),
    ("yaml", &["diagnostic", "trust"]),
    ("captured", &["protocol"]),
    ("fuzz", &["protocol"]),
    ("diagnostic", &["harmless", "yaml"]),
    ("error", &["diagnostic"]),
    (
        "inventory",
        &["diagnostic", "host", "secret", "trust", "yaml"],
    ),
    ("template", &["diagnostic", "inventory", "secret", "yaml"]),
    (
        "playbook",
        &[
            "diagnostic",
            "inventory",
            "protocol",
            "resource",
            "secret",
            "template",
            "trust",
            "yaml",
        ],
    ),
    ("transport", &["harmless", "protocol", "secret", "trust"]),
    ("report", &["harmless", "protocol", "secret"]),
    (
        "memory",
        &[
            "diagnostic",
            "protocol",
            "report",
            "secret",
            "trust",
            "yaml",
        ],
    ),
    ("journal", &["diagnostic", "report"]),
    (
        "waiver",
        &["diagnostic", "inventory", "playbook", "report", "yaml"],
    ),
    (
        "run",
        &[
            "diagnostic",
            "error",
            "inventory",
            "journal",
            "playbook",
            "protocol",
            "report",
            "resource",
            "secret",
            "template",
            "transport",
            "yaml",
        ],
    ),
    (
        "swap",
        &[
            "diagnostic",
            "harmless",
            "host",
            "inventory",
            "playbook",
            "protocol",
            "report",
            "run",
            "transport",
            "yaml",
        ],
    ),
    (
        "cli",
        &[
            "artifact",
            "diagnostic",
            "error",
            "harmless",
            "http",
            "image",
            "inventory",
            "journal",
            "memory",
            "playbook",
            "protocol",
            "report",
            "resource",
            "run",
            "secret",
            "swap",
            "template",
            "transport",
            "trust",
            "waiver",
            "yaml",
        ],
    ),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common", "helpers", "manager", "misc", "types", "util", "utils",
];

fn source_files() -> Vec<PathBuf> {
    let files = rust_files("src");
    assert!(files.len() > 20, "the source was not found");
    files
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The top-level module a file belongs to: `src/yaml/de.rs` → `yaml`.
fn module(file: &Path) -> String {
    let relative = file.strip_prefix(root().join("src")).unwrap();
    relative
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .replace(".rs", "")
}

/// The top-level modules named after `crate::` in a line of code.
fn used(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .filter_map(|(at, prefix)| {
            let rest = &code[at + prefix.len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_lowercase() && c != '_')
                .unwrap_or(rest.len());
            (end > 0).then(|| &rest[..end])
        })
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut violations = BTreeSet::new();
    for file in source_files() {
        let module = module(&file);
        if ["lib", "main", "bin"].contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            violations.insert(format!("src/{module} is not in the table"));
            continue;
        };
        // Tests may look at anything.
        if file.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for line in text
            .lines()
            .take_while(|line| !(line.starts_with("#[cfg(") && line.contains("test")))
        {
            for other in used(line) {
                if other != module && !allowed.contains(&other) {
                    violations.insert(format!("{} uses `{other}`", file.display()));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn file_names_say_what_is_inside() {
    for file in source_files() {
        for part in file.strip_prefix(root()).unwrap().components() {
            let name = part.as_os_str().to_string_lossy().replace(".rs", "");
            assert!(!EMPTY_NAMES.contains(&name.as_str()), "{}", file.display());
        }
    }
}

#[test]
fn nothing_unfinished_is_left_in_the_source() {
    for file in source_files() {
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for word in ["TODO", "FIXME", "XXX", "dbg!(", "todo!(", "unimplemented!("] {
                assert!(
                    !line.contains(word),
                    "{}:{}: {line}",
                    file.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn every_file_can_be_read_to_the_end() {
    for file in source_files() {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(
            lines <= 500,
            "{}: {lines} lines; split it by meaning",
            file.display()
        );
    }
}

#[test]
fn every_kind_is_one_registered_file() {
    let registry = fs::read_to_string(root().join("src/resource/mod.rs")).unwrap();
    let modules: Vec<_> = registry
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    for entry in fs::read_dir(root().join("src/resource")).unwrap() {
        let name = entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .replace(".rs", "");
        assert!(
            name == "mod" || modules.contains(&name.as_str()),
            "src/resource/{name} is not used"
        );
    }
    let kinds: Vec<_> = registry
        .lines()
        .skip_while(|line| !line.starts_with("kinds! {"))
        .skip(1)
        .take_while(|line| *line != "}")
        .map(str::trim)
        .collect();
    assert!(
        kinds.is_sorted(),
        "kinds! is in alphabetical order: {kinds:?}"
    );
    assert!(kinds.len() > 5, "kinds! was not found");
}

/// Where kinds reach a path by its text, and why. Everything else goes through `host`, which walks
/// a path once and acts on what it opened: a user who owns a directory on the way decides nothing.
const BY_TEXT: &[(&str, &str)] = &[
    (
        "resource/command.rs",
        "the program's own directory, which it goes to by its text",
    ),
    ("resource/copy.rs", "a file that is open"),
    (
        "resource/cron/mod.rs",
        "how many names a file of jobs has, where only root may write",
    ),
    (
        "resource/docker_container/cgroup.rs",
        "the kernel's own /proc and /sys",
    ),
    (
        "resource/docker_daemon/found.rs",
        "/proc, and when root's program was installed",
    ),
    (
        "resource/docker_policy/audit.rs",
        "root's rules below /etc/audit",
    ),
    (
        "resource/docker_policy/observe.rs",
        "on which device a directory of the engine is",
    ),
    (
        "resource/kernel_module/mod.rs",
        "the kernel's own /sys and /lib/modules",
    ),
    (
        "resource/mount/mod.rs",
        "to compare names, which decides nothing",
    ),
    ("resource/mount/mounted.rs", "/proc/self/mountinfo"),
    (
        "resource/mount/source.rs",
        "which device or image a name is, in /dev and /sys, to compare",
    ),
    (
        "resource/mount/unit.rs",
        "which of systemd's directories has a unit",
    ),
    (
        "resource/service/current.rs",
        "/proc, and when root's unit was written",
    ),
    (
        "resource/service/mod.rs",
        "which of systemd's directories has a unit",
    ),
    ("resource/sysctl/mod.rs", "the kernel's own /proc/sys"),
];

#[test]
fn kinds_reach_paths_through_the_host_only() {
    let direct = [
        "fs::",
        "File::",
        "OpenOptions",
        "DirBuilder",
        ".exists()",
        ".is_dir()",
        ".is_file()",
        ".is_symlink()",
        ".canonicalize()",
        ".read_dir()",
        ".read_link()",
        ".symlink_metadata()",
    ];
    let mut found = BTreeSet::new();
    for file in source_files() {
        let name = file.strip_prefix(root().join("src")).unwrap();
        let is_kind = name.starts_with("resource") || name.starts_with("reconcile");
        let is_test = file.ends_with("tests.rs") || name.iter().any(|part| part == "tests");
        if !is_kind || is_test {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text
            .lines()
            .take_while(|line| !(line.starts_with("#[cfg(") && line.contains("test")))
            .map(|line| line.split("//").next().unwrap_or_default())
            .filter(|line| !line.contains("File::bare(") && !line.contains("AnyResource::File("));
        if code
            .into_iter()
            .any(|line| direct.iter().any(|call| line.contains(call)))
        {
            found.insert(name.to_str().unwrap().to_owned());
        }
    }
    let allowed: BTreeSet<_> = BY_TEXT.iter().map(|(name, _)| (*name).to_owned()).collect();
    let unexplained: Vec<_> = found.difference(&allowed).collect();
    assert!(
        unexplained.is_empty(),
        "use `host`, or give a reason: {unexplained:#?}"
    );
    let unneeded: Vec<_> = allowed.difference(&found).collect();
    assert!(
        unneeded.is_empty(),
        "no reason is needed any more: {unneeded:#?}"
    );
}

/// The tests of a file, as cargo names them but for modules within it.
fn tests_of(file: &Path) -> Vec<String> {
    let module: Vec<_> = file
        .strip_prefix(root())
        .unwrap()
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .filter(|part| !["src", "tests", "lab", "mod", "main", "lib"].contains(&part.as_str()))
        .collect();
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("async ").unwrap_or(line);
            let (name, _) = line.strip_prefix("fn ")?.split_once('(')?;
            Some([&module[..], &[name.to_owned()]].concat().join("::"))
        })
        .collect()
}

#[test]
fn every_test_that_a_fault_is_shown_by_exists() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    let tests: BTreeSet<_> = files.iter().flat_map(|file| tests_of(file)).collect();
    let page = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter(|line| {
            line.trim_start_matches("| ")
                .starts_with(|char: char| char.is_ascii_digit())
        })
        .collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let shown_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        let named: Vec<_> = shown_by
            .split('`')
            .filter(|word| word.contains("::") && !word.contains(' '))
            .collect();
        for name in &named {
            if !tests.contains(&name.replace("::tests::", "::")) {
                wrong.push(format!("there is no test `{name}`"));
            }
        }
        let said = ["cannot occur", "not tested", "not built"];
        if named.is_empty() && !said.iter().any(|words| shown_by.contains(words)) {
            wrong.push(format!("no test: {row}"));
        }
    }
    assert_eq!(rows.len(), 98, "the faults");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
