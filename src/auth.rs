//! Who is calling: credentials, and the backends that judge them.
//!
//! The chain asks each [`Backend`] in turn. A backend answers with a [`Verdict`]; absent, invalid
//! and unavailable are three different things, and nothing turns one into another.

pub mod basic;
pub mod cache;
pub mod callout;
pub mod chain;
pub mod credentials;
pub mod crowd;
pub mod database;
pub mod fixed;
pub mod flights;
mod hearsay;
pub mod jwt;
pub mod kerberos;
pub mod keycloak;
pub mod lockout;
pub mod probe;
pub mod session;
mod steps;
#[cfg(test)]
mod testing;
mod trouble;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::HeaderValue;
use smallvec::SmallVec;

pub use crate::ports::Health;
use crate::ports::database::UserId;
use crate::request::Request;
use credentials::Credentials;

/// A way to authenticate, such as `jwt` or `basic_auth`. One entry of `[api] auth_backends`.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The name in the configuration, in metrics and in logs, e.g. `basic_auth`.
    fn name(&self) -> &'static str;

    /// What this backend would accept, for the `WWW-Authenticate` of a 401 (RFC 9110, section
    /// 11.6.1). `None` for credentials that no challenge asks for, such as cookies.
    fn challenge(&self) -> Option<&HeaderValue> {
        None
    }

    /// A verdict already known, such as a cached one. Tried before [`Backend::authenticate`], so
    /// that a cache hit costs no boxed future.
    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let _ = attempt;
        None
    }

    /// Judges the request's credentials. Must not block: what computes for long or waits goes
    /// through `ports`.
    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict;

    /// How the backend fares, for `/readyz` and the status page.
    fn health(&self) -> Health {
        Health::Up
    }
}

/// One request's try at the chain: sanitised, parsed once.
pub struct Attempt<'a> {
    /// The request itself.
    pub request: &'a Request<'a>,
    /// Its `Authorization` and cookies.
    pub credentials: Credentials<'a>,
    /// Path and query as they are forwarded: what could be read in two ways has been refused, and needless
    /// percent-encoding undone.
    pub target: &'a str,
    /// Which part of the API is asked for: `default` is for the experimental API alone.
    pub scope: Scope,
}

/// The part of the API that a request is for, as far as a backend cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The stable REST API, of any version.
    Api,
    /// `/api/experimental`.
    Experimental,
    /// A token endpoint, when it exchanges a credential for a token.
    Token,
}

/// A backend's answer.
#[must_use]
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The credential is good.
    Accepted(Arc<Grant>),
    /// The credential is good, and its owner wants to know that it was shown to the right party: this
    /// goes into the answer's `WWW-Authenticate` (RFC 4559, section 5). Belongs to this one request, so
    /// it is no part of the grant.
    Mutual(Arc<Grant>, HeaderValue),
    /// No credential of mine: ask the next.
    NotMine,
    /// Mine and bad. The chain goes on, and remembers it.
    Rejected(Rejection),
    /// Too many failures: try again after this time. The credential was not looked at.
    Throttled(Duration),
    /// Mine, but it cannot be told now. The chain goes on, and remembers it.
    Unavailable(Outage),
}

/// What an accepted credential is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who it is.
    pub identity: Identity,
    /// Whether a browser sends this credential by itself (cookie, Basic, Negotiate), so that a
    /// change asked for by a foreign page must be refused.
    pub ambient: bool,
    /// When the credential ends, where it has an end.
    pub expires: Option<SystemTime>,
    /// What the upstream is given.
    pub onward: Onward,
}

impl Grant {
    /// For a backend of one's own, registered under this name: the user that it has found out. As safe as can
    /// be: a credential that a browser may send by itself, without a known end. Airflow gets a token
    /// minted for this user.
    pub fn custom(backend: &'static str, user: &str) -> Self {
        Self::minted(Origin::Custom(backend), user)
    }

    /// Likewise, for whom a callout vouches.
    pub(super) fn callout(backend: &'static str, user: &str) -> Self {
        Self::minted(Origin::Callout(backend), user)
    }

    fn minted(origin: Origin, user: &str) -> Self {
        let identity = Identity { origin, name: user.into() };
        Self { identity, ambient: true, expires: None, onward: Onward::Minted { jti: None } }
    }
}

