//! Reports as nights bring them: some drift on many hosts, some on one, most hosts as declared.
//! The same every time.

use std::sync::Arc;
use std::time::Duration;

use fleet::protocol::{Drift, Severity, Status};
use fleet::report::{
    Command, Difference, ErrorClass, HostError, HostReport, Keep, ResourceReport, RunReport,
    Waived, WaiverIssue, WaiverRemark,
};
use jiff::Timestamp;

/// When the run of every story began.
const STARTED: i64 = 1_795_219_200;

fn days_ago(days: i64) -> Option<Timestamp> {
    Timestamp::from_second(STARTED - days * 86_400).ok()
}

/// One finding that hosts may have.
struct Sort {
    role: Option<&'static str>,
    task: &'static str,
    kind: &'static str,
    id: &'static str,
    severity: Severity,
    drift: Drift,
    days: i64,
    /// Of so many hosts, one has it.
    one_of: u64,
    waived: bool,
}

fn sort(
    role: &'static str,
    task: &'static str,
    (kind, id): (&'static str, &'static str),
    severity: Severity,
    drift: Drift,
    (days, one_of): (i64, u64),
) -> Sort {
    Sort {
        role: (!role.is_empty()).then_some(role),
        task,
        kind,
        id,
        severity,
        drift,
        days,
        one_of,
        waived: false,
    }
}

#[expect(clippy::too_many_lines, reason = "a table, as wide as it must be")]
fn sorts() -> Vec<Sort> {
    use Severity::{Critical, High, Info, Low, Medium};
    let daemon = Drift {
        diff: Some(
            "--- /etc/docker/daemon.json\n+++ /etc/docker/daemon.json\n@@ -1,6 +1,6 @@\n {\n   \
             \"log-driver\": \"json-file\",\n-  \"live-restore\": false,\n+  \"live-restore\": \
             true,\n   \"storage-driver\": \"devicemapper\"\n }"
                .to_owned(),
        ),
        ..Drift::update("live-restore", "true", "false")
    };
    let password = Drift {
        sensitive: true,
        ..Drift::update("password", "[secret]", "[secret]")
    };
    let swappiness = ("sysctl", "vm.swappiness");
    let mut sorts = vec![
        sort(
            "host_baseline",
            "limit swapping",
            swappiness,
            Low,
            Drift::update("live", "10", "60"),
            (34, 6),
        ),
        sort(
            "host_baseline",
            "limit swapping",
            swappiness,
            Low,
            Drift::update("persisted", "10", "60"),
            (34, 9),
        ),
        sort(
            "host_baseline",
            "no telnet",
            ("rpm", "telnet-server"),
            Medium,
            Drift::remove("state", "0.17-66.el7"),
            (3, 31),
        ),
        sort(
            "directories",
            "data directory",
            ("file", "/srv/data"),
            Medium,
            Drift::update("mode", "0750", "0777"),
            (12, 11),
        ),
        sort(
            "directories",
            "log directory",
            ("file", "/srv/logs"),
            Low,
            Drift::create("state", "directory"),
            (0, 23),
        ),
        sort(
            "docker_engine",
            "engine packages",
            ("rpm", "docker-ce"),
            High,
            Drift::update("version", "3:20.10.24-3.el7", "3:18.09.9-3.el7"),
            (91, 8),
        ),
        sort(
            "docker_engine",
            "daemon configuration",
            ("docker_daemon", "docker"),
            High,
            daemon,
            (19, 7),
        ),
        sort(
            "docker_engine",
            "daemon runs",
            ("service", "docker.service"),
            High,
            Drift::update("state", "started", "inactive (dead)"),
            (0, 41),
        ),
        sort(
            "docker_storage",
            "pool grows by itself",
            ("lvm_thin_pool", "docker/thinpool"),
            Medium,
            Drift::update("autoextend_threshold", "80", "100"),
            (51, 13),
        ),
        sort(
            "registry_auth",
            "login",
            ("docker_login", "registry.example.net"),
            Medium,
            password,
            (2, 17),
        ),
        sort(
            "base_images",
            "base image",
            ("docker_image", "registry.example.net/base/jre:17"),
            Info,
            Drift::update("digest", "sha256:9f2b6a55c1c4", "sha256:03aa77d1e9b0"),
            (6, 5),
        ),
        sort(
            "docker_audit",
            "containers follow the rules",
            ("docker_policy", "container build-agent"),
            Critical,
            Drift::update("privileged", "false", "true"),
            (1, 37),
        ),
        sort(
            "docker_audit",
            "containers follow the rules",
            ("docker_policy", "container billing"),
            High,
            Drift::update("memory_limit", "a limit", "none"),
            (8, 19),
        ),
        sort(
            "",
            "message of the day",
            ("file", "/etc/motd"),
            Info,
            Drift::remove("state", "present"),
            (200, 4),
        ),
    ];
    sorts[8].waived = true;
    sorts[13].waived = true;
    sorts
}

