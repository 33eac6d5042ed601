//! The conversation about a load balancer: asked, it looks or acts, and answers.

use std::path::Path;

use super::ServeError;
use super::access::gain_access;
use crate::host::haproxy::HaProxy;
use crate::host::{Failure, Link, http_get};
use crate::protocol::balancer::{Answer, Ask, Attend, Put};
use crate::protocol::wire::WireError;
use crate::protocol::{Event, Message, Sha256};

/// Answers until the controller has no more questions. Whatever goes wrong with HAProxy is an
/// answer; only a broken stream ends the conversation.
pub(super) fn attend(link: &mut Link, state: &Path, attend: &Attend) -> Result<(), ServeError> {
    // One writer per HAProxy, not per host: an apply may run here meanwhile.
    let lock = Sha256::of(attend.socket.as_bytes()).to_string();
    let state = state.join("haproxy").join(lock);
    let Some(mut access) = gain_access(link, &state, &attend.begin, None)? else {
        return Ok(());
    };
    // Two load balancers of one swap that are one HAProxy would wait for each other without end.
    if !access.take_turn(&state)? {
        let holder = access.holder();
        return Ok(link.send(&Event::Locked { holder })?);
    }
    link.send(&Event::Begun {
        pending: Vec::new(),
        running: access.running,
    })?;
    let haproxy = HaProxy::at(&attend.socket);
    loop {
        let said = match link.receive()? {
            Some(Message::Balancer(ask)) => answer(&haproxy, attend, &ask),
            Some(Message::End) => break,
            Some(_) => return Err(WireError::Unexpected("something out of turn").into()),
            None => return Err(WireError::CutOff("a conversation").into()),
        };
        let said = said.unwrap_or_else(|failure| Answer::Failed {
            message: failure.to_string(),
        });
        link.send(&Event::Balancer { said })?;
    }
    let cpu_ms = link.cpu_ms();
    Ok(link.send(&Event::Done { cpu_ms })?)
}

fn answer(haproxy: &HaProxy, attend: &Attend, ask: &Ask) -> Result<Answer, Failure> {
    match ask {
        Ask::Look => Ok(Answer::Standing(haproxy.connect()?.standing()?)),
        Ask::Put(put) => self::put(haproxy, attend, put),
        Ask::EndSessions { servers } => {
            let mut connection = haproxy.connect()?;
            for server in servers {
                connection.end_sessions(server)?;
            }
            Ok(Answer::Done)
        }
        Ask::Probe(probe) => {
            let (status, body) = http_get::get(probe)?;
            Ok(Answer::Probed { status, body })
        }
    }
}

fn put(haproxy: &HaProxy, attend: &Attend, put: &Put) -> Result<Answer, Failure> {
    let mut connection = haproxy.connect()?;
    if let Some(keep) = &put.keep {
        let standing = connection.standing()?;
        for (backend, floor) in &keep.floors {
            let in_service = || {
                let servers = standing.servers.iter();
                servers.filter(|server| server.name.backend == *backend && server.is_in_service())
            };
            let loses = in_service().any(|server| put.servers.contains(&server.name));
            let left = in_service()
                .filter(|server| keep.among.contains(&server.name))
                .filter(|server| !put.servers.contains(&server.name))
                .count();
            if loses && left < *floor {
                let backend = backend.clone();
                return Ok(Answer::TooFew { backend, left });
            }
        }
    }
    for server in &put.servers {
        connection.set(server, put.admin)?;
    }
    // Asked anew: after a reload meanwhile, what is to be kept is what the new process says.
    haproxy
        .connect()?
        .keep_state(Path::new(&attend.state_file))?;
    Ok(Answer::Done)
}
