//! What stands before the proxy: limits that Pingora does not have.
//!
//! Pingora waits for ever for the rest of a request's head, takes every connection, and has all that a request needs
//! ready for a connection on which none comes.

mod unreadable;
mod watched;

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::sync::watch;

use super::tls::Tls;
use super::{CLIENT_IDLE, convert};
use crate::drain::Drain;
use crate::metrics::{Metrics, Rejected};
use crate::request::Site;
use watched::{Begins, Facts, Watched};

/// How long connections that are idle when it ends are kept for a request that may be on its way: some round trips of a
/// client far away, or a turn on a busy machine.
const LAST_HEADS: Duration = Duration::from_millis(500);

/// The head of this session's request has been read: the deadline is met.
pub fn head_is_read(session: &ServerSession) {
    let Some(facts) = Facts::of(session) else { return };
    let head = session.as_http1().map_or(0, |h1| h1.get_headers_raw_bytes().len() as u64);
    facts.head_is_read(head, convert::body_length(session.req_header()));
}

/// An HTTP application whose requests must have their head within a time. It gets to see a request of HTTP/1 when all
/// of its head is there: until then a connection costs its buffers, and not the tens of KiB of a request at work.
pub struct Deadlined<A> {
    inner: Arc<A>,
    leave: watch::Sender<bool>,
}

impl<A: HttpServerApp + Send + Sync + 'static> Deadlined<A> {
    /// Has the deadline begin for each request of an application.
    pub fn new(inner: A) -> Self {
        Self { inner: Arc::new(inner), leave: watch::Sender::new(false) }
    }

    // Not `async`: that would wrap the application's future in another, for each request.
    fn request<'a>(
        &'a self,
        stream: Stream,
        head: Option<BytesMut>,
        settings: Option<HttpPersistentSettings>,
        shutdown: &'a ShutdownWatch,
    ) -> Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'a>> {
        let mut session = ServerSession::new_http1(stream);
        match settings {
            Some(settings) => settings.apply_to_session(&mut session),
            // Of one that is about to leave Pingora itself keeps no connection.
            None => session.set_keepalive(Some(CLIENT_IDLE.as_secs())),
        }
        if let Some(head) = head {
            session.set_pipelined_prefix(head);
        }
        // A request that comes before the last one is answered waits its turn (RFC 9112, section
        // 9.3.2). Otherwise Pingora gives up the one before.
        session.set_pipelining_enabled(true);
        self.inner.process_new_http(session, shutdown)
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Deadlined<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if is_http2(&stream) {
            return self.inner.process_new(stream, shutdown).await;
        }
        let mut leave = self.leave.subscribe();
        let (mut stream, mut settings) = (stream, None);
        loop {
            let mut watched: Box<Watched> = stream.into_any().downcast().ok()?;
            let head = match watched.await_request() {
                Begins::Before => None,
                Begins::Here => tokio::select! {
                    biased;
                    head = watched.head() => Some(head?),
                    _ = leave.wait_for(|leave| *leave) => return None,
                },
            };
            (stream, settings) = self.request(watched, head, settings, shutdown).await?.consume();
        }
    }

    async fn cleanup(&self) {
        self.leave.send_replace(true);
        self.inner.http_cleanup().await;
    }
}

fn is_http2(stream: &Stream) -> bool {
    matches!(stream.selected_alpn_proto(), Some(ALPN::H2))
}

/// An application whose connections are counted, in all and by address, and must bring each head in time.
pub struct Limited<A> {
    inner: Arc<A>,
    open: Arc<Open>,
    header_timeout: Duration,
    tls: Option<(TlsInForce, Arc<Drain>)>,
}

/// Says how TLS is spoken on a new connection; `None` is not at all.
pub type TlsInForce = Arc<dyn Fn() -> Option<Arc<Tls>> + Send + Sync>;

struct Open {
    limits: ConnectionLimits,
    by_site: Mutex<HashMap<Site, usize>>,
    metrics: Arc<Metrics>,
    all: std::sync::atomic::AtomicUsize,
}

/// How many connections there may be at a time; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub all: Option<usize>,
    /// From one address; of IPv6 from one /64, which is one client's.
    pub per_address: Option<usize>,
}

impl<A> Limited<A> {
    /// Limits the connections of an application. What is over the limit is closed at once. Each request's
    /// head has `header_timeout`, counted from its connection's opening or, on a kept connection, from its
    /// first byte, or from the end of the request before, if that byte came earlier. Until then Pingora counts the
    /// time to be idle.
    pub fn new(inner: A, limits: ConnectionLimits, header_timeout: Duration, metrics: Arc<Metrics>) -> Self {
        let by_site = Mutex::default();
        let open = Open { limits, by_site, metrics, all: 0.into() };
        Self { inner: Arc::new(inner), open: Arc::new(open), header_timeout, tls: None }
    }

