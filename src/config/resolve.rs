//! Values as read to settings as typed, with every error in them collected.

pub mod checks;
pub mod parse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::parse::{Fault, Parsed};
use super::airflow::expand::{self, Environment};
use super::layer::{Entry, Findings, Key, Layer, Newline, Source, Value};
use super::location::{Located, Location};
use super::options::{self as o, Opt, Shape};
use super::settings::*;
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
) -> Option<Settings> {
    let mut r = Resolver { entries: &layer.entries, folders, environment, findings, files };
    let server = r.server();
    let admin = r.admin();
    let upstream = r.upstream();
    let basic = r.basic();
    let gate = r.one(&o::GATE_OTHER_ROUTES, parse::word(OTHER_ROUTES));
    let core = r.core();
    let api = r.api();
    let api_auth = r.api_auth();
    let lockout = r.lockout();
    let limits = r.limits();
    let log = r.log();
    let issuers: Vec<_> = layer
        .issuers
        .iter()
        .map(|(at, entries)| {
            Resolver { entries, ..r.again() }.issuer(at).map(|i| Located::new(i, at.clone()))
        })
        .collect();
    let settings = move || {
        Ok::<_, Failed>(Settings {
            server: server?,
            admin: admin?,
            upstream: upstream?,
            basic: basic?,
            gate: Gate { other_routes: gate?.value },
            core: core?,
            api: api?,
            api_auth: api_auth?,
            jwt_issuers: issuers.into_iter().collect::<Result<_, _>>()?,
            lockout: lockout?,
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
    let mut r = Resolver { entries: &layer.entries, folders, environment, findings, files };
    r.given(option).ok().flatten().map(|given| given.text)
}

const OTHER_ROUTES: &[(&str, OtherRoutes)] =
    &[("deny", OtherRoutes::Deny), ("ui", OtherRoutes::Ui), ("all", OtherRoutes::All)];
const PAGES: &[(&str, StatusPage)] =
    &[("off", StatusPage::Off), ("loopback", StatusPage::Loopback), ("all", StatusPage::All)];
const IDENTITIES: &[(&str, IdentityMode)] = &[
    ("auto", IdentityMode::Auto),
    ("mint", IdentityMode::Mint),
    ("exchange", IdentityMode::Exchange),
    ("passthrough", IdentityMode::Passthrough),
];
const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// The error is already among the findings.
struct Failed;

type Resolved<T> = Result<T, Failed>;

/// A text, and where it was written.
struct Given {
    text: String,
    at: Location,
}

struct Resolver<'a> {
    entries: &'a BTreeMap<Key, Entry>,
    folders: &'a Folders,
    environment: &'a Environment,
    findings: &'a mut Findings,
    files: &'a mut Vec<PathBuf>,
}

impl Resolver<'_> {
    fn again(&mut self) -> Resolver<'_> {
        Resolver {
            entries: self.entries,
            folders: self.folders,
            environment: self.environment,
            findings: self.findings,
            files: self.files,
        }
    }

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
        let page = self.one(&o::ADMIN_PAGE, parse::word(PAGES));
        Ok(Admin { listen: listen?, page: page?.value })
    }

    fn upstream(&mut self) -> Resolved<Upstream> {
        let urls = self.some(&o::UPSTREAM_URL, parse::upstream_url);
        let identity = self.one(&o::UPSTREAM_IDENTITY, parse::word(IDENTITIES));
        let auth_manager = match self.optional(&o::UPSTREAM_AUTH_MANAGER, parse::auth_manager) {
            Ok(Some(manager)) => Ok(manager),
            Ok(None) => self.one(&o::CORE_AUTH_MANAGER, parse::auth_manager),
            Err(failed) => Err(failed),
        };
        let ca_file = self.path(&o::UPSTREAM_CA_FILE);
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

    fn api(&mut self) -> Resolved<Api> {
        let base_url = self.optional(&o::API_BASE_URL, parse::base_url);
        let auth_backends = self.auth_backends();
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
        let cors = Cors { origins: values(origins?), methods: values(methods?), headers: values(headers?) };
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
    fn auth_backends(&mut self) -> Resolved<Vec<Located<BackendName>>> {
        let option = &o::API_AUTH_BACKENDS;
        let source = self.entry(option).map(|entry| entry.source);
        let backends = self.some(option, parse::backend)?;
        let mut backends = self.once(option, backends);
        let has_jwt = backends.iter().any(|b| b.value == BackendName::Jwt);
        if let (Some(Source::Airflow), false, Some(first)) = (source, has_jwt, backends.first()) {
            let jwt = Located::new(BackendName::Jwt, first.at.clone());
            backends.insert(usize::from(first.value == BackendName::Session), jwt);
        }
        Ok(backends)
    }

    fn api_auth(&mut self) -> Resolved<ApiAuth> {
        let secrets = self.secrets();
        let private_key = self.path(&o::API_AUTH_JWT_PRIVATE_KEY_PATH);
        let algorithms = self.list(&o::API_AUTH_JWT_ALGORITHM, parse::algorithm);
        let kid = self.optional(&o::API_AUTH_JWT_KID, parse::text);
        let issuers = self.list(&o::API_AUTH_JWT_ISSUER, parse::text);
        let audiences = self.list(&o::API_AUTH_JWT_AUDIENCE, parse::text);
        let leeway = self.one(&o::API_AUTH_JWT_LEEWAY, parse::duration);
        let jwks = self.optional(&o::API_AUTH_TRUSTED_JWKS_URL, parse::any);
        let jwks = self.jwks(&o::API_AUTH_TRUSTED_JWKS_URL, jwks);
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
            trusted_jwks_url: jwks?,
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

    fn issuer(&mut self, at: &Location) -> Resolved<JwtIssuer> {
        let issuer = self.required(&o::ISSUER_ISSUER, at, parse::text);
        let jwks = self.required(&o::ISSUER_JWKS_URL, at, parse::text);
        let jwks = self.jwks(&o::ISSUER_JWKS_URL, jwks.map(Some));
        let audiences = match self.given_somewhere(&o::ISSUER_AUDIENCE, at) {
            Ok(()) => self.some(&o::ISSUER_AUDIENCE, parse::text),
            Err(failed) => Err(failed),
        };
        let algorithms = self.some(&o::ISSUER_ALGORITHMS, parse::issuer_algorithm);
        let username_claim = self.one(&o::ISSUER_USERNAME_CLAIM, parse::text);
        let username_prefix = self.required(&o::ISSUER_USERNAME_PREFIX, at, parse::any);
        Ok(JwtIssuer {
            issuer: issuer?.value,
            jwks: jwks?.ok_or(Failed)?,
            audiences: values(audiences?),
            algorithms: values(algorithms?),
            username_claim: username_claim?.value,
            username_prefix: username_prefix?.value,
        })
    }

    fn lockout(&mut self) -> Resolved<Option<Lockout>> {
        let attempts = self.one(&o::LOCKOUT_ATTEMPTS, parse::number::<u32>(0, 1_000_000));
        let window = self.one(&o::LOCKOUT_WINDOW, parse::some_duration);
        let duration = self.one(&o::LOCKOUT_DURATION, parse::some_duration);
        let lockout = Lockout { attempts: attempts?.value, window: window?.value, duration: duration?.value };
        Ok(Some(lockout).filter(|l| l.attempts > 0))
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

/// How one option is read.
impl Resolver<'_> {
    fn entry(&self, option: &Opt) -> Option<&Entry> {
        self.entries.get(&(option.section, option.key))
    }

    fn at(&self, option: &Opt) -> Option<Location> {
        self.entry(option).map(|entry| entry.at.clone())
    }

    /// A value that is there, or has a default.
    fn one<T>(&mut self, option: &Opt, parse: impl Fn(&str) -> Parsed<T>) -> Resolved<Located<T>> {
        let given = match self.given(option)? {
            Some(given) => given,
            None => Given { text: option.default.to_owned(), at: Location::Default },
        };
        self.parsed(option, given, &parse)
    }

    /// A value that may be absent. The empty text counts as absent.
    fn optional<T>(
        &mut self,
        option: &Opt,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Resolved<Option<Located<T>>> {
        match self.given(option)?.filter(|given| !given.text.is_empty()) {
            Some(given) => self.parsed(option, given, &parse).map(Some),
            None => Ok(None),
        }
    }

    /// A value that must be there: `at` is the table that lacks it.
    fn required<T>(
        &mut self,
        option: &Opt,
        at: &Location,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Resolved<Located<T>> {
        self.given_somewhere(option, at)?;
        self.one(option, parse)
    }

    fn given_somewhere(&mut self, option: &Opt, at: &Location) -> Resolved<()> {
        if self.entry(option).is_some() {
            return Ok(());
        }
        let message = format!("[[{}]]: {} is missing", option.section, option.key);
        self.findings.errors.push(at, message);
        Err(Failed)
    }

    /// A list, which may be empty.
    fn list<T>(&mut self, option: &Opt, parse: impl Fn(&str) -> Parsed<T>) -> Resolved<Vec<Located<T>>> {
        let given = self.items(option)?;
        let parsed: Vec<_> = given
            .into_iter()
            .filter(|given| !given.text.is_empty())
            .map(|given| self.parsed(option, given, &parse))
            .collect();
        parsed.into_iter().collect()
    }

    /// A list of at least one.
    fn some<T>(&mut self, option: &Opt, parse: impl Fn(&str) -> Parsed<T>) -> Resolved<Vec<Located<T>>> {
        let list = self.list(option, parse)?;
        if list.is_empty() {
            let at = self.at(option).unwrap_or(Location::Default);
            let message = format!("{}: expected at least one: {}", option.title(), option.allowed);
            self.findings.errors.push(&at, message);
            return Err(Failed);
        }
        Ok(list)
    }

    /// Drops what a list has twice, with a warning.
    fn once<T: PartialEq>(&mut self, option: &Opt, list: Vec<Located<T>>) -> Vec<Located<T>> {
        let mut once: Vec<Located<T>> = Vec::with_capacity(list.len());
        for item in list {
            if once.iter().any(|seen| seen.value == item.value) {
                self.findings.warn(&item.at, format!("{}: names one thing twice", option.title()));
            } else {
                once.push(item);
            }
        }
        once
    }

    fn path(&mut self, option: &Opt) -> Resolved<Option<Located<PathBuf>>> {
        let path = self.optional(option, parse::any)?;
        Ok(path.map(|path| {
            let folder = self.folders.of(&path.at);
            path.map(|text| folder.join(text))
        }))
    }

    fn jwks(
        &mut self,
        option: &Opt,
        text: Resolved<Option<Located<String>>>,
    ) -> Resolved<Option<Located<JwksSource>>> {
        let Some(text) = text? else { return Ok(None) };
        let source = if text.starts_with("http://") || text.starts_with("https://") {
            match text.parse::<http::Uri>() {
                Ok(uri) if uri.host().is_some_and(|h| !h.is_empty()) => JwksSource::Url(text.value),
                Ok(_) | Err(_) => return Err(self.fault(option, &text.at, &text.value, Fault::Expected)),
            }
        } else if text.contains("://") {
            return Err(self.fault(option, &text.at, &text.value, Fault::Expected));
        } else {
            JwksSource::File(self.folders.of(&text.at).join(&text.value))
        };
        Ok(Some(Located::new(source, text.at)))
    }

    fn parsed<T>(
        &mut self,
        option: &Opt,
        given: Given,
        parse: &impl Fn(&str) -> Parsed<T>,
    ) -> Resolved<Located<T>> {
        match parse(&given.text) {
            Ok(value) => Ok(Located::new(value, given.at)),
            Err(fault) => Err(self.fault(option, &given.at, &given.text, fault)),
        }
    }

    fn fault(&mut self, option: &Opt, at: &Location, text: &str, fault: Fault) -> Failed {
        let message = match fault {
            Fault::Expected if option.secret => format!("{}: expected {}", option.title(), option.allowed),
            Fault::Expected => {
                format!("{}: expected {}, found {text:?}", option.title(), option.allowed)
            }
            Fault::Because(reason) => format!("{}: {reason}", option.title()),
        };
        self.findings.errors.push(at, message);
        Failed
    }

    /// The value of an option that is one text, whatever it was written as.
    fn given(&mut self, option: &Opt) -> Resolved<Option<Given>> {
        let Some(entry) = self.entry(option).cloned() else { return Ok(None) };
        let text = self.text(option, entry.value, &entry.at)?;
        Ok(Some(Given { text, at: entry.at }))
    }

    /// The items of a list.
    fn items(&mut self, option: &Opt) -> Resolved<Vec<Given>> {
        let Some(Entry { value, at, .. }) = self.entry(option).cloned() else {
            return Ok(cut(option.shape, option.default, &Location::Default));
        };
        let Value::Array(items) = value else {
            let text = self.text(option, value, &at)?;
            return Ok(cut(option.shape, &text, &at));
        };
        let given: Vec<_> = items
            .into_iter()
            .map(|item| {
                let text = self.text(option, item.value, &item.at)?;
                Ok(Given { text, at: item.at })
            })
            .collect();
        given.into_iter().collect()
    }

    /// A value as text, when its type is one that the option may have. Files are read and commands
    /// run here, so only for values that nothing overrides.
    fn text(&mut self, option: &Opt, value: Value, at: &Location) -> Resolved<String> {
        let found = match (value, option.shape) {
            (Value::Untyped(text), _) => return Ok(text),
            (Value::Text(text), Shape::Integer | Shape::Boolean) => format!("the text {text:?}"),
            (Value::Text(text), _) => return Ok(text),
            (Value::Integer(digits), Shape::Integer | Shape::Duration) => return Ok(digits),
            (Value::Integer(digits), _) => format!("the number {digits}"),
            (Value::Boolean(flag), Shape::Boolean) => return Ok(flag.to_string()),
            (Value::Boolean(flag), _) => flag.to_string(),
            (Value::Array(_), _) => "an array".to_owned(),
            (Value::Other(kind), _) => kind.to_owned(),
            (Value::File(path), _) => return self.content(option, &path, at),
            (Value::Command { line, newline }, _) => return self.output(option, &line, newline, at),
            (Value::Refused(message), _) => {
                if !message.is_empty() {
                    self.findings.errors.push(at, message);
                }
                return Err(Failed);
            }
        };
        let found = if option.secret { String::new() } else { format!(", found {found}") };
        let message = format!("{}: expected {}{found}", option.title(), option.allowed);
        self.findings.errors.push(at, message);
        Err(Failed)
    }

    fn content(&mut self, option: &Opt, path: &Path, at: &Location) -> Resolved<String> {
        self.files.push(path.to_owned());
        match std::fs::read_to_string(path) {
            Ok(mut text) => {
                drop_newline(&mut text);
                Ok(text)
            }
            Err(error) => {
                let message = format!("{}: {} cannot be read: {error}", option.title(), path.display());
                self.findings.errors.push(at, message);
                Err(Failed)
            }
        }
    }

    fn output(&mut self, option: &Opt, line: &str, newline: Newline, at: &Location) -> Resolved<String> {
        match expand::run(line, self.environment) {
            Ok(mut text) => {
                if newline == Newline::Dropped {
                    drop_newline(&mut text);
                }
                Ok(text)
            }
            Err(error) => {
                self.findings.errors.push(at, format!("{}: {error}", option.title()));
                Err(Failed)
            }
        }
    }
}

fn values<T>(list: Vec<Located<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}

fn drop_newline(text: &mut String) {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
}

/// Cuts a text into the items of a list.
fn cut(shape: Shape, text: &str, at: &Location) -> Vec<Given> {
    let given = |item: &str| Given { text: item.to_owned(), at: at.clone() };
    match shape {
        Shape::List => text.split(|c: char| c == ',' || c.is_whitespace()).map(given).collect(),
        Shape::CommaList => text.split(',').map(|item| given(item.trim())).collect(),
        Shape::ArrayList | Shape::Text | Shape::Integer | Shape::Duration | Shape::Boolean => {
            vec![given(text)]
        }
    }
}
