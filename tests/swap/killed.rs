//! A controller that is killed at every step of a swap in turn.

use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;

use super::load::Load;
use super::world::{BLUE, GREEN, World};

/// Long enough for a step to reach the first load balancer, and not for much more.
const AMID: Duration = Duration::from_millis(15);

/// Each kill is resolved by the next call, which says this.
#[derive(Clone, Copy)]
enum Resolve {
    Finish,
    Revert,
}

/// Starts a swap, kills fleet so long after it says that it begins step `number`, and says whether
/// it came to that.
pub(super) fn killed_at(world: &World, args: &[&str], number: usize, later: Duration) -> bool {
    let mut swap = world.start_swap(args);
    let stderr = BufReader::new(swap.stderr.take().unwrap());
    let announced = format!("[{number}] ");
    let mut lines = stderr.lines().map_while(Result::ok);
    if !lines.any(|line| line.starts_with(&announced)) {
        assert!(swap.wait().unwrap().success());
        return false;
    }
    thread::sleep(later);
    swap.kill().unwrap();
    swap.wait().unwrap();
    true
}

/// The fields that make all steps.
fn more(world: &World) -> String {
    let live = &world.balancers[0];
    format!(
        "live: {{ url: \"http://{}:{}/\", successes: 1, interval: 50ms, deadline: 5s }}\n\
         min_healthy_time: 200ms\n",
        live.address, live.port
    )
}

/// Kills at step 1, 2, … until there is no such step, back and forth between the pools. There are
/// at least so many `steps`.
#[expect(clippy::print_stdout, reason = "who reads the test wants the counts")]
fn at_every_step(world: &World, steps: usize, later: Duration, resolve: Resolve) {
    let load = Load::on(&world.balancers);
    let (mut serving, mut other) = (("blue", BLUE), ("green", GREEN));
    let mut number = 1;
    while killed_at(world, &["--to", other.0], number, later) {
        for balancer in &world.balancers {
            let in_service = balancer.in_service();
            assert!(in_service.len() >= 2, "killed at {number}: {in_service:?}");
        }
        match resolve {
            Resolve::Finish => {
                let _ = world.swap(&["--to", other.0]).exits(0);
                std::mem::swap(&mut serving, &mut other);
            }
            Resolve::Revert => {
                let _ = world.swap(&["--revert"]).exits(0);
            }
        }
        world.serves(&serving.1);
        number += 1;
    }
    assert!(number > steps, "{} steps", number - 1);
    world.serves(&other.1);
    let _ = world.swap(&["--status"]).exits(0);
    load.has_answered(100);
    let counts = load.end();
    println!("killed {} times: {counts}", number - 1);
    assert!(counts.lost.is_empty(), "{counts}");
    assert!(counts.fewest_in_service >= 2, "{counts}");
}

/// Gate, deploy, health, ready, settle, drain, maint, live.
#[test]
fn as_each_step_begins_and_finished_by_the_next_call() {
    let world = World::with_gate_and_deploy("");
    world.swap_file(&format!(
        "gate: gate.yml\ndeploy: deploy.yml\n{}",
        more(&world)
    ));
    at_every_step(&world, 8, Duration::ZERO, Resolve::Finish);
}

/// Health, ready, settle, drain, maint, live.
#[test]
fn amid_each_step_and_taken_back_by_the_next_call() {
    let world = World::new();
    world.swap_file(&more(&world));
    at_every_step(&world, 6, AMID, Resolve::Revert);
}
