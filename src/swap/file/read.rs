//! From the nodes of the file to what it declares.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::work::Written;
use super::{Drain, LoadBalancers, OnTimeout, SwapFile, Unavailable};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::inventory::Pattern;
use crate::protocol::balancer::ServerName;
use crate::yaml::{self, Node};

const KEYS: [&str; 13] = [
    "service",
    "load_balancers",
    "pools",
    "replace",
    "gate",
    "deploy",
    "health",
    "live",
    "drain",
    "max_unavailable",
    "min_healthy_time",
    "stagger",
    "auto_revert",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBalancers {
    hosts: String,
    #[serde(default, rename = "socket")]
    _socket: Option<String>,
    backends: Vec<String>,
    #[serde(default, rename = "server")]
    _server: Option<String>,
    #[serde(default, rename = "server_state_file")]
    _server_state_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDrain {
    deadline: Option<Pause>,
    #[serde(default)]
    on_timeout: OnTimeout,
}

/// A duration as written: `90`, `500ms`, `30s`, `5m`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pause(pub Duration);

impl TryFrom<String> for Pause {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(seconds) = text.parse::<u32>() {
            return Ok(Self(Duration::from_secs(seconds.into())));
        }
        let parsed = text.parse::<jiff::SignedDuration>().ok();
        parsed
            .and_then(|duration| Duration::try_from(duration).ok())
            .map(Self)
            .ok_or_else(|| {
                format!("`{text}` is no duration: write seconds, or `500ms`, `30s`, `5m`")
            })
    }
}

/// What a file says.
pub(super) fn file(path: &Path, root: &Node) -> Result<SwapFile, Vec<Diagnostic>> {
    let mut errors = Diagnostics::new();
    let Some(entries) = root.as_mapping() else {
        let message = format!("a swap is a mapping, not {}", root.describe());
        let error = Diagnostic::error(message).at(root.span.clone());
        return Err(vec![error.help("begin it with `service: NAME`")]);
    };
    for (key, _) in entries {
        if !KEYS.contains(&&*key.text) {
            let error = Diagnostic::error(format!("unknown key `{}`", key.text));
            let near = nearest(&key.text, KEYS);
            errors.push(error.at(key.span.clone()).help(near.map_or_else(
                || format!("known are {}", KEYS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            )));
        }
    }
    let mut reader = Reader { root, errors };
    let service = reader.service();
    let load_balancers = reader.load_balancers();
    let work = reader.work(path.parent().unwrap_or(Path::new("")));
    let health = reader.health();
    let live = reader.live();
    let drain = reader.drain();
    let max_unavailable = reader.max_unavailable();
    let pause = |pause: Option<Pause>| pause.map_or(Duration::ZERO, |pause| pause.0);
    let min_healthy_time = pause(reader.optional("min_healthy_time"));
    let stagger = pause(reader.optional("stagger"));
    let auto_revert = reader.optional("auto_revert").unwrap_or(true);
    let errors = reader.errors;
    let (Some(service), Some(load_balancers), Some(work), Some(health), false) =
        (service, load_balancers, work, health, errors.has_errors())
    else {
        return Err(errors.into_vec());
    };
    let Written { work, gate, deploy } = work;
    Ok(SwapFile {
        path: path.to_owned(),
        service,
        load_balancers,
        work,
        gate,
        deploy,
        health,
        live,
        drain,
        max_unavailable,
        min_healthy_time,
        stagger,
        auto_revert,
    })
}

/// The file while it is read, with what is wrong so far.
pub(super) struct Reader<'n> {
    pub root: &'n Node,
    errors: Diagnostics,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, message: impl Into<String>, place: &Node, help: &str) {
        let error = Diagnostic::error(message).at(place.span.clone());
        self.errors.push(error.help(help));
    }

    /// The node of a key that has to be there.
    pub(super) fn required(&mut self, key: &str) -> Option<&Node> {
        let node = self.root.get(key).filter(|node| !node.is_null());
        if node.is_none() {
            let message = format!("a swap needs `{key}`");
            let error = Diagnostic::error(message).at(self.root.span.clone());
            self.errors.push(error);
        }
        node
    }

    pub(super) fn typed<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        yaml::from_node(node)
            .map_err(|error| self.errors.push(error))
            .ok()
    }

    pub(super) fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let node = self.root.get(key).filter(|node| !node.is_null())?.clone();
        self.typed(&node)
    }

    pub(super) fn pattern(&mut self, text: &str, place: &Node) -> Option<Pattern> {
        Pattern::parse(text)
            .map_err(|error| {
                self.errors
                    .push(Diagnostic::from(error).at(place.span.clone()));
            })
            .ok()
    }

    fn service(&mut self) -> Option<String> {
        let node = self.required("service")?.clone();
        let name: String = self.typed(&node)?;
        if !is_name(&name) {
            let message = format!("`{name}` is no name for a service");
            self.wrong(
                message,
                &node,
                "letters, digits, `-`, `_` and `.`; it names files",
            );
            return None;
        }
        Some(name)
    }

    fn load_balancers(&mut self) -> Option<LoadBalancers> {
        let node = self.required("load_balancers")?.clone();
        let written: WrittenBalancers = self.typed(&node)?;
        let place = node.get("hosts").unwrap_or(&node).clone();
        let hosts = self.pattern(&written.hosts, &place);
        let list = node.get("backends").unwrap_or(&node).clone();
        if written.backends.is_empty() {
            self.wrong(
                "`backends` names none",
                &list,
                "at least one: `backends: [orders]`",
            );
        }
        for name in &written.backends {
            if !ServerName::is_valid_part(name) {
                let message = format!("`{name}` cannot be a backend of HAProxy");
                self.wrong(message, &list, "letters, digits, `-`, `_`, `.` and `:`");
            }
        }
        let text = |key: &str, default: &str| {
            let node = node.get(key).cloned();
            node.unwrap_or_else(|| Node::from_json(serde_json::Value::from(default), &place.span))
        };
        Some(LoadBalancers {
            hosts: hosts?,
            socket: text("socket", "/run/haproxy/admin.sock"),
            backends: written.backends,
            server: text("server", "{{ inventory_hostname }}"),
            server_state_file: text("server_state_file", "/var/lib/haproxy/server-state"),
            place: place.span,
        })
    }

    fn drain(&mut self) -> Drain {
        let written = self.optional::<WrittenDrain>("drain");
        let deadline = written.as_ref().and_then(|drain| drain.deadline);
        Drain {
            deadline: deadline.map_or(Duration::from_mins(5), |pause| pause.0),
            on_timeout: written.map(|drain| drain.on_timeout).unwrap_or_default(),
        }
    }

    fn max_unavailable(&mut self) -> Option<Unavailable> {
        let node = self.root.get("max_unavailable")?.clone();
        let text: String = self.typed(&node)?;
        let parsed = Unavailable::parse(&text);
        if parsed.is_none() {
            let message = format!("`{text}` is no number of servers");
            self.wrong(message, &node, "as in `1` or `25%`");
        }
        parsed
    }
}

/// Whether this can be a name, of which files are made.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(allowed)
}
