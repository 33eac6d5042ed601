//! The rpm program: what is installed, what a file is, and transactions.
//!
//! Works with rpm 4.11 (CentOS 7) and later. Two habits of rpm decide the shape of this module:
//! a damaged database makes `rpm -q` say "is not installed", with the truth only on standard
//! error; and a transaction waits for the lock of another one without an end.

use std::path::Path;
use std::time::Duration;

use super::answers::together;
use super::evr::Evr;
use super::{Command, Failure, Host};
use crate::protocol::Output;

pub(crate) mod lock;
pub(crate) mod signature;

/// One line per package. The first word tells it from rpm's messages on the same stream.
const QUERY_FORMAT: &str = "=\t%{NAME}\t%{EPOCHNUM}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\n";

/// How long a transaction may take. Generous: one that is killed leaves a half-installed set,
/// and scriptlets may wait for a daemon to stop.
const TRANSACTION_TIMEOUT: Duration = Duration::from_mins(30);

/// How long looking at the files of a set may take: a slow disk, and nobody's patience.
const LOOK_TIMEOUT: Duration = Duration::from_mins(10);

/// The longest that a set of packages may take: looked at, erased and installed, and looked at again.
pub(crate) const LONGEST: Duration = Duration::from_mins(2 * 30 + 2 * 10);

/// A package by all that tells it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nevra {
    pub(crate) name: String,
    pub(crate) evr: Evr,
    pub(crate) arch: String,
}

impl Nevra {
    /// What `rpm -e` and `rpm -V` take. Without the epoch, which rpm 4.11 does not read there.
    fn label(&self) -> String {
        format!(
            "{}-{}-{}.{}",
            self.name, self.evr.version, self.evr.release, self.arch
        )
    }

    /// The name of its file, by rpm's own custom.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.rpm", self.label())
    }

    /// Everything but the name, as in a plan: `3:20.10.24-3.el7.x86_64`.
    pub(crate) fn evra(&self) -> String {
        format!("{}.{}", self.evr, self.arch)
    }
}

/// All installed packages of these names. Those that will be asked for `soon` are asked for in the
/// same breath: it is the start of rpm that takes its time, not one more name.
///
/// # Errors
/// [`Failure::Unexpected`] if rpm reports an error or leaves a name unanswered, so that a
/// damaged database is never read as "not installed".
pub(crate) fn installed(
    host: &Host,
    names: &[&str],
    soon: impl FnOnce() -> Vec<String>,
) -> Result<Vec<Nevra>, Failure> {
    let known = |name: &&str| host.known(|answers| answers.packages.get(*name).cloned());
    if let Some(known) = names.iter().map(known).collect::<Option<Vec<_>>>() {
        return Ok(known.concat());
    }
    let all = together(names, soon());
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let (asked, mut found) = match query(&all) {
        // What is wrong with another task's name is not to be held against this one.
        Err(Failure::Unexpected(_)) if all.len() > names.len() => (names, query(names)?),
        found => (&*all, found?),
    };
    host.remember(|answers| {
        for &name in asked {
            let of_the_name = found.iter().filter(|package| package.name == name);
            let of_the_name = of_the_name.cloned().collect();
            answers.packages.insert(name.to_owned(), of_the_name);
        }
    });
    found.retain(|package| names.contains(&package.name.as_str()));
    Ok(found)
}

fn query(names: &[&str]) -> Result<Vec<Nevra>, Failure> {
    let output = Command::new(["rpm", "-q", "--qf", QUERY_FORMAT, "--"])
        .args(names.to_vec())
        .output()?;
    parse_installed(names, &output).map_err(|problem| {
        Failure::Unexpected(format!(
            "cannot tell which packages are installed: {problem}"
        ))
    })
}

fn parse_installed(names: &[&str], output: &Output) -> Result<Vec<Nevra>, String> {
    if let Some(error) = errors(output).next() {
        return Err(format!("rpm says `{error}`"));
    }
    if output.truncated {
        return Err("its answer was cut".to_owned());
    }
    let mut packages = Vec::new();
    let mut absent = Vec::new();
    for line in output.stdout.lines() {
        let not_installed = line
            .strip_prefix("package ")
            .and_then(|rest| rest.strip_suffix(" is not installed"));
        match not_installed {
            Some(name) => absent.push(name),
            None => packages.push(parse_package(line)?),
        }
    }
    let answered =
        |name: &str| absent.contains(&name) || packages.iter().any(|package| package.name == name);
    if let Some(name) = names.iter().find(|name| !answered(name)) {
        return Err(format!("rpm said nothing about `{name}`"));
    }
    // `rpm -q a-1` also finds version 1 of `a`.
    packages.retain(|package| names.contains(&package.name.as_str()));
    Ok(packages)
}

fn parse_package(line: &str) -> Result<Nevra, String> {
    let fields: Vec<_> = line.split('\t').collect();
    let ["=", name, epoch, version, release, arch] = fields[..] else {
        return Err(format!("rpm printed `{line}`"));
    };
    let epoch = epoch
        .parse()
        .map_err(|_| format!("rpm printed the epoch `{epoch}`"))?;
    Ok(Nevra {
        name: name.to_owned(),
        evr: Evr {
            epoch,
            version: version.to_owned(),
            release: release.to_owned(),
        },
        arch: arch.to_owned(),
    })
}

