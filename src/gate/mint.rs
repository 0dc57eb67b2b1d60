//! The identity that the upstream is given: a header that it understands, and no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ahash::RandomState;
use http::HeaderValue;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, UnitWeighter};

use crate::auth::database::directory::{Found, UserDirectory};
use crate::auth::jwt::{Principal, SignError, Signer};
use crate::auth::keycloak::Held;
use crate::auth::keycloak::sessions::{Current, Lost, Sessions};
use crate::auth::{Grant, Identity, Onward, Origin, Outage};
use crate::secret::Secret;

/// Longest life of a token that only the gate and the upstream ever see.
const MINTED_FOR: Duration = Duration::from_secs(300);
/// A token is minted anew when less than this is left of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// How many minted tokens are kept. A deployment has fewer users.
const CACHED: usize = 10_000;

/// Who in Airflow a name of an origin is.
#[derive(Clone, Default)]
pub enum Directory {
    /// The simple auth manager's users: a name, its role and teams. No match is nobody, never a
    /// default role.
    Simple(HashMap<Box<str>, Member, RandomState>),
    /// FAB's users: a name, and the id of the one active user who has it in Airflow's database.
    Fab(Arc<UserDirectory>),
    /// Nobody can be looked up: tokens for others than the upstream's own cannot be minted.
    #[default]
    Empty,
}

/// A user of the simple auth manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The role as configured.
    pub role: Box<str>,
    /// The teams; empty without multi-team mode.
    pub teams: Vec<String>,
}

/// How the upstream learns who calls: `[upstream] identity`, `auto` resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A short-lived token signed here.
    Mint,
    /// A token that the upstream itself issued for the client's password.
    Exchange,
    /// The client's own header.
    Passthrough,
}

/// What becomes of a request's `Authorization` and of Airflow's cookies.
#[derive(Clone, PartialEq, Eq)]
pub enum Presented {
    /// `Authorization` stays, Airflow's cookies go.
    Header,
    /// The cookies stay, `Authorization` goes.
    Cookies,
    /// This `Authorization` in place of the client's; Airflow's cookies go.
    Replaced(HeaderValue),
}

/// Why the upstream cannot be told who it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Accepted here, but nobody in Airflow: who, and what lacks the name.
    #[error("{0} is not known to Airflow: {1}")]
    Unknown(String, &'static str),
    /// Accepted here, and a user of Airflow's who is deactivated.
    #[error("{0} is deactivated in Airflow")]
    Inactive(String),
    /// Accepted here, and two in Airflow.
    #[error("{0} is the name of more than one user of Airflow's: they differ in case alone")]
    Several(String),
    /// It cannot be told now who it is in Airflow.
    #[error("{}", .0.cause)]
    Unavailable(Outage),
    /// Its session in Keycloak has ended, or its user is disabled.
    #[error("the session of {0} has ended in Keycloak")]
    Ended(String),
    /// The token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl MintError {
    /// What lacks the user, if that is what is wrong.
    pub fn lacking(&self) -> Option<&'static str> {
        match self {
            Self::Unknown(_, lacks) => Some(lacks),
            Self::Inactive(_) => Some("deactivated in Airflow's database"),
            Self::Several(_) => Some("several users in Airflow's database differ in case alone"),
            Self::Ended(_) | Self::Unavailable(_) | Self::Sign(_) => None,
        }
    }
}

impl Directory {
    /// What it means that a name is not in it.
    fn lacks(&self) -> &'static str {
        match self {
            Self::Simple(_) => "not in [core] simple_auth_manager_users",
            Self::Fab(_) => "no such user in Airflow's database",
            Self::Empty => "no list of Airflow's users is configured",
        }
    }
}

/// Why nobody but the upstream can name a user.
const NO_KEY: &str = "no signing key is configured";

/// Gives accepted credentials the form that the upstream understands.
pub struct Mint {
    mode: Mode,
    signer: Option<Signer>,
    directory: Directory,
    minted: Arc<MintedTokens>,
    /// What keeps Keycloak's tokens alive.
    sessions: Option<Arc<Sessions>>,
    /// Tells what this one made from what another did, which may have had another key.
    maker: Arc<()>,
}

/// Tokens that were minted, each for whom it names.
pub struct MintedTokens(Cache<Whose, Arc<Minted>, UnitWeighter, RandomState>);

impl Default for MintedTokens {
    fn default() -> Self {
        let (hash, lifecycle) = (RandomState::new(), DefaultLifecycle::default());
        Self(Cache::with(CACHED, CACHED as u64, UnitWeighter, hash, lifecycle))
    }
}

/// Whose token it is: of whom, and with which `jti`.
type Whose = (Identity, Option<Box<str>>);

/// The same, to look it up without a copy.
#[derive(Hash)]
struct WhoseRef<'a>(&'a Identity, Option<&'a str>);

impl Equivalent<Whose> for WhoseRef<'_> {
    fn equivalent(&self, (identity, jti): &Whose) -> bool {
        self.0 == identity && self.1 == jti.as_deref()
    }
}

