//! The files of the unit: as they are, and as they will be once what is declared is in place.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::flags::{self, Undeclared};
use super::found::Found;
use super::unit::{self, Effective, Layer};
use super::{DROP_INS, DockerDaemon, SYSCONFIG};
use crate::host::{Failure, Host, list};

/// Configuration that is longer is none.
pub(super) const LIMIT: u64 = 1 << 20;

/// The text of a file; lossy, for what is not text is in no declaration.
pub(super) fn text(host: &Host, path: &Path) -> Result<Option<String>, Failure> {
    let bytes = host.read(path, LIMIT)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// All drop-ins in their directory, by name.
pub(super) fn drop_ins(host: &Host) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for path in list(Path::new(DROP_INS))? {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        if path.extension() == Some(OsStr::new("conf"))
            && let Some(text) = text(host, &path)?
        {
            found.insert(name.to_owned(), text);
        }
    }
    Ok(found)
}

/// The unit's file and its drop-ins, in the order in which systemd reads them.
pub(super) fn layers(
    declared: &DockerDaemon,
    found: &Found,
    host: &Host,
    fragment: &Path,
    unit_files: &[&Path],
) -> Result<Vec<Layer>, Failure> {
    let mut layers = BTreeMap::new();
    for path in unit_files.iter().filter(|path| !path.starts_with(DROP_INS)) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let text = text(host, path)?.unwrap_or_default();
        let layer = Layer {
            path: path.to_path_buf(),
            text,
            is_declared: false,
        };
        layers.insert(name.to_owned(), layer);
    }
    let own = declared.drop_ins.as_ref().unwrap_or(&found.drop_ins);
    for (name, text) in own {
        let layer = Layer {
            path: Path::new(DROP_INS).join(name),
            text: text.clone(),
            is_declared: declared.drop_ins.is_some(),
        };
        layers.insert(name.clone(), layer);
    }
    let base = Layer {
        path: fragment.to_owned(),
        text: text(host, fragment)?.unwrap_or_default(),
        is_declared: false,
    };
    Ok([base].into_iter().chain(layers.into_values()).collect())
}

/// Reads the files of variables that the unit's files name.
pub(super) struct Reading<'a> {
    pub(super) declared: &'a DockerDaemon,
    pub(super) host: &'a Host,
}

impl Reading<'_> {
    /// How the unit starts dockerd with these files.
    pub(super) fn effective(&self, layers: &[Layer]) -> Effective {
        let texts = layers.iter().map(|layer| layer.text.as_str());
        unit::effective(texts, |path| self.variables(path))
    }

    /// The flags among those that nobody declared.
    pub(super) fn undeclared(&self, layers: &[Layer]) -> Vec<Undeclared> {
        flags::undeclared(
            layers,
            self.declared.engine_version.release(),
            |path| self.variables(path),
            |path| self.declared_variables(path),
        )
    }

    fn variables(&self, path: &str) -> Option<String> {
        // A file that cannot be read sets nothing: systemd will say so itself.
        self.declared_variables(path)
            .or_else(|| text(self.host, &PathBuf::from(path)).ok().flatten())
    }

    fn declared_variables(&self, path: &str) -> Option<String> {
        let name = Path::new(path).strip_prefix(SYSCONFIG).ok()?.to_str()?;
        self.declared.sysconfig.get(name).cloned()
    }
}
