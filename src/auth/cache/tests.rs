use super::*;
use crate::auth::testing::epoch;
use crate::auth::{Identity, Onward, Origin};

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, oneshot};

const TTL: Duration = Duration::from_secs(60);

fn grant(expires: Option<SystemTime>) -> Arc<Grant> {
    let identity = Identity { origin: Origin::File, name: "ann".into() };
    Arc::new(Grant { identity, ambient: true, expires, onward: Onward::Unchanged })
}

fn verified(grant: &Arc<Grant>) -> Verified {
    Verified { grant: Arc::clone(grant), since: epoch(), source: 0, seal: None }
}

fn cache() -> Arc<VerifiedCache> {
    Arc::new(VerifiedCache::new(100).unwrap())
}

fn key(cache: &VerifiedCache, password: &str) -> CredentialKey {
    cache.namer(&[0; 32]).key(Network::Local, "ann", password)
}

#[test]
fn every_part_of_a_credential_makes_another_key() {
    let cache = cache();
    let net = Network::V4([192, 0, 2]);
    let base = cache.namer(&[0; 32]).key(net, "ann", "secret");
    assert!(base == cache.namer(&[0; 32]).key(net, "ann", "secret"));
    for (name, other) in [
        ("sources", cache.namer(&[1; 32]).key(net, "ann", "secret")),
        ("network", cache.namer(&[0; 32]).key(Network::V4([192, 0, 3]), "ann", "secret")),
        ("user", cache.namer(&[0; 32]).key(net, "Ann", "secret")),
        ("password", cache.namer(&[0; 32]).key(net, "ann", "secret ")),
        ("where one ends", cache.namer(&[0; 32]).key(net, "anns", "ecret")),
        ("the process", VerifiedCache::new(1).unwrap().namer(&[0; 32]).key(net, "ann", "secret")),
    ] {
        assert!(base != other, "{name}");
    }
}

#[test]
fn an_entry_lives_for_the_ttl_and_no_longer_than_its_token() {
    let cache = cache();
    let after = |seconds: u64| epoch() + Duration::from_secs(seconds);
    let rows: &[(&str, Option<SystemTime>, SystemTime, Duration, bool)] = &[
        ("at once", None, epoch(), TTL, true),
        ("shortly before the end", None, after(59), TTL, true),
        ("at the end", None, after(60), TTL, false),
        ("a shorter ttl after a reload", None, after(10), Duration::from_secs(10), false),
        ("cache off", None, epoch(), Duration::ZERO, false),
        ("asked a little before it was verified", None, epoch() - Duration::from_secs(1), TTL, true),
        ("clock set back", None, epoch() - Duration::from_secs(60), TTL, false),
        ("token with time left", Some(after(31)), after(20), TTL, true),
        ("token about to end", Some(after(30)), after(20), TTL, false),
        ("token ended", Some(after(30)), after(31), TTL, false),
    ];
    for (name, expires, now, ttl, fresh) in rows {
        let key = key(&cache, name);
        cache.entries.insert(key, Arc::new(verified(&grant(*expires))));
        assert_eq!(cache.get(&key, *now, *ttl).is_some(), *fresh, "{name}");
    }
}

#[test]
fn only_the_grant_that_was_refused_is_forgotten() {
    let cache = cache();
    let (key, old, new) = (key(&cache, "pw"), grant(None), grant(None));
    cache.entries.insert(key, Arc::new(verified(&new)));
    let settled = epoch() + VerifiedCache::SETTLED;
    for (name, grant, now, forgotten) in [
        ("another grant", &old, settled, false),
        ("too new for its age to be the reason", &new, settled - Duration::from_secs(1), false),
        ("the same, settled", &new, settled, true),
        ("not there any more", &new, settled, false),
    ] {
        assert_eq!(cache.forget(&key, grant, now), forgotten, "{name}");
    }
    assert!(cache.get(&key, epoch(), TTL).is_none());
}

#[test]
fn it_is_bounded() {
    let cache = cache();
    for n in 0..10_000 {
        cache.entries.insert(key(&cache, &n.to_string()), Arc::new(verified(&grant(None))));
    }
    assert!(cache.len() <= 200, "{}", cache.len());
}

