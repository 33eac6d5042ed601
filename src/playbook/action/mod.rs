//! Kinds the controller answers itself: nothing of them reaches a host, but for what `template`
//! turns into.

mod assert;
mod debug;
mod fail;
mod set_fact;
mod template;

pub use assert::Assert;
pub use debug::Debug;
pub use fail::Fail;
pub use set_fact::SetFact;
pub use template::Template;

/// One of them.
#[derive(Clone, Debug)]
pub enum Action {
    /// See [`Assert`].
    Assert(Assert),
    /// See [`Debug`].
    Debug(Debug),
    /// See [`Fail`].
    Fail(Fail),
    /// See [`SetFact`].
    SetFact(SetFact),
    /// See [`Template`].
    Template(Template),
}

/// What came of a task that the controller answers alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It holds, or was said.
    Passed {
        /// What to show, if anything.
        message: Option<String>,
    },
    /// The host goes no further.
    Failed {
        /// Why.
        message: String,
    },
    /// Variables of this host from here on.
    Facts(serde_json::Map<String, serde_json::Value>),
}
