//! The registry API, as far as resolving a tag needs it.
//!
//! The registry is not believed: what an image is called is computed from the bytes that came.
//! A password goes to the registry it is for and to nobody that registry points at, except over
//! TLS to its own host (and, for Docker Hub, to the host Docker knows).

use reqwest::header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::reference::check_digest;
use super::{Credentials, Logins, Reference, Version};
use crate::http::{Http, HttpError};
use crate::protocol::Sha256;
use crate::secret::Secret;

/// No manifest is larger: registries refuse to take them.
const LARGEST_MANIFEST: u64 = 4 << 20;
const LARGEST_TOKEN: u64 = 1 << 20;

const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json";

/// The platform images are resolved for.
const PLATFORM: (&str, &str) = ("linux", "amd64");

/// Why an image could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The server could not be reached, or gave an answer that is none.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The image is not there, or not for us to see.
    #[error("the registry has no image `{0}`")]
    Missing(Reference),
    /// No or wrong login.
    #[error("the registry `{registry}` {problem}")]
    Login {
        /// Which.
        registry: String,
        /// What it says to the login.
        problem: &'static str,
    },
    /// The registry wants the password to be sent somewhere it must not go.
    #[error(
        "the registry `{registry}` asks for its password to be sent to `{realm}`; that is not done"
    )]
    Realm {
        /// Which.
        registry: String,
        /// Where to.
        realm: String,
    },
    /// The bytes are not those that were named.
    #[error("the registry says this is {claimed}, and what it sends is {computed}")]
    Digest {
        /// By the registry's word, or by the list that names it.
        claimed: String,
        /// By what came.
        computed: String,
    },
    /// It is no image for this platform, or no image.
    #[error("{0}")]
    Manifest(String),
}

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of the manifest for linux/amd64: what a host pulls by.
    pub digest: String,
    /// What the image is called on the host once it is there.
    pub image_id: String,
}

/// Asks registries.
#[derive(Debug)]
pub struct Registry {
    http: Http,
    logins: Logins,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl Registry {
    /// A client with these logins.
    #[must_use]
    pub fn new(http: Http, logins: Logins) -> Self {
        Self { http, logins }
    }

    /// Finds out which image `reference` is for linux/amd64.
    ///
    /// # Errors
    /// When the registry does not say, or says what is not true.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let asked = match &reference.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => digest.clone(),
        };
        let (digest, manifest) = self.manifest(reference, &asked).await?;
        let (digest, manifest) = match manifest.manifests {
            None => (digest, manifest),
            Some(list) => {
                let chosen = for_platform(list, reference)?;
                self.manifest(reference, &chosen).await?
            }
        };
        let config = manifest.config.ok_or_else(|| {
            RegistryError::Manifest(format!(
                "`{reference}` has no configuration: it is too old, or no image"
            ))
        })?;
        check_digest(&config.digest)
            .map_err(|reason| RegistryError::Manifest(format!("`{reference}`: {reason}")))?;
        Ok(Resolved {
            digest,
            image_id: config.digest,
        })
    }

    /// A manifest and its digest, computed here.
    async fn manifest(
        &self,
        reference: &Reference,
        version: &str,
    ) -> Result<(String, Manifest), RegistryError> {
        let host = reference.api_host();
        let url = format!(
            "https://{host}/v2/{}/manifests/{version}",
            reference.repository
        );
        let mut response = self.ask(&url, None).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let authorization = self.authorize(reference, &response).await?;
            response = self.ask(&url, Some(&authorization)).await?;
        }
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(RegistryError::Missing(reference.clone())),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let problem = match self.logins.get(&reference.registry) {
                    Some(_) => "refuses the login, or this user may not pull the image",
                    None => "wants a login",
                };
                return Err(login(reference, problem));
            }
            _ => return Err(self.http.refusal(response).await.into()),
        }
        let header = response.headers().get("Docker-Content-Digest");
        let header = header.and_then(|value| value.to_str().ok().map(str::to_owned));
        let bytes = self.http.body(response, LARGEST_MANIFEST).await?;
        let computed = format!("sha256:{}", Sha256::of(&bytes));
        let named = Some(version.to_owned()).filter(|version| version.contains(':'));
        for claimed in [named, header].into_iter().flatten() {
            if claimed != computed {
                return Err(RegistryError::Digest { claimed, computed });
            }
        }
        let manifest = serde_json::from_slice(&bytes).map_err(|error| {
            RegistryError::Manifest(format!(
                "the manifest of `{reference}` cannot be read: {error}"
            ))
        })?;
        Ok((computed, manifest))
    }

    async fn ask(&self, url: &str, authorization: Option<&Secret>) -> Result<Response, HttpError> {
        let mut request = self.http.get(url).header(ACCEPT, MANIFESTS);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.expose());
        }
        self.http.send(request).await
    }

    /// What to send so that the registry lets us in.
    async fn authorize(
        &self,
        reference: &Reference,
        refused: &Response,
    ) -> Result<Secret, RegistryError> {
        let login_ = self.logins.get(&reference.registry);
        // A redirect led elsewhere: whoever answers there is not whom the password is for.
        if refused.url().host_str() != host_of(reference.api_host()).as_deref() {
            return Err(RegistryError::Realm {
                registry: reference.registry.clone(),
                realm: refused.url().to_string(),
            });
        }
        let challenges = refused.headers().get_all(WWW_AUTHENTICATE);
        let challenges: Vec<&str> = challenges
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        if let Some(bearer) = challenges
            .iter()
            .find_map(|text| rest_after(text, "Bearer "))
        {
            return self.token(reference, bearer, login_).await;
        }
        if challenges
            .iter()
            .any(|text| rest_after(text, "Basic").is_some())
        {
            let login_ = login_.ok_or_else(|| login(reference, "wants a login"))?;
            return Ok(basic(login_));
        }
        Err(login(
            reference,
            "wants a login of a kind that is not known",
        ))
    }

    async fn token(
        &self,
        reference: &Reference,
        challenge: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Secret, RegistryError> {
        let field = |name: &str| parameter(challenge, name);
        let realm = field("realm").unwrap_or_default();
        let elsewhere = || RegistryError::Realm {
            registry: reference.registry.clone(),
            realm: realm.clone(),
        };
        let mut url = Url::parse(&realm).map_err(|_| elsewhere())?;
        let trusted = match reference.registry.as_str() {
            "docker.io" => Some("auth.docker.io".to_owned()),
            _ => host_of(reference.api_host()),
        };
        let safe = url.scheme() == "https" && url.username().is_empty();
        if !safe || credentials.is_some() && url.host_str() != trusted.as_deref() {
            return Err(elsewhere());
        }
        // What is asked for is ours to say: no more than to read this one repository.
        let scope = format!("repository:{}:pull", reference.repository);
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = field("service") {
            url.query_pairs_mut().append_pair("service", &service);
        }
        let mut request = self.http.get(url.as_str());
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, basic(credentials).expose());
        }
        let response = self.http.send(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(login(reference, "refuses the login"));
            }
            _ => return Err(self.http.refusal(response).await.into()),
        }
        let bytes = self.http.body(response, LARGEST_TOKEN).await?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|_| login(reference, "gives a token that cannot be read"))?;
        Ok(Secret::new(format!("Bearer {}", token.token)))
    }
}

