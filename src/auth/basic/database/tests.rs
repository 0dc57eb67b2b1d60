use super::*;
use crate::auth::database::tests::{Fake, user};

use std::sync::atomic::Ordering;

/// Of `secret`, by Python's `hashlib`.
const HASH: &str = "scrypt:16:8:1$abcdefgh$57c0cd29ac81b0156f2df8fe6586f200ab12504e958385cdad8e5593b4dd7bfdd135e3f09d9a7d87c63c983138980fde71448e1bbdef1abdd98455db1bdd14bb";

fn users(fake: &Arc<Fake>) -> DatabaseUsers {
    let workers = Arc::new(HashWorkers::new(2));
    let users = DatabaseUsers::new(fake.clone(), "name", Arc::default(), workers);
    users.keep_for(Duration::from_secs(60));
    users
}

async fn check(users: &DatabaseUsers, name: &str, password: &str) -> SourceVerdict {
    users.check(name, &Secret::new(password), SystemTime::UNIX_EPOCH).await
}

fn told(verdict: &SourceVerdict) -> String {
    match verdict {
        SourceVerdict::Accepted { identity, .. } => format!("{:?} {}", identity.origin, identity.name),
        SourceVerdict::Rejected => "rejected".into(),
        SourceVerdict::Unknown => "unknown".into(),
        SourceVerdict::Unavailable(outage) => format!("unavailable: {}", outage.cause),
    }
}

#[tokio::test]
async fn verdicts() {
    let fake = Fake::with([
        user(1, "admin", Some(HASH), true),
        user(2, "off", Some(HASH), false),
        user(3, "none", None, true),
        user(4, "weak", Some("md5$a$b"), true),
        user(5, "twin", Some(HASH), true),
        user(6, "TWIN", Some(HASH), true),
    ]);
    let users = users(&fake);
    for (name, user, password, expected) in [
        ("accepted", "admin", "secret", "Database(UserId(1)) admin"),
        ("by another spelling", "ADMIN", "secret", "Database(UserId(1)) admin"),
        ("by e-mail address", "admin@example.com", "secret", "Database(UserId(1)) admin"),
        ("one of two, by e-mail address", "TWIN@example.com", "secret", "Database(UserId(6)) TWIN"),
        ("one of two by name", "twin", "secret", "unknown"),
        ("another password", "admin", "other", "rejected"),
        ("deactivated", "off", "secret", "rejected"),
        ("no password", "none", "secret", "rejected"),
        ("a weak hash", "weak", "secret", "rejected"),
        ("nobody", "nobody", "secret", "unknown"),
    ] {
        assert_eq!(told(&check(&users, user, password).await), expected, "{name}");
    }
    fake.fail(true);
    let verdict = check(&users, "admin", "secret").await;
    assert_eq!(told(&verdict), "unavailable: database: cannot connect: refused");
}

/// It vouches until the row says otherwise, or for as long as a password is remembered at all.
#[tokio::test]
async fn what_was_verified_lapses() {
    let rows = [user(1, "admin", Some(HASH), true), user(2, "other", Some(HASH), true)];
    for (name, change, stands) in [
        ("unchanged", (|_| {}) as fn(&mut Vec<UserRow>), true),
        ("deactivated", |rows| rows[0].active = false, false),
        ("another hash", |rows| rows[0].password = Some(Secret::new("x")), false),
        ("renamed", |rows| rows[0].username = "x".into(), false),
        ("deleted", |rows| drop(rows.remove(0)), false),
    ] {
        let fake = Fake::with(rows.clone());
        let users = users(&fake);
        let mut seals = Vec::new();
        for user in ["admin", "other"] {
            match check(&users, user, "secret").await {
                SourceVerdict::Accepted { seal, .. } => seals.push(seal),
                other => panic!("{other:?}"),
            }
        }
        let vouches = |at: usize| users.vouches("", seals[at].as_ref());
        assert!(vouches(0) && vouches(1), "{name}");
        change(&mut fake.users.lock().unwrap());
        let watched = users.watched();
        assert_eq!(watched.len(), 2, "{name}");
        users.review(&watched, &fake.users(&watched).await.unwrap(), Instant::now());
        assert_eq!((vouches(0), vouches(1)), (stands, true), "{name}");
        // Who logged in after the rows were asked for is not forgotten for not being among them.
        users.review(&[], &[], Instant::now());
        assert_eq!((vouches(0), vouches(1)), (stands, true), "{name}");
        users.review(
            &watched,
            &fake.users(&watched).await.unwrap(),
            Instant::now() + Duration::from_secs(61),
        );
        assert!(users.watched().is_empty(), "{name}: nothing is looked at for ever");
    }
    assert!(!users(&Fake::with([])).vouches("", None));
}

#[tokio::test]
async fn a_stand_in_costs_what_others_cost() {
    let users = users(&Fake::with([]));
    assert_eq!(users.stand_in("a").method(), Method::DEFAULT, "before anything is known");
    let small = Method::parse("scrypt:16:8:1").unwrap();
    let other = Method::parse("pbkdf2:sha256:10").unwrap();
    users.learn(&["scrypt:16:8:1$abc".into(), "pbkdf2:sha256:10$x".into(), "md5$a".into(), "odd".into()]);
    let chosen: HashSet<Method> = (0..100).map(|n| users.stand_in(&n.to_string()).method()).collect();
    assert_eq!(chosen, HashSet::from([small, other]));
    for name in ["a", "b"] {
        assert_eq!(users.stand_in(name).method(), users.stand_in(name).method(), "always the same for one");
    }
}

#[tokio::test]
async fn a_method_is_complained_about_once() {
    let fake = Fake::with([user(1, "a", Some("md5$a$b"), true), user(2, "b", Some("md5$c$d"), true)]);
    let users = users(&fake);
    for name in ["a", "b", "a"] {
        assert_eq!(told(&check(&users, name, "x").await), "rejected");
    }
    assert_eq!(users.refused.lock().unwrap().len(), 1);
    assert_eq!(fake.finds.load(Ordering::SeqCst), 3);
}
