use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::yaml;

#[path = "../../../tests/cases.rs"]
mod cases;

pub(super) const CASES: &str = "docker_policy";

/// One file in `tests/docker_policy/cases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    policy: DockerPolicy,
    /// The directory with what an engine answered.
    #[serde(default)]
    engine: Option<String>,
    #[serde(default)]
    containers: Vec<String>,
    host: Map<String, Value>,
}

pub(super) fn answer(engine: &str, name: &str) -> Value {
    let path = Path::new("tests").join(CASES).join(engine).join(name);
    let text = fs::read_to_string(path.with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Case {
    fn observed(&self) -> Observed {
        let mut host = Map::new();
        if let Some(engine) = &self.engine {
            for name in ["info", "bridge", "images"] {
                host.insert(name.to_owned(), answer(engine, name));
            }
            let containers = self.containers.iter().map(|name| answer(engine, name));
            host.insert("containers".to_owned(), containers.collect());
        }
        host.extend(self.host.clone());
        serde_json::from_value(Value::Object(host)).unwrap()
    }
}

#[test]
fn every_case_has_the_findings_beside_it() {
    cases::check_all(&format!("{CASES}/cases"), |path| {
        let text = fs::read_to_string(path).unwrap();
        let node = yaml::parse("case", &text, &yaml::Limits::default()).unwrap();
        let case: Case =
            yaml::from_node(&node).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        assert_eq!(case.policy.validate(), Ok(()), "{}", path.display());
        let mut found = String::new();
        for drift in case.policy.drift(&case.observed()) {
            let severity = drift.severity.unwrap_or_default();
            let Drift {
                attribute,
                actual,
                expected,
                ..
            } = drift;
            let _ = writeln!(found, "{severity}: {attribute}: {actual} → {expected}");
        }
        found
    });
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (policy, expected) in [
        (json!({ "rules": [] }), "`rules` is empty"),
        (
            json!({ "extra": ["registries"] }),
            "the rule `registries` needs `registries`",
        ),
        (
            json!({ "rules": ["published_ports"] }),
            "the rule `published_ports` needs `published_ports`",
        ),
        (
            json!({ "rules": ["image_age"] }),
            "the rule `image_age` needs `image_max_days`",
        ),
        (
            json!({ "exceptions": [{ "for": "a", "rules": [], "reason": "x" }] }),
            "without `rules`",
        ),
        (
            json!({ "exceptions": [{ "for": "a*", "rules": ["icc"], "reason": " " }] }),
            "the exception for a* has no `reason`",
        ),
    ] {
        let declared: DockerPolicy = serde_json::from_value(policy.clone()).unwrap();
        let problem = declared.validate().unwrap_err();
        assert!(problem.contains(expected), "{policy}: {problem}");
    }
    for policy in [
        json!({ "rules": ["privilged"] }),
        json!({ "exceptions": [{ "rules": ["icc"] }] }),
        json!({ "published_ports": ["http"] }),
        json!({ "allow": [] }),
    ] {
        assert!(
            serde_json::from_value::<DockerPolicy>(policy.clone()).is_err(),
            "{policy}"
        );
    }
}

/// Every number that a finding can have, with its rule.
fn numbers() -> BTreeSet<(&'static str, Rule)> {
    let everywhere = "--tlscacert ca.pem --tlscert cert.pem --tlskey key.pem";
    let flags: Vec<_> = everywhere.split(' ').map(str::to_owned).collect();
    let settings = settings::Settings::merge(&Map::new(), &flags, &Value::Null, &Value::Null);
    let told = files::Told {
        service: vec!["docker.service".to_owned()],
        socket: vec!["docker.socket".to_owned()],
        certificates: vec!["ca.crt".to_owned()],
        ..files::Told::default()
    };
    let mut numbers: BTreeSet<_> = Rule::ALL.iter().map(|rule| (rule.cis(), *rule)).collect();
    numbers.retain(|(cis, _)| !cis.is_empty());
    for guard in files::guards(&settings, &told) {
        numbers.insert((guard.cis.0, Rule::FileOwner));
        numbers.insert((guard.cis.1, Rule::FileMode));
    }
    numbers.extend(audit::WATCHED.map(|(cis, _)| (cis, Rule::AuditWatches)));
    numbers.extend(container::CONFINEMENT.map(|(_, cis)| (cis, Rule::Confinement)));
    numbers
}

#[test]
fn every_number_is_in_the_documentation_with_its_rule_and_evidence_and_none_besides() {
    let page = include_str!("../../../docs/audit.md");
    let (_, table) = page.split_once("| CIS | rule | evidence |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let rows: Vec<[&str; 3]> = rows
        .map(|row| {
            let cells = row.trim_matches('|').splitn(3, '|').map(str::trim);
            cells.collect::<Vec<_>>().try_into().expect(row)
        })
        .collect();
    let written: BTreeSet<_> = rows
        .iter()
        .map(|[cis, rule, _]| (*cis, (*rule).to_owned()))
        .collect();
    let known = numbers().into_iter();
    let known: BTreeSet<_> = known
        .map(|(cis, rule)| (cis, format!("`{rule}`")))
        .collect();
    assert_eq!(written, known);
    assert_eq!(rows.len(), written.len(), "a number stands there twice");
    assert!(rows.iter().all(|[_, _, evidence]| !evidence.is_empty()));
}

/// What fleet's own roles and inventories make of a host passes the audit that ends the playbook.
#[test]
fn every_daemon_json_here_keeps_the_rules() {
    let config = "docker_engine_config";
    for (path, variable) in [
        (
            "roles/docker_engine/defaults/main.yml",
            "docker_engine_defaults",
        ),
        ("inventory/example/standard.yml", config),
        (
            "inventory/example/staging/group_vars/all/20-environment.yml",
            config,
        ),
        ("tests/lab/standard-host/vm.yml", config),
    ] {
        let text = fs::read_to_string(path).unwrap();
        let node = yaml::parse(path, &text, &yaml::Limits::default()).unwrap();
        let declared = node.get(variable).expect(path);
        let observed = Observed {
            daemon_json: yaml::from_node(declared).unwrap(),
            ..Observed::default()
        };
        assert_eq!(DockerPolicy::default().drift(&observed), [], "{path}");
    }
}

/// A policy with everything on.
fn everything() -> DockerPolicy {
    serde_json::from_value(json!({
        "rules": Rule::ALL, "registries": ["registry.example.com"], "image_max_days": 1,
        "memory_max": "1m", "published_ports": [], "log_drivers": ["none"], "log_max_size": "1b",
        "restart": ["never"], "docker_group": []
    }))
    .unwrap()
}

#[test]
fn each_finding_is_told_once_and_under_one_name() {
    let case = Case {
        policy: everything(),
        engine: Some("engine-20.10.24".to_owned()),
        containers: ["stray", "loose", "tidy", "orders"]
            .map(str::to_owned)
            .to_vec(),
        host: Map::new(),
    };
    let drift = case.policy.drift(&case.observed());
    let mut names: Vec<_> = drift
        .iter()
        .map(|drift| (&drift.attribute, &drift.actual))
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(drift.iter().all(Drift::is_only_reported));
}

#[test]
fn no_environment_variable_is_shown() {
    let case = Case {
        policy: everything(),
        engine: Some("engine-20.10.24".to_owned()),
        containers: vec!["orders".to_owned()],
        host: Map::new(),
    };
    let observed = case.observed();
    assert!(observed.containers[0].to_string().contains("hunter2"));
    let shown = format!("{:?}", case.policy.drift(&observed));
    assert!(
        shown.contains("-Xmx480m") && !shown.contains("hunter2"),
        "{shown}"
    );
}

/// Puts `with` in the place of one value somewhere inside.
fn replace_one(value: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        *value = with.clone();
        *place = usize::MAX;
        return;
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|it| replace_one(it, place, with)),
        Value::Object(entries) => entries
            .values_mut()
            .for_each(|it| replace_one(it, place, with)),
        _ => {}
    }
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, 1, "", {}])),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,16}".prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// An engine that answers nonsense is no reason to panic.
    #[test]
    fn malformed_answers_are_survived(
        which in 0..5_usize, mut place in 0..400_usize, with in odd_value(), now in any::<i64>(),
    ) {
        let names = ["info", "bridge", "images", "stray", "loose"];
        let mut answers = names.map(|name| answer("engine-20.10.24", name));
        replace_one(&mut answers[which], &mut place, &with);
        let [info, bridge, images, stray, loose] = answers;
        let observed = Observed {
            info,
            bridge,
            images: images.as_array().cloned().unwrap_or_default(),
            containers: vec![stray, loose],
            now,
            ..Observed::default()
        };
        everything().drift(&observed);
    }

    /// A rule more never takes a finding away, an exception never adds one.
    #[test]
    fn exceptions_only_take_away(rule in prop::sample::select(Rule::ALL), subject in "[a-z*?]{0,6}") {
        let case = Case {
            policy: everything(),
            engine: Some("engine-20.10.24".to_owned()),
            containers: vec!["stray".to_owned(), "loose".to_owned()],
            host: Map::new(),
        };
        let observed = case.observed();
        let all = case.policy.drift(&observed);
        let mut policy = everything();
        policy.exceptions.push(Exception {
            subject: Some(subject.clone()),
            rules: vec![rule],
            reason: "a test".to_owned(),
        });
        let left = policy.drift(&observed);
        prop_assert!(left.iter().all(|drift| all.contains(drift)));
        let gone = all.iter().filter(|drift| !left.contains(drift));
        for drift in gone {
            prop_assert!(drift.attribute.contains(rule.name()), "{} {}", rule, drift.attribute);
        }
    }
}
