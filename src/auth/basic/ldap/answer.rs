//! What a directory's answer to a user's bind means.

use crate::ports::ldap::{Outcome, Policy};

/// What a bind with a user's password says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Name and password belong together, and the account may log in.
    Yes,
    /// They do not, or it may not.
    No(Refusal),
    /// The server cannot tell.
    CannotTell,
}

/// Why a log-in is refused. Its text goes to the log; the client is told that name or password is
/// wrong, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Wrong password, or no such name: directories do not say which.
    #[error("wrong name or password")]
    WrongPassword,
    /// Locked by the password policy, for too many failures say.
    #[error("the account is locked")]
    Locked,
    /// The password has expired.
    #[error("the password has expired")]
    PasswordExpired,
    /// The password must be changed before anything else.
    #[error("the password must be changed first")]
    MustChange,
    /// The account has expired.
    #[error("the account has expired")]
    AccountExpired,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// Not at this hour, not from here.
    #[error("the account may not log in now, or not from here")]
    NotNow,
    /// The server refuses the bind for a reason of its own: it is in its answer.
    #[error("the directory refuses the log-in")]
    Unwilling,
    /// The entry is on another server, which we do not follow.
    #[error("the directory refers to another server, which is not followed")]
    Elsewhere,
    /// The search finds more than one entry, so nobody can tell whose password it is.
    #[error("several entries match, and exactly one must: narrow search or search_filter")]
    Several,
    /// The password is right, but the search finds no entry.
    #[error("the password is right, but search and search_filter find no such entry")]
    NotFound,
    /// The password is right for the name that was bound, and wrong for the entry that was found.
    #[error("the entry that search finds is not the one whose password it is")]
    AnotherEntry,
    /// The entry does not say who it is.
    #[error("the entry has no readable value of uid_field, or several and none of them was given")]
    NoName,
    /// Nobody's name: the directory would take such a bind for an anonymous one.
    #[error("the name is empty")]
    NoBindName,
}

/// Reads the outcome of a bind.
pub fn read(outcome: &Outcome) -> Bound {
    let refusal = match outcome.code {
        0 => match outcome.policy {
            None => return Bound::Yes,
            Some(Policy::Expired | Policy::MustChange) => Refusal::MustChange,
            Some(Policy::Locked) => Refusal::Locked,
            Some(Policy::Other) => Refusal::Unwilling,
        },
        // invalidCredentials
        49 => match outcome.policy {
            Some(Policy::Expired) => Refusal::PasswordExpired,
            Some(Policy::Locked) => Refusal::Locked,
            Some(Policy::MustChange) => Refusal::MustChange,
            Some(Policy::Other) | None => active_directory(&outcome.text).unwrap_or(Refusal::WrongPassword),
        },
        // noSuchObject, invalidDNSyntax, inappropriateAuthentication (the entry has no password)
        32 | 34 | 48 => Refusal::WrongPassword,
        // constraintViolation: how 389 Directory Server says that there were too many failures
        19 => Refusal::Locked,
        // insufficientAccessRights, unwillingToPerform: an account that may not bind
        50 | 53 => Refusal::Unwilling,
        // referral
        10 => Refusal::Elsewhere,
        _ => return Bound::CannotTell,
    };
    Bound::No(refusal)
}

/// Active Directory answers everything with `invalidCredentials`, and says more in its text:
/// `…, comment: AcceptSecurityContext error, data 775, v4563`.
fn active_directory(text: &str) -> Option<Refusal> {
    let (_, rest) = text.split_once("AcceptSecurityContext error, data ")?;
    match rest.split([',', ' ']).next()? {
        "530" | "531" => Some(Refusal::NotNow),
        "532" => Some(Refusal::PasswordExpired),
        "533" => Some(Refusal::Disabled),
        "701" => Some(Refusal::AccountExpired),
        "773" => Some(Refusal::MustChange),
        "775" => Some(Refusal::Locked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes() {
        let data = |code| {
            format!(
                "80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data {code}, v4563"
            )
        };
        let no = Bound::No;
        for (name, code, text, policy, expected) in [
            ("success", 0, String::new(), None, Bound::Yes),
            ("reset", 0, String::new(), Some(Policy::MustChange), no(Refusal::MustChange)),
            ("a last grace", 0, String::new(), Some(Policy::Expired), no(Refusal::MustChange)),
            ("wrong", 49, String::new(), None, no(Refusal::WrongPassword)),
            ("locked", 49, String::new(), Some(Policy::Locked), no(Refusal::Locked)),
            ("expired", 49, String::new(), Some(Policy::Expired), no(Refusal::PasswordExpired)),
            ("Active Directory, wrong", 49, data("52e"), None, no(Refusal::WrongPassword)),
            ("Active Directory, unknown", 49, data("525"), None, no(Refusal::WrongPassword)),
            ("Active Directory, hours", 49, data("530"), None, no(Refusal::NotNow)),
            ("Active Directory, expired", 49, data("532"), None, no(Refusal::PasswordExpired)),
            ("Active Directory, disabled", 49, data("533"), None, no(Refusal::Disabled)),
            ("Active Directory, account", 49, data("701"), None, no(Refusal::AccountExpired)),
            ("Active Directory, reset", 49, data("773"), None, no(Refusal::MustChange)),
            ("Active Directory, locked", 49, data("775"), None, no(Refusal::Locked)),
            ("no such entry", 32, String::new(), None, no(Refusal::WrongPassword)),
            ("no name", 34, String::new(), None, no(Refusal::WrongPassword)),
            ("no password", 48, String::new(), None, no(Refusal::WrongPassword)),
            ("389, locked", 19, "Exceed password retry limit.".into(), None, no(Refusal::Locked)),
            ("389, inactive", 53, "Account inactivated.".into(), None, no(Refusal::Unwilling)),
            ("referral", 10, String::new(), None, no(Refusal::Elsewhere)),
            ("TLS is required", 13, String::new(), None, Bound::CannotTell),
            ("busy", 51, String::new(), None, Bound::CannotTell),
            ("unavailable", 52, String::new(), None, Bound::CannotTell),
            ("unheard of", 4096, String::new(), None, Bound::CannotTell),
        ] {
            assert_eq!(read(&Outcome { code, text: text.into(), policy }), expected, "{name}");
        }
    }
}
