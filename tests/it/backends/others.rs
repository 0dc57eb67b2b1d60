//! All but passwords.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use airgate::auth::{Attempt, Backend, Grant, Outage, Rejection, Verdict};

use super::*;
use crate::support::keycloak;
use crate::support::token::{self, Issuer, SECRET};
use crate::support::upstream::{Seen, answer};

const NOBODY_GUESSES: Cell = Never("it is not guessed at, so failures are not counted");
const USERS: &str = "[core]\nsimple_auth_manager_users = \"admin:admin, viewer:viewer\"\n";

fn minting(more: &str) -> String {
    format!("{more}[api_auth]\njwt_secret = \"{SECRET}\"\n{USERS}")
}

/// Tokens of Airflow's, by keys that are fetched.
fn by_fetched_keys(backend: &'static str, put: fn(&str) -> Ask) -> Row {
    let key = Arc::new(Issuer::new("one"));
    let set = Issuer::set(&[&key]);
    let issuer = Upstream::answering(move |_| answer(200, &[("Content-Type", "application/json")], &set));
    let (relay, url) = Relay::before(&issuer.url());
    Row {
        name: backend,
        backend,
        setup: with(backend, &upstream(), &format!("[api_auth]\ntrusted_jwks_url = \"{url}/jwks\"\n")),
        accepted: says(200, move || put(&key.token(&token::claims("admin")))),
        not_mine: basic_is_not_mine(),
        rejected: says(403, move || put("x.y.z")),
        throttled: NOBODY_GUESSES,
        // The last known keys serve.
        unavailable: without(relay, issuer, 200),
    }
}

pub fn jwt() -> Row {
    by_fetched_keys("jwt", |token| pools().bearer(token))
}

pub fn session() -> Row {
    by_fetched_keys("session", |token| pools().with("Cookie", format!("_token={token}")))
}

pub fn token_of_keycloak() -> Row {
    let keycloak = keycloak::shared();
    let (relay, url) = Relay::before(&keycloak.url);
    let realm = keycloak.airflow();
    relay.open();
    let token = realm.log_in_at(relay.address, "viewer");
    relay.close();
    let forged = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
    let section = realm.section().replace(&keycloak.url, &url);
    let more = minting(&format!("{section}allowed_client_ids = [\"cli\"]\ntimeout = \"25s\"\n"));
    Row {
        name: "jwt, Keycloak's own token",
        backend: "jwt",
        setup: with("jwt", &upstream(), &more),
        accepted: says(200, move || pools().bearer(&token)),
        not_mine: basic_is_not_mine(),
        rejected: says(403, move || pools().bearer(&forged)),
        throttled: NOBODY_GUESSES,
        // By its signature, and what is known of its session.
        unavailable: without(relay, (), 200),
    }
}

/// Knows one password and one session.
pub fn answers_as_airflow_2(seen: &Seen) -> Vec<u8> {
    let knows = seen.header("authorization") == Some("Basic YWRtaW46YWRtaW4tcHc=")
        || seen.header("cookie").is_some_and(|cookies| cookies.contains("session=good"));
    if knows { answer(200, &[], "{}") } else { answer(401, &[], "{}") }
}

pub fn session_of_airflow_2() -> Row {
    let upstream = Upstream::answering(answers_as_airflow_2);
    upstream.says(Some("2.11.2"));
    let (relay, url) = Relay::before(&upstream.url());
    let ask = || get("/api/v1/pools?limit=1");
    Row {
        name: "session, Airflow 2",
        backend: "session",
        setup: with("session", &format!("url = \"{url}\"\nairflow = 2"), "[basic]\ncache_ttl = 0\n"),
        accepted: says(200, move || ask().with("Cookie", "session=good")),
        not_mine: says(401, move || ask().basic("admin", "admin-pw")),
        rejected: says(401, move || ask().with("Cookie", "session=old")),
        throttled: NOBODY_GUESSES,
        unavailable: without(relay, upstream, 503),
    }
}

/// Its keytab comes and goes; the KDC is not asked.
#[cfg(feature = "kerberos")]
pub fn kerberos() -> Row {
    use crate::support::kdc::{REALM, kdc};

    let tickets = kdc().log_in("viewer");
    let tokens = std::cell::RefCell::new(tickets.tokens(&["spnego airflow@localhost"; 20]));
    let more =
        format!("[kerberos]\nkeytab = \"own.keytab\"\nlocal_realms = \"{REALM}\"\nreplay_cache = \".\"\n");
    let setup = with("kerberos_auth", &upstream(), &minting(&more));
    let own = setup.home().join("own.keytab");
    let comes_and_goes = move |is_there| match is_there {
        true => drop(std::fs::copy(kdc().file("airflow.keytab"), &own).unwrap()),
        false => std::fs::remove_file(&own).unwrap(),
    };
    let negotiate = |token: &str| pools().with("Authorization", format!("Negotiate {token}"));
    Row {
        name: "kerberos_auth",
        backend: "kerberos_auth",
        setup: setup.env("KRB5_CONFIG", &kdc().path("krb5.conf")),
        // Each is good for one request.
        accepted: says(200, move || negotiate(&tokens.borrow_mut().pop().unwrap())),
        not_mine: basic_is_not_mine(),
        rejected: says(401, move || negotiate("Z2FyYmFnZQ==")),
        throttled: NOBODY_GUESSES,
        unavailable: Unavailable::Without(Box::new(comes_and_goes), 503),
    }
}

