//! The backend `jwt`: `Authorization: Bearer` (RFC 6750) with Airflow's own tokens, and those of
//! `[[jwt.issuers]]`.

mod algorithm;
mod cache;
mod claims;
mod jwks;
mod keyset;
mod number;
mod private_key;
mod settings;
mod signer;
mod token;
mod trial;
mod verifier;

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use smallvec::smallvec;

pub use algorithm::{ALGORITHMS, AlgorithmError, algorithm};
pub use jwks::{InvalidJwksSource, JwksSource, JwksStatus, JwksStore};
pub use keyset::{KeySet, KeySetError};
pub use private_key::{KeyFault, KeyFileError, KeyKind, PrivateKey};
pub use settings::{AuthManager, IssuerSettings, Settings, SettingsError, Tokens};
pub use signer::{Principal, SignError, Signer};
pub use token::Token;
pub use trial::KeyTrial;
pub use verifier::{Fault, Refusal, SignedBy, Verified, Verifier};

pub use cache::TokenCache;

use super::credentials::Authorization;
use super::keycloak::Held;
use super::keycloak::bearer::RealmTokens;
use super::{Attempt, Backend, Grant, Health, Identity, Onward, Origin, Reason, Rejection, Verdict};

/// The backend `jwt`.
///
/// A token whose `iss` is that of a foreign issuer is judged by that issuer's verifier alone, every other
/// one by Airflow's. Without any key of Airflow's a token is passed on for the upstream to judge.
pub struct Jwt {
    own: Option<Arc<Verifier>>,
    issuers: Vec<Issuer>,
    realm: Option<RealmTokens>,
    inside: Inside,
    cache: Arc<TokenCache>,
    unverified: Arc<Grant>,
}

/// What Airflow's own tokens have inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// Nothing that ends before they do.
    Nothing,
    /// Keycloak's tokens, by its auth manager.
    Keycloak,
}

struct Issuer {
    name: Arc<str>,
    verifier: Arc<Verifier>,
}

impl Jwt {
    /// Makes the backend from the verifier of Airflow's tokens, if there is a key, and those of foreign
    /// issuers with their `iss`. Of two with the same `iss` the first counts.
    pub fn new(own: Option<Arc<Verifier>>, issuers: Vec<(Arc<str>, Arc<Verifier>)>) -> Self {
        Self {
            own,
            issuers: issuers.into_iter().map(|(name, verifier)| Issuer { name, verifier }).collect(),
            realm: None,
            inside: Inside::Nothing,
            cache: Arc::default(),
            unverified: Arc::new(unverified(false, Onward::Unchanged)),
        }
    }

    /// Likewise with Keycloak: its own tokens, if they are accepted, and what Airflow's have inside.
    #[must_use]
    pub fn with_keycloak(mut self, realm: Option<RealmTokens>, inside: Inside) -> Self {
        (self.realm, self.inside) = (realm, inside);
        self
    }

    /// The realm, if it has issued the token.
    fn realm_of(&self, token: &Token<'_>) -> Option<&RealmTokens> {
        let realm = self.realm.as_ref()?;
        (token.claimed_issuer()? == realm.issuer()).then_some(realm)
    }

    /// Remembers verified tokens here: those of before a reload, where the keys and rules are the same.
    #[must_use]
    pub fn remembering(self, cache: Arc<TokenCache>) -> Self {
        Self { cache, ..self }
    }

    /// Who judges the token, and for whom it vouches. `None`: nobody here can.
    fn choose(&self, token: &Token<'_>) -> Option<(&Arc<Verifier>, Origin)> {
        if !self.issuers.is_empty()
            && let Some(claimed) = token.claimed_issuer()
            && let Some(issuer) = self.issuers.iter().find(|issuer| *issuer.name == *claimed)
        {
            return Some((&issuer.verifier, Origin::Issuer(Arc::clone(&issuer.name))));
        }
        self.own.as_ref().map(|own| (own, Origin::Airflow))
    }
}

