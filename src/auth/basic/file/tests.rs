use super::*;
use crate::auth::basic::hash::{HashWorkers, InvalidHash};
use crate::auth::testing::epoch;

use tempfile::TempDir;

/// Hashes of `password`.
const BCRYPT: &str = "$2y$04$bvIG6Nmid91Mu9RcmmWZfOGUXL/cBhCDpGksnHBEIu.Ty/ANEcxWW";
const ARGON2: &str =
    "$argon2id$v=19$m=64,t=2,p=1$VYE3+htq5FxD4VJiuOC0Xw$jeUQzgKGdVD3oh+YxG+9SsrEOJrTw+/dXG22dpXMlp0";

/// A file in a folder of its own.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new(content: &str) -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        fixture.write(content);
        fixture
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("users")
    }

    /// Another file under the same name, as Kubernetes and editors do it.
    fn write(&self, content: impl AsRef<[u8]>) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    fn open(&self, format: Format) -> Result<PasswordFile, FileError> {
        PasswordFile::open(self.path(), format, workers())
    }
}

fn workers() -> Arc<HashWorkers> {
    Arc::new(HashWorkers::new(2))
}

fn simple(users: &[&str]) -> Format {
    Format::Simple { users: users.iter().map(|name| Box::from(*name)).collect() }
}

async fn ask(file: &PasswordFile, username: &str, password: &str) -> SourceVerdict {
    file.check(username, &Secret::new(password), epoch()).await
}

fn said(verdict: &SourceVerdict) -> &'static str {
    match verdict {
        SourceVerdict::Accepted { .. } => "accepted",
        SourceVerdict::Rejected => "rejected",
        SourceVerdict::Unknown => "unknown",
        SourceVerdict::Unavailable(_) => "unavailable",
    }
}

