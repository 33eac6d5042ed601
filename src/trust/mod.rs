//! Whose files are believed: what is configured decides what runs, as the operator and as root on
//! every host, so nobody else may have a hand in it.
//!
//! As sshd has it (`StrictModes`): a file, every directory on the way to it and every link that is
//! followed belong to root or to whoever runs fleet, and nobody else may write to them. A group may
//! only if it is a private one: it bears the name of root or of whoever runs fleet, and nobody else
//! is in it, so that a checkout made with the umask 002 is as good as one made with 022. A directory
//! like `/tmp`, in which everybody may make files and nobody may touch those of others (the sticky
//! bit), may be on the way.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::process::geteuid;

use crate::host::{Database, account_of, names_of};

/// Why a file is not believed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct Distrust {
    /// Who could have a hand in it, and where.
    pub reason: String,
    /// The way out.
    pub help: String,
}

/// How many links may follow one another, as in the kernel.
const LINKS: usize = 40;

/// Whether somebody else could decide what `path` holds. What is not there is nobody's.
///
/// # Errors
/// Who could, and the way out.
pub fn check(path: &Path) -> Result<(), Distrust> {
    // What was handed over as a descriptor is the doing of whoever started fleet.
    let handed_over = ["/dev/stdin", "/dev/fd", "/proc/self/fd"];
    if handed_over.iter().any(|known| path.starts_with(known)) {
        return Ok(());
    }
    let Ok(absolute) = std::path::absolute(path) else {
        return Ok(());
    };
    let mut left: VecDeque<OsString> = names_of(&absolute).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    judge(&at, path)?;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            // Without a link in it, the way up is the one in its text.
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let Ok(found) = fs::symlink_metadata(&next) else {
            return Ok(());
        };
        judge_found(&next, &found, path)?;
        if !found.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        let Some(target) = fs::read_link(&next).ok().filter(|_| links <= LINKS) else {
            return Ok(());
        };
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        names_of(&target)
            .rev()
            .for_each(|name| left.push_front(name));
    }
    Ok(())
}

/// Opens a file that is believed.
///
/// # Errors
/// When it is not, as an error of its kind, or cannot be opened.
pub fn open(path: &Path) -> std::io::Result<File> {
    let refuse = |Distrust { reason, help }| std::io::Error::other(format!("{reason}; {help}"));
    check(path).map_err(refuse)?;
    File::open(path)
}

/// A project's file of a name: the nearest, from `folder` [upwards].
#[must_use]
pub fn find_upwards(folder: &Path, name: &str) -> Option<PathBuf> {
    let beside = folder.join(name);
    if beside.exists() {
        return Some(beside);
    }
    let found = upwards(folder)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())?;
    // As whoever started fleet would name it.
    let current = std::env::current_dir().unwrap_or_default();
    let relative = found.strip_prefix(current).map(Path::to_owned);
    Some(relative.unwrap_or(found))
}

/// Whether everything in a directory of fleet's own is its own: nothing in it, nor it itself,
/// belongs to somebody else, may be written by others or is a link.
///
/// # Errors
/// What is not, and the way out. Also when it cannot be looked at.
pub fn check_own(directory: &Path) -> Result<(), Distrust> {
    let mut left = vec![directory.to_owned()];
    // What nobody else can reach, nobody else can write.
    let mut closed = false;
    while let Some(path) = left.pop() {
        let shown = path.display();
        let move_away = || {
            let top = directory.display();
            format!("move it away, `mv {top} {top}.old`: what is remembered begins anew")
        };
        let unreadable = |error: std::io::Error| Distrust {
            reason: format!("`{shown}` cannot be looked at: {error}"),
            help: move_away(),
        };
        let found = match fs::symlink_metadata(&path) {
            // Another fleet has just forgotten it.
            Err(error) if error.kind() == ErrorKind::NotFound && path != directory => continue,
            found => found.map_err(unreadable)?,
        };
        let me = geteuid().as_raw();
        let shared = is_shared(&found);
        let reason = if found.is_symlink() {
            format!("`{shown}` is a link")
        } else if !found.is_dir() && !found.is_file() {
            format!("`{shown}` is neither a file nor a directory")
        } else if found.uid() != me {
            format!(
                "`{shown}` belongs to user {}, and fleet runs as user {me}",
                found.uid()
            )
        } else if !closed && (shared || objection(&found).is_some()) {
            format!(
                "others may write to `{shown}` (mode {:04o})",
                found.mode() & 0o7777
            )
        } else {
            if found.is_dir() {
                closed |= path == directory && found.mode() & 0o777 & !0o700 == 0;
                for entry in fs::read_dir(&path).map_err(unreadable)?.flatten() {
                    left.push(entry.path());
                }
            }
            continue;
        };
        let help = move_away();
        return Err(Distrust { reason, help });
    }
    Ok(())
}

