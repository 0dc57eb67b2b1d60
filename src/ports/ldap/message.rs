//! The messages of LDAP (RFC 4511) that logging in takes.

use std::fmt;

use zeroize::Zeroizing;

use super::ber::{ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET, Writer, number};
use super::{Entry, Outcome, Policy, Search};
use crate::secret::Secret;

/// Asks that the answer to a bind tells what the password policy says (Behera's draft, which OpenLDAP
/// and others follow).
const PASSWORD_POLICY: &[u8] = b"1.3.6.1.4.1.42.2.27.8.5.1";
/// Netscape's way to say that a password has expired, or must be changed.
const PASSWORD_EXPIRED: &[u8] = b"2.16.840.1.113730.3.4.4";
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

const BIND: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const FOUND: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const ELSEWHERE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_ANSWER: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;
const CONTROLS: u8 = 0xa0;

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which request it answers; 0 answers none.
    pub id: u32,
    /// What it says.
    pub answer: Answer,
}

/// What a message from the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// How a bind ended.
    Bind(Outcome),
    /// An entry that was found.
    Found(Entry),
    /// More may be found elsewhere, where we do not go.
    Elsewhere,
    /// How a search ended.
    SearchDone(Outcome),
    /// How an extended operation ended.
    Extended(Outcome),
    /// An intermediate answer, which we never ask for.
    Intermediate,
}

/// `BindRequest` with name and password.
pub fn bind(id: u32, name: &str, password: &Secret) -> Zeroizing<Vec<u8>> {
    let password = password.expose().as_bytes();
    let capacity = 128 + PASSWORD_POLICY.len() + name.len() + password.len();
    message(id, capacity, |writer| {
        writer.open(BIND, |writer| {
            writer.number(INTEGER, 3);
            writer.bytes(OCTETS, name.as_bytes());
            writer.bytes(0x80, password);
        });
        writer.open(CONTROLS, |writer| {
            writer.open(SEQUENCE, |writer| writer.bytes(OCTETS, PASSWORD_POLICY));
        });
    })
}

/// `SearchRequest`: aliases are not followed.
pub fn search(id: u32, search: &Search<'_>) -> Zeroizing<Vec<u8>> {
    message(id, 1024, |writer| {
        writer.open(SEARCH, |writer| {
            writer.bytes(OCTETS, search.base.as_bytes());
            writer.number(ENUMERATED, search.scope as u32);
            writer.number(ENUMERATED, 0);
            writer.number(INTEGER, Search::MOST);
            writer.number(INTEGER, u32::try_from(search.time.as_secs()).unwrap_or_default().max(1));
            writer.boolean(false);
            search.filter.encode(writer);
            writer.open(SEQUENCE, |writer| writer.bytes(OCTETS, search.attribute.as_bytes()));
        });
    })
}

/// `ExtendedRequest` for StartTLS.
pub fn start_tls(id: u32) -> Zeroizing<Vec<u8>> {
    message(id, 64, |writer| writer.open(EXTENDED, |writer| writer.bytes(0x80, START_TLS)))
}

/// `UnbindRequest`: good-bye.
pub fn unbind(id: u32) -> Zeroizing<Vec<u8>> {
    message(id, 32, |writer| writer.bytes(UNBIND, &[]))
}

fn message(id: u32, capacity: usize, operation: impl FnOnce(&mut Writer)) -> Zeroizing<Vec<u8>> {
    let mut writer = Writer::with_capacity(capacity);
    writer.open(SEQUENCE, |writer| {
        writer.number(INTEGER, id);
        operation(writer);
    });
    writer.into_bytes()
}

impl Message {
    /// Reads one message, which must be all of `bytes`.
    ///
    /// # Errors
    /// It is no message that a server sends.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut whole = Reader::new(bytes);
        let mut message = whole.within(SEQUENCE)?;
        if !whole.is_empty() {
            return Err(Malformed);
        }
        let id = message.number(INTEGER)?;
        let (tag, content) = message.any()?;
        let content = Reader::new(content);
        // Active Directory puts the name of an unsolicited notification behind the operation.
        message.optional(0x8a)?;
        let policy = match message.optional(CONTROLS)? {
            Some(controls) => policy(Reader::new(controls))?,
            None => None,
        };
        let answer = match tag {
            BIND_ANSWER => Answer::Bind(Outcome { policy, ..outcome(content)? }),
            FOUND => Answer::Found(entry(content)?),
            ELSEWHERE => Answer::Elsewhere,
            SEARCH_DONE => Answer::SearchDone(outcome(content)?),
            EXTENDED_ANSWER => Answer::Extended(outcome(content)?),
            INTERMEDIATE => Answer::Intermediate,
            _ => return Err(Malformed),
        };
        Ok(Self { id, answer })
    }
}

/// `LDAPResult`. Where it refers to elsewhere is not read: we do not go there.
fn outcome(mut result: Reader<'_>) -> Result<Outcome, Malformed> {
    let code = result.number(ENUMERATED)?;
    let _matched = result.expect(OCTETS)?;
    let text = result.expect(OCTETS)?;
    Ok(Outcome { code, text: printable(text).into(), policy: None })
}

/// The server's own words, as much of them as a log needs.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}

/// `SearchResultEntry`.
fn entry(mut found: Reader<'_>) -> Result<Entry, Malformed> {
    let name = str::from_utf8(found.expect(OCTETS)?).map_err(|_| Malformed)?;
    let mut attributes = found.within(SEQUENCE)?;
    let mut values = Vec::new();
    while !attributes.is_empty() {
        let mut attribute = attributes.within(SEQUENCE)?;
        let kind = str::from_utf8(attribute.expect(OCTETS)?).map_err(|_| Malformed)?;
        let mut set = attribute.within(SET)?;
        while !set.is_empty() {
            values.push((kind.into(), set.expect(OCTETS)?.into()));
        }
    }
    Ok(Entry { name: name.into(), values })
}

/// What the controls of an answer say about the password.
fn policy(mut controls: Reader<'_>) -> Result<Option<Policy>, Malformed> {
    let mut found = None;
    while !controls.is_empty() {
        let mut control = controls.within(SEQUENCE)?;
        let kind = control.expect(OCTETS)?;
        control.optional(super::ber::BOOLEAN)?;
        let value = control.optional(OCTETS)?;
        if kind == PASSWORD_EXPIRED {
            found = found.or(Some(Policy::Expired));
        } else if let (PASSWORD_POLICY, Some(value)) = (kind, value) {
            let mut value = Reader::new(value).within(SEQUENCE)?;
            value.optional(0xa0)?;
            if let Some(error) = value.optional(0x81)? {
                found = Some(Policy::of(number(error)?));
            }
        }
    }
    Ok(found)
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the password has expired",
            Self::Locked => "the account is locked",
            Self::MustChange => "the password must be changed first",
            Self::Other => "the password policy refuses it",
        })
    }
}

impl Policy {
    fn of(error: u32) -> Self {
        match error {
            0 => Self::Expired,
            1 => Self::Locked,
            2 => Self::MustChange,
            3.. => Self::Other,
        }
    }
}
