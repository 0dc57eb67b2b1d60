//! The source `ldap`, with the real slapd behind it. Who is in it is said in `tests/servers/ldap.sh`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::airgate::Setup;
use crate::support::ldap::{self, BASE, Own, Slapd};
use crate::support::{Airgate, Ask, Closed, Upstream, airflow, get, post, token};

/// Users of Airflow. Some differ only in how they are written: each is a user of its own.
const USERS: &[&str] = &[
    "alice",
    "ALICE",
    "Alice",
    "alice ",
    "bob",
    "MixedCase",
    "mixedcase",
    "uni",
    "twonames",
    "t.names",
    "twin",
    "locked",
    "expired",
    "reset",
    "nopassword",
    "hidden",
    "slow",
    "star*paren(",
    "smith, john",
    "a+b",
    "back\\slash",
    "#hash",
    "quo\"te",
    "ünï",
    "*",
    "admin",
];

/// The account that searches.
fn account() -> String {
    format!("bind_user = \"cn=airgate,ou=services,{BASE}\"\nbind_password = \"service-pw\"\n")
}

fn search(place: &str) -> String {
    format!("search = \"{place}{BASE}\"\n")
}

/// By the account, below `ou=people`.
fn indirect(slapd: &Slapd) -> String {
    format!("server = \"{}\"\n{}{}", slapd.url, account(), search("ou=people,"))
}

/// By the user's own name.
fn direct(slapd: &Slapd) -> String {
    format!("server = \"{}\"\nusername_format = \"uid=%s,ou=people,{BASE}\"\n", slapd.url)
}

/// An airgate with these lines of `[ldap]`, and others after them.
fn with(upstream: &str, secret: &str, lines: &str) -> Setup {
    let users: Vec<String> = USERS.iter().map(|user| format!("{user}:viewer")).collect();
    Airgate::with(format!(
        "[upstream]\nurl = \"{upstream}\"\n[core]\nsimple_auth_manager_users = {}\n[api_auth]\njwt_secret = \"{secret}\"\n\
         [lockout]\nattempts = 0\n[basic]\nsources = [\"ldap\"]\n[ldap]\n{lines}",
        json!(users)
    ))
}

fn before(upstream: &Upstream, lines: &str) -> Airgate {
    with(&upstream.url(), token::SECRET, lines).start()
}

fn pools() -> Ask {
    get("/api/v2/pools")
}

fn log_in(user: &str, password: &str) -> Ask {
    post("/auth/token").json(json!({"username": user, "password": password}))
}

/// Whom the upstream was told the last request came from.
fn told(upstream: &Upstream) -> Value {
    let seen = upstream.seen();
    let header = seen.last().unwrap().header("authorization").unwrap().to_owned();
    token::read(header.strip_prefix("Bearer ").unwrap())["sub"].clone()
}

/// Sends name and password; tells who it was for the upstream, or the status.
fn who(gate: &Airgate, upstream: &Upstream, user: &str, password: &str) -> String {
    let answer = gate.send(pools().basic(user, password));
    match answer.status {
        200 => told(upstream).as_str().unwrap().to_owned(),
        status => status.to_string(),
    }
}

#[test]
fn users_of_the_directory_reach_airflow() {
    let slapd = ldap::shared();
    let secret = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789";
    for (flow, lines) in [("by the account", indirect(slapd)), ("by the own name", direct(slapd))] {
        let gate = with(&airflow::simple().url, secret, &lines).start();
        for (name, ask, expected) in [
            ("Basic", pools().basic("alice", "alice-pw"), 200),
            ("Basic, again", pools().basic("alice", "alice-pw"), 200),
            ("Basic, wrong password", pools().basic("alice", "bob-pw"), 401),
            ("Basic, unknown", pools().basic("nobody", "alice-pw"), 401),
            (
                "a change without the right to it",
                post("/api/v2/pools").basic("alice", "alice-pw").json(json!({})),
                403,
            ),
            ("a token", log_in("bob", "bob-pw"), 201),
            ("a token, wrong password", log_in("bob", "alice-pw"), 401),
            ("a token for Basic", post("/auth/token").basic("bob", "bob-pw"), 201),
        ] {
            let answer = gate.send(ask);
            assert_eq!(answer.status, expected, "{flow}, {name}: {}", answer.text());
        }
        let token = gate.send(log_in("uni", "pässwörd✓")).token();
        assert_eq!(token::read(&token)["sub"], "uni", "{flow}");
        let itself = pools().bearer(&token).send(airflow::simple().address());
        assert_eq!(itself.status, 200, "{flow}: the token works on Airflow itself");
    }
}

