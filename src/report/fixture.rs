//! Reports to test renderers with.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Command, Difference, ErrorClass, HostError, HostReport, Keep, ResourceReport, RunReport,
    Waived, WaiverIssue, WaiverRemark,
};
use crate::protocol::{Change, Drift, Holder, Output, Severity, Status};

/// A file with this verdict and nothing else.
pub(crate) fn resource(status: Status) -> ResourceReport {
    ResourceReport {
        play: "hosts".to_owned(),
        role: Some("host_baseline".to_owned()),
        task: "set the limits".to_owned(),
        kind: "file".to_owned(),
        id: "/etc/limits".to_owned(),
        status,
        ..ResourceReport::default()
    }
}

/// Differences of a task that does not say how bad they are.
pub(crate) fn differences(found: impl IntoIterator<Item = Drift>) -> Vec<Difference> {
    let new = |drift| Difference::new(drift, Severity::default());
    found.into_iter().map(new).collect()
}

/// A waiver that holds for long.
pub(crate) fn waived() -> Arc<Waived> {
    Arc::new(Waived {
        reason: "until the new disks are in".to_owned(),
        owner: "ops".to_owned(),
        expires: jiff::civil::date(2099, 12, 31),
        place: "waivers.yml:1".to_owned(),
    })
}

/// A host with these resources.
pub(crate) fn host(name: &str, resources: impl IntoIterator<Item = ResourceReport>) -> HostReport {
    let mut host = HostReport::new(name);
    host.duration = Duration::from_millis(1_200);
    for resource in resources {
        host.record(resource, Keep::Findings);
    }
    host
}

/// A host that was not reached.
pub(crate) fn unreachable(name: &str) -> HostReport {
    HostReport {
        error: Some(HostError {
            class: ErrorClass::Timeout,
            message: "no answer within 10 s".to_owned(),
        }),
        ..HostReport::new(name)
    }
}

/// A host that the run did not come to.
pub(crate) fn untouched(name: &str) -> HostReport {
    HostReport {
        error: Some(HostError {
            class: ErrorClass::Untouched,
            message: "the run ended before its turn".to_owned(),
        }),
        ..host(name, [])
    }
}

/// A host that another run works on.
pub(crate) fn locked(name: &str) -> HostReport {
    HostReport {
        error: Some(HostError {
            class: ErrorClass::Locked,
            message: "an apply by ops@ctl changes this host".to_owned(),
        }),
        ..HostReport::new(name)
    }
}

