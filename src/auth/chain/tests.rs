use super::*;
use crate::auth::testing::Case;
use crate::auth::{Identity, Onward, Origin, Outage};

use async_trait::async_trait;

/// A backend that always says the same.
struct Says {
    name: &'static str,
    recalled: Option<Verdict>,
    verdict: Verdict,
    challenge: Option<HeaderValue>,
}

#[async_trait]
impl Backend for Says {
    fn name(&self) -> &'static str {
        self.name
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        self.challenge.as_ref()
    }

    fn recall(&self, _attempt: &Attempt<'_>) -> Option<Verdict> {
        self.recalled.clone()
    }

    async fn authenticate(&self, _attempt: &Attempt<'_>) -> Verdict {
        self.verdict.clone()
    }
}

fn says(name: &'static str, challenge: &'static str, verdict: Verdict) -> Says {
    let challenge = (!challenge.is_empty()).then(|| HeaderValue::from_static(challenge));
    Says { name, recalled: None, verdict, challenge }
}

fn jwt(verdict: Verdict) -> Says {
    says("jwt", "Bearer", verdict)
}

fn basic(verdict: Verdict) -> Says {
    says("basic_auth", r#"Basic realm="Airflow""#, verdict)
}

fn session(verdict: Verdict) -> Says {
    says("session", "", verdict)
}

fn deny() -> Says {
    says("deny_all", "", bad(Reason::Denied))
}

fn good(name: &str) -> Verdict {
    let identity = Identity { origin: Origin::Airflow, name: name.into() };
    Verdict::Accepted(Arc::new(Grant { identity, ambient: false, expires: None, onward: Onward::Unchanged }))
}

fn bad(reason: Reason) -> Verdict {
    Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: false })
}

fn bad_cookie(reason: Reason) -> Verdict {
    Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: true })
}

fn down(seconds: u64) -> Verdict {
    Verdict::Unavailable(Outage { cause: "gone".into(), retry_after: Duration::from_secs(seconds) })
}

fn wait(seconds: u64) -> Verdict {
    Verdict::Throttled(Duration::from_secs(seconds))
}

fn chain(backends: Vec<Says>) -> Chain {
    Chain::new(backends.into_iter().map(|backend| Arc::new(backend) as Arc<dyn Backend>).collect())
}

async fn evaluate(case: Case, backends: Vec<Says>) -> (Result<Accepted, Refusal>, Trail) {
    let chain = chain(backends);
    case.run(async |attempt| {
        let mut trail = Trail::default();
        let answer = chain.evaluate(&attempt, &mut trail).await;
        (answer, trail)
    })
    .await
}

