//! What survives a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::cores;
use crate::auth::basic::hash::{HashLoad, HashWorkers};
use crate::auth::cache::{NoRandomness, VerifiedCache};
use crate::auth::crowd::Crowd;
use crate::auth::database::AirflowDatabase;
use crate::auth::jwt::{JwksSource, JwksStatus, JwksStore, KeyTrial, Signer, TokenCache};
use crate::auth::kerberos::KerberosAuth;
use crate::auth::keycloak::Realm;
use crate::auth::keycloak::sessions::Memory;
use crate::auth::lockout::Lockout;
use crate::gate::mint::MintedTokens;
use crate::gate::quota::Spent;
use crate::gate::route::Release;
use crate::ports::HttpClient;
use crate::ports::database::{DatabaseUrl, Pools};
use crate::ports::http::{Client, root_cause};
use crate::ports::keycloak::{self, HttpKeycloak, InvalidKeycloak};
use crate::ports::redis::{self, Redis};
use crate::ports::upstream::{self, Major, Ours, Upstreams};
use crate::proxy::Snapshot;
use crate::registry::Registry;

/// How long keys of Keycloak's are good: a key that was taken away there counts no longer.
const REALM_KEYS: Duration = Duration::from_secs(60);

/// Longest time and largest answer of a fetch of keys.
const FETCH: (Duration, usize) = (Duration::from_secs(10), 1 << 20);

/// What must not be forgotten on a reload: caches, lock-outs, last known good keys, the health of the
/// upstream. Keyed by what it stands for, so that it is taken over only where that is unchanged.
pub struct Kept {
    pub(super) runtime: Handle,
    pub(super) registry: Registry,
    pub(super) cache: Arc<VerifiedCache>,
    pub(super) lockout: Arc<Lockout>,
    /// The passwords that are looked at now.
    pub(super) crowd: Arc<Crowd>,
    pub(super) spent: Arc<Spent>,
    remembered: Mutex<Vec<(Basis, Arc<Remembered>)>>,
    pub(super) workers: Arc<HashWorkers>,
    http: Arc<dyn HttpClient>,
    keys: Mutex<HashMap<KeysOf, KeptKeys>>,
    upstreams: Mutex<Option<Arc<Upstreams>>>,
    /// The last one that was made.
    made: Mutex<Weak<Upstreams>>,
    /// Told when the upstream says that it is another Airflow than the one in force.
    news: Arc<Notify>,
    /// Where this process listens.
    pub ours: Arc<Ours>,
    redis: Mutex<Option<Arc<Redis>>>,
    /// The last one that was made, to be watched once it is in force.
    pub(super) kerberos: Mutex<Weak<KerberosAuth>>,
    database: Mutex<Option<Arc<AirflowDatabase>>>,
    trial: Mutex<Option<Arc<KeyTrial>>>,
    /// What is known of Keycloak's sessions, by client and realm, for as long as somebody uses it.
    sessions: Mutex<HashMap<String, Weak<Memory>>>,
    /// The last one that was made.
    keycloak: Mutex<Weak<HttpKeycloak>>,
}

/// All that the judgement of a token and the signing of one depend on, as a digest: it holds secrets.
pub(super) type Basis = [u8; 32];

/// What is remembered of tokens that were judged and signed on the same basis.
#[derive(Default)]
pub(super) struct Remembered {
    /// Bearer tokens.
    pub verified: Arc<TokenCache>,
    /// Cookies.
    pub sessions: Arc<TokenCache>,
    /// Tokens for Airflow.
    pub minted: Arc<MintedTokens>,
}

/// Where keys come from, and by which client: the address of one that its store keeps alive.
type KeysOf = (JwksSource, usize);

