use super::check::{CheckSettings, Source, SourceVerdict};
use super::*;
use crate::auth::cache::VerifiedCache;
use crate::auth::lockout::Lockout;
use crate::auth::testing::Case;
use crate::auth::{Identity, Onward, Origin, Outage, Scope};
use crate::secret::Secret;

use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;

/// Knows one password for everybody but a few.
struct Everybody;

#[async_trait]
impl Source for Everybody {
    fn name(&self) -> &'static str {
        "everybody"
    }

    fn fingerprint(&self) -> &str {
        ""
    }

    async fn check(&self, username: &str, password: &Secret, _now: SystemTime) -> SourceVerdict {
        let right = ["admin-pw", "p:w", "pässwörd✓"].contains(&password.expose());
        match username {
            "outage" => SourceVerdict::Unavailable(Outage {
                cause: "gone".into(),
                retry_after: Duration::from_secs(5),
            }),
            "nobody" => SourceVerdict::Unknown,
            name if right => SourceVerdict::Accepted {
                identity: Identity { origin: Origin::File, name: name.into() },
                onward: Onward::Minted { jti: None },
                expires: None,
                seal: None,
            },
            _ => SourceVerdict::Rejected,
        }
    }
}

fn backend() -> BasicAuth {
    let cache = Arc::new(VerifiedCache::new(100).unwrap());
    let lockout = Arc::new(Lockout::new());
    let sources: Vec<Arc<dyn Source>> = vec![Arc::new(Everybody)];
    let settings = CheckSettings::default();
    let crowd = Arc::default();
    BasicAuth::new(Arc::new(PasswordCheck::new(sources, settings, cache, lockout, crowd, Handle::current())))
}

fn basic(user_pass: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(user_pass))
}

async fn verdict(backend: &BasicAuth, case: &Case) -> Verdict {
    case.run(async |attempt| match backend.recall(&attempt) {
        Some(verdict) => verdict,
        None => backend.authenticate(&attempt).await,
    })
    .await
}

