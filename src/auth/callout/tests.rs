use std::collections::VecDeque;

use bytes::Bytes;
use http::{Request, Response};

use super::*;
use crate::auth::testing::{Case, epoch};
use crate::auth::{Onward, Origin, Reason, Scope};
use crate::ports::SendError;

/// A service that gives these answers in turn, and keeps what it was asked.
struct Service {
    answers: Mutex<VecDeque<Result<Response<Bytes>, SendError>>>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl HttpClient for Service {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        self.asked.lock().unwrap().push(request);
        self.answers.lock().unwrap().pop_front().unwrap_or(Err(SendError::Timeout))
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Result<Response<Bytes>, SendError> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    Ok(response)
}

fn callout(
    headers: &[&'static str],
    cache_ttl: Option<Duration>,
    answers: Vec<Result<Response<Bytes>, SendError>>,
) -> (Callout, Arc<Service>) {
    let service = Arc::new(Service { answers: Mutex::new(answers.into()), asked: Mutex::default() });
    let settings = CalloutSettings {
        url: Uri::from_static("http://auth/verify"),
        headers: headers.iter().map(|name| HeaderName::from_static(name)).collect(),
        ambient: Ambient::Auto,
        challenge: None,
        cache_ttl,
    };
    let callout = Callout::new("corp", settings, service.clone(), Handle::current()).unwrap();
    (callout, service)
}

async fn ask(callout: &Callout, case: Case) -> Verdict {
    case.run(async |attempt| match callout.recall(&attempt) {
        Some(verdict) => verdict,
        None => callout.authenticate(&attempt).await,
    })
    .await
}

fn key() -> Case {
    Case::default().scope(Scope::Api).header("x-api-key", "k")
}

#[tokio::test]
async fn every_verdict() {
    let refused = |reason| format!("Rejected {reason:?}");
    let rows = [
        ("accepted", answer(200, &[("x-auth-user", " ann ")]), "Accepted ann".to_owned()),
        ("accepted, of any 2xx", answer(204, &[("x-auth-user", "ann")]), "Accepted ann".into()),
        (
            "accepted, and over",
            answer(200, &[("x-auth-user", "ann"), ("x-auth-expires", "1000000000")]),
            refused(Reason::Refused),
        ),
        ("rejected", answer(401, &[]), refused(Reason::Refused)),
        ("forbidden", answer(403, &[]), refused(Reason::Forbidden)),
        ("moved", answer(301, &[("x-auth-user", "ann")]), "Unavailable 5: answered 301".into()),
        ("no name", answer(200, &[]), "Unavailable 5: accepted without X-Auth-User".into()),
        ("later", answer(429, &[("retry-after", "9")]), "Unavailable 9: answered 429".into()),
        ("too late", Err(SendError::Timeout), "Unavailable 5: no answer in time".into()),
        ("too large", Err(SendError::TooLarge), "Unavailable 5: the answer is too large".into()),
        (
            "not there",
            Err(SendError::Connect("refused".into())),
            "Unavailable 5: cannot connect: refused".into(),
        ),
    ];
    for (name, answer, expected) in rows {
        let (callout, _) = callout(&["x-api-key"], None, vec![answer]);
        let found = match ask(&callout, key()).await {
            Verdict::Accepted(grant) => {
                let identity = &grant.identity;
                assert_eq!(identity.origin, Origin::Callout("callout:corp"), "{name}");
                assert_eq!((&grant.onward, grant.expires), (&Onward::Minted { jti: None }, None), "{name}");
                format!("Accepted {}", identity.name)
            }
            Verdict::Rejected(rejection) => format!("Rejected {:?}", rejection.reason),
            Verdict::Unavailable(outage) => {
                assert_eq!(callout.health(), Health::Down(outage.cause.clone()), "{name}");
                format!("Unavailable {}: {}", outage.retry_after.as_secs(), outage.cause)
            }
            other @ (Verdict::NotMine | Verdict::Throttled(_) | Verdict::Mutual(..)) => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_for_the_service_is_not_sent_to_it() {
    let headers = &["x-api-key", "cookie"];
    for (name, case, asked) in [
        ("nothing", Case::default().scope(Scope::Api), false),
        ("another header", Case::default().scope(Scope::Api).header("authorization", "Bearer x"), false),
        ("an empty one", Case::default().scope(Scope::Api).header("x-api-key", " "), false),
        ("a cookie", Case::default().scope(Scope::Api).header("cookie", "a=b"), true),
        ("a cookie for a token", Case::default().scope(Scope::Token).header("cookie", "a=b"), false),
        ("a key for a token", Case::default().scope(Scope::Token).header("x-api-key", "k"), true),
    ] {
        let (callout, service) = callout(headers, None, vec![answer(401, &[])]);
        let verdict = ask(&callout, case).await;
        assert_eq!(matches!(verdict, Verdict::NotMine), !asked, "{name}: {verdict:?}");
        assert_eq!(service.asked.lock().unwrap().len(), usize::from(asked), "{name}");
    }
    let case = Case::default().scope(Scope::Token).header("x-api-key", "k").header("cookie", "a=b");
    let (callout, service) = callout(headers, None, vec![answer(401, &[])]);
    let _ = ask(&callout, case).await;
    assert!(!service.asked.lock().unwrap()[0].headers().contains_key("cookie"));
}

#[tokio::test]
async fn an_acceptance_is_remembered_for_its_time_and_not_beyond_the_credential() {
    let hour = Duration::from_secs(3600);
    let end = epoch().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let good = || answer(200, &[("x-auth-user", "ann")]);
    let ending = || answer(200, &[("x-auth-user", "ann"), ("x-auth-expires", &end.as_secs().to_string())]);
    for (name, ttl, answers, later, asked) in [
        ("off", None, [good(), good()], 0, 2),
        ("within the time", Some(hour), [good(), good()], 3599, 1),
        ("after it", Some(hour), [good(), good()], 3600, 2),
        ("the credential has ended", Some(hour), [ending(), good()], 60, 2),
        ("a refusal", Some(hour), [answer(401, &[]), good()], 0, 2),
        ("an outage", Some(hour), [answer(500, &[]), good()], 0, 2),
    ] {
        let (callout, service) = callout(&["x-api-key"], ttl, answers.into());
        let _ = ask(&callout, key()).await;
        let again = ask(&callout, key().after(Duration::from_secs(later))).await;
        assert!(matches!(again, Verdict::Accepted(_)), "{name}: {again:?}");
        assert_eq!(service.asked.lock().unwrap().len(), asked, "{name}");
        assert_eq!(callout.health(), Health::Up, "{name}");
    }
}