#[async_trait]
impl Backend for Jwt {
    fn name(&self) -> &'static str {
        "jwt"
    }

    fn challenge(&self) -> Option<&HeaderValue> {
        Some(&CHALLENGE)
    }

    fn recall(&self, attempt: &Attempt<'_>) -> Option<Verdict> {
        let Authorization::Bearer(token) = attempt.credentials.authorization else {
            return Some(Verdict::NotMine);
        };
        self.cache.get(token, attempt.request.now).map(Verdict::Accepted)
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Verdict {
        let Authorization::Bearer(bytes) = attempt.credentials.authorization else { return Verdict::NotMine };
        let unverified = || Verdict::Accepted(Arc::clone(&self.unverified));
        let token = match Token::parse(bytes) {
            Ok(token) => token,
            Err(_) if self.own.is_none() => return unverified(),
            Err(why) => return rejected(Reason::TokenInvalid(why)),
        };
        if let Some(realm) = self.realm_of(&token) {
            return match realm.judge(bytes, &token, attempt.request.now).await {
                Ok(judged) => {
                    let verified = judged.verified.until(judged.until);
                    self.cache.insert(bytes, realm.verifier(), &verified, &judged.grant);
                    Verdict::Accepted(judged.grant)
                }
                Err(Refusal::Bad(reason)) => rejected(reason),
                Err(Refusal::Unknown(outage)) => Verdict::Unavailable(outage),
            };
        }
        let Some((verifier, origin)) = self.choose(&token) else { return unverified() };
        let verified = match verifier.judge(&token, attempt.request.now).await {
            Ok(verified) => verified,
            Err(Refusal::Bad(reason)) => return rejected(reason),
            Err(Refusal::Unknown(outage)) => return Verdict::Unavailable(outage),
        };
        let known_upstream = origin == Origin::Airflow && verified.signed_by == SignedBy::Current;
        let onward = match (origin == Origin::Airflow, self.inside) {
            (true, Inside::Keycloak) => match Held::inside(&token.payload, known_upstream) {
                Some(held) => Onward::Keycloak(Arc::new(held)),
                None if known_upstream => Onward::Unchanged,
                None => return rejected(Reason::TokenInvalid("no Keycloak token inside")),
            },
            (true, Inside::Nothing) if known_upstream => Onward::Unchanged,
            (true, Inside::Nothing) | (false, _) => Onward::Minted { jti: verified.jti.clone() },
        };
        let grant = Arc::new(Grant {
            identity: Identity { origin, name: Arc::clone(&verified.name) },
            ambient: false,
            expires: verified.expires,
            onward,
        });
        self.cache.insert(bytes, verifier, &verified, &grant);
        Verdict::Accepted(grant)
    }

    /// As bad as the worst source of keys.
    fn health(&self) -> Health {
        let verifiers = self.own.iter().chain(self.issuers.iter().map(|issuer| &issuer.verifier));
        let realm = self.realm.iter().flat_map(|realm| [realm.verifier().health(), realm.health()]);
        verifiers.map(|verifier| verifier.health()).chain(realm).max_by_key(badness).unwrap_or(Health::Up)
    }
}

static CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"Airflow\"");
static INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"Airflow\", error=\"invalid_token\"");

fn rejected(reason: Reason) -> Verdict {
    Verdict::Rejected(Rejection {
        reason,
        challenge: Some(smallvec![INVALID_TOKEN.clone()]),
        clear_cookie: false,
    })
}

/// What a token is good for that nobody here can judge: for the upstream to do so.
pub(in crate::auth) fn unverified(ambient: bool, onward: Onward) -> Grant {
    Grant {
        identity: Identity { origin: Origin::Unverified, name: "unverified".into() },
        ambient,
        expires: None,
        onward,
    }
}

fn badness(health: &Health) -> u8 {
    match health {
        Health::Up => 0,
        Health::Degraded(_) => 1,
        Health::Down(_) => 2,
    }
}

#[cfg(test)]
mod tests;
