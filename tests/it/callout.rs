//! `callout:NAME`: a service of one's own judges the credentials, over HTTP.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::token::{self, SECRET};
use crate::support::upstream::{Closed, Seen, answer};
use crate::support::{Airgate, Ask, Upstream, delete, get, post};

/// A gate with one callout, `corp`, and users that it may name.
fn gate(upstream: &Upstream, service: &str, more: &str) -> Airgate {
    before(upstream, service, "auth_backends = \"jwt, callout:corp\"\n", more)
}

fn before(upstream: &Upstream, service: &str, api: &str, more: &str) -> Airgate {
    Airgate::before(
        &upstream.url(),
        &format!(
            "[core]\nsimple_auth_manager_users = \"ann:viewer, bob:op\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
             [api]\n{api}[callout.corp]\nurl = \"{service}/verify?app=airflow\"\n\
             headers = [\"X-Api-Key\", \"Authorization\", \"Cookie\"]\n{more}"
        ),
    )
}

fn pools() -> Ask {
    get("/api/v2/pools/a")
}

/// Who the upstream was told it was, in the only request that it got.
#[track_caller]
fn told(upstream: &Upstream) -> String {
    let seen = upstream.only();
    let token = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    token::read(token)["sub"].as_str().unwrap().to_owned()
}

/// The service knows one key.
fn keys(seen: &Seen) -> Vec<u8> {
    match seen.header("x-api-key") {
        Some("ann-key") => answer(200, &[("X-Auth-User", "ann")], "ignored"),
        Some("nobody-key") => answer(204, &[("X-Auth-User", "zoe")], ""),
        Some("locked") => answer(403, &[], ""),
        Some(_) | None => answer(401, &[("WWW-Authenticate", "ApiKey realm=\"corp\"")], "<html>"),
    }
}

#[test]
fn the_service_decides_who_it_is() {
    let (upstream, service) = (Upstream::start(), Upstream::answering(keys));
    let gate = gate(&upstream, &service.url(), "");
    assert_eq!(gate.send(pools().with("X-Api-Key", "ann-key")).status, 200);
    assert_eq!(told(&upstream), "ann");
    let access = gate.access("callout:ann");
    assert_eq!((&access["user"], &access["backend"]), (&json!("callout:ann"), &json!("callout:corp")));
    let bearer = "Bearer realm=\"Airflow\"";
    for (name, ask, status, detail, challenges, asked) in [
        ("no credential", pools(), 401, "Not authenticated", &[bearer][..], false),
        (
            "empty ones",
            pools().with("X-Api-Key", "").with("Cookie", " "),
            401,
            "Not authenticated",
            &[bearer],
            false,
        ),
        (
            "a header that is not listed",
            pools().with("X-Key", "ann-key"),
            401,
            "Not authenticated",
            &[bearer],
            false,
        ),
        (
            "a wrong one",
            pools().with("X-Api-Key", "wrong"),
            401,
            "Invalid credentials",
            &[bearer, "ApiKey realm=\"corp\""],
            true,
        ),
        ("one that may not in", pools().with("X-Api-Key", "locked"), 403, "Forbidden", &[bearer], true),
        (
            "nobody in Airflow",
            pools().with("X-Api-Key", "nobody-key"),
            403,
            "The user is not known to Airflow",
            &[],
            true,
        ),
    ] {
        upstream.forget();
        service.forget();
        let refused = gate.send(ask);
        assert_eq!((refused.status, &*refused.detail()), (status, detail), "{name}");
        assert_eq!(refused.all("www-authenticate"), challenges, "{name}");
        assert_eq!(!service.seen().is_empty(), asked, "{name}");
        assert!(upstream.seen().is_empty(), "{name}");
    }
    gate.counts("airgate_rejections_total{reason=\"refused\"}", 1.0);
}

