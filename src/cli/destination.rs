//! `--output FORMAT=FILE`: a report in a file.
//!
//! A file is replaced whole: whoever reads it finds the old report or the new one, also after a
//! crash. What is not a regular file (a pipe, `/dev/stderr`) is written into.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use super::options::Format;
use crate::error::{Error, ErrorKind};

/// A report in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub format: Format,
    pub path: PathBuf,
}

impl Destination {
    /// Reads `FORMAT=FILE`.
    ///
    /// # Errors
    /// What is wrong with it, for clap to say.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((format, path)) = text.split_once('=') else {
            return Err("it is FORMAT=FILE, as in `html=report.html`".to_owned());
        };
        let format = Format::from_str(format, false).map_err(|_| {
            let names: Vec<_> = Format::value_variants()
                .iter()
                .map(ToString::to_string)
                .collect();
            format!("no format `{format}`; there are {}", names.join(", "))
        })?;
        match path {
            "" => Err("it names no file".to_owned()),
            "-" | "/dev/stdout" => Err(format!("for standard output, say `--format {format}`")),
            path => Ok(Self {
                format,
                path: path.into(),
            }),
        }
    }

    /// Finds out whether the files can be written, before there is anything to write.
    ///
    /// # Errors
    /// The first that cannot, or is named twice.
    pub(super) fn check_all(all: &[Self]) -> Result<(), Error> {
        let mut paths = BTreeSet::new();
        for destination in all {
            if !paths.insert(&destination.path) {
                let path = destination.path.display();
                let message = format!("two reports would go to `{path}`");
                return Err(Error::new(ErrorKind::Usage, message).hint("give each its own file"));
            }
            destination.check().map_err(|error| {
                destination
                    .failed(error)
                    .hint("nothing was done on any host")
            })?;
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.place()? {
            Place::File { directory, .. } => self.temporary(&directory).map(drop),
            Place::Special => Ok(()),
        }
    }

    /// Puts the report there.
    ///
    /// # Errors
    /// When it cannot be written; then what was there still is.
    pub(super) fn write(&self, text: &str) -> Result<(), Error> {
        self.put(text).map_err(|error| self.failed(error))
    }

    fn put(&self, text: &str) -> io::Result<()> {
        match self.place()? {
            Place::Special => {
                let mut file = OpenOptions::new().write(true).open(&self.path)?;
                file.write_all(text.as_bytes())
            }
            Place::File { directory, path } => {
                let mut file = self.temporary(&directory)?;
                file.write_all(text.as_bytes())?;
                // The mode that was asked for at its creation went through the umask.
                file.as_file().set_permissions(self.permissions())?;
                file.as_file().sync_all()?;
                file.persist(path)?;
                File::open(directory)?.sync_all()
            }
        }
    }

    /// Opens the file for lines that are written while the run goes on. It begins empty, and a
    /// report that was there before is gone.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(&self) -> Result<File, Error> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let file = options.mode(self.permissions().mode()).open(&self.path);
        file.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: io::Error) -> Error {
        let message = format!("cannot write the report to `{}`", self.path.display());
        Error::new(ErrorKind::Internal, message).caused_by(error)
    }

    /// What differs on hosts is nobody else's business. Counts are, or no exporter could read
    /// them: it runs as a user of its own.
    fn permissions(&self) -> Permissions {
        Permissions::from_mode(match self.format {
            Format::Prometheus | Format::Nagios => 0o644,
            Format::Text | Format::Json | Format::Jsonl | Format::Junit | Format::Html => 0o600,
        })
    }

    /// A file to be renamed. Its name ends so that no collector takes it for a report.
    fn temporary(&self, directory: &Path) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new()
            .prefix(".fleet-")
            .suffix(".tmp")
            .permissions(self.permissions())
            .tempfile_in(directory)
    }

    fn place(&self) -> io::Result<Place> {
        let path = match fs::metadata(&self.path) {
            // A link is followed, so that it still leads to the report.
            Ok(found) if found.is_file() => fs::canonicalize(&self.path)?,
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => return Ok(Place::Special),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.path.clone(),
            Err(error) => return Err(error),
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Place::File { directory, path })
    }
}

/// What is where a report is to go.
enum Place {
    /// A regular file, or nothing yet.
    File { directory: PathBuf, path: PathBuf },
    /// A device or a pipe, which must not be replaced.
    Special,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_format_and_a_file() {
        for (text, expected) in [
            (
                "html=out/report=1.html",
                Ok((Format::Html, "out/report=1.html")),
            ),
            ("json=/dev/stderr", Ok((Format::Json, "/dev/stderr"))),
            (
                "report.html",
                Err("it is FORMAT=FILE, as in `html=report.html`"),
            ),
            (
                "yaml=x",
                Err(
                    "no format `yaml`; there are text, json, jsonl, junit, prometheus, nagios, html",
                ),
            ),
            ("html=", Err("it names no file")),
            ("html=-", Err("for standard output, say `--format html`")),
            (
                "html=/dev/stdout",
                Err("for standard output, say `--format html`"),
            ),
        ] {
            let found = Destination::parse(text);
            let found = found
                .as_ref()
                .map(|found| (found.format, found.path.to_str().unwrap()));
            assert_eq!(found.map_err(|error| &**error), expected, "{text}");
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_report_is_replaced_whole_and_only_counts_are_for_everybody() {
        let directory = tempfile::tempdir().unwrap();
        for (format, expected) in [(Format::Html, 0o600), (Format::Prometheus, 0o644)] {
            let path = directory.path().join(format.to_string());
            let destination = Destination { format, path };
            for text in ["first", "second"] {
                destination.write(text).unwrap();
                assert_eq!(fs::read_to_string(&destination.path).unwrap(), text);
                assert_eq!(mode(&destination.path), expected, "{format}");
            }
        }
        // Nothing is left beside them.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_still_leads_to_the_report_and_a_device_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let link = directory.path().join("link");
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let to = |path: &Path| Destination {
            format: Format::Json,
            path: path.to_owned(),
        };
        to(&link).write("new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");

        to(Path::new("/dev/null")).write("new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let full = to(Path::new("/dev/full")).write("new").unwrap_err();
        assert!(full.message.contains("/dev/full"), "{}", full.message);
    }

    #[test]
    fn what_cannot_be_written_is_found_out_before() {
        let directory = tempfile::tempdir().unwrap();
        let to = |name: &str| Destination {
            format: Format::Json,
            path: directory.path().join(name),
        };
        for wrong in [
            vec![to("missing/report")],
            vec![to("")],
            vec![to("a"), to("a")],
        ] {
            assert!(Destination::check_all(&wrong).is_err(), "{wrong:?}");
        }
        Destination::check_all(&[to("a"), to("b")]).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
