//! A server that answers as a test says, over TLS or without.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request, as far as the tests care.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The path with its query.
    pub path: String,
    /// The head as it came, names in lower case.
    head: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// How long the body is said to be, if not as long as it is.
    pub length: Option<usize>,
    /// Keep the connection open and say nothing more.
    pub hangs: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            head: Vec::new(),
            body: body.into(),
            length: None,
            hangs: false,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.head.push((name, value.into()));
        self
    }
}

type Script = Box<dyn FnMut(&Request) -> Answer + Send>;

/// Listens until it is dropped.
pub(crate) struct Server {
    pub address: SocketAddr,
    /// Everything that was asked.
    pub requests: Arc<Mutex<Vec<Request>>>,
    /// The certificate to trust.
    pub authority: Vec<u8>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Answers over TLS, as all of these hosts.
    pub(crate) fn tls(
        hosts: &[&str],
        script: impl FnMut(&Request) -> Answer + Send + 'static,
    ) -> Self {
        let names: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        Self::start(
            Some(acceptor),
            made.cert.pem().into_bytes(),
            Box::new(script),
        )
    }

    /// Answers without TLS.
    pub(crate) fn plain(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::start(None, Vec::new(), Box::new(script))
    }

    fn start(
        acceptor: Option<tokio_rustls::TlsAcceptor>,
        authority: Vec<u8>,
        script: Script,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, script) = (Arc::clone(&requests), Arc::new(Mutex::new(script)));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, script) =
                    (acceptor.clone(), Arc::clone(&seen), Arc::clone(&script));
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                converse(stream, &seen, &script).await;
                            }
                        }
                        None => converse::<TcpStream>(stream, &seen, &script).await,
                    }
                });
            }
        });
        Self {
            address,
            requests,
            authority,
            _runtime: runtime,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn converse<S>(mut stream: S, seen: &Mutex<Vec<Request>>, script: &Mutex<Script>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let head = lines.filter_map(|line| line.split_once(": "));
    let head = head.map(|(key, value)| (key.to_lowercase(), value.to_owned()));
    let request = Request {
        path,
        head: head.collect(),
    };
    let answer = (script.lock().unwrap())(&request);
    seen.lock().unwrap().push(request);
    let mut text = format!("HTTP/1.1 {} Answer\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.head {
        _ = write!(text, "{name}: {value}\r\n");
    }
    let length = answer.length.unwrap_or(answer.body.len());
    _ = write!(text, "content-length: {length}\r\n\r\n");
    // A client that had enough is not the server's problem.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.write_all(&answer.body).await;
    let _ = stream.flush().await;
    if answer.hangs {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}
