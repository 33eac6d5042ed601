//! The helper's end of the conversation: events out, messages and contents in.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;

use rustix::io::ioctl_fionread;
use sha2::Digest;

use super::facts;
use crate::protocol::wire::{self, PIECE, WireError};
use crate::protocol::{Content, Event, Judge, Message, Sha256, Task, TaskId};

/// How many bytes of messages may wait until they are worked on.
const QUEUE_LIMIT: usize = wire::LINE_LIMIT;

/// The stream to and from the controller.
pub struct Link {
    reader: Box<dyn Incoming>,
    writer: Box<dyn Write>,
    /// Messages that were read before their turn, and their size.
    queue: VecDeque<(usize, Message)>,
    queued: usize,
    told_to_stop: bool,
    /// What the shell that became this process has used, the user's start files among it.
    cpu_before: u64,
}

/// What messages are read from.
trait Incoming: BufRead {
    /// Whether there is something to read by now.
    fn has_arrived(&self) -> bool;
}

impl<R: Read + AsFd> Incoming for BufReader<R> {
    fn has_arrived(&self) -> bool {
        !self.buffer().is_empty() || ioctl_fionread(self.get_ref()).is_ok_and(|bytes| bytes > 0)
    }
}

/// Why a content did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The conversation is over.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The controller no longer has the bytes.
    #[error("the controller cannot send it: {0}")]
    Unavailable(String),
    /// What arrived is something else.
    #[error("its {attribute} is {actual}, expected {expected}")]
    Differs {
        attribute: &'static str,
        expected: String,
        actual: String,
    },
    /// The bytes arrived and could not be kept.
    #[error(transparent)]
    Keep(std::io::Error),
}

impl Link {
    /// A conversation over `reader` and `writer`.
    pub fn new(reader: impl Read + AsFd + 'static, writer: impl Write + 'static) -> Self {
        Self {
            reader: Box::new(BufReader::with_capacity(PIECE, reader)),
            writer: Box::new(writer),
            queue: VecDeque::new(),
            queued: 0,
            told_to_stop: false,
            cpu_before: facts::cpu_ms(),
        }
    }

    /// With a message that came another way, before all others.
    #[must_use]
    pub fn having_heard(mut self, first: Option<Message>) -> Self {
        self.queue.extend(first.map(|first| (0, first)));
        self
    }

