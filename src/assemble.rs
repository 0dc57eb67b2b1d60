//! Settings → everything that serves requests. Used by start, reload and `check` alike, so that what
//! `check` passes also starts.

mod ldap;
mod own;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::Uri;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::auth::Backend;
use crate::auth::basic::BasicAuth;
use crate::auth::basic::check::{CheckSettings, PasswordCheck, Source};
use crate::auth::basic::file::{Format, PasswordFile};
use crate::auth::basic::hash::{HashLoad, HashWorkers};
use crate::auth::basic::probe::Asked;
use crate::auth::basic::upstream::Upstream;
use crate::auth::cache::{NoRandomness, VerifiedCache};
use crate::auth::chain::Chain;
use crate::auth::database::AirflowDatabase;
use crate::auth::fixed::{AllowAnonymous, DenyAll};
use crate::auth::jwt::{
    AuthManager as Claims, IssuerSettings, JwksSource, JwksStatus, JwksStore, Jwt, PrivateKey,
    Settings as JwtSettings, SettingsError, Tokens, Verifier,
};
use crate::auth::kerberos::KerberosAuth;
use crate::auth::lockout::{Lockout, LockoutSettings, WhenDown};
use crate::auth::probe::Probe;
use crate::auth::session::Session;
use crate::auth::session::flask::FlaskSession;
use crate::config::settings::{
    self, BackendName, BasicSource, IdentityMode, Release, ServicePrincipal, Settings,
};
use crate::config::{Errors, Located, Location};
use crate::gate::limit::PageLimit;
use crate::gate::mint::{Directory, Member, Mint, Mode};
use crate::gate::route::{self, BasePath, OtherRoutes, RouteSettings, Routes};
use crate::gate::token::{AuthManager, Endpoint};
use crate::gate::{Gate, LogIn, cors};
use crate::ports::HttpClient;
use crate::ports::database::{DatabaseUrl, Pools};
use crate::ports::gssapi::{Acceptor, Keys, Service};
use crate::ports::http::Client;
use crate::ports::redis::{self, Redis};
use crate::ports::upstream::{self, Ca, Upstreams};
use crate::proxy::Snapshot;
use crate::registry::Registry;
use crate::telemetry;

/// Longest time and largest answer of a fetch of keys.
const FETCH: (Duration, usize) = (Duration::from_secs(10), 1 << 20);

/// What must not be forgotten on a reload: caches, lock-outs, last known good keys, the health of the
/// upstream. Keyed by what it stands for, so that it is taken over only where that is unchanged.
pub struct Kept {
    runtime: Handle,
    registry: Registry,
    cache: Arc<VerifiedCache>,
    lockout: Arc<Lockout>,
    workers: Arc<HashWorkers>,
    http: Arc<dyn HttpClient>,
    keys: Mutex<HashMap<JwksSource, KeptKeys>>,
    upstreams: Mutex<Option<Arc<Upstreams>>>,
    redis: Mutex<Option<Arc<Redis>>>,
    /// The last one that was made, to be watched once it is in force.
    kerberos: Mutex<Weak<KerberosAuth>>,
    database: Mutex<Option<Arc<AirflowDatabase>>>,
}

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
    #[error("cannot make an HTTP client: {0}")]
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
            workers: Arc::new(HashWorkers::new(cores())),
            http: Arc::new(Client::new(timeout, max, None)?),
            keys: Mutex::default(),
            upstreams: Mutex::default(),
            redis: Mutex::default(),
            kerberos: Mutex::default(),
            registry,
            database: Mutex::default(),
            runtime,
        })
    }

    /// The store of a source of keys: the one there is, else a new one.
    fn store(&self, source: &JwksSource) -> Arc<JwksStore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = keys.entry(source.clone()).or_insert_with(|| KeptKeys {
            store: JwksStore::new(source.clone(), self.http.clone()),
            task: None,
        });
        kept.store.clone()
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
        let mut kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = |database| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, database));
        if let Some(database) = snapshot.database.as_ref().filter(|database| !unchanged(database)) {
            self.runtime.spawn(AirflowDatabase::follow(Arc::downgrade(database)));
        }
        kept.clone_from(&snapshot.database);
        drop(kept);
        self.forget_unused();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        for kept in keys.values_mut().filter(|kept| kept.task.is_none()) {
            kept.task = Some(self.runtime.spawn(kept.store.clone().run()));
        }
    }

    /// The metadata database at this URL: the one in force, else a new one of which nothing is known.
    fn database(&self, url: DatabaseUrl) -> Arc<AirflowDatabase> {
        let kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(database) if *database.url() == url => database.clone(),
            Some(_) | None => {
                let pools = Arc::new(Pools::new(&url));
                Arc::new(AirflowDatabase::new(pools, url, &self.runtime, self.workers.clone()))
            }
        }
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

    /// The upstream with these settings: the one in force, else a new one that knows no address yet.
    fn upstreams(&self, settings: upstream::Settings) -> Arc<Upstreams> {
        let kept = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(upstreams) if *upstreams.settings() == settings => upstreams.clone(),
            Some(_) | None => Upstreams::new(settings),
        }
    }
}

