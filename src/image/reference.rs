//! What names an image.

use std::fmt;
use std::str::FromStr;

/// `registry/repository:tag`, as Docker reads it: without a registry it is Docker Hub's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host and, where it is not 443, port.
    pub registry: String,
    /// The path on the registry.
    pub repository: String,
    /// The tag or the digest.
    pub version: Version,
}

/// Which of a repository's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// A name that may be given to another image tomorrow.
    Tag(String),
    /// `sha256:…`: one image for ever.
    Digest(String),
}

const HUB: &str = "docker.io";

impl Reference {
    /// Where the registry's API is.
    #[must_use]
    pub fn api_host(&self) -> &str {
        match self.registry.as_str() {
            HUB => "registry-1.docker.io",
            other => other,
        }
    }

    /// `registry/repository`, as users write it before `@sha256:…`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |reason: &str| format!("`{text}` names no image: {reason}");
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (first, rest) = name.split_once('/').unwrap_or(("", name));
        let is_host = first.contains(['.', ':']) || first == "localhost";
        let (registry, path) = if is_host { (first, rest) } else { (HUB, name) };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let host_ok = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if !registry.chars().all(host_ok) {
            return Err(refuse("the registry is not a host name"));
        }
        let word = |word: &str| {
            !word.is_empty()
                && word.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        };
        if !repository.split('/').all(word) {
            return Err(refuse(
                "a repository is lower-case words with `/` between them",
            ));
        }
        let version = match (digest, tag) {
            (Some(digest), _) => {
                check_digest(digest).map_err(|reason| refuse(&reason))?;
                Version::Digest(digest.to_owned())
            }
            (None, Some(tag)) => {
                let ok = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                if tag.is_empty() || tag.len() > 128 || !tag.chars().all(ok) {
                    return Err(refuse("a tag is letters, digits, `.`, `_` and `-`"));
                }
                Version::Tag(tag.to_owned())
            }
            (None, None) => {
                return Err(refuse(
                    "it has neither tag nor digest; `latest` is not assumed",
                ));
            }
        };
        let repository = if registry == HUB && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            version,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            version,
        } = self;
        match version {
            Version::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Version::Digest(digest) => write!(f, "{registry}/{repository}@{digest}"),
        }
    }
}

/// Whether a text is `sha256:` and 64 digits.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_digest(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digits.len() == 64 && digits.chars().all(digit) {
        Ok(())
    } else {
        Err("a digest is `sha256:` and 64 lower-case hexadecimal digits".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (text, expected) in [
            ("redis:7", "docker.io/library/redis:7".to_owned()),
            ("grafana/loki:2.9", "docker.io/grafana/loki:2.9".to_owned()),
            ("r.example:5000/a/b:1", "r.example:5000/a/b:1".to_owned()),
            ("localhost/a:1", "localhost/a:1".to_owned()),
            (
                &format!("r.example/a:1@{digest}"),
                format!("r.example/a@{digest}"),
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), expected);
            assert_eq!(expected.parse(), Ok(reference), "{expected}");
        }
    }

    #[test]
    fn what_names_no_image_says_why() {
        for (text, reason) in [
            ("redis", "neither tag nor digest"),
            ("r.example:5000/a", "neither tag nor digest"),
            ("r.example/A:1", "lower-case"),
            ("r.example/../etc:1", "lower-case"),
            ("r.example//a:1", "lower-case"),
            ("user@r.example/a:1", "digest is"),
            ("r.exa mple/a:1", "host name"),
            ("r.example/a:x y", "a tag is"),
            ("r.example/a@sha256:12", "64"),
            ("", "lower-case"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
