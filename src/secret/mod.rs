//! What must not be shown: encrypted files, the values that come out of them or out of a store,
//! and how those are kept out of everything fleet writes.
//!
//! Secrets are known by origin. Reading a file through a [`Vault`] decrypts it if need be and
//! tells the vault's [`Redactor`] every value in it; asking a [`Store`] tells it the answer.
//! Whatever leaves the process goes through that redactor. Nothing is guessed from names like
//! `password`.

mod age_file;
mod forms;
mod identity;
mod redactor;
mod settings;
mod store;
mod text;
mod vault;

pub use age_file::{decrypt, encrypt, is_encrypted};
pub use identity::{KeySource, generate, parse_recipient};
pub use redactor::Redactor;
pub use settings::{SETTINGS_FILE, Settings};
pub use store::Store;
pub use text::{REDACTED, Secret};
pub use vault::Vault;

/// What is wrong with a key, an encrypted file or a store; says which, never what is in it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct SecretError {
    /// One sentence without a period.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

impl SecretError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<SecretError> for crate::diagnostic::Diagnostic {
    fn from(error: SecretError) -> Self {
        error
            .help
            .into_iter()
            .fold(Self::error(error.message), Self::help)
    }
}
