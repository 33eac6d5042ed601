//! The certificate authority of a registry.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{Failure, FileKind, FileMode, Host, Permissions};
use crate::protocol::{Drift, Source};
use crate::resource::presence::Presence;

/// The longest bundle of certificates, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// No secret, and nothing to write to: CIS 3.8.
const MODE: FileMode = FileMode::from_bits(0o444);

const READABLE: Permissions = Permissions {
    uid: None,
    gid: None,
    mode: Some(MODE),
};

/// The certificate of an authority, in PEM; one of `src`, `content` and `state: absent`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// The file to take it from, looked up in `files/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<Source>,
    /// The certificate itself; instead of `src`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// `present` (the default), or `absent`: fleet's certificate is taken back.
    #[serde(default)]
    pub state: Presence,
}

/// What there is where a certificate should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The declared one.
    Declared,
    /// The declared one, in a file of another mode.
    Mode(FileMode),
    /// Another one.
    Other,
    /// No file.
    Nothing,
}

/// What was there before a certificate was put in its place.
#[derive(Debug)]
pub(super) struct Previous {
    /// The file, if there was one.
    content: Option<Vec<u8>>,
    /// The directories that were not there, innermost first.
    missing: Vec<PathBuf>,
}

impl Authority {
    pub(super) fn validate(&self) -> Result<(), String> {
        match (&self.src, &self.content) {
            (None, None) if self.state == Presence::Absent => Ok(()),
            _ if self.state == Presence::Absent => {
                Err("`state: absent` of `ca` takes neither `src` nor `content`".to_owned())
            }
            (Some(_), None) => Ok(()),
            (None, Some(text)) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(()),
            (None, Some(_)) => Err("the `content` of `ca` is no certificate in PEM".to_owned()),
            _ => Err("`ca` needs one of `src` and `content`".to_owned()),
        }
    }

    /// What is at `path` where the declared certificate should be.
    pub(super) fn observe(&self, host: &Host, path: &Path) -> Result<Standing, Failure> {
        let Some(found) = host.read(path, LONGEST)? else {
            return Ok(Standing::Nothing);
        };
        let declared = match (&self.src, &self.content) {
            (Some(source), _) => crate::protocol::Sha256::of(&found) == source.content()?.sha256,
            (None, content) => found == content.as_deref().unwrap_or_default().as_bytes(),
        };
        if !declared || self.state == Presence::Absent {
            return Ok(Standing::Other);
        }
        Ok(match host.metadata(path)? {
            // Through a link it is another file, whose mode is not ours.
            Some(found) if found.kind == FileKind::File && found.mode != MODE => {
                Standing::Mode(found.mode)
            }
            _ => Standing::Declared,
        })
    }

    /// What differs from the declaration.
    pub(super) fn drift(&self, standing: Standing) -> Option<Drift> {
        match (self.state, standing) {
            (Presence::Present, Standing::Declared) | (Presence::Absent, Standing::Nothing) => None,
            (Presence::Present, Standing::Nothing) => Some(Drift::create("ca", "installed")),
            (Presence::Present, Standing::Other) => {
                Some(Drift::update("ca", "declared", "another"))
            }
            (Presence::Present, Standing::Mode(mode)) => {
                Some(Drift::update("ca mode", MODE.to_string(), mode.to_string()))
            }
            (Presence::Absent, _) => Some(Drift::remove("ca", "installed")),
        }
    }

    /// Puts the certificate at `path`, readable for all: it is no secret; or removes what is
    /// there. Returns what was there.
    pub(super) fn install(&self, host: &Host, path: &Path) -> Result<Previous, Failure> {
        let mut missing = Vec::new();
        for directory in path.ancestors().skip(1) {
            if host.metadata(directory)?.is_some() {
                break;
            }
            missing.push(directory.to_owned());
        }
        let previous = Previous {
            content: host.read(path, LONGEST)?,
            missing,
        };
        if self.state == Presence::Absent {
            host.remove(path)?;
            return Ok(previous);
        }
        let mut bytes = Vec::new();
        match (&self.src, &self.content) {
            (Some(source), _) => {
                let content = source.content()?;
                if content.size > LONGEST {
                    return Err(Failure::Refused(format!(
                        "the `src` of `ca` has {} bytes; that is no certificate",
                        content.size
                    )));
                }
                host.fetch(content, &mut bytes, path)?;
            }
            (None, content) => {
                bytes.extend_from_slice(content.as_deref().unwrap_or_default().as_bytes());
            }
        }
        if let Some(directory) = path.parent() {
            host.make_directory(directory, Permissions::default())?;
        }
        host.write(path, &bytes, READABLE)?;
        Ok(previous)
    }

