//! What registries may answer, and what becomes of it.

pub(crate) mod server;

use std::time::{Duration, Instant};

use fleet::http::{Http, Options};
use fleet::image::{Credentials, Logins, Registry, RegistryError, Resolved};
use fleet::protocol::Sha256;
use fleet::secret::Secret;
use server::{Answer, Request, Server};

const REGISTRY: &str = "registry.test";
const EVIL: &str = "evil.test";
const BASIC: &str = "Basic cHVsbGVyOnBhc3Mvd29yZA==";

fn options(server: &Server) -> Options {
    let address = server.address;
    Options {
        authorities: vec![server.authority.clone()],
        resolve: [REGISTRY, EVIL]
            .map(|host| (host.to_owned(), address))
            .to_vec(),
        patience: Duration::from_millis(700),
        pause: Duration::from_millis(1),
        tries: 4,
    }
}

/// Resolves `base/jre:17`, or another version, on the server.
fn resolve_as(server: &Server, version: &str, login: bool) -> Result<Resolved, RegistryError> {
    let registry = format!("{REGISTRY}:{}", server.address.port());
    let mut logins = Logins::default();
    if login {
        let credentials = Credentials {
            username: "puller".to_owned(),
            password: Secret::new("pass/word"),
        };
        logins = logins.with(&registry, credentials);
    }
    let reference = format!("{registry}/base/jre{version}").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let registry = Registry::new(Http::new(options(server)).unwrap(), logins);
    runtime.block_on(registry.resolve(&reference))
}

fn resolve(server: &Server) -> Result<Resolved, RegistryError> {
    resolve_as(server, ":17", true)
}

fn registry(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Server {
    Server::tls(&[REGISTRY, EVIL], script)
}

fn id(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn manifest() -> String {
    format!(
        r#"{{"schemaVersion": 2, "config": {{"digest": "{}"}}}}"#,
        id('c')
    )
}

fn digest(text: &str) -> String {
    format!("sha256:{}", Sha256::of(text.as_bytes()))
}

fn resolved() -> Resolved {
    Resolved {
        digest: digest(&manifest()),
        image_id: id('c'),
    }
}

#[test]
fn an_open_registry_needs_no_login_and_is_sent_none() {
    let server = registry(|_| Answer::new(200, manifest()));
    assert_eq!(resolve(&server).unwrap(), resolved());
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/v2/base/jre/manifests/17");
    assert_eq!(asked[0].header("authorization"), None);
    for kind in [
        "docker.distribution.manifest.v2",
        "manifest.list.v2",
        "oci.image.manifest",
        "oci.image.index",
    ] {
        assert!(asked[0].header("accept").unwrap().contains(kind), "{kind}");
    }
}

#[test]
fn a_list_is_followed_to_the_one_image_for_our_hosts() {
    let list = format!(
        r#"{{"manifests": [
            {{"digest": "{}", "platform": {{"os": "linux", "architecture": "arm64"}}}},
            {{"digest": "{}", "platform": {{"os": "unknown", "architecture": "unknown"}}}},
            {{"digest": "{}", "platform": {{"os": "linux", "architecture": "amd64"}}}}]}}"#,
        id('a'),
        id('b'),
        digest(&manifest())
    );
    let server = registry(move |request| match request.path.ends_with("/17") {
        true => Answer::new(200, list.clone()),
        false => Answer::new(200, manifest()),
    });
    assert_eq!(resolve(&server).unwrap(), resolved());
    assert!(server.asked()[1].path.ends_with(&digest(&manifest())));
}

#[test]
fn basic_authentication_sends_the_login_when_asked() {
    let server = registry(|request| match request.header("authorization") {
        Some(BASIC) => Answer::new(200, manifest()),
        _ => Answer::new(401, "").with("www-authenticate", "Basic realm=\"lab\""),
    });
    assert_eq!(resolve(&server).unwrap(), resolved());
    let error = resolve_as(&server, ":17", false).unwrap_err();
    assert!(error.to_string().ends_with("wants a login"), "{error}");
}

