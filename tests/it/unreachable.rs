//! What is said of an Airflow that does not answer: what was asked and what came back, on `/readyz`, on the status
//! page, and in one line of the log.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::token::{self, SECRET};
use crate::support::upstream::{Closed, Seen, answer, pass_on};
use crate::support::{Airgate, Upstream, airflow, get, post, tls};

/// What is told of the first address or name.
fn cause(gate: &Airgate) -> String {
    gate.admin("/readyz").json()["upstreams"][0]["cause"].as_str().unwrap_or_default().to_owned()
}

/// The same everywhere; the log has it once.
#[track_caller]
fn everywhere(name: &str, gate: &Airgate, expected: &str) {
    gate.until(name, |gate| cause(gate).starts_with(expected));
    let told = cause(gate);
    let line = gate.logs("upstream is unhealthy");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["cause"]), (&json!("WARN"), &json!(told)), "{name}");
    let page = get("/").with("Host", "localhost").send(gate.admin_address()).text();
    assert!(page.contains(&told.replace('"', "&quot;")), "{name}: {page}");
    assert_eq!(gate.admin("/readyz").status, 503, "{name}");
}

#[test]
fn what_was_asked_and_what_came_back() {
    let closed = Closed::port();
    let at = |script: fn(&Seen) -> Vec<u8>| {
        let upstream = Upstream::answering(script);
        upstream.says(None);
        upstream
    };
    let ill = at(|_| answer(503, &[], "{}"));
    let other = at(|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec());
    let mute = Upstream::by_hand(|_, wire| drop(wire.read(&mut [0])));
    mute.says(None);
    for (name, url, expected) in [
        (
            "nobody listens",
            closed.url(),
            "GET /api/v2/monitor/health: cannot connect: Connection refused (os error 111)",
        ),
        ("an error", ill.url(), "GET /api/v2/monitor/health: answered 503"),
        ("no answer", mute.url(), "GET /api/v2/monitor/health: no answer in time"),
        ("not HTTP", other.url(), "GET /api/v2/monitor/health: "),
    ] {
        let gate = Airgate::before(&url, "read_timeout = \"1s\"\n");
        everywhere(name, &gate, expected);
    }
}

/// One line at each change, whatever happens in between.
#[test]
fn each_change_is_told_once() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let gate = Airgate::before(&url, "");
    assert_eq!(
        gate.admin("/readyz").json()["upstreams"],
        json!([{"name": &url[7..], "healthy": true, "state": "up"}])
    );
    upstream.kill();
    let closed = Closed::at(url[7..].parse().unwrap());
    gate.until("it is down", |gate| cause(gate).contains("cannot connect"));
    let upstream = closed.open(|_| answer(200, &[], "{}"));
    gate.until("it is back", Airgate::is_ready);
    assert_eq!(cause(&gate), "");
    upstream.kill();
    gate.until("it is down again", |gate| cause(gate).contains("cannot connect"));
    gate.nth_log("upstream is unhealthy", 2);
    assert_eq!(gate.log().matches("upstream is unhealthy").count(), 2, "{}", gate.log());
    assert_eq!(gate.log().matches("upstream is healthy").count(), 1, "{}", gate.log());
}

