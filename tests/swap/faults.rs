//! What goes wrong in a swap: traffic stays, or goes back where it was.

use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::load::{Load, ask_slowly};
use super::service::Behaviour;
use super::world::{BLUE, GREEN, World, eventually};

/// All requests that anybody sent meanwhile were answered well, and the floor was kept.
#[expect(clippy::print_stdout, reason = "who reads the test wants the counts")]
fn nothing_was_lost(load: Load) {
    load.has_answered(100);
    let counts = load.end();
    println!("{counts}");
    assert!(counts.lost.is_empty(), "{counts}");
    assert!(counts.fewest_in_service >= 2, "{counts}");
}

#[test]
fn green_that_takes_connections_and_fails_requests_gets_no_traffic() {
    let world = World::new();
    world.swap_file("");
    for behaviour in [Behaviour::Failing, Behaviour::Hanging] {
        world.service("green2").behave(behaviour);
        let load = Load::on(&world.balancers);
        let ended = world.swap(&["--to", "green"]).exits(2);
        let error = ended
            .stdout
            .lines()
            .find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_default();
        assert!(error.contains("green2 asked by lb1"), "{}", ended.all());
        assert!(!error.contains("green1"), "{}", ended.all());
        world.serves(&BLUE);
        load.has_answered(100);
        let counts = load.end();
        assert_eq!(counts.of("green"), 0, "{counts}");
        assert!(counts.lost.is_empty(), "{counts}");
    }
    world.service("green2").behave(Behaviour::Healthy);
    let _ = world.swap(&["--to", "green"]).exits(0);
    world.serves(&GREEN);
}

#[test]
fn nothing_is_touched_when_the_haproxy_of_one_load_balancer_is_down() {
    let mut world = World::new();
    world.swap_file("");
    world.balancers[1].stop();
    let ended = world.swap(&["--to", "green"]);
    assert_ne!(ended.code, 0, "{}", ended.all());
    assert!(ended.all().contains("lb2"), "{}", ended.all());
    assert_eq!(world.balancers[0].in_service(), BLUE);
    assert!(!world.balancers[0].path("server-state").exists());
    world.balancers[1].start();
    let _ = world.swap(&["--to", "green"]).exits(0);
    world.serves(&GREEN);
}

#[test]
fn nothing_is_touched_when_one_load_balancer_cannot_be_reached() {
    let mut world = World::new();
    world.swap_file("");
    world.balancers[1].leave_the_network();
    let ended = world.swap(&["--to", "green"]).exits(4);
    assert!(ended.all().contains("lb2"), "{}", ended.all());
    assert_eq!(world.balancers[0].in_service(), BLUE);
    assert!(!world.balancers[0].path("server-state").exists());
}

/// The drain is held open by a request that takes its time, so that there is a middle.
#[test]
fn a_load_balancer_that_goes_down_during_the_swap_has_it_taken_back_on_the_other() {
    let mut world = World::new();
    world.swap_file("");
    let request = ask_slowly(&world.balancers[0]);
    eventually("the slow request is there", || world.slow_waiting() == 1);
    let swap = world.start_swap(&["--to", "green"]);
    world.balancers[0].eventually("drains blue", |lb| lb.status("blue1") == "DRAIN");
    world.balancers[1].stop();
    let ended = world.end_of(swap);
    assert!([2, 4].contains(&ended.code), "{}", ended.all());
    assert!(ended.all().contains("lb2"), "{}", ended.all());
    let first = &world.balancers[0];
    let blue_serves = || {
        BLUE.iter()
            .all(|name| first.in_service().contains(&(*name).to_owned()))
    };
    assert!(blue_serves(), "{}", ended.all());
    world.answer_slow();
    assert!(BLUE.contains(&request.join().unwrap().unwrap().as_str()));

    world.balancers[1].start();
    let _ = world.swap(&["--revert"]).exits(0);
    world.serves(&BLUE);
    let _ = world.swap(&["--to", "green"]).exits(0);
    world.serves(&GREEN);
}

