//! Pingora's phases. Converts, calls the core, and writes down what it answered.

mod answer;
mod convert;
mod failure;
pub mod front;
pub mod room;
mod snapshot;
pub mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderName;
use http::header::TRANSFER_ENCODING;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, Peer as _};
use pingora::{Error, ErrorType};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use crate::drain::Guard;
use crate::exchange::Exchange;
use crate::gate::decision::{Edits, Forward, Outcome, Pending, Step};
use crate::gate::reply::{Problem, Reply};
use crate::gate::route::Effect;
use crate::gate::translate::Resumed;
use crate::metrics::InFlight;
use crate::request::{Peer, Request, RequestId};
use crate::telemetry::audit;
pub use convert::TrustedProxies;
use room::Place;
pub use snapshot::{Shared, Snapshot};

/// The proxy.
pub struct Proxy {
    shared: Shared,
}

/// How often a request is tried at the upstream: once, and once more where nothing was sent.
pub const MAX_TRIES: usize = 2;
/// How long an idle connection of a client is kept.
pub const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// Longest silence of a client that sends a body or reads an answer.
const CLIENT_STALL: Duration = Duration::from_secs(60);
/// Longest body that is read here and then sent on: what Pingora keeps of one for another try.
const SENT_AGAIN: usize = 64 * 1024;
/// Longest time for the rest of a body that nobody needs, once its request is answered.
const LINGER: Duration = Duration::from_secs(10);

/// What is told of a request that failed and whose client gets no answer to that.
const UNANSWERED: FailToProxy = FailToProxy { error_code: 0, can_reuse_downstream: false };

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request's state.
pub struct Ctx {
    snapshot: Arc<Snapshot>,
    outcome: Outcome,
    began: Instant,
    now: SystemTime,
    id: RequestId,
    peer: Peer,
    forward: Option<Forward>,
    asked: Option<Instant>,
    replied: Option<Instant>,
    /// Whether it is in doubt where the next request begins.
    in_doubt: bool,
    answered: Option<Instant>,
    tries: usize,
    again: Again,
    refusal: Option<Reply>,
    /// That of the body that was read, and of the answer to it.
    place: Option<Place>,
    _served: (Guard, InFlight),
}

/// Whether a request is decided once more because the upstream refused the token it was given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Not so far.
    No,
    /// Before the next try.
    Due,
    /// It was: once is enough.
    Done,
}

impl Proxy {
    /// A proxy that serves whatever snapshot is in force.
    pub fn new(shared: Shared) -> Self {
        Self { shared }
    }

