//! Bad input: each kind gets the answer it deserves, and nothing of it reaches Airflow.

use std::io::Write;
use std::net::{Shutdown, TcpListener};

use crate::support::token::{self, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Closed, Connection, Upstream, get, post};

const BEARER: &str = "Bearer realm=\"Airflow\"";
const INVALID: &str = "Bearer realm=\"Airflow\", error=\"invalid_token\"";
const BASIC: &str = "Basic realm=\"Airflow\", charset=\"UTF-8\"";

/// An Airflow that refuses every password.
fn refusing() -> Upstream {
    Upstream::answering(|seen| match seen.target.as_str() {
        "/auth/token" | "/auth/token/cli" => answer(401, &[], r#"{"detail":"Invalid credentials"}"#),
        _ => answer(200, &[], "{}"),
    })
}

fn with_secret() -> String {
    format!("[api_auth]\njwt_secret = \"{SECRET}\"\n")
}

// --- Authorization

/// Each row: name, the `Authorization` lines, status, detail, challenges.
type Row<'a> = (&'a str, Vec<Vec<u8>>, u16, &'a str, &'a [&'a str]);

#[test]
fn authorization_missing_empty_malformed_oversized_repeated() {
    let upstream = refusing();
    let airgate = Airgate::before(&upstream.url(), &with_secret());
    let line = |text: &str| vec![text.as_bytes().to_vec()];
    let (other, both) = (&[BEARER, BASIC][..], &[INVALID, BASIC][..]);
    let rows: Vec<Row<'_>> = vec![
        ("missing", vec![], 401, "Not authenticated", other),
        ("empty", line(""), 401, "Not authenticated", other),
        ("a scheme alone", line("Bearer"), 401, "Not authenticated", other),
        ("a scheme and a space", line("Basic "), 401, "Not authenticated", other),
        ("an unknown scheme", line("Token abc"), 401, "Not authenticated", other),
        ("no scheme", line("abc.def.ghi"), 401, "Not authenticated", other),
        ("Bearer, no token", line("Bearer abc"), 403, "Invalid JWT token", both),
        ("Bearer, a list", line("Bearer a.b.c, Bearer d.e.f"), 403, "Invalid JWT token", both),
        ("Bearer, no UTF-8", vec![b"Bearer \xff\xfe.\xff.\xff".to_vec()], 403, "Invalid JWT token", both),
        (
            "Bearer, unsigned",
            line("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."),
            403,
            "Invalid JWT token",
            both,
        ),
        (
            "Bearer, oversized",
            vec![[&b"Bearer "[..], &[b'a'; 60_000]].concat()],
            403,
            "Invalid JWT token",
            both,
        ),
        ("Basic, no base64", line("Basic *"), 401, "Basic credentials are not base64", other),
        ("Basic, no colon", line("Basic YWRtaW4="), 401, "Basic credentials have no colon", other),
        ("Basic, no UTF-8", line("Basic /zr/"), 401, "Basic credentials are not UTF-8", other),
        ("Basic, no name", line("Basic OnB3"), 401, "Basic credentials have an empty user name", other),
        (
            "Basic, no password",
            line("Basic YWRtaW46"),
            401,
            "Basic credentials have an empty password",
            other,
        ),
        (
            "Basic, NUL in the password",
            line("Basic YTpiAGM="),
            401,
            "Basic credentials have a control character",
            other,
        ),
        (
            "Basic, oversized",
            vec![[&b"Basic "[..], &[b'A'; 60_000]].concat()],
            401,
            "Basic credentials are too long",
            other,
        ),
        (
            "repeated",
            [line("Bearer a.b.c"), line("Bearer a.b.c")].concat(),
            400,
            "More than one Authorization header",
            &[],
        ),
        (
            "repeated, one empty",
            [line(""), line("Basic YTpi")].concat(),
            400,
            "More than one Authorization header",
            &[],
        ),
    ];
    for (name, lines, status, detail, challenges) in rows {
        let ask = lines.iter().fold(get("/api/v2/dags"), |ask, line| ask.with("Authorization", line));
        let answer = airgate.send(ask);
        assert_eq!((answer.status, answer.detail()), (status, detail.to_owned()), "{name}");
        assert_eq!(answer.all("www-authenticate"), challenges, "{name}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
        assert!(answer.header("x-request-id").is_some(), "{name}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[test]
fn a_control_character_in_a_header_is_refused() {
    let upstream = Upstream::start();
    let airgate = Airgate::before(&upstream.url(), "");
    for (name, value) in
        [("NUL", &b"Bearer a\0b"[..]), ("a carriage return", b"Bearer a\rb"), ("DEL", b"Bearer a\x7fb")]
    {
        let answer = airgate.send(get("/api/v2/dags").with("Authorization", value));
        assert_eq!(answer.status, 400, "{name}");
    }
    assert!(upstream.seen().is_empty());
}

// --- Bodies of the token endpoints

#[test]
fn token_bodies_of_the_wrong_kind() {
    let upstream = refusing();
    let airgate = Airgate::before(&upstream.url(), "[limits]\nmax_body = 1000\n");
    let long = format!(r#"{{"username":"admin","password":"{}"}}"#, "x".repeat(1000));
    let deep = "[".repeat(900);
    let rows: &[(&str, &str, &[u8], u16)] = &[
        ("empty", "application/json", b"", 422),
        ("not JSON", "application/json", b"username=admin", 422),
        ("half of it", "application/json", br#"{"username":"admin","#, 422),
        ("not UTF-8", "application/json", b"{\"username\":\"\xff\",\"password\":\"\xff\"}", 422),
        ("an array", "application/json", b"[]", 422),
        ("an array of what would do", "application/json", br#"[{"username":"a","password":"b"}]"#, 422),
        ("a string", "application/json", br#""admin""#, 422),
        ("a number", "application/json", b"7", 422),
        ("null", "application/json", b"null", 422),
        ("nothing in it", "application/json", b"{}", 422),
        ("of the wrong type", "application/json", br#"{"username":1,"password":["b"]}"#, 422),
        ("a password only", "application/json", br#"{"password":"b"}"#, 422),
        ("empty values", "application/json", br#"{"username":"","password":""}"#, 400),
        ("unknown fields", "application/json", br#"{"username":"a","password":"b","x":1}"#, 422),
        ("deep", "application/json", deep.as_bytes(), 422),
        ("too large", "application/json", long.as_bytes(), 413),
        ("another content type", "text/plain", br#"{"username":"a","password":"b"}"#, 415),
        ("a wrong password", "application/json", br#"{"username":"a","password":"b"}"#, 401),
    ];
    for (name, kind, body, status) in rows {
        let answer = airgate.send(post("/auth/token").with("Content-Type", kind).body(body));
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        assert!(!answer.json()["detail"].is_null(), "{name}");
        let stored = if *status == 413 { None } else { Some("no-store") };
        assert_eq!(answer.header("cache-control"), stored, "{name}");
    }
    // Only the last row was worth asking about.
    assert_eq!(upstream.only().target, "/auth/token");
}

#[test]
fn a_token_body_that_is_too_large_is_413_however_it_is_sent() {
    let upstream = Upstream::start();
    let airgate = Airgate::before(&upstream.url(), "[limits]\nmax_body = 1000\n");
    let too_large = |answer: Answer, name: &str| {
        assert_eq!(answer.told(), (413, r#"{"detail":"The request body is too large"}"#.into()), "{name}");
    };
    let declared = post("/auth/token").with("Content-Length", "1001");
    too_large(airgate.send(declared), "declared, nothing sent");
    too_large(airgate.send(post("/auth/token").body(vec![b' '; 2_000_000])), "sent");
    let chunked = post("/auth/token").with("Transfer-Encoding", "chunked");
    let chunks = format!("3e8\r\n{}\r\n1\r\n \r\n0\r\n\r\n", " ".repeat(1000));
    too_large(airgate.send(chunked.body(chunks)), "in chunks");
    airgate.counts("airgate_rejections_total{reason=\"large_body\"}", 3.0);
}

#[test]
fn a_token_body_that_comes_slowly_is_408() {
    let upstream = Upstream::start();
    let airgate = Airgate::before(&upstream.url(), "[limits]\nheader_timeout = \"1s\"\n");
    for body in ["", r#"{"username":"#] {
        let mut connection = Connection::open(airgate.address()).unwrap();
        let ask = post("/auth/token").with("Content-Length", "100").body(body);
        connection.write(&ask.bytes(airgate.address())).unwrap();
        let answer = connection.read("POST").unwrap();
        assert_eq!(answer.told(), (408, r#"{"detail":"The request body did not arrive in time"}"#.into()));
        assert!(connection.rest().is_empty(), "the connection is closed");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_token_body_harms_nobody() {
    let upstream = refusing();
    let airgate = Airgate::before(&upstream.url(), "");
    for how in [Shutdown::Write, Shutdown::Both] {
        let mut connection = Connection::open(airgate.address()).unwrap();
        let ask = post("/auth/token").with("Content-Length", "100").body("{");
        connection.write(&ask.bytes(airgate.address())).unwrap();
        connection.close(how);
        assert_eq!(airgate.access("broken_body")["route"], "/auth/token");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(airgate.send(get("/api/v2/dags")).status, 401);
}

// --- The upstream

/// Anything forwarded: no key is configured, so a Bearer is for the upstream to judge.
fn ask() -> Ask {
    get("/api/v2/dags").bearer("a.b.c")
}

#[test]
fn upstream_down_is_502_and_not_ready_and_comes_back_by_itself() {
    let closed = Closed::port();
    let airgate = Airgate::before(&closed.url(), "");
    airgate.until("the upstream is known to be down", |a| !a.is_ready());
    assert_eq!(airgate.admin("/readyz").json()["checks"]["upstream"], "failed");
    for method in [get("/api/v2/dags"), post("/api/v2/pools").body("{}")] {
        let answer = airgate.send(method.bearer("a.b.c"));
        assert_eq!(answer.told(), (502, r#"{"detail":"Airflow cannot be reached"}"#.into()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("x-request-id").is_some());
    }
    let basic = airgate.send(get("/api/v2/dags").basic("admin", "admin"));
    assert_eq!(basic.told(), (503, r#"{"detail":"Credentials cannot be checked at the moment"}"#.into()));
    assert!(basic.header("retry-after").is_some());

    let upstream = closed.open(|_| answer(200, &[], "{}"));
    airgate.until("the upstream is back", Airgate::is_ready);
    assert_eq!(airgate.send(ask()).status, 200);

    drop(upstream);
    airgate.until("the upstream is known to be down again", |a| !a.is_ready());
    assert_eq!(airgate.send(ask()).status, 502);
    let line = airgate.access("\"status\":502");
    assert_eq!(line["refused"], "upstream_down");
    assert!(line["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "the log has the cause: {line}");
}

#[test]
fn upstream_slow_is_504() {
    let upstream = Upstream::by_hand(|_, wire| {
        let _ = std::io::Read::read(wire, &mut [0]); // until the gate gives up
    });
    let airgate = Airgate::before(&upstream.url(), "read_timeout = \"1s\"\n");
    let answer = airgate.send(ask());
    assert_eq!(answer.told(), (504, r#"{"detail":"Airflow did not answer in time"}"#.into()));
    assert_eq!(upstream.seen().len(), 1, "not asked twice");
    assert_eq!(airgate.access("\"status\":504")["refused"], "upstream_slow");
    airgate.counts("airgate_rejections_total{reason=\"upstream_slow\"}", 1.0);
}

#[test]
fn upstream_that_takes_no_connection_is_504_after_connect_timeout() {
    // A listener that nobody accepts from, with its queue full: connecting hangs.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let _listener = socket.listen(0).unwrap();
    let _queued: Vec<_> = (0..4)
        .map(|_| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let mut connecting = Box::pin(socket.connect(address));
            let _ = runtime.block_on(async {
                tokio::time::timeout(std::time::Duration::from_millis(50), &mut connecting).await
            });
            connecting
        })
        .collect();
    let airgate = Airgate::before(&format!("http://{address}"), "connect_timeout = \"1s\"\n");
    let answer = airgate.send(ask());
    assert_eq!(answer.told(), (504, r#"{"detail":"Airflow did not answer in time"}"#.into()));
}

#[test]
fn upstream_that_closes() {
    for (name, sent, status) in [
        ("without a word", "", 502),
        ("in the status line", "HTTP/1.1 2", 502),
        ("in the head", "HTTP/1.1 200 OK\r\nContent-Le", 502),
        ("after what is not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 502),
        ("after two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502),
    ] {
        let upstream = Upstream::by_hand(move |_, wire| wire.get_mut().write_all(sent.as_bytes()).unwrap());
        let airgate = Airgate::before(&upstream.url(), "");
        let answer = airgate.send(ask());
        assert_eq!(answer.told(), (status, r#"{"detail":"Airflow cannot be reached"}"#.into()), "{name}");
        assert_eq!(airgate.access("\"status\":502")["refused"], "upstream_down", "{name}");
    }
}

/// The client is told, though it is still sending a body that nobody takes.
#[test]
fn upstream_down_is_told_to_who_sends_a_large_body() {
    let closed = Closed::port();
    let airgate = Airgate::before(&closed.url(), "");
    for _ in 0..5 {
        let answer = airgate.send(post("/api/v2/pools").bearer("a.b.c").body(vec![b'x'; 4_000_000]));
        assert_eq!(answer.status, 502);
    }
}

/// The client must not take half an answer for a whole one.
#[test]
fn upstream_closing_in_the_middle_of_a_body_breaks_the_answer() {
    for (name, head) in [
        ("declared", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        ("in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ] {
        let upstream = Upstream::by_hand(move |_, wire| wire.get_mut().write_all(head.as_bytes()).unwrap());
        let airgate = Airgate::before(&upstream.url(), "");
        let broken = ask().try_send(airgate.address());
        assert!(broken.is_err(), "{name}: {broken:?}");
        let line = airgate.access("\"status\":200");
        assert_eq!(line["refused"], "upstream_down", "{name}");
        assert_eq!(upstream.seen().len(), 1, "{name}: not asked twice");
    }
}

// --- Starting and reloading

#[test]
fn a_configuration_with_five_mistakes_has_five_errors() {
    let config = "\
[server]
lisen = \"127.0.0.1:8081\"
[upstream]
url = \"ftp://airflow\"
[api]
maximum_page_limit = 0
auth_backends = \"jwt, magic\"
[limits]
max_headers = \"many\"
";
    let (code, log) = Airgate::with(config).fails();
    assert_eq!(code, Some(1), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = [
        ("airgate.toml:2", "lisen", "listen"),
        ("airgate.toml:4", "url", "ftp"),
        ("airgate.toml:6", "maximum_page_limit", "0"),
        ("airgate.toml:7", "auth_backends", "magic"),
        ("airgate.toml:9", "max_headers", "many"),
    ];
    assert_eq!(errors.len(), expected.len(), "{log}");
    for (place, key, what) in expected {
        assert!(
            errors.iter().any(|e| e.contains(place) && e.contains(key) && e.contains(what)),
            "{place} {key} {what}:\n{log}"
        );
    }
    assert!(log.contains("airgate: the configuration has 5 errors"), "{log}");
}

#[test]
fn a_key_file_that_is_missing_empty_or_of_the_wrong_kind() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jwt/");
    let file = |name: &str| Some(std::fs::read(format!("{root}{name}")).unwrap());
    for (name, content, words) in [
        ("missing", None, "not found"),
        ("empty", Some(Vec::new()), "is empty"),
        ("not PEM", Some(b"secret".to_vec()), "is not a PEM file"),
        ("a certificate", file("certificate.pem"), "`CERTIFICATE` where a private key is needed"),
        ("a public key", file("public.pem"), "`PUBLIC KEY` where a private key is needed"),
        ("encrypted", file("encrypted.pem"), "is encrypted"),
        ("of OpenSSH", file("openssh.pem"), "is in the format of OpenSSH"),
        ("too short", file("rsa-1024.pem"), "RSA of 2048 to 8192 bits"),
        ("cut short", file("rsa.pem").map(|pem| pem[..pem.len() / 2].to_vec()), "PEM"),
    ] {
        let setup = Airgate::with("[api_auth]\njwt_private_key_path = \"key.pem\"\n");
        let setup = match content {
            Some(content) => setup.file("key.pem", content),
            None => setup,
        };
        let (code, log) = setup.fails();
        assert_eq!(code, Some(1), "{name}: {log}");
        assert!(log.contains("airgate.toml:2") && log.contains("key.pem"), "{name}: names the place: {log}");
        assert!(log.contains(words), "{name}: {log}");
        assert!(log.contains("the configuration has 1 error"), "{name}: {log}");
    }
}

#[test]
fn a_users_file_that_is_missing_or_malformed() {
    for (name, content, words) in [
        ("missing", None, "no such file"),
        ("empty", Some(""), "holds no user"),
        ("a weak hash", Some("admin:$apr1$salt$hash\n"), "is too weak"),
        ("no hash at all", Some("admin\n"), "users"),
    ] {
        let setup = Airgate::with(format!(
            "[basic]\nsources = \"file\"\nusers_file = \"users\"\n{}\
             [core]\nsimple_auth_manager_users = \"admin:admin\"\n",
            with_secret()
        ));
        let setup = match content {
            Some(content) => setup.file("users", content),
            None => setup,
        };
        let (code, log) = setup.fails();
        assert_eq!(code, Some(1), "{name}: {log}");
        assert!(log.contains("airgate.toml:3") && log.contains(words), "{name}: {log}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for option in ["server.listen", "admin.listen"] {
        let (code, log) = Airgate::with("").arg("--set").arg(&format!("{option}={address}")).fails();
        assert_eq!(code, Some(1), "{option}: {log}");
        assert!(log.contains(&format!("{address} is in use")), "{option}: {log}");
    }
}

#[test]
fn a_reload_with_a_broken_file_changes_nothing_and_says_so() {
    let upstream = Upstream::start();
    let config = format!("[upstream]\nurl = \"{}\"\n[gate]\nother_routes = \"ui\"\n", upstream.url());
    let airgate = Airgate::with(config.as_str()).start();
    assert_eq!(airgate.send(get("/home")).status, 200);

    std::fs::write(airgate.config(), "[gate]\nother_routes = \"deny\"\nother = \n").unwrap();
    airgate.signal("HUP");
    let line = airgate.logs("the old one stays in force");
    assert!(line.contains("airgate.toml:3") && line.contains("ERROR"), "{line}");
    assert_eq!(airgate.send(get("/home")).status, 200, "the old configuration serves");
    airgate.until("it is counted", |a| a.metric("airgate_config_reloads_total{result=\"failure\"}") >= 1.0);
    airgate.counts("airgate_config_last_reload_successful", 0.0);
    let ready = airgate.admin("/readyz");
    assert_eq!(
        (ready.status, ready.json()["checks"]["configuration"].clone()),
        (200, "reload_failed".into())
    );

    std::fs::write(airgate.config(), config.replace("\"ui\"", "\"deny\"")).unwrap();
    airgate.signal("HUP");
    airgate.logs("configuration reloaded");
    assert_eq!(airgate.send(get("/home")).status, 404, "the new configuration serves");
    airgate.counts("airgate_config_last_reload_successful", 1.0);
    assert_eq!(airgate.admin("/readyz").json()["checks"]["configuration"], "ok");
}

#[test]
fn a_reload_with_a_key_file_that_is_gone_keeps_the_key() {
    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = {{ file = \"secret\" }}\n",
        upstream.url()
    );
    let airgate = Airgate::with(config).file("secret", SECRET).start();
    let ask = || get("/api/v2/dags").bearer(&token::good("admin"));
    assert_eq!(airgate.send(ask()).status, 200);
    std::fs::remove_file(airgate.home().join("secret")).unwrap();
    airgate.signal("HUP");
    airgate.logs("the old one stays in force");
    assert_eq!(airgate.send(ask()).status, 200);
}
