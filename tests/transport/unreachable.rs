use std::net::TcpListener;
use std::time::{Duration, Instant};

use fleet::transport::{Class, Options, Target};
use tokio::io::AsyncWriteExt;

use super::{converse, eventually, transport};
use crate::sshd::{Sshd, free_port};

fn target(host: &str, port: u16) -> Target {
    Target {
        host: host.to_owned(),
        port: Some(port),
        ..Target::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_refuses() {
    let sshd = Sshd::start();
    let port = free_port();
    let reason = transport(sshd.options(), "")
        .open(&target("127.0.0.1", port), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::Refused);
    assert_eq!(
        reason.message,
        format!("127.0.0.1 port {port} refuses connections")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_address_is_named() {
    let sshd = Sshd::start();
    let reason = transport(sshd.options(), "")
        .open(&target("no-such-host.invalid", 22), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::Dns, "{reason:?}");
    assert!(
        reason
            .message
            .starts_with("the name `no-such-host.invalid` cannot be resolved"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_accepted_is_offered_once() {
    let sshd = Sshd::start();
    let mut target = sshd.target();
    target.private_key_file = Some(sshd.path("wrong_key").display().to_string());
    let reason = transport(sshd.options(), "")
        .open(&target, None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::Authentication);
    assert!(
        reason.message.contains("@127.0.0.1` was refused"),
        "{reason}"
    );
    assert!(
        reason.message.contains("(the host takes publickey)"),
        "{reason}"
    );
    let log = std::fs::read_to_string(sshd.path("sshd.log")).unwrap();
    assert_eq!(
        log.matches("Connection closed by authenticating user")
            .count(),
        1,
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_and_says_nothing_delays_nobody() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let hung = target("127.0.0.1", silent.local_addr().unwrap().port());
    let sshd = Sshd::start();
    let options = Options {
        // Long enough for the other host on a busy machine: it is the order that counts.
        connect_timeout: Duration::from_secs(10),
        starts: 1,
        ..sshd.options()
    };
    let transport = transport(options, "");
    let begin = Instant::now();
    let alive = sshd.target();
    let (hung, alive) = tokio::join!(
        async {
            (
                transport.open(&hung, None).await.unwrap_err(),
                begin.elapsed(),
            )
        },
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            converse(&transport, &alive).await.unwrap();
            begin.elapsed()
        }
    );
    let (reason, waited) = hung;
    assert_eq!(reason.class, Class::Timeout, "{reason:?}");
    assert_eq!(
        reason.message,
        "the host takes connections but nothing there speaks SSH"
    );
    assert!(
        alive < waited,
        "{alive:?} and {waited:?}: a hung host gives its place among the starts back"
    );
    eventually("ssh ends", || sshd.is_left_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_end_is_ended_at_our_own_deadline() {
    // ssh's ConnectTimeout is set too high on purpose.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let sshd = Sshd::start();
    let mut hung = target("127.0.0.1", silent.local_addr().unwrap().port());
    hung.common_args = ["-o", "ConnectTimeout=60"].map(Into::into).into();
    let options = Options {
        connect_timeout: Duration::from_millis(300),
        ..sshd.options()
    };
    let begin = Instant::now();
    let reason = transport(options, "").open(&hung, None).await.unwrap_err();
    assert_eq!(reason.class, Class::Timeout);
    assert_eq!(reason.message, "no login on `127.0.0.1` within 0.6 s");
    assert!(begin.elapsed() < Duration::from_secs(3));
    eventually("ssh ends", || sshd.is_left_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_shell_that_hangs_is_given_up_and_left() {
    let sshd = Sshd::with("ForceCommand exec sleep 20");
    let options = Options {
        start_timeout: Duration::from_millis(500),
        ..sshd.options()
    };
    let reason = transport(options, "")
        .open(&sshd.target(), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::Timeout);
    assert_eq!(
        reason.message,
        "logged in, but the helper did not start within 0.5 s"
    );
    eventually("ssh ends", || sshd.is_left_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_shell_is_told_by_its_words() {
    let sshd =
        Sshd::with("ForceCommand echo 'This account is currently not available.' >&2; exit 1");
    let reason = transport(sshd.options(), "")
        .open(&sshd.target(), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::Helper);
    assert!(
        reason
            .message
            .ends_with("ended with status 1: This account is currently not available."),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_dropped_before_authentication_are_tried_again() {
    let sshd = Sshd::with("MaxStartups 1:100:1");
    let options = Options {
        retries: 8,
        ..sshd.options()
    };
    let transport = transport(options, "");
    // Takes the one place, for a second.
    let occupant = std::net::TcpStream::connect(("127.0.0.1", sshd.port())).unwrap();
    let target = sshd.target();
    let ((), result) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(occupant);
        },
        converse(&transport, &target)
    );
    result.unwrap();
    let log = std::fs::read_to_string(sshd.path("sshd.log")).unwrap();
    assert!(log.contains("MaxStartups"), "nothing was dropped: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_always_drops_is_given_up_with_a_reason() {
    let sshd = Sshd::start();
    let overloaded = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = overloaded.local_addr().unwrap().port();
    let options = Options {
        retries: 1,
        ..sshd.options()
    };
    let transport = transport(options, "");
    let mut contacts = 0;
    let reason = {
        let target = target("127.0.0.1", port);
        let mut opening = std::pin::pin!(transport.open(&target, None));
        loop {
            tokio::select! {
                result = &mut opening => break result.unwrap_err(),
                accepted = overloaded.accept() => {
                    let (mut connection, _) = accepted.unwrap();
                    connection.write_all(b"Exceeded MaxStartups\r\n").await.unwrap();
                    contacts += 1;
                }
            }
        }
    };
    assert_eq!(reason.class, Class::Refused, "{reason:?}");
    assert_eq!(
        reason.message,
        "`127.0.0.1` closes connections before authentication"
    );
    assert_eq!(contacts, 2, "one retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_would_be_an_option_is_refused() {
    let sshd = Sshd::start();
    let marker = sshd.path("marker");
    let host = format!("-oProxyCommand=touch {}", marker.display());
    let reason = transport(sshd.options(), "")
        .open(&target(&host, 22), None)
        .await
        .unwrap_err();
    assert!(
        reason.message.ends_with("is no host name or address"),
        "{reason}"
    );
    assert!(!marker.exists());
}
