//! What is not accepted, and what the log says of it.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{setup, with_keytab};
use crate::support::airgate::Setup;
use crate::support::kdc::{REALM, kdc};
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Upstream, get, post};

/// With the keys of both services.
fn gate() -> Airgate {
    with_keytab("both.keytab", "").start()
}

fn negotiate(gate: &Airgate, token: &str) -> Answer {
    gate.send(get("/api/v2/pools").with("Authorization", format!("Negotiate {token}")))
}

/// One 401 with a challenge and this text, and one line of the audit log that says why.
#[track_caller]
fn refused(gate: &Airgate, name: &str, token: &str, text: &str, why: &str) {
    let before = gate.log().matches(why).count();
    let answer = negotiate(gate, token);
    assert_eq!((answer.status, answer.detail()), (401, text.to_owned()), "{name}");
    assert_eq!(answer.all("www-authenticate"), ["Negotiate", BEARER], "{name}");
    gate.until(&format!("{name}: {why}"), |gate| gate.log().matches(why).count() > before);
    let line = gate.logs(why);
    assert!(
        line.contains("\"event\":\"rejected\"") && line.contains("\"backend\":\"kerberos_auth\""),
        "{line}"
    );
}

const BEARER: &str = "Bearer realm=\"Airflow\"";
const TICKET: &str = "Invalid Kerberos ticket";

#[test]
fn what_is_no_good_ticket() {
    let gate = gate();
    let tickets = kdc().log_in("viewer");
    let tokens = tickets.tokens(&[
        "spnego airflow@localhost",
        "kerberos airflow@localhost",
        "spnego other@localhost",
        "spnego airflow@localhost",
    ]);
    let [good, raw, other, changed] = &tokens[..] else { panic!("{tokens:?}") };
    assert_eq!(negotiate(&gate, good).status, 200);
    assert_eq!(negotiate(&gate, raw).status, 200, "Kerberos without SPNEGO");
    let replayed = "the token has been used before";
    refused(&gate, "replayed", good, TICKET, replayed);
    refused(&gate, "replayed, again", good, TICKET, replayed);
    refused(&gate, "replayed, raw", raw, TICKET, replayed);
    refused(&gate, "another service", other, TICKET, "the keytab has no key for the ticket's service");
    let mut bytes = STANDARD.decode(changed).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    refused(
        &gate,
        "changed",
        &STANDARD.encode(&bytes),
        TICKET,
        "the keytab's key does not decrypt the token",
    );
    let half = STANDARD.encode(&bytes[..bytes.len() / 2]);
    refused(&gate, "half", &half, TICKET, "the ticket is not accepted");
    // NTLM within SPNEGO: NegTokenInit with NTLM's OID alone, and its first message.
    let spnego_ntlm =
        "YEAGBisGAQUFAqA2MDSgDjAMBgorBgEEAYI3AgIKoiIEIE5UTE1TU1AAAQAAAJeCCOIAAAAAAAAAAAAAAAAAAAAA";
    refused(&gate, "NTLM in SPNEGO", spnego_ntlm, TICKET, "another mechanism than Kerberos");
    // Mechanisms that the library knows and there is no key for: IAKERB, and Kerberos as it was once numbered.
    for (name, token) in [("IAKERB", "YAoGBisGAQUCBQAA"), ("old Kerberos", "YAkGBSsFAQUCAAA=")] {
        refused(&gate, name, token, TICKET, "another mechanism than Kerberos");
    }
    // NegTokenInit with Kerberos's OID and no token of it: an offer, where the token was to come next.
    let offer = "YBsGBisGAQUFAqARMA+gDTALBgkqhkiG9xIBAgI=";
    refused(&gate, "more than one leg", offer, TICKET, "a negotiation of more than one leg");
    refused(&gate, "garbage that begins well", "YII=", TICKET, "not a token of SPNEGO or Kerberos");
    for (name, token, text) in [
        (
            "NTLM",
            "TlRMTVNTUAABAAAAl4II4gAAAAAAAAAAAAAAAAAAAAA=",
            "The Negotiate token is NTLM, and only Kerberos is accepted",
        ),
        ("empty", "", "The Negotiate token is empty"),
        ("garbage", "Z2FyYmFnZQ==", "The Negotiate token is not one of SPNEGO or Kerberos"),
        ("not base64", "!!!", "The Negotiate token is not base64"),
        (
            "a second leg",
            "oQcwBaADCgEB",
            "The Negotiate token continues a negotiation, and only one leg is accepted",
        ),
        ("too long", &"YIIA".repeat(17_000), "The Negotiate token is too long"),
    ] {
        refused(&gate, name, token, text, text);
    }
    assert_eq!(gate.metric("airgate_rejections_total{reason=\"ticket_refused\"}"), 11.0);
    // None of it keeps the next one out, and nothing of it is cached.
    assert_eq!(negotiate(&gate, &tickets.token("spnego HTTP@localhost")).status, 200);
    // No token is in any log.
    for token in tokens {
        assert!(!gate.everything().contains(&token[40..80]));
    }
}

#[test]
fn a_ticket_whose_end_has_passed() {
    let gate = with_keytab("both.keytab", "").env("KRB5_CONFIG", &kdc().path("krb5-strict.conf")).start();
    let began = Instant::now();
    let tickets = kdc().log_in_with("viewer", &["-l", "1s"]);
    let token = tickets.token("spnego airflow@localhost");
    // A ticket's end is a whole second, and clocks may differ by one.
    while began.elapsed() < Duration::from_secs(4) {
        std::thread::sleep(Duration::from_millis(100));
    }
    refused(&gate, "expired", &token, TICKET, "the ticket has expired");
}

