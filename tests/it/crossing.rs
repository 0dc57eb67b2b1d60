//! Tokens cross over: what one of airgate and Airflow issues, the other takes for its own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::airflow::Airflow;
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, delete, get, post};

/// An airgate that has Airflow's configuration, its key too.
fn with_key(airflow: &Airflow, more: &str) -> Airgate {
    let config = airflow.config();
    Airgate::before(&airflow.url, &format!("[gate]\nairflow_cfg = \"{}\"\n{more}", config.display()))
}

fn log_in(path: &str, user: &str) -> Ask {
    post(path).json(json!({"username": user, "password": format!("{user}-pw")}))
}

fn pools() -> Ask {
    get("/api/v2/pools")
}

/// A change, for which a viewer has no right. Nobody here has such a DAG, so nothing changes.
fn change() -> Ask {
    post("/api/v2/dags/no-such-dag/clearTaskInstances").json(json!({}))
}

/// One of the two parts of a token that are JSON, unverified.
fn part(token: &str, number: usize) -> Value {
    let encoded = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

/// The tokens of both, for one user from one endpoint, and what each is worth at both.
#[track_caller]
fn cross(name: &str, airflow: &Airflow, gate: &Airgate, algorithm: &str) {
    for (path, life) in [("/auth/token", 3600), ("/auth/token/cli", 600)] {
        for (user, may_change) in [("admin", true), ("viewer", false)] {
            let at = format!("{name}, {path}, {user}");
            let ours = gate.send(log_in(path, user)).token();
            let airflows = log_in(path, user).send(airflow.address()).token();
            assert_eq!(part(&ours, 0), part(&airflows, 0), "{at}");
            assert_eq!(part(&ours, 0)["alg"], algorithm, "{at}");
            let (our_claims, airflows_claims) = (part(&ours, 1), part(&airflows, 1));
            assert_eq!(what_lasts(&our_claims), what_lasts(&airflows_claims), "{at}");
            assert_eq!(what_lasts(&our_claims)["life"], life, "{at}");
            assert_ne!(our_claims["jti"], airflows_claims["jti"], "{at}");
            for (issuer, token) in [("ours", &ours), ("Airflow's", &airflows)] {
                for (place, address) in [("Airflow", airflow.address()), ("airgate", gate.address())] {
                    let at = format!("{at}, {issuer} at {place}");
                    let read = pools().bearer(token).send(address);
                    assert_eq!(read.status, 200, "{at}: {}", read.text());
                    let changed = change().bearer(token).send(address);
                    assert_eq!(changed.status != 403, may_change, "{at}: {}", changed.text());
                }
            }
        }
    }
}

/// The claims without those that are of one token alone, with its life.
fn what_lasts(claims: &Value) -> Value {
    let mut lasting = claims.clone();
    lasting["life"] = json!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap());
    let members = lasting.as_object_mut().unwrap();
    members.retain(|name, _| !["jti", "iat", "nbf", "exp"].contains(&name.as_str()));
    lasting
}

#[test]
fn tokens_cross_over_with_a_secret() {
    let airflow = airflow::simple();
    let from_file = with_key(airflow, "[basic]\nsources = [\"file\"]\n");
    cross("passwords from Airflow's file", airflow, &from_file, "HS512");
    let from_upstream = with_key(airflow, "");
    cross("passwords checked by Airflow", airflow, &from_upstream, "HS512");
}

#[test]
fn tokens_cross_over_with_an_rsa_key() {
    let airflow = airflow::simple_rs256();
    cross("RS256", airflow, &with_key(airflow, "[basic]\nsources = [\"file\"]\n"), "RS256");
}

/// Without a key every token is Airflow's own.
#[test]
fn tokens_cross_over_without_any_key() {
    for (name, airflow, algorithm) in
        [("HS512", airflow::simple(), "HS512"), ("RS256", airflow::simple_rs256(), "RS256")]
    {
        cross(name, airflow, &Airgate::before(&airflow.url, ""), algorithm);
    }
}

/// Minted, exchanged or passed on: who has only a viewer's rights in Airflow has no more through the gate.
#[test]
fn a_viewer_stays_a_viewer_with_name_and_password() {
    let airflow = airflow::simple();
    for (name, gate) in [
        ("mint", with_key(airflow, "[basic]\nsources = [\"file\"]\n")),
        ("exchange", Airgate::before(&airflow.url, "")),
    ] {
        for (user, may_change) in [("admin", true), ("viewer", false)] {
            let password = format!("{user}-pw");
            assert_eq!(gate.send(pools().basic(user, &password)).status, 200, "{name}, {user}");
            let changed = gate.send(change().basic(user, &password));
            assert_eq!(changed.status != 403, may_change, "{name}, {user}: {}", changed.text());
        }
    }
}