/// A name without an address is there, with the cause; so is one beside another that serves.
#[test]
fn a_name_that_does_not_resolve() {
    let gate = Airgate::before("http://nowhere.invalid:8080", "");
    gate.until("it has been looked up", |gate| !cause(gate).is_empty());
    let told = gate.admin("/readyz").json();
    let upstream = &told["upstreams"][0];
    assert_eq!((&upstream["name"], &upstream["healthy"]), (&json!("nowhere.invalid:8080"), &json!(false)));
    assert!(cause(&gate).starts_with("cannot be resolved: "), "{told}");
    assert_eq!(gate.send(get("/api/v2/version").with("X-Request-ID", "lost")).status, 502);
    let line = gate.access("\"lost\"");
    let said = line["cause"].as_str().unwrap();
    assert!(said.contains("nowhere.invalid:8080: cannot be resolved: "), "{said}");
    let page = get("/").with("Host", "localhost").send(gate.admin_address()).text();
    assert!(
        page.contains("<code>nowhere.invalid:8080</code>") && page.contains(">cannot be resolved: "),
        "{page}"
    );
    assert_eq!(gate.metric("airgate_upstream_healthy{upstream=\"nowhere.invalid:8080\"}"), 0.0);

    let upstream = Upstream::start();
    let both = format!("[upstream]\nurl = [\"http://nowhere.invalid:8080\", \"{}\"]\n", upstream.url());
    let gate = Airgate::with(both).start();
    gate.until("the other serves", Airgate::is_ready);
    let told = gate.admin("/readyz").json();
    let upstreams = told["upstreams"].as_array().unwrap();
    assert_eq!(upstreams.len(), 2, "{told}");
    assert!(upstreams[1]["cause"].as_str().unwrap().starts_with("cannot be resolved: "), "{told}");
    // Looked up again each time while nobody answers, and told once.
    drop(upstream);
    gate.until("nobody answers", |gate| !gate.is_ready());
    assert_eq!(gate.log().matches("cannot resolve an upstream").count(), 1, "{}", gate.log());
}

