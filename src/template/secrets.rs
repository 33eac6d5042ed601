//! `secret('name')`: a value from the store of secrets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use tera::{Error, Kwargs, State, Tera, TeraResult};

use super::{scan, work};
use crate::diagnostic::Diagnostic;

/// Begins a message that may go on with a way out in the lines below.
pub(super) const FAILED: &str = "secret:";

/// Gives the value of a secret by its name.
pub type Ask = dyn Fn(&str) -> Result<String, Diagnostic> + Send + Sync;

/// What `secret(…)` gives.
#[derive(Clone)]
pub enum Secrets {
    /// What this knows under a name.
    Ask(Arc<Ask>),
    /// Nothing now: what uses it is deferred.
    Later,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ask(_) => "Ask",
            Self::Later => "Later",
        })
    }
}

impl Secrets {
    /// What a text is deferred on that asks for a secret [later](Self::Later).
    pub const NAME: &str = "secret()";

    pub(super) fn register(&self, tera: &mut Tera) {
        let secrets = self.clone();
        let function = move |arguments: Kwargs, _: &State| secrets.answer(&arguments);
        tera.register_function(scan::SECRET, function);
    }

    fn answer(&self, arguments: &Kwargs) -> TeraResult<String> {
        let expected = |name: &str| name != scan::EXPRESSION;
        if arguments
            .iter()
            .filter(|(name, _)| name.as_str().is_some_and(expected))
            .count()
            > 1
        {
            return Err(Error::message("`secret` takes a name and nothing else"));
        }
        let name: Cow<'_, str> = arguments.must_get("name")?;
        let answer = match self {
            Self::Ask(ask) => ask(&name),
            Self::Later => Err(Diagnostic::error("secrets are not asked for here")),
        };
        work::asked(arguments)?;
        answer.map_err(|error| {
            let help = error.help.iter().map(|help| format!("\n{help}"));
            Error::message(format!(
                "{FAILED}{}{}",
                error.message,
                help.collect::<String>()
            ))
        })
    }
}
