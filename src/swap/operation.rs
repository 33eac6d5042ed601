//! The real thing: load balancers over SSH, playbooks, the clock, the journal on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::balancer::Balancer;
use super::file::{Asker, Expect, Health, Live};
use super::fleet::Fleet;
use super::health::{self, Question};
use super::journal::{Entry, Journal};
use super::trouble::{Class, Trouble};
use super::world::{Rules, Slot, World};
use crate::protocol::Begin;
use crate::protocol::balancer::{Admin, Answer, Ask, Keep, Probe, Put, ServerName};
use crate::run::Interrupt;
use crate::transport::Transport;

/// What playbooks do in a swap.
pub trait Playbooks {
    /// Finds out whether all of these hosts are as the gate's playbook declares.
    ///
    /// # Errors
    /// When they are not, or it cannot be told.
    fn check(&mut self, hosts: &[String]) -> Result<(), Trouble>;

    /// Brings all of these hosts to what the deployment's playbook declares.
    ///
    /// # Errors
    /// When that did not come about.
    fn apply(&mut self, hosts: &[String]) -> Result<(), Trouble>;
}

/// Everything a swap acts on.
pub(super) struct Operation<'o> {
    /// What is swapped.
    pub rules: &'o Rules,
    /// The load balancers.
    pub balancers: Vec<Balancer>,
    /// The way to them.
    pub transport: &'o Transport,
    /// How conversations with them are run.
    pub begin: Begin,
    /// What servers have to answer.
    pub health: &'o Health,
    /// Where servers are asked by the controller, if not where load balancers send requests.
    pub addresses: BTreeMap<String, String>,
    /// What the live address has to answer.
    pub live: Option<&'o Live>,
    /// Gate and deployment.
    pub playbooks: &'o mut dyn Playbooks,
    /// Where steps are written down.
    pub journal: &'o Journal,
    /// Hears of steps.
    pub announce: &'o mut dyn FnMut(&str),
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// It was pressed, and nobody has asked yet.
    pub interrupted: bool,
    /// The beginning of time.
    pub began: Instant,
}

/// Asks all load balancers what they do.
pub(super) async fn look(
    balancers: &mut [Balancer],
    transport: &Transport,
    begin: &Begin,
    rules: &Rules,
) -> Result<World, Trouble> {
    let asked = balancers.iter_mut().map(|balancer| async move {
        let answer = balancer.ask(transport, begin, &Ask::Look).await;
        (balancer.name().to_owned(), answer)
    });
    let mut world = World::default();
    for (name, answer) in join_all(asked).await {
        match answer {
            Ok(Answer::Standing(standing)) => world.add(&name, standing, rules),
            Ok(Answer::Failed { message }) => {
                world.missing.insert(name, message);
            }
            Ok(_) => {
                let message = "the helper answers something else".to_owned();
                world.missing.insert(name, message);
            }
            Err(trouble) if trouble.class == Class::Locked => return Err(trouble),
            Err(trouble) => {
                world.missing.insert(name, trouble.message);
            }
        }
    }
    Ok(world)
}

/// What one load balancer or the controller is asked to ask.
type Ways = Vec<Question<Way>>;

#[derive(Clone, Debug)]
enum Way {
    Direct(String),
    Through(Probe),
}

