//! The credentials of one registry, in a user's `config.json`.
//!
//! Only the entry of this registry is written: other registries and settings stay as they are,
//! in their order. The file is for its user alone (0600). Where a credential helper is
//! configured for the registry, Docker would never look at the entry, so it is refused.
//!
//! `ca` is the certificate authority that signed the registry's certificate. The engine reads
//! it from `/etc/docker/certs.d/REGISTRY/ca.crt` (mode 0444) at every contact, without a restart. A login
//! without `ca` leaves what is there alone; `ca: { state: absent }` removes it.
//!
//! `verify` asks the registry, through the engine, whether it accepts the credentials: before
//! they are written, and again at every check. Credentials that it refuses are a difference, which
//! apply cannot mend: it fails. A registry that cannot be asked is unknown, not in sync.
//!
//! base64 is no encryption: who may read `config.json` has the password. Docker has no other
//! place for it without a credential helper.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hidden::Hidden;
use super::presence::Presence;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::docker_api::Engine;
use crate::host::{Failure, Host, HostPath};
use crate::protocol::{Drift, Output, Source};

mod authority;
mod config;
mod presented;
mod refusal;

pub(super) use authority::hint;
use authority::{Authority, Standing};
use config::{Config, Entry};
pub(super) use presented::presented;
pub(super) use refusal::{Refusal, refusal};

