//! Kerberos: real clients with tickets of a real KDC, through airgate, at a real Airflow.

use serde_json::json;

use crate::support::airgate::Setup;
use crate::support::kdc::{self, Kdc, Tickets, kdc, succeeded};
use crate::support::{Airgate, Answer, airflow, get, post};

/// An airgate in front of a real Airflow, which knows `viewer` and not `alice`. Ends with `[kerberos]`.
fn setup(kdc: &Kdc, options: &str) -> Setup {
    let airflow = airflow::simple();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n[api]\nauth_backends = \"kerberos_auth, jwt\"\n\
         [kerberos]\nreplay_cache = \".\"\n{options}",
        airflow.url,
        airflow.config().display(),
    );
    Airgate::with(config).env("KRB5_CONFIG", &kdc.path("krb5.conf"))
}

/// With the keytab for both services, and the realm dropped.
fn gate(kdc: &Kdc) -> Airgate {
    let keytab = kdc.path("both.keytab");
    setup(kdc, &format!("keytab = \"{keytab}\"\nlocal_realms = \"{}\"\n", kdc::REALM)).start()
}

/// Where clients find it: by the name that the service's keys are for.
fn localhost(gate: &Airgate, path: &str) -> String {
    format!("http://localhost:{}{path}", gate.address().port())
}

#[test]
fn curl() {
    let gate = gate(kdc());
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
