//! Several backends at once: in every order, with every kind of credential.

use serde_json::json;

use crate::support::token::{self, Issuer, SECRET};
use crate::support::upstream::{Closed, answer};
use crate::support::{Airgate, Answer, Ask, Upstream, airflow, get};

/// What one credential is: what the gate says of it, as far as backends take it for theirs.
#[derive(Clone)]
struct Kind {
    name: &'static str,
    /// Puts it into a request.
    put: fn(Ask) -> Ask,
    /// The backends that take it for theirs, and what it is to them.
    to: &'static [(&'static str, Is)],
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Is {
    /// Accepted, as this user.
    Good(&'static str),
    /// Rejected: status and text, if nothing else is said.
    Bad(u16, &'static str),
}
use Is::{Bad, Good};

/// The backends to be mixed in every order, each with its name in this release of Airflow and in earlier ones, and its
/// challenge. A later backend is one more row, and its credentials are rows of [`kinds`].
const BACKENDS: &[(&str, &[&str], Option<&str>)] = &[
    (
        "session",
        &[
            "session",
            "airflow.api.auth.backend.session",
            "airflow.providers.fab.auth_manager.api.auth.backend.session",
        ],
        None,
    ),
    (
        "basic_auth",
        &[
            "basic_auth",
            "airflow.api.auth.backend.basic_auth",
            "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "airflow.auth.managers.fab.api.auth.backend.basic_auth",
            "airflow.contrib.auth.backends.password_auth",
        ],
        Some(r#"Basic realm="Airflow", charset="UTF-8""#),
    ),
    ("jwt", &["jwt"], Some(r#"Bearer realm="Airflow""#)),
    #[cfg(feature = "kerberos")]
    (
        "kerberos_auth",
        &[
            "kerberos_auth",
            "airflow.api.auth.backend.kerberos_auth",
            "airflow.providers.fab.auth_manager.api.auth.backend.kerberos_auth",
            "airflow.auth.managers.fab.api.auth.backend.kerberos_auth",
            "airflow.contrib.auth.backends.kerberos_auth",
        ],
        Some("Negotiate"),
    ),
];

/// The one that stands at another place in each order, so that there are not five times as many.
const CALLOUT: (&str, &[&str], Option<&str>) =
    ("callout:corp", &["callout:corp"], Some(r#"ApiKey realm="corp""#));

/// The orders, each as names to be written, under every name that Airflow has had in turn, and as airgate's own.
fn orders() -> impl Iterator<Item = (Vec<&'static str>, Vec<&'static str>)> {
    permutations(BACKENDS.len()).into_iter().enumerate().map(|(number, order)| {
        let mut backends: Vec<_> = order.into_iter().map(|at| BACKENDS[at]).collect();
        backends.insert(number % (BACKENDS.len() + 1), CALLOUT);
        let written = backends.iter().map(|(_, names, _)| names[number % names.len()]).collect();
        (written, backends.iter().map(|(name, ..)| *name).collect())
    })
}

/// What Kerberos takes, in a module of its own since an airgate may be built without.
#[cfg(feature = "kerberos")]
mod ticket {
    use std::sync::Mutex;

    use super::{Bad, Good, Kind};
    use crate::support::kdc::{REALM, kdc};
    use crate::support::token;

    /// A token that nobody has used: each is good for one request.
    fn fresh() -> String {
        static FRESH: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let mut fresh = FRESH.lock().unwrap();
        if fresh.is_empty() {
            *fresh = kdc().log_in("alice").tokens(&["spnego airflow@localhost"; 60]);
        }
        format!("Negotiate {}", fresh.pop().unwrap())
    }

    pub fn kinds() -> Vec<Kind> {
        vec![
            Kind {
                name: "a ticket",
                put: |ask| ask.with("Authorization", fresh()),
                to: &[("kerberos_auth", Good("alice"))],
            },
            Kind {
                name: "garbage for a ticket",
                put: |ask| ask.with("Authorization", "Negotiate Z2FyYmFnZQ=="),
                to: &[("kerberos_auth", Bad(401, "The Negotiate token is not one of SPNEGO or Kerberos"))],
            },
            Kind {
                name: "a cookie and a ticket",
                put: |ask| {
                    ask.with("Cookie", format!("_token={}", token::good("admin")))
                        .with("Authorization", fresh())
                },
                to: &[("session", Good("admin")), ("kerberos_auth", Good("alice"))],
            },
            Kind {
                name: "a wrong key and a ticket",
                put: |ask| ask.with("X-Api-Key", "bad").with("Authorization", fresh()),
                to: &[("kerberos_auth", Good("alice")), ("callout:corp", super::WRONG)],
            },
        ]
    }

    pub fn config() -> String {
        let keytab = kdc().path("both.keytab");
        format!("[kerberos]\nkeytab = \"{keytab}\"\nlocal_realms = \"{REALM}\"\nreplay_cache = \".\"\n")
    }

    pub fn environment() -> String {
        kdc().path("krb5.conf")
    }
}

#[cfg(not(feature = "kerberos"))]
mod ticket {
    pub fn kinds() -> Vec<super::Kind> {
        Vec::new()
    }

    pub fn config() -> String {
        String::new()
    }

    pub fn environment() -> String {
        String::new()
    }
}

fn expired() -> String {
    let mut claims = token::claims("viewer");
    for claim in ["exp", "iat", "nbf"] {
        claims[claim] = json!(claims[claim].as_u64().unwrap() - 7200);
    }
    token::hs512(SECRET, &claims)
}

const FORBIDDEN: Is = Bad(403, "Invalid JWT token");
const EXPIRED: Is = Bad(401, "Token Expired");
const WRONG: Is = Bad(401, "Invalid credentials");

fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        Kind { name: "nothing", put: |ask| ask, to: &[] },
        Kind {
            name: "a Bearer",
            put: |ask| ask.bearer(&token::good("viewer")),
            to: &[("jwt", Good("viewer"))],
        },
        Kind { name: "an expired Bearer", put: |ask| ask.bearer(&expired()), to: &[("jwt", EXPIRED)] },
        Kind { name: "a garbled Bearer", put: |ask| ask.bearer("x.y.z"), to: &[("jwt", FORBIDDEN)] },
        Kind { name: "Basic", put: |ask| ask.basic("op", "a-password"), to: &[("basic_auth", Good("op"))] },
        Kind { name: "a wrong Basic", put: |ask| ask.basic("op", "wrong"), to: &[("basic_auth", WRONG)] },
        Kind {
            name: "a cookie",
            put: |ask| ask.with("Cookie", format!("_token={}", token::good("admin"))),
            to: &[("session", Good("admin"))],
        },
        Kind {
            name: "a stale cookie",
            put: |ask| ask.with("Cookie", format!("_token={}", expired())),
            to: &[("session", EXPIRED)],
        },
        Kind {
            name: "a key",
            put: |ask| ask.with("X-Api-Key", "good"),
            to: &[("callout:corp", Good("robot"))],
        },
        Kind { name: "a wrong key", put: |ask| ask.with("X-Api-Key", "bad"), to: &[("callout:corp", WRONG)] },
        // Two at once: the order decides.
        Kind {
            name: "a cookie and Basic",
            put: |ask| {
                ask.with("Cookie", format!("_token={}", token::good("admin"))).basic("op", "a-password")
            },
            to: &[("session", Good("admin")), ("basic_auth", Good("op"))],
        },
        Kind {
            name: "a cookie and a Bearer, which goes before it in any order, as in Airflow",
            put: |ask| {
                ask.with("Cookie", format!("_token={}", token::good("admin"))).bearer(&token::good("viewer"))
            },
            to: &[("jwt", Good("viewer"))],
        },
        Kind {
            name: "a key and Basic",
            put: |ask| ask.with("X-Api-Key", "good").basic("op", "a-password"),
            to: &[("callout:corp", Good("robot")), ("basic_auth", Good("op"))],
        },
        Kind {
            name: "a stale cookie and Basic",
            put: |ask| ask.with("Cookie", format!("_token={}", expired())).basic("op", "a-password"),
            to: &[("session", EXPIRED), ("basic_auth", Good("op"))],
        },
        Kind {
            name: "a wrong key and a cookie",
            put: |ask| {
                ask.with("Cookie", format!("_token={}", token::good("admin"))).with("X-Api-Key", "bad")
            },
            to: &[("session", Good("admin")), ("callout:corp", WRONG)],
        },
        // The Authorization header counts before the cookie, whatever the order.
        Kind {
            name: "a stale cookie and a wrong Basic",
            put: |ask| ask.with("Cookie", format!("_token={}", expired())).basic("op", "wrong"),
            to: &[("basic_auth", WRONG), ("session", EXPIRED)],
        },
    ];
    kinds.extend(ticket::kinds());
    kinds
}

/// All orders of the numbers below `n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![vec![]];
    for next in 0..n {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut more = order.clone();
                    more.insert(at, next);
                    more
                })
            })
            .collect();
    }
    orders
}

