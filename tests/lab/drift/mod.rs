//! Drifts planted on real machines: each is found as what it is, nothing is found that was not
//! planted, and what can be repaired is.
//!
//! The drifts are data (`*-drifts.yml`); `README.md` says what the words in there mean. They are planted on top of each other, and there is a check after every twenty,
//! or after each. Where the next drift is about something that has drifted already, it waits for the
//! next round.
//! So the last check of the first round is that of everything that can stand together. A round ends
//! with its repair, and with a check that finds nothing and prints nothing.

use std::path::Path;

use serde_json::Value;

use crate::host_state::{quiet, same, state};
use crate::machine::{Machine, Run};

mod case;
pub(crate) mod packages;
mod shell;
mod table;

use case::{Drift, Repair};
use shell::Shell;
use table::Row;

/// Plants the drifts of one file on a machine that the playbook has made.
pub(crate) fn play(machine: &Machine, name: &str, playbook: &str, variables: &[&str]) {
    let inventory = machine.fleet(&["inventory", "--host", "node1"]).exits(0);
    let file = format!("tests/lab/drift/{name}-drifts.yml");
    let mut drifts = Drift::read(Path::new(&file), &inventory.json());
    if let Ok(part) = std::env::var("FLEET_LAB_DRIFTS") {
        drifts.retain(|drift| drift.name.contains(&part));
    }
    let mut host = Host {
        machine,
        shell: Shell::open(machine),
        playbook,
        variables,
        troubles: Vec::new(),
    };
    host.apply(&[]);
    assert_eq!(host.troubles, Vec::<String>::new());
    assert_eq!(host.check_quietly(), Vec::<String>::new());

    let mut rows = Vec::new();
    let mut waiting: Vec<_> = drifts.iter().collect();
    while !waiting.is_empty() {
        let (now, later) = those_beside_each_other(waiting);
        let mut round = host.plant(&now);
        if rows.is_empty() {
            host.looking_changes_nothing();
        }
        host.repair(&mut round);
        rows.extend(round);
        waiting = later;
    }
    let table = table::table(&format!("Drifts on the {name}"), &rows);
    #[expect(clippy::print_stdout, reason = "the table is what this is for")]
    {
        print!("{table}");
    }
    assert_eq!(host.troubles, Vec::<String>::new());
    assert!(rows.iter().all(Row::is_right), "see above");
}

/// How many are planted between two checks.
fn at_once() -> usize {
    let given = std::env::var("FLEET_LAB_DRIFTS_AT_ONCE");
    given.map_or(20, |number| number.parse().unwrap())
}

/// Those that can stand beside each other, and the others, both in the order of the file.
fn those_beside_each_other(drifts: Vec<&Drift>) -> (Vec<&Drift>, Vec<&Drift>) {
    let (mut now, mut later) = (Vec::<&Drift>::new(), Vec::new());
    for drift in drifts {
        if now.iter().any(|other| drift.is_about_the_same_as(other)) {
            later.push(drift);
        } else {
            now.push(drift);
        }
    }
    (now, later)
}

/// A machine and the playbook that says what it is to be.
struct Host<'m> {
    machine: &'m Machine,
    shell: Shell,
    playbook: &'m str,
    /// Options that say more of what it is to be.
    variables: &'m [&'m str],
    /// What went wrong on the way. The others go on: each run costs minutes.
    troubles: Vec<String>,
}

