//! One host: opened, talked to, closed; whatever breaks becomes that host's error.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::playbook::{Globals, HostNames, Play, Shared, TagFilter};
use crate::protocol::{Begin, HandlerName, Message, Task};
use crate::report::{ErrorClass, Gathering, HostError, Progress, ResourceReport};
use crate::resource::AnyResource;
use crate::transport::{Channel, Class, Ending, Exit, Target, Transport, Unreachable};

use super::confirm::NewConnection;
use super::conversation::{Clock, Conversation, Lost, Patience};
use super::course::untouched;
use super::drive::Drive;
use super::interrupt::{Urgency, reaches};
use super::lock::{Machines, Waiting};
use super::record::{Record, Sent};
use super::room::RunRoom;
use super::{HostSoFar, Options};

/// What one conversation is about.
pub(super) struct Context<'c> {
    pub globals: &'c Globals<'c>,
    pub shared: &'c Shared,
    pub names: &'c HostNames,
    pub options: &'c Options,
    pub begin: Begin,
    /// The handlers of all plays, in the last conversation with this user of the host.
    pub handlers: Option<&'c BTreeSet<HandlerName>>,
    /// After this, what the playbook declares on the host is known to the end.
    pub judges: bool,
}

impl Context<'_> {
    /// Whether the host is to stay ours until a later play of the run.
    fn goes_on(&self) -> bool {
        self.begin.claim.is_some() && self.handlers.is_none()
    }
}

/// Helpers that wait for the next play and keep their hosts' locks, by the user they became.
pub(super) type Paused = BTreeMap<Option<String>, Channel>;

/// What to do in one conversation.
#[derive(Clone, Copy)]
pub(super) enum Job<'j> {
    Plays(&'j [(usize, &'j Play)], &'j TagFilter),
    Resource(&'j AnyResource),
    Facts,
    Census(&'j Gathering),
}

/// What hosts that are worked on at once have in common.
#[derive(Clone, Copy)]
pub(super) struct Others<'o> {
    pub waiting: &'o Waiting,
    pub machines: &'o Machines,
    pub room: &'o RunRoom,
}

/// Who hears of a conversation, and who ends it.
pub(super) struct Listening<'l> {
    pub progress: &'l dyn Progress,
    pub others: Others<'l>,
    pub urgency: watch::Receiver<Urgency>,
}

/// Holds one conversation and adds what came of it to what is known of the host.
pub(super) async fn converse(
    context: &Context<'_>,
    target: &Target,
    job: Job<'_>,
    mut so_far: HostSoFar,
    transport: &Transport,
    listening: Listening<'_>,
) -> HostSoFar {
    let Listening {
        progress,
        others,
        urgency,
    } = listening;
    let started = Instant::now();
    progress.host_started(&so_far.report.host);
    let mut paused = std::mem::take(&mut so_far.paused);
    let mut patience = so_far.patience;
    let begun = Cell::new(false);
    let new_connection = NewConnection { transport, target };
    let mut record = Record::new(
        so_far,
        context.options.keep,
        progress,
        others,
        &begun,
        new_connection,
    );
    let done = tokio::select! {
        done = attempt(
            context, target, job, &mut record, &mut patience, &mut paused, transport, &urgency,
        ) => done,
        error = given_up(urgency.clone(), &begun) => Err(error),
    };
    if let Some(how_far) = record.interrupted.take().filter(|_| done.is_ok()) {
        record.report.error = Some(HostError {
            class: ErrorClass::Interrupted,
            message: how_far,
        });
    }
    if let Err(mut error) = done {
        if error.class == ErrorClass::Lost && context.begin.claim.is_some() {
            error.message += "\nhint: the step that runs there ends all the same; the next apply \
                              reads what came of it";
        }
        if let Some(reason) = &record.unconfirmed {
            let hint = format!(
                "\nhint: what it changed may have cut it off, and could not be confirmed over a new \
                 connection ({reason}); it takes that back by itself"
            );
            error.message += &hint;
        }
        record.report.error.get_or_insert(error);
    }
    record.patience = patience;
    record.report.duration += started.elapsed();
    // A host that failed takes no part in later plays, and is free for others.
    if record.report.error.is_some() || record.stopped() {
        paused.clear();
    }
    HostSoFar {
        paused,
        ..record.end()
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "what a conversation needs and what it leaves, once"
)]
async fn attempt(
    context: &Context<'_>,
    target: &Target,
    job: Job<'_>,
    record: &mut Record<'_>,
    patience: &mut Patience,
    paused: &mut Paused,
    transport: &Transport,
    urgency: &watch::Receiver<Urgency>,
) -> Result<(), HostError> {
    let user = target.become_.as_ref().map(|become_| become_.user.clone());
    let first = Message::Begin(context.begin.clone());
    let channel = if let Some(mut channel) = paused.remove(&user) {
        // That it cannot be told shows when it is heard.
        let _ = timeout(context.options.silence, channel.send(&first)).await;
        channel
    } else {
        let begin = Instant::now();
        let opened = timeout(patience.left(), transport.open(target, Some(&first))).await;
        patience.spend(begin.elapsed());
        let opened = opened.map_err(|_| no_time())?;
        opened.map_err(unreachable)?
    };
    let conversation = Conversation::begin(
        channel,
        record,
        Clock::new(context.options.silence, patience),
        &context.begin,
        urgency.clone(),
    );
    let (mut conversation, hello) = conversation
        .await
        .map_err(|(lost, ending)| broken(&lost, &ending))?;
    conversation
        .listener()
        .report
        .running
        .clone_from(&hello.running);
    let done = match job {
        Job::Plays(plays, tags) => {
            Drive::new(context, &mut conversation, hello)
                .plays(plays, tags)
                .await
        }
        Job::Resource(resource) => one_resource(&mut conversation, resource).await,
        Job::Facts => {
            conversation.listener().report.facts = Some(Box::new(hello.facts));
            Ok(())
        }
        Job::Census(gathering) => {
            let asked = conversation.census().await;
            asked.map(|census| {
                let host = &conversation.listener().report.host;
                gathering.add(host, &hello.facts, census);
            })
        }
    };
    match done {
        Ok(()) if context.goes_on() && !conversation.listener().stopped() => {
            let channel = conversation
                .pause()
                .await
                .map_err(|(lost, ending)| broken(&lost, &ending))?;
            // It may have been stopped since. What was said last is to arrive.
            if record.stopped() {
                channel.close().await;
            } else {
                paused.insert(user, channel);
            }
            Ok(())
        }
        Ok(()) => {
            let cpu_time = conversation
                .finish()
                .await
                .map_err(|(lost, ending)| broken(&lost, &ending))?;
            let cpu = &mut record.report.cpu;
            // A host may say anything.
            *cpu = Some(cpu.unwrap_or_default().saturating_add(cpu_time));
            Ok(())
        }
        Err(lost) => {
            let ending = conversation.abandon().await;
            Err(broken(&lost, &ending))
        }
    }
}

