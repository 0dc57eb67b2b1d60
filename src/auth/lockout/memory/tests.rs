use super::*;
use crate::auth::testing::epoch;

const SETTINGS: LockoutSettings = LockoutSettings {
    attempts: 3,
    window: Duration::from_secs(60),
    duration: Duration::from_secs(120),
    slowest: Duration::from_secs(1),
};

/// A lock-out, and a clock.
struct Bench {
    lockout: Arc<InMemory>,
    now: SystemTime,
}

impl Bench {
    fn new() -> Self {
        Self { lockout: Arc::new(InMemory::new()), now: epoch() }
    }

    fn admit(&self, user: &str, from: &str) -> Result<Permit, LockedOut> {
        let network = Network::of(from.parse().ok());
        self.lockout.admit(&SETTINGS, user, network, self.now)
    }

    fn fail(&self, user: &str, from: &str, times: u32) {
        for _ in 0..times {
            self.admit(user, from).map_err(|_| "locked too early").unwrap().failed(self.now);
        }
    }

    fn wait(&self, user: &str, from: &str) -> Option<u64> {
        self.admit(user, from).err().map(|LockedOut(wait)| wait.as_secs())
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

#[test]
fn too_many_failures_lock_one_user_out_from_one_network() {
    let bench = Bench::new();
    bench.fail("ann", "192.0.2.1", 3);
    for (name, user, from, wait) in [
        ("same user, same address", "ann", "192.0.2.1", Some(120)),
        ("another address of the network", "ann", "192.0.2.254", Some(120)),
        ("the address written as IPv6", "ann", "::ffff:192.0.2.9", Some(120)),
        ("another spelling of the name", "ANN ", "192.0.2.1", Some(120)),
        ("spaces before and within", "  a nn", "192.0.2.1", Some(120)),
        ("an accent", "ánn", "192.0.2.1", Some(120)),
        ("an accent of its own", "a\u{301}nn", "192.0.2.1", Some(120)),
        ("what is not seen", "an\u{ad}n\u{200b}", "192.0.2.1", Some(120)),
        ("wide letters", "ａｎｎ", "192.0.2.1", Some(120)),
        ("punctuation counts", "a.nn", "192.0.2.1", None),
        ("another network", "ann", "192.0.3.1", None),
        ("another user", "bob", "192.0.2.1", None),
    ] {
        assert_eq!(bench.wait(user, from), wait, "{name}");
    }
}

#[test]
fn ipv6_is_counted_by_64_bits_and_a_socket_as_one() {
    let bench = Bench::new();
    bench.fail("ann", "2001:db8:1:2::1", 3);
    assert_eq!(bench.wait("ann", "2001:db8:1:2:ffff::2"), Some(120));
    assert_eq!(bench.wait("ann", "2001:db8:1:3::1"), None);
    bench.fail("ann", "no address", 3);
    assert_eq!(bench.wait("ann", "no address"), Some(120));
}

#[test]
fn a_lock_out_ends_and_starts_counting_anew() {
    let mut bench = Bench::new();
    bench.fail("ann", "192.0.2.1", 3);
    bench.pass(119);
    assert_eq!(bench.wait("ann", "192.0.2.1"), Some(1));
    bench.pass(1);
    bench.fail("ann", "192.0.2.1", 2);
    assert_eq!(bench.wait("ann", "192.0.2.1"), None);
    bench.fail("ann", "192.0.2.1", 1);
    assert_eq!(bench.wait("ann", "192.0.2.1"), Some(120));
}

#[test]
fn failures_are_forgotten_after_the_window_and_by_a_success() {
    let mut bench = Bench::new();
    bench.fail("ann", "192.0.2.1", 2);
    bench.pass(60);
    bench.fail("ann", "192.0.2.1", 2);
    bench.admit("ann", "192.0.2.1").ok().unwrap().succeeded();
    bench.fail("ann", "192.0.2.1", 2);
    assert_eq!(bench.wait("ann", "192.0.2.1"), None);
}

#[test]
fn guesses_sent_at_once_get_no_more_tries() {
    let bench = Bench::new();
    let permits: Vec<_> = (0..3).map(|_| bench.admit("ann", "192.0.2.1").ok().unwrap()).collect();
    assert_eq!(bench.wait("ann", "192.0.2.1"), Some(1));
    drop(permits);
    assert_eq!(bench.wait("ann", "192.0.2.1"), None, "an outage costs no try");
    assert!(bench.lockout.counts().pairs.is_empty(), "and leaves nothing behind");
}

#[test]
fn one_user_from_many_networks_is_slowed_down_and_never_locked_out() {
    let bench = Bench::new();
    let delay = |from: &str| bench.admit("ann", from).ok().unwrap().delay();
    for network in 0..5 {
        bench.fail("ann", &format!("10.0.{network}.1"), 2);
    }
    assert_eq!(delay("192.0.2.1"), Duration::from_millis(700));
    for network in 5..50 {
        bench.fail("ann", &format!("10.0.{network}.1"), 2);
    }
    assert_eq!(delay("192.0.2.1"), SETTINGS.slowest);
    assert_eq!(bench.admit("bob", "192.0.2.1").ok().unwrap().delay(), Duration::ZERO);
    bench.admit("ann", "192.0.2.1").ok().unwrap().succeeded();
    assert_eq!(delay("192.0.2.1"), SETTINGS.slowest, "the robot's success does not help who guesses");
}

#[test]
fn a_clock_set_back_makes_nothing_last_longer() {
    let mut bench = Bench::new();
    bench.fail("ann", "192.0.2.1", 3);
    bench.now -= Duration::from_secs(86_400);
    assert_eq!(bench.wait("ann", "192.0.2.1"), Some(120));
    bench.pass(120);
    assert_eq!(bench.wait("ann", "192.0.2.1"), None);
}

#[test]
fn zero_attempts_turn_it_off() {
    let lockout = Arc::new(InMemory::new());
    let off = LockoutSettings { attempts: 0, ..SETTINGS };
    for _ in 0..20 {
        lockout.admit(&off, "ann", Network::Local, epoch()).ok().unwrap().failed(epoch());
    }
    assert!(lockout.counts().pairs.is_empty());
}

#[test]
fn memory_is_bounded_and_a_lock_outlives_a_flood() {
    let lockout = Arc::new(InMemory::with_capacity(100));
    let try_one = |user: &str| lockout.admit(&SETTINGS, user, Network::Local, epoch());
    for _ in 0..3 {
        try_one("ann").ok().unwrap().failed(epoch());
    }
    for n in 0..10_000 {
        try_one(&format!("user{n}")).ok().unwrap().failed(epoch());
    }
    let counts = lockout.counts();
    assert!(counts.pairs.len() <= 100 && counts.users.len() <= 100);
    drop(counts);
    assert_eq!(try_one("ann").err(), Some(LockedOut(SETTINGS.duration)));
}
