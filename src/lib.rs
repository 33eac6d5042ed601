//! fleet makes Docker hosts standard and keeps them so, over plain SSH.
//!
//! Data flows one way:
//!
//! ```text
//! inventory + playbook/roles ──► per-host plan ──► ssh: one exec ──► fleet-helper ──► events ──► report
//! ```
//!
//! On the controller (feature `control`): `yaml`, `inventory`, `playbook`, `template`, `transport`,
//! `run`, `journal`, `report`, `cli`, and what they read besides: `secret`, `artifact`, `image`, `http`. On the
//! host, inside `fleet-helper`: [`reconcile`], [`resource`], [`host`]. Between them: [`protocol`].
//! `ARCHITECTURE.md` has the code map and the invariants.

#[cfg(feature = "control")]
pub mod artifact;
#[cfg(test)]
mod captured;
#[cfg(feature = "control")]
pub mod cli;
#[cfg(feature = "control")]
pub mod diagnostic;
#[cfg(feature = "control")]
pub mod error;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "control")]
pub mod harmless;
pub mod host;
#[cfg(feature = "control")]
pub mod http;
#[cfg(feature = "control")]
pub mod image;
#[cfg(feature = "control")]
pub mod inventory;
#[cfg(feature = "control")]
pub mod journal;
#[cfg(feature = "control")]
pub mod memory;
#[cfg(feature = "control")]
pub mod playbook;
pub mod protocol;
pub mod reconcile;
#[cfg(feature = "control")]
pub mod report;
pub mod resource;
#[cfg(feature = "control")]
pub mod run;
#[cfg(feature = "control")]
pub mod secret;
#[cfg(feature = "control")]
pub mod swap;
#[cfg(feature = "control")]
pub mod template;
#[cfg(feature = "control")]
pub mod transport;
#[cfg(feature = "control")]
pub mod trust;
#[cfg(feature = "control")]
pub mod waiver;
#[cfg(feature = "control")]
pub mod yaml;
