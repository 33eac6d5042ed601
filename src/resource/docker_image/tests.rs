use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn image(fields: Value) -> DockerImage {
    serde_json::from_value(fields).unwrap()
}

#[test]
fn what_differs_is_the_image_and_then_its_tag() {
    let pinned = format!("reg.example/app@{DIGEST}");
    let declared = image(json!({ "image": pinned, "tag": "app:1" }));
    let found = |id: Option<&str>, tagged: Option<&str>| Found {
        id: id.map(str::to_owned),
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
    let absent = image(json!({ "image": pinned, "state": "absent" }));
    assert_eq!(absent.drift(&found(None, None)), []);
    assert_eq!(
        absent.drift(&found(Some("a"), None)),
        [Drift::remove("state", "a")]
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
            json!({ "image": format!("a@{DIGEST}"), "tag": "a" }),
            "is no tag",
        ),
        (
            json!({ "image": format!("a@{DIGEST}"), "timeout": 0 }),
            "at least 1 second",
        ),
    ] {
        let problem = image(fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    let tag = serde_json::from_value::<DockerImage>(json!({ "image": "app:1.4" })).unwrap_err();
    assert!(tag.to_string().contains("images.lock.yml"), "{tag}");
}
