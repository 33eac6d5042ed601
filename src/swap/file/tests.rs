use super::*;

const LEAST: &str = "\
service: orders
load_balancers: { hosts: balancers, backends: [orders] }
pools: { blue: web_blue, green: web_green }
health: { path: /health }
";

fn read(text: &str) -> Result<SwapFile, Vec<Diagnostic>> {
    let root = yaml::parse("ops/swap.yml", text, &Limits::default())?;
    read::file(Path::new("ops/swap.yml"), &root)
}

/// What is wrong, each with its line.
fn wrong(text: &str) -> Vec<String> {
    let errors = read(text).unwrap_err();
    let told = errors.into_iter().map(|error| {
        let line = error.span.map_or(0, |span| span.line_column().0);
        format!("{line}: {}", error.message)
    });
    told.collect()
}

#[test]
fn the_example_uses_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/swap/example/swap.yml");
    let file = SwapFile::load(&path).unwrap();
    assert_eq!(file.service, "orders");
    let Work::Move(pools) = &file.work else {
        panic!("{:?}", file.work);
    };
    assert_eq!(pools.each_ref().map(|pool| &*pool.name), ["blue", "green"]);
    assert_eq!(file.health.from, [Asker::Controller, Asker::LoadBalancers]);
    assert_eq!(file.drain.deadline, Duration::from_mins(5));
    assert_eq!(file.max_unavailable, Some(Unavailable::Count(0)));
    assert_eq!(file.min_healthy_time, Duration::from_secs(10));
    assert!(file.live.is_some() && file.auto_revert);
    assert!(
        file.gate
            .unwrap()
            .ends_with("tests/swap/example/playbooks/host-init.yml")
    );
}

const REPLACE: &str = "\
service: orders
load_balancers: { hosts: balancers, backends: [orders] }
health: { path: /health }
replace: { hosts: web, playbook: ./deploy.yml }
";

#[test]
fn the_example_of_replacing_uses_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/swap/example/replace.yml");
    let file = SwapFile::load(&path).unwrap();
    let Work::Replace(replace) = &file.work else {
        panic!("{:?}", file.work);
    };
    assert_eq!(replace.hosts.name, "orders");
    assert_eq!(replace.batch.map(|batch| batch.of(9)), Some(1));
    assert_eq!(file.max_unavailable, Some(Unavailable::Count(1)));
    let ends = |file: &Option<PathBuf>, name: &str| file.as_ref().unwrap().ends_with(name);
    assert!(ends(&file.deploy, "example/playbooks/orders.yml"));
    assert!(ends(&file.gate, "example/playbooks/host-init.yml"));
}

#[test]
fn what_is_replaced_is_checked_by_its_own_playbook_if_no_other_is_named() {
    let file = read(REPLACE).unwrap();
    assert_eq!(file.deploy.as_deref(), Some(Path::new("ops/deploy.yml")));
    assert_eq!(file.gate, file.deploy);
    assert_eq!(file.max_unavailable, None);
}

#[test]
fn what_belongs_to_pools_is_refused_where_hosts_are_replaced() {
    let text = format!(
        "{REPLACE}pools: {{ blue: a, green: b }}\ngate: x.yml\ndeploy: x.yml\nlive: {{ url: http://a }}\n\
         auto_revert: false\n"
    );
    assert_eq!(
        wrong(&text),
        [
            "4: there are both `pools` and `replace`",
            "6: `gate` is for `pools`, not for `replace`",
            "7: `deploy` is for `pools`, not for `replace`",
            "8: `live` is for `pools`, not for `replace`",
            "9: `auto_revert` is for `pools`, not for `replace`",
        ]
    );
    for (field, complaint) in [
        ("batch: 0", "expected a number of hosts"),
        ("batch: 120%", "expected a number of hosts"),
        ("gate: x.yml", "unknown"),
    ] {
        let text = REPLACE.replace("deploy.yml }", &format!("deploy.yml, {field} }}"));
        let told = wrong(&text);
        assert!(
            told[0].starts_with("4: ") && told[0].contains(complaint),
            "{told:?}"
        );
    }
}

#[test]
fn what_is_left_out_has_a_cautious_default() {
    let file = read(LEAST).unwrap();
    assert_eq!(
        file.load_balancers.socket.text(),
        Some("/run/haproxy/admin.sock")
    );
    assert_eq!(file.health.from, [Asker::LoadBalancers]);
    assert_eq!(file.health.expect.successes, 3);
    assert_eq!(file.drain.on_timeout, OnTimeout::Restore);
    assert_eq!(file.max_unavailable, None);
    assert!(file.auto_revert);
    assert_eq!((&file.gate, &file.deploy), (&None, &None));
}

#[test]
fn playbooks_are_beside_the_file() {
    let file = read(&format!("{LEAST}gate: ./gate.yml\n")).unwrap();
    assert_eq!(file.gate.as_deref(), Some(Path::new("ops/gate.yml")));
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    assert_eq!(
        wrong("gate: x.yml\n"),
        [
            "1: a swap needs `service`",
            "1: a swap needs `load_balancers`",
            "1: a swap needs `pools`, or `replace`",
            "1: a swap needs `health`",
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line() {
    let text = "\
service: ../orders
load_balancers: { hosts: balancers, backends: [\"orders; disable server x/y\"] }
pools: { blue: a, green: b, red: c }
health: { path: \"/a b\", from: [load_balancers], scheme: https, successes: 0, status: 42 }
live: { url: orders.example.org }
max_unavaliable: 1
max_unavailable: 120%
";
    assert_eq!(
        wrong(text),
        [
            "6: unknown key `max_unavaliable`",
            "1: `../orders` is no name for a service",
            "2: `orders; disable server x/y` cannot be a backend of HAProxy",
            "3: a swap has two pools",
            "4: load balancers can ask for health in plain HTTP only",
            "4: `/a b` is no path of a URL",
            "4: `42` is no HTTP status",
            "4: `successes: 0` would ask nothing",
            "5: `orders.example.org` is no URL",
            "7: `120%` is no number of servers",
        ]
    );
}

#[test]
fn a_duration_is_seconds_or_has_a_unit() {
    for (text, expected) in [
        ("90", 90_000),
        ("500ms", 500),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
    ] {
        let file = read(&format!("{LEAST}stagger: {text}\n")).unwrap();
        assert_eq!(file.stagger, Duration::from_millis(expected), "{text}");
    }
    for text in ["-1s", "soon", "5 parsecs", "''"] {
        let wrong = wrong(&format!("{LEAST}stagger: {text}\n"));
        assert!(wrong[0].contains("is no duration"), "{wrong:?}");
    }
}