/// A port where this is done with each connection.
fn port(serve: impl FnMut(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

/// Whether what comes begins a TLS handshake.
fn is_hello(wire: &mut TcpStream) -> bool {
    let mut first = [0; 4096];
    let read = wire.read(&mut first).unwrap_or_default();
    first[..read].starts_with(b"\x16\x03")
}

/// What is wrong with the certificate, and the option to look at; also where a password was to be asked of Airflow.
#[test]
fn certificates() {
    let airflow = Upstream::start();
    let secured = |certificate: &str| {
        let config = "[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n";
        Airgate::with(format!("[upstream]\nurl = \"{}\"\n{config}", airflow.url()))
            .file("tls.crt", tls::read(&format!("{certificate}.pem")))
            .file("tls.key", tls::read(&format!("{certificate}.key")))
            .start()
    };
    let (good, expired, authority) = (secured("airflow"), secured("expired"), secured("ca"));
    let [good, expired, authority] = [&good, &expired, &authority].map(|gate| gate.address().port());
    let plain = port(|mut wire| {
        let _ = wire.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = wire.read(&mut [0; 4096]);
    });
    for (name, port, more, told, advice) in [
        ("self-signed, or of an unknown authority", good, "", "UnknownIssuer", "see [upstream] ca_file"),
        (
            "another name",
            good,
            "ca_file = \"ca.pem\"\nserver_name = \"other.example.com\"\n",
            "certificate not valid for name \"other.example.com\"",
            "see [upstream] server_name",
        ),
        ("expired", expired, "ca_file = \"ca.pem\"\n", "certificate expired", "it has to be renewed"),
        ("an authority's", authority, "ca_file = \"ca.pem\"\n", "CaUsedAsEndEntity", "CA:TRUE"),
        ("no TLS", plain, "", "corrupt message", "http://"),
    ] {
        let gate = Airgate::with(format!(
            "[upstream]\nurl = \"https://127.0.0.1:{port}\"\n{more}[basic]\nsources = \"upstream\"\n\
             [api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"admin:admin\"\n"
        ))
        .file("ca.pem", tls::read("ca.pem"))
        .start();
        let expected = "GET /api/v2/monitor/health: cannot connect: the TLS handshake failed (";
        everywhere(name, &gate, expected);
        let at_log_in = || {
            assert_eq!(gate.send(get("/api/v2/pools").basic("admin", "admin")).status, 503, "{name}");
            let line = gate.access("\"status\":503");
            line["cause"].as_str().unwrap_or_default().to_owned()
        };
        for told_there in [cause(&gate), at_log_in()] {
            assert!(told_there.contains(told) && told_there.contains(advice), "{name}: {told_there}");
        }
    }
}

/// A port where something speaks TLS: what it answers to a plain request, if anything.
fn tls_with(plain: &'static [u8]) -> u16 {
    port(move |mut wire| {
        // A fatal alert: internal_error.
        let said = if is_hello(&mut wire) { b"\x15\x03\x03\x00\x02\x02\x50" } else { plain };
        let _ = wire.write_all(said);
    })
}

const ADVICE: &str = "TLS is spoken there: should [upstream] url begin with https://?";

/// A port where what begins a TLS handshake waits for ever. Then how many of those there were, and how many others.
fn hanging(plain: &'static [u8]) -> (u16, Arc<[AtomicUsize; 2]>) {
    let counts = Arc::<[AtomicUsize; 2]>::default();
    let its_counts = counts.clone();
    let mut waiting = Vec::new();
    let port = port(move |mut wire| {
        let is_hello = is_hello(&mut wire);
        if is_hello {
            waiting.push(wire);
        } else {
            let _ = wire.write_all(plain);
        }
        its_counts[usize::from(!is_hello)].fetch_add(1, Ordering::SeqCst);
    });
    (port, counts)
}

/// Whether TLS is spoken is asked once, and what does not tell changes nothing of what is known.
#[test]
fn a_handshake_that_hangs() {
    let answered = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (name, plain, expected, state) in [
        ("400", &answered[..], "GET /api/v2/monitor/health answered 400: is this an Airflow?", "degraded"),
        ("closed", b"", "GET /api/v2/monitor/health: ", "down"),
    ] {
        let (port, counts) = hanging(plain);
        let gate = Airgate::before(&format!("http://127.0.0.1:{port}"), "");
        gate.until(name, |gate| cause(gate).starts_with(expected));
        assert!(!cause(&gate).contains("no answer in time"), "{name}: {}", cause(&gate));
        let others = counts[1].load(Ordering::SeqCst);
        gate.until("it is asked again", |_| counts[1].load(Ordering::SeqCst) > others + 6);
        assert_eq!(counts[0].load(Ordering::SeqCst), 1, "{name}");
        assert_eq!(gate.admin("/readyz").json()["upstreams"][0]["state"], state, "{name}");
        assert!(cause(&gate).starts_with(expected), "{name}: {}", cause(&gate));
    }
}

/// `http://` where TLS is spoken: servers answer that with an alert, with nothing, or with 400.
#[test]
fn plain_http_to_tls() {
    let airflow = Upstream::start();
    let real = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n",
        airflow.url()
    ))
    .file("tls.crt", tls::read("airflow.pem"))
    .file("tls.key", tls::read("airflow.key"))
    .start();
    for (name, port) in [
        ("a real one", real.address().port()),
        ("an alert", tls_with(b"\x15\x03\x01\x00\x02\x02\x46")),
        ("nothing, as OpenSSL", tls_with(b"")),
    ] {
        let gate = Airgate::before(&format!("http://127.0.0.1:{port}"), "");
        let asked = "GET /api/v2/monitor/health: ";
        everywhere(name, &gate, asked);
        let told = cause(&gate);
        let first = told.strip_prefix(asked).and_then(|rest| rest.strip_suffix(ADVICE));
        assert!(first.is_some_and(|first| first.len() > 5), "{name}: advice, and the cause itself: {told}");
    }
    let port = tls_with(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let gate = Airgate::before(&format!("http://127.0.0.1:{port}"), "");
    let expected = format!("GET /api/v2/monitor/health answered 400: {ADVICE}");
    gate.until("400, as nginx", |gate| cause(gate) == expected);
}

/// What answers, and is no Airflow, gets requests, for something in between may hide the routes; and it is told.
#[test]
fn what_is_no_airflow() {
    let upstream = Upstream::answering(|_| answer(404, &[], "{}"));
    upstream.says(None);
    let gate = Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n"));
    let state = |gate: &Airgate| gate.admin("/readyz").json()["upstreams"][0]["state"].clone();
    gate.until("it is degraded", |gate| state(gate) == "degraded");
    let told = cause(&gate);
    for part in
        ["GET /api/v2/monitor/health answered 404: is this an Airflow? ", "[upstream] url", "forwarded"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(gate.is_ready());
    let name = &upstream.url()[7..];
    assert_eq!(gate.metric(&format!("airgate_upstream_degraded{{upstream=\"{name}\"}}")), 1.0);
    assert_eq!(gate.metric(&format!("airgate_upstream_healthy{{upstream=\"{name}\"}}")), 1.0);
    let page = get("/").with("Host", "localhost").send(gate.admin_address()).text();
    assert!(page.contains("<h2 class=fair>Ready, with faults</h2>") && page.contains(&told), "{page}");
    assert_eq!(gate.send(get("/api/v2/pools").bearer(&token::good("admin"))).status, 404);
    let line: serde_json::Value = serde_json::from_str(&gate.logs("upstream is degraded")).unwrap();
    assert_eq!((&line["level"], &line["cause"]), (&json!("WARN"), &json!(told)));

    // More of its checks, and no more lines.
    let before = upstream.seen().len();
    upstream.wait_for(before + 6);
    upstream.says(Some("3.3.2"));
    gate.until("it is an Airflow", |gate| state(gate) == "up");
    gate.logs("upstream is not degraded any more");
    let log = gate.log();
    assert_eq!(log.matches("upstream is degraded").count(), 1, "{log}");
    assert!(!log.contains("does not say which Airflow it is"), "{log}");

    let two = Upstream::start();
    two.says(Some("2.11.2"));
    let gate = Airgate::before(&two.url(), "airflow = 3\n");
    gate.until("another than is written", |gate| state(gate) == "degraded");
    assert!(cause(&gate).contains("is this an Airflow 3, as [upstream] airflow says?"), "{}", cause(&gate));
}

/// A web server that has a page for everything.
#[test]
fn a_page_is_no_airflow() {
    let upstream = Upstream::answering(|_| answer(200, &[("content-type", "text/html")], "<html>"));
    upstream.says(None);
    for airflow in ["", "airflow = 2\n", "airflow = 3\n"] {
        let gate = Airgate::before(&upstream.url(), airflow);
        gate.until(airflow, |gate| gate.admin("/readyz").json()["upstreams"][0]["state"] == "degraded");
        assert!(
            cause(&gate).contains("answered 200, but no JSON object: is this an Airflow"),
            "{}",
            cause(&gate)
        );
        assert!(gate.is_ready());
    }
}

/// Airflow 2 is below its base path alone, as its own `[webserver] base_url` says.
#[test]
fn an_airflow_2_with_a_base_path() {
    let upstream = Upstream::answering(|seen| match &*seen.target {
        "/airflow/api/v1/health" => answer(200, &[], "{}"),
        "/airflow/api/v1/version" => answer(200, &[], r#"{"version":"2.11.2"}"#),
        _ => answer(404, &[], "Apache Airflow is not at this location"),
    });
    upstream.says(None);
    for airflow in ["", "airflow = 2\n"] {
        let config = format!("{airflow}[api]\nbase_url = \"https://host/airflow\"\n");
        let gate = Airgate::before(&upstream.url(), &config);
        gate.until("it is known", |gate| gate.metric("airgate_upstream_airflow") == 2.0);
        let told = gate.admin("/readyz").json();
        assert_eq!(told["upstreams"][0]["state"], "up", "{airflow:?}: {told}");
    }
}

/// What never came from Airflow is no time of Airflow's.
#[test]
fn a_refused_connection_is_no_time_of_airflow() {
    let closed = Closed::port();
    let gate =
        Airgate::before(&closed.url(), &format!("airflow = 3\n[api_auth]\njwt_secret = \"{SECRET}\"\n"));
    let bearer = token::good("admin");
    for path in ["/api/v2/pools", "/api/v1/pools"] {
        assert_eq!(gate.send(get(path).bearer(&bearer)).status, 502, "{path}");
        let line = gate.access(&format!("\"path\":\"{path}\""));
        assert_eq!(line["refused"], "upstream_down", "{line}");
        assert!(line.get("upstream_ms").is_none() && line.get("first_byte_ms").is_none(), "{line}");
    }
    gate.counts("airgate_rejections_total{reason=\"upstream_down\"}", 2.0);
    let metrics = gate.admin("/metrics").text();
    assert!(!metrics.contains("airgate_upstream_duration_seconds_count"), "{metrics}");
}

/// What `/readyz` says of a backend.
fn backend(gate: &Airgate, name: &str) -> serde_json::Value {
    let told = gate.admin("/readyz").json();
    let backends = told["backends"].as_array().unwrap();
    backends.iter().find(|backend| backend["name"] == name).cloned().unwrap_or_default()
}

/// What `/readyz` says of what is signed here.
fn tokens(gate: &Airgate) -> serde_json::Value {
    backend(gate, "tokens")
}

/// A real Airflow judges the passwords, and is down at first. That it is back is known without a log-in; that its
/// token endpoint works again, by the next one, in whatever way. Checks of the gate's own are answered at once: on a
/// busy machine a real Airflow takes longer than they wait, and would be down again.
#[test]
fn passwords_that_airflow_judges() {
    let airflow = airflow::simple().address();
    let closed = Closed::port();
    let gate = Airgate::before(&closed.url(), "");
    let fares = || {
        let told = backend(&gate, "basic_auth");
        let down = gate.metric("airgate_backend_health{backend=\"basic_auth\",state=\"down\"}");
        assert_eq!(down == 1.0, told["state"] == "down", "{told}");
        (told["state"].as_str().unwrap().to_owned(), told["cause"].as_str().unwrap_or_default().to_owned())
    };
    let basic = || gate.send(get("/api/v2/pools").basic("admin", "admin-pw")).status;
    assert_eq!(basic(), 503);
    gate.until("it is down", |gate| !gate.is_ready());
    let (state, cause) = fares();
    assert_eq!(state, "down");
    assert!(
        cause.starts_with("upstream: GET /api/v2/monitor/health: ") && cause.contains("refused"),
        "{cause}"
    );

    let is_ill = Arc::new(AtomicBool::new(false));
    let _upstream = closed.open({
        let is_ill = is_ill.clone();
        move |seen| match &*seen.target {
            "/auth/token" if is_ill.load(Ordering::SeqCst) => answer(500, &[], "{}"),
            _ => pass_on(seen, airflow),
        }
    });
    gate.until("it is back", Airgate::is_ready);
    assert_eq!(fares(), ("up".to_owned(), String::new()));

    is_ill.store(true, Ordering::SeqCst);
    for state in ["degraded", "down"] {
        assert_eq!(basic(), 503);
        assert_eq!(fares(), (state.to_owned(), "upstream token endpoint: answered 500".to_owned()));
    }
    assert!(gate.is_ready());
    is_ill.store(false, Ordering::SeqCst);
    let issued = gate.send(post("/auth/token").json(json!({"username": "admin", "password": "admin-pw"})));
    assert_eq!(issued.status, 201);
    assert_eq!(fares(), ("up".to_owned(), String::new()));
}

/// Only log-ins break, at a worker that crashes or something in front of Airflow. It is told for as long as nothing
/// better is known; an outage of all of it explains it.
#[test]
fn log_ins_that_break_alone() {
    let breaks = Arc::new(AtomicBool::new(true));
    let script = {
        let breaks = breaks.clone();
        move |seen: &Seen| match &*seen.target {
            "/auth/token" if breaks.load(Ordering::SeqCst) => Vec::new(),
            "/auth/token" => answer(201, &[], r#"{"access_token":"a.b.c"}"#),
            _ => answer(200, &[], "{}"),
        }
    };
    let upstream = Upstream::answering(script.clone());
    let url = upstream.url();
    let gate = Airgate::before(&url, "[basic]\ncache_ttl = 0\n");
    gate.until("it is ready", Airgate::is_ready);
    let basic = || gate.send(get("/api/v2/pools").basic("admin", "admin")).status;
    let state = || backend(&gate, "basic_auth")["state"].clone();
    for (breaks_now, status, expected) in
        [(true, 503, "degraded"), (true, 503, "down"), (false, 200, "up"), (true, 503, "degraded")]
    {
        breaks.store(breaks_now, Ordering::SeqCst);
        assert_eq!(basic(), status);
        assert_eq!(state(), expected);
        assert!(gate.is_ready());
    }
    upstream.kill();
    gate.until("all of it is down", |gate| !gate.is_ready());
    assert_eq!(state(), "down");
    let _upstream = Closed::at(url[7..].parse().unwrap()).open(script);
    gate.until("it is back", Airgate::is_ready);
    assert_eq!(state(), "up");
}

/// Airflow closes a kept connection the moment a log-in arrives on it: that one is asked again on another.
#[test]
fn a_log_in_on_a_connection_that_is_just_closed() {
    let closed = Arc::new(AtomicUsize::new(0));
    let script = {
        let closed = closed.clone();
        let kept = Mutex::new(HashSet::new());
        move |seen: &Seen| {
            // The second request of each connection is read and not answered.
            if seen.target == "/auth/token" && !kept.lock().unwrap().insert(seen.connection) {
                closed.fetch_add(1, Ordering::SeqCst);
                return Vec::new();
            }
            answer(201, &[], r#"{"access_token":"a.b.c"}"#)
        }
    };
    let upstream = Upstream::answering(script);
    let gate = Airgate::before(&upstream.url(), "[basic]\ncache_ttl = 0\n[server]\nthreads = 1\n");
    gate.until("it is ready", Airgate::is_ready);
    for _ in 0..4 {
        assert_eq!(gate.send(get("/api/v2/pools").basic("admin", "admin")).status, 201);
        assert_eq!(backend(&gate, "basic_auth")["state"], "up");
    }
    assert_ne!(closed.load(Ordering::SeqCst), 0);
}

/// What broke off in the middle of its answer was answered: it is not asked again.
#[test]
fn a_log_in_whose_answer_breaks_off() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let upstream = Upstream::by_hand(move |seen, wire| {
        let good = answer(201, &[], r#"{"access_token":"a.b.c"}"#);
        if seen.target != "/auth/token" {
            return drop(wire.get_mut().write_all(&good));
        }
        let mut body = vec![0; seen.header("content-length").unwrap().parse().unwrap()];
        wire.read_exact(&mut body).unwrap();
        counted.fetch_add(1, Ordering::SeqCst);
        wire.get_mut().write_all(&good).unwrap();
        // The next one on this connection.
        let mut next = Vec::new();
        while !next.ends_with(b"}") {
            let mut part = [0; 1024];
            match wire.read(&mut part) {
                Ok(read @ 1..) => next.extend_from_slice(&part[..read]),
                Ok(_) | Err(_) => return,
            }
        }
        counted.fetch_add(1, Ordering::SeqCst);
        drop(wire.get_mut().write_all(b"HTTP/1.1 201 Cre"));
    });
    let gate = Airgate::before(&upstream.url(), "[basic]\ncache_ttl = 0\n[server]\nthreads = 1\n");
    gate.until("it is ready", Airgate::is_ready);
    let basic = || gate.send(get("/api/v2/pools").basic("admin", "admin")).status;
    let told: Vec<u16> = (0..4).map(|_| basic()).collect();
    assert!(told.contains(&503), "{told:?}");
    assert_eq!(asked.load(Ordering::SeqCst), told.len(), "{told:?}");
}

/// By real Airflows: a wrong key is known before anybody has asked for anything.
#[test]
fn a_key_that_is_not_airflows() {
    for (name, airflow) in
        [("simple", airflow::simple()), ("RS256", airflow::simple_rs256()), ("FAB", airflow::fab())]
    {
        let cfg = format!("[gate]\nairflow_cfg = \"{}\"\n", airflow.config().display());
        let good = Airgate::before(&airflow.url, &cfg);
        good.until(name, |gate| tokens(gate)["state"] == "up");
        let wrong = Airgate::with(format!(
            "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n",
            airflow.url
        ));
        let wrong = wrong.start();
        wrong.until(name, |gate| tokens(gate)["state"] == "down");
        let line = wrong.logs("Airflow refuses what is signed here");
        assert!(line.contains("\"WARN\"") && line.contains("[api_auth] jwt_secret"), "{name}: {line}");
        assert!(tokens(&wrong)["cause"].as_str().unwrap().contains("[api_auth] jwt_secret"), "{name}");
        assert!(wrong.is_ready(), "{name}: what needs no token of airgate's works");
        assert_eq!(wrong.metric("airgate_backend_health{backend=\"tokens\",state=\"down\"}"), 1.0, "{name}");
        assert!(!good.log().contains("signed here"), "{name}: {}", good.log());
    }
}

/// Asked again when Airflow has come back, for it may have another key; not on a reload that leaves the key as it is.
#[test]
fn a_key_that_becomes_airflows() {
    let key_is_known = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let script = {
        let (key_is_known, asked) = (key_is_known.clone(), asked.clone());
        move |seen: &Seen| match &*seen.target {
            "/api/v2/importErrors?limit=1" => {
                asked.fetch_add(1, Ordering::SeqCst);
                assert!(seen.header("authorization").is_some_and(|value| value.starts_with("Bearer ")));
                match key_is_known.load(Ordering::SeqCst) {
                    true => answer(401, &[], r#"{"detail":"Token Expired"}"#),
                    false => answer(403, &[], r#"{"detail":"Invalid JWT token"}"#),
                }
            }
            _ => answer(200, &[], r#"{"version":"3.3.2"}"#),
        }
    };
    let upstream = Upstream::answering(script.clone());
    upstream.says(None);
    let url = upstream.url();
    let gate = Airgate::before(&url, &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n"));
    gate.until("the key is refused", |gate| tokens(gate)["state"] == "down");
    gate.signal("HUP");
    gate.logs("configuration reloaded");
    assert_eq!(tokens(&gate)["state"], "down");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    upstream.kill();
    let closed = Closed::at(url[7..].parse().unwrap());
    gate.until("it is down", |gate| !gate.is_ready());
    key_is_known.store(true, Ordering::SeqCst);
    let upstream = closed.open(script);
    upstream.says(None);
    gate.until("the key is taken", |gate| tokens(gate)["state"] == "up");
    gate.logs("Airflow takes what is signed here");
    assert_eq!(gate.log().matches("Airflow refuses what is signed here").count(), 1, "{}", gate.log());
}

/// An Airflow that answers so to what is signed here, and how often it was asked.
fn judge(status: u16, body: &'static str) -> (Upstream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let its_asked = asked.clone();
    let upstream = Upstream::answering(move |seen: &Seen| match &*seen.target {
        "/api/v2/importErrors?limit=1" => {
            its_asked.fetch_add(1, Ordering::SeqCst);
            answer(status, &[], body)
        }
        _ => answer(200, &[], r#"{"version":"3.3.2"}"#),
    });
    upstream.says(None);
    (upstream, asked)
}

/// Each address is asked for itself, and what another thing answers in between says nothing of the key.
#[test]
fn a_key_that_one_of_several_has_not() {
    let (good, asked_good) = judge(401, r#"{"detail":"Token Expired"}"#);
    let (other, asked_other) = judge(404, r#"{"detail":"Not Found"}"#);
    let (bad, asked_bad) = judge(403, r#"{"detail":"Invalid JWT token"}"#);
    let gate = Airgate::with(format!(
        "[upstream]\nurl = [\"{}\", \"{}\", \"{}\"]\n[api_auth]\njwt_secret = \"{SECRET}\"\n",
        good.url(),
        other.url(),
        bad.url()
    ))
    .start();
    gate.until("one refuses", |gate| tokens(gate)["state"] == "down");
    let cause = tokens(&gate)["cause"].as_str().unwrap().to_owned();
    assert!(cause.contains(&format!("from {}):", &bad.url()[7..])), "{cause}");
    assert!(gate.logs("Airflow refuses what is signed here").contains(&bad.url()[7..]));
    for (name, asked) in [("good", &asked_good), ("other", &asked_other), ("bad", &asked_bad)] {
        gate.until(name, |_| asked.load(Ordering::SeqCst) == 1);
    }
}

/// What an address said counts while requests go there: one that is down keeps nobody's tokens down.
#[test]
fn a_key_that_an_address_refused_that_is_down_now() {
    let (good, _) = judge(401, r#"{"detail":"Token Expired"}"#);
    let (bad, _) = judge(403, r#"{"detail":"Invalid JWT token"}"#);
    let (url, other) = (good.url(), bad.url());
    let gate = Airgate::with(format!(
        "[upstream]\nurl = [\"{url}\", \"{other}\"]\n[api_auth]\njwt_secret = \"{SECRET}\"\n"
    ));
    let gate = gate.start();
    gate.until("one refuses", |gate| tokens(gate)["state"] == "down");
    bad.kill();
    gate.until("nobody refuses", |gate| tokens(gate)["state"] == "up");
    assert!(gate.is_ready());
}
