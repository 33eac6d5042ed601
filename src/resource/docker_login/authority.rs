//! The certificate authority of a registry.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::{Failure, FileMode, Host, Permissions};
use crate::protocol::Source;

/// The longest bundle of certificates, in bytes.
const LONGEST: u64 = 1024 * 1024;

const READABLE: Permissions = Permissions {
    uid: None,
    gid: None,
    mode: Some(FileMode::FILE),
};

/// The certificate of an authority, in PEM.
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
}

impl Authority {
    pub(super) fn validate(&self) -> Result<(), String> {
        match (&self.src, &self.content) {
            (Some(_), None) => Ok(()),
            (None, Some(text)) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(()),
            (None, Some(_)) => Err("the `content` of `ca` is no certificate in PEM".to_owned()),
            _ => Err("`ca` needs one of `src` and `content`".to_owned()),
        }
    }

    /// Whether the declared certificate is at `path`; `None` if nothing is.
    pub(super) fn observe(&self, host: &Host, path: &Path) -> Result<Option<bool>, Failure> {
        let Some(found) = host.read(path, LONGEST)? else {
            return Ok(None);
        };
        Ok(Some(match (&self.src, &self.content) {
            (Some(source), _) => crate::protocol::Sha256::of(&found) == source.content()?.sha256,
            (None, content) => found == content.as_deref().unwrap_or_default().as_bytes(),
        }))
    }

    /// Puts the certificate at `path`, readable for all: it is no secret. Returns what was there.
    pub(super) fn install(&self, host: &Host, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        let previous = host.read(path, LONGEST)?;
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

    /// Takes the certificate back: `previous` is what [`install`](Self::install) returned.
    pub(super) fn take_back(
        host: &Host,
        path: &Path,
        previous: Option<&[u8]>,
    ) -> Result<(), Failure> {
        match previous {
            Some(bytes) => host.write(path, bytes, READABLE),
            None => host.remove(path),
        }
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
