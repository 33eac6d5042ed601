//! Names of hosts and groups, safe to put into a command line, a path and a report.

use std::borrow::Borrow;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

/// Longer names are not host names (RFC 1035).
const LONGEST: usize = 253;

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $Name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $Name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name! {
    /// A host as the inventory names it: letters, digits, `.`, `-`, `_`, or an IPv6 address.
    HostName
}

name! {
    /// A group's name: letters, digits, `.`, `-`, `_`.
    GroupName
}

impl FromStr for HostName {
    type Err = String;

    /// # Errors
    /// Why the text is no host name, as a sentence without a place.
    fn from_str(text: &str) -> Result<Self, String> {
        let address = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = address.unwrap_or(text).parse::<Ipv6Addr>() {
            return Ok(Self(address.to_string().into()));
        }
        check("host", text)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for GroupName {
    type Err = String;

    /// # Errors
    /// Why the text is no group name, as a sentence without a place.
    fn from_str(text: &str) -> Result<Self, String> {
        check("group", text)?;
        Ok(Self(text.into()))
    }
}

impl GroupName {
    /// The group of every host.
    pub(super) fn all() -> Self {
        Self("all".into())
    }

    /// The group of the hosts that are in no other.
    pub(super) fn ungrouped() -> Self {
        Self("ungrouped".into())
    }
}

fn check(what: &str, text: &str) -> Result<(), String> {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() {
        return Err(format!("a {what} name is empty"));
    }
    if text.len() > LONGEST {
        return Err(format!("a {what} name has at most {LONGEST} characters"));
    }
    if let Some(c) = text.chars().find(|c| !allowed(c)) {
        return Err(format!(
            "`{text}` is no {what} name: `{c}` is not allowed, only letters, digits, `.`, `-`, `_`"
        ));
    }
    if text.starts_with(['-', '.']) {
        return Err(format!(
            "`{text}` is no {what} name: it begins with `{}`",
            &text[..1]
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for name in ["web01", "db-1.example.com", "a_b", "10.0.0.1", "1"] {
            assert_eq!(name.parse::<HostName>().unwrap().as_str(), name);
        }
        assert_eq!(
            "[2001:DB8::1]".parse::<HostName>().unwrap().as_str(),
            "2001:db8::1"
        );
        assert_eq!("::1".parse::<HostName>().unwrap().as_str(), "::1");
    }

    #[test]
    fn what_ssh_could_take_for_something_else_is_refused() {
        let too_long = "a".repeat(254);
        for name in [
            "",
            "-oProxyCommand=x",
            "../etc",
            "a b",
            "a;b",
            "a:22",
            "ä",
            "a\n",
            &too_long,
        ] {
            assert!(name.parse::<HostName>().is_err(), "{name:?}");
            assert!(name.parse::<GroupName>().is_err(), "{name:?}");
        }
    }
}
