//! When a job runs: the five fields of crontab(5), as both cronie and Debian's cron read them.

use std::collections::BTreeSet;

/// What one field may say.
pub(super) struct Field {
    pub name: &'static str,
    least: u32,
    most: u32,
    /// Words for the numbers from `least` on.
    words: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The fields in their order.
pub(super) const FIELDS: [Field; 5] = [
    Field::of_numbers("minute", 0, 59),
    Field::of_numbers("hour", 0, 23),
    Field::of_numbers("day", 1, 31),
    Field {
        words: &MONTHS,
        ..Field::of_numbers("month", 1, 12)
    },
    Field {
        words: &DAYS,
        ..Field::of_numbers("weekday", 0, 7)
    },
];

impl Field {
    const fn of_numbers(name: &'static str, least: u32, most: u32) -> Self {
        Self {
            name,
            least,
            most,
            words: &[],
        }
    }

    /// The numbers that a text stands for.
    ///
    /// # Errors
    /// Which part cron does not take, and what to write instead.
    pub(super) fn numbers(&self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((first, last)) => (self.number(first)?, self.number(last)?),
                None if step.is_some() => {
                    return Err(format!(
                        "`{part}` has a step without a range; write `{range}-{}/{}` or `*/{}`",
                        self.most,
                        step.unwrap_or_default(),
                        step.unwrap_or_default()
                    ));
                }
                None => (self.number(range)?, self.number(range)?),
            };
            if first > last {
                return Err(format!(
                    "the range `{range}` ends before it begins; write its two halves with a \
                     comma between them"
                ));
            }
            let step = match step {
                None => 1,
                Some(step) => digits(step)
                    .filter(|step| (1..=self.most).contains(step))
                    .ok_or_else(|| {
                        format!("the step of `{part}` is no number from 1 to {}", self.most)
                    })?,
            };
            numbers.extend((first..=last).step_by(step as usize));
        }
        Ok(numbers)
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let is_word = |word: &&str| word.eq_ignore_ascii_case(text);
        let word = self.words.iter().position(is_word);
        let word = word.and_then(|at| Some(self.least + u32::try_from(at).ok()?));
        digits(text)
            .or(word)
            .filter(|number| (self.least..=self.most).contains(number))
            .ok_or_else(|| {
                let words = match self.words {
                    [first, .., last] => format!(" or `{first}` to `{last}`"),
                    _ => String::new(),
                };
                format!(
                    "`{text}` is not a number from {} to {}{words}",
                    self.least, self.most
                )
            })
    }
}

fn digits(text: &str) -> Option<u32> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| only_digits)
}

/// Whether some month of these has one of these days.
pub(super) fn has_a_day(days: &BTreeSet<u32>, months: &BTreeSet<u32>) -> bool {
    let longest = months.iter().map(|month| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    });
    days.first() <= longest.max().as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> &'static Field {
        FIELDS.iter().find(|field| field.name == name).unwrap()
    }

    #[test]
    fn a_field_stands_for_the_numbers_that_cron_takes_it_for() {
        for (name, text, expected) in [
            ("minute", "*/20", vec![0, 20, 40]),
            ("minute", "0,59", vec![0, 59]),
            ("minute", "10-30/10,5", vec![5, 10, 20, 30]),
            ("hour", "22-23", vec![22, 23]),
            ("month", "JAN,mar-may", vec![1, 3, 4, 5]),
            ("weekday", "mon-fri", vec![1, 2, 3, 4, 5]),
            ("weekday", "0,7", vec![0, 7]),
            ("weekday", "6-7", vec![6, 7]),
            ("day", "01", vec![1]),
        ] {
            let expected: BTreeSet<_> = expected.into_iter().collect();
            assert_eq!(field(name).numbers(text), Ok(expected), "{name} {text}");
        }
    }

    #[test]
    fn what_cron_would_refuse_or_read_otherwise_is_refused() {
        for (name, text, expected) in [
            ("minute", "60", "`60` is not a number from 0 to 59"),
            ("minute", "+5", "`+5` is not a number"),
            ("minute", "", "`` is not a number"),
            ("minute", "1,,2", "`` is not a number"),
            ("minute", "5-", "`` is not a number"),
            (
                "minute",
                "*/0",
                "the step of `*/0` is no number from 1 to 59",
            ),
            ("minute", "*/90", "the step of `*/90`"),
            ("minute", "*/", "the step of `*/`"),
            ("minute", "5/10", "write `5-59/10` or `*/10`"),
            ("minute", "*-5", "`*` is not a number"),
            ("minute", "jan", "`jan` is not a number"),
            ("hour", "24", "`24` is not a number from 0 to 23"),
            ("hour", "22-2", "the range `22-2` ends before it begins"),
            ("day", "0", "`0` is not a number from 1 to 31"),
            ("day", "*/32", "the step of `*/32`"),
            ("month", "13", "from 1 to 12 or `jan` to `dec`"),
            ("month", "january", "`january` is not a number"),
            ("month", "mon", "`mon` is not a number"),
            ("weekday", "8", "from 0 to 7 or `sun` to `sat`"),
            ("weekday", "sat-sun", "the range `sat-sun` ends"),
        ] {
            let error = field(name).numbers(text).unwrap_err();
            assert!(error.contains(expected), "{name} {text}: {error}");
        }
    }

    #[test]
    fn a_day_that_no_month_has_never_comes() {
        for (day, month, comes) in [
            ("31", "*", true),
            ("31", "apr,jun", false),
            ("30", "2", false),
            ("29", "2", true),
            ("30-31", "4", true),
        ] {
            let [days, months] = [("day", day), ("month", month)]
                .map(|(name, text)| field(name).numbers(text).unwrap());
            assert_eq!(has_a_day(&days, &months), comes, "{day} {month}");
        }
    }

    #[test]
    fn fuzz_cron_times() {
        crate::fuzz::feed(
            "cron_times",
            ["*/5", "1-5,7", "mon-fri", "0-23/2", "jan,dec"],
            |bytes| {
                let text = String::from_utf8_lossy(bytes);
                for name in ["minute", "hour", "day", "month", "weekday"] {
                    let _ = field(name).numbers(&text);
                }
            },
        );
    }
}