/// What the upstream is given on behalf of an accepted credential.
#[derive(Clone, PartialEq, Eq)]
pub enum Onward {
    /// The `Authorization` as it came: Airflow's own token, or one that it will judge itself.
    Unchanged,
    /// The cookies as they came: Airflow's own, which it also renews.
    Cookies,
    /// A whole `Authorization` value that the upstream itself issued for this credential.
    Issued(HeaderValue),
    /// A token minted here for the identity, with this `jti`, if the client's token had one, so
    /// that Airflow's revocation still bites.
    Minted {
        /// `jti` of the client's token.
        jti: Option<Box<str>>,
    },
    /// A token with a live Keycloak token of this very user inside, for Keycloak's auth manager.
    Keycloak(Arc<keycloak::Held>),
}

impl fmt::Debug for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "Unchanged",
            Self::Cookies => "Cookies",
            Self::Issued(_) => "Issued(***)",
            Self::Minted { .. } => "Minted",
            Self::Keycloak(_) => "Keycloak",
        })
    }
}

/// Who somebody is: a name, and who vouches for it. Never the name alone, since two origins may
/// know two people by one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Who vouches.
    pub origin: Origin,
    /// The name there.
    pub name: Arc<str>,
}

/// Who vouches for a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Airflow's own token or cookie, verified here.
    Airflow,
    /// Not verified here (no key is configured): only the upstream can tell.
    Unverified,
    /// The upstream's own token endpoint accepted the password.
    Upstream,
    /// The users file.
    File,
    /// The LDAP directory.
    Ldap,
    /// The realm of `[keycloak_auth_manager]`: its password, or its own token.
    Keycloak,
    /// Airflow's metadata database: its user with this id, whose password it was.
    Database(UserId),
    /// `[api] anonymous_user`, by the `default` backend.
    Anonymous,
    /// A foreign issuer of `[[jwt.issuers]]`, by its `iss`.
    Issuer(Arc<str>),
    /// A Kerberos realm, by a ticket for this service.
    Kerberos,
    /// A service of the operator's, by its name in the chain: `callout:NAME`.
    Callout(&'static str),
    /// A backend registered in Rust, by its name.
    Custom(&'static str),
}

impl Origin {
    /// The origin as a word for log lines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Airflow => "airflow",
            Self::Unverified => "unverified",
            Self::Upstream => "upstream",
            Self::File => "file",
            Self::Ldap => "ldap",
            Self::Keycloak => "keycloak",
            Self::Database(_) => "database",
            Self::Anonymous => "anonymous",
            Self::Issuer(_) => "issuer",
            Self::Kerberos => "kerberos",
            Self::Callout(_) => "callout",
            Self::Custom(_) => "custom",
        }
    }
}

/// Values of `WWW-Authenticate`, each a header of its own.
pub type Challenges = SmallVec<[HeaderValue; 1]>;

/// A credential that is there and bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why, for the answer, the log and the metrics.
    pub reason: Reason,
    /// Challenges that say more than [`Backend::challenge`], such as `error="invalid_token"`, and stand
    /// in its place.
    pub challenge: Option<Challenges>,
    /// Whether Airflow's `_token` cookie was at fault: Airflow then clears it, and so do we.
    pub clear_cookie: bool,
}

/// Why a credential was rejected. Decides status and text of the answer, which are Airflow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A token whose `exp` has passed: 401 `Token Expired`.
    TokenExpired,
    /// Any other fault of a token: 403 `Invalid JWT token`. The text says which fault, for the log.
    TokenInvalid(&'static str),
    /// `client_credentials` of a client that is not allowed, or with a wrong secret: 403 `Client credentials
    /// authentication failed`.
    WrongClient,
    /// A Keycloak token that is not exchanged: 403 `Invalid Keycloak assertion`. The text says why, for the log.
    WrongAssertion(&'static str),
    /// Wrong name or password, or an account that may not log in: 401 `Invalid credentials`.
    WrongPassword,
    /// A Kerberos ticket that is not accepted: 401 `Invalid Kerberos ticket`. The text says why, for the
    /// log.
    TicketRefused(&'static str),
    /// `Authorization` that cannot be read as its scheme asks: 401. The text says what is wrong.
    Malformed(&'static str),
    /// `deny_all`: 403 `Forbidden`.
    Denied,
    /// A credential that a backend of the operator's own refuses: 401 `Invalid credentials`.
    Refused,
    /// Somebody whom a backend of the operator's own knows and does not let in: 403 `Forbidden`.
    Forbidden,
}

/// A backend that cannot tell at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What failed, for the log. Never sent to a client.
    pub cause: Arc<str>,
    /// When to try again, for `Retry-After`.
    pub retry_after: Duration,
}
