//! Answers like a helper on a host where everything is as declared.

use std::thread;
use std::time::Duration;

use fleet::protocol::{Event, Facts, Message, Outcome, wire};
use fleet::transport::Channel;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// As much as a socket of ssh takes.
const ROOM: usize = 64 * 1024;

/// A thread of its own for all hosts: what it costs is not the controller's.
pub(crate) struct Hosts {
    runtime: Handle,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<Duration>,
}

impl Hosts {
    pub(crate) fn start() -> Self {
        let (end, ended) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            tell.send(runtime.handle().clone()).unwrap();
            let _ = runtime.block_on(ended);
            cpu(ClockId::ThreadCPUTime)
        });
        let runtime = told.recv().unwrap();
        Self {
            runtime,
            end,
            thread,
        }
    }

    /// What gives the conversation with one more host.
    pub(crate) fn answer(&self) -> impl Fn() -> Channel + Send + Sync + 'static {
        let runtime = self.runtime.clone();
        move || {
            let (stdin, far_stdin) = tokio::io::duplex(ROOM);
            let (stdout, far_stdout) = tokio::io::duplex(ROOM);
            runtime.spawn(converse(far_stdin, far_stdout));
            Channel::over(stdin, stdout)
        }
    }

    /// Ends the thread; says how much CPU time it took.
    pub(crate) fn end(self) -> Duration {
        let _ = self.end.send(());
        self.thread.join().unwrap()
    }
}

async fn converse(stdin: DuplexStream, mut stdout: DuplexStream) {
    let hello = Event::Hello {
        facts: Box::<Facts>::default(),
    };
    stdout.write_all(&wire::encode(&hello)).await.unwrap();
    let mut lines = BufReader::new(stdin).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let events = match wire::decode::<Message>(line.as_bytes()).unwrap() {
            Message::Begin(_) => vec![Event::Begun {
                pending: Vec::new(),
                running: None,
            }],
            Message::Task(task) => {
                let (id, outcome) = (task.id, Outcome::default());
                let finished = Event::Finished {
                    id,
                    outcome,
                    keep: false,
                };
                vec![Event::Started { id }, finished]
            }
            Message::End => vec![Event::Done { cpu_ms: 0 }],
            _ => Vec::new(),
        };
        let events: Vec<u8> = events.iter().flat_map(wire::encode).collect();
        stdout.write_all(&events).await.unwrap();
    }
}

/// CPU time of this thread or of the process.
pub(crate) fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap())
}
