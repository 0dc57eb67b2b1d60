//! `[upstream] airflow = "auto"`: Airflow is asked which one it is, and again when it has become another.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::upstream::{Closed, Seen, answer, pass_on};
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, get, post, token};

const IN_FORCE: &str = "airgate_upstream_airflow";

fn config() -> String {
    format!("[lockout]\nattempts = 0\n[api_auth]\njwt_secret = \"{}\"\n", token::SECRET)
}

/// As Airflow 2 says whether it knows who asks; as either, what it is asked for.
fn script(seen: &Seen) -> Vec<u8> {
    let knows = seen.header("authorization").is_some();
    let pools = r#"{"pools":[],"total_entries":0}"#;
    if knows { answer(200, &[], pools) } else { answer(401, &[], "{}") }
}

fn upstream(version: &'static str) -> Upstream {
    let upstream = Upstream::answering(script);
    upstream.says(Some(version));
    upstream
}

fn pools() -> Ask {
    get("/api/v1/pools").basic("admin", "admin-pw")
}

fn with_token() -> Ask {
    get("/api/v1/pools").bearer(&token::good("admin"))
}

/// What the upstream was last asked for on behalf of a client.
#[track_caller]
fn last(upstream: &Upstream) -> Seen {
    upstream.seen().into_iter().rfind(|seen| seen.header("x-request-id").is_some()).expect("nothing was sent")
}

/// It serves as for Airflow 3: `/api/v1` is translated, tokens count, passwords are not passed on.
#[track_caller]
fn serves_3(gate: &Airgate, upstream: &Upstream) {
    assert_eq!(gate.metric(IN_FORCE), 3.0);
    let answer = gate.send(with_token());
    assert_eq!((answer.status, answer.header("x-airgate-translated")), (200, Some("GET /api/v2/pools")));
    let seen = last(upstream);
    assert_eq!(seen.target, "/api/v2/pools?limit=100");
    assert!(seen.header("authorization").is_some_and(|value| value.starts_with("Bearer ")));
    assert_eq!(gate.send(get("/auth/token/cli")).status, 405);
}

/// It serves as for Airflow 2: `/api/v1` goes on with the client's own credential, and tokens count for nothing.
#[track_caller]
fn serves_2(gate: &Airgate, upstream: &Upstream) {
    assert_eq!(gate.metric(IN_FORCE), 2.0);
    let answer = gate.send(pools());
    assert_eq!((answer.status, answer.header("x-airgate-translated")), (200, None));
    let seen = last(upstream);
    assert_eq!(seen.target, "/api/v1/pools?limit=100");
    assert_eq!(seen.header("authorization"), Some("Basic YWRtaW46YWRtaW4tcHc="));
    assert_eq!(gate.send(with_token()).status, 401);
    assert_eq!(gate.send(get("/auth/token/cli")).status, 404);
}

#[test]
fn it_is_asked_at_the_start() {
    let three = upstream("3.0.6");
    let gate = Airgate::before(&three.url(), &config());
    serves_3(&gate, &three);
    assert!(gate.admin("/").text().contains("Behind it is Airflow 3."));
    let two = upstream("2.11.2");
    let gate = Airgate::before(&two.url(), &config());
    serves_2(&gate, &two);
    assert!(gate.admin("/").text().contains("Behind it is Airflow 2."));
}

/// What is written counts, whatever the upstream says.
#[test]
fn what_is_written_counts() {
    let two = upstream("2.11.2");
    let gate = Airgate::before(&two.url(), &format!("airflow = 3\n{}", config()));
    serves_3(&gate, &two);
    let three = upstream("3.3.2");
    let gate = Airgate::before(&three.url(), "airflow = \"2\"\n[lockout]\nattempts = 0\n");
    serves_2(&gate, &three);
}

