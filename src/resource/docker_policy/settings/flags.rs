//! The command line of dockerd, taken apart as dockerd does it.

use std::collections::BTreeMap;

use super::Typed;
use super::known::KNOWN;

/// The file that a daemon with these arguments reads, unless it is the usual one.
pub(in super::super) fn configuration_file(arguments: &[String]) -> Option<String> {
    flags(arguments)
        .remove("config-file")
        .and_then(|words| words.into_iter().last())
}

/// The words after each flag, by its long name. Flags that no setting has keep what follows.
pub(super) fn flags(arguments: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rest = arguments.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            break;
        }
        let (name, value) = if let Some(long) = word.strip_prefix("--") {
            match long.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (long.to_owned(), None),
            }
        } else if let Some((name, value)) = short(word, &mut found) {
            (name, value)
        } else {
            continue;
        };
        let value = value.or_else(|| {
            // A switch takes no word; for what is not known, what begins with a dash is the next.
            let takes = !is_switch(&name) && rest.peek().is_some_and(|word| !word.starts_with('-'));
            takes.then(|| rest.next().cloned()).flatten()
        });
        let value = value.unwrap_or_else(|| "true".to_owned());
        found.entry(name).or_default().push(value);
    }
    found
}

/// The last flag of `-Dl info` or `-Hfd://`; the switches before it are noted.
fn short(
    word: &str,
    found: &mut BTreeMap<String, Vec<String>>,
) -> Option<(String, Option<String>)> {
    let mut letters = word.strip_prefix('-')?.chars();
    while let Some(sign) = letters.next() {
        let known = KNOWN.iter().find(|known| known.letter == Some(sign))?;
        let value = letters.as_str();
        if !is_switch(known.flag) {
            let value = value.strip_prefix('=').unwrap_or(value);
            let value = (!value.is_empty()).then(|| value.to_owned());
            return Some((known.flag.to_owned(), value));
        }
        if let Some(value) = value.strip_prefix('=') {
            return Some((known.flag.to_owned(), Some(value.to_owned())));
        }
        found
            .entry(known.flag.to_owned())
            .or_default()
            .push("true".to_owned());
    }
    None
}

fn is_switch(flag: &str) -> bool {
    KNOWN
        .iter()
        .any(|known| known.flag == flag && matches!((known.default)(), Typed::Bool(_)))
}
