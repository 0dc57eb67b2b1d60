//! A client's connection, with what Pingora does not tell of it.

use std::fmt;
use std::io::{ErrorKind, IoSlice, Result};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::unreadable::Unreadable;

/// What is known of a connection.
#[derive(Debug, Default)]
pub(super) struct Facts {
    used: AtomicBool,
    read: AtomicBool,
    written: AtomicBool,
    head_read: AtomicBool,
}

impl Facts {
    /// Notes that a request is awaited. Says whether it is the connection's first.
    pub(super) fn await_request(&self) -> bool {
        self.read.store(false, Ordering::Relaxed);
        self.written.store(false, Ordering::Relaxed);
        self.head_read.store(false, Ordering::Relaxed);
        !self.used.swap(true, Ordering::Relaxed)
    }

    /// Whether anything came from the client since a request is awaited.
    pub(super) fn is_begun(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// Notes that the head of the request is read.
    pub(super) fn head_is_read(&self) {
        self.head_read.store(true, Ordering::Relaxed);
    }

    /// Whether the head of the request that is awaited has been read.
    pub(super) fn is_head_read(&self) -> bool {
        self.head_read.load(Ordering::Relaxed)
    }

    /// Whether anything was sent to the client since a request is awaited. Before the head of one has
    /// been read, that is Pingora's own refusal of it.
    pub(super) fn is_answered(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }
}

/// A connection that keeps its [`Facts`] up to date and says in our words what Pingora refuses, and is
/// otherwise the one inside.
pub(super) struct Watched {
    inner: Stream,
    facts: Arc<Facts>,
    peer: Option<IpAddr>,
    refusal: Option<Unreadable>,
}

impl Watched {
    pub(super) fn new(inner: Stream, facts: Arc<Facts>, peer: Option<IpAddr>) -> Self {
        Self { inner, facts, peer, refusal: None }
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(&mut self.get_mut().inner)
    }

    /// Before the head of a request is read, Pingora writes nothing but its own refusal of it.
    fn poll_refuse(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_none() {
            this.refusal = Unreadable::in_place_of(buf, this.peer);
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
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = self.as_mut().inner().poll_read(cx, buf);
        if buf.filled().len() > before {
            self.facts.read.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.facts.written.store(true, Ordering::Relaxed);
        if !self.facts.is_head_read() {
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
        if !self.facts.is_head_read() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        self.facts.written.store(true, Ordering::Relaxed);
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
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
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
