//! Encrypted variables: made, used and never shown.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

mod store;

const PLAIN: &str = "db_password: \"corr3ct horse/b@ttery\"\npin: 982451653\nkey: |\n  -----BEGIN-----\n  aGVsbG8gd29ybGQ\n";

/// Nothing of these may ever be seen.
const SECRETS: &[&str] = &[
    "corr3ct horse/b@ttery",
    "corr3ct%20horse%2Fb%40ttery",
    "Y29ycjNjdCBob3JzZS9iQHR0ZXJ5",
    "982451653",
    "aGVsbG8gd29ybGQ",
];

const PLAYBOOK: &str = "\
- hosts: web01
  tasks:
    - name: write the password {{ db_password }}
      copy:
        dest: \"{{ dir }}/app.conf\"
        mode: \"0600\"
        content: |
          url=postgres://app:{{ db_password }}@db/
          pin={{ pin }}
          port=1
    - name: say it
      command: {argv: [echo, \"{{ db_password }} {{ key }}\"]}
      register: said
    - debug: {var: said}
    - debug: {msg: \"{{ db_password | b64encode }}\"}
    - name: fail with it
      fail: {msg: \"no {{ db_password }}\"}
";

/// A directory with a key, settings and a file of secrets.
struct World {
    directory: tempfile::TempDir,
}

#[must_use]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl World {
    fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let made = world.fleet(&["secret", "keygen", "--output", "key"]);
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let settings = format!(
            "secrets: {{recipients: [{}], identity: key}}\n",
            made.stdout.trim()
        );
        world.write("fleet.yml", &settings);
        world.write(
            "hosts.yml",
            "all: {hosts: {web01: {ansible_connection: local}}}\n",
        );
        world.write("group_vars/all/secret.yml", PLAIN);
        world.write("site.yml", PLAYBOOK);
        world
    }

    fn sealed() -> Self {
        let world = Self::new();
        let ended = world.fleet(&["secret", "encrypt", "group_vars/all/secret.yml"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn vault(&self) -> String {
        self.read("group_vars/all/secret.yml")
    }

    fn fleet(&self, args: &[&str]) -> Ended {
        self.fleet_with(args, &[])
    }

    fn fleet_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ended {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test starts the binary it tests"
        )]
        let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
            .args(args)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("FLEET_STATE_DIR", self.directory.path().join("state"))
            .envs(environment.iter().copied())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    fn shows_no_secret(&self) {
        for secret in SECRETS {
            for text in [&self.stdout, &self.stderr] {
                assert!(!text.contains(secret), "{secret} is in\n{text}");
            }
        }
    }
}

#[test]
fn a_file_comes_back_as_it_was() {
    let world = World::sealed();
    let sealed = world.vault();
    assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert_eq!(
        world
            .fleet(&["secret", "view", "group_vars/all/secret.yml"])
            .stdout,
        PLAIN
    );
    assert_eq!(world.vault(), sealed, "viewing changes nothing");
    let again = world.fleet(&["secret", "encrypt", "group_vars/all/secret.yml"]);
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains("is encrypted already"),
        "{}",
        again.stderr
    );
    let ended = world.fleet(&["secret", "decrypt", "group_vars/all/secret.yml"]);
    assert_eq!((ended.code, world.vault().as_str()), (Some(0), PLAIN));
}

#[test]
fn a_key_is_private_and_never_overwritten() {
    let world = World::new();
    let mode = fs::metadata(world.path("key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    let key = world.read("key");
    assert_eq!(
        world.fleet(&["secret", "keygen", "--output", "key"]).code,
        Some(1)
    );
    assert_eq!(world.read("key"), key);
}

#[test]
fn who_cannot_read_a_file_is_told_which_and_gets_nothing_of_it() {
    let world = World::sealed();
    let other = world.fleet(&["secret", "keygen", "--output", "other"]);
    assert_eq!(other.code, Some(0));
    let sealed = world.vault();
    let damaged = {
        let at = sealed.len() * 3 / 4;
        let other = if &sealed[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &sealed[..at], &sealed[at + 1..])
    };
    let cases = [
        (
            sealed.as_str(),
            "other",
            0o600,
            "none of your keys is one it was encrypted for",
        ),
        (
            damaged.as_str(),
            "key",
            0o600,
            "it was changed or damaged after it was encrypted",
        ),
        (
            sealed.as_str(),
            "key",
            0o644,
            "may be read by others: its mode is 0644",
        ),
        (
            sealed.as_str(),
            "none",
            0o600,
            "cannot be read: No such file or directory",
        ),
    ];
    for (text, key, mode, reason) in cases {
        world.write("group_vars/all/secret.yml", text);
        if world.path(key).exists() {
            fs::set_permissions(world.path(key), fs::Permissions::from_mode(mode)).unwrap();
        }
        for args in [
            &["validate", "-i", "hosts.yml", "site.yml"][..],
            &["secret", "decrypt", "group_vars/all/secret.yml"],
            &["secret", "rekey", "group_vars/all/secret.yml"],
        ] {
            let ended = world.fleet_with(args, &[("FLEET_AGE_KEY_FILE", key)]);
            assert_eq!(ended.code, Some(1), "{args:?}");
            let words = ended
                .stderr
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            assert!(words.contains(reason), "{args:?}: {}", ended.stderr);
            assert_eq!(world.vault(), text, "{args:?} changed the file");
            ended.shows_no_secret();
        }
    }
}

#[test]
fn rekeying_lets_somebody_else_in_and_keeps_the_text() {
    let world = World::sealed();
    let public = world
        .fleet(&["secret", "keygen", "--output", "other"])
        .stdout;
    let sealed = world.vault();
    let settings = format!(
        "secrets: {{recipients: [{}], identity: key}}\n",
        public.trim()
    );
    world.write("fleet.yml", &settings);
    assert_eq!(
        world
            .fleet(&["secret", "rekey", "group_vars/all/secret.yml"])
            .code,
        Some(0)
    );
    assert_ne!(world.vault(), sealed);
    let view = ["secret", "view", "group_vars/all/secret.yml"];
    assert_eq!(world.fleet(&view).code, Some(1), "the first key is out");
    let viewed = world.fleet_with(&view, &[("FLEET_AGE_KEY_FILE", "other")]);
    assert_eq!(viewed.stdout, PLAIN);
}

#[test]
fn editing_leaves_nothing_behind_and_refuses_what_is_no_yaml() {
    let world = World::sealed();
    let edit = |script: &str| {
        let editor = format!("sh -c '{script}' editor");
        world.fleet_with(
            &["secret", "edit", "group_vars/all/secret.yml"],
            &[("EDITOR", editor.as_str())],
        )
    };
    let ended = edit("stat -c %a:%n \"$1\" >>where; echo \"more: m0resecret\" >>\"$1\"");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let viewed = world.fleet(&["secret", "view", "group_vars/all/secret.yml"]);
    assert_eq!(viewed.stdout, format!("{PLAIN}more: m0resecret\n"));
    let sealed = world.vault();
    for script in [
        "echo \"[\" >\"$1\"; echo $1 >>where",
        "exit 3",
        "echo nothing >$1",
    ] {
        let ended = edit(script);
        assert_eq!(ended.code, Some(1), "{script}");
        assert!(
            ended.stderr.contains("nothing was written"),
            "{}",
            ended.stderr
        );
        ended.shows_no_secret();
        assert_eq!(world.vault(), sealed);
    }
    let places = world.read("where");
    let (mode, place) = places.lines().next().unwrap().split_once(':').unwrap();
    assert_eq!(mode, "600");
    assert!(place.starts_with("/dev/shm/"), "{place}");
    for place in places.lines().map(|line| line.trim_start_matches("600:")) {
        assert!(
            !PathBuf::from(place).parent().unwrap().exists(),
            "{place} is left"
        );
    }
}

/// What filters make of the password, and nobody may see.
const MADE: &[(&str, &str)] = &[
    ("{{ db_password | upper }}", "CORR3CT HORSE"),
    ("{{ db_password | b64encode | lower }}", "y29ycjnjdcbob3jz"),
    ("{{ db_password | sha256 }}", "d76165bf35d0"),
    ("{{ db_password | to_json | to_json }}", "corr3ct"),
    ("{{ db_password | truncate(length=9) }}", "corr3ct h"),
    (
        "{{ db_password[8:] | replace(from='/', to='-') }}",
        "horse-b@ttery",
    ),
    (
        "{% filter title %}{{ db_password }}{% endfilter %}",
        "Corr3ct Horse",
    ),
    (
        "{% for letter in db_password %}{{ letter }}_{% endfor %}",
        "c_o_r_r_3",
    ),
];

#[test]
fn what_is_made_of_a_secret_is_shown_by_no_format() {
    let world = World::sealed();
    let mut tasks = String::from("- hosts: web01\n  tasks:\n");
    for (at, (text, _)) in MADE.iter().enumerate() {
        let text = serde_json::Value::from(*text);
        writeln!(tasks, "    - debug: {{msg: {text}}}").unwrap();
        let dest = format!("{{{{ dir }}}}/{at}");
        writeln!(tasks, "    - copy: {{dest: \"{dest}\", content: {text}}}").unwrap();
    }
    tasks += "    - template: {src: all.j2, dest: \"{{ dir }}/all\"}\n";
    let lines: Vec<_> = MADE.iter().map(|(text, _)| *text).collect();
    world.write("templates/all.j2", &(lines.join("\n") + "\nport=1\n"));
    world.write("site.yml", &tasks);
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("all"), "port=2\n").unwrap();
    let directory = format!("dir={}", target.path().display());
    let common = ["site.yml", "-i", "hosts.yml", "-e", &directory, "-D", "-v"];
    for (verb, format) in [
        (&["check"][..], "text"),
        (&["plan"], "html"),
        (&["check"], "junit"),
        (&["check"], "jsonl"),
        (&["apply", "-y"], "json"),
    ] {
        let ended = world.fleet(&[verb, &["--format", format], &common].concat());
        assert!(ended.code != Some(1), "{}", ended.stderr);
        ended.shows_no_secret();
        for (text, made) in MADE {
            for output in [&ended.stdout, &ended.stderr] {
                assert!(!output.contains(made), "{text} as {format}:\n{output}");
            }
        }
    }
    let written = fs::read_to_string(target.path().join("all")).unwrap();
    for (text, made) in MADE {
        assert!(written.contains(made), "{text}: {written}");
    }
}

#[test]
fn a_run_shows_no_secret_in_any_form() {
    let world = World::sealed();
    let target = tempfile::tempdir().unwrap();
    let directory = format!("dir={}", target.path().display());
    // What was there before was a secret too.
    fs::write(
        target.path().join("app.conf"),
        "url=postgres://app:0ldsecret@db/\n",
    )
    .unwrap();
    let common = ["-i", "hosts.yml", "-e", &directory, "-D", "-v"];
    for (verb, format) in [
        (&["check"][..], "text"),
        (&["plan"], "json"),
        (&["apply", "-y"], "json"),
        (&["apply", "-y"], "text"),
    ] {
        let args = [verb, &["site.yml", "--format", format], &common].concat();
        let ended = world.fleet(&args);
        ended.shows_no_secret();
        assert!(!ended.stdout.contains("0ldsecret"), "{}", ended.stdout);
        assert!(
            ended.stdout.contains("[redacted]"),
            "{}\n{}",
            ended.stdout,
            ended.stderr
        );
        if verb == ["check"] {
            assert!(
                ended.stdout.contains("content: (secret changed)"),
                "{}",
                ended.stdout
            );
        }
        assert_eq!(
            ended.code,
            Some(2),
            "{args:?}\n{}\n{}",
            ended.stdout,
            ended.stderr
        );
    }
    // What is remembered has none either, and the finding itself.
    let remembered = fs::read(world.path(".fleet/memory.db")).unwrap();
    let remembered = String::from_utf8_lossy(&remembered);
    assert!(remembered.contains("write the password [redacted]"));
    for secret in SECRETS.iter().chain(&["0ldsecret"]) {
        assert!(!remembered.contains(secret), "{secret} is remembered");
    }
    let listed = world.fleet(&["drift", "--history"]);
    listed.shows_no_secret();
    assert!(
        listed.stdout.contains("content: [redacted] → [redacted]"),
        "{}",
        listed.stdout
    );
    // It came to where it belongs all the same.
    assert_eq!(
        fs::read_to_string(target.path().join("app.conf")).unwrap(),
        "url=postgres://app:corr3ct horse/b@ttery@db/\npin=982451653\nport=1\n"
    );
}

#[test]
fn variables_and_errors_show_no_secret() {
    let world = World::sealed();
    for args in [
        &["inventory", "-i", "hosts.yml", "--host", "web01"][..],
        &[
            "inventory",
            "-i",
            "hosts.yml",
            "--host",
            "web01",
            "--explain",
        ],
        &["inventory", "-i", "hosts.yml", "--list"],
    ] {
        let ended = world.fleet(args);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("db_password"), "{}", ended.stdout);
        ended.shows_no_secret();
    }
    world.write(
        "site.yml",
        "- hosts: web01\n  tasks:\n    - service: {name: a, state: \"{{ db_password }}\"}\n",
    );
    let ended = world.fleet(&["validate", "-i", "hosts.yml", "site.yml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("[redacted]"), "{}", ended.stderr);
    ended.shows_no_secret();
}

#[test]
fn a_secret_too_short_to_hide_is_refused_and_not_shown() {
    let world = World::new();
    world.write("group_vars/all/secret.yml", "a: 1\nb: xyz\n");
    assert_eq!(
        world
            .fleet(&["secret", "encrypt", "group_vars/all/secret.yml"])
            .code,
        Some(0)
    );
    let ended = world.fleet(&["validate", "-i", "hosts.yml", "site.yml"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("too short to be kept out of reports, in line 2"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("xyz"), "{}", ended.stderr);
}
