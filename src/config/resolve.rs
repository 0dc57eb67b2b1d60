//! Values as read to settings as typed, with every error in them collected.

pub mod checks;
mod ldap;
pub mod parse;
mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::reader::{Failed, Reader, Resolved};
use super::airflow::expand::{self, Environment};
use super::layer::{Findings, Layer, Source, Value};
use super::location::{Located, Location};
use super::options::{self as o, Opt};
use super::settings::*;
use super::table::Table;
use crate::secret::Secret;

/// Where relative paths start.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Of our own configuration file; the working directory, where there is none.
    pub file: PathBuf,
    /// The working directory.
    pub working: PathBuf,
}

impl Folders {
    /// Where a relative path written at this place starts.
    pub fn of(&self, at: &Location) -> &Path {
        match at {
            Location::Column { .. } => &self.file,
            Location::Default
            | Location::File(_)
            | Location::Line { .. }
            | Location::Variable(_)
            | Location::Set(_) => &self.working,
        }
    }
}

/// Types the merged values. `None` when something is wrong, which then is among the findings.
pub fn resolve(
    layer: &Layer,
    folders: &Folders,
    environment: &Environment,
    findings: &mut Findings,
    files: &mut Vec<PathBuf>,
    registered: &[&'static str],
) -> Option<Settings> {
    let mut r = Reader { entries: &layer.entries, folders, environment, findings, files };
    let server = r.server();
    let admin = r.admin();
    let upstream = r.upstream();
    let basic = r.basic();
    let ldap = r.ldap();
    let gate = r.one(&o::GATE_OTHER_ROUTES, parse::word(OTHER_ROUTES));
    let core = r.core();
    let release = upstream.as_ref().map_or(Release::Airflow3, |upstream| upstream.airflow);
    let api = r.api(registered, release);
    let api_auth = r.api_auth();
    let kerberos = r.kerberos();
    let database = r.database();
    let lockout = r.lockout();
    let redis = r.redis(api_auth.as_ref().ok());
    let limits = r.limits();
    let log = r.log();
    let issuers: Vec<_> = layer
        .issuers
        .iter()
        .map(|(at, entries)| Reader { entries, ..r.again() }.issuer(at).map(|i| Located::new(i, at.clone())))
        .collect();
    let callouts: Vec<_> = layer
        .callouts
        .iter()
        .map(|(name, (at, entries))| Reader { entries, ..r.again() }.callout(name, at))
        .collect();
    let backends = r.backends(&layer.backends);
    let settings = move || {
        Ok::<_, Failed>(Settings {
            server: server?,
            admin: admin?,
            upstream: upstream?,
            basic: basic?,
            ldap: ldap?,
            gate: Gate { other_routes: gate?.value },
            core: core?,
            api: api?,
            api_auth: api_auth?,
            kerberos: kerberos?,
            jwt_issuers: issuers.into_iter().collect::<Result<_, _>>()?,
            callouts: callouts.into_iter().collect::<Result<_, _>>()?,
            backends: backends?,
            database: database?,
            lockout: lockout?,
            redis: redis?,
            limits: limits?,
            log: log?,
        })
    };
    settings().ok()
}

/// The text of one value, for `config get-value`. What is wrong with it goes to the findings.
pub fn text_of(
    option: &Opt,
    layer: &Layer,
    folders: &Folders,
    environment: &Environment,
    findings: &mut Findings,
) -> Option<String> {
    let files = &mut Vec::new();
    let mut r = Reader { entries: &layer.entries, folders, environment, findings, files };
    r.given(option).ok().flatten().map(|given| given.text)
}

const OTHER_ROUTES: &[(&str, OtherRoutes)] =
    &[("deny", OtherRoutes::Deny), ("ui", OtherRoutes::Ui), ("all", OtherRoutes::All)];
const IDENTITIES: &[(&str, IdentityMode)] = &[
    ("auto", IdentityMode::Auto),
    ("mint", IdentityMode::Mint),
    ("exchange", IdentityMode::Exchange),
    ("passthrough", IdentityMode::Passthrough),
];
const WHEN_DOWN: &[(&str, WhenRedisIsDown)] =
    &[("open", WhenRedisIsDown::Open), ("closed", WhenRedisIsDown::Closed)];
const AMBIENT: &[(&str, Ambient)] = &[
    ("auto", Ambient::Auto),
    ("yes", Ambient::Yes),
    ("true", Ambient::Yes),
    ("no", Ambient::No),
    ("false", Ambient::No),
];
const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

impl Reader<'_> {
    fn server(&mut self) -> Resolved<Server> {
        let listen = self.some(&o::SERVER_LISTEN, parse::listen);
        let threads = self.one(&o::SERVER_THREADS, parse::number_or_none(1024));
        let grace_period = self.one(&o::SERVER_GRACE_PERIOD, parse::duration);
        let drain_delay = self.one(&o::SERVER_DRAIN_DELAY, parse::duration);
        let trusted_proxies = self.list(&o::SERVER_TRUSTED_PROXIES, parse::network);
        Ok(Server {
            listen: listen?,
            threads: threads?.value,
            grace_period: grace_period?.value,
            drain_delay: drain_delay?.value,
            trusted_proxies: values(trusted_proxies?),
        })
    }

    fn admin(&mut self) -> Resolved<Admin> {
        let listen = self.one(&o::ADMIN_LISTEN, parse::listen);
        Ok(Admin { listen: listen? })
    }

    fn upstream(&mut self) -> Resolved<Upstream> {
        let urls = self.some(&o::UPSTREAM_URL, parse::upstream_url);
        let airflow = self.one(&o::UPSTREAM_AIRFLOW, parse::release);
        let identity = self.one(&o::UPSTREAM_IDENTITY, parse::word(IDENTITIES));
        let auth_manager = match self.optional(&o::UPSTREAM_AUTH_MANAGER, parse::auth_manager) {
            Ok(Some(manager)) => Ok(manager),
            Ok(None) => self.one(&o::CORE_AUTH_MANAGER, parse::auth_manager),
            Err(failed) => Err(failed),
        };
        let ca_file = self.file_read_once(&o::UPSTREAM_CA_FILE);
        let server_name = match self.given(&o::UPSTREAM_SERVER_NAME) {
            Ok(Some(given)) => self.parsed(&o::UPSTREAM_SERVER_NAME, given, &parse::server_name).map(Some),
            Ok(None) => Ok(None),
            Err(failed) => Err(failed),
        };
        let connect_timeout = self.one(&o::UPSTREAM_CONNECT_TIMEOUT, parse::some_duration);
        let read_timeout = self.one(&o::UPSTREAM_READ_TIMEOUT, parse::some_duration);
        let idle_timeout = self.one(&o::UPSTREAM_IDLE_TIMEOUT, parse::some_duration);
        Ok(Upstream {
            urls: urls?,
            airflow: airflow?.value,
            identity: identity?,
            auth_manager: auth_manager?,
            ca_file: ca_file?,
            server_name: server_name?,
            connect_timeout: connect_timeout?.value,
            read_timeout: read_timeout?.value,
            idle_timeout: idle_timeout?.value,
        })
    }

    fn basic(&mut self) -> Resolved<Basic> {
        let sources = self.some(&o::BASIC_SOURCES, parse::basic_source);
        let cache_ttl = self.one(&o::BASIC_CACHE_TTL, parse::duration_or_off);
        let users_file = self.path(&o::BASIC_USERS_FILE);
        let sources = self.once(&o::BASIC_SOURCES, sources?);
        Ok(Basic { sources, cache_ttl: cache_ttl?.value, users_file: users_file? })
    }

    fn core(&mut self) -> Resolved<Core> {
        let option = &o::CORE_SIMPLE_AUTH_MANAGER_USERS;
        let at = self.at(option);
        let users = self.list(option, parse::simple_user);
        let passwords = self.path(&o::CORE_SIMPLE_AUTH_MANAGER_PASSWORDS_FILE);
        let users = users?;
        for (i, user) in users.iter().enumerate() {
            if users[..i].iter().any(|u| u.name == user.name) {
                let message = format!("{}: the user {:?} occurs twice", option.title(), user.name);
                self.findings.errors.push(&user.at, message);
            }
        }
        let generated =
            self.environment.get("AIRFLOW_HOME").filter(|home| !home.is_empty()).and_then(|home| {
                let home = expand::expand(home, self.environment).ok()?;
                let file =
                    self.folders.working.join(home).join("simple_auth_manager_passwords.json.generated");
                Some(Located::default_value(file))
            });
        Ok(Core {
            simple_users: at.filter(|_| !users.is_empty()).map(|at| Located::new(values(users), at)),
            simple_passwords_file: passwords?.or(generated),
        })
    }

    fn api(&mut self, registered: &[&'static str], release: Release) -> Resolved<Api> {
        let base_url = self.optional(&o::API_BASE_URL, parse::base_url);
        let auth_backends = self.auth_backends(registered, release);
        let anonymous_user = self.optional(&o::API_ANONYMOUS_USER, parse::text);
        let maximum = self.one(&o::API_MAXIMUM_PAGE_LIMIT, parse::number::<u32>(1, u32::MAX.into()));
        let fallback = self.one(&o::API_FALLBACK_PAGE_LIMIT, parse::number::<u32>(1, u32::MAX.into()));
        let origins = self.list(&o::API_ACCESS_CONTROL_ALLOW_ORIGINS, parse::origin);
        let methods = self.list(&o::API_ACCESS_CONTROL_ALLOW_METHODS, parse::token);
        let headers = self.list(&o::API_ACCESS_CONTROL_ALLOW_HEADERS, parse::token);
        let experimental = self.one(&o::API_ENABLE_EXPERIMENTAL_API, parse::boolean);
        let (maximum, mut fallback) = (maximum?, fallback?);
        if fallback.value > maximum.value {
            if fallback.is_set() {
                let message = format!(
                    "{}: {} is above maximum_page_limit, so {} is used, as in Airflow",
                    o::API_FALLBACK_PAGE_LIMIT.title(),
                    fallback.value,
                    maximum.value
                );
                self.findings.warn(&fallback.at, message);
            }
            fallback.value = maximum.value;
        }
        let cors = Cors { origins: origins?, methods: values(methods?), headers: values(headers?) };
        Ok(Api {
            base_url: base_url?,
            auth_backends: auth_backends?,
            anonymous_user: anonymous_user?,
            maximum_page_limit: maximum,
            fallback_page_limit: fallback,
            cors: Some(cors).filter(|cors| !cors.origins.is_empty()),
            enable_experimental_api: experimental?.value,
        })
    }

    /// The chain. Airflow's own list says what there is besides Airflow's tokens, which Airflow
    /// accepts whatever it says; without `jwt` the tokens that were just issued would be locked out.
    /// Airflow 2 has no tokens, so there the list is taken as it is, and nobody needs `jwt` by default.
    fn auth_backends(
        &mut self,
        registered: &[&'static str],
        release: Release,
    ) -> Resolved<Vec<Located<BackendName>>> {
        let option = &o::API_AUTH_BACKENDS;
        let source = self.entry(option).map(|entry| entry.source);
        let backends = self.some(option, |text| parse::backend_of(registered, text))?;
        let mut backends = self.once(option, backends);
        let has_jwt = backends.iter().any(|b| b.value == BackendName::Jwt);
        match (release, source, has_jwt, backends.first()) {
            (Release::Airflow3, Some(Source::Airflow), false, Some(first)) => {
                let jwt = Located::new(BackendName::Jwt, first.at.clone());
                backends.insert(usize::from(first.value == BackendName::Session), jwt);
            }
            (Release::Airflow2, None, _, _) => backends.retain(|b| b.value != BackendName::Jwt),
            (Release::Airflow2 | Release::Airflow3, _, _, _) => {}
        }
        Ok(backends)
    }

    fn api_auth(&mut self) -> Resolved<ApiAuth> {
        let secrets = self.secrets();
        let private_key = self.file_read_once(&o::API_AUTH_JWT_PRIVATE_KEY_PATH);
        let algorithms = self.list(&o::API_AUTH_JWT_ALGORITHM, parse::algorithm);
        let kid = self.optional(&o::API_AUTH_JWT_KID, parse::text);
        let issuers = self.list(&o::API_AUTH_JWT_ISSUER, parse::text);
        let audiences = self.list(&o::API_AUTH_JWT_AUDIENCE, parse::text);
        let leeway = self.one(&o::API_AUTH_JWT_LEEWAY, parse::duration);
        let jwks = self.optional(&o::API_AUTH_TRUSTED_JWKS_URL, parse::jwks);
        let expiration = self.one(&o::API_AUTH_JWT_EXPIRATION_TIME, parse::some_duration);
        let cli_expiration = self.one(&o::API_AUTH_JWT_CLI_EXPIRATION_TIME, parse::some_duration);
        let mut audiences = values(audiences?);
        if audiences.is_empty() {
            audiences.push(o::API_AUTH_JWT_AUDIENCE.default.to_owned());
        }
        Ok(ApiAuth {
            jwt_secrets: secrets?,
            jwt_private_key_path: private_key?,
            jwt_algorithms: algorithms?
                .into_iter()
                .filter_map(|a| Some(Located::new(a.value?, a.at)))
                .collect(),
            jwt_kid: kid?.map(|kid| kid.value),
            jwt_issuers: values(issuers?),
            jwt_audiences: audiences,
            jwt_leeway: leeway?.value,
            trusted_jwks_url: jwks?.map(|jwks| self.jwks(jwks)),
            jwt_expiration_time: expiration?.value,
            jwt_cli_expiration_time: cli_expiration?.value,
        })
    }

    /// The signing secrets. Written as nothing there is none, as in Airflow; a file or command that
    /// was to give one and gives nothing is an error.
    fn secrets(&mut self) -> Resolved<Vec<Located<Secret>>> {
        let option = &o::API_AUTH_JWT_SECRET;
        let empty_is_none =
            self.entry(option).is_none_or(|e| matches!(e.value, Value::Untyped(_) | Value::Text(_)));
        let given = self.items(option)?;
        let mut secrets = Vec::new();
        let mut failed = false;
        for given in given {
            if given.text.is_empty() && !empty_is_none {
                self.findings
                    .errors
                    .push(&given.at, format!("{}: a secret must not be empty", option.title()));
                failed = true;
            } else if !given.text.is_empty() {
                secrets.push(Located::new(Secret::new(given.text), given.at));
            }
        }
        if failed { Err(Failed) } else { Ok(secrets) }
    }

    /// A file of keys is found from where it was written.
    fn jwks(&self, source: Located<JwksSource>) -> Located<JwksSource> {
        let folder = self.folders.of(&source.at).to_owned();
        source.map(|source| match source {
            JwksSource::Url(url) => JwksSource::Url(url),
            JwksSource::File(path) => JwksSource::File(folder.join(path)),
        })
    }

    fn issuer(&mut self, at: &Location) -> Resolved<JwtIssuer> {
        let issuer = self.required(&o::ISSUER_ISSUER, at, parse::text);
        let jwks = self.required(&o::ISSUER_JWKS_URL, at, parse::jwks);
        let audiences = match self.given_somewhere(&o::ISSUER_AUDIENCE, at) {
            Ok(()) => self.some(&o::ISSUER_AUDIENCE, parse::text),
            Err(failed) => Err(failed),
        };
        let algorithms = self.some(&o::ISSUER_ALGORITHMS, parse::issuer_algorithm);
        let username_claim = self.one(&o::ISSUER_USERNAME_CLAIM, parse::text);
        let username_prefix = self.required(&o::ISSUER_USERNAME_PREFIX, at, parse::any);
        Ok(JwtIssuer {
            issuer: issuer?.value,
            jwks: self.jwks(jwks?),
            audiences: values(audiences?),
            algorithms: values(algorithms?),
            username_claim: username_claim?.value,
            username_prefix: username_prefix?.value,
        })
    }

    /// The metadata database. Airflow's own configuration may name one that is not read here: as long as
    /// nothing needs it that is no fault, and the checks say what does.
    fn database(&mut self) -> Resolved<Option<Database>> {
        let option = &o::DATABASE_SQL_ALCHEMY_CONN;
        let source = self.entry(option).map(|entry| entry.source);
        let url = self.optional(option, parse::any)?;
        let schema = self.optional(&o::DATABASE_SQL_ALCHEMY_SCHEMA, parse::text)?;
        let Some(url) = url else { return Ok(None) };
        match (source, parse::other_database(&url.value)) {
            (Some(Source::Airflow), Some(other)) => {
                let message = format!("{}: {other} is not read here, and not used", option.title());
                self.findings.warn(&url.at, message);
                Ok(None)
            }
            (Some(Source::Airflow | Source::Own) | None, _) => {
                Ok(Some(Database { url: url.map(Secret::new), schema }))
            }
        }
    }

    fn kerberos(&mut self) -> Resolved<Kerberos> {
        let keytab = self.path(&o::KERBEROS_KEYTAB);
        let principal = self.optional(&o::KERBEROS_PRINCIPAL, parse::service_principal);
        let local_realms = self.list(&o::KERBEROS_LOCAL_REALMS, parse::realm);
        let replay_cache = self.path(&o::KERBEROS_REPLAY_CACHE);
        Ok(Kerberos {
            keytab: keytab?,
            principal: principal?,
            local_realms: values(local_realms?),
            replay_cache: replay_cache?,
        })
    }

    fn callout(&mut self, name: &str, at: &Location) -> Resolved<Callout> {
        let url = match self.entry(&o::CALLOUT_URL) {
            Some(_) => self.one(&o::CALLOUT_URL, parse::callout_url),
            None => {
                self.findings.errors.push(at, format!("[callout.{name}]: url is missing"));
                Err(Failed)
            }
        };
        let headers = self.some(&o::CALLOUT_HEADERS, parse::callout_header);
        let timeout = self.one(&o::CALLOUT_TIMEOUT, parse::some_duration);
        let ca_file = self.file_read_once(&o::CALLOUT_CA_FILE);
        let cache_ttl = self.one(&o::CALLOUT_CACHE_TTL, parse::duration_or_off);
        let ambient = self.one(&o::CALLOUT_AMBIENT, parse::word(AMBIENT));
        let challenge = self.optional(&o::CALLOUT_CHALLENGE, parse::printable);
        let headers = self.once(&o::CALLOUT_HEADERS, headers?);
        Ok(Callout {
            name: name.to_owned(),
            at: at.clone(),
            url: url?,
            headers: values(headers),
            timeout: timeout?.value,
            ca_file: ca_file?,
            cache_ttl: cache_ttl?.value,
            ambient: ambient?.value,
            challenge: challenge?.map(|challenge| challenge.value),
        })
    }

    /// The tables of backends of one's own, with the files that their values are in.
    fn backends(&mut self, tables: &BTreeMap<String, Table>) -> Resolved<BTreeMap<String, Table>> {
        let mut failed = false;
        let mut read = BTreeMap::new();
        for (name, table) in tables {
            let mut table = table.clone();
            if let Err(error) = table.read_files(self.files) {
                self.findings.errors.push(&error.at, error.message);
                failed = true;
            }
            read.insert(name.clone(), table);
        }
        if failed { Err(Failed) } else { Ok(read) }
    }

    fn lockout(&mut self) -> Resolved<Option<Lockout>> {
        let attempts = self.one(&o::LOCKOUT_ATTEMPTS, parse::number::<u32>(0, 1_000_000));
        let window = self.one(&o::LOCKOUT_WINDOW, parse::some_duration);
        let duration = self.one(&o::LOCKOUT_DURATION, parse::some_duration);
        let when_redis_is_down = self.one(&o::LOCKOUT_WHEN_REDIS_IS_DOWN, parse::word(WHEN_DOWN));
        let lockout = Lockout {
            attempts: attempts?.value,
            window: window?.value,
            duration: duration?.value,
            when_redis_is_down: when_redis_is_down?.value,
        };
        Ok(Some(lockout).filter(|l| l.attempts > 0))
    }

    fn redis(&mut self, api_auth: Option<&ApiAuth>) -> Resolved<Option<Redis>> {
        let url = self.optional(&o::REDIS_URL, parse::redis_url);
        let ca_file = self.file_read_once(&o::REDIS_CA_FILE);
        let secret = self.optional(&o::REDIS_SECRET, parse::text);
        let timeout = self.one(&o::REDIS_TIMEOUT, parse::some_duration);
        let (url, ca_file, secret, timeout) = (url?, ca_file?, secret?, timeout?);
        let Some(url) = url else { return Ok(None) };
        let own = secret.map(|secret| Secret::new(secret.value));
        let airflows = api_auth.and_then(|api_auth| api_auth.jwt_secrets.first()).map(|s| s.value.clone());
        let found = own.or(airflows).or_else(|| url.value.password.clone());
        let Some(secret) = found else {
            let message = format!(
                "{}: names are hashed before Redis gets them, for which replicas need something in common that is \
                 secret: {}, {}, or a password in the URL",
                o::REDIS_URL.title(),
                o::REDIS_SECRET.title(),
                o::API_AUTH_JWT_SECRET.title()
            );
            self.findings.errors.push(&url.at, message);
            return Err(Failed);
        };
        Ok(Some(Redis { url, ca_file, secret, timeout: timeout.value }))
    }

    fn limits(&mut self) -> Resolved<Limits> {
        let header_timeout = self.one(&o::LIMITS_HEADER_TIMEOUT, parse::some_duration);
        let max_headers = self.one(&o::LIMITS_MAX_HEADERS, parse::number::<usize>(1, 256));
        let max_body = self.one(&o::LIMITS_MAX_BODY, parse::number::<usize>(1, 1 << 30));
        let connections = self.one(&o::LIMITS_MAX_CONNECTIONS, parse::number_or_none(10_000_000));
        let per_address = self.one(&o::LIMITS_MAX_CONNECTIONS_PER_ADDRESS, parse::number_or_none(10_000_000));
        Ok(Limits {
            header_timeout: header_timeout?.value,
            max_headers: max_headers?.value,
            max_body: max_body?.value,
            max_connections: connections?.value,
            max_connections_per_address: per_address?.value,
        })
    }

    fn log(&mut self) -> Resolved<Log> {
        let level = self.one(&o::LOG_LEVEL, parse::word(LEVELS));
        let file = self.path(&o::LOG_FILE);
        let access = self.one(&o::LOG_ACCESS, parse::boolean);
        let access = if access?.value { AccessLog::On } else { AccessLog::Off };
        Ok(Log { level: level?.value, file: file?, access })
    }
}

fn values<T>(list: Vec<Located<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}
