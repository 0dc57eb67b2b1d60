//! Names: from what a client typed to what is bound, and from the entry to who it is.

use std::sync::Arc;

use super::answer::Refusal;
use crate::ports::ldap::{Entry, dn};

/// How the name to bind is made of the one that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFormat {
    before: Box<str>,
    after: Box<str>,
    domain: Option<Box<str>>,
    kind: Kind,
}

/// What a format makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A distinguished name. What was typed is escaped, so it stays one value of it.
    DistinguishedName,
    /// Another name that the directory knows a user by, such as `name@example.com` in Active Directory.
    Other,
}

/// A format that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFormat {
    /// `%s` is not there just once, or there is another `%`.
    #[error("expected `%s` once, where the user's name goes, and no other `%` than `%%`")]
    Placeholder,
    /// It looks like a distinguished name, and is none.
    #[error("expected a distinguished name (RFC 4514) such as \"uid=%s,ou=people,dc=example,dc=com\"")]
    Name,
}

impl NameFormat {
    /// `username_format` (default: the name alone) and `append_domain`, which is put behind the name
    /// first, with an `@`.
    ///
    /// # Errors
    /// The format is not what Python's `%` takes, or a distinguished name cannot be made of it.
    pub fn parse(format: Option<&str>, domain: Option<&str>) -> Result<Self, InvalidFormat> {
        let (before, after) = split(format.unwrap_or("%s")).ok_or(InvalidFormat::Placeholder)?;
        // `uid=%s,…`: the name is a value, or a part of one, of a distinguished name.
        let kind = if before.contains('=') { Kind::DistinguishedName } else { Kind::Other };
        if kind == Kind::DistinguishedName && dn::parse(&format!("{before}x{after}")).is_none() {
            return Err(InvalidFormat::Name);
        }
        Ok(Self { before: before.into(), after: after.into(), domain: domain.map(Into::into), kind })
    }

    /// What it makes.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name to bind.
    pub fn bind_name(&self, username: &str) -> String {
        let mut name = username.to_owned();
        if let Some(domain) = &self.domain {
            name.push('@');
            name.push_str(domain);
        }
        if self.kind == Kind::DistinguishedName {
            name = dn::escape(&name);
        }
        format!("{}{name}{}", self.before, self.after)
    }
}

/// What stands before and after `%s`.
fn split(format: &str) -> Option<(String, String)> {
    let mut parts = vec![String::new()];
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            ('%', Some(part)) => match chars.next()? {
                '%' => part.push('%'),
                's' => parts.push(String::new()),
                _ => return None,
            },
            (c, Some(part)) => part.push(c),
            (_, None) => return None,
        }
    }
    let [before, after] = parts.try_into().ok()?;
    Some((before, after))
}

/// Who an entry is: its value of `field` as the directory has it, and not as it was typed. A directory
/// takes `ALICE`, `alice` and `alice ` for one name; if we took what was typed, its user could choose
/// which of Airflow's users of such names to be.
///
/// # Errors
/// There is no such value, or there are several and none of them is what was typed.
pub fn canonical(entry: &Entry, field: &str, typed: &str) -> Result<Arc<str>, Refusal> {
    let is_field = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.eq_ignore_ascii_case(field));
    let names: Vec<&str> = entry
        .values
        .iter()
        .filter(|(kind, _)| is_field(kind))
        .filter_map(|(_, value)| str::from_utf8(value).ok())
        .filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
        .collect();
    let alike = |name: &&&str| folded(name) == folded(typed);
    let mut similar = names.iter().filter(alike);
    let name = match (names.as_slice(), names.iter().find(|name| **name == typed)) {
        ([name], _) | (_, Some(name)) => name,
        (_, None) => match (similar.next(), similar.next()) {
            (Some(name), None) => name,
            (_, _) => return Err(Refusal::NoName),
        },
    };
    Ok((*name).into())
}

/// What is the same for `caseIgnoreMatch`, as far as people type it.
fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_bind() {
        let dn = "uid=%s,ou=people,dc=test";
        for (name, format, domain, username, expected) in [
            ("nothing", None, None, "alice", "alice"),
            ("a domain", None, Some("example.com"), "alice", "alice@example.com"),
            ("a name", Some(dn), None, "alice", "uid=alice,ou=people,dc=test"),
            ("both", Some(dn), Some("a.b"), "alice", "uid=alice@a.b,ou=people,dc=test"),
            ("of Windows", Some(r"EXAMPLE\%s"), None, "alice", r"EXAMPLE\alice"),
            ("a per cent sign", Some("100%%-%s"), None, "a%s", "100%-a%s"),
            ("an injected part", Some(dn), None, "x,ou=admins", r"uid=x\,ou\=admins,ou=people,dc=test"),
            ("a part of a value", Some("uid=x-%s,dc=test"), None, "a,b", r"uid=x-a\,b,dc=test"),
            ("another injected part", Some(dn), None, "a+uid=b", r"uid=a\+uid\=b,ou=people,dc=test"),
        ] {
            let format = NameFormat::parse(format, domain).unwrap();
            assert_eq!(format.bind_name(username), expected, "{name}");
        }
        for (name, format, expected) in [
            ("no place", "uid=alice", InvalidFormat::Placeholder),
            ("two places", "%s@%s", InvalidFormat::Placeholder),
            ("another placeholder", "%(user)s", InvalidFormat::Placeholder),
            ("a sign at the end", "%s%", InvalidFormat::Placeholder),
            ("no distinguished name", "uid=%s;people", InvalidFormat::Name),
        ] {
            assert_eq!(NameFormat::parse(Some(format), None), Err(expected), "{name}");
        }
    }

    #[test]
    fn who_an_entry_is() {
        let no = Err(Refusal::NoName);
        for (name, values, typed, expected) in [
            ("as typed", &[("uid", "alice")][..], "alice", Ok("alice")),
            ("in another case", &[("uid", "alice")], "ALICE", Ok("alice")),
            ("stored in another case", &[("uid", "Alice")], "alice", Ok("Alice")),
            ("with spaces", &[("uid", "alice")], " alice  ", Ok("alice")),
            ("the attribute in another case", &[("UID", "alice")], "alice", Ok("alice")),
            ("with an option", &[("uid;lang-en", "alice")], "alice", Ok("alice")),
            ("found by another name", &[("uid", "alice")], "a.smith", Ok("alice")),
            ("one of two", &[("uid", "alice"), ("uid", "asmith")], "asmith", Ok("asmith")),
            ("one of two, loosely", &[("uid", "alice"), ("uid", "asmith")], "ASmith", Ok("asmith")),
            ("exact before loose", &[("uid", "A"), ("uid", "a")], "a", Ok("a")),
            ("two alike", &[("uid", "AB"), ("uid", "ab")], "aB", no),
            ("none of two", &[("uid", "alice"), ("uid", "asmith")], "bob", no),
            ("no value", &[], "alice", no),
            ("another attribute", &[("cn", "alice")], "alice", no),
            ("empty", &[("uid", "")], "alice", no),
            ("a control character", &[("uid", "ali\0ce")], "alice", no),
        ] {
            let values =
                values.iter().map(|(kind, value)| ((*kind).into(), value.as_bytes().into())).collect();
            let entry = Entry { name: "uid=x".into(), values };
            assert_eq!(canonical(&entry, "uid", typed).as_deref().map_err(|e| *e), expected, "{name}");
        }
    }
}