/// What goes out: the listed headers, what is asked for, and from where. Not what the client says of itself,
/// nor its other headers, nor its body.
#[test]
fn the_service_is_told_what_is_listed_and_nothing_else() {
    let (upstream, service) = (Upstream::start(), Upstream::answering(keys));
    let gate = gate(&upstream, &service.url(), "");
    let ask = post("//api/v2/dags/%61%2Fb/dagRuns?limit=5&x=%20")
        .with("X-Api-Key", "ann-key")
        .with("Cookie", "theme=dark")
        .with("Accept-Language", "de")
        .with("X-Forwarded-User", "root")
        .with("X_Forwarded_Method", "GET")
        .with("X-Forwarded-Uri", "/open")
        .with("X-Original-URI", "/open")
        .with("X-Auth-User", "root")
        .with("X-Request-ID", "id-7")
        .json(json!({}));
    assert_eq!(gate.send(ask).status, 200);
    let seen = service.only();
    assert_eq!((&*seen.method, &*seen.target, &*seen.body), ("GET", "/verify?app=airflow", &b""[..]));
    let mut headers = seen.headers.clone();
    headers.retain(|(name, _)| name != "host" && name != "user-agent");
    headers.sort();
    let target = "/api/v2/dags/a%2Fb/dagRuns?limit=5&x=%20";
    let host = gate.address().to_string();
    let expected = [
        ("accept", "*/*"),
        ("cookie", "theme=dark"),
        ("x-api-key", "ann-key"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", &host),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-uri", target),
        ("x-original-method", "POST"),
        ("x-original-uri", target),
        ("x-request-id", "id-7"),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(headers, expected);
}

/// Whatever is neither an acceptance nor a refusal: it cannot be told, and that is no refusal.
#[test]
fn anything_else_is_unavailable() {
    let accepted = |headers: &[(&str, &str)]| answer(200, headers, "");
    let long = "x".repeat(257);
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no name", accepted(&[]), "5"),
        ("an empty name", accepted(&[("X-Auth-User", "")]), "5"),
        ("two names", accepted(&[("X-Auth-User", "ann"), ("X-Auth-User", "bob")]), "5"),
        ("one name twice", accepted(&[("X-Auth-User", "ann"), ("X-Auth-User", "ann")]), "5"),
        ("a name too long", accepted(&[("X-Auth-User", &long)]), "5"),
        (
            "a name that is no UTF-8",
            b"HTTP/1.1 200 X\r\ncontent-length: 0\r\nx-auth-user: \xff\r\n\r\n".to_vec(),
            "5",
        ),
        ("an end that is no number", accepted(&[("X-Auth-User", "ann"), ("X-Auth-Expires", "soon")]), "5"),
        (
            "a redirect to an acceptance",
            answer(302, &[("Location", "/verify"), ("X-Auth-User", "ann")], ""),
            "5",
        ),
        ("404", answer(404, &[("X-Auth-User", "ann")], ""), "5"),
        ("429", answer(429, &[("Retry-After", "7")], ""), "7"),
        ("503, for hours", answer(503, &[("Retry-After", "7200")], ""), "60"),
        ("500", answer(500, &[("Retry-After", "tomorrow")], ""), "5"),
        ("a body without end", answer(200, &[("X-Auth-User", "ann")], &"x".repeat(300_000)), "5"),
        ("no HTTP", b"220 mail\r\n".to_vec(), "5"),
        ("a closed connection", Vec::new(), "5"),
    ];
    let now = Arc::new(Mutex::new(Vec::new()));
    let its_now = now.clone();
    let upstream = Upstream::start();
    let service = Upstream::answering(move |_| its_now.lock().unwrap().clone());
    let gate = gate(&upstream, &service.url(), "");
    for (name, bytes, retry) in rows {
        *now.lock().unwrap() = bytes;
        let refused = gate.send(pools().with("X-Api-Key", "ann-key"));
        let detail = "Credentials cannot be checked at the moment";
        assert_eq!((refused.status, &*refused.detail()), (503, detail), "{name}");
        assert_eq!(refused.header("retry-after"), Some(retry), "{name}");
        assert!(refused.all("www-authenticate").is_empty(), "{name}");
    }
    assert!(upstream.seen().is_empty());
}

/// The service is down at the start, comes, and goes. Who has another credential does not notice.
#[test]
fn the_service_may_come_and_go() {
    let (upstream, port) = (Upstream::start(), Closed::port());
    let gate = gate(&upstream, &port.url(), "timeout = \"2s\"\n");
    let ask = || gate.send(pools().with("X-Api-Key", "ann-key"));
    assert_eq!(ask().status, 503);
    assert_eq!(ask().status, 503);
    let listed = gate.admin("/readyz");
    assert_eq!(listed.status, 200, "one service must not take all replicas away");
    let backends = listed.json()["backends"].clone();
    assert_eq!(
        (&backends[1]["name"], &backends[1]["state"]),
        (&json!("callout:corp"), &json!("down")),
        "{backends}"
    );
    gate.counts("airgate_backend_health{backend=\"callout:corp\",state=\"down\"}", 1.0);
    let with_token = pools().with("X-Api-Key", "ann-key").bearer(&token::good("ann"));
    assert_eq!(gate.send(with_token).status, 200, "jwt accepts");
    let service = port.open(keys);
    assert_eq!(ask().status, 200);
    gate.counts("airgate_backend_health{backend=\"callout:corp\",state=\"up\"}", 1.0);
    drop(service);
    gate.until("the service is gone", |_| ask().status == 503);
    gate.logs("the callout answers again");
    gate.until("both outages are said", |gate| {
        gate.log().matches("the callout does not answer").count() == 2
    });
}

