//! `artifacts.lock.yml`: which file each name stands for.

use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;

use crate::diagnostic::Diagnostic;
use crate::protocol::Sha256;
use crate::yaml::{self, Limits, Node};

/// The file's name, beside the playbooks.
pub const LOCK_FILE: &str = "artifacts.lock.yml";

/// One file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Where it is, relative to the lock file.
    pub file: PathBuf,
    /// For a package: `name-[epoch:]version-release.arch`.
    #[serde(default)]
    pub nevra: Option<String>,
    /// For an archive of an image: what the image is called on a host.
    #[serde(default)]
    pub image_id: Option<String>,
    /// How many bytes it has.
    pub size: u64,
    /// What is in it.
    pub sha256: Sha256,
    /// Where to fetch it: an `http` or `https` URL.
    #[serde(default)]
    pub origin: Option<String>,
}

/// All files, by the names roles use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactLock {
    /// In the order of the file.
    pub artifacts: IndexMap<String, Artifact>,
    folder: PathBuf,
}

impl ArtifactLock {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let root = yaml::load(path, &Limits::default())?;
        if root.as_mapping().is_none() && !root.is_null() {
            let message = format!("a lock file is a mapping of names, not {}", root.describe());
            return Err(vec![Diagnostic::error(message).at(root.span)]);
        }
        let mut errors = Vec::new();
        let mut artifacts = IndexMap::new();
        for (key, node) in root.as_mapping().unwrap_or_default() {
            match read(node) {
                Ok(artifact) => _ = artifacts.insert(key.text.clone(), artifact),
                Err(error) => errors.push(error),
            }
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let folder = std::path::absolute(&folder)
            .or_else(|_| std::env::current_dir())
            .unwrap_or(folder);
        if errors.is_empty() {
            Ok(Self { artifacts, folder })
        } else {
            Err(errors)
        }
    }

    /// Where an artifact is.
    #[must_use]
    pub fn path(&self, artifact: &Artifact) -> PathBuf {
        self.folder.join(&artifact.file)
    }

    /// What templates see as `artifacts`. A package is what the kind `rpm` takes: `name`, `epoch`,
    /// `version`, `release`, `arch`, `src` and `sha256`. Other files have `src`, `sha256`, `size`
    /// and, if the lock file has it, `image_id`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let entry = |artifact: &Artifact| {
            let mut fields = serde_json::Map::new();
            let mut set =
                |name: &str, value: serde_json::Value| _ = fields.insert(name.to_owned(), value);
            set(
                "src",
                self.path(artifact).to_string_lossy().into_owned().into(),
            );
            set("sha256", artifact.sha256.to_string().into());
            if let Some(parts) = artifact.nevra.as_deref().and_then(split) {
                set("name", parts.name.into());
                set("epoch", parts.epoch.into());
                set("version", parts.version.into());
                set("release", parts.release.into());
                set("arch", parts.arch.into());
            } else {
                set("size", artifact.size.into());
            }
            if let Some(id) = &artifact.image_id {
                set("image_id", id.clone().into());
            }
            serde_json::Value::Object(fields)
        };
        self.artifacts
            .iter()
            .map(|(name, artifact)| (name.clone(), entry(artifact)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn read(node: &Node) -> Result<Artifact, Diagnostic> {
    let artifact: Artifact = yaml::from_node(node)?;
    let at = |field: &str, message: String| {
        let place = node.get(field).unwrap_or(node);
        Diagnostic::error(message).at(place.span.clone())
    };
    // Files are fetched to where this says: not out of the project.
    let inside = artifact
        .file
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || artifact.file.file_name().is_none() {
        let message = "`file` must be a path below the lock file, without `..`";
        return Err(at("file", message.to_owned()));
    }
    if artifact.nevra.is_some() && artifact.image_id.is_some() {
        let message = "an artifact is a package (`nevra`) or an image (`image_id`), not both";
        return Err(at("image_id", message.to_owned()));
    }
    if let Some(nevra) = &artifact.nevra
        && split(nevra).is_none()
    {
        let message = format!("`{nevra}` is not `name-[epoch:]version-release.arch`");
        return Err(at("nevra", message));
    }
    if let Some(origin) = &artifact.origin {
        let url = reqwest::Url::parse(origin)
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http"));
        let url =
            url.ok_or_else(|| at("origin", format!("`{origin}` is not an http or https URL")))?;
        if !url.username().is_empty() || url.password().is_some() {
            let message = "a lock file is read by many: `origin` must not hold a login";
            return Err(at("origin", message.to_owned()));
        }
    }
    Ok(artifact)
}

struct Parts<'t> {
    name: &'t str,
    epoch: u32,
    version: &'t str,
    release: &'t str,
    arch: &'t str,
}

fn split(nevra: &str) -> Option<Parts<'_>> {
    let (rest, arch) = nevra.rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
    let full = [name, version, release, arch]
        .iter()
        .all(|part| !part.is_empty());
    full.then_some(Parts {
        name,
        epoch: epoch.parse().ok()?,
        version,
        release,
        arch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<ArtifactLock, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        std::fs::write(&path, text).unwrap();
        ArtifactLock::load(&path).map_err(|errors| errors[0].message.clone())
    }

    #[test]
    fn a_package_is_taken_apart_for_the_rpm_kind() {
        let sha256 = "0a".repeat(32);
        let lock = load(&format!(
            "docker-ce:\n  file: rpms/docker-ce.rpm\n  nevra: docker-ce-3:20.10.24-3.el7.x86_64\n  size: 12\n  sha256: {sha256}\n"
        ))
        .unwrap();
        let json = &lock.to_json()["docker-ce"];
        let src = json["src"].as_str().unwrap();
        assert!(
            src.starts_with('/') && src.ends_with("/rpms/docker-ce.rpm"),
            "{src}"
        );
        for (field, expected) in [
            ("name", "docker-ce"),
            ("version", "20.10.24"),
            ("release", "3.el7"),
            ("arch", "x86_64"),
            ("sha256", &sha256),
        ] {
            assert_eq!(json[field], expected);
        }
        assert_eq!(json["epoch"], 3);
        // And nothing more, which the kind would refuse.
        assert_eq!(json.as_object().unwrap().len(), 7);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let sha256 = "0a".repeat(32);
        for (fields, reason) in [
            ("file: ../a", "without `..`"),
            ("file: /etc/passwd", "without `..`"),
            ("file: a, nevra: docker", "is not `name-"),
            ("file: a, nevra: a-x:1-1.noarch", "is not `name-"),
            ("file: a, origin: \"ftp://h/a\"", "is not an http"),
            (
                "file: a, origin: \"https://u:p@h/a\"",
                "must not hold a login",
            ),
            ("file: a, nevra: a-1-1.noarch, image_id: x", "not both"),
            ("file: a, sise: 1", "sise"),
        ] {
            let error = load(&format!("a: {{{fields}, size: 1, sha256: {sha256}}}")).unwrap_err();
            assert!(error.contains(reason), "{fields}: {error}");
        }
    }
}
