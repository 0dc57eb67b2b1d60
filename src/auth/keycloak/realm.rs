//! A realm, and how it fares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::auth::Health;
use crate::ports::keycloak::{Endpoint, Fault, Grant, Keycloak, KeycloakError, Tokens, UserInfo};
use crate::secret::Secret;

/// Keycloak, with a memory of how it fared.
///
/// For a moment after it did not answer it is not asked, so that where it hangs not each request waits. How it fares is
/// also asked in the background, whether or not anybody logs in ([`Realm::watch`]). An odd answer stands for itself
/// alone, since a client may have provoked it: what is asked in the background, and soon then, has no client's part in
/// it. That is asked at the same endpoint, until it answers there: that others do says nothing of it.
pub struct Realm {
    inner: Arc<dyn Keycloak>,
    /// For log lines: its issuer.
    name: Box<str>,
    trouble: ArcSwapOption<Trouble>,
    /// Whether log-ins, and questions for a token's user, last ended without a sensible answer.
    token: AtomicBool,
    user_info: AtomicBool,
    /// That it may not be well, and is to be looked at sooner.
    doubted: Arc<Notify>,
}

struct Trouble {
    /// Where it was met.
    at: Endpoint,
    cause: Box<str>,
    /// Until when nobody asks.
    until: Instant,
}

impl Realm {
    /// For how long it is not asked after it did not answer.
    const PAUSE: Duration = Duration::from_secs(1);
    /// How often it is looked at while it is well, and while it is not or may not be.
    const LOOKS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(2));
    /// The longest wait for one look, if `timeout` is not shorter.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Asks `inner`, which `name` stands for in the log.
    pub fn new(inner: Arc<dyn Keycloak>, name: &str) -> Arc<Self> {
        Arc::new(Self {
            inner,
            name: name.into(),
            trouble: ArcSwapOption::empty(),
            token: AtomicBool::new(false),
            user_info: AtomicBool::new(false),
            doubted: Arc::default(),
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
                retry_after: Self::LOOKS.1,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes note of how a client's question ended.
    fn note<T>(&self, at: Endpoint, answer: Result<T, KeycloakError>) -> Result<T, KeycloakError> {
        let answered = !matches!(answer, Err(KeycloakError::Unavailable { .. }));
        if let Some(doubt) = self.doubt(at) {
            doubt.store(!answered, Ordering::Relaxed);
        }
        match &answer {
            Ok(_) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_)) => {
                let is_doubted =
                    [&self.token, &self.user_info].iter().any(|doubt| doubt.load(Ordering::Relaxed));
                let found_by_look =
                    self.trouble.load().as_ref().is_some_and(|trouble| trouble.at == Endpoint::Discovery);
                if !is_doubted && !found_by_look {
                    self.answers();
                }
            }
            Err(KeycloakError::Unavailable { fault: Fault::Odd, .. }) => self.doubted.notify_one(),
            Err(KeycloakError::Unavailable {
                fault: fault @ (Fault::NoAnswer | Fault::ServerError),
                cause,
                ..
            }) => self.fails(at, *fault, cause),
        }
        answer
    }

    fn doubt(&self, at: Endpoint) -> Option<&AtomicBool> {
        match at {
            Endpoint::Discovery => None,
            Endpoint::Token => Some(&self.token),
            Endpoint::UserInfo => Some(&self.user_info),
        }
    }

    fn answers(&self) {
        if self.trouble.swap(None).is_some() {
            tracing::info!(realm = %self.name, "keycloak is back");
        }
    }

    fn fails(&self, at: Endpoint, fault: Fault, cause: &str) {
        let now = Instant::now();
        let until = match fault {
            Fault::NoAnswer => now + Self::PAUSE,
            Fault::ServerError | Fault::Odd => now,
        };
        if self.trouble.swap(Some(Arc::new(Trouble { at, cause: cause.into(), until }))).is_none() {
            tracing::warn!(realm = %self.name, error = %cause, "keycloak does not answer");
        }
        self.doubted.notify_one();
    }

    /// Looks how it fares, now and every few seconds, until the realm is gone.
    pub async fn watch(realm: Weak<Self>) {
        let (well, ill) = Self::LOOKS;
        loop {
            let Some(this) = realm.upgrade() else { return };
            this.look().await;
            let pause = if this.trouble.load().is_none() { well } else { ill };
            let doubted = Arc::clone(&this.doubted);
            drop(this);
            let next = Instant::now() + pause;
            let sooner = tokio::select! {
                () = sleep_until(next) => continue,
                () = doubted.notified() => Instant::now() + ill,
            };
            sleep_until(next.min(sooner)).await;
        }
    }

    async fn look(&self) {
        for at in [Endpoint::Discovery, Endpoint::Token, Endpoint::UserInfo] {
            let doubt = self.doubt(at);
            if doubt.is_some_and(|doubt| !doubt.load(Ordering::Relaxed)) {
                continue;
            }
            match timeout(Self::PATIENCE, self.inner.alive(at)).await {
                Ok(Ok(()) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_))) => {
                    if let Some(doubt) = doubt {
                        doubt.store(false, Ordering::Relaxed);
                    }
                }
                Ok(Err(KeycloakError::Unavailable { fault, cause, .. })) => {
                    return self.fails(at, fault, &cause);
                }
                // Who asks may have more patience.
                Err(_) => return self.fails(at, Fault::ServerError, "keycloak: no answer in time"),
            }
        }
        self.answers();
    }
}

#[async_trait]
impl Keycloak for Realm {
    async fn grant(&self, grant: Grant<'_>) -> Result<Tokens, KeycloakError> {
        self.paused()?;
        self.note(Endpoint::Token, self.inner.grant(grant).await)
    }

