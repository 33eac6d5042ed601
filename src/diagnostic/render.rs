//! Diagnostics as people read them, laid out as rustc does.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level as Title, Origin, Renderer, Snippet};

use super::{Diagnostic, Level};
use crate::harmless::visible;
use crate::yaml::Span;

/// Lines longer than this (bytes) are not shown: the layout would cost more than it tells.
const LONGEST_LINE: usize = 64 * 1024;

/// Lays out diagnostics by file and place, those without a place first. Ends with a line break
/// unless there are none.
///
/// What the user wrote is shown with control characters made visible, so that a file cannot
/// steer the terminal.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| {
        diagnostic
            .span
            .as_ref()
            .map(|span| (span.file.path.clone(), span.start))
    });
    let here = std::env::current_dir().unwrap_or_default();
    let mut out = String::new();
    for diagnostic in sorted {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[group(diagnostic, &here)]));
        out.push('\n');
    }
    out
}

fn group<'a>(diagnostic: &Diagnostic, here: &Path) -> Group<'a> {
    let level = match diagnostic.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(visible(&diagnostic.message)));
    if let Some(span) = &diagnostic.span {
        let path = span.file.path.strip_prefix(here).unwrap_or(&span.file.path);
        let path = visible(&path.display().to_string());
        let (line, column) = span.line_column();
        let text = span.line_text();
        if text.len() > LONGEST_LINE {
            group = group.element(Origin::path(path).line(line).char_column(column));
        } else {
            let (text, marked) = excerpt(span, text);
            let mark = AnnotationKind::Primary.span(marked);
            let mark = match &diagnostic.label {
                Some(label) => mark.label(visible(label)),
                None => mark,
            };
            group = group.element(
                Snippet::source(text)
                    .line_start(line)
                    .path(path)
                    .annotation(mark),
            );
        }
    }
    for help in &diagnostic.help {
        group = group.element(Title::HELP.message(visible(help)));
    }
    group
}

/// The first line of what is marked, made harmless, and the marked bytes within.
fn excerpt(span: &Span, line: &str) -> (String, Range<usize>) {
    let before = span.file.text.get(..span.start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let from = line.floor_char_boundary(span.start - line_start);
    let to = line
        .floor_char_boundary(span.end.max(span.start) - line_start)
        .max(from);
    let mut out = visible(&line[..from]);
    let start = out.len();
    out.push_str(&visible(&line[from..to]));
    let end = out.len();
    out.push_str(&visible(&line[to..]));
    (out, start..end)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::yaml::File;

    fn span(path: impl Into<PathBuf>, text: &str, marked: &str) -> Span {
        let start = text.find(marked).expect("the text holds what is marked");
        let file = Arc::new(File {
            path: path.into(),
            text: text.to_owned(),
        });
        Span {
            file,
            start,
            end: start + marked.len(),
        }
    }

    #[test]
    fn a_place_a_label_and_the_way_out() {
        let text = "- hosts: all\n  tasks:\n    - ownr: root\n";
        let diagnostic = Diagnostic::error("unknown key `ownr`")
            .at(span("site.yml", text, "ownr"))
            .label("not a field of `file`")
            .help("did you mean `owner`?");
        assert_snapshot!(render(&[diagnostic], false), @r"
        error: unknown key `ownr`
         --> site.yml:3:7
          |
        3 |     - ownr: root
          |       ^^^^ not a field of `file`
          |
          = help: did you mean `owner`?
        ");
    }

    #[test]
    fn sorted_by_file_and_place() {
        let text = "a: 1\nb: 2\n";
        let diagnostics = [
            Diagnostic::warning("third").at(span("b.yml", text, "a")),
            Diagnostic::error("second").at(span("a.yml", text, "b")),
            Diagnostic::error("first").at(span("a.yml", text, "a")),
            Diagnostic::error("cannot read `x`").help("create it"),
        ];
        assert_snapshot!(render(&diagnostics, false), @r"
        error: cannot read `x`
         |
         = help: create it

        error: first
         --> a.yml:1:1
          |
        1 | a: 1
          | ^

        error: second
         --> a.yml:2:1
          |
        2 | b: 2
          | ^

        warning: third
         --> b.yml:1:1
          |
        1 | a: 1
          | ^
        ");
    }

    #[test]
    fn paths_below_the_current_directory_are_relative() {
        let here = std::env::current_dir().unwrap();
        let inside = Diagnostic::error("x").at(span(here.join("a/b.yml"), "k: v", "k"));
        assert_snapshot!(render(&[inside], false), @r"
        error: x
         --> a/b.yml:1:1
          |
        1 | k: v
          | ^
        ");
    }

    #[test]
    fn a_mapping_of_many_lines_is_marked_on_its_first() {
        let text = "web:\n  hosts:\n    a:\n";
        let diagnostic = Diagnostic::error("x").at(span("a.yml", text, text.trim_end()));
        assert_snapshot!(render(&[diagnostic], false), @r"
        error: x
         --> a.yml:1:1
          |
        1 | web:
          | ^^^^
        ");
    }

    #[test]
    fn the_end_of_a_file_can_be_marked() {
        let file = Arc::new(File {
            path: "a.yml".into(),
            text: "a: [1\n".to_owned(),
        });
        let diagnostic = Diagnostic::error("unclosed").at(Span {
            file,
            start: 6,
            end: 6,
        });
        assert_snapshot!(render(&[diagnostic], false), @r"
        error: unclosed
         --> a.yml:2:1
          |
        2 |
          | ^
        ");
    }

    #[test]
    fn a_file_cannot_steer_the_terminal() {
        let text = "\"\u{1b}[31mred\": \u{202e}evil\u{7}";
        let diagnostic = Diagnostic::error(format!("unknown key `{text}`")).at(span(
            "\u{1b}]0;x\u{7}.yml",
            text,
            "red",
        ));
        let shown = render(&[diagnostic], false);
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        for (length, shown_at_all) in [(10_000, true), (1_000_000, false)] {
            let text = format!("{}HERE{}", "a".repeat(length), "b".repeat(length));
            let diagnostic = Diagnostic::error("x").at(span("a.yml", &text, "HERE"));
            let shown = render(&[diagnostic], false);
            assert!(shown.len() < 1000, "{} bytes", shown.len());
            assert!(
                shown.contains(&format!("a.yml:1:{}", length + 1)),
                "{shown}"
            );
            assert_eq!(shown.contains("aHEREb"), shown_at_all, "{shown}");
        }
    }
}
