//! Extended attributes: POSIX ACLs, SELinux labels, file capabilities and what users put there.
//!
//! A new version of a file has those of the old one. Where a file has an ACL, the group's bits of
//! its mode are the ACL's mask and say nothing about the group, so a mode alone is never taken
//! over from such a file.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::Failure;

const ACCESS_ACL: &CStr = c"system.posix_acl_access";
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";
const LABEL: &CStr = c"security.selinux";
const CAPABILITIES: &CStr = c"security.capability";

/// What is true of one content only, and what a file system keeps for itself.
const NOT_KEPT: [&[u8]; 3] = [b"security.ima", b"security.evm", b"trusted.overlay."];

/// The longest that Linux allows for a value, and for all names.
const LONGEST: usize = 64 * 1024;

/// Attributes of a file, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<(CString, Vec<u8>)>);

impl Attributes {
    /// Reads those of the file at `path`, which leads to a descriptor; `shown` is what it is
    /// called in errors.
    pub(super) fn read(path: &Path, shown: &Path) -> Result<Self, Failure> {
        let mut names = vec![0; LONGEST];
        let length = match rustix::fs::listxattr(path, &mut names[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Self::default()),
            Err(errno) => {
                return Err(Failure::io("list the extended attributes of", shown, errno));
            }
        };
        let mut found = Vec::new();
        for name in names[..length].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            let passed_over = NOT_KEPT
                .iter()
                .any(|prefix| name.to_bytes().starts_with(prefix));
            if passed_over {
                continue;
            }
            if let Some(value) = value_of(path, name).map_err(|errno| kept(name, shown, errno))? {
                found.push((name.to_owned(), value));
            }
        }
        Ok(Self(found))
    }

    /// Only the SELinux label: it belongs to the place, not to whoever owns the file.
    pub(super) fn label_only(mut self) -> Self {
        self.0.retain(|(name, _)| name.as_c_str() == LABEL);
        self
    }

    fn get(&self, wanted: &CStr) -> Option<&[u8]> {
        let found = self.0.iter().find(|(name, _)| name.as_c_str() == wanted);
        found.map(|(_, value)| value.as_slice())
    }

    /// The rights that the ACL, if there is one, leaves to owner, group and others: as mode bits,
    /// without what it gives to further users and groups.
    pub(super) fn plain_mode(&self) -> Option<u32> {
        self.get(ACCESS_ACL).and_then(plain_mode)
    }

    pub(super) fn has_acl(&self) -> bool {
        self.get(ACCESS_ACL).is_some()
    }

    /// Gives them to another file, which must not have been read or written yet.
    ///
    /// # Errors
    /// [`Failure::Refused`] if one cannot be kept.
    pub(super) fn give_to(&self, file: &File, shown: &Path) -> Result<(), Failure> {
        if !self.has_acl() {
            // One that the directory gives to what is new is not what the old version had.
            match rustix::fs::fremovexattr(file, ACCESS_ACL) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(errno) => return Err(kept(ACCESS_ACL, shown, errno)),
            }
        }
        for (name, value) in &self.0 {
            // The kernel takes them away with the first byte that is written.
            if name.as_c_str() == CAPABILITIES {
                continue;
            }
            if already(file, name, value) {
                continue;
            }
            rustix::fs::fsetxattr(file, name.as_c_str(), value, XattrFlags::empty())
                .map_err(|errno| kept(name, shown, errno))?;
        }
        Ok(())
    }

    /// Gives the file's capabilities to another file, after its last byte and its last owner.
    pub(super) fn give_capabilities_to(&self, file: &File, shown: &Path) -> Result<(), Failure> {
        let Some(value) = self.get(CAPABILITIES) else {
            return Ok(());
        };
        rustix::fs::fsetxattr(file, CAPABILITIES, value, XattrFlags::empty())
            .map_err(|errno| kept(CAPABILITIES, shown, errno))
    }
}

/// Its capabilities, as they are put back after a change of the owner.
pub(super) fn capabilities(path: &Path) -> Option<Vec<u8>> {
    value_of(path, CAPABILITIES).ok().flatten()
}

pub(super) fn set_capabilities(path: &Path, value: &[u8], shown: &Path) -> Result<(), Failure> {
    rustix::fs::setxattr(path, CAPABILITIES, value, XattrFlags::empty())
        .map_err(|errno| kept(CAPABILITIES, shown, errno))
}

/// What the default ACL of the directory at `path` leaves of the rights in `mode` for what is
/// made in it.
pub(super) fn inherited(path: &Path, mode: u32) -> u32 {
    let acl = value_of(path, DEFAULT_ACL).ok().flatten();
    let rights = acl.as_deref().and_then(class_mode);
    rights.map_or(mode, |rights| mode & (rights | 0o7000))
}

fn kept(name: &CStr, shown: &Path, errno: Errno) -> Failure {
    Failure::Refused(format!(
        "the extended attribute `{}` of {} cannot be kept ({}), so the file is left as it is",
        name.to_string_lossy(),
        shown.display(),
        std::io::Error::from(errno)
    ))
}

fn already(file: &File, name: &CStr, value: &[u8]) -> bool {
    let mut found = vec![0; value.len() + 1];
    rustix::fs::fgetxattr(file, name, &mut found[..]).is_ok_and(|length| found[..length] == *value)
}

/// `None` if there is none of that name.
fn value_of(path: &Path, name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0; LONGEST];
    match rustix::fs::getxattr(path, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// An entry of an ACL for whom.
const OWNER: u16 = 0x01;
const GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;

/// The rights of one entry, as the kernel writes an ACL: a version, then eight bytes for each.
fn rights(acl: &[u8], tag: u16) -> Option<u32> {
    let entries = acl.get(4..)?.chunks_exact(8);
    let number = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let mut entries = entries.filter(|entry| number(&entry[..2]) == tag);
    entries
        .next()
        .map(|entry| u32::from(number(&entry[2..4])) & 0o7)
}

fn plain_mode(acl: &[u8]) -> Option<u32> {
    let mask = rights(acl, MASK).unwrap_or(0o7);
    let group = rights(acl, GROUP)? & mask;
    Some(rights(acl, OWNER)? << 6 | group << 3 | rights(acl, OTHERS)?)
}

/// The mode that a file with this ACL shows: with the mask as the group's bits.
fn class_mode(acl: &[u8]) -> Option<u32> {
    let group = rights(acl, MASK).or_else(|| rights(acl, GROUP))?;
    Some(rights(acl, OWNER)? << 6 | group << 3 | rights(acl, OTHERS)?)
}

/// The directory of a descriptor, by which system calls find it that take no descriptor.
pub(super) fn path_of(descriptor: &impl std::os::fd::AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `user::rw-, user:bin:rw-, group::---, mask::rw-, other::---`, as Linux 6.1 writes it.
    const ACL: [u8; 44] = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 2, 0, 0, 0, 4, 0, 0, 0, 255, 255,
        255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];

    #[test]
    fn the_mask_of_an_acl_is_not_the_groups_right() {
        assert_eq!(plain_mode(&ACL), Some(0o600));
        assert_eq!(class_mode(&ACL), Some(0o660));
        assert_eq!(plain_mode(&ACL[..20]), None, "cut off");
        assert_eq!(plain_mode(&[]), None);
    }
}
