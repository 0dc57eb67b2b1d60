//! What follows `?`.

use std::path::PathBuf;
use std::time::Duration;

use super::{InvalidUrl, decode};

/// Keys and values after `?`, as Python's `parse_qsl` reads them: blank values are left out.
#[derive(Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn read(text: &str) -> Result<Self, InvalidUrl> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&') {
            let Some((key, value)) = pair.split_once('=').filter(|(_, value)| !value.is_empty()) else {
                continue;
            };
            let key = decode(&key.replace('+', " "))?;
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(InvalidUrl::Key { key: shown(&key), reason: "it is there twice" });
            }
            pairs.push((key, decode(&value.replace('+', " "))?));
        }
        Ok(Self(pairs))
    }

    /// The value of a key, which is then done with.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// A path.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.take(key).map(PathBuf::from)
    }

    /// One of these words, in any case.
    pub fn word<T: Copy>(
        &mut self,
        key: &str,
        allowed: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, InvalidUrl> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&value)) {
            Some((_, found)) => Ok(Some(*found)),
            None => Err(InvalidUrl::Value { key: key.to_owned(), allowed }),
        }
    }

    /// A number of seconds. 0 is no limit of its own.
    pub fn seconds(&mut self, key: &str) -> Result<Option<Duration>, InvalidUrl> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.parse::<u32>() {
            Ok(0) => Ok(None),
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
            Err(_) => Err(InvalidUrl::Value { key: key.to_owned(), allowed: "a whole number of seconds" }),
        }
    }

    /// What is left when all that is known has been taken: refused where it may say which server is
    /// meant or how it is protected, passed over otherwise.
    pub fn rest(self, refused: &[(&str, &'static str)]) -> Result<Vec<String>, InvalidUrl> {
        const TELLING: [&str; 8] = ["ssl", "tls", "gss", "krb", "require", "auth", "channel", "host"];
        let mut ignored = Vec::new();
        for (key, _) in self.0 {
            let telling = TELLING.iter().any(|prefix| key.to_ascii_lowercase().starts_with(prefix));
            match refused.iter().find(|(name, _)| *name == key) {
                Some((_, reason)) => return Err(InvalidUrl::Key { key: shown(&key), reason }),
                None if telling => {
                    let reason = "it may say how the connection is protected, and is not known here";
                    return Err(InvalidUrl::Key { key: shown(&key), reason });
                }
                None => ignored.push(shown(&key)),
            }
        }
        ignored.sort();
        Ok(ignored)
    }
}

/// A key as messages have it: what does not look like one may be a part of something else.
fn shown(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match key.len() <= 40 && key.chars().all(plain) {
        true => key.to_owned(),
        false => "a key".to_owned(),
    }
}
