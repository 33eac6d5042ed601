//! What `rpm -Kv` says about a package file.
//!
//! Its exit status proves nothing: rpm checks what a package carries, and for one that carries
//! no signature at all it prints `digests OK` (4.11: `sha1 md5 OK`) and ends with 0. So the lines
//! are read, and a good signature must be among them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::{Command, Failure};
use crate::protocol::Output;

/// Whether a package must carry a good signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
pub enum Signature {
    /// By a key that was imported into the host's rpm database.
    #[default]
    Required,
    /// None, or one by an unknown key, is accepted; a wrong one never is.
    Waived,
}

/// Checks the digests and signatures of one file.
///
/// # Errors
/// In words: what is wrong with the file.
pub(crate) fn check(file: &Path, signature: Signature) -> Result<Result<(), String>, Failure> {
    let output = Command::new(["rpm", "-Kv", "--"]).arg(file).output()?;
    Ok(judge(&output, signature))
}

fn judge(output: &Output, policy: Signature) -> Result<(), String> {
    let (mut good_digest, mut good_signature, mut unknown_key) = (false, false, None);
    // Each line is `WHAT: VERDICT`, below a line with the file's name.
    for line in output.stdout.lines().filter(|line| line.starts_with(' ')) {
        let Some((what, verdict)) = line.trim().split_once(": ") else {
            return Err(format!("rpm -K printed `{}`", line.trim()));
        };
        let signature = what.contains("Signature") || what.contains("signature");
        match verdict.split(' ').next() {
            Some("OK") if signature => good_signature = true,
            Some("OK") => good_digest = true,
            Some("NOKEY" | "NOTTRUSTED") if signature => unknown_key = Some(what),
            // Only listed when something else is wrong, which has a line of its own.
            Some("NOTFOUND") if signature => {}
            _ if signature => return Err(format!("its signature is wrong ({})", line.trim())),
            _ => return Err(format!("it is damaged ({})", shortened(line.trim()))),
        }
    }
    if !good_digest {
        let said = output
            .stderr
            .lines()
            .chain(output.stdout.lines())
            .next_back();
        return Err(format!("rpm cannot read it ({})", said.unwrap_or_default()));
    }
    match (policy, unknown_key) {
        (Signature::Required, Some(what)) => Err(format!(
            "it is signed by a key that the host does not trust ({what}); \
             import the key with `rpm --import` if it is the right one"
        )),
        (Signature::Required, None) if !good_signature => {
            Err("it is not signed; `signature: waived` would accept it by its sha256 alone".into())
        }
        (_, None) if output.rc != 0 => Err(format!("rpm -K ended with status {}", output.rc)),
        _ => Ok(()),
    }
}

/// Leaves out the two digests of `BAD (Expected … != …)`.
fn shortened(line: &str) -> &str {
    line.split_once(" (").map_or(line, |(start, _)| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real output; the names say of which rpm.
    const CASES: &str = include_str!("../../../tests/rpm/signatures.txt");

    #[test]
    fn requires_a_good_signature_and_good_digests() {
        let mut seen = 0;
        for case in CASES.split("\n## ").skip(1) {
            let (head, printed) = case.split_once('\n').expect("a heading");
            let mut words = head.split(" | ");
            let mut word = || words.next().expect("four parts").to_owned();
            let (name, rc, required, waived) = (word(), word(), word(), word());
            let output = Output {
                rc: rc.parse().expect("a number"),
                stdout: printed.to_owned(),
                ..Output::default()
            };
            for (policy, expected) in [(Signature::Required, required), (Signature::Waived, waived)]
            {
                match judge(&output, policy) {
                    Ok(()) => assert_eq!(expected, "ok", "{name}, {policy:?}"),
                    Err(found) => assert!(
                        expected != "ok" && found.contains(&expected),
                        "{name}, {policy:?}: expected `{expected}`, found `{found}`"
                    ),
                }
            }
            seen += 1;
        }
        assert!(seen >= 8, "the cases were not read");
    }

    #[test]
    fn says_what_rpm_said_about_what_is_no_package() {
        let output = Output {
            rc: 1,
            stderr: "error: /x.rpm: not an rpm package\n".to_owned(),
            ..Output::default()
        };
        assert_eq!(
            judge(&output, Signature::Waived).unwrap_err(),
            "rpm cannot read it (error: /x.rpm: not an rpm package)"
        );
    }
}
