//! HTTP/1 as it comes over the wire: what is malformed, ambiguous, slow, large or cut short must
//! neither confuse gate and Airflow about where a request ends, nor hold a connection for ever.

use std::io::{BufRead, Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::token::{self, SECRET};
use crate::support::upstream::{Seen, Wire, answer, body};
use crate::support::{Airgate, Answer, Ask, Connection, Upstream, get, head, post};

/// In front of this upstream, with a shared secret, so that the gate judges every token itself.
fn before(upstream: &Upstream, config: &str) -> Airgate {
    Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n{config}"))
}

fn connect(airgate: &Airgate) -> Connection {
    Connection::open(airgate.address()).unwrap()
}

/// Sends these bytes on a connection of their own.
fn say(airgate: &Airgate, bytes: impl AsRef<[u8]>) -> Connection {
    let mut connection = connect(airgate);
    connection.write(bytes.as_ref()).unwrap();
    connection
}

/// The head of a request with a good token, up to the blank line.
fn good_head(line: &str) -> String {
    format!("{line}\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n", token::good("admin"))
}

// --- Where a request ends

/// The second request of each row is smuggled: it hides in what the first one calls its body, or
/// comes after it. Only what stands outside of a body may be taken for a request.
const SMUGGLED: &str = "GET /api/v2/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn an_unread_body_is_never_taken_for_the_next_request() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let length = SMUGGLED.len();
    for (name, first, status) in [
        (
            "401 with a body",
            format!("POST /api/v2/pools HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"),
            401,
        ),
        (
            "404 with a body",
            format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"),
            404,
        ),
        (
            "401 with chunks",
            format!(
                "POST /api/v2/pools HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
            ),
            401,
        ),
        (
            "a GET with a body",
            format!("GET /api/v2/dags HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"),
            401,
        ),
        (
            "a preflight with a body",
            format!("OPTIONS /api/v2/dags HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"),
            401,
        ),
        (
            "the client waits to be told to go on",
            format!(
                "POST /api/v2/pools HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
            ),
            401,
        ),
    ] {
        let mut connection = say(&airgate, format!("{first}{SMUGGLED}"));
        assert_eq!(connection.read("POST").unwrap().status, status, "{name}");
        // What follows, if the connection is kept, is an answer to this and to nothing else.
        let _ = connection.write(get("/api/v2/next").bytes(airgate.address()).as_slice());
        let rest = String::from_utf8_lossy(&connection.rest_of_answers()).into_owned();
        assert!(rest.matches("HTTP/1.1").count() <= 1, "{name}: {rest}");
    }
    let routes = airgate.everything();
    assert!(!routes.contains("smuggled"), "{routes}");
    assert!(upstream.seen().is_empty());
}

#[test]
fn an_early_answer_to_a_small_body_keeps_the_connection() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let mut connection = connect(&airgate);
    for _ in 0..3 {
        connection.write(&post("/api/v2/pools").body("x".repeat(5000)).bytes(airgate.address())).unwrap();
        assert_eq!(connection.read("POST").unwrap().status, 401);
    }
}

/// The answer must arrive although the client is still sending: a connection that is closed with
/// bytes unread is reset, and the answer is lost.
#[test]
fn an_early_answer_to_a_large_body_arrives() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    for (name, ask, status) in [
        ("401", post("/api/v2/pools").body(vec![b'x'; 4_000_000]), 401),
        (
            "401 to chunks",
            post("/api/v2/pools")
                .with("Transfer-Encoding", "chunked")
                .body([b"3d0900\r\n", &vec![b'x'; 4_000_000][..], b"\r\n0\r\n\r\n"].concat()),
            401,
        ),
        (
            "401 to who closes",
            post("/api/v2/pools").with("Connection", "close").body(vec![b'x'; 4_000_000]),
            401,
        ),
        ("413", post("/auth/token").body(vec![b' '; 4_000_000]), 413),
    ] {
        for _ in 0..5 {
            assert_eq!(airgate.send(ask.clone()).status, status, "{name}");
        }
    }
}

