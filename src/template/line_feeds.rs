//! The line feeds of a template file, as Ansible treats them: `trim_blocks` is on, so a line feed
//! right after a tag or a comment is left out, and what is rendered ends with as many line feeds
//! as the file, or with more.

use std::ops::Range;

/// The line feed right after a tag that ends at `end`. After `-%}` Tera leaves out more by itself.
pub(super) fn after_tag(text: &str, end: usize) -> Option<Range<usize>> {
    let (tag, rest) = text.split_at_checked(end)?;
    if !(tag.ends_with("%}") || tag.ends_with("#}")) || tag[..end - 2].ends_with('-') {
        return None;
    }
    let line_feed = ["\n", "\r\n"].into_iter().find(|it| rest.starts_with(it))?;
    Some(end..end + line_feed.len())
}

/// How a file ends.
#[derive(Debug, Default)]
pub(super) struct Ending {
    line_feed: &'static str,
    count: usize,
}

impl Ending {
    pub(super) fn of(text: &str) -> Self {
        let line_feed = if text.ends_with("\r\n") { "\r\n" } else { "\n" };
        Self {
            line_feed,
            count: count(text, line_feed),
        }
    }

    /// Where the last line feed is: it is left out, and given back if nothing took its place.
    pub(super) fn last(&self, text: &str) -> Option<Range<usize>> {
        (self.count > 0).then(|| text.len() - self.line_feed.len()..text.len())
    }

    /// Gives what was rendered the line feeds it lacks.
    pub(super) fn complete(&self, rendered: &mut String) {
        if self.count > 0 {
            let has = count(rendered, self.line_feed);
            rendered.push_str(&self.line_feed.repeat(self.count.saturating_sub(has)));
        }
    }
}

/// How often a text ends with it.
fn count(text: &str, line_feed: &str) -> usize {
    let mut rest = text;
    std::iter::from_fn(|| {
        rest = rest.strip_suffix(line_feed)?;
        Some(())
    })
    .count()
}