/// What the test table says of a verdict.
fn summary(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted(grant) => format!("accepted {}", grant.identity.name),
        Verdict::Mutual(..) => "mutual".into(),
        Verdict::NotMine => "not mine".into(),
        Verdict::Rejected(Rejection { reason: Reason::Malformed(text), .. }) => (*text).into(),
        Verdict::Rejected(Rejection { reason: Reason::WrongPassword, .. }) => "wrong".into(),
        Verdict::Rejected(other) => format!("{other:?}"),
        Verdict::Throttled(wait) => format!("throttled {}", wait.as_secs()),
        Verdict::Unavailable(outage) => format!("unavailable {}", outage.retry_after.as_secs()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_header_is_read_as_airflow_2_read_it() {
    let long = basic(&[&b"u:"[..], &[b'x'; 3071]].concat());
    let far_too_long = basic(&[b'x'; 100_000]);
    let longest = basic(&[&b"u:"[..], &[b'x'; 3070]].concat());
    // Names with a dot, and whether the password is let in, are from Airflow 2.11 (goldens).
    let rows: &[(&str, &str, &str)] = &[
        ("basic.valid", "Basic YWRtaW46YWRtaW4tcHc=", "accepted admin"),
        ("basic.scheme-lowercase", "basic YWRtaW46YWRtaW4tcHc=", "accepted admin"),
        ("basic.two-spaces", "Basic  YWRtaW46YWRtaW4tcHc=", "accepted admin"),
        ("basic.trailing-space", "Basic YWRtaW46YWRtaW4tcHc= ", "accepted admin"),
        ("basic.leading-space", "  Basic YWRtaW46YWRtaW4tcHc=", "accepted admin"),
        ("basic.unicode-password-utf8", "Basic dW5pOnDDpHNzd8O2cmTinJM=", "accepted uni"),
        ("basic.unicode-password-latin1", "Basic dW5pOnDkc3N39nJk", "Basic credentials are not UTF-8"),
        ("basic.non-utf8", "Basic //46/Q==", "Basic credentials are not UTF-8"),
        ("basic.empty-password", "Basic YWRtaW46", "Basic credentials have an empty password"),
        ("basic.empty-username", "Basic OmFkbWluLXB3", "Basic credentials have an empty user name"),
        ("basic.no-colon", "Basic YWRtaW4=", "Basic credentials have no colon"),
        ("basic.malformed-base64-length", "Basic YWRtaW4", "Basic credentials are not base64"),
        ("basic.padding-missing", "Basic Y29sb246cGE6c3M6d29yZA", "Basic credentials are not base64"),
        ("basic.base64-inner-space", "Basic YWRtaW46 YWRtaW4tcHc=", "Basic credentials are not base64"),
        ("basic.base64-inner-garbage", "Basic YWRtaW46*YWRtaW4tcHc=", "Basic credentials are not base64"),
        ("basic.not-base64-plain", "Basic admin:admin-pw", "Basic credentials are not base64"),
        ("basic.quoted-params", "Basic username=\"admin\"", "Basic credentials are not base64"),
        ("basic.nul-in-username", "Basic YWRtaW4AOmFkbWluLXB3", "Basic credentials have a control character"),
        ("basic.username-trailing-space", "Basic YWRtaW4gOng=", "wrong"),
        ("basic.password-trailing-space", "Basic YWRtaW46YWRtaW4tcHcg", "wrong"),
        ("basic.header-empty", "", "not mine"),
        ("basic.scheme-only-space", "Basic ", "not mine"),
        ("basic.no-separator", "BasicYWRtaW46YWRtaW4tcHc=", "not mine"),
        ("basic.scheme-Negotiate", "Negotiate YII=", "not mine"),
        ("basic.comma-joined", "Negotiate YII=, Basic YWRtaW46YWRtaW4tcHc=", "not mine"),
        // Airflow 2 let this in: its hash function stopped reading at NUL.
        ("basic.nul-in-password", "Basic YWRtaW46YWRtaW4tcHcA", "Basic credentials have a control character"),
        ("colons in the password", &basic(b"admin:p:w"), "accepted admin"),
        ("wrong password", &basic(b"admin:x"), "wrong"),
        ("unknown user", &basic(b"nobody:x"), "wrong"),
        ("an outage", &basic(b"outage:x"), "unavailable 5"),
        ("longest", &longest, "wrong"),
        ("too long", &long, "Basic credentials are too long"),
        ("far too long", &far_too_long, "Basic credentials are too long"),
        ("no header", "-", "not mine"),
    ];
    for (name, header, expected) in rows {
        let backend = backend();
        let case = match *header {
            "-" => Case::default(),
            header => Case::default().header("authorization", header),
        };
        let verdict = verdict(&backend, &case.scope(Scope::Api)).await;
        assert_eq!(summary(&verdict), *expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_password_is_recalled_from_then_on_and_never_locked_out() {
    let backend = backend();
    let right = |seconds| {
        Case::default().header("authorization", &basic(b"ann:admin-pw")).after(Duration::from_secs(seconds))
    };
    let wrong = || Case::default().header("authorization", &basic(b"ann:guess"));
    let recalled = async |case: &Case| case.run(async |attempt| backend.recall(&attempt)).await;

    assert!(recalled(&right(0)).await.is_none());
    let Verdict::Accepted(grant) = verdict(&backend, &right(0)).await else { panic!("not accepted") };
    assert!(grant.ambient);
    for _ in 0..10 {
        assert_eq!(summary(&verdict(&backend, &wrong()).await), "wrong");
    }
    assert_eq!(summary(&verdict(&backend, &wrong()).await), "throttled 300");
    assert!(matches!(recalled(&right(59)).await, Some(Verdict::Accepted(_))));
    assert!(recalled(&right(60)).await.is_none());
    assert_eq!(summary(&verdict(&backend, &right(60)).await), "throttled 240");
}

#[tokio::test(start_paused = true)]
async fn what_is_cached_helps_nobody_who_guesses_elsewhere() {
    let backend = backend();
    let right = |from| Case::default().header("authorization", &basic(b"ann:admin-pw")).from(from);
    let wrong = |from| Case::default().header("authorization", &basic(b"ann:guess")).from(from);
    assert_eq!(summary(&verdict(&backend, &right("192.0.2.1")).await), "accepted ann");
    for _ in 0..10 {
        assert_eq!(summary(&verdict(&backend, &wrong("198.51.100.1")).await), "wrong");
    }
    assert_eq!(summary(&verdict(&backend, &right("198.51.100.1")).await), "throttled 300");
    assert_eq!(summary(&verdict(&backend, &right("192.0.2.1")).await), "accepted ann");
}

#[tokio::test(start_paused = true)]
async fn the_challenge_names_realm_and_charset() {
    assert_eq!(backend().challenge().unwrap(), r#"Basic realm="Airflow", charset="UTF-8""#);
}

/// Else it would be left behind where the vector was before it grew.
#[test]
fn what_is_decoded_stays_in_one_place() {
    for (name, encoded) in [("read", "YW5uOnNlY3JldA=="), ("a fault at the end", "YW5uOnNlY3JldA==*")] {
        let mut scratch = Scratch::new();
        let _ = scratch.read(encoded.as_bytes()).map(|_| ());
        assert_eq!(scratch.0.len(), base64::decoded_len_estimate(encoded.len()), "{name}");
        assert_eq!(scratch.0.capacity(), scratch.0.len(), "{name}");
    }
}
