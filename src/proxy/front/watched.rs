//! A client's connection, with what Pingora does not tell of it.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::time::fast_timeout::fast_timeout;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::super::CLIENT_IDLE;
use super::unreadable::Unreadable;
use crate::metrics::{Metrics, Rejected};

/// From which size on a head that is not at its end yet is Pingora's to read, or to refuse.
const LARGE: usize = 16 * 1024;

/// The most bytes that Pingora reads while it awaits a head: it, and what comes with the end of it. Twice what Kerberos
/// puts into a header at the most. Pingora itself takes 1 MiB, and parses all of it anew with each piece that comes.
const MAX_HEAD: u64 = 128 * 1024;

/// Up to which size parts of an answer are gathered until they are flushed: its head goes out with what follows. As much
/// as Pingora gathers by itself.
const GATHERED: usize = 1460;

thread_local! {
    /// Where is read to. What has come is copied: a connection on which nothing comes has no buffer.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; LARGE].into());
}

/// What is known of a connection. Goes to the session of each of its requests, since Pingora hands on
/// what a proxy on the way has said, and there is none.
#[derive(Debug, Default)]
pub(super) struct Facts {
    used: AtomicBool,
    begun: AtomicBool,
    awaiting: AtomicBool,
    /// How many bytes the head of the request has, as Pingora counts them.
    head: AtomicU64,
    /// How many bytes the body of the request has; [`UNKNOWN`] where its end says so.
    body: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

/// The end of a line, and of an empty one.
const EMPTY_LINE: u32 = u32::from_be_bytes(*b"\r\n\r\n");

/// Where the next request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// With the next byte that is read here.
    Here,
    /// With bytes that Pingora may have read along with the request before.
    Before,
}

