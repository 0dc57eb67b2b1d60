use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::*;
use crate::ports::ldap::Policy;

const SERVICE: &str = "cn=airgate";

/// A directory in memory. It writes down what it is asked.
#[derive(Default)]
struct Fake {
    down: AtomicBool,
    /// What binding the account is answered with.
    service: AtomicUsize,
    /// How long it takes to compare a password of somebody who is there.
    slow: Duration,
    asked: Mutex<Vec<String>>,
}

/// Names, where they are, and their passwords; `policy` is what a bind says besides.
const ENTRIES: &[(&str, &str, &str, Option<Policy>)] = &[
    ("uid=alice,ou=people", "alice", "alice-pw", None),
    ("uid=Mixed,ou=people", "Mixed", "mixed-pw", None),
    ("uid=locked,ou=people", "locked", "locked-pw", Some(Policy::Locked)),
    ("uid=reset,ou=people", "reset", "reset-pw", Some(Policy::MustChange)),
    ("uid=twin,ou=people", "twin", "twin-pw", None),
    ("uid=twin,ou=people,ou=more", "twin", "twin-pw", None),
    ("uid=star*,ou=people", "star*", "star-pw", None),
    // There by another name, and outside of what is searched.
    ("uid=impostor,ou=others", "alice", "impostor-pw", None),
    ("uid=outside,ou=others", "outside", "outside-pw", None),
];

#[async_trait]
impl LdapServer for Arc<Fake> {
    fn name(&self) -> &str {
        "ldap://fake:389"
    }

    async fn connect(&self) -> Result<Box<dyn LdapConnection>, LdapError> {
        self.say("connect");
        if self.down.load(Ordering::Relaxed) {
            return Err(LdapError::Connect("refused".into()));
        }
        Ok(Box::new(Connection(self.clone())))
    }
}

struct Connection(Arc<Fake>);

