//! The HTML report in a real browser: it loads without a complaint, and what a reader does with
//! it works.
//!
//! `FLEET_SCREENSHOTS=DIR` keeps pictures of every view there, to be looked at.

mod browser;
pub(crate) mod story;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleet::protocol::{Drift, Status};
use fleet::report::{Command, Difference, HostReport, Keep, ResourceReport, RunReport, to_html};

use serde_json::json;

use browser::{Browser, key};
use story::{night, worst_night};

/// A report in a file, and a browser to open it in.
struct Reader {
    browser: Browser,
    directory: tempfile::TempDir,
}

impl Reader {
    fn of(report: &RunReport) -> Self {
        let reader = Self {
            browser: Browser::start(),
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(reader.file(), to_html(report)).unwrap();
        reader.open("");
        reader
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("report.html")
    }

    fn open(&self, filter: &str) {
        self.browser.open(&self.file(), filter);
    }

    fn findings(&self) -> Vec<String> {
        self.browser.texts(".finding > summary")
    }

    fn hosts(&self) -> Vec<String> {
        self.browser.texts(".matrix tbody th")
    }

    /// Opens the first finding and reads what it tells.
    fn first_finding(&self) -> String {
        self.browser.click(".finding > summary");
        self.browser.wait_for(".finding[open] .body");
        self.browser.text(".finding[open] .body")
    }

    fn picture(&self, name: &str) {
        if let Some(directory) = std::env::var_os("FLEET_SCREENSHOTS") {
            let path = PathBuf::from(directory).join(name);
            let height = self
                .browser
                .run("return document.documentElement.scrollHeight");
            let size =
                json!({ "width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": false });
            self.browser
                .devtools("Emulation.setDeviceMetricsOverride", &size);
            std::fs::write(&path, self.browser.screenshot()).unwrap();
            self.browser
                .devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
        }
    }

    fn assert_silent(&self) {
        assert_eq!(self.browser.console(), Vec::<String>::new());
    }
}

#[test]
fn a_reader_searches_filters_and_clears() {
    let reader = Reader::of(&night(40));
    reader.picture("light.png");
    let all = reader.findings();
    assert_eq!(reader.hosts().len(), 25);
    assert!(
        reader
            .browser
            .text("#matrix-more")
            .starts_with("25 of 40 hosts")
    );
    reader.browser.click("#matrix-more button");
    assert_eq!(reader.hosts().len(), 40);

    // A word of a finding.
    reader.browser.press("/swappiness");
    let found = reader.findings();
    assert!(!found.is_empty() && found.len() < all.len(), "{found:?}");
    assert!(
        found.iter().all(|text| text.contains("vm.swappiness")),
        "{found:?}"
    );
    reader.picture("search.png");

    // And a word that is in the names of hosts: only they are left.
    reader.browser.press(" web");
    assert!(reader.hosts().iter().all(|host| host.starts_with("web")));
    assert!(!reader.hosts().is_empty());

    // A word that is nowhere.
    reader.browser.press("nowhere");
    assert_eq!(reader.findings(), Vec::<String>::new());
    assert!(reader.browser.text("#list").contains("No finding is left"));

    reader.browser.press(key::ESCAPE);
    assert_eq!(reader.findings(), all);
    assert_eq!(reader.browser.text("#query"), "");
    reader.assert_silent();
}

#[test]
fn severities_statuses_and_waivers_can_be_chosen() {
    let reader = Reader::of(&night(200));
    let all = reader.findings().len();

    reader.browser.click("[data-chip=critical]");
    assert!(
        reader
            .findings()
            .iter()
            .all(|text| text.starts_with("critical"))
    );
    reader.browser.click("[data-chip=high]");
    let both = reader.findings();
    assert!(
        both.iter()
            .all(|text| text.starts_with("critical") || text.starts_with("high"))
    );
    assert!(both.iter().any(|text| text.starts_with("high")));
    reader.browser.click("#clear");

    reader.browser.click("[data-chip=waived]");
    let open = reader.findings();
    assert!(open.len() < all);
    assert!(open.iter().all(|text| !text.starts_with("waived")));
    reader.browser.click("#clear");

    reader.browser.click("[data-chip=new]");
    assert!(reader.findings().iter().all(|text| text.contains("new")));
    reader.browser.click("#clear");

    reader.browser.click("[data-status=unreachable]");
    assert!(!reader.findings().is_empty());
    assert!(
        reader
            .findings()
            .iter()
            .all(|text| text.contains("unreachable"))
    );
    let rows = reader.browser.texts(".matrix tbody tr");
    assert!(
        rows.iter().all(|row| row.contains("Unreachable")),
        "{rows:?}"
    );
    reader.assert_silent();
}

#[test]
fn everything_can_be_reached_from_the_keyboard() {
    let reader = Reader::of(&night(40));
    let browser = &reader.browser;
    let focused = |part: &str| browser.run(&format!("return document.activeElement.{part}"));

    // From finding to finding, and into one.
    browser.press("jj");
    assert_eq!(focused("parentNode.className"), "finding");
    browser.press(key::ENTER);
    assert_eq!(focused("parentNode.open"), true);
    browser.wait_for(".finding[open] .body");
    browser.press("k");
    assert_eq!(focused("parentNode.open"), false);

    // The table is one stop of the tab key; inside, the arrows move.
    browser.run("document.getElementById('role').focus()");
    for _ in 0..20 {
        if browser.run("return !!document.activeElement.closest('.matrix')") == true {
            break;
        }
        browser.press(key::TAB);
    }
    let first = focused("innerText");
    assert!(
        focused("className").as_str().unwrap().contains("host"),
        "{first}"
    );
    browser.press(key::DOWN);
    assert_ne!(focused("innerText"), first);
    // Some hosts have no cell to go to.
    let label = (0..40).find_map(|_| {
        browser.press(key::RIGHT);
        let label = focused("ariaLabel");
        if label.is_null() {
            browser.press(key::DOWN);
        }
        label.as_str().map(str::to_owned)
    });
    let label = label.expect("no cell was reached");
    let (host, rest) = label.split_once(", ").unwrap();
    let (role, _) = rest.split_once(':').unwrap();

    // Into a cell: what is behind it is all that is left.
    browser.press(key::ENTER);
    assert_eq!(reader.hosts(), [host]);
    assert!(!reader.findings().is_empty());
    browser.press(&format!("j{}", key::ENTER));
    browser.wait_for(".finding[open] .body");
    assert!(
        browser.text(".finding[open] .body").contains(role),
        "{role}"
    );
    reader.assert_silent();
}

#[test]
fn a_finding_tells_its_diff_its_hosts_and_its_waiver() {
    let reader = Reader::of(&night(40));
    reader.open("q=live-restore");
    let body = reader.first_finding();
    for part in [
        "+  \"live-restore\": true,",
        "docker_engine : restart docker",
        "First seen",
        "19 days old",
        ".example.net",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    reader.picture("finding.png");
    reader.open("q=motd");
    let body = reader.first_finding();
    assert!(
        body.contains("Waived until 2027-01-31 by storage team"),
        "{body}"
    );
    let waivers = reader.browser.text("#waivers");
    assert!(
        waivers.contains("expired") && waivers.contains("platform team"),
        "{waivers}"
    );
    reader.assert_silent();
}

#[test]
fn a_view_can_be_sent_as_an_address() {
    let reader = Reader::of(&night(40));
    reader.browser.press("/swappiness");
    let filter = reader.browser.run("return location.hash.slice(1)");
    let found = reader.findings();
    reader.open(filter.as_str().unwrap());
    assert_eq!(reader.findings(), found);
    // An address is a text from anywhere, too.
    reader.open("q=%3Cimg%20src%3Dx%3E&severity=none&role=__proto__&status=constructor&host=%00");
    assert_eq!(reader.hosts(), Vec::<String>::new());
    reader.assert_silent();
}

#[test]
fn what_hosts_say_is_never_run() {
    let hostile = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u{2028}{{data}}\u{202e}";
    let mut host = HostReport::new(hostile);
    host.record(
        ResourceReport {
            role: Some(hostile.to_owned()),
            task: hostile.to_owned(),
            kind: hostile.to_owned(),
            id: hostile.to_owned(),
            message: Some(hostile.to_owned()),
            status: Status::Drift,
            drift: vec![Difference::new(
                Drift {
                    diff: Some(hostile.to_owned()),
                    ..Drift::update(hostile, hostile, hostile)
                },
                fleet::protocol::Severity::High,
            )],
            ..ResourceReport::default()
        },
        Keep::Findings,
    );
    let mut report = RunReport {
        command: Command::Check,
        hosts: vec![host],
        ..night(0)
    };
    report.playbook = hostile.to_owned();
    report.run_id = hostile.to_owned();
    let reader = Reader::of(&report);
    reader.first_finding();
    assert_ne!(reader.browser.run("return document.title"), "owned");
    assert_eq!(reader.browser.run("return document.images.length"), 0);
    assert_eq!(reader.browser.run("return document.scripts.length"), 2);
    assert!(
        reader
            .browser
            .text(".finding")
            .contains("</script><script>")
    );
    // Were markup ever let in, the policy would still not run it; this complaint proves that.
    reader.assert_silent();
    reader.browser.run("document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = \"owned\"' }))");
    assert_ne!(reader.browser.run("return document.title"), "owned");
    let complaints = reader.browser.console().join("\n");
    assert!(
        complaints.contains("Content Security Policy"),
        "{complaints}"
    );
}

/// Every text against what is behind it, by the formula of WCAG 2.
const CONTRASTS: &str = r"
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
    const light = (color) => { const [r, g, b] = [...rgba(color)].slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = (node) => { for (let at = node; at; at = at.parentElement) { const { backgroundColor } = getComputedStyle(at); if (rgba(backgroundColor)[3] === 255) return backgroundColor; } return 'white'; };
    const poor = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !node.checkVisibility() || node.closest('script, .unseen')) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) poor.set(node.className + ' ' + node.tagName, contrast.toFixed(2) + ' ' + node.innerText.slice(0, 30));
    }
    return [...poor].map(([node, how]) => node + ': ' + how);
