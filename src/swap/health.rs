//! Whether an answer is a healthy one, often enough in a row.

use std::time::Duration;

use super::file::Expect;

/// How much of an answer's body is looked at, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// One thing that is asked until it has answered well often enough.
#[derive(Clone, Debug)]
pub(super) struct Question<T> {
    /// What is asked, in words.
    pub text: String,
    /// What is asked.
    pub subject: T,
    /// Good answers since the last bad one.
    streak: u32,
    /// The last bad answer.
    last: Option<String>,
}

impl<T> Question<T> {
    pub(super) fn new(text: String, subject: T) -> Self {
        Self {
            text,
            subject,
            streak: 0,
            last: None,
        }
    }

    /// Counts an answer.
    pub(super) fn heard(&mut self, answer: Result<(), String>) {
        match answer {
            Ok(()) => self.streak += 1,
            Err(why) => {
                self.streak = 0;
                self.last = Some(why);
            }
        }
    }

    /// Whether it was answered well often enough.
    pub(super) const fn is_settled(&self, expect: &Expect) -> bool {
        self.streak >= expect.successes
    }

    /// What is wrong with it, for people.
    pub(super) fn complaint(&self, expect: &Expect) -> String {
        let last = self.last.as_deref().unwrap_or("it takes too long");
        format!(
            "{}: {last} ({} of {} good answers in a row)",
            self.text, self.streak, expect.successes
        )
    }
}

/// Whether this is what was expected.
pub(super) fn judge(status: u16, body: &str, expect: &Expect) -> Result<(), String> {
    if status != expect.status {
        return Err(format!("answers {status}, expected {}", expect.status));
    }
    match &expect.body {
        Some(text) if !body.contains(text.as_str()) => {
            Err(format!("answers {status} without `{text}` in the body"))
        }
        _ => Ok(()),
    }
}

/// A client that takes answers as they are: a redirect is not health.
pub(super) fn client(timeout: Duration) -> Result<reqwest::Client, String> {
    // That the provider is set already is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("fleet/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        // Each request is a new customer.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| error.to_string())
}

/// Asks once.
pub(super) async fn ask(
    client: &reqwest::Client,
    url: &str,
    expect: &Expect,
) -> Result<(), String> {
    let failed = |error: reqwest::Error| {
        // What happened is in the causes; the address is in the question.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            cause.to_string()
        }
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    if expect.body.is_some() {
        while body.len() < BODY_LIMIT {
            match response.chunk().await.map_err(failed)? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
    }
    judge(status, &String::from_utf8_lossy(&body), expect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect() -> Expect {
        Expect {
            status: 200,
            body: Some("ok".to_owned()),
            successes: 3,
            interval: Duration::ZERO,
            timeout: Duration::from_secs(1),
            deadline: Duration::from_secs(1),
        }
    }

    #[test]
    fn only_what_was_expected_is_healthy() {
        assert_eq!(judge(200, "all ok", &expect()), Ok(()));
        assert_eq!(
            judge(503, "ok", &expect()).unwrap_err(),
            "answers 503, expected 200"
        );
        assert_eq!(
            judge(200, "no", &expect()).unwrap_err(),
            "answers 200 without `ok` in the body"
        );
    }

    #[test]
    fn one_bad_answer_begins_the_row_anew() {
        let mut question = Question::new("x".to_owned(), ());
        for answer in [Ok(()), Ok(()), Err("no".to_owned()), Ok(()), Ok(())] {
            question.heard(answer);
            assert!(!question.is_settled(&expect()));
        }
        assert_eq!(
            question.complaint(&expect()),
            "x: no (2 of 3 good answers in a row)"
        );
        question.heard(Ok(()));
        assert!(question.is_settled(&expect()));
    }
}
