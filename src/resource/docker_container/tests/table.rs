//! `docs/docker-fields.md`, and that the table it is made from knows what engines show.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::super::fields::{ENDPOINT, FIELDS, Field, Judged, Otherwise};
use super::super::*;

const PAGE: &str = "docs/docker-fields.md";

const HEAD: &str = "\
# What `docker_container` compares

Every field of `docker inspect CONTAINER`, as the engines 19.03 to 28 show it, and what decides whether
a container is as declared. A field that is not here and not empty makes that unknown. This page is
made from the table that decides (`src/resource/docker_container/fields.rs`).

";

fn row(page: &mut String, path: &str, judged: &Judged) {
    let default = |otherwise: &Otherwise| match otherwise {
        Otherwise::Image => "the image's".to_owned(),
        Otherwise::Engine(usual) => usual.join(" or "),
        Otherwise::Daemon(key, usual) => format!("{}, or the daemon's `{key}`", usual.join(" or ")),
    };
    let (declared, otherwise) = match judged {
        Judged::By(name, _, otherwise) => (format!("`{name}`"), default(otherwise)),
        Judged::Never(_, otherwise) => ("nothing".to_owned(), default(otherwise)),
        Judged::Apart(how) => (
            format!("`{}`", how.replace(", ", "`, `")),
            "see the manual".to_owned(),
        ),
        Judged::Not(why) => ("nothing".to_owned(), format!("not compared: {why}")),
    };
    writeln!(page, "| `{path}` | {declared} | {otherwise} |").unwrap();
}

#[test]
fn the_page_shows_the_table_that_decides() {
    let mut page = HEAD.to_owned();
    page.push_str("| field | declared by | where nothing is declared |\n|---|---|---|\n");
    for Field { path, judged } in FIELDS {
        row(&mut page, path, judged);
    }
    for Field { path, judged } in ENDPOINT {
        row(
            &mut page,
            &format!("NetworkSettings.Networks.*.{path}"),
            judged,
        );
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap();
    assert!(
        written == page,
        "{PAGE} is not made from the table; UPDATE_EXPECTED=1 makes it anew"
    );
}

#[test]
fn every_field_that_an_engine_can_show_is_in_the_table() {
    for (engine, fields) in [
        (
            "19.03",
            include_str!("../../../../tests/captured/docker/inspect-19.03.fields"),
        ),
        (
            "20.10",
            include_str!("../../../../tests/captured/docker/inspect-20.10.fields"),
        ),
        (
            "24",
            include_str!("../../../../tests/captured/docker/inspect-24.fields"),
        ),
        (
            "27",
            include_str!("../../../../tests/captured/docker/inspect-27.fields"),
        ),
        (
            "28",
            include_str!("../../../../tests/captured/docker/inspect-28.fields"),
        ),
    ] {
        let all = fields.lines().filter(|line| !line.starts_with('#'));
        let unknown: Vec<_> = all
            .filter(|path| {
                let place = path.strip_prefix("NetworkSettings.Networks.*.");
                let (table, path) = place.map_or((FIELDS, *path), |field| (ENDPOINT, field));
                !table.iter().any(|field| field.path == path)
            })
            .collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{engine}");
    }
}

#[test]
fn nothing_in_what_an_engine_said_is_unknown() {
    for recorded in [
        include_str!("../../../../tests/docker_policy/engine-20.10.24/orders.json"),
        include_str!("../../../../tests/docker_policy/engine-20.10.24/loose.json"),
        include_str!("../../../../tests/docker_policy/engine-20.10.24/stray.json"),
        include_str!("../../../../tests/docker_policy/engine-20.10.24/billing.json"),
        include_str!("../../../../tests/docker_policy/engine-20.10.24/tidy.json"),
    ] {
        let container = serde_json::from_str(recorded).unwrap();
        assert_eq!(compare::unknown(&container), Vec::<String>::new());
    }
}

#[test]
fn a_container_that_was_told_nothing_is_as_declared_on_a_new_engine() {
    let read = |text| serde_json::from_str::<Value>(text).unwrap();
    let image = read(include_str!(
        "../../../../tests/captured/docker/26.1.5/image.json"
    ));
    let container = read(include_str!(
        "../../../../tests/captured/docker/26.1.5/container.json"
    ));
    let info = read(include_str!(
        "../../../../tests/captured/docker/26.1.5/info.json"
    ));
    assert_eq!(compare::unknown(&container), Vec::<String>::new());
    let declared: DockerContainer = serde_json::from_value(
        json!({ "name": "plain", "image": image["Id"], "state": "stopped" }),
    )
    .unwrap();
    let actual = Found {
        container: Some(container),
        image: Some(image),
        limits: None,
        leftovers: Vec::new(),
        defaults: Defaults::new(&info, &Value::Null),
        at: SystemTime::UNIX_EPOCH,
    };
    assert_eq!(declared.drift(&actual), []);
}
