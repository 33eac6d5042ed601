//! The names of runs.

/// Names a run: when it begins, to the millisecond, and a little more. Of two runs that begin one
/// after the other the later one sorts last, even within one second: a short run and the one that
/// goes on with it.
#[must_use]
pub fn new_run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ");
    format!("{now}-{:04x}", fastrand::u16(..))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_names_of_runs_are_in_the_order_in_which_they_began() {
        let begin = || {
            std::thread::sleep(std::time::Duration::from_millis(2));
            super::new_run_id()
        };
        let names: Vec<_> = std::iter::repeat_with(begin).take(50).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}
