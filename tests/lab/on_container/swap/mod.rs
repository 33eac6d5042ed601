//! `fleet swap` on real machines: containers that are deployed, a gate that looks at them, and load
//! balancers that never stop being asked.

#![allow(
    clippy::print_stdout,
    reason = "who reads the test wants the counts and the times"
)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use load::{Counts, Load};
use world::{BLUE, GREEN, World};

#[path = "../../../swap/balancer.rs"]
#[allow(
    dead_code,
    reason = "shared with the loopback tests, which use all of it"
)]
mod balancer;
#[path = "../../../swap/load.rs"]
#[allow(
    dead_code,
    reason = "shared with the loopback tests, which use all of it"
)]
mod load;
mod world;

/// Between an answer and the next request of a client. Answering costs an emulated processor what
/// it has; there is something to be deployed, too.
const PAUSE: Duration = Duration::from_millis(80);

/// In one test, because machines, engine and pools take longer to make than all of it.
#[test]
fn containers_are_swapped_under_load_and_stay_where_they_are_when_green_fails() {
    let world = World::new();
    a_swap_to_green_and_back_loses_no_request(&world);
    green_without_a_healthy_answer_gets_no_traffic(&world);
    green_loses_its_power_while_it_is_deployed(&world);
}

fn answers_of(pool: [&str; 2], version: &str) -> Vec<String> {
    pool.map(|host| format!("{host} hello {version}")).to_vec()
}

/// Ends the load: nothing was lost, and nobody but these has answered.
fn end(load: Load, answering: &[Vec<String>]) -> Counts {
    load.has_answered(100);
    let counts = load.end();
    println!("{counts}");
    assert!(counts.lost.is_empty(), "{counts}");
    assert!(
        counts.fewest_in_service >= 2 && counts.looks > 50,
        "{counts}"
    );
    let mut expected = answering.concat();
    expected.sort();
    let answered: Vec<_> = counts.by_server.keys().cloned().collect();
    assert_eq!(answered, expected);
    counts
}

fn a_swap_to_green_and_back_loses_no_request(world: &World) {
    let load = Load::with_pause(&world.balancers, PAUSE);
    load.has_answered(700);
    assert_eq!(Vec::from_iter(world.answers()), answers_of(BLUE, "1"));

    let report = world.swap("green", "release=2", 0);
    assert_eq!(report["result"], "swapped");
    world.serves(&GREEN);
    assert_eq!(Vec::from_iter(world.answers()), answers_of(GREEN, "2"));
    world.pools_have("1", "2");
    load.has_answered(700);

    let report = world.swap("blue", "release=2", 0);
    assert_eq!(report["result"], "swapped");
    world.serves(&BLUE);
    assert_eq!(Vec::from_iter(world.answers()), answers_of(BLUE, "2"));
    world.pools_have("2", "2");
    load.has_answered(700);

    // Green's first version is not among them: no server got traffic before it was deployed.
    let all = [
        answers_of(BLUE, "1"),
        answers_of(GREEN, "2"),
        answers_of(BLUE, "2"),
    ];
    let counts = end(load, &all);
    assert!(counts.answered() >= 2000, "{counts}");
}

fn green_without_a_healthy_answer_gets_no_traffic(world: &World) {
    let load = Load::with_pause(&world.balancers, PAUSE);
    let report = world.swap("green", r#"{"release": 1, "spoiled": true}"#, 2);
    assert_eq!(report["result"], "reverted", "{report:#}");
    assert_eq!(report["error"]["class"], "health", "{report:#}");
    let message = report["error"]["message"].as_str().unwrap();
    for asked in ["green1 asked by lb1", "green2 asked by lb2", "answers 404"] {
        assert!(message.contains(asked), "{message}");
    }
    world.serves(&BLUE);

    // What is on green is not what green is declared to have.
    let report = world.swap("green", "release=1", 2);
    assert_eq!(report["error"]["class"], "gate", "{report:#}");
    world.serves(&BLUE);
    let _ = end(load, &[answers_of(BLUE, "2")]);

    let _ = world
        .fleet("apply", "standard.yml", &["-l", "green", "-y"])
        .exits(0);
}

fn green_loses_its_power_while_it_is_deployed(world: &World) {
    let load = Load::with_pause(&world.balancers, PAUSE);
    // The new container is made first: the old one still runs, and the other host waits for its turn.
    let watch = "since=$(date +%s); echo watching; timeout 300 docker events --since $since \
                 --filter event=create --format '{{.Actor.Attributes.name}}'";
    let mut watcher = world.green.shell();
    let mut watcher = watcher.arg(watch).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "watching");
    let swap = world.start_swap("green", "release=1");
    let made = lines.next().unwrap().unwrap();
    world.green.power_off();
    let _ = watcher.wait();
    assert!(made.ends_with(".fleet-new"), "{made}");
    let report = World::end_of_swap(swap, 2);
    assert_eq!(report["result"], "reverted", "{report:#}");
    assert_eq!(report["error"]["class"], "deploy", "{report:#}");
    world.serves(&BLUE);
    let _ = end(load, &[answers_of(BLUE, "2")]);
}
