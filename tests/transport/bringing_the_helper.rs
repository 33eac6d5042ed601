use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use fleet::protocol::{Event, Message};
use fleet::transport::{Class, Exit, Kind, Target, Transport};

use super::{converse, converse_over, eventually, helper, names, reporting, transport};
use crate::sshd::Sshd;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_the_helper_gets_it_once() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), &reporting("umask"));
    let target = sshd.target();

    let mask = converse(&transport, &target).await.unwrap();
    assert_eq!(names(&sshd.state()).len(), 1, "no upload is left behind");
    assert_eq!(fs::metadata(sshd.state()).unwrap().mode() & 0o7777, 0o700);
    let file = sshd.state().join(&names(&sshd.state())[0]);
    let first = fs::metadata(&file).unwrap();
    assert_eq!(first.mode() & 0o7777, 0o700);
    assert_ne!(
        mask,
        ["0077"],
        "tasks do not inherit the mask that protects the upload"
    );

    converse(&transport, &target).await.unwrap();
    assert_eq!(
        fs::metadata(&file).unwrap().ino(),
        first.ino(),
        "not uploaded again"
    );
}

/// `sshd` gives a login without a terminal little more than `/usr/bin`; the login's own shell may
/// add to it.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_find_the_programs_for_administrators() {
    let sshd = Sshd::with("SetEnv PATH=/usr/sbin:/usr/bin:/bin");
    let transport = transport(sshd.options(), &reporting("echo $PATH"));
    let path = converse(&transport, &sshd.target()).await.unwrap();
    assert!(
        path[0].ends_with("/usr/sbin:/usr/bin:/bin:/usr/local/sbin:/sbin"),
        "{path:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_first_reaches_a_helper_that_is_there_and_one_that_is_brought() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), "");
    for first in ["brought", "there already"] {
        let opened = transport.open(&sshd.target(), Some(&Message::End)).await;
        let mut channel = opened.unwrap();
        let hello = channel.next_event().await.unwrap();
        assert!(
            matches!(hello, Some(Event::Hello { .. })),
            "{first}: {hello:?}"
        );
        let done = channel.next_event().await.unwrap();
        assert!(
            matches!(done, Some(Event::Done { .. })),
            "{first}: {done:?}"
        );
        channel.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_connection_is_left_after_its_end() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), "");
    converse(&transport, &sshd.target()).await.unwrap();
    eventually("ssh ends after close", || sshd.is_left_alone()).await;

    let channel = transport.open(&sshd.target(), None).await.unwrap();
    assert!(!sshd.is_left_alone());
    drop(channel);
    eventually("ssh ends after drop", || sshd.is_left_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_helper_is_replaced_and_an_old_one_removed() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), "");
    converse(&transport, &sshd.target()).await.unwrap();
    let [name] = &names(&sshd.state())[..] else {
        panic!()
    };
    let (file, old) = (sshd.state().join(name), sshd.state().join("helper-0123"));
    // Of another fleet that works right now, perhaps.
    let young = sshd.state().join("helper-4567");
    fs::write(&file, "#!/bin/sh\necho owned\n").unwrap();
    fs::write(&old, "old").unwrap();
    fs::write(&young, "young").unwrap();
    let two_days_ago = SystemTime::now() - Duration::from_hours(48);
    File::options()
        .write(true)
        .open(&old)
        .unwrap()
        .set_modified(two_days_ago)
        .unwrap();

    converse(&transport, &sshd.target()).await.unwrap();
    assert!(fs::read_to_string(&file).unwrap().contains("serve"));
    let mut kept = [name.clone(), "helper-4567".to_owned()];
    kept.sort();
    assert_eq!(names(&sshd.state()), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_helper_arrives_whole() {
    let sshd = Sshd::start();
    let body = format!("true {}", "x".repeat(3_000_000));
    converse(
        &transport(sshd.options(), &format!("# {body}")),
        &sshd.target(),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_login_shells_print_is_ignored_up_to_a_limit() {
    let noisy = |bytes: u32| {
        Sshd::with(&format!(
            "ForceCommand printf 'Welcome!\\n\\033[2Jno line feed'; \
             head -c {bytes} /dev/zero | tr '\\000' x; \
             echo noise >&2; exec sh -c \"$SSH_ORIGINAL_COMMAND\""
        ))
    };
    let sshd = noisy(1000);
    converse(&transport(sshd.options(), ""), &sshd.target())
        .await
        .unwrap();

    let sshd = noisy(100_000);
    let reason = transport(sshd.options(), "")
        .open(&sshd.target(), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::Helper);
    assert_eq!(reason.message, "the login shell prints more than 64 KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_place_for_the_helper_is_refused() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), "");
    let elsewhere = sshd.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, sshd.state()).unwrap();
    let reason = transport.open(&sshd.target(), None).await.unwrap_err();
    assert_eq!(reason.class, Class::Helper);
    let expected = format!(
        "{} is a symbolic link: the helper is not kept behind one",
        sshd.state().display()
    );
    assert_eq!(reason.message, expected);
    assert!(names(&elsewhere).is_empty());

    fs::remove_file(sshd.state()).unwrap();
    fs::create_dir(sshd.state()).unwrap();
    fs::set_permissions(sshd.state(), fs::Permissions::from_mode(0o777)).unwrap();
    converse(&transport, &sshd.target()).await.unwrap();
    assert_eq!(
        fs::metadata(sshd.state()).unwrap().mode() & 0o777,
        0o700,
        "made private"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_does_not_start_says_why() {
    let sshd = Sshd::start();
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("fleet-helper"),
        "#!/no/such/interpreter\n",
    )
    .unwrap();
    let helpers = fleet::transport::Helpers::in_directory(directory.path()).unwrap();
    let transport = Transport::new(sshd.options(), helpers).unwrap();
    let reason = transport.open(&sshd.target(), None).await.unwrap_err();
    assert_eq!(reason.class, Class::Helper);
    assert!(reason.message.contains("ended with status 12"), "{reason}");
    assert!(!reason.detail.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_another_architecture_is_told_apart() {
    let sshd = Sshd::start();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("fleet-helper-pdp11"), "").unwrap();
    let helpers = fleet::transport::Helpers::in_directory(directory.path()).unwrap();
    let transport = Transport::new(sshd.options(), helpers).unwrap();
    let reason = transport.open(&sshd.target(), None).await.unwrap_err();
    let architecture = std::env::consts::ARCH;
    assert_eq!(
        reason.message,
        format!("the host is {architecture}, and there is no `fleet-helper-{architecture}`")
    );
    assert!(reason.hint.unwrap().contains("`make build`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_helper_ends_the_stream_and_shows_its_last_words() {
    let sshd = Sshd::start();
    let transport = transport(
        sshd.options(),
        "echo 'the \x1b[1mlast' words >&2; kill -9 $$",
    );
    let mut channel = transport.open(&sshd.target(), None).await.unwrap();
    channel.next_event().await.unwrap();
    assert!(channel.next_event().await.unwrap().is_none());
    let ending = channel.close().await;
    assert_eq!(ending.exit, Exit::Killed);
    assert_eq!(ending.stderr, ["the \\x1b[1mlast words"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_on_the_way_ends_the_stream_and_says_so() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), "");
    let mut channel = transport.open(&sshd.target(), None).await.unwrap();
    channel.next_event().await.unwrap();
    sshd.cut_connections();
    assert!(channel.next_event().await.unwrap().is_none());
    let ending = channel.close().await;
    assert_eq!(ending.exit, Exit::Lost);
    eventually("ssh ends", || sshd.is_left_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_itself_is_a_host_too() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let options = fleet::transport::Options {
        helper_directory: Some(state.display().to_string()),
        ..Default::default()
    };
    let (_files, helpers) = helper("");
    let transport = Transport::new(options, helpers).unwrap();
    let target = Target {
        name: "here".into(),
        kind: Kind::Local,
        ..Target::default()
    };
    for _ in 0..2 {
        converse(&transport, &target).await.unwrap();
    }
    assert_eq!(names(&state).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_bytes_and_never_read_as_messages() {
    let sshd = Sshd::start();
    let count = "read -r line; head -c 1000000 | sha256sum | cut -d' ' -f1";
    let transport = transport(sshd.options(), &reporting(count));
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .flat_map(|n| [n.to_le_bytes()[0]])
        .collect();
    let sha256 = fleet::protocol::Sha256::of(&bytes);
    let mut channel = transport.open(&sshd.target(), None).await.unwrap();
    channel.next_event().await.unwrap();
    channel
        .send_content(sha256, 1_000_000, &bytes[..])
        .await
        .unwrap();
    channel.send(&Message::End).await.unwrap();
    let event = format!("{:?}", channel.next_event().await.unwrap());
    assert!(event.contains(&sha256.to_string()), "{event}");
    channel.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_conversations_go_on_at_once() {
    let sshd = Sshd::with("MaxStartups 100");
    let transport = transport(sshd.options(), "");
    let target = sshd.target();
    let conversations = (0..8).map(|_| async {
        let mut channel = transport.open(&target, None).await.unwrap();
        converse_over(&mut channel).await;
        channel.close().await
    });
    let endings = join_all(conversations).await;
    assert!(endings.iter().all(|ending| ending.exit == Exit::Status(0)));
    assert_eq!(
        names(&sshd.state()).len(),
        1,
        "uploads at once do not disturb each other"
    );
}

/// All at once, on one task.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    use std::task::Poll;
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    running
        .into_iter()
        .map(|(_, output)| output.unwrap())
        .collect()
}
