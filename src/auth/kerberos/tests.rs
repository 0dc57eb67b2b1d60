use std::collections::VecDeque;

use super::*;
use crate::auth::Scope;
use crate::auth::testing::{Case, epoch};

/// Says what it is told to say, one after the other, and whether the keytab is there.
#[derive(Default)]
struct Fake {
    answers: Mutex<VecDeque<Result<Established, Failure>>>,
    probe: Mutex<Option<String>>,
}

impl Acceptor for Fake {
    fn accept(&self, _token: &[u8]) -> Result<Established, Failure> {
        self.answers.lock().unwrap().pop_front().expect("nobody else may ask")
    }

    fn probe(&self) -> Result<(), String> {
        self.probe.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

fn backend(answers: impl IntoIterator<Item = Result<Established, Failure>>) -> (KerberosAuth, Arc<Fake>) {
    let fake = Arc::new(Fake { answers: Mutex::new(answers.into_iter().collect()), ..Fake::default() });
    (KerberosAuth::new(fake.clone(), &["LOCAL".to_owned()], Handle::current()), fake)
}

fn established(principal: &str) -> Established {
    Established {
        principal: principal.into(),
        reply: b"proof".to_vec(),
        lifetime: Some(Duration::from_secs(60)),
    }
}

/// Begins as SPNEGO does.
fn negotiate() -> Case {
    Case::default().scope(Scope::Api).header("authorization", "Negotiate YGYrBgEFBQI=")
}

async fn ask(backend: &KerberosAuth, case: &Case) -> Verdict {
    case.run(async |attempt| match backend.recall(&attempt) {
        Some(verdict) => verdict,
        None => backend.authenticate(&attempt).await,
    })
    .await
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted(grant) => format!("accepted {}", grant.identity.name),
        Verdict::Mutual(grant, proof) => {
            format!("accepted {}, {}", grant.identity.name, proof.to_str().unwrap())
        }
        Verdict::NotMine => "not mine".into(),
        Verdict::Rejected(rejection) => format!("{:?}", rejection.reason),
        Verdict::Throttled(_) => "throttled".into(),
        Verdict::Unavailable(outage) => format!("unavailable: {}", outage.cause),
    }
}

#[tokio::test]
async fn verdicts() {
    let bad = |fault| Err(Failure::Bad(fault, "text".into()));
    let rows = [
        ("accepted", Ok(established("alice@REALM")), "accepted alice@REALM, Negotiate cHJvb2Y="),
        ("a local realm", Ok(established("alice@LOCAL")), "accepted alice, Negotiate cHJvb2Y="),
        (
            "nothing to prove",
            Ok(Established { reply: Vec::new(), ..established("alice@REALM") }),
            "accepted alice@REALM",
        ),
        (
            "a name that is none",
            Ok(established("alice")),
            r#"TicketRefused("the client's principal has no name or no realm")"#,
        ),
        (
            "anonymous",
            Ok(established("WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS")),
            r#"TicketRefused("an anonymous ticket")"#,
        ),
        ("expired", bad(Fault::Expired), r#"TicketRefused("the ticket has expired")"#),
        ("not yet", bad(Fault::NotYetValid), r#"TicketRefused("the ticket is not valid yet")"#),
        ("replayed", bad(Fault::Replayed), r#"TicketRefused("the token has been used before")"#),
        ("clocks", bad(Fault::ClockSkew), r#"TicketRefused("the client's clock differs too much")"#),
        (
            "another service",
            bad(Fault::NoKey),
            r#"TicketRefused("the keytab has no key for the ticket's service")"#,
        ),
        (
            "another key",
            bad(Fault::WrongKey),
            r#"TicketRefused("the keytab's key does not decrypt the token")"#,
        ),
        ("defective", bad(Fault::Defective), r#"TicketRefused("not a token of SPNEGO or Kerberos")"#),
        ("NTLM inside", bad(Fault::Mechanism), r#"TicketRefused("another mechanism than Kerberos")"#),
        ("continued", bad(Fault::Continued), r#"TicketRefused("a negotiation of more than one leg")"#),
        ("no keytab", Err(Failure::Unable("no keytab".into())), "unavailable: no keytab"),
    ];
    for (name, answer, expected) in rows {
        let (backend, _) = backend([answer]);
        assert_eq!(words(&ask(&backend, &negotiate()).await), expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_token_reaches_nobody() {
    let (backend, _) = backend([]);
    for (name, header, expected) in [
        ("none", None, "not mine"),
        ("another scheme", Some("Basic dTpw"), "not mine"),
        ("a bearer", Some("Bearer a.b.c"), "not mine"),
        ("an unknown scheme", Some("Frob YGYrBgEFBQI="), "not mine"),
        ("the scheme alone", Some("Negotiate"), r#"Malformed("The Negotiate token is empty")"#),
        ("not base64", Some("Negotiate !!!"), r#"Malformed("The Negotiate token is not base64")"#),
        (
            "NTLM",
            Some("NEGOTIATE TlRMTVNTUAABAAAA"),
            r#"Malformed("The Negotiate token is NTLM, and only Kerberos is accepted")"#,
        ),
    ] {
        let case = Case::default().scope(Scope::Api);
        let case = match header {
            Some(header) => case.header("authorization", header),
            None => case,
        };
        assert_eq!(words(&ask(&backend, &case).await), expected, "{name}");
    }
}

#[tokio::test]
async fn a_grant_is_ambient_and_ends_with_the_ticket() {
    let endless = Established { lifetime: None, ..established("alice@REALM") };
    let (backend, _) = backend([Ok(established("alice@REALM")), Ok(endless)]);
    let Verdict::Mutual(grant, proof) = ask(&backend, &negotiate()).await else { panic!("not accepted") };
    assert_eq!(grant.identity, Identity { origin: Origin::Kerberos, name: "alice@REALM".into() });
    assert!(grant.ambient);
    assert_eq!(grant.expires, Some(epoch() + Duration::from_secs(60)));
    assert_eq!(grant.onward, Onward::Minted { jti: None });
    assert!(proof.is_sensitive());
    let Verdict::Mutual(grant, _) = ask(&backend, &negotiate()).await else { panic!("not accepted") };
    assert_eq!(grant.expires, None);
}

#[tokio::test]
async fn health_is_that_of_the_keytab() {
    let unable = || Err(Failure::Unable("no keytab".into()));
    let bad = Err(Failure::Bad(Fault::Expired, "expired".into()));
    let answers = [unable(), bad, Ok(established("alice@REALM")), unable()];
    let fake =
        Arc::new(Fake { answers: Mutex::new(answers.into()), probe: Mutex::new(Some("none yet".into())) });
    let backend = KerberosAuth::new(fake.clone(), &[], Handle::current());
    let down = |text: &str| Health::Down(text.into());
    assert_eq!(backend.health(), down("none yet"), "at the start");
    for (name, expected) in [
        ("it is told by a request", down("no keytab")),
        ("what a client sends proves nothing", down("no keytab")),
        ("accepted", Health::Up),
        ("gone", down("no keytab")),
    ] {
        let _ = ask(&backend, &negotiate()).await;
        assert_eq!(backend.health(), expected, "{name}");
    }
    // Without a request, too.
    *fake.probe.lock().unwrap() = None;
    backend.watch(&Handle::current(), Duration::from_millis(1));
    while backend.health() != Health::Up {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    *fake.probe.lock().unwrap() = Some("removed".into());
    while backend.health() != down("removed") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
