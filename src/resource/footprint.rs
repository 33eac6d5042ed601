//! What a resource leaves on the host, and how it is taken away again.
//!
//! There is no second way to remove things: the removal of an orphan is the same kind (or
//! `file`) with `state: absent`, observed and compared like everything else. Only that is
//! remembered on the host, and so no content, value or password is.

use std::path::Path;

use super::AnyResource;
use super::file::{File, FileState};
use crate::host::HostPath;
use crate::protocol::{Change, Drift};

/// The mark that a resource leaves.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// The declaration that it is not there.
    pub absence: AnyResource,
    /// The attribute that is missing as long as the thing does not exist. What was there before
    /// fleet came, and was only changed, is not fleet's.
    pub made_with: &'static str,
    /// Who may take it away.
    pub removal: Removal,
}

/// Who may take away what nothing declares any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// `apply --prune`.
    Prune,
    /// People: it may hold what is not fleet's.
    ByHand,
    /// Nobody: it is a part of what others made, and never an orphan.
    Never,
}

impl Footprint {
    /// That of a file, link or directory; a directory is removed only when it is empty.
    pub(super) fn of_path(path: &Path, made_with: &'static str) -> Option<Self> {
        let path: HostPath = path.to_str()?.parse().ok()?;
        let absence = File {
            only_empty: true,
            ..File::bare(path, FileState::Absent)
        };
        Some(Self {
            absence: AnyResource::File(absence),
            made_with,
            removal: Removal::Prune,
        })
    }

    /// Whether removing these differences brings the thing into being.
    #[must_use]
    pub fn is_made(&self, drift: &[Drift]) -> bool {
        self.removal != Removal::Never
            && drift.iter().any(|drift| {
                drift.attribute == self.made_with
                    && matches!(drift.change, Change::Create | Change::Replace)
            })
    }
}
