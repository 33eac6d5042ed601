//! Settings that are mappings or lists of more than texts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::measures::is_size;
use super::values::{in_words, is_network};
use crate::resource::docker_container::valid::ULIMITS;

/// `nofile: { Name: nofile, Hard: 64000, Soft: 64000 }`; the engine does not mind the case.
pub(super) fn ulimits(name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (entry, limit) in entries(name, value, &mut problems) {
        let at = format!("{name}.{entry}");
        let Some(limit) = limit.as_object() else {
            problems.push(format!(
                "`{at}` takes a mapping of Name, Hard and Soft, not {}",
                in_words(limit)
            ));
            continue;
        };
        if let Some(unknown) = limit
            .keys()
            .find(|key| !["name", "hard", "soft"].contains(&key.to_ascii_lowercase().as_str()))
        {
            problems.push(format!("`{at}` takes Name, Hard and Soft, not `{unknown}`"));
        }
        match field(limit, "name").and_then(Value::as_str) {
            Some(known) if ULIMITS.contains(&known) => {}
            Some(other) => problems.push(format!(
                "`{at}.Name` takes one of {}, not `{other}`: containers would not start with it",
                ULIMITS.join(", ")
            )),
            None => problems.push(format!(
                "`{at}` needs its name once more: `Name: {entry}`; containers would not start \
                 without"
            )),
        }
        let mut number = |key: &str| {
            let found = field(limit, &key.to_ascii_lowercase());
            let number = found.and_then(Value::as_i64).filter(|number| *number >= -1);
            if number.is_none() {
                let found =
                    found.map_or_else(|| "nothing".to_owned(), |found| format!("`{found}`"));
                problems.push(format!(
                    "`{at}.{key}` takes a whole number, or -1 for no limit, not {found}"
                ));
            }
            number
        };
        if let (Some(hard), Some(soft)) = (number("Hard"), number("Soft"))
            && hard != -1
            && (soft > hard || soft == -1)
        {
            problems.push(format!(
                "`{at}` has a soft limit of {soft} above its hard limit of {hard}: containers \
                 would not start with it"
            ));
        }
    }
    problems
}

fn field<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// `[{ base: 10.10.0.0/16, size: 24 }]`.
pub(super) fn pools(name: &str, value: &Value) -> Vec<String> {
    let Some(list) = value.as_array() else {
        return vec![format!("`{name}` takes a list, not {}", in_words(value))];
    };
    let problem = |(index, pool): (usize, &Value)| {
        let at = format!("{name}[{index}]");
        let base = pool["base"].as_str().unwrap_or_default();
        let (is_v4, is_v6) = (is_network::<Ipv4Addr>(base), is_network::<Ipv6Addr>(base));
        if !is_v4 && !is_v6 {
            return Some(format!(
                "`{at}.base` must be a network, as in `10.10.0.0/16`, not `{base}`"
            ));
        }
        let length: u64 = base.rsplit_once('/')?.1.parse().ok()?;
        let most = if is_v4 { 32 } else { 128 };
        let fits = |size: u64| (length..=most).contains(&size);
        (!pool["size"].as_u64().is_some_and(fits)).then(|| {
            format!(
                "`{at}.size` must be the length of the networks that are cut from `{base}`, from \
                 {length} to {most}, not `{}`",
                pool["size"]
            )
        })
    };
    list.iter().enumerate().filter_map(problem).collect()
}

/// `{ kata: { path: /opt/kata/bin/kata-runtime } }`.
pub(super) fn runtimes(name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (entry, runtime) in entries(name, value, &mut problems) {
        let at = format!("{name}.{entry}");
        if entry == "runc" {
            problems.push(format!("`{at}`: the name `runc` is the engine's own"));
        }
        let text = |key: &str| runtime[key].as_str().is_some_and(|text| !text.is_empty());
        if !text("path") && !text("runtimeType") {
            problems.push(format!("`{at}` needs the path of its program: `path: /…`"));
        }
        let arguments = &runtime["runtimeArgs"];
        let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
        if !arguments.is_null() && !arguments.as_array().is_some_and(texts) {
            problems.push(format!("`{at}.runtimeArgs` takes a list of texts"));
        }
    }
    problems
}

