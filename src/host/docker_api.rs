//! The Docker engine of the host, asked over its own socket.
//!
//! What is JSON goes over the Engine API: a declaration and its inspection have the same shape
//! there, and environment variables and passwords travel in the body of a request, never in
//! argv. Requests are HTTP/1.0, so the engine answers in one piece and closes: the client is a
//! write and a read to the end, which is less than it takes to teach an HTTP crate Unix sockets
//! without an async runtime.
//!
//! [`program`] is for what `docker` itself does better: loading archives, running something
//! inside a container.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Command, Failure, Host};

const SOCKET: &str = "/var/run/docker.sock";

/// How long one answer may take: stopping a container may wait for it.
const DEADLINE: Duration = Duration::from_mins(2);

/// More than any inspection; what is longer is not from an engine.
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;

/// More than one line of what the engine tells while it works.
const LONGEST_LINE: u64 = 1024 * 1024;

/// The engine behind a socket.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
}

/// What the engine answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// How long the body is said to be, in bytes.
    length: Option<usize>,
    body: Vec<u8>,
}

impl Engine {
    /// The engine of this host.
    #[must_use]
    pub fn local() -> Self {
        Self::at(SOCKET.as_ref())
    }

    /// The engine behind another socket.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// What is at `path`; `None` if there is no such thing.
    ///
    /// # Errors
    /// [`Failure::Missing`] without an engine that answers, here and below.
    pub fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let answer = self.ask("GET", path, None, DEADLINE)?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.value(path).map(Some)
    }

    /// Asks for something to be done. `body` never appears in an error.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the engine's own words.
    pub fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.post_within(path, body, DEADLINE)
    }

    /// The same for what may take longer, or must not take as long.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub fn post_within(
        &self,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Value, Failure> {
        self.ask("POST", path, body, limit)?.value(path)
    }

    /// Removes what is at `path`, if it is there.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the engine's own words.
    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        let answer = self.ask("DELETE", path, None, DEADLINE)?;
        if answer.status == 404 {
            return Ok(());
        }
        answer.value(path).map(drop)
    }

    /// Asks for something that takes its time. `tell` gets what the engine says meanwhile, value
    /// by value; what it says with `error` ends it. Neither `head` nor what is in it appears in an
    /// error.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the engine's own words; [`Failure::Unexpected`] after `limit`.
    pub fn follow(
        &self,
        path: &str,
        head: &[(&str, &str)],
        limit: Duration,
        mut tell: impl FnMut(&Value),
    ) -> Result<(), Failure> {
        let broken = |error| self.broken("POST", path, error);
        let answer = self.send("POST", path, head, "", limit);
        let mut answer = BufReader::new(answer.map_err(broken)?);
        let mut start = Vec::new();
        while !start.ends_with(b"\r\n\r\n") {
            let room = LONGEST_LINE.saturating_sub(start.len() as u64);
            let read = answer.by_ref().take(room).read_until(b'\n', &mut start);
            if read.map_err(broken)? == 0 {
                return Err(self.no_engine());
            }
        }
        let begun = parse(&start).ok_or_else(|| self.no_engine())?;
        if begun.status != 200 {
            let read = answer.take(LONGEST_LINE).read_to_end(&mut start);
            read.map_err(broken)?;
            let refused = parse(&start).ok_or_else(|| self.no_engine())?;
            return refused.value(path).map(drop);
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = answer
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line);
            if read.map_err(broken)? == 0 {
                return Ok(());
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let told: Value = serde_json::from_slice(&line).map_err(|error| {
                Failure::Unexpected(format!(
                    "what the Docker engine tells of {path} is no JSON: {error}"
                ))
            })?;
            if let Some(error) = told["error"].as_str() {
                return Err(says(error));
            }
            tell(&told);
        }
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut answer = Vec::new();
        self.send(method, path, &[], &body, limit)
            .and_then(|stream| stream.take(LONGEST_ANSWER).read_to_end(&mut answer))
            .map_err(|error| self.broken(method, path, error))?;
        parse(&answer)
            .filter(Answer::is_whole)
            .ok_or_else(|| self.no_engine())
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        head: &[(&str, &str)],
        body: &str,
        limit: Duration,
    ) -> io::Result<Timed> {
        debug_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
        let mut request = format!("{method} {path} HTTP/1.0\r\nHost: docker\r\n");
        for (name, value) in head {
            debug_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
            request.extend([name, ": ", value, "\r\n"]);
        }
        let length = body.len().to_string();
        request.extend([
            "Content-Type: application/json\r\nContent-Length: ",
            &length,
        ]);
        request.extend(["\r\n\r\n", body]);
        let deadline = Instant::now() + limit;
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_write_timeout(Some(limit.min(DEADLINE)))?;
        stream.write_all(request.as_bytes())?;
        Ok(Timed { stream, deadline })
    }

    fn broken(&self, method: &str, path: &str, error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Failure::Missing(format!(
                    "the Docker engine does not answer on {}: {error}",
                    self.socket.display()
                ))
            }
            io::ErrorKind::PermissionDenied => Failure::Refused(format!(
                "this user may not ask the Docker engine ({}); say `become: yes`",
                self.socket.display()
            )),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Unexpected(format!(
                "the Docker engine did not finish {method} {path} in time"
            )),
            _ => Failure::io("ask the Docker engine on", &self.socket, error),
        }
    }

    fn no_engine(&self) -> Failure {
        Failure::Unexpected(format!(
            "what answers on {} is no Docker engine",
            self.socket.display()
        ))
    }
}