#[test]
fn ambiguous_framing_is_refused_and_closes_the_connection() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let hidden = "0\r\n\r\nGET /api/v2/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = hidden.len();
    let both = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n");
    let rows: Vec<(&str, &str, String)> = vec![
        ("Content-Length with Transfer-Encoding", "1.1", both),
        ("in the other order", "1.1", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")),
        ("Transfer-Encoding in HTTP/1.0", "1.0", "Transfer-Encoding: chunked\r\n".into()),
        ("HTTP/1.0 with both", "1.0", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")),
        ("a list of codings", "1.1", "Transfer-Encoding: gzip, chunked\r\n".into()),
        ("chunked, then another", "1.1", "Transfer-Encoding: chunked, identity\r\n".into()),
        ("chunked twice in a list", "1.1", "Transfer-Encoding: chunked, chunked\r\n".into()),
        ("chunked twice", "1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".into()),
        ("identity", "1.1", "Transfer-Encoding: identity\r\n".into()),
        ("an unknown coding", "1.1", "Transfer-Encoding: xchunked\r\n".into()),
        ("an empty coding", "1.1", "Transfer-Encoding:\r\n".into()),
        ("quoted", "1.1", "Transfer-Encoding: \"chunked\"\r\n".into()),
        ("a vertical tab", "1.1", "Transfer-Encoding: \x0bchunked\r\n".into()),
        ("a space before the colon", "1.1", "Transfer-Encoding : chunked\r\n".into()),
        ("a folded line", "1.1", "Transfer-Encoding:\r\n chunked\r\n".into()),
        (
            "a folded line after a length",
            "1.1",
            format!("Content-Length: {length}\r\n Transfer-Encoding: chunked\r\n"),
        ),
        ("the same length twice", "1.1", format!("Content-Length: {length}\r\nContent-Length: {length}\r\n")),
        ("the same length twice in a list", "1.1", format!("Content-Length: {length}, {length}\r\n")),
        ("two lengths", "1.1", format!("Content-Length: {length}\r\nContent-Length: 0\r\n")),
        ("two lengths in a list", "1.1", format!("Content-Length: {length}, 0\r\n")),
        ("a length with a sign", "1.1", format!("Content-Length: +{length}\r\n")),
        ("a negative length", "1.1", "Content-Length: -1\r\n".into()),
        ("a hexadecimal length", "1.1", "Content-Length: 0x10\r\n".into()),
        ("a length beyond 64 bits", "1.1", "Content-Length: 18446744073709551617\r\n".into()),
        ("no length at all", "1.1", "Content-Length: \r\n".into()),
        ("a length with a space inside", "1.1", "Content-Length: 1 0\r\n".into()),
        (
            "a length under another name",
            "1.1",
            format!("Content-Length: {length}\r\nContent\u{2d}Length\0: 0\r\n"),
        ),
    ];
    for (name, version, framing) in rows {
        let head = good_head(&format!("POST /api/v2/pools HTTP/{version}"));
        let mut connection = say(&airgate, format!("{head}{framing}\r\n{hidden}"));
        let answer = connection.read("POST").unwrap();
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        let rest = connection.rest();
        assert!(rest.is_empty(), "{name}: {}", String::from_utf8_lossy(&rest));
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[test]
fn what_is_clear_is_passed_on() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    for (name, framing, body) in [
        ("a length", "Content-Length: 5\r\n", "hello"),
        ("chunks", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("chunks in any case", "transfer-encoding: CHUNKED\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ("chunks with extensions", "Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("chunks with a trailer", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"),
    ] {
        upstream.forget();
        let head = good_head("POST /api/v2/pools HTTP/1.1");
        let mut connection = say(&airgate, format!("{head}{framing}\r\n{body}"));
        assert_eq!(connection.read("POST").unwrap().status, 200, "{name}");
        let seen = upstream.only();
        assert_eq!(seen.body, b"hello", "{name}");
        let (lengths, codings) = (seen.all("content-length"), seen.all("transfer-encoding"));
        assert_eq!(lengths.len() + codings.len(), 1, "{name}: framed once: {seen:?}");
        assert!(seen.header("x-a").is_none(), "{name}");
    }
}

#[test]
fn chunks_that_are_malformed_do_not_reach_airflow_whole() {
    for (name, chunks) in [
        ("no number", "x\r\nhello\r\n0\r\n\r\n"),
        ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a negative number", "-5\r\nhello\r\n0\r\n\r\n"),
        ("beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("longer than it says", "4\r\nhello\r\n0\r\n\r\n"),
        ("shorter than it says", "6\r\nhello\r\n0\r\n\r\n"),
        ("cut short", "5\r\nhel"),
    ] {
        let (told, whole) = mpsc::channel();
        let upstream = Upstream::by_hand(move |seen, wire| {
            let body = body(seen, wire);
            let _ = told.send(body.is_some());
            if body.is_some() {
                let _ = wire.get_mut().write_all(&answer(200, &[], "{}"));
            }
        });
        let airgate = before(&upstream, "");
        let head = good_head("POST /api/v2/pools HTTP/1.1");
        let mut connection = say(&airgate, format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
        connection.close(Shutdown::Write);
        let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{name}: {rest}");
        drop(airgate);
        drop(upstream);
        assert!(whole.iter().all(|whole| !whole), "{name}");
    }
}

#[test]
fn upgrade_is_not_passed_on_and_what_follows_is_a_request_of_its_own() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    for (name, headers) in [
        (
            "websocket",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        ),
        (
            "h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        ),
        ("whatever", "Connection: upgrade\r\nUpgrade: foo\r\n"),
    ] {
        upstream.forget();
        let head = good_head("GET /api/v2/config HTTP/1.1");
        // What is smuggled has no credential: if it is looked at at all, it is refused.
        let mut connection = say(&airgate, format!("{head}{headers}\r\n{SMUGGLED}"));
        assert_eq!(connection.read("GET").unwrap().status, 200, "{name}");
        let rest = String::from_utf8_lossy(&connection.rest_of_answers()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 401 "), "{name}: {rest}");
        let seen = upstream.only();
        assert_eq!(seen.target, "/api/v2/config", "{name}");
        for gone in ["upgrade", "http2-settings"] {
            assert!(seen.header(gone).is_none(), "{name}: {seen:?}");
        }
    }
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_no_tunnel() {
    let upstream = Upstream::by_hand(|_, wire| {
        let _ = wire
            .get_mut()
            .write_all(b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nraw");
        let _ = wire.read(&mut [0; 64]);
    });
    let airgate = before(&upstream, "");
    let head = good_head("GET /api/v2/dags HTTP/1.1");
    let mut connection = say(&airgate, format!("{head}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n"));
    let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(!rest.contains("101") && !rest.contains("raw"), "{rest}");
}

#[test]
fn connect_and_other_tunnels_are_refused() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[gate]\nother_routes = \"all\"\n");
    for line in ["CONNECT localhost:80 HTTP/1.1", "CONNECT /api/v2/dags HTTP/1.1"] {
        let mut connection = say(&airgate, format!("{}\r\n{SMUGGLED}", good_head(line)));
        let answer = connection.read("CONNECT").unwrap();
        assert!(matches!(answer.status, 400 | 405), "{line}: {answer:?}");
        let detail = match answer.status {
            405 => "Method Not Allowed",
            _ => "The request's head is malformed",
        };
        assert_eq!(answer.json(), json!({ "detail": detail }), "{line}");
        assert!(connection.rest().is_empty(), "{line}");
    }
    assert!(upstream.seen().is_empty());
    airgate.counts("airgate_connections_rejected_total{reason=\"bad_head\"}", 2.0);
}

#[test]
fn malformed_heads_are_refused_and_counted() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let rows: &[(&str, &[u8])] = &[
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
        ("no target", b"GET\r\n\r\n"),
        ("no version", b"GET /api/v2/dags\r\n\r\n"),
        ("an unknown version", b"GET /api/v2/dags HTTP/3.0\r\nHost: a\r\n\r\n"),
        ("lower case", b"GET /api/v2/dags http/1.1\r\nHost: a\r\n\r\n"),
        ("a word more", b"GET /api/v2/dags HTTP/1.1 x\r\nHost: a\r\n\r\n"),
        ("no colon", b"GET /api/v2/dags HTTP/1.1\r\nHost a\r\n\r\n"),
        ("an empty name", b"GET /api/v2/dags HTTP/1.1\r\n: a\r\n\r\n"),
        ("a space in a name", b"GET /api/v2/dags HTTP/1.1\r\nHo st: a\r\n\r\n"),
        ("a control in a name", b"GET /api/v2/dags HTTP/1.1\r\nHo\x01st: a\r\n\r\n"),
        ("two hosts", b"GET /api/v2/dags HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];
    for (name, bytes) in rows {
        let mut connection = say(&airgate, bytes);
        let answer = connection.read("GET").unwrap();
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.json(), json!({ "detail": "The request's head is malformed" }), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
        assert!(answer.header("date").is_some() && answer.header("server").is_none(), "{name}");
        airgate.logs(answer.header("x-request-id").unwrap());
        assert!(connection.rest().is_empty(), "{name}");
    }
    assert!(upstream.seen().is_empty());
    airgate.counts("airgate_connections_rejected_total{reason=\"bad_head\"}", rows.len() as f64);
}

#[test]
fn a_head_that_is_too_large_is_refused_while_it_comes() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let bearer = token::good("admin");
    let head = |padding: usize| {
        format!(
            "GET /api/v2/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\nX-Pad: {}\r\n\r\n",
            "x".repeat(padding)
        )
    };
    assert_eq!(say(&airgate, head(100 << 10)).read("GET").unwrap().status, 200);
    // Its end is not waited for, and nobody has to have sent all of it.
    let endless = head(256 << 10);
    let mut connection = say(&airgate, &endless[..160 << 10]);
    let answer = connection.read("GET").unwrap();
    assert_eq!(answer.told(), (431, r#"{"detail":"The request's head is too large"}"#.into()));
    airgate.logs(answer.header("x-request-id").unwrap());
    airgate.counts("airgate_connections_rejected_total{reason=\"bad_head\"}", 1.0);
    assert_eq!(upstream.seen().len(), 1);
}

/// gunicorn makes `POST` of it: what is judged here must be what Airflow does.
#[test]
fn a_method_is_in_capitals() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let bearer = token::good("admin");
    for (method, status) in [("GET", 200), ("get", 400), ("POSt", 400), ("PURGE", 200)] {
        let head =
            format!("{method} /api/v2/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n");
        assert_eq!(say(&airgate, head).read("GET").unwrap().status, status, "{method}");
    }
    airgate.counts("airgate_rejections_total{reason=\"malformed_head\"}", 2.0);
}

#[test]
fn http_11_needs_a_host() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let bearer = token::good("admin");
    for (version, status) in [("1.1", 400), ("1.0", 200)] {
        let head = format!("GET /api/v2/config HTTP/{version}\r\nAuthorization: Bearer {bearer}\r\n\r\n");
        assert_eq!(say(&airgate, head).read("GET").unwrap().status, status, "{version}");
    }
}

#[test]
fn idle_connections_that_clients_close_are_not_counted_as_bad() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    drop(connect(&airgate));
    let mut kept = connect(&airgate);
    kept.write(&get("/api/v2/dags").bytes(airgate.address())).unwrap();
    kept.read("GET").unwrap();
    drop(kept);
    say(&airgate, "PRI\r\n\r\n").rest();
    airgate.counts("airgate_connections_rejected_total{reason=\"bad_head\"}", 1.0);
}

// --- Limits

#[test]
fn too_many_headers_are_431() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nmax_headers = 20\n");
    let with = |lines: usize| {
        let ask = get("/api/v2/dags").bearer(&token::good("admin")); // and Host
        airgate.send((2..lines).fold(ask, |ask, n| ask.with(&format!("X-{n}"), "a")))
    };
    assert_eq!(with(20).status, 200);
    let detail = r#"{"detail":"The request has too many header fields"}"#;
    assert_eq!(with(21).told(), (431, detail.into()));
    let repeated = (0..20).fold(get("/api/v2/dags"), |ask, _| ask.with("X-Same", "a"));
    assert_eq!(airgate.send(repeated).status, 431, "lines count, not names");
    airgate.counts("airgate_rejections_total{reason=\"too_many_headers\"}", 2.0);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_huge_head_is_refused() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    for (name, bytes) in [
        ("300 lines", format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(300))),
        ("a line of 2 MB", format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "b".repeat(2_000_000))),
        ("a target of 2 MB", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(2_000_000))),
        ("never ending", format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(500_000))),
    ] {
        let mut connection = connect(&airgate);
        let _ = connection.write(bytes.as_bytes()); // it may be closed before all is sent
        let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
        let refused = ["", "HTTP/1.1 400 ", "HTTP/1.1 414 ", "HTTP/1.1 431 "];
        assert!(refused.iter().any(|start| rest.starts_with(start)), "{name}: {rest}");
        assert!(!rest.starts_with("HTTP/1.1 2"), "{name}: {rest}");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(airgate.send(get("/api/v2/dags")).status, 401, "it still serves");
}

#[test]
fn a_slow_head_is_closed_and_counted() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    for (name, bytes) in
        [("nothing", ""), ("a line", "GET / HTTP/1.1\r\n"), ("no end", "GET / HTTP/1.1\r\nHost: a\r\n")]
    {
        let began = Instant::now();
        let rest = say(&airgate, bytes).rest();
        assert!(rest.is_empty(), "{name}");
        assert!(began.elapsed() >= Duration::from_millis(900), "{name}: {:?}", began.elapsed());
    }
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", 3.0);
}

/// One byte at a time: each is in time, all together are not.
#[test]
fn a_head_that_trickles_is_closed() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    let mut connection = say(&airgate, "GET / HTTP/1.1\r\nX: ");
    let began = Instant::now();
    while connection.write(b"a").is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "it goes on for ever");
        connection.wait(Duration::from_millis(100));
    }
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", 1.0);
}

