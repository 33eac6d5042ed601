//! Rules over every container and image on the host, declared or not, and over the engine.
//!
//! Audit only: what breaks a rule is drift that `fleet check` reports and `fleet apply` reports
//! too, but leaves as it is. What a rule is about is repaired where it is declared, by
//! `docker_daemon`, `docker_container`, `file`.
//!
//! The standard set of rules is looked at unless `rules` names others; `extra` adds to either.
//! An exception needs a reason; `for` is the name of a container, an image or a path, with `*`
//! and `?`, or `engine`, and everything where it is left out.
//!
//! - Containers: `digest_pinned`, `memory`, `swap`, `jvm_heap`, `privileged`, `capabilities`,
//!   `host_network`, `host_pid`, `host_ipc`, `host_uts`, `host_userns`, `joined_namespaces`,
//!   `docker_socket`, `sensitive_mounts`, `shared_mounts`, `devices`, `confinement`, `log_limits`, `pids`.
//! - The engine: `daemon_json`, `icc`, `log_level`, `iptables`, `insecure_registries`,
//!   `storage_driver`, `api_tls`, `cgroup_parent`, `base_size`, `log_rotation`,
//!   `no_new_privileges`, `live_restore`, `userland_proxy`, `seccomp`, `experimental`, `swarm`.
//! - Its files: `file_owner`, `file_mode`.
//! - On when the field is there that says what is allowed: `registries`, `published_ports`,
//!   `restart`, `docker_group`; `image_age` with `image_max_days`, `log_driver` with
//!   `log_drivers`.
//! - Not in the standard set: `cpus`, `read_only_root`, `new_privileges`, `healthcheck`,
//!   `root_user`, `default_ulimits`, `userns`, `authorization`, `data_root`, `audit_watches`.
//!
//! `roles/docker_audit/README.md` says what each looks at.
//!
//! What is read, and nothing else: the Engine API's description of the engine, its bridge, all
//! containers and images; `daemon.json`; the command line of the daemon that runs; owners and
//! modes of Docker's files. A setting is the daemon's default, under `daemon.json`, under a
//! flag, under what the running daemon says; a finding names the one that won. The heap of a
//! JVM is worked out from the options in the container's environment and command.
//!
//! Numbers in findings are those of the CIS Docker Benchmark 1.6. An engine that is not
//! installed or does not run can break no rule and keep none: it is unknown. It is not asked
//! then, because a connection to its socket would start it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Resource;
use super::docker_container::size::Size;
use crate::host::{Failure, Host};
use crate::protocol::{Drift, Output};

mod audit;
mod container;
mod engine;
mod files;
mod finding;
mod heap;
mod image;
mod mounts;
mod observe;
mod pattern;
mod port;
mod rule;
#[cfg(feature = "control")]
#[cfg(test)]
#[path = "samples/tests.rs"]
mod samples;
mod settings;
#[cfg(feature = "control")]
#[cfg(test)]
mod tests;

use finding::Finding;
use observe::Observed;
use port::PortRange;
use rule::Rule;

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// Rules over every container and image on the host, declared or not, and over the engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DockerPolicy {
    /// The rules, in place of the standard set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// Rules beside those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Rule>,
    /// Where images may come from: `registry.example.com`, or a part of one,
    /// `docker.io/library/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<String>,
    /// How many days old an image may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_max_days: Option<u32>,
    /// The largest memory limit that a container may have: `8g`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Size>,
    /// Which ports may be published: `443`, `8000-8999`; `[]` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_ports: Option<Vec<PortRange>>,
    /// Which log drivers containers may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_drivers: Vec<String>,
    /// The largest `max-size` that a container's log may have: `100m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_max_size: Option<Size>,
    /// How containers may be restarted: `unless-stopped`, `on-failure:5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<String>,
    /// Who may be in the group of Docker's socket; `[]` for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_group: Option<Vec<String>>,
    /// What may break which rules, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// What may break which rules, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The name of containers, images or paths, with `*` and `?`, or `engine`; everything unless
    /// given.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Which rules.
    pub rules: Vec<Rule>,
    /// Why, for whoever reads it next year.
    pub reason: String,
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        let subject = self.subject.as_deref();
        self.rules.contains(&finding.rule)
            && subject.is_none_or(|wanted| pattern::matches(wanted, finding.subject.name()))
    }
}

