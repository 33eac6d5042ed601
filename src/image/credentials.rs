//! Logins to registries, as `docker login` keeps them.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::secret::{Redactor, Secret};

/// A login to one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// The proof.
    pub password: Secret,
}

/// Logins by registry.
#[derive(Clone, Debug, Default)]
pub struct Logins(BTreeMap<String, Credentials>);

/// A file of logins is of no use.
#[derive(Debug, thiserror::Error)]
#[error("the file of logins `{path}` {reason}")]
pub struct CredentialsError {
    path: String,
    reason: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
}

impl Logins {
    /// Reads Docker's `config.json`; what is secret in it is told to `redactor`.
    ///
    /// # Errors
    /// When it cannot be read. What is in it is not shown.
    pub fn read(path: &Path, redactor: &Redactor) -> Result<Self, CredentialsError> {
        let refuse = |reason: String| CredentialsError {
            path: path.display().to_string(),
            reason,
        };
        let text =
            std::fs::read(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let file: File = serde_json::from_slice(&text).map_err(|error| {
            refuse(format!(
                "is not JSON as Docker writes it, in line {}",
                error.line()
            ))
        })?;
        let mut logins = BTreeMap::new();
        for (registry, entry) in file.auths {
            // With a credential helper there is an entry without a login.
            let Some(auth) = entry.auth.filter(|auth| !auth.is_empty()) else {
                continue;
            };
            let decoded = STANDARD.decode(auth.trim()).ok();
            let (username, password) = decoded
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|text| {
                    let (user, password) = text.split_once(':')?;
                    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
                })
                .ok_or_else(|| refuse(format!("has no login in the entry `{registry}`")))?;
            redactor.add(&password);
            redactor.add(&auth);
            let password = Secret::new(password);
            logins.insert(
                host_of(&registry).to_owned(),
                Credentials { username, password },
            );
        }
        Ok(Self(logins))
    }

    /// Adds a login.
    #[must_use]
    pub fn with(mut self, registry: &str, credentials: Credentials) -> Self {
        self.0.insert(host_of(registry).to_owned(), credentials);
        self
    }

    /// The login for a registry, named as in a reference.
    #[must_use]
    pub fn get(&self, registry: &str) -> Option<&Credentials> {
        self.0.get(registry)
    }
}

/// Keys were URLs once, and Docker Hub's still is.
fn host_of(key: &str) -> &str {
    let host = key
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or(host);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_as_docker_writes_them_and_are_secrets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let auth = STANDARD.encode("puller:pa:ss/word");
        let text = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}}, "r.example:5000": {{"auth": "{auth}"}}, "helper.example": {{}}}}, "other": 1}}"#
        );
        std::fs::write(file.path(), text).unwrap();
        let redactor = Redactor::default();
        let logins = Logins::read(file.path(), &redactor).unwrap();
        for registry in ["docker.io", "r.example:5000"] {
            let login = logins.get(registry).unwrap();
            assert_eq!(
                (login.username.as_str(), login.password.expose()),
                ("puller", "pa:ss/word")
            );
        }
        assert_eq!(logins.get("helper.example"), None);
        assert!(redactor.finds("pa:ss/word") && redactor.finds(&auth));
        assert!(!format!("{logins:?}").contains("pa:ss"));
    }

    #[test]
    fn a_broken_file_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in [
            "{\"auths\": {\"r\": {\"auth\": \"c2VjcmV0\"}}}",
            "{\"auths\": hunter2}",
        ] {
            std::fs::write(file.path(), text).unwrap();
            let error = Logins::read(file.path(), &Redactor::default()).unwrap_err();
            let text = error.to_string();
            assert!(
                !text.contains("c2Vjc") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }
}
