//! `airgate generate`: what packages of airgate ship beside the program, from its own definition.

use std::io::{self, Write};

use clap::{Arg, ArgAction, Command, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;

use super::{Exit, NOTES};
use crate::config::options::reference;

/// What can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Artefact {
    /// The manual page airgate(1)
    Man,
    /// Completions for bash
    Bash,
    /// Completions for fish
    Fish,
    /// Completions for zsh
    Zsh,
}

/// Writes it to `out`.
pub fn generate(what: Artefact, command: Command, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let mut text = Vec::new();
    let made = match what {
        Artefact::Man => man(command, &mut text),
        Artefact::Bash => completions(Shell::Bash, command, &mut text),
        Artefact::Fish => completions(Shell::Fish, command, &mut text),
        Artefact::Zsh => completions(Shell::Zsh, command, &mut text),
    };
    match made.and_then(|()| out.write_all(&text)) {
        Ok(()) => Exit::Success,
        // A closed pipe is no reason to fail: `airgate generate man | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => {
            let _ = writeln!(err, "airgate: {error}");
            Exit::Failure
        }
    }
}

fn completions(shell: Shell, mut command: Command, out: &mut Vec<u8>) -> io::Result<()> {
    command.set_bin_name("airgate");
    command.build();
    shell.try_generate(&command, out)
}

/// What `--help` says, in the sections that a manual page has. One page for all commands: none is named that is not
/// there.
fn man(command: Command, out: &mut Vec<u8>) -> io::Result<()> {
    let mut command = command.version(env!("CARGO_PKG_VERSION"));
    command.build();
    let man = Man::new(command.clone()).manual("User Commands");
    man.render_title(out)?;
    man.render_name_section(out)?;
    let (commands, general) = (commands(&command), command.get_arguments().collect::<Vec<_>>());
    writeln!(out, ".SH SYNOPSIS\n.nf")?;
    for (name, command) in std::iter::once(("airgate".to_owned(), &command)).chain(commands.clone()) {
        writeln!(out, "{}", synopsis(&name, command))?;
    }
    writeln!(out, ".fi")?;
    man.render_description_section(out)?;
    writeln!(out, ".SH COMMANDS")?;
    for (name, command) in commands {
        writeln!(out, ".TP\n\\fB{}\\fR", plain(&name))?;
        let about = command.get_long_about().or_else(|| command.get_about());
        // An empty line is one between paragraphs.
        let about = about.map(ToString::to_string).unwrap_or_default().replace("\n\n", "\n.sp\n");
        about.lines().try_for_each(|line| match line {
            ".sp" => writeln!(out, "{line}"),
            text => writeln!(out, "{}", plain(text)),
        })?;
        let is_new = |option: &&Arg| general.iter().all(|known| known.get_id() != option.get_id());
        for option in command.get_arguments().filter(is_new) {
            if let (Some(long), Some(help)) = (option.get_long(), option.get_help()) {
                writeln!(out, ".sp\n\\fB\\-\\-{}\\fR: {}", plain(long), plain(&help.to_string()))?;
            }
        }
    }
    man.render_options_section(out)?;
    let notes = format!("{NOTES}\n\nCONFIGURATION\n{}", indented(&reference::reference()));
    for line in notes.lines() {
        match line.strip_prefix("  ") {
            Some(text) => writeln!(out, "{}", plain(text))?,
            None if line.is_empty() => writeln!(out, ".sp")?,
            None => writeln!(out, ".fi\n.SH {}\n.nf", plain(line))?,
        }
    }
    writeln!(out, ".fi")
}

/// The commands that do something, by their names as they are typed.
fn commands(command: &Command) -> Vec<(String, &Command)> {
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below
        .flat_map(|below| match below.has_subcommands() {
            true => commands(below),
            false => vec![(below.get_bin_name().unwrap_or_default().to_owned(), below)],
        })
        .collect()
}

