//! Columns for people, and times as they read them.

use jiff::{SignedDuration, Timestamp};

use crate::report::single_line;

/// Rows under a heading, as wide as they need to be; the last column is not padded. What could
/// steer a terminal is made harmless.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let shown: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned))
        .chain(
            rows.iter()
                .map(|row| row.each_ref().map(|cell| single_line(cell).into_owned())),
        )
        .collect();
    let width = |column: usize| {
        let widths = shown
            .iter()
            .map(|row| console::measure_text_width(&row[column]));
        widths.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &shown {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let padding = width - console::measure_text_width(cell);
            line.push_str(cell);
            line.push_str(&" ".repeat(padding + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time to the second, in UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long something lasts or took, in its largest unit: `12d`, `3h`, `5m`, `8s`.
pub(super) fn age(lasting: SignedDuration) -> String {
    let seconds = lasting.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_harmless() {
        let rows = [
            ["web01".to_owned(), "ä".to_owned(), "end".to_owned()],
            ["a".to_owned(), "\x1b[2J".to_owned(), String::new()],
        ];
        insta::assert_snapshot!(table(["HOST", "X", "LAST"], &rows), @r"
        HOST   X        LAST
        web01  ä        end
        a      \x1b[2J
        ");
    }

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, shown) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (86_399, "23h"),
            (86_400, "1d"),
        ] {
            assert_eq!(age(SignedDuration::from_secs(seconds)), shown);
        }
    }
}