/// A folder and those above it, up to the first in which somebody else could have put something:
/// where a project's files are looked for.
pub fn upwards(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let folder = folder
        .canonicalize()
        .or_else(|_| std::path::absolute(folder))
        .unwrap_or_else(|_| folder.to_owned());
    let ancestors: Vec<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
    let mut first = true;
    ancestors
        .into_iter()
        .take_while(move |folder| std::mem::take(&mut first) || is_own(folder))
}

/// Whether nobody else can put anything into a directory.
fn is_own(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|found| objection(&found).is_none() && !is_shared(&found))
}

fn judge(at: &Path, asked: &Path) -> Result<(), Distrust> {
    match fs::symlink_metadata(at) {
        Ok(found) => judge_found(at, &found, asked),
        Err(_) => Ok(()),
    }
}

fn judge_found(at: &Path, found: &Metadata, asked: &Path) -> Result<(), Distrust> {
    let Some(objection) = objection(found) else {
        return Ok(());
    };
    let itself = asked.file_name() == at.file_name() && !found.is_dir();
    // As it was written, where it is what was asked for.
    let shown = if itself { asked } else { at }.display();
    let what = match (found.is_dir(), found.is_symlink()) {
        (true, _) => format!("the directory `{shown}`"),
        (_, true) => format!("the link `{shown}`"),
        _ if itself => "it".to_owned(),
        _ => format!("`{shown}`"),
    };
    let (owner, mode) = (user(found.uid()), found.mode() & 0o7777);
    Err(match objection {
        Objection::Owner => {
            let me = user(geteuid().as_raw());
            let follow = if found.is_symlink() { "-h " } else { "" };
            Distrust {
                reason: format!(
                    "{what} belongs to {owner} (mode {mode:04o}), and fleet runs as {me}"
                ),
                help: format!(
                    "make it your own, `chown {follow}{me} {shown}`, or run fleet as {owner}"
                ),
            }
        }
        Objection::Everybody if itself => Distrust {
            reason: "everybody may write to it".to_owned(),
            help: format!("take that away: `chmod o-w {shown}`"),
        },
        Objection::Everybody => Distrust {
            reason: format!("everybody may write to {what} (owner {owner}, mode {mode:04o})"),
            help: format!("take that away: `chmod go-w {shown}`"),
        },
        Objection::Group => {
            let group = group(found.gid()).map_or(found.gid().to_string(), |group| group.name);
            Distrust {
                reason: format!(
                    "the group {group} may write to {what} (owner {owner}, mode {mode:04o})"
                ),
                help: format!("take that away: `chmod g-w {shown}`"),
            }
        }
    })
}

/// What is wrong with who may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Objection {
    Owner,
    Everybody,
    Group,
}

fn objection(found: &Metadata) -> Option<Objection> {
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Some(Objection::Owner);
    }
    // The mode of a link means nothing, and what is neither file nor directory holds nothing.
    let holds = found.is_file() || found.is_dir();
    if !holds || is_shared(found) {
        return None;
    }
    if found.mode() & 0o002 != 0 {
        return Some(Objection::Everybody);
    }
    let group = found.mode() & 0o020 != 0;
    (group && !is_private(found.gid())).then_some(Objection::Group)
}

/// Whether it is a directory like `/tmp`.
fn is_shared(found: &Metadata) -> bool {
    found.is_dir() && found.mode() & 0o022 != 0 && found.mode() & 0o1000 != 0
}

/// A group as the databases have it.
struct Group {
    name: String,
    members: Vec<String>,
}

/// Whether a group is root's or that of whoever runs fleet, and nobody else is in it. The databases
/// are asked once for each: hundreds of files may belong to one group.
fn is_private(gid: u32) -> bool {
    static KNOWN: Mutex<BTreeMap<u32, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(gid).or_insert_with(|| {
        group(gid).is_some_and(|group| {
            let me = geteuid().as_raw();
            let trusted = [user(0), user(me)];
            trusted.contains(&group.name)
                && group.members.iter().all(|name| trusted.contains(name))
                && !has_stranger(gid, me)
        })
    })
}

/// Whether it is the group of some local user who is neither root nor `me`.
fn has_stranger(gid: u32, me: u32) -> bool {
    let lines = fs::read_to_string("/etc/passwd").unwrap_or_default();
    lines.lines().any(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
        number(3) == Some(gid) && !number(2).is_some_and(|uid| uid == 0 || uid == me)
    })
}

fn group(gid: u32) -> Option<Group> {
    let (name, rest) = account_of(Database::Group, gid)?;
    let members = rest.split(',').map(str::trim);
    let members = members.filter(|name| !name.is_empty());
    Some(Group {
        members: members.map(str::to_owned).collect(),
        name,
    })
}

/// A user's name; the number where there is none.
fn user(uid: u32) -> String {
    account_of(Database::Passwd, uid).map_or_else(|| uid.to_string(), |(name, _)| name)
}

#[cfg(test)]
mod tests;