/// Counted from its first byte, and not from the end of the time to be idle.
#[test]
fn a_slow_head_on_a_kept_connection_is_closed() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    let ask = get("/api/v2/dags").bearer(&token::good("admin")).bytes(airgate.address());
    let mut connection = connect(&airgate);
    connection.write(&ask).unwrap();
    assert_eq!(connection.read("GET").unwrap().status, 200);
    connection.write(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(connection.rest().is_empty());
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", 1.0);
}

/// The time of the connection's first head must not end a later one.
#[test]
fn a_head_in_two_pieces_has_time_of_its_own() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    let mut connection = connect(&airgate);
    let opened = Instant::now();
    // So that it is awaited, and its time begins.
    std::thread::sleep(Duration::from_millis(100));
    // Answered by the gate itself, which reads no further.
    connection.write(&get("/api/v2/dags").bytes(airgate.address())).unwrap();
    assert_eq!(connection.read("GET").unwrap().status, 401);
    std::thread::sleep(Duration::from_millis(1500).saturating_sub(opened.elapsed()));
    connection.write(b"GET /api/v2/dags HTTP/1.1\r\nHost: ").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    connection.write(b"localhost\r\n\r\n").unwrap();
    assert_eq!(connection.read("GET").unwrap().status, 401);
}

#[test]
fn the_admin_port_has_the_same_limits() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    let mut connection = Connection::open(airgate.admin_address()).unwrap();
    connection.write(b"GET /healthz HTTP/1.1\r\n").unwrap();
    assert!(connection.rest().is_empty());
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", 1.0);
}

