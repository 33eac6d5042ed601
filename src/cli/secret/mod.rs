//! `fleet secret`: encrypted files of variables.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::report::ExitCode;
use crate::secret::{self, Secret, SecretError, Settings};
use crate::yaml::{self, Limits};

mod editor;

/// Arguments of `fleet secret`.
#[derive(Args, Clone, Debug)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Make a key of your own; prints its public half, which goes into `fleet.yml`
    Keygen {
        /// Where to keep it; without it, ~/.config/fleet/age.key
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Encrypt files in place for the recipients of `fleet.yml`
    Encrypt(Files),
    /// Decrypt files in place
    Decrypt(Files),
    /// Print what is in encrypted files
    View(Files),
    /// Edit a file in $EDITOR; it is never on a disk in the clear
    Edit {
        /// The file; a new one is made if there is none
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Encrypt files again, for the recipients `fleet.yml` names now
    Rekey(Files),
}

#[derive(Args, Clone, Debug)]
struct Files {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(session: &mut Session, args: &SecretArgs) -> Result<ExitCode, Error> {
    match &args.action {
        Action::Keygen { output } => keygen(session, output.as_deref())?,
        Action::Encrypt(Files { files }) => {
            let tools = Tools::load()?;
            let texts = each(files, |path| {
                let text = read(path)?;
                if secret::is_encrypted(text.expose()) {
                    return Err(refuse(format!("`{}` is encrypted already", path.display()))
                        .hint("`fleet secret rekey` encrypts it for other recipients"));
                }
                check_yaml(path, &text)?;
                tools.seal(&text)
            })?;
            write_all(files, &texts)?;
        }
        Action::Decrypt(Files { files }) => {
            let tools = Tools::load()?;
            let texts = each(files, |path| tools.open(path))?;
            let texts: Vec<_> = texts.iter().map(|text| text.expose().to_owned()).collect();
            write_all(files, &texts)?;
        }
        Action::View(Files { files }) => {
            let tools = Tools::load()?;
            for text in each(files, |path| tools.open(path))? {
                session.output.write(text.expose())?;
            }
        }
        Action::Edit { file } => edit(file)?,
        Action::Rekey(Files { files }) => {
            let tools = Tools::load()?;
            let texts = each(files, |path| tools.seal(&tools.open(path)?))?;
            write_all(files, &texts)?;
        }
    }
    Ok(ExitCode::AsDeclared)
}

/// Does something with every file before anything is written: all of them, or none.
fn each<T>(files: &[PathBuf], act: impl Fn(&Path) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    files.iter().map(|path| act(path)).collect()
}

fn write_all(files: &[PathBuf], texts: &[String]) -> Result<(), Error> {
    files
        .iter()
        .zip(texts)
        .try_for_each(|(path, text)| replace(path, text.as_bytes()))
}

/// Keys and recipients.
struct Tools {
    recipients: Vec<age::x25519::Recipient>,
    keys: secret::KeySource,
}

impl Tools {
    fn load() -> Result<Self, Error> {
        let home = std::env::home_dir();
        let settings = Settings::load(Path::new(""), home.as_deref()).map_err(Error::config)?;
        let recipients = settings.recipients.iter();
        let recipients = recipients
            .map(|text| secret::parse_recipient(text))
            .collect::<Result<_, _>>()
            .map_err(refuse)?;
        Ok(Self {
            recipients,
            keys: settings.keys(home.as_deref()),
        })
    }

    fn seal(&self, text: &Secret) -> Result<String, Error> {
        secret::encrypt(text, &self.recipients).map_err(Error::from)
    }

    fn open(&self, path: &Path) -> Result<Secret, Error> {
        let text = read(path)?;
        if !secret::is_encrypted(text.expose()) {
            return Err(refuse(format!("`{}` is not encrypted", path.display())));
        }
        let keys = self.keys.read()?;
        Ok(secret::decrypt(path, text.expose(), &keys)?)
    }
}

fn keygen(session: &mut Session, output: Option<&Path>) -> Result<(), Error> {
    let usual = || Some(std::env::home_dir()?.join(".config/fleet/age.key"));
    let path = output.map(Path::to_owned).or_else(usual).ok_or_else(|| {
        refuse("there is no home directory to keep the key in").hint("name a file with `--output`")
    })?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| cannot("make", folder, error))?;
    }
    let (text, public) = secret::generate();
    // An existing key opens files that nobody else may be able to open.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| cannot("make", &path, error))?;
    file.write_all(text.expose().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| cannot("write", &path, error))?;
    session.output.write(&format!("{public}\n"))
}

fn edit(path: &Path) -> Result<(), Error> {
    let tools = Tools::load()?;
    let before = if path.exists() {
        tools.open(path)?
    } else {
        Secret::new("---\n")
    };
    // Found out before the work of editing is done.
    tools.seal(&before)?;
    let command = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let name = path
        .file_name()
        .map_or_else(|| OsString::from("secret.yml"), ToOwned::to_owned);
    let after = editor::edit(
        &command.unwrap_or_else(|| "vi".to_owned()),
        &name,
        &before,
        |text| check_yaml(path, text),
    )?;
    if after == before {
        return Ok(());
    }
    replace(path, tools.seal(&after)?.as_bytes())
}

/// A file of variables that is no YAML would be noticed only when a run needs it.
fn check_yaml(path: &Path, text: &Secret) -> Result<(), Error> {
    let node = yaml::parse(path, text.expose(), &Limits::default());
    let problem = match &node {
        Ok(node) if node.is_null() || node.as_mapping().is_some() => return Ok(()),
        Ok(_) => "is not a mapping of variables".to_owned(),
        Err(errors) => {
            let place = errors.iter().find_map(|error| error.span.as_ref());
            let place = place.map(yaml::Span::line_column);
            place.map_or_else(
                || "is not valid YAML".to_owned(),
                |(line, column)| format!("is not valid YAML in line {line}, column {column}"),
            )
        }
    };
    Err(refuse(format!(
        "the text for `{}` {problem}",
        path.display()
    )))
}

fn read(path: &Path) -> Result<Secret, Error> {
    const LARGEST: u64 = 32 << 20;
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| cannot("read", path, error))?;
    file.take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|error| cannot("read", path, error))?;
    Ok(Secret::new(text))
}

/// Puts a file in the place of another, with its mode, all at once.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |error| cannot("write", path, error);
    // A link keeps being one: what it names is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mode = fs::metadata(&target).map_or(0o600, |metadata| metadata.permissions().mode());
    let mut file = tempfile::Builder::new()
        .prefix(".fleet-")
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode & 0o7777))
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    refuse(format!("cannot {what} `{}`", path.display())).caused_by(error)
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        error
            .help
            .into_iter()
            .fold(refuse(error.message), Self::hint)
    }
}
