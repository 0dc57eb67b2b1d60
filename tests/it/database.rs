//! Users, ids and revoked tokens of Airflow's metadata database, in a real PostgreSQL, a real MariaDB and
//! SQLite; and the same in front of the real Airflow with FAB.

mod airflow;
mod servers;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::database::{Database, KINDS, Kind, NEW_HASH, PASSWORD};
use crate::support::token::{self, SECRET};
use crate::support::upstream::answer;
use crate::support::{Airgate, Ask, Upstream, get, post};

/// Of `robot-pw`.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$8DiO2GuiB6prvNKYumHiwg$P/QLG7GPQdLMiZRhfmDqtbdq+RQXFQ4/ozXciWfOLy4";

/// An Airflow with FAB that answers everybody.
fn airflow() -> Upstream {
    Upstream::answering(|_| answer(200, &[], "{}"))
}

/// A gate with a key in front of it, and its database.
fn gate(upstream: &Upstream, database: &str, config: &str) -> Airgate {
    Airgate::before(&upstream.url(), &settings(database, config))
}

fn settings(database: &str, config: &str) -> String {
    format!(
        "[core]\nauth_manager = \"fab\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
         [database]\nsql_alchemy_conn = {}\n[lockout]\nattempts = 0\n{config}",
        json!(database)
    )
}

const DATABASE: &str = "[basic]\nsources = \"database\"\n";

fn pools() -> Ask {
    get("/api/v2/pools/a")
}

/// `sub` of the token that Airflow was shown last.
fn shown(upstream: &Upstream) -> Option<String> {
    let seen = upstream.seen().pop()?;
    let bearer = seen.header("authorization")?.strip_prefix("Bearer ")?;
    token::read(bearer)["sub"].as_str().map(str::to_owned)
}

// --- Passwords

#[test]
fn users_log_in_as_with_flask_appbuilder() {
    let rows: &[(&str, &str, &str, Option<&str>)] = &[
        ("scrypt", "admin", PASSWORD, Some("1")),
        ("PBKDF2 with SHA-256", "viewer", PASSWORD, Some("2")),
        ("PBKDF2 with SHA-512, a name that is another's id", "1", PASSWORD, Some("3")),
        ("in another case", "ADMIN", PASSWORD, Some("1")),
        ("by e-mail address", "viewer@airgate.test", PASSWORD, Some("2")),
        ("not ASCII", "Ünïcode", PASSWORD, Some("5")),
        ("wildcards of LIKE", "per%cent_", PASSWORD, Some("6")),
        ("a quote", "o'brien", PASSWORD, Some("7")),
        ("a backslash", "back\\slash", PASSWORD, Some("12")),
        ("four bytes of UTF-8", "emoji😀", PASSWORD, Some("13")),
        ("without a role: Airflow decides", "norole", PASSWORD, Some("14")),
        ("another password", "admin", "admin", None),
        ("no wildcard", "adm%", PASSWORD, None),
        ("no wildcard either", "admi_", PASSWORD, None),
        ("no SQL", "' OR '1'='1' --", PASSWORD, None),
        ("no SQL of MySQL", "\\' OR 1=1 #", PASSWORD, None),
        ("deactivated", "inactive", PASSWORD, None),
        ("neither active nor not", "unset", PASSWORD, None),
        ("a method that is too weak", "weak", "md5", None),
        ("no password", "nopassword", PASSWORD, None),
        ("nobody", "nobody", PASSWORD, None),
        ("nobody, not ASCII", "Ñ😀", PASSWORD, None),
        ("NUL", "admin\0", PASSWORD, None),
        ("NUL in the password", "admin", "pässwörd✓\0", None),
    ];
    let upstream = airflow();
    for kind in KINDS {
        let database = Database::fresh(kind);
        let gate = gate(&upstream, &database.url, DATABASE);
        for (name, user, password, id) in rows {
            upstream.forget();
            let status = gate.send(pools().basic(user, password)).status;
            assert_eq!(status, if id.is_some() { 200 } else { 401 }, "{kind:?}, {name}\n{}", gate.log());
            assert_eq!(shown(&upstream).as_deref(), *id, "{kind:?}, {name}");
        }
        // FAB has the database compare an address as it is, and MySQL's collation takes no notice of case.
        let capitals = gate.send(pools().basic("VIEWER@AIRGATE.TEST", PASSWORD)).status;
        let expected = if kind == Kind::MariaDb { 200 } else { 401 };
        assert_eq!(capitals, expected, "{kind:?}, by e-mail address in another case");
        let body = json!({ "username": "ADMIN", "password": PASSWORD });
        let issued = gate.send(post("/auth/token").json(body));
        assert_eq!(token::read(&issued.token())["sub"], "1", "{kind:?}");
        let exchanged = gate.send(post("/auth/token").basic("1", PASSWORD));
        assert_eq!(token::read(&exchanged.token())["sub"], "3", "{kind:?}");
        gate.logs("a password in ab_user cannot be checked");
        let everything = gate.everything();
        assert!(!everything.contains("p%40ss") && !everything.contains("p@ss"), "{kind:?}: {everything}");
        assert_eq!(everything.matches("cannot be checked").count(), 1, "{kind:?}: once for each method");
    }
}

