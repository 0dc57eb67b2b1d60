//! The whole configuration, from text to settings and messages.

use std::time::Duration;

use super::settings::*;
use super::*;

/// A folder with the files of a test, and what else it is given.
struct Case {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            conf: None,
            assignments: Vec::new(),
            environment: Environment::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            unreadable: Vec::new(),
            directory: folder.path().to_owned(),
            system_file: folder.path().join("etc/airgate.toml"),
        };
        Self { folder, sources }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn toml(self, text: &str) -> Self {
        self.file("airgate.toml", text)
    }

    fn cfg(self, text: &str) -> Self {
        self.file("airflow.cfg", text).variable("AIRGATE__GATE__AIRFLOW_CFG", "airflow.cfg")
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn set(mut self, assignment: &str) -> Self {
        self.sources.assignments.push(assignment.parse().unwrap());
        self
    }

    fn conf(mut self, path: &str) -> Self {
        self.sources.conf = Some(PathBuf::from(path));
        self
    }

    fn loaded(&self) -> Loaded {
        self.sources.load().unwrap_or_else(|rejected| panic!("{}", rejected.errors))
    }

    fn settings(&self) -> Settings {
        self.loaded().settings
    }

    /// All errors, without the folder of the test.
    fn errors(&self) -> Vec<String> {
        match self.sources.load() {
            Ok(_) => Vec::new(),
            Err(rejected) => rejected.errors.iter().map(|note| self.bare(&note.to_string())).collect(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.loaded().warnings.iter().map(|note| self.bare(&note.to_string())).collect()
    }

    fn bare(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    fn written(&self, section: &str, key: &str) -> Option<String> {
        let option = options::find(section, key).unwrap();
        self.sources.read().written(option, &self.sources.environment).unwrap()
    }
}

fn values<T: Clone>(list: &[Located<T>]) -> Vec<T> {
    list.iter().map(|item| item.value.clone()).collect()
}

#[test]
fn nothing_configured_is_the_documented_default() {
    let case = Case::new();
    let loaded = case.loaded();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.places(), Vec::<String>::new());
    let s = loaded.settings;
    assert_eq!(s.server.listen[0].value, Listen::Tcp("127.0.0.1:8081".parse().unwrap()));
    assert_eq!(s.server.threads, None);
    assert_eq!(s.server.grace_period, Duration::from_secs(20));
    assert_eq!(s.server.drain_delay, Duration::ZERO);
    assert_eq!(s.server.trusted_proxies, []);
    assert_eq!(s.admin.listen.to_string(), "127.0.0.1:9091");
    assert_eq!(s.admin.page, StatusPage::Loopback);
    assert_eq!(s.upstream.urls[0].to_string(), "http://127.0.0.1:8080");
    assert_eq!(s.upstream.identity.value, IdentityMode::Auto);
    assert_eq!(s.upstream.auth_manager.value, AuthManager::Simple);
    assert_eq!(s.upstream.ca_file, None);
    assert_eq!(s.upstream.server_name, None);
    assert_eq!(s.upstream.connect_timeout, Duration::from_secs(5));
    assert_eq!(s.upstream.read_timeout, Duration::from_secs(60));
    assert_eq!(s.upstream.idle_timeout, Duration::from_secs(4));
    assert_eq!(values(&s.basic.sources), [BasicSource::Upstream]);
    assert_eq!(s.basic.cache_ttl, Some(Duration::from_secs(60)));
    assert_eq!(s.basic.users_file, None);
    assert_eq!(s.gate.other_routes, OtherRoutes::Deny);
    assert_eq!(s.core.simple_users, None);
    assert_eq!(s.core.simple_passwords_file, None);
    assert_eq!(s.api.base_url, None);
    let backends = [BackendName::Session, BackendName::Jwt, BackendName::BasicAuth];
    assert_eq!(values(&s.api.auth_backends), backends);
    assert_eq!(s.api.anonymous_user, None);
    assert_eq!(s.api.maximum_page_limit.value, 100);
    assert_eq!(s.api.fallback_page_limit.value, 50);
    assert_eq!(s.api.cors, None);
    assert!(!s.api.enable_experimental_api);
    assert_eq!(s.api_auth.jwt_secrets, []);
    assert!(!s.api_auth.can_sign());
    assert_eq!(s.api_auth.jwt_private_key_path, None);
    assert_eq!(s.api_auth.jwt_algorithms, []);
    assert_eq!(s.api_auth.jwt_kid, None);
    assert_eq!(s.api_auth.jwt_issuers, Vec::<String>::new());
    assert_eq!(s.api_auth.jwt_audiences, ["apache-airflow"]);
    assert_eq!(s.api_auth.jwt_leeway, Duration::from_secs(10));
    assert_eq!(s.api_auth.trusted_jwks_url, None);
    assert_eq!(s.api_auth.jwt_expiration_time, Duration::from_secs(86400));
    assert_eq!(s.api_auth.jwt_cli_expiration_time, Duration::from_secs(3600));
    assert!(s.jwt_issuers.is_empty());
    let five_minutes = Duration::from_secs(300);
    assert_eq!(s.lockout, Some(Lockout { attempts: 10, window: five_minutes, duration: five_minutes }));
    assert_eq!(
        s.limits,
        Limits {
            header_timeout: Duration::from_secs(10),
            max_headers: 100,
            max_body: 128 << 10,
            max_connections: std::num::NonZeroUsize::new(10_000),
            max_connections_per_address: None,
        }
    );
    assert_eq!(s.log.level, LogLevel::Info);
    assert_eq!(s.log.file, None);
    assert_eq!(s.log.access, AccessLog::On);
}

#[test]
fn each_source_goes_before_the_last() {
    let mut case = Case::new().file("airgate.toml", "");
    let read = |case: &Case| {
        let s = case.settings();
        (s.api.maximum_page_limit.value, s.api.maximum_page_limit.at.to_string())
    };
    assert_eq!(read(&case), (100, "built-in default".to_owned()));
    case = case.cfg("[api]\nmaximum_page_limit = 99\nfallback_page_limit = 1\n");
    assert_eq!(read(&case), (99, "airflow.cfg:2".to_owned()));
    case = case.variable("AIRFLOW__API__MAXIMUM_PAGE_LIMIT", "98");
    assert_eq!(read(&case), (98, "AIRFLOW__API__MAXIMUM_PAGE_LIMIT".to_owned()));
    case = case.toml("[api]\n  maximum_page_limit = 97\n");
    assert_eq!(read(&case), (97, "airgate.toml:2:24".to_owned()));
    case = case.variable("AIRGATE__API__MAXIMUM_PAGE_LIMIT", "96");
    assert_eq!(read(&case), (96, "AIRGATE__API__MAXIMUM_PAGE_LIMIT".to_owned()));
    case = case.set("api.maximum_page_limit=94").set("api.maximum_page_limit=95");
    assert_eq!(read(&case), (95, "--set api.maximum_page_limit".to_owned()));
    assert_eq!(
        case.loaded().places(),
        ["airgate.toml", "airflow.cfg", "--set api.maximum_page_limit", "AIRGATE__GATE__AIRFLOW_CFG"]
    );
}

#[test]
fn five_mistakes_are_five_errors() {
    let case = Case::new().toml(
        "[server]\n\
         listne = \"127.0.0.1:1\"\n\
         threads = \"four\"\n\
         \n\
         [api]\n\
         maximum_page_limit = 0\n\
         access_control_allow_origins = [\"https://ok.example\", \"*\"]\n\
         \n\
         [upsteam]\n\
         url = \"http://127.0.0.1:8080\"\n",
    );
    assert_eq!(
        case.errors(),
        [
            "airgate.toml:2:1: unknown key listne in [server]; the nearest is listen",
            "airgate.toml:3:11: [server] threads: expected a whole number from 0 to 1024, found the text \"four\"",
            "airgate.toml:6:22: [api] maximum_page_limit: expected a whole number from 1 to 4294967295, found \"0\"",
            "airgate.toml:7:55: [api] access_control_allow_origins: `*` is refused: the API is called with \
             credentials, and browsers reject every answer that allows credentials to all origins. List the exact \
             origins, such as \"https://airflow.example.com\"",
            "airgate.toml:9:2: unknown section [upsteam]; the nearest is [upstream]",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_still_tells_the_rest() {
    let case = Case::new().toml(
        "[server]\nthreads = \nlisten = 5\n[api]\nmaximum_page_limit = 1\nmaximum_page_limit = 2\nnonsense = 1\n",
    );
    let errors = case.errors();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert_eq!(errors[0], "airgate.toml:2:11: string values must be quoted, expected literal string");
    assert_eq!(
        errors[1],
        "airgate.toml:3:10: [server] listen: expected an address and port such as \"127.0.0.1:8081\", or \
         \"unix:\" and an absolute path, found the number 5"
    );
    assert_eq!(errors[2], "airgate.toml:6:1: duplicate key");
    assert!(errors[3].starts_with("airgate.toml:7:1: unknown key nonsense in [api]"), "{errors:#?}");
}

/// One error in our own file, and its whole text.
#[test]
fn every_refusal_says_why() {
    const KEY: &str = "[api_auth]\njwt_secret = \"s\"\n";
    let rows: &[(&str, &str, &str)] = &[
        (
            "a key outside of a section",
            "listen = 1",
            "airgate.toml:1:1: listen stands in no section; there is [server] listen",
        ),
        (
            "a section that is a value",
            "api = 1",
            "airgate.toml:1:1: [api]: expected a section, found a whole number",
        ),
        (
            "a fraction",
            "[server]\nthreads = 1.5",
            "airgate.toml:2:11: [server] threads: expected a whole number from 0 to 1024, found a number with a fraction",
        ),
        (
            "a date",
            "[log]\nlevel = 1979-05-27",
            "airgate.toml:2:9: [log] level: expected error, warn, info, debug or trace, found a date",
        ),
        (
            "a flag for a text",
            "[log]\nlevel = true",
            "airgate.toml:2:9: [log] level: expected error, warn, info, debug or trace, found true",
        ),
        (
            "an array for a text",
            "[log]\nlevel = [\"info\"]",
            "airgate.toml:2:9: [log] level: expected error, warn, info, debug or trace, found an array",
        ),
        (
            "a number for a flag",
            "[log]\naccess = 1",
            "airgate.toml:2:10: [log] access: expected true or false, found the number 1",
        ),
        (
            "a table",
            "[log]\nlevel = { x = 1 }",
            "airgate.toml:2:9: expected a value or { file = \"…\" }, found another table",
        ),
        (
            "a file that is no path",
            "[log]\nlevel = { file = 1 }",
            "airgate.toml:2:18: { file = … }: expected a path, found a whole number",
        ),
        (
            "a file that is not there",
            "[log]\nlevel = { file = \"none\" }",
            "airgate.toml:2:9: [log] level: none cannot be read: No such file or directory (os error 2)",
        ),
        (
            "a duration",
            "[basic]\ncache_ttl = \"5 apples\"",
            "airgate.toml:2:13: [basic] cache_ttl: expected a duration such as \"20s\" or \"5m\", or a whole number of seconds, found \"5 apples\"",
        ),
        (
            "no time at all",
            "[upstream]\nread_timeout = 0",
            "airgate.toml:2:16: [upstream] read_timeout: expected more than 0",
        ),
        (
            "an empty list",
            "[server]\nlisten = []",
            "airgate.toml:2:10: [server] listen: expected at least one: an address and port such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path",
        ),
        (
            "a host name to listen on",
            "[server]\nlisten = \"localhost:8081\"",
            "airgate.toml:2:10: [server] listen: expected an address and port such as \"127.0.0.1:8081\", or \"unix:\" and an absolute path, found \"localhost:8081\"",
        ),
        (
            "one port for two",
            "[admin]\nlisten = \"127.0.0.1:8081\"",
            "airgate.toml:2:10: listen: 127.0.0.1:8081 is taken twice",
        ),
        (
            "a proxy's name",
            "[server]\ntrusted_proxies = \"proxy\"",
            "airgate.toml:2:19: [server] trusted_proxies: expected an address such as \"10.0.0.7\" or a network such as \"10.0.0.0/8\", found \"proxy\"",
        ),
        (
            "an upstream with a path",
            "[upstream]\nurl = \"http://h/airflow\"",
            "airgate.toml:2:7: [upstream] url: a URL with a path is refused: requests are forwarded with the path they came with. If Airflow has a path of its own, set [api] base_url",
        ),
        (
            "an upstream with a query",
            "[upstream]\nurl = \"http://h?x\"",
            "airgate.toml:2:7: [upstream] url: a URL with a query or fragment is refused",
        ),
        (
            "an upstream with a password",
            "[upstream]\nurl = \"http://u:hunter2@h\"",
            "airgate.toml:2:7: [upstream] url: a URL with a user or password in it is refused: it would end up in logs",
        ),
        (
            "an upstream without scheme",
            "[upstream]\nurl = \"h:8080\"",
            "airgate.toml:2:7: [upstream] url: expected a URL such as \"http://127.0.0.1:8080\", without user, path, query or fragment, found \"h:8080\"",
        ),
        (
            "no server name",
            "[upstream]\nurl = \"https://h\"\nserver_name = \"\"",
            "airgate.toml:3:15: [upstream] server_name: an empty name is refused: the upstream's certificate would not be checked",
        ),
        (
            "mint without a key",
            "[upstream]\nidentity = \"mint\"",
            "airgate.toml:2:12: [upstream] identity: mint needs a signing key, [api_auth] jwt_secret or jwt_private_key_path",
        ),
        (
            "mint with fab",
            "[upstream]\nidentity = \"mint\"\nauth_manager = \"fab\"",
            "airgate.toml:2:12: [upstream] identity: mint asks for tokens signed here, which with the fab auth manager needs the ids in its database: that is not available in this release",
        ),
        (
            "Keycloak",
            "[upstream]\nauth_manager = \"keycloak\"",
            "airgate.toml:2:16: [upstream] auth_manager: the auth manager keycloak is not available in this release",
        ),
        (
            "an unknown auth manager",
            "[core]\nauth_manager = \"my.Manager\"",
            "airgate.toml:2:16: [core] auth_manager: expected simple, fab, or the class of one of them, found \"my.Manager\"",
        ),
        (
            "a source to come",
            "[basic]\nsources = \"upstream ldap\"",
            "airgate.toml:2:11: [basic] sources: the source ldap is not available in this release",
        ),
        (
            "a source to come",
            "[basic]\nsources = [\"database\"]",
            "airgate.toml:2:12: [basic] sources: the source database is not available in this release",
        ),
        (
            "a source to come",
            "[basic]\nsources = [\"keycloak\"]",
            "airgate.toml:2:12: [basic] sources: the source keycloak is not available in this release",
        ),
        (
            "the file source without a key",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[core]\nsimple_auth_manager_users = \"a:admin\"",
            "airgate.toml:2:11: [basic] sources: file needs a signing key, [api_auth] jwt_secret or jwt_private_key_path, as Airflow does not know the credential",
        ),
        (
            "the file source without users",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[api_auth]\njwt_secret = \"s\"",
            "airgate.toml:2:11: [basic] sources: file needs [core] simple_auth_manager_users, which says who there is and with which role",
        ),
        (
            "the file source without passwords",
            "[basic]\nsources = \"file\"\n[core]\nsimple_auth_manager_users = \"a:admin\"\n[api_auth]\njwt_secret = \"s\"",
            "airgate.toml:2:11: [basic] sources: file needs [basic] users_file or [core] simple_auth_manager_passwords_file",
        ),
        (
            "the file source with fab",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[upstream]\nauth_manager = \"fab\"\n[api_auth]\njwt_secret = \"s\"\n[core]\nsimple_auth_manager_users = \"a:admin\"",
            "airgate.toml:2:11: [basic] sources: file needs a token signed here, which with the fab auth manager needs the ids in its database: that is not available in this release",
        ),
        (
            "the file source with exchange",
            "[basic]\nsources = \"file\"\nusers_file = \"u\"\n[upstream]\nidentity = \"exchange\"\n[api_auth]\njwt_secret = \"s\"\n[core]\nsimple_auth_manager_users = \"a:admin\"",
            "airgate.toml:2:11: [basic] sources: file needs [upstream] identity auto or mint",
        ),
        (
            "a user without role",
            "[core]\nsimple_auth_manager_users = \"a:admin, b\"",
            "airgate.toml:2:29: [core] simple_auth_manager_users: expected name:role or name:role:team|team, found \"b\"",
        ),
        (
            "a role that is none",
            "[core]\nsimple_auth_manager_users = \"a:root\"",
            "airgate.toml:2:29: [core] simple_auth_manager_users: expected the role viewer, user, op or admin, found \"root\"",
        ),
        (
            "a user twice",
            "[core]\nsimple_auth_manager_users = [\"a:op\", \"a:admin\"]",
            "airgate.toml:2:38: [core] simple_auth_manager_users: the user \"a\" occurs twice",
        ),
        (
            "base_url without scheme",
            "[api]\nbase_url = \"/airflow\"",
            "airgate.toml:2:12: [api] base_url: expected a URL such as \"https://host/airflow\", without user, query or fragment, found \"/airflow\"",
        ),
        (
            "base_url with an odd path",
            "[api]\nbase_url = \"https://h/a//b\"",
            "airgate.toml:2:12: [api] base_url: its path may only hold letters, digits, `-`, `.`, `_` and `~` between single slashes",
        ),
        (
            "an unknown backend",
            "[api]\nauth_backends = \"basic\"",
            "airgate.toml:2:17: [api] auth_backends: expected session, jwt, basic_auth, default, deny_all, or Airflow's module path of one of them, found \"basic\"",
        ),
        (
            "a backend to come",
            "[api]\nauth_backends = \"jwt, airflow.api.auth.backend.kerberos_auth\"",
            "airgate.toml:2:17: [api] auth_backends: the backend kerberos_auth is not available in this release",
        ),
        (
            "a callout",
            "[api]\nauth_backends = \"callout:mine\"",
            "airgate.toml:2:17: [api] auth_backends: backends of one's own, callout:NAME, are not available in this release",
        ),
        (
            "a module",
            "[api]\nauth_backends = \"airflow.providers.google.common.auth_backend.google_openid\"",
            "airgate.toml:2:17: [api] auth_backends: the Python module airflow.providers.google.common.auth_backend.google_openid cannot run in airgate. A backend of one's own is asked over HTTP, as callout:NAME, which is not available in this release",
        ),
        (
            "anonymous without user",
            "[api]\nauth_backends = \"default\"",
            "airgate.toml:2:17: [api] auth_backends: default needs [api] anonymous_user, who such a request counts as",
        ),
        (
            "anonymous without key",
            "[api]\nauth_backends = \"default\"\nanonymous_user = \"a\"",
            "airgate.toml:2:17: [api] auth_backends: default needs a signing key, [api_auth] jwt_secret or jwt_private_key_path, as Airflow does not know the credential",
        ),
        (
            "an unknown anonymous",
            &format!("[api]\nauth_backends = \"default\"\nanonymous_user = \"a\"\n{KEY}"),
            "airgate.toml:3:18: [api] anonymous_user: \"a\" is not in [core] simple_auth_manager_users",
        ),
        (
            "the null origin",
            "[api]\naccess_control_allow_origins = \"null\"",
            "airgate.toml:2:32: [api] access_control_allow_origins: `null` is refused: every sandboxed page has this origin, whoever wrote it",
        ),
        (
            "an origin with a slash",
            "[api]\naccess_control_allow_origins = \"https://A.example/\"",
            "airgate.toml:2:32: [api] access_control_allow_origins: browsers never send \"https://A.example/\", and origins are compared exactly: write \"https://a.example\"",
        ),
        (
            "an origin that is none",
            "[api]\naccess_control_allow_origins = \"example.com\"",
            "airgate.toml:2:32: [api] access_control_allow_origins: expected an origin such as \"https://example.com\", scheme, host and port alone, found \"example.com\"",
        ),
        (
            "a header that is none",
            "[api]\naccess_control_allow_headers = [\"a:b\"]",
            "airgate.toml:2:33: [api] access_control_allow_headers: expected a header's name, or *, found \"a:b\"",
        ),
        (
            "no algorithm",
            "[api_auth]\njwt_algorithm = \"none\"",
            "airgate.toml:2:17: [api_auth] jwt_algorithm: `none` is refused: anybody can write a token that nobody signed",
        ),
        (
            "an algorithm that is missing here",
            "[api_auth]\njwt_algorithm = \"ES512\"",
            "airgate.toml:2:17: [api_auth] jwt_algorithm: ES512 cannot be verified here; Airflow can, so choose another one for both",
        ),
        (
            "an unknown algorithm",
            "[api_auth]\njwt_algorithm = \"hs512\"",
            "airgate.toml:2:17: [api_auth] jwt_algorithm: expected one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, or GUESS, found \"hs512\"",
        ),
        (
            "a secret of the wrong type",
            "[api_auth]\njwt_secret = 123456",
            "airgate.toml:2:14: [api_auth] jwt_secret: expected a text, or an array of texts",
        ),
        (
            "an empty secret among others",
            "[api_auth]\njwt_secret = [\"\", \"s\"]",
            "airgate.toml:2:15: [api_auth] jwt_secret: a secret must not be empty",
        ),
        (
            "keys from nowhere",
            "[api_auth]\ntrusted_jwks_url = \"ftp://h/x\"",
            "airgate.toml:2:20: [api_auth] trusted_jwks_url: expected an http or https URL, or a path, found \"ftp://h/x\"",
        ),
        (
            "a section to come",
            "[redis]\nurl = 1",
            "airgate.toml:1:2: section [redis] is not available in this release",
        ),
        (
            "a section to come",
            "[callout.mine]\nurl = 1",
            "airgate.toml:1:2: section [callout] is not available in this release",
        ),
        (
            "a key to come",
            "[server]\ntls = { certificate = \"x\" }",
            "airgate.toml:2:1: [server] tls is not available in this release",
        ),
        (
            "an option twice, by two names",
            "[api]\nauth_backend = \"jwt\"\nauth_backends = \"jwt\"",
            "airgate.toml:3:1: [api] auth_backends and [api] auth_backend are one option: write it once",
        ),
        (
            "issuers that are none",
            "[jwt.issuers]\nissuer = \"x\"",
            "airgate.toml:1:6: [[jwt.issuers]]: expected an array of tables, found a table",
        ),
        (
            "a misplaced issuer key",
            "[jwt]\nissuer = \"x\"",
            "airgate.toml:2:1: unknown key issuer in [jwt]; there is [[jwt.issuers]]",
        ),
    ];
    for (name, toml, expected) in rows {
        assert_eq!(Case::new().toml(toml).errors(), [*expected], "{name}");
    }
}

#[test]
fn a_secret_is_in_no_message() {
    for toml in [
        "[api_auth]\njwt_secret = hunter2",
        "[api_auth]\njwt_secret = \"hunter2\n",
        "[api_auth]\njwt_secret = { hunter2 = \"hunter2\" }",
        "[api_auth]\njwt_secret = [[\"hunter2\"]]",
        "[api_auth]\njwt_secret = [{ file = \"missing\" }, \"hunter2\"]",
        "[api_auth]\njwt_secret = 'hunter2' 'hunter2'",
    ] {
        let errors = Case::new().toml(toml).errors().join("\n");
        assert!(!errors.is_empty() && !errors.contains("hunter2"), "{toml}: {errors}");
    }
    let case = Case::new().toml("[api_auth]\njwt_secret = [\"hunter2\"]\n");
    let loaded = case.loaded();
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    assert!(loaded.in_force().iter().all(|row| !row.value.contains("hunter2")));
}

#[test]
fn lists_are_arrays_or_texts() {
    let two = ["https://a.example", "https://b.example"];
    for (name, written) in [
        ("an array", "[\"https://a.example\", \"https://b.example\"]"),
        ("commas", "\"https://a.example,https://b.example\""),
        ("commas and spaces", "\"https://a.example, https://b.example\""),
        ("spaces, as in Airflow's documentation", "\"https://a.example https://b.example\""),
        ("lines", "\"\"\"\nhttps://a.example\nhttps://b.example\n\"\"\""),
        ("a file", "{ file = \"origins\" }"),
    ] {
        let case = Case::new()
            .toml(&format!("[api]\naccess_control_allow_origins = {written}\n"))
            .file("origins", "https://a.example\nhttps://b.example\n");
        assert_eq!(values(&case.settings().api.cors.unwrap().origins), two, "{name}");
    }
    let case = Case::new().set("upstream.url=http://a,http://b:1");
    let urls: Vec<_> = case.settings().upstream.urls.iter().map(|url| url.to_string()).collect();
    assert_eq!(urls, ["http://a:80", "http://b:1"]);
}

#[test]
fn the_samples_of_airflows_documentation_are_read() {
    // https://airflow.apache.org/docs/apache-airflow/stable/security/api.html and the provider's.
    let case = Case::new().cfg(
        "[api]\n\
         access_control_allow_headers = origin, content-type, accept\n\
         access_control_allow_methods = POST, GET, OPTIONS, DELETE\n\
         access_control_allow_origins = https://exampleclientapp1.com https://exampleclientapp2.com\n\
         auth_backend = airflow.api.auth.backend.basic_auth\n",
    );
    let api = case.settings().api;
    let cors = api.cors.unwrap();
    assert_eq!(values(&cors.origins), ["https://exampleclientapp1.com", "https://exampleclientapp2.com"]);
    assert_eq!(cors.methods, ["POST", "GET", "OPTIONS", "DELETE"]);
    assert_eq!(cors.headers, ["origin", "content-type", "accept"]);
    assert_eq!(values(&api.auth_backends), [BackendName::Jwt, BackendName::BasicAuth]);
    assert_eq!(
        case.warnings(),
        ["airflow.cfg:5: [api] auth_backend is read as [api] auth_backends: please rename it"]
    );
}

#[test]
fn old_names_of_our_own_sources_are_read_with_a_warning() {
    let case = Case::new()
        .toml(
            "[api]\naccess_control_allow_origin = \"https://a.example\"\n[webserver]\nbase_url = \"https://h/x\"\n",
        )
        .variable("AIRGATE__API__AUTH_BACKEND", "jwt")
        .set("api.page_size=20");
    let api = case.settings().api;
    assert_eq!(values(&api.cors.as_ref().unwrap().origins), ["https://a.example"]);
    assert_eq!(api.base_url.unwrap().path, "/x");
    assert_eq!(values(&api.auth_backends), [BackendName::Jwt]);
    assert_eq!(api.fallback_page_limit.value, 20);
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:2:1: [api] access_control_allow_origin is read as [api] access_control_allow_origins: \
             please rename it",
            "airgate.toml:4:1: [webserver] base_url is read as [api] base_url: please rename it",
            "AIRGATE__API__AUTH_BACKEND: [api] auth_backend is read as [api] auth_backends: please rename it",
            "--set api.page_size: [api] page_size is read as [api] fallback_page_limit: please rename it",
        ]
    );
}

#[test]
fn the_chain_keeps_airflows_tokens_unless_we_say_otherwise() {
    use BackendName::{BasicAuth, Default, DenyAll, Jwt, Session};
    let fab = "[core]\nauth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager\n";
    let rows: &[(&str, &str, &str, &[BackendName])] = &[
        ("Airflow's, without session", "[api]\nauth_backends = basic_auth\n", "", &[Jwt, BasicAuth]),
        (
            "Airflow's, session first",
            "[api]\nauth_backends = session,basic_auth\n",
            "",
            &[Session, Jwt, BasicAuth],
        ),
        (
            "Airflow's, session last",
            "[api]\nauth_backends = basic_auth,session\n",
            "",
            &[Jwt, BasicAuth, Session],
        ),
        (
            "Airflow's own default of 2",
            "[api]\nauth_backends = airflow.api.auth.backend.session\n",
            "",
            &[Session, Jwt],
        ),
        (
            "Airflow's deny_all",
            "[api]\nauth_backends = airflow.api.auth.backend.deny_all\n",
            "",
            &[Jwt, DenyAll],
        ),
        (
            "ours is taken as it is",
            "[api]\nauth_backends = session\n",
            "[api]\nauth_backends = \"basic_auth\"",
            &[BasicAuth],
        ),
        ("ours names one twice", "", "[api]\nauth_backends = \"jwt basic_auth jwt\"", &[Jwt, BasicAuth]),
        (
            "[fab] without fab is what Airflow's generator wrote",
            "[fab]\nauth_backends = airflow.providers.fab.auth_manager.api.auth.backend.session\n",
            "",
            &[Session, Jwt, BasicAuth],
        ),
        (
            "[fab] with fab goes first",
            &format!("{fab}[api]\nauth_backends = session\n[fab]\nauth_backends = basic_auth\n"),
            "",
            &[Jwt, BasicAuth],
        ),
        (
            "[fab] with our auth manager",
            "[fab]\nauth_backends = basic_auth\n",
            "[upstream]\nauth_manager = \"fab\"",
            &[Jwt, BasicAuth],
        ),
        (
            "[api] with fab, as in Airflow 2",
            &format!("{fab}[api]\nauth_backends = session\n"),
            "",
            &[Session, Jwt],
        ),
        (
            "anonymous",
            "[api]\nauth_backends = airflow.api.auth.backend.default\n[core]\nsimple_auth_manager_users = a:viewer\n[api_auth]\njwt_secret = s\n",
            "[api]\nanonymous_user = \"a\"\nenable_experimental_api = true",
            &[Jwt, Default],
        ),
    ];
    for (name, cfg, toml, expected) in rows {
        let case = Case::new().cfg(cfg).toml(toml);
        assert_eq!(values(&case.settings().api.auth_backends), *expected, "{name}");
    }
}

#[test]
fn airflows_names_move_between_its_releases() {
    let rows: &[(&str, &str, &str)] = &[
        ("Airflow 2", "[webserver]\nbase_url = https://h/two\n", "/two"),
        ("Airflow 3", "[api]\nbase_url = https://h/three\n", "/three"),
        ("both", "[webserver]\nbase_url = https://h/two\n[api]\nbase_url = https://h/three\n", "/three"),
    ];
    for (name, cfg, path) in rows {
        let case = Case::new().cfg(cfg);
        assert_eq!(case.settings().api.base_url.unwrap().path, *path, "{name}");
        assert_eq!(case.warnings(), Vec::<String>::new(), "{name}");
    }
    let case = Case::new()
        .cfg("[api]\nbase_url = https://h/a\n")
        .variable("AIRFLOW__WEBSERVER__BASE_URL", "https://h/b");
    assert_eq!(case.settings().api.base_url.unwrap().path, "/b");
}

#[test]
fn what_is_airflows_alone_is_passed_over() {
    let case = Case::new()
        .cfg(
            "[core]\nexecutor = x\nfernet_key_cmd = false\n[database]\nsql_alchemy_conn = sqlite://\n[redis]\nx = 1\n\
             [api]\nworkers = many\nsecret_key_secret = x\n",
        )
        .variable("AIRFLOW__CORE__EXECUTOR", "x")
        .variable("AIRFLOW__API__MAXIMUM_PAGE_LIMIT_CMD", "false")
        .variable("AIRFLOW__API__MAXIMUM_PAGE_LIMIT_SECRET", "x")
        .variable("AIRFLOW_CTX_DAG_ID", "x");
    assert_eq!(case.warnings(), Vec::<String>::new());
}

#[test]
fn numbers_and_flags_of_airflow_are_read_as_laxly() {
    let case = Case::new().cfg(
        "[api]\nmaximum_page_limit =  1_000 \nfallback_page_limit = 7.0\nenable_experimental_api = T # on\n\
         [api_auth]\njwt_expiration_time = 1e3\njwt_leeway = +5\n",
    );
    let s = case.settings();
    assert_eq!(s.api.maximum_page_limit.value, 1000);
    assert_eq!(s.api.fallback_page_limit.value, 7);
    assert!(s.api.enable_experimental_api);
    assert_eq!(s.api_auth.jwt_expiration_time, Duration::from_secs(1000));
    assert_eq!(s.api_auth.jwt_leeway, Duration::from_secs(5));
}

#[test]
fn issuer_audience_and_algorithms_are_cut_as_in_airflow() {
    let cfg = "[api_auth]\njwt_issuer = https://a, https://b\njwt_audience = one,two\njwt_algorithm = HS512,HS256\n";
    let auth = Case::new().cfg(cfg).settings().api_auth;
    assert_eq!(auth.jwt_issuers, ["https://a", "https://b"]);
    assert_eq!(auth.jwt_audiences, ["one,two"]);
    assert_eq!(values(&auth.jwt_algorithms), [JwtAlgorithm::Hs512, JwtAlgorithm::Hs256]);

    let toml =
        "[api_auth]\njwt_issuer = [\"a,b\"]\njwt_audience = [\"one\", \"two\"]\njwt_algorithm = \"GUESS\"\n";
    let auth = Case::new().cfg(cfg).toml(toml).settings().api_auth;
    assert_eq!(auth.jwt_issuers, ["a,b"]);
    assert_eq!(auth.jwt_audiences, ["one", "two"]);
    assert_eq!(values(&auth.jwt_algorithms), []);

    let toml = "[api_auth]\njwt_audience = \"one,two\"\n";
    assert_eq!(Case::new().toml(toml).settings().api_auth.jwt_audiences, ["one,two"]);
}

#[test]
fn secrets_come_from_anywhere() {
    let secrets = |case: &Case| -> Vec<String> {
        case.settings().api_auth.jwt_secrets.iter().map(|s| s.expose().to_owned()).collect()
    };
    let rows: Vec<(&str, Case, &[&str])> = vec![
        ("a text with a comma is one", Case::new().toml("[api_auth]\njwt_secret = \"a, b\""), &["a, b"]),
        ("an array is several", Case::new().toml("[api_auth]\njwt_secret = [\"a\", \"b\"]"), &["a", "b"]),
        (
            "a file loses one newline",
            Case::new().toml("[api_auth]\njwt_secret = { file = \"s\" }").file("s", "a\n\n"),
            &["a\n"],
        ),
        (
            "files in an array",
            Case::new().toml("[api_auth]\njwt_secret = [{ file = \"s\" }, \"b\"]").file("s", "a\r\n"),
            &["a", "b"],
        ),
        ("written as nothing", Case::new().toml("[api_auth]\njwt_secret = \"\""), &[]),
        (
            "Airflow's variable expands",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET", "$X-${X}").variable("X", "a"),
            &["a-a"],
        ),
        (
            "ours does not",
            Case::new().variable("AIRGATE__API_AUTH__JWT_SECRET", "$X").variable("X", "a"),
            &["$X"],
        ),
        (
            "Airflow's command keeps its newline",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "echo 'a b'"),
            &["a b\n"],
        ),
        (
            "our command loses it",
            Case::new().variable("AIRGATE__API_AUTH__JWT_SECRET_CMD", "echo 'a b'"),
            &["a b"],
        ),
        ("airflow.cfg", Case::new().cfg("[api_auth]\njwt_secret = a%%b\n"), &["a%b"]),
        ("a command in airflow.cfg", Case::new().cfg("[api_auth]\njwt_secret_cmd = printf ab\n"), &["ab"]),
        (
            "a value goes before a command",
            Case::new().cfg("[api_auth]\njwt_secret_cmd = false\njwt_secret = a\n"),
            &["a"],
        ),
        (
            "a command that is overridden does not run",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "false").set("api_auth.jwt_secret=a"),
            &["a"],
        ),
        (
            "a secrets backend that is overridden is no error",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_SECRET", "x").set("api_auth.jwt_secret=a"),
            &["a"],
        ),
    ];
    for (name, case, expected) in rows {
        assert_eq!(secrets(&case), expected, "{name}");
    }
}

#[test]
fn secrets_that_cannot_be_had_are_told() {
    let backend = "asks a secrets backend of Airflow, which is Python code that airgate cannot run: write the \
                   value itself, a _CMD variant, or { file = \"…\" } in our own file";
    let rows = [
        (
            "a secrets backend of Airflow",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_SECRET", "x"),
            format!("AIRFLOW__API_AUTH__JWT_SECRET_SECRET: AIRFLOW__API_AUTH__JWT_SECRET_SECRET {backend}"),
        ),
        (
            "a secrets backend in airflow.cfg",
            Case::new().cfg("[api_auth]\njwt_secret_secret = x\n"),
            format!("airflow.cfg:2: jwt_secret_secret {backend}"),
        ),
        (
            "a secrets backend of ours",
            Case::new().variable("AIRGATE__API_AUTH__JWT_SECRET_SECRET", "x"),
            format!("AIRGATE__API_AUTH__JWT_SECRET_SECRET: AIRGATE__API_AUTH__JWT_SECRET_SECRET {backend}"),
        ),
        (
            "a command that fails",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "sh -c 'echo hunter2; exit 3'"),
            "AIRFLOW__API_AUTH__JWT_SECRET_CMD: [api_auth] jwt_secret: the command failed: exit status: 3"
                .to_owned(),
        ),
        (
            "a command that prints nothing",
            Case::new().variable("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "true"),
            "AIRFLOW__API_AUTH__JWT_SECRET_CMD: [api_auth] jwt_secret: a secret must not be empty".to_owned(),
        ),
        (
            "an empty file",
            Case::new().toml("[api_auth]\njwt_secret = { file = \"s\" }").file("s", "\n"),
            "airgate.toml:2:14: [api_auth] jwt_secret: a secret must not be empty".to_owned(),
        ),
    ];
    for (name, case, expected) in rows {
        assert_eq!(case.errors(), [expected], "{name}");
    }
}

#[test]
fn our_variables_and_assignments_must_be_known() {
    let tables = "[[jwt.issuers]] is a list of tables, which one text cannot hold: write it into the configuration file";
    let rows = [
        (
            Case::new().variable("AIRGATE__API__AUTH_BACKNDS", "x"),
            "AIRGATE__API__AUTH_BACKNDS: unknown key auth_backnds in [api]; the nearest is auth_backends"
                .to_owned(),
        ),
        (
            Case::new().variable("AIRGATE__API", "x"),
            "AIRGATE__API: expected AIRGATE__SECTION__KEY".to_owned(),
        ),
        (
            Case::new().variable("AIRGATE__REDIS__URL", "x"),
            "AIRGATE__REDIS__URL: section [redis] is not available in this release".to_owned(),
        ),
        (Case::new().variable("AIRGATE__JWT__ISSUERS", "x"), format!("AIRGATE__JWT__ISSUERS: {tables}")),
        (
            Case::new().variable("AIRGATE__SERVER__THREADS", "x"),
            "AIRGATE__SERVER__THREADS: [server] threads: expected a whole number from 0 to 1024, found \"x\""
                .to_owned(),
        ),
        (Case::new().set("jwt.issuers=x"), format!("--set jwt.issuers: {tables}")),
        (Case::new().set("jwt.issuers.issuer=x"), format!("--set jwt.issuers.issuer: {tables}")),
        (
            Case::new().set("upstrem.url=x"),
            "--set upstrem.url: unknown section [upstrem]; the nearest is [upstream]".to_owned(),
        ),
        (
            Case::new().set("server.threads=x"),
            "--set server.threads: [server] threads: expected a whole number from 0 to 1024, found \"x\""
                .to_owned(),
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(case.errors(), [expected.as_str()]);
    }
}

#[test]
fn airflow_cfg_is_found_where_airflow_finds_it() {
    let limit = |case: &Case| case.settings().api.maximum_page_limit.value;
    let cfg = |n: u32| format!("[api]\nmaximum_page_limit = {n}\nfallback_page_limit = 1\n");
    let case =
        Case::new().file("home/airflow.cfg", &cfg(1)).file("other.cfg", &cfg(2)).file("third.cfg", &cfg(3));
    assert_eq!(limit(&case), 100);
    let case = case.variable("AIRFLOW_HOME", "home");
    assert_eq!(limit(&case), 1);
    let case = case.variable("AIRFLOW_CONFIG", "other.cfg");
    assert_eq!(limit(&case), 2);
    let case =
        case.file("conf/airgate.toml", "[gate]\nairflow_cfg = \"../third.cfg\"\n").conf("conf/airgate.toml");
    assert_eq!(limit(&case), 3);
    let case = case.set("gate.airflow_cfg=");
    assert_eq!(limit(&case), 100);
    // Airflow would make it; we do without.
    assert_eq!(limit(&Case::new().variable("AIRFLOW_HOME", "none")), 100);
}

#[test]
fn a_bad_airflow_cfg_is_told() {
    let rows: Vec<(Case, &[&str])> = vec![
        (
            Case::new().toml("[gate]\nairflow_cfg = \"none.cfg\"\n"),
            &["airgate.toml:2:15: [gate] airflow_cfg: none.cfg cannot be read: No such file or directory (os error 2)"],
        ),
        (
            Case::new().cfg("[api]\nnonsense\nmaximum_page_limit = 50%\n[api]\n"),
            &[
                "airflow.cfg:2: expected `key = value`, a [section], or a line that is indented to go on with a value",
                "airflow.cfg:3: [api] maximum_page_limit: `%` must be followed by `%` or `(`: a per cent sign is \
                 written `%%`",
                "airflow.cfg:4: section [api] occurs twice",
            ],
        ),
        (
            Case::new().cfg("[api]\nbase_url = $A\n").variable("A", "x$A"),
            &["airflow.cfg:2: [api] base_url: its environment variables refer to themselves"],
        ),
        (
            Case::new().cfg("[core]\nauth_manager = airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager\n"),
            &["airflow.cfg:2: [core] auth_manager: the auth manager keycloak is not available in this release"],
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(case.errors(), expected);
    }
}

#[test]
fn our_own_file_is_found() {
    let limit = |case: &Case| case.settings().api.maximum_page_limit.value;
    let toml = |n: u32| format!("[api]\nmaximum_page_limit = {n}\nfallback_page_limit = 1\n");
    let case = Case::new().file("etc/airgate.toml", &toml(1));
    assert_eq!(limit(&case), 1);
    let case = case.toml(&toml(2));
    assert_eq!(limit(&case), 2);
    let case = case.file("three.toml", &toml(3)).variable("AIRGATE_CONF", "three.toml");
    assert_eq!(limit(&case), 3);
    let case = case.file("four.toml", &toml(4)).conf("four.toml");
    assert_eq!(limit(&case), 4);
    assert_eq!(
        case.conf("none.toml").errors(),
        ["none.toml: cannot be read: No such file or directory (os error 2)"]
    );
}

#[test]
fn relative_paths_start_where_they_were_written() {
    let case = Case::new()
        .file(
            "conf/airgate.toml",
            "[upstream]\nurl = \"https://h\"\nca_file = \"ca.pem\"\n[log]\nfile = \"/var/log/x\"\n",
        )
        .conf("conf/airgate.toml")
        .cfg("[api_auth]\njwt_private_key_path = ~/key.pem\n")
        .variable("HOME", "/home/x")
        .set("basic.users_file=users");
    let s = case.settings();
    let folder = case.folder.path();
    assert_eq!(s.upstream.ca_file.unwrap().value, folder.join("conf/ca.pem"));
    assert_eq!(s.log.file.unwrap().value, Path::new("/var/log/x"));
    assert_eq!(s.api_auth.jwt_private_key_path.unwrap().value, Path::new("/home/x/key.pem"));
    assert_eq!(s.basic.users_file.unwrap().value, folder.join("users"));
}

#[test]
fn the_simple_auth_managers_users() {
    let case = Case::new()
        .cfg("[core]\nsimple_auth_manager_users = bob:admin, peter:Viewer , team:user:a|b\n")
        .variable("AIRFLOW_HOME", "/opt/airflow");
    let core = case.settings().core;
    let user = |name: &str, role: &str, teams: Option<&[&str]>| SimpleUser {
        name: name.to_owned(),
        role: role.to_owned(),
        teams: teams.map(|teams| teams.iter().map(|t| (*t).to_owned()).collect()),
    };
    let expected = vec![
        user("bob", "admin", None),
        user("peter", "Viewer", None),
        user("team", "user", Some(&["a", "b"])),
    ];
    assert_eq!(core.simple_users.unwrap().value, expected);
    let file = core.simple_passwords_file.unwrap();
    assert_eq!(file.value, Path::new("/opt/airflow/simple_auth_manager_passwords.json.generated"));
    assert!(!file.is_set());
}

#[test]
fn foreign_issuers() {
    let key = "[api_auth]\njwt_secret = \"s\"\n";
    let case = Case::new().toml(&format!(
        "{key}[[jwt.issuers]]\nissuer = \"https://i\"\njwks_url = \"https://i/jwks\"\naudience = \"a,b\"\n\
         username_prefix = \"i/\"\n\n[[jwt.issuers]]\nissuer = \"j\"\njwks_url = \"keys.json\"\n\
         audience = [\"a\", \"b\"]\nalgorithms = \"ES256 EdDSA\"\nusername_claim = \"email\"\nusername_prefix = \"\"\n"
    ));
    let issuers = case.settings().jwt_issuers;
    let [first, second] = &issuers[..] else { panic!("{issuers:?}") };
    assert_eq!(first.issuer, "https://i");
    assert_eq!(first.jwks.value, JwksSource::Url("https://i/jwks".into()));
    assert_eq!(first.audiences, ["a,b"]);
    assert_eq!(first.algorithms, [JwtAlgorithm::Rs256]);
    assert_eq!((first.username_claim.as_str(), first.username_prefix.as_str()), ("sub", "i/"));
    assert_eq!(first.at.to_string(), "airgate.toml:3:1");
    assert_eq!(second.jwks.value, JwksSource::File(case.folder.path().join("keys.json")));
    assert_eq!(second.audiences, ["a", "b"]);
    assert_eq!(second.algorithms, [JwtAlgorithm::Es256, JwtAlgorithm::EdDsa]);
    assert_eq!((second.username_claim.as_str(), second.username_prefix.as_str()), ("email", ""));

    let rows: &[(&str, &str, &[&str])] = &[
        (
            "nothing in it",
            "[[jwt.issuers]]\n",
            &[
                "airgate.toml:3:1: [[jwt.issuers]]: issuer is missing",
                "airgate.toml:3:1: [[jwt.issuers]]: jwks_url is missing",
                "airgate.toml:3:1: [[jwt.issuers]]: audience is missing",
                "airgate.toml:3:1: [[jwt.issuers]]: username_prefix is missing",
            ],
        ),
        (
            "an HMAC, and an unknown key",
            "[[jwt.issuers]]\nissuer = \"i\"\njwks_url = \"k\"\naudience = \"a\"\nusername_prefix = \"\"\n\
             algorithms = [\"HS256\"]\nusername_clam = \"x\"\n",
            &[
                "airgate.toml:8:15: [jwt.issuers] algorithms: HS256 is refused: with keys that are public, anybody \
                 could sign",
                "airgate.toml:9:1: unknown key username_clam in [jwt.issuers]; the nearest is username_claim",
            ],
        ),
        (
            "one issuer twice",
            "[[jwt.issuers]]\nissuer = \"i\"\njwks_url = \"k\"\naudience = \"a\"\nusername_prefix = \"\"\n\
             [[jwt.issuers]]\nissuer = \"i\"\njwks_url = \"k\"\naudience = \"a\"\nusername_prefix = \"\"\n",
            &["airgate.toml:8:1: [[jwt.issuers]]: \"i\" occurs twice"],
        ),
    ];
    for (name, toml, expected) in rows {
        assert_eq!(Case::new().toml(&format!("{key}{toml}")).errors(), *expected, "{name}");
    }
}

#[test]
fn page_limits_are_kept_in_order() {
    let case = Case::new().toml("[api]\nmaximum_page_limit = 10\n");
    let api = case.settings().api;
    assert_eq!((api.maximum_page_limit.value, api.fallback_page_limit.value), (10, 10));
    assert_eq!(case.warnings(), Vec::<String>::new());
    let case = Case::new().toml("[api]\nmaximum_page_limit = 10\nfallback_page_limit = 20\n");
    assert_eq!(case.settings().api.fallback_page_limit.value, 10);
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:3:23: [api] fallback_page_limit: 20 is above maximum_page_limit, so 10 is used, as in Airflow"
        ]
    );
}

#[test]
fn settings_without_effect_are_warned_about() {
    let case = Case::new().toml("[upstream]\nca_file = \"ca.pem\"\nserver_name = \"h\"\n");
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:2:11: [upstream] ca_file has no effect: no upstream is https",
            "airgate.toml:3:15: [upstream] server_name has no effect: no upstream is https",
        ]
    );
}

