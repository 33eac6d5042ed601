//! Docker's `config.json`: one entry changed, everything else kept.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::host::{Failure, FileKind, FileMode, Host, Permissions};
use crate::protocol::{Change, Drift};

/// Longer than any `config.json`, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// The mode of the directory it is in, as Docker makes it.
const DIRECTORY: FileMode = FileMode::from_bits(0o700);

/// One user's `config.json` as it is.
pub(super) struct Config {
    /// Where it really is: Docker follows links, so the file behind them is replaced.
    path: PathBuf,
    /// The whole document; empty without a file.
    document: Map<String, Value>,
    /// Owner and mode, if the file is there.
    file: Option<(u32, FileMode)>,
    /// Whose it is to be.
    uid: u32,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The document has passwords in it.
        f.debug_struct("Config")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Credentials, as Docker keeps them.
#[derive(PartialEq, Eq)]
pub(super) struct Entry {
    username: String,
    auth: String,
}

impl Entry {
    pub(super) fn new(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            auth: STANDARD.encode(format!("{username}:{password}")),
        }
    }

    /// The entry as found; `None` if it is none that Docker would use.
    fn read(value: &Value) -> Option<Self> {
        let auth = value["auth"].as_str()?.to_owned();
        // A token would take precedence over what is declared.
        if value.get("identitytoken").is_some_and(|token| token != "") {
            return None;
        }
        let decoded = STANDARD.decode(&auth).ok()?;
        let (username, _) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self {
            username: username.to_owned(),
            auth,
        })
    }
}

impl Config {
    pub(super) fn read(host: &Host, path: &Path, uid: u32) -> Result<Self, Failure> {
        let path = really(host, path, uid)?;
        let file = host.metadata(&path)?.map(|found| (found.uid, found.mode));
        let document = match host.read(&path, LONGEST)? {
            None => Map::new(),
            Some(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Some(bytes) => match serde_json::from_slice(&bytes) {
                Ok(Value::Object(document)) if is_sound(&document) => document,
                Ok(_) => return Err(unreadable(&path, "it is not what Docker writes")),
                Err(error) => return Err(unreadable(&path, &error.to_string())),
            },
        };
        Ok(Self {
            path,
            document,
            file,
            uid,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The credential helper that Docker asks for the registry instead of looking at its entry,
    /// after the setting that names it.
    pub(super) fn helper(&self, key: &str) -> Option<(String, &str)> {
        let own = self.document.get("credHelpers").map(|all| &all[key]);
        if let Some(helper) = own.and_then(Value::as_str) {
            return Some((format!("credHelpers.{key}"), helper));
        }
        let all = self.document.get("credsStore").and_then(Value::as_str);
        all.filter(|helper| !helper.is_empty())
            .map(|helper| ("credsStore".to_owned(), helper))
    }

    /// # Errors
    /// [`Failure::Refused`] if a credential helper answers for the registry.
    pub(super) fn refuse_helper(&self, key: &str) -> Result<(), Failure> {
        let Some((setting, helper)) = self.helper(key) else {
            return Ok(());
        };
        Err(Failure::Refused(format!(
            "{}: `{setting}` hands this registry to docker-credential-{helper}, so Docker would \
             not look at an entry; log in with that helper, or remove the setting",
            self.path.display()
        )))
    }

    /// The entry that Docker finds for a registry: keys were URLs once.
    pub(super) fn found(&self, key: &str) -> Option<&Value> {
        let auths = self.document.get("auths")?.as_object()?;
        auths.get(key).or_else(|| {
            let entry = auths.iter().find(|(found, _)| {
                let host = found
                    .trim_start_matches("https://")
                    .trim_start_matches("http://");
                host.split('/').next() == Some(key)
            });
            entry.map(|(_, entry)| entry)
        })
    }

    /// What differs from `entry` (`None`: there is to be none).
    pub(super) fn drift(&self, key: &str, entry: Option<&Entry>) -> Vec<Drift> {
        let found = self.document.get("auths").and_then(|auths| auths.get(key));
        let Some(entry) = entry else {
            let removed = found.map(|_| Drift::remove("login", "present"));
            return removed.into_iter().collect();
        };
        let mut drift = Vec::new();
        match found.map(Entry::read) {
            None => drift.push(Drift::create("login", &entry.username)),
            Some(Some(found)) if found == *entry => {}
            Some(Some(found)) if found.username != entry.username => {
                drift.push(Drift::update("username", &entry.username, found.username));
            }
            Some(_) => drift.push(Drift {
                sensitive: true,
                ..Drift::new(Change::Update, "password", "(secret)", "(secret changed)")
            }),
        }
        if let Some((uid, mode)) = self.file {
            if mode != FileMode::PRIVATE {
                let (private, mode) = (FileMode::PRIVATE.to_string(), mode.to_string());
                drift.push(Drift::update("mode", private, mode));
            }
            if uid != self.uid {
                drift.push(Drift::update(
                    "owner",
                    self.uid.to_string(),
                    uid.to_string(),
                ));
            }
        }
        drift
    }

    /// Writes the file with `entry` in place of what it has for this registry.
    pub(super) fn write(
        &self,
        host: &Host,
        uid: u32,
        key: &str,
        entry: Option<&Entry>,
    ) -> Result<(), Failure> {
        let mut document = self.document.clone();
        let auths = document.entry("auths").or_insert_with(|| json!({}));
        match (auths.as_object_mut(), entry) {
            (Some(auths), Some(entry)) => {
                auths.insert(key.to_owned(), json!({ "auth": entry.auth }));
            }
            (Some(auths), None) => {
                // Not `remove`: the others keep their order.
                auths.shift_remove(key);
            }
            (None, _) => return Err(unreadable(&self.path, "`auths` is no mapping")),
        }
        let owned = |mode| Permissions {
            uid: Some(uid),
            gid: None,
            mode: Some(mode),
        };
        if let Some(directory) = self.path.parent() {
            host.make_directory(directory, owned(DIRECTORY))?;
        }
        host.write(
            &self.path,
            &in_dockers_style(&document),
            owned(FileMode::PRIVATE),
        )
    }
}

/// Tabs, as Docker writes it, so that its next change is a small one.
fn in_dockers_style(document: &Map<String, Value>) -> Vec<u8> {
    let mut text = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, style);
    document
        .serialize(&mut writer)
        .expect("a map with text keys can be written to memory");
    text
}

/// Whether what fleet looks at has the shape Docker gives it.
fn is_sound(document: &Map<String, Value>) -> bool {
    ["auths", "credHelpers"]
        .iter()
        .all(|key| document.get(*key).is_none_or(Value::is_object))
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::Unexpected(format!(
        "{} cannot be understood ({why}); repair or remove it",
        path.display()
    ))
}

/// Follows the links that Docker would follow, in one's own files only: what root writes where
/// another user's link leads is that user's choice.
fn really(host: &Host, path: &Path, uid: u32) -> Result<PathBuf, Failure> {
    let own = uid == rustix::process::geteuid().as_raw();
    for part in [path.parent().unwrap_or(path), path] {
        let Some(found) = host.metadata(part)? else {
            return Ok(path.to_owned());
        };
        if !own && (found.kind == FileKind::Link || found.uid != uid && found.uid != 0) {
            return Err(Failure::Refused(format!(
                "{} is a link or belongs to somebody else; fleet writes no credentials there",
                part.display()
            )));
        }
    }
    host.real_path(path)
}
