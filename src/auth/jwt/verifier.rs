//! Deciding whether a token is good.

use std::sync::Arc;
use std::time::SystemTime;

use jsonwebtoken::{Algorithm, DecodingKey};

use super::algorithm::algorithm_name;
use super::claims::{Claims, Lifetime, Rules};
use super::jwks::{Freshness, JwksStore};
use super::token::Token;
use crate::auth::database::revoked::RevokedTokens;
use crate::auth::{Health, Outage, Reason};

/// Verifies tokens of one issuer: Airflow itself, or one of `[[jwt.issuers]]`.
#[derive(Debug)]
pub struct Verifier {
    pub(super) keys: Keys,
    pub(super) rules: Rules,
    /// The tokens that Airflow has revoked, where its database is followed.
    pub(super) revoked: Option<Arc<RevokedTokens>>,
}

/// What signatures are checked with. The algorithm comes from here, never from the token.
pub(super) enum Keys {
    /// Shared secrets, the current one first.
    Secrets { secrets: Vec<DecodingKey>, algorithms: Vec<Algorithm> },
    /// The public half of Airflow's private key.
    Own { kid: Box<str>, key: DecodingKey, algorithms: Vec<Algorithm> },
    /// A set of public keys. Without algorithms each key's own one counts.
    Set { store: Arc<JwksStore>, algorithms: Option<Vec<Algorithm>> },
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secrets { secrets, .. } => write!(f, "{} secrets", secrets.len()),
            Self::Own { kid, .. } => write!(f, "key {kid}"),
            Self::Set { store, .. } => write!(f, "{store:?}"),
        }
    }
}

/// A token that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who it is for: a user name (simple), a user's id (fab), `name` (keycloak), or an issuer's name with
    /// its prefix.
    pub name: Arc<str>,
    /// Its `jti`.
    pub jti: Option<Box<str>>,
    /// Its `exp`, without the leeway. `None` if that is further away than time is counted.
    pub expires: Option<SystemTime>,
    /// Which key it was verified with.
    pub signed_by: SignedBy,
    pub(super) lifetime: Lifetime,
    pub(super) generation: u64,
}

/// Which key a token was verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The current key: the upstream accepts it too.
    Current,
    /// A secret further down in the list, which the upstream need not know any more.
    Former,
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its `exp` has passed: 401.
    Expired,
    /// Anything else: 403. The text says what, for the log.
    Invalid(&'static str),
    /// Its key is not known here. The source of keys may know it by now.
    UnknownKey,
}

/// Why a token is not accepted, after its source of keys was asked too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not good.
    Bad(Reason),
    /// It cannot be told.
    Unknown(Outage),
}

impl Verified {
    /// The same, to be verified again from `time` on.
    #[must_use]
    pub fn until(mut self, time: SystemTime) -> Self {
        self.lifetime = self.lifetime.until(time);
        self
    }
}