/// `{ buildkit: true }`.
pub(super) fn switches(name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (entry, switch) in entries(name, value, &mut problems) {
        if !switch.is_boolean() {
            problems.push(format!(
                "`{name}.{entry}` takes true or false, not {}",
                in_words(switch)
            ));
        }
    }
    problems
}

/// `{ http-proxy: …, https-proxy: …, no-proxy: … }`.
pub(super) fn proxies(name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (entry, proxy) in entries(name, value, &mut problems) {
        if !["http-proxy", "https-proxy", "no-proxy"].contains(&entry.as_str()) {
            problems.push(format!(
                "`{name}` takes http-proxy, https-proxy and no-proxy, not `{entry}`"
            ));
        } else if !proxy.is_string() {
            problems.push(format!(
                "`{name}.{entry}` must be a text, not {}",
                in_words(proxy)
            ));
        }
    }
    problems
}

/// `{ bridge: { com.docker.network.driver.mtu: "1400" } }`.
pub(super) fn network_options(name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (driver, options) in entries(name, value, &mut problems) {
        let at = format!("{name}.{driver}");
        let mut inner = Vec::new();
        for (option, value) in entries(&at, options, &mut inner) {
            if !value.is_string() {
                problems.push(format!(
                    "`{at}.{option}` must be a text, not {}; write `{option}: \"{value}\"`",
                    in_words(value)
                ));
            }
        }
        problems.extend(inner);
    }
    problems
}

/// `{ gc: { enabled: true, defaultKeepStorage: 20GB } }`; of it only what the engine must be able to
/// read.
pub(super) fn builder(name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if !value.is_object() {
        problems.push(format!("`{name}` takes a mapping, not {}", in_words(value)));
    }
    let gc = &value["gc"];
    if !gc.is_null() && !gc.is_object() {
        problems.push(format!("`{name}.gc` takes a mapping, not {}", in_words(gc)));
    }
    let enabled = &gc["enabled"];
    if !enabled.is_null() && !enabled.is_boolean() {
        problems.push(format!(
            "`{name}.gc.enabled` takes true or false, not {}",
            in_words(enabled)
        ));
    }
    for key in [
        "defaultKeepStorage",
        "defaultMaxUsedSpace",
        "defaultMinFreeSpace",
        "defaultReservedSpace",
    ] {
        let size = &gc[key];
        // Shares of the disk are said in percent.
        let fits = |text: &str| text.is_empty() || is_size(text) || text.ends_with('%');
        if !size.is_null() && !size.as_str().is_some_and(fits) {
            problems.push(format!(
                "`{name}.gc.{key}` takes a size, as in `20GB`, not `{size}`"
            ));
        }
    }
    problems
}

/// The entries of a mapping; none, and a problem, if it is none.
fn entries<'a>(
    name: &str,
    value: &'a Value,
    problems: &mut Vec<String>,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    let map = value.as_object();
    if map.is_none() {
        problems.push(format!("`{name}` takes a mapping, not {}", in_words(value)));
    }
    map.into_iter().flatten()
}