struct Minted {
    /// Whom it names, and as what: by now the name may be another's, or the user may have another role.
    of: Of,
    header: HeaderValue,
    renew: SystemTime,
}

/// Whom a token names.
enum Of {
    Simple {
        role: Box<str>,
        teams: Vec<String>,
    },
    Fab(i64),
    /// With Keycloak's tokens inside, which have a life of their own.
    Keycloak,
}

impl Of {
    fn new(principal: &Principal<'_>) -> Self {
        match principal {
            Principal::Simple { role, teams, .. } => {
                Self::Simple { role: (*role).into(), teams: teams.to_vec() }
            }
            Principal::Fab { id } => Self::Fab(*id),
            Principal::Keycloak { .. } => Self::Keycloak,
        }
    }

    fn is(&self, principal: &Principal<'_>) -> bool {
        match (self, principal) {
            (Self::Simple { role, teams }, Principal::Simple { role: now, teams: today, .. }) => {
                **role == **now && teams[..] == today[..]
            }
            (Self::Fab(user), Principal::Fab { id }) => user == id,
            (Self::Simple { .. } | Self::Fab(_) | Self::Keycloak, _) => false,
        }
    }
}

impl Mint {
    /// Keeps minted tokens here: those of before a reload, where the signing key is the same.
    #[must_use]
    pub fn remembering(self, minted: Arc<MintedTokens>) -> Self {
        Self { minted, ..self }
    }

    /// `signer` is there whenever a signing key is configured.
    pub fn new(mode: Mode, signer: Option<Signer>, directory: Directory) -> Self {
        Self { mode, signer, directory, minted: Arc::default(), sessions: None, maker: Arc::default() }
    }

    /// With Keycloak's sessions, so that tokens go on working when the Keycloak token inside them has ended.
    #[must_use]
    pub fn with_sessions(mut self, sessions: Option<Arc<Sessions>>) -> Self {
        self.sessions = sessions;
        self
    }

    /// Keycloak's sessions, where they are kept.
    pub fn sessions(&self) -> Option<&Sessions> {
        self.sessions.as_deref()
    }

    /// Whether tokens can be issued here, so that `/auth/token` need not ask the upstream.
    pub fn issues(&self) -> bool {
        self.signer.is_some() && self.mode != Mode::Exchange
    }

    /// What the upstream gets for an accepted credential.
    ///
    /// # Errors
    /// The identity is nobody in Airflow, or its token cannot be signed.
    pub async fn present(&self, grant: &Grant, now: SystemTime) -> Result<Presented, MintError> {
        match (&grant.onward, self.mode) {
            (Onward::Cookies, _) => Ok(Presented::Cookies),
            (Onward::Unchanged, _) | (_, Mode::Passthrough) => Ok(Presented::Header),
            (Onward::Issued(header), Mode::Mint | Mode::Exchange) => Ok(Presented::Replaced(header.clone())),
            (Onward::Minted { jti }, Mode::Mint | Mode::Exchange) => {
                self.minted(&grant.identity, jti.as_deref(), now).await.map(Presented::Replaced)
            }
            (Onward::Keycloak(held), Mode::Mint | Mode::Exchange) => {
                self.kept(held, &grant.identity, now).await
            }
        }
    }

