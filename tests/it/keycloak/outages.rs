//! Keycloak that is stopped, that hangs, and that shows another certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{SECRET, front, mirror};
use crate::support::keycloak::{self, Keycloak};
use crate::support::upstream::answer;
use crate::support::{Airgate, get, token};

const POOLS: &str = "/api/v2/pools";

fn config(section: &str, timeout: &str) -> String {
    format!(
        "[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\nsimple_auth_manager_users = \"viewer:viewer,admin:admin\"\n\
         {section}allowed_client_ids = [\"cli\"]\ntimeout = \"{timeout}\"\n[basic]\nsources = [\"keycloak\"]\n[lockout]\n\
         attempts = 0\n"
    )
}

/// What `/readyz` says of Keycloak, and whether it is ready.
fn readiness(airgate: &Airgate) -> (u16, String) {
    let answered = airgate.admin("/readyz");
    let said = answered.json();
    let backends = said["backends"].as_array().unwrap();
    let keycloak = backends.iter().find(|backend| backend["name"] == "keycloak").unwrap();
    (
        answered.status,
        keycloak["state"].as_str().or(keycloak["health"].as_str()).unwrap_or_default().to_owned(),
    )
}

#[test]
fn stopped_and_hanging() {
    let keycloak = Keycloak::of_its_own("outages");
    let realm = keycloak.airflow();
    let mirror = mirror();
    let airgate = Airgate::before(&mirror.url(), &config(&realm.section(), "3s"));
    let raw = |user: &str| realm.log_in_by("cli", user, &format!("{user}-pw")).access;
    let (seen, unseen, third) = (raw("viewer"), raw("admin"), raw("viewer"));
    let bearer = |token: &str| airgate.send(get(POOLS).bearer(token)).status;
    let own = token::hs512(SECRET, &token::claims("admin"));
    let basic = || {
        let began = Instant::now();
        let answered = airgate.send(get(POOLS).basic("viewer", "viewer-pw"));
        (answered.status, answered.header("retry-after").is_some(), began.elapsed() < Duration::from_secs(10))
    };
    assert_eq!((bearer(&seen), bearer(&own)), (200, 200));

    keycloak.stop();
    // It is told though nobody logs in, by one that starts meanwhile too.
    airgate.logs("keycloak does not answer");
    assert_eq!(readiness(&airgate), (200, "down".to_owned()));
    let down = "airgate_backend_health{backend=\"keycloak\",state=\"down\"}";
    assert_eq!(airgate.metric(down), 1.0);
    let late = Airgate::before(&mirror.url(), &config(&realm.section(), "3s"));
    late.logs("keycloak does not answer");
    assert_eq!((readiness(&late), late.metric(down)), ((200, "down".to_owned()), 1.0));
    assert_eq!(basic(), (503, true, true));
    assert_eq!((bearer(&seen), bearer(&unseen), bearer(&own)), (200, 200, 200), "issued before");
    let forged = format!("{}.AAAA", unseen.rsplit_once('.').unwrap().0);
    assert_eq!(bearer(&forged), 403);
    keycloak.start();
    airgate.logs("keycloak is back");
    late.logs("keycloak is back");
    assert_eq!((readiness(&late), late.metric(down)), ((200, "up".to_owned()), 0.0));
    airgate.until("passwords are checked", |_| basic().0 == 200);
    assert_eq!(readiness(&airgate), (200, "up".to_owned()));

    let many = || {
        let began = Instant::now();
        for _ in 0..50 {
            assert_eq!(bearer(&own), 200);
        }
        began.elapsed()
    };
    let before = many();
    keycloak.signal("STOP");
    let (hanging, took, meanwhile) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let began = Instant::now();
            (airgate.send(get(POOLS).basic("admin", "admin-pw")), began.elapsed())
        });
        airgate.until("it waits", |airgate| airgate.metric("airgate_requests_in_flight") >= 1.0);
        // meanwhile nobody else waits
        let meanwhile = many();
        let (answer, took) = asked.join().unwrap();
        (answer, took, meanwhile)
    });
    assert_eq!((hanging.status, hanging.header("retry-after").is_some()), (503, true));
    assert!(took < Duration::from_secs(4), "the timeout is 3 s: {took:?}");
    // a single one that waited would take 3 s
    assert!(meanwhile < before * 2 + Duration::from_millis(500), "{before:?}, then {meanwhile:?}");
    assert_eq!(bearer(&third), 200, "by its signature");
    keycloak.signal("CONT");
    airgate.until("keycloak is up", |airgate| readiness(airgate).1 == "up");
    airgate.until("passwords are checked", |_| basic().0 == 200);
}

