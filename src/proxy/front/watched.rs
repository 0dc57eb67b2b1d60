//! A client's connection, with what Pingora does not tell of it.

use std::fmt;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::unreadable::Unreadable;
use crate::metrics::{Metrics, Rejected};

/// What is known of a connection. Goes to the session of each of its requests, since Pingora hands on
/// what a proxy on the way has said, and there is none.
#[derive(Debug, Default)]
pub(super) struct Facts {
    used: AtomicBool,
    begun: AtomicBool,
    awaiting: AtomicBool,
}

impl Facts {
    /// Those of the connection that a session's request came on. `None` outside of a connection, as in a
    /// test.
    pub(super) fn of(session: &ServerSession) -> Option<&Self> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref::<Arc<Self>>().map(Arc::as_ref)
    }

    /// Notes that a request is awaited. The connection's first has begun with the connection.
    pub(super) fn await_request(&self) {
        self.begun.store(!self.used.swap(true, Ordering::Relaxed), Ordering::Relaxed);
        self.awaiting.store(true, Ordering::Relaxed);
    }

    /// Notes that the head of the request is read.
    pub(super) fn head_is_read(&self) {
        self.awaiting.store(false, Ordering::Relaxed);
    }

    /// Whether the head of a request is awaited.
    fn is_awaiting(&self) -> bool {
        self.awaiting.load(Ordering::Relaxed)
    }
}

/// A connection on which a head that is awaited must come in time, and on which what Pingora refuses is
/// said in our words. Otherwise it is the one inside.
pub(super) struct Watched {
    inner: Stream,
    facts: Arc<Facts>,
    digest: Arc<ProxyDigest>,
    peer: Option<IpAddr>,
    header_timeout: Duration,
    /// The end of the time for a head of which there is a part, or that is the connection's first.
    late: Option<Pin<Box<Sleep>>>,
    refusal: Option<Unreadable>,
    metrics: Arc<Metrics>,
}

impl Watched {
    pub(super) fn new(
        inner: Stream,
        peer: Option<IpAddr>,
        header_timeout: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        let facts = Arc::new(Facts::default());
        let nothing = ResponseHeader::from(http::Response::new(()).into_parts().0);
        let digest = ProxyDigest::new(Box::new(nothing), Some(Box::new(facts.clone())));
        let digest = Arc::new(digest);
        Self { inner, facts, digest, peer, header_timeout, late: None, refusal: None, metrics }
    }

    /// Has the time begin for the first head.
    pub(super) fn await_request(&self) {
        self.facts.await_request();
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(&mut self.get_mut().inner)
    }

    /// Before the head of a request is read, Pingora writes nothing but its own refusal of it.
    fn poll_refuse(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_none() {
            this.refusal = Unreadable::in_place_of(buf, this.peer);
            if this.refusal.is_some() {
                this.metrics.connection_rejected(Rejected::BadHead);
            }
        }
        let Some(refusal) = &mut this.refusal else {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        };
        while !refusal.rest().is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_write(cx, refusal.rest()))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                sent => refusal.advance(sent),
            }
        }
        Poll::Ready(Ok(buf.len()))
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if !this.facts.is_awaiting() {
            this.late = None;
            return read;
        }
        if read.is_ready() {
            if !this.facts.begun.swap(true, Ordering::Relaxed) {
                // One that is left over from the head before.
                this.late = None;
            }
            return read;
        }
        // Most heads come in one piece, and a timer costs more than all of this.
        if !this.facts.begun.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let late = this.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.header_timeout)));
        ready!(late.as_mut().poll(cx));
        this.metrics.connection_rejected(Rejected::SlowHead);
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the head of the request did not come in time")))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if self.facts.is_awaiting() {
            return self.poll_refuse(cx, buf);
        }
        self.inner().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if self.facts.is_awaiting() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        self.inner().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.inner).await;
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Watched {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.digest.clone())
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

#[async_trait]
impl Peek for Watched {
    async fn try_peek(&mut self, buf: &mut [u8]) -> Result<bool> {
        self.inner.try_peek(buf).await
    }
}
