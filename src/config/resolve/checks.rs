//! What is right by itself and wrong together.

mod advice;
mod keycloak;
mod keytab;
mod ldap;
pub mod listeners;

use crate::config::layer::Findings;
use crate::config::location::Location;
use crate::config::options as o;
use crate::config::settings::*;

/// Adds what is wrong with the combination of settings, or worth a warning.
pub fn check(settings: &Settings, findings: &mut Findings) {
    listeners::check(settings, findings);
    trusted_proxies(settings, findings);
    identity(settings, findings);
    airflow_2(settings, findings);
    file_source(settings, findings);
    ldap::check(settings, findings);
    database_source(settings, findings);
    anonymous(settings, findings);
    kerberos(settings, findings);
    keycloak::check(settings, findings);
    issuers(settings, findings);
    own_backends(settings, findings);
    upstream_tls(settings, findings);
    redis(settings, findings);
    advice::check(settings, findings);
}

const NO_DATABASE: &str =
    "which with the fab auth manager needs the ids in Airflow's database: [database] sql_alchemy_conn";
const SIGNING_KEY: &str = "a signing key, [api_auth] jwt_secret or jwt_private_key_path; with trusted_jwks_url only the latter signs";

/// Who comes by a Unix socket is trusted, and nobody can.
fn trusted_proxies(settings: &Settings, findings: &mut Findings) {
    let Server { listen, trusted_proxies, .. } = &settings.server;
    let unix = trusted_proxies.iter().find(|proxy| proxy.value == TrustedProxy::Unix);
    if let Some(unix) = unix.filter(|_| !listen.iter().any(|listen| matches!(listen.value, Listen::Unix(_))))
    {
        let (option, listen) = (o::SERVER_TRUSTED_PROXIES.title(), o::SERVER_LISTEN.title());
        findings.warn(&unix.at, format!("{option}: unix has no effect: {listen} has no Unix socket"));
    }
}

fn identity(settings: &Settings, findings: &mut Findings) {
    let identity = &settings.upstream.identity;
    let title = o::UPSTREAM_IDENTITY.title();
    match (identity.value, settings.upstream.auth_manager.value) {
        (IdentityMode::Mint, AuthManager::Fab) if settings.database.is_none() => {
            findings
                .errors
                .push(&identity.at, format!("{title}: mint asks for tokens signed here, {NO_DATABASE}"));
        }
        (IdentityMode::Mint, AuthManager::Simple | AuthManager::Fab | AuthManager::Keycloak)
            if !settings.api_auth.can_sign() =>
        {
            findings.errors.push(&identity.at, format!("{title}: mint needs {SIGNING_KEY}"));
        }
        (
            IdentityMode::Mint | IdentityMode::Auto | IdentityMode::Exchange | IdentityMode::Passthrough,
            AuthManager::Simple | AuthManager::Fab | AuthManager::Keycloak,
        ) => {}
    }
}

/// Whether what is not Airflow's own credential can be given to the upstream, else why not.
fn mintable(settings: &Settings) -> Result<(), String> {
    match settings.upstream.auth_manager.value {
        AuthManager::Keycloak => Err(keycloak::NOT_OF_KEYCLOAK.to_owned()),
        AuthManager::Simple | AuthManager::Fab if settings.mints() => Ok(()),
        AuthManager::Fab if settings.database.is_none() => {
            Err(format!("needs a token signed here, {NO_DATABASE}"))
        }
        AuthManager::Simple | AuthManager::Fab if settings.api_auth.can_sign() => {
            Err(format!("needs {} auto or mint", o::UPSTREAM_IDENTITY.title()))
        }
        AuthManager::Simple | AuthManager::Fab => {
            Err(format!("needs {SIGNING_KEY}. Airflow does not know the credential"))
        }
    }
}

