//! What commands print.

use serde::{Deserialize, Serialize};

/// What a command left behind, bounded in size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Exit status; 128 + n when killed by signal n, as shells count.
    pub rc: i32,
    /// Standard output, lossy UTF-8, at most [`Output::LIMIT`] bytes.
    pub stdout: String,
    /// Standard error, lossy UTF-8, at most [`Output::LIMIT`] bytes.
    pub stderr: String,
    /// Whether either stream was longer and was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Output {
    /// How many bytes of each stream are kept.
    pub const LIMIT: usize = 256 * 1024;
}