/// Nobody waits for the cache's minute.
#[test]
fn a_cached_password_is_forgotten_when_the_user_changes() {
    let upstream = airflow();
    for kind in KINDS {
        let database = Database::fresh(kind);
        let gate = gate(&upstream, &database.url, "[basic]\nsources = \"database\"\ncache_ttl = \"1h\"\n");
        let status = |user: &str, password: &str| gate.send(pools().basic(user, password)).status;
        for (name, user, change) in [
            ("deactivated", "viewer", "UPDATE ab_user SET active = FALSE WHERE id = 2".to_owned()),
            ("another password", "admin", format!("UPDATE ab_user SET password = '{NEW_HASH}' WHERE id = 1")),
            ("deleted", "norole", "DELETE FROM ab_user WHERE id = 14".to_owned()),
            ("renamed", "o'brien", "UPDATE ab_user SET username = 'other' WHERE id = 7".to_owned()),
        ] {
            assert_eq!(status(user, PASSWORD), 200, "{kind:?}, {name}");
            assert_eq!(status(user, PASSWORD), 200, "{kind:?}, {name}");
            database.run(&change);
            gate.until(name, |_| status(user, PASSWORD) == 401);
        }
        assert_eq!(status("admin", "new-pw"), 200, "{kind:?}");
        assert_eq!(status("1", PASSWORD), 200, "{kind:?}: nobody else is forgotten");
        assert!(gate.metric("airgate_cache_hits_total{cache=\"basic_auth\"}") >= 4.0, "{kind:?}");
    }
}

// --- Names of others

/// A file vouches for a name; who that is in Airflow, its database says.
#[test]
fn a_name_is_minted_as_the_one_active_user_who_has_it() {
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("a user", "viewer", Some("2")),
        ("in another case", "VIEWER", Some("2")),
        ("a name that is another's id", "1", Some("3")),
        ("an id that is nobody's name", "2", None),
        ("not ASCII", "Ünïcode", Some("5")),
        ("a quote", "o'brien", Some("7")),
        ("nobody", "robot", None),
        ("deactivated", "inactive", None),
        ("an e-mail address is no name", "viewer@airgate.test", None),
        ("another letter, whatever the collation says", "jose", None),
        ("white space at the end", "viewer ", None),
        ("no wildcard", "view%", None),
    ];
    let users: String = rows.iter().map(|(_, user, _)| format!("{} = \"{HASH}\"\n", json!(user))).collect();
    let upstream = airflow();
    for kind in KINDS {
        let database = Database::fresh(kind);
        let config = settings(&database.url, "[basic]\nsources = \"file\"\nusers_file = \"users.toml\"\n");
        let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n{config}", upstream.url()))
            .file("users.toml", format!("[users]\n{users}"))
            .start();
        for (name, user, id) in rows {
            upstream.forget();
            let answer = gate.send(pools().basic(user, "robot-pw"));
            assert_eq!(
                answer.status,
                if id.is_some() { 200 } else { 403 },
                "{kind:?}, {name}: {}",
                answer.text()
            );
            assert_eq!(shown(&upstream).as_deref(), *id, "{kind:?}, {name}");
            let token = gate.send(post("/auth/token").basic(user, "robot-pw"));
            assert_eq!(token.status, if id.is_some() { 201 } else { 403 }, "{kind:?}, {name}: token");
        }
        // Renamed meanwhile: what is remembered is forgotten after ten seconds.
        database.run("UPDATE ab_user SET username = 'viewer-2' WHERE id = 2");
        gate.until("the name is nobody's", |gate| {
            gate.send(pools().basic("viewer", "robot-pw")).status == 403
        });
    }
}

