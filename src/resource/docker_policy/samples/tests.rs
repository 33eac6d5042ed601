//! Violations that are planted and must be found, and innocent containers and images.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::tests::{CASES, answer};
use super::*;
use crate::yaml;

/// One container or image of `planted.yml` or `innocent.yml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    /// What `docker inspect` shows differently from `tidy.json`.
    #[serde(default)]
    container: Option<Value>,
    /// An entry of `/images/json`.
    #[serde(default)]
    image: Option<Value>,
    #[serde(default)]
    finds: Vec<String>,
}

/// Puts `patch` over `value`, mapping by mapping.
fn lay_over(value: &mut Value, patch: &Value) {
    match (value, patch) {
        // An empty one is what Docker shows, not what to leave alone.
        (Value::Object(entries), Value::Object(patch)) if !patch.is_empty() => {
            for (key, patch) in patch {
                lay_over(entries.entry(key.clone()).or_insert(Value::Null), patch);
            }
        }
        (value, patch) => *value = patch.clone(),
    }
}

/// What is found in each sample of a file: the rules with their numbers, in order.
fn samples(file: &str) -> Vec<(Sample, Vec<String>)> {
    let policy: DockerPolicy = serde_json::from_value(json!({
        "registries": ["registry.example.com", "docker.io/library/eclipse-*"],
        "image_max_days": 365, "memory_max": "8g", "published_ports": ["443", "8000-8999"],
        "log_drivers": ["json-file", "journald"], "log_max_size": "100m",
        "restart": ["unless-stopped", "on-failure:5"],
        "extra": ["cpus", "read_only_root", "new_privileges", "healthcheck", "root_user"],
    }))
    .unwrap();
    assert_eq!(policy.validate(), Ok(()));
    let path = Path::new("tests").join(CASES).join(file);
    let text = fs::read_to_string(path).unwrap();
    let node = yaml::parse(file, &text, &yaml::Limits::default()).unwrap();
    let samples: Vec<Sample> = yaml::from_node(&node).unwrap();
    let looked_at = |sample: Sample| {
        let mut tidy = answer("engine-20.10.24", "tidy");
        if let Some(patch) = sample.container.as_ref().filter(|it| **it != json!({})) {
            lay_over(&mut tidy, patch);
        }
        let observed = Observed {
            info: answer("engine-20.10.24", "info"),
            containers: vec![tidy],
            images: sample.image.iter().cloned().collect(),
            now: 1_763_683_200,
            ..Observed::default()
        };
        let found = policy.findings(&observed).into_iter();
        let found = found.filter(|it| {
            matches!(
                it.subject,
                finding::Subject::Container(_) | finding::Subject::Image(_)
            )
        });
        let mut found: Vec<_> = found
            .map(|it| {
                let subject = format!("{} ", it.subject);
                it.drift().attribute.replacen(&subject, "", 1)
            })
            .collect();
        found.sort();
        (sample, found)
    };
    samples.into_iter().map(looked_at).collect()
}

#[test]
fn every_planted_violation_is_found_by_its_number_and_nothing_besides() {
    let planted = samples("planted.yml");
    assert!(planted.len() >= 60, "{}", planted.len());
    let wrong: Vec<_> = planted
        .iter()
        .filter(|(sample, found)| *found != sample.finds || found.is_empty())
        .map(|(sample, found)| format!("{}: {found:?}, not {:?}", sample.name, sample.finds))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every rule over containers and images is broken by one of them.
    let broken: Vec<_> = planted.iter().flat_map(|(_, found)| found).collect();
    let first_of_the_engine = Rule::ALL
        .iter()
        .position(|rule| *rule == Rule::DaemonJson)
        .unwrap();
    for rule in &Rule::ALL[..first_of_the_engine] {
        let is_broken = broken
            .iter()
            .any(|found| found.split(' ').next() == Some(rule.name()));
        assert!(is_broken, "nothing breaks {rule}");
    }
}

#[test]
fn nothing_is_found_in_the_innocent() {
    let innocent = samples("innocent.yml");
    assert!(innocent.len() >= 40, "{}", innocent.len());
    for (sample, found) in innocent {
        assert!(found.is_empty(), "{}: {found:?}", sample.name);
    }
}