impl Facts {
    /// Those of the connection that a session's request came on. `None` outside of a connection, as in a
    /// test.
    pub(super) fn of(session: &ServerSession) -> Option<&Self> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref::<Arc<Self>>().map(Arc::as_ref)
    }

    /// Notes that a request is awaited, and whether some of it has come. The connection's first has begun with the
    /// connection.
    fn await_request(&self, has_come: bool) {
        let is_first = !self.used.swap(true, Ordering::Relaxed);
        self.begun.store(is_first || has_come, Ordering::Relaxed);
        self.awaiting.store(true, Ordering::Relaxed);
    }

    /// Notes that the head of the request is read, its length, and the length of its body, where that is known.
    pub(super) fn head_is_read(&self, head: u64, body: Option<u64>) {
        self.head.store(head, Ordering::Relaxed);
        self.body.store(body.unwrap_or(UNKNOWN), Ordering::Relaxed);
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
    /// How many bytes the head has of what came since a request is awaited; [`UNKNOWN`] where Pingora may have had
    /// some of it before.
    head: u64,
    /// How many bytes Pingora has read since.
    read: u64,
    /// How many bytes of the request Pingora had before those, as far as can be told: for the time of its head alone.
    held: Option<u64>,
    /// The last four of the bytes that were read.
    last: u32,
    refusal: Option<Unreadable>,
    /// What is gathered of an answer, and how much of that is out. A connection on which nobody has asked has no room for
    /// it.
    gathered: Vec<u8>,
    out: usize,
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
        Self {
            inner,
            facts,
            digest,
            peer,
            header_timeout,
            late: None,
            head: 0,
            read: 0,
            held: Some(0),
            last: 0,
            refusal: None,
            gathered: Vec::new(),
            out: 0,
            metrics,
        }
    }

    /// Has the time begin for the head of a request, and says where that begins.
    pub(super) fn await_request(&mut self) -> Begins {
        let request = self.head.saturating_add(self.facts.body.load(Ordering::Relaxed));
        let is_first = !self.facts.used.load(Ordering::Relaxed);
        let begins = if is_first || self.read == request { Begins::Here } else { Begins::Before };
        self.held = match begins {
            Begins::Here => Some(0),
            Begins::Before => self.left(),
        };
        (self.head, self.read) = (UNKNOWN, 0);
        // That of the head before, if no more was read after it.
        self.late = None;
        self.facts.await_request(self.held != Some(0));
        begins
    }

    /// How many bytes Pingora has read beyond the request that it has answered. Behind chunks lengths do not tell: then
    /// nothing, if an empty line came last, with which a head ends, and chunks, and no part of a head does; or if
    /// another body came behind them, of which the end cannot be told.
    fn left(&self) -> Option<u64> {
        let body = self.facts.body.load(Ordering::Relaxed);
        let request = self.facts.head.load(Ordering::Relaxed).checked_add(body);
        let had = self.held.and_then(|held| held.checked_add(self.read));
        let left = had.zip(request).and_then(|(had, request)| had.checked_sub(request));
        left.or((self.last == EMPTY_LINE || (body != 0 && body != UNKNOWN)).then_some(0))
    }

    fn has_read(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        let last = bytes.get(bytes.len().saturating_sub(4)..).unwrap_or_default();
        self.last = last.iter().fold(self.last, |last, &byte| last << 8 | u32::from(byte));
    }

    /// Waits for the head of a request: all of it, or more than Pingora should wait for, with what has come along.
    /// `None` when it does not come, or not in time.
    pub(super) async fn head(&mut self) -> Option<BytesMut> {
        let mut head = BytesMut::new();
        fast_timeout(CLIENT_IDLE, poll_fn(|cx| self.poll_more(cx, &mut head))).await.ok()??;
        while !self.is_whole(&head) {
            poll_fn(|cx| self.poll_more(cx, &mut head)).await?;
        }
        self.late = None;
        self.has_read(&head);
        Some(head)
    }

    /// Reads what there is.
    fn poll_more(&mut self, cx: &mut Context<'_>, head: &mut BytesMut) -> Poll<Option<()>> {
        READ.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let read = ready!(self.poll_wire(cx, &mut buffer));
            head.extend_from_slice(buffer.filled());
            Poll::Ready((read.is_ok() && !buffer.filled().is_empty()).then_some(()))
        })
    }

    /// Whether what is read is a head, or something that Pingora will refuse.
    fn is_whole(&mut self, head: &[u8]) -> bool {
        if let Some(end) = end(head) {
            self.head = end as u64;
            return true;
        }
        let mut headers = [httparse::EMPTY_HEADER; 256];
        match httparse::Request::new(&mut headers).parse(head) {
            Ok(httparse::Status::Partial) => head.len() >= LARGE,
            Ok(httparse::Status::Complete(_)) | Err(_) => true,
        }
    }

    fn poll_wire(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if !self.facts.is_awaiting() {
            self.late = None;
            return read;
        }
        if read.is_ready() {
            if !self.facts.begun.swap(true, Ordering::Relaxed) {
                // One that is left over from the head before.
                self.late = None;
            }
            return read;
        }
        // Most heads come in one piece, and a timer costs more than all of this.
        if !self.facts.begun.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.header_timeout)));
        ready!(late.as_mut().poll(cx));
        self.metrics.connection_rejected(Rejected::SlowHead);
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the head of the request did not come in time")))
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(&mut self.get_mut().inner)
    }

    /// Sends what is gathered.
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.out < self.gathered.len() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.gathered[self.out..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                sent => self.out += sent,
            }
        }
        self.gathered.clear();
        self.out = 0;
        Poll::Ready(Ok(()))
    }

    /// Before the head of a request is read, Pingora writes nothing but its own refusal of it.
    fn poll_refuse(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_gathered(cx))?;
        if this.refusal.is_none() {
            this.refusal = Unreadable::in_place_of(buf, this.peer);
            if this.refusal.is_some() {
                this.metrics.connection_rejected(Rejected::BadHead);
            }
        }
        if this.refusal.is_none() {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        ready!(this.poll_say(cx))?;
        Poll::Ready(Ok(buf.len()))
    }

    /// Sends our refusal, if there is one.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while !refusal.rest().is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, refusal.rest()))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                sent => refusal.advance(sent),
            }
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Refuses a head that has no end.
    fn poll_too_large(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.refusal.is_none() {
            self.metrics.connection_rejected(Rejected::BadHead);
            self.refusal = Some(Unreadable::too_large(self.peer));
        }
        ready!(self.poll_say(cx))?;
        Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "the head of the request is too large")))
    }
}