#[tokio::test]
async fn the_cause_is_what_matters_most() {
    use Verdict::NotMine;
    let unavailable = |seconds, names: &[&'static str]| Cause::Unavailable {
        retry_after: Duration::from_secs(seconds),
        outages: names.iter().map(|name| (*name, "gone".into())).collect(),
    };
    let invalid = Reason::TokenInvalid("signature");
    let rows: Vec<(&str, Vec<Says>, Cause)> = vec![
        ("no backend", vec![], Cause::Unauthorized(None)),
        ("nothing presented", vec![jwt(NotMine), basic(NotMine)], Cause::Unauthorized(None)),
        (
            "expired token",
            vec![jwt(bad(Reason::TokenExpired)), basic(NotMine)],
            Cause::Unauthorized(Some(Reason::TokenExpired)),
        ),
        ("invalid token", vec![jwt(bad(invalid)), basic(NotMine)], Cause::Forbidden(invalid)),
        (
            "wrong password",
            vec![jwt(NotMine), basic(bad(Reason::WrongPassword))],
            Cause::Unauthorized(Some(Reason::WrongPassword)),
        ),
        (
            "malformed",
            vec![basic(bad(Reason::Malformed("x")))],
            Cause::Unauthorized(Some(Reason::Malformed("x"))),
        ),
        ("deny_all alone", vec![deny()], Cause::Forbidden(Reason::Denied)),
        ("deny_all, nothing presented", vec![basic(NotMine), deny()], Cause::Forbidden(Reason::Denied)),
        (
            "deny_all first, then a wrong password",
            vec![deny(), basic(bad(Reason::WrongPassword))],
            Cause::Unauthorized(Some(Reason::WrongPassword)),
        ),
        (
            "deny_all last, a bad cookie",
            vec![session(bad_cookie(Reason::TokenExpired)), deny()],
            Cause::Unauthorized(Some(Reason::TokenExpired)),
        ),
        (
            "the header before the cookie",
            vec![session(bad_cookie(Reason::TokenExpired)), jwt(bad(invalid))],
            Cause::Forbidden(invalid),
        ),
        (
            "the first of two on one header",
            vec![jwt(bad(Reason::TokenExpired)), says("issuer", "Bearer", bad(invalid))],
            Cause::Unauthorized(Some(Reason::TokenExpired)),
        ),
        ("locked out", vec![jwt(NotMine), basic(wait(9))], Cause::Throttled(Duration::from_secs(9))),
        (
            "locked out, and a bad cookie",
            vec![session(bad_cookie(invalid)), basic(wait(9))],
            Cause::Throttled(Duration::from_secs(9)),
        ),
        ("an outage", vec![jwt(down(3)), basic(NotMine)], unavailable(3, &["jwt"])),
        (
            "an outage before a rejection",
            vec![session(down(3)), basic(bad(Reason::WrongPassword))],
            unavailable(3, &["session"]),
        ),
        ("an outage before a lock-out", vec![basic(wait(9)), session(down(3))], unavailable(3, &["session"])),
        ("an outage before deny_all", vec![jwt(down(3)), deny()], unavailable(3, &["jwt"])),
        (
            "the sooner of two outages",
            vec![session(down(7)), jwt(down(3))],
            unavailable(3, &["session", "jwt"]),
        ),
    ];
    for (name, backends, expected) in rows {
        let (answer, _) = evaluate(Case::default(), backends).await;
        assert_eq!(answer.unwrap_err().cause, expected, "{name}");
    }
}

#[tokio::test]
async fn the_first_success_wins_whatever_was_said_before() {
    for (name, backends, winner) in [
        ("alone", vec![jwt(good("ann"))], "jwt"),
        ("after nothing", vec![session(Verdict::NotMine), jwt(good("ann"))], "jwt"),
        ("after a rejection", vec![session(bad_cookie(Reason::TokenExpired)), jwt(good("ann"))], "jwt"),
        ("after an outage", vec![session(down(1)), jwt(good("ann"))], "jwt"),
        ("after a lock-out", vec![basic(wait(1)), session(good("ann"))], "session"),
        ("after deny_all", vec![deny(), jwt(good("ann"))], "jwt"),
        ("before another success", vec![session(good("ann")), jwt(good("bob"))], "session"),
    ] {
        let (answer, _) = evaluate(Case::default(), backends).await;
        let accepted = answer.unwrap();
        assert_eq!((accepted.backend, &*accepted.grant.identity.name), (winner, "ann"), "{name}");
        assert!(!accepted.cached, "{name}");
    }
}

#[tokio::test]
async fn what_a_later_backend_recalls_does_not_overtake_an_earlier_one() {
    let later = || Says { recalled: Some(good("bob")), ..jwt(good("nobody")) };
    let (answer, _) = evaluate(Case::default(), vec![session(good("ann")), later()]).await;
    assert_eq!(&*answer.unwrap().grant.identity.name, "ann");

    let (answer, trail) = evaluate(Case::default(), vec![session(Verdict::NotMine), later()]).await;
    let accepted = answer.unwrap();
    assert!(accepted.cached);
    assert_eq!(&*accepted.grant.identity.name, "bob");
    assert_eq!(trail.iter().collect::<Vec<_>>(), [("session", Said::NotMine), ("jwt", Said::Recalled)]);
}

