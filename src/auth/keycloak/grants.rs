//! Log-ins at the token endpoints, by Keycloak's grants.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::{Held, Renewal};
use crate::auth::basic::check::{Login, PasswordCheck, Source, SourceVerdict};
use crate::auth::cache::{Checked, VerifiedCache};
use crate::auth::jwt::{Refusal, Token, Verifier};
use crate::auth::{Grant, Health, Identity, Onward, Origin, Outage, Reason, Rejection, Verdict, steps};
use crate::ports::keycloak::{self as port, Keycloak, KeycloakError};
use crate::request::Peer;
use crate::secret::Secret;

/// The three grants of the Keycloak provider.
pub struct Grants {
    passwords: PasswordCheck,
    clients: PasswordCheck,
    assertions: Arc<Assertions>,
    cache: Arc<VerifiedCache>,
    runtime: Handle,
}

impl Grants {
    /// `passwords` and `clients` count failures and share one question to Keycloak among those who ask the same at
    /// once; `assertions` are judged on `runtime`, with as many checks under way as `cache` allows.
    pub fn new(
        passwords: PasswordCheck,
        clients: PasswordCheck,
        assertions: Assertions,
        cache: Arc<VerifiedCache>,
        runtime: Handle,
    ) -> Self {
        Self { passwords, clients, assertions: Arc::new(assertions), cache, runtime }
    }

    /// A user's name and password. Begins a session in Keycloak of its own, which it shares with no earlier log-in:
    /// who logs out of one does not log out of the other.
    pub async fn password(&self, login: Login<'_>, peer: &Peer, now: SystemTime) -> Verdict {
        self.passwords.check_anew(login, peer, now).await
    }

    /// A client's id and secret.
    pub async fn client(&self, login: Login<'_>, peer: &Peer, now: SystemTime) -> Verdict {
        match self.clients.check_anew(login, peer, now).await {
            Verdict::Rejected(_) => rejected(Reason::WrongClient),
            other => other,
        }
    }

    /// An access token of the realm's. Not counted as a guess: nobody guesses a signature.
    pub async fn assertion(&self, assertion: Secret, now: SystemTime) -> Verdict {
        let assertions = Arc::clone(&self.assertions);
        let begin =
            || Ok(async move { Checked { verdict: assertions.judge(assertion, now).await, verified: None } });
        self.cache.check_alone(&self.runtime, begin).await
    }
}

/// A source whose refusals all take the same time, and that gives up in time.
pub struct Steady {
    inner: Arc<dyn Source>,
    limit: Duration,
}

impl Steady {
    /// Asks `inner`, which may take this long, for all of its questions together.
    pub fn new(inner: Arc<dyn Source>, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

#[async_trait]
impl Source for Steady {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    async fn check(&self, username: &str, password: &Secret, now: SystemTime) -> SourceVerdict {
        let begun = Instant::now();
        let answer = timeout(self.limit, self.inner.check(username, password, now)).await;
        let verdict = answer.unwrap_or_else(|_| SourceVerdict::Unavailable(late()));
        match &verdict {
            SourceVerdict::Rejected | SourceVerdict::Unknown => steps::refuse(begun).await,
            SourceVerdict::Accepted { .. } | SourceVerdict::Unavailable(_) => {}
        }
        verdict
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

/// Clients that log in for themselves: the configured one, and those on a list of the operator's.
///
/// Another one is refused in the time that a wrong secret takes, and only while Keycloak answers: nothing tells an
/// id that is not on the list from one that is.
pub struct Clients {
    realm: Arc<dyn Keycloak>,
    name: Box<str>,
    configured: Box<str>,
    allowed: Vec<Box<str>>,
    /// Not the secret of the configured client.
    decoy: Secret,
}

impl Clients {
    /// Asks `realm`, which `name` stands for.
    pub fn new(realm: Arc<dyn Keycloak>, name: &str, configured: &str, allowed: &[String]) -> Self {
        Self {
            realm,
            name: format!("clients of {name}, {allowed:?}").into(),
            configured: configured.into(),
            allowed: allowed.iter().map(|id| id.as_str().into()).collect(),
            decoy: Secret::new(uuid::Uuid::new_v4().to_string()),
        }
    }
}

#[async_trait]
impl Source for Clients {
    fn name(&self) -> &'static str {
        "keycloak"
    }

    fn fingerprint(&self) -> &str {
        &self.name
    }

    async fn check(&self, id: &str, secret: &Secret, now: SystemTime) -> SourceVerdict {
        let allowed = *self.configured == *id || self.allowed.iter().any(|client| **client == *id);
        let (asked, shown) = if allowed { (id, secret) } else { (&*self.configured, &self.decoy) };
        let answer = self.realm.grant(port::Grant::ClientCredentials { id: asked, secret: shown }).await;
        let tokens = match answer {
            Ok(tokens) if allowed => tokens,
            Ok(_) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_)) => {
                return SourceVerdict::Rejected;
            }
            Err(KeycloakError::Unavailable { cause, retry_after, .. }) => {
                return SourceVerdict::Unavailable(Outage { cause: cause.into(), retry_after });
            }
        };
        let (user, name) = match (&tokens.user.id, &tokens.user.name) {
            (Some(user), Some(name)) => (user.clone(), name.clone()),
            (Some(_) | None, _) => match self.realm.user_info(&tokens.access).await {
                Ok(info) => (info.id, info.name.unwrap_or_else(|| SERVICE_ACCOUNT.into())),
                Err(error) => return SourceVerdict::Unavailable(outage(error)),
            },
        };
        let renewal = match (tokens.sid, tokens.refresh) {
            (Some(sid), Some(refresh)) => Renewal::Session { sid: sid.into(), refresh },
            (Some(_) | None, _) => Renewal::Client { id: id.into() },
        };
        let name: Arc<str> = name.into();
        let held = Held::granted(user, Arc::clone(&name), tokens.access, (now, tokens.expires_in), renewal);
        let identity = Identity { origin: Origin::Keycloak, name };
        SourceVerdict::Accepted {
            identity,
            onward: Onward::Keycloak(Arc::new(held)),
            expires: None,
            seal: None,
        }
    }
}

/// Access tokens of the realm that clients on a list got elsewhere, as the provider takes them: RS256 by the realm's
/// keys, `iss` the realm, `aud` the configured client, `azp` on the list, and live at userinfo. Beyond the provider
/// `exp` is required.
pub struct Assertions {
    realm: Arc<dyn Keycloak>,
    verifier: Arc<Verifier>,
    federated: Vec<Box<str>>,
    limit: Duration,
}

impl Assertions {
    /// `verifier` holds them to signature, `iss`, `aud` and times. All of it may take as long as `limit`.
    pub fn new(
        realm: Arc<dyn Keycloak>,
        verifier: Arc<Verifier>,
        federated: &[String],
        limit: Duration,
    ) -> Self {
        Self { realm, verifier, federated: federated.iter().map(|id| id.as_str().into()).collect(), limit }
    }

