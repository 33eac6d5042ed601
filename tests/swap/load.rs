//! Clients that never stop asking, and somebody who counts the servers in service meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::balancer::Balancer;
use super::world::eventually;

/// How many connections each load balancer has all the time.
const CLIENTS: usize = 4;
/// Between an answer and the next request of a client.
const PAUSE: Duration = Duration::from_millis(15);

/// Requests to all load balancers over connections that are kept open.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Counts>>,
    watchers: Vec<JoinHandle<Watched>>,
    answered: Arc<AtomicUsize>,
}

/// What came of the requests.
#[derive(Default)]
pub(crate) struct Counts {
    /// Good answers by the server that gave them.
    pub(crate) by_server: BTreeMap<String, usize>,
    /// Requests that were not answered, or not with 200.
    pub(crate) lost: Vec<String>,
    /// The fewest servers that were in service at once, on any load balancer.
    pub(crate) fewest_in_service: usize,
    /// How often that was looked at.
    pub(crate) looks: usize,
}

struct Watched {
    fewest: usize,
    looks: usize,
}

impl Load {
    pub(crate) fn on(balancers: &[Balancer]) -> Self {
        Self::with_pause(balancers, PAUSE)
    }

    /// With so much time between an answer and the next request of a client.
    pub(crate) fn with_pause(balancers: &[Balancer], pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = balancers
            .iter()
            .flat_map(|balancer| std::iter::repeat_n((balancer.address, balancer.port), CLIENTS))
            .map(|target| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                thread::spawn(move || ask_until(&stop, &answered, target, pause))
            })
            .collect();
        let watchers = balancers
            .iter()
            .map(|balancer| (Arc::clone(&stop), balancer.path("admin.sock")))
            .map(|(stop, socket)| thread::spawn(move || watch_until(&stop, &socket)))
            .collect();
        Self {
            stop,
            clients,
            watchers,
            answered,
        }
    }

    /// Waits until so many more requests have been answered.
    pub(crate) fn has_answered(&self, more: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        eventually("requests are answered", || {
            self.answered.load(Ordering::Relaxed) >= enough
        });
    }

    /// Ends it, and says what came of it.
    pub(crate) fn end(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counts {
            fewest_in_service: usize::MAX,
            ..Counts::default()
        };
        for client in self.clients {
            let one = client.join().unwrap();
            all.lost.extend(one.lost);
            for (server, count) in one.by_server {
                *all.by_server.entry(server).or_default() += count;
            }
        }
        for watcher in self.watchers {
            let one = watcher.join().unwrap();
            all.fewest_in_service = all.fewest_in_service.min(one.fewest);
            all.looks += one.looks;
        }
        all
    }
}

impl Counts {
    pub(crate) fn answered(&self) -> usize {
        self.by_server.values().sum()
    }

    /// Good answers of the servers whose name begins so.
    pub(crate) fn of(&self, pool: &str) -> usize {
        let servers = self.by_server.iter();
        servers
            .filter(|(name, _)| name.starts_with(pool))
            .map(|(_, count)| count)
            .sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered {:?}, {} lost {:?}; at least {} in service in {} looks",
            self.answered(),
            self.by_server,
            self.lost.len(),
            &self.lost[..self.lost.len().min(5)],
            self.fewest_in_service,
            self.looks,
        )
    }
}

fn ask_until(
    stop: &AtomicBool,
    answered: &AtomicUsize,
    target: (&str, u16),
    pause: Duration,
) -> Counts {
    let mut counts = Counts::default();
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        match ask(&mut kept, target) {
            Ok(server) => {
                *counts.by_server.entry(server).or_default() += 1;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                counts.lost.push(format!("{target:?}: {error}"));
                kept = None;
            }
        }
        thread::sleep(pause);
    }
    counts
}

/// One request, and the body of a good answer; the connection stays for the next, if the answer does
/// not say otherwise.
pub(crate) fn ask(
    kept: &mut Option<BufReader<TcpStream>>,
    target: (&str, u16),
) -> Result<String, Error> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => BufReader::new(TcpStream::connect(target)?),
    };
    let limit = Some(Duration::from_secs(10));
    connection.get_ref().set_read_timeout(limit)?;
    connection
        .get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")?;
    let answer = read_answer(&mut connection)?;
    if answer.status != 200 {
        return Err(Error::other(format!("{} {}", answer.status, answer.body)));
    }
    if !answer.closes {
        *kept = Some(connection);
    }
    Ok(answer.body)
}

struct Answer {
    status: u16,
    body: String,
    closes: bool,
}

fn read_answer(connection: &mut impl BufRead) -> Result<Answer, Error> {
    let mut line = String::new();
    let mut next = |connection: &mut dyn BufRead| {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(Error::other("closed before the whole answer"));
        }
        Ok(line.trim_end().to_ascii_lowercase())
    };
    let first = next(connection)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| Error::other(format!("not HTTP: {first}")))?;
    let (mut length, mut closes) = (0, false);
    loop {
        let header = next(connection)?;
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().map_err(Error::other)?;
        }
        closes |= header == "connection: close";
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(Error::other)?;
    Ok(Answer {
        status,
        body,
        closes,
    })
}

/// One request on a connection of its own, answered whenever the service likes.
pub(crate) fn ask_slowly(balancer: &Balancer) -> JoinHandle<Result<String, Error>> {
    let target = (balancer.address, balancer.port);
    let mut connection = BufReader::new(TcpStream::connect(target).unwrap());
    connection
        .get_mut()
        .write_all(b"GET /slow HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        .unwrap();
    thread::spawn(move || {
        let answer = read_answer(&mut connection)?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(Error::other(format!("{status} {}", answer.body))),
        }
    })
}

fn watch_until(stop: &AtomicBool, socket: &PathBuf) -> Watched {
    let mut watched = Watched {
        fewest: usize::MAX,
        looks: 0,
    };
    while !stop.load(Ordering::Relaxed) {
        // There is nobody to ask in the middle of a reload.
        if let Ok(count) = count_in_service(socket) {
            watched.fewest = watched.fewest.min(count);
            watched.looks += 1;
        }
        thread::sleep(Duration::from_millis(20));
    }
    watched
}

fn count_in_service(socket: &PathBuf) -> Result<usize, Error> {
    let mut socket = UnixStream::connect(socket)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    // One line per row, so that an answer cut off is not taken for fewer servers.
    writeln!(socket, "show stat -1 4 -1;show info")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if !answer.contains("\nPid: ") {
        return Err(Error::other("not the whole answer"));
    }
    let rows = answer
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>());
    Ok(rows
        .filter(|row| row.len() > 17 && row[0] == "shop" && row[17].starts_with("UP"))
        .count())
}
