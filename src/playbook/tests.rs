//! Cases are folders under `tests/playbook`: a playbook with all it needs, and beside it what
//! fleet says about it. `UPDATE_EXPECTED=1` writes what it says now.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::diagnostic::{Diagnostics, render};
use crate::inventory::Inventory;
use crate::secret::Vault;
use crate::template::Data;
use crate::yaml::Limits;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/playbook");

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(CASES).join(kind);
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

/// The inventory of a case: its `hosts.yml`, else one host.
fn inventory(case: &Path, errors: &mut Diagnostics) -> Inventory {
    let own = case.join("hosts.yml");
    let source = if own.exists() {
        own.display().to_string()
    } else {
        "node1,".to_owned()
    };
    Inventory::load(&[source], &Vault::default(), errors)
}

fn check(case: &Path) -> (Playbook, Diagnostics) {
    let mut errors = Diagnostics::new();
    let playbook = load(&case.join("site.yml"), &Vault::default(), &mut errors);
    let inventory = inventory(case, &mut errors);
    let globals = Globals::new(&inventory, VariableMap::new());
    validate(
        &playbook,
        &inventory,
        &globals,
        None,
        &TagFilter::default(),
        &mut errors,
    );
    (playbook, errors)
}

/// Compares with a file, or writes it.
fn expect(path: &Path, found: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if found != expected {
        wrong.push(format!(
            "{}\nfound:\n{found}\nexpected:\n{expected}",
            path.display()
        ));
    }
}

