//! Pulling an image through the engine, with the login of the helper's user.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Pinned;
use crate::host::docker_api::Engine;
use crate::host::{Failure, Host};
use crate::protocol::Step;
use crate::resource::docker_login::{self, Refusal};

/// More layers than an image can have: storage drivers stop at 127.
const MOST_LAYERS: usize = 1000;

/// Pulls an image by its digest; the engine verifies what comes.
///
/// # Errors
/// [`Failure::Refused`] with what the engine says, and the way out where it is known.
pub(super) fn pull(
    host: &Host,
    engine: &Engine,
    image: &Pinned,
    limit: Duration,
) -> Result<(), Failure> {
    let login = docker_login::presented(host, image.registry())?;
    let head = login
        .as_ref()
        .map(|auth| ("X-Registry-Auth", auth.expose()));
    // With a digest for its tag, nothing is tagged.
    let (name, digest) = (image.name(), image.digest());
    let path = format!("/images/create?fromImage={name}&tag={digest}");
    let mut layers = Layers::default();
    let pulled = engine.follow(&path, head.as_slice(), limit, |told| {
        if let Some((step, done, total)) = layers.hear(told) {
            host.advance(step, done, total);
        }
    });
    pulled.map_err(|failure| match failure {
        Failure::Refused(said) => Failure::Refused(format!(
            "{image} was not pulled: {said}{}",
            hint(image, &said)
        )),
        failure => failure,
    })
}

fn hint(image: &Pinned, said: &str) -> &'static str {
    match docker_login::refusal(image.registry(), said) {
        Refusal::Denied => "\n    log in with docker_login before this task",
        Refusal::NotReached => {
            "\n    the registry did not answer this host; this says nothing about the login"
        }
        Refusal::Other => docker_login::hint(said),
    }
}

/// How far each layer is, from what the engine tells.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, Layer>);

/// One layer, in bytes as they travel.
#[derive(Debug, Default)]
struct Layer {
    size: u64,
    downloaded: u64,
    unpacked: u64,
}

