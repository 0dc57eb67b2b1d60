//! A backend of one's own, in Rust: the complete program under `examples/`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::airgate::Setup;
use crate::support::token::{self, SECRET};
use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Ask, Upstream, airflow, get, post};

/// `examples/api_key.rs`. `cargo test` builds it; `cargo test --test it` does not.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/api_key");
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    // Cargo writes down what it was made of.
    let made_of = std::fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let mut sources = made_of.split_whitespace().skip(1).map(Path::new);
    let fresh = changed(&program)
        .is_ok_and(|built| sources.all(|source| changed(source).is_ok_and(|changed| changed <= built)));
    assert!(fresh, "{} is not there or out of date: cargo build --examples", program.display());
    program
}

const KEY: &str = "0123456789abcdef-robot";

fn with(config: impl Into<String>) -> Setup {
    Airgate::with(config).program(program()).file("robot.key", format!("{KEY}\n"))
}

fn config(upstream: &str, backends: &str, table: &str) -> String {
    format!(
        "[upstream]\nurl = \"{upstream}\"\n[api]\nauth_backends = \"{backends}\"\n[core]\n\
         simple_auth_manager_users = \"robot:op\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{table}"
    )
}

const TABLE: &str = "[backend.api_key]\nheader = \"X-Key\"\nkeys.robot = { file = \"robot.key\" }\n";

fn pools() -> Ask {
    get("/api/v2/pools/a")
}

#[track_caller]
fn told(upstream: &Upstream) -> String {
    let token = upstream.only().header("authorization").unwrap().replacen("Bearer ", "", 1);
    token::read(&token)["sub"].as_str().unwrap().to_owned()
}

#[test]
fn the_example_lets_its_users_in() {
    let upstream = Upstream::start();
    let gate = with(config(&upstream.url(), "jwt, api_key", TABLE)).start();
    assert_eq!(gate.send(pools().with("X-Key", KEY)).status, 200);
    assert_eq!(told(&upstream), "robot");
    let access = gate.access("custom:robot");
    assert_eq!((&access["user"], &access["backend"]), (&json!("custom:robot"), &json!("api_key")));
    gate.counts("airgate_backend_health{backend=\"api_key\",state=\"up\"}", 1.0);
    let challenges = ["Bearer realm=\"Airflow\"", "ApiKey realm=\"Airflow\", header=\"x-key\""];
    for (name, ask, detail) in [
        ("none", pools(), "Not authenticated"),
        ("another header", pools().with("X-Api-Key", KEY), "Not authenticated"),
        ("a wrong key", pools().with("X-Key", "wrong"), "Invalid credentials"),
        ("not even ASCII", pools().with("X-Key", b"\xff"), "Invalid credentials"),
    ] {
        let refused = gate.send(ask);
        assert_eq!((refused.status, &*refused.detail()), (401, detail), "{name}");
        let told: Vec<_> =
            refused.all("www-authenticate").iter().map(|c| c.replace("X-Key", "x-key")).collect();
        assert_eq!(told, challenges, "{name}");
    }
    assert!(!gate.everything().contains(KEY));
}

/// In front of a real Airflow: in its own log the robot has its own name.
#[test]
fn airflow_knows_the_robot() {
    let airflow = airflow::simple();
    let keys =
        "[backend.api_key]\nkeys.op = \"0123456789abcdef-op\"\nkeys.viewer = \"0123456789abcdef-viewer\"\n";
    let cfg = airflow.config();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n[api]\nauth_backends = \"api_key\"\n{keys}",
        airflow.url,
        cfg.display()
    );
    let gate = with(config).start();
    let pool = format!("custom-{}", std::process::id());
    let make = |user: &str| {
        let ask = post("/api/v2/pools").with("X-Api-Key", format!("0123456789abcdef-{user}"));
        gate.send(ask.json(json!({"name": pool, "slots": 1}))).status
    };
    assert_eq!((make("viewer"), make("op"), make("nobody")), (403, 201, 401));
    let remove =
        crate::support::delete(format!("/api/v2/pools/{pool}")).with("X-Api-Key", "0123456789abcdef-op");
    assert_eq!(gate.send(remove).status, 204);
}

