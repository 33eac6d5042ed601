//! The keys that open encrypted files, and where they are kept.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use age::x25519::{Identity, Recipient};

use super::{Secret, SecretError};
use crate::trust;

/// A file of keys is a few lines.
const LARGEST: u64 = 64 << 10;

/// Where the keys are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySource {
    /// The file that was named, and by what; `None` if nothing names one.
    pub file: Option<(PathBuf, &'static str)>,
}

impl KeySource {
    /// Finds the file: the environment wins over the settings, they over the home directory.
    #[must_use]
    pub fn find(
        environment: Option<&std::ffi::OsStr>,
        settings: Option<&Path>,
        home: Option<&Path>,
    ) -> Self {
        let environment = environment
            .filter(|path| !path.is_empty())
            .map(|path| (PathBuf::from(path), "FLEET_AGE_KEY_FILE"));
        let settings = || settings.map(|path| (path.to_owned(), "`identity` in fleet.yml"));
        let usual = || {
            home.map(|home| home.join(".config/fleet/age.key"))
                .filter(|path| path.exists())
                .map(|path| (path, "the usual place"))
        };
        Self {
            file: environment.or_else(settings).or_else(usual),
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// When there is no file, when others may read it, or when it holds no key.
    pub fn read(&self) -> Result<Vec<Identity>, SecretError> {
        let Some((path, by)) = &self.file else {
            return Err(SecretError::new("there is no key to decrypt with").help(
                "name the file of your key in FLEET_AGE_KEY_FILE, or in `fleet.yml` under `secrets: {identity: …}`",
            ));
        };
        let shown = path.display();
        let refuse =
            |reason: String| SecretError::new(format!("the key file `{shown}` ({by}) {reason}"));
        let file =
            fs::File::open(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let metadata = file
            .metadata()
            .map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if metadata.is_file() && metadata.mode() & 0o077 != 0 {
            let reason = format!(
                "may be read by others: its mode is {:04o}",
                metadata.mode() & 0o7777
            );
            return Err(refuse(reason).help(format!("take that away: `chmod 600 {shown}`")));
        }
        trust::check(path).map_err(|distrust| {
            refuse(format!("is not to be trusted: {distrust}")).help(distrust.help)
        })?;
        let mut text = String::new();
        file.take(LARGEST)
            .read_to_string(&mut text)
            .map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let text = Secret::new(text);
        let mut keys = Vec::new();
        for (at, line) in text.expose().lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with("-----BEGIN") {
                return Err(refuse("is a key of another kind, such as ssh's".to_owned())
                    .help("`fleet secret keygen` makes a key of age"));
            }
            // The line may be a key with a slip: it is not shown.
            let key = line
                .parse()
                .map_err(|_| refuse(format!("has no age key in line {}", at + 1)))?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(refuse("holds no key".to_owned()).help("`fleet secret keygen` makes one"));
        }
        Ok(keys)
    }
}

/// A new key as the text of its file, and the public key that belongs to it.
#[must_use]
pub fn generate() -> (Secret, String) {
    use age::secrecy::ExposeSecret as _;
    let key = Identity::generate();
    let public = key.to_public().to_string();
    let secret = key.to_string();
    let text = format!("# public key: {public}\n{}\n", secret.expose_secret());
    (Secret::new(text), public)
}

/// Reads a public key.
///
/// # Errors
/// When it is none.
pub fn parse_recipient(text: &str) -> Result<Recipient, String> {
    if text.starts_with("AGE-SECRET-KEY-") {
        return Err("this is a secret key; the public key begins with `age1`".to_owned());
    }
    if text.starts_with("ssh-") {
        return Err("keys of ssh are not supported; `fleet secret keygen` makes a key".to_owned());
    }
    text.parse()
        .map_err(|_| format!("`{text}` is not an age public key: it begins with `age1`"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key_file(text: &str, mode: u32) -> (tempfile::NamedTempFile, KeySource) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let source = KeySource::find(Some(file.path().as_os_str()), None, None);
        (file, source)
    }

    #[test]
    fn a_generated_key_can_be_read_back() {
        let (text, public) = generate();
        let (_file, source) = key_file(text.expose(), 0o600);
        let keys = source.read().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].to_public().to_string(), public);
        assert!(parse_recipient(&public).is_ok());
    }

    #[test]
    fn keys_of_ssh_are_refused_by_name() {
        let public = parse_recipient("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me")
            .err()
            .unwrap();
        assert!(
            public.contains("`fleet secret keygen` makes a key"),
            "{public}"
        );
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n";
        let (_file, source) = key_file(text, 0o600);
        let error = source.read().err().unwrap();
        assert!(
            error
                .message
                .ends_with("is a key of another kind, such as ssh's"),
            "{error}"
        );
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o620] {
            let (_file, source) = key_file(generate().0.expose(), mode);
            let error = source.read().err().unwrap();
            assert!(error.message.contains("may be read by others"), "{error}");
            assert!(error.help.unwrap().contains("chmod 600"));
        }
    }

    #[test]
    fn a_damaged_key_is_not_shown() {
        let (text, _) = generate();
        let slip = text
            .expose()
            .replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q");
        let (_file, source) = key_file(&slip, 0o600);
        let error = source.read().err().unwrap();
        assert!(
            error.message.ends_with("has no age key in line 2"),
            "{error}"
        );
        let error = parse_recipient("AGE-SECRET-KEY-1QQ").unwrap_err();
        assert!(!error.contains("1QQ"), "{error}");
    }

    #[test]
    fn the_environment_wins_over_the_settings_and_they_over_home() {
        let home = tempfile::tempdir().unwrap();
        let usual = home.path().join(".config/fleet/age.key");
        let find = |environment: Option<&str>, settings: Option<&str>| {
            KeySource::find(
                environment.map(AsRef::as_ref),
                settings.map(Path::new),
                Some(home.path()),
            )
            .file
            .map(|(path, _)| path)
        };
        assert_eq!(find(Some("/e"), Some("/s")), Some("/e".into()));
        assert_eq!(find(Some(""), Some("/s")), Some("/s".into()));
        assert_eq!(find(None, None), None);
        fs::create_dir_all(usual.parent().unwrap()).unwrap();
        fs::write(&usual, "").unwrap();
        assert_eq!(find(None, None), Some(usual));
    }
}
