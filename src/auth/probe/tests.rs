use super::*;

use async_trait::async_trait;
use http::Response;
use http::header::{AUTHORIZATION, COOKIE};

use crate::auth::basic::check::{Source, SourceVerdict};
use crate::auth::basic::probe::Asked;
use crate::auth::cache::VerifiedCache;
use crate::auth::session::flask::FlaskSession;
use crate::auth::testing::{Case, epoch};
use crate::auth::{Backend, Identity, Onward, Origin, Reason, Scope, Verdict};
use crate::secret::Secret;

use std::sync::Mutex;
use tokio::runtime::Handle;

/// An Airflow 2 that answers who has a credential with one status, and who has none with another.
struct Airflow {
    with: Result<u16, SendError>,
    without: u16,
    asked: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpClient for Airflow {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        let has_credential = [AUTHORIZATION, COOKIE].iter().any(|name| request.headers().contains_key(name));
        self.asked.lock().unwrap().push(request);
        let status = if has_credential { self.with.clone()? } else { self.without };
        Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
    }
}

fn airflow(with: Result<u16, SendError>, without: u16) -> (Arc<Airflow>, Probe) {
    let airflow = Arc::new(Airflow { with, without, asked: Mutex::default() });
    let client = Arc::clone(&airflow) as Arc<dyn HttpClient>;
    (airflow, Probe::new(client, Uri::from_static(Probe::TARGET), "http://127.0.0.1:8080"))
}

fn credential() -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"))])
}

/// A name; Airflow's answer with the credential and without; what is made of them.
type Row<'a> = (&'a str, Result<u16, SendError>, u16, Result<Standing, &'a str>);

#[tokio::test]
async fn a_credential_is_good_where_it_makes_a_difference() {
    use Standing::{Known, Stranger};
    let cannot_tell = "/api/v1/pools?limit=1: everybody may read pools (AUTH_ROLE_PUBLIC), so that Airflow tells nobody \
                       from a user";
    let rows: &[Row<'_>] = &[
        ("may read pools", Ok(200), 401, Ok(Known)),
        ("may read pools, as the role of nobody may not", Ok(200), 403, Ok(Known)),
        ("may read pools, as everybody may", Ok(200), 200, Err(cannot_tell)),
        ("may not read pools", Ok(403), 401, Ok(Known)),
        ("may not read pools, as nobody may not", Ok(403), 403, Ok(Stranger)),
        ("may not read pools, which nobody may", Ok(403), 200, Ok(Known)),
        ("wrong", Ok(401), 401, Ok(Stranger)),
        ("wrong, where nobody has a role", Ok(401), 403, Ok(Stranger)),
        ("wrong, where nobody may read", Ok(401), 200, Ok(Stranger)),
        ("an error", Ok(500), 401, Err("/api/v1/pools?limit=1: answered 500")),
        ("an error for nobody alone", Ok(200), 502, Err("/api/v1/pools?limit=1: answered 502")),
        ("no such route", Ok(404), 404, Err("/api/v1/pools?limit=1: answered 404")),
        ("a redirect", Ok(302), 302, Err("/api/v1/pools?limit=1: answered 302")),
        ("a success of another kind", Ok(204), 401, Err("/api/v1/pools?limit=1: answered 204")),
        ("no answer", Err(SendError::Timeout), 401, Err("/api/v1/pools?limit=1: no answer in time")),
    ];
    for (name, with, without, expected) in rows {
        let (_, probe) = airflow(with.clone(), *without);
        let asked = probe.ask(credential()).await;
        let told = asked.as_ref().map(|standing| *standing).map_err(|outage| &*outage.cause);
        assert_eq!(told, *expected, "{name}");
        let health = match &asked {
            Ok(_) => Health::Up,
            Err(outage) => Health::Degraded(Arc::clone(&outage.cause)),
        };
        assert_eq!(probe.health(), health, "{name}");
    }
}

