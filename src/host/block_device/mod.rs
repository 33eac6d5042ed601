//! A block device: what it is, what is on it, and who uses it.
//!
//! Everything is found out by looking, nothing is changed. Several witnesses are heard, because
//! each of them misses something: the kernel's own lists (mounts, swap, holders), an exclusive
//! open, which the kernel refuses for whatever it has claimed, and libblkid's signatures.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Command, Failure};

mod claims;
pub(crate) mod loopback;
mod signature;

pub(crate) use signature::Signature;

/// How long looking at a device may take; a failing disk can hang for minutes.
const PROBE_TIMEOUT: Duration = Duration::from_mins(1);

/// A device by the kernel's number for it: names and links differ, this does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    major: u32,
    minor: u32,
}

/// A block device that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockDevice {
    /// Its node, all links followed: `/dev/sdb`.
    pub(crate) node: PathBuf,
    /// The kernel's number.
    pub(crate) number: Number,
    /// Bytes.
    pub(crate) size: u64,
    /// Its names in `/dev/disk/by-id`.
    pub(crate) names: Vec<String>,
    /// What the hardware says, of a whole disk: `ID_SERIAL`, `ID_SERIAL_SHORT` and the like.
    pub(crate) serials: BTreeSet<String>,
    /// Its partitions.
    pub(crate) partitions: Vec<Partition>,
}

/// A partition the kernel knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its node: `/dev/sdb1`.
    pub(crate) node: PathBuf,
    /// The kernel's number.
    pub(crate) number: Number,
}

impl Number {
    /// The device a node stands for; `None` if there is none or it is no block device.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        found
            .file_type()
            .is_block_device()
            .then(|| Self::from_rdev(found.rdev()))
    }

    fn from_rdev(rdev: u64) -> Self {
        Self {
            major: rustix::fs::major(rdev),
            minor: rustix::fs::minor(rdev),
        }
    }

    /// `8:16`, as in `/sys/dev/block`.
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }

    #[cfg(test)]
    pub(crate) fn for_test(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    fn in_sysfs(self) -> PathBuf {
        PathBuf::from(format!("/sys/dev/block/{}:{}", self.major, self.minor))
    }
}

impl BlockDevice {
    /// The device `path` leads to.
    ///
    /// # Errors
    /// [`Failure::Missing`] if nothing is there, [`Failure::Refused`] if it is no block device.
    pub(crate) fn find(path: &Path) -> Result<Self, Failure> {
        let look = |path: &Path| fs::metadata(path);
        let found = look(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::Missing(format!("the device {} does not exist", path.display()))
            }
            _ => Failure::io("look at", path, error),
        })?;
        if !found.file_type().is_block_device() {
            return Err(Failure::Refused(format!(
                "{} is not a block device",
                path.display()
            )));
        }
        let node = fs::canonicalize(path).map_err(|source| Failure::io("follow", path, source))?;
        let number = Number::from_rdev(found.rdev());
        let sysfs = number.in_sysfs();
        let is_partition = exists(&sysfs.join("partition"))?;
        Ok(Self {
            size: size(&sysfs)?,
            names: names(number)?,
            // A partition shares its disk's serial, which would speak for its neighbours too.
            serials: if is_partition {
                BTreeSet::new()
            } else {
                serials(number, &sysfs)?
            },
            partitions: partitions(&sysfs)?,
            node,
            number,
        })
    }

    /// Who uses the device or one of its partitions, in words. Empty: nobody.
    pub(crate) fn claims(&self) -> Result<Vec<String>, Failure> {
        let mut claims = claims::of(self)?;
        // The last word: the kernel knows claims that no list shows (another mount namespace).
        if claims.is_empty() && is_claimed(&self.node)? {
            claims.push("is held by something (an exclusive open is refused)".to_owned());
        }
        Ok(claims)
    }

    /// Everything on the device and its partitions that says "here is data".
    pub(crate) fn signatures(&self) -> Result<Vec<Signature>, Failure> {
        let mut signatures = signature::on(&self.node)?;
        for partition in &self.partitions {
            signatures.extend(signature::on(&partition.node)?);
        }
        Ok(signatures)
    }

    /// Removes every signature from the device and its partitions: the data is lost. Only with
    /// the user's consent to this very device.
    pub(crate) fn wipe(&self) -> Result<crate::protocol::Output, Failure> {
        let nodes = self.partitions.iter().map(|partition| &partition.node);
        // Partitions first: without the table, their nodes are gone.
        for node in nodes {
            Command::new(["wipefs", "--all", "--"]).arg(node).run()?;
        }
        let output = Command::new(["wipefs", "--all", "--"])
            .arg(&self.node)
            .run()?;
        signature::erase_protective_record(&self.node)?;
        if !self.partitions.is_empty() {
            // The wipefs of CentOS 7 leaves it to others to tell the kernel.
            Command::new(["blockdev", "--rereadpt"])
                .arg(&self.node)
                .run()?;
        }
        Ok(output)
    }
}

