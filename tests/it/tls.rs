//! TLS with clients: versions, protocols, certificates by name, renewed ones, those of clients; and HTTP/2,
//! which gets the same answers as HTTP/1.

use std::time::Duration;

use serde_json::json;

use crate::support::tls::{Client, certificate, read};
use crate::support::token::{self, SECRET};
use crate::support::upstream::{Seen, answer, body};
use crate::support::{
    Airgate, Answer, Ask, Connection, Upstream, delete, get, head, options, post, put, swap_volume,
};

const ONE: &str = "[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n";

fn config(upstream: &Upstream, more: &str) -> String {
    format!("[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{more}", upstream.url())
}

fn start(upstream: &Upstream, more: &str) -> Airgate {
    Airgate::with(config(upstream, more))
        .file("tls.crt", read("airflow.pem"))
        .file("tls.key", read("airflow.key"))
        .file("wildcard.crt", read("wildcard.pem"))
        .file("wildcard.key", read("wildcard.key"))
        .file("client-ca.pem", read("ca.pem"))
        .start()
}

fn good() -> Ask {
    get("/api/v2/config").bearer(&token::good("admin"))
}

#[test]
fn versions_and_protocols() {
    use rustls::{ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3};
    static ONLY_12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
    static ONLY_13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    let upstream = Upstream::start();
    let airgate = start(&upstream, ONE);
    let to = airgate.address();
    for (name, client, version, protocol) in [
        ("the newest", Client::default(), TLSv1_3, None),
        ("1.2", Client::default().speaking(&ONLY_12), TLSv1_2, None),
        ("1.3", Client::default().speaking(&ONLY_13), TLSv1_3, None),
        ("HTTP/1.1 asked for", Client::default().offering(&["http/1.1"]), TLSv1_3, Some("http/1.1")),
        ("both offered", Client::default().offering(&["http/1.1", "h2"]), TLSv1_3, Some("h2")),
    ] {
        let mut connection = client.connect(to).unwrap();
        assert_eq!((connection.version(), connection.protocol().as_deref()), (version, protocol), "{name}");
        if protocol != Some("h2") {
            connection.write(&good().bytes(to)).unwrap();
            assert_eq!(connection.read("GET").unwrap().status, 200, "{name}");
        }
    }
    assert!(Client::default().offering(&["spdy/3"]).connect(to).is_err());
    // The upstream is told how the client came.
    assert_eq!(upstream.seen()[0].header("x-forwarded-proto"), Some("https"));

    // Who does not speak TLS is turned away, and nothing of it reaches Airflow.
    let seen = upstream.seen().len();
    let mut plain = Connection::open(to).unwrap();
    plain.write(&good().bytes(to)).unwrap();
    assert!(!plain.rest().starts_with(b"HTTP/"));
    airgate.counts("airgate_connections_rejected_total{reason=\"tls_handshake\"}", 2.0);
    assert_eq!(upstream.seen().len(), seen);
}

#[test]
fn the_certificate_is_that_of_the_name_that_is_asked_for() {
    let upstream = Upstream::start();
    let airgate = start(
        &upstream,
        "[server]\ntls = { certificate = [\"tls.crt\", \"wildcard.crt\"], key = [\"tls.key\", \"wildcard.key\"] }\n",
    );
    for (name, expected) in [
        ("airflow.example.com", "airflow.pem"),
        ("team.apps.example.com", "wildcard.pem"),
        ("localhost", "airflow.pem"),
    ] {
        let connection = Client::default().asking_for(name).connect(airgate.address()).unwrap();
        assert_eq!(connection.certificate(), certificate(expected), "{name}");
    }
    // An unknown name gets the first, which does not fit; an address is no name, and gets the first, which does.
    assert!(Client::default().asking_for("elsewhere.example.org").connect(airgate.address()).is_err());
    assert!(Client::default().asking_for("127.0.0.1").connect(airgate.address()).is_ok());
    let metrics = airgate.admin("/metrics").text();
    for file in ["tls.crt", "wildcard.crt"] {
        for series in ["not_before", "not_after"] {
            let name = format!("airgate_certificate_{series}_timestamp_seconds{{certificate=\"");
            assert!(metrics.lines().any(|line| line.starts_with(&name) && line.contains(file)), "{metrics}");
        }
    }
}

