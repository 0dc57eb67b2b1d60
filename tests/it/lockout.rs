//! Lock-out, shared between replicas through a real Redis.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use airgate::auth::lockout::{LockedOut, Lockout, LockoutSettings, Network, Permit, Refused, WhenDown};
use airgate::ports::redis::{Place, Redis as Client, Settings};
use airgate::secret::Secret;

use crate::support::redis::{self, Redis};
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Upstream, get, post};

/// Airflow's token endpoint, where everybody's password is `right`.
fn airflow() -> Upstream {
    Upstream::answering(|seen| {
        let right = String::from_utf8_lossy(&seen.body).contains("right");
        match (seen.target.as_str(), right) {
            ("/auth/token", true) => answer(201, &[], r#"{"access_token":"a.b.c"}"#),
            ("/auth/token", false) => answer(401, &[], r#"{"detail":"Invalid credentials"}"#),
            _ => answer(200, &[], "{}"),
        }
    })
}

const LOCKOUT: &str = "[lockout]\nattempts = 3\nduration = \"1h\"\n";

/// A patient one: it is about what is counted, on machines that are busy.
fn redis_section(url: &str, secret: &str) -> String {
    format!("[redis]\nurl = \"{url}\"\nsecret = \"{secret}\"\ntimeout = \"5s\"\n")
}

/// An airgate that is connected to Redis.
#[track_caller]
fn replica(upstream: &Upstream, config: &str) -> Airgate {
    let airgate = Airgate::before(&upstream.url(), config);
    airgate.logs("redis is connected");
    airgate
}

#[track_caller]
fn log_in(airgate: &Airgate, user: &str, password: &str) -> Answer {
    airgate.send(get("/api/v2/pools").basic(user, password))
}

fn backend(airgate: &Airgate, name: &str) -> Option<String> {
    let readyz = airgate.admin("/readyz").json();
    let backends = readyz["backends"].as_array().unwrap();
    let backend = backends.iter().find(|backend| backend["name"] == name)?;
    Some(backend["state"].as_str().unwrap().to_owned())
}

#[test]
fn what_is_guessed_at_one_replica_counts_at_the_other() {
    let (upstream, redis) = (airflow(), redis::shared());
    let ca = redis.ca().display();
    let tls = format!("{}ca_file = \"{ca}\"\n", redis_section(&redis.tls_url(), "tls"));
    for (name, section) in [
        ("tcp", redis_section(&redis.url(), "tcp")),
        ("socket", redis_section(&redis.socket_url(), "socket")),
        ("tls", tls),
        ("a user of its access lists", redis_section(&redis.restricted_url(), "acl")),
    ] {
        // The servers' test lives longer than this one: a lock-out of an earlier run must not count.
        let user = format!("ann-{}", std::process::id());
        let config = format!("{LOCKOUT}{section}");
        let (one, two) = (replica(&upstream, &config), replica(&upstream, &config));
        assert_eq!(log_in(&one, "known", "right").status, 200, "{name}");
        let statuses = [&one, &two, &one].map(|airgate| log_in(airgate, &user, "wrong").status);
        assert_eq!(statuses, [401; 3], "{name}");
        for airgate in [&one, &two] {
            let locked = log_in(airgate, &user, "right");
            assert_eq!(locked.status, 429, "{name}");
            let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
            assert!((3500..=3600).contains(&wait), "{name}: {wait}");
            let token = airgate
                .send(post("/auth/token").json(serde_json::json!({"username": user, "password": "right"})));
            assert_eq!(token.status, 429, "{name}: the token endpoints count with the API");
            assert_eq!(log_in(airgate, "another", "right").status, 200, "{name}");
            assert_eq!(backend(airgate, "redis").as_deref(), Some("up"), "{name}");
            assert!(airgate.metric("airgate_redis_calls_total{result=\"answered\"}") > 0.0, "{name}");
            let all = airgate.everything() + &airgate.admin("/metrics").text();
            let secret = all.contains(redis.password()) || all.contains("fixture");
            assert!(!secret, "{name}: {all}");
        }
        assert_eq!(log_in(&one, "known", "right").status, 200, "{name}: cached");
    }
}

#[test]
fn redis_stopped_in_the_middle_and_back_again() {
    let upstream = airflow();
    let redis = Redis::of_its_own("middle");
    let section = redis_section(&redis.url(), "middle");
    let open = format!("{LOCKOUT}{section}");
    let closed = format!("{LOCKOUT}when_redis_is_down = \"closed\"\n{section}");
    let (one, two, strict) =
        (replica(&upstream, &open), replica(&upstream, &open), replica(&upstream, &closed));
    assert_eq!(log_in(&strict, "cached", "right").status, 200);
    assert_eq!([log_in(&one, "ann", "wrong").status, log_in(&two, "ann", "wrong").status], [401, 401]);

    redis.stop();
    for airgate in [&one, &two, &strict] {
        airgate.logs("redis is down");
        assert_eq!(backend(airgate, "redis").as_deref(), Some("down"));
        assert_eq!(airgate.metric("airgate_backend_health{backend=\"redis\",state=\"down\"}"), 1.0);
        assert!(airgate.is_ready(), "an outage of Redis must not take all replicas away");
    }
    // Each counts on from what it has seen itself.
    assert_eq!([(); 3].map(|()| log_in(&one, "ann", "wrong").status), [401, 401, 429]);
    assert_eq!(log_in(&two, "ann", "right").status, 200);
    assert_eq!(log_in(&two, "bob", "right").status, 200);
    let refused = log_in(&strict, "bob", "right");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(log_in(&strict, "cached", "right").status, 200, "what is cached goes on working");
    assert_eq!(log_in(&strict, "nobody", "wrong").told(), log_in(&strict, "bob", "right").told());

    redis.start();
    for airgate in [&one, &two, &strict] {
        airgate.logs("redis is back");
        assert_eq!(backend(airgate, "redis").as_deref(), Some("up"));
        let said = airgate.log().matches("redis is down").count();
        assert_eq!(said, 1, "once, and not for each request");
    }
    let shared = [&one, &two, &strict].map(|airgate| log_in(airgate, "carl", "wrong").status);
    assert_eq!(shared, [401; 3]);
    assert_eq!([&one, &two, &strict].map(|airgate| log_in(airgate, "carl", "right").status), [429; 3]);
}

/// Redis that neither answers nor closes: the wait has a limit, and then there is none.
#[test]
fn redis_that_hangs_costs_a_moment_and_then_nothing() {
    let upstream = airflow();
    let redis = Redis::of_its_own("hangs");
    let url = redis.url();
    let section = format!("[redis]\nurl = \"{url}\"\nsecret = \"hangs\"\ntimeout = \"100ms\"\n");
    let airgate = replica(&upstream, &format!("{LOCKOUT}{section}"));
    redis.signal("STOP");
    for user in 0..3 {
        let began = Instant::now();
        assert_eq!(log_in(&airgate, &format!("user{user}"), "right").status, 200);
        // Two calls, and much time for a machine that is busy: without a limit it would be for ever.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    airgate.logs("redis is down");
    let failed = airgate.metric("airgate_redis_calls_total{result=\"failed\"}");
    assert_eq!(log_in(&airgate, "later", "right").status, 200);
    assert_eq!(airgate.metric("airgate_redis_calls_total{result=\"failed\"}"), failed, "it is not asked");
    assert!(airgate.metric("airgate_redis_calls_total{result=\"skipped\"}") > 0.0);
    redis.signal("CONT");
    airgate.logs("redis is back");
}

#[test]
fn it_starts_and_serves_without_redis() {
    let upstream = airflow();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("redis://:secret-of-redis@{nowhere}");
    let config = format!("{LOCKOUT}[redis]\nurl = \"{url}\"\n");
    let airgate = Airgate::before(&upstream.url(), &config);
    let told = airgate.logs("redis is down");
    assert!(told.contains(&nowhere.to_string()), "{told}");
    assert_eq!(log_in(&airgate, "ann", "right").status, 200);
    assert_eq!([(); 4].map(|()| log_in(&airgate, "bob", "wrong").status), [401, 401, 401, 429]);
    assert_eq!(backend(&airgate, "redis").as_deref(), Some("down"));
    assert!(!airgate.everything().contains("secret-of-redis"));
    let (code, text) = Airgate::with(format!("{config}[server]\nlisten = \"127.0.0.1:0\"\n")).says(&[
        "check",
        "--conf",
        "airgate.toml",
    ]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_wrong_password_of_redis_is_an_outage_that_says_so() {
    let upstream = airflow();
    let url = format!("redis://:guess@127.0.0.1:{}", redis::shared().port());
    let airgate = Airgate::before(&upstream.url(), &format!("[redis]\nurl = \"{url}\"\n"));
    let told = airgate.logs("redis is down");
    assert!(told.contains("WRONGPASS") || told.contains("uthentication"), "{told}");
    assert!(!airgate.everything().contains("guess"));
    assert_eq!(log_in(&airgate, "ann", "right").status, 200);
}

// --- the same rules in both places ----------------------------------------------------------------

/// Whatever happens, Redis decides as memory does. No time passes here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_counts_as_memory_does() {
    let settings = settings(Duration::from_secs(3600), Duration::from_secs(3600));
    let client = client().await;
    let (memory, shared) = (Lockout::new(), lockout(&client, "model"));
    let now = SystemTime::now();
    let networks: Vec<_> = (0..4).map(|n| Network::V4([10, 0, n])).collect();
    let mut random = Random(0x9e37_79b9);
    let mut under_way: Vec<(Permit, Permit)> = Vec::new();
    let mut told = [0; 3];
    for step in 0..600 {
        let user = ["ann", "bob"][random.below(2)];
        let network = networks[random.below(networks.len())];
        let here = memory.admit(&settings, user, network, now).await;
        let there = shared.admit(&settings, user, network, now).await;
        match (here, there) {
            (Ok(here), Ok(there)) => {
                assert_eq!(here.delay(), there.delay(), "step {step}");
                told[usize::from(!here.delay().is_zero())] += 1;
                under_way.push((here, there));
            }
            (Err(here), Err(there)) => {
                let difference = seconds(&here).abs_diff(seconds(&there));
                assert!(difference <= 60, "step {step}: {here:?}, {there:?}");
                told[2] += 1;
            }
            (here, there) => panic!("step {step}: {:?} {:?}", here.err(), there.err()),
        }
        while under_way.len() > random.below(4) {
            let (here, there) = under_way.swap_remove(random.below(under_way.len()));
            match random.below(8) {
                0..5 => {
                    here.failed(now).await;
                    there.failed(now).await;
                }
                5 | 6 => {
                    here.succeeded().await;
                    there.succeeded().await;
                }
                _ => {
                    drop(here);
                    let answered = client.calls().answered;
                    drop(there);
                    // Given back in the background.
                    while client.calls().answered == answered {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }
    assert!(told.iter().all(|&count| count > 10), "admitted, slowed down, locked out: {told:?}");
}

/// The time is that of Redis: a replica whose clock is wrong changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_replicas_do_not_matter() {
    let client = client().await;
    let (late, early) = (lockout(&client, "clocks"), lockout(&client, "clocks"));
    let settings = settings(Duration::from_secs(60), Duration::from_secs(60));
    let day = Duration::from_secs(86_400);
    let (yesterday, tomorrow) = (SystemTime::now() - day, SystemTime::now() + day);
    for (replica, now) in [(&late, yesterday), (&early, tomorrow), (&late, yesterday)] {
        replica.admit(&settings, "ann", Network::Local, now).await.ok().unwrap().failed(now).await;
    }
    for (replica, now) in [(&late, yesterday), (&early, tomorrow)] {
        let refused = replica.admit(&settings, "ann", Network::Local, now).await.err().unwrap();
        assert!((50..=60).contains(&seconds(&refused)), "{refused:?}");
    }
}

/// Windows and lock-outs end by themselves, in Redis' time, and leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_outs_end_and_are_gone() {
    let client = client().await;
    let lockout = lockout(&client, "ends");
    let settings = settings(Duration::from_millis(400), Duration::from_millis(400));
    let now = SystemTime::now();
    let admit = async || lockout.admit(&settings, "ann", Network::Local, now).await;
    let began = Instant::now();
    let mut failures = 0;
    // A slow machine may have forgotten the first before the third is counted.
    while let Ok(permit) = admit().await {
        permit.failed(now).await;
        failures += 1;
        assert!(began.elapsed() < Duration::from_secs(20), "never locked out");
    }
    assert!(failures >= 3, "{failures}");
    let locked = Instant::now();
    while admit().await.is_err() {
        assert!(locked.elapsed() < Duration::from_secs(20), "locked out for ever");
        tokio::task::yield_now().await;
    }
}

/// What many send at once gets no more tries than what one sends, at however many replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_sent_at_once_to_all_replicas_get_no_more_tries() {
    let client = client().await;
    let replicas: Vec<_> = (0..4).map(|_| Arc::new(lockout(&client, "at once"))).collect();
    let settings = settings(Duration::from_secs(60), Duration::from_secs(60));
    let guesses: Vec<_> = (0..40)
        .map(|n| {
            let replica = replicas[n % replicas.len()].clone();
            tokio::spawn(async move {
                replica.admit(&settings, "ann", Network::Local, SystemTime::now()).await.ok()
            })
        })
        .collect();
    let mut admitted = Vec::new();
    for guess in guesses {
        admitted.extend(guess.await.unwrap());
    }
    assert_eq!(admitted.len(), 3);
}

fn settings(window: Duration, duration: Duration) -> LockoutSettings {
    LockoutSettings { attempts: 3, window, duration, ..LockoutSettings::default() }
}

fn lockout(client: &Arc<Client>, secret: &str) -> Lockout {
    // Of this run alone.
    let secret = Secret::new(format!("{secret} {}", std::process::id()));
    Lockout::new().with_replicas(client.clone(), &secret, WhenDown::Closed)
}

async fn client() -> Arc<Client> {
    let redis = redis::shared();
    let client = Client::new(Settings {
        place: Place::Tcp { host: "127.0.0.1".into(), port: redis.port(), tls: false },
        username: None,
        password: Some(Secret::new(redis.password())),
        database: 2,
        ca: None,
        timeout: Duration::from_secs(10),
        meanwhile: "",
    })
    .unwrap();
    tokio::spawn(Client::maintain(Arc::downgrade(&client)));
    while client.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    client
}

fn seconds(refused: &Refused) -> u64 {
    match refused {
        Refused::LockedOut(LockedOut(wait)) => wait.as_millis().div_ceil(1000).try_into().unwrap(),
        Refused::Uncounted(outage) => panic!("{outage:?}"),
    }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}