    async fn decide(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Step, Problem> {
        convert::end_hop(session.req_header_mut());
        let head: &RequestHeader = session.req_header();
        if head.headers.len() > ctx.snapshot.max_headers {
            return Err(Problem::TooManyHeaders);
        }
        if !convert::is_framed_once(session) {
            return Err(Problem::Framing);
        }
        if !convert::is_read_alike(head) {
            return Err(Problem::Head);
        }
        let request = request(session.req_header(), &ctx.peer, ctx.now, &ctx.id);
        Ok(ctx.snapshot.gate.decide(&request, &mut ctx.outcome).await)
    }

    /// Reads the body that a step needs, and goes on. `None` if the client leaves meanwhile.
    async fn with_body(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        pending: Pending,
    ) -> Result<Option<Resumed>, Problem> {
        let max = match &pending {
            Pending::Token(_) => ctx.snapshot.max_body,
            Pending::Translation(_) => ctx.snapshot.max_translated_body,
            Pending::List(_) => {
                // Else Pingora would take it for a body that is yet to come, and send none.
                session.as_mut().enable_retry_buffering();
                ctx.snapshot.max_body.min(SENT_AGAIN)
            }
        };
        let user = ctx.outcome.grant.as_ref().map(|grant| &grant.identity);
        let mut place = self.shared.room.place(ctx.snapshot.room, user, ctx.peer.address);
        let body = if pending.takes_body() {
            convert::read_body(session, max, self.shared.body_timeout, &mut place).await?
        } else {
            Bytes::new()
        };
        let asks = pending.asks_airflow();
        let effect = pending.effect();
        if asks {
            ctx.asked = Some(Instant::now());
        }
        let head = session.req_header().clone();
        let request = request(&head, &ctx.peer, ctx.now, &ctx.id);
        let resumed = ctx.snapshot.gate.resume(pending, &request, body, &mut ctx.outcome);
        let resumed =
            if asks { convert::while_client_stays(session, resumed).await } else { Some(resumed.await) };
        // Not if a call of it was given up, or none was made.
        if asks && ctx.outcome.refused.is_none() {
            ctx.answered = Some(Instant::now());
        }
        match &resumed {
            // What was done is told in any case; that is about as long as what came.
            Some(Resumed::Whole(reply)) if effect == Effect::Reads => {
                place.answer(reply.body.len()).map_err(Problem::NoRoom)?;
            }
            Some(Resumed::Whole(_) | Resumed::Streamed(..) | Resumed::Forwarded(_)) => {}
            None => ctx.outcome.refused = Some("client_gone"),
        }
        // Until the answer is written: a client may be slow to read it.
        ctx.place = Some(place);
        Ok(resumed)
    }

    /// Leaves a request to Pingora, with what was decided.
    fn forward(&self, session: &mut Session, ctx: &mut Ctx, forward: Forward) -> bool {
        convert::forget_spelling(session.req_header_mut());
        ctx.forward = Some(forward);
        false
    }

    fn problem(&self, session: &Session, ctx: &mut Ctx, problem: &Problem) -> Reply {
        ctx.in_doubt |= failure::leaves_doubt(problem);
        let request = request(session.req_header(), &ctx.peer, ctx.now, &ctx.id);
        ctx.snapshot.gate.fail(&request, problem, &mut ctx.outcome)
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// Boxed: Pingora moves it from phase to phase, and its futures have room for it in each.
    type CTX = Box<Ctx>;

    fn new_ctx(&self) -> Self::CTX {
        Box::new(Ctx {
            snapshot: self.shared.snapshot.load_full(),
            outcome: Outcome::default(),
            began: Instant::now(),
            now: SystemTime::now(),
            id: RequestId::none(),
            peer: Peer { address: None, connection: None, tls: false, trusted: false },
            forward: None,
            asked: None,
            replied: None,
            in_doubt: false,
            answered: None,
            tries: 0,
            again: Again::No,
            refusal: None,
            place: None,
            _served: (self.shared.drain.enter(), self.shared.metrics.enter()),
        })
    }

    /// None: every module costs on each request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> pingora::Result<()> {
        front::head_is_read(session.as_downstream());
        if session.is_http2() {
            convert::say_as_http1(session.req_header_mut());
        }
        // Without these an idle or stalling client holds its connection for ever.
        if session.get_keepalive().is_some() {
            let keep = (!self.shared.drain.is_leaving()).then_some(CLIENT_IDLE.as_secs());
            session.set_keepalive(keep);
        }
        session.set_read_timeout(Some(CLIENT_STALL));
        session.set_write_timeout(Some(CLIENT_STALL));
        session.set_total_drain_timeout(Some(LINGER));
        ctx.peer = convert::peer(session, &ctx.snapshot.trusted_proxies);
        ctx.id = session
            .get_header(&X_REQUEST_ID)
            .and_then(RequestId::from_client)
            .unwrap_or_else(RequestId::random);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> pingora::Result<bool> {
        let reply = match self.decide(session, ctx).await {
            Ok(Step::Forward(forward)) => return Ok(self.forward(session, ctx, forward)),
            Ok(Step::Reply(reply)) => reply,
            // Boxed, so that what is forwarded need not pay for the room that these take.
            Ok(Step::Body(pending)) => match Box::pin(self.with_body(session, ctx, pending)).await {
                Ok(Some(Resumed::Whole(reply))) => reply,
                Ok(Some(Resumed::Forwarded(forward))) => return Ok(self.forward(session, ctx, forward)),
                Ok(Some(Resumed::Streamed(head, body))) => {
                    Box::pin(self.stream(session, ctx, head, body)).await?;
                    return Ok(true);
                }
                Ok(None) => {
                    return Err(Error::explain(ErrorType::ConnectionClosed, "the client is gone").into_down());
                }
                Err(problem) => self.problem(session, ctx, &problem),
            },
            Err(problem) => self.problem(session, ctx, &problem),
        };
        Box::pin(self.reply(session, ctx, reply)).await?;
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        ctx.tries += 1;
        if ctx.again == Again::Due {
            ctx.again = Again::Done;
            match Box::pin(self.decide(session, ctx)).await {
                Ok(Step::Forward(forward)) => ctx.forward = Some(forward),
                Ok(Step::Reply(reply)) => {
                    ctx.refusal = Some(reply);
                    return Err(Error::explain(
                        ErrorType::HTTPStatus(502),
                        "the password is not good any more",
                    ));
                }
                Ok(Step::Body(_)) | Err(_) => {
                    return Err(Error::explain(ErrorType::InternalError, "decided anew, it needs a body"));
                }
            }
        }
        ctx.asked.get_or_insert_with(Instant::now);
        let upstreams = &ctx.snapshot.upstreams;
        let mut peer = upstreams
            .peer()
            .ok_or_else(|| Error::explain(ErrorType::ConnectError, upstreams.nowhere()).into_up())?;
        // Pingora would look for each of them, twice.
        if !convert::has_hop_headers(session.req_header()) {
            peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        }
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let Some(forward) = &ctx.forward else {
            return Err(Error::explain(ErrorType::InternalError, "forwarded without a decision"));
        };
        if let Some(uri) = &forward.uri {
            request.set_uri(uri.clone());
        }
        convert::edit_request(request, &forward.headers);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        // Pingora hands over the one that came, whole, with each try.
        if end_of_stream
            && let Some(replaced) = ctx.forward.as_ref().and_then(|forward| forward.body.as_ref())
        {
            *body = Some(replaced.clone());
        } else if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            // It would be written to the upstream as a second end of the body.
            *body = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        ctx.answered.get_or_insert_with(Instant::now);
        let refused = matches!(answer.status, http::StatusCode::UNAUTHORIZED | http::StatusCode::FORBIDDEN);
        if !refused || !ctx.forward.as_ref().is_some_and(|f| f.issued) {
            return Ok(());
        }
        let forgotten = ctx.outcome.grant.as_ref().is_some_and(|grant| {
            let request = request(session.req_header(), &ctx.peer, ctx.now, &ctx.id);
            ctx.snapshot.gate.refused(&request, grant)
        });
        if forgotten && ctx.again == Again::No && session.req_header().method.is_safe() {
            ctx.again = Again::Due;
            let mut error =
                Error::explain(ErrorType::HTTPStatus(502), "the upstream refused its own token").into_up();
            error.set_retry(true);
            return Err(error);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> pingora::Result<()> {
        // `100 Continue` is not the answer.
        if answer.status.is_informational() {
            return Ok(());
        }
        // An older client reads until the connection is closed (RFC 9112, section 6.1).
        if session.req_header().version < http::Version::HTTP_11 {
            answer.remove_header(&TRANSFER_ENCODING);
        }
        let mut edits = match &ctx.forward {
            Some(forward) => ctx.snapshot.gate.on_reply(&forward.reply, answer.status, &answer.headers),
            None => Edits::default(),
        };
        edits.set.push((X_REQUEST_ID.clone(), ctx.id.header().clone()));
        convert::edit_response(answer, edits)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Self::CTX,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.snapshot.upstreams.unreachable(peer.address());
        error.set_retry(ctx.tries < MAX_TRIES);
        error
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("upstream {}", peer.address()));
        // A change might have been made: only what is safe is tried again, and only where a kept
        // connection turned out to be closed, or the gate itself asked for it.
        if ctx.again == Again::Due {
            return error;
        }
        let safe = session.req_header().method.is_safe();
        if safe && !session.as_ref().retry_buffer_truncated() && ctx.tries < MAX_TRIES {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        let Some(problem) = failure::problem(error) else {
            // The client is gone: there is nobody to answer.
            ctx.outcome.refused = Some("client_gone");
            return UNANSWERED;
        };
        ctx.outcome.cause = Some(error.to_string());
        if session.response_written().is_some() {
            ctx.outcome.refused = Some(problem.label());
            return UNANSWERED;
        }
        let reply = match ctx.refusal.take() {
            Some(refusal) => refusal,
            None => self.problem(session, ctx, &problem),
        };
        let code = reply.status.as_u16();
        // Pingora closes the connection after this: a client that is not told so sends its next request there.
        session.set_keepalive(None);
        match self.reply(session, ctx, reply).await {
            Ok(()) => FailToProxy { error_code: code, ..UNANSWERED },
            Err(_) => UNANSWERED,
        }
    }

    /// Ours is written with the request's own line, once.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Self::CTX, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Self::CTX,
        _error: &Error,
        _context: pingora_proxy::ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Self::CTX) {
        let head = session.req_header();
        let ended = Instant::now();
        let exchange = Exchange {
            at: ctx.now,
            id: &ctx.id,
            peer: &ctx.peer,
            method: &head.method,
            target: head.raw_path(),
            status: session.response_written().map(|answer| answer.status),
            total: ctx.replied.unwrap_or(ended) - ctx.began,
            upstream: ctx.asked.map(|asked| ended - asked),
            first_byte: ctx.asked.zip(ctx.answered).map(|(asked, answered)| answered - asked),
            bytes_sent: session.body_bytes_sent(),
            outcome: &ctx.outcome,
        };
        self.shared.metrics.observe(&exchange);
        audit::write(&exchange);
        if let Some(access) = &self.shared.access {
            access.write(&exchange);
        }
    }
}

fn request<'a>(head: &'a RequestHeader, peer: &'a Peer, now: SystemTime, id: &'a RequestId) -> Request<'a> {
    Request { head, target: head.raw_path(), peer, now, id }
}