impl Host<'_> {
    /// Plants drifts, some between two checks. A check must find what the one before found, what was
    /// planted since, and nothing else.
    fn plant<'d>(&mut self, drifts: &[&'d Drift]) -> Vec<Row<'d>> {
        let mut before = Vec::new();
        let mut rows = Vec::new();
        for some in drifts.chunks(at_once()) {
            for drift in some {
                self.plant_one(drift);
            }
            let after = self.check();
            let mut strange = without(&after, &before);
            for drift in some {
                let missed = without(&drift.finds, &strange);
                let found = without(&drift.finds, &missed);
                strange = without(&strange, &found);
                rows.push(Row {
                    drift,
                    missed,
                    left: Vec::new(),
                });
            }
            let names: Vec<_> = some.iter().map(|drift| drift.name.as_str()).collect();
            let names = names.join(", ");
            let strange = strange.iter().map(|finding| format!("found: {finding}"));
            let lost = without(&before, &after);
            let lost = lost.iter().map(|finding| format!("no longer: {finding}"));
            let troubles = strange
                .chain(lost)
                .map(|trouble| format!("with {names}: {trouble}"));
            self.troubles.extend(troubles);
            before = after;
        }
        rows
    }

    fn plant_one(&mut self, drift: &Drift) {
        if let Some(declared) = &drift.declared {
            self.apply(&["-e", &declared.to_string()]);
        }
        if let Some(command) = &drift.plant {
            self.by_hand(command);
        }
        if drift.interrupted {
            let _ = self.fleet("apply", &["-y"]).exits(2);
        }
    }

    /// Not even where there is much to be seen.
    fn looking_changes_nothing(&self) {
        quiet(self.machine);
        let before = state(self.machine);
        let _ = self.fleet("check", &["-D"]).exits(2);
        same(&before, &state(self.machine));
    }

    /// Takes all of them away again, each in its way.
    fn repair(&mut self, rows: &mut [Row<'_>]) {
        for row in rows.iter() {
            if let Some(undo) = &row.drift.undo {
                self.by_hand(undo);
            }
        }
        self.apply(&[]);
        let pruned = |row: &&Row<'_>| row.drift.repair == Repair::Prune;
        let orphans: Vec<_> = rows
            .iter()
            .filter(pruned)
            .flat_map(|row| row.drift.finds.clone())
            .collect();
        if !orphans.is_empty() {
            let left = self.check();
            let gone = without(&orphans, &left);
            let gone = gone.iter().map(|orphan| format!("not asked for: {orphan}"));
            self.troubles.extend(gone);
            self.apply(&["--prune"]);
        }
        let left = self.check_quietly();
        for row in rows.iter_mut() {
            row.left = left
                .iter()
                .filter(|finding| row.drift.finds.contains(finding))
                .cloned()
                .collect();
        }
        let strange = without(
            &left,
            &rows
                .iter()
                .flat_map(|row| row.left.clone())
                .collect::<Vec<_>>(),
        );
        let strange = strange
            .iter()
            .map(|finding| format!("nobody planted this: {finding}"));
        self.troubles.extend(strange);
    }

    fn apply(&mut self, more: &[&str]) {
        let run = self.fleet("apply", &[&["-y"], more].concat());
        if run.status() != 0 {
            self.troubles.push(format!("apply: {}", run.stdout()));
        }
    }

    fn by_hand(&mut self, command: &str) {
        let done = self.shell.run(command);
        self.troubles.extend(done.err());
    }

    fn fleet(&self, verb: &str, more: &[&str]) -> Run {
        let arguments = [&[verb, self.playbook], self.variables, more];
        self.machine.fleet(&arguments.concat())
    }

    /// What check finds.
    fn check(&self) -> Vec<String> {
        findings(&self.fleet("check", &["--format", "json"]).json())
    }

    /// The same; where nothing is found, nothing is said.
    fn check_quietly(&mut self) -> Vec<String> {
        let report = self.machine.write("report.json", "");
        let run = self.fleet("check", &["-q", "--output", &format!("json={report}")]);
        let findings = findings(&serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap());
        let said = format!("{}{}", run.stdout(), run.stderr());
        if findings.is_empty() && (run.status(), said.as_str()) != (0, "") {
            self.troubles
                .push(format!("nothing is found, but said: {said}"));
        }
        findings
    }
}

/// Everything in the report that is not ok, as the files of drifts have it.
fn findings(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut findings = Vec::new();
    for resource in report["hosts"][0]["resources"].as_array().unwrap() {
        let thing = format!("{} {}", text(&resource["kind"]), text(&resource["id"]));
        let drift = resource["drift"].as_array().unwrap();
        if drift.is_empty() {
            let (status, message) = (text(&resource["status"]), text(&resource["message"]));
            findings.push(format!("{thing}: {status} {message}"));
        }
        for drift in drift {
            let [attribute, expected, actual, severity] =
                ["attribute", "expected", "actual", "severity"].map(|key| text(&drift[key]));
            let severity = match severity.as_str() {
                "medium" => String::new(),
                severity => format!(" ({severity})"),
            };
            findings.push(format!(
                "{thing}: {attribute} {expected} ← {actual}{severity}"
            ));
        }
    }
    findings
}

/// What is in `all` and not in `some`.
fn without(all: &[String], some: &[String]) -> Vec<String> {
    let mut rest = some.to_vec();
    let mut left = Vec::new();
    for finding in all {
        match rest.iter().position(|other| other == finding) {
            Some(position) => drop(rest.remove(position)),
            None => left.push(finding.clone()),
        }
    }
    left
}
