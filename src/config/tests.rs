//! The whole configuration, from text to settings and messages.

mod advice;
mod airflow;
mod airflow2;
mod kerberos;
mod keycloak;
mod refusals;

use std::time::Duration;

use tracing::level_filters::LevelFilter;

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
            registered: Vec::new(),
            system_file: folder.path().join("etc/airgate.toml"),
            held: Vec::new(),
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
    assert_eq!(values(&s.server.trusted_proxies), []);
    assert_eq!(s.admin.listen.to_string(), "127.0.0.1:9091");
    assert_eq!(s.upstream.urls[0].to_string(), "http://127.0.0.1:8080");
    assert_eq!(s.upstream.identity.value, IdentityMode::Auto);
    assert_eq!(s.upstream.auth_manager.value, AuthManager::Simple);
    assert_eq!(s.upstream.ca_file, None);
    assert_eq!(s.upstream.server_name, None);
    assert_eq!(s.upstream.connect_timeout, Duration::from_secs(5));
    assert_eq!(s.upstream.read_timeout, Duration::from_secs(60));
    assert_eq!(s.upstream.idle_timeout.value, Duration::from_secs(4));
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
    assert!(s.api.enable_stable_v1);
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
    assert_eq!(
        s.lockout,
        Some(Lockout {
            attempts: 10,
            window: five_minutes,
            duration: five_minutes,
            when_redis_is_down: WhenRedisIsDown::Open,
        })
    );
    assert!(s.redis.is_none());
    assert_eq!(
        s.limits,
        Limits {
            header_timeout: Duration::from_secs(10),
            max_headers: 100,
            max_body: 128 << 10,
            max_translated_body: 4 << 20,
            max_connections: std::num::NonZeroUsize::new(10_000),
            max_connections_per_address: None,
            requests_per_user: None,
        }
    );
    assert_eq!(s.log.level, LogLevel { general: LevelFilter::INFO, modules: Vec::new() });
    assert_eq!((s.log.file.value, s.log.audit_file), (LogFile::Stdout, None));
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
fn a_file_that_was_found_must_stay() {
    let message = "is gone, and the configuration in force was read from it: put it back, or restart airgate";
    let home = || Case::new().variable("AIRFLOW_HOME", "home");
    for (name, file, case) in [
        ("in the working directory", "airgate.toml", Case::new().file("etc/airgate.toml", "")),
        ("in the system's folder", "etc/airgate.toml", Case::new()),
        ("airflow.cfg", "home/airflow.cfg", home()),
    ] {
        let case = case.file(file, "[api]\nmaximum_page_limit = 200\n");
        let loaded = case.loaded();
        let path = case.folder.path().join(file);
        assert_eq!(loaded.found, std::slice::from_ref(&path), "{name}");
        std::fs::remove_file(&path).unwrap();
        assert!(case.sources.load().is_ok(), "{name}: it need not be there at a start");
        let Err(rejected) = case.sources.load_for(None, &loaded.found) else { panic!("{name}") };
        let errors: Vec<_> = rejected.errors.iter().map(|note| note.to_string()).collect();
        assert!(matches!(&errors[..], [one] if one.ends_with(message)), "{name}: {errors:?}");
        assert!(rejected.files.contains(&path), "{name}: it is watched");
        let case = case.file(file, "");
        assert!(case.sources.load_for(None, &loaded.found).is_ok(), "{name}: it is back");
    }
    let named = Case::new().file("a.toml", "").conf("a.toml");
    assert_eq!(named.loaded().found, Vec::<PathBuf>::new());
}

