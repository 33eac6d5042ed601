//! Versions of RPM packages, compared as rpm compares them.
//!
//! A version is read as a series of segments: runs of digits and runs of letters, and the signs
//! `~` (older than the end of the version, so `1.0~rc1 < 1.0`) and `^` (newer than the end but
//! older than any further segment, so `1.0 < 1.0^git1 < 1.0.1`). Everything else only separates.
//! Two versions are compared segment by segment, which makes the whole a total order.
//!
//! rpm knows `~` since 4.10 and `^` since 4.15; CentOS 7 (4.11) takes `^` for a separator.

use std::cmp::Ordering;
use std::fmt;

/// Epoch, version and release of a package.
///
/// Ordered as rpm orders them. Equality is equality of the text: rpm holds `1.0` and `1.00` for
/// equally new, but they are two different packages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Evr {
    /// Outweighs everything else; 0 for packages that have none.
    pub epoch: u32,
    /// As the makers of the software count.
    pub version: String,
    /// As the makers of the package count.
    pub release: String,
}

impl Evr {
    /// Which of two packages rpm takes for the newer one.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_versions(&self.version, &other.version))
            .then_with(|| compare_versions(&self.release, &other.release))
    }
}

/// As rpm writes it: an epoch of 0 is left out.
impl fmt::Display for Evr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}:", self.epoch)?;
        }
        write!(f, "{}-{}", self.version, self.release)
    }
}

/// Which of two versions, or two releases, is the newer one.
#[must_use]
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (Segments(left), Segments(right));
    loop {
        let (a, b) = (left.next(), right.next());
        match a.compare(&b) {
            Ordering::Equal if a == Segment::End => return Ordering::Equal,
            Ordering::Equal => {}
            decided => return decided,
        }
    }
}

/// One piece of a version, the variants from oldest to newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Tilde,
    End,
    Caret,
    Letters(&'a str),
    /// Without leading zeros: any number of digits, so never parsed into an integer.
    Digits(&'a str),
}

impl Segment<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Digits(left), Self::Digits(right)) => {
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
            _ => self.cmp(other),
        }
    }
}

/// What is left of a version.
struct Segments<'a>(&'a str);

impl<'a> Segments<'a> {
    fn next(&mut self) -> Segment<'a> {
        let separates = |sign: char| !sign.is_ascii_alphanumeric() && !matches!(sign, '~' | '^');
        self.0 = self.0.trim_start_matches(separates);
        match self.0.chars().next() {
            None => Segment::End,
            Some('~') => self.skip(Segment::Tilde),
            Some('^') => self.skip(Segment::Caret),
            Some(sign) if sign.is_ascii_digit() => Segment::Digits(
                self.run(|sign| sign.is_ascii_digit())
                    .trim_start_matches('0'),
            ),
            Some(_) => Segment::Letters(self.run(|sign| sign.is_ascii_alphabetic())),
        }
    }

    fn skip(&mut self, sign: Segment<'a>) -> Segment<'a> {
        self.0 = &self.0[1..];
        sign
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|sign| !belongs(sign)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_rpm() {
        let mut cases = 0;
        for line in include_str!("../../tests/rpm/vercmp.txt").lines() {
            if line.starts_with('#') {
                continue;
            }
            let [left, relation, right] = line
                .split(' ')
                .collect::<Vec<_>>()
                .try_into()
                .expect("three words");
            let expected = match relation {
                "<" => Ordering::Less,
                "=" => Ordering::Equal,
                ">" => Ordering::Greater,
                other => panic!("no relation: {other}"),
            };
            assert_eq!(compare_versions(left, right), expected, "{line}");
            assert_eq!(
                compare_versions(right, left),
                expected.reverse(),
                "{line}, reversed"
            );
            cases += 1;
        }
        assert!(cases > 60, "the table was not read");
    }

    #[test]
    fn the_epoch_outweighs_the_version_and_the_version_the_release() {
        let evr = |epoch, version: &str, release: &str| Evr {
            epoch,
            version: version.to_owned(),
            release: release.to_owned(),
        };
        // docker-ce got epoch 3 with 18.09, so going back to 18.06 is a downgrade twice over.
        let ascending = [
            evr(0, "18.06.3.ce", "3.el7"),
            evr(3, "18.09.9", "3.el7"),
            evr(3, "20.10.9", "3.el7"),
        ];
        assert!(ascending.is_sorted_by(|a, b| a.compare(b).is_lt()));
        assert!(
            evr(3, "20.10.24", "1.el7")
                .compare(&evr(3, "20.10.24", "3.el7"))
                .is_lt()
        );
        assert_eq!(ascending[0].to_string(), "18.06.3.ce-3.el7");
        assert_eq!(ascending[1].to_string(), "3:18.09.9-3.el7");
    }

    proptest! {
        #[test]
        fn is_a_total_order(
            a in "[0-2a-b.~^_é]{0,8}", b in "[0-2a-b.~^_é]{0,8}", c in "[0-2a-b.~^_é]{0,8}"
        ) {
            prop_assert_eq!(compare_versions(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
            let mut sorted = [&a, &b, &c];
            sorted.sort_by(|a, b| compare_versions(a, b));
            prop_assert!(compare_versions(sorted[0], sorted[2]).is_le(), "{:?}", sorted);
        }

        #[test]
        fn takes_any_text(a in any::<String>(), b in any::<String>()) {
            let _ = compare_versions(&a, &b);
        }
    }
}