fn exists(path: &Path) -> Result<bool, Failure> {
    match path.try_exists() {
        // Among a disk's attributes in sysfs are partitions, directories, and plain files.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        found => found.map_err(|source| Failure::io("look at", path, source)),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::io("read", path, source))
}

/// The text of a file that need not be there.
fn read_if_any(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::io("read", path, source)),
    }
}

/// The names in a directory, in order; none if it is not there.
fn entries(path: &Path) -> Result<Vec<String>, Failure> {
    let failed = |source| Failure::io("list", path, source);
    let directory = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in directory {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn size(sysfs: &Path) -> Result<u64, Failure> {
    // Always in units of 512, whatever the device's own sectors are.
    let text = read(&sysfs.join("size"))?;
    text.trim()
        .parse::<u64>()
        .ok()
        .and_then(|sectors| sectors.checked_mul(512))
        .ok_or_else(|| Failure::Unexpected(format!("the kernel gives the size `{text}`")))
}

fn names(number: Number) -> Result<Vec<String>, Failure> {
    let directory = Path::new("/dev/disk/by-id");
    let mut names = entries(directory)?;
    names.retain(|name| Number::of(&directory.join(name)) == Some(number));
    Ok(names)
}

fn serials(number: Number, sysfs: &Path) -> Result<BTreeSet<String>, Failure> {
    let mut serials = BTreeSet::new();
    for file in ["serial", "device/serial"] {
        serials.extend(read_if_any(&sysfs.join(file))?);
    }
    let udev = format!("/run/udev/data/b{}:{}", number.major, number.minor);
    let udev = read_if_any(Path::new(&udev))?.unwrap_or_default();
    serials.extend(udev_serials(&udev));
    Ok(serials
        .iter()
        .map(|serial| serial.trim_matches(['\0', ' ', '\n', '\t']).to_owned())
        .filter(|serial| !serial.is_empty())
        .collect())
}

fn udev_serials(record: &str) -> impl Iterator<Item = String> + '_ {
    record
        .lines()
        .filter_map(|line| line.strip_prefix("E:")?.split_once('='))
        .filter(|(key, _)| ["ID_SERIAL", "ID_SERIAL_SHORT", "ID_SCSI_SERIAL"].contains(key))
        .map(|(_, value)| value.to_owned())
}

fn partitions(sysfs: &Path) -> Result<Vec<Partition>, Failure> {
    let mut partitions = Vec::new();
    for name in entries(sysfs)? {
        let directory = sysfs.join(&name);
        if !exists(&directory.join("partition"))? {
            continue;
        }
        let number = Number::parse(&read(&directory.join("dev"))?).ok_or_else(|| {
            Failure::Unexpected(format!(
                "the kernel gives no number for the partition {name}"
            ))
        })?;
        // A `/` in a device's name is a `!` in sysfs: `cciss!c0d0p1`.
        partitions.push(Partition {
            node: Path::new("/dev").join(name.replace('!', "/")),
            number,
        });
    }
    Ok(partitions)
}

/// Whether the kernel refuses an exclusive open. Only asks: nothing is read or written.
fn is_claimed(node: &Path) -> Result<bool, Failure> {
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(node, flags, Mode::empty()) {
        Ok(_) => Ok(false),
        Err(Errno::BUSY) => Ok(true),
        Err(errno) => Err(Failure::io("open", node, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_come_from_udev_s_record() {
        let record = "S:disk/by-id/virtio-lab-data\nI:2933638\nE:ID_SERIAL=Vendor_Disk_X1\n\
                      E:ID_SERIAL_SHORT=X1\nE:ID_PATH=pci-0000:00:03.0\nG:systemd\n";
        assert_eq!(
            udev_serials(record).collect::<Vec<_>>(),
            ["Vendor_Disk_X1", "X1"]
        );
    }

    #[test]
    fn what_is_no_block_device_is_refused() {
        let failure = |path: &str| BlockDevice::find(Path::new(path)).unwrap_err();
        assert!(matches!(failure("/dev/null"), Failure::Refused(_)));
        assert!(matches!(failure("/"), Failure::Refused(_)));
        let missing = failure("/dev/disk/by-id/no-such-disk");
        assert!(matches!(missing, Failure::Missing(_)));
        assert_eq!(
            missing.to_string(),
            "the device /dev/disk/by-id/no-such-disk does not exist"
        );
    }

    #[test]
    fn numbers_are_read_as_the_kernel_writes_them() {
        assert_eq!(
            Number::parse("254:16\n"),
            Some(Number {
                major: 254,
                minor: 16
            })
        );
        for text in ["", "254", "a:b", "254:"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }
}
