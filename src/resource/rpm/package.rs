//! One package of a set, as declared.

use serde::{Deserialize, Serialize};

use crate::host::evr::Evr;
use crate::host::rpm::Nevra;
use crate::protocol::{Sha256, Source};

/// One package. With `state: absent` only the name counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The package's name, without its version.
    pub name: String,
    /// Its epoch; 0 if it has none. `rpm -qp --qf '%{EPOCHNUM}' FILE` shows it.
    #[serde(default)]
    pub epoch: u32,
    /// Its version: `20.10.24`.
    #[serde(default)]
    pub version: Option<String>,
    /// Its release: `3.el7`.
    #[serde(default)]
    pub release: Option<String>,
    /// Its architecture: `x86_64`, `noarch`.
    #[serde(default)]
    pub arch: Option<String>,
    /// The file, looked up in `files/`.
    #[serde(default)]
    pub src: Option<Source>,
    /// What the file's content must be.
    #[serde(default)]
    pub sha256: Option<Sha256>,
}

impl Package {
    /// # Errors
    /// That the name is malformed.
    pub(super) fn check_name(&self) -> Result<(), String> {
        self.checked("name", Some(&self.name), "+._-").map(drop)
    }

    /// # Errors
    /// What is missing or malformed.
    pub(super) fn nevra(&self) -> Result<Nevra, String> {
        let name = self.checked("name", Some(&self.name), "+._-")?;
        let version = self.checked("version", self.version.as_ref(), "+._~^")?;
        let release = self.checked("release", self.release.as_ref(), "+._~^")?;
        let arch = self.checked("arch", self.arch.as_ref(), "_")?;
        Ok(Nevra {
            name,
            evr: Evr {
                epoch: self.epoch,
                version,
                release,
            },
            arch,
        })
    }

    /// Only what rpm allows in a name: these words become arguments and lines of files.
    fn checked(&self, field: &str, value: Option<&String>, signs: &str) -> Result<String, String> {
        let Some(value) = value else {
            return Err(format!("the package `{}` needs `{field}`", self.name));
        };
        let fits = |sign: char| sign.is_ascii_alphanumeric() || signs.contains(sign);
        if value.starts_with(|first: char| first.is_ascii_alphanumeric()) && value.chars().all(fits)
        {
            return Ok(value.clone());
        }
        Err(format!(
            "`{value}` is not the {field} of a package: letters, digits and `{signs}` are allowed, \
             and a letter or digit comes first"
        ))
    }

    /// # Errors
    /// What is missing, or that the file at hand is another than the declared one.
    pub(super) fn check_file(&self) -> Result<(), String> {
        let Some(declared) = self.sha256 else {
            return Err(format!(
                "the package `{}` needs `sha256`; `sha256sum FILE` shows it",
                self.name
            ));
        };
        match &self.src {
            None => Err(format!("the package `{}` needs `src`", self.name)),
            Some(Source::Content(content)) if content.sha256 != declared => Err(format!(
                "the file of `{}` has the sha256 {}, not the declared {declared}",
                self.name, content.sha256
            )),
            Some(_) => Ok(()),
        }
    }
}
