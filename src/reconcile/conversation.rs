//! The conversation with the controller from the greeting to the goodbye, over all its plays.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use super::Run;
use super::access::{Access, gain_access};
use super::balancer;
use super::delivery::Delivery;
use crate::host::{Failure, Host, Ledger, Link, Pending, confirm, facts};
use crate::protocol::wire::WireError;
use crate::protocol::{Begin, Event, Message};

/// Why the conversation ended without [`Event::Done`].
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The stream broke or made no sense.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The helper cannot work on this host.
    #[error(transparent)]
    Host(#[from] Failure),
}

/// Holds one conversation: greets, works through the tasks as they come, says goodbye; and again
/// for the next play, if the controller has told it to wait for one.
/// `first` is what the controller has said before all that comes from `reader`.
/// `state` is fleet's own directory on the host; it is made when something must be kept.
///
/// # Errors
/// When it cannot go on. The controller has been told, if it is still there.
pub fn serve(
    reader: impl Read + AsFd + 'static,
    writer: impl Write + 'static,
    first: Option<Message>,
    state: &Path,
) -> Result<(), ServeError> {
    let mut link = Link::new(reader, writer).having_heard(first);
    greet(&mut link)?;
    let mut begin = match link.receive() {
        Ok(Some(Message::Begin(begin))) => begin,
        Ok(Some(Message::Attend(attend))) => {
            return balancer::attend(&mut link, state, &attend)
                .or_else(|error| give_up(&mut link, error));
        }
        // Only the facts were wanted.
        Ok(None | Some(Message::End)) => {
            let cpu_ms = link.cpu_ms();
            return Ok(link.send(&Event::Done { cpu_ms })?);
        }
        Ok(Some(Message::Confirm)) => return confirmed(&mut link, state),
        Ok(Some(_)) => return give_up(&mut link, WireError::Unexpected("no beginning")),
        Err(error) => return give_up(&mut link, error),
    };
    let mut delivery = Delivery::default();
    let mut kept = None;
    loop {
        let mut access = match gain_access(&mut link, state, &begin, kept) {
            Ok(Some(access)) => access,
            Ok(None) => return Ok(()),
            Err(error) => return give_up(&mut link, error),
        };
        if let Err(error) = access.await_turn(&mut link, state) {
            return give_up(&mut link, error);
        }
        let claims = begin.claim.is_some();
        // An apply that died left it to be confirmed, and here is a new connection.
        if let Err(failure) = delivery.load(state, &begin).and_then(|()| {
            if claims {
                confirm(state)?;
            }
            Ok(())
        }) {
            return give_up(&mut link, failure);
        }
        let next;
        (link, next) = play(link, state, begin, &access, &mut delivery)?;
        let heard = hear_out(&mut link, &mut delivery);
        delivery.keep()?;
        match (heard, next) {
            (Ok(()), Next::Play) => {}
            (Ok(()), Next::End) => return Ok(()),
            (Err(error), _) => return give_up(&mut link, error),
        }
        kept = access.pause();
        begin = match link.receive() {
            Ok(Some(Message::Begin(begin))) => begin,
            // The run ended early, or somewhere else.
            Ok(None) => return Ok(()),
            Ok(Some(_)) => return give_up(&mut link, WireError::Unexpected("no beginning")),
            Err(error) => return give_up(&mut link, error),
        };
        // What the last play changed may be a fact.
        greet(&mut link)?;
    }
}

/// Somebody came over a new connection, only to say so.
fn confirmed(link: &mut Link, state: &Path) -> Result<(), ServeError> {
    match confirm(state) {
        Ok(true) => Ok(link.send(&Event::Confirmed)?),
        Ok(false) => {
            let late = "no change waits to be confirmed: it was taken back already";
            give_up(link, Failure::Refused(late.to_owned()))
        }
        Err(failure) => give_up(link, failure),
    }
}

/// Hears what is still to be said about a play: that its results were heard. It is not said if
/// the connection is over.
fn hear_out(link: &mut Link, delivery: &mut Delivery) -> Result<(), ServeError> {
    while !delivery.is_over() {
        match link.receive()? {
            Some(Message::Heard { id }) => delivery.heard(id)?,
            Some(_) => return Err(WireError::Unexpected("no word about a result").into()),
            None => break,
        }
    }
    Ok(())
}

fn greet(link: &mut Link) -> Result<(), WireError> {
    let facts = Box::new(facts::collect());
    link.send(&Event::Hello { facts })
}

/// Works through the tasks of one play, or of all that only look.
fn play(
    mut link: Link,
    state: &Path,
    begin: Begin,
    access: &Access,
    delivery: &mut Delivery,
) -> Result<(Link, Next), ServeError> {
    // Only now: a run that was waited for may have changed what is pending.
    let pending = match Pending::load(state, begin.playbook.as_deref()) {
        Ok(pending) => pending,
        Err(failure) => return give_up(&mut link, failure),
    };
    // Only a playbook owns things.
    let owned = begin.playbook.as_ref().map(|_| Ledger::load(state));
    let ledger = match owned.transpose() {
        Ok(ledger) => ledger,
        Err(failure) => return give_up(&mut link, failure),
    };
    link.send(&Event::Begun {
        pending: pending.names().collect(),
        running: access.running.clone(),
    })?;
    let host = Host::new(link, state.to_owned(), begin);
    let mut run = Run::new(host, pending, ledger, delivery);
    match run.work_through() {
        Ok(next) => Ok((run.host.into_link(), next)),
        Err(error) => {
            // If nobody listens any more, the missing `Done` says the same.
            let _ = run.host.send(&Event::Fatal {
                message: error.to_string(),
            });
            run.delivery.give_up(&run.host)?;
            Err(error)
        }
    }
}

/// What comes after a play.
#[derive(Clone, Copy)]
pub(super) enum Next {
    End,
    Play,
}

fn give_up<T>(link: &mut Link, error: impl Into<ServeError>) -> Result<T, ServeError> {
    let error = error.into();
    link.send(&Event::Fatal {
        message: error.to_string(),
    })?;
    Err(error)
}
