//! `page_limit` in the JSON body of a list, which neither Airflow lowers to its maximum.

mod scan;

use super::{Dialect, Page, PageLimit, Parameter, number};
use crate::gate::token::json::decode::Decoded;
use scan::{Member, Token};

/// What Airflow's code has for a body without `page_limit`, whatever its configuration says.
const IN_CODE: u32 = 100;

/// What the upstream is sent as the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClampedBody {
    /// What came.
    Unchanged,
    /// Something else. Everything but the page size is byte for byte what came.
    Rewritten {
        /// The body.
        body: Vec<u8>,
        /// The page, where it is smaller than the one that Airflow would give, for
        /// `X-Airgate-Page-Limit`.
        lowered: Option<u32>,
    },
}

/// Whether Airflow may read a body as JSON. Both read it where the `Content-Type` has a subtype `json` or `…+json`;
/// releases of Airflow 3 before 3.2 also where there is none. Anything that might come to that counts: a page size
/// that is lowered needlessly does no harm.
pub fn may_be_json<'h>(content_types: impl IntoIterator<Item = &'h [u8]>) -> bool {
    let mut content_types = content_types.into_iter().peekable();
    let names = |value: &[u8]| value.windows(4).any(|part| part.eq_ignore_ascii_case(b"json"));
    content_types.peek().is_none() || content_types.any(|value| value.trim_ascii().is_empty() || names(value))
}

impl PageLimit {
    /// Clamps `page_limit` in the body of a list endpoint.
    ///
    /// The body is read as Python's `json.loads` reads it, in any encoding and with any escapes in the key, and each
    /// occurrence is lowered, although Airflow takes the last. What the upstream will refuse is passed on, for the
    /// upstream to refuse. Without any, Airflow's page has 100 rows; where that is more than the maximum, the
    /// fallback is filled in.
    pub fn clamp_body(&self, body: &[u8], dialect: Dialect) -> ClampedBody {
        let Some(text) = Decoded::read(body) else { return ClampedBody::Unchanged };
        let Some(found) = scan::object(text.code_points(), "page_limit") else {
            return ClampedBody::Unchanged;
        };
        let Some(last) = found.members.last() else {
            if IN_CODE <= self.maximum() {
                return ClampedBody::Unchanged;
            }
            let comma = if found.is_empty { "" } else { "," };
            let member = format!("\"page_limit\":{}{comma}", self.fallback());
            let body = text.replaced(&[(found.start..found.start, &*member)]);
            return ClampedBody::Rewritten { body, lowered: Some(self.fallback()) };
        };
        let is_too_large =
            |member: &Member| match self.page(reading(&member.token, dialect), Parameter::PageLimit, dialect)
            {
                Page::TooLarge => true,
                Page::Fits | Page::Fallback => false,
            };
        let maximum = self.maximum().to_string();
        let edits: Vec<_> = found
            .members
            .iter()
            .filter(|member| is_too_large(member))
            .map(|member| (member.range.clone(), &*maximum))
            .collect();
        if edits.is_empty() {
            return ClampedBody::Unchanged;
        }
        let lowered = is_too_large(last).then_some(self.maximum());
        ClampedBody::Rewritten { body: text.replaced(&edits), lowered }
    }
}

/// What the upstream makes of a value. Airflow 3: pydantic's `NonNegativeInt`, of what Python reads. Airflow 2: the
/// schema of its API, which takes integers and nothing else.
fn reading(token: &Token, dialect: Dialect) -> number::Reading {
    use number::Reading;
    match (token, dialect) {
        (Token::Integer(digits), _) => number::integer(digits),
        (Token::Float(digits), Dialect::Airflow3 | Dialect::Airflow3Fab | Dialect::AnyFab) => {
            number::float(digits)
        }
        (Token::Text(text), Dialect::Airflow3 | Dialect::Airflow3Fab | Dialect::AnyFab) => {
            number::pydantic(text)
        }
        (Token::Float(_) | Token::Text(_), Dialect::Airflow2) => Reading::Refused,
        // `true` is 1, in Airflow 3: no page is larger than allowed.
        (Token::Other, _) => Reading::Refused,
    }
}

#[cfg(test)]
mod tests;
