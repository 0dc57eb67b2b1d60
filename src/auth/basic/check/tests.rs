use super::*;
use crate::auth::Origin;
use crate::auth::testing::epoch;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A source that answers as it is told, and counts.
struct Told {
    name: &'static str,
    answer: Mutex<SourceVerdict>,
    seal: Mutex<Option<Seal>>,
    health: Health,
    asked: AtomicUsize,
}

impl Told {
    fn new(name: &'static str, answer: SourceVerdict) -> Arc<Self> {
        Self::with_health(name, answer, Health::Up)
    }

    fn with_health(name: &'static str, answer: SourceVerdict, health: Health) -> Arc<Self> {
        let (answer, seal) = (Mutex::new(answer), Mutex::new(Some(Seal([1; 32]))));
        Arc::new(Self { name, answer, seal, health, asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Source for Told {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fingerprint(&self) -> &str {
        ""
    }

    async fn check(&self, _username: &str, _password: &Secret, _now: SystemTime) -> SourceVerdict {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.answer.lock().unwrap().clone()
    }

    fn vouches(&self, _username: &str, seal: Option<&Seal>) -> bool {
        self.seal.lock().unwrap().as_ref() == seal
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}

fn accepted(name: &str) -> SourceVerdict {
    SourceVerdict::Accepted {
        identity: Identity { origin: Origin::File, name: name.into() },
        onward: Onward::Minted { jti: None },
        expires: None,
        seal: Some(Seal([1; 32])),
    }
}

fn outage(seconds: u64) -> SourceVerdict {
    SourceVerdict::Unavailable(Outage { cause: "gone".into(), retry_after: Duration::from_secs(seconds) })
}

/// Cache, lock-out and crowd, which outlive a reload.
struct Shared {
    cache: Arc<VerifiedCache>,
    lockout: Arc<Lockout>,
    crowd: Arc<Crowd>,
}

impl Shared {
    fn new() -> Self {
        let cache = Arc::new(VerifiedCache::new(100).unwrap());
        Self { cache, lockout: Arc::default(), crowd: Arc::default() }
    }

    fn check(&self, sources: &[&Arc<Told>]) -> PasswordCheck {
        let settings = CheckSettings {
            lockout: LockoutSettings { attempts: 3, slowest: Duration::ZERO, ..LockoutSettings::default() },
            ..CheckSettings::default()
        };
        let sources = sources.iter().map(|source| Arc::clone(source) as Arc<dyn Source>).collect();
        self.check_by(sources, settings)
    }

    fn check_by(&self, sources: Vec<Arc<dyn Source>>, settings: CheckSettings) -> PasswordCheck {
        let (cache, lockout) = (Arc::clone(&self.cache), Arc::clone(&self.lockout));
        PasswordCheck::new(sources, settings, cache, lockout, Arc::clone(&self.crowd), Handle::current())
    }
}

fn peer() -> Peer {
    let address = Some([192, 0, 2, 1].into());
    Peer { address, connection: address, tls: false, trusted: false }
}

fn login(password: &str) -> Login<'_> {
    as_user("ann", password)
}

fn as_user<'a>(username: &'a str, password: &'a str) -> Login<'a> {
    Login::new(username, password).unwrap()
}

async fn ask_for(check: &PasswordCheck, password: &str) -> Verdict {
    check.check(login(password), &peer(), epoch()).await
}

fn is_wrong(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Rejected(Rejection { reason: Reason::WrongPassword, .. }))
}

#[test]
fn a_login_has_both_parts_and_no_control_character() {
    let long = "x".repeat(Login::MAX);
    for (name, username, password, expected) in [
        ("plain", "ann", "secret", None),
        ("any letter", "Zoë", "pässwörd ✓", None),
        ("no user name", "", "secret", Some(InvalidLogin::EmptyUsername)),
        ("no password", "ann", "", Some(InvalidLogin::EmptyPassword)),
        ("NUL", "ann", "secret\0", Some(InvalidLogin::ControlCharacter)),
        ("a line end", "ann\n", "secret", Some(InvalidLogin::ControlCharacter)),
        ("a C1 control", "ann\u{85}", "secret", Some(InvalidLogin::ControlCharacter)),
        ("too long", "ann", &long, Some(InvalidLogin::TooLong)),
    ] {
        assert_eq!(Login::new(username, password).err(), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn sources_are_asked_in_turn_and_all_of_them_without_success() {
    use SourceVerdict::{Rejected, Unknown};
    let rows: Vec<(&str, SourceVerdict, SourceVerdict, &str, [usize; 2])> = vec![
        ("first accepts", accepted("ann"), accepted("other"), "accepted ann", [1, 0]),
        ("second accepts after a wrong password", Rejected, accepted("ann"), "accepted ann", [1, 1]),
        ("second accepts an unknown user", Unknown, accepted("ann"), "accepted ann", [1, 1]),
        ("second accepts after an outage", outage(1), accepted("ann"), "accepted ann", [1, 1]),
        ("wrong, then unknown", Rejected, Unknown, "wrong", [1, 1]),
        ("unknown, then wrong", Unknown, Rejected, "wrong", [1, 1]),
        ("unknown everywhere", Unknown, Unknown, "wrong", [1, 1]),
        ("an outage, then wrong", outage(7), Rejected, "unavailable 7", [1, 1]),
        ("wrong, then an outage", Rejected, outage(7), "unavailable 7", [1, 1]),
        ("two outages", outage(7), outage(8), "unavailable 7", [1, 1]),
    ];
    for (name, first, second, expected, asked) in rows {
        let (first, second) = (Told::new("first", first), Told::new("second", second));
        let check = Shared::new().check(&[&first, &second]);
        let said = match ask_for(&check, "pw").await {
            Verdict::Accepted(grant) => format!("accepted {}", grant.identity.name),
            Verdict::Unavailable(outage) => format!("unavailable {}", outage.retry_after.as_secs()),
            verdict if is_wrong(&verdict) => "wrong".into(),
            other => format!("{other:?}"),
        };
        assert_eq!(said, expected, "{name}");
        assert_eq!([first.asked(), second.asked()], asked, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_source_means_that_every_password_is_wrong() {
    assert!(is_wrong(&ask_for(&Shared::new().check(&[]), "pw").await));
}

#[tokio::test(start_paused = true)]
async fn failures_lock_out_and_outages_do_not() {
    let rows: Vec<(&str, SourceVerdict, SourceVerdict, bool)> = vec![
        ("wrong", SourceVerdict::Rejected, SourceVerdict::Rejected, true),
        ("unknown", SourceVerdict::Unknown, SourceVerdict::Unknown, true),
        ("an outage does not hide a wrong guess", SourceVerdict::Rejected, outage(1), true),
        ("outages alone", outage(1), outage(1), false),
        (
            "the source that knows the user may be the one that is down",
            SourceVerdict::Unknown,
            outage(1),
            false,
        ),
    ];
    for (name, first, second, locks) in rows {
        let check = Shared::new().check(&[&Told::new("first", first), &Told::new("second", second)]);
        for n in 0..3 {
            let verdict = ask_for(&check, &format!("guess {n}")).await;
            assert!(!matches!(verdict, Verdict::Throttled(_)), "{name}: {verdict:?}");
        }
        let locked = matches!(ask_for(&check, "guess").await, Verdict::Throttled(_));
        assert_eq!(locked, locks, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_password_is_throttled_too_and_not_even_looked_at() {
    let source = Told::new("file", SourceVerdict::Rejected);
    let check = Shared::new().check(&[&source]);
    for n in 0..3 {
        assert!(is_wrong(&ask_for(&check, &format!("guess {n}")).await));
    }
    *source.answer.lock().unwrap() = accepted("ann");
    let verdict = ask_for(&check, "right").await;
    assert!(matches!(verdict, Verdict::Throttled(wait) if wait == Duration::from_secs(300)), "{verdict:?}");
    assert_eq!(source.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_cost_one_look_and_one_failure() {
    for (answer, wrong) in [(accepted("ann"), false), (SourceVerdict::Rejected, true)] {
        let source = Told::new("file", answer);
        let check = Shared::new().check(&[&source]);
        let all = futures_util::future::join_all((0..100).map(|_| ask_for(&check, "pw"))).await;
        assert_eq!(source.asked(), 1);
        assert!(all.iter().all(|verdict| is_wrong(verdict) == wrong));
        assert!(all.iter().all(|verdict| matches!(verdict, Verdict::Accepted(_)) != wrong));
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_sent_at_once_get_no_more_looks_than_allowed() {
    let source = Told::new("file", SourceVerdict::Rejected);
    let check = Shared::new().check(&[&source]);
    let guesses: Vec<_> = (0..50).map(|n| format!("guess {n}")).collect();
    let all = futures_util::future::join_all(guesses.iter().map(|guess| ask_for(&check, guess))).await;
    assert_eq!(source.asked(), 3);
    assert_eq!(all.iter().filter(|verdict| is_wrong(verdict)).count(), 3);
}

/// A source that never answers, and counts.
#[derive(Default)]
struct Hanging(AtomicUsize);

#[async_trait]
impl Source for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn fingerprint(&self) -> &str {
        ""
    }

    async fn check(&self, _username: &str, _password: &Secret, _now: SystemTime) -> SourceVerdict {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn one_network_leaves_places_for_the_others() {
    let (shared, source) = (Shared::new(), Arc::new(Hanging::default()));
    let check = shared.check_by(vec![source.clone()], CheckSettings::default());
    let from = |address: [u8; 4]| Peer { address: Some(address.into()), ..peer() };
    let users: Vec<_> = (0..=Crowd::INSIDE).map(|n| format!("user {n}")).collect();
    let peers: Vec<_> = (0..=Crowd::INSIDE).map(|n| from([192, 0, 2, n as u8])).collect();
    let mut looks: Vec<_> = (users.iter().zip(&peers))
        .map(|(user, peer)| Box::pin(check.check(Login::new(user, "pw").unwrap(), peer, epoch())))
        .collect();
    for look in &mut looks {
        assert!(futures_util::poll!(look).is_pending());
    }
    let elsewhere = from([198, 51, 100, 1]);
    let mut other = std::pin::pin!(check.check(Login::new("other", "pw").unwrap(), &elsewhere, epoch()));
    assert!(futures_util::poll!(&mut other).is_pending());
    tokio::time::sleep(Crowd::LONGEST_WAIT / 2).await;
    assert_eq!(source.0.load(Ordering::SeqCst), Crowd::INSIDE + 1, "all but the last of the one network");
    let last = looks.pop().unwrap().await;
    let Verdict::Unavailable(outage) = last else { panic!("{last:?}") };
    assert_eq!((&*outage.cause, outage.retry_after), (&*crowded().cause, Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_network_leaves_the_others_in() {
    const FLOOD: usize = 5000;
    for (name, cache_ttl) in [("cached", Duration::from_secs(60)), ("not cached", Duration::ZERO)] {
        let (shared, source) = (Shared::new(), Arc::new(Hanging::default()));
        let check =
            shared.check_by(vec![source.clone()], CheckSettings { cache_ttl, ..CheckSettings::default() });
        let here = peer();
        let elsewhere = Peer { address: Some([198, 51, 100, 1].into()), ..peer() };
        let users: Vec<_> = (0..FLOOD).map(|n| format!("user {n}")).collect();
        let mut under_way = 0;
        for user in &users {
            let mut look = Box::pin(check.check(as_user(user, "pw"), &here, epoch()));
            match futures_util::poll!(&mut look) {
                // Its client hangs up: the look goes on.
                std::task::Poll::Pending => under_way += 1,
                std::task::Poll::Ready(Verdict::Unavailable(outage)) => {
                    assert_eq!(outage.cause, crowded().cause)
                }
                std::task::Poll::Ready(other) => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(under_way, Crowd::INSIDE + Crowd::WAITING, "{name}: the others are told at once");
        let mut other = Box::pin(check.check(as_user("other", "pw"), &elsewhere, epoch()));
        assert!(futures_util::poll!(&mut other).is_pending(), "{name}");
        tokio::time::sleep(Crowd::LONGEST_WAIT / 2).await;
        assert_eq!(source.0.load(Ordering::SeqCst), Crowd::INSIDE + 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_others_of_the_network_is_not_counted_as_looked_at() {
    let (shared, source) = (Shared::new(), Arc::new(Hanging::default()));
    let settings = CheckSettings::default();
    let check = shared.check_by(vec![source.clone()], settings);
    let here = peer();
    let users: Vec<_> = (0..Crowd::INSIDE).map(|n| format!("user {n}")).collect();
    for user in &users {
        assert!(futures_util::poll!(Box::pin(check.check(as_user(user, "pw"), &here, epoch()))).is_pending());
    }
    let guesses: Vec<_> = (0..settings.lockout.attempts).map(|n| format!("guess {n}")).collect();
    for guess in &guesses {
        assert!(futures_util::poll!(Box::pin(check.check(login(guess), &here, epoch()))).is_pending());
    }
    tokio::time::sleep(Crowd::LONGEST_WAIT / 2).await;
    let network = Network::of(here.address);
    assert!(shared.lockout.admit(&settings.lockout, "ann", network, epoch()).await.is_ok());
    assert_eq!(source.0.load(Ordering::SeqCst), users.len());
}

/// A source that takes its time to refuse, and keeps when it was asked.
#[derive(Default)]
struct Slow(Mutex<Vec<SystemTime>>);

impl Slow {
    const TIME: Duration = Duration::from_secs(9);
}

#[async_trait]
impl Source for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn fingerprint(&self) -> &str {
        ""
    }

    async fn check(&self, _username: &str, _password: &Secret, now: SystemTime) -> SourceVerdict {
        self.0.lock().unwrap().push(now);
        tokio::time::sleep(Self::TIME).await;
        SourceVerdict::Rejected
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_out_begins_with_the_failure_and_not_with_the_arrival() {
    let (shared, source) = (Shared::new(), Arc::new(Slow::default()));
    let lockout = LockoutSettings { attempts: 1, slowest: Duration::ZERO, ..LockoutSettings::default() };
    let settings = CheckSettings { lockout, ..CheckSettings::default() };
    let check = shared.check_by(vec![source.clone(), source.clone()], settings);
    let here = peer();
    assert!(is_wrong(&check.check(login("guess"), &here, epoch()).await));
    let told = source.0.lock().unwrap().clone();
    assert!(told[0] < epoch() + Slow::TIME && told[1] >= epoch() + Slow::TIME, "{told:?}");
    let end = epoch() + 2 * Slow::TIME + lockout.duration;
    for (name, now, locked) in [
        ("shortly before its end", end - Duration::from_secs(1), true),
        ("shortly after", end + Duration::from_secs(1), false),
    ] {
        let verdict = shared.lockout.admit(&lockout, "ann", Network::of(here.address), now).await;
        assert_eq!(verdict.is_err(), locked, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_others_of_the_network_is_looked_at() {
    let source = Told::new("file", SourceVerdict::Rejected);
    let check = Shared::new().check(&[&source]);
    let peer = peer();
    let users: Vec<_> = (0..3 * Crowd::INSIDE).map(|n| format!("user {n}")).collect();
    let asked = users.iter().map(|user| check.check(Login::new(user, "pw").unwrap(), &peer, epoch()));
    assert!(futures_util::future::join_all(asked).await.iter().all(is_wrong));
    assert_eq!(source.asked(), users.len());
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_is_forgotten_at_once() {
    let source = Told::new("file", accepted("ann"));
    let check = Shared::new().check(&[&source]);
    let known = |check: &PasswordCheck| check.recall(login("pw"), &peer(), epoch()).is_some();
    assert!(matches!(ask_for(&check, "pw").await, Verdict::Accepted(_)));
    assert!(known(&check));
    for now in [Some(Seal([2; 32])), None] {
        *source.seal.lock().unwrap() = now;
        assert!(!known(&check), "{now:?}");
    }
    *source.answer.lock().unwrap() = SourceVerdict::Rejected;
    assert!(is_wrong(&ask_for(&check, "pw").await));
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_the_same_sources_verified() {
    let shared = Shared::new();
    let (first, other) = (Told::new("file", accepted("ann")), Told::new("upstream", accepted("ann")));
    assert!(matches!(ask_for(&shared.check(&[&first]), "pw").await, Verdict::Accepted(_)));
    for (name, sources, kept) in [
        ("the same", vec![&first], true),
        ("another", vec![&other], false),
        ("one more in front", vec![&other, &first], false),
        ("none", vec![], false),
    ] {
        let known = shared.check(&sources).recall(login("pw"), &peer(), epoch());
        assert_eq!(known.is_some(), kept, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn health_is_down_only_when_every_source_is() {
    let down = || Health::Down("gone".into());
    let degraded = || Health::Degraded("old".into());
    for (name, sources, expected) in [
        ("all up", vec![Health::Up, Health::Up], Health::Up),
        ("one down", vec![Health::Up, down()], Health::Degraded("gone".into())),
        ("one degraded", vec![degraded(), Health::Up], degraded()),
        ("all down", vec![down(), down()], down()),
        ("down and degraded", vec![down(), degraded()], degraded()),
        ("none", vec![], Health::Up),
    ] {
        let sources: Vec<_> = sources
            .into_iter()
            .map(|health| Told::with_health("x", SourceVerdict::Unknown, health))
            .collect();
        let check = Shared::new().check(&sources.iter().collect::<Vec<_>>());
        assert_eq!(check.health(), expected, "{name}");
    }
}
