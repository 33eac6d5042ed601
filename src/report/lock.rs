//! Another run on a host, in words.

use crate::protocol::Holder;

/// `an apply by ops@ctl (run R) that began at 2026-11-21T02:00:00Z`. What the host says of it
/// is not made harmless here.
#[must_use]
pub fn apply_by(holder: &Holder) -> String {
    let Holder { who, run_id, .. } = holder;
    format!(
        "an apply by {who} (run {run_id}) that began at {}",
        since(holder)
    )
}

/// When it began, in RFC 3339; what the host says may be no time at all.
pub(super) fn since(holder: &Holder) -> String {
    i64::try_from(holder.since)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown time".to_owned(), |time| time.to_string())
}
