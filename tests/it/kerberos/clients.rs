//! The clients that people use, unchanged.

use std::path::Path;

use serde_json::{Value, json};

use super::{before_airflow, keytab, localhost, with, with_keytab};
use crate::support::kdc::{REALM, Tickets, kdc, succeeded};
use crate::support::{Airgate, Ask, Upstream, airflow, get, post, token};

#[test]
fn curl() {
    let gate = before_airflow(&keytab("both.keytab")).start();
    let pools = localhost(&gate, "/api/v2/pools");
    let (viewer, alice) = (kdc().log_in("viewer"), kdc().log_in("alice"));
    let status = |tickets: &Tickets, arguments: &[&str]| {
        let mut curl = tickets.curl();
        curl.args(["--output", "/dev/null", "--write-out", "%{http_code}"]).args(arguments).arg(&pools);
        succeeded(curl.output().unwrap())
    };
    let create = ["--json", r#"{"name": "by-a-viewer", "slots": 1}"#, "--service-name", "airflow"];
    for (name, tickets, arguments, expected) in [
        ("Airflow's service", &viewer, &["--service-name", "airflow"][..], "200"),
        ("curl's own service", &viewer, &[], "200"),
        ("a service without key", &viewer, &["--service-name", "other"], "401"),
        ("Airflow knows who it is", &viewer, &create, "403"),
        ("nobody in Airflow", &alice, &["--service-name", "airflow"], "403"),
    ] {
        assert_eq!(status(tickets, arguments), expected, "{name}");
    }
    assert_eq!(gate.access("\"user\":\"kerberos:viewer\"")["status"], 200);
    gate.logs("\"user\":\"kerberos:alice\"");
}

#[test]
fn a_ticket_for_a_token() {
    let gate = before_airflow(&keytab("both.keytab")).start();
    let tickets = kdc().log_in_with("viewer", &["-l", "20m"]);
    let mut curl = tickets.curl();
    curl.args(["--service-name", "airflow", "--request", "POST", &localhost(&gate, "/auth/token")]);
    let answer: Value = serde_json::from_str(&succeeded(curl.output().unwrap())).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(gate.send(get("/api/v2/pools").bearer(token)).status, 200);
    // No longer than the ticket.
    let claims = token::read(token);
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((1100..=1200).contains(&life), "{life}");
    assert_eq!(claims["sub"], "viewer");

    let proof = tickets.token("spnego airflow@localhost");
    let answer = gate.send(post("/auth/token").with("Authorization", format!("Negotiate {proof}")));
    assert_eq!(answer.status, 201);
    assert!(answer.header("www-authenticate").unwrap().starts_with("Negotiate o"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// Says what became of it: a status, or the name of an exception.
const REQUESTS: &str = r#"
import json
import sys

import requests
from requests_kerberos import OPTIONAL, REQUIRED, HTTPKerberosAuth


def ask(url, mutual, preemptive, method="GET", service="airflow"):
    auth = HTTPKerberosAuth(mutual_authentication=mutual, service=service, force_preemptive=preemptive)
    session = requests.Session()
    session.trust_env = False
    try:
        answer = session.request(method, url, auth=auth, timeout=30)
    except Exception as error:
        return type(error).__name__
    return answer.status_code


gate, stranger = sys.argv[1:]
print(json.dumps({
    "asked": ask(gate + "/api/v2/pools", REQUIRED, False),
    "unasked": ask(gate + "/api/v2/pools", REQUIRED, True),
    "curl's service": ask(gate + "/api/v2/pools", REQUIRED, True, service="HTTP"),
    "refused by Airflow": ask(gate + "/api/v2/pools/default_pool", REQUIRED, True, method="DELETE"),
    "no such pool": ask(gate + "/api/v2/pools/no-such-pool", REQUIRED, True),
    "token": ask(gate + "/auth/token", REQUIRED, True, method="POST"),
    "a server that proves nothing": ask(stranger + "/api/v2/pools", REQUIRED, True),
}))
"#;

#[test]
fn requests_kerberos_with_mutual_authentication() {
    let gate = before_airflow(&keytab("both.keytab")).start();
    let stranger = Upstream::start();
    let stranger = stranger.url().replace("127.0.0.1", "localhost");
    let tickets = kdc().log_in("viewer");
    let mut python = tickets.command(kdc().python());
    python.args(["-c", REQUESTS, &localhost(&gate, ""), &stranger]);
    assert_eq!(
        serde_json::from_str::<Value>(&succeeded(python.output().unwrap())).unwrap(),
        json!({
            "asked": 200,
            "unasked": 200,
            "curl's service": 200,
            "refused by Airflow": 403,
            "no such pool": 404,
            "token": 201,
            "a server that proves nothing": "MutualAuthenticationError",
        })
    );
}

/// One leg there, one back, and both ends agree.
const SPNEGO: &str = r#"
import base64
import http.client
import json
import sys

import spnego

host, port, protocol = sys.argv[1:]
client = spnego.client(hostname=host, service="airflow", protocol=protocol)
token = base64.b64encode(client.step()).decode()
connection = http.client.HTTPConnection(host, int(port), timeout=30)
connection.request("GET", "/api/v2/pools", headers={"Authorization": "Negotiate " + token})
answer = connection.getresponse()
scheme, proof = answer.headers["WWW-Authenticate"].split(" ")
more = client.step(base64.b64decode(proof))
print(json.dumps([answer.status, scheme, client.complete, more]))
"#;

#[test]
fn pyspnego() {
    let gate = before_airflow(&keytab("both.keytab")).start();
    let tickets = kdc().log_in("viewer");
    for protocol in ["negotiate", "kerberos"] {
        let mut python = tickets.command(kdc().python());
        python.args(["-c", SPNEGO, "localhost", &gate.address().port().to_string(), protocol]);
        assert_eq!(
            serde_json::from_str::<Value>(&succeeded(python.output().unwrap())).unwrap(),
            json!([200, "Negotiate", true, null]),
            "{protocol}"
        );
    }
}

/// With FAB a ticket's user is FAB's of that name.
#[test]
fn a_user_of_fab() {
    let fab = airflow::fab();
    let config =
        format!("[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n", fab.url, fab.config().display());
    let gate = with(config, kdc(), &keytab("both.keytab")).start();
    let negotiate = |ask: Ask, tickets: &Tickets| {
        let token = tickets.token("spnego airflow@localhost");
        gate.send(ask.with("Authorization", format!("Negotiate {token}")))
    };
    let (viewer, alice) = (kdc().log_in("viewer"), kdc().log_in("alice"));
    assert_eq!(negotiate(get("/api/v2/pools"), &viewer).status, 200, "{}", gate.log());
    let pool = json!({"name": "by-a-ticket", "slots": 1});
    assert_eq!(negotiate(post("/api/v2/pools").json(pool), &viewer).status, 403, "a viewer is one");
    let token = negotiate(post("/auth/token"), &viewer).token();
    assert_eq!(token::read(&token)["sub"], "2");
    let nobody = negotiate(get("/api/v2/pools"), &alice);
    assert_eq!((nobody.status, nobody.detail()), (403, "The user is not known to Airflow".into()));
}

/// Users are named `user@REALM`, services as well as people.
#[test]
fn names_keep_their_realm() {
    let users = format!(
        "keytab = \"{}\"\n[core]\nsimple_auth_manager_users = [\"alice@{REALM}:admin\", \
         \"host/client.example.org@{REALM}:viewer\", \"carol/admin@{REALM}:op\"]\n",
        kdc().path("airflow.keytab")
    );
    let gate = before_airflow(&users).start();
    for (user, status) in [
        ("alice", 200),
        ("host/client.example.org", 200),
        ("carol/admin", 200),
        ("viewer", 403),
        ("bob", 403),
    ] {
        let token = kdc().log_in(user).token("spnego airflow@localhost");
        let ask = get("/api/v2/pools").with("Authorization", format!("Negotiate {token}"));
        assert_eq!(gate.send(ask).status, status, "{user}");
        assert_eq!(gate.access(&format!("\"user\":\"kerberos:{user}@{REALM}\""))["status"], status);
    }
}

#[test]
fn the_binary_runs_where_no_kerberos_is() {
    let gate = Path::new(env!("CARGO_BIN_EXE_airgate"));
    let needs = succeeded(std::process::Command::new("ldd").arg(gate).output().unwrap());
    assert!(needs.contains("libc.so"), "{needs}");
    assert!(!needs.contains("krb5") && !needs.contains("gssapi"), "{needs}");
    // It is loaded where it is configured, and there alone.
    let loaded = |gate: &Airgate| {
        std::fs::read_to_string(format!("/proc/{}/maps", gate.pid())).unwrap().contains("libgssapi_krb5")
    };
    let upstream = Upstream::start();
    assert!(!loaded(&Airgate::before(&upstream.url(), "")));
    assert!(loaded(&with_keytab("airflow.keytab", "").start()));
}
