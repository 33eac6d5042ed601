//! Layouts that somebody else made, and what fleet does in them. Most need root, to be somebody
//! else as well.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};

use rustix::fs::{CWD, FileType, XattrFlags};

use super::*;
use crate::host::{Draft, Host, Permissions, Snapshot, list, needs_root, remove_file};

/// A user who is neither root nor whoever runs the tests.
pub(super) const SOMEBODY: u32 = 47_110;

pub(super) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn permissions(mode: u32) -> Permissions {
    Permissions {
        mode: Some(FileMode::from_bits(mode)),
        ..Permissions::default()
    }
}

/// Everything fleet does with a path, at a path.
type Act = fn(&Host, &Path) -> Result<(), Failure>;
pub(super) const ACTS: [(&str, Act); 12] = [
    ("read", |host, path| host.read(path, 100).map(drop)),
    ("look", |host, path| host.look(path).map(drop)),
    ("metadata", |host, path| host.metadata(path).map(drop)),
    ("list", |_, path| list(path).map(drop)),
    ("write", |host, path| {
        host.write(path, b"new", Permissions::default())
    }),
    ("backup", |host, path| host.keep_version(path)),
    ("permissions", |host, path| {
        host.set_permissions(path, permissions(0o777))
    }),
    ("directory", |host, path| {
        host.make_directory(&path.join("a/b"), Permissions::default())
    }),
    ("link", |host, path| host.make_link(path, "x".as_ref())),
    ("remove", |host, path| host.remove(path)),
    ("remove_file", |_, path| remove_file(path)),
    ("snapshot", |host, path| {
        let taken = Snapshot::take(host, [path])?;
        taken.restore()
    }),
];

#[test]
fn links_are_followed_only_where_nobody_else_made_them() {
    needs_root();
    let base = tempfile::tempdir().unwrap();
    chmod(base.path(), 0o755);
    let host = Host::offline(base.path());
    let (way, outside) = (base.path().join("way"), base.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::create_dir(&way).unwrap();
    fs::write(outside.join("x"), "old").unwrap();
    symlink("../outside", way.join("link")).unwrap();
    let path = way.join("link/x");

    for (dir_owner, dir_group, dir_mode, link_owner, why) in [
        (0, 0, 0o755, SOMEBODY, "that belongs to 47110"),
        (
            SOMEBODY,
            0,
            0o755,
            0,
            "in a directory that belongs to 47110",
        ),
        (0, 0, 0o757, 0, "in a directory that others may write to"),
        (0, 0, 0o1777, 0, "in a directory that others may write to"),
        (
            0,
            SOMEBODY,
            0o775,
            0,
            "in a directory that others may write to",
        ),
    ] {
        lchown(&way, Some(dir_owner), Some(dir_group)).unwrap();
        chmod(&way, dir_mode);
        lchown(way.join("link"), Some(link_owner), None).unwrap();
        for (name, act) in ACTS {
            let failure = act(&host, &path).unwrap_err().to_string();
            let link = way.join("link").display().to_string();
            assert!(
                failure.contains(&link) && failure.contains(why),
                "{name} {why}: {failure}"
            );
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{why}");
        assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "old");
        assert_eq!(mode(&outside.join("x")), 0o644);
    }

    for (group, dir_mode) in [(SOMEBODY, 0o755), (0, 0o775)] {
        lchown(&way, Some(0), Some(group)).unwrap();
        chmod(&way, dir_mode);
        assert_eq!(host.read(&path, 100).unwrap().unwrap(), b"old");
    }
    host.write(&path, b"new", Permissions::default()).unwrap();
    assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "new");
}

