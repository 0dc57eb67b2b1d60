use super::*;
use crate::config::Location;

fn parse(arguments: &[&str]) -> Result<Arguments, ErrorKind> {
    let all = ["airgate"].iter().chain(arguments);
    Arguments::try_parse_from(all).map_err(|error| error.kind())
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn no_command_is_run_and_options_stand_anywhere() {
    for arguments in [
        &["--conf", "a.toml", "--set", "api.x=1"][..],
        &["run", "--conf", "a.toml", "--set", "api.x=1"],
        &["--conf", "a.toml", "run", "--set", "api.x=1"],
        &["--conf", "b.toml", "run", "--conf", "a.toml", "--set", "api.x=1"],
    ] {
        let (sources, command) = parse(arguments).unwrap().parts().unwrap();
        assert!(matches!(command, Command::Run(_)), "{arguments:?}");
        assert_eq!(sources.conf, Some(PathBuf::from("a.toml")), "{arguments:?}");
        let set = Assignment { section: "api".into(), key: "x".into(), value: "1".into() };
        assert_eq!(sources.assignments, [set], "{arguments:?}");
    }
    let arguments = ["--set", "a.b=1", "config", "--conf", "a.toml", "--set", "a.b=2", "get-value"];
    let arguments = [&arguments[..], &["--set", "a.b=3", "a", "b"]].concat();
    let (sources, _) = parse(&arguments).unwrap().parts().unwrap();
    assert_eq!(sources.conf, Some(PathBuf::from("a.toml")));
    let values: Vec<_> = sources.assignments.iter().map(|set| set.value.as_str()).collect();
    assert_eq!(values, ["1", "2", "3"], "the last counts");
}

#[test]
fn what_reads_no_configuration_takes_none() {
    for command in [&["hash-password"][..], &["generate", "man"]] {
        assert!(parse(command).unwrap().parts().is_ok(), "{command:?}");
        for option in [["--conf", "a.toml"], ["--set", "a.b=1"]] {
            assert!(parse(&[command, &option].concat()).is_err(), "{command:?} {option:?}");
            let parsed = parse(&[&option, command].concat()).unwrap();
            assert_eq!(parsed.parts().err().unwrap().kind(), ErrorKind::ArgumentConflict);
        }
        let name = command.first().unwrap();
        let mut program = Arguments::command();
        let help = program.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        assert!(!help.contains("--conf") && !help.contains("--set"), "{help}");
    }
}

#[test]
fn wrong_usage_is_told() {
    for (arguments, expected) in [
        (&["--set", "novalue"][..], ErrorKind::ValueValidation),
        (&["--set", "nosection=1"], ErrorKind::ValueValidation),
        (&["--set", ".key=1"], ErrorKind::ValueValidation),
        (&["--set", "section.=1"], ErrorKind::ValueValidation),
        (&["config", "get-value", "api"], ErrorKind::MissingRequiredArgument),
        (&["nonsense"], ErrorKind::InvalidSubcommand),
        (&["--version"], ErrorKind::DisplayVersion),
        (&["--help"], ErrorKind::DisplayHelp),
        (&["help"], ErrorKind::DisplayHelp),
        (&["help", "check"], ErrorKind::DisplayHelp),
        (&["help", "config", "get-value"], ErrorKind::DisplayHelp),
        (&["help", "nonsense"], ErrorKind::InvalidSubcommand),
    ] {
        let found = parse(arguments).and_then(|read| read.parts().map_err(|error| error.kind()));
        assert_eq!(found.err(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn the_long_help_has_every_option() {
    let help = Arguments::command().render_long_help().to_string();
    for option in options::ALL {
        assert!(help.contains(&format!("\n  {}\n", option.key)), "{}", option.title());
    }
}

/// A program that finds one thing wrong with threads, and tells what it was started with.
struct Fake;

impl Program for Fake {
    fn assemble(&self, settings: &Settings, _: &mut Vec<Warning>, errors: &mut Errors) {
        if settings.server.threads.is_some() {
            errors.push(&Location::Set("server.threads".into()), "no thread to be had");
        }
    }

    fn run(self, loaded: Loaded, _: Sources) -> ExitCode {
        assert_eq!(loaded.settings.api.maximum_page_limit.value, 100);
        ExitCode::from(42)
    }
}

fn sources(assignments: &[&str]) -> Sources {
    Sources {
        conf: None,
        assignments: assignments.iter().map(|a| a.parse().unwrap()).collect(),
        environment: [("AIRGATE__API__PAGE_SIZE".to_owned(), "20".to_owned())].into(),
        unreadable: Vec::new(),
        directory: PathBuf::from("/nonexistent"),
        registered: Vec::new(),
        system_file: PathBuf::from("/nonexistent/airgate.toml"),
        held: Vec::new(),
    }
}

const WARNING: &str = "warning: AIRGATE__API__PAGE_SIZE: [api] page_size is read as [api] fallback_page_limit: \
                       please rename it\n";

#[test]
fn check_says_everything_at_once() {
    let rows: &[(&[&str], Exit, &str, &str)] = &[
        (&["log.level=warn"], Exit::Success, "ok: read from AIRGATE__API__PAGE_SIZE, --set log.level\n", ""),
        (
            &[
                "callout.corp.url=http://127.0.0.1:1/",
                "api.auth_backends=callout:corp,jwt",
                "upstream.identity=passthrough",
            ],
            Exit::Success,
            "ok: read from --set api.auth_backends, AIRGATE__API__PAGE_SIZE, --set upstream.identity, \
             --set callout.corp.url\n",
            "",
        ),
        (
            &["server.threads=1"],
            Exit::Failure,
            "",
            "error: --set server.threads: no thread to be had\nairgate: the configuration has 1 error\n",
        ),
        (
            &["log.level=loud", "log.access=yes"],
            Exit::Failure,
            "",
            "error: --set log.level: [log] level: expected error, warn, info, debug, trace or off, or a list such as warn,airgate::auth=debug, found \"loud\"\n\
             error: --set log.access: [log] access: expected true or false, found \"yes\"\n\
             airgate: the configuration has 2 errors\n",
        ),
    ];
    for (assignments, exit, expected_out, expected_err) in rows {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let found = check::check(&sources(assignments), &Fake, &mut out, &mut err);
        assert_eq!(found, *exit, "{assignments:?}");
        assert_eq!(String::from_utf8(out).unwrap(), *expected_out, "{assignments:?}");
        assert_eq!(String::from_utf8(err).unwrap(), format!("{WARNING}{expected_err}"), "{assignments:?}");
    }
}

#[test]
fn run_starts_only_what_is_right() {
    let mut err = Vec::new();
    assert_eq!(run::run(sources(&[]), Fake, &mut err), ExitCode::from(42));
    assert!(err.is_empty());
    assert_eq!(run::run(sources(&["log.level=loud"]), Fake, &mut err), ExitCode::FAILURE);
    assert!(String::from_utf8(err).unwrap().ends_with("airgate: the configuration has 1 error\n"));
}

#[test]
fn get_value_prints_the_value_or_says_why_not() {
    use get_value::Secrets::{Kept, Shown};
    const UNSET: &str = "airgate: [database] sql_alchemy_conn is not set, and has no default: the configuration file, \
                         AIRGATE__DATABASE__SQL_ALCHEMY_CONN or --set database.sql_alchemy_conn=… sets it\n";
    let secret = "api_auth.jwt_secret=hunter2";
    let rows = [
        ("api", "fallback_page_limit", Kept, Ok("20\n")),
        ("api", "page_size", Kept, Ok("20\n")),
        ("API", "Fallback_Page_Limit", Kept, Ok("20\n")),
        ("api", "maximum_page_limit", Kept, Ok("100\n")),
        ("api_auth", "jwt_secret", Shown, Ok("hunter2\n")),
        (
            "api_auth",
            "jwt_secret",
            Kept,
            Err("airgate: [api_auth] jwt_secret is a secret: --show-secrets prints it\n"),
        ),
        (
            "api",
            "base_url",
            Kept,
            Err("airgate: [api] base_url is not set, and has no default: the configuration file, \
             AIRGATE__API__BASE_URL or --set api.base_url=… sets it\n"),
        ),
        (
            "api",
            "auth_backnds",
            Kept,
            Err("airgate: unknown key auth_backnds in [api]; the nearest is auth_backends\n"),
        ),
        (
            "keycloak_auth_manager",
            "realm",
            Kept,
            Err(
                "airgate: [keycloak_auth_manager] realm is not set, and has no default: the configuration file, \
             AIRGATE__KEYCLOAK_AUTH_MANAGER__REALM or --set keycloak_auth_manager.realm=… sets it\n",
            ),
        ),
        ("upstream", "auth_manager", Kept, Ok("simple\n")),
        (
            "log",
            "audit_file",
            Kept,
            Err(
                "airgate: [log] audit_file is not set (default: standard error, among the lines of the log): the configuration file, \
             AIRGATE__LOG__AUDIT_FILE or --set log.audit_file=… sets it\n",
            ),
        ),
        ("database", "sql_alchemy_conn", Kept, Err(UNSET)),
        ("database", "sql_alchemy_conn", Shown, Err(UNSET)),
        (
            "jwt.issuers",
            "issuer",
            Kept,
            Err("airgate: [[jwt.issuers]] may occur several times: it has no single value\n"),
        ),
    ];
    for (section, key, secrets, expected) in rows {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = get_value::get_value(&sources(&[secret]), section, key, secrets, &mut out, &mut err);
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        match expected {
            Ok(expected) => assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Success, expected, "")),
            Err(expected) => {
                assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Failure, "", expected))
            }
        }
    }
}