/// An upgrade and a way back, behind one address, without a request in between that would notice.
#[test]
fn it_is_asked_again_when_it_has_become_another() {
    let upstream = upstream("2.11.2");
    let gate = Airgate::before(&upstream.url(), &config());
    serves_2(&gate, &upstream);
    upstream.says(Some("3.3.2"));
    gate.until("Airflow 3 is in force", |gate| gate.metric(IN_FORCE) == 3.0);
    serves_3(&gate, &upstream);
    upstream.says(Some("2.11.2"));
    gate.until("Airflow 2 is in force", |gate| gate.metric(IN_FORCE) == 2.0);
    serves_2(&gate, &upstream);
    gate.nth_log("the upstream has said which Airflow it is", 3);
}

/// While nothing is known, nothing is forwarded that only one of the two could be sent so.
#[test]
fn until_it_has_said_so_nothing_is_taken_for_granted() {
    let place = Closed::port();
    let gate = Airgate::before(&place.url(), &config());
    assert_eq!(gate.metric(IN_FORCE), 0.0);
    assert!(gate.admin("/").text().contains("Which Airflow is behind it is not known yet."));
    assert_eq!(gate.send(with_token()).status, 502);
    let upstream = place.open(script);
    upstream.says(Some("2.11.2"));
    gate.until("Airflow 2 is in force", |gate| gate.metric(IN_FORCE) == 2.0);
    serves_2(&gate, &upstream);

    // It answers, and does not say.
    let mute = Upstream::answering(|_| answer(200, &[], r#"{"pools":[],"users":[],"total_entries":0}"#));
    mute.says(None);
    let gate = Airgate::before(&mute.url(), &config());
    gate.logs("does not say which Airflow it is");
    assert_eq!(gate.metric(IN_FORCE), 0.0);
    mute.forget();
    assert_eq!(gate.send(with_token()).status, 502);
    assert!(mute.seen().iter().all(|seen| seen.header("x-request-id").is_none()));
    let bearer = token::good("admin");
    for (asked, sent) in [
        ("/api/v2/pools?limit=1000", "/api/v2/pools?limit=100"),
        ("/auth/fab/v1/users?limit=1000", "/auth/fab/v1/users?limit=100"),
        // Airflow 3 refuses both; Airflow 2 might take them for pages without an end.
        ("/auth/fab/v1/users?limit=-1", "/auth/fab/v1/users?limit=100"),
        ("/auth/fab/v1/users?limit=%EF%BC%91%EF%BC%90%EF%BC%90%EF%BC%91", "/auth/fab/v1/users?limit=100"),
    ] {
        assert_eq!(gate.send(get(asked).bearer(&bearer)).status, 200, "{asked}");
        assert_eq!(last(&mute).target, sent, "{asked}");
    }
}

/// Where one address of several has become another Airflow, it gets no request until all have.
#[test]
fn addresses_that_differ() {
    let (one, other) = (upstream("3.3.2"), upstream("2.11.2"));
    let urls = format!("[upstream]\nurl = [\"{}\", \"{}\"]\n{}", one.url(), other.url(), config());
    // They differ from the start: nothing is known.
    let gate = Airgate::with(urls).start();
    assert_eq!(gate.metric(IN_FORCE), 0.0);
    other.says(Some("3.3.2"));
    gate.until("Airflow 3 is in force", |gate| gate.metric(IN_FORCE) == 3.0);
    other.says(Some("2.11.2"));
    let sent_elsewhere = |gate: &Airgate| {
        other.forget();
        let all = (0..4).all(|_| gate.send(with_token()).status == 200);
        all && other.seen().iter().all(|seen| seen.header("x-request-id").is_none())
    };
    gate.until("the other gets nothing", sent_elsewhere);
    assert_eq!(gate.metric(IN_FORCE), 3.0);
    one.says(Some("2.11.2"));
    gate.until("Airflow 2 is in force", |gate| gate.metric(IN_FORCE) == 2.0);
    for _ in 0..4 {
        let answer = gate.send(pools());
        assert_eq!((answer.status, answer.header("x-airgate-translated")), (200, None));
    }
}

/// A configuration that the other Airflow could not be served with stays as it is, and says so once.
#[test]
fn a_configuration_for_the_other_is_not_put_in_force() {
    let upstream = upstream("3.3.2");
    let gate = Airgate::before(&upstream.url(), &format!("identity = \"mint\"\n{}", config()));
    serves_3(&gate, &upstream);
    upstream.says(Some("2.11.2"));
    gate.logs("[upstream] identity: Airflow takes tokens from version 3 on");
    assert_eq!(gate.metric(IN_FORCE), 3.0);
    // More of its checks, and no more of its complaints.
    upstream.says(None);
    let before = upstream.seen().len();
    upstream.wait_for(before + 4);
    assert_eq!(gate.log().matches("Airflow takes tokens from version 3 on").count(), 1);
}

/// Before it is noticed that it has become Airflow 2, nothing is said not to be there: a program that manages DAGs or
/// pools would make it anew.
#[test]
fn a_page_of_another_airflow_means_nothing() {
    let upstream = Upstream::answering(|_| answer(404, &[("content-type", "text/html")], "<!DOCTYPE html>"));
    let gate = Airgate::before(&upstream.url(), &config());
    for path in ["/api/v1/pools/p", "/api/v1/dags/d/dagRuns", "/api/v1/dags/d/dagRuns/r/taskInstances/t"] {
        let answer = gate.send(get(path).bearer(&token::good("admin")));
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    }
}

/// A relay to a real Airflow, which can be exchanged for another.
fn relay(to: &Arc<Mutex<std::net::SocketAddr>>) -> Upstream {
    let to = to.clone();
    let relay = Upstream::answering(move |seen| {
        let address = *to.lock().unwrap();
        pass_on(seen, address)
    });
    relay.says(None);
    relay
}

fn listed(answer: &Answer) -> (u16, bool, bool) {
    let translated = answer.header("x-airgate-translated").is_some();
    (answer.status, translated, answer.status == 200 && answer.json()["pools"].is_array())
}

#[test]
fn the_real_airflow_3_says_so() {
    let airflow = airflow::fab();
    let gate = Airgate::before(&airflow.url, "auth_manager = \"fab\"\n");
    assert_eq!(gate.metric(IN_FORCE), 3.0);
    assert_eq!(listed(&gate.send(pools())), (200, true, true));
}

/// A real Airflow 2.11, upgraded to a real 3.3 and put back, behind one address.
#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn a_real_upgrade() {
    let (two, three) = (airflow::airflow_2_without_public_role(), airflow::fab());
    let to = Arc::new(Mutex::new(two.address()));
    let relay = relay(&to);
    let gate = Airgate::before(
        &relay.url(),
        "auth_manager = \"fab\"\n[lockout]\nattempts = 0\n[basic]\ncache_ttl = 0\n",
    );
    for (airflow, major, translated) in [(two, 2.0, false), (three, 3.0, true), (two, 2.0, false)] {
        *to.lock().unwrap() = airflow.address();
        gate.until("it is in force", |gate| gate.metric(IN_FORCE) == major);
        assert_eq!(listed(&gate.send(pools())), (200, translated, true), "{major}");
        let issued =
            gate.send(post("/auth/token").json(json!({"username": "admin", "password": "admin-pw"})));
        assert_eq!(issued.status, if translated { 201 } else { 404 }, "{major}: {}", issued.text());
    }
}

/// Refused for the Airflow that it has become, the configuration is read again by itself: what was missing may have
/// come without a file of the configuration, as from a command.
#[test]
fn what_is_refused_for_it_is_tried_again() {
    let upstream = upstream("2.11.2");
    let setup =
        Airgate::with(format!("[upstream]\nurl = \"{}\"\n", upstream.url())).file("secret", token::SECRET);
    let secret = setup.home().join("secret");
    let gate = setup.env("AIRGATE__API_AUTH__JWT_SECRET_CMD", &format!("cat {}", secret.display())).start();
    serves_2(&gate, &upstream);
    std::fs::remove_file(&secret).unwrap();
    upstream.says(Some("3.3.2"));
    gate.logs("the new configuration is refused");
    assert_eq!(gate.metric(IN_FORCE), 2.0);
    std::fs::write(&secret, token::SECRET).unwrap();
    gate.until("Airflow 3 is in force", |gate| gate.metric(IN_FORCE) == 3.0);
    serves_3(&gate, &upstream);
}
