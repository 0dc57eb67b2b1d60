//! Bodies that are read here share one room: by what has come of them, and each user has a share.

use std::sync::{Arc, Barrier};

use crate::support::tls::{self, Client};
use crate::support::token::{self, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Ask, Connection, Upstream, get, post};

/// In front of an Airflow that sets variables. Bodies may be as large as they can, and have a minute to come.
fn gate() -> (Upstream, Airgate) {
    let upstream = Upstream::answering(|_| answer(201, &[], r#"{"key":"a","value":"b","description":null}"#));
    let config = format!(
        "[api_auth]\njwt_secret = \"{SECRET}\"\n[limits]\nmax_translated_body = 33554432\nheader_timeout = \"60s\"\n"
    );
    let gate = Airgate::before(&upstream.url(), &config);
    (upstream, gate)
}

fn variable(user: &str) -> Ask {
    post("/api/v1/variables").bearer(&token::good(user)).with("Content-Type", "application/json")
}

/// A variable of this length.
fn of(user: &str, length: usize) -> Ask {
    variable(user).body(format!("{{\"key\":\"a\",\"value\":\"{}\"}}", "b".repeat(length)))
}

/// A connection that has sent so much of a body of `length`.
fn begun(gate: &Airgate, user: &str, bytes: usize, length: usize) -> Connection {
    let mut connection = Connection::open(gate.address()).unwrap();
    let head = variable(user).with("Content-Length", length.to_string());
    connection.write(&head.bytes(gate.address())).unwrap();
    connection.write(&vec![b' '; bytes]).unwrap();
    connection
}

#[test]
fn what_has_not_come_takes_no_room() {
    let (_upstream, gate) = gate();
    let to = gate.address();
    let open = |ask: Ask, rest: &str| {
        let mut connection = Connection::open(to).unwrap();
        connection.write(&[&*ask.bytes(to), rest.as_bytes()].concat()).unwrap();
        connection
    };
    let chunked: Vec<_> = (0..16)
        .map(|_| open(variable("admin").with("Transfer-Encoding", "chunked"), "2\r\n{ \r\n"))
        .collect();
    let sized: Vec<_> =
        (0..16).map(|_| open(variable("admin").with("Content-Length", "33554432"), "{")).collect();
    for (name, mut next) in [
        ("sized", open(of("admin", 300_000), "")),
        (
            "in chunks",
            open(
                variable("admin").with("Transfer-Encoding", "chunked"),
                &format!(
                    "30d41\r\n{{\"key\":\"a\",\"value\":\"b\"{}\r\n1\r\n}}\r\n0\r\n\r\n",
                    " ".repeat(199_979)
                ),
            ),
        ),
    ] {
        assert_eq!(next.read("POST").unwrap().status, 200, "{name}");
    }
    drop((chunked, sized));
}

/// A body that is translated lies in memory once as it came, and once as it is sent. With what the allocator keeps for
/// later that is three times its room at most. The limits in deploy/ count on it.
#[test]
fn translated_bodies_take_hardly_more_than_twice_their_room() {
    const ROOM: usize = 32 << 20;
    const LENGTH: usize = 4 << 20;
    let answers = Arc::new(Barrier::new(8));
    let upstream = {
        let answers = answers.clone();
        Upstream::answering(move |_| {
            answers.wait();
            answer(201, &[], r#"{"key":"a","value":"b","description":null}"#)
        })
    };
    let gate = Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n"));
    let before = gate.allocated();
    let send = |user: &str| {
        let mut connection = Connection::open(gate.address()).unwrap();
        connection.write(&of(user, LENGTH - 100).bytes(gate.address())).unwrap();
        connection
    };
    // Of the room one has half, the next half of the rest, and the third the half of that.
    let mut asked = Vec::new();
    for user in ["a", "a", "a", "a", "b", "b", "c"] {
        asked.push(send(user));
        upstream.wait_for(asked.len());
    }
    for (user, name) in [("a", "more of the first"), ("d", "of somebody else")] {
        assert_eq!(send(user).read("POST").unwrap().status, 503, "{name}");
    }
    let more = gate.allocated() - before;
    answers.wait();
    for mut connection in asked {
        assert_eq!(connection.read("POST").unwrap().status, 200);
    }
    assert!(more < 3 * ROOM, "{} MiB", more >> 20);
}

/// Over HTTP/2 a body needs no length in its head: it takes the room that it has come to.
#[test]
fn a_body_of_http2_without_a_length_takes_room_as_it_comes() {
    let upstream = Upstream::answering(|_| answer(201, &[], r#"{"key":"a","value":"b","description":null}"#));
    let file = |name: &str| tls::file(name).display().to_string();
    let gate = Airgate::before(
        &upstream.url(),
        &format!(
            "[api_auth]\njwt_secret = \"{SECRET}\"\n[limits]\nmax_translated_body = 33554432\nheader_timeout = \"60s\"\n\
             [server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
            file("airflow.pem"),
            file("airflow.key")
        ),
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::default();
    let other = |user: &str| client.send_as_asked(&of(user, 300_000), gate.address()).unwrap().status;
    let (mut body, _answer) = runtime.block_on(async {
        let mut sender = client.http2(gate.address()).await.unwrap();
        let (request, _) = variable("admin").as_http2(gate.address()).unwrap();
        assert!(!request.headers().contains_key("content-length"));
        let (answer, mut body) = sender.send_request(request, false).unwrap();
        let length = (32 << 20) - 1;
        body.reserve_capacity(length);
        body.send_data(vec![b' '; length].into(), false).unwrap();
        // It may send more: what it has sent was read, but for less than a window.
        body.reserve_capacity(16 << 10);
        while body.capacity() < 16 << 10 {
            std::future::poll_fn(|context| body.poll_capacity(context)).await.unwrap().unwrap();
        }
        (body, answer)
    });
    gate.until("its share is taken", |_| other("admin") == 503);
    assert_eq!(other("viewer"), 200, "another has a share");
    body.send_reset(h2::Reason::CANCEL);
    gate.until("it is given back", |_| other("admin") == 200);
}

/// Nobody takes so much that there is nothing for others, and who is refused is told when to come again.
#[test]
fn each_user_has_a_share_and_gives_it_back() {
    let (_upstream, gate) = gate();
    let send = |user: &str, length| of(user, length).send(gate.address()).status;
    // More than fits into what lies between: as good as all of it has come.
    let first = begun(&gate, "admin", (32 << 20) - 1, 32 << 20);
    gate.until("its share is taken", |_| send("admin", 300_000) == 503);
    let refused = of("admin", 300_000).send(gate.address());
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.detail(), "Too many large bodies at a time");
    let line = gate.access("no_room");
    assert_eq!(line["cause"], "the bodies of this user would take more room than they leave for others");
    assert!(gate.metric("airgate_rejections_total{reason=\"no_room\"}") >= 1.0);
    assert_eq!(send("admin", 1000), 200, "a small one needs no room");
    assert_eq!(send("other", 300_000), 200, "another user has a share, too");

    let second = begun(&gate, "other", (16 << 20) - 1, 16 << 20);
    gate.until("its share is what the first has left", |_| send("other", 300_000) == 503);
    assert_eq!(send("third", 300_000), 200, "two leave some for a third");
    drop(first);
    gate.until("it is given back", |_| send("admin", 300_000) == 200);
    drop(second);
    gate.until("all is given back", |_| send("other", 30 << 20) == 200);
}

/// An answer has room until it is written: who does not read what he asked for gets no more of it. Who asks for a list
/// with `POST` changes nothing, either.
#[test]
fn answers_that_nobody_reads_have_a_share() {
    let upstream = Upstream::answering(|seen| {
        let large = "b".repeat(10 << 20);
        let told = if seen.method == "POST" {
            format!(
                "{{\"dag_runs\":[{{\"dag_id\":\"d\",\"dag_run_id\":\"r\",\"conf\":{{\"a\":\"{large}\"}}}}],\"total_entries\":1}}"
            )
        } else {
            format!("{{\"key\":\"a\",\"value\":\"{large}\",\"description\":null}}")
        };
        answer(200, &[], &told)
    });
    let gate = Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n"));
    let asks: [(&str, &dyn Fn() -> Ask); 2] = [
        ("GET", &|| get("/api/v1/variables/a")),
        ("POST", &|| post("/api/v1/dags/~/dagRuns/list").json(serde_json::json!({}))),
    ];
    for (name, ask) in asks {
        let ask = |user: &str| ask().bearer(&token::good(user));
        let mut unread = Connection::open(gate.address()).unwrap();
        unread.write(&ask("admin").bytes(gate.address())).unwrap();
        let first = unread.line();
        assert!(first.starts_with("HTTP/1.1 200"), "{name}: {first}");
        assert_eq!(ask("admin").send(gate.address()).status, 503, "{name}");
        assert_eq!(ask("viewer").send(gate.address()).status, 200, "{name}: another has a share");
        drop(unread);
        gate.until("it is given back", |_| ask("admin").send(gate.address()).status == 200);
    }
    // Whoever leaves in the middle of an answer is no fault of the gate's own.
    assert_eq!(gate.access("client_gone")["status"], 200);
    assert_eq!(gate.metric("airgate_rejections_total{reason=\"internal\"}"), 0.0);
}

/// Log-ins whose bodies are large and do not end, by clients without a credential: their memory is bounded, and keeps
/// nobody from logging in, or from working.
#[test]
fn log_ins_that_do_not_end_have_a_share_as_well() {
    const CLIENTS: usize = 400;
    let (_upstream, gate) = gate();
    let to = gate.address();
    let head = post("/auth/token").with("Content-Type", "application/json").with("Content-Length", "131072");
    let bytes = [head.bytes(to), vec![b' '; 120_000]].concat();
    let kept: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut connection = Connection::open(to).unwrap();
            connection.write(&bytes).unwrap();
            connection
        })
        .collect();
    // 32 MiB are 264 of them.
    gate.until("all others are refused", |gate| {
        gate.metric("airgate_rejections_total{reason=\"no_room\"}") >= (CLIENTS - 264) as f64
    });
    assert_eq!(gate.metric("airgate_rejections_total{reason=\"no_room\"}"), (CLIENTS - 264) as f64);
    gate.access(
        "the bodies of this address, of nobody who is known, would take more room than they leave for others",
    );
    let log_in = post("/auth/token").json(serde_json::json!({ "username": "a" }));
    assert_eq!(log_in.send(to).status, 422);
    assert_eq!(of("admin", 300_000).send(to).status, 200);
    drop(kept);
    let large = post("/auth/token").with("Content-Type", "application/json").body(vec![b' '; 100_000]);
    gate.until("it is given back", |_| large.send(to).status == 422);
}
