//! A set of RPM packages at exact versions, from files that fleet brings.
//!
//! The packages of one task are installed, upgraded or downgraded together, in one rpm
//! transaction; none of them is changed if any of them cannot be. The files come from the
//! controller over the same SSH connection, so the host needs no repository, and only those it
//! lacks are sent.
//!
//! Before the transaction every file must
//! - have the declared sha256,
//! - carry a good signature by a key in the host's rpm database (`signature: waived` accepts a
//!   file without one, never one with a wrong one), and
//! - be the declared name, epoch, version, release and architecture;
//!
//! and rpm must agree to the whole set (dependencies, conflicts, disk space). All objections are
//! reported together. Afterwards the versions are read back and the installed files compared
//! with the database (`rpm -V`, without configuration files).
//!
//! Another version of the same package beside the declared one is drift and is removed.
//!
//! Files of a package that somebody changed or removed are drift, configuration files aside; the
//! package is installed again then. `verify: quick` looks at sizes, times, modes and owners and
//! reads only what differs in them, which takes rpm about as long as telling the version.
//! `verify: full` reads every file, 220 MB for an engine: half a second on a fast machine, with a
//! disk that has to be read much more. `verify: skip` looks at none.
//!
//! `versionlock` pins the packages for yum and dnf where their versionlock plugin is installed:
//! lines of other packages in its list are kept.
//!
//! yum and dnf themselves are not used: they skip what they cannot open or do not like, among it
//! every downgrade, and report success; and they check no signatures of local files unless told.
//!
//! `state: absent` removes the packages named, in one transaction; versions are not looked at.
//!
//! Installing or upgrading a daemon may restart it: that is up to the package's own scriptlets. What
//! that does to containers is in the plan, and what ran before runs after.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{AnyResource, Resource};
use crate::host::docker_containers::Container;
use crate::host::rpm::signature::Signature;
use crate::host::rpm::{self as program, Look, Nevra};
use crate::host::{Failure, Host, Staged};
use crate::protocol::{Change, Drift, Output, Source};

mod engine;
mod package;
mod versionlock;

use package::Package;
use versionlock::LockList;

/// A set of RPM packages at exact versions, from files that fleet brings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rpm {
    /// The packages, each name once.
    pub packages: Vec<Package>,
    /// `required` (the default): every file carries a good signature by a key in the host's rpm
    /// database. `waived`: the sha256 alone decides.
    #[serde(default)]
    pub signature: Signature,
    /// How thoroughly the installed files are compared with what the packages brought: `quick`
    /// (the default), `full` or `skip`.
    #[serde(default)]
    pub verify: Verify,
    /// Pin the packages in the lists of yum's and dnf's versionlock plugins, where installed.
    /// `false` leaves the lists alone.
    #[serde(default = "yes")]
    pub versionlock: bool,
    /// `present` (the default) at the declared versions, or `absent` at any version.
    #[serde(default)]
    pub state: Presence,
}

/// How thoroughly the files of installed packages are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Size, time, mode, owner and target; the content where one of these differs.
    #[default]
    Quick,
    /// The content of every file.
    Full,
    /// Not at all.
    Skip,
}

/// The installed packages of the declared names, and what is locked.
#[derive(Clone, Debug)]
pub struct Found {
    installed: Vec<Nevra>,
    locks: Vec<LockList>,
    /// What differs in the files of packages that are there at their version, by name.
    changed: BTreeMap<String, Vec<String>>,
    /// The containers that end with the engine, if its packages are to be changed.
    containers: Vec<Container>,
}

fn yes() -> bool {
    true
}

impl Rpm {
    fn names(&self) -> Vec<&str> {
        self.packages
            .iter()
            .map(|package| package.name.as_str())
            .collect()
    }

    /// Each package with what it is to be; none with `state: absent`.
    fn wanted(&self) -> Vec<(&Package, Nevra)> {
        if self.state == Presence::Absent {
            return Vec::new();
        }
        let complete = |package: &Package| package.nevra().expect("`validate` has been called");
        self.packages
            .iter()
            .map(|package| (package, complete(package)))
            .collect()
    }

    /// Looks at the files of what is installed as declared.
    fn changed_files(&self, installed: &[Nevra]) -> Result<BTreeMap<String, Vec<String>>, Failure> {
        let look = match self.verify {
            Verify::Quick => Look::Metadata,
            Verify::Full => Look::Content,
            Verify::Skip => return Ok(BTreeMap::new()),
        };
        let wanted: Vec<_> = self.wanted().into_iter().map(|(_, nevra)| nevra).collect();
        let there: Vec<_> = wanted
            .iter()
            .filter(|nevra| installed.contains(nevra))
            .collect();
        // One question for all: almost always the answer is that nothing differs.
        if there.is_empty() || !program::any_file_differs(&there, look)? {
            return Ok(BTreeMap::new());
        }
        let mut changed = BTreeMap::new();
        for nevra in there {
            let files = program::changed_files(nevra, look)?;
            if !files.is_empty() {
                changed.insert(nevra.name.clone(), files);
            }
        }
        Ok(changed)
    }