#[test]
fn a_token_that_has_become_old() {
    let gate = with_keytab("both.keytab", "").env("KRB5_CONFIG", &kdc().path("krb5-strict.conf")).start();
    let began = Instant::now();
    let token = kdc().log_in("viewer").token("spnego airflow@localhost");
    while began.elapsed() < Duration::from_secs(4) {
        std::thread::sleep(Duration::from_millis(100));
    }
    refused(&gate, "made by another clock", &token, TICKET, "the client's clock differs too much");
}

/// Only the entries that are named are used.
#[test]
fn the_configured_principal_alone() {
    let tickets = kdc().log_in("viewer");
    let no_key = "the keytab has no key for the ticket's service";
    for principal in
        [format!("HTTP/localhost@{REALM}"), "HTTP/localhost".into(), format!("HTTP/_HOST@{REALM}")]
    {
        let gate = with_keytab("both.keytab", &format!("principal = \"{principal}\"\n")).start();
        let tokens = tickets.tokens(&["spnego HTTP@localhost", "spnego airflow@localhost"]);
        assert_eq!(negotiate(&gate, &tokens[0]).status, 200, "{principal}");
        refused(&gate, &principal, &tokens[1], TICKET, no_key);
    }
    // Airflow's own default is the name of its ticket renewer.
    let gate = with_keytab("both.keytab", "principal = \"airflow\"\n").start();
    assert_eq!(negotiate(&gate, &tickets.token("spnego HTTP@localhost")).status, 200);
}

#[test]
fn a_replay_is_refused_after_a_restart_and_beside_another_airgate() {
    let folder = tempfile::tempdir().unwrap();
    let cache =
        |gate: Setup| gate.arg("--set").arg(&format!("kerberos.replay_cache={}", folder.path().display()));
    let token = kdc().log_in("viewer").token("spnego airflow@localhost");
    let gate = cache(with_keytab("both.keytab", "")).start();
    assert_eq!(negotiate(&gate, &token).status, 200);
    let other = cache(with_keytab("both.keytab", "")).start();
    refused(&other, "beside", &token, TICKET, "the token has been used before");
    drop(gate);
    let again = cache(with_keytab("both.keytab", "")).start();
    refused(&again, "restarted", &token, TICKET, "the token has been used before");
}

#[test]
fn many_at_once_and_each_once() {
    let gate = gate();
    let tickets = kdc().log_in("viewer");
    let tokens = tickets.tokens(&["spnego airflow@localhost"; 24]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |token: &String| {
            let token = token.clone();
            let gate = &gate;
            scope.spawn(move || negotiate(gate, &token).status)
        };
        // Each of them twice.
        let asked: Vec<_> = tokens.iter().chain(&tokens).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(401)), (24, 24), "{statuses:?}");
}

/// A browser sends its ticket by itself.
#[test]
fn foreign_pages() {
    let gate = gate();
    let tickets = kdc().log_in("viewer");
    let tokens = tickets.tokens(&["spnego airflow@localhost"; 3]);
    let with = |ask: Ask, token: &str| ask.with("Authorization", format!("Negotiate {token}"));
    let change = with(post("/api/v2/pools"), &tokens[0]).with("Origin", "https://evil.example");
    assert_eq!(gate.send(change).status, 403);
    gate.logs("\"refused\":\"cross_site\"");
    let read = with(get("/api/v2/pools"), &tokens[1]).with("Origin", "https://evil.example");
    assert_eq!(gate.send(read).status, 200);
    let token = with(post("/auth/token"), &tokens[2]).with("Sec-Fetch-Site", "cross-site");
    assert_eq!(gate.send(token).status, 403);
    // No pop-up is opened by a page's script.
    assert_eq!(gate.send(get("/api/v2/pools")).all("www-authenticate"), ["Negotiate", BEARER]);
    let script = get("/api/v2/pools").with("X-Requested-With", "XMLHttpRequest");
    assert_eq!(gate.send(script).all("www-authenticate"), [BEARER]);
}

/// What Airflow would be told is not what the client says.
#[test]
fn users_that_are_nobody_in_airflow() {
    let keytab = format!("keytab = \"{}\"\n", kdc().path("airflow.keytab"));
    let gate = setup(kdc(), &keytab).start();
    // `viewer@REALM` is not `viewer`.
    let answer = negotiate(&gate, &kdc().log_in("viewer").token("spnego airflow@localhost"));
    assert_eq!((answer.status, answer.detail()), (403, "The user is not known to Airflow".into()));
    assert!(
        answer.header("www-authenticate").unwrap().starts_with("Negotiate o"),
        "who we are is proved all the same"
    );
}

/// With a 401 a token would ask for another round.
#[test]
fn a_401_of_airflow_proves_nothing() {
    let upstream = Upstream::answering(|seen| match seen.target.split('?').next() {
        Some("/api/v2/pools") => answer(401, &[("WWW-Authenticate", "Bearer")], "{}"),
        _ => answer(200, &[("WWW-Authenticate", "Negotiate not-ours")], "{}"),
    });
    let gate = with_keytab("both.keytab", "").arg(&format!("--set=upstream.url={}", upstream.url())).start();
    let tokens = kdc().log_in("viewer").tokens(&["spnego airflow@localhost"; 2]);
    let refused = negotiate(&gate, &tokens[0]);
    assert_eq!((refused.status, refused.all("www-authenticate")), (401, vec!["Bearer"]));
    let ask = get("/api/v2/dags").with("Authorization", format!("Negotiate {}", tokens[1]));
    let answered = gate.send(ask);
    assert_eq!(answered.all("www-authenticate").len(), 1, "{answered:?}");
    assert!(answered.header("www-authenticate").unwrap().starts_with("Negotiate o"), "{answered:?}");
}