/// The process that follows another misses what that one has read.
#[test]
fn a_file_that_the_process_before_has_read_must_be_there() {
    let mut case = Case::new();
    let file = case.folder.path().join("airgate.toml");
    case.sources.held = vec![file.clone()];
    assert!(matches!(&case.errors()[..], [one] if one.starts_with("airgate.toml: is gone")));
    let case = case.toml("");
    assert_eq!(case.loaded().found, [file]);

    // The working directory is gone, and what was read was not in it.
    let mut case = Case::new().file("etc/airgate.toml", "");
    let system_file = case.sources.system_file.clone();
    (case.sources.directory, case.sources.held) = (PathBuf::new(), vec![system_file.clone()]);
    assert_eq!(case.loaded().found, std::slice::from_ref(&system_file));
    std::fs::remove_file(&system_file).unwrap();
    let errors = case.errors();
    assert!(matches!(&errors[..], [one] if one.contains("etc/airgate.toml: is gone")), "{errors:?}");

    let mut case = Case::new().toml("");
    let named = case.folder.path().join("airgate.toml").display().to_string();
    case.sources.directory = PathBuf::new();
    let case = case.conf(&named).variable("AIRFLOW_HOME", "nowhere");
    assert_eq!(case.errors(), Vec::<String>::new());
    let mut case = case;
    case.sources.held = vec!["/gone/nowhere/airflow.cfg".into()];
    let errors = case.errors();
    assert!(matches!(&errors[..], [one] if one.starts_with("nowhere/airflow.cfg: is gone")), "{errors:?}");
}

#[test]
fn an_airflow_config_that_points_nowhere_is_said() {
    let case = Case::new().variable("AIRFLOW_CONFIG", "none.cfg");
    assert_eq!(case.warnings(), ["AIRFLOW_CONFIG: none.cfg is not there, and nothing is read from it"]);
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
    assert_eq!(s.log.file.value, LogFile::Path("/var/log/x".into()));
    assert_eq!(s.api_auth.jwt_private_key_path.unwrap().value, Path::new("/home/x/key.pem"));
    assert_eq!(s.basic.users_file.unwrap().value, folder.join("users"));
}