/// Airflow before 3 let two names differ in case alone.
#[test]
fn of_two_with_one_name_none_is_taken() {
    let database = Database::fresh(Kind::Postgres);
    database.run(
        "DROP INDEX idx_ab_user_username; \
         INSERT INTO ab_user (id, first_name, last_name, username, password, active, email) \
         SELECT 100, 'F', 'L', 'Viewer', password, FALSE, 'other@airgate.test' FROM ab_user WHERE id = 2",
    );
    let upstream = airflow();
    let config =
        settings(&database.url, "[basic]\nsources = \"file, database\"\nusers_file = \"users.toml\"\n");
    let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n{config}", upstream.url()))
        .file("users.toml", format!("[users]\nviewer = \"{HASH}\"\n"))
        .start();
    assert_eq!(gate.send(pools().basic("viewer", "robot-pw")).status, 403);
    gate.access("more than one user");
    // As Flask-AppBuilder: by name it finds two and takes neither, by e-mail address one.
    assert_eq!(gate.send(pools().basic("viewer", PASSWORD)).status, 401);
    assert_eq!(gate.send(pools().basic("viewer@airgate.test", PASSWORD)).status, 200);
    assert_eq!(shown(&upstream).as_deref(), Some("2"));
}

#[test]
fn an_issuers_name_is_looked_up_too() {
    let issuer = token::Issuer::new("k");
    let keys = token::Issuer::set(&[&issuer]);
    let upstream = airflow();
    let database = Database::fresh(Kind::Sqlite);
    let config = settings(
        &database.url,
        "[[jwt.issuers]]\nissuer = \"https://idp.example\"\njwks_url = \"keys.json\"\naudience = \"airflow\"\n\
         algorithms = \"EdDSA\"\nusername_prefix = \"\"\n",
    );
    let gate = Airgate::with(format!("[upstream]\nurl = \"{}\"\n{config}", upstream.url()))
        .file("keys.json", keys)
        .start();
    for (user, status, id) in [("viewer", 200, Some("2")), ("1", 200, Some("3")), ("nobody", 403, None)] {
        upstream.forget();
        let mut claims = token::claims(user);
        claims["iss"] = "https://idp.example".into();
        claims["aud"] = "airflow".into();
        assert_eq!(
            gate.send(pools().bearer(&issuer.token(&claims))).status,
            status,
            "{user}: {}",
            gate.log()
        );
        assert_eq!(shown(&upstream).as_deref(), id, "{user}");
    }
}

// --- Revoked tokens

fn claims(id: &str, jti: &str, life: u64) -> (String, u64) {
    let mut claims = token::claims(id);
    let exp = claims["iat"].as_u64().unwrap() + life;
    claims["jti"] = jti.into();
    claims["exp"] = exp.into();
    (token::hs512(SECRET, &claims), exp)
}