#[test]
fn a_link_at_the_end_is_what_is_meant_but_read_through() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let path = |name: &str| base.path().join(name);
    fs::create_dir_all(path("a/b")).unwrap();
    fs::write(path("a/x"), "abc").unwrap();
    symlink("../x", path("a/b/link")).unwrap();
    symlink(path("a/b"), path("b")).unwrap();
    symlink("b/..", path("up")).unwrap();
    symlink("loop", path("loop")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();

    assert_eq!(host.read(&path("b/link"), 9).unwrap().unwrap(), b"abc");
    assert_eq!(host.real_path(&path("b/link")).unwrap(), path("a/x"));
    let kind = |name: &str| host.metadata(&path(name)).unwrap().map(|found| found.kind);
    assert_eq!(kind("b/link"), Some(FileKind::Link));
    assert_eq!(
        kind("up/x"),
        Some(FileKind::File),
        "back along the link's target"
    );
    assert_eq!(host.read(&path("dangling"), 9).unwrap(), None);
    assert_eq!(kind("dangling/x"), None);
    assert_eq!(kind("a/x/below"), None);
    assert_eq!(kind("none/x"), None);
    assert!(host.read(&path("loop"), 9).is_err());
    assert_eq!(
        host.metadata("/".as_ref()).unwrap().unwrap().kind,
        FileKind::Directory
    );

    host.remove(&path("b/link")).unwrap();
    assert!(path("a/x").exists() && !path("a/b/link").is_symlink());
    let failure = host
        .make_directory(&path("dangling/x"), Permissions::default())
        .unwrap_err();
    assert!(failure.to_string().contains("leads nowhere"), "{failure}");
    let failure = host.write(&path("a/x/y"), b"", Permissions::default());
    let failure = failure.unwrap_err().to_string();
    assert!(failure.contains("a/x is not a directory"), "{failure}");
}

#[test]
fn what_is_no_file_is_not_even_opened() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let fifo = base.path().join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    for path in [&*fifo, "/dev/null".as_ref(), base.path()] {
        let failure = host.read(path, 100).unwrap_err().to_string();
        assert!(failure.contains("is not a regular file"), "{failure}");
    }
    assert!(host.look(&fifo).unwrap().unwrap().file.is_none());
}

#[test]
fn another_name_of_a_file_in_somebodys_directory_is_not_taken_for_theirs() {
    needs_root();
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let (secret, home) = (base.path().join("secret"), base.path().join("home"));
    fs::write(&secret, "secret").unwrap();
    fs::create_dir(&home).unwrap();
    fs::hard_link(&secret, home.join("x")).unwrap();
    lchown(&home, Some(SOMEBODY), None).unwrap();
    let path = home.join("x");
    for (name, act) in ACTS {
        let refused = ["read", "look", "permissions", "snapshot"].contains(&name);
        if refused {
            let failure = act(&host, &path).unwrap_err().to_string();
            assert!(failure.contains("hard links"), "{name}: {failure}");
        }
    }
    // A file of that user's own, with two names of that user's making.
    lchown(&secret, Some(SOMEBODY), None).unwrap();
    assert_eq!(host.read(&path, 100).unwrap().unwrap(), b"secret");
}

#[test]
fn guards_look_at_what_was_opened() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    symlink("/", base.path().join("root")).unwrap();
    // Only looked at: where this guard fails, nothing must be lost.
    for (path, expected) in [
        ("root/usr", ["is part of the system", "is a mount point"]),
        ("root/proc", ["is a mount point", "is part of the system"]),
    ] {
        let refused = host.may_remove(&base.path().join(path));
        let why = refused.map_or_else(|failure| failure.to_string(), |()| String::new());
        let foretold = expected.iter().any(|expected| why.contains(expected));
        assert!(foretold, "{path}: {why}");
    }
    host.may_remove(&base.path().join("root")).unwrap();
}

/// `user::rw-, user:2:rw-, group::---, mask::rw-, other::---`.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 2, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255,
    255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];
/// `cap_net_bind_service=ep`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 100];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|errno| panic!("{name}: {errno}"));
}

fn edit(path: &Path, wanted: Permissions) {
    let mut draft = Draft::beside(path, wanted).unwrap();
    draft.write_all(b"new").unwrap();
    draft.commit().unwrap();
}

#[test]
fn a_new_version_has_the_acl_and_the_attributes_of_the_old_one() {
    needs_root();
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("x");
    fs::write(&path, "old").unwrap();
    chmod(&path, 0o600);
    let mut kept = vec![];
    for (name, value) in [
        ("system.posix_acl_access", &ACL[..]),
        ("user.origin", b"here"),
        ("security.capability", &CAPABILITY),
    ] {
        set_attribute(&path, name, value);
        kept.push((name, attribute(&path, name)));
    }
    let before = mode(&path);
    edit(&path, Permissions::default());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    for (name, value) in &kept {
        assert_eq!(attribute(&path, name), *value, "{name}");
    }
    assert_eq!(mode(&path), before);

    // What changes the owner changes nothing else.
    let given = Permissions {
        uid: Some(SOMEBODY),
        ..Permissions::default()
    };
    Host::offline(base.path())
        .set_permissions(&path, given)
        .unwrap();
    for (name, value) in &kept {
        assert_eq!(attribute(&path, name), *value, "{name}");
    }
}