impl Layers {
    /// How far the whole image is, after one more thing was told; `None` if that was not news.
    fn hear(&mut self, told: &Value) -> Option<(Step, u64, u64)> {
        let id = told["id"].as_str()?;
        let detail = &told["progressDetail"];
        // Since 23.0 an engine may count seconds, where it does not know the size.
        let current = detail["current"]
            .as_u64()
            .filter(|_| detail["units"].is_null());
        if !self.0.contains_key(id) && self.0.len() >= MOST_LAYERS {
            return None;
        }
        match told["status"].as_str()? {
            "Downloading" => {
                let downloaded = current?;
                let layer = self.0.entry(id.to_owned()).or_default();
                layer.downloaded = downloaded;
                // Unknown for some registries: then it is as much as has come.
                layer.size = detail["total"].as_u64().unwrap_or(0).max(downloaded);
            }
            "Download complete" => {
                let layer = self.0.get_mut(id)?;
                layer.downloaded = layer.size;
            }
            "Extracting" => {
                let layer = self.0.get_mut(id)?;
                layer.downloaded = layer.size;
                layer.unpacked = current?.min(layer.size);
            }
            "Pull complete" => {
                let layer = self.0.get_mut(id)?;
                layer.downloaded = layer.size;
                layer.unpacked = layer.size;
            }
            _ => return None,
        }
        let sum = |of: fn(&Layer) -> u64| self.0.values().map(of).fold(0, u64::saturating_add);
        let total = sum(|layer| layer.size);
        let downloaded = sum(|layer| layer.downloaded);
        Some(if downloaded < total {
            (Step::Download, downloaded, total)
        } else {
            (Step::Unpack, sum(|layer| layer.unpacked), total)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::docker_api::tests::answers;

    /// Told by Docker 20.10.24 for two layers, shortened.
    const TOLD: &str = r#"
{"status":"Pulling from base/jre","id":"sha256:4b6b"}
{"status":"Pulling fs layer","progressDetail":{},"id":"a"}
{"status":"Already exists","progressDetail":{},"id":"z"}
{"status":"Waiting","progressDetail":{},"id":"b"}
{"status":"Downloading","progressDetail":{"current":40,"total":100},"progress":"[==> ]","id":"a"}
{"status":"Downloading","progressDetail":{"current":5,"total":50},"progress":"[=> ]","id":"b"}
{"status":"Verifying Checksum","progressDetail":{},"id":"a"}
{"status":"Download complete","progressDetail":{},"id":"a"}
{"status":"Extracting","progressDetail":{"current":30,"total":100},"progress":"[> ]","id":"a"}
{"status":"Download complete","progressDetail":{},"id":"b"}
{"status":"Pull complete","progressDetail":{},"id":"a"}
{"status":"Extracting","progressDetail":{"units":"s","current":1},"id":"b"}
{"status":"Pull complete","progressDetail":{},"id":"b"}
{"status":"Digest: sha256:4b6b"}
{"status":"Status: Downloaded newer image for registry.lab:5000/base/jre@sha256:4b6b"}"#;

    #[test]
    fn the_layers_are_added_up_and_unpacking_comes_after() {
        use Step::{Download, Unpack};
        let mut layers = Layers::default();
        let told = TOLD
            .trim()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let heard: Vec<_> = told.filter_map(|told: Value| layers.hear(&told)).collect();
        assert_eq!(
            heard,
            [
                (Download, 40, 100),
                (Download, 45, 150),
                (Download, 105, 150),
                (Download, 105, 150),
                (Unpack, 30, 150),
                (Unpack, 100, 150),
                (Unpack, 150, 150),
            ]
        );
    }

    /// What comes of a pull by an engine that answers so, and what that engine was asked.
    fn pulled(answer: String) -> (Result<(), Failure>, String) {
        let directory = tempfile::tempdir().unwrap();
        let image = format!("reg.example:5000/app@sha256:{}", "0".repeat(64));
        let image = image.parse().unwrap();
        let host = Host::offline(directory.path());
        let mut pulled = Ok(());
        let request = answers(answer, |engine| {
            pulled = pull(&host, engine, &image, Duration::from_secs(5));
        });
        (pulled, request)
    }

    #[test]
    fn the_engine_is_asked_by_digest_and_heard_to_the_end() {
        let (pulled, asked) = pulled(format!("HTTP/1.0 200 OK\r\n\r\n{TOLD}"));
        assert!(pulled.is_ok(), "{pulled:?}");
        let zeros = "0".repeat(64);
        assert_eq!(
            asked.lines().next().unwrap(),
            format!(
                "POST /images/create?fromImage=reg.example:5000/app&tag=sha256:{zeros} HTTP/1.0"
            )
        );
    }

    #[test]
    fn what_the_engine_refuses_is_quoted_with_the_way_out() {
        let unknown = "x509: certificate signed by unknown authority";
        for (answer, expected) in [
            (
                "500 Oops\r\n\r\n{\"message\":\"no basic auth credentials\"}".to_owned(),
                "Docker says: no basic auth credentials\n    log in with docker_login before this task",
            ),
            (
                "500 Oops\r\n\r\n{\"message\":\"Get \\\"https://reg.example:5000/v2/\\\": \
                 dial tcp 10.0.0.9:5000: connect: connection refused\"}"
                    .to_owned(),
                "connection refused\n    the registry did not answer this host",
            ),
            (
                format!("200 OK\r\n\r\n{TOLD}\n{{\"error\":\"{unknown}\"}}\n"),
                "unknown authority\n    give the certificate of its authority to `ca` of docker_login",
            ),
            (
                "200 OK\r\n\r\n{\"error\":\"layers from manifest don't match\"}".to_owned(),
                "0000 was not pulled: Docker says: layers from manifest don't match",
            ),
            ("200 OK\r\n\r\n<html>".to_owned(), "is no JSON"),
            ("200 OK\r\n".to_owned(), "is no Docker engine"),
        ] {
            let failure = pulled(format!("HTTP/1.0 {answer}"))
                .0
                .unwrap_err()
                .to_string();
            assert!(failure.contains(expected), "{failure}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_progress() {
        let mut layers = Layers::default();
        for told in [
            r#"{"status":"Downloading","progressDetail":{"current":-1},"id":"a"}"#,
            r#"{"status":"Extracting","progressDetail":{"current":9},"id":"never seen"}"#,
            r#"{"status":"Downloading","progressDetail":[],"id":"a"}"#,
            r#"{"status":7,"id":"a"}"#,
            r#"{"id":{}}"#,
            "[]",
        ] {
            assert_eq!(
                layers.hear(&serde_json::from_str(told).unwrap()),
                None,
                "{told}"
            );
        }
        let much = format!(
            r#"{{"status":"Downloading","progressDetail":{{"current":{0},"total":{0}}},"id":"ID"}}"#,
            u64::MAX
        );
        for at in 0..2 * MOST_LAYERS {
            let told = much.replace("ID", &at.to_string());
            layers.hear(&serde_json::from_str(&told).unwrap());
        }
        assert_eq!(layers.0.len(), MOST_LAYERS);
    }
}