#[test]
fn a_token_revoked_in_airflow_is_refused_here() {
    let upstream = airflow();
    for kind in KINDS {
        let database = Database::fresh(kind);
        let gate = gate(&upstream, &database.url, "");
        let (revoked, exp) = claims("1", "0000000000000000000000000000000a", 600);
        let (other, _) = claims("1", "0000000000000000000000000000000b", 600);
        let bearer = |token: &str| gate.send(pools().bearer(token)).status;
        let cookie = |token: &str| gate.send(pools().with("Cookie", format!("_token={token}"))).status;
        assert_eq!([bearer(&revoked), bearer(&revoked), bearer(&other)], [200; 3], "{kind:?}");
        assert_eq!(cookie(&revoked), 200, "{kind:?}");
        database.revoke("0000000000000000000000000000000a", exp);
        let begun = Instant::now();
        gate.until("the token is refused", |_| bearer(&revoked) == 403);
        // The list is read every second; beside a compiler that takes longer.
        assert!(begun.elapsed() < Duration::from_secs(10), "{kind:?}: {:?}", begun.elapsed());
        let answer = gate.send(pools().bearer(&revoked));
        let said = (answer.status, answer.detail());
        assert_eq!(said, (403, "Invalid JWT token".into()), "{kind:?}: as Airflow says it");
        assert_eq!(cookie(&revoked), 403, "{kind:?}");
        assert_eq!([bearer(&other), cookie(&other)], [200; 2], "{kind:?}");
        assert_eq!(gate.metric("airgate_revoked_tokens"), 1.0, "{kind:?}");
        assert!(gate.metric("airgate_revoked_tokens_age_seconds") < 10.0, "{kind:?}");
    }
}

/// More than is read at once, of many ends and of one, and then one more in their midst.
#[test]
fn many_revoked_tokens_are_followed() {
    let upstream = airflow();
    for kind in KINDS {
        let database = Database::fresh(kind);
        let (token, exp) = claims("1", "an-ordinary-one", 600);
        let row = |number: u64| {
            // Every tenth ends in the same second.
            let end = if number.is_multiple_of(10) { exp } else { exp + number * 7 };
            format!("('token-{number}', {})", database.time(end))
        };
        let fill = |numbers: std::ops::Range<u64>| {
            let rows: Vec<_> = numbers.map(row).collect();
            database.run(&format!("INSERT INTO revoked_token (jti, exp) VALUES {}", rows.join(", ")));
        };
        fill(0..1500);
        let gate = gate(&upstream, &database.url, "");
        gate.until("all are known", |gate| gate.metric("airgate_revoked_tokens") == 1500.0);
        fill(1500..4000);
        gate.until("all are known", |gate| gate.metric("airgate_revoked_tokens") == 4000.0);
        assert_eq!(gate.send(pools().bearer(&token)).status, 200, "{kind:?}");
        database.revoke("an-ordinary-one", exp);
        gate.until("it is refused", |gate| gate.send(pools().bearer(&token)).status == 403);
        assert_eq!(gate.metric("airgate_revoked_tokens"), 4001.0, "{kind:?}");
        database.run("DELETE FROM revoked_token WHERE jti LIKE 'token-1%'");
        gate.until("they are gone", |gate| gate.metric("airgate_revoked_tokens") == 2890.0);
        assert_eq!(gate.send(pools().bearer(&token)).status, 403, "{kind:?}");
    }
}

#[test]
fn a_table_that_is_not_there_is_said_once() {
    let upstream = airflow();
    for kind in KINDS {
        let database = Database::fresh(kind);
        database.run("DROP TABLE revoked_token");
        let gate = gate(&upstream, &database.url, DATABASE);
        gate.logs("table of revoked tokens is not there");
        assert_eq!(gate.send(pools().basic("admin", PASSWORD)).status, 200, "{kind:?}");
        // The follower goes on: what it does each second is seen.
        database.run("UPDATE ab_user SET active = FALSE WHERE id = 1");
        gate.until("the user is refused", |gate| gate.send(pools().basic("admin", PASSWORD)).status == 401);
        assert_eq!(gate.log().matches("is not there").count(), 1, "{kind:?}: {}", gate.log());
        assert!(gate.admin("/readyz").text().contains(r#"{"name":"database","state":"up"}"#), "{kind:?}");
    }
}
