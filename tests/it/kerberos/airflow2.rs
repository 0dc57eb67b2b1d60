//! In front of a real Airflow 2.11, whose own `kerberos_auth` judges the same ticket once more.

use serde_json::json;

use super::localhost;
use crate::support::airflow::{self, Variant};
use crate::support::kdc::{REALM, kdc, succeeded};
use crate::support::{Airgate, Ask, get, post};

/// Airflow 2 with `kerberos_auth` alone. Its service is `airflow/localhost`, whatever this machine is called.
fn airflow_2(folder: &std::path::Path) -> Variant {
    let config = std::fs::read_to_string(kdc().file("krb5.conf")).unwrap();
    let own = folder.join("krb5.conf");
    let any_host = config.replace("[libdefaults]", "[libdefaults]\n  ignore_acceptor_hostname = true");
    std::fs::write(&own, any_host).unwrap();
    let backend = "airflow.providers.fab.auth_manager.api.auth.backend.kerberos_auth";
    let options = [
        format!("AIRFLOW__API__AUTH_BACKENDS={backend}"),
        format!("AIRFLOW__KERBEROS__KEYTAB={}", kdc().path("airflow.keytab")),
        format!("KRB5_CONFIG={}", own.display()),
        // Where it remembers used tickets: not where airgate does.
        format!("KRB5RCACHEDIR={}", folder.display()),
    ];
    Variant::start("af2-kerberos", &options.each_ref().map(String::as_str))
}

fn before(airflow: &Variant, keytab: &str) -> Airgate {
    let config = format!(
        "[upstream]\nurl = \"{}\"\nairflow = 2\n[lockout]\nattempts = 0\n[api]\nauth_backends = \"kerberos_auth\"\n\
         enable_experimental_api = true\n[kerberos]\nreplay_cache = \".\"\nkeytab = \"{}\"\n",
        airflow.url,
        kdc().path(keytab)
    );
    Airgate::with(config).env("KRB5_CONFIG", &kdc().path("krb5.conf")).start()
}

/// What Airflow 2's own programs log in with, on both of its APIs.
const CLIENT: &str = r#"
import sys

import requests
from airflow.providers.fab.auth_manager.api.auth.backend.kerberos_auth import CLIENT_AUTH

session = requests.Session()
session.trust_env = False
for path in ["/api/v1/pools?limit=1", "/api/experimental/test"]:
    print(session.get(sys.argv[1] + path, auth=CLIENT_AUTH, timeout=30).status_code)
"#;

#[test]
#[ignore = "starts an Airflow 2 of its own: make test-all"]
fn a_ticket_is_good_for_both() {
    let folder = tempfile::tempdir().unwrap();
    let airflow = airflow_2(folder.path());
    let direct = airflow.url.trim_start_matches("http://").parse().unwrap();
    let gate = before(&airflow, "both.keytab");
    let (alice, bob) = (kdc().log_in("alice"), kdc().log_in("bob"));
    let pools = || get("/api/v1/pools?limit=1");
    let make = || post("/api/v1/pools").json(json!({"name": "by-alice", "slots": 1}));
    let with = |ask: Ask, token: &str| ask.with("Authorization", format!("Negotiate {token}"));
    for (name, ask, tickets, service, expected) in [
        ("whom Airflow knows", pools(), &alice, "airflow", 200),
        ("on the oldest API", get("/api/experimental/test"), &alice, "airflow", 200),
        ("a viewer is a viewer", make(), &alice, "airflow", 403),
        ("whom Airflow does not know", pools(), &bob, "airflow", 403),
        ("a ticket for the service of browsers, which is none of Airflow's", pools(), &alice, "HTTP", 401),
    ] {
        let token = || tickets.token(&format!("spnego {service}@localhost"));
        let answer = gate.send(with(ask.clone(), &token()));
        assert_eq!(answer.status, expected, "{name}: {}", answer.text());
        assert_eq!(with(ask, &token()).send(direct).status, expected, "{name}: as without the gate");
        // With a 401, which is Airflow's, a proof would ask for another round.
        let proofs = answer.all("www-authenticate");
        let is_proved = matches!(proofs[..], [proof] if proof.starts_with("Negotiate o"));
        assert_eq!(is_proved, expected != 401, "{name}: {proofs:?}");
        assert!(answer.header("server").is_some(), "{name}: Airflow's own answer");
    }
    assert_eq!(gate.access("/api/experimental/test")["user"], format!("kerberos:alice@{REALM}"));

    // What the gate refuses does not get there.
    let used = alice.token("spnego airflow@localhost");
    assert_eq!(gate.send(with(pools(), &used)).status, 200);
    let other = alice.token("spnego other@localhost");
    for (name, token, detail) in [
        ("used before", &*used, "the token has been used before"),
        ("for another service", &other, "the keytab has no key for the ticket's service"),
        ("garbage", "Z2FyYmFnZQ==", "\"refused\":\"malformed_credential\""),
    ] {
        let answer = gate.send(with(pools(), token));
        assert_eq!((answer.status, answer.all("www-authenticate")), (401, vec!["Negotiate"]), "{name}");
        assert_eq!(answer.header("server"), None, "{name}: Airflow names its server");
        gate.logs(detail);
    }

    let home = tempfile::tempdir().unwrap();
    let mut client = alice.command(airflow::python_of_airflow_2());
    client.args(["-c", CLIENT, &localhost(&gate, "")]).env("AIRFLOW_HOME", home.path());
    let said = succeeded(client.output().unwrap());
    assert!(said.ends_with("200\n200\n"), "{said}");
}