    /// Takes back what [`install`](Self::install) did.
    pub(super) fn take_back(host: &Host, path: &Path, previous: &Previous) -> Result<(), Failure> {
        if let Some(content) = &previous.content {
            return host.write(path, content, READABLE);
        }
        host.remove(path)?;
        for directory in &previous.missing {
            // One that somebody put something into meanwhile stays.
            let _ = host.remove_empty_directory(directory);
        }
        Ok(())
    }
}

/// The way out, where a registry's certificate was not trusted; empty otherwise.
pub(in crate::resource) fn hint(reason: &str) -> &'static str {
    if reason.contains("x509: certificate signed by unknown authority")
        || reason.contains("failed to verify certificate")
    {
        "\n    give the certificate of its authority to `ca` of docker_login"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\none\n";
    const OTHER: &str = "-----BEGIN CERTIFICATE-----\nother\n";

    fn declared(json: serde_json::Value) -> Authority {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_certificate_is_put_there_changed_and_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::offline(directory.path());
        let path = directory.path().join("certs.d/reg.example:5000/ca.crt");
        let differs = |authority: &Authority| {
            let standing = authority.observe(&host, &path).unwrap();
            let drift = authority.drift(standing);
            drift.map(|it| format!("{} {} ← {}", it.attribute, it.expected, it.actual))
        };
        let absent = declared(serde_json::json!({ "state": "absent" }));
        assert_eq!(differs(&absent), None);
        let mut before = None;
        for (authority, expected) in [
            (
                declared(serde_json::json!({ "content": ONE })),
                "ca installed ← absent",
            ),
            (
                declared(serde_json::json!({ "content": OTHER })),
                "ca declared ← another",
            ),
            (absent, "ca absent ← installed"),
        ] {
            assert_eq!(differs(&authority).as_deref(), Some(expected));
            let previous = authority.install(&host, &path).unwrap();
            assert_eq!(previous.content, before, "what was there");
            assert_eq!(differs(&authority), None);
            before = authority.content.map(String::into_bytes);
        }
        assert!(!path.exists());
    }

    #[test]
    fn nobody_may_write_to_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::offline(directory.path());
        let path = directory.path().join("ca.crt");
        let authority = declared(serde_json::json!({ "content": ONE }));
        std::fs::write(&path, ONE).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, permissions).unwrap();
        let standing = authority.observe(&host, &path).unwrap();
        let drift = authority.drift(standing).unwrap();
        assert_eq!(
            (&*drift.attribute, &*drift.expected, &*drift.actual),
            ("ca mode", "0444", "0644")
        );
        let _ = authority.install(&host, &path).unwrap();
        assert_eq!(authority.observe(&host, &path).unwrap(), Standing::Declared);
    }

    #[test]
    fn what_was_put_there_is_taken_back_with_its_directories() {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::offline(directory.path());
        let certs = directory.path().join("certs.d");
        let path = certs.join("reg.example:5000/ca.crt");
        let authority = declared(serde_json::json!({ "content": ONE }));
        let previous = authority.install(&host, &path).unwrap();
        Authority::take_back(&host, &path, &previous).unwrap();
        assert!(!certs.exists());

        let _ = authority.install(&host, &path).unwrap();
        let other = declared(serde_json::json!({ "content": OTHER }));
        let previous = other.install(&host, &path).unwrap();
        Authority::take_back(&host, &path, &previous).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), ONE);

        std::fs::remove_dir_all(&certs).unwrap();
        let previous = authority.install(&host, &path).unwrap();
        std::fs::write(certs.join("another's"), "").unwrap();
        Authority::take_back(&host, &path, &previous).unwrap();
        assert!(!path.exists() && certs.join("another's").exists());
    }

    #[test]
    fn validate_wants_one_of_three() {
        for (fields, expected) in [
            (serde_json::json!({}), "one of `src` and `content`"),
            (
                serde_json::json!({ "state": "absent", "content": ONE }),
                "takes neither",
            ),
            (serde_json::json!({ "content": "x" }), "no certificate"),
        ] {
            let problem = declared(fields).validate().unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