/// What a package file says it is.
///
/// # Errors
/// In words: rpm's own if it cannot read the file.
pub(crate) fn identify(file: &Path) -> Result<Result<Nevra, String>, Failure> {
    let output = Command::new([
        "rpm",
        "-qp",
        "--nosignature",
        "--nodigest",
        "--qf",
        QUERY_FORMAT,
        "--",
    ])
    .arg(file)
    .output()?;
    Ok(match errors(&output).next() {
        Some(error) => Err(format!("rpm cannot read it: `{error}`")),
        None => parse_package(output.stdout.trim_end_matches('\n')),
    })
}

/// Asks rpm whether it would install these files in place of what is installed: dependencies,
/// conflicts, file conflicts, space on the disk. Changes nothing.
pub(crate) fn test_upgrade(files: &[&Path]) -> Result<Output, Failure> {
    upgrade_command(files).arg("--test").run()
}

/// Installs these files in place of what is installed of the same names, newer or older, in one
/// transaction.
pub(crate) fn upgrade(files: &[&Path]) -> Result<Output, Failure> {
    transaction(&upgrade_command(files).timeout(TRANSACTION_TIMEOUT))
}

/// Never with `--force`, `--nodeps` or `--replacefiles`: rpm's objections are the point. What is
/// installed already at this very version is only here because its files are to be put back.
fn upgrade_command(files: &[&Path]) -> Command {
    Command::new(["rpm", "-U", "--oldpackage", "--replacepkgs"]).args(files.to_vec())
}

/// Removes these packages in one transaction.
pub(crate) fn erase(packages: &[&Nevra]) -> Result<Output, Failure> {
    let labels = packages.iter().map(|package| package.label());
    transaction(
        &Command::new(["rpm", "-e", "--"])
            .args(labels)
            .timeout(TRANSACTION_TIMEOUT),
    )
}

fn transaction(command: &Command) -> Result<Output, Failure> {
    let output = command.run()?;
    // rpm ends with 0 when a scriptlet of an installed package failed; what it was to do
    // (make a group, register a unit) is undone all the same.
    let failed: Vec<_> = output
        .stderr
        .lines()
        .filter(|line| line.contains("scriptlet failed"))
        .collect();
    if failed.is_empty() {
        return Ok(output);
    }
    Err(Failure::Unexpected(format!(
        "rpm changed the packages, but not everything they were to do was done: {}",
        failed.join("; ")
    )))
}

/// Compares the installed files of these packages with the database; lists what differs.
///
/// Configuration files and ghosts are left out: they are meant to change.
pub(crate) fn verify(packages: &[&Nevra]) -> Result<Vec<String>, Failure> {
    let labels = packages.iter().map(|package| package.label());
    verified(&Command::new(["rpm", "-V", "--"]).args(labels))
}

fn verified(command: &Command) -> Result<Vec<String>, Failure> {
    let output = command.output()?;
    let problems = parse_verify(&output.stdout);
    if problems.is_empty()
        && let Some(error) = errors(&output).next()
    {
        return Err(Failure::Unexpected(format!(
            "cannot verify the packages: rpm says `{error}`"
        )));
    }
    Ok(problems)
}

/// How thoroughly the files of a package are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Size, time, mode, owner, target: what `stat` tells, in no time.
    Metadata,
    /// Their contents too: every byte is read.
    Content,
}

/// The files of an installed package that are not as it brought them; see [`verify`] for those
/// left out. Neither dependencies nor the package's own scripts are asked: this is about files.
pub(crate) fn changed_files(package: &Nevra, look: Look) -> Result<Vec<String>, Failure> {
    let found = files_that_differ(&[package], look)?;
    if found.is_empty() || look == Look::Content {
        return Ok(found);
    }
    // A file that was only touched is no other file. What it holds decides.
    let found = files_that_differ(&[package], Look::Content)?;
    Ok(found
        .into_iter()
        .filter(|line| !only_touched(line))
        .collect())
}

/// Whether there is any such file in any of these packages.
pub(crate) fn any_file_differs(packages: &[&Nevra], look: Look) -> Result<bool, Failure> {
    Ok(!files_that_differ(packages, look)?.is_empty())
}

fn files_that_differ(packages: &[&Nevra], look: Look) -> Result<Vec<String>, Failure> {
    let labels = packages.iter().map(|package| package.label());
    let mut command = Command::new(["rpm", "-V", "--nodeps", "--noscripts"]);
    if look == Look::Metadata {
        command = command.arg("--nofiledigest");
    }
    verified(&command.arg("--").args(labels).timeout(LOOK_TIMEOUT))
}

fn only_touched(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(flags, _)| {
        flags.contains('T') && flags.chars().all(|flag| ".T".contains(flag))
    })
}

