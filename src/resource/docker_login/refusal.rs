//! Why a registry gave nothing: it said no, or it said nothing.
//!
//! The engine passes on a registry's answer in words alone, and these are not the same in any two
//! versions; what is looked for here are the words of the protocols below, which are.

/// What a failed question to a registry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::resource) enum Refusal {
    /// The registry answered: not with these credentials, or not without any.
    Denied,
    /// It did not answer: not reached, too slow, or out of order.
    NotReached,
    /// Anything else: its certificate, a manifest that it does not have.
    Other,
}

/// Of a registry that did not answer, as Go's network code and registries say it.
const NOT_REACHED: [&str; 12] = [
    "connection refused",
    "connection reset",
    "no such host",
    "server misbehaving",
    "no route to host",
    "network is unreachable",
    "timeout",
    "deadline exceeded",
    "request canceled",
    "proxyconnect",
    "EOF",
    "failed with status: 5",
];

/// Of one that says no.
const DENIED: [&str; 7] = [
    "unauthorized",
    "403 forbidden",
    "no basic auth credentials",
    "authentication required",
    "incorrect username or password",
    "access denied",
    "is denied",
];

/// What the engine's words about `registry` mean.
pub(in crate::resource) fn refusal(registry: &str, said: &str) -> Refusal {
    // Addresses stand in it too, and a host may be called anything.
    let said = without_addresses(said).replace(registry, "");
    if NOT_REACHED.iter().any(|words| said.contains(words)) {
        return Refusal::NotReached;
    }
    let said = said.to_lowercase();
    let bare = said.trim_end() == "docker says: denied" || said.contains("denied: ");
    if bare || DENIED.iter().any(|words| said.contains(words)) {
        return Refusal::Denied;
    }
    Refusal::Other
}

fn without_addresses(said: &str) -> String {
    let words = said.split(' ').filter(|word| !word.contains("://"));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_says_no_is_told_from_one_that_says_nothing() {
        for (said, expected) in [
            // 20.10, a registry with `htpasswd`.
            (
                "login attempt to https://reg:5000/v2/ failed with status: 401 Unauthorized",
                Refusal::Denied,
            ),
            // Docker Hub, 20.10 and 24.
            (
                "Get \"https://registry-1.docker.io/v2/\": unauthorized: incorrect username or password",
                Refusal::Denied,
            ),
            ("no basic auth credentials", Refusal::Denied),
            (
                "pull access denied for a/b, repository does not exist or may require 'docker login': \
                 denied: requested access to the resource is denied",
                Refusal::Denied,
            ),
            ("denied", Refusal::Denied),
            (
                "login attempt to https://reg:5000/v2/ failed with status: 403 Forbidden",
                Refusal::Denied,
            ),
            (
                "Get \"https://reg:5000/v2/\": dial tcp 10.0.0.9:5000: connect: connection refused",
                Refusal::NotReached,
            ),
            (
                "Get \"https://unauthorized.example/v2/\": dial tcp: lookup unauthorized.example on \
                 10.0.0.1:53: no such host",
                Refusal::NotReached,
            ),
            (
                "Get \"https://reg:5000/v2/\": net/http: request canceled while waiting for connection \
                 (Client.Timeout exceeded while awaiting headers)",
                Refusal::NotReached,
            ),
            ("Get \"https://reg:5000/v2/\": EOF", Refusal::NotReached),
            (
                "Get \"https://reg:5000/v2/\": net/http: TLS handshake timeout",
                Refusal::NotReached,
            ),
            (
                "login attempt to https://reg:5000/v2/ failed with status: 503 Service Unavailable",
                Refusal::NotReached,
            ),
            (
                "Get \"https://reg:5000/v2/\": x509: certificate signed by unknown authority",
                Refusal::Other,
            ),
            (
                "manifest for reg:5000/a@sha256:00 not found: manifest unknown",
                Refusal::Other,
            ),
            (
                "toomanyrequests: You have reached your pull rate limit",
                Refusal::Other,
            ),
        ] {
            assert_eq!(
                refusal("reg:5000", &format!("Docker says: {said}")),
                expected,
                "{said}"
            );
        }
    }
}
