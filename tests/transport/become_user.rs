//! What fleet makes of sudo's behaviour, played by a script. The real sudo is tried in the lab.

use std::fs;

use fleet::secret::Secret;
use fleet::transport::{Become, Class, Options, Target, Unreachable};

use super::{converse, transport, write_script};
use crate::sshd::Sshd;

/// A host whose sudo is `script`; what it is called with and given is written beside it.
async fn with_sudo(
    script: &str,
    password: Option<&str>,
) -> (Result<Vec<String>, Unreachable>, Sshd) {
    let bin = tempfile::tempdir().unwrap();
    let sshd = Sshd::with(&format!(
        "SetEnv PATH={}:/usr/bin:/bin",
        bin.path().display()
    ));
    let trace = sshd.path("trace");
    let text = format!(
        "#!/bin/sh\ntrace={}\nprintf '%s|' \"$@\" >>\"$trace\"\n\
         prompt= ; while [ \"$1\" != -- ]; do [ \"$1\" != -p ] || prompt=$2; shift; done; shift\n\
         ask() {{ printf '%s' \"$prompt\" >&2; read -r password; printf '<%s>' \"$password\" >>\"$trace\"; }}\n\
         {script}\n",
        trace.display()
    );
    write_script(&bin.path().join("sudo"), &text);
    let options = Options {
        become_password: password.map(Secret::new),
        ..sshd.options()
    };
    let target = Target {
        become_: Some(Become {
            user: "root".into(),
        }),
        ..sshd.target()
    };
    let result = converse(&transport(options, ""), &target).await;
    (result, sshd)
}

fn trace(sshd: &Sshd) -> String {
    fs::read_to_string(sshd.path("trace")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_sudo_is_told_not_to_ask() {
    let (result, sshd) = with_sudo("exec \"$@\"", None).await;
    result.unwrap();
    assert!(trace(&sshd).starts_with("-n|-H|-u|root|--|sh|-c|"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudo_that_needs_a_password_names_the_way_out() {
    let (result, _sshd) = with_sudo("echo 'sudo: a password is required' >&2; exit 1", None).await;
    let reason = result.unwrap_err();
    assert_eq!(
        (reason.class, reason.message.as_str()),
        (Class::Sudo, "sudo needs a password")
    );
    assert!(reason.hint.unwrap().contains("-K"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_given_when_asked_for_and_nowhere_else() {
    let script = "ask; [ \"$password\" = hunter2 ] || exit 1; exec \"$@\"";
    let (result, sshd) = with_sudo(script, Some("hunter2")).await;
    result.unwrap();
    let trace = trace(&sshd);
    assert!(trace.starts_with("-S|-p|[fleet "), "{trace}");
    assert_eq!(
        trace.matches("hunter2").count(),
        1,
        "read from stdin only: {trace}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_nobody_asks_for_is_not_sent() {
    let (result, sshd) = with_sudo("exec \"$@\"", Some("hunter2")).await;
    result.unwrap();
    assert!(!trace(&sshd).contains("hunter2"));
    // Had it been written, the helper would have read it as a message before `end`.
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once() {
    let script = "for i in 1 2 3; do ask; echo 'Sorry, try again.' >&2; done; exit 1";
    let (result, sshd) = with_sudo(script, Some("hunter3")).await;
    let reason = result.unwrap_err();
    assert_eq!(reason.class, Class::Sudo, "{reason:?}");
    assert_eq!(reason.message, "sudo does not accept the password");
    assert_eq!(trace(&sshd).matches("hunter3").count(), 1);
    assert!(!format!("{reason:?}").contains("hunter3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_sudo_says_so() {
    let (result, _sshd) = with_sudo("echo 'sh: 1: sudo: not found' >&2; exit 127", None).await;
    let reason = result.unwrap_err();
    assert_eq!(reason.class, Class::Sudo, "{reason:?}");
    assert_eq!(reason.message, "sudo is not installed there");
}
