//! Keycloak's own access tokens as credentials, which Airflow itself does not accept.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{Claims, Held, Realm, Renewal};
use crate::auth::basic::keycloak::Keeps;
use crate::auth::cache::{Checked, Namer, Verified as Known, VerifiedCache};
use crate::auth::jwt::{Refusal, Token, Verified, Verifier};
use crate::auth::lockout::Network;
use crate::auth::{Grant, Health, Identity, Onward, Origin, Outage, Reason, Rejection, Verdict, steps};
use crate::ports::keycloak::{Fault, Keycloak, KeycloakError};
use crate::secret::Secret;

/// Judges access tokens of the realm.
///
/// By signature, `iss`, `aud`, `azp` and `typ`, all of them here: for Airflow the token inside its own is good whoever
/// it was issued for. Then Keycloak is asked whether the session lives and the user is enabled, at most every
/// `cache_ttl`. While it does not answer a token counts for what its signature says, until its end.
pub struct RealmTokens {
    issuer: Box<str>,
    verifier: Arc<Verifier>,
    clients: Vec<Box<str>>,
    realm: Arc<Realm>,
    keeps: Keeps,
    cache: Arc<VerifiedCache>,
    namer: Namer,
    ttl: Duration,
    runtime: Handle,
}

/// What [`RealmTokens`] is made of.
pub struct RealmTokensSettings {
    /// `iss` of the realm's tokens.
    pub issuer: Box<str>,
    /// Verifies signature, `iss`, `exp`, and `aud`, which must be the configured client.
    pub verifier: Arc<Verifier>,
    /// The `azp` that are accepted: the configured client, and those on its lists.
    pub clients: Vec<Box<str>>,
    /// Whether the upstream needs the token.
    pub keeps: Keeps,
    /// How long a token that was live is not asked about again.
    pub ttl: Duration,
}

/// A token that is good.
pub struct Judged {
    /// What was verified.
    pub verified: Verified,
    /// What it is good for.
    pub grant: Arc<Grant>,
    /// Until when this holds.
    pub until: SystemTime,
}

impl RealmTokens {
    /// How long a token counts for what its signature says, when Keycloak did not answer.
    const UNANSWERED: Duration = Duration::from_secs(5);

    /// Asks `realm` on `runtime`, and remembers its answers in `cache`.
    pub fn new(
        settings: RealmTokensSettings,
        realm: Arc<Realm>,
        cache: Arc<VerifiedCache>,
        runtime: Handle,
    ) -> Self {
        let RealmTokensSettings { issuer, verifier, clients, keeps, ttl } = settings;
        let mut purpose = [0; 32];
        let what = format!("keycloak bearer {keeps:?} {issuer}");
        purpose.copy_from_slice(digest(&SHA256, what.as_bytes()).as_ref());
        let namer = cache.namer(&purpose);
        Self { issuer, verifier, clients, realm, keeps, cache, namer, ttl, runtime }
    }

    /// `iss` of the tokens that are judged here.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who verifies them.
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.verifier
    }

    /// Degraded while Keycloak does not answer: what is verified by its keys still is.
    pub fn health(&self) -> Health {
        match self.realm.health() {
            Health::Up => Health::Up,
            Health::Degraded(cause) | Health::Down(cause) => Health::Degraded(cause),
        }
    }

    /// Judges a token, and says until when that holds. Of one that the realm signed for Airflow a refusal does not tell
    /// by its time which check failed: whether the token is live, say.
    ///
    /// # Errors
    /// It is not good, or it cannot be told.
    pub async fn judge(&self, bytes: &[u8], token: &Token<'_>, now: SystemTime) -> Result<Judged, Refusal> {
        let begun = Instant::now();
        let verified = self.verifier.judge(token, now).await?;
        let judged = self.look(bytes, token, verified, now).await;
        if matches!(judged, Err(Refusal::Bad(_))) {
            steps::refuse(begun).await;
        }
        judged
    }

    /// What its signature does not tell.
    async fn look(
        &self,
        bytes: &[u8],
        token: &Token<'_>,
        verified: Verified,
        now: SystemTime,
    ) -> Result<Judged, Refusal> {
        let claims = Claims::read(&token.payload).ok_or_else(|| bad("claims of another type"))?;
        self.check(&claims)?;
        let text = String::from_utf8_lossy(bytes);
        let key = self.namer.key(Network::Local, "", &text);
        let known = || self.cache.get(&key, now, self.ttl).map(|known| Arc::clone(&known.grant));
        let begin = || match known() {
            Some(grant) => Err(Verdict::Accepted(grant)),
            None => Ok(Look {
                realm: Arc::clone(&self.realm),
                keeps: self.keeps,
                access: Secret::new(text.as_ref()),
                claims,
                jti: verified.jti.clone(),
                expires: verified.expires,
                now,
            }
            .ask()),
        };
        match self.cache.share(key, &self.runtime, begin).await {
            Verdict::Accepted(grant) | Verdict::Mutual(grant, _) => {
                let holds = if known().is_some() { self.ttl } else { Self::UNANSWERED.min(self.ttl) };
                Ok(Judged { verified, grant, until: now + holds })
            }
            Verdict::Rejected(rejection) => Err(Refusal::Bad(rejection.reason)),
            Verdict::Unavailable(outage) => Err(Refusal::Unknown(outage)),
            Verdict::NotMine | Verdict::Throttled(_) => Err(bad("not judged")),
        }
    }

    fn check(&self, claims: &Claims) -> Result<(), Refusal> {
        // An ID token has the right audience too, and the same signature.
        if claims.typ.as_deref() != Some("Bearer") {
            return Err(bad("typ is not Bearer"));
        }
        if claims.cnf.is_some() {
            return Err(bad("bound to a key"));
        }
        match claims.azp.as_deref() {
            Some(azp) if self.clients.iter().any(|client| **client == *azp) => Ok(()),
            Some(_) | None => Err(bad("azp is not allowed")),
        }
    }
}