/// The name is the one that is stored: whoever writes it differently is still the same.
#[test]
fn nobody_is_somebody_else_by_spelling() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let by_account = before(&upstream, &indirect(slapd));
    let by_name = before(&upstream, &direct(slapd));
    let by_name_and_search = before(&upstream, &format!("{}{}", direct(slapd), search("")));
    for (flow, gate) in
        [("account", &by_account), ("name", &by_name), ("name and search", &by_name_and_search)]
    {
        for (name, user, password, expected) in [
            ("as stored", "alice", "alice-pw", "alice"),
            ("in capitals", "ALICE", "alice-pw", "alice"),
            ("a space behind", "alice ", "alice-pw", "alice"),
            ("a space before", " alice", "alice-pw", "alice"),
            ("capitals that are stored", "mixedcase", "MixedCase-pw", "MixedCase"),
            ("UTF-8", "uni", "pässwörd✓", "uni"),
            ("capitals beyond ASCII", "ÜNÏ", "odd-pw", "ünï"),
            ("an expensive hash", "slow", "slow-pw", "slow"),
            ("a password in capitals", "alice", "ALICE-PW", "401"),
            ("a password with a space behind", "alice", "alice-pw ", "401"),
        ] {
            assert_eq!(who(gate, &upstream, user, password), expected, "{flow}, {name}\n{}", gate.log());
        }
    }
    // An entry with two names is found by both, and is who was asked for.
    assert_eq!(who(&by_account, &upstream, "T.Names", "twonames-pw"), "t.names");
    assert_eq!(who(&by_account, &upstream, "twonames", "twonames-pw"), "twonames");
}

#[test]
fn names_may_hold_anything_and_stay_names() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let odd = ["star*paren(", "smith, john", "a+b", "back\\slash", "#hash", "quo\"te", "ünï"];
    let attacks = [
        "*",
        "a*",
        "alice*",
        "alice)(uid=*",
        "*)(uid=*",
        "alice)(|(uid=*",
        "*))%00",
        "\\61lice",
        "\\2a",
        "alice\\",
        "alice,ou=people",
        "alice+uid=bob",
        "alice,ou=people,dc=airgate,dc=test",
        "cn=airgate,ou=services,dc=airgate,dc=test",
        "uid=alice",
        "#616c696365",
        "<alice>",
        "%s",
    ];
    for (flow, lines) in [
        ("by the account", indirect(slapd)),
        (
            "by the account, with a filter",
            format!("{}search_filter = \"(objectClass=person)\"\n", indirect(slapd)),
        ),
        ("by the own name", direct(slapd)),
        ("by the own name, and search", format!("{}{}", direct(slapd), search("ou=people,"))),
        ("as it is typed, and search", format!("server = \"{}\"\n{}", slapd.url, search("ou=people,"))),
    ] {
        let gate = before(&upstream, &lines);
        let typed = flow.starts_with("as it is typed");
        for name in odd {
            let expected = if typed { "401" } else { name };
            assert_eq!(who(&gate, &upstream, name, "odd-pw"), expected, "{flow}\n{}", gate.log());
        }
        for name in attacks {
            for password in ["alice-pw", "service-pw", "odd-pw"] {
                assert_eq!(who(&gate, &upstream, name, password), "401", "{flow}: {name:?} {password}");
            }
        }
        for (name, user, password, expected) in [
            ("no password", "alice", "", 401),
            ("no name", "", "alice-pw", 401),
            ("a space for a name", " ", "alice-pw", 401),
            ("a space for a password", "alice", " ", 401),
            ("NUL in the name", "alice\0", "alice-pw", 401),
            ("NUL in the password", "alice", "alice-pw\0x", 401),
            ("a long password", "alice", &"x".repeat(3000), 401),
        ] {
            assert_eq!(gate.send(pools().basic(user, password)).status, expected, "{flow}: {name}");
        }
    }
}

