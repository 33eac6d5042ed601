//! Somebody changes the path while fleet is under way along it.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::kernel::others::before_each_call;
use super::tests::{ACTS, SOMEBODY, chmod};
use super::*;
use crate::host::needs_root;
use crate::host::{Draft, Host, Permissions};

/// A user's directory `home` in which `d` and `x` are what they seem to be, `link` leads to root's
/// directory and `xlink` to root's file.
struct Layout {
    base: tempfile::TempDir,
}

/// Changes from one moment to the next what is at the two names.
fn exchange(home: &Path) {
    for (seems, link) in [("d", "link"), ("x", "xlink")] {
        let _ = renameat_with(
            CWD,
            home.join(seems),
            CWD,
            home.join(link),
            RenameFlags::EXCHANGE,
        );
    }
}

impl Layout {
    fn new() -> Self {
        // In memory, where there is: thousands of them are synced.
        let memory = tempfile::tempdir_in("/dev/shm");
        let base = memory.unwrap_or_else(|_| tempfile::tempdir().unwrap());
        chmod(base.path(), 0o755);
        let layout = Self { base };
        let (home, roots) = (layout.home(), layout.roots());
        fs::create_dir(&home).unwrap();
        fs::create_dir(home.join("d")).unwrap();
        fs::create_dir(&roots).unwrap();
        fs::write(roots.join("x"), "secret").unwrap();
        fs::write(home.join("d/x"), "theirs").unwrap();
        fs::write(home.join("x"), "theirs").unwrap();
        symlink(&roots, home.join("link")).unwrap();
        symlink(roots.join("x"), home.join("xlink")).unwrap();
        for name in ["", "d", "x", "d/x", "link", "xlink"] {
            lchown(home.join(name), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        }
        chmod(&roots.join("x"), 0o600);
        layout
    }

    fn home(&self) -> PathBuf {
        self.base.path().join("home")
    }

    fn roots(&self) -> PathBuf {
        self.base.path().join("roots")
    }

    /// What is root's is as it was.
    fn assert_untouched(&self, what: &str) {
        let roots = self.roots();
        let names: Vec<_> = fs::read_dir(&roots)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["x"], "{what}");
        assert_eq!(
            fs::read_to_string(roots.join("x")).unwrap(),
            "secret",
            "{what}"
        );
        for (path, mode) in [(roots.join("x"), 0o600), (roots, 0o755)] {
            let found = fs::metadata(path).unwrap();
            assert_eq!((found.uid(), found.mode() & 0o7777), (0, mode), "{what}");
        }
    }
}

#[test]
fn nothing_of_roots_is_reached_whenever_the_path_changes() {
    needs_root();
    for (name, act) in ACTS {
        for path in ["x", "d", "d/x"] {
            for (moment, for_ever) in (0..).flat_map(|at| [(at, false), (at, true)]) {
                let layout = Layout::new();
                let host = Host::offline(layout.base.path());
                let home = layout.home();
                let calls = Rc::new(Cell::new(0));
                let count = Rc::clone(&calls);
                before_each_call(move |_, _| {
                    let now = count.replace(count.get() + 1);
                    if now == moment || for_ever && now > moment {
                        exchange(&home);
                    }
                });
                let path = layout.home().join(path);
                let _ = act(&host, &path);
                let read = host.read(&path, 100);
                before_each_call(|_, _| {});
                let what = format!("{name} {} at call {moment}", path.display());
                layout.assert_untouched(&what);
                if let Ok(Some(read)) = read {
                    assert_ne!(read, b"secret", "{what}");
                }
                if calls.get() <= moment {
                    assert!(moment > 2, "{what}: no call was seen");
                    break;
                }
            }
        }
    }
}

#[test]
fn what_was_looked_at_is_what_is_replaced() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let path = base.path().join("x");
    fs::write(&path, "one").unwrap();
    let found = host.metadata(&path).unwrap();
    for (change, expected) in [(Some("other"), "other"), (None, "gone")] {
        let draft = Draft::beside(&path, Permissions::default());
        let draft = draft.unwrap().instead_of(found.as_ref());
        match change {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let failure = draft.commit().unwrap_err().to_string();
        assert!(
            failure.contains("was changed by somebody else"),
            "{failure}"
        );
        let left = fs::read_to_string(&path).unwrap_or("gone".to_owned());
        assert_eq!(left, expected);
    }
}

#[test]
#[ignore = "make test-long: half a minute of somebody who changes the path all the time"]
fn long_nothing_of_roots_is_reached_in_a_race() {
    needs_root();
    let layout = Layout::new();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                exchange(&layout.home());
            }
        });
        let host = Host::offline(layout.base.path());
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            for (name, act) in ACTS {
                for path in ["x", "d", "d/x"] {
                    let path = layout.home().join(path);
                    let _ = act(&host, &path);
                    if let Ok(Some(read)) = host.read(&path, 100) {
                        assert_ne!(read, b"secret", "{name}");
                    }
                    layout.assert_untouched(name);
                }
            }
            // What was removed is there to be exchanged again.
            let _ = fs::create_dir(layout.home().join("d"));
            let _ = host.write(
                &layout.home().join("d/x"),
                b"theirs",
                Permissions::default(),
            );
            restore(&layout);
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// Puts back what a round removed, without touching what is there.
fn restore(layout: &Layout) {
    let (home, roots) = (layout.home(), layout.roots());
    for (target, name) in [(roots.clone(), "link"), (roots.join("x"), "xlink")] {
        if symlink(target, home.join(name)).is_ok() {
            let _ = lchown(home.join(name), Some(SOMEBODY), None);
        }
    }
}
