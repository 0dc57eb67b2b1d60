use super::*;
use crate::auth::database::tests::Fake;

use std::sync::atomic::Ordering;

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn row(number: i64, exp: i64) -> RevokedRow {
    RevokedRow { jti: number.to_string().into(), exp }
}

fn fill(fake: &Fake, rows: impl IntoIterator<Item = RevokedRow>) {
    fake.revoked.lock().unwrap().extend(rows);
}

#[tokio::test]
async fn only_what_is_new_is_read() {
    let fake = Fake::default();
    fill(&fake, (0..5000).map(|number| row(number, NOW + 1 + number)));
    let revoked = RevokedTokens::new();
    assert!(revoked.is_empty() && revoked.age(at(NOW)).is_none());
    revoked.compare(&fake, at(NOW)).await.unwrap();
    assert_eq!((revoked.len(), fake.reads.load(Ordering::SeqCst)), (5000, 1));
    assert!(revoked.contains("4999") && !revoked.contains("5000"));

    revoked.compare(&fake, at(NOW + 1)).await.unwrap();
    assert_eq!((fake.reads.load(Ordering::SeqCst), fake.counts.load(Ordering::SeqCst)), (1, 1), "one look");

    fill(&fake, [row(5000, NOW + 2500)]);
    revoked.compare(&fake, at(NOW + 2)).await.unwrap();
    assert!(revoked.contains("5000"));
    assert_eq!(fake.reads.load(Ordering::SeqCst), 2, "one range of it");
    let counts = fake.counts.load(Ordering::SeqCst);
    assert!(counts < 100, "{counts}");
    assert_eq!(revoked.age(at(NOW + 5)), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn tokens_stay_listed_for_a_while_after_their_end() {
    let fake = Fake::default();
    fill(&fake, [row(1, NOW + 10), row(2, NOW + 1000)]);
    let revoked = RevokedTokens::new();
    revoked.compare(&fake, at(NOW)).await.unwrap();
    // Airflow deletes what has ended; it counts here until `jwt_leeway` is surely over.
    fake.revoked.lock().unwrap().retain(|row| row.exp > NOW + 10);
    for (seconds, listed) in [(11, true), (400, true), (950, false)] {
        revoked.compare(&fake, at(NOW + seconds)).await.unwrap();
        assert_eq!(revoked.contains("1"), listed, "after {seconds} s");
        assert!(revoked.contains("2"), "after {seconds} s");
    }
}

#[tokio::test]
async fn what_was_known_counts_while_the_database_is_down() {
    let fake = Fake::default();
    fill(&fake, [row(1, NOW + 1000)]);
    let revoked = RevokedTokens::new();
    revoked.compare(&fake, at(NOW)).await.unwrap();
    fake.fail(true);
    assert!(revoked.compare(&fake, at(NOW + 1)).await.is_err());
    assert!(revoked.contains("1"));
    assert_eq!(revoked.age(at(NOW + 60)), Some(Duration::from_secs(60)));
    fake.fail(false);
    fake.revoked.lock().unwrap().clear();
    revoked.compare(&fake, at(NOW + 61)).await.unwrap();
    assert!(!revoked.contains("1"), "the table was emptied");
}

#[tokio::test]
async fn a_missing_table_is_looked_for_every_minute() {
    let fake = Fake::default();
    fake.no_table.store(true, Ordering::SeqCst);
    let revoked = RevokedTokens::new();
    assert!(revoked.is_followed(at(NOW)));
    revoked.compare(&fake, at(NOW)).await.unwrap();
    assert!(!revoked.is_followed(at(NOW + 59)) && revoked.is_followed(at(NOW + 60)));
    fake.no_table.store(false, Ordering::SeqCst);
    fill(&fake, [row(1, NOW + 1000)]);
    revoked.compare(&fake, at(NOW + 60)).await.unwrap();
    assert!(revoked.contains("1") && revoked.is_followed(at(NOW + 61)));
}

#[tokio::test]
async fn the_list_is_bounded() {
    let fake = Fake::default();
    let most = i64::from(RevokedTokens::MOST);
    fill(&fake, (0..most + 5).map(|number| row(number, NOW + 1 + number)));
    let revoked = RevokedTokens::new();
    revoked.compare(&fake, at(NOW)).await.unwrap();
    assert_eq!(revoked.len(), RevokedTokens::MOST as usize);
    assert!(!revoked.contains("0") && revoked.contains(&(most + 4).to_string()), "what lives longest");
    assert!(revoked.trouble().is_some());
    let reads = fake.reads.load(Ordering::SeqCst);
    revoked.compare(&fake, at(NOW + 1)).await.unwrap();
    assert_eq!(fake.reads.load(Ordering::SeqCst), reads, "what there is no room for is not looked for");
}