#[test]
fn files_that_were_read_are_known_for_the_next_reload() {
    let case = Case::new()
        .toml("[api_auth]\njwt_secret = { file = \"s\" }\n[log]\nlevel = { file = \"l\" }\n")
        .file("s", "a")
        .file("l", "debug\n")
        .cfg("");
    let loaded = case.loaded();
    let files: Vec<_> = loaded.files.iter().map(|f| self::base(f)).collect();
    assert_eq!(files, ["airgate.toml", "airflow.cfg", "s", "l"]);
    assert_eq!(loaded.settings.log.level, LogLevel::Debug);
    std::fs::write(case.folder.path().join("s"), "b").unwrap();
    assert_eq!(case.settings().api_auth.jwt_secrets[0].expose(), "b");
}

fn base(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn values_are_given_as_they_were_written() {
    let case = Case::new()
        .toml(
            "[api]\nauth_backends = [\"jwt\",  \"session\"] # chain\nmaximum_page_limit = 1_0\n\
             [api_auth]\njwt_secret = { file = \"s\" }\n[log]\naccess = false\n[basic]\nusers_file = \"u\"\n",
        )
        .file("s", "a\n")
        .cfg("[core]\nsimple_auth_manager_users = a:admin,  b:viewer\n");
    for (section, key, expected) in [
        ("api", "auth_backends", Some("[\"jwt\",  \"session\"]")),
        ("api", "maximum_page_limit", Some("1_0")),
        ("api", "fallback_page_limit", Some("50")),
        ("api", "base_url", None),
        ("api_auth", "jwt_secret", Some("a")),
        ("log", "access", Some("false")),
        ("basic", "users_file", Some("u")),
        ("core", "simple_auth_manager_users", Some("a:admin,  b:viewer")),
    ] {
        assert_eq!(case.written(section, key).as_deref(), expected, "[{section}] {key}");
    }
}

#[test]
fn the_sample_file_can_be_used_line_by_line() {
    let sample = options::reference::sample_file();
    assert_eq!(Case::new().toml(&sample).warnings(), Vec::<String>::new());
    // `#key = value` is an option, `# text` a comment.
    let all: Vec<&str> = sample
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| !c.is_whitespace()))
                .unwrap_or(line)
        })
        .collect();
    let options = all.iter().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
    assert_eq!(options, options::ALL.len());
    let case = Case::new().toml(&all.join("\n")).set("api_auth.jwt_secret=s").set("gate.airflow_cfg=");
    let settings = case.settings();
    assert_eq!(settings.jwt_issuers.len(), 1);
    assert!(settings.api.cors.is_some());
}
