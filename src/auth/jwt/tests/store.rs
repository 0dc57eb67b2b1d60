//! Fetching keys: outages, rotation, floods. Time is tokio's, paused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::ports::{HttpClient, SendError};

/// A source of keys that answers what it was told to.
struct Source {
    answer: Mutex<Result<(u16, String), SendError>>,
    asked: AtomicUsize,
    /// How long an answer takes.
    delay: Duration,
}

impl Source {
    fn new(answer: Result<(u16, String), SendError>) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
            delay: Duration::from_millis(100),
        })
    }

    fn answer(&self, answer: Result<(u16, String), SendError>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl HttpClient for Source {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, SendError> {
        assert_eq!(request.uri(), "https://issuer.example/jwks");
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.delay).await;
        let (status, body) = self.answer.lock().unwrap().clone()?;
        Ok(http::Response::builder().status(status).body(Bytes::from(body)).unwrap())
    }
}

struct Nowhere;

#[async_trait]
impl HttpClient for Nowhere {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, SendError> {
        Err(SendError::Connect("nowhere".into()))
    }
}

/// A store that holds these keys already.
pub(super) fn set_of(document: &Value) -> Arc<JwksStore> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, document.to_string()).unwrap();
    JwksStore::new(JwksSource::File(path), Arc::new(Nowhere))
}

fn source() -> JwksSource {
    JwksSource::parse("https://issuer.example/jwks").unwrap()
}

fn good() -> Result<(u16, String), SendError> {
    Ok((200, vectors()["jwks"].to_string()))
}

fn only(kid: &str) -> Result<(u16, String), SendError> {
    let keys = vectors()["jwks"]["keys"].clone();
    let one = keys.as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
    Ok((200, json!({"keys": [one]}).to_string()))
}

fn backend(store: &Arc<JwksStore>) -> Jwt {
    let settings = Settings { jwks: Some(store.source().clone()), ..Settings::default() };
    Jwt::new(settings.build(|_| Arc::clone(store)).unwrap().verifier, vec![])
}

