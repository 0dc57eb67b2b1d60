//! The Basic Encoding Rules (ITU-T X.690) as far as LDAP uses them (RFC 4511, section 5.1): definite
//! lengths and tags of one byte.

use zeroize::Zeroizing;

/// `BOOLEAN`.
pub const BOOLEAN: u8 = 0x01;
/// `INTEGER`.
pub const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub const OCTETS: u8 = 0x04;
/// `ENUMERATED`.
pub const ENUMERATED: u8 = 0x0a;
/// `SEQUENCE`, `SEQUENCE OF`.
pub const SEQUENCE: u8 = 0x30;
/// `SET OF`.
pub const SET: u8 = 0x31;

/// Bytes that are no BER, or not what LDAP allows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the encoding of an LDAP message")]
pub struct Malformed;

/// The first bytes of an element: what it is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The tag: class, form and number.
    pub tag: u8,
    /// Bytes of the header itself.
    pub size: usize,
    /// Bytes of the content.
    pub length: usize,
}

impl Header {
    /// Reads a header; `None` if there are not enough bytes yet.
    ///
    /// # Errors
    /// A tag of several bytes, an indefinite length, or one of more than four bytes.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((&tag, rest)) = bytes.split_first() else { return Ok(None) };
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let Some((&first, rest)) = rest.split_first() else { return Ok(None) };
        if first < 0x80 {
            return Ok(Some(Self { tag, size: 2, length: first.into() }));
        }
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return Err(Malformed);
        }
        let Some(digits) = rest.get(..count) else { return Ok(None) };
        let length = digits.iter().fold(0, |length: usize, &digit| (length << 8) | usize::from(digit));
        Ok(Some(Self { tag, size: 2 + count, length }))
    }
}

/// Reads elements one after the other. Never looks deeper than it is asked to.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: tag and content.
    ///
    /// # Errors
    /// There is none, or it is cut off.
    pub fn any(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let header = Header::parse(self.0)?.ok_or(Malformed)?;
        let end = header.size.checked_add(header.length).ok_or(Malformed)?;
        let (element, rest) = self.0.split_at_checked(end).ok_or(Malformed)?;
        let content = element.get(header.size..).ok_or(Malformed)?;
        self.0 = rest;
        Ok((header.tag, content))
    }

    /// The content of the next element, which must have this tag.
    ///
    /// # Errors
    /// It has another one, or there is none.
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.any()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// The next element if it has this tag.
    ///
    /// # Errors
    /// It has, and is cut off.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.peek() == Some(tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }

    /// The elements within the next one.
    ///
    /// # Errors
    /// It has another tag, or there is none.
    pub fn within(&mut self, tag: u8) -> Result<Reader<'a>, Malformed> {
        self.expect(tag).map(Reader)
    }

    /// A number of 32 bits that is not negative, such as a message id or a result code.
    ///
    /// # Errors
    /// The next element has another tag, or its number does not fit.
    pub fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        number(self.expect(tag)?)
    }
}

/// The number that this content encodes.
///
/// # Errors
/// It is negative, or above 2³¹ - 1.
pub fn number(content: &[u8]) -> Result<u32, Malformed> {
    if !(1..=4).contains(&content.len()) || content.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(Malformed);
    }
    Ok(content.iter().fold(0, |number, &byte| (number << 8) | u32::from(byte)))
}

/// Writes elements one after the other. What it wrote is overwritten when dropped, since it may hold a
/// password.
pub struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// Room for so many bytes, beyond which it would leave copies behind.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// What was written.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// An element with this content.
    pub fn bytes(&mut self, tag: u8, content: &[u8]) {
        self.open(tag, |writer| writer.0.extend_from_slice(content));
    }

    /// A number. Message ids, limits and codes are small.
    pub fn number(&mut self, tag: u8, number: u32) {
        // A leading zero keeps it from being negative.
        let digits = [0].into_iter().chain(number.to_be_bytes());
        let bytes: Vec<u8> = digits.collect();
        let first = bytes.windows(2).position(|pair| pair[0] != 0 || pair[1] & 0x80 != 0).unwrap_or(4);
        self.bytes(tag, bytes.get(first..).unwrap_or_default());
    }

    /// A flag.
    pub fn boolean(&mut self, flag: bool) {
        self.bytes(BOOLEAN, &[if flag { 0xff } else { 0 }]);
    }

    /// An element with others within it. Its length always takes four bytes, so that nothing written
    /// need be moved.
    pub fn open(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        self.0.extend_from_slice(&[tag, 0x84, 0, 0, 0, 0]);
        let start = self.0.len();
        content(self);
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = self.0.get_mut(start - 4..start) {
            place.copy_from_slice(&length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = |tag, size, length| Ok(Some(Header { tag, size, length }));
        for (name, bytes, expected) in [
            ("short", &[0x30, 5][..], header(0x30, 2, 5)),
            ("long", &[0x30, 0x82, 1, 0], header(0x30, 4, 256)),
            ("longer than needed", &[4, 0x84, 0, 0, 0, 1], header(4, 6, 1)),
            ("nothing yet", &[], Ok(None)),
            ("no length yet", &[0x30], Ok(None)),
            ("half a length", &[0x30, 0x82, 1], Ok(None)),
            ("indefinite", &[0x30, 0x80], Err(Malformed)),
            ("too long", &[0x30, 0x85, 0, 0, 0, 0, 1], Err(Malformed)),
            ("a tag of several bytes", &[0x3f, 0x81, 0], Err(Malformed)),
        ] {
            assert_eq!(Header::parse(bytes), expected, "{name}");
        }
    }

    #[test]
    fn numbers_come_back() {
        for (value, length) in [(0, 1), (127, 1), (128, 2), (255, 2), (256, 2), (65_535, 3), (0x7fff_ffff, 4)]
        {
            let mut writer = Writer::with_capacity(16);
            writer.number(INTEGER, value);
            let bytes = writer.into_bytes();
            assert_eq!(bytes.len(), 6 + length, "{value}");
            assert_eq!(Reader::new(&bytes).number(INTEGER), Ok(value));
        }
        for (name, content) in [
            ("none", &[][..]),
            ("negative", &[0x80]),
            ("five bytes", &[0, 0, 0, 0, 1]),
            ("above", &[0x80, 0, 0, 0]),
        ] {
            assert_eq!(number(content), Err(Malformed), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::with_capacity(64);
        writer.open(SEQUENCE, |writer| {
            writer.bytes(OCTETS, b"name");
            writer.open(SET, |writer| writer.boolean(true));
        });
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        let mut sequence = reader.within(SEQUENCE).unwrap();
        assert!(reader.is_empty());
        assert_eq!(sequence.optional(INTEGER), Ok(None));
        assert_eq!(sequence.expect(OCTETS), Ok(&b"name"[..]));
        assert_eq!(sequence.within(SET).unwrap().expect(BOOLEAN), Ok(&[0xff][..]));
        assert!(sequence.is_empty());
        assert_eq!(sequence.any(), Err(Malformed));
        for cut in 0..bytes.len() {
            assert_eq!(Reader::new(&bytes[..cut]).any(), Err(Malformed), "cut at {cut}");
        }
    }
}
