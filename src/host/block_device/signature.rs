//! Signatures: what libblkid recognises on a device (file systems, partition tables, LVM, RAID,
//! LUKS, swap).

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
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
    let mut signatures = parse(node, &output.stdout).map_err(|line| {
        Failure::Unexpected(format!(
            "cannot tell what is on {}: `wipefs` printed `{line}`",
            node.display()
        ))
    })?;
    if signatures.is_empty() && is_protected(node)? {
        signatures.push(Signature {
            node: node.to_owned(),
            kind: "PMBR".to_owned(),
            offset: format!("{MAGIC_AT:#x}"),
            uuid: String::new(),
            label: String::new(),
        });
    }
    Ok(signatures)
}

/// Where the first sector says that a partition table is in it, and how.
const MAGIC_AT: usize = 510;
const MAGIC: [u8; 2] = [0x55, 0xaa];

/// Where the first of its four partitions is, how long each is, and where its type is in that.
const PARTITIONS_AT: usize = 446;
const PARTITION_LENGTH: usize = 16;
const TYPE_AT: usize = 4;

/// The type of the one that protects a GPT from programs that know none.
const PROTECTIVE: u8 = 0xee;

/// Whether the first sector is what is left of a GPT: the wipefs of CentOS 7 (util-linux 2.23)
/// erases both headers and leaves it, and its LVM takes no disk that has it.
fn has_protective_record(device: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut sector = [0; 512];
    device.seek(SeekFrom::Start(0))?;
    match device.read_exact(&mut sector) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let types = sector[PARTITIONS_AT..MAGIC_AT].chunks(PARTITION_LENGTH);
    let mut types = types.map(|partition| partition[TYPE_AT]);
    Ok(sector[MAGIC_AT..] == MAGIC && types.any(|kind| kind == PROTECTIVE))
}

fn is_protected(node: &Path) -> Result<bool, Failure> {
    File::open(node)
        .and_then(|mut device| has_protective_record(&mut device))
        .map_err(|source| Failure::io("read", node, source))
}

/// Erases that, as a newer wipefs does. A device that has none is not even opened for writing, after
/// which udev would look at it anew.
pub(super) fn erase_protective_record(node: &Path) -> Result<(), Failure> {
    if !is_protected(node)? {
        return Ok(());
    }
    File::options()
        .write(true)
        .open(node)
        .and_then(|mut device| {
            erase(&mut device)?;
            device.sync_all()
        })
        .map_err(|source| Failure::io("write", node, source))
}

fn erase(device: &mut (impl Write + Seek)) -> io::Result<()> {
    device.seek(SeekFrom::Start(MAGIC_AT as u64))?;
    device.write_all(&[0; MAGIC.len()])
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
    use crate::captured;

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

    #[test]
    fn what_wipefs_2_23_leaves_of_a_gpt_is_seen_and_erased() {
        let mut disk = io::Cursor::new(vec![0_u8; 4096]);
        assert!(!has_protective_record(&mut disk).unwrap());
        disk.get_mut()[MAGIC_AT..512].copy_from_slice(&MAGIC);
        assert!(!has_protective_record(&mut disk).unwrap(), "FAT has that");
        disk.get_mut()[PARTITIONS_AT + TYPE_AT] = PROTECTIVE;
        assert!(has_protective_record(&mut disk).unwrap());
        erase(&mut disk).unwrap();
        assert!(!has_protective_record(&mut disk).unwrap());
        assert_eq!(disk.get_ref().len(), 4096);
        assert!(!has_protective_record(&mut io::Cursor::new([0; 9])).unwrap());
    }

    #[test]
    fn fuzz_wipefs() {
        crate::fuzz::feed("wipefs", captured::stdout("el7/wipefs.txt"), |bytes| {
            let _ = parse(Path::new("/dev/x"), &String::from_utf8_lossy(bytes));
        });
    }
}
