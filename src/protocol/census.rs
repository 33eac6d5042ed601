//! What is on a host beyond its facts, for comparing hosts with one another.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything counted, section by section.
pub type Census = BTreeMap<Section, Counted>;

/// One section of a [`Census`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// What there is: name and value.
    Told(BTreeMap<String, String>),
    /// It could not be told: why.
    Untold(String),
}

/// What hosts are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What the host is: kernel, system, memory.
    Fact,
    /// Installed packages.
    Package,
    /// Kernel parameters.
    Sysctl,
    /// Kernel modules.
    Module,
    /// The Docker engine and its settings.
    Docker,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fact => "fact",
            Self::Package => "package",
            Self::Sysctl => "sysctl",
            Self::Module => "module",
            Self::Docker => "docker",
        })
    }
}