/// Whether a text is an IP address or a network.
pub(super) fn is_address_or_network(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_network::<Ipv4Addr>(text) || is_network::<Ipv6Addr>(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_those_that_containers_start_with() {
        let limit = |value: Value| ulimits("default-ulimits", &value).join("\n");
        for value in [
            json!({ "nofile": { "Name": "nofile", "Hard": 64000, "Soft": 1024 } }),
            json!({ "core": { "name": "core", "hard": -1, "soft": -1 } }),
            json!({}),
        ] {
            assert_eq!(limit(value.clone()), "", "{value}");
        }
        for (value, expected) in [
            (
                json!({ "nofile": { "Name": "nofile", "Hard": 1024, "Soft": 64000 } }),
                "`default-ulimits.nofile` has a soft limit of 64000 above its hard limit of 1024: \
                 containers would not start with it",
            ),
            (
                json!({ "nofile": { "Name": "nofile", "Hard": 1024, "Soft": -1 } }),
                "`default-ulimits.nofile` has a soft limit of -1 above its hard limit of 1024: \
                 containers would not start with it",
            ),
            (
                json!({ "files": { "Name": "files", "Hard": 1, "Soft": 1 } }),
                "`default-ulimits.files.Name` takes one of core, cpu, data, fsize, locks, memlock, \
                 msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack, not \
                 `files`: containers would not start with it",
            ),
            (
                json!({ "nofile": { "Hard": 1, "Soft": 1 } }),
                "`default-ulimits.nofile` needs its name once more: `Name: nofile`; containers \
                 would not start without",
            ),
            (
                json!({ "nofile": { "Name": "nofile", "Hard": "1k", "Soft": 1 } }),
                "`default-ulimits.nofile.Hard` takes a whole number, or -1 for no limit, not `\"1k\"`",
            ),
            (
                json!({ "nofile": { "Name": "nofile", "Hard": 1 } }),
                "`default-ulimits.nofile.Soft` takes a whole number, or -1 for no limit, not nothing",
            ),
            (
                json!({ "nofile": { "Name": "nofile", "Hard": 2, "Soft": 1, "Sofft": 2 } }),
                "`default-ulimits.nofile` takes Name, Hard and Soft, not `Sofft`",
            ),
            (
                json!({ "nofile": 64000 }),
                "`default-ulimits.nofile` takes a mapping of Name, Hard and Soft, not a number",
            ),
            (json!([]), "`default-ulimits` takes a mapping, not a list"),
        ] {
            assert_eq!(limit(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn pools_are_cut_into_networks_that_fit() {
        let pool = |value: Value| pools("default-address-pools", &value).join("\n");
        assert_eq!(pool(json!([{ "base": "10.10.0.0/16", "size": 24 }])), "");
        assert_eq!(pool(json!([{ "base": "fd00::/48", "size": 64 }])), "");
        assert_eq!(
            pool(json!([{ "base": "10.10.0.0", "size": 24 }])),
            "`default-address-pools[0].base` must be a network, as in `10.10.0.0/16`, not \
             `10.10.0.0`"
        );
        assert_eq!(
            pool(json!([{ "base": "10.10.0.0/16", "size": 8 }])),
            "`default-address-pools[0].size` must be the length of the networks that are cut from \
             `10.10.0.0/16`, from 16 to 32, not `8`"
        );
    }

    #[test]
    fn what_is_nested_is_of_the_type_it_has() {
        for (problems, expected) in [
            (
                runtimes("runtimes", &json!({ "kata": {} })),
                "`runtimes.kata` needs the path of its program: `path: /…`",
            ),
            (
                runtimes("runtimes", &json!({ "runc": { "path": "/x" } })),
                "`runtimes.runc`: the name `runc` is the engine's own",
            ),
            (
                switches("features", &json!({ "buildkit": "yes" })),
                "`features.buildkit` takes true or false, not a text",
            ),
            (
                proxies("proxies", &json!({ "ftp-proxy": "x" })),
                "`proxies` takes http-proxy, https-proxy and no-proxy, not `ftp-proxy`",
            ),
            (
                network_options(
                    "default-network-opts",
                    &json!({ "bridge": { "mtu": 1400 } }),
                ),
                "`default-network-opts.bridge.mtu` must be a text, not a number; write \
                 `mtu: \"1400\"`",
            ),
            (
                builder(
                    "builder",
                    &json!({ "gc": { "defaultKeepStorage": "much" } }),
                ),
                "`builder.gc.defaultKeepStorage` takes a size, as in `20GB`, not `\"much\"`",
            ),
            (
                builder("builder", &json!({ "gc": { "enabled": "yes" } })),
                "`builder.gc.enabled` takes true or false, not a text",
            ),
        ] {
            assert_eq!(problems, [expected]);
        }
        let fine = json!({ "kata": { "path": "/opt/kata", "runtimeArgs": ["--x"] } });
        assert_eq!(runtimes("runtimes", &fine), [""; 0]);
        let fine = json!({ "gc": { "enabled": true, "defaultKeepStorage": "20GB" } });
        assert_eq!(builder("builder", &fine), [""; 0]);
    }
}
