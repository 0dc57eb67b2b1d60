//! The keytab and the replay cache: missing, replaced, put right, without a restart. And the KDC, which is
//! not asked.

use std::path::Path;

use super::{setup, with_keytab};
use crate::support::kdc::{Kdc, REALM, kdc};
use crate::support::{Airgate, get};

fn status(gate: &Airgate, token: &str) -> u16 {
    gate.send(get("/api/v2/pools").with("Authorization", format!("Negotiate {token}"))).status
}

/// What `/readyz` says of the backend.
fn health(gate: &Airgate) -> String {
    let answer = gate.admin("/readyz");
    assert_eq!(answer.status, 200, "a missing keytab is no reason not to be ready: {}", answer.text());
    let backends = answer.json()["backends"].as_array().unwrap().clone();
    let ours = backends.iter().find(|backend| backend["name"] == "kerberos_auth");
    ours.unwrap_or_else(|| panic!("{backends:?}")).to_string()
}

/// Puts a file in the place of another, in one step.
fn put(keytab: &str, at: &Path) {
    let new = at.with_extension("new");
    std::fs::copy(kdc().file(keytab), &new).unwrap();
    std::fs::rename(new, at).unwrap();
}

#[test]
fn a_keytab_that_comes_changes_and_goes() {
    let gate = setup(kdc(), &format!("keytab = \"own.keytab\"\nlocal_realms = \"{REALM}\"\n")).start();
    let own = gate.home().join("own.keytab");
    let tickets = kdc().log_in("viewer");
    let tokens = tickets.tokens(&["spnego airflow@localhost"; 7]);

    // It starts and serves without.
    gate.logs("Kerberos tokens cannot be accepted");
    let said = health(&gate);
    assert!(said.contains("\"down\"") && said.contains("own.keytab"), "{said}");
    let answer = gate.send(get("/api/v2/pools").with("Authorization", format!("Negotiate {}", tokens[0])));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert!(!answer.text().contains("own.keytab"), "no cause is sent: {}", answer.text());
    assert_eq!(status(&gate, &tokens[0]), 503);
    let admin = gate.send(get("/api/v2/pools").bearer("a.b.c"));
    assert_eq!(admin.status, 403, "others are still judged: {}", admin.text());

    put("both.keytab", &own);
    assert_eq!(status(&gate, &tokens[0]), 200, "the token was not used up by the outage");
    assert!(health(&gate).contains("\"up\""));
    gate.logs("Kerberos tokens can be accepted again");

    put("http.keytab", &own);
    assert_eq!(status(&gate, &tokens[1]), 401);
    gate.logs("the keytab has no key for the ticket's service");
    put("wrong.keytab", &own);
    assert_eq!(status(&gate, &tokens[2]), 401);
    gate.logs("the keytab's key does not decrypt the token");
    put("airflow.keytab", &own);
    assert_eq!(status(&gate, &tokens[3]), 200);

    std::fs::write(&own, "this is no keytab").unwrap();
    assert_eq!(status(&gate, &tokens[4]), 503);
    std::fs::remove_file(&own).unwrap();
    assert_eq!(status(&gate, &tokens[5]), 503);
    put("airflow.keytab", &own);
    assert_eq!(status(&gate, &tokens[5]), 200);
    // Said when it changed, not for each request.
    assert_eq!(gate.log().matches("Kerberos tokens cannot be accepted").count(), 3, "{}", gate.log());
}

#[test]
fn the_libraries_own_choice_of_a_keytab() {
    let keytab = kdc().path("airflow.keytab");
    let gate = setup(kdc(), &format!("local_realms = \"{REALM}\"\n")).env("KRB5_KTNAME", &keytab).start();
    assert_eq!(status(&gate, &kdc().log_in("viewer").token("spnego airflow@localhost")), 200);
}

#[test]
fn a_replay_cache_that_cannot_be_written() {
    let tickets = kdc().log_in("viewer");
    let tokens = tickets.tokens(&["spnego airflow@localhost"; 3]);
    let gate = with_keytab("both.keytab", "").arg("--set").arg("kerberos.replay_cache=cache").start();
    gate.logs("Kerberos tokens cannot be accepted");
    assert!(health(&gate).contains("cache/airgate.rcache2"), "{}", health(&gate));
    assert_eq!(status(&gate, &tokens[0]), 503);
    std::fs::create_dir(gate.home().join("cache")).unwrap();
    assert_eq!(status(&gate, &tokens[0]), 200);
    assert!(health(&gate).contains("\"up\""));

    // The library's own: nobody knows where it is before a token comes.
    let setup = with_keytab("both.keytab", "").arg("--set").arg("kerberos.replay_cache=");
    let cache = setup.home().join("own");
    let gate = setup.env("KRB5RCACHENAME", &format!("file2:{}/rcache", cache.display())).start();
    assert_eq!(status(&gate, &tokens[1]), 503);
    assert!(health(&gate).contains("No such file"), "{}", health(&gate));
    std::fs::create_dir(&cache).unwrap();
    assert_eq!(status(&gate, &tokens[1]), 200);
    assert!(health(&gate).contains("\"up\""));
    assert_eq!(status(&gate, &tokens[1]), 401);
    assert!(cache.join("rcache").exists());
    assert_eq!(status(&gate, &tokens[2]), 200);
}

/// Who has a ticket gets in: only new tickets take a KDC.
#[test]
fn the_kdc_is_down() {
    let own = Kdc::own("stopped");
    let gate =
        setup(&own, &format!("keytab = \"{}\"\nlocal_realms = \"{REALM}\"\n", own.path("airflow.keytab")))
            .start();
    let tickets = own.log_in("viewer");
    assert_eq!(status(&gate, &tickets.token("spnego airflow@localhost")), 200);
    own.stop();
    assert_eq!(status(&gate, &tickets.token("spnego airflow@localhost")), 200);
    assert!(health(&gate).contains("\"up\""));
    let late =
        setup(&own, &format!("keytab = \"{}\"\nlocal_realms = \"{REALM}\"\n", own.path("airflow.keytab")))
            .start();
    assert_eq!(status(&late, &tickets.token("spnego airflow@localhost")), 200, "started without one");
}

#[test]
fn a_reload_takes_other_options() {
    let gate = with_keytab("wrong.keytab", "").start();
    let tickets = kdc().log_in("viewer");
    let tokens = tickets.tokens(&["spnego airflow@localhost"; 2]);
    assert_eq!(status(&gate, &tokens[0]), 401);
    let config = std::fs::read_to_string(gate.config()).unwrap().replace("wrong.keytab", "airflow.keytab");
    std::fs::write(gate.config(), config).unwrap();
    gate.signal("HUP");
    gate.logs("configuration reloaded");
    assert_eq!(status(&gate, &tokens[1]), 200);
}
