//! What a status means.
//!
//! SPNEGO gives minor codes of its own to what Kerberos said, in the order in which they occur, so they
//! mean nothing from one process to the next. The texts are Kerberos's own. They are compared with those
//! that the library itself has for the codes of RFC 4120, never with texts written here, but for those
//! that say more than their code does: which ticket the keytab has no key for.

use std::sync::OnceLock;

use super::super::{Failure, Fault};
use super::ffi::{Functions, GSS_CODE, MECH_CODE};

/// A status of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub major: u32,
    pub minor: u32,
}

const BAD_MECHANISM: u32 = 1 << 16;
const NO_CREDENTIAL: u32 = 7 << 16;
const DEFECTIVE_TOKEN: u32 = 9 << 16;
const DEFECTIVE_CREDENTIAL: u32 = 10 << 16;
const ROUTINE: u32 = 0x00ff_0000;

/// The first code of Kerberos's table: `KRB5KDC_ERR_NONE`.
const KERBEROS: i32 = -1_765_328_384;
/// What a client's token can be, by the codes of RFC 4120, section 7.5.9.
const FAULTS: [(i32, Fault); 9] = [
    (KERBEROS + 31, Fault::WrongKey), // KRB_AP_ERR_BAD_INTEGRITY
    (KERBEROS + 32, Fault::Expired),
    (KERBEROS + 33, Fault::NotYetValid),
    (KERBEROS + 34, Fault::Replayed),
    (KERBEROS + 35, Fault::NoKey), // KRB_AP_ERR_NOT_US
    (KERBEROS + 37, Fault::ClockSkew),
    (KERBEROS + 44, Fault::NoKey),  // KRB_AP_ERR_BADKEYVER
    (KERBEROS + 45, Fault::NoKey),  // KRB_AP_ERR_NOKEY
    (KERBEROS + 144, Fault::NoKey), // KRB5KRB_AP_WRONG_PRINC
];
/// How MIT begins when it tells which ticket has no key in the keytab, and how it goes on where there is a
/// key, but another one.
const NO_KEY: &str = "Request ticket server ";
const OTHER_KEY: &str = "cannot decrypt ticket";

/// Whose ticket was tried with whose key, where one principal alone is used.
fn keys(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("Cannot decrypt ticket for ")?.split_once(" using keytab key for ")
}

/// What can be wrong with files here, whatever the token is.
fn local_errors() -> [i32; 14] {
    use rustix::io::Errno as E;
    [
        E::NOENT,
        E::ACCESS,
        E::PERM,
        E::ROFS,
        E::NOSPC,
        E::DQUOT,
        E::IO,
        E::MFILE,
        E::NFILE,
        E::NOMEM,
        E::NOTDIR,
        E::ISDIR,
        E::NOLCK,
        E::STALE,
    ]
    .map(E::raw_os_error)
}

/// The library's texts.
struct Texts {
    faults: Vec<(String, Fault)>,
    local: Vec<String>,
}

static TEXTS: OnceLock<Texts> = OnceLock::new();

impl Status {
    /// What the library says of it. To be called before anything else on this thread.
    pub fn text(self, functions: &Functions) -> String {
        let major = functions.display_status(self.major, GSS_CODE);
        let minor =
            if self.minor == 0 { Vec::new() } else { functions.display_status(self.minor, MECH_CODE) };
        // The minor text says what, where there is one.
        let text = if minor.is_empty() { major } else { minor };
        String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(512).collect()
    }

    /// Why a token was not accepted.
    pub fn failure(self, functions: &Functions) -> Failure {
        let text = self.text(functions);
        match self.major & ROUTINE {
            // Ours was acquired just before: the token wants a mechanism that there is none for.
            NO_CREDENTIAL | BAD_MECHANISM => return Failure::Bad(Fault::Mechanism, text),
            DEFECTIVE_TOKEN | DEFECTIVE_CREDENTIAL => return Failure::Bad(Fault::Defective, text),
            _other => {}
        }
        let texts = TEXTS.get_or_init(|| {
            let known = |code| String::from_utf8_lossy(&functions.error_message(code)).into_owned();
            Texts {
                faults: FAULTS.iter().map(|(code, fault)| (known(*code), *fault)).collect(),
                local: local_errors().into_iter().map(known).collect(),
            }
        });
        texts.judge(text)
    }
}

impl Texts {
    fn judge(&self, text: String) -> Failure {
        let begins = |known: &str| !known.is_empty() && text.starts_with(known);
        if self.local.iter().any(|known| begins(known)) {
            return Failure::Unable(text);
        }
        let fault = if begins(NO_KEY) {
            if text.contains(OTHER_KEY) { Fault::WrongKey } else { Fault::NoKey }
        } else if let Some((wanted, had)) = keys(&text) {
            if wanted == had { Fault::WrongKey } else { Fault::NoKey }
        } else {
            self.faults.iter().find(|(known, _)| begins(known)).map_or(Fault::Other, |(_, fault)| *fault)
        };
        Failure::Bad(fault, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged() {
        let texts = Texts {
            faults: vec![
                ("Decrypt integrity check failed".into(), Fault::WrongKey),
                ("Ticket expired".into(), Fault::Expired),
                ("Request is a replay".into(), Fault::Replayed),
                // A table that the library does not have.
                (String::new(), Fault::Anonymous),
            ],
            local: vec!["No such file or directory".into(), String::new()],
        };
        let bad = |fault| move |text: String| Failure::Bad(fault, text);
        type Expected = Box<dyn Fn(String) -> Failure>;
        let rows: [(&str, Expected); 9] = [
            ("Ticket expired", Box::new(bad(Fault::Expired))),
            ("Request is a replay", Box::new(bad(Fault::Replayed))),
            ("Decrypt integrity check failed", Box::new(bad(Fault::WrongKey))),
            (
                "Request ticket server airflow/h@R kvno 1 enctype aes256-cts found in keytab but cannot decrypt ticket",
                Box::new(bad(Fault::WrongKey)),
            ),
            (
                "Request ticket server HTTP/h@R not found in keytab (ticket kvno 1)",
                Box::new(bad(Fault::NoKey)),
            ),
            (
                "Cannot decrypt ticket for airflow/h@R using keytab key for HTTP/h@R",
                Box::new(bad(Fault::NoKey)),
            ),
            (
                "Cannot decrypt ticket for HTTP/h@R using keytab key for HTTP/h@R",
                Box::new(bad(Fault::WrongKey)),
            ),
            ("No such file or directory (filename: /var/cache/x)", Box::new(Failure::Unable)),
            ("Token header is malformed or corrupt", Box::new(bad(Fault::Other))),
        ];
        for (text, expected) in rows {
            assert_eq!(texts.judge(text.into()), expected(text.into()), "{text}");
        }
    }
}