/// What an engine says, up to a moment.
struct Timed {
    stream: UnixStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(into)
    }
}

/// The engine's own words.
fn says(text: &str) -> Failure {
    Failure::Refused(format!("Docker says: {}", text.trim()))
}

impl Answer {
    fn value(&self, path: &str) -> Result<Value, Failure> {
        // 304: it is so already.
        if (200..300).contains(&self.status) || self.status == 304 {
            if self.body.iter().all(u8::is_ascii_whitespace) {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&self.body).map_err(|error| {
                Failure::Unexpected(format!(
                    "the Docker engine's answer to {path} is no JSON: {error}"
                ))
            });
        }
        let said = serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("status {}", self.status));
        Err(says(&said))
    }

    /// A body shorter than announced was cut off.
    fn is_whole(&self) -> bool {
        self.length.is_none_or(|length| length == self.body.len())
    }
}

/// Takes an answer in HTTP/1.0 apart; `None` if it is none.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut status = lines.next()?.split(' ');
    if !status.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = status.next()?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Some(Answer {
        status,
        length,
        body: bytes[end + 4..].to_vec(),
    })
}

/// What the engine of this host has at `path`, asked once for all who want to know; `None` if there
/// is no such thing.
///
/// # Errors
/// As [`Engine::get`]; whoever asks next asks anew then.
pub(crate) fn get_once(host: &Host, path: &'static str) -> Result<Option<Value>, Failure> {
    if let Some(told) = host.known(|answers| answers.engine.get(path).cloned()) {
        return Ok(told);
    }
    let told = Engine::local().get(path)?;
    host.remember(|answers| {
        answers.engine.insert(path, told.clone());
    });
    Ok(told)
}

/// The `docker` program, with the configuration (and so the registry credentials) of the user
/// that the helper runs as. `sudo` keeps another user's `HOME` on some hosts.
///
/// # Errors
/// [`Failure::Missing`] if that user has no home directory.
pub fn program(host: &Host) -> Result<Command, Failure> {
    let home = host.home_directory(rustix::process::geteuid().as_raw())?;
    Ok(Command::new([
        "docker".into(),
        "--config".into(),
        home.join(".docker").into_os_string(),
    ]))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    /// An engine that gives one answer; returns what it was asked.
    pub(crate) fn answers(answer: impl Into<String>, ask: impl FnOnce(&Engine)) -> String {
        let answer = answer.into();
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        ask(&Engine::at(&socket));
        server.join().unwrap()
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let request = answers(
            "HTTP/1.0 201 Created\r\nContent-Length: 12\r\n\r\n{\"Id\":\"abc\"}",
            |engine| {
                let body = json!({ "Image": "x" });
                let answer = engine.post("/containers/create?name=a", Some(&body));
                assert_eq!(answer.unwrap(), json!({ "Id": "abc" }));
            },
        );
        assert!(
            request.starts_with("POST /containers/create?name=a HTTP/1.0\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\n{\"Image\":\"x\"}"), "{request}");
    }

    #[test]
    fn what_is_not_there_is_none_and_what_is_refused_is_quoted() {
        answers(
            "HTTP/1.0 404 Not Found\r\n\r\n{\"message\":\"no\"}",
            |engine| {
                assert_eq!(engine.get("/images/x/json").unwrap(), None);
            },
        );
        answers(
            "HTTP/1.0 409 Conflict\r\n\r\n{\"message\":\"in use\"}\n",
            |engine| {
                let failure = engine
                    .post("/auth", Some(&json!({ "password": "hunter2" })))
                    .unwrap_err();
                assert_eq!(failure.to_string(), "Docker says: in use");
            },
        );
    }

    #[test]
    fn what_is_told_meanwhile_is_heard_value_by_value_until_an_error() {
        let request = answers(
            "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}\r\n\r\n{\"a\":2}\r\n{\"error\":\"full\\n\"}\n{\"a\":3}\n",
            |engine| {
                let mut values = Vec::new();
                let head = [("X-Registry-Auth", "c2VjcmV0")];
                let failure = engine
                    .follow("/images/create", &head, DEADLINE, |told| {
                        values.push(told["a"].clone());
                    })
                    .unwrap_err();
                assert_eq!(values, [1, 2]);
                assert_eq!(failure.to_string(), "Docker says: full");
            },
        );
        assert!(
            request.contains("\r\nX-Registry-Auth: c2VjcmV0\r\n"),
            "{request}"
        );
    }

    #[test]
    fn an_engine_that_never_ends_is_left_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let limit = Duration::from_millis(50);
        let failure = Engine::at(&socket).follow("/x", &[], limit, |_| {});
        assert_eq!(
            failure.unwrap_err().to_string(),
            "the Docker engine did not finish POST /x in time"
        );
    }

    #[test]
    fn half_an_answer_is_none() {
        for answer in [
            "",
            "garbage",
            "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        ] {
            answers(answer, |engine| {
                let failure = engine.get("/info").unwrap_err().to_string();
                assert!(failure.contains("is no Docker engine"), "{failure}");
            });
        }
    }

    #[test]
    fn an_engine_that_is_not_there_is_missing() {
        let failure = Engine::at("/nonexistent/docker.sock".as_ref()).get("/info");
        assert!(matches!(failure, Err(Failure::Missing(_))));
    }

    #[test]
    fn fuzz_engine_answer() {
        let sample =
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}";
        crate::fuzz::feed("engine_answer", [sample], |bytes| {
            if let Some(answer) = super::parse(bytes) {
                answer.is_whole();
            }
        });
    }
}
