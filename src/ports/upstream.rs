//! Airflow itself: which of its addresses takes a request, and requests of the gate's own.
//!
//! What the proxy forwards and what the gate asks for itself go through the same choice of peer,
//! the same TLS and the same health.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::HealthCheck;
use pingora::lb::{Backend, Backends};
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, Peer};
use pingora::{Error, ErrorType, OkOrErr, OrErr};

use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Chunks, HttpClient, SendError, StreamClient, read_whole};

/// How to reach the upstream.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The addresses, in turn. Names are resolved again every [`RESOLVE_EVERY`].
    pub urls: Vec<Url>,
    /// Airflow's own health, which it tells without a credential: asked for the health of an address.
    pub health_route: &'static str,
    /// Certificate authorities for `https`, instead of the system's.
    pub ca: Option<Ca>,
    /// The name that the certificate must bear, instead of the URL's host.
    pub server_name: Option<String>,
    /// Longest time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Longest time between two reads of an answer: the first byte, too.
    pub read_timeout: Duration,
    /// How long an unused connection is kept. Below the upstream's own (uvicorn: 5 s), else a
    /// request may meet a connection that is being closed.
    pub idle_timeout: Duration,
}

/// Where an upstream listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// At the addresses of a host.
    Tcp {
        /// Whether it is `https`.
        tls: bool,
        /// A name or an address, without brackets.
        host: String,
        /// The port, the scheme's own if none was written.
        port: u16,
    },
    /// At a Unix socket.
    Unix(PathBuf),
}

/// Certificate authorities that are trusted for the upstream, and no others.
#[derive(Clone)]
pub struct Ca {
    certificates: Arc<CaType>,
    /// Tells one set from another: Pingora's pool does not, and would reuse connections.
    fingerprint: u64,
}

impl PartialEq for Ca {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Ca {}

/// Why certificates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCa {
    /// Not in PEM.
    #[error("cannot be read as PEM: {0}")]
    Pem(String),
    /// In PEM, but not a certificate authority.
    #[error("holds a certificate that is no authority: {0}")]
    Certificate(String),
    /// There is none.
    #[error("holds no certificate: at least one is needed, in PEM")]
    Empty,
}

impl Ca {
    /// Reads one or more certificates in PEM.
    ///
    /// # Errors
    /// There is none, or one that cannot be trusted.
    pub fn parse(pem: &[u8]) -> Result<Self, InvalidCa> {
        let mut store = rustls::RootCertStore::empty();
        let mut certificates = Vec::new();
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|error| InvalidCa::Pem(error.to_string()))?;
            // Pingora panics on what it cannot read.
            store.add(der.clone()).map_err(|error| InvalidCa::Certificate(error.to_string()))?;
            certificates.push(WrappedX509::new(der.to_vec(), parse_x509));
        }
        if certificates.is_empty() {
            return Err(InvalidCa::Empty);
        }
        let mut hasher = DefaultHasher::new();
        pem.hash(&mut hasher);
        Ok(Self { certificates: certificates.into(), fingerprint: hasher.finish() })
    }
}

/// How often names are looked up.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How often each address is asked for its health.
pub const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Longest time for an address to say that it is healthy.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer to a request of the gate's own. Such answers are tokens and versions.
const MAX_ANSWER: usize = 1 << 20;

/// All addresses of the upstream, with their health.
pub struct Upstreams {
    settings: Settings,
    /// Pingora's own choice among them copies each that it looks at, with all that is in it.
    backends: Backends,
    turn: AtomicUsize,
    client: Arc<Client>,
}

impl Upstreams {
    /// Knows no address before [`Upstreams::maintain`] or [`Upstreams::resolve`] has run.
    pub fn new(settings: Settings) -> Arc<Self> {
        let client =
            Arc::new(Client { connector: Connector::new(None), read_timeout: settings.read_timeout });
        let mut backends = Backends::new(Box::new(Discovery { settings: settings.clone() }));
        backends.set_health_check(Box::new(Check { client: client.clone(), route: settings.health_route }));
        Arc::new(Self { settings, backends, turn: AtomicUsize::new(0), client })
    }

    /// How to reach it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether any address is known.
    pub fn is_resolved(&self) -> bool {
        !self.backends.get_backend().is_empty()
    }

    /// Resolves all names once, and asks each address for its health.
    pub async fn resolve(&self) {
        if let Err(error) = self.backends.update(|_| ()).await {
            tracing::warn!(error = %error.root_cause(), "cannot resolve an upstream");
        }
        self.backends.run_health_check(true).await;
    }