/// An answer that one client's question provokes, a firewall's say, is that client's alone: what others have is still
/// looked at, and their passwords are checked.
#[test]
fn an_odd_answer_is_for_one_client() {
    let keycloak = keycloak::shared();
    let realm = keycloak.realm_of_its_own(|_| {});
    let firewall = front(keycloak, |seen| {
        let attack = String::from_utf8_lossy(&seen.body).contains("UNION");
        attack.then(|| answer(403, &[("content-type", "text/html")], "<html>blocked</html>"))
    });
    let mirror = mirror();
    let section = realm.section().replace(&keycloak.url, &firewall.url());
    let settings = config(&section, "25s").replace("[basic]\n", "[basic]\ncache_ttl = \"0s\"\n");
    let airgate = Airgate::before(&mirror.url(), &settings);
    let address = firewall.url().trim_start_matches("http://").parse().unwrap();
    let tokens = ["viewer", "admin"].map(|user| realm.log_in_at(address, user));
    let [ended, live] = tokens.each_ref();
    let bearer = |token: &str| airgate.send(get(POOLS).bearer(token)).status;
    let basic = |password: &str| airgate.send(get(POOLS).basic("viewer", password));
    assert_eq!((bearer(ended), bearer(live)), (200, 200), "{}", airgate.log());
    realm.log_out(&realm.user_id("viewer"));
    for round in 0..3 {
        let odd = basic("' UNION SELECT 1");
        assert_eq!((odd.status, odd.header("retry-after").is_some()), (503, true), "{round}");
        assert_eq!((bearer(ended), bearer(live)), (403, 200), "{round}");
        assert_eq!(basic("viewer-pw").status, 200, "{round}");
        assert_eq!(readiness(&airgate), (200, "up".to_owned()), "{round}");
    }
    assert!(!airgate.log().contains("keycloak does not answer"), "{}", airgate.log());
    // Introspection says of Keycloak's own tokens what depends on its release.
    let asked = ["/certs", "/token", "/userinfo", "/.well-known/openid-configuration"];
    assert!(firewall.seen().iter().all(|seen| asked.iter().any(|name| seen.target.ends_with(name))));
}

/// A token endpoint that fails while the rest of the realm answers: that is told until it is over, and then too though
/// nobody logs in.
#[test]
fn the_token_endpoint_alone() {
    let keycloak = keycloak::shared();
    let realm = keycloak.airflow();
    let page = |status| answer(status, &[("content-type", "text/html")], "<html>");
    for (name, broken) in [("a proxy's 502", page(502)), ("a page", page(200))] {
        let is_broken = Arc::new(AtomicBool::new(true));
        let breaks = is_broken.clone();
        let proxy = front(keycloak, move |seen| {
            (seen.target.ends_with("/token") && breaks.load(Ordering::SeqCst)).then(|| broken.clone())
        });
        let mirror = mirror();
        let section = realm.section().replace(&keycloak.url, &proxy.url());
        let airgate = Airgate::before(&mirror.url(), &config(&section, "25s"));
        let basic = || airgate.send(get(POOLS).basic("viewer", "viewer-pw")).status;
        assert_eq!(basic(), 503, "{name}");
        airgate.logs("keycloak does not answer");
        let looks =
            || proxy.seen().iter().filter(|seen| seen.target.ends_with("openid-configuration")).count();
        let then = looks();
        airgate.until("it is looked at again", |_| looks() > then + 2);
        assert_eq!(readiness(&airgate), (200, "down".to_owned()), "{name}");
        assert!(!airgate.log().contains("keycloak is back"), "{name}: {}", airgate.log());
        is_broken.store(false, Ordering::SeqCst);
        airgate.logs("keycloak is back");
        assert_eq!((readiness(&airgate), basic()), ((200, "up".to_owned()), 200), "{name}");
    }
}

/// A certificate of an authority of one's own.
#[test]
fn certificates() {
    let keycloak = keycloak::shared();
    let mirror = mirror();
    let realm = keycloak.airflow();
    let section = realm.section().replace(&keycloak.url, &keycloak.tls_url);
    let ca = keycloak.ca().display().to_string();
    let other = ca.replace("ca.pem", "other-ca.pem");
    for (name, more, status) in [
        ("its own authority", format!("ca_file = \"{ca}\"\n"), 200),
        ("another authority", format!("ca_file = \"{other}\"\n"), 503),
        ("the system's", String::new(), 503),
        ("not verified", "verify = false\n".to_owned(), 200),
    ] {
        let airgate = Airgate::before(&mirror.url(), &config(&format!("{section}{more}"), "25s"));
        let answered = airgate.send(get(POOLS).basic("viewer", "viewer-pw"));
        assert_eq!(answered.status, status, "{name}: {}", airgate.log());
        let loud = "THE CERTIFICATE OF KEYCLOAK IS NOT VERIFIED";
        assert_eq!(airgate.log().contains(loud), name == "not verified", "{name}");
    }
}
