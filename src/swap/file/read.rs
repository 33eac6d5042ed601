//! From the nodes of the file to what it declares.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{
    Asker, Declared, Drain, Expect, Health, Live, LoadBalancers, OnTimeout, Scheme, SwapFile,
    Unavailable,
};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::inventory::Pattern;
use crate::protocol::balancer::ServerName;
use crate::yaml::{self, Node};

const KEYS: [&str; 11] = [
    "service",
    "load_balancers",
    "pools",
    "gate",
    "deploy",
    "health",
    "live",
    "drain",
    "max_unavailable",
    "min_healthy_time",
    "stagger",
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
struct WrittenHealth {
    from: Option<Vec<Asker>>,
    #[serde(default)]
    scheme: Scheme,
    #[serde(default, rename = "address")]
    _address: Option<String>,
    port: Option<u16>,
    path: String,
    status: Option<u16>,
    body: Option<String>,
    successes: Option<u32>,
    interval: Option<Pause>,
    timeout: Option<Pause>,
    deadline: Option<Pause>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLive {
    url: String,
    status: Option<u16>,
    body: Option<String>,
    successes: Option<u32>,
    interval: Option<Pause>,
    timeout: Option<Pause>,
    deadline: Option<Pause>,
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
struct Pause(Duration);

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
    let known = || KEYS.into_iter().chain(["auto_revert"]);
    for (key, _) in entries {
        if !known().any(|known| known == key.text) {
            let error = Diagnostic::error(format!("unknown key `{}`", key.text));
            let near = nearest(&key.text, known());
            errors.push(error.at(key.span.clone()).help(near.map_or_else(
                || format!("known are {}", known().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            )));
        }
    }
    let mut reader = Reader { root, errors };
    let service = reader.service();
    let load_balancers = reader.load_balancers();
    let pools = reader.pools();
    let health = reader.health();
    let live = reader.live();
    let drain = reader.drain();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut playbook =
        |key| Some(folder.join(reader.optional::<String>(key)?.trim_start_matches("./")));
    let (gate, deploy) = (playbook("gate"), playbook("deploy"));
    let max_unavailable = reader.max_unavailable();
    let pause = |pause: Option<Pause>| pause.map_or(Duration::ZERO, |pause| pause.0);
    let min_healthy_time = pause(reader.optional("min_healthy_time"));
    let stagger = pause(reader.optional("stagger"));
    let auto_revert = reader.optional("auto_revert").unwrap_or(true);
    let errors = reader.errors;
    let (Some(service), Some(load_balancers), Some(pools), Some(health), false) =
        (service, load_balancers, pools, health, errors.has_errors())
    else {
        return Err(errors.into_vec());
    };
    Ok(SwapFile {
        path: path.to_owned(),
        service,
        load_balancers,
        pools,
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
struct Reader<'n> {
    root: &'n Node,
    errors: Diagnostics,
}

impl Reader<'_> {
    fn wrong(&mut self, message: impl Into<String>, place: &Node, help: &str) {
        let error = Diagnostic::error(message).at(place.span.clone());
        self.errors.push(error.help(help));
    }

    /// The node of a key that has to be there.
    fn required(&mut self, key: &str) -> Option<&Node> {
        let node = self.root.get(key).filter(|node| !node.is_null());
        if node.is_none() {
            let message = format!("a swap needs `{key}`");
            let error = Diagnostic::error(message).at(self.root.span.clone());
            self.errors.push(error);
        }
        node
    }

    fn typed<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        yaml::from_node(node)
            .map_err(|error| self.errors.push(error))
            .ok()
    }

    fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let node = self.root.get(key).filter(|node| !node.is_null())?.clone();
        self.typed(&node)
    }

    fn pattern(&mut self, text: &str, place: &Node) -> Option<Pattern> {
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

    fn pools(&mut self) -> Option<[Declared; 2]> {
        let node = self.required("pools")?.clone();
        let entries = node.as_mapping().unwrap_or_default();
        if entries.len() != 2 {
            let help = "as in `pools: {blue: web_blue, green: web_green}`";
            self.wrong("a swap has two pools", &node, help);
            return None;
        }
        let mut pools = Vec::new();
        for (key, node) in entries {
            if !is_name(&key.text) {
                let message = format!("`{}` is no name for a pool", key.text);
                self.wrong(message, node, "letters, digits, `-`, `_` and `.`");
            }
            let text: Option<String> = self.typed(node);
            if let Some(hosts) = text.and_then(|text| self.pattern(&text, node)) {
                pools.push(Declared {
                    name: key.text.clone(),
                    hosts,
                    place: node.span.clone(),
                });
            }
        }
        pools.try_into().ok()
    }

    fn health(&mut self) -> Option<Health> {
        let node = self.required("health")?.clone();
        let written: WrittenHealth = self.typed(&node)?;
        let from = written.from.unwrap_or_else(|| match written.scheme {
            Scheme::Http => vec![Asker::LoadBalancers],
            Scheme::Https => vec![Asker::Controller],
        });
        let place = node.get("from").unwrap_or(&node).clone();
        if from.is_empty() {
            self.wrong(
                "`from` names nobody",
                &place,
                "`controller`, `load_balancers`, or both",
            );
        }
        if written.scheme == Scheme::Https && from.contains(&Asker::LoadBalancers) {
            let message = "load balancers can ask for health in plain HTTP only";
            self.wrong(message, &place, "write `from: [controller]`");
        }
        if !is_path(&written.path) {
            let message = format!("`{}` is no path of a URL", written.path);
            let place = node.get("path").unwrap_or(&node).clone();
            self.wrong(message, &place, "it begins with `/` and has no blanks");
        }
        let expect = Expect {
            status: written.status.unwrap_or(200),
            body: written.body,
            successes: written.successes.unwrap_or(3),
            interval: written
                .interval
                .map_or(Duration::from_secs(1), |pause| pause.0),
            timeout: written
                .timeout
                .map_or(Duration::from_secs(2), |pause| pause.0),
            deadline: written
                .deadline
                .map_or(Duration::from_mins(2), |pause| pause.0),
        };
        self.expect(&expect, &node);
        Some(Health {
            from,
            scheme: written.scheme,
            address: node.get("address").cloned(),
            port: written.port,
            path: written.path,
            expect,
        })
    }

    fn live(&mut self) -> Option<Live> {
        let node = self
            .root
            .get("live")
            .filter(|node| !node.is_null())?
            .clone();
        let written: WrittenLive = self.typed(&node)?;
        let url = reqwest::Url::parse(&written.url);
        if !url.is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host()) {
            let message = format!("`{}` is no URL", written.url);
            let place = node.get("url").unwrap_or(&node).clone();
            self.wrong(message, &place, "as in `http://orders.example.org/health`");
        }
        let expect = Expect {
            status: written.status.unwrap_or(200),
            body: written.body,
            successes: written.successes.unwrap_or(3),
            interval: written
                .interval
                .map_or(Duration::from_secs(1), |pause| pause.0),
            timeout: written
                .timeout
                .map_or(Duration::from_secs(2), |pause| pause.0),
            deadline: written
                .deadline
                .map_or(Duration::from_secs(30), |pause| pause.0),
        };
        self.expect(&expect, &node);
        Some(Live {
            url: written.url,
            expect,
        })
    }

    fn expect(&mut self, expect: &Expect, node: &Node) {
        if !(100..600).contains(&expect.status) {
            let place = node.get("status").unwrap_or(node).clone();
            let message = format!("`{}` is no HTTP status", expect.status);
            self.wrong(message, &place, "from 100 to 599");
        }
        if expect.successes == 0 {
            let place = node.get("successes").unwrap_or(node).clone();
            self.wrong("`successes: 0` would ask nothing", &place, "at least 1");
        }
        for (key, value) in [("timeout", expect.timeout), ("deadline", expect.deadline)] {
            if value.is_zero() {
                let place = node.get(key).unwrap_or(node).clone();
                self.wrong(format!("`{key}: 0` leaves no time"), &place, "as in `30s`");
            }
        }
    }

    fn drain(&mut self) -> Drain {
        let written = self.optional::<WrittenDrain>("drain");
        let deadline = written.as_ref().and_then(|drain| drain.deadline);
        Drain {
            deadline: deadline.map_or(Duration::from_mins(5), |pause| pause.0),
            on_timeout: written.map(|drain| drain.on_timeout).unwrap_or_default(),
        }
    }

    fn max_unavailable(&mut self) -> Unavailable {
        let Some(node) = self.root.get("max_unavailable").cloned() else {
            return Unavailable::Count(0);
        };
        let text: Option<String> = self.typed(&node);
        text.and_then(|text| {
            let parsed = Unavailable::parse(&text);
            if parsed.is_none() {
                let message = format!("`{text}` is no number of servers");
                self.wrong(message, &node, "as in `1` or `25%`");
            }
            parsed
        })
        .unwrap_or(Unavailable::Count(0))
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(allowed)
}

fn is_path(text: &str) -> bool {
    let breaks = |c: char| c.is_whitespace() || c.is_control();
    text.starts_with('/') && !text.contains(breaks)
}