    /// Keeps addresses and health up to date, until nobody uses them any more.
    pub async fn maintain(upstreams: Weak<Self>) {
        let rounds = RESOLVE_EVERY.as_secs() / CHECK_EVERY.as_secs();
        let mut ticks = tokio::time::interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for round in 0_u64.. {
            ticks.tick().await;
            let Some(this) = upstreams.upgrade() else { return };
            if round % rounds == 0 || this.backends.get_backend().is_empty() {
                this.resolve().await;
            } else {
                this.backends.run_health_check(true).await;
            }
        }
    }

    /// The next peer: a healthy one; if none is known to be healthy, any, since the knowledge may
    /// be old. `None` if no name resolves.
    pub fn peer(&self) -> Option<Box<HttpPeer>> {
        let mut peer = self.choose().map(|template| template.peer.clone())?;
        peer.group_key ^= HOME.with(|home| *home);
        Some(peer)
    }

    /// Takes note that no connection could be made to an address: until its health is known anew it has no
    /// turn, where another has one.
    pub fn unreachable(&self, address: &SocketAddr) {
        let known = self.backends.get_backend();
        if known.len() < 2 {
            return;
        }
        if let Some(backend) = known.iter().find(|backend| backend.addr == *address)
            && let Some(template) = backend.ext.get::<Arc<Template>>()
        {
            template.unreachable.store(true, Ordering::Relaxed);
        }
    }

    /// What is next in turn, among the healthy ones if there are any.
    fn choose(&self) -> Option<Arc<Template>> {
        let known = self.backends.get_backend();
        let next = match known.len() {
            // Healthy or not.
            0 | 1 => known.first(),
            several => {
                let first = self.turn.fetch_add(1, Ordering::Relaxed) % several;
                let mut in_turn = known.iter().skip(first).chain(known.iter().take(first));
                in_turn.clone().find(|backend| self.is_good(backend)).or_else(|| in_turn.next())
            }
        };
        next?.ext.get::<Arc<Template>>().cloned()
    }

    fn is_good(&self, backend: &Backend) -> bool {
        let unreachable = |template: &Arc<Template>| template.unreachable.load(Ordering::Relaxed);
        self.backends.ready(backend) && !backend.ext.get::<Arc<Template>>().is_some_and(unreachable)
    }

    /// Each address, and whether it is healthy.
    pub fn health(&self) -> Vec<(String, bool)> {
        let known = self.backends.get_backend();
        known.iter().map(|backend| (backend.addr.to_string(), self.backends.ready(backend))).collect()
    }
}

#[async_trait]
impl HttpClient for Upstreams {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, SendError> {
        let template =
            self.choose().ok_or_else(|| SendError::Connect("no address of the upstream is known".into()))?;
        self.client.send(template, request).await
    }
}

#[async_trait]
impl StreamClient for Upstreams {
    async fn open(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Box<dyn Chunks>>, SendError> {
        let template =
            self.choose().ok_or_else(|| SendError::Connect("no address of the upstream is known".into()))?;
        let answer = self.client.open(template, request).await?;
        Ok(answer.map(|body| Box::new(body) as Box<dyn Chunks>))
    }
}

thread_local! {
    /// Sets each thread's kept connections apart. Else every other request would go out on a connection that
    /// belongs to another thread's event loop, and each of its events would have to wake this one.
    static HOME: u64 = {
        static THREADS: AtomicU64 = AtomicU64::new(0);
        // Spread over all bits, so that it cannot meet a fingerprint by a small difference.
        RandomState::new().hash_one(THREADS.fetch_add(1, Ordering::Relaxed))
    };
}

/// What all requests to one address share.
struct Template {
    peer: Box<HttpPeer>,
    host: HeaderValue,
    /// No connection could be made since its health was last looked at.
    unreachable: AtomicBool,
}

struct Discovery {
    settings: Settings,
}

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        let mut failed = None;
        for url in &self.settings.urls {
            let (host, port) = match url {
                Url::Tcp { host, port, .. } => (host.clone(), *port),
                Url::Unix(path) => {
                    found.insert(self.socket(path)?);
                    continue;
                }
            };
            let resolved = tokio::task::spawn_blocking(move || (host.as_str(), port).to_socket_addrs());
            match resolved.await.or_err(ErrorType::InternalError, "the resolver panicked")? {
                Ok(addresses) => found.extend(addresses.map(|a| self.backend(url, a))),
                Err(error) => {
                    tracing::warn!(host = authority(url), %error, "cannot resolve an upstream");
                    failed = Some(error);
                }
            }
        }
        match failed {
            // What was known before keeps serving.
            Some(error) if found.is_empty() => {
                Err(Error::because(ErrorType::ConnectError, "no upstream can be resolved", error))
            }
            Some(_) | None => Ok((found, HashMap::new())),
        }
    }
}

