//! Names of images that mean one image and no other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::protocol::Sha256;

/// An image in a registry, by the digest of its manifest: `registry/name@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    name: String,
    digest: Digest,
}

/// `sha256:` and 64 hexadecimal digits: a digest, or the id of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(Sha256);

/// Either of the two: what a container can be made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageRef {
    /// By name and digest.
    Pinned(Pinned),
    /// By id: for images that came as an archive and so have no digest.
    Id(Digest),
}

/// A text that does not name one image for good.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidReference {
    /// A name with a tag, or without anything.
    #[error(
        "`{0}` is a tag, and a tag can be moved to another image; give `NAME@sha256:…`, \
         or resolve it into images.lock.yml"
    )]
    Tag(String),
    /// Not even a name.
    #[error("`{0}` is no image; `registry.example.com/team/app@sha256:…` is expected")]
    Malformed(String),
    /// No digest.
    #[error("`{0}` is no digest; `sha256:` and 64 hexadecimal digits are expected")]
    NoDigest(String),
}

impl Pinned {
    /// The registry and repository, without tag and digest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry alone; Docker Hub is `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        match self.name.split_once('/') {
            Some((first, _)) if first.contains([':', '.']) || first == "localhost" => first,
            _ => "docker.io",
        }
    }

    /// Of the manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether both mean the same image of the same repository: Docker leaves Docker Hub out of
    /// the names that it shows.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && full_name(&self.name) == full_name(&other.name)
    }
}

/// Docker Hub, which is not named in names.
const HUB: &str = "docker.io";

/// The full name of a repository, with its registry and without tag and digest.
pub(in crate::resource) fn full_name(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let (name, _) = split_tag(name);
    match name.split_once('/') {
        Some(("index.docker.io" | HUB, path)) if !path.contains('/') => {
            format!("{HUB}/library/{path}")
        }
        Some(("index.docker.io", path)) => format!("{HUB}/{path}"),
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => {
            name.to_owned()
        }
        Some(_) => format!("{HUB}/{name}"),
        None => format!("{HUB}/library/{name}"),
    }
}

/// Whether `text` is a repository name with an optional registry, as Docker's grammar has it.
fn is_name(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    let registry = usize::from(parts.len() > 1 && parts[0].contains([':', '.']));
    let fits = |part: &&str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part.chars().all(|sign| {
                sign.is_ascii_lowercase() || sign.is_ascii_digit() || "._-".contains(sign)
            })
    };
    let host = |part: &str| {
        let (host, port) = part.split_once(':').unwrap_or((part, "443"));
        port.parse::<u16>().is_ok()
            && host.starts_with(|first: char| first.is_ascii_alphanumeric())
            && host
                .chars()
                .all(|sign| sign.is_ascii_alphanumeric() || ".-".contains(sign))
    };
    (registry == 0 || host(parts[0])) && parts[registry..].iter().all(fits)
}

/// Name and tag; the tag is empty if there is none. The port of a registry is no tag.
fn split_tag(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, ""),
    }
}

/// `name:tag`, as a name for an image on the host.
pub(super) fn check_tag(text: &str) -> Result<(&str, &str), String> {
    let (name, tag) = split_tag(text);
    let fits = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
    if is_name(name)
        && !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(fits)
    {
        return Ok((name, tag));
    }
    Err(format!("`{text}` is no tag; `team/app:1.4` is expected"))
}

impl From<Sha256> for Digest {
    fn from(sha256: Sha256) -> Self {
        Self(sha256)
    }
}

impl FromStr for Digest {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("sha256:")
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| InvalidReference::NoDigest(text.to_owned()))
    }
}

impl FromStr for Pinned {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, digest)) = text.split_once('@') else {
            let (name, _) = split_tag(text);
            return Err(if is_name(name) {
                InvalidReference::Tag(text.to_owned())
            } else {
                InvalidReference::Malformed(text.to_owned())
            });
        };
        // `name:tag@digest`: Docker does not look at the tag either.
        let (name, _) = split_tag(name);
        if !is_name(name) {
            return Err(InvalidReference::Malformed(text.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            digest: digest.parse()?,
        })
    }
}

impl FromStr for ImageRef {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Id);
        }
        text.parse().map(Self::Pinned)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(pinned) => pinned.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// Texts on the wire and in YAML.
macro_rules! as_text {
    ($($Type:ident: $example:literal),*) => {$(
        impl Serialize for $Type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $Type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "control")]
        impl schemars::JsonSchema for $Type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $example.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    )*};
}

as_text!(Digest: "sha256:…", Pinned: "name@sha256:…", ImageRef: "name@sha256:… or sha256:…");

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_names_one_image_is_accepted() {
        for (text, name, registry) in [
            ("app@", "app", "docker.io"),
            ("team/app@", "team/app", "docker.io"),
            ("localhost/app@", "localhost/app", "localhost"),
            (
                "registry.lab:5000/team/app@",
                "registry.lab:5000/team/app",
                "registry.lab:5000",
            ),
            (
                "localhost:5000/app:1.4@",
                "localhost:5000/app",
                "localhost:5000",
            ),
        ] {
            let pinned: Pinned = format!("{text}{DIGEST}").parse().unwrap();
            assert_eq!(pinned.to_string(), format!("{name}@{DIGEST}"));
            assert_eq!(pinned.registry(), registry);
        }
        assert!(matches!(DIGEST.parse(), Ok(ImageRef::Id(_))));
    }

    #[test]
    fn names_are_made_whole() {
        for (name, whole) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.25", "docker.io/library/nginx"),
            ("grafana/grafana:9", "docker.io/grafana/grafana"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("index.docker.io/a/b", "docker.io/a/b"),
            ("registry.lab:5000/app", "registry.lab:5000/app"),
            ("registry.lab:5000/app:1@sha256:00", "registry.lab:5000/app"),
            ("localhost/app", "localhost/app"),
        ] {
            assert_eq!(full_name(name), whole, "{name}");
        }
    }

    #[test]
    fn a_tag_is_refused_with_the_way_out() {
        for text in [
            "app",
            "app:1.4",
            "registry.lab:5000/team/app",
            "reg.example/app:latest",
        ] {
            let error = text.parse::<ImageRef>().unwrap_err();
            assert_eq!(error, InvalidReference::Tag(text.to_owned()));
            assert!(error.to_string().contains("images.lock.yml"), "{error}");
        }
    }

    #[test]
    fn what_would_be_another_path_or_option_is_refused() {
        for text in [
            "",
            "--all",
            "a b",
            "A/b",
            "app/../x",
            "a?x=1",
            "/app",
            "reg:99999/a",
        ] {
            for end in ["", "@sha256:00"] {
                let text = format!("{text}{end}");
                assert!(text.parse::<Pinned>().is_err(), "{text}");
            }
        }
        assert!(check_tag("app").is_err());
        assert!(check_tag("app:-x").is_err());
        assert_eq!(check_tag("r.x:5/app:1.4"), Ok(("r.x:5/app", "1.4")));
    }
}