impl Kept {
    /// The Redis with these settings: the one in force, else a new one that is not connected yet.
    fn redis(&self, settings: redis::Settings) -> Result<Arc<Redis>, redis::InvalidRedis> {
        let kept = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(redis) if *redis.settings() == settings => Ok(redis.clone()),
            Some(_) | None => Redis::new(settings),
        }
    }
}

fn at_least_one(limit: u32) -> NonZeroU32 {
    NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `[log]`, as the logs read it.
pub fn log_settings(log: &settings::Log) -> telemetry::Settings {
    let level = match log.level {
        settings::LogLevel::Error => "error",
        settings::LogLevel::Warn => "warn",
        settings::LogLevel::Info => "info",
        settings::LogLevel::Debug => "debug",
        settings::LogLevel::Trace => "trace",
    };
    telemetry::Settings {
        level: level.parse().unwrap_or_default(),
        file: log.file.as_ref().map(|file| file.value.clone()),
    }
}

/// Builds everything that serves requests. Reads key and user files; asks nobody over the network, and
/// puts nothing in force: see [`Kept::adopt`].
///
/// # Errors
/// All that is wrong, each with its place in the configuration.
pub fn assemble(settings: &Settings, kept: &Kept) -> Result<Snapshot, Errors> {
    let mut errors = Errors::new();
    let database = database(settings, kept, &mut errors);
    let tokens = tokens(settings, kept, database.as_deref(), &mut errors);
    let issuers = issuers(settings, kept, &mut errors);
    let kerberos = kerberos(settings, kept, &mut errors);
    let cors = policy(settings, &mut errors);
    let base_path = base_path(settings, &mut errors);
    let ca = ca(settings, &mut errors);
    let upstreams = kept.upstreams(upstream_settings(settings, ca));
    let sources = sources(settings, kept, base_path.as_ref(), &upstreams, database.as_deref(), &mut errors);
    let redis = redis(settings, kept, &mut errors);
    let own = own::own_backends(settings, kept, &mut errors);
    errors.into_result()?;

    let counts = counts(settings, kept, redis.as_ref());
    let lockout = lockout(settings);
    let check = |sources, cache_ttl| {
        let settings = CheckSettings { cache_ttl, lockout };
        PasswordCheck::new(sources, settings, kept.cache.clone(), counts.clone(), kept.runtime.clone())
    };
    let relay = |endpoint| {
        check(vec![token_endpoint(settings, base_path.as_ref(), &upstreams, endpoint)], Duration::ZERO)
    };
    let (relay, relay_cli) = (relay(Endpoint::Token), relay(Endpoint::Cli));
    let passwords = Arc::new(check(sources, settings.basic.cache_ttl.unwrap_or_default()));
    let session = session(settings, kept, probe(settings, base_path.as_ref(), &upstreams), &tokens);
    let chain = chain(settings, &tokens, issuers, &passwords, session, kerberos, own);
    let limits = (&settings.api.maximum_page_limit, &settings.api.fallback_page_limit);
    Ok(Snapshot {
        gate: Gate {
            routes: Routes::new(RouteSettings {
                base_path,
                other_routes: match settings.gate.other_routes {
                    settings::OtherRoutes::Deny => OtherRoutes::Deny,
                    settings::OtherRoutes::Ui => OtherRoutes::Ui,
                    settings::OtherRoutes::All => OtherRoutes::All,
                },
                experimental: settings.api.enable_experimental_api,
                release: match settings.upstream.airflow {
                    Release::Airflow2 => route::Release::Airflow2,
                    Release::Airflow3 => route::Release::Airflow3,
                },
            }),
            cors,
            limit: PageLimit::new(at_least_one(limits.0.value), at_least_one(limits.1.value)),
            chain,
            log_in: LogIn {
                auth_manager: match settings.upstream.auth_manager.value {
                    settings::AuthManager::Simple => AuthManager::Simple,
                    settings::AuthManager::Fab => AuthManager::Fab,
                },
                passwords,
                relay,
                relay_cli,
                life: settings.api_auth.jwt_expiration_time,
                cli_life: settings.api_auth.jwt_cli_expiration_time,
            },
            mint: mint(settings, tokens, database.as_deref()),
        },
        upstreams,
        redis,
        database,
        trusted_proxies: settings.server.trusted_proxies.clone(),
        max_headers: settings.limits.max_headers,
        max_body: settings.limits.max_body,
        body_timeout: settings.limits.header_timeout,
    })
}

/// The metadata database, if there is one to be used.
fn database(settings: &Settings, kept: &Kept, errors: &mut Errors) -> Option<Arc<AirflowDatabase>> {
    let from = settings.database.as_ref()?;
    let read = DatabaseUrl::parse(from.url.value.expose()).and_then(|read| {
        let schema = from.schema.as_ref().map(|schema| schema.value.as_str());
        Ok((read.url.with_schema(schema)?, read.ignored))
    });
    match read {
        Ok((url, ignored)) => {
            if !ignored.is_empty() {
                tracing::warn!(at = %from.url.at, "[database] sql_alchemy_conn: {} has no effect here", ignored.join(", "));
            }
            let database = kept.database(url);
            database.users().keep_for(settings.basic.cache_ttl.unwrap_or_default());
            Some(database)
        }
        Err(error) => {
            errors.push(&from.url.at, format!("[database] sql_alchemy_conn: {error}"));
            None
        }
    }
}

fn tokens(
    settings: &Settings,
    kept: &Kept,
    database: Option<&AirflowDatabase>,
    errors: &mut Errors,
) -> Tokens {
    let auth = &settings.api_auth;
    let private_key = auth.jwt_private_key_path.as_ref().and_then(|path| {
        PrivateKey::read(path).map_err(|error| errors.push(&path.at, error.to_string())).ok()
    });
    if auth.jwt_private_key_path.is_some() && private_key.is_none() {
        return Tokens { verifier: None, signer: None };
    }
    let place = auth
        .jwt_private_key_path
        .as_ref()
        .map(|p| &p.at)
        .or_else(|| auth.trusted_jwks_url.as_ref().map(|u| &u.at))
        .or_else(|| auth.jwt_secrets.first().map(|s| &s.at))
        .unwrap_or(&Location::Default)
        .clone();
    let built = JwtSettings {
        secrets: auth.jwt_secrets.iter().map(|secret| secret.value.clone()).collect(),
        private_key,
        jwks: auth.trusted_jwks_url.as_ref().and_then(|source| keys_source(source, errors)),
        algorithms: auth.jwt_algorithms.iter().map(|a| a.value.as_str().to_owned()).collect(),
        kid: auth.jwt_kid.clone(),
        issuers: auth.jwt_issuers.clone(),
        audience: auth.jwt_audiences.clone(),
        leeway: auth.jwt_leeway,
        auth_manager: match settings.upstream.auth_manager.value {
            settings::AuthManager::Simple => Claims::Simple,
            settings::AuthManager::Fab => Claims::Fab,
        },
        revoked: database.map(|database| database.revoked().clone()),
    }
    .build(|source| kept.store(source));
    built.unwrap_or_else(|found| {
        say(&found, &place, errors);
        Tokens { verifier: None, signer: None }
    })
}

fn issuers(settings: &Settings, kept: &Kept, errors: &mut Errors) -> Vec<(Arc<str>, Arc<Verifier>)> {
    let mut verifiers = Vec::new();
    for issuer in &settings.jwt_issuers {
        let Some(jwks) = keys_source(&issuer.jwks, errors) else { continue };
        let built = IssuerSettings {
            issuer: issuer.issuer.clone(),
            jwks,
            audience: issuer.audiences.clone(),
            algorithms: issuer.algorithms.iter().map(|a| a.as_str().to_owned()).collect(),
            username_claim: issuer.username_claim.clone(),
            username_prefix: issuer.username_prefix.clone(),
            leeway: settings.api_auth.jwt_leeway,
        }
        .build(|source| kept.store(source));
        match built {
            Ok(verifier) => verifiers.push((issuer.issuer.as_str().into(), verifier)),
            Err(found) => say(&found, &issuer.at, errors),
        }
    }
    verifiers
}

fn keys_source(source: &Located<settings::JwksSource>, errors: &mut Errors) -> Option<JwksSource> {
    match &source.value {
        settings::JwksSource::Url(url) => {
            JwksSource::parse(url).map_err(|error| errors.push(&source.at, error.to_string())).ok()
        }
        settings::JwksSource::File(path) => Some(JwksSource::File(path.clone())),
    }
}

fn say(found: &[SettingsError], at: &Location, errors: &mut Errors) {
    for error in found {
        errors.push(at, error.to_string());
    }
}

fn policy(settings: &Settings, errors: &mut Errors) -> Option<cors::Policy> {
    let cors = settings.api.cors.as_ref()?;
    let mut origins = Vec::new();
    for origin in &cors.origins {
        match cors::Origin::parse(origin) {
            Ok(parsed) => origins.push(parsed),
            Err(error) => errors.push(&origin.at, error.to_string()),
        }
    }
    let place = cors.origins.first().map_or(&Location::Default, |origin| &origin.at);
    let policy = cors::Policy::new(origins, &cors.methods, &cors.headers);
    policy.map_err(|error| errors.push(place, error.to_string())).ok().flatten()
}

fn base_path(settings: &Settings, errors: &mut Errors) -> Option<BasePath> {
    let url = settings.api.base_url.as_ref()?;
    BasePath::of(&url.path).map_err(|error| errors.push(&url.at, error.to_string())).ok().flatten()
}

fn ca(settings: &Settings, errors: &mut Errors) -> Option<Ca> {
    let path = settings.upstream.ca_file.as_ref()?;
    let read = || Ca::parse(&std::fs::read(&path.value)?).map_err(std::io::Error::other);
    read().map_err(|error| errors.push(&path.at, format!("{}: {error}", path.value.display()))).ok()
}

fn upstream_settings(settings: &Settings, ca: Option<Ca>) -> upstream::Settings {
    let from = &settings.upstream;
    upstream::Settings {
        version_route: match from.airflow {
            Release::Airflow2 => "/api/v1/version",
            Release::Airflow3 => "/api/v2/version",
        },
        urls: from
            .urls
            .iter()
            .map(|url| upstream::Url {
                tls: url.scheme == settings::Scheme::Https,
                host: url.host.clone(),
                port: url.port,
            })
            .collect(),
        ca,
        server_name: from.server_name.as_ref().map(|name| name.value.clone()),
        connect_timeout: from.connect_timeout,
        read_timeout: from.read_timeout,
        idle_timeout: from.idle_timeout,
    }
}

fn sources(
    settings: &Settings,
    kept: &Kept,
    base_path: Option<&BasePath>,
    upstreams: &Arc<Upstreams>,
    database: Option<&AirflowDatabase>,
    errors: &mut Errors,
) -> Vec<Arc<dyn Source>> {
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for source in &settings.basic.sources {
        match source.value {
            BasicSource::Upstream => sources.push(match settings.upstream.airflow {
                Release::Airflow2 => Arc::new(Asked::new(probe(settings, base_path, upstreams))),
                Release::Airflow3 => token_endpoint(settings, base_path, upstreams, Endpoint::Token),
            }),
            BasicSource::Ldap => sources.extend(ldap::source(settings, errors)),
            // Without one `check` or its URL has said what is wrong.
            BasicSource::Database => {
                sources.extend(database.map(|database| database.users().clone() as Arc<dyn Source>));
            }
            BasicSource::File => match password_file(settings, kept) {
                Ok(file) => {
                    PasswordFile::watch(&file, &kept.runtime, PasswordFile::INTERVAL);
                    sources.push(file);
                }
                Err((at, error)) => errors.push(&at.unwrap_or_else(|| source.at.clone()), error),
            },
        }
    }
    sources
}

fn password_file(settings: &Settings, kept: &Kept) -> Result<Arc<PasswordFile>, (Option<Location>, String)> {
    let (path, format) = match (&settings.basic.users_file, &settings.core.simple_passwords_file) {
        (Some(path), _) => (path, Format::Hashes),
        (None, Some(path)) => {
            let users = settings.core.simple_users.as_ref().map(|users| &users.value[..]).unwrap_or_default();
            (path, Format::Simple { users: users.iter().map(|user| user.name.as_str().into()).collect() })
        }
        (None, None) => {
            let missing = "the source `file` needs `[basic] users_file` or \
                           `[core] simple_auth_manager_passwords_file`";
            return Err((None, missing.into()));
        }
    };
    PasswordFile::open(&path.value, format, kept.workers.clone())
        .map(Arc::new)
        .map_err(|error| (Some(path.at.clone()), error.to_string()))
}

/// The upstream's own token endpoint. Unlike its API, Airflow has it below the base path alone.
fn token_endpoint(
    settings: &Settings,
    base_path: Option<&BasePath>,
    upstreams: &Arc<Upstreams>,
    endpoint: Endpoint,
) -> Arc<dyn Source> {
    let uri = within(base_path, endpoint.path());
    Arc::new(Upstream::new(upstreams.clone(), uri, &upstream_name(settings)))
}

/// What Airflow 2 is asked to learn whether it knows a credential.
fn probe(settings: &Settings, base_path: Option<&BasePath>, upstreams: &Arc<Upstreams>) -> Probe {
    Probe::new(upstreams.clone(), within(base_path, Probe::TARGET), &upstream_name(settings))
}

/// A route of the upstream below the base path.
fn within(base_path: Option<&BasePath>, route: &'static str) -> Uri {
    let path = format!("{}{route}", base_path.map_or("", BasePath::as_str));
    // A base path is what a URI may have.
    path.parse().unwrap_or(Uri::from_static(route))
}

/// What tells one upstream from another.
fn upstream_name(settings: &Settings) -> String {
    let urls: Vec<String> = settings.upstream.urls.iter().map(|url| url.value.to_string()).collect();
    urls.join(" ")
}

fn lockout(settings: &Settings) -> LockoutSettings {
    let default = LockoutSettings::default();
    match &settings.lockout {
        Some(lockout) => LockoutSettings {
            attempts: lockout.attempts,
            window: lockout.window,
            duration: lockout.duration,
            ..default
        },
        None => LockoutSettings { attempts: 0, ..default },
    }
}

/// `[redis]`, which is not asked here.
fn redis(settings: &Settings, kept: &Kept, errors: &mut Errors) -> Option<Arc<Redis>> {
    let from = settings.redis.as_ref()?;
    let ca = match &from.ca_file {
        Some(path) => match std::fs::read(&path.value).and_then(|pem| {
            Ca::parse(&pem).map_err(std::io::Error::other)?;
            Ok(pem)
        }) {
            Ok(pem) => Some(pem),
            Err(error) => {
                errors.push(&path.at, format!("{}: {error}", path.value.display()));
                return None;
            }
        },
        None => None,
    };
    let url = &from.url.value;
    let built = kept.redis(redis::Settings {
        place: match &url.place {
            settings::RedisPlace::Tcp { tls, host, port } => {
                redis::Place::Tcp { host: host.clone(), port: *port, tls: *tls }
            }
            settings::RedisPlace::Unix(path) => redis::Place::Unix(path.clone()),
        },
        username: url.username.clone(),
        password: url.password.clone(),
        database: url.database.into(),
        ca,
        timeout: from.timeout,
    });
    let at = from.ca_file.as_ref().map_or(&from.url.at, |path| &path.at);
    built.map_err(|error| errors.push(at, error.to_string())).ok()
}

/// Where failures are counted: in this process, or with all replicas.
fn counts(settings: &Settings, kept: &Kept, redis: Option<&Arc<Redis>>) -> Arc<Lockout> {
    let (Some(redis), Some(from), Some(lockout)) = (redis, &settings.redis, &settings.lockout) else {
        return kept.lockout.clone();
    };
    let when_down = match lockout.when_redis_is_down {
        settings::WhenRedisIsDown::Open => WhenDown::Open,
        settings::WhenRedisIsDown::Closed => WhenDown::Closed,
    };
    Arc::new(kept.lockout.with_replicas(redis.clone(), &from.secret, when_down))
}

/// The backend `kerberos_auth`, if it is in the chain.
fn kerberos(settings: &Settings, kept: &Kept, errors: &mut Errors) -> Option<Arc<KerberosAuth>> {
    let backend = settings.api.auth_backends.iter().find(|b| b.value == BackendName::KerberosAuth)?;
    let from = &settings.kerberos;
    let keys = Keys {
        keytab: from.keytab.as_ref().map(|path| path.value.clone()),
        service: match from.principal.as_ref().map(|principal| &principal.value) {
            None | Some(ServicePrincipal::Renewer) => Service::Any,
            Some(ServicePrincipal::Exact(name)) => Service::Principal(name.clone()),
            Some(ServicePrincipal::AnyHost(service)) => Service::AnyHost(service.clone()),
        },
        replay_cache: from.replay_cache.as_ref().map(|path| path.value.clone()),
    };
    match acceptor(&keys) {
        Ok(acceptor) => {
            let backend = Arc::new(KerberosAuth::new(acceptor, &from.local_realms, kept.runtime.clone()));
            *kept.kerberos.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&backend);
            Some(backend)
        }
        Err(error) => {
            errors.push(&backend.at, format!("[api] auth_backends: kerberos_auth {error}"));
            None
        }
    }
}

