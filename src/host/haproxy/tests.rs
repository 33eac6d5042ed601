//! What HAProxy really says, as captured, and what must not be taken for it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

const INFO: &str = include_str!("captured/haproxy-2.6.12-info.txt");
const STATE: &str = include_str!("captured/haproxy-2.6.12-servers-state.txt");
const STATISTICS: &str = include_str!("captured/haproxy-2.6.12-stat.csv");

fn named(server: &str) -> ServerName {
    ServerName {
        backend: "orders".to_owned(),
        server: server.to_owned(),
    }
}

#[test]
fn every_state_a_server_can_be_in_is_understood_as_haproxy_2_6_says_it() {
    let standing = parse(INFO, STATE, STATISTICS).unwrap();
    assert_eq!(standing.version, "2.6.12-1+deb12u4");
    let told = |server: &Server| {
        format!(
            "{}: {:?} by {:?}, {}, {}",
            server.name.server,
            server.admin,
            server.cause,
            if server.up { "up" } else { "down" },
            if server.is_in_service() {
                "in service"
            } else {
                "not in service"
            }
        )
    };
    let told: Vec<_> = standing.servers.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "up: Ready by Command, up, in service",
            "unreachable: Ready by Command, down, not in service",
            "drained: Drain by Command, up, not in service",
            "in-maintenance: Maint by Command, down, not in service",
            "disabled: Maint by Configuration, down, not in service",
            "disabled-then-ready: Ready by Command, up, in service",
            "without-weight: Ready by Command, up, not in service",
            "follower: Maint by Inherited, down, not in service",
        ]
    );
    let down = &standing.servers[1];
    assert_eq!((down.check.as_str(), down.port), ("L4CON", 18081));
}

#[test]
fn what_cannot_be_understood_is_no_state() {
    for (info, state, statistics) in [
        ("", STATE, STATISTICS),
        (INFO, "", STATISTICS),
        (INFO, "2\n# be_name srv_name\n", STATISTICS),
        (INFO, "1\nbe_name srv_name\n", STATISTICS),
        (INFO, "1\n# be_name srv_name\norders a\n", STATISTICS),
        (INFO, STATE, ""),
        (INFO, STATE, "# pxname,svname,type,scur,qcur,check_status\n"),
    ] {
        let parsed = parse(info, state, statistics);
        assert!(parsed.is_err(), "{info:.9} {state:.30} {statistics:.30}");
    }
}

/// An HAProxy that answers each command in turn; gives back what it was told.
fn serving(
    answers: &'static [&'static str],
) -> (tempfile::TempDir, String, thread::JoinHandle<Vec<String>>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let told = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut told = Vec::new();
        for answer in std::iter::once(&"\n> ").chain(answers) {
            let Some(Ok(line)) = lines.next() else { break };
            told.push(line);
            stream.write_all(answer.as_bytes()).unwrap();
        }
        told
    });
    (directory, socket.to_str().unwrap().to_owned(), told)
}

#[test]
fn a_command_that_is_answered_with_words_was_refused() {
    for (answer, expected) in [
        (
            "No such server.\n\n> ",
            "HAProxy refuses `set server orders/a state ready`: No such server.",
        ),
        (
            "Permission denied\n\n> ",
            "HAProxy refuses `set server orders/a state ready`: Permission denied (the socket needs `level admin` in haproxy.cfg)",
        ),
    ] {
        let (_directory, socket, told) = serving(Vec::leak(vec![answer]));
        let haproxy = HaProxy::at(&socket);
        let mut connection = haproxy.connect().unwrap();
        let error = connection.set(&named("a"), Admin::Ready).unwrap_err();
        assert_eq!(error.to_string(), expected);
        drop(connection);
        assert_eq!(
            told.join().unwrap(),
            ["prompt", "set server orders/a state ready"]
        );
    }
}

#[test]
fn a_name_cannot_be_more_than_a_name() {
    let (_directory, socket, told) = serving(&[]);
    let haproxy = HaProxy::at(&socket);
    let mut connection = haproxy.connect().unwrap();
    for name in [
        "",
        "a b",
        "a;disable server x/y",
        "a\nshutdown sessions",
        "a/b",
        "ä",
    ] {
        let error = connection.set(&named(name), Admin::Ready).unwrap_err();
        assert!(error.to_string().contains("cannot be a name"), "{error}");
    }
    drop(connection);
    assert_eq!(told.join().unwrap(), ["prompt"]);
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let (_directory, socket, _told) = serving(&["Name: HAProxy\n"]);
    let haproxy = HaProxy::at(&socket);
    let error = haproxy.connect().unwrap().standing().unwrap_err();
    assert!(error.to_string().contains("hangs up"), "{error}");
}

#[test]
fn the_state_is_written_as_haproxy_reads_it() {
    let (directory, socket, _told) = serving(&["1\n# be_id\n3 orders\n\n> "]);
    let file = directory.path().join("server-state");
    let haproxy = HaProxy::at(&socket);
    haproxy.connect().unwrap().keep_state(&file).unwrap();
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        "1\n# be_id\n3 orders\n\n"
    );
}

#[test]
fn fuzz_haproxy() {
    crate::fuzz::feed("haproxy", [INFO, STATE, STATISTICS], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = parse(&text, STATE, STATISTICS);
        let _ = parse(INFO, &text, STATISTICS);
        let _ = parse(INFO, STATE, &text);
    });
}