/// The credentials of one registry, in a user's `config.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DockerLogin {
    /// The registry as image names begin with it: `registry.example.com:5000`, `docker.io`.
    pub registry: String,
    /// Who to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password or token. Never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Hidden>,
    /// Whose `~/.docker/config.json` it is; the user that fleet works as (root) unless told
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Another file than `~/.docker/config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<HostPath>,
    /// The certificate authority of the registry, for all users of this engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Authority>,
    /// Ask the registry whether it accepts the credentials.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify: bool,
    /// `present` (the default), or `absent`: no entry for this registry.
    #[serde(default)]
    pub state: Presence,
}

/// What is known of the registry on the host.
#[derive(Debug)]
pub struct Found {
    config: Config,
    /// How the authority's certificate stands, where one is declared.
    authority: Option<Standing>,
    verdict: Verdict,
}

/// What the registry says of the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It was not asked: nobody wants to know, or it has to be told something else first.
    NotAsked,
    /// It takes them.
    Accepted,
    /// It does not, and these are its words.
    Denied(String),
}

/// Docker Hub's entry has a name of its own.
const HUB: &str = "https://index.docker.io/v1/";

/// The key of a registry in `auths`.
fn key_of(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | HUB => HUB,
        registry => registry,
    }
}

impl DockerLogin {
    fn key(&self) -> &str {
        key_of(&self.registry)
    }

    /// The declared entry; `None` with `state: absent`.
    fn entry(&self) -> Option<Entry> {
        let (username, password) = (self.username.as_deref()?, self.password.as_ref()?);
        (self.state == Presence::Present).then(|| Entry::new(username, password.expose()))
    }

    fn uid(&self, host: &Host) -> Result<u32, Failure> {
        self.user.as_deref().map_or_else(
            || Ok(rustix::process::geteuid().as_raw()),
            |user| host.user_id(user),
        )
    }

    fn config_path(&self, host: &Host) -> Result<PathBuf, Failure> {
        match &self.config_path {
            Some(path) => Ok(path.to_path_buf()),
            None => Ok(host
                .home_directory(self.uid(host)?)?
                .join(".docker/config.json")),
        }
    }

    /// Asks the registry, through the engine, whether it accepts the credentials.
    ///
    /// # Errors
    /// Where it could not be asked, with the cause.
    fn verify(&self, engine: &Engine) -> Result<Verdict, Failure> {
        let (Some(username), Some(password)) = (&self.username, &self.password) else {
            return Ok(Verdict::NotAsked);
        };
        let body = json!({
            "username": username,
            "password": password.expose(),
            "serveraddress": self.key(),
        });
        let reason = match engine.post("/auth", Some(&body)) {
            Ok(_) => return Ok(Verdict::Accepted),
            // Nothing that came from the other end may carry the password back.
            Err(Failure::Refused(reason)) => reason.replace(password.expose(), "[redacted]"),
            Err(failure) => return Err(failure),
        };
        if refusal(&self.registry, &reason) == Refusal::Denied {
            return Ok(Verdict::Denied(reason));
        }
        Err(Failure::Refused(format!(
            "{} could not be asked about `{username}`: {reason}{}",
            self.registry,
            authority::hint(&reason),
        )))
    }

    /// Refuses credentials that the registry does not accept.
    fn accepted(&self, verdict: &Verdict) -> Result<(), Failure> {
        let Verdict::Denied(reason) = verdict else {
            return Ok(());
        };
        Err(Failure::Refused(format!(
            "{} does not accept `{}`: {reason}",
            self.registry,
            self.username.as_deref().unwrap_or_default(),
        )))
    }

    /// What differs on the host, whatever the registry says.
    fn local_drift(&self, actual: &Found) -> Vec<Drift> {
        let authority = self.authority_drift(actual);
        let mut drift: Vec<_> = authority.into_iter().collect();
        drift.extend(actual.config.drift(self.key(), self.entry().as_ref()));
        drift
    }

    fn authority_drift(&self, actual: &Found) -> Option<Drift> {
        self.ca.as_ref()?.drift(actual.authority?)
    }

    fn authority_path(&self) -> PathBuf {
        Path::new("/etc/docker/certs.d")
            .join(&self.registry)
            .join("ca.crt")
    }
}

/// `host[:port]`, as it stands in image names and in the path of `certs.d`.
fn is_registry(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "443"));
    let fits = |sign: char| sign.is_ascii_alphanumeric() || ".-_".contains(sign);
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(fits)
        && port.parse::<u16>().is_ok()
}

impl Resource for DockerLogin {
    const KIND: &'static str = "docker_login";

    const EXAMPLE: &'static str = "\
- name: may pull from the company's registry
  docker_login:
    registry: registry.example.com:5000
    username: robot$puller
    password: \"{{ registry_password }}\"
    ca: { src: company-ca.crt }
    verify: yes

- name: no login at Docker Hub left
  docker_login: { registry: docker.io, user: deploy, state: absent }

- name: a registry that is gone
  docker_login: { registry: old.example.com, state: absent, ca: { state: absent } }
";

    type Actual = Found;

    fn id(&self) -> String {
        match &self.user {
            Some(user) => format!("{} for {user}", self.registry),
            None => self.registry.clone(),
        }
    }

    fn validate(&self) -> Result<(), String> {
        if self.key() != HUB && !is_registry(&self.registry) {
            return Err(format!(
                "`{}` is no registry; write it as image names begin: `registry.example.com:5000`, \
                 without `https://` and without a path",
                self.registry
            ));
        }
        if let Some(authority) = &self.ca {
            authority.validate()?;
        }
        if self.state == Presence::Absent {
            if self.password.is_some() || self.verify {
                return Err("`state: absent` takes neither `password` nor `verify`".to_owned());
            }
            return Ok(());
        }
        let username = self.username.as_deref().unwrap_or_default();
        if username.is_empty() || username.contains(':') {
            return Err("`username` is needed, and may contain no `:`".to_owned());
        }
        if self
            .password
            .as_ref()
            .is_none_or(|text| text.expose().is_empty())
        {
            return Err("`password` is needed".to_owned());
        }
        Ok(())
    }

    fn sources_mut(&mut self) -> Vec<&mut Source> {
        self.ca
            .iter_mut()
            .filter_map(|ca| ca.src.as_mut())
            .collect()
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::DockerLogin(Self {
                registry: self.registry.clone(),
                username: None,
                password: None,
                user: self.user.clone(),
                config_path: self.config_path.clone(),
                ca: None,
                verify: false,
                state: Presence::Absent,
            }),
            made_with: "login",
            removal: Removal::Prune,
        })
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let config = Config::read(host, &self.config_path(host)?, self.uid(host)?)?;
        config.refuse_helper(self.key())?;
        let authority = match &self.ca {
            Some(ca) => Some(ca.observe(host, &self.authority_path())?),
            None => None,
        };
        let mut found = Found {
            config,
            authority,
            verdict: Verdict::NotAsked,
        };
        if self.verify && self.local_drift(&found).is_empty() {
            found.verdict = self.verify(&Engine::local())?;
        }
        Ok(found)
    }

    fn obstacle(&self, host: &Host, actual: &Found) -> Result<(), Failure> {
        self.accepted(&actual.verdict)?;
        host.may_write(actual.config.path())
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let mut drift = self.local_drift(actual);
        if matches!(actual.verdict, Verdict::Denied(_)) {
            drift.push(Drift::update("login at the registry", "accepted", "denied"));
        }
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let path = self.authority_path();
        let installed = match &self.ca {
            Some(ca) if self.authority_drift(actual).is_some() => Some(ca.install(host, &path)?),
            _ => None,
        };
        // After the authority: without it the registry cannot be asked.
        if self.verify
            && let Err(failure) = self
                .verify(&Engine::local())
                .and_then(|verdict| self.accepted(&verdict))
        {
            // A wrong authority would break the logins of others too.
            if let Some(previous) = installed {
                Authority::take_back(host, &path, &previous)?;
            }
            return Err(failure);
        }
        actual
            .config
            .write(host, self.uid(host)?, self.key(), self.entry().as_ref())?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
