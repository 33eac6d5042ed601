//! The whole of a swap, with clients that never stop asking.

use super::load::Load;
use super::world::{BLUE, GREEN, World};

#[test]
fn a_swap_to_green_and_back_loses_no_request() {
    let world = World::with_gate_and_deploy("");
    let load = Load::on(&world.balancers);
    load.has_answered(500);

    let _ = world.swap(&["--to", "green"]).exits(0);
    world.serves(&GREEN);
    for host in GREEN {
        assert!(world.path(&format!("version-{host}")).exists(), "{host}");
    }
    for host in BLUE {
        assert!(!world.path(&format!("version-{host}")).exists(), "{host}");
    }
    load.has_answered(500);

    let _ = world.swap(&["--to", "blue"]).exits(0);
    world.serves(&BLUE);
    load.has_answered(500);

    let counts = load.end();
    println!("{counts}");
    assert!(counts.lost.is_empty(), "{counts}");
    assert!(counts.answered() >= 2000, "{counts}");
    assert!(
        counts.of("blue") >= 1000 && counts.of("green") >= 500,
        "{counts}"
    );
    assert!(
        counts.fewest_in_service >= 2 && counts.looks > 100,
        "{counts}"
    );
}

#[test]
fn a_host_that_is_not_standard_stops_the_swap_at_the_gate() {
    let world = World::with_gate_and_deploy("");
    world.write("standard-green2", "no\n");
    let ended = world.swap(&["--to", "green"]).exits(2);
    assert!(ended.all().contains("standard-green2"), "{}", ended.all());
    assert!(!world.path("version-green1").exists());
    world.serves(&BLUE);
}

#[test]
fn what_swap_set_is_kept_by_a_reload_without_the_roles_help() {
    let world = World::new();
    world.swap_file("");
    let _ = world.swap(&["--to", "green"]).exits(0);
    for balancer in &world.balancers {
        balancer.reload_without_saving();
    }
    world.serves(&GREEN);
    let _ = world.swap(&["--status"]).exits(0);
}

#[test]
fn a_second_call_has_nothing_to_do_and_revert_goes_back() {
    let world = World::new();
    world.swap_file("");
    let _ = world.swap(&["--to", "green", "--plan"]).exits(2);
    world.serves(&BLUE);
    let _ = world.swap(&["--to", "green"]).exits(0);
    let again = world.json(&["--to", "green"], 0);
    assert_eq!(again["result"], "unchanged", "{again:#}");
    let _ = world.swap(&["--revert"]).exits(0);
    world.serves(&BLUE);
}
