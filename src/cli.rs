//! The command line: `run`, `check`, `config get-value`, `hash-password`.

mod check;
mod generate;
mod get_value;
mod hash_password;
mod run;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::errors::Note;
use crate::config::{Assignment, Errors, Loaded, Settings, Sources, Warning, options};

/// The version, and the revision that it was built from: what a report of a fault begins with.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("AIRGATE_REVISION"), ")");

/// What the command line starts. The seam between it and the server, so that this module needs no
/// server in its tests.
pub trait Program {
    /// Names of backends besides airgate's own, which `[api] auth_backends` may then name.
    fn registered(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Builds everything that a configuration asks for (key files, users files, …) and drops it again:
    /// what is wrong with it goes to `errors`. `check` calls it.
    fn assemble(&self, settings: &Settings, warnings: &mut Vec<Warning>, errors: &mut Errors);

    /// Serves until told to stop. `sources` are for reading the configuration again.
    fn run(self, loaded: Loaded, sources: Sources) -> ExitCode;
}

/// Reads the arguments (the program's name first) and does what they say. The exit code is 0, 1
/// (wrong configuration, or a failure) or 2 (wrong usage).
pub fn main(arguments: impl IntoIterator<Item = OsString>, program: impl Program) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is no reason to fail: `airgate --help | head`.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let (SourceArguments { conf, assignments }, command) = match arguments.parts() {
        Ok(parts) => parts,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let registered = program.registered();
    let sources = || Sources { registered, ..Sources::of_process(conf, assignments) };
    let mut out = io::stdout().lock();
    let mut err = io::stderr();
    match command {
        Command::Run(_) => {
            drop(out);
            run::run(sources(), program, &mut err)
        }
        Command::Check(_) => check::check(&sources(), &program, &mut out, &mut err).into(),
        Command::Config { command: ConfigCommand::GetValue { section, key, show_secrets, .. }, .. } => {
            let secrets = if show_secrets { get_value::Secrets::Shown } else { get_value::Secrets::Kept };
            get_value::get_value(&sources(), &section, &key, secrets, &mut out, &mut err).into()
        }
        Command::Generate { what } => {
            generate::generate(what, Arguments::command(), &mut out, &mut err).into()
        }
        Command::HashPassword => hash_password::hash_password(io::stdin(), &mut out, &mut err).into(),
    }
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// 0.
    Success,
    /// 1.
    Failure,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
        }
    }
}

/// Writes warnings and errors, one a line, and how many errors there are.
pub fn report(warnings: &[Note], errors: &Errors, err: &mut impl Write) {
    // Nobody is left to tell when standard error is closed.
    for warning in warnings {
        let _ = writeln!(err, "warning: {warning}");
    }
    for error in errors.iter() {
        let _ = writeln!(err, "error: {error}");
    }
    let _ = match errors.len() {
        0 => Ok(()),
        1 => writeln!(err, "airgate: the configuration has 1 error"),
        many => writeln!(err, "airgate: the configuration has {many} errors"),
    };
}

/// Authenticating reverse proxy in front of the Apache Airflow REST API
///
/// airgate stands in front of an unmodified Airflow. It answers the token endpoints, accepts Bearer
/// tokens, Airflow's session cookie, and names with passwords, adds CORS headers, caps the page size,
/// and forwards requests with an identity that Airflow understands. Without any configuration it
/// listens on 127.0.0.1:8081 and forwards to http://127.0.0.1:8080.
#[derive(Parser)]
#[command(
    name = "airgate",
    version = VERSION,
    max_term_width = 100,
    after_help = "`airgate --help` describes files, environment variables and every option of the configuration.",
    after_long_help = after_long_help()
)]
struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    /// What is to be done, and with which sources: those options stand before the command or after it.
    fn parts(self) -> Result<(SourceArguments, Command), clap::Error> {
        let Self { sources: mut before, command } = self;
        let mut command = command.unwrap_or(Command::Run(SourceArguments::default()));
        let places = command.sources();
        if places.is_empty() {
            if before.conf.is_some() || !before.assignments.is_empty() {
                let message = "--conf and --set mean nothing to this command, which reads no configuration";
                return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
            }
            return Ok((before, command));
        }
        for after in places {
            before.conf = after.conf.take().or(before.conf);
            before.assignments.append(&mut after.assignments);
        }
        Ok((before, command))
    }
}

impl Command {
    /// The sources of a command, as often as it can name them: none where it reads no configuration.
    fn sources(&mut self) -> Vec<&mut SourceArguments> {
        match self {
            Self::Run(sources) | Self::Check(sources) => vec![sources],
            Self::Config { sources, command: ConfigCommand::GetValue { sources: after, .. } } => {
                vec![sources, after]
            }
            Self::HashPassword | Self::Generate { .. } => Vec::new(),
        }
    }
}

#[derive(Args, Default)]
struct SourceArguments {
    /// Read this configuration file
    ///
    /// Default: $AIRGATE_CONF, else ./airgate.toml, else /etc/airgate/airgate.toml, whichever is there
    /// first; without any, defaults are used. A file that is named must exist.
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,