/// Sends to `realm` for a token; PORT in it is the server's port.
fn token_server(realm: &'static str) -> Server {
    registry(move |request| {
        let port = request
            .header("host")
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned();
        if request.path.starts_with("/token") {
            return Answer::new(200, r#"{"access_token": "t0ken"}"#);
        }
        match request.header("authorization") {
            Some("Bearer t0ken") => Answer::new(200, manifest()),
            _ => Answer::new(401, "").with(
                "www-authenticate",
                format!(
                    "Bearer realm=\"{}\",service=\"a,b\",scope=\"registry:catalog:*\"",
                    realm.replace("PORT", &port)
                ),
            ),
        }
    })
}

#[test]
fn a_token_is_fetched_for_reading_this_one_repository() {
    let server = token_server("https://registry.test:PORT/token");
    assert_eq!(resolve(&server).unwrap(), resolved());
    let asked = server.asked();
    assert_eq!(
        asked[1].path,
        "/token?scope=repository%3Abase%2Fjre%3Apull&service=a%2Cb"
    );
    assert_eq!(asked[1].header("authorization"), Some(BASIC));
    assert_eq!(asked[2].header("authorization"), Some("Bearer t0ken"));
}

#[test]
fn the_password_goes_to_no_other_host_and_never_without_tls() {
    for realm in [
        "https://evil.test:PORT/token",
        "http://registry.test:PORT/token",
        "https://registry.test@evil.test:PORT/token",
        "https://x@registry.test:PORT/token",
        "nonsense",
    ] {
        let server = token_server(realm);
        let error = resolve(&server).unwrap_err();
        assert!(
            matches!(error, RegistryError::Realm { .. }),
            "{realm}: {error}"
        );
        let asked = server.asked();
        assert_eq!(asked.len(), 1, "{realm}");
        assert_eq!(asked[0].header("authorization"), None);
        assert!(!error.to_string().contains("pass/word"));
    }
    // Without a password there is nothing to lose, over TLS.
    let server = token_server("https://evil.test:PORT/token");
    assert_eq!(resolve_as(&server, ":17", false).unwrap(), resolved());
}

#[test]
fn a_redirect_takes_no_login_along() {
    let server = registry(|request| {
        let host = request.header("host").unwrap().to_owned();
        let port = host.rsplit(':').next().unwrap();
        if host.starts_with(EVIL) {
            return Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\"");
        }
        Answer::new(307, "").with("location", format!("https://evil.test:{port}/v2/x"))
    });
    let error = resolve(&server).unwrap_err();
    assert!(matches!(error, RegistryError::Realm { .. }), "{error}");
    assert!(
        server
            .asked()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn a_login_or_token_that_is_refused_is_tried_once() {
    for challenge in [
        "Basic realm=\"lab\"",
        "Bearer realm=\"https://registry.test:PORT/token\"",
    ] {
        let server = registry(move |request| {
            let port = request
                .header("host")
                .unwrap()
                .rsplit(':')
                .next()
                .unwrap()
                .to_owned();
            if request.path.starts_with("/token") {
                return Answer::new(200, r#"{"token": "t"}"#);
            }
            Answer::new(401, "").with("www-authenticate", challenge.replace("PORT", &port))
        });
        let error = resolve(&server).unwrap_err();
        assert!(error.to_string().contains("refuses the login"), "{error}");
        let manifests = server
            .asked()
            .iter()
            .filter(|request| request.path.contains("manifests"))
            .count();
        assert_eq!(manifests, 2);
    }
}

#[test]
fn the_digest_is_computed_and_not_believed() {
    let liar = registry(|_| Answer::new(200, manifest()).with("docker-content-digest", id('9')));
    let error = resolve(&liar).unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
    let truthful = registry(|_| {
        Answer::new(200, manifest()).with("docker-content-digest", digest(&manifest()))
    });
    assert_eq!(resolve(&truthful).unwrap(), resolved());
    let other = registry(|_| Answer::new(200, manifest()));
    let error = resolve_as(&other, &format!("@{}", id('9')), true).unwrap_err();
    assert!(matches!(error, RegistryError::Digest { .. }), "{error}");
}

#[test]
fn a_busy_server_is_asked_again_and_not_for_ever() {
    for (refusals, status, fine) in [
        (3, 429, true),
        (2, 503, true),
        (9, 429, false),
        (9, 500, false),
    ] {
        let mut left = refusals;
        let server = registry(move |_| {
            left -= 1;
            if left >= 0 {
                Answer::new(status, "later").with("retry-after", "0")
            } else {
                Answer::new(200, manifest())
            }
        });
        let result = resolve(&server);
        assert_eq!(result.is_ok(), fine, "{refusals} {status}: {result:?}");
        assert_eq!(server.asked().len(), 4.min(refusals as usize + 1));
    }
}

#[test]
fn a_server_that_never_ends_is_left() {
    let endless = registry(|_| Answer::new(200, vec![b' '; 5 << 20]));
    let error = resolve(&endless).unwrap_err();
    assert!(
        error.to_string().contains("more than the 4194304 bytes"),
        "{error}"
    );

    let begin = Instant::now();
    let silent = registry(|_| Answer {
        length: Some(100),
        hangs: true,
        ..Answer::new(200, "{")
    });
    assert!(resolve(&silent).is_err());
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_no_image_says_so() {
    let arm = format!(
        r#"{{"manifests": [{{"digest": "{}", "platform": {{"os": "linux", "architecture": "arm64"}}}}]}}"#,
        id('a')
    );
    for (answer, reason) in [
        (Answer::new(404, ""), "has no image `registry.test"),
        (Answer::new(200, arm), "has no image for linux/amd64"),
        (Answer::new(200, "{}"), "too old, or no image"),
        (Answer::new(200, "<html>"), "cannot be read"),
        (
            Answer::new(200, r#"{"config": {"digest": "../../etc"}}"#),
            "64 lower-case",
        ),
        (
            Answer::new(418, "teapot\x1b[2J"),
            "418 I'm a teapot: teapot[2J",
        ),
        (Answer::new(401, ""), "of a kind that is not known"),
    ] {
        let server = registry(move |_| answer.clone());
        let error = resolve(&server).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn an_unknown_authority_is_refused() {
    let mut server = registry(|_| Answer::new(200, manifest()));
    let other = registry(|_| Answer::new(200, manifest()));
    server.authority.clone_from(&other.authority);
    let error = resolve(&server).unwrap_err().to_string();
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert!(server.asked().is_empty());
}
