//! `[log]`.

use tracing::level_filters::LevelFilter;

use super::{Fault, Parsed};
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
                level.modules.push((module.to_owned(), word(of_it.trim())?));
            }
        }
    }
    Ok(level)
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