#[test]
fn a_kept_connection_outlives_the_time_for_a_head() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nheader_timeout = \"1s\"\n");
    let ask = get("/api/v2/dags").bearer(&token::good("admin")).bytes(airgate.address());
    let mut connection = connect(&airgate);
    for _ in 0..3 {
        connection.write(&ask).unwrap();
        let answer = connection.read("GET").unwrap();
        assert_eq!(answer.status, 200);
        assert!(connection.wait(Duration::from_millis(1200)), "idle connections are not closed");
    }
    assert_eq!(airgate.metric("airgate_connections_rejected_total{reason=\"slow_head\"}"), 0.0);
}

#[test]
fn connections_are_limited() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nmax_connections = 2\n");
    let ask = get("/api/v2/dags").bytes(airgate.address());
    let mut kept: Vec<_> = (0..2).map(|_| connect(&airgate)).collect();
    for connection in &mut kept {
        connection.write(&ask).unwrap();
        assert_eq!(connection.read("GET").unwrap().status, 401);
    }
    assert!(connect(&airgate).rest().is_empty(), "one too many is closed");
    airgate.counts("airgate_connections_rejected_total{reason=\"too_many\"}", 1.0);
    kept.pop();
    airgate.until("there is room again", |a| get("/api/v2/dags").try_send(a.address()).is_ok());
}

