//! `images.lock.yml`: which image each name stands for.

use std::fmt::Write as _;
use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use super::Reference;
use super::reference::check_digest;
use crate::diagnostic::Diagnostic;
use crate::yaml::{self, Limits, Node};

/// The file's name, beside the playbooks.
pub const LOCK_FILE: &str = "images.lock.yml";

/// One image.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// `registry/repository:tag`, as somebody wrote it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The manifest's digest; absent before the first `fleet images lock`.
    #[serde(default)]
    pub digest: Option<String>,
    /// What the image is called on a host.
    #[serde(default)]
    pub image_id: Option<String>,
}

/// All images, by the names roles use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageLock {
    /// In the order of the file.
    pub images: IndexMap<String, LockedImage>,
}

impl ImageLock {
    /// Reads the file.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let root = yaml::load(path, &Limits::default())?;
        let mut errors = Vec::new();
        let mut images = IndexMap::new();
        if root.as_mapping().is_none() && !root.is_null() {
            let message = format!("a lock file is a mapping of names, not {}", root.describe());
            return Err(vec![Diagnostic::error(message).at(root.span)]);
        }
        for (key, node) in root.as_mapping().unwrap_or_default() {
            match read(node) {
                Ok(image) => _ = images.insert(key.text.clone(), image),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(Self { images })
        } else {
            Err(errors)
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = String::from(
            "# Written by `fleet images lock`. To add an image, add its name and `ref`.\n",
        );
        for (name, image) in &self.images {
            // A JSON string is a YAML string, whatever is in it.
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let fields = [
                ("ref", Some(&image.reference)),
                ("digest", image.digest.as_ref()),
                ("image_id", image.image_id.as_ref()),
            ];
            writeln!(out, "{}:", quoted(name)).expect("a String takes everything");
            for (field, value) in fields {
                if let Some(value) = value {
                    writeln!(out, "  {field}: {}", quoted(value))
                        .expect("a String takes everything");
                }
            }
        }
        out
    }

    /// What templates see as `images`: each with `ref`, `digest`, `image_id`, and `pull`, which
    /// is `repository@digest`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let entry = |image: &LockedImage| {
            let mut fields = serde_json::Map::new();
            fields.insert("ref".to_owned(), image.reference.clone().into());
            if let Some(id) = &image.image_id {
                fields.insert("image_id".to_owned(), id.clone().into());
            }
            if let (Some(digest), Ok(reference)) =
                (&image.digest, image.reference.parse::<Reference>())
            {
                fields.insert("digest".to_owned(), digest.clone().into());
                let pull = format!("{}@{digest}", reference.name());
                fields.insert("pull".to_owned(), pull.into());
            }
            serde_json::Value::Object(fields)
        };
        self.images
            .iter()
            .map(|(name, image)| (name.clone(), entry(image)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn read(node: &Node) -> Result<LockedImage, Diagnostic> {
    let image: LockedImage = yaml::from_node(node)?;
    let at = |field: &str, message: String| {
        let place = node.get(field).unwrap_or(node);
        Diagnostic::error(message).at(place.span.clone())
    };
    let parsed = image.reference.parse::<Reference>();
    parsed.map_err(|message| at("ref", message))?;
    for (field, value) in [("digest", &image.digest), ("image_id", &image.image_id)] {
        if let Some(value) = value {
            check_digest(value).map_err(|message| at(field, message))?;
        }
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<ImageLock, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        ImageLock::load(file.path()).map_err(|errors| errors[0].message.clone())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let lock = load(&format!(
            "jre:\n  ref: r.example:5000/base/jre:17\n  digest: {digest}\n  image_id: {digest}\nnew: {{ref: redis:7}}\n"
        ))
        .unwrap();
        assert_eq!(load(&lock.to_yaml()), Ok(lock.clone()));
        let json = lock.to_json();
        assert_eq!(
            json["jre"]["pull"],
            format!("r.example:5000/base/jre@{digest}")
        );
        assert_eq!(json["new"], serde_json::json!({"ref": "redis:7"}));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("a: {ref: jre}", "neither tag nor digest"),
            ("a: {ref: \"jre:1\", digest: abc}", "a digest is"),
            ("a: {reff: \"jre:1\"}", "reff"),
            ("[a]", "a lock file is a mapping"),
        ] {
            assert!(load(text).unwrap_err().contains(reason), "{text}");
        }
        assert_eq!(load(""), Ok(ImageLock::default()));
    }
}