impl DockerPolicy {
    /// The fields that say what is allowed: the rule of each, its name, whether it is there.
    fn fields(&self) -> [(Rule, &'static str, bool); 8] {
        [
            (Rule::Registries, "registries", !self.registries.is_empty()),
            (
                Rule::ImageAge,
                "image_max_days",
                self.image_max_days.is_some(),
            ),
            (Rule::Memory, "memory_max", self.memory_max.is_some()),
            (
                Rule::PublishedPorts,
                "published_ports",
                self.published_ports.is_some(),
            ),
            (Rule::LogDriver, "log_drivers", !self.log_drivers.is_empty()),
            (Rule::LogLimits, "log_max_size", self.log_max_size.is_some()),
            (Rule::Restart, "restart", !self.restart.is_empty()),
            (
                Rule::DockerGroup,
                "docker_group",
                self.docker_group.is_some(),
            ),
        ]
    }

    /// Whether a rule is looked at.
    fn is_in_force(&self, rule: Rule) -> bool {
        let named = match &self.rules {
            Some(rules) => rules.contains(&rule),
            None => rule.default() == rule::Default::On,
        };
        named
            || self.extra.contains(&rule)
            || self
                .fields()
                .iter()
                .any(|(of, _, is_there)| *of == rule && *is_there)
    }

    fn findings(&self, observed: &Observed) -> Vec<Finding> {
        let settings = observed.settings();
        let mut found = engine::findings(self, observed, &settings);
        let guards = files::guards(&settings, &observed.told);
        found.extend(files::findings(&guards, &observed.files));
        found.extend(observed.audit.iter().flat_map(audit::Audit::findings));
        for image in &observed.images {
            found.extend(image::findings(
                self,
                &observed.containers,
                image,
                observed.now,
            ));
        }
        for container in &observed.containers {
            found.extend(container::findings(
                self,
                &settings,
                &observed.info,
                container,
            ));
        }
        let in_force: BTreeSet<Rule> = Rule::ALL
            .iter()
            .copied()
            .filter(|rule| self.is_in_force(*rule))
            .collect();
        found.retain(|finding| {
            in_force.contains(&finding.rule)
                && !self
                    .exceptions
                    .iter()
                    .any(|exception| exception.covers(finding))
        });
        found
    }
}

impl Resource for DockerPolicy {
    const KIND: &'static str = "docker_policy";

    const EXAMPLE: &'static str = "\
- name: what runs here keeps to the rules
  docker_policy:
    registries: [registry.example.com, docker.io/library/*]
    image_max_days: 180
    memory_max: 8g
    published_ports: [443, 8000-8999]
    log_drivers: [json-file, journald]
    log_max_size: 100m
    restart: [unless-stopped, on-failure:5]
    docker_group: [deploy]
    extra: [read_only_root, healthcheck]
    exceptions:
      - for: cadvisor*
        rules: [docker_socket, privileged]
        reason: it reads the statistics of all containers
      - rules: [userland_proxy]
        reason: the kernel of these hosts has no hairpin NAT

- name: nothing privileged, whatever else
  docker_policy: { rules: [privileged, docker_socket] }
";

    type Actual = Observed;

    fn id(&self) -> String {
        "docker".to_owned()
    }

    fn validate(&self) -> Result<(), String> {
        if self.rules.as_ref().is_some_and(Vec::is_empty) {
            return Err("`rules` is empty; leave it out for the standard set".to_owned());
        }
        for (rule, field, is_there) in self.fields() {
            let mut named = self.rules.iter().flatten().chain(&self.extra);
            if rule.default() == rule::Default::ByField && !is_there && named.any(|it| *it == rule)
            {
                return Err(format!(
                    "the rule `{rule}` needs `{field}`, which says what is allowed"
                ));
            }
        }
        for exception in &self.exceptions {
            if exception.rules.is_empty() {
                return Err("an exception without `rules` is none".to_owned());
            }
            if exception.reason.trim().is_empty() {
                let subject = exception.subject.as_deref().unwrap_or("everything");
                return Err(format!("the exception for {subject} has no `reason`"));
            }
        }
        Ok(())
    }

    fn observe(&self, host: &Host) -> Result<Observed, Failure> {
        observe::look(self, host)
    }

    fn drift(&self, actual: &Observed) -> Vec<Drift> {
        self.findings(actual)
            .into_iter()
            .map(Finding::drift)
            .collect()
    }

    fn apply(&self, _: &Host, _: &Observed) -> Result<Option<Output>, Failure> {
        Err(Failure::Refused(
            "`docker_policy` only audits; it repairs nothing".to_owned(),
        ))
    }
}