#[test]
fn connections_of_one_address_are_limited() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[limits]\nmax_connections_per_address = 2\n");
    let mut kept: Vec<_> = (0..2).map(|_| connect(&airgate)).collect();
    let ask = get("/api/v2/dags").bytes(airgate.address());
    for connection in &mut kept {
        connection.write(&ask).unwrap();
        assert_eq!(connection.read("GET").unwrap().status, 401);
    }
    assert!(connect(&airgate).rest().is_empty(), "one too many is closed");
    airgate.counts("airgate_connections_rejected_total{reason=\"too_many_per_address\"}", 1.0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(airgate.address()).await.unwrap().into_std().unwrap()
    });
    other.set_nonblocking(false).unwrap();
    std::io::Write::write_all(&mut other, &ask).unwrap();
    let mut begin = [0; 12];
    std::io::Read::read_exact(&mut other, &mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 401", "another address has a share of its own");
    kept.pop();
    airgate.until("there is room again", |a| get("/api/v2/dags").try_send(a.address()).is_ok());
}

// --- Unix sockets

#[test]
fn clients_on_a_unix_socket_are_served_beside_others() {
    let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("airgate.sock");
    // Left behind by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut airgate = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{}\"\n",
        upstream.url(),
        token::SECRET
    ))
    .arg("--set")
    .arg(&format!("server.listen=127.0.0.1:0,unix:{}", path.display()))
    .arg("--set")
    .arg("server.drain_delay=1m")
    .start();
    let ask = get("/api/v2/config").bearer(&token::good("admin")).with("X-Forwarded-For", "6.6.6.6");
    let mut wire = std::os::unix::net::UnixStream::connect(&path).unwrap();
    for _ in 0..2 {
        upstream.forget();
        std::io::Write::write_all(&mut wire, &ask.bytes(airgate.address())).unwrap();
        let answer = crate::support::client::read_answer(&mut std::io::BufReader::new(&wire), "GET").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        // Nobody knows an address to tell Airflow, and what the client says is not one.
        assert_eq!(upstream.only().header("x-forwarded-for"), None);
        let line = airgate.access(answer.header("x-request-id").unwrap());
        assert!(line.get("peer").is_none(), "{line}");
    }
    assert_eq!(airgate.send(ask).status, 200);
    // While it still accepts connections, and even when it is told to leave at once.
    airgate.signal("TERM");
    airgate.logs("\"draining\"");
    assert!(path.exists());
    airgate.signal("TERM");
    assert!(airgate.wait().success());
    assert!(!path.exists(), "nobody can connect to it any more");
}

// --- Hop by hop

#[test]
fn what_connection_names_neither_strips_nor_smuggles_an_identity() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[core]\nsimple_auth_manager_users = \"admin:admin\"\n");
    for nominated in [
        "authorization",
        "Authorization, x-forwarded-for",
        "x-forwarded-for, x-forwarded-host, x-forwarded-proto",
        "x-request-id, traceparent",
        "cookie",
        "host",
        "content-length",
        "transfer-encoding",
        "close, authorization",
        "keep-alive, Authorization ",
        "\"authorization\"",
    ] {
        upstream.forget();
        let ask = post("/api/v2/pools")
            .bearer(&token::good("admin"))
            .with("Connection", nominated)
            .with("X-Forwarded-For", "6.6.6.6")
            .with("Remote-User", "root")
            .body("hello");
        let answer = airgate.send(ask);
        let Some(seen) = upstream.seen().into_iter().next() else {
            // Refused by Pingora, or without the credential that was for this hop alone.
            assert!(matches!(answer.status, 400 | 401), "{nominated}: {answer:?}");
            continue;
        };
        assert_eq!(seen.body, b"hello", "{nominated}");
        assert!(seen.header("connection").is_none(), "{nominated}: {seen:?}");
        assert!(seen.header("remote-user").is_none(), "{nominated}: {seen:?}");
        assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"], "{nominated}");
        assert_eq!(seen.all("x-forwarded-proto"), ["http"], "{nominated}");
        assert_eq!(seen.all("x-forwarded-host").len(), 1, "{nominated}");
        assert_eq!(seen.all("x-request-id").len(), 1, "{nominated}");
        assert_eq!(seen.all("traceparent").len(), 1, "{nominated}");
        assert_eq!(seen.all("host").len(), 1, "{nominated}");
        let bearer = seen.all("authorization");
        assert!(bearer.len() == 1 && bearer[0].starts_with("Bearer "), "{nominated}: {seen:?}");
    }
}

#[test]
fn headers_for_one_hop_stay_here() {
    let upstream = Upstream::answering(|_| {
        answer(200, &[("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"), ("X-Kept", "a")], "{}")
    });
    let airgate = before(&upstream, "");
    let ask = get("/api/v2/dags")
        .bearer(&token::good("admin"))
        .with("Connection", "keep-alive, x-hop")
        .with("X-Hop", "a")
        .with("Keep-Alive", "timeout=5")
        .with("TE", "trailers")
        .with("Proxy-Connection", "keep-alive");
    let answer = airgate.send(ask);
    assert_eq!(answer.header("x-kept"), Some("a"));
    let seen = upstream.only();
    for gone in ["x-hop", "keep-alive", "te", "proxy-connection", "connection"] {
        assert!(seen.header(gone).is_none(), "{gone}: {seen:?}");
    }
}

// --- Methods and forms