/// The client is told the same of all, and the log says which.
#[test]
fn refusals_differ_in_the_log_alone() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let by_account = before(&upstream, &indirect(slapd));
    let by_name = before(&upstream, &direct(slapd));
    let everywhere = before(&upstream, &format!("server = \"{}\"\n{}{}", slapd.url, account(), search("")));
    let private = format!("server = \"{}\"\nusername_format = \"uid=%s,ou=private,{BASE}\"\n", slapd.url);
    let private = before(&upstream, &private);
    let airflow = "search_filter = \"(memberOf=cn=airflow,ou=groups,dc=airgate,dc=test)\"\n";
    let members = before(&upstream, &format!("{}{airflow}", indirect(slapd)));
    let members_by_name = before(&upstream, &format!("{}{}{airflow}", direct(slapd), search("ou=people,")));
    assert_eq!(who(&members, &upstream, "alice", "alice-pw"), "alice");
    assert_eq!(who(&members_by_name, &upstream, "alice", "alice-pw"), "alice");
    let wrong = by_account.send(pools().basic("alice", "wrong"));
    for (name, gate, user, password, reason) in [
        ("wrong", &by_account, "alice", "wrong", ""),
        ("unknown", &by_account, "nobody", "wrong", ""),
        ("has no password", &by_account, "nopassword", "wrong", ""),
        ("not of the group", &members, "bob", "bob-pw", ""),
        ("locked", &by_account, "locked", "locked-pw", "the account is locked"),
        ("locked, and wrong", &by_account, "locked", "wrong", "the account is locked"),
        ("expired", &by_account, "expired", "expired-pw", "the password has expired"),
        ("reset", &by_account, "reset", "reset-pw", "the password must be changed first"),
        ("reset, by name", &by_name, "reset", "reset-pw", "the password must be changed first"),
        ("not of the group, by name", &members_by_name, "bob", "bob-pw", "find no such entry"),
        ("two of them", &everywhere, "twin", "twin-pw", "several entries match"),
        ("may not be read", &private, "hidden", "hidden-pw", "no readable value of uid_field"),
    ] {
        let answer = gate.send(pools().basic(user, password));
        assert_eq!((answer.status, answer.text()), (401, wrong.text()), "{name}");
        if !reason.is_empty() {
            let line = gate.logs(reason);
            assert!(line.contains(&format!("\"claimed\":\"{user}\"")), "{name}: {line}");
        }
        assert!(!gate.log().contains(password) || password == "wrong", "{name}: a password in the log");
    }
}

/// A reference to another server is passed over, not followed: nobody listens there.
#[test]
fn references_are_not_followed() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let gate = before(&upstream, &format!("server = \"{}\"\n{}{}", slapd.url, account(), search("")));
    assert_eq!(who(&gate, &upstream, "alice", "alice-pw"), "alice");
}