#[tokio::test]
async fn basic_asks_with_the_password_and_passes_it_on() {
    let (airflow, probe) = airflow(Ok(200), 401);
    let source = Asked::new(probe);
    let verdict = source.check("ann", &Secret::new("pä:ss"), epoch()).await;
    let SourceVerdict::Accepted { identity, onward, expires, seal } = verdict else { panic!("{verdict:?}") };
    assert_eq!(identity, Identity { origin: Origin::Upstream, name: "ann".into() });
    assert_eq!((onward, expires, seal), (Onward::Unchanged, None, None));
    let asked = airflow.asked.lock().unwrap();
    let [with, without] = &asked[..] else { panic!("{} requests", asked.len()) };
    assert_eq!(with.uri(), "/api/v1/pools?limit=1");
    assert_eq!(with.headers()[AUTHORIZATION], "Basic YW5uOnDDpDpzcw==");
    assert!(with.headers()[AUTHORIZATION].is_sensitive());
    assert!(!without.headers().contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn basic_has_a_verdict_for_every_answer() {
    for (name, with, expected) in [
        ("right", Ok(200), "accepted"),
        ("wrong", Ok(401), "rejected"),
        ("unknown here", Ok(500), "unavailable"),
        ("down", Err(SendError::Connect("refused".into())), "unavailable"),
    ] {
        let (_, probe) = airflow(with, 401);
        let told = match Asked::new(probe).check("ann", &Secret::new("x"), epoch()).await {
            SourceVerdict::Accepted { .. } => "accepted",
            SourceVerdict::Rejected => "rejected",
            SourceVerdict::Unknown => "unknown",
            SourceVerdict::Unavailable(_) => "unavailable",
        };
        assert_eq!(told, expected, "{name}");
    }
}

fn session(with: Result<u16, SendError>, ttl: u64) -> (Arc<Airflow>, FlaskSession) {
    let (airflow, probe) = airflow(with, 401);
    let cache = Arc::new(VerifiedCache::new(10).unwrap());
    (airflow, FlaskSession::new(probe, Duration::from_secs(ttl), cache, Handle::current()))
}

fn told(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted(grant) => {
            assert_eq!((grant.ambient, &grant.onward), (true, &Onward::Cookies));
            assert_eq!(grant.identity.origin, Origin::Unverified);
            "accepted"
        }
        Verdict::Mutual(..) => "mutual",
        Verdict::NotMine => "not mine",
        Verdict::Rejected(rejection) => {
            assert_eq!(rejection.reason, Reason::Malformed("The session has ended"));
            "rejected"
        }
        Verdict::Throttled(_) => "throttled",
        Verdict::Unavailable(_) => "unavailable",
    }
}

#[tokio::test]
async fn a_session_has_a_verdict_for_every_answer() {
    let with_cookie = || Case::default().header("cookie", "a=b; session=x");
    let rows: [(&str, Case, Result<u16, SendError>, &str); 9] = [
        ("good", with_cookie(), Ok(200), "accepted"),
        ("of one who may not read pools", with_cookie(), Ok(403), "accepted"),
        ("ended", with_cookie(), Ok(401), "rejected"),
        ("Airflow is ill", with_cookie(), Ok(503), "unavailable"),
        ("no cookie", Case::default(), Ok(200), "not mine"),
        ("another cookie", Case::default().header("cookie", "_token=x"), Ok(200), "not mine"),
        ("empty", Case::default().header("cookie", "session="), Ok(200), "not mine"),
        ("a token wins", with_cookie().header("authorization", "Bearer x"), Ok(200), "not mine"),
        ("for a token", with_cookie().scope(Scope::Token), Ok(200), "not mine"),
    ];
    for (name, case, with, expected) in rows {
        let (airflow, session) = session(with, 60);
        let verdict = case.run(async |attempt| session.authenticate(&attempt).await).await;
        assert_eq!(told(&verdict), expected, "{name}");
        let asked = airflow.asked.lock().unwrap();
        assert_eq!(asked.is_empty(), expected == "not mine", "{name}");
        assert!(asked.first().is_none_or(|with| with.headers()[COOKIE] == "a=b; session=x"), "{name}");
    }
}

#[tokio::test]
async fn a_good_session_is_remembered_for_a_while() {
    let case = |value: &str| Case::default().header("cookie", value);
    for (name, ttl, later, expected) in [
        ("the same", 60, case("session=x"), Some("accepted")),
        ("too late", 60, case("session=x").after(Duration::from_secs(61)), None),
        ("another", 60, case("session=y"), None),
        ("from elsewhere", 60, case("session=x").from("198.51.100.1"), None),
        ("switched off", 0, case("session=x"), None),
    ] {
        let (_, session) = session(Ok(200), ttl);
        let first = case("session=x").run(async |attempt| session.authenticate(&attempt).await).await;
        assert_eq!(told(&first), "accepted", "{name}");
        let again = later.run(async |attempt| session.recall(&attempt)).await;
        assert_eq!(again.as_ref().map(told), expected, "{name}");
    }
    let (_, session) = session(Ok(401), 60);
    let bad = case("session=x").run(async |attempt| session.authenticate(&attempt).await).await;
    assert_eq!(told(&bad), "rejected");
    let again = case("session=x").run(async |attempt| session.recall(&attempt)).await;
    assert!(again.is_none(), "a failure is not remembered");
}
