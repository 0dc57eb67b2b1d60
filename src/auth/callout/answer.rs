//! What a service's answer means.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Callout;
use crate::auth::hearsay::retry_after;
use crate::auth::{Challenges, Reason, Rejection};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx, with a name.
    Accepted {
        /// `X-Auth-User`.
        user: Box<str>,
        /// `X-Auth-Expires`, where there is one.
        expires: Option<SystemTime>,
    },
    /// 401 or 403.
    Rejected(Rejection),
    /// Anything else.
    Unclear {
        /// What is wrong, for the log.
        cause: Arc<str>,
        /// When to ask again.
        retry_after: Duration,
    },
}

/// The longest name, in bytes.
pub const MAX_NAME: usize = 256;
/// How many challenges are passed on, and the longest one in bytes.
pub const MAX_CHALLENGES: (usize, usize) = (8, 1024);

impl Answer {
    /// Reads an answer's head. The body says nothing.
    pub fn read(status: StatusCode, headers: &HeaderMap) -> Self {
        if status.is_success() {
            let read = user(headers).and_then(|user| Ok((user, expires(headers)?)));
            return match read {
                Ok((user, expires)) => Self::Accepted { user, expires },
                Err(fault) => Self::unclear(fault, Callout::RETRY),
            };
        }
        let reason = match status {
            StatusCode::UNAUTHORIZED => Reason::Refused,
            StatusCode::FORBIDDEN => Reason::Forbidden,
            other => {
                let wait = retry_after(headers).unwrap_or(Callout::RETRY);
                return Self::unclear(&format!("answered {}", other.as_u16()), wait);
            }
        };
        let challenge = challenges(headers);
        let challenge = (!challenge.is_empty()).then_some(challenge);
        Self::Rejected(Rejection { reason, challenge, clear_cookie: false })
    }

    pub(super) fn unclear(cause: &str, retry_after: Duration) -> Self {
        Self::Unclear { cause: cause.into(), retry_after }
    }
}

/// The one name. Two would leave open whom the service means, and what a log or a header cannot hold is
/// nobody's name.
fn user(headers: &HeaderMap) -> Result<Box<str>, &'static str> {
    let mut values = headers.get_all("x-auth-user").iter();
    let value = values.next().ok_or("accepted without X-Auth-User")?;
    if values.next().is_some() {
        return Err("accepted with more than one X-Auth-User");
    }
    let name = std::str::from_utf8(value.as_bytes()).map_err(|_| "X-Auth-User is not UTF-8")?.trim();
    match name {
        "" => Err("accepted with an empty X-Auth-User"),
        _ if name.len() > MAX_NAME => Err("X-Auth-User is longer than 256 bytes"),
        _ if name.chars().any(char::is_control) => Err("X-Auth-User has a control character"),
        _ => Ok(name.into()),
    }
}

/// When the credential ends, in seconds since 1970. Optional, so that a token got for the credential lives no
/// longer.
fn expires(headers: &HeaderMap) -> Result<Option<SystemTime>, &'static str> {
    let mut values = headers.get_all("x-auth-expires").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let end = seconds.and_then(|s| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(s)));
    match (end, values.next()) {
        (Some(end), None) => Ok(Some(end)),
        (Some(_) | None, _) => Err("X-Auth-Expires is not one number of seconds since 1970"),
    }
}

/// `WWW-Authenticate`, as many and as long as may be passed on, and of printable ASCII.
fn challenges(headers: &HeaderMap) -> Challenges {
    let (most, longest) = MAX_CHALLENGES;
    let fits = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let printable = |b: &u8| matches!(b, b' '..=b'~');
        !bytes.trim_ascii().is_empty() && bytes.len() <= longest && bytes.iter().all(printable)
    };
    headers.get_all(WWW_AUTHENTICATE).iter().filter(fits).take(most).cloned().collect()
}
