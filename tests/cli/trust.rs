//! Whose files decide what happens: those of a project, which nobody else can write.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Fleet;

/// A project in which every kind of file is read.
const FILES: &[(&str, &str)] = &[
    ("fleet.yml", "memory: {keep_days: 30}\n"),
    (
        "hosts.yml",
        "all: {hosts: {node1: {ansible_connection: local}}}\n",
    ),
    ("group_vars/all.yml", "port: 80\n"),
    ("host_vars/node1.yml", "name: node1\n"),
    (
        "site.yml",
        "- hosts: all\n  vars_files: [vars.yml]\n  roles: [web]\n",
    ),
    ("vars.yml", "from_file: 1\n"),
    (
        "roles/web/tasks/main.yml",
        "- template: {src: t.j2, dest: /tmp/fleet-trust-t}\n\
         - copy: {src: f, dest: /tmp/fleet-trust-f}\n",
    ),
    ("roles/web/defaults/main.yml", "default: 1\n"),
    ("roles/web/templates/t.j2", "{{ port }}\n"),
    ("roles/web/files/f", "content\n"),
    ("waivers.yml", "[]\n"),
    ("images.lock.yml", "{}\n"),
];

fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn check(folder: &Path) -> super::Ended {
    let (hosts, site) = (folder.join("hosts.yml"), folder.join("site.yml"));
    let state = folder.join("state");
    let (hosts, site) = (hosts.to_string_lossy(), site.to_string_lossy());
    Fleet::new(["check", &site, "-i", &hosts])
        .env("FLEET_STATE_DIR", &state.to_string_lossy())
        .run()
}

#[test]
fn a_file_that_everybody_may_write_is_refused_whatever_it_is_for() {
    let folder = project();
    let whole = check(folder.path());
    assert_eq!(whole.code, 2, "{}", whole.all());
    for (file, _) in FILES {
        let path = folder.path().join(file);
        let parent = path.parent().unwrap();
        let shown = parent.display().to_string();
        for (changed, what) in [(path.as_path(), *file), (parent, shown.as_str())] {
            let before = fs::metadata(changed).unwrap().permissions();
            mode(changed, 0o777);
            let ended = check(folder.path()).exits(1);
            let said = "everybody may write to";
            assert!(ended.stderr.contains(said), "{file}: {}", ended.all());
            assert!(ended.stderr.contains(what), "{file}: {}", ended.all());
            let way_out = ["chmod o-w", "chmod go-w"];
            let told = way_out.iter().any(|way_out| ended.stderr.contains(way_out));
            assert!(told, "{file}: {}", ended.all());
            fs::set_permissions(changed, before).unwrap();
        }
    }
    assert_eq!(check(folder.path()).code, 2);
}

#[test]
fn the_settings_are_those_of_the_playbooks_project() {
    let folder = project();
    let below = folder.path().join("plays");
    fs::create_dir(&below).unwrap();
    let asks = "- hosts: all\n  tasks: [{debug: {msg: \"{{ secret('x') }}\"}}]\n";
    fs::write(below.join("ask.yml"), asks).unwrap();
    let run = |settings: &str| {
        let (hosts, ask) = (folder.path().join("hosts.yml"), below.join("ask.yml"));
        let (hosts, ask) = (hosts.to_string_lossy(), ask.to_string_lossy());
        Fleet::new(["check", &ask, "-i", &hosts])
            .file("fleet.yml", settings)
            .env(
                "FLEET_STATE_DIR",
                &folder.path().join("state").to_string_lossy(),
            )
            .run()
    };
    let mark = folder.path().join("planted");
    let planted = format!(
        "secrets: {{command: [sh, -c, \"touch {}; echo planted-value\", \"{{name}}\"]}}\n",
        mark.display()
    );
    let ended = run(&planted).exits(1);
    assert!(
        ended.stderr.contains("no command is configured"),
        "{}",
        ended.all()
    );
    assert!(!mark.exists(), "the command of another directory was run");

    let own = "secrets: {command: [echo, \"value-of-{name}\"]}\n";
    fs::write(folder.path().join("fleet.yml"), own).unwrap();
    let ended = run(&planted).exits(0);
    assert!(!mark.exists(), "{}", ended.all());
}

#[test]
fn an_inventory_program_that_others_may_change_is_not_run() {
    let folder = project();
    let program = folder.path().join("hosts.sh");
    let mark = folder.path().join("ran");
    let text = format!("#!/bin/sh\ntouch {}\necho '{{}}'\n", mark.display());
    fs::write(&program, text).unwrap();
    for (file, directory) in [(0o777, 0o755), (0o755, 0o777)] {
        mode(&program, file);
        mode(folder.path(), directory);
        let ended = Fleet::new(["inventory", "--list", "-i", &program.to_string_lossy()]).run();
        assert!(
            ended.stderr.contains("everybody may write"),
            "{}",
            ended.all()
        );
        assert!(!mark.exists());
    }
}
