//! The hosts of one pool are replaced in turn, with clients that never stop asking.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::killed::killed_at;
use super::load::{Load, ask_slowly};
use super::world::{World, eventually};

const ALL: [&str; 4] = ["blue1", "blue2", "green1", "green2"];

/// Its service is down while this works on a host, as with a real one.
const DEPLOY: &str = "- hosts: all
  tasks:
    - name: The service goes down
      copy: { content: \"\", dest: \"{{ site }}/down-{{ inventory_hostname }}\" }
    - name: The version that is to run
      copy: { content: \"2\\n\", dest: \"{{ site }}/version-{{ inventory_hostname }}\" }
    - name: The service is back
      file: { path: \"{{ site }}/down-{{ inventory_hostname }}\", state: absent }
";
const CHECK: &str = "- hosts: all
  tasks:
    - name: The version that is to run
      copy: { content: \"2\\n\", dest: \"{{ site }}/version-{{ inventory_hostname }}\" }
";
/// Leaves the service of one host down.
const BROKEN: &str = "- hosts: all
  tasks:
    - name: The version that is to run
      copy: { content: \"2\\n\", dest: \"{{ site }}/version-{{ inventory_hostname }}\" }
    - name: Something that nobody wants
      copy: { content: \"\", dest: \"{{ site }}/down-{{ inventory_hostname }}\" }
      when: inventory_hostname == 'blue2'
";

/// A world in which `deploy.yml` is as given, and takes the services down with it.
fn world(deploy: &str) -> World {
    let world = World::with_all_serving();
    for name in ALL {
        let down = world.path(&format!("down-{name}"));
        world.service(name).fail_with(down);
    }
    world.write("deploy.yml", deploy);
    world.write("check.yml", CHECK);
    world
}

fn is_replaced(world: &World, host: &str) -> bool {
    world.path(&format!("version-{host}")).exists()
}

/// All requests that anybody sent meanwhile were answered well, and the floor was kept.
#[expect(clippy::print_stdout, reason = "who reads the test wants the counts")]
fn nothing_was_lost(load: Load, floor: usize) {
    load.has_answered(100);
    let counts = load.end();
    println!("{counts}");
    assert!(counts.lost.is_empty(), "{counts}");
    assert!(counts.fewest_in_service >= floor, "{counts}");
}

#[test]
fn four_hosts_in_turn_lose_no_request() {
    let world = world(DEPLOY);
    world.replace_file(", check: check.yml", "min_healthy_time: 300ms\n");
    let plan = world.json(&["--plan"], 2);
    assert_eq!(plan["result"], "planned", "{plan:#}");
    assert!(ALL.iter().all(|host| !is_replaced(&world, host)));

    let load = Load::on(&world.balancers);
    load.has_answered(500);
    let done = world.json(&[], 0);
    assert_eq!(done["result"], "replaced", "{done:#}");
    assert_eq!(done["hosts"]["done"], serde_json::json!(ALL), "{done:#}");
    world.serves(&ALL);
    for host in ALL {
        assert!(is_replaced(&world, host), "{host}");
    }
    load.has_answered(500);
    nothing_was_lost(load, 3);
    let _ = world.swap(&["--status"]).exits(0);

    // Each deployment is an apply like any other.
    let runs = world.ask(&["runs"]).exits(0);
    assert_eq!(
        runs.stdout.matches("deploy.yml").count(),
        4,
        "{}",
        runs.all()
    );
    let last = world.ask(&["runs", "show"]).exits(0);
    assert!(
        last.stdout.contains("done           1  green2"),
        "{}",
        last.all()
    );
}

#[test]
fn a_host_that_is_sick_after_its_deployment_stays_out_and_the_next_call_goes_on() {
    let world = world(BROKEN);
    world.replace_file("", "");
    let load = Load::on(&world.balancers);
    let ended = world.json(&[], 2);
    assert_eq!(ended["result"], "stopped", "{ended:#}");
    assert_eq!(ended["error"]["class"], "health", "{ended:#}");
    let hosts = serde_json::json!({
        "done": ["blue1"], "failed": ["blue2"], "unfinished": [], "untouched": ["green1", "green2"]
    });
    assert_eq!(ended["hosts"], hosts, "{ended:#}");
    world.serves(&["blue1", "green1", "green2"]);
    for balancer in &world.balancers {
        assert_eq!(balancer.status("blue2"), "MAINT");
    }
    assert!(!is_replaced(&world, "green1"));
    let status = world.swap(&["--status"]).exits(2);
    assert!(
        status.all().contains("failed, and out of service: blue2"),
        "{}",
        status.all()
    );

    // It is repaired in the playbook; what was done is not done again.
    world.write("deploy.yml", DEPLOY);
    world.replace_file(", check: check.yml", "");
    fs::remove_file(world.path("version-blue1")).unwrap();
    let _ = world.swap(&[]).exits(0);
    world.serves(&ALL);
    assert!(!is_replaced(&world, "blue1"));
    assert!(is_replaced(&world, "blue2") && is_replaced(&world, "green2"));
    nothing_was_lost(load, 3);

    // It is over: the next one is a new one.
    let _ = world.swap(&["--limit", "blue1"]).exits(0);
    assert!(is_replaced(&world, "blue1"));
}

/// Drain, maint, deploy, gate, health, ready, settle.
#[test]
fn killed_at_every_step_in_turn_it_is_finished_by_the_next_call() {
    let world = world(DEPLOY);
    world.replace_file(", check: check.yml", "min_healthy_time: 200ms\n");
    let load = Load::on(&world.balancers);
    let args = ["--limit", "blue1"];
    let mut number = 1;
    while killed_at(&world, &args, number, Duration::ZERO) {
        for balancer in &world.balancers {
            let in_service = balancer.in_service();
            assert!(in_service.len() >= 3, "killed at {number}: {in_service:?}");
        }
        let _ = world.swap(&args).exits(0);
        world.serves(&ALL);
        number += 1;
    }
    println!("killed {} times", number - 1);
    assert!(number > 7, "{} steps", number - 1);
    nothing_was_lost(load, 3);
}

#[test]
fn ctrl_c_puts_back_what_is_only_drained() {
    let world = world(DEPLOY);
    world.replace_file(", check: check.yml", "");
    let requests = [0, 1, 2, 3].map(|_| ask_slowly(&world.balancers[0]));
    eventually("the slow requests are there", || world.slow_waiting() == 4);
    let replacing = world.start_swap(&[]);
    world.balancers[0].eventually("drains blue1", |lb| lb.status("blue1") == "DRAIN");
    kill_process(Pid::from_child(&replacing), Signal::INT).unwrap();
    let ended = world.end_of(replacing);
    assert_eq!(ended.code, 130, "{}", ended.all());
    world.serves(&ALL);
    assert!(ALL.iter().all(|host| !is_replaced(&world, host)));
    world.answer_slow();
    for request in requests {
        assert!(request.join().unwrap().is_ok());
    }
}

#[test]
fn what_the_budget_does_not_allow_is_refused() {
    let world = world(DEPLOY);
    for (replace, more) in [
        ("", "max_unavailable: 0\n"),
        (", batch: 2", "max_unavailable: 1\n"),
        ("", "max_unavailable: 20%\n"),
    ] {
        world.replace_file(replace, more);
        let ended = world.swap(&[]).exits(1);
        let place = format!(
            "{} of 4 servers in service",
            if replace.is_empty() { 3 } else { 2 }
        );
        assert!(ended.all().contains(&place), "{}", ended.all());
        assert!(ended.all().contains("swap.yml:"), "{}", ended.all());
    }
    // What somebody took out counts.
    world.replace_file(", check: check.yml", "");
    for balancer in &world.balancers {
        balancer.set("green2", "maint");
    }
    let ended = world.json(&[], 2);
    assert_eq!(ended["error"]["class"], "budget", "{ended:#}");
    assert_eq!(ended["result"], "refused", "{ended:#}");
    world.serves(&["blue1", "blue2", "green1"]);
    assert!(ALL.iter().all(|host| !is_replaced(&world, host)));

    world.replace_file(", check: check.yml", "max_unavailable: 2\n");
    let ended = world.json(&[], 2);
    assert_eq!(ended["result"], "incomplete", "{ended:#}");
    assert_eq!(ended["hosts"]["untouched"], serde_json::json!(["green2"]));
    world.serves(&["blue1", "blue2", "green1"]);
    assert!(!is_replaced(&world, "green2"));
}

#[test]
fn there_is_no_other_pool_to_go_to_and_no_way_back() {
    let world = world(DEPLOY);
    world.replace_file(", check: check.yml", "");
    for args in [&["--to", "green"][..], &["--revert"]] {
        let ended = world.swap(args).exits(1);
        assert!(ended.all().contains("replaces"), "{}", ended.all());
    }
}
