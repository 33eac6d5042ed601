//! Fetching over HTTP from servers that are slow, busy, wrong or hostile.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};

/// How to reach servers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Certificates in PEM form to trust beside the system's.
    pub authorities: Vec<Vec<u8>>,
    /// Host names with the address to use instead of asking DNS; port 0 is the URL's.
    pub resolve: Vec<(String, std::net::SocketAddr)>,
    /// How long connecting may take, and how long a server may say nothing.
    pub patience: Duration,
    /// The pause after the first refusal; each further one is twice as long.
    pub pause: Duration,
    /// How often a request is tried in all.
    pub tries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            resolve: Vec::new(),
            patience: Duration::from_secs(20),
            pause: Duration::from_millis(500),
            tries: 5,
        }
    }
}

/// Servers do not get to make us wait longer than this between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many bytes a second a download must come with, taken all together.
const SLOWEST: u64 = 16 << 10;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A certificate to trust is none.
    #[error("`{0}` is not a certificate in PEM form")]
    Certificate(String),
    /// The connection, TLS or the protocol failed.
    #[error("{}", causes(.0))]
    Transport(#[from] reqwest::Error),
    /// The server answered, and it was not what was asked for.
    #[error("the server answers {status}{}", detail(.said))]
    Status {
        /// The answer.
        status: StatusCode,
        /// The beginning of what it said to it.
        said: String,
    },
    /// More bytes came than may come.
    #[error("the server sends more than the {0} bytes that are allowed")]
    TooLong(u64),
    /// The whole body took too long.
    #[error("the server did not finish within {} seconds", .0.as_secs())]
    Slow(Duration),
}

/// reqwest's own text names only the URL; what happened is in its causes.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn detail(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// A client, and how patient it is.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    options: Options,
}

impl Http {
    /// A client that follows redirects, but never from TLS to plain text.
    ///
    /// # Errors
    /// When a certificate is none.
    pub fn new(options: Options) -> Result<Self, HttpError> {
        // Two clients may be made; that the provider is set already is no error.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let redirect = reqwest::redirect::Policy::custom(|attempt| {
            let was_safe = attempt
                .previous()
                .last()
                .is_some_and(|url| url.scheme() == "https");
            if was_safe && attempt.url().scheme() != "https" {
                attempt.error("it redirects from https to plain http")
            } else if attempt.previous().len() > 5 {
                attempt.error("it redirects too often")
            } else {
                attempt.follow()
            }
        });
        let mut builder = Client::builder()
            .user_agent(concat!("fleet/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.patience)
            .read_timeout(options.patience)
            .redirect(redirect);
        let mut certificates = Vec::new();
        for pem in &options.authorities {
            let bundle = Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|bundle| !bundle.is_empty())
                .ok_or_else(|| {
                    let first = String::from_utf8_lossy(pem);
                    HttpError::Certificate(first.chars().take(30).collect())
                })?;
            certificates.extend(bundle);
        }
        if !certificates.is_empty() {
            builder = builder.tls_certs_merge(certificates);
        }
        for (host, address) in &options.resolve {
            builder = builder.resolve(host, *address);
        }
        Ok(Self {
            client: builder.build()?,
            options,
        })
    }

    /// A GET request.
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    /// Sends a request, again after a pause while the server is too busy or cannot be reached.
    ///
    /// # Errors
    /// When it cannot be reached or stays busy; any other answer is an answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, HttpError> {
        let mut pause = self.options.pause;
        for left in (0..self.options.tries.max(1)).rev() {
            let again = request.try_clone();
            let Some(again) = again.filter(|_| left > 0) else {
                break;
            };
            let wait = match again.send().await {
                Ok(response) if !busy(response.status()) => return Ok(response),
                Ok(response) => asked_for(response.headers()).unwrap_or(pause),
                Err(error) if error.is_connect() || error.is_timeout() => pause,
                Err(error) => return Err(error.into()),
            };
            let jitter = Duration::from_millis(fastrand::u64(
                0..=u64::try_from(pause.as_millis() / 4).unwrap_or(0),
            ));
            tokio::time::sleep(wait.min(LONGEST_PAUSE) + jitter).await;
            pause *= 2;
        }
        Ok(request.send().await?)
    }

    /// Reads all of a body of at most `most` bytes.
    ///
    /// # Errors
    /// When there is more, or when it takes longer than three times the patience.
    pub async fn body(&self, mut response: Response, most: u64) -> Result<Vec<u8>, HttpError> {
        let limit = self.limit(0);
        let read = async {
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if bytes.len() as u64 + chunk.len() as u64 > most {
                    return Err(HttpError::TooLong(most));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        };
        tokio::time::timeout(limit, read)
            .await
            .unwrap_or(Err(HttpError::Slow(limit)))
    }

    /// How long so many bytes may take in all: nobody waits for ever for a server that sends a byte
    /// now and then.
    #[must_use]
    pub fn limit(&self, bytes: u64) -> Duration {
        self.options.patience * 3 + Duration::from_secs(bytes / SLOWEST)
    }

    /// The error that an unwelcome answer is.
    pub async fn refusal(&self, response: Response) -> HttpError {
        let status = response.status();
        let said = self.body(response, 4096).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().next().unwrap_or_default().chars().take(200);
        HttpError::Status {
            status,
            said: said.filter(|c| !c.is_control()).collect(),
        }
    }
}

fn busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
