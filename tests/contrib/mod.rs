//! The nightly audit of `contrib/`, with the real fleet: what it prints is what gets mailed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::run::Site;

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test starts what an administrator would install"
)]
fn start(program: &Path) -> Command {
    Command::new(program)
}

/// Runs the audit of a site; `mail` is a program that keeps what it is given.
fn audit(site: &Site, args: &[&str]) -> Output {
    audit_mailed_by(site, args, "")
}

/// The same; `then` is what the mailer does after it has kept the mail.
fn audit_mailed_by(site: &Site, args: &[&str], then: &str) -> Output {
    let fleet = Path::new(env!("CARGO_BIN_EXE_fleet")).parent().unwrap();
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        site.path("bin").display(),
        fleet.display()
    );
    let mail = site.path("bin/mail");
    fs::create_dir_all(mail.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\n{{ echo \"$@\"; cat; }} >> {}\n{then}\n",
        site.path("mails").display()
    );
    fs::write(&mail, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&mail, mode).unwrap();
    start(&contrib("fleet-audit"))
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("HOME", site.path(""))
        .env("FLEET_STATE_DIR", site.path("state"))
        .env("FLEET_PROJECT", site.path(""))
        .env("FLEET_PLAYBOOK", "play.yml")
        .env("FLEET_REPORTS", site.path("reports"))
        .env("FLEET_METRICS", site.path("metrics"))
        .env("FLEET_MAILTO", "ops@example.net")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn there_is_mail_only_when_something_differs() {
    let site = Site::local();
    let dest = site.path("limits");
    let task = format!("    - copy: {{content: x, dest: {}}}\n", dest.display());
    let site = site
        .tasks(&task)
        .file("limits", "x")
        .file("metrics/.keep", "");

    let silent = audit(&site, &[]);
    assert_eq!(
        (silent.status.code(), text(&silent.stdout)),
        (Some(0), String::new()),
        "{}",
        text(&silent.stderr)
    );
    assert_eq!(site.read("mails"), "");
    assert!(
        site.read("reports/latest.html")
            .contains("No drift. 1 host matches.")
    );
    assert!(
        site.read("metrics/fleet.prom")
            .contains("fleet_exit_code{playbook=\"play.yml\"} 0")
    );

    let site = site.file("limits", "by hand");
    let drifted = audit(&site, &[]);
    assert_eq!(drifted.status.code(), Some(2), "{}", text(&drifted.stderr));
    assert!(text(&drifted.stdout).contains("Drift: 1 resource on 1 of 1 host."));
    let mails = site.read("mails");
    assert!(
        mails.starts_with("-s fleet: play.yml, exit code 2 ops@example.net\n"),
        "{mails}"
    );
    assert!(
        mails.ends_with("Drift: 1 resource on 1 of 1 host.\n"),
        "{mails}"
    );
    assert!(
        mails.contains("-by hand"),
        "the diff is in the mail: {mails}"
    );

    // Flags are those of `fleet check`, and a mistake is told, too.
    let wrong = audit(&site, &["-l", "nowhere"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(site.read("mails").contains("exit code 1"));
    let known = audit(&site, &["--only-new"]);
    assert_eq!(
        (known.status.code(), text(&known.stdout)),
        (Some(0), String::new())
    );
}

/// The exit code is fleet's own, whatever becomes of the mail, and the link to the page is there.
#[test]
fn a_mailer_that_fails_changes_nothing_else() {
    let site = Site::local();
    let dest = site.path("limits");
    let task = format!("    - copy: {{content: x, dest: {}}}\n", dest.display());
    let site = site.tasks(&task).file("limits", "by hand");
    for then in ["exit 0", "exit 1", "exit 75", "kill -9 $$", "kill -PIPE $$"] {
        let _ = fs::remove_file(site.path("reports/latest.html"));
        let drifted = audit_mailed_by(&site, &[], then);
        let said = text(&drifted.stderr);
        assert_eq!(drifted.status.code(), Some(2), "{then}: {said}");
        assert_eq!(
            said.contains("was not sent"),
            then != "exit 0",
            "{then}: {said}"
        );
        assert!(site.path("reports/latest.html").exists(), "{then}");
    }
}

#[test]
fn systemd_understands_the_units() {
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if !analyze.exists() {
        eprintln!("not tried: there is no systemd-analyze on this machine");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for name in ["fleet-audit.service", "fleet-audit.timer"] {
        let unit = fs::read_to_string(contrib(name)).unwrap();
        // It is not installed here, and whether it is there is looked at, too.
        let here = contrib("fleet-audit");
        let unit = unit.replace("/usr/local/bin/fleet-audit", here.to_str().unwrap());
        fs::write(directory.path().join(name), unit).unwrap();
    }
    let verified = start(analyze)
        .arg("verify")
        .arg(directory.path().join("fleet-audit.timer"))
        .arg(directory.path().join("fleet-audit.service"))
        .output()
        .unwrap();
    let said = text(&verified.stderr);
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("fleet-audit"))
        .collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
}