/// Lines are `S.5....T.  c /path`, `missing     /path`, or a sentence about dependencies.
fn parse_verify(stdout: &str) -> Vec<String> {
    let expected_to_change = |line: &str| {
        let attribute = line.split_once(' ').map(|(_, rest)| rest.trim_start());
        attribute.is_some_and(|rest| rest.starts_with("c /") || rest.starts_with("g /"))
    };
    stdout
        .lines()
        .filter(|line| !line.trim().is_empty() && !expected_to_change(line))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn errors(output: &Output) -> impl Iterator<Item = &str> {
    output
        .stderr
        .lines()
        .filter(|line| line.starts_with("error:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured;

    fn output(stdout: &str, stderr: &str) -> Output {
        Output {
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            ..Output::default()
        }
    }

    #[test]
    fn reads_what_is_installed() {
        let printed = "=\tdocker-ce\t3\t20.10.5\t3.el7\tx86_64\n\
                       package docker-ce-cli is not installed\n\
                       =\tcontainerd.io\t0\t1.4.13\t3.1.el7\tx86_64\n";
        let names = ["docker-ce", "docker-ce-cli", "containerd.io"];
        let packages = parse_installed(&names, &output(printed, "warning: waiting\n")).unwrap();
        let shown: Vec<_> = packages.iter().map(|p| (p.file_name(), p.evra())).collect();
        assert_eq!(
            shown,
            [
                (
                    "docker-ce-20.10.5-3.el7.x86_64.rpm".into(),
                    "3:20.10.5-3.el7.x86_64".into()
                ),
                (
                    "containerd.io-1.4.13-3.1.el7.x86_64.rpm".into(),
                    "1.4.13-3.1.el7.x86_64".into()
                ),
            ]
        );
    }

    #[test]
    fn never_reads_a_damaged_database_as_absence() {
        // As rpm 4.18 answers with garbage in rpmdb.sqlite.
        let damaged = output(
            "package docker-ce is not installed\n",
            "error: sqlite failure: file is not a database\n\
             error: cannot open Packages database in /var/lib/rpm\n",
        );
        assert_eq!(
            parse_installed(&["docker-ce"], &damaged).unwrap_err(),
            "rpm says `error: sqlite failure: file is not a database`"
        );
        let silent = parse_installed(&["docker-ce"], &output("", "")).unwrap_err();
        assert_eq!(silent, "rpm said nothing about `docker-ce`");
        let cut = Output {
            truncated: true,
            ..Output::default()
        };
        let cut = parse_installed(&["docker-ce"], &cut).unwrap_err();
        assert_eq!(cut, "its answer was cut");
        for line in [
            "=\ta\tb\tc\td\te",
            "=\ta\t0\t1",
            "Speicherzugriffsfehler",
            "",
        ] {
            let line = format!("{line}\n=\ta\t0\t1\t1\tnoarch\n");
            assert!(
                parse_installed(&["a"], &output(&line, "")).is_err(),
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_file_that_was_only_touched_is_no_other_file() {
        for (line, touched) in [
            (".......T. /usr/bin/docker", true),
            ("S......T. /usr/bin/docker", false),
            ("..5....T. /usr/bin/docker", false),
            (".M....... /usr/bin/docker", false),
            ("..?....T. /usr/bin/docker", false),
            ("missing /usr/bin/dockerd", false),
            ("Telling nothing", false),
        ] {
            assert_eq!(only_touched(line), touched, "{line}");
        }
    }

    #[test]
    fn verification_passes_over_what_is_meant_to_change() {
        let printed = "S.5....T.  c /etc/docker/daemon.json\n\
                       missing   c /etc/containerd/config.toml\n\
                       .M.......    /usr/bin/docker\n\
                       .......T.  g /var/log/docker.log\n\
                       missing     /usr/bin/dockerd\n\
                       Unsatisfied dependencies for docker-ce-3:20.10.24-3.el7.x86_64:\n\
                       \tcontainerd.io >= 1.4.1 is needed by (installed) docker-ce\n";
        assert_eq!(
            parse_verify(printed),
            [
                ".M....... /usr/bin/docker",
                "missing /usr/bin/dockerd",
                "Unsatisfied dependencies for docker-ce-3:20.10.24-3.el7.x86_64:",
                "containerd.io >= 1.4.1 is needed by (installed) docker-ce",
            ]
        );
        assert!(parse_verify("").is_empty());
    }

    #[test]
    fn fuzz_rpm() {
        let files = ["query", "query-file", "verify", "transaction", "misc"];
        let samples = files
            .into_iter()
            .flat_map(|file| captured::stdout(&format!("el7/rpm-{file}.txt")));
        crate::fuzz::feed("rpm", samples, |bytes| {
            let stdout = String::from_utf8_lossy(bytes).into_owned();
            parse_verify(&stdout);
            let _ = parse_package(&stdout);
            let output = Output {
                stderr: stdout.clone(),
                ..Output::default()
            };
            let _ = parse_installed(&["docker-ce"], &output);
            let output = Output {
                stdout,
                ..Output::default()
            };
            let _ = parse_installed(&["docker-ce", "podman"], &output);
        });
    }
}
