//! Cases as files: each input has the expected text beside it, with the suffix `.expected`.
//!
//! `UPDATE_EXPECTED=1 cargo test` writes what is there now; read the difference before you commit.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs every case below `tests/DIRECTORY` and compares. A case is a file or a directory.
pub(crate) fn check_all(directory: &str, run: impl Fn(&Path) -> String) {
    let directory = Path::new("tests").join(directory);
    let mut cases: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_none_or(|extension| extension != "expected")
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", directory.display());
    let mut wrong = String::new();
    for case in cases {
        let expected = case.with_extension("expected");
        let found = run(&case);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if found != wanted {
            let (case, expected) = (case.display(), expected.display());
            let _ = write!(wrong, "{case}:\n{found}\nbut {expected} says:\n{wanted}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
