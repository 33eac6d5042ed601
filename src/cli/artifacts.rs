//! `fleet artifacts`: the files of `artifacts.lock.yml`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::locks;
use super::session::Session;
use super::settings::ProgressStyle;
use crate::artifact::{self, Artifact, ArtifactLock, Found};
use crate::error::{Error, ErrorKind};
use crate::http::{self, Http};
use crate::report::ExitCode;

/// Arguments of `fleet artifacts`.
#[derive(Args, Clone, Debug)]
pub(super) struct ArtifactsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Compare the files with the lock file, without a network
    ///
    /// Exits with 2 if a file is missing or is not what it should be.
    Verify(Which),
    /// Fetch the files that are missing or wrong from their origins
    ///
    /// What was cut off goes on where it ended. No file is there under its name before it is
    /// known to be the one the lock file means.
    Fetch(FetchArgs),
}

#[derive(Args, Clone, Debug)]
struct Which {
    /// Only the artifacts of these names
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The lock file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
struct FetchArgs {
    #[command(flatten)]
    which: Which,

    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(super) fn run(session: &mut Session, args: &ArtifactsArgs) -> Result<ExitCode, Error> {
    match &args.action {
        Action::Verify(which) => verify(session, which),
        Action::Fetch(args) => fetch(session, args),
    }
}

/// Of each artifact: its name, where it is, and what is there.
struct Looked<'l> {
    name: &'l str,
    artifact: &'l Artifact,
    path: PathBuf,
    found: Found,
}

fn look<'l>(lock: &'l ArtifactLock, names: &[String]) -> Result<Vec<Looked<'l>>, Error> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !lock.artifacts.contains_key(*name))
    {
        let error = Error::new(
            ErrorKind::Config,
            format!("there is no artifact `{unknown}`"),
        );
        let known = lock.artifacts.keys().map(String::as_str);
        return Err(match crate::diagnostic::nearest(unknown, known) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        });
    }
    let wanted = lock
        .artifacts
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(name));
    wanted
        .map(|(name, artifact)| {
            let path = lock.path(artifact);
            let found = artifact::verify(&path, artifact).map_err(|error| {
                let message = format!("cannot read `{}`", path.display());
                Error::new(ErrorKind::Internal, message).caused_by(error)
            })?;
            Ok(Looked {
                name,
                artifact,
                path,
                found,
            })
        })
        .collect()
}

fn load(which: &Which) -> Result<ArtifactLock, Error> {
    let path = match &which.file {
        Some(path) => path.clone(),
        None => locks::beside(Path::new("playbooks/site.yml"), artifact::LOCK_FILE).ok_or_else(
            || {
                let message = format!(
                    "there is no `{}` here or in `playbooks/`",
                    artifact::LOCK_FILE
                );
                Error::new(ErrorKind::Config, message).hint("name it with `--file`")
            },
        )?,
    };
    ArtifactLock::load(&path).map_err(Error::config)
}

fn verify(session: &mut Session, which: &Which) -> Result<ExitCode, Error> {
    let lock = load(which)?;
    let looked = look(&lock, &which.names)?;
    let mut text = String::new();
    for Looked {
        name,
        artifact,
        found,
        ..
    } in &looked
    {
        if let Some(problem) = problem(found, artifact) {
            _ = writeln!(text, "{name}: {} {problem}", artifact.file.display());
        }
    }
    let wrong = text.lines().count();
    let all = looked.len();
    _ = writeln!(text, "{} of {all} artifacts are as locked", all - wrong);
    session.output.write(&text)?;
    Ok(if wrong == 0 {
        ExitCode::AsDeclared
    } else {
        ExitCode::NotAsDeclared
    })
}

fn problem(found: &Found, artifact: &Artifact) -> Option<String> {
    match found {
        Found::Good => None,
        Found::Missing => Some("is missing".to_owned()),
        Found::Size(size) => Some(format!("has {size} bytes instead of {}", artifact.size)),
        Found::Content(sha256) => Some(format!(
            "has the sha256 {sha256} instead of {}",
            artifact.sha256
        )),
    }
}

fn fetch(session: &mut Session, args: &FetchArgs) -> Result<ExitCode, Error> {
    let lock = load(&args.which)?;
    let looked = look(&lock, &args.which.names)?;
    let http = client(args.ca.as_deref(), Vec::new())?;
    let runtime = runtime()?;
    let mut text = String::new();
    let mut failed = 0;
    for looked in looked.iter().filter(|looked| looked.found != Found::Good) {
        let Looked {
            name,
            artifact,
            path,
            ..
        } = looked;
        let bar = match session.settings.progress {
            ProgressStyle::Live => indicatif::ProgressBar::new(artifact.size),
            ProgressStyle::Plain | ProgressStyle::None => indicatif::ProgressBar::hidden(),
        };
        bar.set_style(style());
        bar.set_message((*name).to_owned());
        let done = runtime.block_on(artifact::fetch(&http, artifact, path, |bytes| {
            bar.set_position(bytes);
        }));
        bar.finish_and_clear();
        match done {
            Ok(()) => _ = writeln!(text, "{name}: fetched {}", artifact.file.display()),
            Err(error) => {
                failed += 1;
                _ = writeln!(text, "{name}: not fetched: {error}");
            }
        }
    }
    session.output.write(&text)?;
    Ok(if failed == 0 {
        ExitCode::AsDeclared
    } else {
        ExitCode::NotAsDeclared
    })
}

fn style() -> indicatif::ProgressStyle {
    indicatif::ProgressStyle::with_template("{msg} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar())
}

/// A client that trusts the certificates of `ca` too.
pub(super) fn client(
    ca: Option<&Path>,
    resolve: Vec<(String, std::net::SocketAddr)>,
) -> Result<Http, Error> {
    let authorities = ca.map(|path| {
        std::fs::read(path).map_err(|error| {
            let message = format!("cannot read the certificates in `{}`", path.display());
            Error::new(ErrorKind::Usage, message).caused_by(error)
        })
    });
    let options = http::Options {
        authorities: authorities.transpose()?.into_iter().collect(),
        resolve,
        ..http::Options::default()
    };
    Http::new(options)
        .map_err(|error| Error::new(ErrorKind::Usage, "cannot use the network").caused_by(error))
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot start").caused_by(error))
}
