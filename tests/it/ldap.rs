//! The source `ldap`, in front of the real Airflow and with the real slapd behind it.

use serde_json::json;

use crate::support::airgate::Setup;
use crate::support::ldap::{self, BASE};
use crate::support::{Airgate, Ask, airflow, get, post};

/// The users that Airflow knows.
const USERS: &str = "alice:viewer, bob:viewer, MixedCase:viewer, uni:viewer";

/// The account that searches, and where.
fn indirect() -> String {
    format!(
        "bind_user = \"cn=airgate,ou=services,{BASE}\"\nbind_password = \"service-pw\"\nsearch = \"ou=people,{BASE}\"\n"
    )
}

/// An airgate in front of the real Airflow, with these lines of `[ldap]`.
fn before_airflow(lines: &str) -> Setup {
    let simple = airflow::simple();
    let secret = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";
    Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[basic]\nsources = [\"ldap\"]\n[core]\nsimple_auth_manager_users = \"{USERS}\"\n\
         [api_auth]\njwt_secret = \"{secret}\"\n[ldap]\n{lines}",
        simple.url
    ))
}

fn pools() -> Ask {
    get("/api/v2/pools")
}

fn log_in(user: &str, password: &str) -> Ask {
    post("/auth/token").json(json!({"username": user, "password": password}))
}

#[test]
fn users_of_the_directory_reach_airflow() {
    let slapd = ldap::shared();
    let gate = before_airflow(&format!("server = \"{}\"\n{}", slapd.url, indirect())).start();
    for (name, ask, expected) in [
        ("Basic", pools().basic("alice", "alice-pw"), 200),
        ("Basic, again", pools().basic("alice", "alice-pw"), 200),
        ("Basic, wrong password", pools().basic("alice", "bob-pw"), 401),
        ("Basic, unknown", pools().basic("nobody", "alice-pw"), 401),
        ("a token", log_in("bob", "bob-pw"), 201),
        ("a token, wrong password", log_in("bob", "alice-pw"), 401),
        ("a token for Basic", post("/auth/token").basic("bob", "bob-pw"), 201),
    ] {
        let answer = gate.send(ask);
        assert_eq!(answer.status, expected, "{name}: {}\n{}", answer.text(), gate.log());
    }
    let token = gate.send(log_in("uni", "pässwörd✓")).token();
    assert_eq!(gate.send(pools().bearer(&token)).status, 200);
    let airflow = pools().bearer(&token).send(airflow::simple().address());
    assert_eq!(airflow.status, 200, "the token works on Airflow itself");
}
