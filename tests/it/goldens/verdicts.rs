//! Who was let in by Airflow 2 is let in by airgate in front of Airflow 3, and nobody else.
//!
//! The credentials recorded with Airflow 2's `basic_auth` are sent to Airflow 3's API. Only the verdict is
//! compared: the answers are another Airflow's. What is stricter here is named with its reason. What is laxer
//! would be a hole, and has no reason but that the whole chain is asked.

use super::*;

/// What becomes of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    In,
    Out,
}

use Verdict::{In, Out};

/// What Airflow 2 said, and what is said here.
type Difference = (Reason, Verdict, Verdict, &'static [&'static str]);

/// For every source of passwords.
const ALWAYS: &[Difference] = &[
    (ControlCharacter, In, Out, &["basic.nul-in-password", "basic-exp.nul-in-password"]),
    (
        PublicRole,
        In,
        Out,
        &[
            "basic-exp.missing",
            "basic-exp.header-empty",
            "basic-exp.proxy-authorization",
            "basic-exp.remote-user",
            "basic-exp.bad-session-cookie",
        ],
    ),
];

/// Where the experimental API of Airflow 2 asked the backend `session` alone.
const FIRST_BACKEND: &[Difference] = &[(WholeChain, Out, In, &["basic-exp.valid"])];

/// The users file knows names as they are written, and no mail addresses.
const FILE: &[Difference] = &[(
    ExactName,
    In,
    Out,
    &["basic.username-uppercase", "basic.username-email", "basic-exp.username-uppercase"],
)];

const VARIANTS: [&str; 4] =
    ["default", "no-public-role", "no-public-role-basic-only", "no-public-role-session-basic"];

#[test]
fn passwords_checked_by_fab() {
    let airflow = airflow::fab();
    let gate = Airgate::before(&airflow.url, "auth_manager = \"fab\"\n[lockout]\nattempts = 0\n");
    compare_verdicts(&gate, ALWAYS);
}

#[test]
fn passwords_checked_by_a_file() {
    let airflow = airflow::simple();
    let passwords = r#"{"admin": "admin-pw", "viewer": "viewer-pw", "user": "user-pw", "uni": "pässwörd✓",
                        "colon": "pa:ss:word", "norole": "norole-pw", "alice@AIRGATE.TEST": "alice-pw"}"#;
    let users = "admin:admin,viewer:viewer,user:user,uni:viewer,colon:viewer,norole:viewer,\
                 alice@AIRGATE.TEST:viewer";
    let gate = Airgate::with(format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n[basic]\nsources = [\"file\"]\n\
         [lockout]\nattempts = 0\n[core]\nsimple_auth_manager_users = \"{users}\"\n\
         simple_auth_manager_passwords_file = \"passwords.json\"\n",
        airflow.url,
        airflow.config().display()
    ))
    .file("passwords.json", passwords)
    .start();
    compare_verdicts(&gate, &[ALWAYS, FILE].concat());
}

#[track_caller]
fn compare_verdicts(gate: &Airgate, differences: &[Difference]) {
    let (mut equal, mut wrong) = (0, Vec::new());
    let mut on_purpose: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for variant in VARIANTS {
        let first = if variant == "no-public-role-session-basic" { FIRST_BACKEND } else { &[] };
        for row in Row::read("af2.jsonl", variant, &["basic", "basic-exp"]) {
            let answer = row.ask_for(gate.address(), "/api/v2/pools?limit=1").unwrap();
            let airflow = match row.status() {
                200 => In,
                401 | 403 => Out,
                status => panic!("{variant} {}: {status}", row.name()),
            };
            let ours = match answer.status {
                200 => In,
                // Left to Airflow, which says that the user has no role.
                403 if answer.detail() == "Forbidden" && answer.header("server") == Some("uvicorn") => In,
                400 | 401 | 403 => Out,
                status => panic!("{variant} {}: {status} {}", row.name(), answer.text()),
            };
            let named = differences
                .iter()
                .chain(first)
                .find(|(_, theirs, _, rows)| *theirs == airflow && rows.contains(&row.name()));
            match named {
                None if airflow == ours => equal += 1,
                Some((reason, theirs, expected, rows)) if (*theirs, *expected) == (airflow, ours) => {
                    *on_purpose.entry(*reason).or_default() += 1;
                    needed.extend(rows.iter().find(|name| **name == row.name()));
                }
                None | Some(_) => wrong.push(format!(
                    "{variant} {}: Airflow {airflow:?}, here {ours:?}: {} {}",
                    row.name(),
                    answer.status,
                    answer.text()
                )),
            }
        }
    }
    let tally = format!("verdicts: {equal} equal; on purpose {on_purpose:?}; {} wrong\n", wrong.len());
    std::io::stderr().write_all(tally.as_bytes()).unwrap();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    for name in differences.iter().chain(FIRST_BACKEND).flat_map(|difference| difference.3) {
        assert!(needed.contains(name), "{name} is named, and does not differ");
    }
}
