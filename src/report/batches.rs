//! In which batches an apply takes the hosts of its plays.

use serde::{Deserialize, Serialize};

use super::counted;

/// The hosts of one play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// Its name.
    pub play: String,
    /// Each batch in the order in which its hosts are begun.
    pub batches: Vec<Vec<String>>,
}

impl Batches {
    /// For people; nothing if all hosts are taken at once.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let sizes: Vec<_> = self.batches.iter().map(Vec::len).collect();
        let (last, others) = sizes.split_last()?;
        if others.is_empty() {
            return None;
        }
        let others: Vec<_> = others.iter().map(usize::to_string).collect();
        Some(format!(
            "play {}: {} batches, of {} and {}",
            self.play,
            sizes.len(),
            others.join(", "),
            counted(*last, "host")
        ))
    }
}