    fn lock_drift(&self, locks: &[LockList]) -> Vec<Drift> {
        let wanted = self.wanted();
        let mut drift = Vec::new();
        for list in locks {
            for name in self.names() {
                let expected = wanted
                    .iter()
                    .find(|(package, _)| package.name == name)
                    .map(|(_, nevra)| list.entry(nevra));
                let found = list.entries(name);
                let attribute = format!("versionlock {name}");
                drift.extend(match expected {
                    Some(entry) if found.is_empty() => Some(Drift::create(attribute, entry)),
                    Some(entry) if found != [entry.as_str()] => {
                        Some(Drift::update(attribute, entry, found.join(", ")))
                    }
                    None if !found.is_empty() => Some(Drift::remove(attribute, found.join(", "))),
                    _ => None,
                });
            }
        }
        drift
    }

    fn write_locks(&self, host: &Host, locks: &[LockList]) -> Result<(), Failure> {
        for list in locks {
            let entries: Vec<_> = match self.state {
                Presence::Present => self
                    .wanted()
                    .iter()
                    .map(|(package, nevra)| (package.name.as_str(), Some(list.entry(nevra))))
                    .collect(),
                Presence::Absent => self.names().into_iter().map(|name| (name, None)).collect(),
            };
            list.write(host, &entries)?;
        }
        Ok(())
    }

    /// Brings the packages that differ to their versions, or changes nothing.
    fn install(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let wanted = self.wanted();
        let changes: Vec<_> = wanted
            .iter()
            .filter(|(_, nevra)| {
                !actual.installed.contains(nevra) || actual.changed.contains_key(&nevra.name)
            })
            .collect();
        let mut output = None;
        if !changes.is_empty() {
            let files = self.checked_files(host, &changes)?;
            let paths: Vec<_> = files.iter().map(Staged::path).collect();
            program::test_upgrade(&paths).map_err(refused)?;
            program::lock::wait_until_free(host)?;
            output = Some(program::upgrade(&paths)?);
        }
        // rpm leaves another architecture, and what an interrupted transaction left behind.
        let now = program::installed(host, &self.names(), Vec::new)?;
        let beside: Vec<_> = now
            .iter()
            .filter(|found| wanted.iter().all(|(_, nevra)| nevra != *found))
            .collect();
        if !beside.is_empty() && changes.iter().all(|(_, nevra)| now.contains(nevra)) {
            program::lock::wait_until_free(host)?;
            output = Some(program::erase(&beside)?);
        }
        if output.is_some() {
            let problems =
                program::verify(&wanted.iter().map(|(_, nevra)| nevra).collect::<Vec<_>>())?;
            if !problems.is_empty() {
                return Err(Failure::Unexpected(format!(
                    "rpm reported success, but `rpm -V` finds:{}",
                    listed(&problems)
                )));
            }
        }
        Ok(output)
    }

    /// Gets the files and looks at each, so that all objections are reported together.
    fn checked_files(
        &self,
        host: &Host,
        changes: &[&(&Package, Nevra)],
    ) -> Result<Vec<Staged>, Failure> {
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for (package, nevra) in changes {
            match self.checked_file(host, package, nevra)? {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(format!("{}: {problem}", nevra.file_name())),
            }
        }
        if problems.is_empty() {
            return Ok(files);
        }
        Err(Failure::Refused(format!(
            "the set is refused and nothing was changed:{}",
            listed(&problems)
        )))
    }

    fn checked_file(
        &self,
        host: &Host,
        package: &Package,
        nevra: &Nevra,
    ) -> Result<Result<Staged, String>, Failure> {
        if let Err(problem) = package.check_file() {
            return Ok(Err(problem));
        }
        let Some(source) = &package.src else {
            return Ok(Err("it has no `src`".to_owned()));
        };
        let file = match host.fetch_staged(source.content()?, &nevra.file_name()) {
            Ok(file) => file,
            Err(refused @ Failure::Refused(_)) => return Ok(Err(refused.to_string())),
            Err(failure) => return Err(failure),
        };
        // First of all: rpm takes a text file for a list of further files, but not here.
        if let Err(problem) = program::signature::check(file.path(), self.signature)? {
            return Ok(Err(problem));
        }
        Ok(match program::identify(file.path())? {
            Ok(found) if found == *nevra => Ok(file),
            Ok(found) => Err(format!("it is {} {}", found.name, found.evra())),
            Err(problem) => Err(problem),
        })
    }
}

/// The packages of tasks that are looked at next.
fn names_ahead(host: &Host) -> Vec<String> {
    host.ahead(|task| match &task.resource {
        AnyResource::Rpm(rpm) => rpm.names().into_iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    })
}

/// The first few, and how many more.
fn some_of(files: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = files.iter().take(SHOWN).cloned();
    let more = files.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| format!("and {more} more"));
    shown.chain(rest).collect::<Vec<_>>().join("; ")
}

fn listed(problems: &[String]) -> String {
    problems
        .iter()
        .flat_map(|problem| ["\n    - ", problem])
        .collect()
}