    /// Set one option, above all other sources; may be repeated
    ///
    /// A list is written with commas: --set upstream.url=http://a:8080,http://b:8080
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    assignments: Vec<Assignment>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, until SIGTERM. What is done when no command is given
    ///
    /// SIGHUP reads the configuration again; one that is wrong changes nothing, and the log says why.
    /// SIGTERM drains: /readyz says no, running requests end, then airgate ends. SIGUSR2 has the program
    /// started anew and take over.
    Run(SourceArguments),

    /// Say everything that is wrong with the configuration
    ///
    /// Reads every source, and the key and user files it names, prints all warnings and errors at once
    /// with the places they were written, and serves nothing. Exit status 1 when there is an error.
    Check(SourceArguments),

    /// Look at the configuration
    Config {
        #[command(flatten)]
        sources: SourceArguments,
        #[command(subcommand)]
        command: ConfigCommand,
    },

    /// Read a password and print its hash for [basic] users_file
    ///
    /// The password is read from standard input, up to the end of the line; without echo, and twice,
    /// from a terminal. The hash is argon2id, with a random salt.
    HashPassword,

    /// Print the manual page, or completions for a shell
    ///
    /// From the program's own definition, for packages and images.
    Generate {
        /// What to print
        what: generate::Artefact,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the value in force of one option, as it was written
    ///
    /// Like `airflow config get-value`. The items of a list have commas between them, however it was
    /// written. Exit status 1 when there is no such option or no value.
    GetValue {
        /// Section, such as api
        section: String,
        /// Key, such as auth_backends
        key: String,
        /// Print secrets too
        #[arg(long)]
        show_secrets: bool,
        #[command(flatten)]
        sources: SourceArguments,
    },
}

fn after_long_help() -> String {
    format!("{NOTES}\n\nCONFIGURATION\n\n{}", options::reference::reference())
}

const NOTES: &str = "\
EXAMPLES
  airgate --set upstream.url=http://airflow:8080
      Basic authentication in front of an Airflow 3, with nothing shared:
      Airflow itself checks the passwords.
  airgate check --conf /etc/airgate/airgate.toml
      Say what is wrong with a configuration.
  airgate config get-value api auth_backends
      Print one value.
  airgate hash-password < password.txt
      Print the hash of a password.

SOURCES
  An option is taken from the last of these that has it:
    1. the default
    2. airflow.cfg: the one that [gate] airflow_cfg names, else
       $AIRFLOW_CONFIG, else $AIRFLOW_HOME/airflow.cfg, if there is one.
       Only the options below that Airflow has too are read.
    3. AIRFLOW__SECTION__KEY, likewise
    4. the configuration file
    5. AIRGATE__SECTION__KEY, e.g. AIRGATE__UPSTREAM__URL
    6. --set section.key=value

  A secret may also be what a command prints: add _CMD to its variable, as in
  AIRFLOW__API_AUTH__JWT_SECRET_CMD. Unknown options are errors, except in
  Airflow's own sources.

  Any value in the configuration file may be { file = \"/path\" }: the content
  of that file, without the newline at its end. Relative paths start at the
  folder of the configuration file, those of other sources at the working
  directory. Lists are arrays of TOML, or texts with commas or spaces; a
  secret is a list only as an array.

FILES
  ./airgate.toml, /etc/airgate/airgate.toml
      The configuration, when neither --conf nor $AIRGATE_CONF names one.

ENVIRONMENT
  AIRGATE_CONF
      The configuration file.
  AIRGATE__...
      Options, as above.
  AIRFLOW_CONFIG, AIRFLOW_HOME, AIRFLOW__...
      As in Airflow.

SIGNALS
  SIGHUP
      Read the configuration again, and open the log files anew. A
      configuration that is wrong changes nothing, and the log says why.
  SIGUSR2
      Upgrade: start the program anew, by the name and with the arguments
      that this process was started with. It is given the listening sockets;
      when it serves, this process drains and ends. If it does not serve,
      this process goes on, and its log says why.
  SIGTERM, SIGINT
      Drain and end: /readyz says no, requests are still accepted for
      [server] drain_delay, those that run are answered, for at most
      [server] grace_period. A second one ends at once.

EXIT STATUS
  0   Success.
  1   The configuration is wrong, or something failed.
  2   The command line is wrong.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Location;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::error::ErrorKind> {
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
        use clap::error::ErrorKind;
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
            assert_eq!(parse(arguments).err(), Some(expected), "{arguments:?}");
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
            (
                &["log.level=warn"],
                Exit::Success,
                "ok: read from AIRGATE__API__PAGE_SIZE, --set log.level\n",
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
                "error: --set log.level: [log] level: expected error, warn, info, debug or trace, found \"loud\"\n\
                 error: --set log.access: [log] access: expected true or false, found \"yes\"\n\
                 airgate: the configuration has 2 errors\n",
            ),
        ];
        for (assignments, exit, expected_out, expected_err) in rows {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let found = check::check(&sources(assignments), &Fake, &mut out, &mut err);
            assert_eq!(found, *exit, "{assignments:?}");
            assert_eq!(String::from_utf8(out).unwrap(), *expected_out, "{assignments:?}");
            assert_eq!(
                String::from_utf8(err).unwrap(),
                format!("{WARNING}{expected_err}"),
                "{assignments:?}"
            );
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
                "file",
                Kept,
                Err("airgate: [log] file is not set (default: standard output): the configuration file, \
                 AIRGATE__LOG__FILE or --set log.file=… sets it\n"),
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
}
