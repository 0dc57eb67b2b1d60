//! The page size: what the upstream is sent, whatever a client sends.

mod everywhere;
mod live;
mod readings;

use crate::support::client::Connection;
use crate::support::token::{self, SECRET};
use crate::support::upstream::{Closed, Seen, answer};
use crate::support::{Airgate, Ask, Upstream, get, post};

const RUNS: &str = "/api/v2/dags/~/dagRuns/list";
const TASKS: &str = "/api/v2/dags/~/dagRuns/~/taskInstances/list";

/// airgate with a maximum of 5 and a fallback of 3.
fn before(upstream: &Upstream, more: &str) -> Airgate {
    let config = format!(
        "[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"admin:admin\"\n\
         [api]\nmaximum_page_limit = 5\nfallback_page_limit = 3\n{more}"
    );
    Airgate::before(&upstream.url(), &config)
}

fn list(path: &str) -> Ask {
    post(path).bearer(&token::good("admin"))
}

/// In chunks of seven bytes.
fn chunked(ask: Ask, body: &[u8]) -> Ask {
    let mut chunks = Vec::new();
    for chunk in body.chunks(7) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    ask.with("Transfer-Encoding", "chunked").body(chunks)
}

/// Name, path, type, body; the body that is sent on, and the page that the client is told of.
type Row =
    (&'static str, &'static str, Option<&'static str>, &'static str, &'static str, Option<&'static str>);

