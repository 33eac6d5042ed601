//! What one evaluation of a template may cost, and what it makes of secrets.
//!
//! Tera has no limits and no hooks, so the filters that `scan` puts around variables, loops and
//! printed expressions do the counting: whoever reads, prints or loops pays for it. They also follow
//! secrets: what an expression makes of a secret is a secret, and the redactor is told. What is too
//! short to be looked for makes the whole text one.
//!
//! A filter gets no state of ours from Tera, so the work under way is kept by the thread that does
//! it; templates are evaluated from beginning to end by one thread, and none within another.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use tera::value::ValueKind;
use tera::{Error, ErrorKind, Kwargs, State, Tera, TeraResult, Value};

use super::scan;
use crate::secret::Redactor;

/// The largest text that a template, or a value in it, may come to.
pub(super) const LARGEST: usize = 16 << 20;

/// What everything an evaluation does may cost: bytes that are read or printed, and [`STEP`] more
/// each time.
const BUDGET: u64 = 256 << 20;

/// What a step costs: two million of them are enough for every template that ends.
const STEP: u64 = 128;

/// How long an evaluation may take, whatever it does.
const LONGEST: Duration = Duration::from_mins(1);

/// Begins a message about a limit, for Tera to carry.
const LIMIT: &str = "limit:";

const WAY_OUT: &str = "loop over fewer items, or let the task do so (`loop:`)";

