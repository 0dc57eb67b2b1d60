//! In front of the real Airflow with FAB, on its own database.

use super::*;
use crate::support::{airflow, ldap};

fn gate_of_fab(config: &str) -> Airgate {
    let fab = airflow::fab();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = {}\n{config}",
        fab.url,
        json!(fab.config().display().to_string())
    );
    Airgate::with(config).start()
}

/// Each as itself: Airflow's own rights decide. Who they are is what FAB's own log-in says.
#[test]
fn basic_users_are_themselves_in_airflow() {
    let gate = gate_of_fab(DATABASE);
    let pool = |user: &str, password: &str| gate.send(get("/api/v2/pools?limit=1").basic(user, password));
    for (name, user, password, status) in [
        ("Admin", "admin", "admin-pw", 200),
        ("in another case", "ADMIN", "admin-pw", 200),
        ("by e-mail address", "viewer@airgate.test", "viewer-pw", 200),
        ("by e-mail address in another case", "VIEWER@AIRGATE.TEST", "viewer-pw", 401),
        ("not ASCII", "uni", PASSWORD, 200),
        ("colons", "colon", "pa:ss:word", 200),
        ("without a role: Airflow refuses", "norole", "norole-pw", 403),
        ("deactivated", "inactive", "inactive-pw", 401),
        ("another password", "admin", "viewer-pw", 401),
    ] {
        assert_eq!(pool(user, password).status, status, "{name}: {}", gate.log());
        let body = json!({ "username": user, "password": password });
        let of_airflow = post("/auth/token").json(body).send(airflow::fab().address()).status;
        assert_eq!(of_airflow, if status == 401 { 401 } else { 201 }, "{name}, at Airflow's own endpoint");
    }
    let create = |user: &str, password: &str| {
        let body = json!({ "name": "made-by-viewer", "slots": 1, "include_deferred": false });
        gate.send(post("/api/v2/pools").basic(user, password).json(body)).status
    };
    assert_eq!(create("viewer", "viewer-pw"), 403, "a viewer is a viewer there");

    let token = gate.send(post("/auth/token").json(json!({ "username": "viewer", "password": "viewer-pw" })));
    assert_eq!(token::read(&token.token())["sub"], "2");
    let direct = get("/api/v2/pools?limit=1").bearer(&token.token()).send(airflow::fab().address());
    assert_eq!(direct.status, 200, "Airflow itself takes it: {}", direct.text());
}

/// Airflow would go on to take the user: it is the gate that looks.
#[test]
fn a_user_who_is_deactivated_while_cached_is_refused() {
    let fab = airflow::fab();
    let copy = Database::copy_of(&fab.home.join("airflow.db"));
    let config = format!(
        "[basic]\nsources = \"database\"\ncache_ttl = \"1h\"\n[database]\nsql_alchemy_conn = \"{}\"\n",
        copy.url
    );
    let gate = gate_of_fab(&config);
    let viewer = || get("/api/v2/pools?limit=1").basic("viewer", "viewer-pw");
    assert_eq!([gate.send(viewer()).status, gate.send(viewer()).status], [200; 2], "{}", gate.log());
    copy.run("UPDATE ab_user SET active = 0 WHERE username = 'viewer'");
    gate.until("the user is refused", |gate| gate.send(viewer()).status == 401);
    copy.run("UPDATE ab_user SET active = 1 WHERE username = 'viewer'");
    assert_eq!(gate.send(viewer()).status, 200, "and is back at once");
}

/// A log-out at Airflow's own endpoint ends the token here too.
#[test]
fn a_log_out_in_airflow_ends_the_token_here() {
    let gate = gate_of_fab("");
    let ask = |token: &str| gate.send(get("/api/v2/pools?limit=1").bearer(token)).status;
    let log_in = || {
        let body = json!({ "username": "viewer", "password": "viewer-pw" });
        post("/auth/token").json(body).send(airflow::fab().address()).token()
    };
    let (token, other) = (log_in(), log_in());
    assert_eq!([ask(&token), ask(&token), ask(&other)], [200; 3], "{}", gate.log());
    let left = get("/api/v2/auth/logout").bearer(&token).send(airflow::fab().address());
    assert_eq!(left.status, 307, "{}", left.text());
    // Airflow refuses it too: what counts is who did.
    gate.until("the gate itself refuses it", |gate| {
        ask(&token);
        gate.admin("/metrics").text().contains("airgate_rejections_total{reason=\"token_invalid\"}")
    });
    let answer = gate.send(get("/api/v2/pools?limit=1").bearer(&token));
    assert_eq!((answer.status, answer.detail()), (403, "Invalid JWT token".into()));
    assert_eq!(ask(&other), 200);
}

/// The file vouches for the name, FAB's database says which user that is, and Airflow takes the token.
#[test]
fn a_name_of_another_source_reaches_airflow_as_its_user() {
    let fab = airflow::fab();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = {}\n[basic]\nsources = \"file\"\nusers_file = \"users.toml\"\n",
        fab.url,
        json!(fab.config().display().to_string())
    );
    let gate = Airgate::with(config)
        .file(
            "users.toml",
            format!("[users]\nadmin = \"{HASH}\"\nnorole = \"{HASH}\"\ninactive = \"{HASH}\"\n\"1\" = \"{HASH}\"\n"),
        )
        .start();
    for (user, status) in [("admin", 200), ("norole", 403), ("inactive", 403), ("1", 403)] {
        let answer = gate.send(get("/api/v2/pools?limit=1").basic(user, "robot-pw"));
        assert_eq!(answer.status, status, "{user}: {}", answer.text());
        let refused_here = answer.text().contains("The user is not known to Airflow");
        assert_eq!(refused_here, user == "inactive" || user == "1", "{user}: {}", answer.text());
    }
}

/// The directory knows the password, and the user is FAB's of that name.
#[test]
fn a_user_of_a_directory_reaches_airflow_as_its_user() {
    let slapd = ldap::shared();
    let gate = gate_of_fab(&format!(
        "[basic]\nsources = \"ldap\"\n[ldap]\nserver = \"{}\"\nsearch = \"ou=people,{}\"\n\
         bind_user = \"cn=airgate,ou=services,{}\"\nbind_password = \"service-pw\"\n",
        slapd.url,
        ldap::BASE,
        ldap::BASE
    ));
    let pools = || get("/api/v2/pools?limit=1");
    for (name, ask, status) in [
        ("of both", pools().basic("uni", "pässwörd✓"), 200),
        ("of the directory alone", pools().basic("alice", "alice-pw"), 403),
        ("of FAB alone", pools().basic("viewer", "viewer-pw"), 401),
        (
            "a change that a viewer may not make",
            post("/api/v2/pools").basic("uni", "pässwörd✓").json(json!({})),
            403,
        ),
    ] {
        assert_eq!(gate.send(ask).status, status, "{name}: {}", gate.log());
    }
    let token = gate.send(post("/auth/token").basic("uni", "pässwörd✓")).token();
    assert_eq!(token::read(&token)["sub"], "6");
}
