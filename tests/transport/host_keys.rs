use std::fs;

use fleet::transport::Class;

use super::transport;
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
    assert!(reason.hint.unwrap().contains("`ssh-keyscan "));
    assert_eq!(
        fs::read_to_string(sshd.path("known_hosts")).unwrap(),
        "",
        "not enrolled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_is_refused() {
    let sshd = Sshd::start();
    sshd.write_known_hosts(&sshd.public_key("wrong_key"));
    let mut target = sshd.target();
    for arguments in [&[][..], &["-o", "StrictHostKeyChecking=yes"]] {
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
async fn no_setting_lets_in_a_host_that_was_not_enrolled() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    // What `ssh_config` says is overruled; what the inventory says is refused.
    let mut configuration = sshd.client_configuration("known_hosts");
    configuration += "StrictHostKeyChecking no\nNoHostAuthenticationForLocalhost yes\n\
                      VerifyHostKeyDNS yes\n";
    fs::write(sshd.path("ssh_config"), configuration).unwrap();
    let transport = transport(sshd.options(), "");
    let reason = transport.open(&sshd.target(), None).await.unwrap_err();
    assert_eq!(reason.class, Class::HostKey, "{reason}");

    let mut target = sshd.target();
    for option in [
        "StrictHostKeyChecking=accept-new",
        "UserKnownHostsFile=/dev/null",
        "NoHostAuthenticationForLocalhost=yes",
    ] {
        target.common_args = ["-o", option].map(Into::into).into();
        let reason = transport.open(&target, None).await.unwrap_err();
        assert!(reason.message.contains("is refused"), "{reason}");
    }
    assert_eq!(
        fs::read_to_string(sshd.path("known_hosts")).unwrap(),
        "",
        "not enrolled"
    );
}
