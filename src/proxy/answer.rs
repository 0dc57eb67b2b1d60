//! Answers of our own, on the wire; and what is left of a request's body then.

use std::time::{Duration, Instant};

use http::header::{EXPECT, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType};
use pingora_proxy::Session;

use super::{Ctx, Proxy, X_REQUEST_ID, convert};
use crate::gate::reply::{Problem, Reply};
use crate::ports::Chunks;

/// A body of at most so many bytes that nobody needs is read before the answer, so that the connection
/// can be used again.
const SMALL_BODY: u64 = 64 * 1024;
/// Longest time for that.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(2);

impl Proxy {
    /// Writes an answer of our own.
    pub(super) async fn reply(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        reply: Reply,
    ) -> pingora::Result<()> {
        let mut head = ResponseHeader::build(reply.status, Some(reply.headers.len() + 4))?;
        for (name, value) in reply.headers {
            head.append_header(name, value)?;
        }
        head.insert_header(&X_REQUEST_ID, ctx.id.header())?;
        head.set_content_length(reply.body.len())?;
        let rest = Rest::of(session, ctx);
        match rest {
            Rest::Nothing | Rest::Large => {}
            Rest::Small => {
                // If it does not come in time, the connection is closed after the answer.
                let _ = tokio::time::timeout(SMALL_BODY_TIMEOUT, session.drain_request_body()).await;
            }
            Rest::InDoubt => session.set_keepalive(None),
        }
        let is_head = session.req_header().method == http::Method::HEAD;
        let has_body = !is_head && !reply.body.is_empty();
        session.write_response_header(Box::new(head), !has_body).await.map_err(Error::into_down)?;
        if has_body {
            session.write_response_body(Some(reply.body), true).await.map_err(Error::into_down)?;
        }
        ctx.replied = Some(Instant::now());
        // Were the connection closed with bytes unread, it would be reset, and the answer lost.
        if matches!(rest, Rest::Small | Rest::Large) && session.drain_request_body().await.is_err() {
            session.set_keepalive(None);
        }
        Ok(())
    }

    /// Writes an answer of our own whose body comes in pieces.
    pub(super) async fn stream(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        head: Reply,
        mut body: Box<dyn Chunks>,
    ) -> pingora::Result<()> {
        let mut answer = ResponseHeader::build(head.status, Some(head.headers.len() + 2))?;
        for (name, value) in head.headers {
            answer.append_header(name, value)?;
        }
        answer.insert_header(&X_REQUEST_ID, ctx.id.header())?;
        if Rest::of(session, ctx) == Rest::InDoubt {
            session.set_keepalive(None);
        }
        // An older client reads until the connection is closed (RFC 9112, section 6.1).
        if session.req_header().version < http::Version::HTTP_11 {
            session.set_keepalive(None);
        } else {
            answer.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
        let is_head = session.req_header().method == http::Method::HEAD;
        session.write_response_header(Box::new(answer), is_head).await.map_err(Error::into_down)?;
        if is_head {
            ctx.replied = Some(Instant::now());
            return Ok(());
        }
        loop {
            let Some(next) = convert::while_client_stays(session, body.next()).await else {
                ctx.outcome.refused = Some("client_gone");
                return Err(Error::explain(ErrorType::ConnectionClosed, "the client is gone").into_down());
            };
            let chunk = match next {
                Ok(chunk) => chunk,
                // What was sent so far must not pass for the whole.
                Err(error) => {
                    ctx.outcome.refused = Some(Problem::UpstreamDown.label());
                    ctx.outcome.cause = Some(error.to_string());
                    return Err(Error::explain(ErrorType::ConnectionClosed, "the answer broke off").into_up());
                }
            };
            let is_last = chunk.is_none();
            session.write_response_body(chunk, is_last).await.map_err(Error::into_down)?;
            if is_last {
                break;
            }
        }
        ctx.replied = Some(Instant::now());
        Ok(())
    }
}

/// What is left of a request's body when its answer is written here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    Nothing,
    /// The client sends it, and it is short.
    Small,
    /// The client sends it, and it is long, or of unknown length.
    Large,
    /// The client waits for a go-ahead and may send it or not (RFC 9110, section 10.1.1), or it cannot
    /// be told where it ends: the connection can take no other request.
    InDoubt,
}

impl Rest {
    fn of(session: &mut Session, ctx: &Ctx) -> Self {
        if ctx.in_doubt {
            Self::InDoubt
        } else if session.is_body_done() {
            Self::Nothing
        } else if session.is_http2() {
            // The stream is given up with its answer, and the connection goes on (RFC 9113, section 8.1).
            Self::Nothing
        } else if session.req_header().headers.contains_key(EXPECT) {
            Self::InDoubt
        } else {
            let length = convert::body_length(session.req_header());
            if length.is_some_and(|length| length <= SMALL_BODY) { Self::Small } else { Self::Large }
        }
    }
}
