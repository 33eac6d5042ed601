//! Takes the manual of every kind, the `//!` at the top of its file, to where `fleet doc` finds
//! it: what is read in the source is what is printed.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const KINDS: &str = "src/resource";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={KINDS}");
    let mut table = String::from("&[\n");
    for (kind, file) in files()? {
        let manual = manual(&fs::read_to_string(file)?);
        writeln!(table, "    ({kind:?}, {manual:?}),").map_err(io::Error::other)?;
    }
    table.push(']');
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(Path::new(&out).join("manuals.rs"), table)
}

/// The files of kinds by name: `NAME.rs`, or `NAME/mod.rs`.
fn files() -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(KINDS)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = if path.is_dir() {
            path.join("mod.rs")
        } else {
            path.clone()
        };
        if name != "mod" && file.is_file() {
            files.push((name.into_owned(), file));
        }
    }
    files.sort();
    Ok(files)
}

/// The lines of the comment at the top, as they are written.
fn manual(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.join("\n")
}