#[test]
fn the_default_acl_of_a_directory_gives_nothing_to_what_had_nothing() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("x");
    fs::write(&path, "old").unwrap();
    chmod(&path, 0o660);
    set_attribute(base.path(), "system.posix_acl_default", &ACL);
    edit(&path, Permissions::default());
    assert_eq!(attribute(&path, "system.posix_acl_access"), None);
    assert_eq!(mode(&path), 0o660);
    // What is new has what the directory gives, and no more.
    let new = base.path().join("new");
    edit(&new, Permissions::default());
    assert!(attribute(&new, "system.posix_acl_access").is_some());
    assert_eq!(mode(&new), 0o640, "others have no right by default");
}

#[test]
fn what_fleet_writes_is_not_owned_by_whoever_was_there_first() {
    needs_root();
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("x");
    let owner = |path: &Path| {
        let found = fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    let theirs = |mode: u32| {
        fs::write(&path, "theirs").unwrap();
        lchown(&path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        chmod(&path, mode);
    };
    theirs(0o6777);
    edit(&path, Permissions::default());
    assert_eq!(owner(&path), (0, 0, 0o755));

    theirs(0o600);
    set_attribute(&path, "system.posix_acl_access", &ACL);
    edit(&path, Permissions::default());
    assert_eq!(owner(&path), (0, 0, 0o600), "the mask is not the group's");
    assert_eq!(attribute(&path, "system.posix_acl_access"), None);

    theirs(0o4750);
    let declared = Permissions {
        uid: Some(SOMEBODY),
        ..Permissions::default()
    };
    edit(&path, declared);
    assert_eq!(owner(&path), (SOMEBODY, SOMEBODY, 0o750));

    // Nor does their program become root's.
    theirs(0o4755);
    let to_root = Permissions {
        uid: Some(0),
        ..Permissions::default()
    };
    let host = Host::offline(base.path());
    host.set_permissions(&path, to_root).unwrap();
    assert_eq!(owner(&path), (0, SOMEBODY, 0o755));
}

#[test]
fn directories_are_made_with_the_group_of_the_directory_they_are_in() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    needs_root();
    lchown(base.path(), None, Some(SOMEBODY)).unwrap();
    chmod(base.path(), 0o2755);
    host.make_directory(&base.path().join("a/b"), Permissions::default())
        .unwrap();
    host.make_directory(&base.path().join("c"), permissions(0o755))
        .unwrap();
    for (name, expected) in [("a", 0o2755), ("a/b", 0o2755), ("c", 0o755)] {
        let found = fs::metadata(base.path().join(name)).unwrap();
        assert_eq!(
            (found.gid(), found.mode() & 0o7777),
            (SOMEBODY, expected),
            "{name}"
        );
    }
    let file = base.path().join("a/file");
    host.write(&file, b"", Permissions::default()).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().gid(), SOMEBODY);
}

#[test]
fn what_is_immutable_is_refused_with_the_way_out() {
    needs_root();
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let path = base.path().join("x");
    fs::write(&path, "old").unwrap();
    for (flag, expected) in [
        (rustix::fs::IFlags::IMMUTABLE, "`chattr -i "),
        (rustix::fs::IFlags::APPEND, "`chattr -a "),
    ] {
        for place in [&*path, base.path()] {
            let file = fs::File::open(place).unwrap();
            let before = rustix::fs::ioctl_getflags(&file).unwrap();
            rustix::fs::ioctl_setflags(&file, before | flag).unwrap();
            let answers = [
                host.may_write(&path),
                host.may_remove(&path),
                host.write(&path, b"new", Permissions::default()),
                host.remove(&path),
            ];
            rustix::fs::ioctl_setflags(&file, before).unwrap();
            for answer in answers {
                let failure = answer.unwrap_err();
                let way_out = format!("{expected}{}`", place.display());
                assert!(failure.to_string().contains(&way_out), "{failure}");
            }
        }
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}
