//! What is deployed on the hosts of a pool: a small HTTP service, each on an address of its own,
//! that behaves as it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// How a service answers. Whatever it is, the kernel takes its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// 200 and its own name; `/slow` only after [`Service::answer_slow`].
    Healthy,
    /// 500 to everything.
    Failing,
    /// Nothing, to anything.
    Hanging,
}

/// A running service; ends with the test.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) address: String,
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    behaviour: Behaviour,
    slow_held: bool,
    slow_waiting: usize,
    /// While there is such a file, it fails.
    fails_with: Option<PathBuf>,
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// One service for each name and address, all on one port, as hosts of one pool have it.
pub(crate) fn start(hosts: &[(&str, &str)]) -> (Vec<Service>, u16) {
    for _ in 0..20 {
        let first = TcpListener::bind((hosts[0].1, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let rest: Result<Vec<_>, _> = hosts[1..]
            .iter()
            .map(|(_, address)| TcpListener::bind((*address, port)))
            .collect();
        let Ok(rest) = rest else { continue };
        let listeners = std::iter::once(first).chain(rest);
        let services = hosts.iter().zip(listeners);
        return (
            services
                .map(|((name, address), listener)| Service::on(listener, name, address, port))
                .collect(),
            port,
        );
    }
    panic!("no port is free on all of {hosts:?}");
}

impl Service {
    fn on(listener: TcpListener, name: &str, address: &str, port: u16) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                behaviour: Behaviour::Healthy,
                slow_held: true,
                slow_waiting: 0,
                fails_with: None,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let service = Self {
            name: name.to_owned(),
            address: address.to_owned(),
            shared: Arc::clone(&shared),
            port,
        };
        let name = name.to_owned();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.state().ended {
                    break;
                }
                let (shared, name) = (Arc::clone(&shared), name.clone());
                // Whoever asks may go away at any moment.
                thread::spawn(move || drop(serve(&connection, &shared, &name)));
            }
        });
        service
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.shared.state().behaviour = behaviour;
        self.shared.changed.notify_all();
    }

    /// Fails as long as there is such a file: what is done to its host decides.
    pub(crate) fn fail_with(&self, file: PathBuf) {
        self.shared.state().fails_with = Some(file);
    }

    /// Answers every `/slow` that waits, and those to come at once.
    pub(crate) fn answer_slow(&self) {
        self.shared.state().slow_held = false;
        self.shared.changed.notify_all();
    }

    /// How many `/slow` wait for their answer.
    pub(crate) fn slow_waiting(&self) -> usize {
        self.shared.state().slow_waiting
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Connections end with HAProxy, which is gone by now.
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        // Wakes the listener, which then finds that it has ended.
        let _ = TcpStream::connect((self.address.as_str(), self.port));
    }
}

/// Answers the requests of one connection, one after the other.
fn serve(connection: &TcpStream, shared: &Shared, name: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut writer = connection;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut close = false;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 {
                return Ok(());
            }
            close |= header.to_ascii_lowercase().starts_with("connection: close");
            if header.trim_end().is_empty() {
                break;
            }
        }
        let mut state = shared.state();
        if request.starts_with("GET /slow") {
            state.slow_waiting += 1;
            while state.slow_held && !state.ended {
                state = shared.changed.wait(state).unwrap();
            }
            state.slow_waiting -= 1;
        }
        while state.behaviour == Behaviour::Hanging && !state.ended {
            state = shared.changed.wait(state).unwrap();
        }
        let broken = state.fails_with.as_ref().is_some_and(|file| file.exists());
        let status = match state.behaviour {
            _ if broken => "503 Service Unavailable",
            Behaviour::Failing => "500 Internal Server Error",
            Behaviour::Healthy | Behaviour::Hanging => "200 OK",
        };
        drop(state);
        let ending = if close { "Connection: close\r\n" } else { "" };
        let length = name.len();
        // One write: a client never sees half an answer.
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{ending}\r\n{name}");
        writer.write_all(answer.as_bytes())?;
        if close {
            return connection.shutdown(Shutdown::Write);
        }
    }
}
