//! `[log]`.

use tracing::level_filters::LevelFilter;

use super::{Fault, Parsed, because};
use crate::config::names::nearest;
use crate::config::settings::LogLevel;

/// A level, or a list of one and of levels of modules. In any case.
pub fn level(text: &str) -> Parsed<LogLevel> {
    let mut level = LogLevel { general: LevelFilter::INFO, modules: Vec::new() };
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            None => level.general = word(part)?,
            Some((module, of_it)) => {
                let module = module.trim();
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
                if module.is_empty() || !module.chars().all(plain) {
                    return Err(Fault::Expected);
                }
                known(module)?;
                level.modules.push((module.to_owned(), word(of_it.trim())?));
            }
        }
    }
    Ok(level)
}

/// What airgate's lines are named after: its modules, and the audit log.
const MODULES: &str = "admin assemble audit auth builder cli config drain exchange gate metrics ports proxy registry \
                       reload request secret server telemetry";

/// Refuses what looks like a module of airgate's and is none. Those of other crates are not known.
fn known(module: &str) -> Result<(), Fault> {
    let (name, within) = module.split_once("::").unwrap_or((module, ""));
    let within = within.split("::").next().unwrap_or_default();
    let mut modules = MODULES.split(' ');
    match strsim::damerau_levenshtein(&name.to_lowercase(), "airgate") {
        0 if name == "airgate" && (within.is_empty() || modules.any(|known| known == within)) => Ok(()),
        0 if name == "airgate" => because(match nearest(within, MODULES.split(' ')) {
            Some(nearest) => format!("airgate has no module {module}; the nearest is airgate::{nearest}"),
            None => format!("airgate has no module {module}, but {}", MODULES.replace(' ', ", ")),
        }),
        0 | 1 => because(format!("nothing is named {name}; the nearest is airgate")),
        _ => Ok(()),
    }
}

/// `stdout`, `stderr` or a path, but none that looks like a slip of the one or the other.
pub fn log_file(text: &str) -> Parsed<String> {
    let away = |word: &&str| strsim::damerau_levenshtein(&text.to_lowercase(), word);
    let words = ["stdout", "stderr"];
    let nearest = words.into_iter().filter(|_| !words.contains(&text)).min_by_key(away);
    match nearest.filter(|word| away(word) < 2) {
        Some(word) => {
            because(format!("{text:?} is no path; the nearest is {word}. A file of that name is ./{text}"))
        }
        None => Ok(text.to_owned()),
    }
}

/// A level by its name. Numbers, which `tracing` would read too, are not names.
fn word(text: &str) -> Parsed<LevelFilter> {
    let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic());
    text.parse().ok().filter(|_| is_name).ok_or(Fault::Expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        type Row<'a> = (&'a str, LevelFilter, &'a [(&'a str, LevelFilter)]);
        let rows: [Row<'_>; 6] = [
            ("debug", LevelFilter::DEBUG, &[]),
            ("WARN", LevelFilter::WARN, &[]),
            ("off", LevelFilter::OFF, &[]),
            ("airgate::auth=debug", LevelFilter::INFO, &[("airgate::auth", LevelFilter::DEBUG)]),
            ("warn,airgate::auth=Debug", LevelFilter::WARN, &[("airgate::auth", LevelFilter::DEBUG)]),
            ("pingora_core = off, error", LevelFilter::ERROR, &[("pingora_core", LevelFilter::OFF)]),
        ];
        for (text, general, modules) in rows {
            let modules = modules.iter().map(|(module, level)| ((*module).to_owned(), *level)).collect();
            assert_eq!(level(text), Ok(LogLevel { general, modules }), "{text}");
        }
    }

    #[test]
    fn places_that_look_like_another() {
        for (text, expected) in [
            ("stdout", None),
            ("stderr", None),
            ("/dev/stdout", None),
            ("access.log", None),
            ("std", None),
            ("./stdrr", None),
            ("stdrr", Some("stderr")),
            ("stdot", Some("stdout")),
            ("STDERR", Some("stderr")),
            ("sdtout", Some("stdout")),
        ] {
            let nearest = expected.map(|word| format!("the nearest is {word}."));
            match (log_file(text), nearest) {
                (Ok(taken), None) => assert_eq!(taken, text),
                (Err(Fault::Because(why)), Some(nearest)) => assert!(why.contains(&nearest), "{text}: {why}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn modules_that_are_not_there() {
        for (text, nearest) in [
            ("airgat::auth=debug", "airgate"),
            ("AIRGATE::auth=debug", "airgate"),
            ("airgate::auht=debug", "airgate::auth"),
            ("airgate::telemtry::writer=debug", "airgate::telemetry"),
        ] {
            let Err(Fault::Because(why)) = level(text) else { panic!("{text}") };
            assert!(why.ends_with(&format!("the nearest is {nearest}")), "{text}: {why}");
        }
        let Err(Fault::Because(why)) = level("airgate::nonsense=debug") else { panic!() };
        assert!(why.starts_with("airgate has no module airgate::nonsense, but "), "{why}");
        for text in [
            "airgate=debug",
            "airgate::audit=off",
            "pingora_core=info",
            "h2::codec=info",
            "airgate::auth::jwt=info",
        ] {
            assert!(level(text).is_ok(), "{text}");
        }
        let map = include_str!("../../../lib.rs");
        let modules = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        for module in modules {
            assert!(MODULES.split(' ').any(|known| known == module), "{module}");
        }
    }

    #[test]
    fn what_is_not_a_level_is_refused() {
        for text in [
            "",
            ",",
            "info,",
            "inof",
            "warning",
            "info,deb",
            "airgate=loud",
            "airgate=",
            "=info",
            "a b=info",
            "airgate[span]=info",
            "3",
            "airgate=3",
        ] {
            assert_eq!(level(text), Err(Fault::Expected), "{text}");
        }
    }
}