/// A store of keys, and the task that keeps it fresh once it is in use.
struct KeptKeys {
    store: Arc<JwksStore>,
    task: Option<JoinHandle<()>>,
}

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Randomness(#[from] NoRandomness),
    /// The client for key sets cannot be made.
    #[error("cannot make an HTTP client: {}", root_cause(.0))]
    Client(#[from] reqwest::Error),
}

impl Kept {
    /// Nothing yet. Background tasks and hash checks run on `runtime`; `registry` has the backends that are not
    /// airgate's own.
    ///
    /// # Errors
    /// The system lacks what is needed.
    pub fn new(runtime: Handle, registry: Registry) -> Result<Self, KeptError> {
        let (timeout, max) = FETCH;
        Ok(Self {
            cache: Arc::new(VerifiedCache::new(VerifiedCache::CAPACITY)?),
            lockout: Arc::new(Lockout::new()),
            crowd: Arc::default(),
            spent: Arc::default(),
            remembered: Mutex::default(),
            workers: Arc::new(HashWorkers::new(cores())),
            http: Arc::new(Client::new(timeout, max, None)?),
            keys: Mutex::default(),
            upstreams: Mutex::default(),
            made: Mutex::default(),
            news: Arc::default(),
            ours: Arc::default(),
            redis: Mutex::default(),
            kerberos: Mutex::default(),
            registry,
            database: Mutex::default(),
            trial: Mutex::default(),
            sessions: Mutex::default(),
            keycloak: Mutex::default(),
            runtime,
        })
    }

    /// What is remembered of tokens on this basis. That of the last but one is kept as well: a configuration that
    /// is refused in the end leaves it in force.
    pub(super) fn remembered(&self, basis: Basis) -> Arc<Remembered> {
        let mut kept = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| *known == basis).map(|at| kept.remove(at).1);
        let remembered = found.unwrap_or_default();
        kept.insert(0, (basis, remembered.clone()));
        kept.truncate(2);
        remembered
    }

    /// The store of a source of keys: the one there is, else a new one.
    pub(super) fn store(&self, source: &JwksSource) -> Arc<JwksStore> {
        self.store_by(source, &self.http, JwksStore::new)
    }

    /// Likewise of the keys of a realm, which are fetched as the realm itself is asked.
    pub(super) fn realm_keys(&self, source: &JwksSource, keycloak: &HttpKeycloak) -> Arc<JwksStore> {
        self.store_by(source, keycloak.client(), |source, client| {
            JwksStore::refreshed_every(REALM_KEYS, source, client)
        })
    }

    fn store_by(
        &self,
        source: &JwksSource,
        client: &Arc<dyn HttpClient>,
        new: impl FnOnce(JwksSource, Arc<dyn HttpClient>) -> Arc<JwksStore>,
    ) -> Arc<JwksStore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.clone(), Arc::as_ptr(client).cast::<()>().addr());
        let new = || KeptKeys { store: new(source.clone(), client.clone()), task: None };
        keys.entry(key).or_insert_with(new).store.clone()
    }

    /// What is known of the sessions of this client: what there is, else nothing yet.
    pub(super) fn sessions(&self, client: &str) -> Arc<Memory> {
        let mut kept = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, memory| memory.strong_count() > 0);
        if let Some(same) = kept.get(client).and_then(Weak::upgrade) {
            return same;
        }
        let new = Memory::new();
        kept.insert(client.to_owned(), Arc::downgrade(&new));
        new
    }

    /// The client of the realm with these settings: the one there is, with its connections, else a new one.
    pub(super) fn keycloak(
        &self,
        settings: keycloak::Settings,
    ) -> Result<Arc<HttpKeycloak>, InvalidKeycloak> {
        let mut kept = self.keycloak.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = kept.upgrade().filter(|kept| *kept.settings() == settings) {
            return Ok(same);
        }
        let new = Arc::new(HttpKeycloak::new(settings)?);
        *kept = Arc::downgrade(&new);
        Ok(new)
    }

    /// Takes over what a configuration that is put in force needs in the background: keys are kept
    /// fresh, and the upstream's addresses and health. What nobody uses any more is given up.
    pub fn adopt(&self, snapshot: &Snapshot) {
        let mut kept = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.as_ref().is_some_and(|upstreams| Arc::ptr_eq(upstreams, &snapshot.upstreams)) {
            self.runtime.spawn(Upstreams::maintain(Arc::downgrade(&snapshot.upstreams)));
            *kept = Some(snapshot.upstreams.clone());
        }
        drop(kept);
        snapshot.upstreams.serve(match snapshot.gate.routes.release() {
            Release::Airflow2 => Some(Major::Two),
            Release::Airflow3 => Some(Major::Three),
            Release::Unknown => None,
        });
        let mut kept = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().map(Arc::as_ptr) != snapshot.redis.as_ref().map(Arc::as_ptr) {
            if let Some(redis) = &snapshot.redis {
                self.runtime.spawn(Redis::maintain(Arc::downgrade(redis)));
            }
            kept.clone_from(&snapshot.redis);
        }
        drop(kept);
        let made = std::mem::take(&mut *self.kerberos.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(kerberos) = made.upgrade() {
            kerberos.watch(&self.runtime, KerberosAuth::INTERVAL);
        }
        for source in snapshot.gate.log_in.passwords.sources() {
            source.clone().adopted(&self.runtime);
        }
        if let Some(realm) = &snapshot.keycloak {
            self.runtime.spawn(Realm::watch(Arc::downgrade(realm)));
        }
        if let Some(database) = &snapshot.database {
            database.users().keep_for(snapshot.gate.log_in.passwords.cache_ttl());
        }
        let mut kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = |database| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, database));
        if let Some(database) = snapshot.database.as_ref().filter(|database| !unchanged(database)) {
            self.runtime.spawn(AirflowDatabase::follow(Arc::downgrade(database)));
        }
        kept.clone_from(&snapshot.database);
        drop(kept);
        let mut kept = self.trial.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().map(Arc::as_ptr) != snapshot.trial.as_ref().map(Arc::as_ptr) {
            if let Some(trial) = &snapshot.trial {
                self.runtime.spawn(KeyTrial::follow(Arc::downgrade(trial)));
            }
            kept.clone_from(&snapshot.trial);
        }
        drop(kept);
        self.forget_unused();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        for kept in keys.values_mut().filter(|kept| kept.task.is_none()) {
            kept.task = Some(self.runtime.spawn(kept.store.clone().run()));
        }
    }

    /// The metadata database at this URL: the one in force, else a new one of which nothing is known.
    pub(super) fn database(&self, url: DatabaseUrl) -> Arc<AirflowDatabase> {
        let kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(database) if *database.url() == url => database.clone(),
            Some(_) | None => {
                let pools = Arc::new(Pools::new(&url));
                Arc::new(AirflowDatabase::new(pools, url, &self.runtime, self.workers.clone()))
            }
        }
    }

    /// Whether this upstream takes what this signs: what is known of it, if it is in force, else nothing yet.
    pub(super) fn trial(&self, signer: &Signer, upstreams: &Arc<Upstreams>) -> Option<Arc<KeyTrial>> {
        let new = KeyTrial::new(signer, upstreams.clone());
        let new = new.map_err(|error| tracing::error!(%error, "the signing key cannot be tried")).ok()?;
        let kept = self.trial.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(kept.filter(|kept| kept.is_like(&new)).unwrap_or_else(|| Arc::new(new)))
    }

    /// Gives up the stores of keys that nobody uses.
    pub fn forget_unused(&self) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, kept| {
            let own = 1 + usize::from(kept.task.is_some());
            let used = Arc::strong_count(&kept.store) > own;
            if let (false, Some(task)) = (used, &kept.task) {
                task.abort();
            }
            used
        });
    }

    /// What hash checks there are.
    pub fn hash_load(&self) -> HashLoad {
        self.workers.load()
    }

    /// Each set of keys by its source, and how it fares.
    pub fn key_sets(&self) -> Vec<(String, JwksStatus)> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.values().map(|kept| (kept.store.source().to_string(), kept.store.status())).collect()
    }

    /// The upstream with these settings: the one in force, or the one that was made last, else a new one that knows
    /// no address yet.
    pub(super) fn upstreams(&self, settings: upstream::Settings) -> Arc<Upstreams> {
        let in_force = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = in_force.into_iter().chain(made.upgrade());
        if let Some(same) = known.find(|known| *known.settings() == settings) {
            return same;
        }
        let new = Upstreams::new(settings, self.news.clone(), self.ours.clone());
        *made = Arc::downgrade(&new);
        new
    }

    /// Waits until the upstream says that it is another Airflow than the one in force.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

impl Kept {
    /// The Redis with these settings: the one in force, else a new one that is not connected yet.
    pub(super) fn redis(&self, settings: redis::Settings) -> Result<Arc<Redis>, redis::InvalidRedis> {
        let kept = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(redis) if *redis.settings() == settings => Ok(redis.clone()),
            Some(_) | None => Redis::new(settings),
        }
    }
}
