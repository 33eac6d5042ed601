//! Values by their meaning: the kernel shows them in its own form.

/// Whether a value that was written is what the kernel shows, or would show.
///
/// Numbers may be written in hexadecimal and octal, lists of numbers with their ranges spelled
/// out, and of several numbers only the first: the kernel leaves the others as they are.
pub(super) fn is_same(written: &str, shown: &str) -> bool {
    if written == shown {
        return true;
    }
    let numbers =
        |text: &str| -> Option<Vec<i128>> { text.split_whitespace().map(number).collect() };
    if let (Some(written), Some(shown)) = (numbers(written), numbers(shown)) {
        return !written.is_empty() && shown.starts_with(&written);
    }
    match (ranges(written), ranges(shown)) {
        (Some(written), Some(shown)) => written == shown,
        _ => false,
    }
}

/// As the kernel reads it, with the base told by its first digits.
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (lower.as_str(), 10),
    };
    let are_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
    let value = i128::from_str_radix(digits, base).ok()?;
    are_digits.then_some(sign * value)
}

/// `80,8000-8002` as ranges in their order, those joined that touch.
fn ranges(text: &str) -> Option<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        ranges.push((first, last));
    }
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (written, shown, same) in [
            ("1", "1", true),
            ("0x10", "16", true),
            ("0X1f", "31", true),
            ("010", "8", true),
            ("010", "10", false),
            ("0", "0", true),
            ("+1", "1", true),
            ("-1", "-1", true),
            ("-0x1", "-1", true),
            ("4096 0x20000 6291456", "4096 131072 6291456", true),
            ("4096 131072 1", "4096 131072 6291456", false),
            // `kernel.printk`: the other three stay.
            ("3", "3 4 1 7", true),
            ("4 1", "3 4 1 7", false),
            ("3 4 1 7", "3", false),
            // `net.ipv4.ip_local_reserved_ports`.
            ("8001,8000,8002,80", "80,8000-8002", true),
            ("80,8000-8003", "80,8000-8002", false),
            ("cubic", "reno", false),
            ("64k", "65536", false),
            ("0x", "0", false),
            ("", "0", false),
        ] {
            assert_eq!(is_same(written, shown), same, "{written:?} {shown:?}");
        }
    }

    #[test]
    fn fuzz_values() {
        crate::fuzz::feed(
            "sysctl_value",
            ["1", "0x10", "-1", "4096 87380\t6291456", "0-3,7"],
            |bytes| {
                let text = String::from_utf8_lossy(bytes);
                assert!(is_same(&text, &text) || text.trim().is_empty(), "{text}");
                is_same(&text, "0-3,7");
            },
        );
    }
}