/// A change that is really made, with the caller's own name in Airflow's event log.
#[test]
fn airflow_knows_who_it_was() {
    let airflow = airflow::simple();
    for (name, gate) in [
        ("mint", with_key(airflow, "[basic]\nsources = [\"file\"]\n")),
        ("exchange", Airgate::before(&airflow.url, "")),
    ] {
        let pool = &format!("crossing-{name}-{}", std::process::id());
        let op = |ask: Ask| gate.send(ask.basic("op", "op-pw"));
        let made = op(post("/api/v2/pools").json(json!({"name": pool, "slots": 1})));
        let logged = op(get("/api/v2/eventLogs?event=post_pool&order_by=-event_log_id&limit=5"));
        let removed = op(delete(format!("/api/v2/pools/{pool}")));
        assert_eq!(made.status, 201, "{pool}: {}", made.text());
        assert_eq!(removed.status, 204, "{pool}: {}", removed.text());
        let logged = logged.json();
        let of_this = |entry: &&Value| entry["extra"].as_str().is_some_and(|extra| extra.contains(pool));
        let entry = logged["event_logs"].as_array().unwrap().iter().find(of_this);
        assert_eq!(entry.map(|entry| &entry["owner"]), Some(&json!("op")), "{logged}");
    }
}

/// The token that Airflow takes back is worth nothing through the gate either, though the gate remembers
/// it as good.
#[test]
fn a_revoked_token_is_refused() {
    let airflow = airflow::simple();
    let gate = with_key(airflow, "[basic]\nsources = [\"file\"]\n");
    for (name, token) in [
        ("ours", gate.send(log_in("/auth/token", "viewer")).token()),
        ("Airflow's", log_in("/auth/token", "viewer").send(airflow.address()).token()),
    ] {
        assert_eq!(gate.send(pools().bearer(&token)).status, 200, "{name}");
        let out =
            get("/api/v2/auth/logout").with("Cookie", format!("_token={token}")).send(airflow.address());
        assert!(out.status < 400, "{name}: {}", out.text());
        let refused = gate.send(pools().bearer(&token));
        assert_eq!(told(&refused), (403, "Invalid JWT token".into()), "{name}");
        let directly = pools().bearer(&token).send(airflow.address());
        assert_eq!(told(&directly), told(&refused), "{name}: as without the gate");
    }
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.detail())
}

/// The password is right, but nobody of that name is in Airflow: there is no role that could be given.
#[test]
fn who_is_nobody_in_airflow_gets_nothing() {
    let airflow = airflow::simple();
    let users = "mallory:$argon2id$v=19$m=19456,t=2,p=1$2tvAsNCi92HGTGNBoVn3IA$W2Xylfn5AxmMvgJ6LZk1sMc+6t9cw/41SivkmA1SOcQ\n";
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n[basic]\nsources = [\"file\"]\n\
         users_file = \"users.htpasswd\"\n",
        airflow.url,
        airflow.config().display()
    );
    let gate = Airgate::with(config).file("users.htpasswd", users).start();
    let body = json!({"username": "mallory", "password": "a-password"});
    for (name, ask) in [
        ("on the API", pools().basic("mallory", "a-password")),
        ("for a token", post("/auth/token").json(body.clone())),
        ("for a token of the command line", post("/auth/token/cli").json(body)),
        ("a token for Basic", post("/auth/token").basic("mallory", "a-password")),
    ] {
        let unknown = (403, "The user is not known to Airflow".to_owned());
        assert_eq!(told(&gate.send(ask)), unknown, "{name}");
    }
    assert_eq!(gate.send(pools().basic("mallory", "another")).status, 401);
    // It could be known from the start, and the audit log says which list it is.
    gate.logs("simple_auth_manager_users does not name");
    let denied = gate.logs("\"event\":\"denied\"");
    assert!(denied.contains("\"detail\":\"not in [core] simple_auth_manager_users\""), "{denied}");
}

/// `passthrough`: who is accepted here is shown to the upstream as they came.
#[test]
fn passthrough_changes_nothing() {
    let upstream = Upstream::answering(|seen| match seen.target.as_str() {
        "/auth/token" => answer(201, &[], "{\"access_token\": \"a.b.c\"}"),
        _ => answer(200, &[], "{}"),
    });
    let gate = Airgate::before(&upstream.url(), "identity = \"passthrough\"\n");
    for (name, ask, expected) in [
        ("Basic", pools().basic("admin", "admin-pw"), "Basic YWRtaW46YWRtaW4tcHc="),
        ("Bearer", pools().bearer("d.e.f"), "Bearer d.e.f"),
    ] {
        assert_eq!(gate.send(ask).status, 200, "{name}");
        let seen = upstream.seen();
        assert_eq!(seen.last().unwrap().all("authorization"), [expected], "{name}");
    }
    // Airflow 3 itself knows no Basic, and says so.
    let airflow = airflow::simple();
    let gate = Airgate::before(&airflow.url, "identity = \"passthrough\"\n");
    let token = gate.send(log_in("/auth/token", "viewer")).token();
    assert_eq!(gate.send(pools().bearer(&token)).status, 200);
    assert_eq!(gate.send(pools().basic("viewer", "viewer-pw")).status, 401);
}
