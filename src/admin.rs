//! The admin port: `/metrics`, `/healthz`, `/readyz`, and the status page at `/`.

pub mod page;

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
use serde_json::{Value, json};

use crate::auth::Health;
use crate::metrics::{Gauges, Metrics, health_label};
use crate::telemetry::redact;
use page::{Details, Visible};

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

/// The facts behind `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether every listener of `[server] listen` accepts connections.
    pub listening: bool,
    /// Whether the process is on its way out: from SIGTERM on, even while it still accepts
    /// connections (`[server] drain_delay`).
    pub stopping: bool,
    /// How the last attempt to load the configuration went.
    pub configuration: Configuration,
    /// Each upstream, and whether it answers.
    pub upstreams: Vec<Upstream>,
    /// Each backend of the chain, and how it fares. Shown only: a dead issuer or directory must not
    /// make a replica unready, or one outage takes all replicas away.
    pub backends: Vec<(&'static str, Health)>,
}

/// How the last attempt to load the configuration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    /// What is in force is what is written.
    Current,
    /// The last reload failed, so what was in force before still is. That works: it does not make a
    /// replica unready.
    ReloadFailed,
}

/// One address of `[upstream] url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The address, without user, password and query.
    pub name: String,
    /// Whether it answers.
    pub healthy: bool,
}

impl Readiness {
    /// Most upstreams, and most backends, that are listed.
    const MAX: usize = 64;

    /// Whether this replica should get requests: it listens, is not on its way out, and an upstream
    /// answers.
    pub fn is_ready(&self) -> bool {
        self.listening && !self.stopping && self.upstream()
    }

    fn upstream(&self) -> bool {
        self.upstreams.iter().any(|upstream| upstream.healthy)
    }

    fn json(&self) -> Value {
        let upstreams: Vec<_> = self.upstreams.iter().take(Self::MAX).map(Upstream::json).collect();
        let backends: Vec<_> =
            self.backends.iter().take(Self::MAX).map(|(name, health)| backend(name, health)).collect();
        json!({
            "ready": self.is_ready(),
            "checks": {
                "listeners": verdict(self.listening),
                "shutdown": if self.stopping { "stopping" } else { "ok" },
                "configuration": match self.configuration {
                    Configuration::Current => "ok",
                    Configuration::ReloadFailed => "reload_failed",
                },
                "upstream": verdict(self.upstream()),
            },
            "upstreams": upstreams,
            "backends": backends,
        })
    }
}

impl Upstream {
    fn json(&self) -> Value {
        json!({ "name": redact::text(&redact::url(&self.name), 256), "healthy": self.healthy })
    }
}

fn backend(name: &str, health: &Health) -> Value {
    let state = health_label(health);
    match health {
        Health::Up => json!({ "name": name, "state": state }),
        Health::Degraded(cause) | Health::Down(cause) => {
            json!({ "name": name, "state": state, "cause": redact::text(cause, 256) })
        }
    }
}

fn verdict(good: bool) -> &'static str {
    if good { "ok" } else { "failed" }
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
                .iter()
                .map(|upstream| (upstream.name.clone(), upstream.healthy))
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
mod tests {
    use super::*;
    use pingora::apps::HttpServerApp;
    use pingora::apps::http_app::HttpServer;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Fixed(Readiness);

    impl Status for Fixed {
        fn readiness(&self) -> Readiness {
            self.0.clone()
        }
        fn gauges(&self) -> Gauges {
            Gauges {
                key_sets: vec![("https://u:s3cret@idp?s3cret".to_owned(), Duration::from_secs(7))],
                ..Gauges::default()
            }
        }
        fn details(&self) -> Details {
            Details::default()
        }
    }

    fn asked<'a>(method: &'a Method, path: &'a str) -> Asked<'a> {
        Asked { method, path, host: Some("localhost:9091"), near: true }
    }

    fn upstream(name: &str, healthy: bool) -> Upstream {
        Upstream { name: name.to_owned(), healthy }
    }

    fn ready() -> Readiness {
        Readiness {
            listening: true,
            stopping: false,
            configuration: Configuration::Current,
            upstreams: vec![upstream("http://127.0.0.1:8080", true)],
            backends: vec![("jwt", Health::Up)],
        }
    }

    fn admin(readiness: Readiness) -> Admin {
        Admin::new(Arc::new(Metrics::new().unwrap()), Arc::new(Fixed(readiness)))
    }

