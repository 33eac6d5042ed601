//! Packages to plant drifts in. Small ones: each check looks at all of their files.

use std::path::Path;

use fleet::protocol::Sha256;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::machine::{Machine, lab, succeed};

/// What they are called, and the version that the playbook declares.
const DECLARED: [(&str, &str); 8] = [
    ("newer", "1"),
    ("older", "2"),
    ("missing", "1"),
    ("edited", "1"),
    ("stripped", "1"),
    ("opened", "1"),
    ("doubled", "1"),
    ("unlocked", "1"),
];

/// The files of those that drifts are planted with.
const PLANTED: [&str; 3] = ["newer-2", "older-1", "doubled-2"];

/// Packages that are there as long as this is.
pub(crate) struct Packages {
    directory: TempDir,
}

impl Packages {
    /// Builds and signs them.
    pub(crate) fn build(machine: &Machine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let names = DECLARED.map(|(name, _)| name).join(" ");
        for version in ["1", "2"] {
            let build = ["../drift/packages.spec", "--define"];
            let define = [format!("number {version}"), format!("names {names}")];
            succeed(
                lab("rpm/pack")
                    .arg(directory.path())
                    .args(build)
                    .arg(&define[0])
                    .arg("--define")
                    .arg(&define[1])
                    .args(["--define", "_rpmfilename %%{NAME}-%%{VERSION}.rpm"]),
            );
        }
        let packages = Self { directory };
        let key = machine.variable("lab_signing_key");
        let keys = Path::new(key.as_str().unwrap()).parent().unwrap();
        let declared = DECLARED.map(|(name, version)| format!("{name}-{version}"));
        let files = declared.iter().map(String::as_str).chain(PLANTED);
        succeed(
            lab("rpm/sign")
                .arg(keys)
                .arg("lab")
                .args(files.map(|file| packages.path(file))),
        );
        packages
    }

    /// What host.yml and packages.yml want to know of them.
    pub(crate) fn variables(&self) -> Value {
        let declared = DECLARED.map(|(name, version)| {
            let src = self.path(&format!("{name}-{version}"));
            let sha256 = Sha256::of(&std::fs::read(&src).unwrap()).to_string();
            json!({
                "name": name, "version": version, "release": "1", "arch": "noarch",
                "src": src, "sha256": sha256,
            })
        });
        json!({
            "planted_packages": declared,
            "package_files": PLANTED.map(|file| self.path(file)),
        })
    }

    fn path(&self, file: &str) -> String {
        let path = self.directory.path().join(format!("{file}.rpm"));
        path.to_str().unwrap().to_owned()
    }
}
