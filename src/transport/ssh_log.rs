//! Reads what `ssh` wrote about a connection that did not come about.
//!
//! `ssh` has one exit status for everything (255), so its words are all there is. They have been
//! stable for many releases; a line that is not known here ends up as [`Class::Other`] with
//! ssh's own words, never as a wrong guess. Most specific first: when a jump host refuses a key,
//! ssh also reports that "the connection was closed", and only the first of the two helps.

use super::unreachable::{Class, Unreachable};
use crate::harmless::printable;

/// What the log of a failed `ssh` says.
#[derive(Debug)]
pub(super) struct Verdict {
    /// For the report.
    pub(super) reason: Unreachable,
    /// The server dropped the connection before authentication, as an overloaded one does:
    /// trying again is reasonable and cannot lock anyone out.
    pub(super) dropped: bool,
}

/// The lines of a log written with `-v` that are not there because of it.
pub(super) fn for_people(log: &str) -> String {
    const DETAILS: &[&str] = &[
        "debug1: ",
        "OpenSSH_",
        "Authenticated to ",
        "Transferred: ",
        "Bytes per second: ",
    ];
    let told = |line: &&str| !DETAILS.iter().any(|detail| line.starts_with(detail));
    log.lines()
        .map(str::trim_end)
        .filter(told)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What ssh said about the loss of a connection that had come about. Only lines known to be about
/// that: after the login the log also holds the command that was sent.
pub(super) fn about_the_end(log: &str) -> String {
    const KNOWN: &[&str] = &[
        "Bad packet",
        "Connection closed by ",
        "Connection reset by ",
        "Connection to ",
        "Read from remote host ",
        "Received disconnect from ",
        "Timeout, server ",
        "client_loop: ",
        "packet_write",
        "ssh_dispatch_run_fatal: ",
        "ssh_packet_",
    ];
    let known = |line: &&str| KNOWN.iter().any(|start| line.starts_with(start));
    log.lines()
        .map(str::trim_end)
        .filter(known)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Judges a log written with `-v`, to which jump hosts' `ssh` add their lines.
pub(super) fn judge(log: &str, host: &str) -> Verdict {
    let told = for_people(log);
    let lines: Vec<&str> = told.lines().collect();
    let reason = host_key(&lines, log)
        .or_else(|| name(&lines))
        .or_else(|| authentication(&lines, host))
        .or_else(|| negotiation(&lines))
        .or_else(|| configuration(&lines))
        .or_else(|| network(&lines));
    let (reason, dropped) = match reason {
        Some(reason) => (reason, false),
        None => match drop_before_authentication(&lines, log, host) {
            Some(reason) => (reason, true),
            None => (unknown(&lines, host), false),
        },
    };
    Verdict {
        reason: reason.said(&told),
        dropped,
    }
}

/// The part of the first line that has `prefix` after it, anywhere in the line.
fn after<'a>(lines: &[&'a str], marker: &str) -> Option<&'a str> {
    lines
        .iter()
        .find_map(|line| line.split_once(marker).map(|(_, rest)| rest))
}

/// The text between two markers of one line.
fn between<'a>(lines: &[&'a str], start: &str, end: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (_, rest) = line.split_once(start)?;
        rest.split_once(end).map(|(found, _)| found)
    })
}

