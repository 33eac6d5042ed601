//! One image on the host, by digest.
//!
//! `image: NAME@sha256:…` names one image for good; a tag alone is refused, because it may be
//! another image tomorrow. It is pulled with the credentials that `docker_login` wrote, and
//! Docker verifies what comes against the digest. An image is there only if Docker has it under
//! this name and this digest (`RepoDigests`): by these a container asks for it. One with the right
//! `image_id` (the digest of the image's configuration) and another name is pulled, which costs
//! no layer. `image_id` is compared as well where it is declared.
//!
//! `archive` is for hosts that reach no registry: a file of `docker save`, sent over the same
//! SSH connection to hosts that lack the image. An archive carries no manifest digest, so
//! `image_id` says what is in it, `image` is not taken beside it, and a container names the image
//! by its id. The archive's list of contents is looked at before Docker
//! gets it: nothing is loaded from an archive of another image. Tags that the archive brings
//! along are made to point at its image, as `docker load` does it, whatever they pointed at.
//!
//! `tag` is a name for people on this host, kept pointing at this image.
//!
//! `state: absent` removes the image and its tags; one that a container was made from is not
//! removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Resource;
use super::presence::Presence;
use crate::host::docker_api::Engine;
use crate::host::{Failure, Host};
use crate::protocol::{Drift, Output, Source};

mod archive;
mod pull;
mod reference;

pub(super) use reference::{Digest, ImageRef, Pinned, full_name};

/// One image on the host, by digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DockerImage {
    /// The image by the digest of its manifest: `registry/name@sha256:…`. Not needed with
    /// `archive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Pinned>,
    /// The id of the image, `sha256:…`: what `docker image inspect` calls `Id`. Needed with
    /// `archive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<Digest>,
    /// A file of `docker save` to load it from, instead of a registry; looked up in `files/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Source>,
    /// A name for the image on this host, `name:tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// How long pulling or loading may take, in seconds.
    #[serde(default = "half_an_hour")]
    pub timeout: u32,
    /// `present` (the default) or `absent`.
    #[serde(default)]
    pub state: Presence,
}

/// The image as it is on the host.
#[derive(Clone, Debug)]
pub struct Found {
    standing: Standing,
    /// The id of the image that `tag` names, if it names one.
    tagged: Option<String>,
}

/// How far the image is what is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Docker has nothing of it.
    Missing,
    /// An image of the declared id is there, but not under the declared name and digest.
    OnlyById(String),
    /// What has the declared name and digest is an image of this id, and another is declared.
    Contradicted(String),
    /// It is there, by everything that is declared; with its id.
    Proven(String),
}

impl Standing {
    /// The id of the image that is there.
    fn id(&self) -> Option<&str> {
        match self {
            Self::Missing => None,
            Self::OnlyById(id) | Self::Contradicted(id) | Self::Proven(id) => Some(id),
        }
    }
}

fn half_an_hour() -> u32 {
    1800
}

/// The id of an image on the host; `None` if it is not there.
pub(super) fn id_of(engine: &Engine, image: &str) -> Result<Option<String>, Failure> {
    let Some(found) = inspect(engine, image)? else {
        return Ok(None);
    };
    match found["Id"].as_str() {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(Failure::Unexpected(format!(
            "Docker's description of the image {image} has no id"
        ))),
    }
}

/// Docker's own description of an image; `None` if it is not there. A name with a digest is there
/// only if the image has it among its `RepoDigests`: some image stores find one by its digest
/// alone, and under that name it could neither be pulled nor run.
pub(super) fn inspect(engine: &Engine, image: &str) -> Result<Option<Value>, Failure> {
    let found = engine.get(&format!("/images/{image}/json"))?;
    let Ok(pinned) = image.parse::<Pinned>() else {
        return Ok(found);
    };
    Ok(found.filter(|found| {
        let known = found["RepoDigests"].as_array().into_iter().flatten();
        known
            .filter_map(Value::as_str)
            .filter_map(|known| known.parse::<Pinned>().ok())
            .any(|known| known.is_same(&pinned))
    }))
}

impl DockerImage {
    /// How the image stands on the host: by name and digest where these are declared, and only
    /// without them by its id.
    fn find(&self, engine: &Engine) -> Result<Standing, Failure> {
        let by_id = || match self.image_id {
            Some(id) => id_of(engine, &id.to_string()),
            None => Ok(None),
        };
        let Some(image) = &self.image else {
            return Ok(by_id()?.map_or(Standing::Missing, Standing::Proven));
        };
        let Some(found) = id_of(engine, &image.to_string())? else {
            return Ok(by_id()?.map_or(Standing::Missing, Standing::OnlyById));
        };
        let declared = self.image_id.map(|id| id.to_string());
        // With the containerd image store the id is the digest of the manifest.
        if declared.is_some_and(|id| id != found) && found != image.digest().to_string() {
            return Ok(Standing::Contradicted(found));
        }
        Ok(Standing::Proven(found))
    }