";

#[test]
fn it_reads_well_in_light_in_dark_and_for_those_who_do_not_see_it() {
    let reader = Reader::of(&night(200));
    let browser = &reader.browser;
    reader.first_finding();
    for scheme in ["light", "dark"] {
        browser.prefers(scheme);
        reader.picture(&format!("{scheme}-200.png"));
        assert_eq!(browser.run(CONTRASTS), json!([]), "{scheme}");
    }
    let background = "return getComputedStyle(document.body).backgroundColor";
    let dark = browser.run(background);
    browser.prefers("light");
    assert_ne!(browser.run(background), dark);

    // Landmarks, one first heading, names for everything that can be used, colour never alone.
    for selector in ["header", "main", "footer", "search", "h1"] {
        let count = browser.run(&format!(
            "return document.querySelectorAll('{selector}').length"
        ));
        assert_eq!(count, 1, "{selector}");
    }
    let nameless = "return [...document.querySelectorAll('button, input, select, section')].filter((e) => \
        !(e.innerText?.trim() || e.ariaLabel || e.labels?.length || e.hasAttribute('aria-labelledby'))).map((e) => e.outerHTML)";
    assert_eq!(browser.run(nameless), json!([]));
    let wordless =
        "return [...document.querySelectorAll('.lv')].filter((e) => !e.textContent.trim()).length";
    assert_eq!(browser.run(wordless), 0);
    reader.assert_silent();
}

