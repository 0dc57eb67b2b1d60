//! `[basic]`, `[lockout]` and `[redis]`: who checks passwords, and who counts failures.

use std::sync::Arc;

use http::Uri;

use super::Kept;
use super::keycloak::Keycloak;
use crate::auth::basic::check::Source;
use crate::auth::basic::file::{Format, PasswordFile};
use crate::auth::basic::probe::Asked;
use crate::auth::basic::upstream::Upstream;
use crate::auth::database::AirflowDatabase;
use crate::auth::lockout::{Lockout, LockoutSettings, WhenDown};
use crate::auth::probe::Probe;
use crate::config::settings::{self, BasicSource, Release, Settings};
use crate::config::{Errors, Location, Warning, options};
use crate::gate::route::BasePath;
use crate::gate::token::Endpoint;
use crate::ports::redis::{self, Redis};
use crate::ports::upstream::{Ca, Upstreams};

/// Who knows passwords besides the upstream, files and directories.
#[derive(Clone, Copy)]
pub(super) struct Elsewhere<'a> {
    /// Airflow's database.
    pub database: Option<&'a AirflowDatabase>,
    /// The realm.
    pub keycloak: Option<&'a Keycloak>,
}

pub(super) fn sources(
    settings: &Settings,
    kept: &Kept,
    upstream: &Arc<dyn Source>,
    elsewhere: Elsewhere<'_>,
    warnings: &mut Vec<Warning>,
    errors: &mut Errors,
) -> Vec<Arc<dyn Source>> {
    let Elsewhere { database, keycloak } = elsewhere;
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for source in &settings.basic.sources {
        match source.value {
            BasicSource::Upstream => sources.push(upstream.clone()),
            // Without a client of the realm `check` has said so.
            BasicSource::Keycloak => sources.extend(keycloak.map(|keycloak| keycloak.passwords(settings))),
            BasicSource::Ldap => sources.extend(super::ldap::source(settings, errors)),
            // Without one `check` or its URL has said what is wrong.
            BasicSource::Database => {
                sources.extend(database.map(|database| database.users().clone() as Arc<dyn Source>));
            }
            // Without a file `check` has said so.
            BasicSource::File => match password_file(settings, kept) {
                Some(Ok(file)) => {
                    warnings.extend(strangers(settings, &file));
                    PasswordFile::watch(&file, &kept.runtime, PasswordFile::INTERVAL);
                    sources.push(file);
                }
                Some(Err((at, error))) => errors.push(&at, error),
                None => {}
            },
        }
    }
    sources
}

fn password_file(settings: &Settings, kept: &Kept) -> Option<Result<Arc<PasswordFile>, (Location, String)>> {
    let files = (&settings.basic.users_file, &settings.core.simple_passwords_file);
    let (option, path, format) = match files {
        (Some(path), _) => (options::BASIC_USERS_FILE, path, Format::Hashes),
        (None, Some(path)) => {
            let users = settings.core.simple_users.as_ref().map(|users| &users.value[..]).unwrap_or_default();
            let users = users.iter().map(|user| user.name.as_str().into()).collect();
            (options::CORE_SIMPLE_AUTH_MANAGER_PASSWORDS_FILE, path, Format::Simple { users })
        }
        (None, None) => return None,
    };
    let opened = PasswordFile::open(&path.value, format, kept.workers.clone());
    let said = |error| (path.at.clone(), format!("{}: {error}", option.title()));
    Some(opened.map(Arc::new).map_err(said))
}

/// Who has a password in the file, and no role in Airflow: every request of theirs is refused. Only names of
/// the simple auth manager are known here.
fn strangers(settings: &Settings, file: &PasswordFile) -> Option<Warning> {
    let path = settings.basic.users_file.as_ref()?;
    let users = match settings.upstream.auth_manager.value {
        settings::AuthManager::Simple if settings.mints() => settings.core.simple_users.as_ref()?,
        settings::AuthManager::Simple | settings::AuthManager::Fab | settings::AuthManager::Keycloak => {
            return None;
        }
    };
    let known = |name: &str| users.value.iter().any(|user| user.name == name);
    let mut strangers: Vec<_> = file.names().into_iter().filter(|name| !known(name)).collect();
    strangers.sort();
    let first: Vec<_> = strangers.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let more = strangers.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| Warning {
        at: path.at.clone(),
        message: format!(
            "[basic] users_file: [core] simple_auth_manager_users does not name {}{more}: whoever logs in so is \
             refused with 403",
            first.join(", ")
        ),
    })
}

/// How many names a warning lists.
const SHOWN: usize = 5;

/// The upstream itself. `relayed` is its token endpoint, which log-ins that are passed on ask too: what is learnt
/// there of its health counts here.
pub(super) fn upstream_source(
    settings: &Settings,
    base_path: Option<&BasePath>,
    upstreams: &Arc<Upstreams>,
    relayed: &Arc<dyn Source>,
) -> Arc<dyn Source> {
    match settings.release() {
        Release::Airflow2 => Arc::new(Asked::new(probe(settings, base_path, upstreams))),
        Release::Airflow3 => relayed.clone(),
    }
}

/// The upstream's own token endpoint. Unlike its API, Airflow has it below the base path alone.
pub(super) fn token_endpoint(
    settings: &Settings,
    base_path: Option<&BasePath>,
    upstreams: &Arc<Upstreams>,
    endpoint: Endpoint,
) -> Arc<dyn Source> {
    let uri = within(base_path, endpoint.path());
    Arc::new(Upstream::new(upstreams.clone(), uri, &upstream_name(settings)))
}

/// What Airflow 2 is asked to learn whether it knows a credential.
pub(super) fn probe(settings: &Settings, base_path: Option<&BasePath>, upstreams: &Arc<Upstreams>) -> Probe {
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

pub(super) fn lockout(settings: &Settings) -> LockoutSettings {
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
pub(super) fn redis(settings: &Settings, kept: &Kept, errors: &mut Errors) -> Option<Arc<Redis>> {
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
        meanwhile: match settings.lockout.as_ref().map(|lockout| lockout.when_redis_is_down) {
            None => "nothing is counted in it",
            Some(settings::WhenRedisIsDown::Open) => {
                "each replica counts failed log-ins by itself ([lockout] when_redis_is_down = open)"
            }
            Some(settings::WhenRedisIsDown::Closed) => {
                "log-ins by password are answered with 503 ([lockout] when_redis_is_down = closed)"
            }
        },
    });
    let at = from.ca_file.as_ref().map_or(&from.url.at, |path| &path.at);
    built.map_err(|error| errors.push(at, error.to_string())).ok()
}

/// Where failures are counted: in this process, or with all replicas.
pub(super) fn counts(settings: &Settings, kept: &Kept, redis: Option<&Arc<Redis>>) -> Arc<Lockout> {
    let (Some(redis), Some(from), Some(lockout)) = (redis, &settings.redis, &settings.lockout) else {
        return kept.lockout.clone();
    };
    let when_down = match lockout.when_redis_is_down {
        settings::WhenRedisIsDown::Open => WhenDown::Open,
        settings::WhenRedisIsDown::Closed => WhenDown::Closed,
    };
    Arc::new(kept.lockout.with_replicas(redis.clone(), &from.secret, when_down))
}