    async fn user_info(&self, access_token: &Secret) -> Result<UserInfo, KeycloakError> {
        self.paused()?;
        self.note(Endpoint::UserInfo, self.inner.user_info(access_token).await)
    }

    async fn alive(&self, endpoint: Endpoint) -> Result<(), KeycloakError> {
        self.inner.alive(endpoint).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    /// Answers at the token endpoint, and with the discovery document, as told.
    struct Fake {
        token: Mutex<Option<Fault>>,
        discovery: Mutex<Option<Fault>>,
        /// Whether the latter is not answered at all.
        hangs: AtomicBool,
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
            Self::answer(&self.token)
        }

        async fn user_info(&self, _: &Secret) -> Result<UserInfo, KeycloakError> {
            unreachable!()
        }

        async fn alive(&self, endpoint: Endpoint) -> Result<(), KeycloakError> {
            match endpoint {
                Endpoint::Token => Self::answer(&self.token),
                Endpoint::Discovery if self.hangs.load(Ordering::SeqCst) => std::future::pending().await,
                Endpoint::Discovery => Self::answer(&self.discovery),
                Endpoint::UserInfo => unreachable!("nobody asks for it"),
            }
        }
    }

    const A_TICK: Duration = Duration::from_millis(1);

    fn watched(discovery: Option<Fault>) -> (Arc<Fake>, Arc<Realm>) {
        let fake = Arc::new(Fake {
            token: Mutex::default(),
            discovery: Mutex::new(discovery),
            hangs: AtomicBool::default(),
            asked: AtomicUsize::new(0),
        });
        let realm = Realm::new(fake.clone(), "realm");
        tokio::spawn(Realm::watch(Arc::downgrade(&realm)));
        (fake, realm)
    }

    /// Nobody asks for anything, and it is known at the start, and within seconds later.
    #[tokio::test(start_paused = true)]
    async fn it_is_known_before_anybody_asks() {
        let (well, ill) = Realm::LOOKS;
        for fault in [Fault::NoAnswer, Fault::ServerError, Fault::Odd] {
            let (fake, realm) = watched(Some(fault));
            sleep(A_TICK).await;
            assert_eq!(realm.health(), Health::Down("down".into()), "{fault:?}");
            *fake.discovery.lock().unwrap() = None;
            sleep(ill).await;
            assert_eq!(realm.health(), Health::Up, "{fault:?}");
            *fake.discovery.lock().unwrap() = Some(fault);
            sleep(well).await;
            assert_eq!(realm.health(), Health::Down("down".into()), "{fault:?}");
            *fake.discovery.lock().unwrap() = None;
            sleep(ill).await;
            fake.hangs.store(true, Ordering::SeqCst);
            sleep(well + Realm::PATIENCE).await;
            assert_eq!(realm.health(), Health::Down("keycloak: no answer in time".into()));
            // Who has more patience is not kept from asking.
            let _ = realm.grant(Grant::RefreshToken(&Secret::new("r"))).await;
            assert_eq!(fake.asked.load(Ordering::SeqCst), 1);
        }
    }

    /// What a client's question leaves behind at the token endpoint: whether the next one is asked, how the realm fares
    /// then, and how once the realm itself has been asked.
    #[tokio::test(start_paused = true)]
    async fn what_a_failure_means_for_others() {
        use Fault::{NoAnswer, Odd, ServerError};
        // (name, what clients are answered, then the look there, and for the document, asked, then, later)
        for (name, clients, token, discovery, asked, then, later) in [
            ("refused", None, None, None, true, true, true),
            ("no answer", Some(NoAnswer), Some(NoAnswer), Some(NoAnswer), false, false, false),
            ("no answer, once", Some(NoAnswer), None, None, false, false, true),
            ("no answer there alone", Some(NoAnswer), Some(NoAnswer), None, false, false, false),
            ("a server error", Some(ServerError), Some(ServerError), Some(ServerError), true, false, false),
            ("a server error, once", Some(ServerError), None, None, true, false, true),
            ("a server error there alone", Some(ServerError), Some(ServerError), None, true, false, false),
            ("odd for one", Some(Odd), None, None, true, true, true),
            ("odd for all", Some(Odd), Some(Odd), Some(Odd), true, true, false),
            ("odd for all there alone", Some(Odd), Some(Odd), None, true, true, false),
        ] {
            let (fake, realm) = watched(None);
            sleep(A_TICK).await;
            (*fake.token.lock().unwrap(), *fake.discovery.lock().unwrap()) = (clients, discovery);
            let ask = || async {
                let _ = realm.grant(Grant::RefreshToken(&Secret::new("r"))).await;
            };
            ask().await;
            let is_up = || realm.health() == Health::Up;
            assert_eq!(is_up(), then, "{name}");
            ask().await;
            assert_eq!(fake.asked.load(Ordering::SeqCst) == 2, asked, "{name}");
            *fake.token.lock().unwrap() = token;
            for look in 1..4 {
                sleep(Realm::LOOKS.1 + A_TICK).await;
                assert_eq!(is_up(), later, "{name}, look {look}");
            }
            // and it is noticed when it is well again, though nobody asks
            (*fake.token.lock().unwrap(), *fake.discovery.lock().unwrap()) = (None, None);
            sleep(Realm::LOOKS.1 * 2).await;
            assert!(is_up(), "{name}");
            // each time anew
            (*fake.token.lock().unwrap(), *fake.discovery.lock().unwrap()) = (Some(Odd), Some(Odd));
            ask().await;
            sleep(Realm::LOOKS.1 + A_TICK).await;
            assert!(!is_up(), "{name}");
        }
    }
}
