//! What came of a call: one value, told as text and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::describe;
use super::drive::{Done, Ending};
use super::perform::Asked;
use super::plan::{Record, Stage};
use super::trouble::{Class, Trouble};
use super::world::{Rules, Slot, World};
use crate::protocol::balancer::{Admin, ServerName};
use crate::report::{ExitCode, lines, single_line};

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A pool is to serve.
    To,
    /// The pool that served before is to serve.
    Revert,
    /// What would be done?
    Plan,
    /// What is the state?
    Status,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target pool serves.
    Swapped,
    /// It did before.
    Unchanged,
    /// The pool serves that served at the beginning.
    Reverted,
    /// Neither is certain.
    Stopped,
    /// Nothing was touched.
    Refused,
    /// There are steps to take.
    Planned,
    /// Nothing is under way.
    Settled,
    /// A swap was interrupted, or load balancers disagree.
    Unsettled,
}

impl From<Ending> for Verdict {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Swapped => Self::Swapped,
            Ending::Unchanged => Self::Unchanged,
            Ending::Reverted => Self::Reverted,
            Ending::Refused => Self::Refused,
            Ending::Stopped => Self::Stopped,
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Report {
    /// Names the call.
    pub run_id: String,
    /// What it was for.
    pub action: Action,
    /// What is swapped.
    pub service: String,
    /// The file that says so.
    pub file: String,
    /// The pool that served at the beginning, if there is a swap.
    pub from: Option<String>,
    /// The pool that is to serve, if there is a swap.
    pub to: Option<String>,
    /// When the call began.
    pub started_at: jiff::Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub verdict: Verdict,
    /// What went wrong.
    pub trouble: Option<Trouble>,
    /// What was done, or would be.
    pub steps: Vec<Done>,
    /// What somebody should know.
    pub remarks: Vec<String>,
    /// What the load balancers said last.
    pub world: World,
    /// What fleet has taken out of service.
    pub parked: BTreeSet<Slot>,
}

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
struct BalancerDocument<'r> {
    host: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'r str>,
    backends: Vec<BackendDocument<'r>>,
}

#[derive(Serialize)]
struct BackendDocument<'r> {
    backend: &'r str,
    in_service: usize,
    floor: usize,
    servers: Vec<ServerDocument<'r>>,
}

#[derive(Serialize)]
struct ServerDocument<'r> {
    server: &'r str,
    host: &'r str,
    pool: &'r str,
    admin: Admin,
    up: bool,
    in_service: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    sessions: u64,
    queued: u64,
    address: String,
}

impl Report {
    /// A report of nothing yet.
    pub(super) fn new(asked: &Asked, service: String, file: String) -> Self {
        Self {
            run_id: asked.run_id.clone(),
            action: asked.action,
            service,
            file,
            from: None,
            to: None,
            started_at: jiff::Timestamp::now(),
            duration: Duration::ZERO,
            verdict: Verdict::Refused,
            trouble: None,
            steps: Vec::new(),
            remarks: Vec::new(),
            world: World::default(),
            parked: BTreeSet::new(),
        }
    }