#[test]
fn head_has_the_headers_and_no_body() {
    let upstream = Upstream::answering(|seen| match seen.method.as_str() {
        "HEAD" => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\ncontent-type: application/json\r\n\r\n".to_vec()
        }
        _ => answer(200, &[], "{}"),
    });
    let airgate = before(&upstream, "");
    let mut connection = connect(&airgate);
    for (ask, status, length) in [
        (head("/api/v2/dags").bearer(&token::good("admin")), 200, Some("1234")),
        (head("/api/v2/dags"), 401, Some("30")),
        (head("/nowhere"), 404, None),
        (head("/auth/token"), 405, None),
    ] {
        connection.write(&ask.bytes(airgate.address())).unwrap();
        let answer = connection.read("HEAD").unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.header("content-length").is_some());
        if length.is_some() {
            assert_eq!(answer.header("content-length"), length, "{status}");
        }
    }
    connection.write(&get("/api/v2/dags").bytes(airgate.address())).unwrap();
    assert_eq!(connection.read("GET").unwrap().detail(), "Not authenticated", "the connection is in step");
}

/// A head may end without CR: what comes behind it is the next request, however the two were sent.
#[test]
fn heads_without_cr_lose_no_request() {
    let upstream = Upstream::answering(|seen| answer(200, &[("X-Target", &seen.target)], "{}"));
    let airgate = before(&upstream, "");
    let bearer = token::good("admin");
    let good =
        |n: u8| format!("GET /api/v2/dags/{n} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n");
    let bare = |line: &str, more: &str| {
        format!("{line} HTTP/1.1\nHost: a\nAuthorization: Bearer {bearer}\n{more}\n")
    };
    let rows = [
        ("another right behind it", bare("GET /api/v2/dags/1", "") + &good(2)),
        ("an end with a CR alone", bare("GET /api/v2/dags/1", "X-A: b\n\r") + &good(2)),
        (
            "a body that looks like an end",
            bare("POST /api/v2/dags/1", "Content-Length: 8\n") + "ab\r\n\r\ncd" + &good(2),
        ),
    ];
    for (name, first) in rows {
        let mut connection = say(&airgate, first);
        for (n, method) in [(1, "GET"), (2, "GET"), (3, "GET")] {
            if n == 3 {
                connection.write(good(3).as_bytes()).unwrap();
            }
            let answer = connection.read(method).unwrap_or_else(|error| panic!("{name}, {n}: {error}"));
            assert_eq!(answer.header("x-target"), Some(&*format!("/api/v2/dags/{n}")), "{name}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream =
        Upstream::answering(|seen| answer(200, &[], &format!("{{\"target\":\"{}\"}}", seen.target)));
    let airgate = before(&upstream, "");
    let good = |target: &str| get(target).bearer(&token::good("admin")).bytes(airgate.address());
    let requests = [
        good("/api/v2/dagSources/a"),
        get("/api/v2/pools").bytes(airgate.address()),
        post("/api/v2/pools").bearer(&token::good("admin")).body("{}").bytes(airgate.address()),
        post("/api/v2/pools").body("{}").bytes(airgate.address()),
        good("/api/v2/config"),
    ];
    let mut connection = say(&airgate, requests.concat());
    let mut read = || connection.read("GET").unwrap();
    assert_eq!(read().json()["target"], "/api/v2/dagSources/a");
    assert_eq!(read().status, 401);
    assert_eq!(read().json()["target"], "/api/v2/pools");
    assert_eq!(read().status, 401);
    assert_eq!(read().json()["target"], "/api/v2/config");
    let targets: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/api/v2/dagSources/a", "/api/v2/pools", "/api/v2/config"], "one after the other");
}

#[test]
fn expect_100_continue() {
    let upstream = Upstream::by_hand(|seen, wire| {
        if seen.header("expect").is_some() {
            let _ = wire.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let length = body(seen, wire).unwrap().len();
        let _ = wire.get_mut().write_all(&answer(200, &[], &length.to_string()));
    });
    let airgate = before(&upstream, "");
    let expect = |ask: Ask| ask.with("Expect", "100-continue").with("Content-Length", "5");

    // What is forwarded: Airflow's server says when to go on.
    let mut connection = connect(&airgate);
    connection
        .write(&expect(post("/api/v2/pools").bearer(&token::good("admin"))).bytes(airgate.address()))
        .unwrap();
    assert_eq!(connection.line(), "HTTP/1.1 100 Continue");
    assert_eq!(connection.line(), "");
    connection.write(b"hello").unwrap();
    assert_eq!(connection.read("POST").unwrap().told(), (200, "5".into()));

    // What is read here: the gate says so itself.
    let mut connection = connect(&airgate);
    connection.write(&expect(post("/auth/token")).bytes(airgate.address())).unwrap();
    assert_eq!(connection.line(), "HTTP/1.1 100 Continue");
    assert_eq!(connection.line(), "");
    connection.write(b"hello").unwrap();
    assert_eq!(connection.read("POST").unwrap().status, 422);

    // What is refused: the final answer at once, and no body is waited for.
    for (ask, status) in [(post("/api/v2/pools"), 401), (post("/nowhere"), 404)] {
        let mut connection = connect(&airgate);
        connection.write(&expect(ask).bytes(airgate.address())).unwrap();
        assert!(connection.line().starts_with(&format!("HTTP/1.1 {status} ")));
    }
    // A length that is too much is told before the client sends it.
    let mut connection = connect(&airgate);
    let ask = post("/auth/token").with("Expect", "100-continue").with("Content-Length", "100000000");
    connection.write(&ask.bytes(airgate.address())).unwrap();
    assert!(connection.line().starts_with("HTTP/1.1 413 "));
}

// --- Bodies stream

const MEGABYTES: usize = 20;

/// Airflow sees the first bytes of a body before the client has sent the last.
#[test]
fn a_large_request_body_streams() {
    for chunked in [false, true] {
        let (first, come) = mpsc::channel();
        let upstream = Upstream::by_hand(move |seen: &Seen, wire: &mut Wire| {
            wire.fill_buf().unwrap();
            first.send(()).unwrap();
            let length = body(seen, wire).map(|body| body.len()).unwrap_or_default();
            let _ = wire.get_mut().write_all(&answer(200, &[], &length.to_string()));
        });
        let airgate = before(&upstream, "[limits]\nmax_body = 1000\n");
        let ask = post("/api/v2/pools").bearer(&token::good("admin"));
        let total = MEGABYTES << 20;
        let ask = if chunked {
            ask.with("Transfer-Encoding", "chunked")
        } else {
            ask.with("Content-Length", total.to_string())
        };
        let mut connection = say(&airgate, ask.bytes(airgate.address()));
        let part = vec![b'x'; 1 << 20];
        for n in 0..MEGABYTES {
            if chunked {
                connection.write(b"100000\r\n").unwrap();
            }
            connection.write(&part).unwrap();
            if chunked {
                connection.write(b"\r\n").unwrap();
            }
            if n == 0 {
                come.recv_timeout(Duration::from_secs(20)).expect("the first bytes come at once");
            }
        }
        if chunked {
            connection.write(b"0\r\n\r\n").unwrap();
        }
        assert_eq!(connection.read("POST").unwrap().told(), (200, total.to_string()), "chunked: {chunked}");
        assert!(airgate.memory() < 100 << 20, "not held in memory: {} bytes", airgate.memory());
    }
}

/// The client sees the first bytes of an answer before Airflow has sent the last.
#[test]
fn a_large_answer_streams() {
    for chunked in [false, true] {
        let (go, gone) = mpsc::channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let upstream = Upstream::by_hand(move |_, wire| {
            let out = wire.get_mut();
            let framing = if chunked {
                "Transfer-Encoding: chunked".into()
            } else {
                format!("Content-Length: {}", MEGABYTES << 20)
            };
            out.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes()).unwrap();
            let part = vec![b'x'; 1 << 20];
            for n in 0..MEGABYTES {
                if chunked {
                    out.write_all(b"100000\r\n").unwrap();
                }
                out.write_all(&part).unwrap();
                if chunked {
                    out.write_all(b"\r\n").unwrap();
                }
                if n == 0 {
                    gone.lock()
                        .unwrap()
                        .recv_timeout(Duration::from_secs(20))
                        .expect("the client has seen them");
                }
            }
            if chunked {
                out.write_all(b"0\r\n\r\n").unwrap();
            }
        });
        let airgate = before(&upstream, "");
        let mut connection =
            say(&airgate, get("/api/v2/dags").bearer(&token::good("admin")).bytes(airgate.address()));
        while !connection.line().is_empty() {}
        connection.some();
        go.send(()).unwrap();
        let mut whole =
            say(&airgate, get("/api/v2/dags").bearer(&token::good("admin")).bytes(airgate.address()));
        go.send(()).unwrap();
        assert_eq!(whole.read("GET").unwrap().body.len(), MEGABYTES << 20, "chunked: {chunked}");
        assert!(airgate.memory() < 100 << 20, "not held in memory: {} bytes", airgate.memory());
    }
}

/// The log of a running task, say: each piece is passed on when it comes.
#[test]
fn an_answer_of_unknown_length_is_passed_on_piece_by_piece() {
    for (name, head, piece) in [
        ("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n"),
        ("until it closes", "HTTP/1.1 200 OK\r\n\r\n", "hello"),
    ] {
        let (go, gone) = mpsc::channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let upstream = Upstream::by_hand(move |_, wire| {
            wire.get_mut().write_all(head.as_bytes()).unwrap();
            for _ in 0..3 {
                let _ = gone.lock().unwrap().recv_timeout(Duration::from_secs(20));
                let _ = wire.get_mut().write_all(piece.as_bytes());
            }
            let _ = gone.lock().unwrap().recv_timeout(Duration::from_secs(20));
        });
        let airgate = before(&upstream, "");
        let ask = get("/api/v2/dags").bearer(&token::good("admin"));
        let mut connection = say(&airgate, ask.bytes(airgate.address()));
        while !connection.line().is_empty() {}
        for n in 0..3 {
            go.send(()).unwrap();
            let mut seen = [0; 10];
            connection.exactly(&mut seen);
            assert_eq!(String::from_utf8_lossy(&seen), "5\r\nhello\r\n", "{name}, {n}");
        }
        go.send(()).unwrap();
    }
}

/// Airflow answers before it has read the body.
#[test]
fn an_early_answer_of_airflow_reaches_a_client_that_still_sends() {
    let upstream = Upstream::by_hand(|_, wire| {
        let _ = wire.get_mut().write_all(&answer(403, &[], "{}"));
        let _ = wire.read_to_end(&mut Vec::new());
    });
    let airgate = before(&upstream, "");
    let ask = post("/api/v2/pools").bearer(&token::good("admin")).with("Content-Length", "1000000").body("x");
    let mut connection = say(&airgate, ask.bytes(airgate.address()));
    assert_eq!(connection.read("POST").unwrap().status, 403);
}

#[test]
fn one_end_of_a_chunked_body_is_sent_and_the_connection_stays_in_step() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[server]\nthreads = 1\n");
    for body in ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n"] {
        upstream.forget();
        let head = good_head("POST /api/v2/pools HTTP/1.1");
        let mut connection = connect(&airgate);
        for n in 0..3 {
            connection.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}").as_bytes()).unwrap();
            assert_eq!(connection.read("POST").unwrap().status, 200, "{body:?} {n}");
        }
        let seen = upstream.seen();
        assert_eq!(seen.len(), 3, "{body:?}: {seen:?}");
        assert!(seen.iter().all(|s| s.connection == seen[0].connection), "{body:?}: kept: {seen:?}");
    }
}