#[cfg(feature = "kerberos")]
fn acceptor(keys: &Keys) -> Result<Arc<dyn Acceptor>, String> {
    crate::ports::gssapi::library::acceptor(keys).map_err(|error| error.to_string())
}

#[cfg(not(feature = "kerberos"))]
fn acceptor(_keys: &Keys) -> Result<Arc<dyn Acceptor>, String> {
    Err("is not in this airgate: it was built without the cargo feature `kerberos`".to_owned())
}

/// The backend `session`, for the cookie that the upstream has.
fn session(settings: &Settings, kept: &Kept, asked: Probe, tokens: &Tokens) -> Arc<dyn Backend> {
    match settings.upstream.airflow {
        Release::Airflow2 => {
            let ttl = settings.basic.cache_ttl.unwrap_or_default();
            Arc::new(FlaskSession::new(asked, ttl, kept.cache.clone(), kept.runtime.clone()))
        }
        Release::Airflow3 => Arc::new(Session::new(tokens.verifier.clone())),
    }
}

fn chain(
    settings: &Settings,
    tokens: &Tokens,
    issuers: Vec<(Arc<str>, Arc<Verifier>)>,
    passwords: &Arc<PasswordCheck>,
    session: Arc<dyn Backend>,
    kerberos: Option<Arc<KerberosAuth>>,
    mut own: HashMap<BackendName, Arc<dyn Backend>>,
) -> Chain {
    let anonymous = settings.api.anonymous_user.as_ref().map_or("", |user| &user.value);
    let mut backend = |name: &BackendName| -> Option<Arc<dyn Backend>> {
        Some(match name {
            BackendName::Jwt => Arc::new(Jwt::new(tokens.verifier.clone(), issuers.clone())),
            BackendName::Session => session.clone(),
            BackendName::BasicAuth => Arc::new(BasicAuth::new(passwords.clone())),
            // None where it could not be made, which is an error of the configuration.
            BackendName::KerberosAuth => kerberos.clone()?,
            BackendName::Default => Arc::new(AllowAnonymous::new(anonymous)),
            BackendName::DenyAll => Arc::new(DenyAll),
            BackendName::Callout(_) | BackendName::Custom(_) => return own.remove(name),
        })
    };
    Chain::new(settings.api.auth_backends.iter().filter_map(|name| backend(&name.value)).collect())
}

fn mint(settings: &Settings, tokens: Tokens, database: Option<&AirflowDatabase>) -> Mint {
    let mode = match (settings.upstream.identity.value, &tokens.signer) {
        _ if settings.passes_on() => Mode::Passthrough,
        (IdentityMode::Mint, _) | (IdentityMode::Auto, Some(_)) => Mode::Mint,
        (IdentityMode::Exchange, _) | (IdentityMode::Auto, None) => Mode::Exchange,
        (IdentityMode::Passthrough, _) => Mode::Passthrough,
    };
    let directory = match (settings.upstream.auth_manager.value, &settings.core.simple_users) {
        (settings::AuthManager::Simple, Some(users)) => {
            let member = |user: &settings::SimpleUser| {
                let teams = user.teams.clone().unwrap_or_default();
                (user.name.as_str().into(), Member { role: user.role.as_str().into(), teams })
            };
            Directory::Simple(users.value.iter().map(member).collect())
        }
        (settings::AuthManager::Simple, None) => Directory::Empty,
        (settings::AuthManager::Fab, _) => {
            database.map_or(Directory::Empty, |database| Directory::Fab(database.directory().clone()))
        }
    };
    Mint::new(mode, tokens.signer, directory)
}
