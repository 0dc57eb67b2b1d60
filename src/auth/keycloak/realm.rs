//! A realm, and how it fares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::auth::Health;
use crate::ports::keycloak::{Fault, Grant, Keycloak, KeycloakError, Tokens, UserInfo};
use crate::secret::Secret;

/// Keycloak, with a memory of how it fared.
///
/// For a moment after it did not answer it is not asked, so that where it hangs not each request waits. Until it
/// answers again it is asked in the background. An odd answer stands for itself alone, since a client may have provoked
/// it; how the realm fares is then asked with a question that no client has a part in.
pub struct Realm {
    inner: Arc<dyn Keycloak>,
    /// For log lines: its issuer.
    name: Box<str>,
    trouble: ArcSwapOption<Trouble>,
    /// Whether it is asked in the background.
    probing: AtomicBool,
    runtime: Handle,
    me: Weak<Self>,
}

struct Trouble {
    cause: Box<str>,
    /// Until when nobody asks.
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
            probing: AtomicBool::new(false),
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
                fault: Fault::NoAnswer,
                cause: trouble.cause.clone().into(),
                retry_after: Self::PROBES,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes note of how a client's question ended.
    fn note<T>(&self, answer: Result<T, KeycloakError>) -> Result<T, KeycloakError> {
        match &answer {
            Ok(_) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_)) => self.answers(),
            Err(KeycloakError::Unavailable { fault: Fault::Odd, .. }) => self.look_after(),
            Err(KeycloakError::Unavailable {
                fault: fault @ (Fault::NoAnswer | Fault::ServerError),
                cause,
                ..
            }) => self.fails(*fault, cause),
        }
        answer
    }

    fn answers(&self) {
        if self.trouble.swap(None).is_some() {
            tracing::info!(realm = %self.name, "keycloak is back");
        }
    }

    fn fails(&self, fault: Fault, cause: &str) {
        let now = Instant::now();
        let until = match fault {
            Fault::NoAnswer => now + Self::PAUSE,
            Fault::ServerError | Fault::Odd => now,
        };
        if self.trouble.swap(Some(Arc::new(Trouble { cause: cause.into(), until }))).is_none() {
            tracing::warn!(realm = %self.name, error = %cause, "keycloak does not answer");
        }
        self.look_after();
    }

    /// Asks in the background until it answers, if nobody does.
    fn look_after(&self) {
        if !self.probing.swap(true, Ordering::AcqRel) {
            self.runtime.spawn(Self::probe(self.me.clone()));
        }
    }

    async fn probe(me: Weak<Self>) {
        loop {
            sleep(Self::PROBES).await;
            let Some(realm) = me.upgrade() else { return };
            // Nobody's token: that it is refused is an answer.
            match realm.inner.user_info(&Secret::new("airgate")).await {
                Ok(_) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_)) => {
                    realm.probing.store(false, Ordering::Release);
                    realm.answers();
                    return;
                }
                Err(KeycloakError::Unavailable { fault, cause, .. }) => realm.fails(fault, &cause),
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Answers the clients' questions, and the realm's own, as told.
    struct Fake {
        clients: Mutex<Option<Fault>>,
        own: Mutex<Option<Fault>>,
        asked: AtomicUsize,
    }

    impl Fake {
        fn answer<T>(says: &Mutex<Option<Fault>>) -> Result<T, KeycloakError> {
            Err(match *says.lock().unwrap() {
                None => KeycloakError::Refused("invalid_grant".into()),
                Some(fault) => KeycloakError::Unavailable {
                    fault,
                    cause: "down".into(),
                    retry_after: Duration::from_secs(5),
                },
            })
        }
    }

    #[async_trait]
    impl Keycloak for Fake {
        async fn grant(&self, _: Grant<'_>) -> Result<Tokens, KeycloakError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Self::answer(&self.clients)
        }

        async fn user_info(&self, token: &Secret) -> Result<UserInfo, KeycloakError> {
            assert_eq!(token.expose(), "airgate");
            Self::answer(&self.own)
        }
    }

    /// What one client's question leaves behind: whether the next one is asked, how the realm fares then, and how once
    /// the realm itself has been asked.
    #[tokio::test(start_paused = true)]
    async fn what_a_failure_means_for_others() {
        use Fault::{NoAnswer, Odd, ServerError};
        for (name, clients, own, asked, then, later) in [
            ("refused", None, None, true, true, true),
            ("no answer", Some(NoAnswer), Some(NoAnswer), false, false, false),
            ("no answer, once", Some(NoAnswer), None, false, false, true),
            ("a server error", Some(ServerError), Some(ServerError), true, false, false),
            ("a server error, once", Some(ServerError), None, true, false, true),
            ("odd for one", Some(Odd), None, true, true, true),
            ("odd for all", Some(Odd), Some(Odd), true, true, false),
        ] {
            let fake = Arc::new(Fake {
                clients: Mutex::new(clients),
                own: Mutex::new(own),
                asked: AtomicUsize::new(0),
            });
            let realm = Realm::new(fake.clone(), "realm", Handle::current());
            let ask = || async {
                let _ = realm.grant(Grant::RefreshToken(&Secret::new("r"))).await;
            };
            ask().await;
            let is_up = || realm.health() == Health::Up;
            assert_eq!(is_up(), then, "{name}");
            ask().await;
            assert_eq!(fake.asked.load(Ordering::SeqCst) == 2, asked, "{name}");
            sleep(Realm::PROBES + Duration::from_millis(1)).await;
            assert_eq!(is_up(), later, "{name}");
            // and it is noticed when it is well again
            (*fake.clients.lock().unwrap(), *fake.own.lock().unwrap()) = (None, None);
            sleep(Realm::PROBES * 2).await;
            assert!(is_up(), "{name}");
            // each time anew
            (*fake.clients.lock().unwrap(), *fake.own.lock().unwrap()) = (Some(Odd), Some(Odd));
            ask().await;
            sleep(Realm::PROBES + Duration::from_millis(1)).await;
            assert!(!is_up(), "{name}");
        }
    }
}