/// A line such as `airgate config get-value [--show-secrets] SECTION KEY`.
fn synopsis(name: &str, command: &Command) -> String {
    let arguments = command.get_arguments().filter(|argument| {
        !matches!(
            argument.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        )
    });
    let (mut options, mut values) = (String::new(), String::new());
    for argument in arguments {
        let of = argument.get_value_names().unwrap_or_default().iter();
        let of: String = of.map(|name| format!(" \\fI{}\\fR", plain(name))).collect();
        let takes = if argument.get_action().takes_values() { of.as_str() } else { "" };
        match argument.get_long() {
            Some(long) => {
                let again = if matches!(argument.get_action(), ArgAction::Append) { "..." } else { "" };
                options.push_str(&format!(" [\\fB\\-\\-{}\\fR{takes}]{again}", plain(long)));
            }
            None => match argument.get_possible_values().as_slice() {
                [] => values.push_str(takes),
                words => {
                    let words: Vec<_> = words.iter().map(|word| plain(word.get_name())).collect();
                    values.push_str(&format!(" {}", words.join("|")));
                }
            },
        }
    }
    format!("\\fB{}\\fR{options}{values}", plain(name))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

/// A line that roff takes for text, whatever it begins with or holds.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options;

    fn generated(what: Artefact) -> String {
        use clap::CommandFactory;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(generate(what, super::super::Arguments::command(), &mut out, &mut err), Exit::Success);
        assert!(err.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_manual_has_every_command_option_and_section() {
        let man = generated(Artefact::Man);
        for part in [
            ".TH airgate 1",
            ".SH NAME\n",
            ".SH SYNOPSIS\n",
            ".SH EXAMPLES\n",
            ".SH FILES\n",
            ".SH ENVIRONMENT\n",
            ".SH SIGNALS\n",
            "SIGHUP",
            "SIGUSR2",
            "SIGTERM, SIGINT",
            ".SH \"EXIT STATUS\"\n",
            ".SH CONFIGURATION\n",
            "hash\\-password",
            "\\fB\\-\\-show\\-secrets\\fR: Print secrets too",
            "generate",
        ] {
            assert!(man.contains(part) || man.contains(&part.replace('"', "")), "{part}\n{man}");
        }
        for (name, synopsis) in [
            ("none", r"\fBairgate\fR [\fB\-\-conf\fR \fIFILE\fR] [\fB\-\-set\fR \fISECTION.KEY=VALUE\fR]..."),
            (
                "get-value",
                r"\fBairgate config get\-value\fR [\fB\-\-show\-secrets\fR] [\fB\-\-conf\fR \fIFILE\fR] [\fB\-\-set\fR \fISECTION.KEY=VALUE\fR]... \fISECTION\fR \fIKEY\fR",
            ),
            ("hash-password", r"\fBairgate hash\-password\fR"),
            ("generate", r"\fBairgate generate\fR man|bash|fish|zsh"),
        ] {
            assert!(man.lines().any(|line| line == synopsis), "{name}\n{man}");
        }
        let pages: Vec<_> = man.lines().filter(|line| line.contains("(1)")).collect();
        assert!(pages.iter().all(|line| line.contains("airgate(1)")), "only this page is there: {pages:?}");
        for option in options::ALL {
            assert!(man.lines().any(|line| line.trim() == plain(option.key)), "{}", option.title());
        }
        assert_eq!(man.matches(".nf\n").count(), man.matches(".fi\n").count() - 1, "each block ends");
    }

    #[test]
    fn completions_have_every_command() {
        for shell in [Artefact::Bash, Artefact::Fish, Artefact::Zsh] {
            let text = generated(shell);
            for word in ["run", "check", "get-value", "hash-password", "generate", "conf", "set", "version"] {
                assert!(text.contains(word), "{shell:?}: {word}");
            }
        }
    }

    #[test]
    fn roff_is_text() {
        for (text, expected) in [("a-b", "a\\-b"), (".x", "\\&.x"), ("'x", "\\&'x"), ("C:\\x", "C:\\ex")] {
            assert_eq!(plain(text), expected);
        }
    }
}
