//! The role `haproxy` with a real HAProxy.

use super::load::Load;
use super::world::{BLUE, GREEN, World};

#[test]
fn servers_of_an_idle_pool_start_in_maintenance() {
    let world = World::new();
    world.serves(&BLUE);
    for balancer in &world.balancers {
        assert_eq!(balancer.status("green1"), "MAINT");
    }
}

#[test]
fn a_reload_keeps_what_was_set_at_run_time_and_loses_no_request() {
    let world = World::new();
    let load = Load::on(&world.balancers);
    for balancer in &world.balancers {
        for server in GREEN {
            balancer.set(server, "ready");
        }
        balancer.set("blue1", "drain");
        balancer.set("blue2", "maint");
    }
    for _ in 0..3 {
        for balancer in &world.balancers {
            balancer.reload();
            assert_eq!(balancer.status("blue1"), "DRAIN");
            assert_eq!(balancer.status("blue2"), "MAINT");
        }
        world.serves(&GREEN);
    }
    let counts = load.end();
    println!("{counts}");
    assert!(counts.lost.is_empty(), "{counts}");
    assert!(counts.of("green") > 100, "{counts}");
    assert_eq!(counts.fewest_in_service, 2, "{counts}");
}

/// HAProxy by itself keeps the port that it saved.
#[test]
fn another_port_in_the_configuration_is_taken_over_by_a_reload() {
    let world = World::new();
    let balancer = &world.balancers[0];
    let inventory = std::fs::read_to_string(world.path("inventory/hosts.yml")).unwrap();
    let saved = |balancer: &super::balancer::Balancer| {
        let answer = balancer.say("show servers state").unwrap();
        let row = answer
            .lines()
            .find(|line| line.contains(" green1 "))
            .unwrap();
        row.split(' ').nth(18).unwrap().to_owned()
    };
    let before = saved(balancer);
    let changed = inventory.replace(
        &format!("group: green, port: {before}"),
        "group: green, port: 9",
    );
    assert_ne!(changed, inventory);
    world.write("inventory/hosts.yml", &changed);
    world.configure();
    balancer.reload();
    assert_eq!(saved(balancer), "9");
}

#[test]
fn a_save_that_is_not_answered_leaves_the_file_as_it_was() {
    let mut world = World::new();
    let balancer = &mut world.balancers[0];
    balancer.reload();
    let state = balancer.path("server-state");
    let before = std::fs::read_to_string(&state).unwrap();
    balancer.stop();
    let saved = super::balancer::program("sh")
        .arg(balancer.path("haproxy-save-state"))
        .arg(balancer.path("haproxy.cfg"))
        .output()
        .unwrap();
    assert!(!saved.status.success());
    assert_eq!(std::fs::read_to_string(&state).unwrap(), before);
}
