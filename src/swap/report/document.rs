//! The report for programs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::{Action, Hosts, Report, Verdict};
use crate::harmless;
use crate::protocol::balancer::{Admin, ServerName};
use crate::swap::trouble::Class;
use crate::swap::world::{Rules, Slot};

#[derive(Serialize)]
struct Document<'r> {
    schema_version: u32,
    run_id: &'r str,
    command: &'static str,
    action: Action,
    service: &'r str,
    file: &'r str,
    from: Option<&'r str>,
    to: Option<&'r str>,
    started_at: String,
    duration_ms: u64,
    exit_code: u8,
    result: Verdict,
    serving: Vec<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument<'r>>,
    steps: Vec<StepDocument<'r>>,
    remarks: &'r [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<&'r Hosts>,
    load_balancers: Vec<BalancerDocument<'r>>,
}

#[derive(Serialize)]
struct ErrorDocument<'r> {
    class: Class,
    message: &'r str,
}

#[derive(Serialize)]
struct StepDocument<'r> {
    step: &'static str,
    text: &'r str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'r str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reverting: bool,
    duration_ms: u64,
}

#[derive(Serialize)]
pub(super) struct BalancerDocument<'r> {
    pub host: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'r str>,
    pub backends: Vec<BackendDocument<'r>>,
}

#[derive(Serialize)]
pub(super) struct BackendDocument<'r> {
    pub backend: &'r str,
    pub in_service: usize,
    pub floor: usize,
    pub servers: Vec<ServerDocument<'r>>,
}

#[derive(Serialize)]
pub(super) struct ServerDocument<'r> {
    pub server: &'r str,
    pub host: &'r str,
    pub pool: &'r str,
    pub admin: Admin,
    pub up: bool,
    pub in_service: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    pub sessions: u64,
    pub queued: u64,
    pub address: String,
}

impl Report {
    /// For programs.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "only maps with keys that are no text cannot be JSON"
    )]
    pub fn to_json(&self, rules: &Rules) -> String {
        let steps = self.steps.iter().map(|step| StepDocument {
            step: step.name,
            text: &step.text,
            status: match (self.action, &step.failure) {
                (Action::Plan, _) => "planned",
                (_, Some(_)) => "failed",
                (_, None) => "done",
            },
            message: step.failure.as_deref(),
            reverting: step.reverting,
            duration_ms: millis(step.duration),
        });
        let document = Document {
            schema_version: 1,
            run_id: &self.run_id,
            command: "swap",
            action: self.action,
            service: &self.service,
            file: &self.file,
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            started_at: self.started_at.to_string(),
            duration_ms: millis(self.duration),
            exit_code: self.exit_code() as u8,
            result: self.verdict,
            serving: self.serving(rules),
            error: self.trouble.as_ref().map(|trouble| ErrorDocument {
                class: trouble.class,
                message: &trouble.message,
            }),
            steps: steps.collect(),
            remarks: &self.remarks,
            hosts: self.hosts.as_ref(),
            load_balancers: self.balancers(rules),
        };
        let text = serde_json::to_string_pretty(&document);
        harmless::json(text.expect("texts, numbers and lists") + "\n")
    }

    pub(super) fn balancers<'r>(&'r self, rules: &'r Rules) -> Vec<BalancerDocument<'r>> {
        let counts = self.world.in_service(&BTreeSet::new());
        let balancers = rules.balancers.iter().map(|host| {
            let missing = self.world.missing.get(host);
            let error = missing.or_else(|| self.world.contradicting.get(host));
            let backends = rules.backends.iter().filter_map(|backend| {
                let in_service = *counts.get(&(host.clone(), backend.clone()))?;
                Some(BackendDocument {
                    backend,
                    in_service,
                    floor: rules.floor,
                    servers: self.servers(rules, host, backend),
                })
            });
            BalancerDocument {
                host,
                version: self.world.versions.get(host).map(String::as_str),
                error: error.map(String::as_str),
                backends: backends.collect(),
            }
        });
        balancers.collect()
    }

    fn servers<'r>(
        &'r self,
        rules: &'r Rules,
        balancer: &str,
        backend: &str,
    ) -> Vec<ServerDocument<'r>> {
        let members = rules.pools.iter().flat_map(|pool| {
            let members = pool.members.iter();
            members.map(move |member| (pool, member))
        });
        let servers = members.filter_map(|(pool, member)| {
            let slot = Slot {
                balancer: balancer.to_owned(),
                name: ServerName {
                    backend: backend.to_owned(),
                    server: member.server.clone(),
                },
            };
            let server = self.world.servers.get(&slot)?;
            Some(ServerDocument {
                server: &member.server,
                host: &member.host,
                pool: &pool.name,
                admin: server.admin,
                up: server.up,
                in_service: server.is_in_service(),
                held: self.world.is_held(&slot, &self.parked),
                sessions: server.sessions,
                queued: server.queued,
                address: format!("{}:{}", server.address, server.port),
            })
        });
        servers.collect()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