#[test]
fn clients_need_a_certificate_where_an_authority_is_named() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, &format!("{ONE}client_ca = \"client-ca.pem\"\n"));
    let to = airgate.address();
    let asked = |client: Client| client.send(&good(), to).map(|answer| answer.status).ok();
    assert_eq!(asked(Client::default().with_certificate("client")), Some(200));
    assert_eq!(asked(Client::default()), None);
    assert_eq!(asked(Client::default().with_certificate("stranger")), None);
    // One for servers is none for clients.
    assert_eq!(upstream.seen().len(), 1);
    airgate.counts("airgate_connections_rejected_total{reason=\"tls_handshake\"}", 2.0);
}

/// As Kubernetes does it: the folder of a volume is a link that is changed at once for all files.
#[test]
fn a_renewed_certificate_is_shown_and_no_connection_is_dropped() {
    let upstream = Upstream::start();
    let setup = Airgate::with(config(
        &upstream,
        "[server.tls]\ncertificate = \"volume/tls.crt\"\nkey = \"volume/tls.key\"\n",
    ));
    let home = setup.home().to_owned();
    let issue = |version: &str, name: &str| {
        let (certificate, key) = (read(&format!("{name}.pem")), read(&format!("{name}.key")));
        swap_volume(&home, version, &[("tls.crt", certificate.as_ref()), ("tls.key", key.as_ref())]);
    };
    issue("..1", "airflow");
    std::fs::create_dir(home.join("volume")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("../..data/{file}"), home.join("volume").join(file)).unwrap();
    }
    let airgate = setup.start();
    let to = airgate.address();
    let mut kept = Client::default().connect(to).unwrap();
    kept.write(&good().bytes(to)).unwrap();
    assert_eq!(kept.read("GET").unwrap().status, 200);
    assert_eq!(kept.certificate(), certificate("airflow.pem"));

    issue("..2", "renewed");
    airgate.until("the renewed certificate is shown", |_| {
        Client::default().connect(to).unwrap().certificate() == certificate("renewed.pem")
    });
    kept.write(&good().bytes(to)).unwrap();
    assert_eq!(kept.read("GET").unwrap().status, 200);

    // Half of a renewal is none: the old pair goes on, and the log says why.
    std::fs::write(home.join("..2").join("tls.crt"), read("airflow.pem")).unwrap();
    airgate.logs("is not the key of the certificate");
    assert_eq!(Client::default().connect(to).unwrap().certificate(), certificate("renewed.pem"));
    std::fs::write(home.join("..2").join("tls.key"), read("airflow.key")).unwrap();
    airgate.until("the first certificate is shown again", |_| {
        Client::default().connect(to).unwrap().certificate() == certificate("airflow.pem")
    });
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let pairs = [
        ("no such file", "gone.crt", "tls.key", "airgate.toml:6:15: [server.tls] certificate: ", "gone.crt"),
        (
            "no certificate",
            "tls.key",
            "tls.key",
            "airgate.toml:6:15: [server.tls] certificate: ",
            "holds no certificate",
        ),
        ("no key", "tls.crt", "tls.crt", "airgate.toml:7:7: [server.tls] key: ", "holds no private key"),
        (
            "another's key",
            "tls.crt",
            "wildcard.key",
            "airgate.toml:7:7: [server.tls] key: ",
            "is not the key of the certificate",
        ),
    ];
    let upstream = Upstream::start();
    for (name, chain, key, place, reason) in pairs {
        let text = config(&upstream, &format!("[server.tls]\ncertificate = \"{chain}\"\nkey = \"{key}\"\n"));
        let setup = Airgate::with(text)
            .file("tls.crt", read("airflow.pem"))
            .file("tls.key", read("airflow.key"))
            .file("wildcard.key", read("wildcard.key"));
        let (code, said) = setup.check();
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.contains(place) && said.contains(reason), "{name}: {said}");
    }
}