const POOL: &str = r#"{"name":"a","slots":1,"occupied_slots":0,"running_slots":0,"queued_slots":0,"scheduled_slots":0,
    "open_slots":1,"deferred_slots":0,"include_deferred":false,"description":null,"team_name":null}"#;

/// Of `a-password`.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$2tvAsNCi92HGTGNBoVn3IA$W2Xylfn5AxmMvgJ6LZk1sMc+6t9cw/41SivkmA1SOcQ";

fn config(upstream: &str, service: &str, backends: &[&str], more: &str) -> String {
    format!(
        "[upstream]\nurl = \"{upstream}\"\n[core]\nsimple_auth_manager_users = \"admin:admin, op:op, viewer:viewer, robot:user, alice:user\"\n\
         [basic]\nsources = \"file\"\nusers_file = \"users.htpasswd\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n\
         [lockout]\nattempts = 0\n[callout.corp]\nurl = \"{service}\"\nheaders = \"X-Api-Key\"\n\
         challenge = 'ApiKey realm=\"corp\"'\n[api]\nauth_backends = \"{}\"\n{more}\n{}",
        backends.join(", "),
        ticket::config()
    )
}

fn start(config: String) -> Airgate {
    Airgate::with(config)
        .file("users.htpasswd", format!("op:{HASH}\n"))
        .env("KRB5_CONFIG", &ticket::environment())
        .start()
}

