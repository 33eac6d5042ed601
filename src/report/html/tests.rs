use proptest::prelude::*;

use super::super::fixture::{full_of, rich};
use super::*;

/// What is between the data element's tags.
fn data(page: &str) -> &str {
    let (_, rest) = page
        .split_once(r#"<script id="data" type="application/json">"#)
        .unwrap();
    rest.split_once("</script>").unwrap().0
}

/// The page without what is a file of its own.
fn frame(page: &str) -> String {
    page.replace(STYLE, "[STYLE]")
        .replace(SCRIPT, "[SCRIPT]")
        .replace(data(page), "[DATA]")
}

#[test]
fn the_page_says_the_verdict_and_the_data_has_the_findings() {
    let page = to_html(&rich());
    let frame = frame(&page);
    let body = frame.split_once("<body>").unwrap().1;
    let header = body.split_once("<main>").unwrap().0;
    insta::assert_snapshot!(header, @r##"

    <a class="skip" href="#findings">Skip to the findings</a>
    <header class="top">
      <p class="what"><b>fleet check</b> <span class="playbook">playbooks/host-init.yml</span></p>
      <h1 class="verdict" data-verdict="failed"><span class="mark" aria-hidden="true">!</span><span>Drift: 4 resources on 2 of 6 hosts <small>1 resource waived on 1 host; 1 resource could not be told on 1 host; 1 resource failed and ignored on 1 host; 2 hosts failed; 1 host unreachable.</small></span></h1>
      <p class="meta"><time datetime="2027-01-15T08:00:00Z">15 January 2027, 08:00:00 UTC</time><span>took 2.3 s</span><span>exit code 4</span><span>run 0123abcd</span></p>
    </header>
    "##);
    let value: serde_json::Value = serde_json::from_str(data(&page)).unwrap();
    insta::assert_snapshot!(format!("{value:#}"));
}

#[test]
fn every_slot_is_filled_and_nothing_is_filled_twice() {
    let mut report = rich();
    report.playbook = "{{data}} {{no_such_slot}}".to_owned();
    let page = to_html(&report);
    assert!(page.contains(r#"<span class="playbook">{{data}} {{no_such_slot}}</span>"#));
    let frame = frame(&to_html(&rich()));
    assert!(!frame.contains("{{"), "{frame}");
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let page = to_html(&rich());
    for place in [
        "src=",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
        "import(",
    ] {
        assert!(!page.contains(place), "{place}");
    }
    let links: Vec<_> = page.matches("href=").collect();
    assert_eq!(links.len(), 2, "the icon and the skip link");
    assert!(page.contains(r#"href="data:image/svg+xml,"#));
}

#[test]
fn the_policy_allows_the_one_script_and_the_one_style() {
    let page = to_html(&rich());
    for (open, close, directive) in [
        ("<style>", "</style>", "style-src"),
        ("<script>", "</script>", "script-src"),
    ] {
        let inside = page
            .split_once(open)
            .unwrap()
            .1
            .split_once(close)
            .unwrap()
            .0;
        let hash = STANDARD.encode(Sha256::digest(inside.as_bytes()));
        assert!(page.contains(&format!("{directive} 'sha256-{hash}'")));
    }
}

#[test]
fn the_script_never_makes_markup_of_text() {
    for way in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
    ] {
        assert!(!SCRIPT.contains(way), "{way}");
    }
}

#[test]
fn durations_read_well() {
    for (milliseconds, expected) in [(40, "0.0 s"), (12_340, "12.3 s"), (245_000, "4 min 5 s")] {
        assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever hosts say, the page has the same elements, and the data is still what was found.
    #[test]
    fn hostile_text_stays_text(
        text in prop_oneof![
            any::<String>(),
            "(</script>|<!--|-->|<script>|</title>|<img src=x onerror=alert\\(1\\)>|\"|'|&lt;|\u{2028}|\\{\\{data\\}\\}| ){1,6}",
        ],
    ) {
        let page = to_html(&full_of(&text));
        let plain = to_html(&full_of("plain"));
        let tags = |page: &str| frame(page).matches('<').count();
        prop_assert_eq!(tags(&page), tags(&plain));
        let data = data(&page);
        prop_assert!(!data.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{}", data);
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        let shown = harmless::one_line(&text, 2_000);
        prop_assert_eq!(&value["findings"][0]["id"], &*shown);
    }
}

/// What the script shows is what the data has, whatever escapes it has.
#[test]
fn nothing_harmful_is_in_the_data() {
    fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => found.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|it| texts(it, found)),
            serde_json::Value::Object(values) => {
                for (name, value) in values {
                    found.push(name.clone());
                    texts(value, found);
                }
            }
            _ => {}
        }
    }
    let harmful = "a\u{202e}b\u{9b}31m\u{61c}\u{2066}c\x7f";
    let mut report = full_of(harmful);
    let found = &mut report.hosts[0].resources;
    for resource in found.iter_mut() {
        resource.kind = harmful.to_owned();
    }
    let data = serde_json::to_value(super::Data::new(&report)).unwrap();
    let mut found = Vec::new();
    texts(&data, &mut found);
    for text in found {
        let text = text.replace(['\n', '\t'], "");
        assert!(!text.contains(harmless::is_harmful), "{text:?}");
    }
}