#[tokio::test]
async fn every_format_compares() {
    let airflow = r#"{"ann": "password", "bob": "pässwörd", "eve": "password", "empty": ""}"#;
    let htpasswd = format!("# users\n\nann:{BCRYPT}\r\n bob : {ARGON2} \n");
    let toml = format!("# users\n[users]\nann = \"{BCRYPT}\"\n'b o:b' = '{ARGON2}'\n");
    let listed = || simple(&["ann", "bob", "carl", "empty"]);
    let rows: &[(&str, &str, Format, &str, &str, &str)] = &[
        ("simple, right", airflow, listed(), "ann", "password", "accepted"),
        ("simple, not ASCII", airflow, listed(), "bob", "pässwörd", "accepted"),
        ("simple, wrong", airflow, listed(), "ann", "Password", "rejected"),
        ("simple, other case", airflow, listed(), "Ann", "password", "unknown"),
        ("simple, a password but not listed", airflow, listed(), "eve", "password", "unknown"),
        ("simple, listed but no password", airflow, listed(), "carl", "password", "unknown"),
        ("simple, twice: the last", r#"{"ann":"old","ann":"new"}"#, listed(), "ann", "new", "accepted"),
        ("htpasswd, bcrypt", &htpasswd, Format::Hashes, "ann", "password", "accepted"),
        ("htpasswd, argon2", &htpasswd, Format::Hashes, "bob", "password", "accepted"),
        ("htpasswd, wrong", &htpasswd, Format::Hashes, "ann", "x", "rejected"),
        ("htpasswd, unknown", &htpasswd, Format::Hashes, "eve", "password", "unknown"),
        ("toml, bcrypt", &toml, Format::Hashes, "ann", "password", "accepted"),
        ("toml, a quoted name", &toml, Format::Hashes, "b o:b", "password", "accepted"),
        ("toml, wrong", &toml, Format::Hashes, "ann", "x", "rejected"),
        ("toml, unknown", &toml, Format::Hashes, "eve", "password", "unknown"),
    ];
    for (name, content, format, username, password, expected) in rows {
        let fixture = Fixture::new(content);
        let file = fixture.open(format.clone()).unwrap();
        assert_eq!(said(&ask(&file, username, password).await), *expected, "{name}");
    }
}

#[tokio::test]
async fn who_is_accepted_is_of_the_file_and_gets_a_token_of_ours() {
    let fixture = Fixture::new(&format!("ann:{BCRYPT}"));
    let file = fixture.open(Format::Hashes).unwrap();
    let SourceVerdict::Accepted { identity, onward, expires, seal } = ask(&file, "ann", "password").await
    else {
        panic!("not accepted")
    };
    assert_eq!(identity, Identity { origin: Origin::File, name: "ann".into() });
    assert_eq!((onward, expires), (Onward::Minted { jti: None }, None));
    assert!(file.vouches("ann", seal.as_ref()));
    assert!(!file.vouches("bob", seal.as_ref()));
    assert!(!file.vouches("ann", None));
}

#[tokio::test]
async fn an_unknown_user_costs_a_hash_check_and_is_never_accepted() {
    let fixture = Fixture::new(&format!("ann:{BCRYPT}"));
    let table = read::load(&fixture.path(), &Format::Hashes).unwrap().0;
    let stand_in = table.stand_in("eve").unwrap();
    assert!(matches!(stand_in.stored, Stored::Hash(_)));
    assert!(Arc::ptr_eq(&stand_in, &table.stand_in("eve").unwrap()), "the same one every time");
    let file = fixture.open(Format::Hashes).unwrap();
    assert_eq!(said(&ask(&file, "eve", "password").await), "unknown", "not even with the stand-in's own");
}

#[tokio::test]
async fn too_many_checks_at_once_are_an_outage() {
    let fixture = Fixture::new(&format!("ann:{BCRYPT}"));
    let file = Arc::new(fixture.open(Format::Hashes).unwrap());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let jobs: Vec<_> = (0..=HashWorkers::QUEUE)
        .map(|_| {
            let (file, wait) = (Arc::clone(&file), Arc::clone(&wait));
            Box::pin(async move { file.workers.run(move || wait.lock().unwrap().recv()).await })
        })
        .collect();
    let mut jobs = futures_util::future::join_all(jobs);
    assert!(futures_util::poll!(&mut jobs).is_pending());
    let SourceVerdict::Unavailable(outage) = ask(&file, "ann", "password").await else {
        panic!("not unavailable")
    };
    assert_eq!(outage.retry_after, Duration::from_secs(1));
    drop(go);
    jobs.await;
    assert_eq!(said(&ask(&file, "ann", "password").await), "accepted");
}

#[test]
fn faults_name_file_line_and_kind_and_no_secret() {
    let bcrypt = BCRYPT;
    let weak = |name: &str, kind| LineFault::Hash(name.into(), InvalidHash::Weak(kind));
    let not_toml =
        LineFault::Malformed("not as asked: one table `[users]` of `name = \"hash\"`, each name once");
    let no_entry =
        LineFault::Malformed("not `name:hash`; a file of `name = \"hash\"` begins with a line `[users]`");
    let not_json = LineFault::Malformed("not a JSON object of names and passwords");
    type Row = (&'static str, String, Format, Vec<(usize, LineFault)>);
    let rows: Vec<Row> = vec![
        (
            "every fault of a file",
            format!("# users\nann:{bcrypt}\nbob:{{SHA}}hunter2\n\nann:{bcrypt}\nhunter2\n:{bcrypt}\n"),
            Format::Hashes,
            vec![
                (3, weak("bob", "SHA-1 ({SHA})")),
                (5, LineFault::Duplicate("ann".into())),
                (6, no_entry.clone()),
                (7, LineFault::Malformed("no user name")),
            ],
        ),
        (
            "weak hashes in TOML",
            format!("[users]\nann = \"{bcrypt}\"\nbob = \"hunter2\"\neve = \"$1$hunter2\"\n"),
            Format::Hashes,
            vec![(3, weak("bob", "a plain text or a DES crypt")), (4, weak("eve", "MD5-crypt ($1$)"))],
        ),
        (
            "twice in TOML",
            "[users]\na = \"hunter2\"\na = \"x\"\n".into(),
            Format::Hashes,
            vec![(3, not_toml.clone())],
        ),
        ("another table", "[users]\n[hunter2]\n".into(), Format::Hashes, vec![(2, not_toml.clone())]),
        (
            "TOML without users",
            format!("# users\n\n[user]\na = \"{bcrypt}\"\n"),
            Format::Hashes,
            vec![(3, LineFault::NoUsers("[user]".into()))],
        ),
        (
            "TOML without any table",
            "# users\na = \"hunter2\"\n".into(),
            Format::Hashes,
            vec![(2, no_entry.clone())],
        ),
        ("a number for a hash", "[users]\na = 5\n".into(), Format::Hashes, vec![(2, not_toml)]),
        ("not JSON", "{\n\"ann\": hunter2".into(), simple(&["ann"]), vec![(2, not_json.clone())]),
        (
            "a number for a password",
            "{\n\n\"ann\": 12345}".into(),
            simple(&["ann"]),
            vec![(3, not_json.clone())],
        ),
        ("an array", "[]".into(), simple(&["ann"]), vec![(1, not_json)]),
    ];
    for (name, content, format, expected) in rows {
        let fixture = Fixture::new(&content);
        let error = fixture.open(format).err().unwrap();
        let text = error.to_string();
        let FileError::Lines { path, faults } = error else { panic!("{name}: {error:?}") };
        assert_eq!(faults, expected, "{name}");
        assert_eq!(path, fixture.path(), "{name}");
        for (line, _) in expected {
            assert!(text.contains(&format!("{}:{line}: ", path.display())), "{name}: {text}");
        }
        let secrets = ["{SHA}hunter2", "\"hunter2\"", "$1$hunter2", "12345", bcrypt];
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{name}: {text}");
    }
}

#[test]
fn a_file_that_is_no_users_file_is_refused() {
    let fixture = Fixture::new("");
    let kind = |path: PathBuf, format: Format| {
        let error = PasswordFile::open(path.clone(), format, workers()).err().unwrap();
        assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
        match error {
            FileError::Missing { .. } => "missing",
            FileError::Unreadable { .. } => "unreadable",
            FileError::Empty { .. } => "empty",
            FileError::TooLarge { .. } => "too large",
            FileError::NotUtf8 { .. } => "not UTF-8",
            FileError::Lines { .. } => "lines",
        }
    };
    let path = fixture.path();
    assert_eq!(kind(fixture.folder.path().join("none"), Format::Hashes), "missing");
    assert_eq!(kind(fixture.folder.path().into(), Format::Hashes), "unreadable");
    for (expected, content, format) in [
        ("empty", &b""[..], Format::Hashes),
        ("empty", b"# nobody\n\n", Format::Hashes),
        ("empty", b"[users]\n", Format::Hashes),
        ("empty", b" \n", simple(&["ann"])),
        ("empty", b"{}", simple(&["ann"])),
        ("empty", b"{\"bob\":\"x\"}", simple(&["ann"])),
        ("not UTF-8", b"ann:\xff", Format::Hashes),
        ("too large", &vec![b'#'; 4 * 1024 * 1024 + 1], Format::Hashes),
    ] {
        fixture.write(content);
        assert_eq!(kind(path.clone(), format), expected);
    }
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken_over() {
    let fixture = Fixture::new(r#"{"ann":"one"}"#);
    let file = fixture.open(simple(&["ann"])).unwrap();
    let SourceVerdict::Accepted { seal, .. } = ask(&file, "ann", "one").await else { panic!("not accepted") };

    assert_eq!(file.refresh().unwrap(), Look::Unchanged);
    assert!(file.vouches("ann", seal.as_ref()));

    fixture.write(r#"{"ann":"two"}"#);
    assert_eq!(file.refresh().unwrap(), Look::Read { users: 1 });
    assert!(!file.vouches("ann", seal.as_ref()));
    assert_eq!(said(&ask(&file, "ann", "one").await), "rejected");
    assert_eq!(said(&ask(&file, "ann", "two").await), "accepted");

    fixture.write("{");
    assert!(matches!(file.refresh(), Err(FileError::Lines { .. })));
    assert_eq!(file.refresh().unwrap(), Look::Unchanged);
    assert!(matches!(file.health(), Health::Degraded(_)), "said once, but still so");
    assert_eq!(said(&ask(&file, "ann", "two").await), "accepted");

    std::fs::remove_file(fixture.path()).unwrap();
    assert!(matches!(file.refresh(), Err(FileError::Missing { .. })));
    file.refresh().unwrap();
    assert!(matches!(file.health(), Health::Degraded(_)));

    fixture.write(r#"{"ann":"three"}"#);
    assert_eq!(file.refresh().unwrap(), Look::Mended { users: 1 });
    assert_eq!(file.health(), Health::Up);
    assert_eq!(said(&ask(&file, "ann", "three").await), "accepted");
}

#[tokio::test]
async fn a_watched_file_is_taken_over_by_itself_until_nobody_needs_it() {
    let fixture = Fixture::new(r#"{"ann":"one"}"#);
    let file = Arc::new(fixture.open(simple(&["ann"])).unwrap());
    PasswordFile::watch(&file, &Handle::current(), Duration::from_millis(1));
    fixture.write(r#"{"ann":"two"}"#);
    let taken_over = async {
        while said(&ask(&file, "ann", "two").await) != "accepted" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), taken_over).await.unwrap();
    let weak = Arc::downgrade(&file);
    drop(file);
    let dropped = async {
        while weak.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), dropped).await.unwrap();
}
