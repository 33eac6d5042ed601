//! The conversation with one helper: messages out, events in, and how it ended.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::process::Process;
use crate::harmless::printable;
use crate::protocol::wire::{self, EVENT_LIMIT, PIECE, WireError};
use crate::protocol::{Event, Message, Sha256};

/// How long a helper that was told to end may take before it is left to itself.
const CLOSING: Duration = Duration::from_secs(5);

/// How much memory is kept for the next line, in bytes: what one long line took goes back.
const KEPT: usize = 64 * 1024;

/// A helper that is running on a host. Dropping it ends the helper's input, on which the
/// helper ends by itself; [`close`](Channel::close) also says how that went.
#[derive(Debug)]
pub struct Channel {
    sender: Sender,
    receiver: Receiver,
    process: Option<Process>,
}

/// Why the conversation can no longer be followed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The connection broke.
    #[error("the connection to the helper broke: {0}")]
    Io(#[from] io::Error),
    /// The stream ended in the middle of a line: the helper was killed or the host went down.
    #[error("the helper's answer ended in the middle of a line")]
    CutOff,
    /// An endless line.
    #[error("the helper sent a line longer than {EVENT_LIMIT} bytes")]
    TooLong,
    /// A line that is no event.
    #[error("the helper sent something that is no event: `{line}` ({reason})")]
    Garbage {
        /// Its beginning, harmless to show.
        line: String,
        /// What the parser said.
        reason: String,
    },
    /// The bytes to send are not as many as announced; the conversation is broken.
    #[error("a content of {announced} bytes could not be read: {reason}")]
    Content {
        /// As said to the helper.
        announced: u64,
        /// What went wrong on the controller.
        reason: String,
    },
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What became of the helper.
    pub exit: Exit,
    /// The last of what it, or `ssh` about a lost connection, said; one harmless line each.
    pub stderr: Vec<String>,
}

/// What became of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended with this status.
    Status(i32),
    /// A signal ended it.
    Killed,
    /// The connection to the host is lost; what the helper does is not known.
    Lost,
    /// It went on although its input had ended, and was left to itself.
    Running,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Killed => f.write_str("was killed by a signal"),
            Self::Lost => f.write_str("was lost with the connection"),
            Self::Running => f.write_str("did not end"),
        }
    }
}

/// The way to the helper.
pub struct Sender(Option<Box<dyn AsyncWrite + Send + Unpin>>);

/// The way from the helper.
pub struct Receiver {
    stdout: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    line: Vec<u8>,
}

impl Channel {
    /// A conversation over any two streams.
    pub fn over(
        stdin: impl AsyncWrite + Send + Unpin + 'static,
        stdout: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let stdout: Box<dyn AsyncRead + Send + Unpin> = Box::new(stdout);
        Self {
            sender: Sender(Some(Box::new(stdin))),
            receiver: Receiver {
                stdout: BufReader::new(stdout),
                line: Vec::new(),
            },
            process: None,
        }
    }

    /// Keeps the process at the other end until the conversation is closed.
    pub(super) fn with(mut self, process: Process) -> Self {
        self.process = Some(process);
        self
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Message) -> Result<(), TransportError> {
        self.sender.send(message).await
    }

    /// See [`Sender::send_content`].
    pub async fn send_content(
        &mut self,
        sha256: Sha256,
        size: u64,
        reader: impl AsyncRead + Unpin,
    ) -> Result<(), TransportError> {
        self.sender.send_content(sha256, size, reader).await
    }

    /// See [`Receiver::next_event`].
    pub async fn next_event(&mut self) -> Result<Option<Event>, TransportError> {
        self.receiver.next_event().await
    }

    /// Both ways apart, so that sending a large content and receiving events can go on at once.
    pub fn split(&mut self) -> (&mut Sender, &mut Receiver) {
        (&mut self.sender, &mut self.receiver)
    }

    /// Ends the helper's input, waits for its end and closes the connection.
    pub async fn close(mut self) -> Ending {
        self.sender.0.take();
        match self.process.take() {
            Some(process) => process.close(CLOSING).await,
            None => Ending {
                exit: Exit::Status(0),
                stderr: Vec::new(),
            },
        }
    }
}

impl Sender {
    /// Sends one message.
    pub async fn send(&mut self, message: &Message) -> Result<(), TransportError> {
        self.write(&wire::encode(message)).await
    }

    /// Sends bytes the helper asked for, with bounded memory. Exactly `size` bytes are read.
    pub async fn send_content(
        &mut self,
        sha256: Sha256,
        size: u64,
        reader: impl AsyncRead + Unpin,
    ) -> Result<(), TransportError> {
        self.send(&Message::Content { sha256, size }).await?;
        let content = |reason: String| TransportError::Content {
            announced: size,
            reason,
        };
        let mut reader = reader.take(size);
        let mut piece = vec![0; PIECE];
        let mut left = size;
        while left > 0 {
            let length = reader
                .read(&mut piece)
                .await
                .map_err(|error| content(error.to_string()))?;
            if length == 0 {
                return Err(content(format!("it is {left} bytes shorter")));
            }
            self.write(&piece[..length]).await?;
            left -= length as u64;
        }
        Ok(())
    }

