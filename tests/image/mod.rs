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
    let server = registry(move |request| {
        let tag = request.path.ends_with("/17");
        Answer::new(200, if tag { list.clone() } else { manifest() })
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
fn a_token_that_has_expired_meanwhile_is_fetched_anew() {
    let list = format!(
        r#"{{"manifests": [{{"digest": "{}", "platform": {{"os": "linux", "architecture": "amd64"}}}}]}}"#,
        digest(&manifest())
    );
    // Each token is good for one request.
    let (mut issued, mut good) = (0, false);
    let server = registry(move |request| {
        if request.path.starts_with("/token") {
            (issued, good) = (issued + 1, true);
            return Answer::new(200, format!(r#"{{"token": "t{issued}"}}"#));
        }
        let token = format!("Bearer t{issued}");
        if !good || request.header("authorization") != Some(&token) {
            let port = request.header("host").unwrap().rsplit(':').next().unwrap();
            let realm = format!("Bearer realm=\"https://{REGISTRY}:{port}/token\"");
            return Answer::new(401, "").with("www-authenticate", realm);
        }
        good = false;
        let tag = request.path.ends_with("/17");
        Answer::new(200, if tag { list.clone() } else { manifest() })
    });
    assert_eq!(resolve(&server).unwrap(), resolved());
    let asked = server.asked();
    let tokens = asked.iter().filter(|it| it.path.starts_with("/token"));
    assert_eq!(tokens.count(), 2);
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
        let mut left: usize = refusals;
        let server = registry(move |_| {
            if left > 0 {
                left -= 1;
                Answer::new(status, "later").with("retry-after", "0")
            } else {
                Answer::new(200, manifest())
            }
        });
        let result = resolve(&server);
        assert_eq!(result.is_ok(), fine, "{refusals} {status}: {result:?}");
        assert_eq!(server.asked().len(), 4.min(refusals + 1));
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

/// `fleet images lock` on a lock file with `base/jre:17`, and the file afterwards.
fn lock(server: &Server, locked: &str, args: &[&str]) -> (crate::cli::Ended, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let port = server.address.port();
    let text = format!("jre:\n  ref: {REGISTRY}:{port}/base/jre:17\n{locked}");
    std::fs::write(path("lock.yml"), text).unwrap();
    std::fs::write(path("ca.pem"), &server.authority).unwrap();
    let login = format!(
        r#"{{"auths": {{"{REGISTRY}:{port}": {{"auth": "{}"}}}}}}"#,
        &BASIC[6..]
    );
    std::fs::write(path("auth.json"), login).unwrap();
    let (file, ca, auth) = (path("lock.yml"), path("ca.pem"), path("auth.json"));
    let common = [
        "images",
        "lock",
        "--file",
        &file,
        "--registry-ca",
        &ca,
        "--auth-file",
        &auth,
        "--resolve",
        "registry.test:127.0.0.1",
    ];
    let ended = crate::cli::Fleet::new(common.into_iter().chain(args.iter().copied())).run();
    (ended, std::fs::read_to_string(file).unwrap())
}

#[test]
fn locking_writes_down_which_image_a_tag_is() {
    let server = registry(|request| match request.header("authorization") {
        Some(BASIC) => Answer::new(200, manifest()),
        _ => Answer::new(401, "").with("www-authenticate", "Basic realm=\"lab\""),
    });
    let now = digest(&manifest());
    let (ended, written) = lock(&server, "", &[]);
    assert_eq!(
        ended.all(),
        format!("exit 0\n----- stdout\njre: not locked → {now}\n----- stderr\n")
    );
    let fields = format!("  digest: \"{now}\"\n  image_id: \"{}\"\n", id('c'));
    assert!(written.ends_with(&fields), "{written}");

    let (ended, again) = lock(&server, &fields, &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert!(again.ends_with(&fields));
}

#[test]
fn a_tag_that_moved_is_found_without_writing() {
    let server = registry(|_| Answer::new(200, manifest()));
    let old = format!("  digest: {}\n  image_id: {}\n", id('a'), id('b'));
    let (ended, written) = lock(&server, &old, &["--check"]);
    assert_eq!(ended.code, 2);
    assert_eq!(
        ended.stdout,
        format!("jre: {} → {}\n", id('a'), digest(&manifest()))
    );
    assert!(written.ends_with(&old), "{written}");
}

#[test]
fn what_cannot_be_resolved_keeps_what_it_had() {
    let server = registry(|_| Answer::new(404, ""));
    let old = format!("  digest: {}\n", id('a'));
    for (args, code) in [(&[][..], 2), (&["--check"], 3)] {
        let (ended, written) = lock(&server, &old, args);
        assert_eq!(ended.code, code);
        assert!(
            ended
                .stdout
                .contains("jre: not resolved: the registry has no image"),
            "{}",
            ended.stdout
        );
        assert!(written.ends_with(&old));
    }
}
