//! Reports to test renderers with.

use std::time::Duration;

use super::{Command, ErrorClass, HostError, HostReport, Keep, ResourceReport, RunReport};
use crate::protocol::{Change, Drift, Status};

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

/// A run over these hosts.
pub(crate) fn run(command: Command, hosts: Vec<HostReport>) -> RunReport {
    RunReport {
        run_id: "0123abcd".to_owned(),
        command,
        playbook: "playbooks/host-init.yml".to_owned(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        duration: Duration::from_millis(2_345),
        hosts,
        interrupted: false,
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
            drift: vec![
                Drift::update("mode", "0600", "0644"),
                Drift::update("owner", "root", "nobody"),
            ],
            notifies: vec!["docker : restart docker".to_owned()],
            ..new(1, "file", "/etc/sysctl.d/90-fleet.conf")
        },
        ResourceReport {
            drift: vec![Drift::create("state", "directory")],
            ..new(2, "file", "/data/logs")
        },
        ResourceReport {
            drift: vec![Drift::remove("state", "present")],
            ..new(3, "user", "guest")
        },
        ResourceReport {
            drift: vec![Drift::new(
                Change::Replace,
                "driver",
                "overlay2",
                "devicemapper",
            )],
            ..new(4, "docker_daemon", "docker")
        },
        ResourceReport {
            drift: vec![Drift {
                sensitive: true,
                diff: Some("+hunter2".to_owned()),
                ..Drift::update("password", "hunter2", "letmein")
            }],
            ..new(5, "docker_login", "registry.example")
        },
    ]
}
