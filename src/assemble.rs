//! Settings → everything that serves requests. Used by start, reload and `check` alike, so that what
//! `check` passes also starts.

mod kept;
mod keycloak;
mod ldap;
mod own;
mod passwords;
mod sessions;
mod tls;
mod tokens;

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::auth::Backend;
use crate::auth::basic::BasicAuth;
use crate::auth::basic::check::{CheckSettings, PasswordCheck};
use crate::auth::chain::Chain;
use crate::auth::database::AirflowDatabase;
use crate::auth::fixed::{AllowAnonymous, DenyAll};
use crate::auth::jwt::{Jwt, Tokens};
use crate::auth::kerberos::KerberosAuth;
use crate::auth::probe::Probe;
use crate::auth::session::Session;
use crate::auth::session::flask::FlaskSession;
use crate::config::settings::{
    self, Airflow, BackendName, IdentityMode, Release, ServicePrincipal, Settings,
};
use crate::config::{Errors, Located, Location, Warning, options};
use crate::gate::limit::PageLimit;
use crate::gate::log_in::LogIn;
use crate::gate::mint::{Directory, Member, Mint, Mode};
use crate::gate::route::{self, BasePath, OtherRoutes, RouteSettings, Routes};
use crate::gate::token::{AuthManager, Endpoint};
use crate::gate::translate::workers::Workers;
use crate::gate::translate::{self, Translator};
use crate::gate::{Gate, cors, quota};
use crate::ports::database::DatabaseUrl;
use crate::ports::gssapi::{Acceptor, Keys, Service};
use crate::ports::upstream::{self, Ca, Major};
use crate::proxy::{Snapshot, TrustedProxies};
use crate::telemetry;

use kept::Remembered;
pub use kept::{Kept, KeptError};
use passwords::{Elsewhere, counts, lockout, probe, redis, sources, token_endpoint, upstream_source};
use tokens::{basis, issuers, tokens};

