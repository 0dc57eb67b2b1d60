//! A credential for a token: `/auth/token` with an empty body, beyond Airflow.

use serde_json::{Value, json};

use crate::support::token::{self, Issuer, SECRET};
use crate::support::upstream::{Seen, answer};
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, get, post};

/// Of `a-password`.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$2tvAsNCi92HGTGNBoVn3IA$W2Xylfn5AxmMvgJ6LZk1sMc+6t9cw/41SivkmA1SOcQ";

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// How long a token lives, in seconds.
fn life(token: &str) -> u64 {
    let claims = token::read(token);
    claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap()
}

/// Knows keys, and when some of them end.
fn service(seen: &Seen) -> Vec<u8> {
    let end = (now() + 120).to_string();
    match (seen.header("x-api-key"), seen.header("authorization"), seen.header("cookie")) {
        (Some("for-ever"), ..) | (_, Some("Bearer opaque"), _) | (.., Some("sso=good")) => {
            answer(200, &[("X-Auth-User", "ann")], "")
        }
        (Some("two-minutes"), ..) => answer(200, &[("X-Auth-User", "ann"), ("X-Auth-Expires", &end)], ""),
        (_, Some(header), _) if header.starts_with("Bearer ey") && seen.target == "/any" => {
            answer(200, &[("X-Auth-User", "ann")], "")
        }
        (Some("down"), ..) => answer(500, &[], ""),
        _ => answer(401, &[("WWW-Authenticate", "ApiKey")], ""),
    }
}

/// A gate that knows four kinds of credentials, with a key for tokens.
struct Case {
    gate: Airgate,
    upstream: Upstream,
    _service: Upstream,
    issuer: Issuer,
}

impl Case {
    fn new(more: &str) -> Self {
        let upstream = Upstream::start();
        let service = Upstream::answering(service);
        let issuer = Issuer::new("k1");
        let config = format!(
            "[upstream]\nurl = \"{}\"\n[api]\nauth_backends = \"session, jwt, basic_auth, callout:corp\"\n\
             [core]\nsimple_auth_manager_users = \"ann:viewer, ci-robot:op\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
             [basic]\nsources = \"file\"\nusers_file = \"users.toml\"\n[callout.corp]\nurl = \"{}\"\n\
             headers = \"X-Api-Key, Authorization, Cookie\"\n[[jwt.issuers]]\nissuer = \"https://ci.example\"\n\
             jwks_url = \"keys.json\"\naudience = \"airflow\"\nalgorithms = \"EdDSA\"\nusername_prefix = \"ci-\"\n{more}",
            upstream.url(),
            service.url()
        );
        let gate = Airgate::with(config)
            .file("users.toml", format!("[users]\nann = \"{HASH}\"\nzoe = \"{HASH}\"\n"))
            .file("keys.json", Issuer::set(&[&issuer]))
            .start();
        Self { gate, upstream, _service: service, issuer }
    }

    /// A token of the foreign issuer, that ends in so many seconds.
    fn foreign(&self, left: u64) -> String {
        let claims =
            json!({"iss": "https://ci.example", "aud": "airflow", "sub": "robot", "exp": now() + left});
        self.issuer.token(&claims)
    }
}

fn exchange() -> Ask {
    post("/auth/token")
}

#[track_caller]
fn issued(name: &str, answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (201, Some("no-store")),
        "{name}: {}",
        answer.text()
    );
    assert_eq!(answer.json().as_object().unwrap().len(), 1, "{name}");
    answer.token()
}

#[test]
fn every_credential_but_airflows_own_is_exchanged_and_the_token_lives_no_longer() {
    let case = Case::new("");
    let day = 86_400;
    for (name, ask, user, least, most) in [
        ("Basic", exchange().basic("ann", "a-password"), "ann", day, day),
        ("Basic, an empty body declared", exchange().basic("ann", "a-password").body(""), "ann", day, day),
        ("a foreign issuer", exchange().bearer(&case.foreign(300)), "ci-robot", 290, 300),
        ("a foreign issuer, for years", exchange().bearer(&case.foreign(1 << 30)), "ci-robot", day, day),
        ("a callout", exchange().with("X-Api-Key", "for-ever"), "ann", day, day),
        ("a callout that says when it ends", exchange().with("X-Api-Key", "two-minutes"), "ann", 110, 120),
        ("a callout's opaque Bearer", exchange().bearer("opaque"), "ann", day, day),
        (
            "a cookie beside it does not matter",
            exchange().with("X-Api-Key", "for-ever").with("Cookie", "sso=good"),
            "ann",
            day,
            day,
        ),
    ] {
        let token = issued(name, &case.gate.send(ask));
        assert_eq!(token::read(&token)["sub"], user, "{name}");
        assert!((least..=most).contains(&life(&token)), "{name}: {}", life(&token));
        case.upstream.forget();
        assert_eq!(case.gate.send(get("/api/v2/pools/a").bearer(&token)).status, 200, "{name}");
        assert_eq!(case.upstream.only().header("authorization"), Some(&*format!("Bearer {token}")), "{name}");
    }
    for (name, ask, most) in [
        ("Basic", post("/auth/token/cli").basic("ann", "a-password"), 3600),
        ("a foreign issuer", post("/auth/token/cli").bearer(&case.foreign(300)), 300),
    ] {
        let token = issued(name, &case.gate.send(ask));
        assert!((most - 10..=most).contains(&life(&token)), "{name}, cli: {}", life(&token));
    }
    case.gate.counts("airgate_tokens_issued_total{endpoint=\"/auth/token/cli\"}", 2.0);
}

