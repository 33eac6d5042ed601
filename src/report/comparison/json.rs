//! A comparison for programs: one document.

use serde::Serialize;

use super::{Comparison, Difference, Untold};
use crate::report::RunReport;

#[derive(Serialize)]
struct Document<'c> {
    schema_version: u32,
    run_id: &'c str,
    command: &'static str,
    hosts: &'c [String],
    differences: Vec<WithMajority<'c>>,
    untold: &'c [Untold],
    /// Those that were not heard.
    missing: Vec<Missing<'c>>,
}

#[derive(Serialize)]
struct WithMajority<'c> {
    #[serde(flatten)]
    difference: &'c Difference,
    /// Whether the first value is that of more than half of the hosts.
    has_majority: bool,
}

#[derive(Serialize)]
struct Missing<'c> {
    host: &'c str,
    message: &'c str,
}

impl Comparison {
    /// The document, with a newline at its end.
    ///
    /// # Errors
    /// If it cannot be written as JSON, which would be a bug.
    pub fn to_json(&self, run: &RunReport) -> Result<String, serde_json::Error> {
        let differences = self.differences.iter().map(|difference| WithMajority {
            difference,
            has_majority: difference.majority().is_some(),
        });
        let missing = run.hosts.iter().filter_map(|host| {
            let error = host.error.as_ref()?;
            Some(Missing {
                host: &host.host,
                message: &error.message,
            })
        });
        let document = Document {
            schema_version: 1,
            run_id: &run.run_id,
            command: "compare",
            hosts: &self.hosts,
            differences: differences.collect(),
            untold: &self.untold,
            missing: missing.collect(),
        };
        serde_json::to_string_pretty(&document).map(|text| crate::harmless::json(text + "\n"))
    }
}
