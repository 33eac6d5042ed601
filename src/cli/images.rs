//! `fleet images`: the images of `images.lock.yml`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::session::Session;
use super::{artifacts, locks};
use crate::error::{Error, ErrorKind};
use crate::image::{self, ImageLock, LockedImage, Logins, Reference, Registry};
use crate::report::ExitCode;

/// Arguments of `fleet images`.
#[derive(Args, Clone, Debug)]
pub(super) struct ImagesArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Ask the registries which images the tags are, and write it down
    ///
    /// The lock file names images: `jre: {ref: "registry.example/base/jre:17"}`. This adds the
    /// digest and the image id of each. Roles use `images['jre'].pull`.
    Lock(LockArgs),
}

#[derive(Args, Clone, Debug)]
struct LockArgs {
    /// Only the images of these names
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The lock file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Write nothing; exit with 2 if a tag is another image than the one written down
    #[arg(long)]
    check: bool,

    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE")]
    registry_ca: Option<PathBuf>,

    /// Reach a registry at this address instead of asking DNS
    #[arg(long, value_name = "HOST:ADDRESS", value_parser = parse_resolve)]
    resolve: Vec<(String, SocketAddr)>,

    /// Docker's file of logins; without it `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
}

/// `registry.lab:127.0.0.1`; an IPv6 address may be in brackets.
fn parse_resolve(text: &str) -> Result<(String, SocketAddr), String> {
    let wrong = || format!("`{text}` is not HOST:ADDRESS, as in registry.example:192.0.2.1");
    let (host, address) = text.split_once(':').ok_or_else(wrong)?;
    let address: IpAddr = address
        .trim_matches(['[', ']'])
        .parse()
        .map_err(|_| wrong())?;
    if host.is_empty() {
        return Err(wrong());
    }
    // Port 0 leaves the port to the URL.
    Ok((host.to_owned(), SocketAddr::new(address, 0)))
}

pub(super) fn run(session: &mut Session, args: &ImagesArgs) -> Result<ExitCode, Error> {
    let Action::Lock(args) = &args.action;
    let path = lock_file(args)?;
    let mut lock = ImageLock::load(&path).map_err(Error::config)?;
    if let Some(unknown) = args
        .names
        .iter()
        .find(|name| !lock.images.contains_key(*name))
    {
        let message = format!("there is no image `{unknown}` in `{}`", path.display());
        return Err(Error::new(ErrorKind::Config, message));
    }
    let logins = match auth_file(args.auth_file.as_deref()) {
        Some(file) => Logins::read(&file, &session.redactor)
            .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?,
        None => Logins::default(),
    };
    let http = artifacts::client(args.registry_ca.as_deref(), args.resolve.clone())?;
    let registry = Registry::new(http, logins);
    let runtime = artifacts::runtime()?;
    let mut text = String::new();
    let (mut moved, mut failed) = (0, 0);
    for (name, image) in &mut lock.images {
        if !args.names.is_empty() && !args.names.contains(name) {
            continue;
        }
        let reference: Reference = image
            .reference
            .parse()
            .map_err(|message: String| Error::new(ErrorKind::Config, message))?;
        match runtime.block_on(registry.resolve(&reference)) {
            Ok(found) => {
                let now = LockedImage {
                    reference: image.reference.clone(),
                    digest: Some(found.digest),
                    image_id: Some(found.image_id),
                };
                if now != *image {
                    moved += 1;
                    let was = image.digest.as_deref().unwrap_or("not locked");
                    let is = now.digest.as_deref().unwrap_or_default();
                    _ = writeln!(text, "{name}: {was} → {is}");
                    *image = now;
                }
            }
            Err(error) => {
                failed += 1;
                _ = writeln!(text, "{name}: not resolved: {error}");
            }
        }
    }
    session.output.write(&text)?;
    // What could not be resolved keeps what it had.
    if moved > 0 && !args.check {
        replace(&path, &lock.to_yaml())?;
    }
    Ok(if args.check && moved > 0 {
        ExitCode::NotAsDeclared
    } else if failed == 0 {
        ExitCode::AsDeclared
    } else if args.check {
        ExitCode::Unknown
    } else {
        ExitCode::NotAsDeclared
    })
}

fn lock_file(args: &LockArgs) -> Result<PathBuf, Error> {
    let found = args
        .file
        .clone()
        .or_else(|| locks::beside(Path::new("playbooks/site.yml"), image::LOCK_FILE));
    found.ok_or_else(|| {
        let message = format!("there is no `{}` here or in `playbooks/`", image::LOCK_FILE);
        Error::new(ErrorKind::Config, message).hint(
            "write one: `jre: {ref: \"registry.example/base/jre:17\"}`, or name it with `--file`",
        )
    })
}

fn auth_file(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.to_owned());
    }
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    Some(folder.join("config.json")).filter(|path| path.exists())
}

/// Writes a whole file at once, so that nobody reads half a lock.
fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error| {
        let message = format!("cannot write `{}`", path.display());
        Error::new(ErrorKind::Internal, message).caused_by(error)
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let permissions = fs::metadata(path).map_err(failed)?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file()
        .set_permissions(permissions)
        .map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_a_host() {
        let (host, address) = parse_resolve("registry.lab:127.0.0.1").unwrap();
        assert_eq!(
            (host.as_str(), address.to_string().as_str()),
            ("registry.lab", "127.0.0.1:0")
        );
        assert!(parse_resolve("r:[::1]").unwrap().1.is_ipv6());
        for wrong in ["r", ":127.0.0.1", "r:other", "r:127.0.0.1:5000"] {
            assert!(parse_resolve(wrong).is_err(), "{wrong}");
        }
    }
}