#[test]
fn a_service_that_is_silent_is_given_up() {
    let upstream = Upstream::start();
    let service = Upstream::by_hand(|_, wire| {
        let _ = std::io::Read::read(wire, &mut [0]); // until the gate gives up
    });
    let gate = gate(&upstream, &service.url(), "timeout = \"1s\"\n");
    assert_eq!(gate.send(pools().with("X-Api-Key", "ann-key")).status, 503);
    assert!(gate.access("no answer in time")["cause"].is_string());
}

/// Off by default; with `cache_ttl` only what looks the same to the service is taken for the same.
#[test]
fn acceptances_are_remembered_if_asked_for() {
    let upstream = Upstream::start();
    for (name, more, asked) in [("by default", "", 8), ("with cache_ttl", "cache_ttl = \"1h\"\n", 6)] {
        let service = Upstream::answering(keys);
        let gate = gate(&upstream, &service.url(), more);
        let send = |ask: Ask| gate.send(ask).status;
        for _ in 0..2 {
            assert_eq!(send(pools().with("X-Api-Key", "ann-key")), 200, "{name}");
        }
        assert_eq!(send(get("/api/v2/pools/b").with("X-Api-Key", "ann-key")), 200, "{name}: another target");
        assert_eq!(
            send(delete("/api/v2/pools/a").with("X-Api-Key", "ann-key")),
            200,
            "{name}: another method"
        );
        assert_eq!(
            send(pools().with("X-Api-Key", "ann-key").with("Cookie", "a=b")),
            200,
            "{name}: another header"
        );
        assert_eq!(send(pools().with("X-Api-Key", "ann-key").with("Accept", "*/*")), 200, "{name}: not told");
        for _ in 0..2 {
            assert_eq!(send(pools().with("X-Api-Key", "wrong")), 401, "{name}: a refusal is not remembered");
        }
        assert_eq!(service.seen().len(), asked, "{name}");
    }
}

/// Which credentials a foreign page could make a browser send.
#[test]
fn foreign_pages_change_nothing_with_what_browsers_send_by_themselves() {
    let upstream = Upstream::start();
    let service = Upstream::answering(|_| answer(200, &[("X-Auth-User", "ann")], ""));
    let key = || post("/api/v2/pools").with("X-Api-Key", "k");
    let rows: Vec<(&str, Ask, [u16; 3])> = vec![
        ("a header that only scripts set", key(), [200, 403, 200]),
        ("a Bearer", post("/api/v2/pools").bearer("opaque"), [200, 403, 200]),
        ("another scheme", post("/api/v2/pools").with("Authorization", "ApiKey x"), [200, 403, 200]),
        ("Basic", post("/api/v2/pools").basic("a", "b"), [403, 403, 200]),
        ("Digest", post("/api/v2/pools").with("Authorization", "digest x"), [403, 403, 200]),
        ("Negotiate", post("/api/v2/pools").with("Authorization", "Negotiate x"), [403, 403, 200]),
        ("a cookie", post("/api/v2/pools").with("Cookie", "sso=x"), [403, 403, 200]),
        ("a cookie beside a key", key().with("Cookie", "sso=x"), [403, 403, 200]),
        ("Basic beside a key", key().basic("a", "b"), [403, 403, 200]),
    ];
    for (at, ambient) in ["auto", "yes", "no"].into_iter().enumerate() {
        let api =
            "auth_backends = \"callout:corp\"\naccess_control_allow_origins = \"https://ui.example.com\"\n";
        let gate = before(&upstream, &service.url(), api, &format!("ambient = \"{ambient}\"\n"));
        for (name, ask, expected) in &rows {
            let from = |origin: &str| gate.send(ask.clone().with("Origin", origin).body("")).status;
            assert_eq!(from("https://evil.example"), expected[at], "{ambient}: {name}");
            assert_eq!(from("https://ui.example.com"), 200, "{ambient}: {name}, an allowed page");
            assert_eq!(from(&gate.url()), 200, "{ambient}: {name}, a page of ours");
            assert_eq!(gate.send(ask.clone().body("")).status, 200, "{ambient}: {name}, no page");
        }
    }
}

