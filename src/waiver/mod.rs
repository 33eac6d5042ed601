//! Waivers: drift that somebody accepted, for a reason and for a time.
//!
//! ```yaml
//! - hosts: "web*:!web03"              # as in `-l`
//!   kind: sysctl                      # globs; what is left out matches everything
//!   id: vm.swappiness
//!   attribute: value
//!   reason: the vendor asks for 10 until 4.2
//!   owner: ops@example.org
//!   expires: 2027-01-31               # the last day, in UTC
//! ```
//!
//! A waiver changes what is said about drift and nothing else: `check` shows what is waived apart
//! and does not exit with 2 for it. `plan` and `apply` say and do what is declared, whoever accepted
//! that it differs; they go by waivers only where there is nothing to do: for what an audit found.

use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;

use crate::diagnostic::{Diagnostic, nearest};
use crate::inventory::{Glob, Pattern};
use crate::playbook::kinds;
use crate::report::Waived;
use crate::yaml::{self, Limits, Node};

mod register;

pub use register::{Coverage, Reach, Register};

/// The file's name, beside the playbooks.
pub const WAIVER_FILE: &str = "waivers.yml";

/// All waivers of a file.
#[derive(Clone, Debug, Default)]
pub struct Waivers {
    waivers: Vec<Waiver>,
}

/// Differences that are accepted.
#[derive(Clone, Debug)]
struct Waiver {
    hosts: Pattern,
    kind: Option<Glob>,
    id: Option<Glob>,
    attribute: Option<Glob>,
    /// What it is about, as written.
    subject: String,
    says: Arc<Waived>,
}

/// One waiver as written. Everything is optional here, so that all that is missing is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    hosts: Option<String>,
    kind: Option<String>,
    id: Option<String>,
    attribute: Option<String>,
    reason: Option<String>,
    owner: Option<String>,
    expires: Option<String>,
}

impl Waivers {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let root = yaml::load(path, &Limits::default())?;
        if root.is_null() {
            return Ok(Self::default());
        }
        let Some(entries) = root.as_sequence() else {
            let message = format!("waivers are a list, not {}", root.describe());
            let error = Diagnostic::error(message).at(root.span.clone());
            return Err(vec![error.help("begin each waiver with `- hosts:`")]);
        };
        let mut errors = Vec::new();
        let mut waivers = Vec::new();
        for node in entries {
            match Waiver::read(node) {
                Ok(waiver) => waivers.push(waiver),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            Ok(Self { waivers })
        } else {
            Err(errors)
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waivers.is_empty()
    }
}

impl Waiver {
    fn read(node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let written: Written = yaml::from_node(node).map_err(|error| vec![error.into()])?;
        let mut errors = Vec::new();
        let place = |key: &str| node.get(key).unwrap_or(node).span.clone();
        let mut required = |key: &str, text: Option<String>| match text {
            Some(text) if !text.trim().is_empty() => Some(text),
            Some(_) => {
                let error = Diagnostic::error(format!("`{key}` of a waiver is empty"));
                errors.push(error.at(place(key)));
                None
            }
            None => {
                let message = format!("a waiver needs `{key}`");
                errors.push(Diagnostic::error(message).at(node.span.clone()));
                None
            }
        };
        let hosts = required("hosts", written.hosts);
        let reason = required("reason", written.reason);
        let owner = required("owner", written.owner);
        let expires = required("expires", written.expires);
        let subject = subject(hosts.as_deref().unwrap_or_default(), node);

        let hosts = hosts.and_then(|hosts| match Pattern::parse(&hosts) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                errors.push(Diagnostic::from(error).at(place("hosts")));
                None
            }
        });
        let expires = expires.and_then(|text| {
            let date = day(&text);
            if date.is_none() {
                let message = format!("`{text}` is no date");
                let error = Diagnostic::error(message).at(place("expires"));
                errors.push(error.help("write the last day as year-month-day: `2027-01-31`"));
            }
            date
        });
        let mut glob = |key: &str, text: Option<&String>| {
            text.and_then(|text| match Glob::parse(text) {
                Ok(glob) => Some(glob),
                Err(error) => {
                    let message = format!("the pattern `{text}` {error}");
                    errors.push(Diagnostic::error(message).at(place(key)));
                    None
                }
            })
        };
        let kind = glob("kind", written.kind.as_ref());
        let id = glob("id", written.id.as_ref());
        let attribute = glob("attribute", written.attribute.as_ref());
        if let (Some(text), Some(glob)) = (&written.kind, &kind)
            && !kinds().keys().any(|kind| glob.is_match(kind))
        {
            let error = Diagnostic::error(format!("there is no kind `{text}`")).at(place("kind"));
            let near = nearest(text, kinds().keys().copied());
            errors.push(error.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`fleet doc` lists the kinds".to_owned(),
            }));
        }
        let (Some(hosts), Some(reason), Some(owner), Some(expires), true) =
            (hosts, reason, owner, expires, errors.is_empty())
        else {
            return Err(errors);
        };
        let (line, _) = node.span.line_column();
        Ok(Self {
            hosts,
            kind,
            id,
            attribute,
            subject,
            says: Arc::new(Waived {
                reason,
                owner,
                expires,
                place: format!("{}:{line}", node.span.file.path.display()),
            }),
        })
    }
}

/// `web*: sysctl vm.swappiness value`, as written.
fn subject(hosts: &str, node: &Node) -> String {
    let rest = ["kind", "id", "attribute"]
        .into_iter()
        .filter_map(|key| node.get(key)?.text());
    let rest: Vec<_> = rest.collect();
    if rest.is_empty() {
        hosts.to_owned()
    } else {
        format!("{hosts}: {}", rest.join(" "))
    }
}

/// A day as `2027-01-31`, and in no other way.
fn day(text: &str) -> Option<Date> {
    text.parse()
        .ok()
        .filter(|date: &Date| date.to_string() == text)
}

#[cfg(test)]
mod tests;
