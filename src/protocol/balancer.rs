//! What a load balancer is asked: HAProxy, through its runtime socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Begin;

/// Starts a conversation about the HAProxy behind one socket; the lock that is claimed is that
/// socket's and not the host's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attend {
    /// How the conversation is to be run.
    pub begin: Begin,
    /// HAProxy's runtime socket.
    pub socket: String,
    /// Where the state of the servers is written after each change, so that a reload keeps it.
    pub state_file: String,
}

/// What is asked of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What its servers do now.
    Look,
    /// Another state for some servers.
    Put(Put),
    /// The end of the sessions that servers still have.
    EndSessions {
        /// Which servers.
        servers: Vec<ServerName>,
    },
    /// One request to a server, as the load balancer would send it.
    Probe(Probe),
}

/// Another state for some servers, written to the state file when it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Which servers.
    pub servers: Vec<ServerName>,
    /// Which state.
    pub admin: Admin,
    /// What must stay in service: looked at in the same connection, which is one process of
    /// HAProxy, so that a reload between looking and acting can do no harm.
    pub keep: Option<Keep>,
}

/// How many servers have to be left when some are taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The servers that count, those that are taken out among them.
    pub among: Vec<ServerName>,
    /// At least so many of them in each of these backends.
    pub floors: BTreeMap<String, usize>,
}

/// One server of one backend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerName {
    /// The backend.
    pub backend: String,
    /// The server in it.
    pub server: String,
}

impl ServerName {
    /// Whether `text` can be the name of a backend or a server: HAProxy's own rule. What passes
    /// is one word of a command.
    #[must_use]
    pub fn is_valid_part(text: &str) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        !text.is_empty() && text.len() <= 200 && text.chars().all(allowed)
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

/// What a server is meant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    /// Serve.
    Ready,
    /// Finish what it has, and get nothing new.
    Drain,
    /// Nothing, not even checks.
    Maint,
}

impl Admin {
    /// As HAProxy calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// What HAProxy says of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Which.
    pub name: ServerName,
    /// What it is meant to do.
    pub admin: Admin,
    /// Who wants that.
    pub cause: Cause,
    /// Its checks succeed, or it has none.
    pub up: bool,
    /// Its part of the traffic; 0 gets none.
    pub weight: u32,
    /// Where requests for it go.
    pub address: String,
    /// The port there.
    pub port: u16,
    /// Sessions it has now.
    pub sessions: u64,
    /// Requests that wait for it.
    pub queued: u64,
    /// What the last check said, in HAProxy's words; empty without checks.
    pub check: String,
}

/// Why a server is in the state it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is ready, or somebody said so through the runtime socket.
    Command,
    /// The configuration declares it `disabled`.
    Configuration,
    /// It follows another server, or its name cannot be resolved.
    Inherited,
}

impl Server {
    /// Whether it gets new requests.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        self.admin == Admin::Ready && self.up && self.weight > 0
    }

    /// Whether nothing is left to wait for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions == 0 && self.queued == 0
    }
}

/// What one load balancer does, seen in one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// HAProxy's version, in its own words.
    pub version: String,
    /// Its process; another one after a reload.
    pub pid: u32,
    /// All servers of all backends.
    pub servers: Vec<Server>,
}

/// One plain HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Where: an IP address or a name.
    pub address: String,
    /// The port there.
    pub port: u16,
    /// What is asked for.
    pub path: String,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

impl Probe {
    /// How much of an answer's body is read, in bytes.
    pub const BODY_LIMIT: usize = 64 * 1024;
}

/// What a load balancer answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// What its servers do.
    Standing(Standing),
    /// It was done.
    Done,
    /// It was not done: too few servers would be left in service.
    TooFew {
        /// In this backend.
        backend: String,
        /// So many would be left.
        left: usize,
    },
    /// What a server said to a [`Probe`].
    Probed {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body, lossy UTF-8.
        body: String,
    },
    /// It could not be done, or not told.
    Failed {
        /// Why.
        message: String,
    },
}