fn login(reference: &Reference, problem: &'static str) -> RegistryError {
    RegistryError::Login {
        registry: reference.registry.clone(),
        problem,
    }
}

fn basic(credentials: &Credentials) -> Secret {
    use base64::Engine as _;
    let Credentials { username, password } = credentials;
    let login = format!("{username}:{}", password.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(login);
    Secret::new(format!("Basic {encoded}"))
}

fn host_of(registry: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{registry}/")).ok()?;
    url.host_str().map(str::to_owned)
}

fn for_platform(list: Vec<Descriptor>, reference: &Reference) -> Result<String, RegistryError> {
    let (os, architecture) = PLATFORM;
    let chosen = list.into_iter().find(|entry| {
        entry
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == os && platform.architecture == architecture)
    });
    let chosen = chosen.ok_or_else(|| {
        RegistryError::Manifest(format!(
            "`{reference}` has no image for {os}/{architecture}"
        ))
    })?;
    check_digest(&chosen.digest)
        .map_err(|reason| RegistryError::Manifest(format!("`{reference}`: {reason}")))?;
    Ok(chosen.digest)
}

/// What follows a scheme's name, whatever its case.
fn rest_after<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let start = text.get(..scheme.len())?;
    start
        .eq_ignore_ascii_case(scheme)
        .then(|| &text[scheme.len()..])
}

/// One `name="value"` of a challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_start_matches([',', ' ']).trim();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_commas_inside_quotes() {
        let challenge = r#"realm="https://a.example/token",service="r,x=1", scope=a"#;
        for (name, expected) in [
            ("realm", Some("https://a.example/token")),
            ("Service", Some("r,x=1")),
            ("scope", Some("a")),
            ("other", None),
        ] {
            assert_eq!(parameter(challenge, name).as_deref(), expected, "{name}");
        }
        assert_eq!(parameter("realm=\"unclosed", "realm"), None);
        assert_eq!(rest_after("bearer realm=x", "Bearer "), Some("realm=x"));
        assert_eq!(rest_after("é", "Bearer "), None);
    }
}