fn at_least_one(limit: u32) -> NonZeroU32 {
    NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `[log]`, as the logs read it.
pub fn log_settings(log: &settings::Log) -> telemetry::Settings {
    telemetry::Settings {
        level: telemetry::Level::new(log.level.general, &log.level.modules),
        access: output(&log.file),
        audit: log.audit_file.as_ref().map(output),
    }
}

fn output(file: &Located<settings::LogFile>) -> telemetry::Output {
    match &file.value {
        settings::LogFile::Stdout => telemetry::Output::Stdout,
        settings::LogFile::Stderr => telemetry::Output::Stderr,
        settings::LogFile::Path(path) => telemetry::Output::File(path.clone()),
    }
}

/// What is wrong with `[log] file` or `audit_file`, with its place, where that is what keeps the logs from being set up.
pub fn log_error(log: &settings::Log, failure: &telemetry::Failure) -> Option<Errors> {
    let (option, at) = match failure {
        telemetry::Failure::File { log: telemetry::Log::Access, .. } => (&options::LOG_FILE, &log.file.at),
        telemetry::Failure::File { log: telemetry::Log::Audit, .. } => {
            (&options::LOG_AUDIT_FILE, &log.audit_file.as_ref()?.at)
        }
        telemetry::Failure::System(_) | telemetry::Failure::Twice => return None,
    };
    let mut errors = Errors::new();
    errors.push(at, format!("{}: {failure}", option.title()));
    Some(errors)
}

/// Builds everything that serves requests. Reads key and user files; asks nobody over the network, and
/// puts nothing in force: see [`Kept::adopt`]. What works, but not as its writer may think, goes to
/// `warnings`.
///
/// # Errors
/// All that is wrong, each with its place in the configuration.
pub fn assemble(settings: &Settings, kept: &Kept, warnings: &mut Vec<Warning>) -> Result<Snapshot, Errors> {
    let mut errors = Errors::new();
    let database = database(settings, kept, warnings, &mut errors);
    let tokens = tokens(settings, kept, database.as_deref(), &mut errors);
    let issuers = issuers(settings, kept, &mut errors);
    let remembered = kept.remembered(basis(settings, database.as_deref()));
    let kerberos = kerberos(settings, kept, &mut errors);
    let cors = policy(settings, &mut errors);
    let base_path = base_path(settings, &mut errors);
    let ca = ca(settings, &mut errors);
    let tls = tls::tls(settings, &mut errors);
    let upstreams = kept.upstreams(upstream_settings(settings, base_path.as_ref(), ca));
    let keycloak = keycloak::keycloak(settings, kept, &mut errors);
    let redis = redis(settings, kept, &mut errors);
    let sessions = sessions::sessions(settings, kept, keycloak.as_ref(), redis.as_ref(), &mut errors);
    let token_endpoint = |endpoint| token_endpoint(settings, base_path.as_ref(), &upstreams, endpoint);
    let relayed = token_endpoint(Endpoint::Token);
    let sources = sources(
        settings,
        kept,
        &upstream_source(settings, base_path.as_ref(), &upstreams, &relayed),
        Elsewhere { database: database.as_deref(), keycloak: keycloak.as_ref() },
        warnings,
        &mut errors,
    );
    let own = own::own_backends(settings, kept, &mut errors);
    errors.into_result()?;

    let counts = counts(settings, kept, redis.as_ref());
    let lockout = lockout(settings);
    let check = |sources, cache_ttl| {
        let settings = CheckSettings { cache_ttl, lockout };
        let (cache, crowd) = (kept.cache.clone(), kept.crowd.clone());
        PasswordCheck::new(sources, settings, cache, counts.clone(), crowd, kept.runtime.clone())
    };
    let relay = check(vec![relayed], Duration::ZERO);
    let relay_cli = check(vec![token_endpoint(Endpoint::Cli)], Duration::ZERO);
    let passwords = Arc::new(check(sources, settings.basic.cache_ttl.unwrap_or_default()));
    let grants = keycloak.as_ref().filter(|_| settings.mints() && sessions.is_some()).map(|keycloak| {
        let count = |source| check(vec![source], settings.basic.cache_ttl.unwrap_or_default());
        keycloak.grants(settings, kept, count)
    });
    let session =
        session(settings, kept, probe(settings, base_path.as_ref(), &upstreams), &tokens, &remembered);
    let bearer = Jwt::new(tokens.verifier.clone(), issuers)
        .remembering(remembered.verified.clone())
        .with_keycloak(sessions::realm_tokens(settings, kept, keycloak.as_ref()), sessions::inside(settings));
    let chain = chain(settings, Arc::new(bearer), &passwords, session, kerberos, own);
    let limits = (&settings.api.maximum_page_limit, &settings.api.fallback_page_limit);
    let release = match settings.upstream.airflow.known() {
        Some(Release::Airflow2) => route::Release::Airflow2,
        Some(Release::Airflow3) => route::Release::Airflow3,
        None => route::Release::Unknown,
    };
    let trial = match release {
        route::Release::Airflow3 => tokens.signer.as_ref().and_then(|signer| kept.trial(signer, &upstreams)),
        route::Release::Airflow2 | route::Release::Unknown => None,
    };
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
                release,
            }),
            cors,
            limit: PageLimit::new(at_least_one(limits.0.value), at_least_one(limits.1.value)),
            chain,
            log_in: LogIn {
                auth_manager: match settings.upstream.auth_manager.value {
                    settings::AuthManager::Simple => AuthManager::Simple,
                    settings::AuthManager::Fab => AuthManager::Fab,
                    settings::AuthManager::Keycloak => AuthManager::Keycloak,
                },
                passwords,
                keycloak: grants,
                relay,
                relay_cli,
                life: settings.api_auth.jwt_expiration_time,
                cli_life: settings.api_auth.jwt_cli_expiration_time,
            },
            quota: settings.limits.requests_per_user.map(|rate| {
                let rate = quota::Rate { requests: rate.requests, per: rate.per };
                quota::Quota::new(rate, kept.spent.clone())
            }),
            mint: mint(settings, tokens, database.as_deref())
                .remembering(remembered.minted.clone())
                .with_sessions(sessions),
            translator: Translator::new(
                translate::Settings {
                    stable: settings.api.enable_stable_v1,
                    experimental: settings.api.enable_experimental_api,
                    release,
                },
                upstreams.clone(),
                Workers::new(kept.runtime.clone(), NonZeroUsize::new(cores()).unwrap_or(NonZeroUsize::MIN)),
            ),
        },
        upstreams,
        trial,
        redis,
        database,
        tls,
        keycloak: keycloak.map(|keycloak| keycloak.realm),
        trusted_proxies: trusted_proxies(settings),
        max_headers: settings.limits.max_headers,
        max_body: settings.limits.max_body,
        max_translated_body: settings.limits.max_translated_body,
        room: settings.limits.room(),
    })
}

fn trusted_proxies(settings: &Settings) -> TrustedProxies {
    let mut trusted = TrustedProxies::default();
    for proxy in &settings.server.trusted_proxies {
        match proxy.value {
            settings::TrustedProxy::Unix => trusted.unix_sockets = true,
            settings::TrustedProxy::Network(network) => trusted.networks.push(network),
        }
    }
    trusted
}