#[test]
fn invalid_playbooks_are_refused_in_these_words() {
    let mut wrong = Vec::new();
    for case in cases("invalid") {
        let (_, errors) = check(&case);
        let said = render(errors.as_slice(), false);
        let said = said.replace(&format!("{}/", case.display()), "");
        let said = said.replace(&relative(&case), "");
        assert!(errors.has_errors(), "{}: no error", case.display());
        expect(&case.join("expected"), &said, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The case's folder as messages show it.
fn relative(case: &Path) -> String {
    let current = std::env::current_dir().unwrap();
    let shown = case.strip_prefix(current).unwrap_or(case);
    format!("{}/", shown.display())
}

#[test]
fn valid_playbooks_come_to_these_steps() {
    let mut wrong = Vec::new();
    for case in cases("valid") {
        let (playbook, errors) = check(&case);
        assert!(
            errors.as_slice().is_empty(),
            "{}",
            render(errors.as_slice(), false)
        );
        let mut shown = String::new();
        for play in &playbook.plays {
            writeln!(shown, "play {} on {}", play.name, play.hosts).unwrap();
            for step in &play.steps {
                match step {
                    Step::Task(task) => outline(task, &mut shown),
                    Step::FlushHandlers => writeln!(shown, "  (handlers)").unwrap(),
                }
            }
            for handler in &play.handlers {
                writeln!(
                    shown,
                    "  handler {} listens {:?}",
                    handler.key, handler.listen
                )
                .unwrap();
            }
        }
        expect(&case.join("expected"), &shown, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn outline(task: &Task, shown: &mut String) {
    let name = task.name.as_ref().and_then(Node::text).unwrap_or("-");
    let role = task.role.as_ref().map_or("", |role| &role.name);
    write!(shown, "  {} [{role}] {name}", task.kind.name).unwrap();
    for condition in &task.when {
        write!(shown, " when={}", condition.text().unwrap_or("?")).unwrap();
    }
    if !task.tags.is_empty() {
        let tags: Vec<_> = task.tags.iter().map(String::as_str).collect();
        write!(shown, " tags={}", tags.join(",")).unwrap();
    }
    for key in &task.notify {
        write!(shown, " notify={key:?}").unwrap();
    }
    writeln!(shown).unwrap();
}

/// A playbook of one play whose tasks are given, in a folder of its own.
fn one_play(tasks: &str) -> (tempfile::TempDir, Playbook) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.yml");
    std::fs::write(&path, format!("- hosts: all\n  tasks:\n{tasks}")).unwrap();
    let mut errors = Diagnostics::new();
    let playbook = load(&path, &Vault::default(), &mut errors);
    assert!(!errors.has_errors(), "{}", render(errors.as_slice(), false));
    (folder, playbook)
}

#[test]
fn tags_select_as_in_ansible() {
    let (_folder, playbook) = one_play(
        "  - {name: plain, debug: {msg: a}}
  - {name: a, tags: a, debug: {msg: a}}
  - {name: b, tags: [b], debug: {msg: a}}
  - {name: always, tags: always, debug: {msg: a}}
  - {name: never, tags: 'never,debug', debug: {msg: a}}
",
    );
    let cases: [(&[&str], &[&str], &str); 10] = [
        (&[], &[], "plain a b always"),
        (&["all"], &[], "plain a b always"),
        (&["a"], &[], "a always"),
        (&["a,b"], &[], "a b always"),
        (&["tagged"], &[], "a b always"),
        (&["untagged"], &[], "plain always"),
        (&["debug"], &[], "always never"),
        (&["never"], &[], "always never"),
        (&[], &["a", "always"], "plain b"),
        (&["a"], &["a"], "always"),
    ];
    for (only, skip, expected) in cases {
        let filter = TagFilter::new(only.iter().copied(), skip.iter().copied());
        let tasks = playbook.plays[0]
            .tasks()
            .filter(|task| selected(task, &filter));
        let names: Vec<_> = tasks
            .map(|task| task.name.as_ref().and_then(Node::text).unwrap())
            .collect();
        assert_eq!(names.join(" "), expected, "{only:?} {skip:?}");
    }
}

/// What the first task comes to on `node1` with these facts.
fn answer(tasks: &str, facts: &serde_json::Value) -> String {
    let (_folder, playbook) = one_play(tasks);
    let inventory = Inventory::load(
        &["node1,".to_owned()],
        &Vault::default(),
        &mut Diagnostics::new(),
    );
    let globals = Globals::new(&inventory, VariableMap::new());
    let host = globals.host(inventory.host("node1").unwrap());
    let facts: Data = crate::template::data(facts);
    let results = Results {
        facts: Some(facts),
        ..Results::default()
    };
    let play = &playbook.plays[0];
    let task = play.tasks().next().unwrap();
    let names = TaskNames::new(&globals, &host, &results, play, task);
    let scope = names.scope();
    match prepare(task, &scope, &globals.contents) {
        Ok(prepared) => format!("{prepared:?}"),
        Err(errors) => errors[0].message.clone(),
    }
}

#[test]
fn the_controller_answers_its_own_kinds() {
    let facts = serde_json::json!({"os": {"id": "centos"}, "text": "{{ evil }}"});
    let cases = [
        (
            "  - debug: {msg: 'on {{ inventory_hostname }}: {{ facts.text }}'}\n",
            r#"Value(Answer(Passed { message: Some("on node1: {{ evil }}") }))"#,
        ),
        (
            "  - debug: {var: facts.os.id}\n",
            r#"Value(Answer(Passed { message: Some("facts.os.id: \"centos\"") }))"#,
        ),
        ("  - debug: {}\n", "`debug` needs either `msg` or `var`"),
        (
            "  - assert: {that: [\"facts.os.id == 'centos'\", true], success_msg: good}\n",
            r#"Value(Answer(Passed { message: Some("good") }))"#,
        ),
        (
            "  - assert: {that: \"facts.os.id == 'debian'\"}\n",
            r#"Value(Answer(Failed { message: "`facts.os.id == 'debian'` does not hold" }))"#,
        ),
        (
            "  - fail: {msg: 'no {{ facts.os.id }}'}\n",
            r#"Value(Answer(Failed { message: "no centos" }))"#,
        ),
        (
            "  - set_fact: {a: '{{ 1 + 1 }}', version: 20.10, list: [1]}\n",
            concat!(
                r#"Value(Answer(Facts({"a": Number(2), "version": String("20.10"), "#,
                r#""list": Array [Number(1)]})))"#
            ),
        ),
    ];
    for (task, expected) in cases {
        assert_eq!(answer(task, &facts), expected, "{task}");
    }
}

#[test]
fn files_that_anybody_may_change_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = one_play("  - template: {src: a.j2, dest: /a}\n");
    let template = folder.path().join("a.j2");
    std::fs::write(&template, "a").unwrap();
    for name in ["a.j2", "site.yml"] {
        let path = folder.path().join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let (_, errors) = check(folder.path());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let message = &errors.as_slice()[0].message;
        assert!(
            message.contains(name) && message.contains("writ"),
            "{message}"
        );
    }
}

#[test]
fn registered_results_and_extra_variables_outrank_the_rest() {
    let (_folder, mut playbook) = one_play(
        "  - debug: {msg: '{{ a }}{{ b }}{{ c }}'}
    vars: {a: task, b: task, c: task}
",
    );
    let vars = crate::yaml::parse("v", "{a: play, b: play, c: play}", &Limits::default()).unwrap();
    let map = |node: &Node, names: &[&str]| -> VariableMap {
        names
            .iter()
            .map(|name| ((*name).to_owned(), node.get(name).unwrap().clone()))
            .collect()
    };
    playbook.plays[0].vars = map(&vars, &["a", "b", "c"]).into();
    let inventory = Inventory::load(
        &["node1,".to_owned()],
        &Vault::default(),
        &mut Diagnostics::new(),
    );
    let extra = crate::yaml::parse("e", "{c: extra}", &Limits::default()).unwrap();
    let globals = Globals::new(&inventory, map(&extra, &["c"]));
    let host = globals.host(inventory.host("node1").unwrap());
    let mut results = Results::default();
    for name in ["b", "c"] {
        results
            .known
            .insert(name.to_owned(), Known::Value(Data::from("registered")));
    }
    let play = &playbook.plays[0];
    let task = play.tasks().next().unwrap();
    let names = TaskNames::new(&globals, &host, &results, play, task);
    let prepared = prepare(task, &names.scope(), &globals.contents)
        .unwrap()
        .value()
        .unwrap();
    let said = r#"Answer(Passed { message: Some("taskregisteredextra") })"#;
    assert_eq!(format!("{prepared:?}"), said);
}

#[test]
fn globals_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Globals<'_>>();
    shared::<Playbook>();
}

#[test]
fn a_thousand_hosts_are_validated_at_once() {
    let mut tasks = String::new();
    for n in 0..50 {
        use std::fmt::Write as _;
        writeln!(
            tasks,
            "  - file: {{path: '/srv/{{{{ root }}}}/{n}', state: directory}}"
        )
        .unwrap();
    }
    let (folder, _) = one_play(&tasks);
    let hosts = "all: {hosts: {'h[0001:1000]': {}}, vars: {root: x}}";
    std::fs::write(folder.path().join("hosts.yml"), hosts).unwrap();
    let begin = std::time::Instant::now();
    let (_, errors) = check(folder.path());
    assert!(
        errors.as_slice().is_empty(),
        "{}",
        render(errors.as_slice(), false)
    );
    let took = begin.elapsed();
    assert!(took.as_secs() < 5, "{took:?}");
}

#[test]
fn other_hosts_variables_can_be_asked_for() {
    let (folder, _) = one_play(
        "  - debug: {msg: '{% for h in groups.db %}{{ hostvars[h].url }} {% endfor %}'}
  - debug: {msg: '{{ hostvars.db1.urll }}'}
",
    );
    let hosts = "db: {hosts: {db1: {port: 1}, db2: {port: 2}}, vars: {url: 'x:{{ port }}'}}";
    std::fs::write(folder.path().join("hosts.yml"), hosts).unwrap();
    let mut errors = Diagnostics::new();
    let playbook = load(
        &folder.path().join("site.yml"),
        &Vault::default(),
        &mut errors,
    );
    let inventory = inventory(folder.path(), &mut errors);
    let globals = Globals::new(&inventory, VariableMap::new());
    let host = globals.host(inventory.host("db1").unwrap());
    let results = Results::default();
    let play = &playbook.plays[0];
    let said: Vec<_> = play
        .tasks()
        .map(|task| {
            let names = TaskNames::new(&globals, &host, &results, play, task);
            let scope = names.scope();
            match prepare(task, &scope, &globals.contents) {
                Ok(prepared) => format!("{prepared:?}"),
                Err(errors) => errors[0].message.clone(),
            }
        })
        .collect();
    let first = r#"Value(Answer(Passed { message: Some("x:1 x:2 ") }))"#;
    assert_eq!(said, [first, "`hostvars.db1.urll` is not defined"]);
}

/// A file of each case.
fn samples(name: &str) -> Vec<Vec<u8>> {
    let cases = ["valid", "invalid"].into_iter().flat_map(cases);
    let files = cases.map(|case| case.join(name));
    files.filter_map(|file| std::fs::read(file).ok()).collect()
}

#[test]
fn fuzz_playbook() {
    let site = tempfile::tempdir().unwrap();
    crate::fuzz::feed("playbook", samples("site.yml"), |bytes| {
        std::fs::write(site.path().join("site.yml"), bytes).unwrap();
        check(site.path());
    });
}

#[test]
fn fuzz_inventory() {
    let site = tempfile::tempdir().unwrap();
    let source = site.path().join("hosts.yml").display().to_string();
    crate::fuzz::feed("inventory", samples("hosts.yml"), |bytes| {
        std::fs::write(&source, bytes).unwrap();
        let mut errors = Diagnostics::new();
        let _ = Inventory::load(
            std::slice::from_ref(&source),
            &Vault::default(),
            &mut errors,
        );
    });
}