/// A run over these hosts.
pub(crate) fn run(command: Command, hosts: Vec<HostReport>) -> RunReport {
    RunReport {
        run_id: "0123abcd".to_owned(),
        command,
        playbook: "playbooks/host-init.yml".to_owned(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        duration: Duration::from_millis(2_345),
        hosts,
        cut_short: None,
        batches: Vec::new(),
        waivers: Vec::new(),
    }
}

/// One finding of every sort.
pub(crate) fn findings(status: Status) -> Vec<ResourceReport> {
    let new = |position, kind: &str, id: &str| ResourceReport {
        position,
        kind: kind.to_owned(),
        id: id.to_owned(),
        task: format!("the {kind}"),
        ..resource(status)
    };
    vec![
        ResourceReport {
            drift: differences([
                Drift::update("mode", "0600", "0644"),
                Drift::update("owner", "root", "nobody"),
            ]),
            notifies: vec!["docker : restart docker".to_owned()],
            ..new(1, "file", "/etc/sysctl.d/90-fleet.conf")
        },
        ResourceReport {
            drift: differences([Drift::create("state", "directory")]),
            ..new(2, "file", "/data/logs")
        },
        ResourceReport {
            drift: differences([Drift::remove("state", "present")]),
            ..new(3, "user", "guest")
        },
        ResourceReport {
            drift: differences([Drift::new(
                Change::Replace,
                "driver",
                "overlay2",
                "devicemapper",
            )]),
            ..new(4, "docker_daemon", "docker")
        },
        ResourceReport {
            drift: differences([Drift {
                sensitive: true,
                diff: Some("+hunter2".to_owned()),
                ..Drift::update("password", "hunter2", "letmein")
            }]),
            ..new(5, "docker_login", "registry.example")
        },
    ]
}

fn drifted(position: usize, role: Option<&str>, kind: &str, id: &str) -> ResourceReport {
    ResourceReport {
        position,
        role: role.map(str::to_owned),
        kind: kind.to_owned(),
        id: id.to_owned(),
        task: format!("the {kind}"),
        ..resource(Status::Drift)
    }
}

/// A daemon that is not as declared for so many days.
fn daemon(days: i64) -> ResourceReport {
    let diff = "--- /etc/docker/daemon.json\n+++ /etc/docker/daemon.json\n@@ -1,2 +1,2 @@\n {\n-  \"live-restore\": false\n+  \"live-restore\": true\n";
    let drift = Drift {
        diff: Some(diff.to_owned()),
        ..Drift::update("live-restore", "true", "false")
    };
    ResourceReport {
        drift: vec![Difference {
            first_seen: jiff::Timestamp::from_second(1_800_000_000 - days * 86_400).ok(),
            ..Difference::new(drift, Severity::High)
        }],
        notifies: vec!["docker_engine : restart docker".to_owned()],
        severity: Severity::High,
        ..drifted(1, Some("docker_engine"), "docker_daemon", "docker")
    }
}

/// Everything a report can hold: a run over six hosts, of which no two came out alike.
pub(crate) fn rich() -> RunReport {
    let login = ResourceReport {
        drift: differences([
            Drift {
                sensitive: true,
                ..Drift::update("password", "[secret]", "[secret]")
            },
            Drift::create("registry", "registry.example"),
        ]),
        ..drifted(2, Some("registry_auth"), "docker_login", "registry.example")
    };
    let policy = ResourceReport {
        drift: vec![Difference::new(
            Drift::update("privileged", "false", "true").severity(Severity::Critical),
            Severity::Low,
        )],
        ..drifted(3, None, "docker_policy", "container <build> & \"co\"")
    };
    let mut motd = drifted(4, Some("host_baseline"), "file", "/etc/motd");
    motd.severity = Severity::Info;
    motd.drift = differences([Drift::remove("state", "present")]);
    let told = |status, message: &str| ResourceReport {
        status,
        message: Some(message.to_owned()),
        ..drifted(5, Some("docker_engine"), "service", "docker.service")
    };
    let ignored = ResourceReport {
        ignored: true,
        ..told(Status::Failed, "exit code 1")
    };
    let mut stopped = host(
        "db02",
        [
            told(Status::Changed, ""),
            told(Status::Ok, "runs every time"),
        ],
    );
    stopped.error = Some(HostError {
        class: ErrorClass::Stopped,
        message: "no space left on device".to_owned(),
    });
    let mut report = run(
        Command::Check,
        vec![
            host("web01", [resource(Status::Ok), daemon(19), login, policy]),
            host("web02", [resource(Status::Ok), daemon(0), motd]),
            host(
                "db01",
                [
                    told(Status::Unknown, "systemctl did not answer\nwithin 30 s"),
                    told(Status::Failed, "unit not found\n  at <docker.service>"),
                    ignored,
                    told(Status::Skipped, "the condition is false"),
                ],
            ),
            stopped,
            host("cache01", [resource(Status::Ok), resource(Status::Ok)]),
            unreachable("edge01"),
        ],
    );
    report.started_at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    report.hosts[4].running = Some(Holder {
        who: "ops@ctl".to_owned(),
        run_id: "4567cdef".to_owned(),
        since: 1_799_999_940,
        pid: 42,
    });
    for host in &mut report.hosts {
        host.waive(|found, difference| {
            let accepted = found.id == "/etc/motd" || difference.drift.attribute == "password";
            accepted.then(waived)
        });
    }
    report.waivers.push(WaiverRemark {
        waiver: Arc::new(Waived {
            expires: jiff::civil::date(2026, 6, 30),
            place: "waivers.yml:9".to_owned(),
            ..(*waived()).clone()
        }),
        subject: "web*: file /etc/issue".to_owned(),
        issue: WaiverIssue::Expired,
    });
    report
}

/// A report that has `text` everywhere a text can be.
pub(crate) fn full_of(text: &str) -> RunReport {
    let all = || text.to_owned();
    let found = ResourceReport {
        play: all(),
        role: Some(all()),
        task: all(),
        id: all(),
        message: Some(all()),
        drift: differences([Drift {
            diff: Some(format!(
                "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+{}\n",
                text.replace('\n', "\n+")
            )),
            ..Drift::update(all(), all(), all())
        }]),
        notifies: vec![all()],
        output: Some(Output {
            rc: 1,
            stdout: all(),
            stderr: all(),
            truncated: false,
        }),
        ..resource(Status::Drift)
    };
    let failed = ResourceReport {
        status: Status::Failed,
        ..found.clone()
    };
    let waiver = Arc::new(Waived {
        reason: all(),
        owner: all(),
        ..(*waived()).clone()
    });
    let mut accepted = found.clone();
    accepted.drift[0].waived = Some(Arc::clone(&waiver));
    let mut host = host("node1", [found, failed, accepted]);
    host.error = Some(HostError {
        class: ErrorClass::Stopped,
        message: all(),
    });
    host.running = Some(Holder {
        who: all(),
        run_id: all(),
        since: 0,
        pid: 1,
    });
    let mut report = run(Command::Check, vec![host]);
    report.playbook = all();
    report.waivers.push(WaiverRemark {
        waiver,
        subject: all(),
        issue: WaiverIssue::Unused,
    });
    report
}