/// The metadata database, if there is one to be used.
fn database(
    settings: &Settings,
    kept: &Kept,
    warnings: &mut Vec<Warning>,
    errors: &mut Errors,
) -> Option<Arc<AirflowDatabase>> {
    let from = settings.database.as_ref()?;
    let read = DatabaseUrl::parse(from.url.value.expose()).and_then(|read| {
        let schema = from.schema.as_ref().map(|schema| schema.value.as_str());
        Ok((read.url.with_schema(schema)?, read.ignored))
    });
    match read {
        Ok((url, ignored)) => {
            let mut warn = |message: String| {
                let message = format!("[database] sql_alchemy_conn: {message}");
                warnings.push(Warning { at: from.url.at.clone(), message });
            };
            if !ignored.is_empty() {
                warn(format!("{} has no effect here", ignored.join(", ")));
            }
            if let DatabaseUrl::Sqlite(path) = &url
                && !path.is_file()
            {
                warn(format!(
                    "{}: there is no such file. Until there is, nobody is found in it",
                    path.display()
                ));
            }
            Some(kept.database(url))
        }
        Err(error) => {
            errors.push(&from.url.at, format!("[database] sql_alchemy_conn: {error}"));
            None
        }
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
    let methods: Vec<_> = cors.methods.iter().map(|method| method.value.as_str()).collect();
    let headers: Vec<_> = cors.headers.iter().map(String::as_str).collect();
    let policy = cors::Policy::new(origins, &methods, &headers);
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

/// As the upstream has it.
fn major(release: Release) -> Major {
    match release {
        Release::Airflow2 => Major::Two,
        Release::Airflow3 => Major::Three,
    }
}

/// Which Airflow the upstream has said to be, as the settings have it.
pub fn release(major: Major) -> Release {
    match major {
        Major::Two => Release::Airflow2,
        Major::Three => Release::Airflow3,
    }
}

fn upstream_settings(
    settings: &Settings,
    base_path: Option<&BasePath>,
    ca: Option<Ca>,
) -> upstream::Settings {
    let from = &settings.upstream;
    upstream::Settings {
        major: match from.airflow {
            Airflow::Set(release) => Some(major(release)),
            Airflow::Found(_) | Airflow::Unknown => None,
        },
        urls: from
            .urls
            .iter()
            .map(|url| match &url.value {
                settings::UpstreamUrl::Tcp { scheme, host, port } => upstream::Url::Tcp {
                    tls: *scheme == settings::Scheme::Https,
                    host: host.clone(),
                    port: *port,
                },
                settings::UpstreamUrl::Unix(path) => upstream::Url::Unix(path.clone()),
            })
            .collect(),
        base: base_path.map(|base| base.as_str().to_owned()).unwrap_or_default(),
        ca,
        server_name: from.server_name.as_ref().map(|name| name.value.clone()),
        connect_timeout: from.connect_timeout,
        read_timeout: from.read_timeout,
        idle_timeout: from.idle_timeout.value,
    }
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
fn session(
    settings: &Settings,
    kept: &Kept,
    asked: Probe,
    tokens: &Tokens,
    remembered: &Remembered,
) -> Arc<dyn Backend> {
    match settings.release() {
        Release::Airflow2 => {
            let ttl = settings.basic.cache_ttl.unwrap_or_default();
            Arc::new(FlaskSession::new(asked, ttl, kept.cache.clone(), kept.runtime.clone()))
        }
        Release::Airflow3 => {
            Arc::new(Session::new(tokens.verifier.clone()).remembering(remembered.sessions.clone()))
        }
    }
}

fn chain(
    settings: &Settings,
    bearer: Arc<dyn Backend>,
    passwords: &Arc<PasswordCheck>,
    session: Arc<dyn Backend>,
    kerberos: Option<Arc<KerberosAuth>>,
    mut own: HashMap<BackendName, Arc<dyn Backend>>,
) -> Chain {
    let anonymous = settings.api.anonymous_user.as_ref().map_or("", |user| &user.value);
    let mut backend = |name: &BackendName| -> Option<Arc<dyn Backend>> {
        Some(match name {
            BackendName::Jwt => bearer.clone(),
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
        // What Keycloak has vouched for comes with all that a token needs.
        (settings::AuthManager::Keycloak, _) => Directory::Empty,
        (settings::AuthManager::Fab, _) => {
            database.map_or(Directory::Empty, |database| Directory::Fab(database.directory().clone()))
        }
    };
    Mint::new(mode, tokens.signer, directory)
}
