//! Sources of passwords.

use serde_json::json;

use super::*;
use crate::support::database::{Database, KINDS, Kind, PASSWORD};
use crate::support::token::SECRET;
use crate::support::upstream::{Seen, answer};
use crate::support::{keycloak, ldap};

const USERS: &str = "[core]\nsimple_auth_manager_users = \"admin:admin, viewer:viewer, alice:viewer\"\n";

/// A source, asked anew each time, with these lines of `[basic]` and other sections.
fn source(
    name: &'static str,
    upstream: &str,
    more: &str,
    good: (&'static str, &'static str),
    unavailable: Unavailable,
) -> Row {
    let path = if upstream.contains("airflow = 2") { "/api/v1/pools?limit=1" } else { "/api/v2/pools/a" };
    let basic = move |user: &str, password: &str| get(path).basic(user, password);
    Row {
        name,
        backend: "basic_auth",
        setup: with("basic_auth", upstream, &format!("[basic]\ncache_ttl = 0\n{more}")),
        accepted: says(200, move || basic(good.0, good.1)),
        not_mine: says(401, move || get(path).bearer("x.y.z")),
        rejected: says(401, move || basic("nobody", "wrong")),
        throttled: says(429, move || basic("nobody", "wrong")),
        unavailable,
    }
}

pub fn airflow() -> Row {
    let script = |seen: &Seen| match &*seen.target {
        "/auth/token" if seen.body.ends_with(br#""password":"admin-pw"}"#) => {
            answer(201, &[], r#"{"access_token":"a.b.c"}"#)
        }
        "/auth/token" => answer(401, &[], "{}"),
        _ => answer(200, &[], "{}"),
    };
    let upstream = Upstream::answering(script);
    let (relay, url) = Relay::before(&upstream.url());
    let more = "sources = \"upstream\"\n";
    source(
        "upstream",
        &format!("url = \"{url}\""),
        more,
        ("admin", "admin-pw"),
        without(relay, upstream, 503),
    )
}

pub fn airflow_2() -> Row {
    let upstream = Upstream::answering(super::others::answers_as_airflow_2);
    upstream.says(Some("2.11.2"));
    let (relay, url) = Relay::before(&upstream.url());
    let lines = format!("url = \"{url}\"\nairflow = 2");
    let more = "sources = \"upstream\"\n";
    source("upstream, Airflow 2", &lines, more, ("admin", "admin-pw"), without(relay, upstream, 503))
}

pub fn file() -> Row {
    let more =
        format!("sources = \"file\"\nusers_file = \"users\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{USERS}");
    let there = Unavailable::There(crate::flood::beyond_the_queue_log_ins_are_503_and_tokens_go_on);
    let row = source("file", &upstream(), &more, ("admin", "admin-pw"), there);
    let users = format!("admin:{}\n", bcrypt::hash("admin-pw", 4).unwrap());
    Row { setup: row.setup.file("users", users), ..row }
}

pub fn simple() -> Row {
    let more = format!(
        "sources = \"file\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{USERS}simple_auth_manager_passwords_file = \"passwords\"\n"
    );
    let never = Unavailable::Never("nothing is hashed, and a file that is gone counts as it was");
    let row = source("file of the simple auth manager", &upstream(), &more, ("admin", "admin-pw"), never);
    Row { setup: row.setup.file("passwords", r#"{"admin": "admin-pw"}"#), ..row }
}

pub fn databases() -> Vec<Row> {
    KINDS.map(database).into()
}

fn database(kind: Kind) -> Row {
    let database = Database::fresh(kind);
    let (name, (unavailable, url)) = match kind {
        Kind::Postgres => ("database, PostgreSQL", behind_relay(database)),
        Kind::MariaDb => ("database, MariaDB", behind_relay(database)),
        Kind::Sqlite => ("database, SQLite", file_that_breaks(database)),
    };
    let more = format!(
        "sources = \"database\"\n[core]\nauth_manager = \"fab\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
         [database]\nsql_alchemy_conn = {}\n",
        json!(url)
    );
    source(name, &upstream(), &more, ("admin", PASSWORD), unavailable)
}

fn behind_relay(database: Database) -> (Unavailable, String) {
    let (relay, url) = Relay::before(&database.url);
    (without(relay, database, 503), url)
}

/// What is in the file is no database, and then it is again.
fn file_that_breaks(database: Database) -> (Unavailable, String) {
    let url = database.url.clone();
    let path = url.trim_start_matches("sqlite:///").to_owned();
    let whole = std::fs::read(&path).unwrap();
    let broken = vec![b'x'; whole.len()];
    std::fs::write(&path, &broken).unwrap();
    let comes_and_goes = move |is_there| {
        let _kept = &database;
        std::fs::write(&path, if is_there { &whole } else { &broken }).unwrap();
    };
    (Unavailable::Without(Box::new(comes_and_goes), 503), url)
}

pub fn ldap() -> Row {
    let (relay, url) = Relay::before(&ldap::shared().url);
    let more = format!(
        "sources = \"ldap\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{USERS}[ldap]\nserver = \"{url}\"\n\
         username_format = \"uid=%s,ou=people,{}\"\n",
        ldap::BASE
    );
    source("ldap", &upstream(), &more, ("alice", "alice-pw"), without(relay, (), 503))
}

pub fn keycloak() -> Row {
    let keycloak = keycloak::shared();
    let (relay, url) = Relay::before(&keycloak.url);
    let section = keycloak.airflow().section().replace(&keycloak.url, &url);
    let more = format!(
        "sources = \"keycloak\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n{USERS}{section}timeout = \"25s\"\n"
    );
    source("keycloak", &upstream(), &more, ("viewer", "viewer-pw"), without(relay, (), 503))
}