/// One question whether a token is live.
struct Look {
    realm: Arc<Realm>,
    keeps: Keeps,
    access: Secret,
    claims: Claims,
    jti: Option<Box<str>>,
    expires: Option<SystemTime>,
    now: SystemTime,
}

impl Look {
    async fn ask(self) -> Checked {
        match self.realm.user_info(&self.access).await {
            Ok(user) if self.claims.sub.as_ref().is_some_and(|sub| *sub != user.id) => {
                rejected("userinfo names another user")
            }
            Ok(user) => {
                let since = self.now;
                let Some(name) = self.claims.preferred_username.clone().or(user.name) else {
                    return rejected("preferred_username is missing");
                };
                let grant = self.grant(&user.id, name);
                let verified = Known { grant: Arc::clone(&grant), since, source: 0, seal: None };
                Checked { verdict: Verdict::Accepted(grant), verified: Some(verified) }
            }
            Err(KeycloakError::Refused(_)) => rejected("not live"),
            Err(KeycloakError::Unavailable {
                fault: Fault::NoAnswer | Fault::ServerError, cause, ..
            }) => match (self.claims.sub.clone(), self.claims.preferred_username.clone()) {
                (Some(id), Some(name)) => {
                    Checked { verdict: Verdict::Accepted(self.grant(&id, name)), verified: None }
                }
                (None, _) | (_, None) => unavailable(cause),
            },
            // Keycloak is there, and has not said that the token is live.
            Err(
                KeycloakError::Client(cause) | KeycloakError::Unavailable { fault: Fault::Odd, cause, .. },
            ) => unavailable(cause),
        }
    }

    fn grant(self, id: &str, name: Box<str>) -> Arc<Grant> {
        let name: Arc<str> = name.into();
        let onward = match self.keeps {
            Keeps::Name => Onward::Minted { jti: self.jti },
            Keeps::Tokens => {
                let end = self.claims.expires().unwrap_or(self.now);
                let life = end.duration_since(self.now).unwrap_or_default();
                let held =
                    Held::granted(id, Arc::clone(&name), self.access, (self.now, life), Renewal::Never);
                Onward::Keycloak(Arc::new(held.with_jti(self.jti)))
            }
        };
        let identity = Identity { origin: Origin::Keycloak, name };
        Arc::new(Grant { identity, ambient: false, expires: self.expires, onward })
    }
}

fn bad(why: &'static str) -> Refusal {
    Refusal::Bad(Reason::TokenInvalid(why))
}

fn unavailable(cause: String) -> Checked {
    let outage = Outage { cause: cause.into(), retry_after: RealmTokens::UNANSWERED };
    Checked { verdict: Verdict::Unavailable(outage), verified: None }
}

fn rejected(why: &'static str) -> Checked {
    let rejection = Rejection { reason: Reason::TokenInvalid(why), challenge: None, clear_cookie: false };
    Checked { verdict: Verdict::Rejected(rejection), verified: None }
}
