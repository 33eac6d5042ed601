//! Whether the value of one setting is what dockerd takes. Only what is certain is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::keys::{Key, Takes};
use super::measures::{is_host, is_host_and_port, is_size};
use super::nested;

/// What dockerd would refuse in `value`, each a sentence.
pub(super) fn problems(key: &Key, value: &Value) -> Vec<String> {
    let name = key.name;
    let (fits, what) = match key.takes {
        Takes::Bool => (value.is_boolean(), "true or false"),
        Takes::Integer => (value.is_i64() || value.is_u64(), "a whole number"),
        Takes::Count => (value.is_u64(), "a whole number, 0 or more"),
        Takes::Text => (value.is_string(), "a text"),
        Takes::Word(words) => return word(name, words, value),
        Takes::Address => (is_text(value, is_address), "an IP address"),
        Takes::Network4 => (
            is_text(value, is_network::<Ipv4Addr>),
            "an IPv4 address with the length of its network, as in `10.1.0.1/24`",
        ),
        Takes::Network6 => (
            is_text(value, is_network::<Ipv6Addr>),
            "an IPv6 address with the length of its network, as in `fd00::1/64`",
        ),
        Takes::Size => (is_text(value, is_size), "a size, as in `64m`"),
        Takes::HostAndPort => (
            is_text(value, is_host_and_port),
            "an address with a port, as in `127.0.0.1:9323`",
        ),
        Takes::Mirrors => {
            let what = "the address of a mirror, as in `https://mirror.example`";
            return items(name, value, is_mirror, what);
        }
        Takes::Registries => {
            let what = "a registry or a network, as in `registry.example:5000` or `10.0.0.0/8`, \
                        without a scheme";
            return items(name, value, is_registry, what);
        }
        Takes::Listeners => {
            let what = "an address to listen on, as in `fd://`, `unix:///run/docker.sock` or \
                        `tcp://127.0.0.1:2376`";
            return items(name, value, is_listener, what);
        }
        Takes::Ulimits => return nested::ulimits(name, value),
        Takes::Pools => return nested::pools(name, value),
        Takes::Runtimes => return nested::runtimes(name, value),
        Takes::Switches => return nested::switches(name, value),
        Takes::Proxies => return nested::proxies(name, value),
        Takes::NetworkOptions => return nested::network_options(name, value),
        Takes::Builder => return nested::builder(name, value),
        Takes::Texts => return items(name, value, |_| true, ""),
        Takes::Addresses => return items(name, value, is_address, "an IP address"),
        Takes::Pairs => return items(name, value, |item| item.contains('='), "`name=value`"),
        Takes::TextMap => return entries(name, value),
    };
    if fits {
        return Vec::new();
    }
    let found = match value {
        Value::String(text) if what.starts_with("an ") || what.starts_with("a size") => {
            format!("`{text}`")
        }
        Value::Number(number) if what.starts_with("a whole") => format!("`{number}`"),
        _ => in_words(value).to_owned(),
    };
    vec![format!("`{name}` takes {what}, not {found}")]
}

fn word(name: &str, words: &[&str], value: &Value) -> Vec<String> {
    if is_text(value, |text| words.contains(&text)) {
        return Vec::new();
    }
    let found = value
        .as_str()
        .map_or_else(|| in_words(value).to_owned(), |text| format!("`{text}`"));
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    vec![format!(
        "`{name}` takes one of {}, not {found}",
        words.join(", ")
    )]
}

fn items(name: &str, value: &Value, fits: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
    let Some(list) = value.as_array() else {
        return vec![format!("`{name}` takes a list, not {}", in_words(value))];
    };
    let problem = |(index, item): (usize, &Value)| match item.as_str() {
        None => Some(format!(
            "`{name}[{index}]` must be a text, not {}; write `- \"{item}\"`",
            in_words(item)
        )),
        Some(text) if !fits(text) => {
            Some(format!("`{name}[{index}]` must be {what}, not `{text}`"))
        }
        Some(_) => None,
    };
    list.iter().enumerate().filter_map(problem).collect()
}

fn entries(name: &str, value: &Value) -> Vec<String> {
    let Some(map) = value.as_object() else {
        return vec![format!("`{name}` takes a mapping, not {}", in_words(value))];
    };
    map.iter()
        .filter(|(_, item)| !item.is_string())
        .map(|(entry, item)| {
            format!(
                "`{name}.{entry}` must be a text, not {}: dockerd does not start otherwise; \
                 write `{entry}: \"{item}\"`",
                in_words(item)
            )
        })
        .collect()
}

/// An empty text is one, too: dockerd takes it for a setting that is not there.
fn is_text(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.is_empty() || fits(text))
}

fn is_mirror(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or(rest);
    ["http", "https"].contains(&scheme) && is_host(host) && !rest.contains(['?', '#'])
}

fn is_registry(text: &str) -> bool {
    nested::is_address_or_network(text) || is_host(text)
}

