//! HAProxy's runtime socket.
//!
//! One connection talks to one process: what is seen in it and what is changed in it belong
//! together, whatever reloads happen meanwhile. Columns are found by their names, as their places
//! change between versions. Names are words of HAProxy's own alphabet before they become part of
//! a command.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Draft, Failure, Permissions};
use crate::protocol::balancer::{Admin, Cause, Server, ServerName, Standing};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the socket may be away: a reload replaces it.
const RELOAD: Duration = Duration::from_secs(3);

/// More than the state of ten thousand servers.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// What HAProxy says when it waits for the next command.
const PROMPT: &[u8] = b"\n> ";

/// The HAProxy behind a socket.
#[derive(Debug)]
pub(crate) struct HaProxy {
    socket: PathBuf,
}

/// One process of it.
#[derive(Debug)]
pub(crate) struct Connection<'h> {
    haproxy: &'h HaProxy,
    stream: UnixStream,
}

impl HaProxy {
    pub(crate) fn at(socket: &str) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// Connects to the process that serves now, waiting out a reload.
    pub(crate) fn connect(&self) -> Result<Connection<'_>, Failure> {
        let until = Instant::now() + RELOAD;
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => return self.greet(stream),
                Err(error) if Instant::now() < until && is_away(&error) => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn greet(&self, stream: UnixStream) -> Result<Connection<'_>, Failure> {
        let broken = |error: io::Error| self.broken(&error);
        stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
        let mut connection = Connection {
            haproxy: self,
            stream,
        };
        connection.ask("prompt")?;
        Ok(connection)
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such socket".to_owned(),
            io::ErrorKind::ConnectionRefused => "nobody listens on it".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "this user may not use it; become root, or one that may".to_owned()
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer within {} seconds", PATIENCE.as_secs())
            }
            _ => error.to_string(),
        };
        Failure::Missing(format!("HAProxy does not answer on {socket}: {why}"))
    }
}

/// Whether a reload could be why nobody listens.
fn is_away(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

impl Connection<'_> {
    /// What all servers do.
    pub(crate) fn standing(&mut self) -> Result<Standing, Failure> {
        let info = self.ask("show info")?;
        let state = self.ask("show servers state")?;
        let statistics = self.ask("show stat")?;
        parse(&info, &state, &statistics).map_err(|what| {
            let socket = self.haproxy.socket.display();
            Failure::Unexpected(format!(
                "what HAProxy says on {socket} makes no sense: {what}"
            ))
        })
    }

    /// Sets what a server is to do.
    pub(crate) fn set(&mut self, server: &ServerName, admin: Admin) -> Result<(), Failure> {
        self.command(
            server,
            &format!("set server {server} state {}", admin.as_str()),
        )
    }

    /// Ends the sessions that a server has.
    pub(crate) fn end_sessions(&mut self, server: &ServerName) -> Result<(), Failure> {
        self.command(server, &format!("shutdown sessions server {server}"))
    }

    /// Writes the state of all servers where HAProxy reads it when it starts.
    pub(crate) fn keep_state(&mut self, file: &Path) -> Result<(), Failure> {
        let state = self.ask("show servers state")?;
        let mut draft = Draft::beside(file, Permissions::default())?;
        draft
            .write_all(state.as_bytes())
            .map_err(|error| Failure::io("write", file, error))?;
        draft.commit()
    }

    /// A command that says nothing when it was obeyed.
    fn command(&mut self, server: &ServerName, command: &str) -> Result<(), Failure> {
        for part in [&server.backend, &server.server] {
            if !ServerName::is_valid_part(part) {
                let message = format!("`{part}` cannot be a name in HAProxy");
                return Err(Failure::Unexpected(message));
            }
        }
        let said = self.ask(command)?;
        let said = said.trim();
        if said.is_empty() {
            return Ok(());
        }
        let mut message = format!("HAProxy refuses `{command}`: {said}");
        if said.contains("ermission denied") {
            message.push_str(" (the socket needs `level admin` in haproxy.cfg)");
        }
        Err(Failure::Refused(message))
    }

    /// One line out, all that is said until the next prompt in.
    fn ask(&mut self, command: &str) -> Result<String, Failure> {
        let broken = |error: io::Error| self.haproxy.broken(&error);
        let until = Instant::now() + PATIENCE;
        let mut stream = &self.stream;
        stream
            .write_all(format!("{command}\n").as_bytes())
            .map_err(broken)?;
        let mut answer = Vec::new();
        let mut piece = [0; 8192];
        while !answer.ends_with(PROMPT) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(broken(io::ErrorKind::TimedOut.into()));
            }
            stream.set_read_timeout(Some(left)).map_err(broken)?;
            let length = stream.read(&mut piece).map_err(broken)?;
            if length == 0 {
                return Err(broken(io::Error::other(
                    "it hangs up in the middle of an answer",
                )));
            }
            answer.extend_from_slice(&piece[..length]);
            if answer.len() > LONGEST_ANSWER {
                return Err(broken(io::Error::other("its answer has no end")));
            }
        }
        answer.truncate(answer.len() - PROMPT.len());
        answer.push(b'\n');
        String::from_utf8(answer).map_err(|_| broken(io::Error::other("its answer is no text")))
    }
}