thread_local! {
    static WORK: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// One evaluation.
struct Work {
    redactor: Redactor,
    /// Nothing is secret: nobody needs to look.
    open: bool,
    left: u64,
    until: Instant,
    /// The expression that was worked on last.
    last: Option<usize>,
    /// Expressions under way that have read a secret.
    secret: BTreeSet<usize>,
    /// Expressions under way that have read what was made of one and could not be looked for.
    derived: BTreeSet<usize>,
    /// Names that stand for such a thing.
    names: BTreeSet<usize>,
    /// Something that was printed could not be looked for.
    short: bool,
}

/// What an evaluation ended with.
pub(super) struct Done {
    /// The expression that was worked on last.
    pub(super) last: Option<usize>,
    /// Something made of a secret was printed that is too short to be looked for.
    pub(super) short: bool,
}

/// Does the work of one evaluation.
pub(super) fn within<T>(redactor: &Redactor, evaluate: impl FnOnce() -> T) -> (T, Done) {
    let work = Work {
        open: redactor.is_empty(),
        redactor: redactor.clone(),
        left: BUDGET,
        until: Instant::now() + LONGEST,
        last: None,
        secret: BTreeSet::new(),
        derived: BTreeSet::new(),
        names: BTreeSet::new(),
        short: false,
    };
    let outer = WORK.replace(Some(work));
    let result = evaluate();
    let work = WORK.replace(outer);
    let done = Done {
        last: work.as_ref().and_then(|work| work.last),
        short: work.is_some_and(|work| work.short),
    };
    (result, done)
}

/// What is too large, and the way out in the next line.
pub(super) fn too_large(what: &str) -> String {
    format!(
        "{what} more than {} MiB\n{WAY_OUT}; a file of that size is taken as it is (`copy` \
         with `src`)",
        LARGEST >> 20
    )
}

/// The error of a filter that a limit was reached.
pub(super) fn refuse(said: &str) -> Error {
    Error::message(format!("{LIMIT}{said}"))
}

/// The limit that was reached, if that is what is wrong.
pub(super) fn limit(error: &Error) -> Option<String> {
    let ErrorKind::RenderingError(report) = error.kind() else {
        return None;
    };
    report.message().strip_prefix(LIMIT).map(str::to_owned)
}

/// Takes what a template prints, up to [`LARGEST`].
#[derive(Default)]
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    pub(super) is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > LARGEST {
            self.is_full = true;
            return Err(io::Error::other("the template gives too much"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Work {
    fn pay(&mut self, cost: u64) -> TeraResult<()> {
        let cost = cost.saturating_add(STEP);
        if self.left < cost {
            return Err(refuse(&format!(
                "the template does not come to an end: it has done {} million steps by now\n\
                 {WAY_OUT}",
                BUDGET / STEP / 1_000_000
            )));
        }
        self.left -= cost;
        if Instant::now() > self.until {
            return Err(refuse(&format!(
                "the template does not come to an end within {} s\n{WAY_OUT}",
                LONGEST.as_secs()
            )));
        }
        Ok(())
    }

    /// Pays so many bytes for a value, if it is not too large.
    fn pay_for(&mut self, value: &Value, bytes: u64) -> TeraResult<()> {
        if value.as_str().is_some_and(|text| text.len() > LARGEST) {
            return Err(refuse(&too_large("a value comes to")));
        }
        self.pay(bytes)
    }

    /// Whether there is a secret in a value.
    fn finds_in(&self, value: &Value) -> bool {
        if let Some(items) = value.as_array() {
            return items.iter().any(|item| self.finds_in(item));
        }
        if let Some(map) = value.as_map() {
            return map.values().any(|value| self.finds_in(value));
        }
        match text(value) {
            Some(text) => self.redactor.finds(&text),
            None => false,
        }
    }

    /// Makes a secret of every text in a value; false if one is too short for that.
    fn hide(&self, value: &Value) -> bool {
        if let Some(items) = value.as_array() {
            return all(items.iter().map(|item| self.hide(item)));
        }
        if let Some(map) = value.as_map() {
            return all(map.values().map(|value| self.hide(value)));
        }
        match text(value) {
            // Few digits have nothing to hide, as in the files that secrets come from.
            Some(text) => self.redactor.add_made(&text) || value.is_number() || text.is_empty(),
            None => true,
        }
    }
}

/// Whether all are true, having looked at each.
fn all(hidden: impl Iterator<Item = bool>) -> bool {
    hidden.filter(|hidden| !hidden).count() == 0
}

/// The text of a scalar that can hold something secret.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value.as_str() {
        Some(text) => Some(Cow::Borrowed(text)),
        None if value.is_number() => Some(Cow::Owned(value.to_string())),
        None => None,
    }
}

/// How many bytes a value takes when it is printed, about.
fn printed(value: &Value) -> u64 {
    if let Some(items) = value.as_array() {
        return items.iter().map(|item| 2 + printed(item)).sum();
    }
    if let Some(map) = value.as_map() {
        return map.values().map(|value| 8 + printed(value)).sum();
    }
    value.as_str().map_or(8, str::len) as u64
}

/// Work on what is under way; none where a filter is tried by itself.
fn with(act: impl FnOnce(&mut Work) -> TeraResult<()>) -> TeraResult<()> {
    WORK.with_borrow_mut(|work| work.as_mut().map_or(Ok(()), act))
}

pub(super) fn register(tera: &mut Tera) {
    tera.register_filter(scan::READ, |value: Value, arguments: Kwargs, _: &State| {
        read(&value, &arguments)?;
        Ok::<_, Error>(value)
    });
    tera.register_filter(scan::SHOWN, shown);
    tera.register_filter(scan::LOOP, looped);
}

/// A variable was read: `e` is the expression it is part of, unless it only decides something, `s`
/// the number of a name that the template has made itself, and `o` what it is a part of.
pub(super) fn read(value: &Value, arguments: &Kwargs) -> TeraResult<()> {
    with(|work| {
        let expression = arguments.get::<usize>("e")?;
        work.last = expression.or(work.last);
        work.pay_for(value, value.as_str().map_or(0, str::len) as u64)?;
        let Some(expression) = expression.filter(|_| !work.open) else {
            return Ok(());
        };
        let name = arguments.get::<usize>("s")?;
        if name.is_some_and(|name| work.names.contains(&name)) {
            work.derived.insert(expression);
        }
        let whole: Option<Value> = arguments.get("o")?;
        if work.finds_in(value) || whole.is_some_and(|whole| work.finds_in(&whole)) {
            work.secret.insert(expression);
        }
        Ok(())
    })
}

/// A secret was asked for by name, in the expression `e`.
pub(super) fn asked(arguments: &Kwargs) -> TeraResult<()> {
    with(|work| {
        work.open = false;
        if let Some(expression) = arguments.get::<usize>(scan::EXPRESSION)? {
            work.secret.insert(expression);
        }
        Ok(())
    })
}

/// The value of an expression is printed, or kept under the name `t`. `x` says that it is a
/// variable as it is; `p` is the block around it whose text goes through a filter.
#[expect(
    clippy::needless_pass_by_value,
    reason = "Tera gives filters owned values"
)]
fn shown(value: Value, arguments: Kwargs, _: &State) -> TeraResult<Value> {
    let number = |name| arguments.get::<usize>(name);
    let expression: usize = arguments.must_get("e")?;
    let (plain, target, around) = (number("x")?.is_some(), number("t")?, number("p")?);
    with(|work| {
        work.last = Some(expression);
        work.pay_for(&value, printed(&value))?;
        let secret = work.secret.remove(&expression);
        let derived = work.derived.remove(&expression);
        let made = derived || secret && !plain;
        let short = made && !work.hide(&value);
        work.short |= short && target.is_none();
        if let Some(name) = target {
            if short {
                work.names.insert(name);
            } else {
                work.names.remove(&name);
            }
        }
        if let Some(around) = around {
            if short {
                work.derived.insert(around);
            } else if made || secret {
                work.secret.insert(around);
            }
        }
        Ok(())
    })?;
    Ok(value)
}

/// A loop begins over the value of the expression `e`: each of its turns prints `n` bytes at most.
#[expect(
    clippy::needless_pass_by_value,
    reason = "Tera gives filters owned values"
)]
fn looped(value: Value, arguments: Kwargs, _: &State) -> TeraResult<Value> {
    let number = |name| arguments.get::<usize>(name);
    let expression: usize = arguments.must_get("e")?;
    let (plain, target, body) = (number("x")?.is_some(), number("t")?, number("n")?);
    with(|work| {
        work.last = Some(expression);
        let turns = value.as_array().map_or(0, <[Value]>::len);
        let turns = turns + value.as_map().map_or(0, tera::Map::len);
        let turns = turns + value.as_str().map_or(0, str::len);
        let each = STEP + body.unwrap_or(0) as u64;
        work.pay((turns as u64).saturating_mul(each))?;
        let secret = work.secret.remove(&expression);
        let derived = work.derived.remove(&expression);
        // The fields of a variable are known as they are; the letters of a secret are not.
        let made = derived || secret && (!plain || value.kind() == ValueKind::String);
        if made {
            work.hide(&value);
        }
        if let Some(name) = target {
            if made {
                work.names.insert(name);
            } else {
                work.names.remove(&name);
            }
        }
        Ok(())
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests;
