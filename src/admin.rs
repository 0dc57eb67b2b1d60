//! The admin port: `/metrics`, `/healthz`, `/readyz`, and the status page at `/`.

pub mod page;
mod readiness;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::json;

use crate::metrics::{Gauges, Metrics};
use page::{Details, Visible};
pub use readiness::{Configuration, Readiness, Upstream};

/// Answers on `[admin] listen`. Whoever reaches that port may read everything here, so nothing is
/// told that is secret, and nothing about clients.
pub struct Admin {
    metrics: Arc<Metrics>,
    status: Arc<dyn Status>,
}

/// What the admin port tells of the rest of the process. Asked for each scrape and probe, so it
/// must neither wait nor compute for long.
pub trait Status: Send + Sync {
    /// Whether this replica should get requests, and why not.
    fn readiness(&self) -> Readiness;

    /// Ages and counts that `/metrics` shows and nobody counts in [`Metrics`]. What
    /// [`Status::readiness`] tells as well (`ready`, `upstreams`, `backends`) is taken from there.
    fn gauges(&self) -> Gauges;

    /// What only the status page tells, and who gets to see it.
    fn details(&self) -> Details;
}

/// A request to the admin port. The query is without meaning here.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path.
    pub path: &'a str,
    /// The header `Host`.
    pub host: Option<&'a str>,
    /// Whether who asks is on this machine: at a loopback address, or a Unix socket.
    pub near: bool,
}

impl Admin {
    /// An admin port that shows these.
    pub fn new(metrics: Arc<Metrics>, status: Arc<dyn Status>) -> Self {
        Self { metrics, status }
    }

    /// The answer to a request.
    pub fn answer(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let method = asked.method;
        let page = match asked.path {
            "/" => Page::Status,
            "/metrics" => Page::Metrics,
            "/healthz" => Page::Healthz,
            "/readyz" => Page::Readyz,
            _ => return reply(method, StatusCode::NOT_FOUND, JSON, detail("Not Found")),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refusal =
                reply(method, StatusCode::METHOD_NOT_ALLOWED, JSON, detail("Method Not Allowed"));
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match page {
            Page::Status => self.status(asked),
            Page::Metrics => self.metrics(method),
            // That it answers is the news: the process lives, and its runtime turns.
            Page::Healthz => {
                reply(method, StatusCode::OK, JSON, json!({ "status": "ok" }).to_string().into())
            }
            Page::Readyz => {
                let readiness = self.status.readiness();
                let status =
                    if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                reply(method, status, JSON, readiness.json().to_string().into())
            }
        }
    }

    fn status(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let details = self.status.details();
        let refused = |status, text| reply(asked.method, status, JSON, detail(text));
        match details.visible {
            Visible::Off => return refused(StatusCode::NOT_FOUND, "Not Found"),
            Visible::Loopback if !asked.near => {
                let text = "The status page is for this machine alone: see [admin] page";
                return refused(StatusCode::FORBIDDEN, text);
            }
            Visible::Loopback | Visible::All => {}
        }
        if !page::host_is_ours(asked.host, &details) {
            let text = "The status page is not asked for by this name: see [admin] hosts";
            return refused(StatusCode::MISDIRECTED_REQUEST, text);
        }
        let html = page::Page {
            now: SystemTime::now(),
            readiness: &self.status.readiness(),
            details: &details,
            in_flight: self.metrics.requests_in_flight(),
            readings: &self.metrics.readings(),
            refusals: &self.metrics.refusals(),
            routes: &self.metrics.routes(),
        }
        .html();
        let mut answer = reply(asked.method, StatusCode::OK, HTML, html.into_bytes());
        let headers = answer.headers_mut();
        if let Ok(policy) = HeaderValue::from_str(&page::POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        answer
    }

    fn metrics(&self, method: &Method) -> Response<Vec<u8>> {
        let readiness = self.status.readiness();
        let gauges = Gauges {
            ready: readiness.is_ready(),
            upstreams: readiness
                .upstreams
                .into_iter()
                .map(|upstream| (upstream.name, upstream.health))
                .collect(),
            backends: readiness.backends,
            ..self.status.gauges()
        };
        match self.metrics.render(&gauges, Path::new("/proc")) {
            Ok(text) => reply(method, StatusCode::OK, PROMETHEUS, text),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be shown");
                reply(method, StatusCode::INTERNAL_SERVER_ERROR, JSON, detail("Internal Server Error"))
            }
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        // A client on a Unix socket has no address; then that of the socket tells.
        let address = session.client_addr().or_else(|| session.server_addr());
        let near = address.is_some_and(|address| match address.as_inet() {
            Some(address) => address.ip().to_canonical().is_loopback(),
            None => true,
        });
        let head = session.req_header();
        // Two of them are none.
        let mut hosts = head.headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok(),
            (None, _) | (Some(_), Some(_)) => None,
        };
        self.answer(&Asked { method: &head.method, path: head.uri.path(), host, near })
    }
}

enum Page {
    Status,
    Metrics,
    Healthz,
    Readyz,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The text format of Prometheus, in the version that every scraper reads.
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

fn detail(text: &str) -> Vec<u8> {
    json!({ "detail": text }).to_string().into()
}

/// An answer that nobody may keep. A `HEAD` gets the headers alone (RFC 9110, section 9.3.2).
fn reply(method: &Method, status: StatusCode, kind: HeaderValue, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(if *method == Method::HEAD { Vec::new() } else { body });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
