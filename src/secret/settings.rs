//! What `fleet.yml` says about secrets.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::store::check_command;
use super::{KeySource, Redactor, Store, Vault, parse_recipient};
use crate::diagnostic::{Diagnostic, nearest};
use crate::trust;
use crate::yaml::{self, Limits};

/// The file of settings, at the top of a project.
pub const SETTINGS_FILE: &str = "fleet.yml";

/// What it may say something about.
const SECTIONS: [&str; 2] = ["memory", "secrets"];

/// `secrets:` in `fleet.yml`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Public keys (`age1…`) that files are encrypted for.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The file of one's own key; a path relative to `fleet.yml`, `~/` is the home directory.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// Program and arguments that print the secret `{name}`. A program with a slash in it is
    /// found as `identity` is, any other in PATH.
    #[serde(default)]
    pub command: Vec<String>,
}

impl Settings {
    /// Reads the settings that hold in `directory`: the nearest `fleet.yml`, from there upwards, as
    /// far as the directories are the project's; none, if there is no such file.
    ///
    /// # Errors
    /// Everything wrong with them.
    pub fn load(directory: &Path, home: Option<&Path>) -> Result<Self, Vec<Diagnostic>> {
        let Some(path) = trust::find_upwards(directory, SETTINGS_FILE) else {
            return Ok(Self::default());
        };
        let file = yaml::load(&path, &Limits::default())?;
        check_sections(&file)?;
        let Some(node) = file.get("secrets") else {
            return Ok(Self::default());
        };
        let mut settings: Self = yaml::from_node(node).map_err(|error| vec![error.into()])?;
        let mut wrong: Vec<_> = node
            .get("recipients")
            .and_then(yaml::Node::as_sequence)
            .unwrap_or_default()
            .iter()
            .filter_map(|node| {
                let message = parse_recipient(node.text()?).err()?;
                Some(Diagnostic::error(message).at(node.span.clone()))
            })
            .collect();
        if let Some(node) = node.get("command")
            && let Err(reason) = check_command(&settings.command)
        {
            let message = format!("this command cannot be asked for secrets: {reason}");
            let error = Diagnostic::error(message).at(node.span.clone());
            wrong.push(error.help("for example `[pass, show, \"{name}\"]`"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let found = |file: &Path| match (file.strip_prefix("~"), home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.parent().unwrap_or(Path::new("")).join(file),
        };
        settings.identity = settings.identity.as_deref().map(found);
        if let Some(program) = settings.command.first_mut().filter(|it| it.contains('/')) {
            *program = found(Path::new(&*program)).to_string_lossy().into_owned();
            if let Err(distrust) = trust::check(Path::new(&*program)) {
                let message = format!("`{program}` cannot be asked for secrets: {distrust}");
                let error = Diagnostic::error(message).help(distrust.help);
                return Err(vec![match node.get("command") {
                    Some(node) => error.at(node.span.clone()),
                    None => error,
                }]);
            }
        }
        Ok(settings)
    }

    /// Where the keys are, the environment's `FLEET_AGE_KEY_FILE` included.
    #[must_use]
    pub fn keys(&self, home: Option<&Path>) -> KeySource {
        let environment = std::env::var_os("FLEET_AGE_KEY_FILE");
        KeySource::find(environment.as_deref(), self.identity.as_deref(), home)
    }

    /// The vault for what is read in `directory`; it tells `redactor` what it finds.
    ///
    /// # Errors
    /// Everything wrong with the settings.
    pub fn vault(directory: &Path, redactor: Redactor) -> Result<Vault, Vec<Diagnostic>> {
        let home = std::env::home_dir();
        let settings = Self::load(directory, home.as_deref())?;
        let keys = settings.keys(home.as_deref());
        let store = Store::new(settings.command, redactor.clone());
        Ok(Vault::new(keys, store, redactor))
    }
}

/// Refuses a section that nothing reads.
fn check_sections(file: &yaml::Node) -> Result<(), Vec<Diagnostic>> {
    let entries = file.as_mapping().unwrap_or_default().iter();
    let unknown = entries.filter(|(key, _)| !SECTIONS.contains(&key.text.as_str()));
    let errors: Vec<_> = unknown
        .map(|(key, _)| {
            let message = format!("unknown key `{}`", key.text);
            let error = Diagnostic::error(message).at(key.span.clone());
            error.help(match nearest(&key.text, SECTIONS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are `{}`", SECTIONS.join("`, `")),
            })
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::generate;

    fn load(text: &str) -> Result<Settings, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(SETTINGS_FILE), text).unwrap();
        let home = Some(Path::new("/home/a"));
        let mut settings =
            Settings::load(directory.path(), home).map_err(|errors| errors[0].message.clone())?;
        settings.identity = settings.identity.map(|path| {
            path.strip_prefix(directory.path())
                .map_or(path.clone(), Path::to_owned)
        });
        Ok(settings)
    }

    #[test]
    fn paths_are_relative_to_the_file_or_to_home() {
        for (written, expected) in [
            ("keys/a", "keys/a"),
            ("~/a.key", "/home/a/a.key"),
            ("/k", "/k"),
        ] {
            let settings =
                load(&format!("memory: {{}}\nsecrets: {{identity: {written}}}\n")).unwrap();
            assert_eq!(settings.identity, Some(expected.into()));
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_its_place() {
        let (_, public) = generate();
        assert!(load(&format!("secrets: {{recipients: [{public}]}}")).is_ok());
        assert_eq!(
            load("secrets: {recipients: [alice]}"),
            Err("`alice` is not an age public key: it begins with `age1`".to_owned())
        );
        assert!(load("secrets: {recipient: []}").is_err());
    }

    #[test]
    fn a_section_that_nothing_reads_is_refused() {
        for text in [
            "secret: {}",
            "forks: 5\nsecrets: {}",
            "memory: {}\nmemroy: {}",
        ] {
            let error = load(text).unwrap_err();
            assert!(error.starts_with("unknown key `"), "{text}: {error}");
        }
        assert!(load("memory: {keep_days: 3}").is_ok());
    }

    #[test]
    fn a_program_is_found_beside_the_file_or_in_path() {
        let program = |written: &str| {
            let settings = load(&format!("secrets: {{command: [{written}, \"{{name}}\"]}}"));
            settings.unwrap().command.swap_remove(0)
        };
        assert_eq!(program("pass"), "pass");
        assert_eq!(program("/bin/store"), "/bin/store");
        assert_eq!(program("~/bin/store"), "/home/a/bin/store");
        assert!(program("bin/store").starts_with('/'));
        assert!(program("bin/store").ends_with("/bin/store"));
    }

    #[test]
    fn a_command_without_a_place_for_the_name_is_refused() {
        assert_eq!(
            load("secrets: {command: [pass, show]}"),
            Err("this command cannot be asked for secrets: none of its arguments has a place for `{name}`".to_owned())
        );
        assert!(load("secrets: {command: []}").is_err());
        assert!(load("secrets: {command: pass}").is_err());
    }
}
