//! One plain HTTP request, as a load balancer's own check would send it.
//!
//! HTTP/1.0 without TLS: the server answers in one piece and closes, and the helper needs no HTTP
//! library. What needs TLS is asked by the controller.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::Failure;
use crate::protocol::balancer::Probe;

/// More than any head of an answer.
const HEAD_LIMIT: usize = 16 * 1024;

/// The status of the answer and the beginning of its body.
///
/// # Errors
/// When there is no answer in time, or something that is no HTTP.
pub(crate) fn get(probe: &Probe) -> Result<(u16, String), Failure> {
    let until = Instant::now() + Duration::from_millis(probe.timeout_ms);
    let place = if probe.address.contains(':') {
        format!("[{}]:{}", probe.address, probe.port)
    } else {
        format!("{}:{}", probe.address, probe.port)
    };
    if probe
        .path
        .contains(|c: char| c.is_whitespace() || c.is_control())
    {
        let message = format!("`{}` is no path of a URL", probe.path);
        return Err(Failure::Unexpected(message));
    }
    let failed = |what: &str| Failure::Unexpected(format!("{place}: {what}"));
    let broken = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            failed(&format!("no answer within {} ms", probe.timeout_ms))
        }
        _ => failed(&error.to_string()),
    };
    let mut addresses = (probe.address.as_str(), probe.port)
        .to_socket_addrs()
        .map_err(broken)?;
    let address = addresses.next().ok_or_else(|| failed("has no address"))?;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        // Zero would mean for ever.
        left.max(Duration::from_millis(1))
    };
    let mut stream = TcpStream::connect_timeout(&address, left()).map_err(broken)?;
    stream.set_write_timeout(Some(left())).map_err(broken)?;
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {place}\r\nUser-Agent: fleet\r\nConnection: close\r\n\r\n",
        probe.path
    );
    stream.write_all(request.as_bytes()).map_err(broken)?;
    let mut answer = Vec::new();
    let mut piece = [0; 8192];
    // A server that says a byte now and then does not get more time.
    while answer.len() < HEAD_LIMIT + Probe::BODY_LIMIT {
        if Instant::now() >= until {
            return Err(failed(&format!("no answer within {} ms", probe.timeout_ms)));
        }
        stream.set_read_timeout(Some(left())).map_err(broken)?;
        match stream.read(&mut piece).map_err(broken)? {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    parse(&answer).ok_or_else(|| failed("the answer is no HTTP"))
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))?;
    let status = words
        .next()?
        .parse()
        .ok()
        .filter(|code| (100..600).contains(code))?;
    let body = &answer[head + 4..];
    let body = &body[..body.len().min(Probe::BODY_LIMIT)];
    Some((status, String::from_utf8_lossy(body).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers once with these bytes, or never.
    fn serving(answer: Option<&'static [u8]>) -> Probe {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            match answer {
                Some(answer) => stream.write_all(answer).unwrap(),
                None => thread::sleep(Duration::from_secs(2)),
            }
        });
        Probe {
            address: "127.0.0.1".to_owned(),
            port,
            path: "/health?full=1".to_owned(),
            timeout_ms: 500,
        }
    }

    #[test]
    fn gives_status_and_body() {
        let probe = serving(Some(b"HTTP/1.1 503 Nope\r\nServer: x\r\n\r\nstarting"));
        assert_eq!(get(&probe).unwrap(), (503, "starting".to_owned()));
    }

    #[test]
    fn says_what_is_no_answer() {
        for (answer, expected) in [
            (
                Some(&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..]),
                "the answer is no HTTP",
            ),
            (Some(b"HTTP/1.1 999 x\r\n\r\n"), "the answer is no HTTP"),
            (Some(b"HTTP/1.1 200 OK\r\n"), "the answer is no HTTP"),
            (Some(b""), "the answer is no HTTP"),
            (None, "no answer within 500 ms"),
        ] {
            let error = get(&serving(answer)).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{answer:?}: {error}");
        }
    }

    #[test]
    fn a_path_cannot_be_more_than_a_path() {
        for path in ["/a b", "/a\r\nX-Other: 1", "/a\0"] {
            let mut probe = serving(Some(b"HTTP/1.1 200 OK\r\n\r\n"));
            path.clone_into(&mut probe.path);
            let error = get(&probe).unwrap_err().to_string();
            assert!(error.contains("is no path of a URL"), "{error}");
        }
    }

    #[test]
    fn fuzz_http_answer() {
        let sample = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhealthy\n";
        crate::fuzz::feed("http_answer", [sample], |bytes| {
            let answer = parse(bytes);
            assert!(answer.is_none_or(|(_, body)| body.len() <= 3 * Probe::BODY_LIMIT));
        });
    }
}
