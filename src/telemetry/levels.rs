//! Which lines the application log takes.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::audit::TARGET;

/// What the application log says: a level for airgate's own modules, by default `info`, and levels of single
/// modules, of whatever crate.
///
/// Other crates speak from `warn` on unless they are named, and never below `info`: at `trace`
/// Pingora prints whole request heads, credentials included. The audit log is not part of this,
/// unless `airgate::audit` is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Level(pub(super) Targets);

impl Default for Level {
    fn default() -> Self {
        Self::new(LevelFilter::INFO, &[])
    }
}

impl Level {
    /// `general` for airgate, `warn` at most for everything else, and the audit log; but for these modules what
    /// is said of them.
    pub fn new(general: LevelFilter, modules: &[(String, LevelFilter)]) -> Self {
        let targets = Targets::new()
            .with_default(general.min(LevelFilter::WARN))
            .with_target("airgate", general)
            .with_target(TARGET, LevelFilter::INFO);
        Self(modules.iter().fold(targets, |targets, (module, level)| targets.with_target(module, *level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level as L;

    #[test]
    fn levels() {
        use LevelFilter as F;
        let auth = ("airgate::auth", F::DEBUG);
        // (name, of airgate, of a module, target, most detailed level that is let through)
        for (name, general, module, target, expected) in [
            ("a word", F::DEBUG, None, "airgate::reload", Some(L::DEBUG)),
            ("others stay at warn", F::DEBUG, None, "pingora_core::apps", Some(L::WARN)),
            ("but not above the word", F::ERROR, None, "pingora_core::apps", Some(L::ERROR)),
            ("a module", F::WARN, Some(auth), "airgate::auth::jwt", Some(L::DEBUG)),
            ("beside it", F::WARN, Some(auth), "airgate::gate", Some(L::WARN)),
            ("another crate", F::INFO, Some(("pingora_core", F::INFO)), "pingora_core", Some(L::INFO)),
            ("off", F::OFF, None, "airgate", None),
            ("off is not for the audit log", F::OFF, None, TARGET, Some(L::INFO)),
            ("unless it is named", F::INFO, Some((TARGET, F::OFF)), TARGET, None),
        ] {
            let modules: Vec<_> = module.into_iter().map(|(name, level)| (name.to_owned(), level)).collect();
            let level = Level::new(general, &modules);
            let all = [L::ERROR, L::WARN, L::INFO, L::DEBUG, L::TRACE];
            let most = all.into_iter().rfind(|l| level.0.would_enable(target, l));
            assert_eq!(most, expected, "{name}");
        }
    }
}