#[test]
fn bodies_of_lists_are_clamped_on_their_way() {
    const JSON: &str = "application/json";
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("large", RUNS, Some(JSON), r#"{"page_limit":1000}"#, r#"{"page_limit":5}"#, Some("5")),
        ("task instances", TASKS, Some(JSON), r#"{"page_limit":1000}"#, r#"{"page_limit":5}"#, Some("5")),
        ("small", RUNS, Some(JSON), r#"{"page_limit": 4}"#, r#"{"page_limit": 4}"#, None),
        ("absent", RUNS, Some(JSON), "{}", r#"{"page_limit":3}"#, Some("3")),
        ("escapes in the key", RUNS, Some(JSON), r#"{"\u0070age_limit":1e3}"#, r#"{"\u0070age_limit":5}"#, Some("5")),
        ("a type with a suffix", RUNS, Some("Application/Vnd.X+JSON; charset=x"), r#"{"page_limit":9}"#, r#"{"page_limit":5}"#, Some("5")),
        ("no type: some releases read it", RUNS, None, r#"{"page_limit":9}"#, r#"{"page_limit":5}"#, Some("5")),
        ("a type that Airflow refuses", RUNS, Some("text/plain"), r#"{"page_limit":9}"#, r#"{"page_limit":9}"#, None),
        ("no JSON", RUNS, Some(JSON), r#"{"page_limit":9"#, r#"{"page_limit":9"#, None),
        ("an encoded slash in the path", "/api/v2/dags/~/dagRuns%2Flist", Some(JSON), r#"{"page_limit":9}"#, r#"{"page_limit":5}"#, Some("5")),
        ("needless encoding in the path", "/api/v2/dags/~/dagRuns/%6cist", Some(JSON), r#"{"page_limit":9}"#, r#"{"page_limit":5}"#, Some("5")),
        ("a list of a newer Airflow", "/api/v2/assets/list", Some(JSON), r#"{"page_limit":9}"#, r#"{"page_limit":5}"#, Some("5")),
        ("no list", "/api/v2/pools", Some(JSON), r#"{"page_limit":9}"#, r#"{"page_limit":9}"#, None),
        ("empty", RUNS, Some(JSON), "", "", None),
    ];
    for (name, path, content_type, body, expected, told) in rows {
        let typed = |ask: Ask| content_type.map_or(ask.clone(), |value| ask.with("Content-Type", value));
        let plain = typed(list(path)).body(body);
        let encoded = typed(list(path)).with("Content-Encoding", "gzip").body(body);
        for (way, ask) in [
            ("its length is told", plain),
            ("in chunks", chunked(typed(list(path)), body.as_bytes())),
            ("said to be gzip, which Airflow does not heed", encoded),
        ] {
            upstream.forget();
            let answer = airgate.send(ask);
            let at = format!("{name}, {way}");
            assert_eq!((answer.status, answer.header("x-airgate-page-limit")), (200, *told), "{at}");
            let seen = upstream.only();
            assert_eq!(String::from_utf8_lossy(&seen.body), *expected, "{at}");
            let framing = (seen.all("content-length"), seen.all("transfer-encoding"));
            let length = expected.len().to_string();
            let is_known = framing == (vec![&*length], vec![]);
            // What is not read here keeps its framing; of nothing at all there is nothing to tell.
            let is_kept = way == "in chunks" && framing == (vec![], vec!["chunked"]);
            assert!(
                is_known || is_kept || expected.is_empty() && framing == (vec![], vec![]),
                "{at}: {seen:?}"
            );
        }
    }
    airgate.counts("airgate_page_limit_clamped_total", 27.0);
}

/// A header that `Connection` names does not reach Airflow: it is judged as if it had not come.
#[test]
fn a_type_for_this_hop_alone_is_no_type() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    for named in ["content-type", "close, Content-Type", "\tCONTENT-TYPE ,"] {
        upstream.forget();
        let ask = list(RUNS).with("Content-Type", "text/plain").with("Connection", named);
        assert_eq!(airgate.send(ask.body(r#"{"page_limit":1000}"#)).status, 200, "{named}");
        let seen = upstream.only();
        let got = (seen.header("content-type"), String::from_utf8_lossy(&seen.body));
        assert_eq!(got, (None, r#"{"page_limit":5}"#.into()), "{named}");
    }
}

/// What is really compressed no Airflow reads: it is passed on for Airflow to refuse.
#[test]
fn a_compressed_body_is_passed_on() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let body = [&[0x1f, 0x8b, 8, 0][..], b"\x00\x00\x00\x00\x00\x03\xab"].concat();
    airgate.send(
        list(RUNS).with("Content-Type", "application/json").with("Content-Encoding", "gzip").body(&body),
    );
    assert_eq!(upstream.only().body, body);
}

/// Bodies are read for lists alone, and only for who may ask: all others stream.
#[test]
fn a_body_that_is_too_large_is_refused_on_lists_alone() {
    let upstream = Upstream::start();
    let padded = |length: usize| {
        let body = r#"{"page_limit":9}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let json = |path: &str| list(path).with("Content-Type", "application/json");
    for (config, most) in [("", 64 << 10), ("[limits]\nmax_body = 1000\n", 1000)] {
        let airgate = before(&upstream, config);
        for (name, ask, status) in [
            ("as much as is read", json(RUNS).body(padded(most)), 200),
            ("as much as is read, in chunks", chunked(json(RUNS), padded(most).as_bytes()), 200),
            ("one more", json(RUNS).body(padded(most + 1)), 413),
            ("one more, in chunks", chunked(json(TASKS), padded(most + 1).as_bytes()), 413),
            ("much more", json(TASKS).body(padded(1 << 20)), 413),
            (
                "of a type that Airflow refuses",
                list(RUNS).with("Content-Type", "text/plain").body(padded(1 << 20)),
                200,
            ),
            ("no list", json("/api/v2/pools").body(padded(1 << 20)), 200),
            ("nobody", post(RUNS).with("Content-Type", "application/json").body(padded(1 << 20)), 401),
        ] {
            upstream.forget();
            let answer = airgate.send(ask);
            assert_eq!(answer.status, status, "{name}, {most}: {}", answer.text());
            match upstream.seen().as_slice() {
                [] => assert_ne!(status, 200, "{name}"),
                [seen] => assert_eq!((status, seen.header("expect")), (200, None), "{name}"),
                more => panic!("{name}: {more:?}"),
            }
            if status == 413 {
                assert_eq!(answer.detail(), "The request body is too large", "{name}");
            }
        }
    }
}

/// Two Airflows, of which one is down: the body that was read and changed goes to the other, whole.
#[test]
fn a_body_survives_a_second_try() {
    let (upstream, down) = (Upstream::start(), Closed::port());
    let airgate = Airgate::with(format!(
        "[upstream]\nurl = [\"{}\", \"{}\"]\n[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\n\
         simple_auth_manager_users = \"admin:admin\"\n[api]\nmaximum_page_limit = 5\n",
        down.url(),
        upstream.url()
    ))
    .start();
    for _ in 0..8 {
        let answer = airgate.send(list(RUNS).json(serde_json::json!({"page_limit": 1000, "dag_ids": ["a"]})));
        assert_eq!(answer.status, 200);
    }
    let bodies: Vec<_> =
        upstream.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    assert_eq!(bodies, vec![r#"{"dag_ids":["a"],"page_limit":5}"#; 8]);
}

/// A client that waits for a go-ahead gets it once, from here.
#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let mut connection = Connection::open(airgate.address()).unwrap();
    let body = br#"{"page_limit":9}"#;
    let ask = list(RUNS)
        .with("Content-Type", "application/json")
        .with("Expect", "100-continue")
        .with("Content-Length", body.len().to_string());
    connection.write(&ask.bytes(airgate.address())).unwrap();
    assert_eq!((connection.line(), connection.line()), ("HTTP/1.1 100 Continue".into(), String::new()));
    connection.write(body).unwrap();
    assert!(connection.line().starts_with("HTTP/1.1 200 "));
    assert_eq!(
        (upstream.only().header("expect"), &*upstream.only().body),
        (None, &br#"{"page_limit":5}"#[..])
    );
}

/// The connection is good for more requests after a body that was changed.
#[test]
fn the_connection_is_kept() {
    let upstream = Upstream::start();
    let airgate = before(&upstream, "");
    let mut connection = Connection::open(airgate.address()).unwrap();
    for n in 1..=3 {
        let ask = list(RUNS).with("Content-Type", "application/json");
        connection.write(&chunked(ask, br#"{"page_limit":9}"#).bytes(airgate.address())).unwrap();
        assert_eq!(connection.read("POST").unwrap().status, 200);
        connection
            .write(&get("/api/v2/pools").bearer(&token::good("admin")).bytes(airgate.address()))
            .unwrap();
        assert_eq!(connection.read("GET").unwrap().status, 200);
        assert_eq!(upstream.seen().len(), 2 * n);
    }
}

/// The API of Airflow's user interface has pages too, and one of them has no maximum in Airflow.
#[test]
fn the_user_interfaces_pages_are_clamped() {
    let upstream = Upstream::answering(|seen: &Seen| answer(200, &[], &format!("{:?}", seen.target)));
    let airgate = before(&upstream, "[gate]\nother_routes = \"ui\"\n");
    for (name, target, expected, told) in [
        ("runs to each DAG", "/ui/dags?dag_runs_limit=1000", "/ui/dags?dag_runs_limit=5&limit=3", Some("5")),
        ("no limit at all", "/ui/dags?dag_runs_limit=-1", "/ui/dags?dag_runs_limit=5&limit=3", Some("5")),
        (
            "encoded digits",
            "/ui/dags?dag_runs_limit=%31000&limit=1",
            "/ui/dags?dag_runs_limit=5&limit=1",
            Some("5"),
        ),
        ("limit", "/ui/grid/runs/a?limit=1_000", "/ui/grid/runs/a?limit=5", Some("5")),
        ("absent", "/ui/dags", "/ui/dags?limit=3&dag_runs_limit=5", None),
        ("of a list without runs", "/ui/grid/runs/a?order_by=b", "/ui/grid/runs/a?order_by=b&limit=3", None),
        ("encoded", "/%75i/dags?%6cimit=9", "/ui/dags?%6cimit=5&dag_runs_limit=5", Some("5")),
        ("no list", "/ui/config", "/ui/config", None),
        ("no list, and a limit", "/ui/config?limit=9", "/ui/config?limit=5", Some("5")),
        ("of something else", "/static/a.js?limit=9", "/static/a.js?limit=9", None),
        ("of a name that begins likewise", "/uix?limit=9", "/uix?limit=9", None),
    ] {
        let answer = airgate.send(get(target));
        assert_eq!(answer.told(), (200, format!("{expected:?}")), "{name}");
        assert_eq!(answer.header("x-airgate-page-limit"), told, "{name}");
    }
}

/// Airflow 2 reads `page_limit` as a whole number, and nothing else.
#[test]
fn the_bodies_of_airflow_2() {
    let upstream = Upstream::answering(|seen: &Seen| match seen.header("authorization") {
        Some("Basic YWRtaW46YWRtaW4tcHc=") => answer(200, &[], "{}"),
        Some(_) | None => answer(401, &[], "{}"),
    });
    let config = "airflow = 2\n[api]\nauth_backends = \"basic_auth\"\nmaximum_page_limit = 5\nfallback_page_limit = 3\n";
    let airgate = Airgate::before(&upstream.url(), config);
    for (body, expected) in [
        (r#"{"page_limit":1000}"#, r#"{"page_limit":5}"#),
        (r#"{"page_limit":1000.0}"#, r#"{"page_limit":1000.0}"#),
        ("{}", r#"{"page_limit":3}"#),
    ] {
        for path in ["/api/v1/dags/~/dagRuns/list", "/api/v1/dags/~/dagRuns/~/taskInstances/list"] {
            upstream.forget();
            let ask =
                post(path).basic("admin", "admin-pw").with("Content-Type", "application/json").body(body);
            assert_eq!(airgate.send(ask).status, 200, "{path} {body}");
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(String::from_utf8_lossy(&seen.body), expected, "{path}");
        }
    }
}
