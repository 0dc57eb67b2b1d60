//! What Airflow 2.11 answered with `kerberos_auth`, and what the gate answers to the same. Tickets are made
//! anew: those in the record were only good in the second it was made in.

use serde_json::{Value, json};

use super::{keytab, with};
use crate::support::kdc::{REALM, Tickets, kdc};
use crate::support::upstream::answer;
use crate::support::{Airgate, Ask, Upstream, get, token};

struct Row(Value);

impl Row {
    fn variant(&self) -> &str {
        self.0["variant"].as_str().unwrap()
    }

    /// `v1` or `exp`, and the case.
    fn case(&self) -> (&str, &str) {
        self.0["name"].as_str().unwrap().strip_prefix("kerberos.").unwrap().split_once('.').unwrap()
    }

    fn status(&self) -> u64 {
        self.0["response"]["status"].as_u64().unwrap()
    }

    fn challenge(&self) -> Option<&str> {
        self.0["response"]["headers"]["www-authenticate"][0].as_str()
    }

    /// `Authorization` as it was recorded.
    fn authorization(&self) -> Option<&str> {
        let headers = self.0["request"]["headers"].as_array().unwrap();
        headers.iter().find(|header| header[0] == "Authorization")?[1].as_str()
    }
}

/// Where the gate differs on purpose: why, and what it answers.
fn deviation(row: &Row) -> Option<(&'static str, u64)> {
    let bad = [
        "garbage",
        "not-base64",
        "empty-token",
        "scheme-only",
        "basic",
        "ntlm",
        "other-service",
        "other-host",
        "replayed",
    ];
    let good = ["valid-alice", "valid-alice-lowercase", "split-token"];
    match (row.variant(), row.case()) {
        ("kerberos", ("v1", case)) if good.contains(&case) => {
            Some(("the user's rights, not the Public role's", 200))
        }
        ("kerberos", ("exp", case)) if good.contains(&case) => None,
        ("kerberos", (_, "known-principal-no-user")) => None,
        ("kerberos", _) => Some(("nobody has the Public role's rights", 401)),
        (_, (_, "any-scheme-word")) => Some(("the scheme is Negotiate, and no other word", 401)),
        ("session-kerberos-no-public-role", ("exp", case)) if good.contains(&case) => {
            Some(("the chain has more than its first backend there too", 200))
        }
        ("kerberos-basic-no-public-role", ("exp", "basic")) => {
            Some(("the chain has more than its first backend there too", 200))
        }
        (_, ("exp", "known-principal-no-user")) => Some(("who is nobody in Airflow gets nowhere", 403)),
        (_, ("exp", case)) if bad.contains(&case) && row.status() != 401 => {
            Some(("a bad credential is 401 everywhere", 401))
        }
        _ => None,
    }
}

/// The request of a row, with a good ticket where the recorded one was.
fn ask(row: &Row, gate: &Airgate, alice: &Tickets, bob: &Tickets) -> Ask {
    let (api, case) = row.case();
    let bare = get(if api == "v1" { "/api/v2/pools?limit=1" } else { "/api/experimental/test" });
    let own = || alice.token("spnego airflow@localhost");
    let header = match case {
        "valid-alice" => format!("Negotiate {}", own()),
        "valid-alice-lowercase" => format!("negotiate {}", own()),
        "any-scheme-word" => format!("Frob {}", own()),
        "split-token" => {
            let token = own();
            let (first, second) = token.split_at(40);
            format!("Negotiate {first} {second}")
        }
        "known-principal-no-user" => format!("Negotiate {}", bob.token("spnego airflow@localhost")),
        "other-service" | "other-host" => format!("Negotiate {}", alice.token("spnego other@localhost")),
        "replayed" => {
            let header = format!("Negotiate {}", own());
            assert_eq!(gate.send(bare.clone().with("Authorization", &header)).status, 200);
            header
        }
        _ => match row.authorization() {
            Some(header) => header.to_owned(),
            None => return bare,
        },
    };
    bare.with("Authorization", header)
}

#[test]
fn airflow_2_answered_so() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/af2-kerberos.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Row> = text.lines().map(|line| Row(serde_json::from_str(line).unwrap())).collect();
    assert_eq!(rows.len(), 75);
    // With one user of FAB, `admin`, whose password it checks itself.
    let upstream = Upstream::answering(|seen| match seen.target.as_str() {
        "/auth/token" => answer(201, &[], &json!({ "access_token": token::good("admin") }).to_string()),
        _ => answer(200, &[], "{}"),
    });
    let (alice, bob) = (kdc().log_in("alice"), kdc().log_in("bob"));
    let mut deviations = std::collections::BTreeSet::new();
    for (variant, chain) in [
        ("kerberos", "kerberos_auth"),
        ("kerberos-no-public-role", "kerberos_auth"),
        ("session-kerberos-no-public-role", "session, kerberos_auth"),
        ("kerberos-basic-no-public-role", "kerberos_auth, basic_auth"),
    ] {
        let url = upstream.url();
        let config = format!(
            "[upstream]\nurl = \"{url}\"\n[api_auth]\njwt_secret = \"{}\"\n[core]\n\
             simple_auth_manager_users = \"alice@{REALM}:viewer\"\n",
            token::SECRET
        );
        let gate = with(config, kdc(), &keytab("airflow.keytab"))
            .arg(&format!("--set=api.auth_backends={chain}"))
            .arg("--set=api.enable_experimental_api=true")
            .arg("--set=kerberos.local_realms=")
            .start();
        for row in rows.iter().filter(|row| row.variant() == variant) {
            let answer = gate.send(ask(row, &gate, &alice, &bob));
            let name = format!("{variant}: {:?}", row.case());
            let expected = match deviation(row) {
                Some((why, status)) => {
                    assert_ne!(status, row.status(), "{name}: no deviation: {why}");
                    deviations.insert(why);
                    status
                }
                None => row.status(),
            };
            assert_eq!(u64::from(answer.status), expected, "{name}: {}", answer.text());
            // Airflow 2 sent challenges and proofs on its oldest API alone; the gate does so everywhere.
            let said = answer.all("www-authenticate");
            match (expected, row.challenge()) {
                (401, _) => assert!(said.contains(&"Negotiate"), "{name}: {said:?}"),
                (200, Some(proof)) => {
                    assert_eq!(proof, "negotiate <token>", "{name}");
                    assert!(said[0].starts_with("Negotiate o"), "{name}: {said:?}");
                }
                (200 | 403, _) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    assert_eq!(deviations.len(), 6, "{deviations:?}");
}