fn waiver() -> Arc<Waived> {
    Arc::new(Waived {
        reason: "The disks are replaced in January, see CHG-4711".to_owned(),
        owner: "storage team".to_owned(),
        expires: jiff::civil::date(2027, 1, 31),
        place: "waivers.yml:14".to_owned(),
    })
}

/// A night over so many hosts.
pub(crate) fn night(hosts: usize) -> RunReport {
    let sorts = sorts();
    let names = ["web", "app", "db", "edge"];
    let hosts = (0..hosts)
        .map(|n| {
            one(
                &format!("{}{:04}.example.net", names[n % 4], n / 4 + 1),
                n,
                &sorts,
            )
        })
        .collect();
    RunReport {
        waivers: vec![WaiverRemark {
            waiver: Arc::new(Waived {
                reason: "Legacy log shipper needs it until it is gone".to_owned(),
                owner: "platform team".to_owned(),
                expires: jiff::civil::date(2026, 10, 31),
                place: "waivers.yml:3".to_owned(),
            }),
            subject: "db*: file /srv/logs mode".to_owned(),
            issue: WaiverIssue::Expired,
        }],
        ..run(hosts)
    }
}

/// Numbers without a pattern that the eye would see (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn one(name: &str, n: usize, sorts: &[Sort]) -> HostReport {
    let chance = |salt: usize| mixed(n as u64 * 1_000 + salt as u64);
    let mut host = HostReport::new(name);
    host.duration = Duration::from_millis(400 + chance(1) % 900);
    if chance(77) % 29 == 7 {
        let (class, message) = match chance(78) % 3 {
            0 => (ErrorClass::Timeout, "no answer within 10 s"),
            1 => (ErrorClass::Refused, "nothing listens on port 22"),
            _ => (
                ErrorClass::HostKey,
                "the host key is not the one in known_hosts\nhint: `fleet enroll` after you have compared it",
            ),
        };
        host.error = Some(HostError {
            class,
            message: message.to_owned(),
        });
        return host;
    }
    for (position, sort) in sorts.iter().enumerate() {
        let has = chance(position + 10) % sort.one_of == 0;
        host.record(resource(position, sort, has), Keep::Findings);
    }
    if chance(90) % 47 == 1 {
        host.record(
            ResourceReport {
                status: Status::Unknown,
                message: Some("systemctl did not answer within 30 s".to_owned()),
                ..resource(7, &sorts[7], true)
            },
            Keep::Findings,
        );
    }
    host.waive(|found, _| {
        let sort = &sorts[found.position];
        sort.waived.then(waiver)
    });
    host
}

fn resource(position: usize, sort: &Sort, drifted: bool) -> ResourceReport {
    let difference = Difference {
        first_seen: days_ago(sort.days),
        ..Difference::new(sort.drift.clone(), sort.severity)
    };
    ResourceReport {
        position,
        play: "Every Docker host".to_owned(),
        role: sort.role.map(str::to_owned),
        task: sort.task.to_owned(),
        kind: sort.kind.to_owned(),
        id: sort.id.to_owned(),
        status: if drifted { Status::Drift } else { Status::Ok },
        severity: sort.severity,
        drift: if drifted {
            vec![difference]
        } else {
            Vec::new()
        },
        notifies: match sort.kind {
            "docker_daemon" if drifted => vec!["docker_engine : restart docker".to_owned()],
            _ => Vec::new(),
        },
        ..ResourceReport::default()
    }
}

fn run(hosts: Vec<HostReport>) -> RunReport {
    RunReport {
        run_id: "20261121T020000Z-4be1".to_owned(),
        command: Command::Check,
        playbook: "playbooks/host-init.yml".to_owned(),
        started_at: Timestamp::from_second(STARTED).unwrap(),
        duration: Duration::from_millis(74_310),
        hosts,
        cut_short: None,
        batches: Vec::new(),
        waivers: Vec::new(),
    }
}

/// The worst night: every host has so many findings, and half of them are like no other's.
pub(crate) fn worst_night(hosts: usize, each: usize) -> RunReport {
    let sorts = sorts();
    let hosts = (0..hosts)
        .map(|n| {
            let mut host = HostReport::new(format!("host{n:04}.example.net"));
            host.duration = Duration::from_millis(900);
            for nth in 0..each {
                let mut found = resource(nth, &sorts[nth % sorts.len()], true);
                found.id = format!("{}.{nth}", found.id);
                if nth % 2 == 1 {
                    found.drift[0].drift.actual = format!("{} on {n}", found.drift[0].drift.actual);
                }
                host.record(found, Keep::Findings);
            }
            host
        })
        .collect();
    run(hosts)
}
