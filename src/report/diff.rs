//! Unified diffs for a terminal.

use super::text::Paint;
use crate::harmless;

/// The lines of a unified diff, safe to print and coloured as `git diff` does.
pub(super) fn body(diff: &str, paint: Paint) -> Vec<String> {
    harmless::lines(diff)
        .map(|line| match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => paint.bold(&line),
            [b'+', ..] => paint.green(&line),
            [b'-', ..] => paint.red(&line),
            [b'@', b'@', ..] => paint.cyan(&line),
            _ => line.into_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_reads_the_same_with_and_without_colour() {
        let diff = "--- a\n+++ b\n@@ -1 +1 @@\n same\n-old\x1b[31m\n+new\n";
        let plain = body(diff, Paint::new(false));
        assert_eq!(
            plain,
            [
                "--- a",
                "+++ b",
                "@@ -1 +1 @@",
                " same",
                "-old\\x1b[31m",
                "+new"
            ]
        );
        let coloured = body(diff, Paint::new(true));
        assert_ne!(plain, coloured);
        let stripped: Vec<_> = coloured
            .iter()
            .map(|line| console::strip_ansi_codes(line).into_owned())
            .collect();
        assert_eq!(plain, stripped);
    }
}