/// The source `file`: passwords to check, and a role for each user.
fn file_source(settings: &Settings, findings: &mut Findings) {
    let title = o::BASIC_SOURCES.title();
    let Some(source) = settings.basic.sources.iter().find(|s| s.value == BasicSource::File) else {
        if let Some(file) = &settings.basic.users_file {
            let option = o::BASIC_USERS_FILE.title();
            findings.warn(&file.at, format!("{option} has no effect: {title} does not name file"));
        }
        return;
    };
    let users = o::CORE_SIMPLE_AUTH_MANAGER_USERS.title();
    // An upstream that knows the same passwords may judge them itself.
    let passes = settings.passes_on();
    if settings.basic.users_file.is_none() && settings.core.simple_passwords_file.is_none() {
        let message = format!(
            "{title}: file needs {} or {}",
            o::BASIC_USERS_FILE.title(),
            o::CORE_SIMPLE_AUTH_MANAGER_PASSWORDS_FILE.title()
        );
        findings.errors.push(&source.at, message);
    }
    match mintable(settings) {
        Err(reason) if !passes => findings.errors.push(&source.at, format!("{title}: file {reason}")),
        Ok(()) | Err(_) if lacks_users(settings) => {
            if !passes || settings.basic.users_file.is_none() {
                let message =
                    format!("{title}: file needs {users}, which says who there is and with which role");
                findings.errors.push(&source.at, message);
            }
        }
        Ok(()) | Err(_) => {}
    }
}

/// Whether the simple auth manager's users would be needed, and are not there: with FAB they are in the
/// database.
fn lacks_users(settings: &Settings) -> bool {
    match settings.upstream.auth_manager.value {
        AuthManager::Simple => settings.core.simple_users.is_none(),
        AuthManager::Fab | AuthManager::Keycloak => false,
    }
}

/// The source `database`: passwords to check, and with another auth manager than FAB a role for each user.
fn database_source(settings: &Settings, findings: &mut Findings) {
    let sources = &settings.basic.sources;
    let Some(source) = sources.iter().find(|s| s.value == BasicSource::Database) else { return };
    let title = o::BASIC_SOURCES.title();
    if settings.database.is_none() {
        let needed = o::DATABASE_SQL_ALCHEMY_CONN.title();
        findings.errors.push(&source.at, format!("{title}: database needs {needed}"));
        return;
    }
    // An upstream that knows the same passwords may judge them itself.
    let passes = settings.passes_on();
    match mintable(settings) {
        Err(reason) if !passes => findings.errors.push(&source.at, format!("{title}: database {reason}")),
        Ok(()) if lacks_users(settings) => {
            let users = o::CORE_SIMPLE_AUTH_MANAGER_USERS.title();
            let message = format!("{title}: database needs {users}, which says who has which role");
            findings.errors.push(&source.at, message);
        }
        Ok(()) | Err(_) => {}
    }
}

/// What cannot be told to Airflow 2, which knows no tokens.
fn airflow_2(settings: &Settings, findings: &mut Findings) {
    match settings.release() {
        Release::Airflow2 => {}
        Release::Airflow3 => return,
    }
    let version = o::UPSTREAM_AIRFLOW.title();
    let identity = &settings.upstream.identity;
    match identity.value {
        IdentityMode::Mint | IdentityMode::Exchange => {
            let title = o::UPSTREAM_IDENTITY.title();
            let message = format!("{title}: Airflow takes tokens from version 3 on, and {version} is 2");
            findings.errors.push(&identity.at, message);
        }
        IdentityMode::Auto | IdentityMode::Passthrough => {}
    }
    let title = o::API_AUTH_BACKENDS.title();
    for backend in &settings.api.auth_backends {
        let reason = match backend.value {
            BackendName::Jwt => "Airflow has tokens from version 3 on",
            BackendName::Default => "who has no credential cannot be named to Airflow 2",
            BackendName::Callout(_) | BackendName::Custom(_) => "whom it names cannot be named to Airflow 2",
            BackendName::Session
            | BackendName::BasicAuth
            | BackendName::KerberosAuth
            | BackendName::DenyAll => continue,
        };
        let message = format!("{title}: {}: {reason}, and {version} is 2", backend.value);
        findings.errors.push(&backend.at, message);
    }
    for issuer in &settings.jwt_issuers {
        let message = format!(
            "[[jwt.issuers]]: who has a token of another issuer cannot be named to Airflow 2, and {version} is 2"
        );
        findings.errors.push(&issuer.at, message);
    }
}