impl Discovery {
    fn backend(&self, url: &Url, address: std::net::SocketAddr) -> Backend {
        let name = match url {
            // An empty name would switch the verification of certificates off; `check` refuses it.
            Url::Tcp { tls: true, host, .. } => self.settings.server_name.as_ref().unwrap_or(host).clone(),
            Url::Tcp { tls: false, .. } | Url::Unix(_) => String::new(),
        };
        let peer = HttpPeer::new(address, !name.is_empty(), name);
        self.one(SocketAddr::Inet(address), peer, &authority(url))
    }

    fn socket(&self, path: &Path) -> pingora::Result<Backend> {
        let peer = HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?;
        let address = std::os::unix::net::SocketAddr::from_pathname(path)
            .or_err(ErrorType::SocketError, "no path of a socket")?;
        Ok(self.one(SocketAddr::Unix(address), peer, "localhost"))
    }

    fn one(&self, address: SocketAddr, mut peer: HttpPeer, host: &str) -> Backend {
        let settings = &self.settings;
        peer.options.connection_timeout = Some(settings.connect_timeout);
        peer.options.total_connection_timeout = Some(settings.connect_timeout);
        peer.options.read_timeout = Some(settings.read_timeout);
        peer.options.write_timeout = Some(settings.read_timeout);
        peer.options.idle_timeout = Some(settings.idle_timeout);
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        if let Some(ca) = &settings.ca {
            peer.options.ca = Some(ca.certificates.clone());
            peer.group_key = ca.fingerprint;
        }
        let mut backend = Backend { addr: address, weight: 1, ext: http::Extensions::new() };
        let host = HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static("localhost"));
        backend.ext.insert(Arc::new(Template {
            peer: Box::new(peer),
            host,
            unreachable: AtomicBool::new(false),
        }));
        backend
    }
}