    async fn judge(&self, assertion: Secret, now: SystemTime) -> Verdict {
        let begun = Instant::now();
        let answer = timeout(self.limit, self.look(assertion, now)).await;
        let verdict = answer.unwrap_or_else(|_| Verdict::Unavailable(late()));
        if matches!(verdict, Verdict::Rejected(_)) {
            steps::refuse(begun).await;
        }
        verdict
    }

    async fn look(&self, assertion: Secret, now: SystemTime) -> Verdict {
        let bad = |why| rejected(Reason::WrongAssertion(why));
        let token = match Token::parse(assertion.expose().as_bytes()) {
            Ok(token) => token,
            Err(why) => return bad(why),
        };
        let verified = match self.verifier.judge(&token, now).await {
            Ok(verified) => verified,
            Err(Refusal::Bad(Reason::TokenInvalid(why))) => return bad(why),
            Err(Refusal::Bad(_)) => return bad("expired"),
            Err(Refusal::Unknown(outage)) => return Verdict::Unavailable(outage),
        };
        let Some(claims) = serde_json::from_slice::<Map<String, Value>>(&token.payload).ok() else {
            return bad("payload is not a JSON object");
        };
        // Keycloak itself writes them always, and answers 500 where they are missing.
        if !claims.get("iat").is_some_and(Value::is_number)
            || !claims.get("jti").is_some_and(Value::is_string)
        {
            return bad("iat or jti is missing");
        }
        if !issued_to(&claims).is_some_and(|id| self.federated.iter().any(|client| **client == *id)) {
            return bad("azp is not on the list");
        }
        let info = match self.realm.user_info(&assertion).await {
            Ok(info) => info,
            Err(KeycloakError::Refused(_)) => return bad("not live"),
            Err(error) => return Verdict::Unavailable(outage(error)),
        };
        let name: Arc<str> = info.name.unwrap_or_else(|| SERVICE_ACCOUNT.into()).into();
        let expires = verified.expires;
        let life = expires.and_then(|end| end.duration_since(now).ok()).unwrap_or_default();
        let held = Held::granted(info.id, Arc::clone(&name), assertion, (now, life), Renewal::Never);
        Verdict::Accepted(Arc::new(Grant {
            identity: Identity { origin: Origin::Keycloak, name },
            ambient: false,
            expires,
            onward: Onward::Keycloak(Arc::new(held)),
        }))
    }
}

/// What the provider calls a client of no name.
const SERVICE_ACCOUNT: &str = "service-account";

/// The client that a token was issued to: `azp`, else `client_id`. What is no text is nobody.
fn issued_to(claims: &Map<String, Value>) -> Option<&str> {
    let claim = |name| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.as_str()).filter(|id| !id.is_empty())),
        Some(_) => Err(()),
    };
    match claim("azp") {
        Ok(Some(id)) => Some(id),
        Ok(None) => claim("client_id").ok().flatten(),
        Err(()) => None,
    }
}

fn rejected(reason: Reason) -> Verdict {
    Verdict::Rejected(Rejection { reason, challenge: None, clear_cookie: false })
}

/// When to ask again, where Keycloak does not say.
const RETRY: Duration = Duration::from_secs(5);

fn late() -> Outage {
    Outage { cause: "keycloak: no answer in time".into(), retry_after: RETRY }
}

fn outage(error: KeycloakError) -> Outage {
    match error {
        KeycloakError::Unavailable { cause, retry_after, .. } => Outage { cause: cause.into(), retry_after },
        KeycloakError::Refused(why) | KeycloakError::Client(why) => {
            Outage { cause: format!("keycloak refused its own token: {why}").into(), retry_after: RETRY }
        }
    }
}