/// One without a scheme is an address as well.
fn is_listener(text: &str) -> bool {
    match text.split_once("://") {
        Some(("fd", _)) => true,
        Some(("unix" | "npipe", path)) => path.is_empty() || path.starts_with('/'),
        Some(("tcp", address)) => address.is_empty() || is_host(address),
        Some(_) => false,
        None => text.is_empty() || is_host(text),
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

pub(super) fn is_network<A: std::str::FromStr + Into<IpAddr>>(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let longest = |address: A| match address.into() {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let digits = !length.is_empty() && length.bytes().all(|digit| digit.is_ascii_digit());
    match (address.parse::<A>(), length.parse::<u8>()) {
        (Ok(address), Ok(length)) => digits && length <= longest(address),
        _ => false,
    }
}

pub(super) fn in_words(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::docker_daemon::keys;

    fn check(name: &str, value: &Value) -> String {
        problems(keys::find(name).unwrap(), value).join("; ")
    }

    #[test]
    fn what_dockerd_takes_is_accepted() {
        for (name, value) in [
            ("bip", json!("10.1.0.1/24")),
            ("bip", json!("")),
            ("fixed-cidr-v6", json!("2001:db8::/64")),
            ("default-gateway", json!("10.1.0.254")),
            ("dns", json!(["10.0.0.1", "::1"])),
            ("log-level", json!("warn")),
            ("default-cgroupns-mode", json!("private")),
            ("max-concurrent-downloads", json!(0)),
            ("default-shm-size", json!("64m")),
            ("metrics-addr", json!("127.0.0.1:9323")),
            (
                "hosts",
                json!(["fd://", "tcp://0.0.0.0:2376", "unix:///run/d.sock"]),
            ),
            ("registry-mirrors", json!(["https://mirror.example:5000/"])),
            (
                "insecure-registries",
                json!(["10.0.0.0/8", "registry.example:5000", "::1/128"]),
            ),
            ("shutdown-timeout", json!(-1)),
            ("labels", json!(["rack=a=1", "empty="])),
            ("storage-opts", json!(["dm.thinpooldev=/dev/mapper/p"])),
        ] {
            assert_eq!(check(name, &value), "", "{name}: {value}");
        }
    }

    #[test]
    fn what_dockerd_would_not_start_with_is_told() {
        for (name, value, expected) in [
            (
                "bip",
                json!("10.1.0.1"),
                "`bip` takes an IPv4 address with the length of its network, as in `10.1.0.1/24`, \
                 not `10.1.0.1`",
            ),
            (
                "fixed-cidr-v6",
                json!("10.1.0.0/24"),
                "`fixed-cidr-v6` takes an IPv6 address with the length of its network, as in \
                 `fd00::1/64`, not `10.1.0.0/24`",
            ),
            (
                "default-shm-size",
                json!("banana"),
                "`default-shm-size` takes a size, as in `64m`, not `banana`",
            ),
            (
                "metrics-addr",
                json!("9323"),
                "`metrics-addr` takes an address with a port, as in `127.0.0.1:9323`, not `9323`",
            ),
            (
                "hosts",
                json!(["http://0.0.0.0:2375"]),
                "`hosts[0]` must be an address to listen on, as in `fd://`, \
                 `unix:///run/docker.sock` or `tcp://127.0.0.1:2376`, not `http://0.0.0.0:2375`",
            ),
            (
                "registry-mirrors",
                json!(["mirror.example"]),
                "`registry-mirrors[0]` must be the address of a mirror, as in \
                 `https://mirror.example`, not `mirror.example`",
            ),
            (
                "insecure-registries",
                json!(["https://old.example"]),
                "`insecure-registries[0]` must be a registry or a network, as in \
                 `registry.example:5000` or `10.0.0.0/8`, without a scheme, not \
                 `https://old.example`",
            ),
            (
                "default-gateway",
                json!("gateway"),
                "`default-gateway` takes an IP address, not `gateway`",
            ),
            (
                "dns",
                json!(["10.0.0.1", "10.0.0"]),
                "`dns[1]` must be an IP address, not `10.0.0`",
            ),
            (
                "default-cgroupns-mode",
                json!("shared"),
                "`default-cgroupns-mode` takes one of `host`, `private`, not `shared`",
            ),
            (
                "default-ipc-mode",
                json!(true),
                "`default-ipc-mode` takes one of `private`, `shareable`, not true or false",
            ),
            (
                "max-concurrent-downloads",
                json!(-1),
                "`max-concurrent-downloads` takes a whole number, 0 or more, not `-1`",
            ),
            (
                "labels",
                json!(["rack", "a=1"]),
                "`labels[0]` must be `name=value`, not `rack`",
            ),
        ] {
            assert_eq!(check(name, &value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_network_has_a_length_that_fits_its_address() {
        for network in [
            "10.1.0.1/33",
            "10.1.0.1/",
            "10.1.0.1/+8",
            "10.1/8",
            "/8",
            "fd00::/64",
        ] {
            assert!(!is_network::<Ipv4Addr>(network), "{network}");
        }
        assert!(is_network::<Ipv4Addr>("0.0.0.0/0"));
        assert!(is_network::<Ipv6Addr>("fd00::/128"));
    }
}
