//! Every backend and every source of passwords with every verdict: what each says of which credential, also before what
//! it asks is there, while it is gone, and once it is back; and why it never says the others. One without rows does
//! not compile, or fails.

mod others;
mod passwords;

use std::cell::Cell as Counter;
use std::collections::BTreeSet;

use airgate::auth::Reason;
use airgate::auth::chain::Said;
use airgate::config::options;
use airgate::config::resolve::parse;
use airgate::config::settings::{BackendName, BasicSource};
use serde_json::Value;

use crate::support::airgate::Setup;
use crate::support::relay::Relay;
use crate::support::{Airgate, Ask, Upstream, get};

/// One backend, or one source of its: a column for each verdict.
struct Row {
    name: &'static str,
    /// Its label in the log and in the metrics.
    backend: &'static str,
    setup: Setup,
    accepted: Cell,
    not_mine: Cell,
    rejected: Cell,
    throttled: Cell,
    unavailable: Unavailable,
}

enum Cell {
    /// It says so of this, and the answer has this status.
    Says(u16, Box<dyn Fn() -> Ask>),
    /// It does not say so, for this reason.
    Never(&'static str),
}
use Cell::{Never, Says};

enum Unavailable {
    /// Without what it asks, which comes and goes by this, the good credential is 503; it has this status when it was
    /// there at first.
    Without(Box<dyn Fn(bool)>, u16),
    /// Of this credential.
    Of(Box<dyn Fn() -> Ask>),
    /// What it asks does not come and go. When it cannot tell is shown there.
    There(fn()),
    Never(&'static str),
}

/// The rows of a backend.
fn rows(backend: &BackendName) -> Vec<Row> {
    match backend {
        BackendName::Jwt => vec![others::jwt(), others::token_of_keycloak()],
        BackendName::Session => vec![others::session(), others::session_of_airflow_2()],
        BackendName::BasicAuth => {
            let sources = names(&options::BASIC_SOURCES).into_iter();
            sources.flat_map(|source| of_source(parse::basic_source(&source).unwrap())).collect()
        }
        #[cfg(feature = "kerberos")]
        BackendName::KerberosAuth => vec![others::kerberos()],
        #[cfg(not(feature = "kerberos"))]
        BackendName::KerberosAuth => Vec::new(),
        BackendName::Default => vec![others::default()],
        BackendName::DenyAll => vec![others::deny_all()],
        BackendName::Callout(_) => vec![others::callout()],
        BackendName::Custom(_) => vec![others::custom()],
    }
}

/// The rows of a source of passwords.
fn of_source(source: BasicSource) -> Vec<Row> {
    match source {
        BasicSource::Upstream => vec![passwords::airflow(), passwords::airflow_2()],
        BasicSource::File => vec![passwords::file(), passwords::simple()],
        BasicSource::Database => passwords::databases(),
        BasicSource::Ldap => vec![passwords::ldap()],
        BasicSource::Keycloak => vec![passwords::keycloak()],
    }
}

/// What an option may be, in the words of the manual.
fn names(option: &options::Opt) -> BTreeSet<String> {
    let words = option.allowed.split(", or ").next().unwrap().replace(" or ", ", ");
    words.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_backend_with_every_verdict() {
    let mut backends: Vec<BackendName> =
        names(&options::API_AUTH_BACKENDS).iter().filter_map(|name| parse::backend(name).ok()).collect();
    backends.push(BackendName::Custom(others::CUSTOM));
    assert!(backends.len() >= 7, "{backends:?}");
    for row in backends.iter().flat_map(rows) {
        walk(row);
    }
}

fn walk(row: Row) {
    let Row { name, backend, setup, accepted, not_mine, rejected, throttled, unavailable } = row;
    let good = || match &accepted {
        Says(_, ask) => ask(),
        Never(reason) => panic!("{name}: {reason}"),
    };
    let gate = setup.start();
    let comes = |ask: &dyn Fn() -> Ask, status: u16, said: Said| {
        gate.until(&format!("{name}: {status}, {said:?}"), |gate| {
            asked(gate, backend, ask()) == (status, word(said))
        });
    };
    let shows = |cell: &Cell, said: Said| match cell {
        Says(status, ask) => {
            assert_eq!(asked(&gate, backend, ask()), (*status, word(said)), "{name}\n{}", gate.log());
        }
        Never(reason) => assert!(!reason.is_empty(), "{name}"),
    };
    if let Unavailable::Without(comes_and_goes, _) = &unavailable {
        comes(&good, 503, Said::Unavailable);
        comes_and_goes(true);
        comes(&good, 200, Said::Accepted);
    }
    shows(&accepted, Said::Accepted);
    shows(&not_mine, Said::NotMine);
    shows(&rejected, Said::Rejected(Reason::Denied));
    match &throttled {
        Says(..) => shows(&throttled, Said::Throttled),
        // Again and again.
        Never(_) => (0..3).for_each(|_| shows(&rejected, Said::Rejected(Reason::Denied))),
    }
    match unavailable {
        Unavailable::Without(comes_and_goes, status) => {
            comes_and_goes(false);
            comes(&good, status, if status == 200 { Said::Accepted } else { Said::Unavailable });
            comes_and_goes(true);
            comes(&good, 200, Said::Accepted);
        }
        Unavailable::Of(ask) => shows(&Says(503, ask), Said::Unavailable),
        Unavailable::There(test) => {
            let _: fn() = test;
        }
        Unavailable::Never(reason) => assert!(!reason.is_empty(), "{name}"),
    }
}

/// The status, and what the log says that the backend said.
fn asked(gate: &Airgate, backend: &str, ask: Ask) -> (u16, &'static str) {
    thread_local!(static NUMBER: Counter<usize> = const { Counter::new(0) });
    let id = format!("verdict-{}-", NUMBER.replace(NUMBER.get() + 1));
    let status = gate.send(ask.with("X-Request-Id", &id)).status;
    let line: Value = serde_json::from_str(&gate.logs(&format!("\"{id}\""))).unwrap();
    assert_eq!(line["backend"], backend, "{line}");
    let said = line["said"].as_str().unwrap_or_default();
    let words = ["Accepted", "NotMine", "Rejected", "Throttled", "Unavailable"];
    // What is remembered is accepted, too.
    let said = said.replace("Recalled", "Accepted");
    (status, words.into_iter().find(|word| said.starts_with(word)).unwrap_or_else(|| panic!("{line}")))
}

/// Another verdict does not compile without a column.
fn word(said: Said) -> &'static str {
    match said {
        Said::Accepted | Said::Recalled => "Accepted",
        Said::NotMine => "NotMine",
        Said::Rejected(_) => "Rejected",
        Said::Throttled => "Throttled",
        Said::Unavailable => "Unavailable",
    }
}

/// An airgate with this backend alone: lines of `[upstream]`, then more of `[api]` and other sections.
fn with(backend: &str, upstream: &str, more: &str) -> Setup {
    Airgate::with(format!(
        "[upstream]\n{upstream}\n[log]\nlevel = \"info,airgate::auth=debug\"\n[lockout]\nattempts = 1\n[api]\n\
         auth_backends = \"{backend}\"\n{more}"
    ))
}

/// Behind what is decided by airgate alone. Answers everybody.
fn upstream() -> String {
    static UPSTREAM: std::sync::OnceLock<Upstream> = std::sync::OnceLock::new();
    format!("url = \"{}\"", UPSTREAM.get_or_init(Upstream::start).url())
}

/// What is behind a relay, which keeps it.
fn without(relay: Relay, kept: impl Sized + 'static, in_the_middle: u16) -> Unavailable {
    let comes_and_goes = move |is_there| {
        let (relay, _kept) = (&relay, &kept);
        if is_there { relay.open() } else { relay.close() }
    };
    Unavailable::Without(Box::new(comes_and_goes), in_the_middle)
}

fn pools() -> Ask {
    get("/api/v2/pools/a")
}

fn says(status: u16, ask: impl Fn() -> Ask + 'static) -> Cell {
    Says(status, Box::new(ask))
}

/// A credential that is for other backends.
fn basic_is_not_mine() -> Cell {
    says(401, || pools().basic("admin", "admin-pw"))
}