/// Where a head ends: behind its first empty line, which for Pingora need not have a CR. Never behind what Pingora takes
/// for the end, since what it has read beyond that must not be waited for here. Before it, where empty lines come
/// first: then Pingora waits.
fn end(head: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', head).find_map(|at| match head.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.read > MAX_HEAD && this.facts.is_awaiting() {
            return this.poll_too_large(cx);
        }
        let before = buf.filled().len();
        ready!(this.poll_wire(cx, buf))?;
        this.has_read(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if self.facts.is_awaiting() {
            return self.poll_refuse(cx, buf);
        }
        let this = self.get_mut();
        if this.gathered.len() + buf.len() > GATHERED {
            ready!(this.poll_gathered(cx))?;
        }
        if buf.len() >= GATHERED {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        if this.gathered.capacity() == 0 {
            this.gathered.reserve_exact(GATHERED);
        }
        this.gathered.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_gathered(cx))?;
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_gathered(cx))?;
        self.inner().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if self.facts.is_awaiting() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        ready!(self.poll_gathered(cx))?;
        self.inner().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        // Whoever is gone misses nothing.
        let _ = poll_fn(|cx| self.poll_gathered(cx)).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A connection whose client has asked, and the client's end.
    fn asked() -> (Watched, tokio::io::DuplexStream) {
        let (inner, client) = tokio::io::duplex(64 * 1024);
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut watched = Watched::new(Box::new(inner), None, Duration::from_secs(1), metrics);
        watched.await_request();
        watched.facts.head_is_read(0, Some(0));
        (watched, client)
    }

    fn come(client: &mut tokio::io::DuplexStream) -> usize {
        let mut buffer = [0; 4096];
        client.read(&mut buffer).now_or_never().map_or(0, |read| read.unwrap())
    }

    #[tokio::test]
    async fn an_answer_goes_out_when_it_is_flushed_or_long() {
        let rows: &[(&str, &[usize], usize, usize)] = &[
            // (name, what is written, how much of it goes out before it is flushed, and then)
            ("head and body", &[300, 30], 0, 330),
            ("as much as is gathered", &[1000, 460], 0, 1460),
            ("a byte more", &[1000, 461], 1000, 461),
            ("a long body", &[300, 2000], 2300, 0),
            ("a long body alone", &[1460], 1460, 0),
            ("nothing", &[], 0, 0),
        ];
        for (name, written, before, then) in rows {
            let (mut watched, mut client) = asked();
            assert_eq!(watched.gathered.capacity(), 0, "{name}: no room for what is not there");
            for length in *written {
                watched.write_all(&vec![b'x'; *length]).await.unwrap();
            }
            assert_eq!(come(&mut client), *before, "{name}");
            watched.flush().await.unwrap();
            assert_eq!(come(&mut client), *then, "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_gathered_goes_out_before_anything_else() {
        let slices = [IoSlice::new(b"c"), IoSlice::new(b"d")];
        let (mut watched, mut client) = asked();
        watched.write_all(b"ab").await.unwrap();
        assert_eq!(watched.write_vectored(&slices).await.unwrap(), 2);
        let mut all = [0; 4];
        client.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"abcd");
        watched.write_all(b"ef").await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut watched).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"ef");
    }

    /// Where the client takes a few bytes at a time.
    #[tokio::test]
    async fn a_slow_client_gets_all_of_it_once() {
        let (inner, mut client) = tokio::io::duplex(7);
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut watched = Watched::new(Box::new(inner), None, Duration::from_secs(1), metrics);
        watched.await_request();
        watched.facts.head_is_read(0, Some(0));
        let all: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let sent = all.clone();
        let writing = async move {
            for part in sent.chunks(333) {
                watched.write_all(part).await.unwrap();
            }
            Shutdown::shutdown(&mut watched).await;
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(writing, client.read_to_end(&mut got));
        read.unwrap();
        assert!(got == all, "{} of {}", got.len(), all.len());
    }
}
