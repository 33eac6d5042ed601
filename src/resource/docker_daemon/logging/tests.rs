use serde_json::json;

use super::*;

fn check(version: &str, driver: &str, options: &Value) -> String {
    let mut config = Map::new();
    if !driver.is_empty() {
        config.insert("log-driver".to_owned(), Value::from(driver));
    }
    config.insert("log-opts".to_owned(), options.clone());
    problems(&config, &version.parse().unwrap(), "").join("\n")
}

#[test]
fn usual_options_of_each_driver_are_accepted() {
    for (driver, options) in [
        (
            "",
            json!({ "max-size": "100m", "max-file": "3", "compress": "true" }),
        ),
        (
            "json-file",
            json!({ "labels": "a", "env": "B", "tag": "{{.Name}}", "max-size": "1.5g" }),
        ),
        ("local", json!({ "max-size": "10m", "compress": "true" })),
        (
            "journald",
            json!({ "tag": "x", "mode": "non-blocking", "max-buffer-size": "4m" }),
        ),
        (
            "syslog",
            json!({ "syslog-address": "udp://logs:514", "syslog-format": "rfc5424" }),
        ),
        (
            "gelf",
            json!({ "gelf-address": "udp://logs:12201", "gelf-compression-level": "-1" }),
        ),
        (
            "fluentd",
            json!({ "fluentd-address": "logs:24224", "fluentd-retry-wait": "1s" }),
        ),
        (
            "splunk",
            json!({ "splunk-token": "t", "splunk-url": "https://s", "splunk-gzip": "true" }),
        ),
        (
            "awslogs",
            json!({ "awslogs-group": "g", "awslogs-create-group": "true" }),
        ),
        ("none", json!({})),
        (
            "grafana/loki-docker-driver:latest",
            json!({ "loki-url": "x" }),
        ),
        ("loki", json!({ "loki-url": "x" })),
    ] {
        assert_eq!(
            check("20.10.24", driver, &options),
            "",
            "{driver} {options}"
        );
    }
}

#[test]
fn what_every_new_container_would_fail_of_is_told() {
    for (version, driver, options, expected) in [
        (
            "20.10.24",
            "",
            json!({ "max-size": "banana" }),
            "`log-opts.max-size` takes a size, as in `10m`, not `banana`: containers would not \
             start with it",
        ),
        (
            "20.10.24",
            "json-file",
            json!({ "max-file": "0" }),
            "`log-opts.max-file` takes a whole number, 1 or more, not `0`: containers would \
             not start with it",
        ),
        (
            "20.10.24",
            "local",
            json!({ "compress": "yes" }),
            "`log-opts.compress` takes `\"true\"` or `\"false\"`, not `yes`: containers would \
             not start with it",
        ),
        (
            "20.10.24",
            "gelf",
            json!({ "gelf-address": "logs:12201" }),
            "`log-opts.gelf-address` takes an address that begins with one of `tcp`, `udp`, \
             not `logs:12201`: containers would not start with it",
        ),
        (
            "20.10.24",
            "fluentd",
            json!({ "fluentd-retry-wait": "1" }),
            "`log-opts.fluentd-retry-wait` takes a duration, as in `1s`, not `1`: containers \
             would not start with it",
        ),
        (
            "20.10.24",
            "syslog",
            json!({ "syslog-format": "rfc1" }),
            "`log-opts.syslog-format` takes one of `rfc3164`, `rfc5424`, `rfc5424micro`, not \
             `rfc1`: containers would not start with it",
        ),
        (
            "20.10.24",
            "splunk",
            json!({ "splunk-gzip-level": "10" }),
            "`log-opts.splunk-gzip-level` takes a whole number from -1 to 9, not `10`: \
             containers would not start with it",
        ),
        (
            "20.10.24",
            "journald",
            json!({ "max-size": "10m" }),
            "the log driver `journald` has no option `max-size`, and containers would not \
             start with it; it takes `env`, `env-regex`, `labels`, `labels-regex`, `tag`",
        ),
        (
            "20.10.24",
            "local",
            json!({ "labels": "a" }),
            "the log driver `local` has no option `labels`, and containers would not start \
             with it; it takes `compress`, `max-file`, `max-size`",
        ),
        (
            "20.10.24",
            "journald",
            json!({ "max-buffer-size": "10m" }),
            "`log-opts.max-buffer-size` needs `mode: non-blocking` beside it",
        ),
        (
            "20.10.24",
            "json-file",
            json!({ "compress": "true", "max-size": "10m" }),
            "`log-opts.compress` needs `max-size` and a `max-file` of 2 or more beside it: \
             containers would not start with it",
        ),
        (
            "18.03.1",
            "json-file",
            json!({ "compress": "false" }),
            "the engine 18.03.1 does not know `log-opts.compress` yet: it came with 18.06",
        ),
        (
            "18.06.3",
            "local",
            json!({}),
            "the engine 18.06.3 does not know the log driver `local` yet: it came with 18.09",
        ),
    ] {
        assert_eq!(
            check(version, driver, &options),
            expected,
            "{driver} {options}"
        );
    }
}

#[cfg(feature = "control")]
#[test]
fn a_slip_is_told_from_a_plugin() {
    assert_eq!(
        check("20.10.24", "jsonfile", &json!({})),
        "no engine has a log driver `jsonfile`; did you mean `json-file`?"
    );
    assert_eq!(
        check("20.10.24", "", &json!({ "maxsize": "1m" })),
        "the log driver `json-file` has no option `maxsize`, and containers would not start \
         with it; did you mean `max-size`?"
    );
}

#[test]
fn a_flag_may_name_the_driver() {
    let config = json!({ "log-opts": { "tag": "x", "gelf-address": "udp://x" } });
    let config = config.as_object().unwrap();
    let version = "20.10.24".parse().unwrap();
    assert_eq!(problems(config, &version, "").len(), 1);
    let drop_in = "ExecStart=/usr/bin/dockerd --log-driver=gelf";
    assert_eq!(problems(config, &version, drop_in), [""; 0]);
}

#[test]
fn the_engine_knows_its_drivers_and_plugins() {
    let info = json!({ "Plugins": { "Log": ["json-file", "local", "loki:latest"] } });
    for driver in ["json-file", "loki", "loki:latest", "none", ""] {
        assert_eq!(unknown_driver(driver, &info), None, "{driver}");
    }
    assert_eq!(
        unknown_driver("xyzzy", &info).as_deref(),
        Some("json-file, local, loki:latest")
    );
    assert_eq!(unknown_driver("xyzzy", &json!({})), None);
}
