//! Which image a tag is today, asked from the registry and written down.

mod credentials;
mod lock;
mod reference;
mod registry;

pub use credentials::{Credentials, CredentialsError, Logins};
pub use lock::{ImageLock, LOCK_FILE, LockedImage};
pub use reference::{Reference, Version};
pub use registry::{Registry, RegistryError, Resolved};