#[tokio::test]
async fn a_hundred_at_once_cost_one_check() {
    let (cache, checks, go) = (cache(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let key = key(&cache, "pw");
    let asking = (0..100).map(|_| {
        let (cache, checks, go) = (Arc::clone(&cache), Arc::clone(&checks), Arc::clone(&go));
        async move {
            let begin = || {
                Ok(async move {
                    checks.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    let grant = grant(None);
                    Checked {
                        verdict: Verdict::Accepted(Arc::clone(&grant)),
                        verified: Some(verified(&grant)),
                    }
                })
            };
            cache.share(key, &Handle::current(), begin).await
        }
    });
    let all = tokio::spawn(futures_util::future::join_all(asking));
    go.notify_one();
    let grants: Vec<_> = all
        .await
        .unwrap()
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Accepted(grant) => grant,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(checks.load(Ordering::SeqCst), 1);
    assert!(grants.iter().all(|grant| Arc::ptr_eq(grant, &grants[0])));
    assert!(Arc::ptr_eq(&cache.get(&key, epoch(), TTL).unwrap().grant, &grants[0]));
    assert!(cache.flights.count() == 0);
}

#[tokio::test]
async fn who_gives_up_strands_nobody() {
    let cache = cache();
    let key = key(&cache, "pw");
    let (go, wait) = oneshot::channel::<()>();
    let leader = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move {
            let begin = || {
                Ok(async move {
                    wait.await.unwrap();
                    Checked { verdict: Verdict::Throttled(TTL), verified: None }
                })
            };
            cache.share(key, &Handle::current(), begin).await
        })
    };
    while cache.flights.count() == 0 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let runtime = Handle::current();
    let follower = cache.share::<std::future::Ready<Checked>>(key, &runtime, || panic!("a second check"));
    let mut follower = std::pin::pin!(follower);
    assert!(futures_util::poll!(&mut follower).is_pending());
    go.send(()).unwrap();
    assert!(matches!(follower.await, Verdict::Throttled(TTL)));
}

/// Looks, at the very moment of being woken, whether the check is still on the list.
struct Witness {
    cache: Arc<VerifiedCache>,
    seen: AtomicUsize,
}

impl std::task::Wake for Witness {
    fn wake(self: Arc<Self>) {
        self.seen.fetch_add(1 + self.cache.flights.count(), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn who_hears_of_the_end_of_a_check_can_begin_another() {
    let cache = cache();
    let key = key(&cache, "pw");
    let (go, wait) = oneshot::channel::<()>();
    let begin = || {
        Ok(async move {
            wait.await.unwrap();
            Checked { verdict: Verdict::Throttled(TTL), verified: None }
        })
    };
    let runtime = Handle::current();
    let asked = cache.share(key, &runtime, begin);
    let mut asked = std::pin::pin!(asked);
    let witness = Arc::new(Witness { cache: Arc::clone(&cache), seen: AtomicUsize::new(0) });
    let waker = std::task::Waker::from(Arc::clone(&witness));
    assert!(asked.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    go.send(()).unwrap();
    while witness.seen.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(witness.seen.load(Ordering::SeqCst), 1, "told while still on the list");
    assert!(matches!(asked.await, Verdict::Throttled(TTL)));
}

#[tokio::test]
async fn a_check_that_panics_is_an_outage_and_leaves_nothing_behind() {
    let cache = cache();
    let key = key(&cache, "pw");
    let verdict = cache.share(key, &Handle::current(), || Ok(async { panic!("on purpose") })).await;
    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    assert!(cache.flights.count() == 0 && cache.is_empty());
}

#[test]
fn a_runtime_that_is_gone_is_an_outage() {
    let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = gone.handle().clone();
    drop(gone);
    let here = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cache = cache();
    let key = key(&cache, "pw");
    let check = async { Checked { verdict: Verdict::Throttled(TTL), verified: None } };
    let verdict = here.block_on(cache.share(key, &handle, || Ok(check)));
    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    assert!(cache.flights.count() == 0);
}

#[tokio::test]
async fn checks_that_are_not_shared_are_bounded_too() {
    let cache = cache();
    let check = || Ok(async { Checked { verdict: Verdict::Throttled(TTL), verified: None } });
    let all = cache.alone.acquire_many(VerifiedCache::FLIGHTS as u32).await.unwrap();
    let verdict = cache.check_alone(&Handle::current(), check).await;
    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    drop(all);
    let verdict = cache.check_alone(&Handle::current(), check).await;
    assert!(matches!(verdict, Verdict::Throttled(TTL)), "{verdict:?}");
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let cache = cache();
    let key = key(&cache, "pw");
    for _ in 0..2 {
        let check = async { Checked { verdict: Verdict::Throttled(TTL), verified: None } };
        assert!(matches!(cache.share(key, &Handle::current(), || Ok(check)).await, Verdict::Throttled(_)));
    }
    assert!(cache.is_empty());
}
