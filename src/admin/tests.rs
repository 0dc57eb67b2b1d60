use super::*;
use crate::auth::Health;
use pingora::apps::HttpServerApp;
use pingora::apps::http_app::HttpServer;
use serde_json::Value;
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
    let down = || Health::Down("GET /api/v2/monitor/health: answered 503\n".into());
    Upstream { name: name.to_owned(), health: if healthy { Health::Up } else { down() } }
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
        |r| r.upstreams = vec![upstream("http://127.0.0.1:8080", false)],
        false,
        "/checks/upstream",
        json!("failed"),
    );
    check(
        "one of two upstreams down",
        |r| r.upstreams.push(upstream("http://u:s3cret@b:8080/x?y", false)),
        true,
        "/upstreams/1",
        json!({
            "name": "http://b:8080/x", "healthy": false, "state": "down",
            "cause": "GET /api/v2/monitor/health: answered 503\u{fffd}",
        }),
    );
    check(
        "an upstream that may be no Airflow",
        |r| r.upstreams[0].health = Health::Degraded("answered 404".into()),
        true,
        "/upstreams/0",
        json!({
            "name": "http://127.0.0.1:8080", "healthy": true, "state": "degraded", "cause": "answered 404",
        }),
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
        ("unknown", "POST", "/metrics/", 404, "application/json", None, Some(r#"{"detail":"Not Found"}"#)),
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
        lower[2].contains("content-length: 15\r\n") && answers[2].ends_with("\r\n\r\n{\"status\":\"ok\"}"),
        "{text}"
    );
}
