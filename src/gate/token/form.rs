//! `application/x-www-form-urlencoded` bodies, as Starlette and python-multipart read them.

/// The most fields of a form: Starlette's default.
const MAX_FIELDS: usize = 1000;

/// More fields than [`MAX_FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Too many fields. Maximum number of fields is 1000.")]
pub(super) struct TooManyFields;

/// A form, not decoded yet. Has no `Debug`: it may hold a password.
pub(super) struct Form<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Form<'a> {
    /// The form of a body with another content type than it announces: no fields at all.
    pub(super) fn empty() -> Self {
        Self(Vec::new())
    }

    /// Splits a body into fields. An empty field (`&&`) is none; a name without `=` has the value
    /// `""`.
    ///
    /// # Errors
    /// More than 1000 fields.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, TooManyFields> {
        let fields = body.split(|&b| b == b'&').filter(|field| !field.is_empty());
        let fields: Vec<_> = fields
            .take(MAX_FIELDS + 1)
            .map(|field| match field.iter().position(|&b| b == b'=') {
                Some(equals) => (&field[..equals], &field[equals + 1..]),
                None => (field, &field[field.len()..]),
            })
            .collect();
        if fields.len() > MAX_FIELDS { Err(TooManyFields) } else { Ok(Self(fields)) }
    }

    /// The value of a field; the last one, where a name comes more than once.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let field = self.0.iter().rev().find(|(n, _)| unquote(n) == name);
        field.map(|(_, value)| unquote(value))
    }
}

/// Python's `unquote_plus(text.decode("latin-1"))`: percent-encoded bytes are UTF-8, with U+FFFD
/// for what is not; bytes that come as they are, are Latin-1.
fn unquote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for run in text.chunk_by(|a, b| a.is_ascii() == b.is_ascii()) {
        if run.first().is_some_and(u8::is_ascii) {
            let run: Vec<u8> = run.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
            out.push_str(&percent_encoding::percent_decode(&run).decode_utf8_lossy());
        } else {
            out.extend(run.iter().map(|&b| char::from(b)));
        }
    }
    out
}