    /// The same application, with the same limits for both together, for listeners that may have TLS. The
    /// client has `header_timeout` to agree on it, and then as long again for its first head. Connections of HTTP/2,
    /// which need TLS, are counted in `drain`.
    pub fn with_tls(&self, tls: TlsInForce, drain: Arc<Drain>) -> Self {
        let (inner, open) = (self.inner.clone(), self.open.clone());
        Self { inner, open, header_timeout: self.header_timeout, tls: Some((tls, drain)) }
    }

    async fn secured(&self, tls: Arc<Tls>, stream: Stream) -> Option<Stream> {
        let rejected = match tokio::time::timeout(self.header_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS with a client");
                Rejected::Handshake
            }
            Err(_) => Rejected::SlowHead,
        };
        self.open.metrics.connection_rejected(rejected);
        None
    }
}

impl<A: ServerApp + Send + Sync + 'static> Limited<A> {
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) -> Option<()> {
        let address = stream
            .get_socket_digest()
            .and_then(|digest| digest.peer_addr().and_then(|a| a.as_inet()).map(|a| a.ip().to_canonical()));
        let _place = self.open.take(address)?;
        let stream = match self.tls.as_ref().and_then(|(tls, _)| tls()) {
            Some(tls) => Box::pin(self.secured(tls, stream)).await?,
            None => stream,
        };
        let http2 = self.tls.as_ref().filter(|_| is_http2(&stream)).map(|(_, drain)| drain.enter_http2());
        let mut watched = Watched::new(stream, address, self.header_timeout, self.open.metrics.clone());
        if http2.is_some() {
            // Of HTTP/2 nobody else waits for the first head. After it an idle connection is closed.
            watched.await_request();
        }
        self.inner.process_new(Box::new(watched), shutdown).await.map(drop)
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Limited<A> {
    /// In a task of its own, on the same thread: Pingora's has room for all that a connection may need before it is
    /// one, 9 KiB, for as long as it lasts.
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (this, shutdown) = (self.clone(), shutdown.clone());
        tokio::spawn(async move { this.serve(stream, &shutdown).await });
        None
    }

    /// Nothing is accepted any more, and then idle connections are closed. Heads that are on their way get a
    /// moment to arrive: such a request is answered, and its connection closed with the answer.
    async fn cleanup(&self) {
        let waited = tokio::time::Instant::now();
        while self.open.all.load(std::sync::atomic::Ordering::Relaxed) > 0 && waited.elapsed() < LAST_HEADS {
            tokio::time::sleep(LAST_HEADS / 50).await;
        }
        self.inner.cleanup().await;
    }
}

/// A connection's place among those that are allowed, given back when it is dropped.
struct Place {
    open: Arc<Open>,
    counted: Option<Site>,
}

impl Open {
    fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        use std::sync::atomic::Ordering::Relaxed;
        let before = self.all.fetch_add(1, Relaxed);
        let mut place = Place { open: self.clone(), counted: None };
        if self.limits.all.is_some_and(|most| before >= most) {
            self.metrics.connection_rejected(Rejected::TooMany);
            return None;
        }
        if let (Some(most), Some(address)) = (self.limits.per_address, address) {
            let site = Site::of(address);
            let mut counts = self.by_site.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(site).or_default();
            if *count >= most {
                self.metrics.connection_rejected(Rejected::TooManyPerAddress);
                return None;
            }
            *count += 1;
            place.counted = Some(site);
        }
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.all.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        let Some(site) = self.counted else { return };
        let mut counts = self.open.by_site.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&site) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&site);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One client has all of a /64, and could come from another address of it each time.
    #[test]
    fn connections_are_counted_by_address_and_of_ipv6_by_network() {
        let limits = ConnectionLimits { all: None, per_address: Some(1) };
        let metrics = Arc::new(Metrics::new().unwrap());
        let open = Arc::new(Open { limits, by_site: Mutex::default(), metrics, all: 0.into() });
        let take = |address: &str| open.take(Some(address.parse().unwrap()));
        let kept = [take("192.0.2.1"), take("2001:db8::1")];
        assert!(kept.iter().all(Option::is_some));
        for (address, fits) in [
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::ffff:1", false),
            ("2001:db8:0:1::1", true),
        ] {
            assert_eq!(take(address).is_some(), fits, "{address}");
        }
        drop(kept);
        assert!(take("2001:db8::2").is_some());
        assert!(open.by_site.lock().unwrap().is_empty());
    }
}
