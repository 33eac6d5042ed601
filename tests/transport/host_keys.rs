use std::fs;

use fleet::transport::Class;

use super::{converse, transport};
use crate::sshd::Sshd;

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_refused_with_host_key_and_way_out() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let reason = transport(sshd.options(), "")
        .open(&sshd.target(), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::HostKey);
    let expected = format!(
        "the host key of `[127.0.0.1]:{}` is not known (it offers ssh-ed25519 SHA256:",
        sshd.port()
    );
    assert!(reason.message.starts_with(&expected), "{reason}");
    assert!(
        reason
            .hint
            .unwrap()
            .contains("StrictHostKeyChecking=accept-new")
    );
    assert_eq!(
        fs::read_to_string(sshd.path("known_hosts")).unwrap(),
        "",
        "not enrolled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_is_refused_even_where_new_ones_are_accepted() {
    let sshd = Sshd::start();
    sshd.write_known_hosts(&sshd.public_key("wrong_key"));
    let mut target = sshd.target();
    for arguments in [&[][..], &["-o", "StrictHostKeyChecking=accept-new"]] {
        target.common_args = arguments.iter().map(ToString::to_string).collect();
        let reason = transport(sshd.options(), "")
            .open(&target, None)
            .await
            .unwrap_err();
        assert_eq!(reason.class, Class::HostKey);
        let host = format!(
            "the host key of `[127.0.0.1]:{}` has changed (it offers ",
            sshd.port()
        );
        let line = format!("recorded in {}:1", sshd.path("known_hosts").display());
        assert!(reason.message.starts_with(&host), "{reason}");
        assert!(reason.message.ends_with(&line), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_host_key_is_refused() {
    let sshd = Sshd::start();
    fs::write(
        sshd.path("known_hosts"),
        format!("@revoked * {}", sshd.public_key("host_key")),
    )
    .unwrap();
    let reason = transport(sshd.options(), "")
        .open(&sshd.target(), None)
        .await
        .unwrap_err();
    assert_eq!(reason.class, Class::HostKey);
    assert!(reason.message.contains("is marked as revoked"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_host_key_is_recorded_where_the_inventory_says_so() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let mut target = sshd.target();
    target.common_args = ["-o", "StrictHostKeyChecking=accept-new"]
        .map(Into::into)
        .into();
    converse(&transport(sshd.options(), ""), &target)
        .await
        .unwrap();
    assert!(
        fs::read_to_string(sshd.path("known_hosts"))
            .unwrap()
            .contains("ssh-ed25519")
    );
}
