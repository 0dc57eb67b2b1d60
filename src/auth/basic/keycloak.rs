//! The source `keycloak`: the password grant of the configured client.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::check::{Source, SourceVerdict};
use crate::auth::keycloak::{Held, Realm, Renewal};
use crate::auth::{Health, Identity, Onward, Origin, Outage};
use crate::ports::keycloak::{Grant, Keycloak, KeycloakError, Tokens};
use crate::secret::Secret;

/// Has Keycloak check passwords.
///
/// Each check begins a session in Keycloak, which `cache_ttl` keeps few.
pub struct KeycloakPasswords {
    realm: Arc<Realm>,
    /// Which realm and client, so that passwords that one verified are not remembered for another.
    name: Box<str>,
    keeps: Keeps,
}

/// What a log-in's tokens are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The upstream's auth manager is Keycloak's: it needs them.
    Tokens,
    /// The upstream is told the name alone.
    Name,
}

impl KeycloakPasswords {
    /// Asks `realm`, which `name` stands for.
    pub fn new(realm: Arc<Realm>, name: &str, keeps: Keeps) -> Self {
        Self { realm, name: name.into(), keeps }
    }

    async fn user(&self, tokens: &Tokens) -> Result<(Box<str>, Box<str>), KeycloakError> {
        if let (Some(id), Some(name)) = (&tokens.user.id, &tokens.user.name) {
            return Ok((id.clone(), name.clone()));
        }
        let info = self.realm.user_info(&tokens.access).await?;
        let nameless = || KeycloakError::Refused("userinfo has no preferred_username".to_owned());
        Ok((info.id, info.name.ok_or_else(nameless)?))
    }
}

#[async_trait]
impl Source for KeycloakPasswords {
    fn name(&self) -> &'static str {
        "keycloak"
    }

    fn fingerprint(&self) -> &str {
        &self.name
    }

    async fn check(&self, username: &str, password: &Secret, now: SystemTime) -> SourceVerdict {
        let tokens = match self.realm.grant(Grant::Password { username, password }).await {
            Ok(tokens) => tokens,
            Err(error) => return refused(error),
        };
        let (id, name) = match self.user(&tokens).await {
            Ok(user) => user,
            Err(error) => return refused(error),
        };
        let identity = Identity { origin: Origin::Keycloak, name: name.as_ref().into() };
        let onward = match self.keeps {
            Keeps::Name => Onward::Minted { jti: None },
            Keeps::Tokens => {
                let renewal = match (tokens.sid, tokens.refresh) {
                    (Some(sid), Some(refresh)) => Renewal::Session { sid: sid.into(), refresh },
                    (Some(_) | None, _) => Renewal::Never,
                };
                let held = Held::granted(id, name, tokens.access, (now, tokens.expires_in), renewal);
                Onward::Keycloak(Arc::new(held))
            }
        };
        SourceVerdict::Accepted { identity, onward, expires: None, seal: None }
    }

    fn health(&self) -> Health {
        self.realm.health()
    }
}

fn refused(error: KeycloakError) -> SourceVerdict {
    match error {
        KeycloakError::Refused(_) => SourceVerdict::Rejected,
        KeycloakError::Client(cause) => unavailable(&format!("keycloak refuses the client: {cause}"), RETRY),
        KeycloakError::Unavailable { cause, retry_after, .. } => unavailable(&cause, retry_after),
    }
}

const RETRY: Duration = Duration::from_secs(5);

fn unavailable(cause: &str, retry_after: Duration) -> SourceVerdict {
    SourceVerdict::Unavailable(Outage { cause: cause.into(), retry_after })
}