// --- Leaving early

#[test]
fn a_client_that_leaves_while_airflow_works_ends_the_request_there_too() {
    let (gone, noticed) = mpsc::channel();
    let upstream = Upstream::by_hand(move |_, wire| {
        let _ = gone.send(wire.read(&mut [0]).is_ok_and(|n| n == 0));
    });
    let airgate = before(&upstream, "");
    let connection =
        say(&airgate, get("/api/v2/dags").bearer(&token::good("admin")).bytes(airgate.address()));
    upstream.wait_for(1);
    drop(connection);
    noticed.recv_timeout(Duration::from_secs(20)).expect("the connection to Airflow is closed");
    let line = airgate.access("client_gone");
    assert!(line.get("status").is_none(), "{line}");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_body_leaves_no_whole_request_behind() {
    let (told, whole) = mpsc::channel();
    let upstream = Upstream::by_hand(move |seen, wire| {
        let _ = told.send(body(seen, wire).is_some());
    });
    let airgate = before(&upstream, "");
    for framing in [("Content-Length", "100"), ("Transfer-Encoding", "chunked")] {
        let ask = post("/api/v2/pools").bearer(&token::good("admin")).with(framing.0, framing.1);
        let connection = say(&airgate, [&ask.bytes(airgate.address())[..], b"5\r\nhello\r\n"].concat());
        drop(connection);
        let whole = whole.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(!whole, "{}: half a body must not look like a whole one", framing.0);
    }
}

// --- Kept connections to Airflow

#[test]
fn connections_to_airflow_are_reused() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "[server]\nthreads = 1\n");
    for _ in 0..3 {
        assert_eq!(airgate.send(get("/api/v2/dags").bearer(&token::good("admin"))).status, 200);
    }
    let seen = upstream.seen();
    assert!(seen.iter().all(|s| s.connection == seen[0].connection), "{seen:?}");
}