async fn one_resource(
    conversation: &mut Conversation<'_, Record<'_>>,
    resource: &AnyResource,
) -> Result<(), Lost> {
    let id = conversation.next_id();
    let report = ResourceReport {
        task: resource.kind().to_owned(),
        kind: resource.kind().to_owned(),
        id: resource.id(),
        ..ResourceReport::default()
    };
    conversation.listener().sent(id, Sent::plain(report));
    let task = Task::new(id, resource.clone());
    conversation.send(task).await?;
    conversation.wait_for(id).await
}

/// Waits until the host is to be left as it is.
async fn given_up(mut urgency: watch::Receiver<Urgency>, begun: &Cell<bool>) -> HostError {
    reaches(&mut urgency, Urgency::Hosts).await;
    // It is being connected to, or waits for another run: nothing was sent to it.
    if !begun.get() {
        return untouched("the run ended before its turn");
    }
    reaches(&mut urgency, Urgency::Now).await;
    HostError {
        class: ErrorClass::Abandoned,
        message: "interrupted: what the host was doing it ends, and what came after was not done"
            .to_owned(),
    }
}

fn no_time() -> HostError {
    HostError {
        class: ErrorClass::Timeout,
        message: "no time was left to connect to it once more; `--host-timeout` gives it more"
            .to_owned(),
    }
}

fn unreachable(reason: Unreachable) -> HostError {
    let class = match reason.class {
        Class::Dns => ErrorClass::Dns,
        Class::Refused => ErrorClass::Refused,
        Class::Timeout => ErrorClass::Timeout,
        Class::HostKey => ErrorClass::HostKey,
        Class::Authentication => ErrorClass::Authentication,
        Class::Sudo => ErrorClass::Sudo,
        Class::Helper => ErrorClass::Helper,
        Class::Other => ErrorClass::Other,
    };
    let lines = std::iter::once(reason.message)
        .chain(reason.detail.into_iter().map(|line| format!("  {line}")))
        .chain(reason.hint.map(|hint| format!("hint: {hint}")));
    HostError {
        class,
        message: lines.collect::<Vec<_>>().join("\n"),
    }
}

/// A conversation that broke. If the connection is what was lost, the host is unreachable; if
/// the helper ended, the host was reached and failed.
fn broken(lost: &Lost, ending: &Ending) -> HostError {
    if matches!(lost, Lost::Locked(_)) {
        return HostError {
            class: ErrorClass::Locked,
            message: lost.to_string(),
        };
    }
    let class = match (lost, ending.exit) {
        (Lost::Fatal(_), _) | (_, Exit::Status(_) | Exit::Killed) => ErrorClass::Stopped,
        (_, Exit::Lost | Exit::Running) => ErrorClass::Lost,
    };
    let lines = std::iter::once(format!("{lost} (the helper {})", ending.exit))
        .chain(ending.stderr.iter().map(|line| format!("  {line}")));
    HostError {
        class,
        message: lines.collect::<Vec<_>>().join("\n"),
    }
}