/// Puts together what three commands say.
fn parse(info: &str, state: &str, statistics: &str) -> Result<Standing, String> {
    let value = |key: &str| {
        let lines = info.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim())
    };
    let pid = value("Pid").and_then(|pid| pid.parse().ok());
    let load = loads(statistics)?;
    let mut lines = state.lines().filter(|line| !line.trim().is_empty());
    if lines.next().map(str::trim) != Some("1") {
        return Err("the state of its servers is not of format 1".to_owned());
    }
    let columns = lines.next().and_then(|line| line.strip_prefix("# "));
    let columns = columns.ok_or("the state of its servers has no columns")?;
    let columns = Columns::new(columns.split(' '));
    let servers = lines
        .map(|line| server(&Row::new(&columns, line.split(' ')), &load))
        .collect::<Result<_, _>>()?;
    Ok(Standing {
        version: value("Version").unwrap_or_default().to_owned(),
        pid: pid.ok_or("it does not say its process id")?,
        servers,
    })
}

/// Bits of `srv_admin_state`.
mod bit {
    pub(super) const FORCED_MAINT: u32 = 0x01;
    pub(super) const CONFIGURED_MAINT: u32 = 0x04;
    pub(super) const FORCED_DRAIN: u32 = 0x08;
    pub(super) const INHERITED_DRAIN: u32 = 0x10;
    /// Followed from another server, no address, or a name that does not exist.
    pub(super) const OTHER_MAINT: u32 = 0x02 | 0x20 | 0x40;
}

/// `srv_op_state` of a server that is up.
const RUNNING: u32 = 2;

fn server(row: &Row<'_>, load: &HashMap<ServerName, Load>) -> Result<Server, String> {
    let name = ServerName {
        backend: row.text("be_name")?.to_owned(),
        server: row.text("srv_name")?.to_owned(),
    };
    let flags: u32 = row.number("srv_admin_state")?;
    let admin = if flags & (bit::FORCED_MAINT | bit::OTHER_MAINT) != 0 {
        Admin::Maint
    } else if flags & (bit::FORCED_DRAIN | bit::INHERITED_DRAIN) != 0 {
        Admin::Drain
    } else {
        Admin::Ready
    };
    let cause = if flags & (bit::OTHER_MAINT | bit::INHERITED_DRAIN) != 0 {
        Cause::Inherited
    } else if admin == Admin::Maint && flags & bit::CONFIGURED_MAINT != 0 {
        Cause::Configuration
    } else {
        Cause::Command
    };
    let load = load
        .get(&name)
        .ok_or_else(|| format!("there are no statistics of {name}"))?;
    Ok(Server {
        admin,
        cause,
        up: row.number::<u32>("srv_op_state")? == RUNNING,
        weight: row.number("srv_uweight")?,
        address: row.text("srv_addr")?.to_owned(),
        port: row.number("srv_port")?,
        sessions: load.sessions,
        queued: load.queued,
        check: load.check.clone(),
        name,
    })
}

/// What statistics say of a server.
struct Load {
    sessions: u64,
    queued: u64,
    check: String,
}

fn loads(statistics: &str) -> Result<HashMap<ServerName, Load>, String> {
    let mut lines = statistics.lines().filter(|line| !line.trim().is_empty());
    let columns = lines.next().and_then(|line| line.strip_prefix("# "));
    let columns = columns.ok_or("its statistics have no columns")?;
    let columns = Columns::new(columns.split(','));
    let mut loads = HashMap::new();
    for line in lines {
        // Quotes and commas may come in the last columns only, in what a check said.
        let row = Row::new(&columns, line.split(','));
        // 2 is a server; there are rows of frontends and of whole backends, too.
        if row.text("type")? != "2" {
            continue;
        }
        let name = ServerName {
            backend: row.text("pxname")?.to_owned(),
            server: row.text("svname")?.to_owned(),
        };
        let load = Load {
            sessions: row.number("scur")?,
            queued: row.number("qcur")?,
            check: row.text("check_status")?.to_owned(),
        };
        loads.insert(name, load);
    }
    Ok(loads)
}

/// Where each column is.
struct Columns<'t>(HashMap<&'t str, usize>);

impl<'t> Columns<'t> {
    fn new(names: impl Iterator<Item = &'t str>) -> Self {
        Self(names.enumerate().map(|(at, name)| (name, at)).collect())
    }
}

struct Row<'t> {
    columns: &'t Columns<'t>,
    values: Vec<&'t str>,
}

impl<'t> Row<'t> {
    fn new(columns: &'t Columns<'t>, values: impl Iterator<Item = &'t str>) -> Self {
        Self {
            columns,
            values: values.collect(),
        }
    }

    fn text(&self, name: &str) -> Result<&'t str, String> {
        let at = self.columns.0.get(name);
        let at = at.ok_or_else(|| format!("there is no column `{name}`"))?;
        let value = self.values.get(*at).copied();
        value.ok_or_else(|| format!("a line ends before the column `{name}`"))
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Result<N, String> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| format!("`{text}` in the column `{name}` is no number"))
    }
}

#[cfg(test)]
mod tests;
