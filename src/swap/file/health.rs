//! What is asked for, and what makes the answer a good one.

use std::time::Duration;

use serde::Deserialize;

use super::read::{Pause, Reader};
use super::{Asker, Expect, Health, Live, Scheme};
use crate::yaml::Node;

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

impl Reader<'_> {
    pub(super) fn health(&mut self) -> Option<Health> {
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
        let pauses = [written.interval, written.timeout, written.deadline];
        let answer = (written.status, written.body, written.successes);
        let expect = self.expect(&node, answer, pauses, Duration::from_mins(2));
        Some(Health {
            from,
            scheme: written.scheme,
            address: node.get("address").cloned(),
            port: written.port,
            path: written.path,
            expect,
        })
    }

    pub(super) fn live(&mut self) -> Option<Live> {
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
        let pauses = [written.interval, written.timeout, written.deadline];
        let answer = (written.status, written.body, written.successes);
        let expect = self.expect(&node, answer, pauses, Duration::from_secs(30));
        Some(Live {
            url: written.url,
            expect,
        })
    }

    /// What makes an answer a good one, in `health` and `live` alike but for the time it may take.
    fn expect(
        &mut self,
        node: &Node,
        (status, body, successes): (Option<u16>, Option<String>, Option<u32>),
        [interval, timeout, deadline]: [Option<Pause>; 3],
        longest: Duration,
    ) -> Expect {
        let time = |pause: Option<Pause>, default| pause.map_or(default, |pause| pause.0);
        let expect = Expect {
            status: status.unwrap_or(200),
            body,
            successes: successes.unwrap_or(3),
            interval: time(interval, Duration::from_secs(1)),
            timeout: time(timeout, Duration::from_secs(2)),
            deadline: time(deadline, longest),
        };
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
        expect
    }
}

fn is_path(text: &str) -> bool {
    let breaks = |c: char| c.is_whitespace() || c.is_control();
    text.starts_with('/') && !text.contains(breaks)
}
