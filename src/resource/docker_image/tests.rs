use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn image_of(fields: Value) -> DockerImage {
    serde_json::from_value(fields).unwrap()
}

#[test]
fn what_differs_is_the_image_and_then_its_tag() {
    let pinned = format!("reg.example/app@{DIGEST}");
    let declared = image_of(json!({ "image": pinned, "tag": "app:1" }));
    let found = |id: Option<&str>, tagged: Option<&str>| Found {
        standing: id.map_or(Standing::Missing, |id| Standing::Proven(id.to_owned())),
        tagged: tagged.map(str::to_owned),
    };
    for (actual, expected) in [
        (found(Some("a"), Some("a")), vec![]),
        (
            found(None, None),
            vec![
                Drift::create("state", "present"),
                Drift::create("tag app:1", "this image"),
            ],
        ),
        (
            found(Some("a"), None),
            vec![Drift::create("tag app:1", "a")],
        ),
        (
            found(Some("a"), Some("b")),
            vec![Drift::update("tag app:1", "a", "b")],
        ),
    ] {
        assert_eq!(declared.drift(&actual), expected);
    }
    let absent = image_of(json!({ "image": pinned, "state": "absent" }));
    assert_eq!(absent.drift(&found(None, None)), []);
    assert_eq!(
        absent.drift(&found(Some("a"), None)),
        [Drift::remove("state", "a")]
    );
}

/// What an engine with these images answers: each path to a description, everything else 404.
fn engine_with(images: Vec<(String, Value)>, ask: impl FnOnce(&Engine)) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let asked = request.split(' ').nth(1).unwrap();
            let found = images
                .iter()
                .find(|(name, _)| asked == format!("/images/{name}/json"));
            let answer = match found {
                Some((_, image)) => format!("HTTP/1.0 200 OK\r\n\r\n{image}"),
                None => "HTTP/1.0 404 Not Found\r\n\r\n{\"message\":\"no\"}".to_owned(),
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    ask(&Engine::at(&socket));
}

fn hex(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

#[test]
fn a_declared_name_and_digest_are_proven_and_an_id_alone_is_not_enough() {
    let (id, other_id, digest) = (hex("a"), hex("b"), hex("d"));
    let described = |digests: &[String]| json!({ "Id": id, "RepoDigests": digests });
    let name = |repository: &str, digest: &str| format!("{repository}@{digest}");
    let there = name("reg.example/app", &digest);
    let declared = |image: &str, id: &str| image_of(json!({ "image": image, "image_id": id }));
    for (case, image, image_id, expected) in [
        ("all of it", &there, &id, Standing::Proven(id.clone())),
        (
            "a digest of zeros",
            &name("reg.example/app", &hex("0")),
            &id,
            Standing::OnlyById(id.clone()),
        ),
        (
            "a repository that does not exist",
            &name("reg.example/nothing", &digest),
            &id,
            Standing::OnlyById(id.clone()),
        ),
        (
            "a renamed registry",
            &name("new.example/app", &digest),
            &id,
            Standing::OnlyById(id.clone()),
        ),
        (
            "another id",
            &there,
            &other_id,
            Standing::Contradicted(id.clone()),
        ),
        (
            "nothing of it",
            &name("reg.example/app", &hex("0")),
            &other_id,
            Standing::Missing,
        ),
    ] {
        let described = described(std::slice::from_ref(&there));
        let images = vec![(id.clone(), described.clone()), (there.clone(), described)];
        engine_with(images, |engine| {
            let found = declared(image, image_id).find(engine).unwrap();
            assert_eq!(found, expected, "{case}");
        });
    }
    // After `docker rmi NAME@digest`, or from an archive, the image has no digest.
    engine_with(vec![(id.clone(), described(&[]))], |engine| {
        let found = declared(&there, &id).find(engine).unwrap();
        assert_eq!(found, Standing::OnlyById(id.clone()));
        let drift = declared(&there, &id).drift(&Found {
            standing: found,
            tagged: None,
        });
        assert_eq!(drift, [Drift::create("name and digest", &there)]);
        let by_archive = image_of(json!({ "archive": "app.tar", "image_id": id }));
        assert_eq!(
            by_archive.find(engine).unwrap(),
            Standing::Proven(id.clone())
        );
    });
}

#[test]
fn what_is_found_by_its_digest_alone_is_not_there_under_another_name() {
    let (id, digest) = (hex("a"), hex("d"));
    let asked = format!("new.example/app@{digest}");
    for (known, is_there) in [
        (format!("reg.example/app@{digest}"), false),
        (format!("new.example/app@{}", hex("e")), false),
        (asked.clone(), true),
    ] {
        let image = json!({ "Id": id, "RepoDigests": [known] });
        engine_with(vec![(asked.clone(), image)], |engine| {
            let found = inspect(engine, &asked).unwrap();
            assert_eq!(found.is_some(), is_there, "{known}");
        });
    }
    let hub = format!("docker.io/library/nginx@{digest}");
    let familiar = json!({ "Id": id, "RepoDigests": [format!("nginx@{digest}")] });
    engine_with(vec![(hub.clone(), familiar)], |engine| {
        assert_eq!(id_of(engine, &hub).unwrap(), Some(id.clone()));
    });
}

#[test]
fn a_digest_and_an_id_of_two_images_differ_and_are_refused() {
    let declared = image_of(json!({ "image": format!("app@{}", hex("d")), "image_id": hex("b") }));
    let found = Found {
        standing: Standing::Contradicted(hex("a")),
        tagged: None,
    };
    assert_eq!(
        declared.drift(&found),
        [Drift::update("image_id", hex("b"), hex("a"))]
    );
    let directory = tempfile::tempdir().unwrap();
    let refused = declared.obstacle(&Host::offline(directory.path()), &found);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("one of the two is wrong in the declaration"),
        "{refused}"
    );
}

#[test]
fn validate_wants_what_can_be_pulled_or_loaded() {
    for (fields, expected) in [
        (json!({}), "`image` is needed"),
        (json!({ "image_id": DIGEST }), "cannot be pulled"),
        (
            json!({ "image": format!("a@{DIGEST}"), "archive": "a.tar" }),
            "needs `image_id`",
        ),
        (
            json!({ "image": format!("a@{DIGEST}"), "archive": "a.tar", "image_id": DIGEST }),
            "`archive` and `image` exclude each other",
        ),
        (
            json!({ "image": format!("a@{DIGEST}"), "tag": "a" }),
            "is no tag",
        ),
        (
            json!({ "image": format!("a@{DIGEST}"), "timeout": 0 }),
            "at least 1 second",
        ),
    ] {
        let problem = image_of(fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    let tag = serde_json::from_value::<DockerImage>(json!({ "image": "app:1.4" })).unwrap_err();
    assert!(tag.to_string().contains("images.lock.yml"), "{tag}");
}
