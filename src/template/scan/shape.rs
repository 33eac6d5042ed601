//! What an expression looks like, as far as it matters to who follows its values.

use crate::template::token::{Kind, Token};

/// Whether an expression is a variable as it is, or its JSON: what is secret in it is known in that
/// form too.
pub(super) fn is_plain(tokens: &[Token<'_>]) -> bool {
    if tokens
        .first()
        .is_none_or(|first| first.kind != Kind::Name || first.text == "not")
    {
        return false;
    }
    let (length, _) = chain(tokens);
    match &tokens[length..] {
        [] => slice(tokens).is_none(),
        [pipe, filter] => pipe.text == "|" && matches!(filter.text, "to_json" | "to_nice_json"),
        _ => false,
    }
}

/// Where the first subscript of a variable begins that takes a part of it: `x[1:2]`.
pub(super) fn slice(tokens: &[Token<'_>]) -> Option<usize> {
    let (mut depth, mut start) = (0_usize, 0);
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "[" | "?[" | "(" | "{" => {
                if depth == 0 {
                    start = index;
                }
                depth += 1;
            }
            "]" | ")" | "}" => depth = depth.saturating_sub(1),
            text if depth == 1 && token.kind == Kind::Sign && text.contains(':') => {
                return Some(start);
            }
            _ => {}
        }
    }
    None
}

/// Which tokens only decide something: those between `if` and `else`.
pub(super) fn deciding(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut levels = vec![false];
    tokens
        .iter()
        .map(|token| {
            match token.text {
                "(" | "[" | "{" => levels.push(false),
                ")" | "]" | "}" if levels.len() > 1 => _ = levels.pop(),
                "if" | "else" => {
                    if let Some(level) = levels.last_mut() {
                        *level = token.text == "if";
                    }
                }
                _ => {}
            }
            levels.contains(&true)
        })
        .collect()
}

/// How many tokens the variable at the start takes with its fields and subscripts, and whether
/// a step is optional (`?.`).
pub(super) fn chain(tokens: &[Token<'_>]) -> (usize, bool) {
    let mut length = 1;
    let mut optional = false;
    while let Some(token) = tokens.get(length) {
        match token.text {
            "." | "?." => length += 2,
            "[" | "?[" => {
                let mut depth = 0usize;
                for token in &tokens[length..] {
                    length += 1;
                    match token.text {
                        "[" | "?[" => depth += 1,
                        "]" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => break,
        }
        optional |= token.text.starts_with('?');
    }
    (length.min(tokens.len()), optional)
}