/// What rpm itself has against the set, without the words around it.
fn refused(failure: Failure) -> Failure {
    let Failure::Command(failure) = failure else {
        return failure;
    };
    let said = failure
        .output
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("error:"));
    let objections: Vec<_> = said.map(|line| line.trim().to_owned()).collect();
    if objections.is_empty() {
        return Failure::Command(failure);
    }
    Failure::Refused(format!(
        "rpm refuses the set and nothing was changed:{}",
        listed(&objections)
    ))
}

impl Resource for Rpm {
    const KIND: &'static str = "rpm";

    const EXAMPLE: &'static str = "\
- name: the Docker engine, this version and no other
  rpm:
    packages:
      - name: docker-ce
        epoch: 3
        version: 20.10.24
        release: 3.el7
        arch: x86_64
        src: docker-ce-20.10.24-3.el7.x86_64.rpm
        sha256: b82e40bc1a035a0e3e2e512e9ffae2e210216ab512a7125677aeff21f02da356
      - name: containerd.io
        version: 1.6.20
        release: 3.1.el7
        arch: x86_64
        src: containerd.io-1.6.20-3.1.el7.x86_64.rpm
        sha256: 4bdb4d6a10b9ad062c567606467635cc18d6481667ab6057bc6ef1d67bfe5a20
    signature: required
    verify: quick
    versionlock: yes

- name: no other engine
  rpm:
    state: absent
    packages: [{ name: docker }, { name: docker-engine }]
";

    type Actual = Found;

    fn id(&self) -> String {
        self.names().join(" ")
    }

    fn validate(&self) -> Result<(), String> {
        if self.packages.is_empty() {
            return Err("`packages` is empty".to_owned());
        }
        let mut seen = BTreeSet::new();
        for package in &self.packages {
            package.check_name()?;
            if !seen.insert(&package.name) {
                return Err(format!("the package `{}` is declared twice", package.name));
            }
            if self.state == Presence::Present {
                package.nevra()?;
                package.check_file()?;
            }
        }
        Ok(())
    }

    fn sources_mut(&mut self) -> Vec<&mut Source> {
        match self.state {
            Presence::Present => self
                .packages
                .iter_mut()
                .filter_map(|package| package.src.as_mut())
                .collect(),
            Presence::Absent => Vec::new(),
        }
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(program::LONGEST)
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        self.validate().map_err(Failure::Refused)?;
        let locks = if self.versionlock {
            versionlock::lists(host)?
        } else {
            Vec::new()
        };
        let installed = program::installed(host, &self.names(), || names_ahead(host))?;
        let mut found = Found {
            changed: self.changed_files(&installed)?,
            installed,
            locks,
            containers: Vec::new(),
        };
        found.containers = engine::containers_at_stake(host, &self.drift(&found))?;
        Ok(found)
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let mut drift = Vec::new();
        if self.state == Presence::Absent {
            let removed = actual.installed.iter();
            drift.extend(removed.map(|found| Drift::remove(&found.name, found.evra())));
        }
        for (_, wanted) in self.wanted() {
            let of_the_name = || {
                actual
                    .installed
                    .iter()
                    .filter(|found| found.name == wanted.name)
            };
            let there = of_the_name().any(|found| *found == wanted);
            // The newest one speaks for the others when there are several.
            let newest = of_the_name().max_by(|a, b| a.evr.compare(&b.evr));
            match newest {
                _ if there => drift.extend(actual.changed.get(&wanted.name).map(|files| {
                    Drift::update(
                        format!("{} (files)", wanted.name),
                        "as packaged",
                        some_of(files),
                    )
                })),
                None => drift.push(Drift::create(&wanted.name, wanted.evra())),
                Some(found) => drift.push(Drift::update(
                    format!("{} ({})", wanted.name, direction(found, &wanted)),
                    wanted.evra(),
                    found.evra(),
                )),
            }
            let beside = of_the_name().filter(|found| {
                **found != wanted && (there || newest.is_some_and(|newest| newest != *found))
            });
            drift.extend(beside.map(|found| {
                let attribute = format!("{} (installed beside)", found.name);
                Drift::new(Change::Remove, attribute, "absent", found.evra())
            }));
        }
        drift.extend(self.lock_drift(&actual.locks));
        drift.extend(self.engine_drift(actual));
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let output = match self.state {
            Presence::Present => {
                let output = self.install(host, actual)?;
                engine::bring_back(host, &actual.containers)?;
                output
            }
            Presence::Absent if actual.installed.is_empty() => None,
            Presence::Absent => {
                program::lock::wait_until_free(host)?;
                Some(program::erase(
                    &actual.installed.iter().collect::<Vec<_>>(),
                )?)
            }
        };
        self.write_locks(host, &actual.locks)?;
        Ok(output)
    }
}

fn direction(from: &Nevra, to: &Nevra) -> &'static str {
    match to.evr.compare(&from.evr) {
        Ordering::Greater => "upgrade",
        Ordering::Less => "downgrade",
        Ordering::Equal => "replace",
    }
}

#[cfg(test)]
mod tests;