fn host_key(lines: &[&str], log: &str) -> Option<Unreachable> {
    const ENROLL: &str = "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` run \
        on the host; if it is the same, add the key to known_hosts: `ssh-keyscan -p PORT HOST >> \
        ~/.ssh/known_hosts`";
    // `debug1: Server host key: ssh-ed25519 SHA256:…`; the last one is the target's.
    let offered = log
        .lines()
        .filter_map(|line| line.strip_prefix("debug1: Server host key: "))
        .next_back()
        .map_or_else(String::new, |key| {
            format!(" (it offers {})", printable(key))
        });

    if lines
        .iter()
        .any(|line| line.contains("REVOKED HOST KEY DETECTED"))
    {
        let host = between(lines, "host key for ", " is marked as revoked").unwrap_or("the host");
        return Some(Unreachable::new(
            Class::HostKey,
            format!(
                "the host key of `{}` is marked as revoked{offered}",
                printable(host)
            ),
        ));
    }
    if lines
        .iter()
        .any(|line| line.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"))
    {
        let host = between(lines, "Host key for ", " has changed").unwrap_or("the host");
        let place = after(lines, "Offending ")
            .and_then(|rest| rest.split_once(" key in "))
            .map_or_else(String::new, |(kind, place)| {
                format!(
                    ": another {} key is recorded in {}",
                    printable(kind),
                    printable(place)
                )
            });
        return Some(
            Unreachable::new(
                Class::HostKey,
                format!(
                    "the host key of `{}` has changed{offered}{place}",
                    printable(host)
                ),
            )
            .hint(
                "if the host was reinstalled, remove the recorded line (`ssh-keygen -R`) and \
                 enroll the new key; if not, somebody may be listening",
            ),
        );
    }
    if let Some(host) = between(
        lines,
        " host key is known for ",
        " and you have requested strict",
    ) {
        let host = printable(host);
        return Some(
            Unreachable::new(
                Class::HostKey,
                format!("the host key of `{host}` is not known{offered}"),
            )
            .hint(ENROLL),
        );
    }
    lines
        .iter()
        .any(|line| line.starts_with("Host key verification failed"))
        .then(|| {
            Unreachable::new(
                Class::HostKey,
                format!("the host key was not accepted{offered}"),
            )
            .hint(ENROLL)
        })
}

fn name(lines: &[&str]) -> Option<Unreachable> {
    let rest = after(lines, "Could not resolve hostname ")?;
    let (host, why) = rest.rsplit_once(": ").unwrap_or((rest, "no address found"));
    Some(Unreachable::new(
        Class::Dns,
        format!(
            "the name `{}` cannot be resolved: {}",
            printable(host),
            printable(why)
        ),
    ))
}

fn authentication(lines: &[&str], host: &str) -> Option<Unreachable> {
    const ONE_KEY: &str = "name the one right key with `ansible_ssh_private_key_file`";
    if lines
        .iter()
        .any(|line| line.contains("Too many authentication failures"))
    {
        return Some(
            Unreachable::new(
                Class::Authentication,
                format!("`{host}` refused every key offered until its limit was reached"),
            )
            .hint(ONE_KEY),
        );
    }
    let (who, methods) = lines.iter().find_map(|line| {
        let (who, rest) = line.split_once(": Permission denied (")?;
        Some((
            who,
            rest.split_once(')').map_or(rest, |(methods, _)| methods),
        ))
    })?;
    Some(
        Unreachable::new(
            Class::Authentication,
            format!(
                "`{}` was refused: none of the keys offered is accepted (the host takes {})",
                printable(who),
                printable(methods)
            ),
        )
        .hint(
            "see whether `ssh` with the same user lets you in without a prompt; fleet uses your \
             agent, ~/.ssh/config and `ansible_ssh_private_key_file`",
        ),
    )
}

fn negotiation(lines: &[&str]) -> Option<Unreachable> {
    let rest = after(lines, "no matching ")?;
    let (what, offer) = rest.split_once(" found. Their offer: ")?;
    let option = match what {
        "host key type" => "HostKeyAlgorithms",
        "key exchange method" => "KexAlgorithms",
        "cipher" => "Ciphers",
        _ => "MACs",
    };
    Some(
        Unreachable::new(
            Class::Other,
            format!(
                "no {} in common: the host only offers {}",
                printable(what),
                printable(offer)
            ),
        )
        .hint(format!(
            "update sshd there, or allow it for this host alone: `-o {option}=+{}` in \
             `ansible_ssh_common_args`",
            printable(offer.split(',').next().unwrap_or(offer))
        )),
    )
}

fn configuration(lines: &[&str]) -> Option<Unreachable> {
    let line = lines.iter().find(|line| {
        line.contains("Bad configuration option: ")
            || line.starts_with("Bad owner or permissions on ")
            || line.starts_with("Can't open user config file ")
            || line.contains("keyword ") && line.contains(" extra arguments at end of line")
            || (line.contains(" line ") && line.contains(": ") && line.contains("onfig"))
    })?;
    Some(Unreachable::new(
        Class::Other,
        format!("ssh does not accept its configuration: {}", printable(line)),
    ))
}

fn network(lines: &[&str]) -> Option<Unreachable> {
    if let Some((place, why)) =
        after(lines, "connect to host ").and_then(|rest| rest.rsplit_once(": "))
    {
        let place = printable(place);
        return Some(match why {
            "Connection refused" => {
                Unreachable::new(Class::Refused, format!("{place} refuses connections"))
                    .hint("is sshd running there, and on that port?")
            }
            "Connection timed out" | "Operation timed out" => {
                Unreachable::new(Class::Timeout, format!("{place} does not answer"))
            }
            why => Unreachable::new(
                Class::Other,
                format!("{place} cannot be reached: {}", printable(why)),
            ),
        });
    }
    if lines
        .iter()
        .any(|line| line.contains("timed out during banner exchange"))
    {
        return Some(
            Unreachable::new(
                Class::Timeout,
                "the host takes connections but nothing there speaks SSH".to_owned(),
            )
            .hint("is it sshd that listens there, and is it alive?"),
        );
    }
    lines
        .iter()
        .any(|line| line.starts_with("Connection to ") && line.ends_with(" timed out"))
        .then(|| Unreachable::new(Class::Timeout, "the host stopped answering".to_owned()))
}

fn drop_before_authentication(lines: &[&str], log: &str, host: &str) -> Option<Unreachable> {
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    let before_keys = lines
        .iter()
        .any(|line| line.contains("_exchange_identification: "));
    // Once keys are exchanged a drop is a decision about the user, not about load. (A jump
    // host's keys may have been, so the line above decides first.)
    let without_keys = (has("Connection closed by ") || has("Connection reset by "))
        && !log.contains("debug1: SSH2_MSG_NEWKEYS received");
    if !before_keys && !without_keys {
        return None;
    }
    Some(
        Unreachable::new(
            Class::Refused,
            format!("`{host}` closes connections before authentication"),
        )
        .hint("sshd's MaxStartups or PerSourcePenalties, a firewall, or a full host may do that"),
    )
}

fn unknown(lines: &[&str], host: &str) -> Unreachable {
    let last = lines.iter().rev().find(|line| !line.is_empty());
    Unreachable::new(
        Class::Other,
        match last {
            Some(line) => format!("ssh gave up: {}", printable(line)),
            None => format!("ssh gave up on `{host}` without a word"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_ssh_gives_is_told_apart() {
        let cases = [
            (
                "ssh: Could not resolve hostname web01: Name or service not known\r\n",
                Class::Dns,
            ),
            (
                "ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n",
                Class::Refused,
            ),
            (
                "ssh: connect to host 10.0.0.1 port 22: Connection timed out\r\n",
                Class::Timeout,
            ),
            (
                "ssh: connect to host h port 22: No route to host\r\n",
                Class::Other,
            ),
            (
                "Connection timed out during banner exchange\r\n",
                Class::Timeout,
            ),
            (
                "No ED25519 host key is known for [h]:22 and you have requested strict checking.\r\n\
              Host key verification failed.\r\n",
                Class::HostKey,
            ),
            (
                "root@h: Permission denied (publickey).\r\n",
                Class::Authentication,
            ),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n",
                Class::Authentication,
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\r\n",
                Class::Refused,
            ),
            (
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. \
              Their offer: ssh-rsa,ssh-dss\r\n",
                Class::Other,
            ),
            (
                "command-line: line 0: Bad configuration option: frobnicate\r\n",
                Class::Other,
            ),
            ("", Class::Other),
        ];
        for (log, class) in cases {
            let verdict = judge(log, "h");
            assert_eq!(verdict.reason.class, class, "{log}");
            assert_eq!(verdict.dropped, log.contains("kex_exchange"), "{log}");
        }
    }

    #[test]
    fn a_changed_key_names_host_fingerprint_and_line() {
        let log = "debug1: Server host key: ssh-ed25519 SHA256:abc\r\n\
            @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
            Offending ED25519 key in /home/me/.ssh/known_hosts:3\r\n\
            Host key for [127.0.0.1]:2222 has changed and you have requested strict checking.\r\n\
            Host key verification failed.\r\n";
        assert_eq!(
            judge(log, "h").reason.message,
            "the host key of `[127.0.0.1]:2222` has changed (it offers ssh-ed25519 SHA256:abc): \
             another ED25519 key is recorded in /home/me/.ssh/known_hosts:3"
        );
    }

    #[test]
    fn a_key_refused_by_a_jump_host_is_no_drop() {
        let log = "me@bastion: Permission denied (publickey).\r\n\
            kex_exchange_identification: Connection closed by remote host\r\n\
            Connection closed by UNKNOWN port 65535\r\n";
        let verdict = judge(log, "h");
        assert_eq!(verdict.reason.class, Class::Authentication);
        assert!(
            verdict
                .reason
                .message
                .starts_with("`me@bastion` was refused")
        );
        assert!(!verdict.dropped);
    }

    #[test]
    fn a_connection_closed_after_the_key_exchange_is_not_tried_again() {
        let log = "debug1: SSH2_MSG_NEWKEYS received\r\nConnection closed by 10.0.0.1 port 22\r\n";
        let verdict = judge(log, "h");
        assert!(!verdict.dropped);
        assert_eq!(
            verdict.reason.message,
            "ssh gave up: Connection closed by 10.0.0.1 port 22"
        );
    }

    #[test]
    fn a_lost_connection_is_told_without_the_command_that_was_sent() {
        let log = "Authenticated to h ([10.0.0.1]:22) using \"publickey\".\r\n\
            debug1: Sending command: sh -c 'umask 077\r\narch=$(uname -m)'\r\n\
            Timeout, server h not responding.\r\n";
        assert_eq!(about_the_end(log), "Timeout, server h not responding.");
    }

    #[test]
    fn an_old_host_gets_a_way_in_that_is_limited_to_it() {
        let log = "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. \
            Their offer: ssh-rsa,ssh-dss\r\n";
        let hint = judge(log, "h").reason.hint.unwrap();
        assert!(hint.contains("`-o HostKeyAlgorithms=+ssh-rsa`"), "{hint}");
    }

    #[test]
    fn fuzz_ssh_log() {
        let samples = [
            "debug1: Authentications that can continue: publickey\r\nPermission denied (publickey).\r\n",
            "@@@@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key for h has changed\n",
            "ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n",
        ];
        crate::fuzz::feed("ssh_log", samples, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            for_people(&text);
            about_the_end(&text);
            judge(&text, "h");
        });
    }
}
