//! What Airflow 2.11 answered with `kerberos_auth`, and what the gate answers to the same. Tickets are made
//! anew: those in the record were only good in the second it was made in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{keytab, with};
use crate::goldens::parity::{self, Tally};
use crate::goldens::reason::Reason;
use crate::support::kdc::{REALM, Tickets, kdc};
use crate::support::upstream::answer;
use crate::support::{Airgate, Ask, Upstream, get, token};

use Reason::{BadTicket, MissingChallenge, OtherScheme, Proof, PublicRole, Rights, WholeChain};

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

/// Where the gate differs in its status on purpose: why, and what it answers.
fn deviation(row: &Row) -> Option<(Reason, u64)> {
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
        ("kerberos", ("v1", case)) if good.contains(&case) => Some((PublicRole, 200)),
        ("kerberos", ("exp", case)) if good.contains(&case) => None,
        ("kerberos", (_, "known-principal-no-user")) => None,
        ("kerberos", _) => Some((PublicRole, 401)),
        (_, (_, "any-scheme-word")) => Some((OtherScheme, 401)),
        ("session-kerberos-no-public-role", ("exp", case)) if good.contains(&case) => Some((WholeChain, 200)),
        ("kerberos-basic-no-public-role", ("exp", "basic")) => Some((WholeChain, 200)),
        (_, ("exp", "known-principal-no-user")) => Some((Rights, 403)),
        (_, ("exp", case)) if bad.contains(&case) && row.status() != 401 => Some((BadTicket, 401)),
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
        let mut tally = Tally { equal: 0, on_purpose: BTreeMap::new(), wrong: 0, not_replayable: 0 };
        for row in rows.iter().filter(|row| row.variant() == variant) {
            let answer = gate.send(ask(row, &gate, &alice, &bob));
            let name = format!("{variant}: {:?}", row.case());
            let (reason, expected) = match deviation(row) {
                Some((reason, status)) => {
                    assert_ne!(status, row.status(), "{name}: no deviation: {reason:?}");
                    (Some(reason), status)
                }
                None => (None, row.status()),
            };
            assert_eq!(u64::from(answer.status), expected, "{name}: {}", answer.text());
            // Airflow 2 sent challenges and proofs on its oldest API alone; the gate does so everywhere.
            let said = answer.all("www-authenticate");
            let beside = match (expected, row.challenge()) {
                (401, challenge) => {
                    assert!(said.contains(&"Negotiate"), "{name}: {said:?}");
                    challenge.is_none().then_some(MissingChallenge)
                }
                (200, proof) => {
                    assert!(proof.is_none_or(|proof| proof == "negotiate <token>"), "{name}");
                    let proves = said.first().is_some_and(|said| said.starts_with("Negotiate o"));
                    assert_eq!(proves, row.case().1 != "basic", "{name}: {said:?}");
                    (proves && proof.is_none()).then_some(Proof)
                }
                (403, _) => None,
                other => panic!("{name}: {other:?}"),
            };
            match reason.or(beside) {
                Some(reason) => *tally.on_purpose.entry(reason).or_default() += 1,
                None => tally.equal += 1,
            }
        }
        parity::hold(
            "Airflow 2, Kerberos tickets",
            &format!("af2-kerberos {variant}"),
            &["kerberos"],
            &tally,
        );
    }
}
