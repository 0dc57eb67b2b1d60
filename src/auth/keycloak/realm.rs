//! A realm, and how it fares.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::auth::Health;
use crate::ports::keycloak::{Grant, Keycloak, KeycloakError, Tokens, UserInfo};
use crate::secret::Secret;

/// Keycloak, with a memory of how it fared.
///
/// For a moment after it did not answer it is not asked, so that where it hangs not each request waits. Until it
/// answers again it is asked in the background.
pub struct Realm {
    inner: Arc<dyn Keycloak>,
    /// For log lines: its issuer.
    name: Box<str>,
    trouble: ArcSwapOption<Trouble>,
    runtime: Handle,
    me: Weak<Self>,
}

struct Trouble {
    cause: Box<str>,
    until: Instant,
}

impl Realm {
    /// For how long it is not asked after it did not answer.
    const PAUSE: Duration = Duration::from_secs(1);
    /// How often it is asked whether it is back.
    const PROBES: Duration = Duration::from_secs(2);

    /// Asks `inner`, which `name` stands for in the log. Probes run on `runtime`.
    pub fn new(inner: Arc<dyn Keycloak>, name: &str, runtime: Handle) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            inner,
            name: name.into(),
            trouble: ArcSwapOption::empty(),
            runtime,
            me: me.clone(),
        })
    }

    /// Down while it does not answer.
    pub fn health(&self) -> Health {
        match &*self.trouble.load() {
            None => Health::Up,
            Some(trouble) => Health::Down((*trouble.cause).into()),
        }
    }

    /// What it is told at once who asks too early.
    fn paused(&self) -> Result<(), KeycloakError> {
        let trouble = self.trouble.load();
        match &*trouble {
            Some(trouble) if Instant::now() < trouble.until => Err(KeycloakError::Unavailable {
                cause: trouble.cause.clone().into(),
                retry_after: Self::PROBES,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes note of how a call ended.
    fn note<T>(&self, answer: Result<T, KeycloakError>) -> Result<T, KeycloakError> {
        match &answer {
            Ok(_) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_)) => {
                if self.trouble.swap(None).is_some() {
                    tracing::info!(realm = %self.name, "keycloak is back");
                }
            }
            Err(KeycloakError::Unavailable { cause, .. }) => {
                let until = Instant::now() + Self::PAUSE;
                let trouble = Trouble { cause: cause.as_str().into(), until };
                if self.trouble.swap(Some(Arc::new(trouble))).is_none() {
                    tracing::warn!(realm = %self.name, error = %cause, "keycloak does not answer");
                    self.runtime.spawn(Self::probe(self.me.clone()));
                }
            }
        }
        answer
    }

    /// Asks until it answers.
    async fn probe(me: Weak<Self>) {
        loop {
            sleep(Self::PROBES).await;
            let Some(realm) = me.upgrade() else { return };
            if realm.trouble.load().is_none() {
                return;
            }
            // Nobody's token: that it is refused is an answer.
            let answer = realm.inner.user_info(&Secret::new("airgate")).await;
            let _ = realm.note(answer);
        }
    }
}

#[async_trait]
impl Keycloak for Realm {
    async fn grant(&self, grant: Grant<'_>) -> Result<Tokens, KeycloakError> {
        self.paused()?;
        self.note(self.inner.grant(grant).await)
    }

    async fn user_info(&self, access_token: &Secret) -> Result<UserInfo, KeycloakError> {
        self.paused()?;
        self.note(self.inner.user_info(access_token).await)
    }
}
