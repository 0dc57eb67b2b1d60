//! The token endpoints, with Keycloak's grants.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::front;
use crate::support::keycloak;
use crate::support::relay::Relay;
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, get, post, token};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An airgate in front of the real Airflow, with its configuration, and as patient as beside a compiler one must be.
fn gate(keycloak: &str) -> Airgate {
    let airflow = airflow::keycloak();
    let config = airflow.config();
    Airgate::before(
        &airflow.url,
        &format!(
            "[gate]\nairflow_cfg = \"{}\"\n[lockout]\nattempts = 0\n[keycloak_auth_manager]\ntimeout = \"60s\"\n\
             {keycloak}",
            config.display()
        ),
    )
}

/// One in front of nothing that matters.
fn alone(section: &str) -> Airgate {
    let upstream = Upstream::answering(|_| answer(200, &[], "{}"));
    let gate = Airgate::before(
        &upstream.url(),
        &format!(
            "auth_manager = \"keycloak\"\n[api_auth]\njwt_secret = \"{}\"\n[lockout]\nattempts = 0\n{section}",
            token::SECRET
        ),
    );
    std::mem::forget(upstream);
    gate
}

fn password(user: &str, password: &str) -> Ask {
    post("/auth/token").json(json!({"username": user, "password": password}))
}

fn client(id: &str, secret: &str) -> Ask {
    let grant = "client_credentials";
    post("/auth/token").json(json!({"grant_type": grant, "client_id": id, "client_secret": secret}))
}