async fn later(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn verdict(backend: &Jwt, algorithm: &str) -> String {
    words(&ask(backend, &bearer(&vector(algorithm)), now()).await.0)
}

const OK: &str = "airflow admin, unchanged";

#[tokio::test(start_paused = true)]
async fn starts_without_the_issuer_and_recovers() {
    let issuer = Source::new(Err(SendError::Connect("refused".into())));
    let store = JwksStore::new(source(), issuer.clone());
    let jwt = backend(&store);
    assert_eq!(jwt.health(), Health::Down("not fetched yet".into()));
    tokio::spawn(Arc::clone(&store).run());

    assert_eq!(verdict(&jwt, "RS256").await, "unavailable: cannot connect: refused");
    assert_eq!(jwt.health(), Health::Down("cannot connect: refused".into()));
    issuer.answer(good());
    later(11).await;
    assert_eq!(verdict(&jwt, "RS256").await, OK);
    assert_eq!(jwt.health(), Health::Up);
    assert_eq!(store.status().keys, 5);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_keys_serve_through_an_outage() {
    let issuer = Source::new(good());
    let store = JwksStore::new(source(), issuer.clone());
    let jwt = backend(&store);
    tokio::spawn(Arc::clone(&store).run());
    assert_eq!(verdict(&jwt, "RS256").await, OK);

    for (name, answer, failure) in [
        ("no connection", Err(SendError::Connect("refused".into())), "cannot connect: refused"),
        ("no answer", Err(SendError::Timeout), "no answer in time"),
        ("too large", Ok((200, " ".repeat(KeySet::MAX + 1))), "the answer is too large"),
        ("an error", Ok((500, vectors()["jwks"].to_string())), "answered 500 Internal Server Error"),
        (
            "HTML",
            Ok((200, "<html>".into())),
            "not a JWKS document: a JSON object with a list `keys` is needed",
        ),
        ("an empty set", Ok((200, r#"{"keys":[]}"#.into())), "no usable key in the JWKS document"),
    ] {
        issuer.answer(answer);
        later(3601).await;
        assert_eq!(store.status().failure.as_deref(), Some(failure), "{name}");
        assert_eq!(jwt.health(), Health::Degraded(failure.into()), "{name}");
        assert_eq!(verdict(&jwt, "ES256").await, OK, "{name}");
        // A key that is unknown cannot be told from one that is new.
        assert_eq!(verdict(&jwt, "RS512").await, format!("unavailable: {failure}"), "{name}");
    }
    issuer.answer(good());
    later(11).await;
    assert_eq!(jwt.health(), Health::Up);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_keys_survive_a_reload() {
    let issuer = Source::new(good());
    let store = JwksStore::new(source(), issuer.clone());
    tokio::spawn(Arc::clone(&store).run());
    assert_eq!(verdict(&backend(&store), "RS256").await, OK);
    issuer.answer(Err(SendError::Timeout));
    later(3601).await;
    assert_eq!(verdict(&backend(&store), "RS256").await, OK);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_fetched_at_once_but_not_often() {
    let issuer = Source::new(only("RS256"));
    let store = JwksStore::new(source(), issuer.clone());
    let jwt = Arc::new(backend(&store));
    tokio::spawn(Arc::clone(&store).run());
    assert_eq!(verdict(&jwt, "RS256").await, OK);
    assert_eq!(issuer.asked(), 1);

    later(60).await;
    issuer.answer(good());
    assert_eq!(verdict(&jwt, "ES256").await, OK, "the new key is there at once");
    assert_eq!(issuer.asked(), 2);

    let unknown = bearer(&vector("RS512"));
    for round in 0..3 {
        later(10).await;
        let flood: Vec<_> = (0..10_000)
            .map(|_| {
                let (jwt, unknown) = (Arc::clone(&jwt), unknown.clone());
                tokio::spawn(async move { words(&ask(&*jwt, &unknown, now()).await.0) })
            })
            .collect();
        for answer in flood {
            assert_eq!(answer.await.unwrap(), "TokenInvalid(\"unknown kid\")");
        }
        assert_eq!(issuer.asked(), 3 + round, "10,000 tokens with unknown keys cause one fetch");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_forgotten_with_its_key() {
    let issuer = Source::new(good());
    let store = JwksStore::new(source(), issuer.clone());
    let jwt = backend(&store);
    tokio::spawn(Arc::clone(&store).run());
    let token = bearer(&vector("ES384"));
    assert!(!ask(&jwt, &token, now()).await.1);
    assert!(ask(&jwt, &token, now()).await.1, "recalled");

    later(3601).await;
    assert!(ask(&jwt, &token, now()).await.1, "the same keys again change nothing");
    issuer.answer(only("RS256"));
    later(3601).await;
    assert_eq!(verdict(&jwt, "ES384").await, "TokenInvalid(\"unknown kid\")");
    assert_eq!(verdict(&jwt, "RS256").await, OK);
}

#[tokio::test(start_paused = true)]
async fn a_slow_issuer_holds_up_nobody_for_long() {
    let mut issuer = Source::new(good());
    Arc::get_mut(&mut issuer).unwrap().delay = Duration::from_secs(60);
    let store = JwksStore::new(source(), issuer);
    let jwt = backend(&store);
    tokio::spawn(Arc::clone(&store).run());
    let begun = tokio::time::Instant::now();
    assert_eq!(verdict(&jwt, "RS256").await, "unavailable: the keys are still being fetched");
    assert_eq!(begun.elapsed().as_secs(), 5);
    later(6).await;
    assert_eq!(store.status().failure.as_deref(), Some("no answer in time"));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let write = |answer: Result<(u16, String), SendError>| {
        let other = folder.path().join("new");
        std::fs::write(&other, answer.unwrap().1).unwrap();
        std::fs::rename(other, &path).unwrap();
    };
    write(only("RS256"));
    let store = JwksStore::new(JwksSource::parse(path.to_str().unwrap()).unwrap(), Arc::new(Nowhere));
    let jwt = backend(&store);
    assert_eq!(verdict(&jwt, "RS256").await, OK, "a file serves the first request");
    let running = tokio::spawn(Arc::clone(&store).run());
    let mut changes = store.watch();
    let mut checked = async || {
        // Reading is not the paused clock's: await the next attempt that began after the change.
        let seen = changes.borrow_and_update().attempts;
        changes.wait_for(|status| status.attempts > seen + 1).await.unwrap();
    };

    write(good());
    checked().await;
    assert_eq!(verdict(&jwt, "ES256").await, OK);
    write(Ok((200, "{".into())));
    checked().await;
    assert!(matches!(jwt.health(), Health::Degraded(_)));
    assert_eq!(verdict(&jwt, "ES256").await, OK, "a broken file changes nothing");
    std::fs::remove_file(&path).unwrap();
    checked().await;
    assert_eq!(verdict(&jwt, "ES256").await, OK, "nor does a missing one");
    write(only("RS256"));
    checked().await;
    assert_eq!(verdict(&jwt, "ES256").await, "TokenInvalid(\"unknown kid\")");
    running.abort();
}

#[test]
fn a_missing_file_is_told_at_start() {
    let store = JwksStore::new(JwksSource::File("/nowhere/jwks.json".into()), Arc::new(Nowhere));
    assert_eq!(store.health(), Health::Down("No such file or directory (os error 2)".into()));
}

#[test]
fn sources() {
    let file = |path: &str| Ok(JwksSource::File(path.into()));
    for (text, expected) in [
        ("https://a.example/jwks", Ok(JwksSource::Url("https://a.example/jwks".parse().unwrap()))),
        ("http://127.0.0.1:1/", Ok(JwksSource::Url("http://127.0.0.1:1/".parse().unwrap()))),
        ("/etc/jwks.json", file("/etc/jwks.json")),
        ("jwks.json", file("jwks.json")),
        ("httpd/jwks.json", file("httpd/jwks.json")),
        ("", Err(())),
        ("ftp://a.example/jwks", Err(())),
        ("file:///etc/jwks.json", Err(())),
        ("https:///jwks", Err(())),
    ] {
        assert_eq!(JwksSource::parse(text).map_err(|_| ()), expected, "{text}");
    }
}

/// A store without keys that nobody fills.
pub(super) fn nowhere() -> Arc<JwksStore> {
    JwksStore::new(JwksSource::File("/nowhere".into()), Arc::new(Nowhere))
}

#[test]
fn a_source_prints_no_secret() {
    let source = JwksSource::parse("https://ann:hunter2@a.example:8443/jwks?key=hunter2").unwrap();
    assert_eq!(
        format!("{source} {source:?}"),
        "https://a.example:8443/jwks JwksSource(https://a.example:8443/jwks)"
    );
}
