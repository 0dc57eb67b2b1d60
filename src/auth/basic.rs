//! `basic_auth`: user name and password by RFC 7617.

pub mod check;
pub mod database;
pub mod file;
pub mod hash;
pub mod keycloak;
pub mod ldap;
pub mod probe;
pub mod upstream;
pub mod werkzeug;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::credentials::{Authorization, Credentials};
use super::{Attempt, Backend, Health, Reason, Rejection, Verdict};
use check::{InvalidLogin, Login, PasswordCheck};

/// The backend `basic_auth`. Reads the header, and has the password checked by the sources of
/// `[basic] sources`.
pub struct BasicAuth {
    check: Arc<PasswordCheck>,
    challenge: HeaderValue,
}

impl BasicAuth {
    /// Checks passwords by `check`, which the token endpoints share.
    pub fn new(check: Arc<PasswordCheck>) -> Self {
        // `charset` tells clients that the password is sent in UTF-8 (RFC 7617, section 2.1).
        let challenge = HeaderValue::from_static(r#"Basic realm="Airflow", charset="UTF-8""#);
        Self { check, challenge }
    }
}

#[async_trait]
impl Backend for BasicAuth {
    fn name(&self) -> &'static str {
        "basic_auth"
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        Some(&self.challenge)
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let Authorization::Basic(encoded) = attempt.credentials.authorization else {
            return Some(Verdict::NotMine);
        };
        match Scratch::new().read(encoded) {
            Ok(login) => {
                let grant = self.check.recall(login, attempt.request.peer, attempt.request.now)?;
                Some(Verdict::Accepted(grant))
            }
            Err(malformed) => Some(malformed.verdict()),
        }
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Authorization::Basic(encoded) = attempt.credentials.authorization else {
            return Verdict::NotMine;
        };
        let mut scratch = Scratch::new();
        match scratch.read(encoded) {
            Ok(login) => self.check.check(login, attempt.request.peer, attempt.request.now).await,
            Err(malformed) => malformed.verdict(),
        }
    }

    fn health(&self) -> Health {
        self.check.health()
    }
}

/// Room for decoded credentials: on the heap, so that the password is not copied about, and overwritten when
/// dropped.
#[derive(Default)]
pub struct Scratch(Zeroizing<Vec<u8>>);

/// Why a header cannot be read. Airflow answers all of these as it answers a wrong password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Malformed {
    TooLong,
    NotBase64,
    NotUtf8,
    NoColon,
    EmptyUsername,
    EmptyPassword,
    ControlCharacter,
}

impl Scratch {
    /// The longest `user:password` that is read, in bytes: 4 KiB of base64.
    const MAX: usize = Login::MAX;

    /// Room for one log-in.
    pub fn new() -> Self {
        Self::default()
    }

    /// The log-in in an `Authorization` header, if it is one that can be read.
    pub fn login(&mut self, credentials: &Credentials<'_>) -> Option<Login<'_>> {
        match credentials.authorization {
            Authorization::Basic(encoded) => self.read(encoded).ok(),
            Authorization::Absent
            | Authorization::Bearer(_)
            | Authorization::Negotiate(_)
            | Authorization::Other => None,
        }
    }

    /// Base64 with its padding and nothing else in it, as Airflow 2 took it: neither missing
    /// padding nor white space nor other characters inside. Then UTF-8 alone, as in Airflow 2: in
    /// another encoding the same bytes are another password. The first colon separates: a password
    /// may hold more of them, a user name none.
    fn read(&mut self, encoded: &[u8]) -> Result<Login<'_>, Malformed> {
        if encoded.len() > Self::MAX / 3 * 4 {
            return Err(Malformed::TooLong);
        }
        // All of it at once: a vector that grows leaves what was in it behind.
        self.0 = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
        let length = STANDARD.decode_slice(encoded, &mut self.0).map_err(|_| Malformed::NotBase64)?;
        let text = str::from_utf8(&self.0[..length]).map_err(|_| Malformed::NotUtf8)?;
        let (username, password) = text.split_once(':').ok_or(Malformed::NoColon)?;
        Ok(Login::new(username, password)?)
    }
}

impl From<InvalidLogin> for Malformed {
    fn from(invalid: InvalidLogin) -> Self {
        match invalid {
            InvalidLogin::EmptyUsername => Self::EmptyUsername,
            InvalidLogin::EmptyPassword => Self::EmptyPassword,
            InvalidLogin::ControlCharacter => Self::ControlCharacter,
            InvalidLogin::TooLong => Self::TooLong,
        }
    }
}

impl Malformed {
    fn verdict(self) -> Verdict {
        let text = match self {
            Self::TooLong => "Basic credentials are too long",
            Self::NotBase64 => "Basic credentials are not base64",
            Self::NotUtf8 => "Basic credentials are not UTF-8",
            Self::NoColon => "Basic credentials have no colon",
            Self::EmptyUsername => "Basic credentials have an empty user name",
            Self::EmptyPassword => "Basic credentials have an empty password",
            Self::ControlCharacter => "Basic credentials have a control character",
        };
        Verdict::Rejected(Rejection { reason: Reason::Malformed(text), challenge: None, clear_cookie: false })
    }
}

#[cfg(test)]
mod tests;
