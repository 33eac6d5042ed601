//! Loading an image from a file of `docker save`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Digest;
use crate::host::{Command, Failure, Host, docker_api};
use crate::protocol::{Output, Sha256, Source};

/// The longest `manifest.json` and the longest list of contents that is read, in bytes.
const LONGEST: usize = 1024 * 1024;

/// Loads the image `id` from an archive of the controller.
///
/// # Errors
/// [`Failure::Refused`] if the archive is of another image, or broken: what it says about itself
/// is checked here, its layers by Docker, against that.
pub(super) fn load(
    host: &Host,
    source: &Source,
    id: Digest,
    timeout: Duration,
) -> Result<Output, Failure> {
    let content = source.content()?;
    let file = host.fetch_staged(content, &format!("{}.tar", content.sha256))?;
    check(file.path(), id)?;
    docker_api::program(host)?
        .args([
            "load".as_ref(),
            "--quiet".as_ref(),
            "--input".as_ref(),
            file.path().as_os_str(),
        ])
        .timeout(timeout)
        .run()
        .map_err(|failure| match failure {
            Failure::Command(command) => Failure::Refused(format!(
                "Docker refuses the archive: {}",
                command.output.stderr.trim()
            )),
            failure => failure,
        })
}

/// Insists that the archive holds one image, and that it is `id`.
fn check(archive: &Path, id: Digest) -> Result<(), Failure> {
    let archive = Archive::open(archive)?;
    let images: Value = serde_json::from_str(&archive.member("manifest.json")?)
        .map_err(|error| refused(format!("its manifest.json makes no sense: {error}")))?;
    let Some([image]) = images.as_array().map(Vec::as_slice) else {
        return Err(refused("it holds more or less than one image"));
    };
    let Some(config) = image["Config"].as_str() else {
        return Err(refused("its manifest.json names no image"));
    };
    // The id is the hash of the configuration, which has those of all layers in it.
    let found = Sha256::of(archive.member(config)?.as_bytes());
    if id == Digest::from(found) {
        return Ok(());
    }
    Err(refused(format!(
        "it holds the image {}, not {id}",
        Digest::from(found)
    )))
}

/// A tar file and what is in it, by the names as they are stored.
struct Archive<'a> {
    path: &'a Path,
    members: String,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let members = tar(Command::new(["tar", "-tf"]).arg(path))?;
        Ok(Self { path, members })
    }

    /// One short text. Docker does not mind a `./` before its name, and where there are several
    /// it takes another than would be looked at here.
    fn member(&self, name: &str) -> Result<String, Failure> {
        let plain = |stored: &str| -> PathBuf { Path::new(stored).components().collect() };
        let wanted = plain(name);
        let is_wanted = |stored: &&str| plain(stored.trim_start_matches("./")) == wanted;
        let mut found = self.members.lines().filter(is_wanted);
        match (found.next(), found.next()) {
            (Some(stored), None) => tar(Command::new(["tar", "-xOf"])
                .arg(self.path)
                .args(["--", stored])),
            (None, _) => Err(refused(format!(
                "it is no file of `docker save`: there is no `{name}` in it"
            ))),
            (Some(_), Some(_)) => Err(refused(format!("it holds `{name}` more than once"))),
        }
    }
}

/// What a tar program prints, whole.
fn tar(program: Command) -> Result<String, Failure> {
    let tar = program.keep(LONGEST).output()?;
    if tar.rc == 0 && !tar.truncated {
        return Ok(tar.stdout);
    }
    let said = tar.stderr.lines().next().unwrap_or("too long").to_owned();
    Err(refused(format!(
        "it is no file of `docker save`, or was cut off ({said})"
    )))
}

fn refused(why: impl std::fmt::Display) -> Failure {
    Failure::Refused(format!("the archive is refused: {why}; nothing was loaded"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Checks an archive of these files; the id wanted is that of `{}`.
    fn checked(files: &[(&str, &str)]) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        packed(directory.path(), files.iter().map(|(name, _)| *name))
    }

    /// Checks an archive of these members.
    fn packed<'n>(
        directory: &Path,
        members: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), String> {
        Command::new(["tar", "--hard-dereference", "-cf", "image.tar"])
            .args(members)
            .directory(directory)
            .run()
            .unwrap();
        let archive = directory.join("image.tar");
        check(&archive, Sha256::of(b"{}").into()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn names_may_begin_with_a_dot_and_must_be_there_once() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("manifest.json", r#"[{"Config":"a.json"}]"#);
        write("a.json", "{}");
        for members in [
            ["./manifest.json", "./a.json"],
            ["./a.json", "manifest.json"],
        ] {
            assert_eq!(packed(directory.path(), members), Ok(()), "{members:?}");
        }
        let twice = ["manifest.json", "a.json", "./manifest.json"];
        let problem = packed(directory.path(), twice).unwrap_err();
        assert!(
            problem.contains("it holds `manifest.json` more than once"),
            "{problem}"
        );
        let problem = packed(directory.path(), ["a.json"]).unwrap_err();
        assert!(
            problem.contains("no file of `docker save`: there is no `manifest.json` in it"),
            "{problem}"
        );
    }

    #[test]
    fn the_configuration_itself_says_which_image_it_is() {
        let manifest = ("manifest.json", r#"[{"Config":"a.json"}]"#);
        assert_eq!(checked(&[manifest, ("a.json", "{}")]), Ok(()));
        let other = checked(&[manifest, ("a.json", "{ }")]).unwrap_err();
        assert!(other.contains("it holds the image sha256:"), "{other}");
        assert!(other.ends_with("nothing was loaded"), "{other}");
    }

    #[test]
    fn what_is_no_archive_of_one_image_is_refused() {
        for (manifest, expected) in [
            ("[]", "more or less than one image"),
            (
                r#"[{"Config":"a"},{"Config":"b"}]"#,
                "more or less than one image",
            ),
            (r#"[{"Config":1}]"#, "names no image"),
            (
                r#"[{"Config":"--to-command=sh"}]"#,
                "there is no `--to-command=sh` in it",
            ),
            ("{", "makes no sense"),
        ] {
            let problem = checked(&[("manifest.json", manifest)]).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.tar");
        fs::write(&file, "no archive").unwrap();
        let failure = check(&file, Sha256::of(b"").into())
            .unwrap_err()
            .to_string();
        assert!(failure.contains("no file of `docker save`"), "{failure}");
    }
}
