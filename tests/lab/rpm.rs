//! The pinned package set on a real rpm: installed, upgraded, downgraded, refused.

use serde_json::{Value, json};

use crate::machine::Machine;

const OLD: &str = "20.10.5";
const NEW: &str = "20.10.24";

#[test]
fn a_set_is_installed_upgraded_and_downgraded_in_one_transaction() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    for (from, to) in [("absent", OLD), (OLD, NEW), (NEW, OLD)] {
        let playbook = machine.playbook(&task(&sets[to]));
        let check = machine
            .fleet(&["check", &playbook, "--format", "json"])
            .exits(2);
        let findings = check.findings().join("\n");
        assert!(
            findings.contains(to) && findings.contains(from),
            "{findings}"
        );

        let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
        let installed =
            machine.sh("rpm -q --qf '%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}' docker-ce");
        assert_eq!(installed, format!("3:{to}-3.el7.x86_64"));
        assert_eq!(
            machine
                .sh("rpm -qa | grep -c -e docker-ce -e containerd")
                .trim(),
            "3"
        );

        let again = machine
            .fleet(&["apply", &playbook, "-y", "--format", "json"])
            .exits(0);
        assert_eq!(again.findings(), Vec::<String>::new());
        let _ = machine.fleet(&["check", &playbook]).exits(0);
    }
    assert_eq!(
        machine.sh("ls -A /var/lib/fleet/staging 2>/dev/null || true"),
        ""
    );
}

#[test]
fn a_newer_engine_beside_the_pin_is_drift() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let new = machine.playbook(&task(&sets[NEW]));
    let _ = machine.fleet(&["apply", &new, "-y"]).exits(0);
    let old = machine.playbook(&task(&sets[OLD]));
    let check = machine.fleet(&["check", &old, "--format", "json"]).exits(2);
    let findings = check.findings().join("\n");
    assert!(findings.contains(&format!("3:{OLD}-3.el7")), "{findings}");
    assert!(findings.contains(&format!("3:{NEW}-3.el7")), "{findings}");
}

/// Refused on the controller, before any host is contacted.
#[test]
fn files_that_are_not_what_is_pinned_are_refused_before_contact() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let bad = machine.variable("lab_bad_rpms");

    let mut wrong_sha256 = sets[NEW].clone();
    wrong_sha256[0]["sha256"] = json!("0".repeat(64));
    let mut truncated = sets[NEW].clone();
    truncated[0]["src"] = bad["truncated"]["src"].clone();
    let mut missing = sets[NEW].clone();
    missing[1]["src"] = json!("/nonexistent/docker-ce-cli.rpm");

    for (name, set, message) in [
        ("wrong sha256", wrong_sha256, "sha256"),
        ("truncated file", truncated, "sha256"),
        ("missing file", missing, "/nonexistent/docker-ce-cli.rpm"),
    ] {
        let playbook = machine.playbook(&task(&set));
        let run = machine.fleet(&["apply", &playbook, "-y"]).exits(1);
        assert!(run.stderr().contains(message), "{name}: {}", run.stderr());
    }
    assert_eq!(
        machine.sh("test -e /var/lib/fleet && echo contacted || echo untouched"),
        "untouched\n"
    );
}

/// Refused on the host, before the transaction starts.
#[test]
fn packages_that_cannot_be_trusted_or_do_not_fit_are_refused_before_the_transaction() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let bad = machine.variable("lab_bad_rpms");
    let before = machine.sh("rpm -qa | sort");

    for (name, variant, message) in [
        ("unsigned", "unsigned", "not signed"),
        ("signed by an unknown key", "stranger", "key"),
        ("other architecture", "foreign", "aarch64"),
    ] {
        let mut set = sets[NEW].clone();
        let engine = position(&set, "docker-ce");
        set[engine]["src"] = bad[variant]["src"].clone();
        set[engine]["sha256"] = bad[variant]["sha256"].clone();
        assert!(
            set[engine]["src"].is_string(),
            "the lab has no `{variant}`: {bad:#}"
        );
        let playbook = machine.playbook(&task(&set));
        let run = machine
            .fleet(&["apply", &playbook, "-y", "--format", "json"])
            .exits(2);
        assert!(run.failure().contains(message), "{name}: {}", run.failure());
        assert_eq!(machine.sh("rpm -qa | sort"), before, "{name}");
    }

    // One file of the set left out: rpm's own dependency check says no for the whole set.
    let mut incomplete = sets[NEW].clone();
    let containerd = position(&incomplete, "containerd.io");
    incomplete.as_array_mut().unwrap().remove(containerd);
    let playbook = machine.playbook(&task(&incomplete));
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(run.failure().contains("containerd.io"), "{}", run.failure());
    assert_eq!(machine.sh("rpm -qa | sort"), before);
    assert_eq!(
        machine.sh("ls -A /var/lib/fleet/staging 2>/dev/null || true"),
        ""
    );
}

#[test]
fn an_unsigned_package_is_installed_only_when_the_task_waives_the_signature() {
    let machine = Machine::pristine();
    let mut set = machine.variable("lab_engine_sets")[NEW].clone();
    let bad = machine.variable("lab_bad_rpms");
    let engine = position(&set, "docker-ce");
    set[engine]["src"] = bad["unsigned"]["src"].clone();
    set[engine]["sha256"] = bad["unsigned"]["sha256"].clone();
    let playbook = machine.playbook(&format!("{}\n    signature: waived", task(&set)));
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}

fn task(set: &Value) -> String {
    assert!(
        set.as_array().is_some_and(|set| set.len() == 3),
        "not a set of three: {set:#}"
    );
    format!("- name: Engine\n  rpm:\n    packages: {set}")
}

fn position(set: &Value, name: &str) -> usize {
    set.as_array()
        .unwrap()
        .iter()
        .position(|package| package["name"] == name)
        .unwrap()
}