    /// What the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.trouble.as_ref().map(|trouble| trouble.class) {
            Some(Class::Unreachable) => return ExitCode::Unreachable,
            Some(Class::Locked) => return ExitCode::Locked,
            Some(Class::Interrupted) => return ExitCode::Interrupted,
            Some(Class::LoadBalancer) if self.verdict == Verdict::Refused => {
                return ExitCode::Usage;
            }
            Some(_) => return ExitCode::NotAsDeclared,
            None => {}
        }
        match self.verdict {
            Verdict::Swapped | Verdict::Unchanged | Verdict::Settled | Verdict::Reverted => {
                ExitCode::AsDeclared
            }
            Verdict::Stopped | Verdict::Refused | Verdict::Planned | Verdict::Unsettled => {
                ExitCode::NotAsDeclared
            }
        }
    }

    /// The pools that have a server in service.
    #[must_use]
    pub fn serving<'r>(&self, rules: &'r Rules) -> Vec<&'r str> {
        let pools = rules.pools.iter();
        let serving = pools.filter(|pool| !self.world.is_idle(pool));
        serving.map(|pool| pool.name.as_str()).collect()
    }

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
            load_balancers: self.balancers(rules),
        };
        let text = serde_json::to_string_pretty(&document);
        text.expect("texts, numbers and lists") + "\n"
    }

    fn balancers<'r>(&'r self, rules: &'r Rules) -> Vec<BalancerDocument<'r>> {
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

    /// For people.
    #[must_use]
    pub fn to_text(&self, rules: &Rules) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let symbol = match (self.action, &step.failure) {
                (Action::Plan, _) => " ",
                (_, Some(_)) => "✗",
                (_, None) => "✓",
            };
            let back = if step.reverting { "back: " } else { "" };
            put(
                &mut text,
                &format!("{symbol} {back}{}", single_line(&step.text)),
            );
        }
        if !self.steps.is_empty() {
            text.push('\n');
        }
        for balancer in self.balancers(rules) {
            if let Some(error) = balancer.error {
                put(
                    &mut text,
                    &format!("{}: {}", balancer.host, single_line(error)),
                );
            }
            for backend in &balancer.backends {
                let servers: Vec<_> = backend.servers.iter().map(in_words).collect();
                put(
                    &mut text,
                    &format!(
                        "{} {}: {} in service: {}",
                        balancer.host,
                        backend.backend,
                        backend.in_service,
                        servers.join(", ")
                    ),
                );
            }
        }
        for remark in &self.remarks {
            put(&mut text, &format!("note: {}", single_line(remark)));
        }
        if let Some(trouble) = &self.trouble {
            for (n, line) in lines(&trouble.message).enumerate() {
                let lead = if n == 0 { "error: " } else { "  " };
                put(&mut text, &format!("{lead}{line}"));
            }
        }
        put(&mut text, &self.sentence(rules));
        text
    }

    fn sentence(&self, rules: &Rules) -> String {
        let service = &self.service;
        let serving = self.serving(rules);
        let on = match &serving[..] {
            [] => "nothing".to_owned(),
            pools => pools.join(" and "),
        };
        let to = self.to.as_deref().unwrap_or("?");
        match self.verdict {
            Verdict::Swapped => format!("Swapped: {service} is on {on}."),
            Verdict::Unchanged => format!("Nothing to do: {service} is on {on}."),
            Verdict::Reverted => format!("Taken back: {service} is on {on}."),
            Verdict::Refused => format!("Not begun, nothing was touched: {service} is on {on}."),
            Verdict::Stopped => format!(
                "Stopped on the way to {to}: {service} is on {on}. `--to {to}` goes on, `--revert` \
                 takes it back."
            ),
            Verdict::Planned => format!("Planned: {service} is on {on} and would be on {to}."),
            Verdict::Settled => format!("{service} is on {on}."),
            Verdict::Unsettled if self.to.is_some() => format!(
                "Interrupted on the way to {to}: {service} is on {on}. `--to {to}` goes on, \
                 `--revert` takes it back."
            ),
            Verdict::Unsettled => format!("{service} is on {on}, and not alike everywhere."),
        }
    }
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// `green01 up`, `blue01 maint`, `blue02 held in maint`, `blue03 drain, 4 sessions`.
fn in_words(server: &ServerDocument<'_>) -> String {
    let state = match (server.admin, server.in_service) {
        (Admin::Ready, true) => "up",
        (Admin::Ready, false) => "down",
        (admin, _) => admin.as_str(),
    };
    let held = if server.held { "held in " } else { "" };
    let sessions = match server.sessions + server.queued {
        0 => String::new(),
        1 => " (1 session)".to_owned(),
        count => format!(" ({count} sessions)"),
    };
    format!("{} {held}{state}{sessions}", server.server)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a look at the load balancers and the journal comes to.
#[must_use]
pub(super) fn status(
    rules: &Rules,
    world: &World,
    record: Option<&Record>,
) -> (Verdict, Option<Trouble>) {
    if let Err(trouble) = describe::incomplete(world) {
        return (Verdict::Unsettled, Some(trouble));
    }
    let under_way =
        record.is_some_and(|record| matches!(record.stage, Stage::Forward | Stage::Back));
    let serving: BTreeSet<Vec<bool>> = world
        .in_service(&BTreeSet::new())
        .into_keys()
        .map(|(balancer, backend)| {
            let serves = |pool| {
                world.of(pool).any(|(slot, server)| {
                    slot.balancer == balancer
                        && slot.name.backend == backend
                        && server.is_in_service()
                })
            };
            rules.pools.iter().map(serves).collect()
        })
        .collect();
    let alike = serving.len() == 1 && serving.iter().flatten().any(|serves| *serves);
    let verdict = if under_way || !alike {
        Verdict::Unsettled
    } else {
        Verdict::Settled
    };
    (verdict, None)
}

/// Steps that would be taken.
#[must_use]
pub(super) fn planned(steps: &[super::plan::Step], rules: &Rules) -> Vec<Done> {
    let steps = steps.iter().map(|step| Done {
        name: describe::name(step),
        text: describe::step(step, rules),
        failure: None,
        reverting: false,
        duration: Duration::ZERO,
    });
    steps.collect()
}