pub fn callout() -> Row {
    let service = Upstream::answering(|seen| match seen.header("x-api-key") {
        Some("good") => answer(200, &[("X-Auth-User", "viewer")], ""),
        Some(_) | None => answer(401, &[], ""),
    });
    let (relay, url) = Relay::before(&service.url());
    let more = minting(&format!("[callout.corp]\nurl = \"{url}\"\nheaders = \"X-Api-Key\"\n"));
    Row {
        name: "callout",
        backend: "callout:corp",
        setup: with("callout:corp", &upstream(), &more),
        accepted: says(200, || pools().with("X-Api-Key", "good")),
        not_mine: basic_is_not_mine(),
        rejected: says(401, || pools().with("X-Api-Key", "bad")),
        throttled: Never("the service counts for itself: its 429 is an outage with its Retry-After"),
        unavailable: without(relay, service, 503),
    }
}

pub fn default() -> Row {
    let more = minting("anonymous_user = \"viewer\"\nenable_experimental_api = true\n");
    let test = || get("/api/experimental/test");
    Row {
        name: "default",
        backend: "default",
        setup: with("default", &upstream(), &more),
        accepted: says(200, test),
        not_mine: says(401, move || test().basic("admin", "admin-pw")),
        rejected: Never("whoever presents a credential is for others to judge"),
        throttled: NOBODY_GUESSES,
        unavailable: Unavailable::Never("it asks nobody"),
    }
}

pub fn deny_all() -> Row {
    Row {
        name: "deny_all",
        backend: "deny_all",
        setup: with("deny_all", &upstream(), &format!("[api_auth]\njwt_secret = \"{SECRET}\"\n")),
        accepted: Never("it denies all"),
        not_mine: Never("every request is its to deny"),
        rejected: says(403, || pools().bearer(&token::good("admin"))),
        throttled: NOBODY_GUESSES,
        unavailable: Unavailable::Never("it asks nobody"),
    }
}

pub const CUSTOM: &str = "custom";

/// A backend of one's own, in a program of one's own.
pub fn custom() -> Row {
    let asks = |verdict: &'static str| move || pools().with("X-Verdict", verdict);
    let setup = with(CUSTOM, &upstream(), &minting(""));
    // This very program: see [`program`].
    let this = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/bash\n{PROGRAM}=\"$*\" exec {} --exact backends::others::program --nocapture\n",
        this.display()
    );
    let path = setup.home().join("program");
    let setup = setup.file("program", script);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Row {
        name: "registered in Rust",
        backend: CUSTOM,
        setup: setup.program(path),
        accepted: says(200, asks("accepted")),
        not_mine: basic_is_not_mine(),
        rejected: says(401, asks("rejected")),
        throttled: says(429, asks("throttled")),
        unavailable: Unavailable::Of(Box::new(asks("unavailable"))),
    }
}

/// Arguments without white space, for [`program`].
const PROGRAM: &str = "TEST_BACKENDS_PROGRAM";

/// No test: an airgate with [`Obedient`], if it is started as such.
#[test]
fn program() {
    let Ok(arguments) = std::env::var(PROGRAM) else { return };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = airgate::Builder::new().backend(CUSTOM, |_| Ok(Arc::new(Obedient)));
    let arguments = std::iter::once("airgate").chain(arguments.split_whitespace());
    assert_eq!(airgate::cli::main(arguments.map(Into::into), builder), ExitCode::SUCCESS);
}

/// Says what it is told to.
struct Obedient;

#[airgate::async_trait]
impl Backend for Obedient {
    fn name(&self) -> &'static str {
        CUSTOM
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let told = attempt.request.head.headers.get("x-verdict").map(|value| value.as_bytes());
        let (reason, second) = (Reason::Refused, Duration::from_secs(1));
        match told {
            Some(b"accepted") => Verdict::Accepted(Arc::new(Grant::custom(CUSTOM, "viewer"))),
            Some(b"rejected") => {
                Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: false })
            }
            Some(b"throttled") => Verdict::Throttled(second),
            Some(_) => Verdict::Unavailable(Outage { cause: "so it was told".into(), retry_after: second }),
            None => Verdict::NotMine,
        }
    }
}
