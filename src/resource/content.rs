//! What kinds that own a file's content have in common: showing how it differs, and putting a
//! new version in place.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use crate::host::{Command, Draft, Failure, Host};
use crate::protocol::Drift;

/// Longer texts are not shown as a diff, in bytes.
pub(super) const SHOWN_LIMIT: u64 = 256 * 1024;

/// How long a diff may take to be minimal; after that it is merely right.
const DIFF_DEADLINE: Duration = Duration::from_millis(200);

/// The unified diff from `old` (`None`: nothing is there) to `new`.
pub(super) fn unified_diff(path: &Path, old: Option<&str>, new: &str) -> String {
    let name = path.display().to_string();
    let from = if old.is_some() { &name } else { "/dev/null" };
    TextDiff::configure()
        .timeout(DIFF_DEADLINE)
        .diff_lines(old.unwrap_or_default(), new)
        .unified_diff()
        .context_radius(3)
        .header(from, &name)
        .to_string()
}

/// A difference in content, with its diff where both sides are text.
pub(super) fn content_drift(drift: Drift, path: &Path, old: Option<&[u8]>, new: &[u8]) -> Drift {
    let short = |bytes: &[u8]| bytes.len() as u64 <= SHOWN_LIMIT;
    let old = match old {
        None => Ok(None),
        Some(bytes) if short(bytes) => std::str::from_utf8(bytes).map(Some),
        Some(_) => return drift,
    };
    match (old, std::str::from_utf8(new)) {
        (Ok(old), Ok(text)) if short(new) => Drift {
            diff: Some(unified_diff(path, old, text)),
            ..drift
        },
        _ => drift,
    }
}

/// Finishes a new version: asks the `validate` command, keeps the old version if `backup` is
/// wanted, and puts the new one in its place.
pub(super) fn put_in_place(
    host: &Host,
    mut draft: Draft,
    path: &Path,
    validate: Option<&str>,
    backup: bool,
) -> Result<(), Failure> {
    if let Some(command) = validate {
        draft
            .flush()
            .map_err(|source| Failure::io("write", path, source))?;
        let file = draft.path();
        let argv = validate_words(command).map_err(Failure::Unexpected)?;
        let argv = argv
            .iter()
            .map(|word| word.replace("%s", &file.to_string_lossy()));
        Command::new(argv).run().map_err(|failure| match failure {
            Failure::Command(failure) => Failure::Refused(format!(
                "the new {} was not put in place, `validate` refused it: {failure}",
                path.display()
            )),
            failure => failure,
        })?;
    }
    if backup {
        host.keep_version(path)?;
    }
    draft.commit()
}

/// The words of a `validate` command.
pub(super) fn validate_words(command: &str) -> Result<Vec<String>, String> {
    if !command.contains("%s") {
        return Err("`validate` needs `%s`, which stands for the new version's path".to_owned());
    }
    super::command::words("validate", command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_how_text_differs() {
        let diff = unified_diff("/etc/x".as_ref(), Some("a\nb\n"), "a\nc");
        assert_eq!(
            diff,
            "--- /etc/x\n+++ /etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"
        );
        let made = unified_diff("/etc/x".as_ref(), None, "a\n");
        assert!(made.starts_with("--- /dev/null\n+++ /etc/x\n"), "{made}");
    }

    #[test]
    fn shows_no_diff_of_what_is_no_text_or_too_long() {
        let long = vec![b'x'; 300_000];
        for (old, new) in [
            (&b"\xff"[..], &b"a"[..]),
            (b"a", b"\xff"),
            (&long, b"a"),
            (b"a", &long),
        ] {
            let drift = Drift::update("content", "", "");
            assert_eq!(
                content_drift(drift, "/x".as_ref(), Some(old), new).diff,
                None
            );
        }
    }
}
