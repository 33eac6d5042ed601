//! Names with wildcards: `*` for any text, `?` for one character.

/// Whether `pattern` describes the whole of `name`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: it takes one more.
    let mut retry: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, read));
                at += 1;
            }
            Some(sign) if *sign == '?' || *sign == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after, taken)) = retry else {
                    return false;
                };
                retry = Some((after, taken + 1));
                (at, read) = (after, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|sign| *sign == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn a_pattern_describes_the_whole_name() {
        for (pattern, name, fits) in [
            ("web", "web", true),
            ("web", "web2", false),
            ("web*", "web", true),
            ("*web", "my-web", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("a*b*c", "abxbc", true),
            ("a*b*c", "abxb", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("ü?", "üé", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn what_a_star_stands_for_does_not_matter(
            before in "[a-c]{0,4}", between in "[a-c]{0,6}", after in "[a-c]{0,4}",
        ) {
            let pattern = format!("{before}*{after}");
            let name = before + &between + &after;
            prop_assert!(matches(&pattern, &name));
        }

        #[test]
        fn without_wildcards_it_is_equality(pattern in "[a-c]{0,3}", name in "[a-c]{0,3}") {
            prop_assert_eq!(matches(&pattern, &name), pattern == name);
        }
    }
}