    /// A token with a live Keycloak token inside: as it came while the one inside it lives, else with a newer one.
    async fn kept(
        &self,
        held: &Arc<Held>,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Presented, MintError> {
        let current = match &self.sessions {
            Some(sessions) => sessions.current(held, now).await,
            None => Ok(Current::Own),
        };
        let current = current.map_err(|lost| match lost {
            Lost::Ended => MintError::Ended(shown(identity)),
            Lost::Unavailable(outage) => MintError::Unavailable(outage),
        })?;
        let (access, expires, serial) = match &current {
            Current::Own if held.passes => return Ok(Presented::Header),
            Current::Own => (&held.access, held.expires, 0),
            Current::Renewed(live) => (&live.access, live.expires, live.serial),
        };
        if let Some(header) = held.recall(serial, &self.maker, now) {
            return Ok(Presented::Replaced(header));
        }
        let life = expires.duration_since(now).unwrap_or_default().min(MINTED_FOR);
        let principal = Principal::Keycloak { id: &held.user_id, name: &held.name, access, refresh: None };
        let token = self.sign(identity, principal, held.jti.as_deref(), life, now)?;
        let header = bearer(&token)?;
        held.remember(serial, &self.maker, header.clone(), now + (life - RENEW_BEFORE.min(life / 4)));
        Ok(Presented::Replaced(header))
    }

    /// Whether a token is minted for this identity, rather than left to the upstream. With FAB the upstream
    /// alone knows whose password it accepted: the name may have been an e-mail address.
    pub fn knows(&self, identity: &Identity) -> bool {
        match (&identity.origin, &self.directory) {
            (Origin::Unverified, _) | (_, Directory::Empty) => false,
            (_, Directory::Simple(members)) => members.contains_key(&*identity.name),
            (origin, Directory::Fab(_)) => *origin != Origin::Upstream,
        }
    }

    /// A token for a client, from a token endpoint, with its own `jti`.
    ///
    /// # Errors
    /// As [`Mint::present`].
    pub async fn token(&self, grant: &Grant, life: Duration, now: SystemTime) -> Result<Secret, MintError> {
        let identity = &grant.identity;
        let principal = match &grant.onward {
            Onward::Keycloak(held) => held.principal(),
            Onward::Unchanged | Onward::Cookies | Onward::Issued(_) | Onward::Minted { .. } => {
                self.principal(identity, now).await?
            }
        };
        self.sign(identity, principal, None, life, now)
    }

    async fn minted(
        &self,
        identity: &Identity,
        jti: Option<&str>,
        now: SystemTime,
    ) -> Result<HeaderValue, MintError> {
        // Looked up each time, though mostly in memory: a name may be another's by now.
        let principal = self.principal(identity, now).await?;
        let known = self.minted.0.get(&WhoseRef(identity, jti));
        if let Some(minted) = known.filter(|m| now < m.renew && m.of.is(&principal)) {
            return Ok(minted.header.clone());
        }
        let of = Of::new(&principal);
        let token = self.sign(identity, principal, jti, MINTED_FOR, now)?;
        let header = bearer(&token)?;
        let renew = now + (MINTED_FOR - RENEW_BEFORE);
        let whose = (identity.clone(), jti.map(Box::from));
        self.minted.0.insert(whose, Arc::new(Minted { of, header: header.clone(), renew }));
        Ok(header)
    }

    fn sign(
        &self,
        identity: &Identity,
        principal: Principal<'_>,
        jti: Option<&str>,
        life: Duration,
        now: SystemTime,
    ) -> Result<Secret, MintError> {
        let signer = self.signer.as_ref().ok_or_else(|| MintError::Unknown(shown(identity), NO_KEY))?;
        Ok(signer.sign(principal, jti, life, now)?)
    }

    /// Who in Airflow an identity is. An identity is origin and name: those that Airflow itself
    /// vouches for, and those that the operator's own files and issuers name, are looked up by name.
    async fn principal<'a>(
        &'a self,
        identity: &'a Identity,
        now: SystemTime,
    ) -> Result<Principal<'a>, MintError> {
        let unknown = || MintError::Unknown(shown(identity), self.directory.lacks());
        match (&identity.origin, &self.directory) {
            (Origin::Unverified, _) | (_, Directory::Empty) => Err(unknown()),
            (
                Origin::Airflow
                | Origin::Upstream
                | Origin::File
                | Origin::Database(_)
                | Origin::Ldap
                | Origin::Keycloak
                | Origin::Anonymous
                | Origin::Issuer(_)
                | Origin::Kerberos
                | Origin::Callout(_)
                | Origin::Custom(_),
                Directory::Simple(members),
            ) => {
                let member = members.get(&*identity.name).ok_or_else(unknown)?;
                Ok(Principal::Simple { name: &identity.name, role: &member.role, teams: &member.teams })
            }
            // Airflow's own token has named the user by the id.
            (Origin::Airflow, Directory::Fab(_)) => {
                Ok(Principal::Fab { id: identity.name.parse().map_err(|_| unknown())? })
            }
            // It was the password of this user.
            (Origin::Database(id), Directory::Fab(_)) => Ok(Principal::Fab { id: id.0 }),
            (
                Origin::Upstream
                | Origin::File
                | Origin::Ldap
                | Origin::Keycloak
                | Origin::Anonymous
                | Origin::Issuer(_)
                | Origin::Kerberos
                | Origin::Callout(_)
                | Origin::Custom(_),
                Directory::Fab(users),
            ) => match users.find(&identity.name, now).await.map_err(MintError::Unavailable)? {
                Found::User(id) => Ok(Principal::Fab { id: id.0 }),
                Found::OtherCase(id) if is_of_any_case(&identity.origin) => Ok(Principal::Fab { id: id.0 }),
                Found::OtherCase(_) => Err(unknown()),
                Found::Nobody => Err(unknown()),
                Found::Inactive => Err(MintError::Inactive(shown(identity))),
                Found::Several => Err(MintError::Several(shown(identity))),
            },
        }
    }
}

/// Whether names are one that differ in case: for people they are, as for FAB. Issuers, realms and programs
/// can have two users of whom that is true, and only one of them may be Airflow's.
fn is_of_any_case(origin: &Origin) -> bool {
    match origin {
        Origin::File | Origin::Ldap | Origin::Anonymous | Origin::Upstream | Origin::Database(_) => true,
        // Its names are people's too, and differ by more than case.
        Origin::Keycloak => true,
        Origin::Airflow
        | Origin::Unverified
        | Origin::Issuer(_)
        | Origin::Kerberos
        | Origin::Callout(_)
        | Origin::Custom(_) => false,
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, SignError> {
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|error| SignError::Key(error.to_string()))?;
    header.set_sensitive(true);
    Ok(header)
}

/// An identity for log lines.
fn shown(identity: &Identity) -> String {
    format!("{}:{}", identity.origin.as_str(), identity.name)
}

#[cfg(test)]
mod tests;