#[test]
fn a_change_of_its_table_is_a_reload() {
    let upstream = Upstream::start();
    let gate = with(config(&upstream.url(), "api_key", TABLE)).start();
    let (old, new) = (KEY, "fedcba9876543210-robot");
    let status = |key: &str| gate.send(pools().with("X-Key", key)).status;
    assert_eq!((status(old), status(new)), (200, 401));
    std::fs::write(gate.home().join("robot.key"), new).unwrap();
    gate.logs("configuration reloaded");
    assert_eq!((status(old), status(new)), (401, 200));
    std::fs::write(gate.home().join("robot.key"), "short").unwrap();
    let refused = gate.logs("the new configuration is refused");
    assert!(refused.contains("the key of robot has fewer than 16 characters"), "{refused}");
    assert_eq!(status(new), 200);
}

/// Headers by which any client could claim to be somebody are hidden from it.
#[test]
fn it_sees_no_header_that_only_a_proxy_may_set() {
    let upstream = Upstream::start();
    for (name, trusted, header, status) in [
        ("a client", "", "X-Forwarded-Key", 401),
        ("a trusted proxy", "[server]\ntrusted_proxies = \"127.0.0.1\"\n", "X-Forwarded-Key", 200),
        (
            "another spelling, past a trusted proxy",
            "[server]\ntrusted_proxies = \"127.0.0.1\"\n",
            "X_Forwarded_Key",
            401,
        ),
    ] {
        let table = format!("[backend.api_key]\nheader = \"{header}\"\nkeys.robot = \"{KEY}\"\n{trusted}");
        let gate = with(config(&upstream.url(), "api_key", &table)).start();
        assert_eq!(gate.send(pools().with(header, KEY)).status, status, "{name}");
    }
}

#[test]
fn what_is_wrong_with_its_table_is_said_with_its_place() {
    for (name, backends, table, expected) in [
        ("no table", "api_key", "", "airgate.toml:4:17: [backend.api_key]: missing field `keys`"),
        (
            "a misspelt key",
            "api_key",
            "[backend.api_key]\nkeys = {}\nheadr = \"X\"\n",
            "airgate.toml:11:1: [backend.api_key]: unknown field `headr`, expected `header` or `keys`",
        ),
        (
            "what the backend itself finds",
            "api_key",
            "[backend.api_key]\nkeys.robot = \"short\"\n",
            "airgate.toml:9:10: [backend.api_key]: the key of robot has fewer than 16 characters",
        ),
        (
            "a name that is not registered",
            "api_keys",
            "",
            "found \"api_keys\". This build also has api_key. A backend of one's own is asked over HTTP: write callout:NAME here",
        ),
    ] {
        let (code, said) = with(config("http://127.0.0.1:1", backends, table)).fails();
        assert_eq!(code, Some(1), "{name}");
        assert!(said.contains(expected), "{name}: {said}");
    }
    let unused = with(config("http://127.0.0.1:1", "jwt", TABLE)).start();
    unused.logs("[backend.api_key] has no effect: [api] auth_backends does not name api_key");
}

/// The credential for a token: Airflow's, for whoever it is, and the cookie never counts.
#[test]
fn its_credential_is_exchanged_for_a_token() {
    let upstream = Upstream::answering(|_: &Seen| answer(200, &[], "{}"));
    let table = format!("[backend.api_key]\nheader = \"Cookie\"\nkeys.robot = \"{KEY}\"\n");
    let gate = with(config(&upstream.url(), "jwt, api_key", &table)).start();
    assert_eq!(gate.send(pools().with("Cookie", KEY)).status, 200);
    assert_eq!(gate.send(post("/auth/token").with("Cookie", KEY)).status, 422, "a cookie is never exchanged");
    let gate = with(config(&upstream.url(), "jwt, api_key", TABLE)).start();
    let issued = gate.send(post("/auth/token").with("X-Key", KEY));
    assert_eq!((issued.status, issued.header("cache-control")), (201, Some("no-store")), "{}", issued.text());
    assert_eq!(token::read(&issued.token())["sub"], "robot");
    assert_eq!(gate.send(pools().bearer(&issued.token())).status, 200);
    assert_eq!(gate.send(post("/auth/token").with("X-Key", "wrong")).status, 401);
}
