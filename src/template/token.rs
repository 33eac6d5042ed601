//! The words of a template's code, with their places.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    Name,
    Text,
    Number,
    Sign,
}

/// One token.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl Token<'_> {
    /// One past its last byte.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The next `{{`, `{%` or `{#`.
pub(super) fn next_marker(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let tail = text.as_bytes().get(from..)?;
    tail.windows(2).enumerate().find_map(|(offset, pair)| {
        let marker = match pair {
            b"{{" => "{{",
            b"{%" => "{%",
            b"{#" => "{#",
            _ => return None,
        };
        Some((from + offset, marker))
    })
}

/// Tokens from `from` to `close` (or the end), and the offset after it.
pub(super) fn tokenize<'t>(
    text: &'t str,
    from: usize,
    close: Option<&str>,
) -> (Vec<Token<'t>>, usize) {
    let mut tokens = Vec::new();
    let mut at = from;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if close.is_some_and(|close| rest.starts_with(close)) {
            return (tokens, at + 2);
        }
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (kind, length) = match first {
            ' ' | '\t' | '\r' | '\n' => {
                at += 1;
                continue;
            }
            '"' | '\'' | '`' => (Kind::Text, quoted(rest, first)),
            '0'..='9' => (Kind::Number, rest.find(|c| !name(c)).unwrap_or(rest.len())),
            c if name(c) => (Kind::Name, rest.find(|c| !name(c)).unwrap_or(rest.len())),
            _ if ["?.", "?[", "==", "!=", "<=", ">=", "**", "//"]
                .iter()
                .any(|sign| rest.starts_with(sign)) =>
            {
                (Kind::Sign, 2)
            }
            c => (Kind::Sign, c.len_utf8()),
        };
        tokens.push(Token {
            kind,
            text: &rest[..length],
            start: at,
        });
        at += length;
    }
    (tokens, at)
}

/// The length of a quoted text with its quotes; to the end when it is not closed.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return offset + 1,
            _ => {}
        }
    }
    text.len()
}