/// A JWT that only the callout can judge: the token for it ends with it.
#[test]
fn a_token_that_a_callout_accepted_is_not_made_to_live_longer() {
    let unknown = Issuer::new("k9");
    let upstream = Upstream::start();
    let service = Upstream::answering(service);
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api]\nauth_backends = \"callout:corp\"\n[core]\n\
         simple_auth_manager_users = \"ann:viewer\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[callout.corp]\n\
         url = \"{}/any\"\n",
        upstream.url(),
        service.url()
    );
    let gate = Airgate::with(config).start();
    let token = unknown.token(&json!({"exp": now() + 90}));
    let token = issued("a JWT", &gate.send(exchange().bearer(&token)));
    assert!((80..=90).contains(&life(&token)), "{}", life(&token));
}

#[test]
fn what_is_not_exchanged() {
    let case = Case::new("[lockout]\nattempts = 3\n");
    const NO_BODY: &str = "Invalid JSON: Expecting value";
    let missing = "1 validation error for LoginBody";
    let cookie = format!("_token={}", token::good("ann"));
    for (name, ask, status, text) in
        [
            ("nothing", exchange(), 422, NO_BODY),
            ("Airflow's own Bearer", exchange().bearer(&token::good("ann")), 422, NO_BODY),
            ("Airflow's cookie", exchange().with("Cookie", &cookie), 422, NO_BODY),
            ("a cookie that the callout knows", exchange().with("Cookie", "sso=good"), 422, NO_BODY),
            ("a wrong password", exchange().basic("ann", "wrong"), 401, "Invalid credentials"),
            ("nobody in Airflow", exchange().basic("zoe", "a-password"), 403, "not known to Airflow"),
            ("a wrong key", exchange().with("X-Api-Key", "wrong"), 401, "Invalid credentials"),
            ("a service that is down", exchange().with("X-Api-Key", "down"), 503, "cannot be checked"),
            (
                "a foreign token for somebody else",
                exchange().bearer(&case.issuer.token(
                    &json!({"iss": "https://ci.example", "aud": "b", "sub": "robot", "exp": now() + 60}),
                )),
                403,
                "Invalid JWT token",
            ),
            ("two headers", exchange().bearer("opaque").basic("ann", "a-password"), 400, "More than one"),
            (
                "a body goes before the header",
                exchange().basic("ann", "a-password").json(json!({"username": "ann"})),
                422,
                missing,
            ),
            (
                "a page of another site",
                exchange().basic("ann", "a-password").with("Origin", "https://evil.example"),
                403,
                "another site",
            ),
        ]
    {
        let refused = case.gate.send(ask);
        assert!(refused.text().contains(text), "{name}: {}", refused.text());
        assert_eq!((refused.status, refused.header("cache-control")), (status, Some("no-store")), "{name}");
    }
    // Three wrong passwords, in the header and in the body: all count together.
    let wrong = json!({"username": "ann", "password": "wrong"});
    assert_eq!(case.gate.send(exchange().basic("ann", "wrong")).status, 401);
    assert_eq!(case.gate.send(post("/auth/token").json(wrong)).status, 401);
    assert_eq!(case.gate.send(get("/api/v2/pools").basic("ann", "wrong")).status, 401);
    let out = case.gate.send(exchange().basic("ann", "another"));
    assert_eq!((out.status, out.header("cache-control")), (429, Some("no-store")));
    assert!(out.header("retry-after").is_some());
}

/// Without a key of our own: the upstream's endpoint gives the token, once it has checked the password itself.
#[test]
fn without_a_key_a_password_is_relayed() {
    let upstream =
        Upstream::answering(|seen| match (&*seen.target, serde_json::from_slice::<Value>(&seen.body)) {
            ("/auth/token" | "/auth/token/cli", Ok(body))
                if body == json!({"username": "ann", "password": "pw"}) =>
            {
                answer(201, &[], r#"{"access_token": "a.b.c"}"#)
            }
            _ => answer(401, &[], r#"{"detail":"Invalid credentials"}"#),
        });
    let gate = Airgate::before(&upstream.url(), "");
    for path in ["/auth/token", "/auth/token/cli"] {
        assert_eq!(issued(path, &gate.send(post(path).basic("ann", "pw"))), "a.b.c");
        assert_eq!(upstream.seen().last().unwrap().target, path);
        assert_eq!(gate.send(post(path).basic("ann", "wrong")).status, 401, "{path}");
    }
    // A Bearer that nobody here can judge is not exchanged.
    assert_eq!(gate.send(exchange().bearer("a.b.c")).status, 422);
}

/// Both ways in front of the real Airflow, whose API then takes the token directly.
#[test]
fn airflow_takes_the_token() {
    let airflow = airflow::simple();
    let cfg = airflow.config();
    let with_key = format!("[gate]\nairflow_cfg = \"{}\"\n[basic]\nsources = [\"file\"]\n", cfg.display());
    for (name, config) in [("minted", &*with_key), ("relayed", "")] {
        let gate = Airgate::before(&airflow.url, config);
        for path in ["/auth/token", "/auth/token/cli"] {
            let token = issued(name, &gate.send(post(path).basic("viewer", "viewer-pw")));
            let read = get("/api/v2/pools").bearer(&token).send(airflow.address());
            assert_eq!(read.status, 200, "{name}, {path}: {}", read.text());
            let change = post("/api/v2/pools").bearer(&token).json(json!({"name": "x", "slots": 1}));
            assert_eq!(change.send(airflow.address()).status, 403, "{name}, {path}");
        }
    }
}