    /// Writes bytes as they are.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let stdin = self
            .0
            .as_mut()
            .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        stdin.write_all(bytes).await?;
        stdin.flush().await?;
        Ok(())
    }
}

impl Receiver {
    /// The next event; `None` at the end of the stream. Cancel safe: an event half received is
    /// continued by the next call.
    pub async fn next_event(&mut self) -> Result<Option<Event>, TransportError> {
        let event = self.next_sized_event().await?;
        Ok(event.map(|(_, event)| event))
    }

    /// As [`next_event`](Self::next_event), with the length of its line in bytes.
    pub async fn next_sized_event(&mut self) -> Result<Option<(usize, Event)>, TransportError> {
        if !self.read_line(EVENT_LIMIT).await? {
            return Ok(None);
        }
        let size = self.line.len();
        let event = wire::decode(&self.line).map_err(|error| {
            let beginning = String::from_utf8_lossy(&self.line[..self.line.len().min(200)]);
            TransportError::Garbage {
                line: printable(&beginning),
                reason: match error {
                    WireError::Malformed(reason) => reason.to_string(),
                    other => other.to_string(),
                },
            }
        });
        self.line.clear();
        self.line.shrink_to(KEPT);
        event.map(|event| Some((size, event)))
    }

    /// The next line, with its line feed, whatever it is; `None` at the end of the stream.
    pub(super) async fn next_line(
        &mut self,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let found = self.read_line(limit).await?;
        Ok(found.then(|| std::mem::take(&mut self.line)))
    }

    /// Waits until there is something to read; `false` at the end of the stream.
    pub(super) async fn has_more(&mut self) -> io::Result<bool> {
        Ok(!self.stdout.fill_buf().await?.is_empty())
    }

    /// Completes `self.line`. An incomplete one stays there if the caller gives up waiting.
    async fn read_line(&mut self, limit: usize) -> Result<bool, TransportError> {
        let left = (limit + 1).saturating_sub(self.line.len());
        (&mut self.stdout)
            .take(left as u64)
            .read_until(b'\n', &mut self.line)
            .await?;
        match self.line.last() {
            None => Ok(false),
            Some(b'\n') => Ok(true),
            Some(_) if self.line.len() > limit => Err(TransportError::TooLong),
            Some(_) => Err(TransportError::CutOff),
        }
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("open", &self.0.is_some())
            .finish()
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn receiving(text: impl AsRef<[u8]> + Send + Unpin + 'static) -> Channel {
        Channel::over(tokio::io::sink(), std::io::Cursor::new(text))
    }

    #[tokio::test]
    async fn events_come_one_by_one_until_the_end() {
        let mut channel =
            receiving("{\"event\":\"started\",\"id\":1}\n{\"event\":\"done\",\"cpu_ms\":2}\n");
        assert!(matches!(
            channel.next_event().await,
            Ok(Some(Event::Started { id: 1 }))
        ));
        assert!(matches!(
            channel.next_event().await,
            Ok(Some(Event::Done { cpu_ms: 2 }))
        ));
        assert!(matches!(channel.next_event().await, Ok(None)));
    }

    #[tokio::test]
    async fn what_is_no_event_is_named_and_harmless() {
        let mut channel = receiving(b"\x1b[2J\xff boom\n{\"event\":\"done\",\"cpu_ms\":2}\n");
        let error = channel.next_event().await.unwrap_err().to_string();
        assert!(
            error.starts_with("the helper sent something that is no event: `\\x1b[2J"),
            "{error}"
        );
        assert!(!error.contains('\x1b'));
    }

    #[tokio::test]
    async fn a_stream_cut_in_a_line_is_no_end() {
        let error = receiving("{\"event\":\"do").next_event().await.unwrap_err();
        assert!(matches!(error, TransportError::CutOff));
    }

    #[tokio::test]
    async fn waiting_for_an_event_can_be_given_up_and_taken_up() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut channel = Channel::over(tokio::io::sink(), near);
        far.write_all(b"{\"event\":\"star").await.unwrap();
        assert!(
            timeout(Duration::from_millis(20), channel.next_event())
                .await
                .is_err()
        );
        far.write_all(b"ted\",\"id\":7}\n").await.unwrap();
        assert!(matches!(
            channel.next_event().await,
            Ok(Some(Event::Started { id: 7 }))
        ));
    }

    #[tokio::test]
    async fn a_content_is_its_line_and_exactly_its_bytes() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut channel = Channel::over(near, tokio::io::empty());
        channel
            .send_content(Sha256::of(b"abc"), 3, &b"abcdef"[..])
            .await
            .unwrap();
        let error = channel
            .send_content(Sha256::of(b"abc"), 3, &b"ab"[..])
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "a content of 3 bytes could not be read: it is 1 bytes shorter"
        );
        channel.close().await;
        let mut sent = String::new();
        far.read_to_string(&mut sent).await.unwrap();
        let (line, rest) = sent.split_once('\n').unwrap();
        assert!(line.contains("\"size\":3"), "{line}");
        assert!(rest.starts_with("abc{"), "{rest}");
    }
}