#[test]
fn a_reload_that_forgets_everything_mid_drain_is_noticed_and_mended() {
    let world = World::new();
    world.swap_file("");
    let load = Load::on(&world.balancers);
    let request = ask_slowly(&world.balancers[0]);
    eventually("the slow request is there", || world.slow_waiting() == 1);
    let swap = world.start_swap(&["--to", "green"]);
    for balancer in &world.balancers {
        balancer.eventually("drains blue", |lb| lb.status("blue1") == "DRAIN");
    }
    world.balancers[0].reload_forgetting_everything();
    thread::sleep(Duration::from_millis(300));
    world.answer_slow();
    let ended = world.end_of(swap);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(BLUE.contains(&request.join().unwrap().unwrap().as_str()));
    world.serves(&GREEN);
    nothing_was_lost(load);
}

#[test]
fn a_drain_that_never_ends_gives_blue_its_traffic_back() {
    let world = World::new();
    world.swap_file("drain: { deadline: 1s }\n");
    let load = Load::on(&world.balancers);
    let request = ask_slowly(&world.balancers[0]);
    eventually("the slow request is there", || world.slow_waiting() == 1);
    let ended = world.swap(&["--to", "green"]).exits(2);
    assert!(ended.all().contains("session"), "{}", ended.all());
    world.serves(&BLUE);
    nothing_was_lost(load);
    world.answer_slow();
    assert!(BLUE.contains(&request.join().unwrap().unwrap().as_str()));
}

#[test]
fn a_drain_that_never_ends_is_ended_where_the_file_says_so() {
    let world = World::new();
    world.swap_file("drain: { deadline: 1s, on_timeout: kill }\n");
    let load = Load::on(&world.balancers);
    let request = ask_slowly(&world.balancers[0]);
    eventually("the slow request is there", || world.slow_waiting() == 1);
    let _ = world.swap(&["--to", "green"]).exits(0);
    world.serves(&GREEN);
    assert!(request.join().unwrap().is_err());
    nothing_was_lost(load);
}

#[test]
fn a_live_address_that_fails_at_the_end_has_the_swap_taken_back() {
    let world = World::new();
    world.swap_file(
        "live: { url: \"http://127.0.0.1:9/\", successes: 1, interval: 50ms, timeout: 200ms, \
         deadline: 500ms }\n",
    );
    let load = Load::on(&world.balancers);
    let _ = world.swap(&["--to", "green"]).exits(2);
    world.serves(&BLUE);
    nothing_was_lost(load);
}

/// The one Ctrl-C is not taken for a second one by what takes back.
#[test]
fn ctrl_c_while_the_live_address_is_asked_has_the_swap_taken_back() {
    let world = World::new();
    world.swap_file("live: { url: \"http://127.0.0.1:9/\", interval: 100ms, deadline: 60s }\n");
    let swap = world.start_swap(&["--to", "green"]);
    world.balancers[1].eventually("has blue idle", |lb| lb.status("blue1") == "MAINT");
    thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&swap), Signal::INT).unwrap();
    let ended = world.end_of(swap);
    assert_eq!(ended.code, 130, "{}", ended.all());
    assert!(ended.all().contains("Taken back"), "{}", ended.all());
    world.serves(&BLUE);
}

#[test]
fn what_a_human_took_out_stays_out() {
    let world = World::new();
    world.swap_file("");
    for balancer in &world.balancers {
        balancer.set("blue1", "maint");
    }
    let _ = world.swap(&["--to", "green"]).exits(0);
    world.serves(&GREEN);
    let ended = world.swap(&["--to", "blue"]);
    assert_ne!(ended.code, 0, "{}", ended.all());
    assert!(ended.all().contains("blue1"), "{}", ended.all());
    world.serves(&GREEN);
    for balancer in &world.balancers {
        assert_eq!(balancer.status("blue1"), "MAINT");
    }
}

#[test]
fn of_two_swaps_at_once_one_is_done_and_the_other_exits_5() {
    let world = World::new();
    world.swap_file("");
    let request = ask_slowly(&world.balancers[0]);
    eventually("the slow request is there", || world.slow_waiting() == 1);
    let first = world.start_swap(&["--to", "green"]);
    world.balancers[0].eventually("drains blue", |lb| lb.status("blue1") == "DRAIN");
    for second in [["--to", "blue"], ["--to", "green"]] {
        let _ = world.swap(&second).exits(5);
    }
    let _ = world.swap(&["--revert"]).exits(5);
    world.answer_slow();
    let ended = world.end_of(first);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(request.join().unwrap().is_ok());
    world.serves(&GREEN);
}
