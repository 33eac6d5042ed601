//! The report as one HTML file: no requests, no markup from hosts, readable on paper.
//!
//! `page.html`, `style.css` and `page.js` are what they say. What was found goes in as JSON that
//! the script sets as text. Should that ever fail, the page's policy names its one script and its
//! one style by hash, so nothing else on it can run.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{Command, ExitCode, RunReport, text};
use crate::harmless;
use data::Data;

mod data;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// The report as a page.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "plain structs in memory always serialize"
)]
pub fn to_html(report: &RunReport) -> String {
    let data = serde_json::to_string(&Data::new(report))
        .expect("no map of the data has a key that is not text");
    let data = harmless::json(data);
    let line = text::summary(report);
    // The first clause is what most readers came for.
    let (headline, rest) = line.split_once("; ").unwrap_or((&line, ""));
    let (verdict, mark) = verdict(report);
    let time = |format| report.started_at.strftime(format).to_string();
    fill(PAGE, |slot| match slot {
        "csp" => policy().into(),
        "style" => STYLE.into(),
        "script" => SCRIPT.into(),
        "data" => inert(&data).into(),
        "version" => env!("CARGO_PKG_VERSION").into(),
        "title" => markup(&format!("fleet {}: {line}", report.command.as_str())).into(),
        "command" => report.command.as_str().into(),
        "playbook" => markup(&harmless::single_line(&report.playbook)).into(),
        "verdict" => verdict.into(),
        "mark" => mark.into(),
        "line" => markup(headline).into(),
        "rest" => markup(rest).into(),
        "started" => time("%Y-%m-%dT%H:%M:%SZ").into(),
        "started_words" => time("%e %B %Y, %H:%M:%S UTC")
            .trim_start()
            .to_owned()
            .into(),
        "duration" => duration(report.duration).into(),
        "exit" => (report.exit_code() as u8).to_string().into(),
        "run_id" => markup(&harmless::single_line(&report.run_id)).into(),
        _ => unreachable!("the page has no slot {slot}: its test fills them all"),
    })
}

/// Replaces each `{{slot}}`, looking at every part of the page once: what was put in is not
/// looked at again.
fn fill<'v>(page: &str, value: impl Fn(&str) -> Cow<'v, str>) -> String {
    let mut parts = page.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (slot, rest) = part.split_once("}}").unwrap_or((part, ""));
        out.push_str(&value(slot));
        out.push_str(rest);
    }
    out
}

/// Nothing may be loaded or run but what this file has.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// JSON in which nothing can end a script element or look like markup. These characters occur
/// in JSON inside of texts only, where the escapes mean the same.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 32);
    for char in json.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(char)).expect("a String takes everything");
            }
            _ => out.push(char),
        }
    }
    out
}

/// Text as HTML, for between tags and in quoted attributes.
fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(char),
        }
    }
    out
}

/// What it all comes to: a name for the style sheet and a mark to see from afar.
fn verdict(report: &RunReport) -> (&'static str, &'static str) {
    match report.exit_code() {
        ExitCode::AsDeclared => ("ok", "✓"),
        ExitCode::NotAsDeclared if matches!(report.command, Command::Check | Command::Plan) => {
            ("drifted", "≠")
        }
        ExitCode::Unknown => ("unknown", "?"),
        _ => ("failed", "!"),
    }
}

/// `0.4 s`, `12.3 s`, `4 min 5 s`.
fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests;