/// `host:port` as in a `Host` header: brackets around IPv6, no port where the scheme implies it.
fn authority(url: &Url) -> String {
    let (tls, host, port) = match url {
        Url::Tcp { tls, host, port } => (*tls, host, *port),
        Url::Unix(_) => return "localhost".to_owned(),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    match (tls, port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// An address is healthy while Airflow's health route answers anything but a server error. What it says of the
/// scheduler is Airflow's affair: an API that answers is of use without one. Another release answers 404.
struct Check {
    client: Arc<Client>,
    route: &'static str,
}

#[async_trait]
impl HealthCheck for Check {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let template = target.ext.get::<Arc<Template>>().or_err(ErrorType::InternalError, "no peer")?.clone();
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = http::Uri::from_static(self.route);
        let answer = tokio::time::timeout(CHECK_TIMEOUT, self.client.send(template.clone(), request)).await;
        match answer.unwrap_or(Err(SendError::Timeout)) {
            Ok(answer) if !answer.status().is_server_error() => {
                template.unreachable.store(false, Ordering::Relaxed);
                Ok(())
            }
            Ok(answer) => Error::e_explain(
                ErrorType::HTTPStatus(answer.status().as_u16()),
                "the health route answers an error",
            ),
            Err(error) => Error::e_because(ErrorType::ConnectError, "no answer", error),
        }
    }

    async fn health_status_change(&self, target: &Backend, healthy: bool) {
        if healthy {
            tracing::info!(upstream = %target.addr, "upstream is healthy");
        } else {
            tracing::warn!(upstream = %target.addr, "upstream is unhealthy");
        }
    }

    fn health_threshold(&self, _success: bool) -> usize {
        1
    }
}

/// Sends the gate's own requests over Pingora's connector.
struct Client {
    connector: Connector,
    read_timeout: Duration,
}

impl Client {
    async fn send(
        self: &Arc<Self>,
        template: Arc<Template>,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, SendError> {
        let limit = self.read_timeout;
        let exchange = async {
            let (head, mut body) = self.open(template, request).await?.into_parts();
            let body = read_whole(&mut body, MAX_ANSWER).await?;
            Ok(http::Response::from_parts(head, body))
        };
        tokio::time::timeout(limit, exchange).await.map_err(|_| SendError::Timeout)?
    }

    /// The head of the answer, and its body. A safe request that met a connection which the upstream was just
    /// closing is sent once more.
    async fn open(
        self: &Arc<Self>,
        template: Arc<Template>,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, SendError> {
        let (head, sent) = request.into_parts();
        let head = request_head(&template.host, &head, sent.len()).map_err(|error| broken(&error))?;
        let mut again = head.method.is_safe();
        loop {
            match self.try_open(&template, head.clone(), sent.clone()).await {
                Err(Failed::Stale) if again => again = false,
                Err(Failed::Stale) => return Err(SendError::Other("the connection was closed".into())),
                Err(Failed::For(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn try_open(
        self: &Arc<Self>,
        template: &Arc<Template>,
        head: RequestHeader,
        sent: Bytes,
    ) -> Result<http::Response<Body>, Failed> {
        let connected = self.connector.get_http_session(&*template.peer).await;
        let (mut session, reused) =
            connected.map_err(|error| Failed::For(SendError::Connect(reason(&error))))?;
        session.set_read_timeout(Some(self.read_timeout));
        let asked = async {
            session.write_request_header(Box::new(head)).await?;
            if !sent.is_empty() {
                session.write_request_body(sent, true).await?;
            }
            session.finish_request_body().await?;
            session.read_response_header().await
        };
        match tokio::time::timeout(self.read_timeout, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) if reused => return Err(Failed::Stale),
            Ok(Err(error)) => return Err(Failed::For(broken(&error))),
            Err(_) => return Err(Failed::For(SendError::Timeout)),
        }
        let mut answer = http::Response::new(());
        if let Some(head) = session.response_header() {
            *answer.status_mut() = head.status;
            answer.headers_mut().clone_from(&head.headers);
        }
        let (client, template) = (self.clone(), template.clone());
        Ok(answer.map(|()| Body { session: Some(session), client, template }))
    }
}

/// Why there is no answer.
enum Failed {
    /// A kept connection broke: the upstream may just have closed it.
    Stale,
    /// For another reason.
    For(SendError),
}

/// The body of an answer. Its connection is kept for the next request if it is read to the end.
struct Body {
    session: Option<HttpSession>,
    client: Arc<Client>,
    template: Arc<Template>,
}

#[async_trait]
impl Chunks for Body {
    async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        let Some(session) = &mut self.session else { return Ok(None) };
        match session.read_response_body().await {
            Ok(Some(chunk)) => Ok(Some(chunk)),
            Ok(None) => {
                if let Some(session) = self.session.take() {
                    let peer = &*self.template.peer;
                    self.client.connector.release_http_session(session, peer, peer.idle_timeout()).await;
                }
                Ok(None)
            }
            Err(error) => {
                self.session = None;
                Err(match error.etype() {
                    ErrorType::ReadTimedout => SendError::Timeout,
                    _ => broken(&error),
                })
            }
        }
    }
}

fn request_head(
    host: &HeaderValue,
    head: &http::request::Parts,
    length: usize,
) -> pingora::Result<RequestHeader> {
    let target = head.uri.path_and_query().map_or("/", |t| t.as_str());
    let mut request = RequestHeader::build(head.method.clone(), target.as_bytes(), None)?;
    request.insert_header(HOST, host)?;
    request.insert_header(USER_AGENT, concat!("airgate/", env!("CARGO_PKG_VERSION")))?;
    for (name, value) in &head.headers {
        request.append_header(name, value)?;
    }
    if length > 0 {
        request.insert_header(CONTENT_LENGTH, length)?;
    }
    Ok(request)
}

fn broken(error: &Error) -> SendError {
    SendError::Other(reason(error))
}

fn reason(error: &Error) -> String {
    error.root_cause().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_names_the_port_where_it_must() {
        for (tls, host, port, expected) in [
            (false, "airflow", 80, "airflow"),
            (false, "airflow", 8080, "airflow:8080"),
            (true, "airflow", 443, "airflow"),
            (true, "airflow", 80, "airflow:80"),
            (false, "::1", 8080, "[::1]:8080"),
        ] {
            assert_eq!(authority(&Url::Tcp { tls, host: host.into(), port }), expected);
        }
    }
}
