//! A kind that changes the host, on the real thing: applied, found unchanged, drifted by hand, found
//! out, repaired.

use crate::machine::Machine;

pub(crate) struct Case {
    /// The task or tasks.
    pub(crate) tasks: &'static str,
    /// Proof, run on the host: must succeed once applied.
    pub(crate) proof: &'static str,
    /// A drift made by hand.
    pub(crate) drift: &'static str,
    /// What check must say, exactly.
    pub(crate) findings: &'static [&'static str],
}

/// Plays all cases at once.
pub(crate) fn every_kind_converges_and_tells_the_truth_about_drift(
    machine: &Machine,
    cases: &[Case],
) {
    let all = |part: fn(&Case) -> &str| cases.iter().map(part).collect::<Vec<_>>();
    let playbook = machine.playbook(&all(|case| case.tasks).join("\n"));
    let apply = || {
        machine
            .fleet(&["apply", &playbook, "-y", "--format", "json"])
            .exits(0)
    };
    let prove = || {
        for proof in all(|case| case.proof) {
            machine.sh(proof);
        }
    };

    let _ = apply();
    prove();
    assert_eq!(apply().findings(), Vec::<String>::new());

    machine.sh(&format!("set -e\n{}", all(|case| case.drift).join("\n")));
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    let expected: Vec<_> = cases.iter().flat_map(|case| case.findings).collect();
    assert_eq!(check.findings().iter().collect::<Vec<_>>(), expected);

    let _ = apply();
    prove();
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}