#[tokio::test]
async fn the_trail_tells_who_said_what() {
    let backends = vec![
        session(bad_cookie(Reason::TokenExpired)),
        jwt(down(1)),
        basic(wait(1)),
        says("default", "", Verdict::NotMine),
        says("callout", "", good("ann")),
        deny(),
    ];
    let (_, trail) = evaluate(Case::default(), backends).await;
    let expected = [
        ("session", Said::Rejected(Reason::TokenExpired)),
        ("jwt", Said::Unavailable),
        ("basic_auth", Said::Throttled),
        ("default", Said::NotMine),
        ("callout", Said::Accepted),
    ];
    assert_eq!(trail.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn challenges_are_those_of_every_backend_save_pop_ups_in_a_browser() {
    const BASIC: &str = r#"Basic realm="Airflow""#;
    let told = |verdict: Verdict| {
        let Verdict::Rejected(mut rejection) = verdict else { unreachable!() };
        rejection.challenge = Some([HeaderValue::from_static(r#"Bearer error="invalid_token""#)].into());
        Verdict::Rejected(rejection)
    };
    let several = |challenges: &[&'static str]| {
        let challenges = challenges.iter().map(|text| HeaderValue::from_static(text)).collect();
        Verdict::Rejected(Rejection {
            reason: Reason::Refused,
            challenge: Some(challenges),
            clear_cookie: false,
        })
    };
    let corp = |challenges: &[&'static str]| says("callout:corp", "Basic", several(challenges));
    let negotiate = || says("kerberos_auth", "Negotiate", Verdict::NotMine);
    let plain = Case::default;
    let origin = || Case::default().header("origin", "https://ui.example.com");
    let script = || Case::default().header("x-requested-with", "xmlhttprequest");
    let fetch = || Case::default().header("x-requested-with", "fetch");
    use Verdict::NotMine;
    let rows: Vec<(&str, Case, Vec<Says>, &[&str])> = vec![
        (
            "all, in order",
            plain(),
            vec![session(NotMine), jwt(NotMine), basic(NotMine), negotiate()],
            &["Bearer", BASIC, "Negotiate"],
        ),
        (
            "a rejection's own instead",
            plain(),
            vec![jwt(told(bad(Reason::TokenExpired))), basic(NotMine)],
            &[r#"Bearer error="invalid_token""#, BASIC],
        ),
        (
            "with a 403 for a token too",
            plain(),
            vec![jwt(bad(Reason::TokenInvalid("x"))), basic(NotMine)],
            &["Bearer", BASIC],
        ),
        ("the same one once", plain(), vec![jwt(NotMine), says("issuer", "Bearer", NotMine)], &["Bearer"]),
        ("deny_all asks for nothing", plain(), vec![deny()], &[]),
        ("Origin", origin(), vec![jwt(NotMine), basic(NotMine), negotiate()], &["Bearer"]),
        ("XMLHttpRequest", script(), vec![jwt(NotMine), basic(NotMine), negotiate()], &["Bearer"]),
        ("another X-Requested-With", fetch(), vec![jwt(NotMine), basic(NotMine)], &["Bearer", BASIC]),
        ("a pop-up that a rejection asks for", origin(), vec![basic(bad(Reason::WrongPassword))], &[]),
        (
            "several of one backend",
            plain(),
            vec![corp(&["Bearer", "Digest realm=\"corp\""]), basic(NotMine)],
            &["Bearer", "Digest realm=\"corp\"", BASIC],
        ),
        ("a rejection that has none", plain(), vec![corp(&[])], &[]),
        (
            "pop-ups among several, and hidden in a list",
            origin(),
            vec![corp(&[
                "Digest realm=\"a\"",
                "NTLM",
                "Bearer realm=\"a\", Basic realm=\"b\"",
                "ApiKey, Bearer",
            ])],
            &["ApiKey, Bearer"],
        ),
        ("none with an outage", plain(), vec![jwt(down(1)), basic(NotMine)], &[]),
        ("none with a lock-out", plain(), vec![jwt(NotMine), basic(wait(1))], &[]),
    ];
    for (name, case, backends, expected) in rows {
        let (answer, _) = evaluate(case, backends).await;
        let refusal = answer.unwrap_err();
        assert_eq!(refusal.challenges.to_vec(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_bad_cookie_is_cleared_whatever_decides() {
    for (name, backends, cleared) in [
        ("the cookie decides", vec![session(bad_cookie(Reason::TokenExpired))], true),
        (
            "the header decides",
            vec![session(bad_cookie(Reason::TokenExpired)), basic(bad(Reason::WrongPassword))],
            true,
        ),
        ("no cookie", vec![session(Verdict::NotMine), basic(bad(Reason::WrongPassword))], false),
    ] {
        let (answer, _) = evaluate(Case::default(), backends).await;
        assert_eq!(answer.unwrap_err().clear_cookie, cleared, "{name}");
    }
}