fn anonymous(settings: &Settings, findings: &mut Findings) {
    let api = &settings.api;
    let Some(default) = api.auth_backends.iter().find(|b| b.value == BackendName::Default) else { return };
    let title = o::API_AUTH_BACKENDS.title();
    let option = o::API_ANONYMOUS_USER.title();
    let Some(user) = &api.anonymous_user else {
        let message = format!("{title}: default needs {option}, who such a request counts as");
        findings.errors.push(&default.at, message);
        return;
    };
    if settings.release() == Release::Airflow2 {
        // Said above.
    } else if let Err(reason) = mintable(settings) {
        findings.errors.push(&default.at, format!("{title}: default {reason}"));
    } else if settings.upstream.auth_manager.value == AuthManager::Simple
        && !settings.core.simple_users.iter().flat_map(|users| &users.value).any(|u| u.name == user.value)
    {
        let users = o::CORE_SIMPLE_AUTH_MANAGER_USERS.title();
        findings.errors.push(&user.at, format!("{option}: {:?} is not in {users}", user.value));
    }
    if !api.enable_experimental_api {
        let experimental = o::API_ENABLE_EXPERIMENTAL_API.title();
        findings.warn(&default.at, format!("{title}: default has no effect without {experimental}"));
    }
}

/// The backend `kerberos_auth`: a name that Airflow does not know by itself, and a keytab that may come.
fn kerberos(settings: &Settings, findings: &mut Findings) {
    let backends = &settings.api.auth_backends;
    let title = o::API_AUTH_BACKENDS.title();
    let Some(backend) = backends.iter().find(|b| b.value == BackendName::KerberosAuth) else {
        unused_kerberos(settings, findings);
        return;
    };
    let passes = settings.passes_on();
    match mintable(settings) {
        Err(reason) if !passes => {
            findings.errors.push(&backend.at, format!("{title}: kerberos_auth {reason}"));
        }
        Ok(()) | Err(_) => {}
    }
    if let Some(keytab) = &settings.kerberos.keytab {
        let option = o::KERBEROS_KEYTAB.title();
        let path = keytab.value.display();
        match keytab::look(&keytab.value, settings.kerberos.principal.as_ref().map(|p| &p.value)) {
            Ok(None) => {}
            Ok(Some(trouble)) => findings.warn(&keytab.at, format!("{option}: {path} {trouble}")),
            Err(error) => findings.warn(
                &keytab.at,
                format!("{option}: {path}: {error}. Until it can be read, tickets get 503"),
            ),
        }
    }
    if let Some(folder) = &settings.kerberos.replay_cache
        && !folder.value.is_dir()
    {
        let option = o::KERBEROS_REPLAY_CACHE.title();
        let path = folder.value.display();
        findings.warn(&folder.at, format!("{option}: {path} is no folder. Until it is, tickets get 503"));
    }
}

/// What our own sources say of Kerberos while nobody asks for it. Airflow's own configuration has a section
/// `[kerberos]` for other uses.
fn unused_kerberos(settings: &Settings, findings: &mut Findings) {
    let kerberos = &settings.kerberos;
    let places = [
        kerberos.keytab.as_ref().map(|option| &option.at),
        kerberos.principal.as_ref().map(|option| &option.at),
        kerberos.replay_cache.as_ref().map(|option| &option.at),
    ];
    if let Some(at) = places.into_iter().flatten().find(|at| is_ours(at)) {
        let title = o::API_AUTH_BACKENDS.title();
        findings.warn(at, format!("[kerberos] has no effect: {title} does not name kerberos_auth"));
    }
}

/// Whether a value was written for airgate, and not for Airflow.
fn is_ours(at: &Location) -> bool {
    match at {
        Location::Column { .. } | Location::Set(_) => true,
        Location::Variable(name) => name.starts_with("AIRGATE__"),
        Location::Default | Location::File(_) | Location::Line { .. } => false,
    }
}