impl Operation<'_> {
    /// Ends all conversations.
    pub(super) async fn close(&mut self) {
        join_all(self.balancers.iter_mut().map(Balancer::close)).await;
    }

    /// Asks the same of every load balancer that has some of the slots.
    async fn each(
        &mut self,
        slots: &BTreeSet<Slot>,
        ask: impl Fn(&str, Vec<ServerName>) -> Ask,
    ) -> Result<(), Trouble> {
        let (transport, begin) = (self.transport, &self.begin);
        let asked = self.balancers.iter_mut().filter_map(|balancer| {
            let own = slots.iter().filter(|slot| slot.balancer == balancer.name());
            let names: Vec<_> = own.map(|slot| slot.name.clone()).collect();
            let ask = (!names.is_empty()).then(|| ask(balancer.name(), names))?;
            Some(async move {
                let answer = balancer.ask(transport, begin, &ask).await;
                judge(balancer.name(), answer)
            })
        });
        // All of them are heard: what one has not done says nothing of the others.
        let failed = join_all(asked).await.into_iter().filter_map(Result::err);
        failed
            .reduce(|first, next| {
                Trouble::new(first.class, format!("{}\n{}", first.message, next.message))
            })
            .map_or(Ok(()), Err)
    }

    /// A playbook that was interrupted has told of the Ctrl-C that came here, too: it is one, and
    /// a second one would stop what takes back.
    fn heard(&mut self, result: Result<(), Trouble>) -> Result<(), Trouble> {
        if matches!(&result, Err(trouble) if trouble.class == Class::Interrupted) {
            self.is_interrupted();
        }
        result
    }

    /// What has to be asked about the servers of these slots.
    fn questions(&self, world: &World, slots: &BTreeSet<Slot>) -> (Ways, BTreeMap<String, Ways>) {
        let mut direct = BTreeMap::new();
        let mut through: BTreeMap<String, BTreeMap<String, Question<Way>>> = BTreeMap::new();
        for slot in slots {
            let Some(server) = world.servers.get(slot) else {
                continue;
            };
            let port = self.health.port.unwrap_or(server.port);
            let name = &slot.name.server;
            if self.health.from.contains(&Asker::Controller) {
                let address = self.addresses.get(name).unwrap_or(&server.address);
                let address = if address.contains(':') {
                    format!("[{address}]")
                } else {
                    address.clone()
                };
                let scheme = self.health.scheme.as_str();
                let url = format!("{scheme}://{address}:{port}{}", self.health.path);
                let text = format!("{name} ({url})");
                direct.insert(url.clone(), Question::new(text, Way::Direct(url)));
            }
            if self.health.from.contains(&Asker::LoadBalancers) {
                let address = self.addresses.get(name).unwrap_or(&server.address).clone();
                let text = format!(
                    "{name} asked by {} ({address}:{port}{})",
                    slot.balancer, self.health.path
                );
                let probe = Probe {
                    address,
                    port,
                    path: self.health.path.clone(),
                    timeout_ms: millis(self.health.expect.timeout),
                };
                let ways = through.entry(slot.balancer.clone()).or_default();
                ways.insert(text.clone(), Question::new(text, Way::Through(probe)));
            }
        }
        let through = through
            .into_iter()
            .map(|(balancer, ways)| (balancer, ways.into_values().collect()));
        (direct.into_values().collect(), through.collect())
    }

    /// Asks until everything was answered well often enough.
    async fn until_settled(
        &mut self,
        expect: &Expect,
        mut direct: Ways,
        mut through: BTreeMap<String, Ways>,
    ) -> Result<(), Trouble> {
        let client =
            health::client(expect.timeout).map_err(|error| Trouble::new(Class::Health, error))?;
        let until = Instant::now() + expect.deadline;
        loop {
            let open = |question: &&mut Question<Way>| !question.is_settled(expect);
            let client = &client;
            let direct_asked = direct.iter_mut().filter(open).map(|question| async move {
                if let Way::Direct(url) = &question.subject {
                    let answer = health::ask(client, url, expect).await;
                    question.heard(answer);
                }
            });
            let direct_asked = join_all(direct_asked);
            let (transport, begin) = (self.transport, &self.begin);
            let pairs = self.balancers.iter_mut().filter_map(|balancer| {
                let ways = through.remove(balancer.name())?;
                Some((balancer, ways))
            });
            let through_asked = pairs.map(|(balancer, mut ways)| async move {
                for question in ways.iter_mut().filter(open) {
                    if let Way::Through(probe) = &question.subject {
                        let ask = Ask::Probe(probe.clone());
                        let answer = match balancer.ask(transport, begin, &ask).await {
                            Ok(Answer::Probed { status, body }) => {
                                health::judge(status, &body, expect)
                            }
                            Ok(Answer::Failed { message }) => Err(message),
                            Ok(_) => Err("the helper answers something else".to_owned()),
                            Err(trouble) => Err(trouble.message),
                        };
                        question.heard(answer);
                    }
                }
                (balancer.name().to_owned(), ways)
            });
            let through_asked = join_all(through_asked.collect::<Vec<_>>());
            let ((), answered) =
                futures_util::future::join(direct_asked.map(drop), through_asked).await;
            through = answered.into_iter().collect();
            let open: Vec<_> = direct
                .iter()
                .chain(through.values().flatten())
                .filter(|question| !question.is_settled(expect))
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                let told = open.iter().map(|question| question.complaint(expect));
                let told: Vec<_> = told.collect();
                let time = super::describe::time(expect.deadline);
                let message = format!("not healthy within {time}: {}", told.join("; "));
                return Err(Trouble::new(Class::Health, message));
            }
            self.pause(expect.interval).await;
            if self.is_interrupted() {
                return Err(Trouble::new(Class::Interrupted, "interrupted"));
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn judge(balancer: &str, answer: Result<Answer, Trouble>) -> Result<(), Trouble> {
    match answer {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::TooFew { backend, left }) => {
            let message = format!(
                "{balancer}: only {left} servers would be left in service in the backend \
                 `{backend}`, so none was taken out"
            );
            Err(Trouble::new(Class::Budget, message))
        }
        Ok(Answer::Failed { message }) => {
            let message = format!("{balancer}: {message}");
            Err(Trouble::new(Class::LoadBalancer, message))
        }
        Ok(_) => {
            let message = format!("{balancer}: the helper answers something else");
            Err(Trouble::new(Class::LoadBalancer, message))
        }
        Err(trouble) => Err(Trouble::new(
            trouble.class,
            format!("{balancer}: {}", trouble.message),
        )),
    }
}

impl Fleet for Operation<'_> {
    async fn look(&mut self) -> World {
        let looked = look(&mut self.balancers, self.transport, &self.begin, self.rules).await;
        looked.unwrap_or_else(|trouble| {
            // Somebody else has taken a lock that was lost with its connection.
            let all = self.rules.balancers.iter();
            World {
                missing: all
                    .map(|name| (name.clone(), trouble.message.clone()))
                    .collect(),
                ..World::default()
            }
        })
    }

    async fn put(
        &mut self,
        admin: Admin,
        slots: &BTreeSet<Slot>,
        floors: Option<&BTreeMap<(String, String), usize>>,
    ) -> Result<(), Trouble> {
        let among = self.rules.all_names();
        self.each(slots, |balancer, servers| {
            let keep = floors.map(|floors| Keep {
                among: among.clone(),
                floors: floors
                    .iter()
                    .filter(|((on, _), _)| on == balancer)
                    .map(|((_, backend), floor)| (backend.clone(), *floor))
                    .collect(),
            });
            Ask::Put(Put {
                servers,
                admin,
                keep,
            })
        })
        .await
    }

    async fn end_sessions(&mut self, slots: &BTreeSet<Slot>) -> Result<(), Trouble> {
        self.each(slots, |_, servers| Ask::EndSessions { servers })
            .await
    }

    async fn gate(&mut self, hosts: &[String]) -> Result<(), Trouble> {
        let playbooks = &mut *self.playbooks;
        let result = tokio::task::block_in_place(|| playbooks.check(hosts));
        self.heard(result)
    }

    async fn deploy(&mut self, hosts: &[String]) -> Result<(), Trouble> {
        let playbooks = &mut *self.playbooks;
        let result = tokio::task::block_in_place(|| playbooks.apply(hosts));
        self.heard(result)
    }

    async fn health(&mut self, world: &World, slots: &BTreeSet<Slot>) -> Result<(), Trouble> {
        let (direct, through) = self.questions(world, slots);
        let expect = self.health.expect.clone();
        self.until_settled(&expect, direct, through).await
    }

    async fn live(&mut self) -> Result<(), Trouble> {
        let Some(live) = self.live else {
            return Ok(());
        };
        let question = Question::new(live.url.clone(), Way::Direct(live.url.clone()));
        self.until_settled(&live.expect, vec![question], BTreeMap::new())
            .await
    }

    async fn pause(&mut self, time: Duration) {
        if self.interrupted {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.interrupt.wait() => self.interrupted = true,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn is_interrupted(&mut self) -> bool {
        let now = self.interrupt.wait().now_or_never().is_some();
        std::mem::take(&mut self.interrupted) || now
    }

    fn remember<E: Entry>(&mut self, record: &E) -> Result<(), Trouble> {
        self.journal.save(record)
    }

    fn announce(&mut self, text: &str) {
        (self.announce)(text);
    }
}
