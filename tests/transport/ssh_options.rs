use std::fs;

use fleet::transport::{Class, Options, Target};

use super::{converse, transport};
use crate::sshd::{Sshd, free_port};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(Into::into).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn port_and_key_may_come_as_options() {
    let sshd = Sshd::start();
    let target = Target {
        host: "127.0.0.1".into(),
        common_args: words(&format!(
            "-p {} -i {} -oIdentitiesOnly=yes",
            sshd.port(),
            sshd.path("user_key").display()
        )),
        ..Target::default()
    };
    converse(&transport(sshd.options(), ""), &target)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_reaches_ssh() {
    let sshd = Sshd::start();
    let mut target = sshd.target();
    target.host = "an-alias".into();
    target.common_args = words("-o HostName=127.0.0.1");
    converse(&transport(sshd.options(), ""), &target)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_of_the_configuration_file_work() {
    let sshd = Sshd::start();
    let configuration = format!(
        "Host web01\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\nHost *\n{}",
        sshd.port(),
        sshd.path("user_key").display(),
        sshd.client_configuration("known_hosts")
    );
    fs::write(sshd.path("aliases"), configuration).unwrap();
    let mut target = Target {
        host: "web01".into(),
        ..Target::default()
    };

    let options = Options {
        ssh_config: Some(sshd.path("aliases")),
        ..sshd.options()
    };
    converse(&transport(options, ""), &target).await.unwrap();

    target.common_args = words(&format!("-F {}", sshd.path("aliases").display()));
    converse(&transport(sshd.options(), ""), &target)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_behind_a_jump_host_is_reached_through_it() {
    let (sshd, bastion) = (Sshd::start(), Sshd::start());
    let through = |known_hosts: &str| {
        fs::write(
            sshd.path("jump"),
            format!(
                "Host bastion\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n  {}\nHost *\n{}",
                bastion.port(),
                bastion.path("user_key").display(),
                bastion.client_configuration(known_hosts).replace('\n', "\n  "),
                sshd.client_configuration("known_hosts"),
            ),
        )
        .unwrap();
        Target {
            common_args: words("-J bastion"),
            ..sshd.target()
        }
    };
    let options = Options {
        ssh_config: Some(sshd.path("jump")),
        ..sshd.options()
    };
    let transport = transport(options, "");
    converse(&transport, &through("known_hosts")).await.unwrap();
    let log = fs::read_to_string(bastion.path("sshd.log")).unwrap();
    assert!(log.contains("Accepted publickey"), "{log}");

    let reason = transport.open(&through("nothing"), None).await.unwrap_err();
    assert_eq!(
        reason.class,
        Class::HostKey,
        "the jump host's key is checked too: {reason:?}"
    );

    let mut target = sshd.target();
    target.common_args = words(&format!("-J 127.0.0.1:{}", free_port()));
    let reason = transport.open(&target, None).await.unwrap_err();
    assert_eq!(reason.class, Class::Refused, "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_break_the_connection_or_its_safety_is_refused() {
    let sshd = Sshd::start();
    let transport = transport(sshd.options(), "");
    for (arguments, expected) in [
        (
            "-o StrictHostKeyChecking=no",
            "`StrictHostKeyChecking=no` is refused",
        ),
        ("-o ControlMaster=auto", "`-o ControlMaster` cannot be set"),
        ("-o NoSuchOption=1", "ssh does not accept its configuration"),
    ] {
        let target = Target {
            common_args: words(arguments),
            ..sshd.target()
        };
        let reason = transport.open(&target, None).await.unwrap_err();
        assert_eq!(reason.class, Class::Other);
        assert!(reason.message.contains(expected), "{reason}");
    }
}