#[test]
fn who_does_not_finish_the_handshake_is_closed() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, &format!("{ONE}[limits]\nheader_timeout = \"1s\"\n"));
    let mut silent = Connection::open(airgate.address()).unwrap();
    assert_eq!(silent.rest(), b"");
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", 1.0);
    // HTTP/2 without a first request, too.
    let mut idle = Client::default().offering(&["h2"]).connect(airgate.address()).unwrap();
    idle.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    idle.rest();
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", 2.0);
}

// --- HTTP/2

/// What an answer says, but for what belongs to one request or one connection.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let own = ["date", "x-request-id", "connection", "transfer-encoding", "content-length", "keep-alive"];
    let mut headers: Vec<_> =
        answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect();
    headers.sort();
    (answer.status, headers, answer.text())
}

/// What reached Airflow, likewise. Cookies of HTTP/2 come together (RFC 9113, section 8.2.3).
fn reached(seen: &Seen) -> (String, String, Vec<(String, String)>, Vec<u8>) {
    let own = ["x-request-id", "traceparent", "content-length", "transfer-encoding", "cookie"];
    let mut headers: Vec<_> =
        seen.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect();
    headers.push(("cookie".into(), seen.all("cookie").join("; ")));
    headers.sort();
    (seen.method.clone(), seen.target.clone(), headers, seen.body.clone())
}

#[test]
fn http2_gets_the_same_answers_as_http1() {
    let upstream = Upstream::answering(|seen| match seen.target.as_str() {
        "/api/v2/dags/gone" => answer(404, &[("x-airflow", "yes")], "{\"detail\": \"no\"}"),
        "/api/v2/dags/none" => b"HTTP/1.1 204 X\r\n\r\n".to_vec(),
        "/api/v2/chunks" => {
            b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()
        }
        "/api/v2/cookies" => answer(200, &[("set-cookie", "a=1"), ("set-cookie", "b=2")], "{}"),
        _ => answer(200, &[], "{\"made\": true}"),
    });
    let more = format!(
        "{ONE}[basic]\nsources = \"file\"\n[core]\nsimple_auth_manager_users = \"admin:admin\"\n\
         simple_auth_manager_passwords_file = \"passwords\"\n[api]\nmaximum_page_limit = 5\nfallback_page_limit = 5\n\
         access_control_allow_origins = [\"https://ui.example.com\"]\naccess_control_allow_methods = [\"GET\"]\n"
    );
    let airgate = Airgate::with(config(&upstream, &more))
        .file("tls.crt", read("airflow.pem"))
        .file("tls.key", read("airflow.key"))
        .file("passwords", r#"{"admin": "pw"}"#)
        .start();
    let good = |ask: Ask| ask.bearer(&token::good("admin"));
    let origin = "https://ui.example.com";
    let preflight = |method: &str| {
        options("/api/v2/dags").with("Origin", origin).with("Access-Control-Request-Method", method)
    };
    let own = format!("https://{}", airgate.address());
    for (name, ask) in [
        ("bearer", good(get("/api/v2/dags/x"))),
        ("basic", get("/api/v2/dags/x").basic("admin", "pw")),
        ("wrong password", get("/api/v2/dags/x").basic("admin", "no")),
        ("nothing", get("/api/v2/dags/x")),
        ("bad token", get("/api/v2/dags/x").bearer("a.b.c")),
        ("cookie", get("/api/v2/dags/x").with("Cookie", format!("a=1; _token={}", token::good("admin")))),
        (
            "cookies in two lines",
            get("/api/v2/dags/x")
                .with("Cookie", "a=1")
                .with("Cookie", format!("_token={}", token::good("admin"))),
        ),
        ("two authorizations", good(get("/api/v2/dags/x")).basic("admin", "pw")),
        ("clamped", good(get("/api/v2/dags?limit=100"))),
        ("no limit", good(get("/api/v2/dags"))),
        ("encoded name", good(get("/api/v2/variables/a%2Fb%20c"))),
        ("dot segment", good(get("/api/v2/../x"))),
        ("malformed escape", good(get("/api/v2/dags/%zz"))),
        ("no route", good(get("/home"))),
        ("not found there", good(get("/api/v2/dags/gone"))),
        ("no content", good(delete("/api/v2/dags/none"))),
        ("head", good(head("/api/v2/dags/x"))),
        ("chunks", good(get("/api/v2/chunks"))),
        ("cookies set", good(get("/api/v2/cookies"))),
        ("post", good(post("/api/v2/dags/x/dagRuns")).json(json!({ "conf": {} }))),
        ("put with nothing", good(put("/api/v2/dags/x")).body("")),
        ("post from the own page", get("/api/v2/dags/x").basic("admin", "pw").with("Origin", &own)),
        (
            "change from the own page",
            post("/api/v2/pools").basic("admin", "pw").with("Origin", &own).json(json!({})),
        ),
        (
            "change from elsewhere",
            post("/api/v2/pools").basic("admin", "pw").with("Origin", "https://evil.example").json(json!({})),
        ),
        ("preflight", preflight("GET")),
        ("preflight refused", preflight("DELETE")),
        ("with origin", good(get("/api/v2/dags/x")).with("Origin", origin)),
        (
            "token for a wrong password",
            post("/auth/token").json(json!({ "username": "admin", "password": "no" })),
        ),
        ("token for nothing", post("/auth/token").json(json!({}))),
        ("token by GET", get("/auth/token")),
        (
            "claimed identity",
            good(get("/api/v2/dags/x")).with("X-Forwarded-User", "root").with("Remote-User", "root"),
        ),
        (
            "many headers",
            (0..150).fold(good(get("/api/v2/dags/x")), |ask, i| ask.with(&format!("x-{i}"), "y")),
        ),
    ] {
        let client = Client::default();
        let first = client.send(&ask, airgate.address()).unwrap();
        let by_http1 = upstream.seen().pop().map(|seen| reached(&seen));
        upstream.forget();
        let second = client.send_http2(&ask, airgate.address()).expect(name).unwrap();
        let by_http2 = upstream.seen().pop().map(|seen| reached(&seen));
        upstream.forget();
        assert_eq!(told(&first), told(&second), "{name}");
        assert_eq!(by_http1, by_http2, "{name}");
    }
    // Tokens differ, but are both good.
    let ask = post("/auth/token").json(json!({ "username": "admin", "password": "pw" }));
    for token in [
        Client::default().send(&ask, airgate.address()).unwrap().token(),
        Client::default().send_http2(&ask, airgate.address()).unwrap().unwrap().token(),
    ] {
        let used = Client::default().send_http2(&get("/api/v2/dags/x").bearer(&token), airgate.address());
        assert_eq!(used.unwrap().unwrap().status, 200);
    }
}

fn within<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time") })
}