#[test]
fn standard_output_and_error_are_no_files() {
    for (text, place) in [
        ("stdout", LogFile::Stdout),
        ("/dev/stdout", LogFile::Stdout),
        ("stderr", LogFile::Stderr),
        ("/dev/stderr", LogFile::Stderr),
    ] {
        let s =
            Case::new().set(&format!("log.file={text}")).set(&format!("log.audit_file={text}")).settings();
        assert_eq!((s.log.file.value, s.log.audit_file.unwrap().value), (place.clone(), place), "{text}");
    }
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
fn files_that_were_read_are_known_for_the_next_reload() {
    let case = Case::new()
        .toml("[api_auth]\njwt_secret = { file = \"s\" }\n[log]\nlevel = { file = \"l\" }\n")
        .file("s", "a")
        .file("l", "Debug\n")
        .cfg("");
    let loaded = case.loaded();
    let files: Vec<_> = loaded.files.iter().map(|f| self::base(f)).collect();
    assert_eq!(files, ["airgate.toml", "airflow.cfg", "s", "l"]);
    assert_eq!(loaded.settings.log.level.general, LevelFilter::DEBUG);
    std::fs::write(case.folder.path().join("s"), "b").unwrap();
    assert_eq!(case.settings().api_auth.jwt_secrets[0].expose(), "b");
}

fn base(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn values_are_given_as_they_were_written_and_lists_with_commas() {
    let case = Case::new()
        .toml(
            "[api]\nauth_backends = [\"jwt\",  \"session\"] # chain\nmaximum_page_limit = 1_0\n\
             [api_auth]\njwt_secret = { file = \"s\" }\njwt_audience = \"a, b\"\n[log]\naccess = false\n\
             [basic]\nusers_file = \"u\"\n[server]\nlisten = [\"127.0.0.1:8081\", { file = \"l\" }]\n",
        )
        .file("s", "a\n")
        .file("l", "unix:/s\n")
        .cfg("[api]\naccess_control_allow_origins = https://a https://b\n\
              [core]\nauth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager\nsimple_auth_manager_users = a:admin,  b:viewer\n");
    for (section, key, expected) in [
        ("api", "auth_backends", Some("jwt,session")),
        ("server", "listen", Some("127.0.0.1:8081,unix:/s")),
        ("api", "access_control_allow_origins", Some("https://a,https://b")),
        ("api_auth", "jwt_audience", Some("a, b")),
        ("upstream", "auth_manager", Some("fab")),
        ("upstream", "url", Some("http://127.0.0.1:8080")),
        ("server", "trusted_proxies", None),
        ("api", "maximum_page_limit", Some("1_0")),
        ("api", "fallback_page_limit", Some("50")),
        ("api", "base_url", None),
        ("api_auth", "jwt_secret", Some("a")),
        ("log", "access", Some("false")),
        ("basic", "users_file", Some("u")),
        ("core", "simple_auth_manager_users", Some("a:admin,b:viewer")),
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
    let case = Case::new()
        .toml(&all.join("\n"))
        .set("api_auth.jwt_secret=s")
        .set("database.sql_alchemy_conn=sqlite:////a")
        .set("gate.airflow_cfg=");
    let case = case.set("ldap.bind_password=s");
    let settings = case.settings();
    assert_eq!(settings.jwt_issuers.len(), 1);
    assert!(settings.api.cors.is_some());
}

/// A table with a name is filled from every source of ours, each value from the last that has it.
#[test]
fn callouts_from_every_source() {
    let case = Case::new()
        .toml(
            "[api]\nauth_backends = \"callout:corp, callout:Other\"\n[api_auth]\njwt_secret = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n\
             [callout.corp]\nurl = \"http://file\"\nheaders = \"X-Key, cookie, x-key\"\ntimeout = \"1s\"\n\
             ca_file = \"ca.pem\"\n[callout.Other]\nurl = { file = \"url\" }\n[callout.unused]\nurl = \"http://a\"\n",
        )
        .file("url", "https://from-a-file/verify?a=b\n")
        .variable("AIRGATE__CALLOUT__CORP__URL", "http://variable")
        .variable("AIRGATE__CALLOUT__CORP__TIMEOUT", "2s")
        .set("callout.corp.timeout=3s")
        .set("callout.corp.ambient=no")
        .set("callout.Other.challenge=Basic realm=\"x\"");
    let settings = case.settings();
    let [other, corp, unused] = &settings.callouts[..] else { panic!("{:?}", settings.callouts) };
    assert_eq!(
        (&*corp.name, &*corp.url.value, corp.timeout),
        ("corp", "http://variable", Duration::from_secs(3))
    );
    assert_eq!(
        (&corp.headers[..], corp.ambient),
        (&["x-key".to_owned(), "cookie".to_owned()][..], Ambient::No)
    );
    assert_eq!(
        corp.ca_file.as_ref().map(|file| case.bare(&file.value.display().to_string())),
        Some("ca.pem".into())
    );
    assert_eq!((&*other.name, &*other.url.value), ("Other", "https://from-a-file/verify?a=b"));
    assert_eq!(
        (&other.headers[..], other.timeout),
        (&["authorization".to_owned()][..], Duration::from_secs(5))
    );
    assert_eq!((other.cache_ttl, other.ambient), (None, Ambient::Auto));
    assert_eq!(other.challenge.as_deref(), Some("Basic realm=\"x\""));
    assert_eq!(unused.name, "unused");
    assert_eq!(
        case.warnings(),
        [
            "airgate.toml:7:11: [callout.corp] headers: names one thing twice",
            "airgate.toml:12:10: [callout.unused] has no effect: [api] auth_backends does not name callout:unused",
        ]
    );
    let files: Vec<_> =
        case.loaded().files.iter().map(|file| case.bare(&file.display().to_string())).collect();
    assert!(files.contains(&"ca.pem".to_owned()) && files.contains(&"url".to_owned()), "{files:?}");
}

#[test]
fn a_backends_own_table_is_for_the_file_alone() {
    let case = Case::new().set("backend.mine.key=1").variable("AIRGATE__BACKEND__MINE__KEY", "1");
    let told =
        "[backend.NAME] is a table that the backend itself reads: write it into the configuration file";
    assert_eq!(
        case.errors(),
        [format!("AIRGATE__BACKEND__MINE__KEY: {told}"), format!("--set backend.mine.key: {told}")]
    );
}
