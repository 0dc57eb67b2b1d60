use super::*;
use crate::ports::SendError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::RETRY_AFTER;

use std::sync::Mutex;

/// Answers one request, and keeps it.
struct Endpoint {
    answer: Result<Response<Bytes>, SendError>,
    request: Mutex<Option<Request<Bytes>>>,
}

#[async_trait]
impl HttpClient for Endpoint {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        *self.request.lock().unwrap() = Some(request);
        self.answer.clone()
    }
}

fn source(answer: Result<Response<Bytes>, SendError>) -> (Upstream, Arc<Endpoint>) {
    let endpoint = Arc::new(Endpoint { answer, request: Mutex::default() });
    let client = Arc::clone(&endpoint) as Arc<dyn HttpClient>;
    (Upstream::new(client, Uri::from_static("/auth/token"), "http://127.0.0.1:8080"), endpoint)
}

fn answer(status: u16, body: &str) -> Result<Response<Bytes>, SendError> {
    Ok(Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap())
}

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn token(token: &str) -> Result<Response<Bytes>, SendError> {
    answer(201, &serde_json::json!({ "access_token": token }).to_string())
}

async fn check(source: &Upstream) -> SourceVerdict {
    source.check("ann", &Secret::new("se\"cret"), SystemTime::UNIX_EPOCH).await
}

#[tokio::test]
async fn asks_as_airflow_documents() {
    let (source, endpoint) = source(token(&jwt(r#"{"exp":1800000000}"#)));
    let _ = check(&source).await;
    let request = endpoint.request.lock().unwrap().take().unwrap();
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/auth/token"));
    assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(request.body(), r#"{"username":"ann","password":"se\"cret"}"#);
}

#[tokio::test]
async fn a_token_is_passed_on_and_ends_when_it_says() {
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds));
    for (name, text, expected) in [
        ("whole seconds", jwt(r#"{"exp":1800000000}"#), at(1_800_000_000_000)),
        ("a fraction", jwt(r#"{"sub":"1","exp":1800000000.5}"#), at(1_800_000_000_500)),
        ("no exp", jwt("{}"), None),
        ("exp before all time", jwt(r#"{"exp":-1}"#), None),
        ("exp after all time", jwt(r#"{"exp":1e300}"#), None),
        ("no JWT", "opaque".into(), None),
    ] {
        let (source, _) = source(token(&text));
        let SourceVerdict::Accepted { identity, onward, expires, seal } = check(&source).await else {
            panic!("{name}: not accepted")
        };
        assert_eq!(identity, Identity { origin: Origin::Upstream, name: "ann".into() }, "{name}");
        let Onward::Issued(value) = onward else { panic!("{name}: {onward:?}") };
        assert_eq!(value, format!("Bearer {text}"), "{name}");
        assert!(value.is_sensitive(), "{name}");
        assert_eq!((expires, seal), (expected, None), "{name}");
    }
}

#[tokio::test]
async fn every_answer_has_its_verdict() {
    let connect = || Err(SendError::Connect("refused".into()));
    let huge = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(Upstream::MAX_ANSWER));
    let mut later = answer(429, "").unwrap();
    later.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
    let mut much_later = answer(503, "").unwrap();
    much_later.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("86400"));
    // `None`: rejected. Else what the outage says, and for how many seconds.
    type Row<'a> = (&'a str, Result<Response<Bytes>, SendError>, Option<(&'a str, u64)>);
    let rows: Vec<Row<'_>> = vec![
        ("wrong password with simple, FAB", answer(401, r#"{"detail":"Invalid credentials"}"#), None),
        ("wrong password with Keycloak", answer(403, "{}"), None),
        ("refused as empty", answer(400, "{}"), None),
        ("refused as invalid", answer(422, "{}"), None),
        ("throttled", Ok(later), Some(("answered 429", 30))),
        ("down for a day, it says", Ok(much_later), Some(("answered 503", 60))),
        ("broken", answer(500, "Internal Server Error"), Some(("answered 500", 5))),
        ("no such endpoint (Airflow 2)", answer(404, "{}"), Some(("answered 404", 5))),
        ("a redirect", answer(307, ""), Some(("answered 307", 5))),
        ("another success", answer(200, r#"{"access_token":"x"}"#), Some(("answered 200", 5))),
        ("not JSON", answer(201, "<html>"), Some(("no token in the answer", 5))),
        ("no token", answer(201, "{}"), Some(("no token in the answer", 5))),
        (
            "a token that is no text",
            answer(201, r#"{"access_token":5}"#),
            Some(("no token in the answer", 5)),
        ),
        ("an empty token", token(""), Some(("the token cannot stand in a header", 5))),
        ("a token with a line end", token("a\r\nX-Evil: 1"), Some(("the token cannot stand in a header", 5))),
        ("a huge answer", answer(201, &huge), Some(("the answer is too large", 5))),
        ("timeout", Err(SendError::Timeout), Some(("no answer in time", 5))),
        // Of which the upstream's own health tells.
        ("no connection", connect(), Some(("cannot connect: refused", 5))),
        ("a huge answer, told by the client", Err(SendError::TooLarge), Some(("the answer is too large", 5))),
        ("anything else", Err(SendError::Other("broken pipe".into())), Some(("broken pipe", 5))),
    ];
    for (name, answer, expected) in rows {
        let (source, _) = source(answer.clone());
        match (check(&source).await, expected) {
            (SourceVerdict::Rejected, None) => assert_eq!(source.health(), Health::Up, "{name}"),
            (SourceVerdict::Unavailable(outage), Some((cause, seconds))) => {
                assert_eq!(&*outage.cause, format!("upstream token endpoint: {cause}"), "{name}");
                assert_eq!(outage.retry_after.as_secs(), seconds, "{name}");
                let told = match answer {
                    Err(SendError::Connect(_)) => Health::Up,
                    Ok(_) | Err(SendError::Timeout | SendError::TooLarge | SendError::Other(_)) => {
                        Health::Degraded(outage.cause)
                    }
                };
                assert_eq!(source.health(), told, "{name}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}
