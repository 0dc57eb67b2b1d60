//! Airflow 2 behind airgate: what it is given, and what it makes of it.

use crate::support::airflow::Airflow;
use crate::support::client::ask;
use crate::support::upstream::{Closed, Seen, answer};
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, delete, get, post};

use serde_json::json;

const TWO: &str = "airflow = 2\n[lockout]\nattempts = 0\n";

fn pools() -> Ask {
    get("/api/v1/pools?limit=1")
}

/// Says as Airflow 2 does whether it knows who asks; everything else is answered with 200.
fn airflow_2(seen: &Seen) -> Vec<u8> {
    let knows = seen.header("authorization") == Some("Basic YWRtaW46YWRtaW4tcHc=")
        || seen.header("cookie").is_some_and(|cookies| cookies.contains("session=good"));
    if knows { answer(200, &[], "{}") } else { answer(401, &[], "{}") }
}

/// The credential as it came, and nothing of another kind beside it.
#[test]
fn the_clients_own_credential_passes() {
    let upstream = Upstream::answering(airflow_2);
    let gate = Airgate::before(&upstream.url(), TWO);
    for (name, ask, authorization, cookie) in [
        (
            "Basic",
            pools().with("Authorization", "basic  YWRtaW46YWRtaW4tcHc="),
            Some("basic  YWRtaW46YWRtaW4tcHc="),
            None,
        ),
        (
            "Basic beside an old session",
            pools().basic("admin", "admin-pw").with("Cookie", "session=old; a=b"),
            Some("Basic YWRtaW46YWRtaW4tcHc="),
            Some("a=b"),
        ),
        ("a session", pools().with("Cookie", "a=b; session=good"), None, Some("a=b; session=good")),
        (
            "a session beside a wrong password",
            pools().basic("admin", "wrong").with("Cookie", "session=good"),
            None,
            Some("session=good"),
        ),
    ] {
        let answer = gate.send(ask);
        // `basic  …` is no header that the made-up Airflow knows, but it is the one that came.
        assert!(matches!(answer.status, 200 | 401), "{name}: {}", answer.text());
        let seen = upstream.seen().into_iter().rfind(|seen| seen.header("x-request-id").is_some()).unwrap();
        assert_eq!(seen.header("authorization"), authorization, "{name}");
        assert_eq!(seen.header("cookie"), cookie, "{name}");
        upstream.forget();
    }
}