/// Airflow closes a kept connection the moment a request arrives on it: what changes nothing is
/// asked again on a new one; what may have changed something is not.
#[test]
fn a_kept_connection_that_is_closed_by_airflow() {
    for (name, ask, status, asked) in [
        ("GET", get("/api/v2/dags"), 200, 3),
        ("HEAD", head("/api/v2/dags"), 200, 3),
        ("POST", post("/api/v2/pools").body("{}"), 502, 2),
        ("POST without a body", post("/api/v2/dags/a/favorite"), 502, 2),
        ("DELETE", crate::support::delete("/api/v2/pools/a"), 502, 2),
    ] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let upstream = Upstream::answering(move |_| {
            // The second request, on the kept connection, is read and not answered.
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                Vec::new()
            } else {
                answer(200, &[], "")
            }
        });
        let airgate = before(&upstream, "[server]\nthreads = 1\n");
        let good = token::good("admin");
        assert_eq!(airgate.send(get("/api/v2/version2").bearer(&good)).status, 200);
        assert_eq!(airgate.send(ask.bearer(&good)).status, status, "{name}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), asked, "{name}: {seen:?}");
        assert_eq!(seen[0].connection, seen[1].connection, "{name}: it was a kept one");
    }
}

/// On a new connection nothing is asked twice: Airflow is at work, or broken.
#[test]
fn a_new_connection_that_is_closed_by_airflow_is_not_tried_again() {
    let upstream = Upstream::answering(|_| Vec::new());
    let airgate = before(&upstream, "");
    assert_eq!(airgate.send(get("/api/v2/dags").bearer(&token::good("admin"))).status, 502);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn http_10_clients_are_served_and_closed() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let mut connection = say(&airgate, format!("{}\r\n", good_head("GET /api/v2/dags HTTP/1.0")));
    let answer: Answer = connection.read("GET").unwrap();
    assert_eq!(answer.told(), (200, "{}".into()));
    assert!(connection.rest().is_empty(), "closed");
    let chunked = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()
    });
    let airgate = before(&chunked, "");
    let mut connection = say(&airgate, format!("{}\r\n", good_head("GET /api/v2/dags HTTP/1.0")));
    let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(rest.ends_with("\r\n\r\nhello"), "HTTP/1.0 knows no chunks: {rest}");
}