impl Verifier {
    /// Verifies a token, exactly as Airflow 3.3 with PyJWT 2.15 does, but for an unknown `role`: 500 there,
    /// invalid here.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn verify(&self, token: &[u8], now: SystemTime) -> Result<Verified, Fault> {
        self.verify_parsed(&Token::parse(token).map_err(Fault::Invalid)?, now)
    }

    /// Verifies a token. If its key is unknown the source of keys is asked, at most every 10 s.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn judge(&self, token: &Token<'_>, now: SystemTime) -> Result<Verified, Refusal> {
        let fault = match self.verify_parsed(token, now) {
            Ok(verified) => return self.unless_revoked(verified),
            Err(fault) => fault,
        };
        let fault = match (fault, &self.keys) {
            (Fault::UnknownKey, Keys::Set { store, .. }) => {
                let freshness = store.freshen().await;
                match (self.verify_parsed(token, now), freshness) {
                    (Ok(verified), _) => return self.unless_revoked(verified),
                    (Err(Fault::UnknownKey), Freshness::Unreachable(cause)) => {
                        let retry_after = store.retry_after();
                        return Err(Refusal::Unknown(Outage { cause, retry_after }));
                    }
                    (Err(fault), Freshness::Fresh | Freshness::Unreachable(_)) => fault,
                }
            }
            (fault, Keys::Set { .. } | Keys::Own { .. } | Keys::Secrets { .. }) => fault,
        };
        Err(Refusal::Bad(match fault {
            Fault::Expired => Reason::TokenExpired,
            Fault::Invalid(why) => Reason::TokenInvalid(why),
            Fault::UnknownKey => Reason::TokenInvalid("unknown kid"),
        }))
    }

    /// Whether Airflow has revoked the token with this `jti`.
    pub fn is_revoked(&self, jti: Option<&str>) -> bool {
        match (&self.revoked, jti) {
            (Some(revoked), Some(jti)) => revoked.contains(jti),
            (Some(_) | None, _) => false,
        }
    }

    /// Airflow answers a revoked token as it does any bad one.
    fn unless_revoked(&self, verified: Verified) -> Result<Verified, Refusal> {
        match self.is_revoked(verified.jti.as_deref()) {
            true => Err(Refusal::Bad(Reason::TokenInvalid("revoked"))),
            false => Ok(verified),
        }
    }

    /// The source of keys, if they are fetched.
    pub fn store(&self) -> Option<&Arc<JwksStore>> {
        match &self.keys {
            Keys::Set { store, .. } => Some(store),
            Keys::Secrets { .. } | Keys::Own { .. } => None,
        }
    }

    /// How its source of keys fares.
    pub fn health(&self) -> Health {
        self.store().map_or(Health::Up, |store| store.health())
    }

    /// Changes with the keys: what was verified before is to be verified again.
    pub(super) fn generation(&self) -> u64 {
        self.store().map_or(0, |store| store.generation())
    }

    pub(super) fn verify_parsed(&self, token: &Token<'_>, now: SystemTime) -> Result<Verified, Fault> {
        let (signed_by, generation) = match &self.keys {
            Keys::Secrets { secrets, algorithms } => {
                let algorithm = allowed(token, algorithms)?;
                let at = secrets.iter().position(|secret| signature_holds(token, secret, algorithm));
                match at.ok_or(WRONG_SIGNATURE)? {
                    0 => (SignedBy::Current, 0),
                    _ => (SignedBy::Former, 0),
                }
            }
            Keys::Own { kid, key, algorithms } => {
                if token.kid.as_deref().ok_or(NO_KID)? != &**kid {
                    return Err(Fault::Invalid("unknown kid"));
                }
                let algorithm = allowed(token, algorithms)?;
                if !signature_holds(token, key, algorithm) {
                    return Err(WRONG_SIGNATURE);
                }
                (SignedBy::Current, 0)
            }
            Keys::Set { store, algorithms } => {
                let kid = token.kid.as_deref().ok_or(NO_KID)?;
                let loaded = store.current().ok_or(Fault::UnknownKey)?;
                let key = loaded.set.key(kid).ok_or(Fault::UnknownKey)?;
                if algorithms.as_ref().is_some_and(|listed| !listed.contains(&key.algorithm)) {
                    return Err(WRONG_ALGORITHM);
                }
                let algorithm = allowed(token, &[key.algorithm])?;
                if !signature_holds(token, &key.verifying, algorithm) {
                    return Err(WRONG_SIGNATURE);
                }
                (SignedBy::Current, loaded.generation)
            }
        };
        let claims: Claims = serde_json::from_slice(&token.payload)
            .map_err(|_| Fault::Invalid("payload is not a JSON object"))?;
        let checked = self.rules.check(&claims, now)?;
        Ok(Verified {
            name: checked.name,
            jti: checked.jti,
            expires: checked.expires,
            signed_by,
            lifetime: checked.lifetime,
            generation,
        })
    }
}

const NO_KID: Fault = Fault::Invalid("kid is missing");
const WRONG_ALGORITHM: Fault = Fault::Invalid("algorithm is not allowed");
const WRONG_SIGNATURE: Fault = Fault::Invalid("wrong signature");

/// The one of the allowed algorithms that the token names.
fn allowed(token: &Token<'_>, algorithms: &[Algorithm]) -> Result<Algorithm, Fault> {
    let named = token.algorithm.as_deref().ok_or(WRONG_ALGORITHM)?;
    algorithms.iter().copied().find(|&algorithm| algorithm_name(algorithm) == named).ok_or(WRONG_ALGORITHM)
}

fn signature_holds(token: &Token<'_>, key: &DecodingKey, algorithm: Algorithm) -> bool {
    jsonwebtoken::crypto::verify(token.signature, token.signed, key, algorithm).unwrap_or(false)
}
