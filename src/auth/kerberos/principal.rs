//! Names of Kerberos: `name/instance@REALM`, as its library writes them.

/// A client's principal (RFC 4120, section 6.2), in the library's text form.
///
/// There a `/`, `@` or backslash that is part of a name has a backslash before it. The escapes stay in the
/// user's name: without them a `bob@OTHER` of a local realm, `bob\@OTHER@LOCAL`, would be `bob` of the
/// realm `OTHER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal<'a> {
    text: &'a str,
    at: usize,
}

/// Why a text names nobody here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidPrincipal {
    /// No realm, or no name before it.
    Incomplete,
    /// More than one `@` without a backslash, or a backslash at the end.
    Ambiguous,
    /// A control character: it could fake lines of a log.
    ControlCharacter,
    /// Longer than [`Principal::MAX`].
    TooLong,
    /// Who proved nothing but that they may stay unknown (RFC 8062).
    Anonymous,
}

impl<'a> Principal<'a> {
    /// The longest principal, in bytes.
    pub const MAX: usize = 512;

    /// Reads a principal.
    ///
    /// # Errors
    /// It is nobody's.
    pub fn parse(text: &'a str) -> Result<Self, InvalidPrincipal> {
        if text.len() > Self::MAX {
            return Err(InvalidPrincipal::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPrincipal::ControlCharacter);
        }
        let mut found = None;
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => {
                    characters.next().ok_or(InvalidPrincipal::Ambiguous)?;
                }
                '@' if found.is_some() => return Err(InvalidPrincipal::Ambiguous),
                '@' => found = Some(at),
                _ => {}
            }
        }
        let at = found.filter(|&at| at > 0 && at + 1 < text.len()).ok_or(InvalidPrincipal::Incomplete)?;
        let principal = Self { text, at };
        if principal.name() == "WELLKNOWN/ANONYMOUS" {
            return Err(InvalidPrincipal::Anonymous);
        }
        Ok(principal)
    }

    /// All before the realm: `alice`, `host/client.example.org`.
    pub fn name(self) -> &'a str {
        self.text.split_at(self.at).0
    }

    /// The realm.
    pub fn realm(self) -> &'a str {
        // The `@` is one byte.
        self.text.split_at(self.at + 1).1
    }

    /// The user of Airflow: `name@REALM`, and `name` alone where the realm is one of the local ones.
    pub fn user(self, local_realms: &[Box<str>]) -> &'a str {
        if local_realms.iter().any(|local| **local == *self.realm()) { self.name() } else { self.text }
    }
}

impl InvalidPrincipal {
    /// What is wrong, for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "the client's principal has no name or no realm",
            Self::Ambiguous => "the client's principal is ambiguous",
            Self::ControlCharacter => "the client's principal has a control character",
            Self::TooLong => "the client's principal is too long",
            Self::Anonymous => "an anonymous ticket",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users() {
        let local = ["LOCAL".into(), "Other.Local".into()];
        let too_long = format!("{}@R", "x".repeat(511));
        let rows: [(&str, &str, Result<&str, InvalidPrincipal>); 22] = [
            ("a user", "alice@REALM", Ok("alice@REALM")),
            ("of a local realm", "alice@LOCAL", Ok("alice")),
            ("of another", "alice@Other.Local", Ok("alice")),
            ("case matters", "alice@Local", Ok("alice@Local")),
            ("a realm below", "alice@SUB.LOCAL", Ok("alice@SUB.LOCAL")),
            ("an instance", "carol/admin@LOCAL", Ok("carol/admin")),
            ("a service", "host/c.example.org@REALM", Ok("host/c.example.org@REALM")),
            ("three components", "a/b/c@LOCAL", Ok("a/b/c")),
            ("an at sign in the name", r"bob\@REALM@LOCAL", Ok(r"bob\@REALM")),
            ("a slash in the name", r"carol\/admin@LOCAL", Ok(r"carol\/admin")),
            ("a backslash before the realm", r"bob\\@LOCAL", Ok(r"bob\\")),
            ("a line feed, escaped", r"a\nb@LOCAL", Ok(r"a\nb")),
            ("not ASCII", "jürgen@LOCAL", Ok("jürgen")),
            ("no realm", "alice", Err(InvalidPrincipal::Incomplete)),
            ("an empty realm", "alice@", Err(InvalidPrincipal::Incomplete)),
            ("an escaped at sign only", r"alice\@LOCAL", Err(InvalidPrincipal::Incomplete)),
            ("no name", "@LOCAL", Err(InvalidPrincipal::Incomplete)),
            ("two realms", "alice@LOCAL@LOCAL", Err(InvalidPrincipal::Ambiguous)),
            ("a backslash at the end", r"alice@LOCAL\", Err(InvalidPrincipal::Ambiguous)),
            ("a control character", "a\u{1}b@LOCAL", Err(InvalidPrincipal::ControlCharacter)),
            ("too long", &too_long, Err(InvalidPrincipal::TooLong)),
            ("anonymous", "WELLKNOWN/ANONYMOUS@LOCAL", Err(InvalidPrincipal::Anonymous)),
        ];
        for (name, text, expected) in rows {
            assert_eq!(Principal::parse(text).map(|principal| principal.user(&local)), expected, "{name}");
        }
    }
}
