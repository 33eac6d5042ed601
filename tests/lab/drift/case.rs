//! What is in the files of drifts.

use std::collections::BTreeSet;
use std::path::Path;

use fleet::yaml;
use serde::Deserialize;
use serde_json::Value;

/// One way in which a host comes to differ from what is declared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drift {
    /// In the words of the table.
    pub(super) name: String,
    /// What somebody does on the host.
    pub(super) plant: Option<String>,
    /// Variables of an earlier version of the playbook, which is applied and then forgotten.
    pub(super) declared: Option<Value>,
    /// An apply follows, and fails.
    #[serde(default)]
    pub(super) interrupted: bool,
    /// What check must find: `kind id: attribute expected ← actual`, and in brackets the severity
    /// if it is not medium.
    pub(super) finds: Vec<String>,
    #[serde(default)]
    pub(super) repair: Repair,
    /// Why fleet does not repair it.
    pub(super) why: Option<String>,
    /// What somebody does on the host before the repair, or in its place.
    pub(super) undo: Option<String>,
}

/// What takes a drift away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Repair {
    /// `fleet apply`.
    #[default]
    Apply,
    /// `fleet apply --prune`; without it the drift stays.
    Prune,
    /// Nothing that fleet does: it is found, and left to people.
    ByHand,
}

impl Drift {
    /// Reads a file of drifts; `{{ a.b }}` in them is a variable of the lab's inventory.
    pub(super) fn read(file: &Path, variables: &Value) -> Vec<Self> {
        let text = std::fs::read_to_string(file).unwrap();
        let text = filled_in(&text, variables);
        let node = yaml::parse(file.display().to_string(), text, &yaml::Limits::default())
            .unwrap_or_else(|problems| panic!("{}: {problems:?}", file.display()));
        let drifts: Vec<Self> = yaml::from_node(&node)
            .unwrap_or_else(|problem| panic!("{}: {problem:?}", file.display()));
        let mut names = BTreeSet::new();
        for drift in &drifts {
            let name = &drift.name;
            assert!(names.insert(name), "{name}: there twice");
            assert!(!drift.finds.is_empty(), "{name}: finds nothing");
            assert!(
                drift.plant.is_some() || drift.declared.is_some(),
                "{name}: is not planted"
            );
            assert_eq!(
                drift.repair == Repair::ByHand,
                drift.why.is_some() && drift.undo.is_some(),
                "{name}: what is left to people says why, and how"
            );
        }
        drifts
    }

    /// What it is about, the thing and the first word of the attribute: two drifts of the same
    /// cannot stand beside each other. What rules find is about many things.
    fn about(&self) -> impl Iterator<Item = &str> {
        self.finds.iter().map(|finding| {
            let declared = finding.split(" ← ").next().unwrap_or_default();
            match declared.rfind(": ") {
                Some(colon) if !finding.starts_with("docker_policy ") => {
                    let attribute = colon + ": ".len();
                    let word = declared[attribute..].find(' ').unwrap_or_default();
                    &finding[..attribute + word]
                }
                _ => finding,
            }
        })
    }

    pub(super) fn is_about_the_same_as(&self, other: &Self) -> bool {
        self.about()
            .any(|thing| other.about().any(|other| thing == other))
    }
}

fn filled_in(text: &str, variables: &Value) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{ ") {
        let (name, behind) = after.split_once(" }}").unwrap();
        let pointer = format!("/{}", name.replace('.', "/"));
        let value = variables.pointer(&pointer).and_then(Value::as_str);
        filled.push_str(before);
        filled.push_str(value.unwrap_or_else(|| panic!("the lab has no text `{name}`")));
        rest = behind;
    }
    filled + rest
}
