//! Airflow itself: which of its addresses takes a request, and requests of the gate's own.
//!
//! What the proxy forwards and what the gate asks for itself go through the same choice of peer,
//! the same TLS and the same health.

mod client;
mod discovery;
mod reason;
mod releases;
mod troubles;

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::connectors::http::Connector;
use pingora::lb::{Backend, Backends};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::Notify;

use super::{Chunks, Health, HttpClient, SendError, StreamClient};
use client::Client;
use discovery::{Check, Discovery, Template};
pub use releases::Major;
use releases::Releases;
use troubles::Troubles;

/// How to reach the upstream.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The addresses, in turn. Names are resolved again every [`RESOLVE_EVERY`], or sooner: see
    /// [`Upstreams::maintain`].
    pub urls: Vec<Url>,
    /// Which Airflow it is. `None`: each address is asked.
    pub major: Option<Major>,
    /// The path below which Airflow is published, such as `/airflow`; empty for none.
    pub base: String,
    /// Certificate authorities for `https`, instead of the system's.
    pub ca: Option<Ca>,
    /// The name that the certificate must bear, instead of the URL's host.
    pub server_name: Option<String>,
    /// Longest time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Longest time between two reads of an answer: the first byte, too.
    pub read_timeout: Duration,
    /// How long an unused connection is kept. Below the upstream's own (Airflow's `api-server`: 120 s, uvicorn by
    /// itself: 5 s), else a request may meet a connection that is being closed.
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
        // Pingora panics on what it cannot read.
        let (_, certificates) = roots(pem)?;
        let certificates: Vec<_> =
            certificates.into_iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect();
        let mut hasher = DefaultHasher::new();
        pem.hash(&mut hasher);
        Ok(Self { certificates: certificates.into(), fingerprint: hasher.finish() })
    }
}

/// Authorities in PEM: to verify with, and one by one.
///
/// # Errors
/// There is none, or one that cannot be trusted.
pub fn roots(pem: &[u8]) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), InvalidCa> {
    let (mut roots, mut all) = (RootCertStore::empty(), Vec::new());
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|error| InvalidCa::Pem(error.to_string()))?;
        roots.add(der.clone()).map_err(|error| InvalidCa::Certificate(error.to_string()))?;
        all.push(der);
    }
    if all.is_empty() { Err(InvalidCa::Empty) } else { Ok((roots, all)) }
}

/// Where this process listens itself. An upstream there would have each request go round in a circle, until there is
/// no connection left, and is left out. Nowhere, until it is said.
#[derive(Default)]
pub struct Ours(OnceLock<Box<Reaches>>);

/// Where a connection would go.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// To an address.
    Tcp(std::net::SocketAddr),
    /// To the socket at this path.
    Unix(&'a Path),
}

