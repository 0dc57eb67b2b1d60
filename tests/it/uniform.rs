//! Who guesses learns nothing about who exists: for each source of passwords the whole answer is the
//! same, and so, as far as statistics can tell, is the time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::database::{Database, Kind};
use crate::support::ldap::{self, BASE};
use crate::support::upstream::answer;
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, get, keycloak, post};

/// A source of passwords, and users who must not be told apart. A new source is a new row.
struct Row {
    name: &'static str,
    /// In front of what.
    upstream: String,
    /// Configuration beside `[lockout]`: lines of `[upstream]` first.
    config: String,
    /// The users file.
    users: String,
    /// The first exists; the others do not, or may not log in. None of them has [`WRONG`] for a
    /// password.
    names: &'static [&'static str],
    time: Time,
}

/// Whether the time is ours to keep.
#[derive(PartialEq)]
enum Time {
    Compared,
    /// In whole steps, each of which takes long.
    Steps,
    /// Another server's own, which we pass on.
    Passed,
}

const WRONG: &str = "wrong-password";
const NAMES: &[&str] = &["ann", "nobody", "zoë"];

/// A hash of each kind, which takes some ten milliseconds or more to compare with.
fn hashes() -> [(&'static str, String); 3] {
    let argon2 = airgate::auth::basic::hash::hash_password(&airgate::secret::Secret::new("password"));
    // By Python's hashlib.
    let scrypt = "$scrypt$ln=12,r=8,p=1$50gvHPLuowm2nBKbL9cJiA$fbKwhL+ktbfk+vGy5P24uF0lMWqAgl+IJ6fakohlvP0";
    [
        ("file, bcrypt", bcrypt::hash("password", 7).unwrap()),
        ("file, scrypt", scrypt.into()),
        ("file, argon2", argon2.unwrap()),
    ]
}

/// What the rows ask.
struct Servers {
    upstream: Upstream,
    database: Database,
}

impl Servers {
    fn start() -> Self {
        let database = Database::fresh(Kind::Postgres);
        // By Werkzeug's own default, whose cost is assumed until the hashes in use have been looked at.
        let hash = format!("scrypt:32768:8:1$Te3SNSHBjQrPuM9t${}", "0f".repeat(64));
        database.run(&format!("UPDATE ab_user SET password = '{hash}' WHERE password IS NOT NULL"));
        Self { upstream: slow_upstream(), database }
    }
}

fn rows(servers: &Servers) -> Vec<Row> {
    let upstream = &servers.upstream;
    let signed = "[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef\"\n\
                  [core]\nsimple_auth_manager_users = \"ann:admin,bob:viewer\"\n";
    let file = format!("[basic]\nsources = \"file\"\nusers_file = \"users\"\n{signed}");
    let hashes = hashes();
    let mut rows: Vec<Row> = hashes
        .iter()
        .map(|(name, hash)| Row {
            name,
            upstream: upstream.url(),
            config: file.clone(),
            users: format!("ann:{hash}\nbob:{hash}\n"),
            names: NAMES,
            time: Time::Compared,
        })
        .collect();
    rows.extend([
        Row {
            name: "simple auth manager's file",
            upstream: upstream.url(),
            config: format!(
                "[basic]\nsources = \"file\"\n{signed}simple_auth_manager_passwords_file = \"users\"\n"
            ),
            users: r#"{"ann": "right", "bob": "right", "carl": "right"}"#.into(),
            // carl has a password, and is no user.
            names: &["ann", "nobody", "carl"],
            time: Time::Compared,
        },
        Row {
            name: "upstream",
            upstream: upstream.url(),
            config: String::new(),
            users: String::new(),
            names: NAMES,
            time: Time::Compared,
        },
        Row {
            name: "file, then upstream",
            upstream: upstream.url(),
            config: format!("[basic]\nsources = \"file, upstream\"\nusers_file = \"users\"\n{signed}"),
            users: format!("ann:{}\n", hashes[0].1),
            names: NAMES,
            time: Time::Compared,
        },
        Row {
            name: "database",
            upstream: upstream.url(),
            config: format!(
                "auth_manager = \"fab\"\n[basic]\nsources = \"database\"\n[database]\n\
                 sql_alchemy_conn = \"{}\"\n[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef\"\n",
                servers.database.url
            ),
            users: String::new(),
            names: &["admin", "nobody", "inactive", "nopassword"],
            time: Time::Compared,
        },
        Row {
            name: "ldap, by an account that searches",
            upstream: upstream.url(),
            config: format!(
                "[basic]\nsources = \"ldap\"\n{signed}[ldap]\nserver = \"{}\"\n\
                 bind_user = \"cn=airgate,ou=services,{BASE}\"\nbind_password = \"service-pw\"\n\
                 search = \"ou=people,{BASE}\"\n",
                ldap::shared().url
            ),
            users: String::new(),
            names: &["alice", "nobody"],
            time: Time::Compared,
        },
        Row {
            name: "ldap, by the user's own name",
            upstream: upstream.url(),
            config: format!(
                "[basic]\nsources = \"ldap\"\n{signed}[ldap]\nserver = \"{}\"\n\
                 username_format = \"uid=%s,ou=people,{BASE}\"\n",
                ldap::shared().url
            ),
            users: String::new(),
            names: &["alice", "nobody"],
            // A directory need not spend a hash on who is not in it.
            time: Time::Steps,
        },
        Row {
            name: "keycloak",
            upstream: upstream.url(),
            config: format!(
                "[basic]\nsources = \"keycloak\"\n{signed}{}timeout = \"25s\"\n",
                keycloak::shared().airflow().section()
            ),
            users: String::new(),
            names: &["viewer", "nobody", "disabled", "action"],
            time: Time::Steps,
        },
        Row {
            name: "a real Airflow, simple",
            upstream: airflow::simple().url.clone(),
            config: String::new(),
            users: String::new(),
            names: &["admin", "nobody", "viewer"],
            time: Time::Passed,
        },
        Row {
            name: "a real Airflow, fab",
            upstream: airflow::fab().url.clone(),
            config: "auth_manager = \"fab\"\n".into(),
            users: String::new(),
            names: &["admin", "nobody", "inactive", "norole"],
            time: Time::Passed,
        },
    ]);
    rows
}

/// A token endpoint that takes five milliseconds for everybody.
fn slow_upstream() -> Upstream {
    Upstream::answering(|seen| {
        if seen.target.starts_with("/auth/token") {
            // It is what the upstream is: no event to await.
            std::thread::sleep(Duration::from_millis(5));
            return answer(401, &[], r#"{"detail":"Invalid credentials"}"#);
        }
        answer(200, &[], "{}")
    })
}

fn start(row: &Row, lockout: &str) -> Airgate {
    let config = format!("[upstream]\nurl = \"{}\"\n{}[lockout]\n{lockout}\n", row.upstream, row.config);
    Airgate::with(config).file("users", &row.users).start()
}

/// Every way to try a password.
fn tries(user: &str) -> [(&'static str, Ask); 4] {
    let body = json!({ "username": user, "password": WRONG });
    [
        ("Basic", get("/api/v2/pools").basic(user, WRONG)),
        ("Basic, to change something", post("/api/v2/pools").basic(user, WRONG).json(json!({}))),
        ("token", post("/auth/token").json(body.clone())),
        ("cli token", post("/auth/token/cli").json(body)),
    ]
}

/// The whole of an answer but what is another each time: when it was, and which request it was to.
fn whole(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
    for (name, value) in &mut headers {
        if name == "retry-after" {
            // A lock-out has begun a moment earlier for one than for the other.
            *value = value.parse::<u64>().unwrap().div_ceil(60).to_string();
        }
    }
    (answer.status, headers, answer.text())
}

#[test]
fn answers_do_not_tell_who_exists() {
    let servers = Servers::start();
    for row in rows(&servers) {
        let airgate = start(&row, "attempts = 4\nduration = \"50m\"");
        // The fifth is locked out.
        for expected in [401, 429] {
            let (known, others) = row.names.split_first().unwrap();
            let known: Vec<_> = tries(known).into_iter().map(|(how, ask)| (how, airgate.send(ask))).collect();
            for other in others {
                for ((how, known), (_, ask)) in known.iter().zip(tries(other)) {
                    let answer = airgate.send(ask);
                    assert_eq!(answer.status, expected, "{}, {how}, {other}", row.name);
                    assert_eq!(whole(&answer), whole(known), "{}, {how}, {other}", row.name);
                }
            }
        }
    }
}

/// Samples of each user. With thirty the share below comes out beyond its bounds by chance about once
/// in 300,000 comparisons of equal times.
const SAMPLES: usize = 30;
const BOUNDS: std::ops::RangeInclusive<f64> = 0.15..=0.85;

#[test]
fn times_do_not_tell_who_exists() {
    compare(&Time::Compared);
}

#[test]
fn times_in_steps_do_not_tell_who_exists() {
    compare(&Time::Steps);
}

fn compare(time: &Time) {
    let servers = Servers::start();
    for row in rows(&servers).into_iter().filter(|row| row.time == *time) {
        let airgate = start(&row, "attempts = 0");
        let time = |user: &str| {
            let began = Instant::now();
            assert_eq!(airgate.send(get("/api/v2/pools").basic(user, WRONG)).status, 401);
            began.elapsed()
        };
        time(row.names[0]);
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); row.names.len()];
        // By turns, so that what else the machine does falls on all alike.
        for turn in 0..SAMPLES * row.names.len() {
            let user = (turn + turn / row.names.len()) % row.names.len();
            times[user].push(time(row.names[user]));
        }
        for (user, name) in row.names.iter().enumerate().skip(1) {
            let share = share_of_longer(&times[0], &times[user]);
            assert!(
                BOUNDS.contains(&share),
                "{}: of {name} and {} the latter takes longer in {share:.2} of all pairs; medians {:?}, {:?}",
                row.name,
                row.names[0],
                median(&times[user]),
                median(&times[0]),
            );
        }
    }
}

/// In which share of all pairs the first is the longer one: Mann and Whitney's statistic, between 0
/// and 1, one half for equal distributions. A few outliers do not move it.
fn share_of_longer(first: &[Duration], second: &[Duration]) -> f64 {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| (a, b)));
    let longer: f64 = pairs
        .map(|(a, b)| match a.cmp(b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "some thousand pairs")]
    let all = (first.len() * second.len()) as f64;
    longer / all
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn the_statistic_tells_times_apart() {
    let times =
        |from: u64, step: u64| (0..40).map(|n| Duration::from_micros(from + n * step)).collect::<Vec<_>>();
    assert!((share_of_longer(&times(1000, 10), &times(1000, 10)) - 0.5).abs() < 1e-9);
    assert!(share_of_longer(&times(2000, 10), &times(1000, 10)) > 0.99);
    assert!(share_of_longer(&times(1000, 10), &times(2000, 10)) < 0.01);
    let mut noisy = times(1000, 10);
    noisy[0] = Duration::from_secs(5);
    assert!(BOUNDS.contains(&share_of_longer(&noisy, &times(1000, 10))), "one outlier is nothing");
}
