//! The Docker engine of the host, asked over its own socket.
//!
//! What is JSON goes over the Engine API: a declaration and its inspection have the same shape
//! there, and environment variables and passwords travel in the body of a request, never in
//! argv. Requests are HTTP/1.0, so the engine answers in one piece and closes: the client is a
//! write and a read to the end, which is less than it takes to teach an HTTP crate Unix sockets
//! without an async runtime.
//!
//! [`program`] is for what `docker` itself does better: pulling with the credentials (and their
//! helpers) of a user, loading archives, running something inside a container.

use std::io::{self, Read, Write};
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

/// The engine behind a socket.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
}

/// What the engine answered.
#[derive(Debug)]
struct Answer {
    status: u16,
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
        let answer = self.ask("GET", path, None)?;
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
        self.ask("POST", path, body)?.value(path)
    }

    /// Removes what is at `path`, if it is there.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the engine's own words.
    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        let answer = self.ask("DELETE", path, None)?;
        if answer.status == 404 {
            return Ok(());
        }
        answer.value(path).map(drop)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        debug_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self
            .exchange(request.as_bytes())
            .map_err(|error| match error.kind() {
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
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Unexpected(
                    format!("the Docker engine gave no answer to {method} {path} in time"),
                ),
                _ => Failure::io("ask the Docker engine on", &self.socket, error),
            })?;
        parse(&answer).ok_or_else(|| {
            Failure::Unexpected(format!(
                "what answers on {} is no Docker engine",
                self.socket.display()
            ))
        })
    }

    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + DEADLINE;
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || answer.len() as u64 > LONGEST_ANSWER {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut piece) {
                Ok(0) => return Ok(answer),
                Ok(length) => answer.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
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
        Err(Failure::Refused(format!("Docker says: {}", said.trim())))
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
    let body = &bytes[end + 4..];
    // A shorter body was cut off.
    (length.is_none_or(|length| length == body.len())).then(|| Answer {
        status,
        body: body.to_vec(),
    })
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
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    /// An engine that gives one answer; returns what it was asked.
    fn answers(answer: &'static str, ask: impl FnOnce(&Engine)) -> String {
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
}