fn assertion(token: &str) -> Ask {
    post("/auth/token").json(json!({"grant_type": JWT_BEARER, "assertion": token}))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What lasts of a token: its claims, without what each has of its own. Of Keycloak's inside, who has it.
fn what_lasts(token: &str) -> Value {
    let mut claims = token::read(token);
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    for name in ["jti", "exp", "iat", "nbf"] {
        claims.as_object_mut().unwrap().remove(name).unwrap();
    }
    claims["life"] = json!(life);
    let inside = token::read(claims["access_token"].as_str().unwrap());
    claims["access_token"] = json!([inside["sub"], inside["azp"], inside["preferred_username"]]);
    claims["refresh_token"] = json!(claims["refresh_token"].is_string());
    claims
}

#[test]
fn each_grant_gets_what_airflow_would_give_and_either_takes_the_others() {
    let (airflow, gate) = (airflow::keycloak(), gate(""));
    let realm = keycloak::shared().airflow();
    let ci = realm.service_account("ci").access;
    let change = |token: &str| post("/api/v2/pools").bearer(token).json(json!({}));
    for (name, ask, user, life, may_change) in [
        // First, since its token lives for five minutes from now.
        ("an assertion", assertion(&ci), "service-account-ci", 300, false),
        ("a password", password("admin", "admin-pw"), "admin", 3600, true),
        ("a password of a viewer", password("viewer", "viewer-pw"), "viewer", 3600, false),
        (
            "with grant_type",
            post("/auth/token")
                .json(json!({"grant_type": "password", "username": "op", "password": "op-pw"})),
            "op",
            3600,
            true,
        ),
        (
            "of the command line",
            post("/auth/token/cli").json(json!({"username": "uni", "password": "pässwörd✓"})),
            "uni",
            600,
            false,
        ),
        ("by mail address", password("admin@airgate.test", "admin-pw"), "admin", 3600, true),
        ("a client", client("airflow", "airflow-client-secret"), "service-account-airflow", 3600, true),
    ] {
        let ours = gate.send(ask.clone());
        assert_eq!(
            (ours.status, ours.header("cache-control")),
            (201, Some("no-store")),
            "{name}: {}",
            ours.text()
        );
        let (ours, theirs) = (ours.token(), ask.send(airflow.address()).token());
        assert_eq!(token::header(&ours), token::header(&theirs), "{name}");
        let (mut our_claims, mut their_claims) = (what_lasts(&ours), what_lasts(&theirs));
        assert_eq!(our_claims["name"], user, "{name}");
        // Airflow's outlives the assertion.
        let our_life = our_claims["life"].take().as_u64().unwrap();
        let their_life = their_claims["life"].take().as_u64().unwrap();
        assert!((life - 60..=life).contains(&our_life) && our_life <= their_life, "{name}: {our_life}");
        assert_eq!(our_claims, their_claims, "{name}");
        for (issuer, token) in [("ours", &ours), ("Airflow's", &theirs)] {
            for (place, address) in [("Airflow", airflow.address()), ("airgate", gate.address())] {
                let at = format!("{name}, {issuer} at {place}");
                let read = get("/api/v2/pools?limit=1").bearer(token).send(address);
                assert_eq!(read.status, 200, "{at}: {}", read.text());
                let changed = change(token).send(address).status;
                assert_eq!(changed != 403, may_change, "{at}: {changed}");
            }
        }
    }
}

/// The answer, and how long it took.
#[track_caller]
fn refused(gate: &Airgate, name: &str, ask: &Ask, detail: &str) -> Duration {
    let begun = Instant::now();
    let answer = gate.send(ask.clone());
    let took = begun.elapsed();
    let told = (answer.status, answer.detail(), answer.header("www-authenticate"));
    assert_eq!(told, (403, detail.to_owned(), None), "{name}");
    took
}

#[test]
fn a_refusal_tells_by_neither_text_nor_time_what_was_wrong() {
    let gate = gate("");
    let realm = keycloak::shared().airflow();
    let wrong = "Invalid credentials";
    let clients = "Client credentials authentication failed";
    let assertions = "Invalid Keycloak assertion";
    let user = realm.log_in_by("ci", "viewer", "viewer-pw").access;
    let claims = token::read(&user);
    let with = |changes: Value| {
        let mut claims = claims.clone();
        for (claim, value) in changes.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        realm.sign(&claims)
    };
    for (group, rows) in [
        (
            wrong,
            vec![
                ("a wrong password", password("viewer", "nope")),
                ("nobody", password("nobody", "nope")),
                ("a disabled user", password("disabled", "disabled-pw")),
                ("a disabled user, wrong password", password("disabled", "nope")),
                ("something left to do", password("action", "action-pw")),
            ],
        ),
        (
            clients,
            vec![
                ("a wrong secret", client("airflow", "nope")),
                ("a client that is not on the list, with its secret", client("ci", "ci-client-secret")),
                ("the same with a wrong one", client("ci", "nope")),
                ("no such client", client("nope", "nope")),
                ("a public client", client("cli", "x")),
            ],
        ),
        (
            assertions,
            vec![
                ("no token", assertion("garbage")),
                ("a wrong signature", assertion(&format!("{}AAAAAAAA", &user[..user.len() - 8]))),
                ("expired", assertion(&with(json!({"exp": now() - 60})))),
                ("of a client that is not on the list", assertion(&realm.service_account("partner").access)),
                ("not for Airflow", assertion(&with(json!({"aud": "account"})))),
                ("a list for azp", assertion(&with(json!({"azp": ["ci"]})))),
                ("without exp", assertion(&with(json!({"exp": null})))),
                ("of a session that is none", assertion(&with(json!({"sid": "none"})))),
            ],
        ),
    ] {
        for (name, ask) in &rows {
            // A whole number of steps, mostly one: beside a compiler Keycloak may take longer.
            let took = refused(&gate, name, ask, group);
            let beyond = took.as_millis() % 250;
            assert!(took.as_millis() >= 250 && beyond < 120, "{name}: {took:?}");
        }
    }
}

#[test]
fn clients_on_the_list_may_log_in_and_tokens_live_no_longer_than_their_assertion() {
    let gate = gate("allowed_client_ids = \"partner\"\n");
    let realm = keycloak::shared().airflow();
    let issued = gate.send(client("partner", "partner-client-secret"));
    assert_eq!(issued.status, 201, "{}", issued.text());
    assert_eq!(token::read(&issued.token())["name"], "service-account-partner");
    assert_eq!(gate.send(client("ci", "ci-client-secret")).status, 403);
    let ci = realm.service_account("ci").access;
    let ends = token::read(&ci)["exp"].as_u64().unwrap();
    let claims = token::read(&gate.send(assertion(&ci)).token());
    assert!((ends - 2..=ends).contains(&claims["exp"].as_u64().unwrap()), "{claims}");
    assert_eq!(claims["refresh_token"], Value::Null);
    assert_eq!(
        gate.send(post("/auth/token/cli").json(json!({"grant_type": JWT_BEARER, "assertion": ci}))).status,
        422
    );
}

#[test]
fn many_log_ins_at_once_are_one_and_the_next_is_another() {
    let gate = gate("");
    let realm = keycloak::shared().airflow();
    let id = realm.new_user("many-log-ins", &["Viewer"]);
    let sessions = || realm.api("GET", &format!("/users/{id}/sessions"), None).as_array().unwrap().len();
    let log_in = || gate.send(password("many-log-ins", "many-log-ins-pw"));
    let start = std::sync::Barrier::new(50);
    let issued: Vec<Answer> = std::thread::scope(|scope| {
        let one = || {
            start.wait();
            log_in()
        };
        let all: Vec<_> = (0..50).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut ids: Vec<_> =
        issued.iter().map(|issued| token::read(&issued.token())["jti"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50, "each has a token of its own");
    // Those that came when the first had its answer ask once more.
    let at_once = sessions();
    assert!((1..=2).contains(&at_once), "{at_once} sessions");
    assert_eq!(log_in().status, 201);
    assert_eq!(sessions(), at_once + 1, "a log-in is a session of its own");
    realm.api("DELETE", &format!("/users/{id}"), None);
}

/// While the first is asked about none of the others is.
#[test]
fn fifty_log_ins_at_once_are_one_exchange() {
    let (asked, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, open) = (asked.clone(), answers.clone());
    let keycloak = front(keycloak::shared(), move |seen| {
        if seen.target.ends_with("/token") {
            count.fetch_add(1, Ordering::SeqCst);
            while !open.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        None
    });
    let gate = alone(&section(&keycloak.url(), ""));
    let issued: Vec<u16> = std::thread::scope(|scope| {
        let one = || gate.send(password("viewer", "viewer-pw")).status;
        let all: Vec<_> = (0..50).map(|_| scope.spawn(one)).collect();
        gate.until("all are here", |gate| gate.metric("airgate_requests_in_flight") >= 50.0);
        answers.store(true, Ordering::SeqCst);
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!((issued, asked.load(Ordering::SeqCst)), (vec![201; 50], 1));
}

/// A name and password in the header are remembered for the API, but a token for them never shares a session with
/// another one.
#[test]
fn tokens_for_a_header_have_sessions_of_their_own() {
    let gate = gate("[basic]\nsources = [\"keycloak\"]\n");
    let ask = |path: &str, word: &str| gate.send(post(path).basic("viewer", word));
    let mut sessions: Vec<Value> = ["/auth/token", "/auth/token", "/auth/token/cli"]
        .iter()
        .map(|path| {
            let inside = token::read(&ask(path, "viewer-pw").token())["access_token"].take();
            token::read(inside.as_str().unwrap())["sid"].take()
        })
        .collect();
    assert!(sessions.iter().all(Value::is_string), "{sessions:?}");
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "{sessions:?}");
    assert_eq!(ask("/auth/token", "wrong").status, 401);
}

fn section(url: &str, more: &str) -> String {
    format!(
        "[keycloak_auth_manager]\nserver_url = \"{url}\"\nrealm = \"airflow\"\nclient_id = \"airflow\"\n\
         client_secret = \"airflow-client-secret\"\n{more}{}",
        if more.contains("timeout") { "" } else { "timeout = \"60s\"\n" }
    )
}

#[test]
fn connections_are_kept_alive() {
    let relay = Relay::to(keycloak::shared().address());
    let gate = alone(&section(&format!("http://{}", relay.address), ""));
    for _ in 0..10 {
        assert_eq!(gate.send(client("airflow", "airflow-client-secret")).status, 201);
    }
    // One for the keys, one for how it fares, one for the log-ins.
    let connections = relay.connections();
    assert!(connections <= 3, "{connections} connections for ten log-ins");
}

#[test]
fn hanging_and_stopped_it_costs_its_own_log_ins_alone() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hanging.local_addr().unwrap());
    let gate = alone(&section(&url, "timeout = \"1s\"\n"));
    let good = token::hs512(token::SECRET, &{
        let mut claims = token::claims("admin");
        let inside = json!({ "exp": now() + 300, "iat": now(), "azp": "airflow", "sid": "s" });
        claims["user_id"] = json!("u");
        claims["name"] = json!("admin");
        claims["access_token"] = json!(token::hs512("Keycloak's own", &inside));
        claims["refresh_token"] = claims["access_token"].clone();
        claims
    });
    let log_in = |name: &str, ask: &Ask| {
        let begun = Instant::now();
        let answer = gate.send(ask.clone());
        assert_eq!(answer.status, 503, "{name}: {}", answer.text());
        assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{name}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{name}: {:?}", begun.elapsed());
        assert!(!answer.text().contains("127.0.0.1"), "{name}: {}", answer.text());
    };
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| log_in("hanging", &password("admin", "admin-pw")));
        // Whoever has a token does not wait for that.
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(gate.send(get("/api/v2/version").bearer(&good)).status, 200);
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        waits.join().unwrap();
    });
    gate.logs("keycloak does not answer");
    drop(hanging);
    for (name, ask) in [
        ("a password", password("admin", "nope")),
        ("a client", client("airflow", "airflow-client-secret")),
        ("a client that is not on the list", client("other", "x")),
    ] {
        log_in(name, &ask);
    }
    let before = gate.send(get("/api/v2/version").bearer(&good));
    assert_eq!(before.status, 200, "a token that was issued before: {}", before.text());
}

#[test]
fn a_certificate_is_verified_by_the_authority_that_is_named() {
    let server = keycloak::shared();
    let log_in = |more: &str| {
        let gate = alone(&section(&server.tls_url, more));
        let answer = gate.send(password("viewer", "viewer-pw"));
        (answer.status, gate)
    };
    let ca = format!("ca_file = \"{}\"\n", server.ca().display());
    let (status, gate) = log_in(&ca);
    assert_eq!(status, 201, "{}", gate.log());
    let (status, gate) = log_in("");
    assert_eq!(status, 503);
    gate.logs("certificate");
    let (status, gate) = log_in("verify = false\n");
    assert_eq!(status, 201, "{}", gate.log());
    gate.logs("THE CERTIFICATE OF KEYCLOAK IS NOT VERIFIED");
}

/// Where the realm's settings and airgate's do not agree nobody's password is called wrong, and the log says why.
#[test]
fn set_up_wrongly() {
    let section = section(&keycloak::shared().url, "");
    for (name, from, to, said) in [
        ("another secret", "airflow-client-secret", "nope", "keycloak refuses the client"),
        (
            "no such client",
            "\"airflow\"\nclient_secret",
            "\"nobody\"\nclient_secret",
            "keycloak refuses the client",
        ),
        ("no such realm", "realm = \"airflow\"", "realm = \"nowhere\"", "answered 404"),
    ] {
        assert!(section.contains(from), "{name}");
        let gate = alone(&section.replace(from, to));
        let answer = gate.send(password("viewer", "viewer-pw"));
        assert_eq!(answer.status, 503, "{name}: {}", answer.text());
        assert!(answer.header("retry-after").is_some() && !answer.text().contains("keycloak"), "{name}");
        assert!(gate.access("/auth/token").to_string().contains(said), "{name}: {}", gate.everything());
    }
}

/// A user whom Keycloak has locked out is refused as a wrong password is, whichever is shown.
#[test]
fn brute_force() {
    locked_out(keycloak::shared());
}

#[test]
#[ignore = "needs Keycloak 26.5.6: make test-all"]
fn brute_force_at_the_older_keycloak() {
    locked_out(keycloak::older());
}

fn locked_out(server: &keycloak::Keycloak) {
    let realm = server.realm_of_its_own(|realm| {
        realm["bruteForceProtected"] = json!(true);
        realm["failureFactor"] = json!(2);
        realm["quickLoginCheckMilliSeconds"] = json!(0);
    });
    let gate = alone(&format!("{}timeout = \"60s\"\n", realm.section()));
    assert_eq!(gate.send(password("viewer", "viewer-pw")).status, 201);
    for word in ["nope", "nope too", "nope again", "viewer-pw"] {
        refused(&gate, word, &password("viewer", word), "Invalid credentials");
    }
    assert_eq!(gate.send(password("admin", "admin-pw")).status, 201, "another user");
}

/// Who else waits for a Keycloak that was stopped, until it is back.
#[test]
#[ignore = "starts a Keycloak of its own, which takes long: make test-all"]
fn a_keycloak_that_comes_back_is_asked_again() {
    let server = keycloak::Keycloak::of_its_own("log-in");
    let gate = alone(&section(&server.url, ""));
    let log_in = || gate.send(password("viewer", "viewer-pw"));
    assert_eq!(log_in().status, 201);
    server.stop();
    assert_eq!(log_in().status, 503);
    gate.logs("keycloak does not answer");
    server.start();
    gate.logs("keycloak is back");
    assert_eq!(log_in().status, 201);
}

/// Another release words some of its refusals otherwise.
#[test]
#[ignore = "starts another release of Keycloak, which takes long: make test-all"]
fn keycloak_26_5_is_understood_too() {
    let server = keycloak::older();
    let gate = alone(&section(&server.url, ""));
    for (name, user, word) in [
        ("wrong", "viewer", "nope"),
        ("nobody", "nobody", "nope"),
        ("disabled", "disabled", "disabled-pw"),
        ("something left to do", "action", "action-pw"),
    ] {
        refused(&gate, name, &password(user, word), "Invalid credentials");
    }
    assert_eq!(gate.send(password("viewer", "viewer-pw")).status, 201);
    let failed = "Client credentials authentication failed";
    refused(&gate, "a client", &client("airflow", "nope"), failed);
    assert_eq!(gate.send(client("airflow", "airflow-client-secret")).status, 201);
}
