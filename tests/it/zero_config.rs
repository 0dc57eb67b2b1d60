//! `airgate run --set upstream.url=…` and nothing else: no file, no key, no list of users.

use serde_json::json;

use crate::support::airflow::Airflow;
use crate::support::{Airgate, Ask, airflow, delete, get, options, post};

fn before(airflow: &Airflow) -> Airgate {
    Airgate::with("").arg("--set").arg(&format!("upstream.url={}", airflow.url)).start()
}

fn pools() -> Ask {
    get("/api/v2/pools")
}

fn log_in(user: &str, password: &str) -> Ask {
    post("/auth/token").json(json!({"username": user, "password": password}))
}

/// Every kind of credential, in front of every auth manager.
#[test]
fn basic_bearer_and_cookie_work() {
    for (name, airflow) in
        [("simple", airflow::simple()), ("simple, RS256", airflow::simple_rs256()), ("FAB", airflow::fab())]
    {
        let gate = before(airflow);
        let token = gate.send(log_in("viewer", "viewer-pw")).token();
        let cookie = |token: &str| pools().with("Cookie", format!("_token={token}"));
        for (credential, ask, expected) in [
            ("nothing", pools(), 401),
            ("Basic", pools().basic("viewer", "viewer-pw"), 200),
            ("Basic, again", pools().basic("viewer", "viewer-pw"), 200),
            ("Basic, letters of any kind", pools().basic("uni", "pässwörd✓"), 200),
            ("Basic, wrong password", pools().basic("viewer", "wrong"), 401),
            ("Basic, unknown user", pools().basic("nobody", "viewer-pw"), 401),
            ("Bearer", pools().bearer(&token), 200),
            ("Bearer, not one of Airflow's", pools().bearer("not.a.token"), 403),
            ("cookie", cookie(&token), 200),
            ("cookie, not one of Airflow's", cookie("not.a.token"), 403),
            ("a token that is a password", log_in("viewer", &token), 401),
        ] {
            let answer = gate.send(ask);
            assert_eq!(answer.status, expected, "{name}, {credential}: {}", answer.text());
        }
    }
}

/// The caller's rights stay Airflow's to judge.
#[test]
fn a_change_needs_the_right_to_it() {
    for (name, airflow) in [("simple", airflow::simple()), ("FAB", airflow::fab())] {
        let gate = before(airflow);
        let name_of_pool = format!("zero-config-{}", std::process::id());
        let pool = json!({"name": name_of_pool, "slots": 1});
        let made = |user, password| gate.send(post("/api/v2/pools").basic(user, password).json(pool.clone()));
        assert_eq!(made("viewer", "viewer-pw").status, 403, "{name}");
        assert_eq!(made("admin", "admin-pw").status, 201, "{name}");
        let removed = gate.send(delete(format!("/api/v2/pools/{name_of_pool}")).basic("admin", "admin-pw"));
        assert_eq!(removed.status, 204, "{name}");
    }
}

/// The token is Airflow's own, so it works without the gate, and after the gate is gone.
#[test]
fn tokens_are_airflows_own() {
    let airflow = airflow::simple();
    for path in ["/auth/token", "/auth/token/cli"] {
        let gate = before(airflow);
        let answer = gate.send(post(path).json(json!({"username": "viewer", "password": "viewer-pw"})));
        assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")), "{path}");
        drop(gate);
        assert_eq!(pools().bearer(&answer.token()).send(airflow.address()).status, 200, "{path}");
    }
}

/// What a script of Airflow 2 did not need to ask for: a token for Basic, from the token endpoint.
#[test]
fn a_token_for_basic() {
    let gate = before(airflow::simple());
    let answer = gate.send(post("/auth/token").basic("viewer", "viewer-pw"));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let token = answer.token();
    assert_eq!(gate.send(pools().bearer(&token)).status, 200);
    assert_eq!(gate.send(post("/auth/token").bearer(&token)).status, 422, "no token renews itself");
}

#[test]
fn what_is_not_asked_for_is_off() {
    let gate = before(airflow::simple());
    let origin = "https://ui.example.com";
    let refused = gate.send(pools().with("Origin", origin));
    assert_eq!(refused.header("access-control-allow-credentials"), None, "no CORS of its own");
    let preflight =
        options("/api/v2/pools").with("Origin", origin).with("Access-Control-Request-Method", "GET");
    let answer = gate.send(preflight);
    assert_eq!(answer.status, 200, "Airflow's own policy answers a browser's question");
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    for (name, path, expected) in [
        ("the user interface", "/", 404),
        ("the API of the workers", "/execution/health", 404),
        ("the page of the log-in", "/auth/login", 404),
        ("health, for all", "/api/v2/monitor/health", 200),
        ("the version, for all", "/api/v2/version", 200),
    ] {
        assert_eq!(gate.send(get(path)).status, expected, "{name}");
    }
    assert!(gate.send(get("/")).detail().contains("other_routes"));
}

#[test]
fn it_is_ready_and_says_nothing_of_passwords() {
    let gate = before(airflow::simple());
    gate.until("ready", |gate| gate.admin("/readyz").status == 200);
    assert_eq!(gate.send(pools().basic("viewer", "viewer-pw")).status, 200);
    assert_eq!(gate.send(pools().basic("viewer", "not-the-password")).status, 401);
    gate.access("\"status\":401");
    let written = gate.everything();
    for secret in ["viewer-pw", "not-the-password", "dmlld2VyOnZpZXdlci1wdw", "eyJ"] {
        assert!(!written.contains(secret), "{secret}");
    }
}
