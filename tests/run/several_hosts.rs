//! What one host does is no other's loss.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::Site;
use super::machines::host;
use crate::sshd::{Sshd, free_port};

const TASK: &str = "    - copy: {content: x, dest: \"{{ here }}/{{ inventory_hostname }}\"}\n";

#[test]
fn of_five_hosts_four_are_in_trouble_and_the_fifth_does_not_notice() {
    let good = Sshd::start();
    let impostor = Sshd::start();
    impostor.write_known_hosts(&impostor.public_key("wrong_key"));
    // Takes connections, as the kernel does for it, and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let silent_port = silent.local_addr().unwrap().port();

    let known_hosts =
        [&good, &impostor].map(|sshd| std::fs::read_to_string(sshd.path("known_hosts")).unwrap());
    std::fs::write(good.path("known_hosts"), known_hosts.concat()).unwrap();
    let key = good.path("user_key").display().to_string();
    let hosts = [
        host("refusing", "127.0.0.1", free_port(), &key),
        host("silent", "127.0.0.1", silent_port, &key),
        host("impostor", "127.0.0.1", impostor.port(), &key),
        host("nameless", "no-such-host.invalid", 22, &key),
        host("good", "127.0.0.1", good.port(), &key),
    ];
    let site = Site::with_inventory(&format!("all:\n  hosts:\n{}", hosts.concat())).tasks(TASK);
    let ssh_config = good.path("ssh_config").display().to_string();
    let args = ["--ssh-config", &ssh_config, "--connect-timeout", "4"];
    let run = |more: &[&str]| {
        let begin = Instant::now();
        let (document, code) = site.json("apply", &[&args, more].concat());
        (document, code, begin.elapsed())
    };

    // The first run brings the helper.
    let (document, code, _) = run(&["-l", "good"]);
    assert_eq!(code, 0, "{document:#}");
    let (_, _, alone) = run(&["-l", "good"]);
    let (document, code, all) = run(&[]);
    assert_eq!(code, 4, "{document:#}");
    let of = |name: &str| {
        let hosts = document["hosts"].as_array().unwrap();
        hosts.iter().find(|host| host["host"] == name).unwrap()
    };
    assert_eq!(of("good")["status"], "in_sync");
    for (name, class) in [
        ("refusing", "refused"),
        ("silent", "timeout"),
        ("impostor", "host_key"),
        ("nameless", "dns"),
    ] {
        assert_eq!(of(name)["status"], "unreachable", "{name}");
        assert_eq!(of(name)["error"]["class"], class, "{:#}", of(name));
    }
    assert!(
        all >= Duration::from_secs(3),
        "the silent one is waited for: {all:?}"
    );
    let good_took = Duration::from_millis(of("good")["duration_ms"].as_u64().unwrap());
    assert!(
        good_took < alone * 2 + Duration::from_millis(500),
        "alone {alone:?}, among the others {good_took:?}"
    );

    let ended = site.play("check", &args);
    assert_eq!(ended.code, 4);
    for reason in [
        "connection refused",
        "no answer in time",
        "host key refused",
        "the name does not resolve",
        "no-such-host.invalid",
    ] {
        assert!(ended.stdout.contains(reason), "{reason}: {}", ended.stdout);
    }
}

#[test]
fn more_hosts_than_forks_are_all_done() {
    let names: Vec<_> = (0..7).map(|number| format!("node{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let site = Site::with_hosts(&names).tasks(TASK);
    let (document, code) = site.json("apply", &["-f", "2"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["summary"]["changed"], 7);
}