/// What any page may set, or the browser itself, is no sign that the page was allowed to.
#[test]
fn a_header_that_any_page_may_set_is_ambient() {
    let upstream = Upstream::start();
    let service = Upstream::answering(|_| answer(200, &[("X-Auth-User", "ann")], ""));
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[core]\nsimple_auth_manager_users = \"ann:viewer\"\n[api_auth]\n\
         jwt_secret = \"{SECRET}\"\n[api]\nauth_backends = \"callout:corp\"\n[callout.corp]\nurl = \"{}\"\n\
         headers = \"Accept-Language, Content-Type, Origin, User-Agent, Sec-Fetch-Site\"\n",
        upstream.url(),
        service.url()
    );
    let gate = Airgate::with(config).start();
    for (name, value) in
        [("Accept-Language", "key"), ("Content-Type", "text/plain"), ("Sec-Fetch-Site", "none")]
    {
        let ask = post("/api/v2/pools").with(name, value).with("Origin", "https://evil.example").body("");
        assert_eq!(gate.send(ask).status, 403, "{name}");
    }
}

/// So many questions at a time, and the next is told to come again.
#[test]
fn questions_under_way_are_bounded() {
    let upstream = Upstream::start();
    let waiting = Arc::new((Mutex::new(true), std::sync::Condvar::new()));
    let its_waiting = waiting.clone();
    let asked = Arc::new(AtomicUsize::new(0));
    let its_asked = asked.clone();
    let service = Upstream::answering(move |_| {
        its_asked.fetch_add(1, Ordering::SeqCst);
        let waits = its_waiting.0.lock().unwrap();
        drop(its_waiting.1.wait_while(waits, |waits| *waits).unwrap());
        answer(200, &[("X-Auth-User", "ann")], "")
    });
    let gate = gate(&upstream, &service.url(), "timeout = \"60s\"\n");
    let ask = || pools().with("X-Api-Key", "ann-key").send(gate.address());
    std::thread::scope(|scope| {
        let many: Vec<_> = (0..128).map(|_| scope.spawn(|| ask().status)).collect();
        gate.until("all are asked", |_| asked.load(Ordering::SeqCst) == 128);
        let refused = ask();
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        *waiting.0.lock().unwrap() = false;
        waiting.1.notify_all();
        for one in many {
            assert_eq!(one.join().unwrap(), 200);
        }
    });
}

const CA: &[u8] = include_bytes!("../data/tls/ca.pem");

/// A service behind TLS, whose certificate only the tests' own authority vouches for.
fn https() -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../data/tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../data/tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for wire in listener.incoming().flatten() {
            let tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::StreamOwned::new(tls, wire);
            // The head of so small a request is one record.
            if matches!(std::io::Read::read(&mut tls, &mut [0; 4096]), Ok(1..)) {
                let _ = std::io::Write::write_all(&mut tls, &answer(200, &[("X-Auth-User", "ann")], ""));
            }
        }
    });
    url
}

#[test]
fn a_service_behind_tls_must_be_vouched_for() {
    let (upstream, service) = (Upstream::start(), https());
    let config = |more: &str| {
        format!(
            "[upstream]\nurl = \"{}\"\n[core]\nsimple_auth_manager_users = \"ann:viewer\"\n[api_auth]\n\
             jwt_secret = \"{SECRET}\"\n[api]\nauth_backends = \"callout:corp\"\n[callout.corp]\nurl = \"{service}\"\n{more}",
            upstream.url()
        )
    };
    let ask = || pools().bearer("opaque");
    let gate = Airgate::with(config("ca_file = \"ca.pem\"\n")).file("ca.pem", CA).start();
    assert_eq!(gate.send(ask()).status, 200);
    assert_eq!(told(&upstream), "ann");
    let gate = Airgate::with(config("")).start();
    assert_eq!(gate.send(ask()).status, 503, "the system's authorities do not know it");
    gate.logs("cannot connect");
    for (name, file) in
        [("no certificate", &b"hello"[..]), ("a broken one", b"-----BEGIN CERTIFICATE-----\nx\n")]
    {
        let (code, said) = Airgate::with(config("ca_file = \"ca.pem\"\n")).file("ca.pem", file).fails();
        assert_eq!(code, Some(1), "{name}");
        assert!(said.contains("airgate.toml:11:11: [callout.corp]: "), "{name}: {said}");
    }
}
