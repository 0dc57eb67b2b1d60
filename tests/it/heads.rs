//! Heads that one server may read in another way than the next: what gate and Airflow make of them.

use crate::support::token::{self, SECRET};
use crate::support::{Airgate, Connection, Upstream, airflow};

/// The status of the answer to these lines, and its body.
fn told(to: std::net::SocketAddr, head: &str) -> (u16, String) {
    let mut connection = Connection::open(to).unwrap();
    connection.write(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    connection.read("GET").unwrap().told()
}

/// uvicorn and gunicorn cut a fragment off, and so does Pingora, before anybody looks at the target: what is judged is
/// what Airflow gets.
#[test]
fn a_fragment_leads_nobody_past_a_rule() {
    let upstream = Upstream::start();
    let gate = Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n"));
    let token = format!("Authorization: Bearer {}", token::good("admin"));
    let nobody = "X-None: x";
    for (target, who, status, seen) in [
        ("/api/v2/pools#/api/v2/version", nobody, 401, None),
        ("/api/v2/pools?x=#/api/v2/version", nobody, 401, None),
        ("/api/v2/version#/../pools", nobody, 200, Some("/api/v2/version")),
        ("/api/v2/version#?limit=1000", nobody, 200, Some("/api/v2/version")),
        ("/api/v2/pools?limit=1000#&limit=1", &*token, 200, Some("/api/v2/pools?limit=100")),
        ("/api/v2/pools#?limit=1000", &*token, 200, Some("/api/v2/pools?limit=50")),
        // Nothing is left of it, which counts as `/`.
        ("#/api/v2/pools", &*token, 404, None),
        ("http://a/api/v2/pools#x", nobody, 401, None),
    ] {
        upstream.forget();
        let (answered, _) = told(gate.address(), &format!("GET {target} HTTP/1.1\r\nHost: a\r\n{who}"));
        assert_eq!(answered, status, "{target}");
        let all: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
        assert_eq!(all, seen.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{target}");
    }
}

/// Each row: what is asked, what Airflow answers, what it answers through the gate. `TRACE` is forwarded: Airflow does
/// not have it, and echoes nothing.
#[test]
fn the_gate_answers_as_airflow_does_where_that_is_safe() {
    let airflow = airflow::simple();
    let gate = Airgate::before(&airflow.url, "");
    for (name, head, direct, through) in [
        ("a fragment", "GET /api/v2/version#/../../nope HTTP/1.1\r\nHost: a", 200, 200),
        ("TRACE", "TRACE /api/v2/version HTTP/1.1\r\nHost: a\r\nX-Secret: s3cret", 405, 405),
        ("TRACE of a token endpoint", "TRACE /auth/token HTTP/1.1\r\nHost: a\r\nX-Secret: s3cret", 405, 405),
        ("HTTP/1.0 without Host", "GET /api/v2/version HTTP/1.0\r\nX-None: x", 200, 200),
        // A server must refuse these (RFC 9112, section 3.2). Airflow takes them.
        ("HTTP/1.1 without Host", "GET /api/v2/version HTTP/1.1\r\nX-None: x", 200, 400),
        ("two of Host", "GET /api/v2/version HTTP/1.1\r\nHost: a\r\nHost: b", 200, 400),
    ] {
        let (by_airflow, by_gate) = (told(airflow.address(), head), told(gate.address(), head));
        assert_eq!((by_airflow.0, by_gate.0), (direct, through), "{name}: {by_airflow:?} {by_gate:?}");
        if direct == through {
            assert_eq!(by_airflow.1, by_gate.1, "{name}");
        }
        assert!(!by_gate.1.contains("s3cret"), "{name}");
    }
}
