//! Requests of the gate's own, over Pingora's connector.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::{Peer, Scheme};
use pingora::{Error, ErrorType};

use super::discovery::Template;
use super::reason::reason;
use crate::ports::{Chunks, SendError, read_whole};

/// Longest answer to a request of the gate's own. Such answers are tokens and versions.
const MAX_ANSWER: usize = 1 << 20;

/// Longest time for an address to show that it speaks TLS. What does not answer a handshake in that time does not.
const TLS_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the gate's own requests over Pingora's connector.
pub(super) struct Client {
    pub(super) connector: Connector,
    pub(super) read_timeout: Duration,
}

impl Client {
    /// What is answered to a question without a credential. Airflow 2 knows its routes below its base path alone,
    /// Airflow 3 with it and without: what is 404 without is asked for with it.
    pub(super) async fn get(
        self: &Arc<Self>,
        template: &Arc<Template>,
        base: &str,
        route: &str,
    ) -> Result<http::Response<Bytes>, SendError> {
        let ask = |target: String| {
            let request = http::Request::get(target).body(Bytes::new());
            async { self.send(template.clone(), request.map_err(|e| SendError::Other(e.to_string()))?).await }
        };
        let answer = ask(route.to_owned()).await?;
        if answer.status() == http::StatusCode::NOT_FOUND && !base.is_empty() {
            return ask(format!("{base}{route}")).await;
        }
        Ok(answer)
    }

    /// Whether TLS is spoken at an address that is asked without. Certificates do not matter.
    pub(super) async fn is_tls(&self, template: &Template) -> bool {
        let mut peer = template.peer.clone();
        if peer.is_tls() {
            return false;
        }
        peer.scheme = Scheme::HTTPS;
        // Without a port, and without the brackets of IPv6.
        let host = template.host.to_str().unwrap_or_default();
        let name =
            host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
        peer.sni = name.trim_matches(['[', ']']).to_owned();
        match tokio::time::timeout(TLS_TIMEOUT, self.connector.get_http_session(&*peer)).await {
            Err(_) => false,
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                let told = error.to_string();
                ["invalid peer certificate", "received fatal alert"].iter().any(|sign| told.contains(sign))
            }
        }
    }

    /// The whole answer, which is short. A request that met a connection which the upstream was just closing is sent
    /// once more: what is asked so changes nothing, and the second token of a log-in does no harm.
    pub(super) async fn send(
        self: &Arc<Self>,
        template: Arc<Template>,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, SendError> {
        let limit = self.read_timeout;
        let exchange = async {
            let (head, mut body) = self.ask(template, request, true).await?.into_parts();
            let body = read_whole(&mut body, MAX_ANSWER).await?;
            Ok(http::Response::from_parts(head, body))
        };
        tokio::time::timeout(limit, exchange).await.map_err(|_| SendError::Timeout)?
    }

    /// The head of the answer, and its body. A safe request (RFC 9110, section 9.2.1) that met a connection which the
    /// upstream was just closing is sent once more.
    pub(super) async fn open(
        self: &Arc<Self>,
        template: Arc<Template>,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, SendError> {
        let is_safe = request.method().is_safe();
        self.ask(template, request, is_safe).await
    }

    async fn ask(
        self: &Arc<Self>,
        template: Arc<Template>,
        request: http::Request<Bytes>,
        mut again: bool,
    ) -> Result<http::Response<Body>, SendError> {
        let (head, sent) = request.into_parts();
        let head = request_head(&template.host, &head, sent.len()).map_err(|error| broken(&error))?;
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
            Ok(Err(error)) if reused && is_unanswered(&error) => return Err(Failed::Stale),
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
    /// A kept connection broke before anything of an answer came: the upstream may just have closed it.
    Stale,
    /// For another reason.
    For(SendError),
}

/// The body of an answer. Its connection is kept for the next request if it is read to the end.
pub(super) struct Body {
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

/// Whether a connection broke, and before anything of an answer had come. How much had come Pingora tells in words alone.
fn is_unanswered(error: &Error) -> bool {
    match error.etype() {
        ErrorType::WriteError => true,
        ErrorType::ConnectionClosed | ErrorType::ReadError => {
            error.context.as_ref().is_some_and(|told| told.as_str().ends_with("bytes already read: 0"))
        }
        _ => false,
    }
}

fn broken(error: &Error) -> SendError {
    SendError::Other(reason(error))
}
