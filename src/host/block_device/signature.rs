//! Signatures: what libblkid recognises on a device (file systems, partition tables, LVM, RAID,
//! LUKS, swap).

use std::fmt;
use std::path::{Path, PathBuf};

use super::PROBE_TIMEOUT;
use crate::host::{Command, Failure};

/// Something recognised on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The disk or partition it is on.
    pub(crate) node: PathBuf,
    /// What it is: `ext4`, `xfs`, `gpt`, `LVM2_member`.
    pub(crate) kind: String,
    /// Where it is, in hexadecimal bytes from the start.
    pub(crate) offset: String,
    /// The UUID, where it has one.
    pub(crate) uuid: String,
    /// The label, where it has one.
    pub(crate) label: String,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} on {} at {}",
            self.kind,
            self.node.display(),
            self.offset
        )?;
        if !self.label.is_empty() {
            write!(f, ", label {}", self.label)?;
        }
        if !self.uuid.is_empty() {
            write!(f, ", uuid {}", self.uuid)?;
        }
        Ok(())
    }
}

/// What is on `node`. `wipefs` without `--all` only looks.
pub(super) fn on(node: &Path) -> Result<Vec<Signature>, Failure> {
    let output = Command::new(["wipefs", "--parsable", "--"])
        .arg(node)
        .timeout(PROBE_TIMEOUT)
        .run()?;
    parse(node, &output.stdout).map_err(|line| {
        Failure::Unexpected(format!(
            "cannot tell what is on {}: `wipefs` printed `{line}`",
            node.display()
        ))
    })
}

/// Lines of `offset,uuid,label,type`; a label may have commas in it.
///
/// # Errors
/// The line that is none of these.
fn parse(node: &Path, text: &str) -> Result<Vec<Signature>, String> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| parse_line(node, line).ok_or_else(|| line.to_owned()))
        .collect()
}

fn parse_line(node: &Path, line: &str) -> Option<Signature> {
    let (offset, rest) = line.split_once(',')?;
    let (uuid, rest) = rest.split_once(',')?;
    let (label, kind) = rest.rsplit_once(',')?;
    (offset.starts_with("0x") && !kind.is_empty()).then(|| Signature {
        node: node.to_owned(),
        kind: kind.to_owned(),
        offset: offset.to_owned(),
        uuid: uuid.to_owned(),
        label: label.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let found = parse(Path::new("/dev/vdb"), text).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_wipefs_2_38() {
        assert_eq!(
            shown("0x438,8b7af638-9c4e-41ef-8341-67be1d7561f9,a,b,ext4\n"),
            ["ext4 on /dev/vdb at 0x438, label a,b, uuid 8b7af638-9c4e-41ef-8341-67be1d7561f9"]
        );
        assert_eq!(
            shown("0x200,,,gpt\n0xfffffe00,,,gpt\n0x1fe,,,PMBR\n"),
            [
                "gpt on /dev/vdb at 0x200",
                "gpt on /dev/vdb at 0xfffffe00",
                "PMBR on /dev/vdb at 0x1fe"
            ]
        );
        assert_eq!(shown(""), Vec::<String>::new());
    }

    #[test]
    fn reads_wipefs_2_23_with_its_heading() {
        assert_eq!(
            shown("# offset,uuid,label,type\n0x0,1d2a,,xfs\n"),
            ["xfs on /dev/vdb at 0x0, uuid 1d2a"]
        );
    }

    #[test]
    fn a_line_it_cannot_read_is_never_nothing() {
        for text in ["ext4", "0x438,,ext4", "438,,,ext4", "0x438,,,"] {
            assert_eq!(parse(Path::new("/dev/vdb"), text), Err(text.to_owned()));
        }
    }
}