#[test]
fn connections_are_encrypted_and_the_certificate_is_verified() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let ca = format!("tls_cacertfile = \"{}\"\n", slapd.ca());
    let other = format!("tls_cacertfile = \"{}\"\n", slapd.other_ca());
    let itself = format!("tls_cacertfile = \"{}\"\n", slapd.file("server.crt"));
    let (plain, tls) = (slapd.url.clone(), slapd.tls_url.clone());
    let named = |url: &str| url.replace("127.0.0.1", "localhost");
    let start_tls = "use_tls = true\n";
    let untrusted = "invalid peer certificate: UnknownIssuer";
    for (name, server, lines, cause) in [
        ("StartTLS", &plain, format!("{start_tls}{ca}"), ""),
        ("StartTLS, by name", &named(&plain), format!("{start_tls}{ca}"), ""),
        ("StartTLS, another authority", &plain, format!("{start_tls}{other}"), untrusted),
        ("StartTLS, the system's authorities", &plain, start_tls.into(), untrusted),
        ("StartTLS, the certificate itself", &plain, format!("{start_tls}{itself}"), ""),
        ("ldaps", &tls, ca.clone(), ""),
        ("ldaps, by name", &named(&tls), ca.clone(), ""),
        ("ldaps, another authority", &tls, other.clone(), untrusted),
        ("ldaps, the system's authorities", &tls, String::new(), untrusted),
        (
            "ldaps, another name",
            &tls.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
            ca.clone(),
            "not valid for name",
        ),
        ("ldaps where there is none", &plain.replace("ldap:", "ldaps:"), ca.clone(), "no TLS"),
        ("StartTLS where TLS is", &tls.replace("ldaps:", "ldap:"), format!("{start_tls}{ca}"), "ldap://"),
    ] {
        let lines = format!(
            "server = \"{server}\"\n{lines}{}{}connect_timeout = 2\n",
            account(),
            search("ou=people,")
        );
        let gate = before(&upstream, &lines);
        let expected = if cause.is_empty() { "alice" } else { "503" };
        assert_eq!(who(&gate, &upstream, "alice", "alice-pw"), expected, "{name}\n{}", gate.log());
        assert!(cause.is_empty() || gate.logs("cannot be asked").contains(cause), "{name}: {}", gate.log());
    }
}

#[test]
fn what_cannot_be_told_is_told() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let closed = Closed::port().url().replace("http:", "ldap:");
    let service = account();
    let people = search("ou=people,");
    for (name, lines, cause) in [
        ("nobody listens", format!("server = \"{closed}\"\n{service}{people}"), "cannot connect"),
        (
            "the account is refused",
            format!("server = \"{}\"\n{}{people}", slapd.url, service.replace("service-pw", "wrong")),
            "refuses bind_user",
        ),
        (
            "there is no such place",
            format!("server = \"{}\"\n{service}{}", slapd.url, search("ou=nowhere,")),
            "the search was answered with 32",
        ),
        (
            "no LDAP",
            format!("server = \"{}\"\n{service}{people}", upstream.url().replace("http", "ldap")),
            "ldap: ",
        ),
    ] {
        let gate = before(&upstream, &format!("{lines}read_timeout = 1\nconnect_timeout = 1\n"));
        for _ in 0..2 {
            let answer = gate.send(pools().basic("alice", "alice-pw"));
            let detail = "Credentials cannot be checked at the moment";
            assert_eq!((answer.status, answer.detail()), (503, detail.into()), "{name}: {}", answer.text());
            assert_eq!(answer.header("retry-after"), Some("5"), "{name}");
        }
        let line = gate.logs("LDAP directory cannot be asked");
        assert!(line.contains(cause), "{name}: {line}");
        assert_eq!(gate.log().matches("cannot be asked").count(), 1, "{name}: once");
        let ready = gate.admin("/readyz").json();
        let backend =
            ready["backends"].as_array().unwrap().iter().find(|b| b["name"] == "basic_auth").unwrap();
        assert_eq!(backend["state"], "down", "{name}: {ready}");
        assert!(backend["cause"].as_str().unwrap().contains(cause), "{name}: {ready}");
        assert_eq!(
            gate.metric("airgate_backend_health{backend=\"basic_auth\",state=\"down\"}"),
            1.0,
            "{name}"
        );
    }
}

