//! `web[01:20]`: one line for many hosts, and `host:port`.

use super::HostName;

/// More hosts than this from one line is a slip of the pen.
const MOST: usize = 100_000;

/// The hosts a line of the inventory names, and the port written behind them.
///
/// # Errors
/// What is wrong with the text, without a place.
pub(super) fn expand(text: &str) -> Result<(Vec<HostName>, Option<u16>), String> {
    if let Ok(host) = text.parse() {
        return Ok((vec![host], None));
    }
    let (names, port) = match text.rsplit_once(':') {
        // A colon inside brackets belongs to a range or an address.
        Some((names, port)) if !port.contains(']') => {
            let port = port.parse().ok().filter(|port| *port != 0);
            let port = port.ok_or_else(|| format!("`{text}`: what follows `:` is not a port"))?;
            (names, Some(port))
        }
        _ => (text, None),
    };
    if let Ok(host) = names.parse() {
        return Ok((vec![host], port));
    }
    let mut expanded = vec![String::new()];
    let mut rest = names;
    while let Some((before, after)) = rest.split_once('[') {
        let (range, after) = after
            .split_once(']')
            .ok_or_else(|| format!("`{text}`: `[` is not closed by `]`"))?;
        let values = values(range).map_err(|reason| format!("`{text}`: {reason}"))?;
        if expanded.len().saturating_mul(values.len()) > MOST {
            return Err(format!("`{text}` stands for more than {MOST} hosts"));
        }
        expanded = expanded
            .iter()
            .flat_map(|head| {
                values
                    .iter()
                    .map(move |value| format!("{head}{before}{value}"))
            })
            .collect();
        rest = after;
    }
    let hosts = expanded
        .iter()
        .map(|head| format!("{head}{rest}").parse())
        .collect::<Result<_, _>>();
    Ok((hosts?, port))
}

/// What one `begin:end` or `begin:end:step` stands for, its end included.
fn values(range: &str) -> Result<Vec<String>, String> {
    let mut parts = range.split(':');
    let (Some(begin), Some(end), step, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("`[{range}]` is no range, write `[1:9]` or `[a:f]`"));
    };
    let step = match step.map(str::parse::<usize>) {
        None => 1,
        Some(Ok(step)) if step > 0 => step,
        Some(_) => return Err(format!("the step of `[{range}]` is not a number above 0")),
    };
    if let ([first], [last]) = (begin.as_bytes(), end.as_bytes())
        && (first.is_ascii_lowercase() && last.is_ascii_lowercase()
            || first.is_ascii_uppercase() && last.is_ascii_uppercase())
    {
        if first > last {
            return Err(format!("`[{range}]` ends before it begins"));
        }
        return Ok((*first..=*last)
            .step_by(step)
            .map(|byte| char::from(byte).to_string())
            .collect());
    }
    let number = |text: &str| {
        text.parse::<usize>()
            .ok()
            .filter(|_| !text.starts_with('+'))
            .ok_or_else(|| format!("`[{range}]` is no range, write `[1:9]` or `[a:f]`"))
    };
    let (first, last) = (
        if begin.is_empty() { 0 } else { number(begin)? },
        number(end)?,
    );
    let width = if begin.len() > 1 && begin.starts_with('0') {
        begin.len()
    } else {
        0
    };
    if width != 0 && width != end.len() {
        return Err(format!(
            "`[{range}]` begins and ends with a different number of digits"
        ));
    }
    if first > last {
        return Err(format!("`[{range}]` ends before it begins"));
    }
    if (last - first) / step >= MOST {
        return Err(format!("`[{range}]` stands for more than {MOST} hosts"));
    }
    Ok((first..=last)
        .step_by(step)
        .map(|value| format!("{value:0width$}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        expand(text)
            .unwrap()
            .0
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn ranges_include_their_end() {
        assert_eq!(names("web[8:10]"), ["web8", "web9", "web10"]);
        assert_eq!(names("web[08:10].x"), ["web08.x", "web09.x", "web10.x"]);
        assert_eq!(names("db-[a:c]"), ["db-a", "db-b", "db-c"]);
        assert_eq!(names("n[0:10:5]"), ["n0", "n5", "n10"]);
        assert_eq!(names("n[:2]"), ["n0", "n1", "n2"]);
        assert_eq!(names("[a:b][1:2]"), ["a1", "a2", "b1", "b2"]);
    }

    #[test]
    fn ports_and_addresses() {
        let (hosts, port) = expand("web[1:2]:2222").unwrap();
        assert_eq!((hosts.len(), port), (2, Some(2222)));
        assert_eq!(expand("[2001:db8::1]:22").unwrap().1, Some(22));
        assert_eq!(names("[2001:db8::1]:22"), ["2001:db8::1"]);
        assert_eq!(names("2001:db8::1"), ["2001:db8::1"]);
    }

    #[test]
    fn what_is_no_range_says_so() {
        let cases = [
            (
                "web[01:2]",
                "`web[01:2]`: `[01:2]` begins and ends with a different number of digits",
            ),
            ("web[9:1]", "`web[9:1]`: `[9:1]` ends before it begins"),
            (
                "web[1]",
                "`web[1]`: `[1]` is no range, write `[1:9]` or `[a:f]`",
            ),
            (
                "web[1:x]",
                "`web[1:x]`: `[1:x]` is no range, write `[1:9]` or `[a:f]`",
            ),
            (
                "web[1:9:0]",
                "`web[1:9:0]`: the step of `[1:9:0]` is not a number above 0",
            ),
            ("web[1:9", "`web[1:9`: `[` is not closed by `]`"),
            ("web[1", "`web[1`: `[` is not closed by `]`"),
            ("web:99999", "`web:99999`: what follows `:` is not a port"),
            (
                "n[0:99999999]",
                "`n[0:99999999]`: `[0:99999999]` stands for more than 100000 hosts",
            ),
            (
                "n[0:999][0:999]",
                "`n[0:999][0:999]` stands for more than 100000 hosts",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(expand(text).unwrap_err(), message);
        }
    }
}
