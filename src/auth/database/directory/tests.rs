use super::*;
use crate::auth::database::tests::{Fake, user};

use std::sync::atomic::Ordering;

fn directory(fake: &Arc<Fake>) -> Arc<UserDirectory> {
    Arc::new(UserDirectory::new(fake.clone(), Arc::default(), Handle::current()))
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[tokio::test]
async fn names_are_compared_by_their_letters() {
    let fake = Fake::with([
        user(1, "admin", None, true),
        user(2, "José", None, true),
        user(3, "1", None, true),
        user(4, "gone", None, false),
        user(5, "twin", None, true),
        user(6, "TWIN", None, false),
        user(7, "kate", None, true),
    ]);
    let directory = directory(&fake);
    let long = "a".repeat(513);
    for (name, asked, expected) in [
        ("as it is", "admin", Found::User(UserId(1))),
        ("in another case", "ADMIN", Found::OtherCase(UserId(1))),
        ("with an accent", "josé", Found::OtherCase(UserId(2))),
        ("with an accent, in another case", "JOSÉ", Found::OtherCase(UserId(2))),
        ("without it", "jose", Found::Nobody),
        ("white space at the end", "admin ", Found::Nobody),
        ("a name that is another's id", "1", Found::User(UserId(3))),
        ("an id that is nobody's name", "2", Found::Nobody),
        ("deactivated", "gone", Found::Inactive),
        ("one of two", "twin", Found::Several),
        ("the sign of the kelvin", "\u{212a}ate", Found::Nobody),
        ("an e-mail address", "admin@example.com", Found::Nobody),
        ("empty", "", Found::Nobody),
        ("NUL", "admin\0", Found::Nobody),
        ("too long", &long, Found::Nobody),
    ] {
        assert_eq!(directory.find(asked, now()).await, Ok(expected), "{name}");
    }
}

#[tokio::test]
async fn an_answer_counts_for_ten_seconds() {
    let fake = Fake::with([user(1, "admin", None, true)]);
    let directory = directory(&fake);
    let after = |seconds| now() + Duration::from_secs(seconds);
    assert_eq!(directory.recall("admin", now()), None);
    assert_eq!(directory.find("admin", now()).await, Ok(Found::User(UserId(1))));
    fake.users.lock().unwrap()[0].active = false;
    assert_eq!(directory.find("admin", after(9)).await, Ok(Found::User(UserId(1))));
    assert_eq!(fake.finds.load(Ordering::SeqCst), 1);
    assert_eq!(directory.find("admin", after(10)).await, Ok(Found::Inactive));
    // Down: nobody is taken for anybody, and what is not asked for again is no longer known.
    fake.fail(true);
    assert_eq!(directory.find("admin", after(19)).await, Ok(Found::Inactive));
    let outage = directory.find("admin", after(20)).await.unwrap_err();
    assert_eq!((&*outage.cause, outage.retry_after), ("database: cannot connect: refused", RETRY));
    fake.fail(false);
    assert_eq!(directory.find("admin", after(20)).await, Ok(Found::Inactive), "an outage is not remembered");
    // The clock was set back.
    assert_eq!(directory.recall("admin", after(5)), None);
}

#[tokio::test]
async fn who_asks_at_the_same_time_shares_one_query() {
    let fake = Arc::new(Fake { gate: Some(tokio::sync::Notify::new()), ..Fake::default() });
    let directory = directory(&fake);
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let directory = directory.clone();
            tokio::spawn(async move { directory.find("admin", now()).await })
        })
        .collect();
    while fake.finds.load(Ordering::SeqCst) == 0 || directory.flights.count() == 0 {
        tokio::task::yield_now().await;
    }
    // One who gives up takes nothing from the others.
    asking[0].abort();
    fake.gate.as_ref().unwrap().notify_waiters();
    for one in asking.into_iter().skip(1) {
        assert_eq!(one.await.unwrap(), Ok(Found::Nobody));
    }
    assert_eq!(fake.finds.load(Ordering::SeqCst), 1);
    assert!(directory.flights.count() == 0);
}
