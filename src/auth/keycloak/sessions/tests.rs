use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::ports::keycloak::{Endpoint, Fault, TokenUser, UserInfo};
use crate::ports::{Script, ScriptStore};

const LIFE: Duration = Duration::from_secs(300);

/// Keycloak with one session. With `revoke` a refresh token counts once, and who uses it twice ends the session.
struct Fake {
    revoke: bool,
    newest: Mutex<u64>,
    alive: Mutex<Option<KeycloakError>>,
    asked: AtomicUsize,
    gate: Semaphore,
    user: &'static str,
}

impl Fake {
    fn new(revoke: bool) -> Arc<Self> {
        let (newest, alive) = (Mutex::new(0), Mutex::new(None));
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self { revoke, newest, alive, asked: AtomicUsize::new(0), gate, user: "u1" })
    }

    fn fails(&self, error: Option<KeycloakError>) {
        *self.alive.lock().unwrap() = error;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn refused() -> KeycloakError {
    KeycloakError::Refused("invalid_grant: Session not active".into())
}

fn down() -> KeycloakError {
    KeycloakError::Unavailable {
        fault: Fault::NoAnswer,
        cause: "no answer".into(),
        retry_after: Duration::from_secs(5),
    }
}

#[async_trait]
impl Keycloak for Fake {
    async fn grant(&self, grant: Grant<'_>) -> Result<Tokens, KeycloakError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.acquire().await.unwrap();
        if let Some(error) = self.alive.lock().unwrap().clone() {
            return Err(error);
        }
        let mut newest = self.newest.lock().unwrap();
        let (refresh, sid) = match grant {
            Grant::RefreshToken(token) => {
                let used: u64 = token.expose().strip_prefix('r').unwrap().parse().unwrap();
                if self.revoke && used != *newest {
                    *self.alive.lock().unwrap() = Some(refused());
                    return Err(refused());
                }
                (Some(Secret::new(format!("r{}", *newest + 1))), Some("s1".into()))
            }
            Grant::ClientCredentials { id, .. } => {
                assert_eq!(id, "airflow");
                (None, None)
            }
            Grant::Password { .. } => unreachable!(),
        };
        *newest += 1;
        Ok(Tokens {
            access: Secret::new(format!("a{newest}")),
            refresh,
            user: TokenUser { id: Some(self.user.into()), name: None },
            sid,
            expires_in: LIFE,
        })
    }

    async fn user_info(&self, _: &Secret) -> Result<UserInfo, KeycloakError> {
        unreachable!()
    }

    async fn alive(&self, _: Endpoint) -> Result<(), KeycloakError> {
        unreachable!()
    }
}

fn sessions(
    keycloak: &Arc<Fake>,
    memory: &Arc<Memory>,
    shared: Option<Arc<SharedSessions>>,
) -> Arc<Sessions> {
    let client = Client { id: "airflow".into(), secret: Secret::new("s") };
    Sessions::new(keycloak.clone(), client, memory.clone(), shared, Handle::current())
}

fn epoch() -> SystemTime {
    crate::auth::testing::epoch()
}

fn after(seconds: u64) -> SystemTime {
    epoch() + Duration::from_secs(seconds)
}

fn held(renewal: Renewal) -> Arc<Held> {
    Arc::new(Held::granted("u1", "viewer", Secret::new("a0"), (epoch(), LIFE), renewal))
}

fn session() -> Renewal {
    Renewal::Session { sid: "s1".into(), refresh: Secret::new("r0") }
}

/// The access token, or why there is none.
fn token(held: &Held, current: Result<Current, Lost>) -> String {
    match current {
        Ok(Current::Own) => held.access.expose().to_owned(),
        Ok(Current::Renewed(live)) => live.access.expose().to_owned(),
        Err(Lost::Ended) => "ended".to_owned(),
        Err(Lost::Unavailable(outage)) => format!("unavailable: {}", outage.cause),
    }
}

async fn at(sessions: &Arc<Sessions>, held: &Arc<Held>, seconds: u64) -> String {
    token(held, sessions.current(held, after(seconds)).await)
}

#[tokio::test]
async fn a_token_is_renewed_when_it_is_used_at_its_end() {
    let keycloak = Fake::new(true);
    let sessions = sessions(&keycloak, &Memory::new(), None);
    let held = held(session());
    for (seconds, expected, asked) in [
        (0, "a0", 0),
        (289, "a0", 0),
        (290, "a1", 1),
        (579, "a1", 1),
        // half a day later, with the refresh token that came last
        (40_000, "a2", 2),
        (40_001, "a2", 2),
    ] {
        assert_eq!(
            (at(&sessions, &held, seconds).await.as_str(), keycloak.asked()),
            (expected, asked),
            "{seconds}"
        );
    }
    let counted = Renewals { renewed: 2, ended: 0, failed: 0 };
    assert_eq!((sessions.memory.renewals(), sessions.memory.len()), (counted, 1));
}

#[tokio::test]
async fn what_becomes_of_a_token_that_cannot_be_renewed() {
    let other = || Renewal::Client { id: "ci".into() };
    for (name, renewal, fails, seconds, expected, asked) in [
        ("nothing to renew it with, alive", Renewal::Never, None, 299, "a0", 0),
        ("nothing to renew it with, at its end", Renewal::Never, None, 300, "ended", 0),
        ("another client's, at its end", other(), None, 300, "ended", 0),
        ("the client's own", Renewal::Client { id: "airflow".into() }, None, 300, "a1", 1),
        ("a session that has ended", session(), Some(refused()), 300, "ended", 1),
        ("a session that has ended, a moment before", session(), Some(refused()), 295, "ended", 1),
        ("keycloak down, alive", session(), Some(down()), 299, "a0", 1),
        ("keycloak down, at its end", session(), Some(down()), 300, "unavailable: no answer", 1),
        (
            "the client is refused",
            session(),
            Some(KeycloakError::Client("unauthorized_client".into())),
            300,
            "unavailable: keycloak refuses the client: unauthorized_client",
            1,
        ),
    ] {
        let keycloak = Fake::new(true);
        keycloak.fails(fails);
        let sessions = sessions(&keycloak, &Memory::new(), None);
        let held = held(renewal);
        assert_eq!(
            (at(&sessions, &held, seconds).await.as_str(), keycloak.asked()),
            (expected, asked),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_end_is_believed_for_seconds_and_an_outage_for_none() {
    let keycloak = Fake::new(false);
    let sessions = sessions(&keycloak, &Memory::new(), None);
    let held = held(session());
    keycloak.fails(Some(refused()));
    for (seconds, expected, asked) in [(300, "ended", 1), (309, "ended", 1), (310, "ended", 2)] {
        assert_eq!(
            (at(&sessions, &held, seconds).await.as_str(), keycloak.asked()),
            (expected, asked),
            "{seconds}"
        );
    }
    keycloak.fails(Some(down()));
    assert_eq!(at(&sessions, &held, 330).await, "unavailable: no answer");
    keycloak.fails(None);
    assert_eq!(at(&sessions, &held, 330).await, "a1", "an account that was enabled again");
}

#[tokio::test]
async fn a_session_belongs_to_one_user() {
    let keycloak = Fake::new(false);
    let sessions = sessions(&keycloak, &Memory::new(), None);
    let other = Held::granted("u2", "admin", Secret::new("b0"), (epoch(), LIFE), session());
    let (own, other) = (held(session()), Arc::new(other));
    assert_eq!(at(&sessions, &other, 300).await, "ended");
    assert_eq!(at(&sessions, &own, 300).await, "a1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_renew_once_and_who_gives_up_stops_nobody() {
    let keycloak = Fake::new(true);
    let sessions = sessions(&keycloak, &Memory::new(), None);
    let held = held(session());
    let shut = keycloak.gate.acquire_many(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX)).await;
    let closed = shut.is_ok();
    let ask = || {
        let (sessions, held) = (sessions.clone(), held.clone());
        tokio::spawn(async move { at(&sessions, &held, 300).await })
    };
    let first = ask();
    while keycloak.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let many: Vec<_> = (0..49).map(|_| ask()).collect();
    if closed {
        first.abort();
    }
    drop(shut);
    for one in many {
        assert_eq!(one.await.unwrap(), "a1");
    }
    assert_eq!(keycloak.asked(), 1);
    assert!(sessions.memory.flights.count() == 0);
}

#[test]
fn what_a_token_of_airflows_has_inside() {
    let token = |claims: serde_json::Value| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let access = |more: serde_json::Value| {
        let mut claims = json!({ "exp": 1000, "iat": 700, "sub": "u1" });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token(claims)
    };
    let refresh = token(json!({ "exp": 9000, "sid": "s2" }));
    let outer = |access: String, refresh: serde_json::Value| json!({ "user_id": "u1", "name": "viewer", "jti": "j", "access_token": access, "refresh_token": refresh });
    for (name, payload, expected) in [
        ("a session", outer(access(json!({"sid": "s1", "azp": "airflow"})), json!(refresh)), "session s1"),
        ("a light one", outer(access(json!({"azp": "airflow"})), json!(refresh)), "session s2"),
        ("a client's", outer(access(json!({"azp": "airflow"})), json!(null)), "client airflow"),
        ("a client's, empty", outer(access(json!({"azp": "airflow"})), json!("")), "client airflow"),
        ("an assertion", outer(access(json!({"sid": "s1", "azp": "ci"})), json!(null)), "never"),
        ("an odd refresh token", outer(access(json!({"azp": "ci"})), json!("x")), "never"),
        ("no token", outer("x".into(), json!(null)), "nothing"),
        ("an azp that is a list", outer(access(json!({"azp": ["ci"]})), json!(null)), "nothing"),
        ("an end before the beginning of time", outer(token(json!({"exp": 3})), json!(null)), "nothing"),
        ("an end beyond all time", outer(token(json!({"exp": 1e300})), json!(null)), "nothing"),
        ("a browser's", json!({ "user_id": "u1", "name": "viewer" }), "nothing"),
        ("not an object", json!([]), "nothing"),
    ] {
        let held = Held::inside(payload.to_string().as_bytes(), true);
        let found = held.as_ref().map_or("nothing".to_owned(), |held| match &held.renewal {
            Renewal::Session { sid, .. } => format!("session {sid}"),
            Renewal::Client { id } => format!("client {id}"),
            Renewal::Never => "never".to_owned(),
        });
        assert_eq!(found, expected, "{name}");
        if let Some(held) = held {
            let since = |time: SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!((since(held.expires), since(held.renew), held.passes), (1000, 990, true), "{name}");
            assert_eq!(held.jti.as_deref(), Some("j"));
            assert!(!format!("{held:?}").contains("e30"), "{held:?}");
        }
    }
}

/// Redis, as far as these scripts go.
#[derive(Default)]
struct Store {
    values: Mutex<HashMap<String, String>>,
    down: Mutex<bool>,
    written: Mutex<Vec<String>>,
}

#[async_trait]
impl ScriptStore for Store {
    async fn run(&self, _: &'static Script, _: &[String], _: &[String]) -> Result<Vec<i64>, StoreError> {
        unreachable!()
    }

    async fn run_texts(
        &self,
        _: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<String>, StoreError> {
        if *self.down.lock().unwrap() {
            return Err(StoreError::Down);
        }
        let mut values = self.values.lock().unwrap();
        self.written.lock().unwrap().extend(keys.iter().chain(arguments).cloned());
        match arguments {
            [id, _lease] => {
                let mine = !values.contains_key(&keys[1]);
                if mine {
                    values.insert(keys[1].clone(), id.clone());
                }
                let record = values.get(&keys[0]).cloned().unwrap_or_default();
                Ok(vec![u8::from(mine).to_string(), record])
            }
            [id, record, _keep, ends] => {
                let number = |text: &String| text.split(':').next().unwrap().parse::<u64>().unwrap();
                if values.get(&keys[0]).is_none_or(|known| number(known) < number(ends)) {
                    values.insert(keys[0].clone(), format!("{ends}:{record}"));
                }
                if values.get(&keys[1]) == Some(id) {
                    values.remove(&keys[1]);
                }
                Ok(vec!["1".into()])
            }
            [id] => {
                if values.get(&keys[1]) == Some(id) {
                    values.remove(&keys[1]);
                }
                Ok(vec!["1".into()])
            }
            _ => Err(StoreError::Answer),
        }
    }
}

fn shared(store: &Arc<Store>, secret: &str) -> Option<Arc<SharedSessions>> {
    let day = Duration::from_secs(86_400);
    Some(SharedSessions::new(store.clone(), &Secret::new(secret), day, Duration::from_secs(5)).unwrap())
}

/// Two replicas with a refresh token that counts once.
#[tokio::test(start_paused = true)]
async fn replicas_do_not_burn_each_others_tokens() {
    let (keycloak, store) = (Fake::new(true), Arc::new(Store::default()));
    let one = sessions(&keycloak, &Memory::new(), shared(&store, "x"));
    let two = sessions(&keycloak, &Memory::new(), shared(&store, "x"));
    let held = held(session());
    assert_eq!(at(&one, &held, 290).await, "a1");
    assert_eq!((at(&two, &held, 291).await.as_str(), keycloak.asked()), ("a1", 1));
    assert_eq!(at(&two, &held, 600).await, "a2");
    assert_eq!((at(&one, &held, 601).await.as_str(), keycloak.asked()), ("a2", 2));
    let both = tokio::join!(at(&one, &held, 900), at(&two, &held, 900));
    assert_eq!((both.0.as_str(), both.1.as_str(), keycloak.asked()), ("a3", "a3", 3));
    // what is in Redis tells neither tokens nor the session
    let written = store.written.lock().unwrap().join(" ");
    for told in ["s1", "a1", "r1", "u1"] {
        assert!(!written.split(['"', ' ', ':', '{', '}']).any(|word| word == told), "{told}: {written}");
    }
    // nor does it say anything to who has another secret
    let other = sessions(&keycloak, &Memory::new(), shared(&store, "y"));
    assert_eq!(at(&other, &held, 1).await, "a0");
    let keys = store.values.lock().unwrap().len();
    assert_eq!(keys, 1, "turns are given up");
}

/// While Redis is down only who has the newest token for certain goes on.
#[tokio::test(start_paused = true)]
async fn redis_down() {
    let (keycloak, store) = (Fake::new(true), Arc::new(Store::default()));
    let one = sessions(&keycloak, &Memory::new(), shared(&store, "x"));
    let two = sessions(&keycloak, &Memory::new(), shared(&store, "x"));
    let held = held(session());
    assert_eq!(at(&one, &held, 290).await, "a1");
    *store.down.lock().unwrap() = true;
    let lost = "unavailable: redis has the sessions of keycloak: not connected";
    assert_eq!(at(&two, &held, 300).await, lost);
    assert_eq!(at(&one, &held, 600).await, "a2");
    *store.down.lock().unwrap() = false;
    // the other one hears of it as soon as Redis has taken it
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((at(&two, &held, 601).await.as_str(), keycloak.asked()), ("a2", 2));
}

/// A replica that died with its turn keeps the others waiting for the lease, and no longer than they may wait.
#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_gives_up() {
    let (keycloak, store) = (Fake::new(true), Arc::new(Store::default()));
    let one = sessions(&keycloak, &Memory::new(), shared(&store, "x"));
    let held = held(session());
    let kept = shared(&store, "x").unwrap();
    let turn = kept.take_turn("s1").await.unwrap();
    assert!(matches!(turn, Turn::Mine(_, None)));
    assert_eq!(at(&one, &held, 300).await, "unavailable: the session is being renewed by another replica");
    match turn {
        Turn::Mine(turn, _) => turn.give_up().await,
        Turn::Others(_) => unreachable!(),
    }
    assert_eq!(at(&one, &held, 300).await, "a1");
}
