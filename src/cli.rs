//! The command line: `run`, `check`, `config get-value`, `hash-password`, `generate`.

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
    let parts = Arguments::try_parse_from(arguments).and_then(Arguments::parts);
    let (SourceArguments { conf, assignments }, command) = match parts {
        Ok(parts) => parts,
        Err(error) => {
            // A closed pipe is no reason to fail: `airgate --help | head`.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
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
            let (section, key) = option(&section, key.as_deref()).unwrap_or((&section, ""));
            get_value::get_value(&sources(), section, key, secrets, &mut out, &mut err).into()
        }
        Command::Generate { what } => {
            generate::generate(what, Arguments::command(), &mut out, &mut err).into()
        }
        Command::HashPassword => hash_password::hash_password(io::stdin(), &mut out, &mut err).into(),
    }
}

/// Section and key, given apart or as `--set` writes them.
fn option<'a>(section: &'a str, key: Option<&'a str>) -> Option<(&'a str, &'a str)> {
    key.map_or_else(|| section.rsplit_once('.'), |key| Some((section, key)))
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
        if let Command::Config { command: ConfigCommand::GetValue { section, key, .. }, .. } = &command
            && option(section, key.as_deref()).is_none()
        {
            let message =
                format!("which key of [{section}]? As in: airgate config get-value api auth_backends");
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
        }
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
        /// Section, such as api; with its key also as api.auth_backends
        section: String,
        /// Key, such as auth_backends
        key: Option<String>,
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
mod tests;
