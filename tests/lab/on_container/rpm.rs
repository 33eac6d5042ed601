//! The pinned package set on a real rpm: installed, upgraded, downgraded, refused.

use serde_json::{Value, json};

use crate::machine::Machine;

const OLD: &str = "20.10.5";
const NEW: &str = "20.10.24";

#[test]
fn a_set_is_installed_upgraded_and_downgraded_in_one_transaction() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    for (from, to, change) in [
        ("absent", OLD, ""),
        (OLD, NEW, " (upgrade)"),
        (NEW, OLD, " (downgrade)"),
    ] {
        let playbook = machine.playbook(&task(&sets[to]));
        let check = machine
            .fleet(&["check", &playbook, "--format", "json"])
            .exits(2);
        assert_eq!(
            check.findings(),
            expected(&sets[to], sets.get(from), change)
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
        if to == NEW {
            dnf_does_not_move_it(&machine);
        }
    }
    assert_eq!(
        machine.sh("ls -A /var/lib/fleet/staging 2>/dev/null || true"),
        ""
    );
}

/// Edited, removed, made unreadable: found by name, and put back by installing the same version
/// again. What was only touched is as it was.
#[test]
fn files_of_the_set_that_somebody_changed_are_found_and_put_back() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let playbook = machine.playbook(&task(&sets[NEW]));
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let before = machine.sh("sha256sum /usr/bin/docker /usr/bin/containerd");

    machine.sh("touch /usr/bin/docker");
    let _ = machine.fleet(&["check", &playbook]).exits(0);

    machine.sh("echo x >> /usr/bin/docker; rm /usr/bin/containerd; chmod 0700 /usr/bin/dockerd");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    let findings = check.findings().join("\n");
    for expected in [
        "docker-ce-cli (files)",
        "S.5....T. /usr/bin/docker",
        "missing /usr/bin/containerd",
        ".M....... /usr/bin/dockerd",
    ] {
        assert!(findings.contains(expected), "{findings}");
    }
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let after = machine.sh("sha256sum /usr/bin/docker /usr/bin/containerd");
    assert_eq!(after, before);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
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
        ("cut off before it was pinned", "truncated", "it is damaged"),
        (
            "one bit wrong before it was pinned",
            "bitflip",
            "it is damaged",
        ),
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
    let playbook = machine.playbook(&format!(
        "- name: Engine\n  rpm:\n    packages: {incomplete}"
    ));
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

/// The versionlock lines hold dnf back when a repository has the older engine. (Files named on its
/// command line it takes in spite of any lock: that is how fleet's own transaction goes.)
fn dnf_does_not_move_it(machine: &Machine) {
    machine.sh(&format!(
        r#"mkdir -p /root/repo/repodata && cd /root/repo/repodata && cat > primary.xml <<'EOF'
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">
<package type="rpm"><name>docker-ce</name><arch>x86_64</arch><version epoch="3" ver="{OLD}" rel="3.el7"/>
<checksum type="sha256" pkgid="YES">{:064}</checksum><summary/><description/><packager/><url/>
<time file="0" build="0"/><size package="1" installed="1" archive="1"/><location href="docker-ce.rpm"/>
<format><rpm:provides><rpm:entry name="docker-ce" flags="EQ" epoch="3" ver="{OLD}" rel="3.el7"/></rpm:provides></format>
</package></metadata>
EOF
cat > repomd.xml <<EOF
<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision><data type="primary">
<checksum type="sha256">$(sha256sum < primary.xml | cut -d' ' -f1)</checksum><location href="repodata/primary.xml"/>
</data></repomd>
EOF"#,
        0
    ));
    let install = |options: &str| {
        machine.sh(&format!(
            "dnf --assumeno {options} --repofrompath=older,file:///root/repo --repo=older \
             install docker-ce-3:{OLD} 2>&1 || true"
        ))
    };
    let unlocked = install("--noplugins");
    assert!(unlocked.contains("Downgrading:"), "{unlocked}");
    let locked = install("");
    assert!(
        locked.contains("All matches were filtered out by exclude filtering"),
        "{locked}"
    );
}

fn task(set: &Value) -> String {
    assert!(
        set.as_array().is_some_and(|set| set.len() == 3),
        "not a set of three: {set:#}"
    );
    format!("- name: Engine\n  rpm:\n    packages: {set}")
}

/// What check says of each package, and of its versionlock line.
fn expected(to: &Value, from: Option<&Value>, change: &str) -> Vec<String> {
    let evr = |package: &Value| {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        let (version, release) = (text("version"), text("release"));
        match package["epoch"].as_u64().unwrap() {
            0 => format!("{version}-{release}.x86_64"),
            epoch => format!("{epoch}:{version}-{release}.x86_64"),
        }
    };
    let id = "containerd.io docker-ce docker-ce-cli";
    let mut packages = Vec::new();
    let mut locks = Vec::new();
    for (position, package) in to.as_array().unwrap().iter().enumerate() {
        let name = package["name"].as_str().unwrap();
        let was = from.map(|from| &from[position]);
        packages.push(format!(
            "rpm {id}: {name}{change} {} ← {}",
            evr(package),
            was.map_or("absent".to_owned(), evr)
        ));
        let lock = |package: &Value| {
            format!(
                "{name}-{}:{}-{}.x86_64",
                package["epoch"],
                package["version"].as_str().unwrap(),
                package["release"].as_str().unwrap()
            )
        };
        locks.push(format!(
            "rpm {id}: versionlock {name} {} ← {}",
            lock(package),
            was.map_or("absent".to_owned(), lock)
        ));
    }
    [packages, locks].concat()
}

fn position(set: &Value, name: &str) -> usize {
    set.as_array()
        .unwrap()
        .iter()
        .position(|package| package["name"] == name)
        .unwrap()
}
