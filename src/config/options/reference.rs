//! The table of options as text: `conf/airgate.toml`, `--help` and `docs/configuration.md`.

use std::fmt::Write as _;

use super::{ALL, Age, CALLOUTS, ISSUERS, Opt, SECTIONS, Shape};

/// `conf/airgate.toml`: every option with its effect and its default, all of it commented out.
pub fn sample_file() -> String {
    let mut out = String::from(
        "# Configuration of airgate. Every option is here, commented out, with its default, or with an\n\
         # example where it has none.\n\
         #\n\
         # A value is taken from the last of these that has it: the default, airflow.cfg,\n\
         # AIRFLOW__SECTION__KEY, this file, AIRGATE__SECTION__KEY, --set section.key=value.\n\
         # Any value may be { file = \"/path\" }: the content of that file, read again on reload.\n\
         # Relative paths start at the folder of this file.\n\
         # `airgate check` says what is wrong, all at once.\n",
    );
    for (section, about) in SECTIONS {
        out.push('\n');
        for line in wrap(about, 96) {
            let _ = writeln!(out, "# {line}");
        }
        let _ = match *section {
            ISSUERS => writeln!(out, "#[[{section}]]"),
            CALLOUTS => writeln!(out, "#[{section}]"),
            _ => writeln!(out, "[{section}]"),
        };
        for option in ALL.iter().filter(|o| o.section == *section) {
            out.push('\n');
            for line in wrap(&format!("{}.", option.help), 96) {
                let _ = writeln!(out, "# {line}");
            }
            let _ = match option.default {
                "" => {
                    writeln!(out, "#{} = {}  # an example; not set", option.key, toml(option, option.example))
                }
                default => writeln!(out, "#{} = {}", option.key, toml(option, default)),
            };
        }
    }
    out
}

/// The reference of all options for `--help`.
pub fn reference() -> String {
    let mut out = String::new();
    for (section, about) in SECTIONS {
        let _ = match *section {
            ISSUERS => writeln!(out, "[[{section}]]"),
            _ => writeln!(out, "[{section}]"),
        };
        for line in wrap(about, 76) {
            let _ = writeln!(out, "  {line}");
        }
        for option in ALL.iter().filter(|o| o.section == *section) {
            let default = match option.default {
                "" => "",
                text => &format!(" [default: {text}]"),
            };
            let _ = writeln!(out, "  {}", option.key);
            for line in wrap(&format!("{}.{default}", option.help), 72) {
                let _ = writeln!(out, "      {line}");
            }
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// The reference of all options for `docs/configuration.md`: a table for each section.
pub fn manual() -> String {
    let mut out = String::new();
    for (section, about) in SECTIONS {
        let heading = if *section == ISSUERS { format!("[[{section}]]") } else { format!("[{section}]") };
        let options = || ALL.iter().filter(|o| o.section == *section);
        let from_airflow = options().any(|o| o.airflow);
        let (title, rule) = if from_airflow { ("Airflow's name | ", "---|") } else { ("", "") };
        let _ = writeln!(out, "### `{heading}`\n\n{about}\n");
        let _ = writeln!(out, "| Option | Default | {title}Effect | Value |\n|---|---|{rule}---|---|");
        for option in options() {
            let default = match option.default {
                "" => "not set".to_owned(),
                text => format!("`{text}`"),
            };
            let name = if from_airflow { format!("{} | ", airflows_names(option)) } else { String::new() };
            let (key, help, allowed) = (option.key, cell(option.help), cell(option.allowed));
            let _ = writeln!(out, "| `{key}` | {default} | {name}{help}. | {allowed} |");
        }
        out.push('\n');
    }
    out
}

/// What Airflow calls an option, in this release and in earlier ones.
fn airflows_names(option: &Opt) -> String {
    if !option.airflow {
        return "none".to_owned();
    }
    let mut names = format!("`[{}] {}`", option.section, option.key);
    for alias in option.aliases {
        let age = match alias.age {
            Age::Current => "also",
            Age::Old => "formerly",
        };
        let _ = write!(names, ", {age} `[{}] {}`", alias.section, alias.key);
    }
    names
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// A value of an option in the notation of TOML.
fn toml(option: &Opt, text: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    match option.shape {
        _ if text.starts_with('{') => text.to_owned(),
        Shape::Integer | Shape::Boolean => text.to_owned(),
        Shape::Duration | Shape::WordOrInteger if text.parse::<u64>().is_ok() => text.to_owned(),
        Shape::Text | Shape::Duration | Shape::WordOrInteger | Shape::ArrayList => quoted(text),
        Shape::List | Shape::CommaList => {
            let items: Vec<String> =
                text.split(',').map(str::trim).filter(|i| !i.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_sample_file_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/airgate.toml");
        if std::env::var_os("AIRGATE_WRITE_SAMPLE").is_some() {
            std::fs::write(&path, sample_file()).unwrap();
        }
        let message = "`make reference` writes it";
        assert_eq!(std::fs::read_to_string(path).unwrap(), sample_file(), "{message}");
    }

    #[test]
    fn the_manual_is_up_to_date() {
        const BEGIN: &str = "<!-- The tables below are generated: see the end of this page. -->\n\n";
        const END: &str = "<!-- The tables end here. -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (tables, after) = rest.split_once(END).unwrap();
        if std::env::var_os("AIRGATE_WRITE_SAMPLE").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", manual())).unwrap();
            return;
        }
        assert_eq!(tables, manual(), "`make reference` writes it");
    }

    #[test]
    fn lines_are_wrapped_at_words() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
    }
}
