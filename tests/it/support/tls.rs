//! A client that speaks TLS, and over it HTTP/1.1 or HTTP/2.
//!
//! With `AIRGATE_TEST_HTTP=2` in the environment every airgate of a test has TLS, and what is sent to it by
//! `Ask::send` goes over HTTP/2, where that can say it: so the goldens can be run either way.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use tokio::runtime::Runtime;

use super::client::{Answer, Ask, read_answer};

/// A connection of HTTP/2.
type Http2 = h2::client::SendRequest<bytes::Bytes>;

/// Longest that any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where TLS is spoken, of what every test asks.
static SPOKEN: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

fn everywhere() -> bool {
    std::env::var_os("AIRGATE_TEST_HTTP").is_some_and(|version| version == "2")
}

/// What airgate is started with besides.
pub fn arguments() -> Vec<String> {
    if !everywhere() {
        return Vec::new();
    }
    let set = |key: &str, name: &str| format!("server.tls.{key}={}", file(name).display());
    ["--set".into(), set("certificate", "airflow.pem"), "--set".into(), set("key", "airflow.key")].into()
}

/// An airgate is up.
pub fn note(server: SocketAddr) {
    if everywhere() {
        SPOKEN.lock().unwrap().get_or_insert_default().insert(server);
    }
}

pub fn is_spoken_at(address: SocketAddr) -> bool {
    everywhere() && SPOKEN.lock().unwrap().as_ref().is_some_and(|spoken| spoken.contains(&address))
}

/// One of the certificates and keys for tests.
pub fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "tls", name].iter().collect()
}

pub fn read(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// Whom a client trusts and asks for, and how.
pub struct Client {
    name: &'static str,
    certificate: Option<&'static str>,
    protocols: Vec<Vec<u8>>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl Default for Client {
    /// Trusts the authority of the tests, and asks for `airflow.example.com`.
    fn default() -> Self {
        Self {
            name: "airflow.example.com",
            certificate: None,
            protocols: Vec::new(),
            versions: rustls::ALL_VERSIONS,
        }
    }
}

impl Client {
    /// Asks for another name.
    pub fn asking_for(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Shows a certificate of the tests.
    pub fn with_certificate(self, certificate: &'static str) -> Self {
        Self { certificate: Some(certificate), ..self }
    }

    /// Offers these protocols.
    pub fn offering(self, protocols: &[&str]) -> Self {
        Self { protocols: protocols.iter().map(|p| p.as_bytes().to_vec()).collect(), ..self }
    }

    /// Speaks these versions of TLS alone.
    pub fn speaking(self, versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Self {
        Self { versions, ..self }
    }

    fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Arc::new(config)
    }

    /// A connection on which TLS is agreed on.
    pub fn connect(&self, to: SocketAddr) -> Result<Secure> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.name).map_err(Error::other)?;
        let connection = ClientConnection::new(self.config(), name).map_err(Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Secure(BufReader::new(stream)))
    }

    /// Sends a request over HTTP/1.1.
    pub fn send(&self, ask: &Ask, to: SocketAddr) -> Result<Answer> {
        let mut connection = self.connect(to)?;
        connection.write(&ask.bytes(to))?;
        connection.read(ask.method())
    }

    /// Sends a request over HTTP/2. `None` where it cannot be said so.
    pub fn send_http2(&self, ask: &Ask, to: SocketAddr) -> Option<Result<Answer>> {
        let (request, body) = ask.as_http2(to)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let exchange = async { exchange(self.http2(to).await?, request, body).await };
        let sent = async { tokio::time::timeout(PATIENCE, exchange).await };
        Some(runtime.block_on(sent).unwrap_or_else(|late| Err(Error::other(late))))
    }

    /// Sends a request over HTTP/2, or where that cannot say it over HTTP/1.1. Over HTTP/2 connections are kept: in
    /// a debug build agreeing on TLS takes longer than most answers.
    pub fn send_as_asked(&self, ask: &Ask, to: SocketAddr) -> Result<Answer> {
        static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
        static KEPT: Mutex<BTreeMap<SocketAddr, Http2>> = Mutex::new(BTreeMap::new());
        let Some((request, body)) = ask.as_http2(to) else { return self.send(ask, to) };
        let exchange = async {
            let kept = KEPT.lock().unwrap().get(&to).cloned();
            let kept = match kept {
                Some(kept) => kept.ready().await.ok(),
                None => None,
            };
            let sender = match kept {
                Some(kept) => kept,
                None => self.http2(to).await?,
            };
            KEPT.lock().unwrap().insert(to, sender.clone());
            exchange(sender, request, body).await
        };
        let exchange = async { tokio::time::timeout(PATIENCE, exchange).await };
        RUNTIME.block_on(exchange).unwrap_or_else(|late| Err(Error::other(late)))
    }

    /// A connection of HTTP/2 within a runtime.
    pub async fn http2(&self, to: SocketAddr) -> Result<Http2> {
        let mut config = (*self.config()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.name).map_err(Error::other)?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
        tokio::spawn(connection);
        sender.ready().await.map_err(Error::other)
    }
}

async fn exchange(mut sender: Http2, request: http::Request<()>, body: Vec<u8>) -> Result<Answer> {
    let (answer, mut stream) = sender.send_request(request, body.is_empty()).map_err(Error::other)?;
    if !body.is_empty() {
        stream.reserve_capacity(body.len());
        // An answer may come before the body is taken.
        let _ = stream.send_data(body.into(), true);
    }
    read_http2(answer.await.map_err(Error::other)?).await
}

async fn read_http2(answer: http::Response<h2::RecvStream>) -> Result<Answer> {
    let (head, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(Error::other)?;
        stream.flow_control().release_capacity(data.len()).map_err(Error::other)?;
        body.extend_from_slice(&data);
    }
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Answer { status: head.status.as_u16(), headers: head.headers.iter().map(line).collect(), body })
}

/// A connection with TLS.
pub struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub fn read(&mut self, method: &str) -> Result<Answer> {
        read_answer(&mut self.0, method)
    }

    /// Until the other end closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    /// The certificate that was shown.
    pub fn certificate(&self) -> Vec<u8> {
        self.0.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// The protocol that was agreed on.
    pub fn protocol(&self) -> Option<String> {
        let protocol = self.0.get_ref().conn.alpn_protocol();
        protocol.map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// The version of TLS that was agreed on.
    pub fn version(&self) -> rustls::ProtocolVersion {
        self.0.get_ref().conn.protocol_version().unwrap()
    }
}

/// The first certificate of a file of the tests.
pub fn certificate(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(file(name)).unwrap().to_vec()
}
