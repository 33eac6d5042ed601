//! A comparison for people: a line for each value that is not the majority's, one summary line.

use std::borrow::Cow;

use super::Comparison;
use crate::harmless::single_line;
use crate::report::text::{Paint, TextOptions, Verbosity, counted, names};

/// So many hosts are named in the last line.
const NAMED_DEVIANTS: usize = 3;

impl Comparison {
    /// What differs; nothing with [`Verbosity::Quiet`] if nothing does.
    #[must_use]
    pub fn render(&self, options: TextOptions) -> String {
        let paint = Paint::new(options.color);
        let mut lines: Vec<String> = Vec::new();
        for difference in &self.differences {
            let all: usize = difference
                .values
                .iter()
                .map(|share| share.hosts.len())
                .sum();
            let (shares, beside) = match difference.majority() {
                Some((most, others)) => {
                    let what = most.value.as_deref().map_or("none".into(), shown);
                    let count = most.hosts.len();
                    (others, format!("; {count} of {all} have {what}"))
                }
                None => (&difference.values[..], "; no majority".to_owned()),
            };
            for share in shares {
                let value = share.value.as_deref().map_or("absent".into(), shown);
                let hosts: Vec<_> = share.hosts.iter().map(String::as_str).collect();
                lines.push(format!(
                    "{} {} {}  {value}{beside}   {}",
                    paint.yellow("~"),
                    difference.section,
                    single_line(&difference.name),
                    paint.dim(&format!("[{}]", names(&hosts, options.verbosity)))
                ));
            }
        }
        for untold in &self.untold {
            let hosts: Vec<_> = untold.hosts.iter().map(String::as_str).collect();
            lines.push(format!(
                "{} {}  {}   {}",
                paint.magenta("?"),
                untold.section,
                single_line(&untold.reason),
                paint.dim(&format!("[{}]", names(&hosts, options.verbosity)))
            ));
        }
        if lines.is_empty() && options.verbosity == Verbosity::Quiet {
            return String::new();
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(self.summary());
        lines.join("\n") + "\n"
    }

    fn summary(&self) -> String {
        let compared = format!("{} compared", counted(self.hosts.len(), "host"));
        if self.differences.is_empty() {
            return format!("{compared}: no difference.");
        }
        let differences = counted(self.differences.len(), "difference");
        let deviants = self.deviants();
        let named: Vec<_> = deviants
            .iter()
            .take(NAMED_DEVIANTS)
            .map(|(host, count)| format!("{} ({count})", single_line(host)))
            .collect();
        let who = match deviants.len() {
            0 => String::new(),
            1..=NAMED_DEVIANTS => format!("; not with the majority: {}", named.join(", ")),
            more => format!(
                "; not with the majority: {more} hosts, most often {}",
                named.join(", ")
            ),
        };
        format!("{compared}: {differences}{who}.")
    }
}

fn shown(value: &str) -> Cow<'_, str> {
    match value {
        "" => "(empty)".into(),
        value => single_line(value),
    }
}
