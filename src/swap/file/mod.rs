//! The file that says what is swapped: read strictly, everything wrong with it reported together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::diagnostic::Diagnostic;
use crate::inventory::Pattern;
use crate::playbook::Share;
use crate::yaml::{self, Limits, Node, Span};

mod health;
mod read;
mod work;

/// A swap as declared. Patterns and templates still have to meet an inventory.
#[derive(Clone, Debug)]
pub struct SwapFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Names the swap.
    pub service: String,
    /// Where traffic is directed.
    pub load_balancers: LoadBalancers,
    /// What is done.
    pub work: Work,
    /// The playbook whose check has to be clean.
    pub gate: Option<PathBuf>,
    /// The playbook that is applied to hosts that are out of service.
    pub deploy: Option<PathBuf>,
    /// What a server has to answer.
    pub health: Health,
    /// What the live address has to answer.
    pub live: Option<Live>,
    /// How servers are taken out.
    pub drain: Drain,
    /// How many servers may be missing, if the file says so.
    pub max_unavailable: Option<Unavailable>,
    /// How long servers have to be up before others are taken out.
    pub min_healthy_time: Duration,
    /// The pause between two servers; zero means all at once.
    pub stagger: Duration,
    /// Whether what fails is taken back.
    pub auto_revert: bool,
}

/// Where traffic is directed.
#[derive(Clone, Debug)]
pub struct LoadBalancers {
    /// Which hosts.
    pub hosts: Pattern,
    /// Where `hosts` is written.
    pub place: Span,
    /// The runtime socket, a template.
    pub socket: Node,
    /// In which backends the servers are.
    pub backends: Vec<String>,
    /// What a host is called there, a template.
    pub server: Node,
    /// Where a reload finds the state, a template.
    pub server_state_file: Node,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Work {
    /// Traffic is moved from one pool to the other.
    Move([Declared; 2]),
    /// The hosts of a pool are replaced, some at a time.
    Replace(Replace),
}

/// Which hosts are replaced.
#[derive(Clone, Debug)]
pub struct Replace {
    /// The pool.
    pub hosts: Declared,
    /// How many of them at a time; one, if the file does not say it.
    pub batch: Option<Share>,
    /// Where the file says how many may be out of service.
    pub budget: Span,
}

/// A pool as declared.
#[derive(Clone, Debug)]
pub struct Declared {
    /// `blue`.
    pub name: String,
    /// Which hosts.
    pub hosts: Pattern,
    /// Where that is written.
    pub place: Span,
}

/// What a server has to answer before it gets traffic.
#[derive(Clone, Debug)]
pub struct Health {
    /// Who asks.
    pub from: Vec<Asker>,
    /// In plain text or with TLS.
    pub scheme: Scheme,
    /// Where, if not where the load balancers send requests; a template.
    pub address: Option<Node>,
    /// The port, if not theirs.
    pub port: Option<u16>,
    /// What is asked for.
    pub path: String,
    /// What makes the answer a good one.
    pub expect: Expect,
}

/// What the live address has to answer.
#[derive(Clone, Debug)]
pub struct Live {
    /// Where.
    pub url: String,
    /// What makes the answer a good one.
    pub expect: Expect,
}

/// When something counts as healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The HTTP status.
    pub status: u16,
    /// Text in the body.
    pub body: Option<String>,
    /// How often in a row.
    pub successes: u32,
    /// The pause between two requests.
    pub interval: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// How long all of it may take.
    pub deadline: Duration,
}

/// Who asks a server for its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// The machine fleet runs on.
    Controller,
    /// Each load balancer.
    LoadBalancers,
}

/// How servers are asked for their health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// In plain text.
    #[default]
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// How servers are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long their sessions may take to end.
    pub deadline: Duration,
    /// What then.
    pub on_timeout: OnTimeout,
}

/// What becomes of sessions that do not end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// They go on, and so does their server: the swap is taken back.
    #[default]
    Restore,
    /// They are ended.
    Kill,
}

/// How many servers may be out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// So many.
    Count(usize),
    /// This part of the pool, of the larger one of two, rounded down.
    Percent(u8),
}

impl Unavailable {
    /// How many servers of a pool of this size have to stay in service; never none.
    #[must_use]
    pub fn floor(self, size: usize) -> usize {
        let may_miss = match self {
            Self::Count(count) => count,
            Self::Percent(percent) => size * usize::from(percent) / 100,
        };
        size.saturating_sub(may_miss).max(1)
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent
                .trim_end()
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        }
    }
}

impl SwapFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let root = yaml::load(path, &Limits::default())?;
        read::file(path, &root)
    }
}

#[cfg(test)]
mod tests;
