//! A panic is a bug of fleet: it is told by its place, and without what it says, which may hold
//! anything, secrets too.

use std::panic::{self, Location, UnwindSafe};

use super::output;

/// Runs `work`; `None` if it panics, which is told on stderr then.
pub(super) fn caught<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    panic::set_hook(Box::new(|panic| output::say(&words(panic.location()))));
    panic::catch_unwind(work).ok()
}

fn words(place: Option<&Location<'_>>) -> String {
    let place = place.map(|place| format!(", at {}:{}", place.file(), place.line()));
    format!(
        "error: this is a bug in fleet {}{}\n  = help: `fleet runs` says what was done on which \
         host; please report the place, and what led there\n",
        env!("CARGO_PKG_VERSION"),
        place.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_place_and_nothing_it_says() {
        let hook = panic::take_hook();
        let ended = caught(|| assert!(std::env::args().count() == 0, "hunter2"));
        panic::set_hook(hook);
        assert_eq!(ended, None);
        let told = words(Some(Location::caller()));
        assert!(told.contains(", at src/cli/bug.rs:"), "{told}");
    }
}
