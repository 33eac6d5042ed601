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
    let (mut damaged, mut wrong_signature) = (None, None);
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
            _ if signature => _ = wrong_signature.get_or_insert(line.trim()),
            _ => _ = damaged.get_or_insert(shortened(line.trim())),
        }
    }
    // What is damaged has a wrong signature for that reason alone, which 4.11 prints first.
    if let Some(line) = damaged {
        return Err(format!("it is damaged ({line})"));
    }
    if let Some(line) = wrong_signature {
        return Err(format!("its signature is wrong ({line})"));
    }
    if !good_digest {
        // 4.11 ends with an empty line.
        let mut said = output.stderr.lines().chain(output.stdout.lines());
        let said = said.rfind(|line| !line.trim().is_empty());
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

/// Leaves out the two digests of `BAD (Expected … != …)`, or `BAD Expected(…) != (…)`.
fn shortened(line: &str) -> &str {
    let end = line.find(" (").into_iter().chain(line.find(" Expected("));
    end.min().map_or(line, |end| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured;

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
    fn rpm_4_11_says_the_same_in_another_order() {
        let calls = captured::calls("el7/rpm-signature.txt");
        let verbose = calls.iter().filter(|(command, _)| command.contains("-Kv"));
        let said: Vec<_> = verbose
            .map(|(_, output)| {
                judge(output, Signature::Required).map_or_else(|said| said, |()| "ok".to_owned())
            })
            .collect();
        let not_trusted = |key: &str| {
            format!(
                "it is signed by a key that the host does not trust (V4 RSA/{key}); import the key \
                 with `rpm --import` if it is the right one"
            )
        };
        assert_eq!(
            said,
            [
                not_trusted("SHA512 Signature, key ID 97057a4f"),
                "ok".to_owned(),
                "it is not signed; `signature: waived` would accept it by its sha256 alone".to_owned(),
                not_trusted("SHA256 Signature, key ID 87163a75"),
                "it is damaged (MD5 digest: BAD)".to_owned(),
                "it is damaged (Header SHA1 digest: BAD)".to_owned(),
                "rpm cannot read it (error: trunc.rpm: headerRead failed: hdr blob(1788): BAD, read \
                 returned 0)"
                    .to_owned(),
                "it is damaged (MD5 digest: BAD)".to_owned(),
                "rpm cannot read it (error: text.rpm: not an rpm package)".to_owned(),
                "rpm cannot read it (error: empty.rpm: not an rpm package)".to_owned(),
                "rpm cannot read it (error: missing.rpm: open failed: No such file or directory)".to_owned(),
            ]
        );
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

    #[test]
    fn fuzz_signature() {
        crate::fuzz::feed(
            "rpm_signature",
            captured::stdout("el7/rpm-signature.txt"),
            |bytes| {
                let output = Output {
                    stdout: String::from_utf8_lossy(bytes).into_owned(),
                    ..Output::default()
                };
                for policy in [Signature::Required, Signature::Waived] {
                    let _ = judge(&output, policy);
                }
            },
        );
    }
}