    #[test]
    fn readiness() {
        let check = |name: &str, change: fn(&mut Readiness), ready_: bool, at: &str, expected: Value| {
            let mut readiness = ready();
            change(&mut readiness);
            let response = admin(readiness).answer(&asked(&Method::GET, "/readyz"));
            assert_eq!(response.status(), if ready_ { 200 } else { 503 }, "{name}");
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["ready"], json!(ready_), "{name}");
            assert_eq!(body.pointer(at), Some(&expected), "{name}: {body}");
        };
        check("ready", |_| {}, true, "/checks/upstream", json!("ok"));
        check("not listening", |r| r.listening = false, false, "/checks/listeners", json!("failed"));
        check("stopping", |r| r.stopping = true, false, "/checks/shutdown", json!("stopping"));
        check(
            "a failed reload is shown",
            |r| r.configuration = Configuration::ReloadFailed,
            true,
            "/checks/configuration",
            json!("reload_failed"),
        );
        check(
            "upstream down",
            |r| r.upstreams[0].healthy = false,
            false,
            "/checks/upstream",
            json!("failed"),
        );
        check(
            "one of two upstreams down",
            |r| r.upstreams.push(upstream("http://u:s3cret@b:8080/x?y", false)),
            true,
            "/upstreams/1",
            json!({ "name": "http://b:8080/x", "healthy": false }),
        );
        check("no upstream at all", |r| r.upstreams.clear(), false, "/checks/upstream", json!("failed"));
        check(
            "a dead issuer alone",
            |r| r.backends = vec![("jwt", Health::Down("no keys\n".into()))],
            true,
            "/backends/0",
            json!({ "name": "jwt", "state": "down", "cause": "no keys\u{fffd}" }),
        );
        check(
            "an issuer with old keys",
            |r| r.backends = vec![("jwt", Health::Degraded("old keys".into()))],
            true,
            "/backends/0",
            json!({ "name": "jwt", "state": "degraded", "cause": "old keys" }),
        );
    }

    #[test]
    fn answers() {
        let no_store = "no-store";
        for (name, method, path, status, kind, allow, body) in [
            ("alive", "GET", "/healthz", 200, "application/json", None, Some(r#"{"status":"ok"}"#)),
            ("HEAD", "HEAD", "/healthz", 200, "application/json", None, Some("")),
            ("metrics", "GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", None, None),
            ("ready", "HEAD", "/readyz", 200, "application/json", None, Some("")),
            (
                "POST",
                "POST",
                "/metrics",
                405,
                "application/json",
                Some("GET, HEAD"),
                Some(r#"{"detail":"Method Not Allowed"}"#),
            ),
            ("the status page", "GET", "/", 200, "text/html; charset=utf-8", None, None),
            (
                "unknown",
                "POST",
                "/metrics/",
                404,
                "application/json",
                None,
                Some(r#"{"detail":"Not Found"}"#),
            ),
        ] {
            let response = admin(ready()).answer(&asked(&method.parse().unwrap(), path));
            let header = |name| response.headers().get(name).map(|v: &HeaderValue| v.to_str().unwrap());
            assert_eq!(response.status(), status, "{name}");
            assert_eq!(header(CONTENT_TYPE), Some(kind), "{name}");
            assert_eq!(header(CACHE_CONTROL), Some(no_store), "{name}");
            assert_eq!(header(ALLOW), allow, "{name}");
            if let Some(body) = body {
                assert_eq!(std::str::from_utf8(response.body()).unwrap(), body, "{name}");
            }
        }
    }

    #[test]
    fn metrics_tell_what_readyz_tells() {
        let mut readiness = ready();
        readiness.upstreams = vec![upstream("http://u:s3cret@a", false)];
        let response = admin(readiness).answer(&asked(&Method::GET, "/metrics"));
        let text = std::str::from_utf8(response.body()).unwrap();
        for line in [
            "airgate_ready 0",
            "airgate_upstream_healthy{upstream=\"http://a\"} 0",
            "airgate_backend_health{backend=\"jwt\",state=\"up\"} 1",
            "airgate_jwks_age_seconds{source=\"https://idp\"} 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    /// On the wire, by Pingora: a HEAD has the length of what a GET gets, and no body, so that the
    /// connection can be used again.
    #[tokio::test]
    async fn on_the_wire() {
        let app = Arc::new(HttpServer::new_app(admin(ready())));
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (_stop, shutdown) = tokio::sync::watch::channel(false);
        let serve = async {
            let mut stream = Some(ServerSession::new_http1(Box::new(server)));
            while let Some(session) = stream.take() {
                let reused = app.process_new_http(session, &shutdown).await;
                stream = reused.map(|reused| ServerSession::new_http1(reused.consume().0));
            }
        };
        let ask = async {
            let mut text = Vec::new();
            client.write_all(b"HEAD /healthz?x=y HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            while !text.ends_with(b"\r\n\r\n") {
                assert!(client.read_buf(&mut text).await.unwrap() > 0);
            }
            client.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            client.read_to_end(&mut text).await.unwrap();
            String::from_utf8(text).unwrap()
        };
        let ((), text) = tokio::join!(serve, ask);
        let answers: Vec<_> = text.split("HTTP/1.1 200 OK\r\n").collect();
        assert_eq!(answers.len(), 3, "{text}");
        let lower: Vec<_> = answers.iter().map(|a| a.to_ascii_lowercase()).collect();
        assert!(lower[1].contains("content-length: 15\r\n") && lower[1].ends_with("\r\n\r\n"), "{text}");
        assert!(
            lower[2].contains("content-length: 15\r\n")
                && answers[2].ends_with("\r\n\r\n{\"status\":\"ok\"}"),
            "{text}"
        );
    }
}
