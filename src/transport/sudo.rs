//! Becoming another user: sudo's command line and what its words mean.

use super::unreachable::{Class, Unreachable};

/// The words before the command. With a prompt, sudo reads a password from stdin; without one, it
/// must not need any. What it says is to be understood, whatever the user's locale is.
pub(super) fn words(user: &str, prompt: Option<String>) -> Vec<String> {
    let mut words = ["env", "LC_ALL=C", "sudo"].map(str::to_owned).to_vec();
    match prompt {
        Some(prompt) => words.extend(["-S".to_owned(), "-p".to_owned(), prompt]),
        None => words.push("-n".to_owned()),
    }
    // `-H`: the helper keeps its files in the home of the user it runs as.
    words.extend(["-H", "-u", user, "--"].map(Into::into));
    words
}

/// Sudo asked a second time.
pub(super) fn wrong_password() -> Unreachable {
    Unreachable::new(Class::Sudo, "sudo does not accept the password")
}

/// Finds sudo's reason in what was said on stderr.
pub(super) fn judge(said: &str) -> Option<Unreachable> {
    let sudo = |message: &str| Unreachable::new(Class::Sudo, message);
    let has = |words: &str| said.contains(words);
    if has("a password is required") || has("a terminal is required to read the password") {
        Some(
            sudo("sudo needs a password")
                .hint("give it with -K, or allow this user NOPASSWD in sudoers"),
        )
    } else if has("incorrect password attempt") || has("no password was provided") {
        Some(wrong_password())
    } else if has("must have a tty to run sudo") {
        Some(sudo("sudo wants a terminal").hint("set `Defaults:USER !requiretty` in sudoers"))
    } else if has("is not in the sudoers file")
        || has("may not run sudo")
        || has("is not allowed to")
        || has("I'm afraid I can't do that")
    {
        Some(sudo("the user may not use sudo for this").hint("add a rule for it to sudoers"))
    } else if has("unknown user") {
        Some(sudo("the user to become does not exist there").hint("see `ansible_become_user`"))
    } else if has("sudo: command not found")
        || has("sudo: not found")
        // In whatever language.
        || said.lines().any(|line| line.starts_with("env: ") && line.contains("sudo"))
    {
        Some(
            sudo("sudo is not installed there")
                .hint("install it, or log in as the user itself without `become`"),
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_password_sudo_must_not_ask_for_one() {
        assert_eq!(
            words("root", None).join(" "),
            "env LC_ALL=C sudo -n -H -u root --"
        );
        assert_eq!(
            words("app", Some("P".into())).join(" "),
            "env LC_ALL=C sudo -S -p P -H -u app --"
        );
    }

    #[test]
    fn every_refusal_of_sudo_has_its_own_words() {
        let cases = [
            ("sudo: a password is required", "sudo needs a password"),
            (
                "sudo: 1 incorrect password attempt",
                "sudo does not accept the password",
            ),
            (
                "sudo: sorry, you must have a tty to run sudo",
                "sudo wants a terminal",
            ),
            (
                "deploy is not in the sudoers file.",
                "the user may not use sudo for this",
            ),
            (
                "Sorry, user a is not allowed to execute",
                "the user may not use sudo for this",
            ),
            (
                "sudo: unknown user: app",
                "the user to become does not exist there",
            ),
            (
                "bash: sudo: command not found",
                "sudo is not installed there",
            ),
            ("sh: 1: sudo: not found", "sudo is not installed there"),
            (
                "env: »sudo«: Datei oder Verzeichnis nicht gefunden",
                "sudo is not installed there",
            ),
        ];
        for (said, expected) in cases {
            let reason = judge(said).expect(said);
            assert_eq!(
                (reason.class, reason.message.as_str()),
                (Class::Sudo, expected)
            );
        }
        assert_eq!(judge("bash: fork: Cannot allocate memory"), None);
    }
}
