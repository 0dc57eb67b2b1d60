//! What Airflow does to a value before it uses it: environment variables, `~`, commands.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// The environment, as `airgate` was started with it.
pub type Environment = BTreeMap<String, String>;

/// A value that never stops growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its environment variables refer to themselves")]
pub struct Endless;

/// Replaces `$X`, `${X}` and a leading `~` until nothing changes, as Airflow does (`expand_env_var`)
/// with every value of `airflow.cfg` and `AIRFLOW__…`. Variables that are not set stay as they are,
/// and so does `~user`.
///
/// # Errors
/// Variables that refer to themselves; Airflow would never return.
pub fn expand(value: &str, environment: &Environment) -> Result<String, Endless> {
    let mut value = value.to_owned();
    for _ in 0..32 {
        let next = home(&variables(&value, environment), environment);
        if next == value {
            return Ok(value);
        }
        if next.len() > 1 << 20 {
            return Err(Endless);
        }
        value = next;
    }
    Err(Endless)
}

/// Python's `os.path.expandvars`.
fn variables(value: &str, environment: &Environment) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        let word = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (name, length) = match after.strip_prefix('{').and_then(|a| a.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => (&after[..word], word),
        };
        out.push_str(&rest[..at]);
        match environment.get(name).filter(|_| length > 0) {
            Some(found) => out.push_str(found),
            None => out.push_str(&rest[at..at + 1 + length]),
        }
        rest = &after[length..];
    }
    out + rest
}

/// Python's `os.path.expanduser`, for one's own home alone.
fn home(value: &str, environment: &Environment) -> String {
    match (value.strip_prefix('~'), environment.get("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            let path = format!("{}{rest}", home.trim_end_matches('/'));
            if path.is_empty() { "/".to_owned() } else { path }
        }
        (Some(_) | None, Some(_) | None) => value.to_owned(),
    }
}

/// Why a command gave no value. Says nothing of what it printed, which may be secret, and nothing of
/// the command itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandFailed {
    /// No word in it.
    #[error("the command is empty")]
    Empty,
    /// A quote without its end, or a backslash at the end.
    #[error("the command has a quote that does not end")]
    Unquoted,
    /// It could not be started.
    #[error("the command cannot be started: {0}")]
    Start(std::io::ErrorKind),
    /// It failed.
    #[error("the command failed: {0}")]
    Status(std::process::ExitStatus),
    /// It did not end within 30 seconds, and was killed.
    #[error("the command did not end within {} s", PATIENCE.as_secs())]
    Slow,
}

/// Longest time that a command may take. Airflow waits for ever; here it may be a reload that waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command as Airflow does (`run_command`): split like a shell would, but without a shell.
/// Everything it prints is the value, a newline at the end included; bytes that are not UTF-8 are
/// dropped.
///
/// # Errors
/// When it cannot be read, started, fails, or does not end in time.
pub fn run(command: &str, environment: &Environment) -> Result<String, CommandFailed> {
    let words = split(command).ok_or(CommandFailed::Unquoted)?;
    let (program, arguments) = words.split_first().ok_or(CommandFailed::Empty)?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| CommandFailed::Start(error.kind()))?;
    let group = Pid::from_child(&child);
    let (ended, end) = mpsc::channel();
    // Fails only when nobody waits any more.
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let output = match end.recv_timeout(PATIENCE) {
        Ok(output) => output.map_err(|error| CommandFailed::Start(error.kind()))?,
        Err(_) => {
            // It may have ended a moment ago, and then there is nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
            return Err(CommandFailed::Slow);
        }
    };
    if !output.status.success() {
        return Err(CommandFailed::Status(output.status));
    }
    Ok(output.stdout.utf8_chunks().map(|chunk| chunk.valid()).collect())
}

/// Python's `shlex.split`. `None` when a quote does not end.
fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn values_expand_as_in_airflow() {
        let environment = environment(&[
            ("AIRFLOW_HOME", "/opt/airflow"),
            ("HOME", "/home/x"),
            ("NESTED", "${AIRFLOW_HOME}/n"),
            ("EMPTY", ""),
        ]);
        for (name, value, expected) in [
            ("nothing", "abc", "abc"),
            ("a variable", "$AIRFLOW_HOME/p", "/opt/airflow/p"),
            ("in braces", "${AIRFLOW_HOME}p", "/opt/airflowp"),
            ("braces alone are not a variable", "{AIRFLOW_HOME}/p", "{AIRFLOW_HOME}/p"),
            ("not set", "$NOT_SET/p ${NOT_SET}", "$NOT_SET/p ${NOT_SET}"),
            ("empty", "a${EMPTY}b", "ab"),
            ("nested", "$NESTED", "/opt/airflow/n"),
            ("home", "~/p", "/home/x/p"),
            ("home alone", "~", "/home/x"),
            ("not at the start", "a~/p", "a~/p"),
            ("another's home", "~root/p", "~root/p"),
            ("a dollar sign", "a$ b$", "a$ b$"),
            ("no end", "${HOME", "${HOME"),
        ] {
            assert_eq!(expand(value, &environment), Ok(expected.to_owned()), "{name}");
        }
    }

    #[test]
    fn variables_without_end_are_told() {
        let environment = environment(&[("A", "x$A"), ("B", "$C"), ("C", "$B")]);
        assert_eq!(expand("$A", &environment), Err(Endless));
        assert_eq!(expand("$B", &environment), Err(Endless));
    }

    #[test]
    fn commands_are_split_as_in_python() {
        let rows: &[(&str, Option<&[&str]>)] = &[
            ("cat /run/secret", Some(&["cat", "/run/secret"])),
            ("  a\tb\nc  ", Some(&["a", "b", "c"])),
            (r#"a 'b c' "d e""#, Some(&["a", "b c", "d e"])),
            (r#"a'b'"c""#, Some(&["abc"])),
            (r#"'' """#, Some(&["", ""])),
            (r#""a\"b\\c\d""#, Some(&[r#"a"b\c\d"#])),
            (r"a\ b '\x'", Some(&["a b", r"\x"])),
            ("a#b # c", Some(&["a#b", "#", "c"])),
            ("echo $HOME | x", Some(&["echo", "$HOME", "|", "x"])),
            ("a 'b", None),
            ("a \"b", None),
            ("a\\", None),
            ("", Some(&[])),
        ];
        for (command, expected) in rows {
            let expected = expected.map(|words| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
            assert_eq!(split(command), expected, "{command}");
        }
    }

    #[test]
    fn a_command_gives_all_that_it_prints() {
        let environment = environment(&[("PATH", "/usr/bin:/bin"), ("X", "y")]);
        assert_eq!(run("printf 'a\\n'", &environment), Ok("a\n".to_owned()));
        assert_eq!(run("sh -c 'printf $X'", &environment), Ok("y".to_owned()));
        assert_eq!(run("printf '\\377a'", &environment), Ok("a".to_owned()));
    }

    #[test]
    fn a_command_that_fails_says_nothing_of_what_it_printed() {
        let environment = environment(&[("PATH", "/usr/bin:/bin")]);
        for (command, expected) in [
            ("", "the command is empty"),
            ("'", "the command has a quote that does not end"),
            ("/nonexistent/program", "the command cannot be started: entity not found"),
            ("sh -c 'echo hunter2; echo hunter2 >&2; exit 3'", "the command failed: exit status: 3"),
        ] {
            assert_eq!(run(command, &environment).unwrap_err().to_string(), expected, "{command}");
        }
    }
}
