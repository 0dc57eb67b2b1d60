//! Who was let in by Airflow 2 is let in by airgate in front of Airflow 3, and nobody else.
//!
//! The credentials recorded with Airflow 2 are sent to Airflow 3's API. Only the verdict is compared: the
//! answers are another Airflow's. What is stricter here is named with its reason. What is laxer would be a
//! hole: it is named only where Airflow 2 had other reasons than the credential.

use super::*;

/// What becomes of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    In,
    Out,
}

use Verdict::{In, Out};

/// What Airflow 2 said, what is said here, and of which rows: by name, in every variant or after a variant's.
pub type Difference = (Reason, Verdict, Verdict, &'static [&'static str]);

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
    (WholeChain, Out, In, &["no-public-role-session-basic basic-exp.valid"]),
];

/// The users file knows names as they are written, and no mail addresses.
const FILE: &[Difference] = &[(
    ExactName,
    In,
    Out,
    &["basic.username-uppercase", "basic.username-email", "basic-exp.username-uppercase"],
)];

#[test]
fn passwords_checked_by_fab() {
    let airflow = airflow::fab();
    let gate = Airgate::before(&airflow.url, "auth_manager = \"fab\"\n[lockout]\nattempts = 0\n");
    passwords(&gate, ALWAYS);
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
    self::passwords(&gate, &[ALWAYS, FILE].concat());
}

#[track_caller]
fn passwords(gate: &Airgate, differences: &[Difference]) {
    let mut found = Comparison::new(differences);
    for variant in ["default", "no-public-role", "no-public-role-basic-only", "no-public-role-session-basic"]
    {
        for row in Row::read("af2.jsonl", variant, &["basic", "basic-exp"]) {
            let answer = row.ask_for(gate.address(), PATH).unwrap();
            found.add(variant, &row, &answer);
        }
    }
    found.tell("passwords");
}

/// What Airflow 3 is asked for.
pub const PATH: &str = "/api/v2/pools?limit=1";

/// What was found so far.
pub struct Comparison<'a> {
    differences: &'a [Difference],
    equal: usize,
    on_purpose: BTreeMap<Reason, usize>,
    needed: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub fn new(differences: &'a [Difference]) -> Self {
        let (on_purpose, needed) = (BTreeMap::new(), BTreeSet::new());
        Self { differences, equal: 0, on_purpose, needed, wrong: Vec::new() }
    }

    /// Compares the answer of Airflow 2, which is recorded, with one that came through airgate.
    #[track_caller]
    pub fn add(&mut self, variant: &str, row: &Row, answer: &Answer) {
        let name = format!("{variant} {}", row.name());
        let airflow = match row.status() {
            200 => In,
            // 500 is what the experimental API makes of a scheme without a token.
            401 | 403 | 500 => Out,
            status => panic!("{name}: {status}"),
        };
        let ours = match answer.status {
            200 => In,
            // Left to Airflow, which says that the user has no role.
            403 if answer.detail() == "Forbidden" && answer.header("server") == Some("uvicorn") => In,
            400 | 401 | 403 => Out,
            status => panic!("{name}: {status} {}", answer.text()),
        };
        let is_it = |named: &&&str| **named == row.name() || **named == name;
        let named = self.differences.iter().find_map(|(reason, theirs, expected, rows)| {
            let row = rows.iter().find(is_it).filter(|_| *theirs == airflow)?;
            Some((*reason, *expected, *row))
        });
        match named {
            None if airflow == ours => self.equal += 1,
            Some((reason, expected, row)) if expected == ours => {
                *self.on_purpose.entry(reason).or_default() += 1;
                self.needed.insert(row);
            }
            None | Some(_) => self.wrong.push(format!(
                "{name}: Airflow {airflow:?}, here {ours:?}: {} {}",
                answer.status,
                answer.text()
            )),
        }
    }

    /// Prints the tally. Nothing may be wrong, and nothing named that does not differ.
    #[track_caller]
    pub fn tell(self, what: &str) {
        let Self { differences, equal, on_purpose, needed, wrong } = self;
        let tally =
            format!("verdicts on {what}: {equal} equal; on purpose {on_purpose:?}; {} wrong\n", wrong.len());
        std::io::stderr().write_all(tally.as_bytes()).unwrap();
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        for name in differences.iter().flat_map(|difference| difference.3) {
            assert!(needed.contains(name), "{name} is named, and does not differ");
        }
    }
}