/// A directory that takes connections and says nothing is given up after `read_timeout`, and others do not wait for it.
#[test]
fn a_directory_that_hangs() {
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = Upstream::start();
    let server = hanging.local_addr().unwrap();
    let lines = format!("server = \"ldap://{server}\"\n{}{}", account(), search("ou=people,"));
    let gate = before(&upstream, &format!("{lines}read_timeout = 1\nconnect_timeout = 1\n"));
    let begun = Instant::now();
    assert_eq!(who(&gate, &upstream, "alice", "alice-pw"), "503");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    let begun = Instant::now();
    assert_eq!(gate.send(pools().bearer(&token::good("alice"))).status, 200);
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn another_server_takes_over() {
    let slapd = ldap::shared();
    let upstream = Upstream::start();
    let closed = Closed::port().url().replace("http:", "ldap:");
    let lines = format!("server = [\"{closed}\", \"{}\"]\n{}{}", slapd.url, account(), search("ou=people,"));
    let gate = before(&upstream, &lines);
    assert_eq!(who(&gate, &upstream, "alice", "alice-pw"), "alice");
    assert_eq!(who(&gate, &upstream, "bob", "wrong"), "401");
}

#[test]
fn an_outage_ends_without_a_restart() {
    let own = Own::start("outage");
    let upstream = Upstream::start();
    let gate = before(&upstream, &indirect(&own.slapd));
    assert_eq!(who(&gate, &upstream, "alice", "alice-pw"), "alice");
    own.stop();
    gate.logs("LDAP directory cannot be asked");
    let down = "airgate_backend_health{backend=\"ldap\",state=\"down\"}";
    assert_eq!(gate.metric(down), 1.0, "though nobody has asked since");
    assert_eq!(who(&gate, &upstream, "bob", "bob-pw"), "503");
    assert_eq!(who(&gate, &upstream, "alice", "alice-pw"), "alice", "known from the cache");
    // One that starts in the meantime serves what it can, and says what it cannot before anybody asks.
    let late = before(&upstream, &indirect(&own.slapd));
    late.logs("LDAP directory cannot be asked");
    assert_eq!(late.send(pools().bearer(&token::good("alice"))).status, 200);
    assert_eq!(late.admin("/readyz").json()["ready"], true);
    assert_eq!(who(&late, &upstream, "alice", "alice-pw"), "503");
    own.start_again();
    assert_eq!(who(&gate, &upstream, "bob", "bob-pw"), "bob");
    gate.logs("LDAP directory answers again");
    // Nobody asks, and it is noticed all the same.
    late.logs("LDAP directory answers again");
    assert_eq!(who(&late, &upstream, "alice", "alice-pw"), "alice");
}

/// A password that was changed is taken for as long as it is cached, and no longer.
#[test]
fn cached_passwords_end() {
    let own = Own::start("cache");
    let upstream = Upstream::start();
    let with_ttl = |ttl: &str| {
        let setup = with(&upstream.url(), token::SECRET, &indirect(&own.slapd));
        setup.arg("--set").arg(&format!("basic.cache_ttl={ttl}")).start()
    };
    let (short, long) = (with_ttl("1s"), with_ttl("1h"));
    for gate in [&short, &long] {
        assert_eq!(who(gate, &upstream, "bob", "bob-pw"), "bob");
    }
    own.change_password("bob", "bob-pw", "another-pw");
    assert_eq!(who(&long, &upstream, "bob", "bob-pw"), "bob");
    short.until("the old password is refused", |gate| who(gate, &upstream, "bob", "bob-pw") == "401");
    assert_eq!(who(&short, &upstream, "bob", "another-pw"), "bob");
    assert_eq!(who(&long, &upstream, "bob", "another-pw"), "bob");
}

#[test]
fn check_says_what_is_missing_and_what_contradicts() {
    let slapd = ldap::shared();
    let home = "server = \"ldap://127.0.0.1:1\"\n";
    let format = format!("username_format = \"uid=%s,{BASE}\"\n");
    for (name, lines, expected) in [
        ("nothing", String::new(), "[basic] sources: ldap needs [ldap] server"),
        ("no way to a name", home.into(), "[ldap] search is needed, unless [ldap] username_format makes"),
        (
            "another kind of name without search",
            format!("{home}append_domain = \"example.com\"\n"),
            "[ldap] search is needed, unless [ldap] username_format makes",
        ),
        ("no place", format!("{home}{}", account()), "[ldap] bind_user needs [ldap] search"),
        (
            "no password",
            format!("{home}bind_user = \"cn=a\"\n{}", search("")),
            "[ldap] bind_user needs [ldap] bind_password: without one the directory takes the bind for an anonymous one",
        ),
        (
            "no account",
            format!("{home}{format}bind_password = \"x\"\n"),
            "[ldap] bind_password needs [ldap] bind_user",
        ),
        (
            "a filter of nothing",
            format!("{home}{format}search_filter = \"(a=b)\"\n"),
            "[ldap] search_filter needs [ldap] search: without it nobody is filtered",
        ),
        (
            "TLS within TLS",
            format!("server = \"ldaps://127.0.0.1:1\"\n{format}use_tls = true\n"),
            "[ldap] use_tls is for ldap:// only: ldaps:// has TLS from the first byte",
        ),
        (
            "half of a certificate",
            format!("{home}{format}tls_certfile = \"{}\"\n", slapd.ca()),
            "[ldap] tls_certfile needs [ldap] tls_keyfile",
        ),
        (
            "a bad filter",
            format!("{home}{format}{}search_filter = \"uid=a\"\n", search("")),
            "[ldap] search_filter: expected a search filter (RFC 4515)",
        ),
        (
            "a bad place",
            format!("{home}{format}search = \"people\"\n"),
            "[ldap] search: expected a distinguished name, found \"people\"",
        ),
        (
            "a format without a place",
            format!("{home}username_format = \"uid=alice,{BASE}\"\n"),
            "[ldap] username_format: expected `%s` once",
        ),
        (
            "a bad attribute",
            format!("{home}{format}uid_field = \"u id\"\n"),
            "[ldap] uid_field: expected an attribute's",
        ),
        (
            "no such file",
            format!("{home}{format}use_tls = true\ntls_cacertfile = \"nowhere.pem\"\n"),
            "[ldap] tls_cacertfile: ",
        ),
        (
            "no certificate",
            format!("{home}{format}use_tls = true\ntls_cacertfile = \"airgate.toml\"\n"),
            "[ldap] tls_cacertfile: holds no certificate",
        ),
        ("a bad server", "server = \"http://h\"\n".into(), "[ldap] server: expected a URL such as"),
        (
            "not verified",
            format!("{home}{format}allow_self_signed = true\n"),
            "[ldap] allow_self_signed: leave it out: whoever answered would be given every password",
        ),
        (
            "in the clear",
            format!("server = \"ldap://ldap.example.com\"\n{format}"),
            "names and passwords cross the network in the clear",
        ),
    ] {
        let (code, out) = with("http://127.0.0.1:1", token::SECRET, &lines).check();
        let warned = name == "in the clear";
        assert_eq!(code, Some(if warned { 0 } else { 1 }), "{name}: {out}");
        assert!(out.contains(expected), "{name}: {out}");
    }
    let bare = format!("[basic]\nsources = \"ldap\"\n[ldap]\n{home}{format}");
    for (name, config, expected) in [
        (
            "no key",
            format!("{bare}[core]\nsimple_auth_manager_users = \"a:viewer\"\n"),
            "[basic] sources: ldap needs a signing key",
        ),
        (
            "no users",
            format!("{bare}[api_auth]\njwt_secret = \"x\"\n"),
            "[basic] sources: ldap needs [core] simple_auth_manager_users",
        ),
    ] {
        let (code, out) = Airgate::with(config).check();
        assert_eq!(code, Some(1), "{name}: {out}");
        assert!(out.contains(expected), "{name}: {out}");
    }
}
