//! The program as its user sees it: what it prints where, and how it ends.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Airgate, Upstream, get};

/// What a command printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn ended(code: i32, out: &str, err: &str) -> Ended {
    Ended { code, out: out.into(), err: err.into() }
}

/// Runs airgate in a folder, with this environment alone.
fn airgate(folder: &Path, environment: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_airgate"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input); // it may not want any
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[test]
fn help_and_version() {
    let nowhere = folder(&[]);
    let run = |arguments: &[&str]| airgate(nowhere.path(), &[], arguments, b"");
    let version = format!("airgate {} (revision {})\n", env!("CARGO_PKG_VERSION"), env!("AIRGATE_REVISION"));
    assert_eq!(run(&["--version"]), ended(0, &version, ""));
    let (long, short) = (run(&["--help"]), run(&["-h"]));
    for help in [&long, &short] {
        assert_eq!((help.code, help.err.as_str()), (0, ""));
        for word in ["Usage: airgate", "run", "check", "config", "hash-password", "--conf", "--set"] {
            assert!(help.out.contains(word), "{word}: {}", help.out);
        }
    }
    assert!(long.out.len() > 5 * short.out.len());
    for word in ["EXIT STATUS", "ENVIRONMENT", "FILES", "maximum_page_limit", "AIRGATE__UPSTREAM__URL"] {
        assert!(long.out.contains(word), "{word}");
    }
    for command in
        [&["check", "--help"][..], &["config", "get-value", "--help"], &["hash-password", "--help"]]
    {
        assert_eq!(run(command).code, 0, "{command:?}");
    }
}

#[test]
fn help_is_a_command_too() {
    let nowhere = folder(&[]);
    let run = |arguments: &[&str]| airgate(nowhere.path(), &[], arguments, b"");
    assert_eq!(run(&["help"]), run(&["--help"]));
    for (command, option) in [
        (&["help", "check"][..], &["check", "--help"][..]),
        (&["help", "config", "get-value"], &["config", "get-value", "--help"]),
    ] {
        let (help, option) = (run(command), run(option));
        assert_eq!((help.code, help.out), (0, option.out), "{command:?}");
    }
    assert!(run(&["help"]).out.contains("SIGNALS\n  SIGHUP\n"));
    assert_eq!(run(&["help", "nonsense"]).code, 2);
}

/// A misspelt variable is no variable that is silently ignored; those of Kubernetes' Services are.
#[test]
fn variables_that_begin_like_ours() {
    let nowhere = folder(&[]);
    let check = |environment: &[(&str, &str)]| airgate(nowhere.path(), environment, &["check"], b"");
    let of_services = [
        ("AIRGATE_SERVICE_HOST", "10.0.0.1"),
        ("AIRGATE_SERVICE_PORT_HTTP", "8081"),
        ("AIRGATE_PORT", "tcp://10.0.0.1:8081"),
        ("AIRGATE_PORT_8081_TCP_ADDR", "10.0.0.1"),
        ("AIRGATE_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("AIRGATE_TEST_KEYCLOAK", "x"),
    ];
    let defaults = "ok: nothing is configured, all options have their defaults\n";
    assert_eq!(check(&of_services), ended(0, defaults, ""));
    let others = check(&[("AIRGATE_VERSION", "1")]);
    let unread = "warning: AIRGATE_VERSION: is not read: options are AIRGATE__SECTION__KEY, and AIRGATE_CONF names the \
                  configuration file\n";
    assert_eq!(others, ended(0, defaults, unread));
    let misspelt = check(&[
        ("AIRGATE_CONFIG", "a.toml"),
        ("AIRGATE_UPSTREAM_URL", "http://a:1"),
        ("AIRGATE__SERVER_LISTEN", "127.0.0.1:1"),
        ("AIRGATE__SERVER__LISTNE", "127.0.0.1:1"),
    ]);
    let said = "error: AIRGATE_CONFIG: unknown variable; the nearest is AIRGATE_CONF\n\
                error: AIRGATE_UPSTREAM_URL: unknown variable; the nearest is AIRGATE__UPSTREAM__URL\n\
                error: AIRGATE__SERVER_LISTEN: expected AIRGATE__SECTION__KEY; the nearest is AIRGATE__SERVER__LISTEN\n\
                error: AIRGATE__SERVER__LISTNE: unknown key listne in [server]; the nearest is listen\n\
                airgate: the configuration has 4 errors\n";
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((misspelt.code, lines(&misspelt.err)), (1, lines(said)));
}

#[test]
fn check_says_what_will_not_work() {
    const HASH: &str = "$2y$05$FCU1BIVUTPr1i3VwKXtrZuMkFqnPgSwLwIbeqWh4DPGZbzxZcEgYq";
    let users = format!("[users]\nadmin = \"{HASH}\"\nzoe = \"{HASH}\"\nbob = \"{HASH}\"\n");
    let config = "[basic]\nsources = \"file\"\nusers_file = \"users.toml\"\n[api_auth]\njwt_secret = \"s3cret-of-enough-bytes-for-any-taste\"\n\
                  [core]\nsimple_auth_manager_users = \"admin:admin\"\n[database]\nsql_alchemy_conn = \"sqlite:////nonexistent/airflow.db\"\n\
                  [kerberos]\nkeytab = \"k\"\n";
    let here = folder(&[("airgate.toml", config), ("users.toml", &users)]);
    let checked = airgate(here.path(), &[], &["check"], b"");
    assert_eq!(checked.code, 0, "{}", checked.err);
    for warning in [
        "airgate.toml:3:14: [basic] users_file: [core] simple_auth_manager_users does not name \"bob\", \"zoe\": \
         whoever logs in so is refused with 403",
        "airgate.toml:9:20: [database] sql_alchemy_conn: /nonexistent/airflow.db: there is no such file. Until there \
         is, nobody is found in it",
        "airgate.toml:11:10: [kerberos] has no effect: [api] auth_backends does not name kerberos_auth",
    ] {
        assert!(checked.err.contains(&format!("warning: {warning}\n")), "{warning}\n{}", checked.err);
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let nowhere = folder(&[]);
    for (arguments, told) in [
        (&["serve"][..], "unrecognized subcommand 'serve'"),
        (&["--config", "x"], "unexpected argument '--config'"),
        (&["--set", "upstream.url"], "--set"),
        (&["check", "more"], "unexpected argument 'more'"),
        (&["config"], "get-value"),
        (&["config", "get-value", "api"], "which key of [api]?"),
    ] {
        let Ended { code, out, err } = airgate(nowhere.path(), &[], arguments, b"");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(told), "{arguments:?}: {err}");
    }
}

#[test]
fn check() {
    let five = "[server]\nlisen = 1\nthreads = -1\n[upstream]\nurl = 'x'\n[nonsense]\n[api]\nauth_backends = 'magic'\n";
    type Texts<'a> = &'a [&'a str];
    let rows: &[(&str, &str, Texts<'_>, i32, Texts<'_>, Texts<'_>)] = &[
        ("nothing", "", &["check"], 0, &["ok: "], &[]),
        (
            "a file",
            "[api]\nmaximum_page_limit = 10\nfallback_page_limit = 10\n",
            &["check"],
            0,
            &["airgate.toml"],
            &[],
        ),
        (
            "a warning",
            "[api]\nauth_backend = 'airflow.api.auth.backend.basic_auth'\n",
            &["check"],
            0,
            &["ok: "],
            &["warning: airgate.toml:2:1: [api] auth_backend is read as [api] auth_backends"],
        ),
        (
            "five mistakes",
            five,
            &["check"],
            1,
            &[],
            &[
                "error: airgate.toml:2:",
                "error: airgate.toml:3:",
                "error: airgate.toml:5:",
                "error: airgate.toml:6:",
                "error: airgate.toml:8:",
                "airgate: the configuration has 5 errors",
            ],
        ),
        (
            "no TOML",
            "[api\n",
            &["check"],
            1,
            &[],
            &["error: airgate.toml:1:", "the configuration has 1 error"],
        ),
        (
            "a missing key file",
            "[api_auth]\njwt_private_key_path = 'nowhere.pem'\n",
            &["check"],
            1,
            &[],
            &["error: airgate.toml:2:", "nowhere.pem"],
        ),
        (
            "a missing file",
            "",
            &["check", "--conf", "nowhere.toml"],
            1,
            &[],
            &["error: nowhere.toml: cannot be read"],
        ),
        ("a wrong --set", "", &["check", "--set", "log.level=loud"], 1, &[], &["error: --set log.level"]),
        (
            "a module's level",
            "[log]\nlevel = 'off,airgate::auth=loud'\n",
            &["check"],
            1,
            &[],
            &["error: airgate.toml:2:9: [log] level: "],
        ),
        (
            "a missing users file",
            "[basic]\nsources = 'file'\nusers_file = 'none'\n[api_auth]\njwt_secret = 's'\n[core]\nsimple_auth_manager_users = 'a:admin'\n",
            &["check"],
            1,
            &[],
            &["error: airgate.toml:3:14: [basic] users_file: ", "none: no such file"],
        ),
        (
            "a folder as a log",
            "[log]\nfile = '/'\n",
            &["check"],
            1,
            &[],
            &["error: airgate.toml:2:8: [log] file: "],
        ),
        (
            "a log in no folder",
            "[log]\nfile = 'no/log'\n",
            &["check"],
            1,
            &[],
            &["error: airgate.toml:2:8: [log] file: "],
        ),
        (
            "all that is wrong at once: what contradicts, and what is in no file",
            "[upstream]\nauth_manager = 'keycloak'\n[api_auth]\njwt_secret = 's3cret-of-enough-bytes-for-any-taste'\n\
             [keycloak_auth_manager]\nrealm = 'airflow'\n[basic]\nsources = 'file'\nusers_file = 'none'\n\
             [server.tls]\ncertificate = 'airgate.toml'\nkey = 'airgate.toml'\n",
            &["check"],
            1,
            &[],
            &[
                "error: airgate.toml:2:16: [upstream] auth_manager: keycloak needs [keycloak_auth_manager] server_url, client_id, client_secret,",
                "error: airgate.toml:8:11: [basic] sources: file cannot work with the auth manager keycloak",
                "error: airgate.toml:9:14: [basic] users_file: ",
                "error: airgate.toml:11:15: [server.tls] certificate: ",
                "error: airgate.toml:12:7: [server.tls] key: ",
                "airgate: the configuration has 5 errors",
            ],
        ),
    ];
    for (name, file, arguments, code, out, err) in rows {
        let folder = folder(&[("airgate.toml", file)]);
        let told = airgate(folder.path(), &[], arguments, b"");
        assert_eq!(told.code, *code, "{name}: {told:?}");
        for words in *out {
            assert!(told.out.contains(words), "{name}: {words}: {told:?}");
        }
        for words in *err {
            assert!(told.err.contains(words), "{name}: {words}: {told:?}");
        }
        assert_eq!(told.out.is_empty(), *code != 0, "{name}: {told:?}");
        let errors = told.err.lines().filter(|line| line.starts_with("error: ")).count();
        let said = err.iter().filter(|words| words.starts_with("error: ")).count();
        assert_eq!(errors, said, "{name}: {told:?}");
    }
}

/// What `check` passes also starts, and what it does not, does not start, with the same words.
#[test]
fn run_says_what_check_says() {
    for file in [
        "[server]\nlisen = 1\n",
        "[api_auth]\njwt_private_key_path = 'nowhere.pem'\n",
        "[api\n",
        "[basic]\nsources = 'file'\nusers_file = 'none'\n",
        "[log]\naudit_file = 'pipe'\n[server]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n",
        "[log]\nfile = 'itself'\n[server]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n",
    ] {
        let folder = folder(&[("airgate.toml", file)]);
        // Which nobody can open, root included.
        std::os::unix::fs::symlink("itself", folder.path().join("itself")).unwrap();
        // Which nobody reads.
        assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
        let checked = airgate(folder.path(), &[], &["check"], b"");
        for arguments in [&["run"][..], &[], &["--conf", "airgate.toml"]] {
            assert_eq!(airgate(folder.path(), &[], arguments, b""), checked, "{arguments:?}: {file}");
        }
        assert_eq!(checked.code, 1);
    }
}

#[test]
fn check_leaves_no_log_behind() {
    let folder =
        folder(&[("airgate.toml", "[log]\nfile = 'log'\n"), ("there.toml", "[log]\nfile = 'there'\n")]);
    std::fs::write(folder.path().join("there"), "a line\n").unwrap();
    for arguments in [&["check"][..], &["check", "--conf", "there.toml"]] {
        assert_eq!(airgate(folder.path(), &[], arguments, b"").code, 0, "{arguments:?}");
    }
    assert!(!folder.path().join("log").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("there")).unwrap(), "a line\n");
}

#[test]
fn get_value_prints_what_is_in_force_as_it_was_written() {
    let folder = folder(&[
        (
            "airgate.toml",
            "[api]\nauth_backends = [\"jwt\", \"session\"]\nmaximum_page_limit = 1_000\n[log]\nlevel = { file = \"level\" }\n\
             [api_auth]\njwt_secret = \"s3cret\"\n",
        ),
        ("level", "debug\n"),
        (
            "airflow.cfg",
            "[core]\nauth_manager = airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager\n\
             [api]\nmaximum_page_limit = 7\nbase_url = http://cfg.example\n",
        ),
    ]);
    let home = folder.path().to_str().unwrap();
    let environment = [
        ("AIRFLOW_HOME", home),
        ("AIRFLOW__API__BASE_URL", "http://env.example"),
        ("AIRGATE__SERVER__THREADS", "3"),
    ];
    let get = |arguments: &[&str]| {
        let all = [&["config", "get-value"], arguments].concat();
        airgate(folder.path(), &environment, &all, b"")
    };
    for (name, arguments, value) in [
        ("of our own file, above airflow.cfg", &["api", "maximum_page_limit"][..], "1_000"),
        ("a list", &["api", "auth_backends"], "jwt,session"),
        ("in one word", &["api.maximum_page_limit"], "1_000"),
        (
            "a list by --set",
            &["api", "auth_backends", "--set", "api.auth_backends=jwt  session"],
            "jwt,session",
        ),
        ("a default that another option gives", &["upstream", "auth_manager"], "simple"),
        ("of a file that is named", &["log", "level"], "debug"),
        ("of Airflow's environment, above its file", &["api", "base_url"], "http://env.example"),
        (
            "of airflow.cfg",
            &["core", "auth_manager"],
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        ),
        ("of our environment", &["server", "threads"], "3"),
        ("of --set", &["server", "threads", "--set", "server.threads=4"], "4"),
        ("a default", &["server", "grace_period"], "20s"),
        ("in any case", &["API", "Base_URL"], "http://env.example"),
        ("a secret, when asked for", &["api_auth", "jwt_secret", "--show-secrets"], "s3cret"),
    ] {
        assert_eq!(get(arguments), ended(0, &format!("{value}\n"), ""), "{name}");
    }
    for (name, arguments, told) in [
        ("a secret", &["api_auth", "jwt_secret"][..], "is a secret: --show-secrets prints it"),
        ("not set", &["basic", "users_file"], "is not set (default: [core] simple_auth_manager_users"),
        ("unknown key", &["api", "auth_backendz"], "auth_backends"),
        ("unknown section", &["apy", "auth_backends"], "api"),
    ] {
        let Ended { code, out, err } = get(arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{name}: {err}");
        assert!(err.contains(told) && !err.contains("s3cret"), "{name}: {err}");
    }
}

#[test]
fn hash_password_prints_a_hash_that_lets_in() {
    let nowhere = folder(&[]);
    let hash = |input: &[u8]| airgate(nowhere.path(), &[], &["hash-password"], input);
    let Ended { code, out, err } = hash("pässword\n".as_bytes());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("$argon2id$") && out.lines().count() == 1 && !out.contains("word"), "{out}");
    for (name, input) in [("empty", &b"\n"[..]), ("nothing", b""), ("no UTF-8", b"\xff\n")] {
        let refused = hash(input);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{name}");
        assert!(refused.err.starts_with("airgate: "), "{name}: {}", refused.err);
    }

    let upstream = Upstream::start();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[api_auth]\njwt_secret = \"{}\"\n[basic]\nsources = \"file\"\nusers_file = \"users\"\n\
         [core]\nsimple_auth_manager_users = \"robot:viewer\"\n",
        upstream.url(),
        crate::support::token::SECRET
    );
    let airgate = Airgate::with(config).file("users", format!("robot:{out}")).start();
    assert_eq!(airgate.send(get("/api/v2/config").basic("robot", "pässword")).status, 200);
    assert_eq!(airgate.send(get("/api/v2/config").basic("robot", "password")).status, 401);
}

/// `airgate --help | head` must not fail.
#[test]
fn a_closed_pipe_is_no_reason_to_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_airgate"))
        .arg("--help")
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