    /// CPU time of the helper since the conversation began, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> u64 {
        facts::cpu_ms().saturating_sub(self.cpu_before)
    }

    /// Sends one event and flushes.
    pub fn send(&mut self, event: &Event) -> Result<(), WireError> {
        let line = wire::encode(event);
        // The controller would not hear it out.
        if line.len() > wire::EVENT_LIMIT {
            return Err(WireError::TooLong(wire::EVENT_LIMIT));
        }
        self.writer.write_all(&line)?;
        Ok(self.writer.flush()?)
    }

    /// Waits for the next message; `None` when the controller has hung up between messages.
    pub fn receive(&mut self) -> Result<Option<Message>, WireError> {
        if let Some((size, message)) = self.queue.pop_front() {
            self.queued -= size;
            return Ok(Some(message));
        }
        while let Some(line) = wire::read_line(&mut self.reader)? {
            if let Some(message) = self.heed(wire::decode(&line)?) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Whether the controller has said [`Message::Stop`]. Takes in what has come by now, which keeps
    /// its turn, and waits for nothing but the end of a line.
    pub(super) fn is_told_to_stop(&mut self) -> Result<bool, WireError> {
        while !self.told_to_stop && self.queued < QUEUE_LIMIT / 2 && self.reader.has_arrived() {
            let Some(line) = wire::read_line(&mut self.reader)? else {
                break;
            };
            self.keep(line.len(), wire::decode(&line)?)?;
        }
        Ok(self.told_to_stop)
    }

    /// The tasks that have come and wait for their turn.
    pub(super) fn tasks_ahead(&self) -> impl Iterator<Item = &Task> {
        self.queue.iter().filter_map(|(_, message)| match message {
            Message::Task(task) => Some(&**task),
            _ => None,
        })
    }

    /// Notes what is said out of turn, and gives back everything else.
    fn heed(&mut self, message: Message) -> Option<Message> {
        if matches!(message, Message::Stop) {
            self.told_to_stop = true;
            return None;
        }
        Some(message)
    }

    /// Keeps a message for its turn.
    fn keep(&mut self, size: usize, message: Message) -> Result<(), WireError> {
        // Raw bytes would follow this one; they would be read as lines.
        if let Message::Content { .. } = message {
            return Err(WireError::Unexpected("a content that was not asked for"));
        }
        if let Some(message) = self.heed(message) {
            self.queued += size;
            self.queue.push_back((size, message));
        }
        Ok(())
    }

    /// Asks for a content and moves its bytes to `sink`, verified. What `sink` holds after an
    /// error is worthless.
    pub(super) fn fetch(
        &mut self,
        content: &Content,
        sink: &mut dyn Write,
    ) -> Result<(), FetchError> {
        self.send(&Event::Need {
            sha256: content.sha256,
        })?;
        let answer = self.wait_for(|message| {
            matches!(
                message,
                Message::Content { .. } | Message::ContentUnavailable { .. }
            )
        })?;
        match answer {
            Message::Content { sha256, size } if sha256 == content.sha256 => {
                self.receive_bytes(content, size, sink)
            }
            Message::ContentUnavailable { sha256, reason } if sha256 == content.sha256 => {
                Err(FetchError::Unavailable(reason))
            }
            _ => Err(WireError::Unexpected("an answer that was not asked for").into()),
        }
    }

    /// Waits for the verdict on a task.
    pub(super) fn judge(&mut self, task: TaskId) -> Result<Judge, WireError> {
        match self.wait_for(|message| matches!(message, Message::Judge(_)))? {
            Message::Judge(judge) if judge.id == task => Ok(judge),
            _ => Err(WireError::Unexpected("a verdict on another task")),
        }
    }

    /// Waits for an answer; tasks that were sent before it keep their turn.
    fn wait_for(&mut self, is_answer: impl Fn(&Message) -> bool) -> Result<Message, WireError> {
        loop {
            let Some(line) = wire::read_line(&mut self.reader)? else {
                return Err(WireError::CutOff("a question"));
            };
            let message = wire::decode(&line)?;
            if is_answer(&message) {
                return Ok(message);
            }
            self.keep(line.len(), message)?;
            if self.queued > QUEUE_LIMIT {
                return Err(WireError::TooLong(QUEUE_LIMIT));
            }
        }
    }

    /// Reads exactly `size` bytes whatever happens to them, so that the next line is a line.
    fn receive_bytes(
        &mut self,
        content: &Content,
        size: u64,
        sink: &mut dyn Write,
    ) -> Result<(), FetchError> {
        let mut digest = sha2::Sha256::new();
        let mut kept = Ok(());
        let mut left = size;
        while left > 0 {
            let piece = self.reader.fill_buf().map_err(WireError::Io)?;
            let length = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if length == 0 {
                return Err(WireError::CutOff("a content").into());
            }
            if kept.is_ok() && size == content.size {
                digest.update(&piece[..length]);
                kept = sink.write_all(&piece[..length]);
            }
            self.reader.consume(length);
            left -= length as u64;
        }
        let differs = |attribute, expected: String, actual: String| {
            Err(FetchError::Differs {
                attribute,
                expected,
                actual,
            })
        };
        if size != content.size {
            return differs("size", content.size.to_string(), size.to_string());
        }
        kept.map_err(FetchError::Keep)?;
        let found = Sha256::from_digest(digest.finalize().into());
        if found != content.sha256 {
            return differs("sha256", content.sha256.to_string(), found.to_string());
        }
        Ok(())
    }
}