impl Fake {
    fn say(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn ended(code: u32, policy: Option<Policy>) -> Outcome {
    Outcome { code, text: "text".into(), policy }
}

#[async_trait]
impl LdapConnection for Connection {
    async fn bind(&mut self, name: &str, password: &Secret) -> Result<Outcome, LdapError> {
        assert!(!name.trim().is_empty() && !password.is_empty(), "an anonymous bind");
        self.0.say(format!("bind {name}"));
        if name == SERVICE {
            return Ok(ended(self.0.service.load(Ordering::Relaxed) as u32, None));
        }
        let known = ENTRIES.iter().find(|(dn, ..)| dn.eq_ignore_ascii_case(name));
        let Some((_, _, right, policy)) = known else { return Ok(ended(49, None)) };
        tokio::time::sleep(self.0.slow).await;
        match (password.expose() == *right, policy) {
            (true, Some(Policy::MustChange)) => Ok(ended(0, *policy)),
            (true, None) => Ok(ended(0, None)),
            (_, policy) => Ok(ended(49, *policy)),
        }
    }

    async fn search(&mut self, search: &Search<'_>) -> Result<Found, LdapError> {
        self.0.say(format!("search {} {}", search.base, search.filter));
        let name = match search.filter {
            Filter::Equal(field, value) if &**field == "uid" => Some(value.clone()),
            Filter::Present(_) => None,
            other => panic!("{other}"),
        };
        let matches = |dn: &str, uid: &str| match (search.scope, &name) {
            (Scope::Base, _) => dn.eq_ignore_ascii_case(search.base),
            (Scope::Subtree, Some(name)) => {
                dn.contains(search.base) && uid.as_bytes().eq_ignore_ascii_case(name)
            }
            (Scope::Subtree, None) => panic!("everybody is searched for"),
        };
        let found = ENTRIES.iter().filter(|(dn, uid, ..)| matches(dn, uid)).take(2);
        let entry = |(dn, uid, ..): &(&str, &str, _, _)| Entry {
            name: (*dn).into(),
            values: vec![("uid".into(), uid.as_bytes().into())],
        };
        Ok(Found { entries: found.map(entry).collect(), outcome: ended(0, None) })
    }

    async fn unbind(&mut self) {
        self.0.say("unbind");
    }
}

fn ldap(fakes: &[&Arc<Fake>], flow: Flow) -> Ldap {
    let servers = fakes.iter().map(|fake| -> Arc<dyn LdapServer> { Arc::new(Arc::clone(fake)) }).collect();
    Ldap::new(servers, Settings { flow, uid_field: "uid".into(), read_timeout: Duration::from_secs(5) })
}

fn find() -> Find {
    Find { base: "ou=people".into(), filter: None }
}

fn indirect() -> Flow {
    Flow::Indirect { user: SERVICE.into(), password: Secret::new("service"), find: find() }
}

fn direct(format: Option<&str>, find: Option<Find>) -> Flow {
    Flow::Direct { format: NameFormat::parse(format, None).unwrap(), find }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

async fn says(ldap: &Ldap, name: &str, password: &str) -> String {
    match ldap.check(name, &Secret::new(password), at(0)).await {
        SourceVerdict::Accepted { identity, onward, expires: None, seal: None } => {
            assert_eq!((identity.origin, onward), (Origin::Ldap, Onward::Minted { jti: None }));
            format!("is {}", identity.name)
        }
        SourceVerdict::Accepted { .. } => "has an end or a seal".to_owned(),
        SourceVerdict::Rejected => "rejected".to_owned(),
        SourceVerdict::Unknown => "unknown".to_owned(),
        SourceVerdict::Unavailable(outage) => format!("unavailable: {}", outage.cause),
    }
}

#[tokio::test]
async fn verdicts() {
    let fake = Arc::new(Fake::default());
    let by_account = ldap(&[&fake], indirect());
    let by_name = ldap(&[&fake], direct(Some("uid=%s,ou=people"), None));
    let by_name_and_search = ldap(&[&fake], direct(Some("uid=%s,ou=people"), Some(find())));
    let elsewhere = ldap(&[&fake], direct(Some("uid=%s,ou=others"), Some(find())));
    for (name, source, username, password, expected) in [
        ("the account finds her", &by_account, "alice", "alice-pw", "is alice"),
        ("in another case", &by_account, "ALICE", "alice-pw", "is alice"),
        ("stored in another case", &by_account, "mixed", "mixed-pw", "is Mixed"),
        ("wrong", &by_account, "alice", "wrong", "rejected"),
        ("unknown", &by_account, "nobody", "alice-pw", "unknown"),
        ("several", &by_account, "twin", "twin-pw", "rejected"),
        ("locked", &by_account, "locked", "locked-pw", "rejected"),
        ("reset", &by_account, "reset", "reset-pw", "rejected"),
        ("a pattern", &by_account, "al*", "alice-pw", "unknown"),
        ("a pattern that is a name", &by_account, "star*", "star-pw", "is star*"),
        ("a filter", &by_account, "alice)(uid=*", "alice-pw", "unknown"),
        ("no password", &by_account, "alice", "", "rejected"),
        ("no name", &by_account, "", "alice-pw", "rejected"),
        ("spaces for a name", &by_account, "  ", "alice-pw", "rejected"),
        ("NUL", &by_account, "alice\0", "alice-pw", "rejected"),
        ("her own name", &by_name, "alice", "alice-pw", "is alice"),
        ("her own name in another case", &by_name, "ALICE", "alice-pw", "is alice"),
        ("her own name, wrong", &by_name, "alice", "wrong", "rejected"),
        ("her own name, unknown", &by_name, "nobody", "x", "rejected"),
        ("a part of a name", &by_name, "alice,ou=people", "alice-pw", "rejected"),
        ("her own name, and search", &by_name_and_search, "Alice", "alice-pw", "is alice"),
        ("her own name, and several", &by_name_and_search, "twin", "twin-pw", "rejected"),
        ("her own name is not what search finds", &elsewhere, "impostor", "impostor-pw", "rejected"),
        ("search finds nothing", &elsewhere, "outside", "outside-pw", "rejected"),
    ] {
        assert_eq!(says(source, username, password).await, expected, "{name}");
        assert_eq!(source.health(), Health::Up, "{name}");
    }
}

/// Binding one name and being found by another takes the password of both.
#[tokio::test]
async fn the_entry_that_is_found_must_have_the_password() {
    let fake = Arc::new(Fake::default());
    // Binds another attribute than the one that is searched for.
    let ldap = ldap(&[&fake], direct(Some("%s"), Some(find())));
    assert_eq!(says(&ldap, "uid=impostor,ou=others", "impostor-pw").await, "rejected");
    // Whoever is bound as `alice`, the entry of that name has another password.
    let found = |name: &str| Entry { name: name.into(), values: vec![("uid".into(), b"alice"[..].into())] };
    let entry = found("uid=alice,ou=people");
    let mut connection = Connection(fake);
    let refused = bind(&mut connection, &entry.name, &Secret::new("impostor-pw")).await;
    assert!(matches!(refused, Ok(Err(Answer::Refused(Refusal::WrongPassword, _)))));
}

#[tokio::test]
async fn known_and_unknown_names_are_asked_for_alike() {
    let fake = Arc::new(Fake::default());
    let ldap = ldap(&[&fake], indirect());
    let mut asked = Vec::new();
    for (name, expected) in [("alice", "rejected"), ("nobody", "unknown"), ("twin", "rejected")] {
        assert_eq!(says(&ldap, name, "wrong").await, expected);
        let words = |asked: Vec<String>| -> Vec<String> {
            asked.iter().map(|what| what.split(' ').next().unwrap().to_owned()).collect()
        };
        asked.push(words(fake.asked()));
    }
    assert_eq!(asked[0], ["connect", "bind", "search", "bind", "unbind"]);
    assert_eq!([&asked[1], &asked[2]], [&asked[0]; 2]);
}

#[tokio::test(start_paused = true)]
async fn unknown_names_take_as_long_as_known_ones() {
    let fake = Arc::new(Fake { slow: Duration::from_millis(300), ..Fake::default() });
    let ldap = ldap(&[&fake], indirect());
    for (name, username, expected) in [
        ("a known one", "alice", "rejected"),
        ("an unknown one", "nobody", "unknown"),
        ("another unknown one", "no-one", "unknown"),
        ("one of two", "twin", "rejected"),
    ] {
        let began = tokio::time::Instant::now();
        assert_eq!(says(&ldap, username, "wrong").await, expected, "{name}");
        let took = began.elapsed();
        let about = Duration::from_millis(299)..Duration::from_millis(303);
        assert!(about.contains(&took), "{name} took {took:?}");
    }
}

#[tokio::test]
async fn servers_are_tried_in_turn() {
    let (first, second) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    let ldap = ldap(&[&first, &second], indirect());
    first.down.store(true, Ordering::Relaxed);
    assert_eq!(says(&ldap, "alice", "alice-pw").await, "is alice");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 5));
    assert_eq!(says(&ldap, "alice", "alice-pw").await, "is alice");
    assert_eq!(first.asked().len(), 0, "the one that answered last is asked first");
    second.down.store(true, Ordering::Relaxed);
    let cause = "ldap://fake:389: cannot connect: refused";
    let down = format!("ldap: {cause}; {cause}");
    assert_eq!(says(&ldap, "alice", "alice-pw").await, format!("unavailable: {down}"));
    assert_eq!(ldap.health(), Health::Down(down.into()));
    first.down.store(false, Ordering::Relaxed);
    assert_eq!(says(&ldap, "alice", "alice-pw").await, "is alice");
    assert_eq!(ldap.health(), Health::Up);
}

#[tokio::test]
async fn a_refused_account_is_spared() {
    let fake = Arc::new(Fake::default());
    let ldap = ldap(&[&fake, &fake], indirect());
    let check = async |seconds| {
        let verdict = ldap.check("alice", &Secret::new("alice-pw"), at(seconds)).await;
        (matches!(verdict, SourceVerdict::Accepted { .. }), fake.asked())
    };
    fake.service.store(49, Ordering::Relaxed);
    let tried = vec!["connect", "bind cn=airgate", "unbind"];
    assert_eq!(check(0).await, (false, tried.iter().map(|s| (*s).to_owned()).collect()), "on one server");
    assert_eq!(check(4).await.1, ["connect", "unbind"], "not yet again");
    assert_eq!(check(6).await.1, tried, "again");
    assert!(matches!(ldap.health(), Health::Down(_)));
    fake.service.store(0, Ordering::Relaxed);
    assert!(!check(7).await.0);
    assert!(check(12).await.0);
}

#[tokio::test]
async fn looking_tells_an_outage_without_a_log_in() {
    let fake = Arc::new(Fake::default());
    let ldap = ldap(&[&fake], indirect());
    fake.down.store(true, Ordering::Relaxed);
    assert_eq!(ldap.look().await, Ldap::LOOK);
    assert!(matches!(ldap.health(), Health::Down(_)));
    fake.down.store(false, Ordering::Relaxed);
    assert_eq!(ldap.look().await, Ldap::LOOK);
    assert_eq!(ldap.health(), Health::Up);
    assert_eq!(fake.asked(), ["connect", "connect", "bind cn=airgate", "unbind"]);
    let nobody = self::ldap(&[&fake], direct(None, Some(find())));
    assert_eq!((nobody.look().await, nobody.health()), (Ldap::LOOK, Health::Up));
    assert_eq!(fake.asked(), ["connect", "search  (objectClass=*)", "unbind"], "it must answer");
    fake.service.store(49, Ordering::Relaxed);
    assert_eq!(ldap.look().await, Ldap::LOOK_REFUSED, "each try counts against the account");
    assert!(matches!(ldap.health(), Health::Down(_)));
}

#[tokio::test]
async fn too_many_are_told_to_come_again() {
    let fake = Arc::new(Fake::default());
    let ldap = ldap(&[&fake], indirect());
    let _all = ldap.room.acquire_many((Ldap::CONNECTIONS + Ldap::WAITING) as u32).await.unwrap();
    assert_eq!(says(&ldap, "alice", "alice-pw").await, "unavailable: ldap: too many log-ins wait");
    assert_eq!(fake.asked().len(), 0);
}

/// What tells one directory from another; never its password.
#[test]
fn settings_are_told_apart_and_show_no_secret() {
    let fake = Arc::new(Fake::default());
    let one = ldap(&[&fake], indirect());
    let other = ldap(&[&fake], direct(None, Some(find())));
    assert_ne!(one.fingerprint(), other.fingerprint());
    let secret = Flow::Indirect { user: SERVICE.into(), password: Secret::new("hunter2"), find: find() };
    assert!(!ldap(&[&fake], secret).fingerprint().contains("hunter2"));
}
