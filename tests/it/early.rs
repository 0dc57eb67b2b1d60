//! What comes before the answer to the request before is written: the rest of its body, the next request, a part of
//! that, or the end of the connection.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Ask, Connection, Upstream, get, post, token};

/// An Airflow that works on each request but for its configuration until it is told to go on, and says that it does.
struct Slow {
    upstream: Upstream,
    came: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl Slow {
    fn start() -> Self {
        let (come, came) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let upstream = Upstream::answering(move |seen| {
            if !seen.target.contains("/config") {
                come.send(()).unwrap();
                let _ = gone.lock().unwrap().recv_timeout(Duration::from_secs(20));
            }
            match (&*seen.method, &*seen.target) {
                ("POST", "/auth/token") => answer(201, &[], r#"{"access_token":"a"}"#),
                ("POST", _) => answer(201, &[], r#"{"key":"a","value":"b","description":null}"#),
                (_, target) if target.contains("/pools") => {
                    answer(200, &[], r#"{"pools":[],"total_entries":0}"#)
                }
                _ => answer(200, &[], "{}"),
            }
        });
        Self { upstream, came, go }
    }
}

/// No key, so that log-ins are Airflow's to judge.
fn before(upstream: &Upstream) -> Airgate {
    Airgate::before(&upstream.url(), "[limits]\nheader_timeout = \"1s\"\n")
}

fn of(ask: Ask) -> Ask {
    ask.bearer(&token::good("admin"))
}

/// Each row: a request, what of its body comes while Airflow works, and the status of the answer. The next request
/// comes right behind that.
#[test]
fn what_comes_early_does_not_disturb_the_request_before() {
    let slow = Slow::start();
    let airgate = before(&slow.upstream);
    let to = airgate.address();
    let large = "x".repeat(30_000);
    let chunked = |ask: Ask| of(ask).with("Transfer-Encoding", "chunked");
    let sized = |ask: Ask, length: &str| of(ask).with("Content-Length", length);
    let variable = || of(post("/api/v1/variables")).json(serde_json::json!({ "key": "a", "value": "b" }));
    let log_in = || post("/auth/token").json(serde_json::json!({ "username": "a", "password": "b" }));
    let rows: [(&str, Ask, &str, u16); 12] = [
        ("forwarded", of(get("/api/v2/pools")), "", 200),
        ("forwarded, its body late", sized(post("/api/v2/variables"), "10"), "0123456789", 201),
        ("translated", of(get("/api/v1/pools")), "", 200),
        ("translated, with its body", variable(), "", 200),
        ("translated, a body that nobody needs", of(get("/api/v1/pools")).body("{}"), "", 200),
        ("translated, that body late", sized(get("/api/v1/pools"), "10"), "0123456789", 200),
        ("translated, a part of that body late", sized(get("/api/v1/pools"), "4").body("01"), "23", 200),
        (
            "translated, that body late and in chunks",
            chunked(get("/api/v1/pools")),
            "2\r\n{}\r\n0\r\n\r\n",
            200,
        ),
        ("translated, that body large", of(get("/api/v1/pools")).body(&large), "", 200),
        ("translated, that body large and late", sized(get("/api/v1/pools"), "30000"), &large, 200),
        (
            "translated, that body waits to go on",
            sized(get("/api/v1/pools"), "0").with("Expect", "100-continue"),
            "",
            200,
        ),
        ("a log-in that is relayed", log_in(), "", 201),
    ];
    let mut usual = None;
    for (name, first, rest, status) in rows {
        slow.upstream.forget();
        let mut connection = Connection::open(to).unwrap();
        connection.write(&first.bytes(to)).unwrap();
        // What is forwarded is answered once all of it is there.
        if name == "forwarded, its body late" {
            connection.write(rest.as_bytes()).unwrap();
            slow.came.recv().unwrap();
        } else {
            slow.came.recv().unwrap();
            connection.write(rest.as_bytes()).unwrap();
        }
        connection.write(&of(get("/api/v2/config")).bytes(to)).unwrap();
        let silent = connection.wait(Duration::from_millis(300));
        assert!(silent, "{name}: nothing is said before Airflow has answered");
        let began = Instant::now();
        slow.go.send(()).unwrap();
        let answer = connection.read("GET").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.status, status, "{name}");
        assert_ne!(answer.header("connection"), Some("close"), "{name}");
        let took = began.elapsed();
        let usual = *usual.get_or_insert(took);
        assert!(took < usual + Duration::from_millis(1500), "{name}: {took:?}, usually {usual:?}");
        let next = connection.read("GET").unwrap_or_else(|error| panic!("{name}, the next: {error}"));
        assert_eq!(next.told(), (200, "{}".into()), "{name}");
        let seen = slow.upstream.seen();
        let last = seen.last().map(|seen: &Seen| (&*seen.method, &*seen.target));
        assert_eq!((seen.len(), last), (2, Some(("GET", "/api/v2/config"))), "{name}");
    }
}

/// Nothing that comes behind it can be told to be a request.
#[test]
fn a_body_without_an_end_is_the_last_thing_on_its_connection() {
    let slow = Slow::start();
    let airgate = before(&slow.upstream);
    let to = airgate.address();
    let mut connection = Connection::open(to).unwrap();
    let first = of(get("/api/v1/pools")).with("Transfer-Encoding", "chunked");
    connection.write(&first.bytes(to)).unwrap();
    slow.came.recv().unwrap();
    connection.write(b"zz\r\n").unwrap();
    let silent = connection.wait(Duration::from_millis(300));
    assert!(silent, "nothing is said before Airflow has answered");
    connection.write(&of(get("/api/v2/config")).bytes(to)).unwrap();
    slow.go.send(()).unwrap();
    let answer = connection.read("GET").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(connection.rest().is_empty());
    assert_eq!(slow.upstream.only().target.split('?').next(), Some("/api/v2/pools"));
}

/// Also while a part of a body is awaited that nobody needs.
#[test]
fn a_client_that_leaves_ends_the_work_for_it() {
    let (gone, noticed) = mpsc::channel();
    let upstream = Upstream::by_hand(move |_, wire| {
        let _ = gone.send(wire.read(&mut [0]).is_ok_and(|n| n == 0));
    });
    let airgate = before(&upstream);
    let to = airgate.address();
    for (name, first, rest) in [
        ("none of its body", of(get("/api/v1/pools")).with("Content-Length", "10"), ""),
        ("a part of it", of(get("/api/v1/pools")).with("Content-Length", "10"), "01"),
        ("a chunk of it", of(get("/api/v1/pools")).with("Transfer-Encoding", "chunked"), "2\r\n{}\r\n"),
        ("all of it", of(get("/api/v1/pools")).with("Content-Length", "2"), "{}"),
    ] {
        upstream.forget();
        let mut connection = Connection::open(to).unwrap();
        connection.write(&first.bytes(to)).unwrap();
        upstream.wait_for(1);
        connection.write(rest.as_bytes()).unwrap();
        drop(connection);
        let noticed = noticed.recv_timeout(Duration::from_secs(20));
        assert_eq!(noticed, Ok(true), "the connection to Airflow is closed: {name}");
    }
    airgate.until("all four are told", |airgate| {
        airgate.access_log().iter().filter(|line| line.contains("client_gone")).count() == 4
    });
}

/// One without a body, one with a body in chunks, and one whose body has a length.
fn requests(to: SocketAddr) -> [Vec<u8>; 3] {
    let pools = || of(post("/api/v2/pools"));
    let chunked = pools().with("Transfer-Encoding", "chunked").bytes(to);
    [
        of(get("/api/v2/pools")).bytes(to),
        [&*chunked, b"2\r\n{}\r\n0\r\n\r\n"].concat(),
        pools().body("{}").bytes(to),
    ]
}

/// The time for a head begins with its first byte, also where Pingora has read that along with the request before. Each
/// row: what is sent, and how many answers there are.
#[test]
fn a_part_of_a_head_that_comes_early_has_no_longer_than_another() {
    let upstream = Upstream::start();
    let airgate = before(&upstream);
    let to = airgate.address();
    let [one, chunked, sized] = requests(to);
    let refused = post("/api/v2/pools").body("{}").bytes(to);
    let rows: [(&str, Vec<&[u8]>, usize); 7] = [
        ("behind a request", vec![&one, b"G"], 1),
        ("behind two", vec![&one, &one, b"G"], 2),
        ("behind a body", vec![&sized, b"GET / HTTP/1.1\r\n"], 1),
        ("behind a body that is not read", vec![&refused, b"G"], 1),
        ("behind chunks", vec![&chunked, b"G"], 1),
        ("a line behind chunks", vec![&chunked, b"GET / HTTP/1.1\r\n"], 1),
        ("behind chunks and another", vec![&chunked, &one, b"G"], 2),
    ];
    let count = rows.len();
    let late: Vec<_> = rows
        .into_iter()
        .map(|(name, bytes, answers)| {
            let mut connection = Connection::open(to).unwrap();
            connection.write(&bytes.concat()).unwrap();
            for _ in 0..answers {
                let answer = connection.read("GET").unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!([200, 401].contains(&answer.status), "{name}: {}", answer.status);
            }
            (name, connection, Instant::now())
        })
        .collect();
    for (name, mut connection, began) in late {
        assert!(connection.rest().is_empty(), "{name}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
    }
    airgate.counts("airgate_connections_rejected_total{reason=\"slow_head\"}", count as f64);
}

/// What has come whole is no part of a head.
#[test]
fn a_connection_on_which_requests_came_early_is_kept() {
    let upstream = Upstream::start();
    let airgate = before(&upstream);
    let to = airgate.address();
    let [one, chunked, sized] = requests(to);
    for (name, bytes) in [
        ("two", vec![&one, &one]),
        ("a body, and another", vec![&sized, &one, &sized]),
        ("chunks", vec![&chunked]),
        ("a body behind chunks", vec![&chunked, &one, &sized]),
    ] {
        let mut connection = Connection::open(to).unwrap();
        for bytes in [bytes.iter().map(|bytes| &bytes[..]).collect::<Vec<_>>().concat(), sized.clone()] {
            connection.write(&bytes).unwrap();
        }
        for _ in 0..=bytes.len() {
            assert_eq!(connection.read("GET").unwrap().status, 200, "{name}");
        }
        assert!(connection.wait(Duration::from_millis(1300)), "{name}: idle connections are not closed");
        connection.write(&one).unwrap();
        assert_eq!(connection.read("GET").unwrap().status, 200, "{name}");
    }
}