fn issuers(settings: &Settings, findings: &mut Findings) {
    let passes = settings.passes_on();
    for (i, issuer) in settings.jwt_issuers.iter().enumerate() {
        if settings.jwt_issuers[..i].iter().any(|other| other.issuer == issuer.issuer) {
            findings.errors.push(&issuer.at, format!("[[jwt.issuers]]: {:?} occurs twice", issuer.issuer));
        }
        if settings.api_auth.jwt_issuers.contains(&issuer.issuer) {
            let own = o::API_AUTH_JWT_ISSUER.title();
            findings.errors.push(&issuer.at, format!("[[jwt.issuers]]: {:?} is {own} too", issuer.issuer));
        }
        match mintable(settings) {
            Err(reason) if !passes => {
                findings
                    .errors
                    .push(&issuer.at, format!("[[jwt.issuers]]: a token of another issuer {reason}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Callouts and backends registered in Rust: each that is named is there, and what they accept can be given to
/// the upstream.
fn own_backends(settings: &Settings, findings: &mut Findings) {
    let title = o::API_AUTH_BACKENDS.title();
    let passes = settings.passes_on();
    let backends = &settings.api.auth_backends;
    for backend in backends {
        let name = match &backend.value {
            BackendName::Callout(name) => {
                if !settings.callouts.iter().any(|callout| callout.name == *name) {
                    let message =
                        format!("{title}: callout:{name} needs a section [callout.{name}] with its url");
                    findings.errors.push(&backend.at, message);
                }
                format!("callout:{name}")
            }
            BackendName::Custom(name) => (*name).to_owned(),
            BackendName::Jwt
            | BackendName::Session
            | BackendName::BasicAuth
            | BackendName::KerberosAuth
            | BackendName::Default
            | BackendName::DenyAll => continue,
        };
        match mintable(settings) {
            Err(reason) if !passes => findings.errors.push(&backend.at, format!("{title}: {name} {reason}")),
            Ok(()) | Err(_) => {}
        }
    }
    for callout in &settings.callouts {
        let named =
            |backend: &BackendName| matches!(backend, BackendName::Callout(name) if *name == callout.name);
        if !backends.iter().any(|backend| named(&backend.value)) {
            let name = &callout.name;
            findings.warn(
                &callout.at,
                format!("[callout.{name}] has no effect: {title} does not name callout:{name}"),
            );
        }
    }
    for (name, table) in &settings.backends {
        let named = |backend: &BackendName| matches!(backend, BackendName::Custom(custom) if custom == name);
        if !backends.iter().any(|backend| named(&backend.value)) {
            findings
                .warn(table.at(), format!("[backend.{name}] has no effect: {title} does not name {name}"));
        }
    }
}

/// A CA for a connection to Redis without TLS.
fn redis(settings: &Settings, findings: &mut Findings) {
    let Some(redis) = &settings.redis else { return };
    match (&redis.url.value.place, &redis.ca_file) {
        (RedisPlace::Tcp { tls: false, .. } | RedisPlace::Unix(_), Some(file)) => {
            let (option, url) = (o::REDIS_CA_FILE.title(), o::REDIS_URL.title());
            findings.warn(&file.at, format!("{option} has no effect: {url} is not rediss"));
        }
        (RedisPlace::Tcp { .. } | RedisPlace::Unix(_), _) => {}
    }
}

/// Settings of TLS where there is none.
fn upstream_tls(settings: &Settings, findings: &mut Findings) {
    let upstream = &settings.upstream;
    if upstream.urls.iter().any(|url| url.is_https()) {
        return;
    }
    let places: [(&o::Opt, Option<&Location>); 2] = [
        (&o::UPSTREAM_CA_FILE, upstream.ca_file.as_ref().map(|f| &f.at)),
        (&o::UPSTREAM_SERVER_NAME, upstream.server_name.as_ref().map(|n| &n.at)),
    ];
    for (option, at) in places {
        if let Some(at) = at {
            findings.warn(at, format!("{} has no effect: no upstream is https", option.title()));
        }
    }
}

/// Whether what is sent to this host stays on this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
