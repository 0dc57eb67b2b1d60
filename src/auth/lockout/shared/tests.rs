use super::*;
use crate::auth::basic::check::PasswordCheck;
use crate::auth::lockout::{Lockout, Refused};
use crate::auth::testing::epoch;

use std::sync::Mutex;

use async_trait::async_trait;

const SETTINGS: LockoutSettings = LockoutSettings {
    attempts: 2,
    window: Duration::from_secs(60),
    duration: Duration::from_secs(120),
    slowest: Duration::from_secs(1),
};

/// A store that gives this answer, and keeps what it was told.
#[derive(Default)]
struct Told {
    answers: Mutex<Vec<Result<Vec<i64>, StoreError>>>,
    calls: Mutex<Vec<(Vec<String>, Vec<String>)>>,
}

impl Told {
    fn then(self: &Arc<Self>, answers: impl IntoIterator<Item = Result<Vec<i64>, StoreError>>) -> &Arc<Self> {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
        self
    }

    fn what(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(_, arguments)| arguments[0].clone()).collect()
    }
}

#[async_trait]
impl ScriptStore for Told {
    async fn run_texts(
        &self,
        _: &'static Script,
        _: &[String],
        _: &[String],
    ) -> Result<Vec<String>, StoreError> {
        Err(StoreError::Answer)
    }

    async fn run(
        &self,
        _script: &'static Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<i64>, StoreError> {
        self.calls.lock().unwrap().push((keys.to_vec(), arguments.to_vec()));
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { Err(StoreError::Down) } else { answers.remove(0) }
    }
}

fn lockout(store: &Arc<Told>, when_down: WhenDown) -> Lockout {
    Lockout::new().with_replicas(store.clone(), &Secret::new("shared"), when_down)
}

async fn admit(lockout: &Lockout, user: &str, from: &str) -> Result<super::super::Permit, Refused> {
    lockout.admit(&SETTINGS, user, Network::of(from.parse().ok()), epoch()).await
}

#[tokio::test]
async fn the_answer_of_the_store_decides() {
    let locked = |milliseconds| Err(Refused::LockedOut(LockedOut(Duration::from_millis(milliseconds))));
    for (name, answer, expected) in [
        ("admitted", Ok(vec![0, 0]), Ok(Duration::ZERO)),
        ("admitted, and slowed down", Ok(vec![0, 5]), Ok(Duration::from_millis(300))),
        ("slowed down no further", Ok(vec![0, i64::MAX]), Ok(SETTINGS.slowest)),
        ("locked out", Ok(vec![1, 1500]), locked(1500)),
        ("locked out for no time", Ok(vec![1, -1]), locked(0)),
    ] {
        let store = Arc::<Told>::default();
        store.then([answer]);
        let told = admit(&lockout(&store, WhenDown::Open), "ann", "192.0.2.1").await;
        assert_eq!(told.map(|permit| permit.delay()), expected, "{name}");
    }
}

#[tokio::test]
async fn while_the_store_is_down_each_replica_counts_or_nobody_logs_in() {
    for (name, fault) in [
        ("down", Err(StoreError::Down)),
        ("late", Err(StoreError::Timeout)),
        ("refuses", Err(StoreError::Failed("OOM".into()))),
        ("no answer of ours", Ok(vec![])),
    ] {
        let store = Arc::<Told>::default();
        let open = lockout(&store, WhenDown::Open);
        for _ in 0..2 {
            store.then([fault.clone()]);
            admit(&open, "ann", "192.0.2.1").await.ok().unwrap().failed(epoch()).await;
        }
        store.then([fault.clone()]);
        let refused = admit(&open, "ann", "192.0.2.1").await.err();
        assert_eq!(refused, Some(Refused::LockedOut(LockedOut(SETTINGS.duration))), "{name}");

        store.then([fault]);
        let closed = lockout(&store, WhenDown::Closed);
        assert!(matches!(admit(&closed, "ann", "192.0.2.1").await, Err(Refused::Uncounted(_))), "{name}");
    }
}

#[tokio::test]
async fn what_was_seen_before_an_outage_counts_in_it() {
    let store = Arc::<Told>::default();
    let lockout = lockout(&store, WhenDown::Open);
    for user in ["ann", "bob"] {
        for _ in 0..2 {
            store.then([Ok(vec![0, 0]), Ok(vec![0, 0])]);
            admit(&lockout, user, "192.0.2.1").await.ok().unwrap().failed(epoch()).await;
        }
    }
    store.then([Ok(vec![0, 0]), Ok(vec![0, 0])]);
    admit(&lockout, "bob", "192.0.2.1").await.ok().unwrap().succeeded().await;
    assert!(admit(&lockout, "ann", "192.0.2.1").await.is_err());
    assert!(admit(&lockout, "bob", "192.0.2.1").await.is_ok(), "forgiven");
}

#[tokio::test]
async fn how_a_look_ended_is_told_once() {
    let store = Arc::<Told>::default();
    let lockout = lockout(&store, WhenDown::Open);
    let permit = async || {
        store.then([Ok(vec![0, 0]), Ok(vec![0, 0])]);
        admit(&lockout, "ann", "192.0.2.1").await.ok().unwrap()
    };
    permit().await.failed(epoch()).await;
    permit().await.succeeded().await;
    drop(permit().await);
    tokio::task::yield_now().await;
    assert_eq!(store.what(), ["admit", "failed", "admit", "succeeded", "admit", "dropped"]);
}

#[tokio::test]
async fn nobody_is_told_by_name_or_address() {
    let store = Arc::<Told>::default();
    let keys = async |secret: &str, user: &str, from: &str| {
        let lockout = Lockout::new().with_replicas(store.clone(), &Secret::new(secret), WhenDown::Open);
        let _ = admit(&lockout, user, from).await;
        store.calls.lock().unwrap().pop().unwrap().0
    };
    let ann = keys("shared", "ann", "192.0.2.1").await;
    assert_eq!(keys("shared", "ANN ", "192.0.2.99").await, ann, "one user, one network");
    let others = [
        ("another user", keys("shared", "bob", "192.0.2.1").await, false),
        ("another network", keys("shared", "ann", "192.0.3.1").await, true),
        ("a socket", keys("shared", "ann", "none").await, true),
        ("another secret", keys("other", "ann", "192.0.2.1").await, false),
    ];
    for (name, other, same_user) in others {
        assert_eq!(other[2] == ann[2], same_user, "{name}");
        assert_ne!(other[0], ann[0], "{name}");
    }
    assert!(ann[0].starts_with(&ann[2]) && ann[1].starts_with(&ann[0]), "one slot of a cluster: {ann:?}");
    assert!(!ann.concat().contains("ann") && !ann.concat().contains("192"), "{ann:?}");
}

#[tokio::test]
async fn no_lock_out_asks_nobody() {
    let store = Arc::<Told>::default();
    let off = LockoutSettings { attempts: 0, ..SETTINGS };
    let lockout = lockout(&store, WhenDown::Closed);
    assert!(lockout.admit(&off, "ann", Network::Local, epoch()).await.is_ok());
    assert!(store.what().is_empty());
}

#[test]
fn a_look_is_leased_for_longer_than_it_can_take() {
    // File, database, directory, realm and upstream, each once.
    let longest = LockoutSettings::default().slowest + 5 * PasswordCheck::PER_SOURCE;
    assert!(LEASE > longest, "{longest:?}");
}
