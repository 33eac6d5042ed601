//! Paths on the host, as declared.

use std::fmt;
use std::ops::Deref;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An absolute path on the host without `.` and `..`, repeated or trailing slashes.
///
/// A relative path would mean whatever directory the helper happens to run in, and `..` behind
/// a symbolic link is not what it looks like; both are refused where they are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPath(PathBuf);

/// A text that is no path on a host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// It does not begin with `/`.
    #[error("`{0}` is not an absolute path; begin it with `/`")]
    Relative(String),
    /// It has a `..` in it.
    #[error("`{0}` contains `..`; write the path it leads to")]
    Parent(String),
    /// It has a NUL byte in it, which no file name can have.
    #[error("`{0}` contains a NUL byte")]
    Nul(String),
}

impl HostPath {
    /// The directory this path is in; `None` for `/`.
    #[must_use]
    pub fn parent(&self) -> Option<&Path> {
        self.0.parent()
    }
}

impl FromStr for HostPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('\0') {
            return Err(InvalidPath::Nul(text.replace('\0', "\\0")));
        }
        if !text.starts_with('/') {
            return Err(InvalidPath::Relative(text.to_owned()));
        }
        let mut path = PathBuf::from("/");
        for component in Path::new(text).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::ParentDir => return Err(InvalidPath::Parent(text.to_owned())),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(Self(path))
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Deref for HostPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for HostPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Serialize for HostPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "control")]
impl schemars::JsonSchema for HostPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "absolute path".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^/" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_absolute_and_has_one_spelling() {
        let cases = [
            ("/etc/hosts", Ok("/etc/hosts")),
            ("//etc/./hosts/", Ok("/etc/hosts")),
            ("/", Ok("/")),
            ("/a/..b", Ok("/a/..b")),
            (
                "etc/hosts",
                Err("`etc/hosts` is not an absolute path; begin it with `/`"),
            ),
            (
                "~/x",
                Err("`~/x` is not an absolute path; begin it with `/`"),
            ),
            ("", Err("`` is not an absolute path; begin it with `/`")),
            (
                "/a/../b",
                Err("`/a/../b` contains `..`; write the path it leads to"),
            ),
            ("/a\0b", Err("`/a\\0b` contains a NUL byte")),
        ];
        for (text, expected) in cases {
            let found = text.parse::<HostPath>().map(|path| path.to_string());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(
                found.map_err(|error| error.to_string()),
                expected,
                "{text:?}"
            );
        }
    }
}