/// Which of our listeners is reached there, if one is.
type Reaches = dyn Fn(To<'_>) -> Option<String> + Send + Sync;

impl Ours {
    /// Says it, once a process.
    pub fn are(&self, reaches: impl Fn(To<'_>) -> Option<String> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(reaches));
    }

    fn at(&self, to: To<'_>) -> Option<String> {
        self.0.get().and_then(|reaches| reaches(to))
    }
}

/// How often names are looked up.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How often each address is asked for its health.
pub const CHECK_EVERY: Duration = Duration::from_secs(2);

/// All addresses of the upstream, with their health.
pub struct Upstreams {
    settings: Settings,
    /// Pingora's own choice among them copies each that it looks at, with all that is in it.
    backends: Backends,
    turn: AtomicUsize,
    client: Arc<Client>,
    releases: Arc<Releases>,
    troubles: Arc<Troubles>,
    /// Told when the addresses agree on another Airflow than the one in force.
    news: Arc<Notify>,
}

impl Upstreams {
    /// Knows no address before [`Upstreams::maintain`] or [`Upstreams::resolve`] has run. `news` is told when the
    /// upstream says that it is another Airflow than the one in force. It is at none of `ours`.
    pub fn new(settings: Settings, news: Arc<Notify>, ours: Arc<Ours>) -> Arc<Self> {
        let (releases, troubles) = (Arc::<Releases>::default(), Arc::<Troubles>::default());
        let client =
            Arc::new(Client { connector: Connector::new(None), read_timeout: settings.read_timeout });
        let discovery = Discovery { settings: settings.clone(), troubles: troubles.clone(), ours };
        let mut backends = Backends::new(Box::new(discovery));
        backends.set_health_check(Box::new(Check {
            client: client.clone(),
            major: settings.major,
            base: settings.base.clone(),
            releases: releases.clone(),
            troubles: troubles.clone(),
        }));
        Arc::new(Self { settings, backends, turn: AtomicUsize::new(0), client, releases, troubles, news })
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
        match self.backends.update(|_| ()).await {
            Ok(()) => {
                let known = self.backends.get_backend();
                let is_known = |address: &SocketAddr| known.iter().any(|backend| backend.addr == *address);
                self.releases.keep(is_known);
                self.troubles.keep(is_known);
            }
            Err(error) => tracing::debug!(%error, "the addresses stay as they were"),
        }
        self.check().await;
    }

    /// Asks each address for its health, and where that is not known which Airflow it is.
    async fn check(&self) {
        self.backends.run_health_check(true).await;
        if self.major().is_some_and(|major| !self.releases.serves(major)) {
            self.news.notify_one();
        }
    }

    /// Which Airflow it is: as the settings say, else what all addresses say that say anything. `None` while that is
    /// not known, or they differ.
    pub fn major(&self) -> Option<Major> {
        let known = self.backends.get_backend();
        self.settings.major.or_else(|| self.releases.agreed(known.iter().map(|backend| &backend.addr)))
    }

    /// Requests are treated for this Airflow from now on; addresses that say that they are another get none, where
    /// there are others.
    pub fn serve(&self, major: Option<Major>) {
        self.releases.serve(major);
    }

    /// Keeps addresses and health up to date, until nobody uses them any more. While none is healthy, names are
    /// looked up each time: Airflow may have moved.
    pub async fn maintain(upstreams: Weak<Self>) {
        let rounds = RESOLVE_EVERY.as_secs() / CHECK_EVERY.as_secs();
        let mut ticks = tokio::time::interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for round in 0_u64.. {
            ticks.tick().await;
            let Some(this) = upstreams.upgrade() else { return };
            let is_lost = this.health().iter().all(|(_, health)| matches!(health, Health::Down(_)));
            if round % rounds == 0 || is_lost {
                this.resolve().await;
            } else {
                this.check().await;
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

    /// Why no request can be sent: what the names lead to, if they have been looked up.
    pub fn nowhere(&self) -> String {
        let names = self.troubles.names();
        let causes: Vec<_> = names.iter().map(|(name, cause)| format!("{name}: {cause}")).collect();
        if causes.is_empty() {
            "no address of the upstream is known yet".to_owned()
        } else {
            causes.join("; ")
        }
    }

    fn is_good(&self, backend: &Backend) -> bool {
        let unreachable = |template: &Arc<Template>| template.unreachable.load(Ordering::Relaxed);
        self.backends.ready(backend)
            && self.releases.fits(&backend.addr)
            && !backend.ext.get::<Arc<Template>>().is_some_and(unreachable)
    }

    /// Each address, and whether requests go there now.
    pub fn addresses(&self) -> Vec<(String, bool)> {
        let known = self.backends.get_backend();
        known.iter().map(|backend| (backend.addr.to_string(), self.is_good(backend))).collect()
    }

    /// Sends a request to one of [`Upstreams::addresses`], in turn or not.
    ///
    /// # Errors
    /// There is no such address any more, or it does not answer.
    pub async fn send_to(
        &self,
        address: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, SendError> {
        let known = self.backends.get_backend();
        let backend = known.iter().find(|backend| backend.addr.to_string() == address);
        let template = backend.and_then(|backend| backend.ext.get::<Arc<Template>>()).cloned();
        let template =
            template.ok_or_else(|| SendError::Connect("the address is not known any more".into()))?;
        self.client.send(template, request).await
    }

    /// Each address, and how it fares: what was asked and what came back. It is degraded where it answers, and not
    /// as an Airflow does. Then each name that cannot be resolved, with the cause.
    pub fn health(&self) -> Vec<(String, Health)> {
        let known = self.backends.get_backend();
        let addresses = known.iter().map(|backend| {
            let health = if self.backends.ready(backend) {
                self.troubles.doubt(&backend.addr).map_or(Health::Up, Health::Degraded)
            } else {
                Health::Down(self.troubles.of(&backend.addr).unwrap_or_else(|| "no answer".into()))
            };
            (backend.addr.to_string(), health)
        });
        let names = self.troubles.names().into_iter().map(|(name, cause)| (name, Health::Down(cause)));
        addresses.chain(names).collect()
    }
}

#[async_trait]
impl HttpClient for Upstreams {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, SendError> {
        let template = self.choose().ok_or_else(|| SendError::Connect(self.nowhere()))?;
        self.client.send(template, request).await
    }

    /// None while any address answers.
    fn trouble(&self) -> Option<Arc<str>> {
        let mut first = None;
        for (_, health) in self.health() {
            match health {
                Health::Up | Health::Degraded(_) => return None,
                Health::Down(cause) => first = first.or(Some(cause)),
            }
        }
        Some(first.unwrap_or_else(|| self.nowhere().into()))
    }
}

#[async_trait]
impl StreamClient for Upstreams {
    async fn open(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Box<dyn Chunks>>, SendError> {
        let template = self.choose().ok_or_else(|| SendError::Connect(self.nowhere()))?;
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