fn service() -> Upstream {
    Upstream::answering(|seen| match seen.header("x-api-key") {
        Some("good") => answer(200, &[("X-Auth-User", "robot")], ""),
        Some(_) | None => answer(401, &[], ""),
    })
}

/// Who the upstream was told it is: the `sub` of the token in the header or the cookie, of which there is one.
#[track_caller]
fn told(upstream: &Upstream, at: &str) -> String {
    let seen = upstream.only();
    let header = seen.header("authorization").map(|header| header.replacen("Bearer ", "", 1));
    let cookie = seen.header("cookie").map(|cookie| cookie.replacen("_token=", "", 1));
    let token = match (header, cookie) {
        (Some(token), None) | (None, Some(token)) => token,
        both => panic!("{at}: {both:?}"),
    };
    token::read(&token)["sub"].as_str().unwrap().to_owned()
}

/// The first of the order that accepts decides; nobody's refusal stops the others.
fn expected(kind: &Kind, order: &[&str]) -> Is {
    let says = |backend: &&str| kind.to.iter().find(|(name, _)| name == backend).map(|(_, is)| *is);
    let good = order.iter().filter_map(says).find(|is| matches!(is, Good(_)));
    let worst =
        kind.to.iter().find(|(name, is)| matches!(is, Bad(..)) && order.contains(name)).map(|(_, is)| *is);
    good.or(worst).unwrap_or(Bad(401, "Not authenticated"))
}

/// Asked for directly, and in the words of Airflow 2.
#[test]
fn every_order_with_every_credential() {
    let upstream = Upstream::answering(|_| answer(200, &[], POOL));
    let service = service();
    for (written, order) in orders() {
        let gate = start(config(&upstream.url(), &service.url(), &written, ""));
        for kind in kinds() {
            let at = format!("{}: {}", written.join(", "), kind.name);
            upstream.forget();
            let answer = gate.send((kind.put)(get("/api/v2/pools/a")));
            match expected(&kind, &order) {
                Good(user) => {
                    assert_eq!(answer.status, 200, "{at}: {}", answer.text());
                    assert_eq!(told(&upstream, &at), user, "{at}");
                    upstream.forget();
                    let translated = gate.send((kind.put)(get("/api/v1/pools/a")));
                    assert_eq!(translated.status, 200, "{at}, translated: {}", translated.text());
                    assert_eq!(told(&upstream, &at), user, "{at}, translated");
                    assert_eq!(
                        translated.header("x-airgate-translated"),
                        Some("GET /api/v2/pools/{pool_name}")
                    );
                }
                Bad(status, detail) => {
                    assert_eq!((answer.status, &*answer.detail()), (status, detail), "{at}");
                    assert!(upstream.seen().is_empty(), "{at}");
                    challenges(&answer, &order, &kind, &at);
                    let browser =
                        gate.send((kind.put)(get("/api/v2/pools/a")).with("Origin", "https://ui.example"));
                    assert_eq!(browser.status, status, "{at}, in a browser");
                    let popup = |c: &&str| c.starts_with("Basic") || c.starts_with("Negotiate");
                    let all = browser.all("www-authenticate");
                    assert!(!all.iter().any(popup), "{at}, in a browser: {all:?}");
                }
            }
        }
    }
}

