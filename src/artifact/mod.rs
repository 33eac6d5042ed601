//! Files that hosts need and nobody makes here: packages and image archives, by name, with what
//! must be in them.

mod fetch;
mod lock;
mod verify;

pub use fetch::{FetchError, fetch};
pub use lock::{Artifact, ArtifactLock, LOCK_FILE};
pub use verify::{Found, verify};