/// The data that ends a body may be empty. Written as such to an upstream it would be a second end, which is
/// taken for the next request.
#[test]
fn a_body_of_http2_that_ends_with_nothing_ends_once() {
    use std::io::{Read, Write};
    let (more, came) = std::sync::mpsc::channel();
    let more = std::sync::Mutex::new(more);
    let upstream = Upstream::by_hand(move |seen, wire| {
        let body = body(seen, wire);
        let _ = wire.get_mut().write_all(&answer(200, &[], "{}"));
        let _ = wire.get_ref().set_read_timeout(Some(Duration::from_millis(300)));
        let mut rest = Vec::new();
        let _ = wire.read_to_end(&mut rest);
        more.lock().unwrap().send((body, rest)).unwrap();
    });
    let airgate = start(&upstream, ONE);
    within(async {
        let mut sender = Client::default().http2(airgate.address()).await.unwrap();
        let (request, _) =
            post("/api/v2/pools").bearer(&token::good("admin")).as_http2(airgate.address()).unwrap();
        let (answer, mut body) = sender.send_request(request, false).unwrap();
        for (piece, last) in [("", false), ("{}", false), ("", false), ("", true)] {
            body.send_data(piece.into(), last).unwrap();
        }
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    let (body, rest) = came.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((body, rest), (Some(b"{}".to_vec()), Vec::new()));
}

#[test]
fn streams_of_http2_are_bounded_and_resets_do_no_harm() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, ONE);
    let (request, _) = good().as_http2(airgate.address()).unwrap();
    within(async {
        let mut sender = Client::default().http2(airgate.address()).await.unwrap();
        let (answer, _) = sender.send_request(request.clone(), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        assert_eq!(sender.current_max_send_streams(), 100);
        // Opened and given up at once, again and again (CVE-2023-44487): the connection is closed for it.
        let mut closed = false;
        for _ in 0..20_000 {
            let Ok(ready) = sender.clone().ready().await else {
                closed = true;
                break;
            };
            sender = ready;
            match sender.send_request(request.clone(), false) {
                Ok((_answer, mut body)) => body.send_reset(h2::Reason::CANCEL),
                Err(_) => {
                    closed = true;
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        let still = Client::default().http2(airgate.address()).await.unwrap();
        drop(still);
        eprintln!("closed for resets: {closed}");
    });
    assert_eq!(Client::default().send_http2(&good(), airgate.address()).unwrap().unwrap().status, 200);
    airgate.until("nothing is left of it", |airgate| airgate.metric("airgate_requests_in_flight") == 0.0);
}

#[test]
fn a_huge_head_of_http2_is_refused_and_the_connection_goes_on() {
    let upstream = Upstream::start();
    let airgate = start(&upstream, ONE);
    within(async {
        let mut sender = Client::default().http2(airgate.address()).await.unwrap();
        let ask = (0..2000).fold(good(), |ask, i| ask.with(&format!("x-{i}"), "y".repeat(40)));
        let (request, _) = ask.as_http2(airgate.address()).unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        let refused = answer.await.map(|answer| answer.status().as_u16());
        assert!(refused.as_ref().map_or(true, |status| *status == 431), "{refused:?}");
    });
    assert_eq!(upstream.seen().len(), 0);
    assert_eq!(Client::default().send_http2(&good(), airgate.address()).unwrap().unwrap().status, 200);
}

/// A stop tells clients of HTTP/2 (GOAWAY), answers what was asked, and does not wait for idle connections.
#[test]
fn a_stop_ends_connections_of_http2_with_their_last_answer() {
    let upstream = Upstream::by_hand(|_, wire| {
        use std::io::Write;
        std::thread::sleep(Duration::from_millis(300));
        let _ = wire.get_mut().write_all(&answer(200, &[], "{\"late\": true}"));
    });
    let mut airgate = start(&upstream, ONE);
    let (request, _) = good().as_http2(airgate.address()).unwrap();
    within(async {
        let _idle = Client::default().http2(airgate.address()).await.unwrap();
        let mut sender = Client::default().http2(airgate.address()).await.unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        let stop = async {
            while upstream.seen().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            airgate.signal("TERM");
        };
        let (answer, ()) = tokio::join!(answer, stop);
        assert_eq!(answer.unwrap().status(), 200);
    });
    assert!(airgate.wait().success());
    assert!(airgate.log().contains("drained"), "{}", airgate.log());
}

/// Another airgate stands for an Airflow with TLS.
#[test]
fn an_upstream_with_tls_has_the_right_certificate_or_gets_nothing() {
    let airflow = Upstream::start();
    let secured = start(&airflow, ONE);
    let port = secured.address().port();
    for (name, host, more, status) in [
        ("its authority", "127.0.0.1", "ca_file = \"ca.pem\"\n", 200),
        ("by its name", "localhost", "ca_file = \"ca.pem\"\n", 200),
        (
            "another of its names",
            "127.0.0.1",
            "ca_file = \"ca.pem\"\nserver_name = \"airflow.example.com\"\n",
            200,
        ),
        (
            "none of its names",
            "127.0.0.1",
            "ca_file = \"ca.pem\"\nserver_name = \"other.example.com\"\n",
            502,
        ),
        ("another authority", "127.0.0.1", "ca_file = \"other.pem\"\n", 502),
        ("the system's authorities", "127.0.0.1", "", 502),
    ] {
        airflow.forget();
        let gate = Airgate::with(format!(
            "[upstream]\nurl = \"https://{host}:{port}\"\n{more}[api_auth]\njwt_secret = \"{SECRET}\"\n"
        ))
        .file("ca.pem", read("ca.pem"))
        .file("other.pem", read("client.pem"))
        .start();
        assert_eq!(gate.send(good()).status, status, "{name}: {}", gate.log());
        let came = airflow.seen().iter().any(|seen| seen.target == "/api/v2/config");
        assert_eq!(came, status == 200, "{name}");
    }
}