    /// Refuses a declaration that says two different things: no image could satisfy it.
    fn contradiction(&self, standing: &Standing) -> Result<(), Failure> {
        let (Standing::Contradicted(found), Some(image), Some(id)) =
            (standing, &self.image, self.image_id)
        else {
            return Ok(());
        };
        Err(Failure::Refused(format!(
            "{image} is the image {found}, not the declared `image_id` {id}; one of the two is \
             wrong in the declaration"
        )))
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    fn remove(engine: &Engine, id: &str) -> Result<(), Failure> {
        // Docker would remove the image under a stopped container.
        let containers = engine
            .get("/containers/json?all=1")?
            .unwrap_or(Value::Array(Vec::new()));
        let users: Vec<_> = containers
            .as_array()
            .into_iter()
            .flatten()
            .filter(|container| container["ImageID"] == id)
            .filter_map(|container| container["Names"][0].as_str())
            .map(|name| name.trim_start_matches('/'))
            .collect();
        if !users.is_empty() {
            return Err(Failure::Refused(format!(
                "the image is in use by the containers {}; remove them first",
                users.join(", ")
            )));
        }
        // Forced only because it may have several names.
        engine.delete(&format!("/images/{id}?force=1"))
    }
}

impl Resource for DockerImage {
    const KIND: &'static str = "docker_image";

    const EXAMPLE: &'static str = "\
- name: the Java runtime, pulled when the host is made
  docker_image:
    image: registry.example.com/base/jre@sha256:4b6bcb4b6ae4fd6e1cfd7b1f0f5f0a2a5a3d0cfb3d5d3d8c2b1a0f9e8d7c6b5a
    image_id: sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d
    tag: base/jre:17

- name: the same on a host that reaches no registry
  docker_image:
    archive: jre-17.tar
    image_id: sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d
    tag: base/jre:17
";

    type Actual = Found;

    fn id(&self) -> String {
        match (&self.image, &self.image_id, &self.tag) {
            (Some(image), _, _) => image.to_string(),
            (None, _, Some(tag)) => tag.clone(),
            (None, Some(id), None) => id.to_string(),
            (None, None, None) => String::new(),
        }
    }

    fn validate(&self) -> Result<(), String> {
        if self.image.is_none() && self.image_id.is_none() {
            return Err(
                "`image` is needed (`NAME@sha256:…`), or `image_id` with `archive`".to_owned(),
            );
        }
        if self.timeout == 0 {
            return Err("`timeout` is at least 1 second".to_owned());
        }
        if let Some(tag) = &self.tag {
            reference::check_tag(tag)?;
        }
        if self.state == Presence::Absent {
            return Ok(());
        }
        match (&self.archive, &self.image, &self.image_id) {
            (Some(_), Some(_), Some(_)) => Err(
                "`archive` and `image` exclude each other: an archive brings no digest of a \
                 manifest, so Docker never knows its image by that name; leave `image` out, and \
                 give `image_id` to what uses the image"
                    .to_owned(),
            ),
            (Some(_), _, None) => Err(
                "`archive` needs `image_id`: an archive does not know its digest; \
                 `docker image inspect -f '{{.Id}}' NAME` shows it"
                    .to_owned(),
            ),
            (None, None, _) => {
                Err("`image_id` alone cannot be pulled; give `image` or `archive`".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn sources_mut(&mut self) -> Vec<&mut Source> {
        match self.state {
            Presence::Present => self.archive.iter_mut().collect(),
            Presence::Absent => Vec::new(),
        }
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.timeout())
    }

    fn observe(&self, _: &Host) -> Result<Found, Failure> {
        let engine = Engine::local();
        Ok(Found {
            standing: self.find(&engine)?,
            tagged: match &self.tag {
                Some(tag) => id_of(&engine, tag)?,
                None => None,
            },
        })
    }

    fn obstacle(&self, _: &Host, actual: &Found) -> Result<(), Failure> {
        match self.state {
            Presence::Present => self.contradiction(&actual.standing),
            Presence::Absent => Ok(()),
        }
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        if self.state == Presence::Absent {
            let found = actual.standing.id();
            return found
                .map(|id| Drift::remove("state", id))
                .into_iter()
                .collect();
        }
        let mut drift = Vec::new();
        match (&actual.standing, &self.image, self.image_id) {
            (Standing::Missing, _, _) => drift.push(Drift::create("state", "present")),
            (Standing::OnlyById(_), Some(image), _) => {
                drift.push(Drift::create("name and digest", image.to_string()));
            }
            (Standing::Contradicted(found), _, Some(id)) => {
                drift.push(Drift::update("image_id", id.to_string(), found));
            }
            _ => {}
        }
        let found = actual.standing.id();
        if let Some(tag) = &self.tag
            && (found.is_none() || actual.tagged.as_deref() != found)
        {
            let id = found.unwrap_or("this image");
            drift.push(match &actual.tagged {
                Some(other) => Drift::update(format!("tag {tag}"), id, other),
                None => Drift::create(format!("tag {tag}"), id),
            });
        }
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let engine = Engine::local();
        if self.state == Presence::Absent {
            if let Some(id) = actual.standing.id() {
                Self::remove(&engine, id)?;
            }
            return Ok(None);
        }
        let mut output = None;
        if !matches!(actual.standing, Standing::Proven(_)) {
            self.contradiction(&actual.standing)?;
            match (&self.archive, &self.image, &self.image_id) {
                (Some(source), _, Some(id)) => {
                    output = Some(archive::load(host, source, *id, self.timeout())?);
                }
                (_, Some(image), _) => pull::pull(host, &engine, image, self.timeout())?,
                _ => return Err(Failure::Refused(self.validate().err().unwrap_or_default())),
            }
        }
        let standing = self.find(&engine)?;
        self.contradiction(&standing)?;
        let Standing::Proven(id) = standing else {
            return Err(Failure::Unexpected(format!(
                "Docker reported success, but {} is not there",
                self.id()
            )));
        };
        if let Some(tag) = &self.tag {
            let (name, tag) = reference::check_tag(tag).map_err(Failure::Refused)?;
            engine.post(&format!("/images/{id}/tag?repo={name}&tag={tag}"), None)?;
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests;
