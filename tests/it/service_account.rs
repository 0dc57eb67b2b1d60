//! Tokens of Kubernetes' service accounts, as a second issuer, in front of real Airflows.

use serde_json::{Value, json};

use crate::support::token::RsaIssuer;
use crate::support::upstream::answer;
use crate::support::{Airgate, Upstream, airflow, get, post};

const POOLS: &str = "/api/v2/pools";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const ROBOT: &str = "system:serviceaccount:etl:robot";

fn section(keys: &str) -> String {
    format!(
        "[[jwt.issuers]]\nissuer = \"{ISSUER}\"\njwks_url = \"{keys}\"\naudience = \"airflow\"\n\
         username_prefix = \"\"\n"
    )
}

/// The claims of a token that a pod finds in its projected volume (Kubernetes 1.33).
fn claims(name: &str, changes: &Value) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let account = name.rsplit(':').next().unwrap();
    let mut claims = json!({
        "aud": ["airflow"], "exp": now + 3607, "iat": now, "nbf": now, "iss": ISSUER, "sub": name,
        "jti": "a7d8f3b2-64c1-4f0e-9a53-2d8a8f8f0c11",
        "kubernetes.io": {
            "namespace": "etl",
            "node": { "name": "worker-1", "uid": "5c4b6a0e-1f0b-4f8e-8f6e-0d0c7c1d2e3f" },
            "pod": { "name": "robot-0", "uid": "0b0a1e52-6a0f-4a53-9a39-0a6a5c1a8c11" },
            "serviceaccount": { "name": account, "uid": "c7a3a1f0-7a86-4cf3-8b39-6d6d31a6f0aa" },
            "warnafter": now + 3000,
        },
    });
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims
}

/// Who it is reads and may not change anything; what is not for this Airflow is refused.
#[track_caller]
fn check(gate: &Airgate, key: &RsaIssuer) {
    let token = |name: &str, changes: Value| key.token(&claims(name, &changes));
    let robot = token(ROBOT, json!({}));
    let read = gate.send(get(POOLS).bearer(&robot));
    assert_eq!(read.status, 200, "{}\n{}", read.text(), gate.log());
    assert!(read.json()["pools"].is_array());
    assert_eq!(gate.send(post(POOLS).bearer(&robot).json(json!({}))).status, 403, "a viewer");
    for (what, token, status) in [
        ("an account that nobody knows", token("system:serviceaccount:etl:other", json!({})), 403),
        ("for the API server", token(ROBOT, json!({ "aud": ["https://kubernetes.default.svc"] })), 403),
        ("expired", token(ROBOT, json!({ "exp": 1_700_000_000 })), 401),
        ("of another cluster", token(ROBOT, json!({ "iss": "https://kubernetes.default.svc" })), 403),
        ("of another key", RsaIssuer::new("cluster").token(&claims(ROBOT, &json!({}))), 403),
    ] {
        let answered = gate.send(get(POOLS).bearer(&token));
        assert_eq!(answered.status, status, "{what}: {}", answered.text());
    }
}

#[test]
fn with_the_simple_auth_manager_and_keys_in_a_file() {
    let (airflow, key) = (airflow::simple(), RsaIssuer::new("cluster"));
    let gate = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n[core]\n\
         simple_auth_manager_users = \"admin:admin, {ROBOT}:viewer\"\n{}",
        airflow.url,
        airflow.config().display(),
        section("keys.json")
    ))
    .file("keys.json", key.set())
    .start();
    check(&gate, &key);
}

#[test]
fn with_fab_and_keys_at_a_url() {
    let (airflow, key) = (airflow::fab(), RsaIssuer::new("cluster"));
    let set = key.set();
    let cluster = Upstream::answering(move |_| answer(200, &[], &set));
    let gate = Airgate::before(
        &airflow.url,
        &format!(
            "auth_manager = \"fab\"\n[gate]\nairflow_cfg = \"{}\"\n{}",
            airflow.config().display(),
            section(&format!("{}/openid/v1/jwks", cluster.url()))
        ),
    );
    let admin = post("/auth/token").json(json!({ "username": "admin", "password": "admin-pw" }));
    let admin = admin.send(airflow.address()).token();
    let user = json!({
        "username": ROBOT, "first_name": "Robot", "last_name": "ETL", "email": "robot@etl.airgate.test",
        "password": "nobody-knows-this-one-0123456789", "roles": [{ "name": "Viewer" }],
    });
    let made = post("/auth/fab/v1/users").bearer(&admin).json(user).send(airflow.address());
    assert!(matches!(made.status, 200 | 201 | 409), "{}", made.text());
    gate.until("the database tells of the account", |gate| {
        gate.send(get(POOLS).bearer(&key.token(&claims(ROBOT, &json!({}))))).status == 200
    });
    check(&gate, &key);
}

/// Keycloak's auth manager needs a token of Keycloak's, which nobody can make for a service account's name.
#[test]
fn with_keycloak_it_is_refused_before_the_start() {
    let keycloak = airflow::keycloak();
    let (code, said) = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n{}",
        keycloak.url,
        keycloak.config().display(),
        section("keys.json")
    ))
    .file("keys.json", RsaIssuer::new("cluster").set())
    .check();
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("[[jwt.issuers]]: a token of another issuer "), "{said}");
}
