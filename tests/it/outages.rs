//! Every server that airgate asks, down at its start, come, and gone again: `/readyz`, the metrics, the status page and
//! the log name it within seconds though nobody has logged in.

use std::net::SocketAddr;

use crate::support::database::{Database, Kind};
use crate::support::ldap::{self, BASE};
use crate::support::relay::Relay;
use crate::support::{Airgate, airflow, get, keycloak, redis};

/// What is told of a server: on `/readyz`, and by the series for that state.
fn told(gate: &Airgate, name: &str) -> (String, bool) {
    let ready = gate.admin("/readyz").json();
    if name == "upstream" {
        let state = ready["upstreams"][0]["state"].as_str().unwrap_or_default().to_owned();
        let series = format!("airgate_upstream_healthy{{upstream={}}}", ready["upstreams"][0]["name"]);
        let healthy = gate.metric(&series) == 1.0;
        return (state.clone(), healthy == (state == "up"));
    }
    let all = ready["backends"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {ready}"));
    let state = one["state"].as_str().unwrap().to_owned();
    let series = format!("airgate_backend_health{{backend=\"{name}\",state=\"{state}\"}}");
    (state, gate.metric(&series) == 1.0)
}

#[test]
fn every_server_is_named_before_anybody_logs_in() {
    let airflow = airflow::fab();
    let database = Database::fresh(Kind::Postgres);
    let (slapd, redis, keycloak) = (ldap::shared(), redis::shared(), keycloak::shared());
    let at = |url: &str| -> SocketAddr {
        let authority = url.split("://").nth(1).unwrap().rsplit('@').next().unwrap();
        authority.split(['/', '?']).next().unwrap().replace("localhost", "127.0.0.1").parse().unwrap()
    };
    let through = |text: &str, url: &str, relay: &Relay| {
        text.replace(&format!(":{}", at(url).port()), &format!(":{}", relay.address.port()))
    };
    let relays = [&airflow.url, &database.url, &slapd.url, &redis.url(), &keycloak.url]
        .map(|url| Relay::closed(at(url)));
    let [upstream, base, directory, memory, realm] = &relays;
    let servers = [
        ("upstream", upstream, "upstream is unhealthy"),
        ("database", base, "no answer from the metadata database"),
        ("ldap", directory, "LDAP directory cannot be asked"),
        ("redis", memory, "redis is down"),
        ("keycloak", realm, "keycloak does not answer"),
    ];
    let section = keycloak.airflow().section();
    let gate = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\nauth_manager = \"fab\"\n[basic]\nsources = \"database, ldap, keycloak\"\n\
         [api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef\"\n[database]\nsql_alchemy_conn = \"{}\"\n\
         [ldap]\nserver = \"{}\"\nusername_format = \"uid=%s,ou=people,{BASE}\"\n[redis]\nurl = \"{}\"\n{}",
        through(&airflow.url, &airflow.url, upstream),
        through(&database.url, &database.url, base),
        through(&slapd.url, &slapd.url, directory),
        through(&redis.url(), &redis.url(), memory),
        through(&section, &keycloak.url, realm),
    ));
    let gate = gate.start();
    let all = |state: &str| {
        for (name, _, _) in servers {
            gate.until(&format!("{name} is {state}"), |gate| told(gate, name) == (state.to_owned(), true));
        }
    };
    all("down");
    let page = get("/").with("Host", "localhost").send(gate.admin_address()).text();
    for (name, _, line) in servers {
        gate.logs(line);
        assert!(page.contains(name), "{name}: {page}");
    }
    for relay in &relays {
        relay.open();
    }
    all("up");
    assert!(gate.is_ready());
    // One at a time, so that it is this one that is told.
    for (name, relay, line) in servers {
        relay.close();
        gate.until(&format!("{name} is down"), |gate| told(gate, name) == ("down".to_owned(), true));
        for (other, _, _) in servers.iter().filter(|(other, _, _)| *other != name) {
            assert_eq!(told(&gate, other), ("up".to_owned(), true), "{name} is down, and {other}?");
        }
        assert_eq!(gate.is_ready(), name != "upstream", "one outage takes no replica away but Airflow's own");
        gate.nth_log(line, 2);
        relay.open();
        gate.until(&format!("{name} is back"), |gate| told(gate, name) == ("up".to_owned(), true));
    }
}
