//! Sizes, durations and the like, as the engine's own parsers read them.

/// Whether a text is a size of more than nothing: `100m`, `1.5GB`, `64 MiB`.
pub(super) fn is_size(text: &str) -> bool {
    let end = text
        .find(|sign: char| !sign.is_ascii_digit() && sign != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = match unit.strip_prefix(['k', 'm', 'g', 't', 'p']) {
        Some(rest) => rest.strip_prefix('i').unwrap_or(rest),
        None => &unit,
    };
    let is_number = number.starts_with(|sign: char| sign.is_ascii_digit())
        && number.parse::<f64>().is_ok_and(|number| number > 0.0);
    is_number && matches!(unit, "" | "b")
}

/// Whether a text is a duration: `1s`, `1m30s`, `500ms`.
pub(super) fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|sign: char| !sign.is_ascii_digit() && sign != '.')
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let units = ["ms", "us", "µs", "ns", "h", "m", "s"];
        let Some(unit) = units.iter().find(|unit| behind.starts_with(**unit)) else {
            return false;
        };
        if number.parse::<f64>().is_err() {
            return false;
        }
        rest = &behind[unit.len()..];
    }
    !text.is_empty()
}

/// Whether a text is true or false, in one of the words of the engine's language.
pub(super) fn is_switch(text: &str) -> bool {
    matches!(
        text,
        "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False"
    )
}

/// Whether a text is `host:port`.
pub(super) fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(_, port)| is_port(port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|sign| sign.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether a text is the name or the address of a host, perhaps with a port.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address without a port has no bracket at its end, or ends in one.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let fits = |sign: char| sign.is_ascii_alphanumeric() || ".-_[]:%".contains(sign);
    let is_name = !host.is_empty()
        && host.chars().all(fits)
        && !host.starts_with('-')
        && !host.ends_with('-');
    is_name && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read_as_the_engine_reads_them() {
        for size in ["100m", "10M", "1.5GB", "64 MiB", "1024", "5kb", "1g"] {
            assert!(is_size(size), "{size}");
        }
        for size in ["banana", "", "-1", "0", "10x", "m", "1..5m", "10 mm", ".5m"] {
            assert!(!is_size(size), "{size}");
        }
        for duration in ["1s", "1m30s", "500ms", "0.5h"] {
            assert!(is_duration(duration), "{duration}");
        }
        for duration in ["", "1", "s", "1x", "1s2", "1.2.3s"] {
            assert!(!is_duration(duration), "{duration}");
        }
        assert!(is_switch("true") && is_switch("0") && !is_switch("yes"));
    }

    #[test]
    fn hosts_have_ports_in_range_and_no_scheme() {
        for host in [
            "registry.example",
            "registry.example:5000",
            "10.0.0.1:80",
            "[fd00::1]:5000",
            "fd00::1",
        ] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "http://x", "x:70000", "x:", "-x", "a b", "x/y"] {
            assert!(!is_host(host), "{host}");
        }
        assert!(is_host_and_port("127.0.0.1:9323") && !is_host_and_port("9323"));
    }
}
