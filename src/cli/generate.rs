//! `airgate generate`: what packages of airgate ship beside the program, from its own definition.

use std::io::{self, Write};

use clap::{Command, ValueEnum};
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

/// What `--help` says, in the sections that a manual page has.
fn man(command: Command, out: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.after_help(None).after_long_help(None)).manual("User Commands");
    man.render(out)?;
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
            "generate",
        ] {
            assert!(man.contains(part) || man.contains(&part.replace('"', "")), "{part}\n{man}");
        }
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