#[test]
fn a_refusal_is_airflow_2s() {
    let upstream = Upstream::answering(airflow_2);
    let gate = Airgate::before(&upstream.url(), TWO);
    let link =
        "https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html#section/Errors/";
    let unauthenticated = json!({
        "detail": null, "status": 401, "title": "Unauthorized", "type": format!("{link}Unauthenticated"),
    });
    for (name, ask) in [
        ("nobody", pools()),
        ("a wrong password", pools().basic("admin", "wrong")),
        ("an ended session", pools().with("Cookie", "session=old")),
        ("a token, which Airflow 2 does not know", pools().bearer("x.y.z")),
        ("no such operation", get("/api/v1/nope")),
        ("users", get("/auth/fab/v1/users")),
    ] {
        let answer = gate.send(ask);
        assert_eq!((answer.status, answer.json()), (401, unauthenticated.clone()), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        assert_eq!(answer.all("www-authenticate"), ["Basic realm=\"Airflow\", charset=\"UTF-8\""], "{name}");
    }
    let foreign = post("/api/v1/pools").with("Cookie", "session=good").with("Origin", "https://evil.example");
    let answer = gate.send(foreign.json(json!({"name": "x", "slots": 1})));
    assert_eq!((answer.status, answer.json()["title"].clone()), (403, json!("Forbidden")));
    for path in ["/auth/token", "/auth/token/cli"] {
        let answer = gate.send(post(path).json(json!({"username": "admin", "password": "admin-pw"})));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

/// A list that does not know `limit` must not be given one: Airflow 2 refuses unknown keys.
#[test]
fn a_page_is_asked_for_where_the_list_knows_it() {
    let upstream = Upstream::answering(airflow_2);
    let gate = Airgate::before(
        &upstream.url(),
        &format!("{TWO}[api]\nmaximum_page_limit = 5\nfallback_page_limit = 3\n"),
    );
    for (asked, sent) in [
        ("/api/v1/pools", "/api/v1/pools?limit=5"),
        ("/api/v1/pools?limit=%EF%BC%97", "/api/v1/pools?limit=5"),
        ("/api/v1/pools?limit=0", "/api/v1/pools?limit=3"),
        ("/api/v1/pools?limit=7.0", "/api/v1/pools?limit=7.0"),
        ("/api/v1/dags/~/dagRuns/~/taskInstances?limit=-1", "/api/v1/dags/~/dagRuns/~/taskInstances?limit=5"),
        ("/api/v1/providers", "/api/v1/providers"),
        ("/api/v1/dagStats?dag_ids=x", "/api/v1/dagStats?dag_ids=x"),
        ("/auth/fab/v1/users?limit=-1", "/auth/fab/v1/users?limit=5"),
    ] {
        assert_eq!(gate.send(get(asked).basic("admin", "admin-pw")).status, 200, "{asked}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.target, sent, "{asked}");
    }
}

/// Airflow 2 is asked once for a password, or for a session, and not again for a while.
#[test]
fn what_was_asked_is_remembered() {
    let upstream = Upstream::answering(airflow_2);
    for (ttl, questions) in [("60s", 2), ("0", 4)] {
        for ask in [pools().basic("admin", "admin-pw"), pools().with("Cookie", "session=good")] {
            let gate = Airgate::before(&upstream.url(), &format!("{TWO}[basic]\ncache_ttl = \"{ttl}\"\n"));
            upstream.forget();
            assert_eq!((gate.send(ask.clone()).status, gate.send(ask).status), (200, 200));
            let asked = upstream.seen().into_iter().filter(|seen| seen.header("x-request-id").is_none());
            assert_eq!(asked.count(), questions, "{ttl}");
        }
    }
}

#[test]
fn an_airflow_that_does_not_answer() {
    let upstream = Upstream::answering(|_| answer(503, &[], "{}"));
    let gate = Airgate::before(&upstream.url(), TWO);
    for ask in [pools().basic("admin", "admin-pw"), pools().with("Cookie", "session=good")] {
        let answer = gate.send(ask);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.json()["title"], "Service Unavailable");
    }
    let health = gate.admin("/readyz").text();
    assert!(health.contains("/api/v1/pools?limit=1: answered 503"), "{health}");
}

fn before(airflow: &Airflow) -> Airgate {
    Airgate::before(&airflow.url, &format!("{TWO}[gate]\nother_routes = \"ui\"\n[basic]\ncache_ttl = 0\n"))
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn who_gets_in() {
    for (airflow, without_rights) in
        [(airflow::airflow_2(), 401), (airflow::airflow_2_without_public_role(), 403)]
    {
        let gate = before(airflow);
        for (name, ask, expected) in [
            ("nobody", pools(), 401),
            ("an administrator", pools().basic("admin", "admin-pw"), 200),
            ("a viewer", pools().basic("viewer", "viewer-pw"), 200),
            ("letters of any kind", pools().basic("uni", "pässwörd✓"), 200),
            ("colons", pools().basic("colon", "pa:ss:word"), 200),
            ("the mail address", pools().basic("admin@airgate.test", "admin-pw"), 200),
            ("a name with a realm", pools().basic("alice@AIRGATE.TEST", "alice-pw"), 200),
            ("a wrong password", pools().basic("viewer", "wrong"), 401),
            ("an unknown user", pools().basic("nobody", "viewer-pw"), 401),
            ("who was deactivated", pools().basic("inactive", "inactive-pw"), 401),
            ("who has no rights", pools().basic("norole", "norole-pw"), without_rights),
            ("a session of nobody", pools().with("Cookie", "session=garbage"), 401),
            ("version, without a credential", get("/api/v1/version"), 200),
            ("health, without a credential", get("/api/v1/health"), 200),
            ("users", get("/auth/fab/v1/users?limit=1").basic("admin", "admin-pw"), 200),
            ("the API of Airflow 3", get("/api/v2/pools").basic("admin", "admin-pw"), 404),
        ] {
            let answer = gate.send(ask);
            assert_eq!(answer.status, expected, "{} {name}: {}", airflow.url, answer.text());
        }
    }
}

#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn rights_stay_airflows() {
    let gate = before(airflow::airflow_2());
    let name = format!("airflow2-{}", std::process::id());
    let made = |user, password| {
        gate.send(post("/api/v1/pools").basic(user, password).json(json!({"name": name, "slots": 1})))
    };
    assert_eq!(made("viewer", "viewer-pw").status, 403);
    assert_eq!(made("admin", "admin-pw").status, 200);
    let removed = gate.send(delete(format!("/api/v1/pools/{name}")).basic("admin", "admin-pw"));
    assert_eq!(removed.status, 204);
}

/// The cookie that a browser has after Airflow's own log-in page.
#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn a_browsers_session() {
    for airflow in [airflow::airflow_2(), airflow::airflow_2_without_public_role()] {
        let gate = before(airflow);
        let page = gate.send(get("/login/"));
        let nobody = session(&page);
        let text = page.text();
        let csrf = text.split("name=\"csrf_token\" type=\"hidden\" value=\"").nth(1);
        let csrf = csrf.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{text}"));
        let asked = |cookie: &str| pools().with("Cookie", cookie);
        assert_eq!(gate.send(asked(&nobody)).status, 401, "{}: who has not logged in yet", airflow.url);

        let form = format!("csrf_token={csrf}&username=viewer&password=viewer-pw");
        let log_in = post("/login/").with("Cookie", &nobody).with("Origin", gate.url());
        let answer = gate.send(log_in.with("Content-Type", "application/x-www-form-urlencoded").body(form));
        assert_eq!(answer.status, 302, "{}", answer.text());
        let viewer = session(&answer);
        assert_eq!(gate.send(asked(&viewer)).status, 200, "{}: who has", airflow.url);
        assert_eq!(
            gate.send(asked(&viewer).basic("admin", "wrong")).status,
            200,
            "a wrong password beside it"
        );
        let change = post("/api/v1/pools").with("Cookie", &viewer).json(json!({"name": "x", "slots": 1}));
        assert_eq!(gate.send(change.clone().with("Origin", "https://evil.example")).status, 403);
        assert_eq!(gate.send(change.with("Origin", gate.url())).status, 403, "a viewer may not");
        assert_eq!(gate.send(asked(&nobody)).status, 401, "{}: the old cookie", airflow.url);
    }
}

/// The real Airflow comes late, and goes away again.
#[test]
#[ignore = "needs Airflow 2: make test-all"]
fn an_airflow_that_comes_and_goes() {
    let airflow = airflow::airflow_2_without_public_role();
    let place = Closed::port();
    let gate = Airgate::before(&place.url(), &format!("{TWO}[basic]\ncache_ttl = 0\n"));
    let viewer = || gate.send(pools().basic("viewer", "viewer-pw")).status;
    assert_eq!((viewer(), gate.send(get("/api/v1/version")).status), (503, 502), "before");
    let relay = place.open(|seen| {
        let headers = seen.headers.iter().filter(|(name, _)| name != "host" && name != "connection");
        let ask = headers.fold(ask(&seen.method, &seen.target), |ask, (name, value)| ask.with(name, value));
        let told = ask.send(airflow.address());
        let kind = told.header("content-type").unwrap_or_default();
        answer(told.status, &[("content-type", kind)], &told.text())
    });
    assert_eq!((viewer(), gate.send(get("/api/v1/version")).status), (200, 200), "while it is there");
    assert_eq!(gate.send(pools().basic("viewer", "wrong")).status, 401);
    drop(relay);
    assert_eq!((viewer(), gate.send(get("/api/v1/version")).status), (503, 502), "afterwards");
}

/// The session cookie that an answer sets, as a request sends it.
#[track_caller]
fn session(answer: &Answer) -> String {
    let set = answer.all("set-cookie");
    let cookie =
        set.iter().rfind(|cookie| cookie.starts_with("session=")).unwrap_or_else(|| panic!("{set:?}"));
    cookie.split(';').next().unwrap_or_default().to_owned()
}