/// Each backend's challenge, as a header of its own, in the order of the chain.
#[track_caller]
fn challenges(answer: &Answer, order: &[&str], kind: &Kind, at: &str) {
    let challenge = |backend: &&str| {
        let (_, _, challenge) = BACKENDS.iter().chain([&CALLOUT]).find(|(name, ..)| name == backend)?;
        let bad_token =
            kind.to.iter().any(|(name, is)| name == backend && *name == "jwt" && matches!(is, Bad(..)));
        challenge.map(|c| if bad_token { format!("{c}, error=\"invalid_token\"") } else { c.to_owned() })
    };
    let expected: Vec<String> = order.iter().filter_map(challenge).collect();
    assert_eq!(answer.all("www-authenticate"), expected, "{at}");
}

/// A backend that cannot tell is in nobody's way, and where nobody accepts, it is not known that nobody would.
#[test]
fn an_outage_counts_only_where_nobody_accepts() {
    let (upstream, closed) = (Upstream::start(), Closed::port());
    let down = "\n[[jwt.issuers]]\nissuer = \"https://ci.example\"\njwks_url = \"http://127.0.0.1:9/keys\"\n\
                audience = \"a\"\nalgorithms = \"EdDSA\"\nusername_prefix = \"\"\n";
    let foreign =
        Issuer::new("k").token(&json!({"iss": "https://ci.example", "aud": "a", "exp": 9_999_999_999_u64}));
    for (_, order) in orders() {
        let gate = start(config(&upstream.url(), &closed.url(), &order, down));
        let key = || get("/api/v2/pools/a").with("X-Api-Key", "good");
        for (name, ask, status) in [
            ("the service is down", key(), 503),
            ("and the password wrong", key().basic("op", "wrong"), 503),
            ("and the password right", key().basic("op", "a-password"), 200),
            ("and the token good", key().bearer(&token::good("viewer")), 200),
            ("and the cookie good", key().with("Cookie", format!("_token={}", token::good("admin"))), 200),
            ("not its credential", get("/api/v2/pools/a").basic("op", "wrong"), 401),
            ("an issuer is down", get("/api/v2/pools/a").bearer(&foreign), 503),
            ("another token is bad", get("/api/v2/pools/a").bearer("x.y.z"), 403),
        ] {
            let at = format!("{}: {name}", order.join(", "));
            let answer = gate.send(ask);
            assert_eq!(answer.status, status, "{at}: {}", answer.text());
            assert_eq!(answer.header("retry-after").is_some(), status == 503, "{at}");
            assert_eq!(answer.all("www-authenticate").is_empty(), status == 200 || status == 503, "{at}");
        }
    }
}

/// In front of the real Airflow, which says itself who it is that asks.
#[test]
fn airflow_agrees() {
    let airflow = airflow::simple();
    let cfg = airflow.config();
    for backends in ["session, basic_auth, jwt", "jwt, basic_auth, session", "basic_auth, session, jwt"] {
        let config = format!(
            "[gate]\nairflow_cfg = \"{}\"\n[basic]\nsources = [\"file\"]\n[api]\nauth_backends = \"{backends}\"\n",
            cfg.display()
        );
        let gate = Airgate::before(&airflow.url, &config);
        let log_in = |user: &str| {
            let body = json!({"username": user, "password": format!("{user}-pw")});
            crate::support::post("/auth/token").json(body).send(airflow.address()).token()
        };
        let pool = || crate::support::post("/api/v2/pools").json(json!({"name": "", "slots": -7}));
        let cookie = |user: &str| format!("_token={}", log_in(user));
        // A viewer may not, 403; an operator may, and then the body is wrong, 422.
        for (name, ask, status) in [
            ("a viewer's Bearer", pool().bearer(&log_in("viewer")), 403),
            ("an operator's Bearer", pool().bearer(&log_in("op")), 422),
            ("a viewer's password", pool().basic("viewer", "viewer-pw"), 403),
            ("an operator's password", pool().basic("op", "op-pw"), 422),
            ("a viewer's cookie", pool().with("Cookie", cookie("viewer")), 403),
            ("an operator's cookie", pool().with("Cookie", cookie("op")), 422),
            ("nothing", pool(), 401),
        ] {
            let answer = gate.send(ask);
            assert_eq!(answer.status, status, "{backends}: {name}: {}", answer.text());
        }
        let pools = || get("/api/v1/pools?limit=1");
        for (name, ask, status) in [
            ("a viewer's Bearer", pools().bearer(&log_in("viewer")), 200),
            ("a viewer's password", pools().basic("viewer", "viewer-pw"), 200),
            ("a viewer's cookie", pools().with("Cookie", cookie("viewer")), 200),
            ("a wrong password", pools().basic("viewer", "wrong"), 401),
            ("nothing", pools(), 401),
        ] {
            let answer = gate.send(ask);
            assert_eq!(answer.status, status, "{backends}: {name}, translated: {}", answer.text());
        }
    }
}