#[test]
fn on_paper_everything_is_open_and_dark_on_white() {
    let reader = Reader::of(&night(40));
    reader.browser.prefers("dark");
    let pdf = reader.browser.print();
    assert!(pdf.starts_with(b"%PDF"), "no PDF");
    if let Some(directory) = std::env::var_os("FLEET_SCREENSHOTS") {
        std::fs::write(PathBuf::from(directory).join("print.pdf"), pdf).unwrap();
    }
    // What is laid out before a print and taken away after it.
    let opened = reader.browser.run(
        "window.dispatchEvent(new Event('beforeprint')); \
         const open = [...document.querySelectorAll('.finding')].every((e) => e.open && e.querySelector('.body')); \
         window.dispatchEvent(new Event('afterprint')); \
         return [open, document.querySelectorAll('.finding[open]').length]",
    );
    assert_eq!(opened, json!([true, 0]));
    reader.assert_silent();
}

#[test]
fn two_thousand_hosts_with_a_hundred_findings_each_can_be_used() {
    let report = worst_night(2_000, 100);
    let begin = Instant::now();
    let reader = Reader::of(&report);
    let loaded = begin.elapsed();
    let begin = Instant::now();
    reader.browser.press("/host1234");
    let narrowed = || reader.hosts() == ["host1234.example.net"];
    while !narrowed() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the search did not end"
        );
    }
    eprintln!(
        "rendered and loaded in {loaded:?}, searched in {:?}",
        begin.elapsed()
    );
    // The page holds what is shown, not what is known.
    let nodes = reader
        .browser
        .run("return document.getElementsByTagName('*').length");
    assert!(nodes.as_u64().unwrap() < 6_000, "{nodes} elements");
    reader.picture("worst.png");
    reader.assert_silent();
}
