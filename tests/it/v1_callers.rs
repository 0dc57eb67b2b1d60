//! Who asks in the words of Airflow 2, and what becomes of the calls that are made for them: as a browser that has logged in
//! at FAB; over TLS; given up when the client leaves. (Other credentials are in `mixed.rs` and `keycloak/translated.rs`.)

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use crate::support::airflow::{self, Airflow};
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Connection, Upstream, ask, delete, get, post, tls, token};

fn with_config(airflow: &Airflow, url: &str, more: &str) -> String {
    format!(
        "[upstream]\nurl = \"{url}\"\n{more}auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\nother_routes = \"ui\"\n",
        airflow.config().display()
    )
}

/// All cookies that an answer sets, as a request sends them.
fn cookies(answer: &Answer) -> String {
    let pairs = answer.all("set-cookie").into_iter().filter_map(|cookie| cookie.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// The cookies that a browser has after FAB's own page: what it may in Airflow 3 it may here, and foreign pages may not.
#[test]
fn a_session_of_fab() {
    let airflow = airflow::v1();
    let gate = Airgate::with(with_config(&airflow, &airflow.url, "")).start();
    let page = gate.send(get("/auth/login/"));
    let text = page.text();
    let csrf = text.split("name=\"csrf_token\" type=\"hidden\" value=\"").nth(1);
    let csrf = csrf.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{text}"));
    let form = format!("csrf_token={csrf}&username=viewer&password=viewer-pw");
    let log_in = post("/auth/login/").with("Cookie", cookies(&page)).with("Origin", gate.url());
    let viewer = gate.send(log_in.with("Content-Type", "application/x-www-form-urlencoded").body(form));
    assert_eq!(viewer.status, 302, "{}", viewer.text());
    let viewer = cookies(&viewer);
    assert!(viewer.contains("_token=") && viewer.contains("session="), "{viewer}");

    let pools = gate.send(get("/api/v1/pools?limit=1").with("Cookie", &viewer));
    assert_eq!((pools.status, pools.header("x-airgate-translated")), (200, Some("GET /api/v2/pools")));
    // With further calls.
    let dataset = gate.send(get("/api/v1/datasets/s3%3A%2F%2Ffx%2Fone").with("Cookie", &viewer));
    assert_eq!((dataset.status, &dataset.json()["uri"]), (200, &json!("s3://fx/one")));
    let change = post("/api/v1/variables").with("Cookie", &viewer).json(json!({"key": "k", "value": "v"}));
    for (name, origin, status) in
        [("its own page", gate.url(), 403), ("another", "https://evil.example".into(), 403)]
    {
        let refused = gate.send(change.clone().with("Origin", origin));
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (status, Some("application/problem+json")),
            "{name}"
        );
    }
    let line = gate.access("cross_site");
    assert_eq!(line["route"], "/api/v1/variables");
    for (alone, status) in [("session=garbage", 401), ("_token=garbage", 403)] {
        assert_eq!(gate.send(get("/api/v1/pools").with("Cookie", alone)).status, status, "{alone}");
    }
}

/// Another airgate stands for the TLS of the upstream, which is Airflow itself.
#[test]
fn further_calls_over_tls() {
    let airflow = airflow::v1();
    let secured = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\nauth_manager = \"fab\"\nidentity = \"passthrough\"\n[server.tls]\ncertificate = \
         \"tls.crt\"\nkey = \"tls.key\"\n",
        airflow.url
    ))
    .file("tls.crt", tls::read("airflow.pem"))
    .file("tls.key", tls::read("airflow.key"))
    .start();
    let url = format!("https://127.0.0.1:{}", secured.address().port());
    let before = |ca: &str| {
        Airgate::with(with_config(&airflow, &url, "ca_file = \"ca.pem\"\n"))
            .file("ca.pem", tls::read(ca))
            .start()
    };
    let gate = before("ca.pem");
    let admin = |ask: Ask| gate.send(ask.basic("admin", "admin-pw"));
    for value in ["one", "two"] {
        let set = admin(post("/api/v1/variables").json(json!({"key": "over_tls", "value": value})));
        assert_eq!(set.status, 200, "{}", set.text());
    }
    assert_eq!(admin(get("/api/v1/variables/over_tls")).json()["value"], "two");
    let update = json!({
        "task_id": "one", "execution_date": "2024-01-02T00:00:00Z", "new_state": "success", "include_upstream": false,
        "include_downstream": false, "include_future": false, "include_past": false,
    });
    let updated = admin(post("/api/v1/dags/fx_dag_01/updateTaskInstancesState").json(update));
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_eq!(admin(get("/api/v1/datasets/s3%3A%2F%2Ffx%2Fone")).json()["uri"], "s3://fx/one");
    // Each call was made, and by TLS: there is no other way.
    for method in ["POST", "PATCH"] {
        secured.until(&format!("two calls with {method}"), |secured| {
            let is_one = |line: &&String| line.contains(&format!("\"method\":\"{method}\""));
            secured.access_log().iter().filter(is_one).count() >= 2
        });
    }
    drop(gate);
    let gate = before("client.pem");
    let refused = gate.send(get("/api/v1/datasets/s3%3A%2F%2Ffx%2Fone").basic("admin", "admin-pw"));
    assert!(matches!(refused.status, 502 | 503), "{}", refused.text());
}

/// In the middle of a row that changes one DAG after the other: the call under way is given up, and none is made after it.
#[test]
fn a_client_that_leaves_ends_further_calls() {
    let (gone, noticed) = mpsc::channel();
    let upstream = Upstream::by_hand(move |seen, wire| {
        if seen.method == "GET" {
            let dag = |id: &str| json!({"dag_id": id, "is_paused": false, "is_stale": false, "tags": [], "owners": []});
            let page = json!({"dags": [dag("a"), dag("b"), dag("c")], "total_entries": 3});
            let _ = wire.get_mut().write_all(&answer(200, &[("connection", "close")], &page.to_string()));
            return;
        }
        let mut body = vec![0; seen.header("content-length").unwrap().parse().unwrap()];
        wire.read_exact(&mut body).unwrap();
        let _ = gone.send(wire.read(&mut [0]).is_ok_and(|n| n == 0));
    });
    let gate = Airgate::before(&upstream.url(), &format!("[api_auth]\njwt_secret = \"{}\"\n", token::SECRET));
    let mut connection = Connection::open(gate.address()).unwrap();
    let pause = ask("PATCH", "/api/v1/dags?dag_id_pattern=~").json(json!({"is_paused": true}));
    connection.write(&pause.bearer(&token::good("admin")).bytes(gate.address())).unwrap();
    upstream.wait_for(2);
    drop(connection);
    let given_up = noticed.recv_timeout(Duration::from_secs(20));
    assert_eq!(given_up, Ok(true), "the call under way is given up");
    let line = gate.access("client_gone");
    assert_eq!(line["translated"], "PATCH /api/v2/dags", "{line}");
    let calls: Vec<_> = upstream.seen().into_iter().map(|seen| seen.target).collect();
    assert!(
        matches!(calls.as_slice(), [list, change] if list.starts_with("/api/v2/dags?") && change == "/api/v2/dags/a"),
        "{calls:?}"
    );
    // Who stays gets all of them.
    let deleted = gate.send(delete("/api/v1/nope").bearer(&token::good("admin")));
    assert_eq!(deleted.status, 404);
    assert_eq!(upstream.seen().len(), 2);
}
