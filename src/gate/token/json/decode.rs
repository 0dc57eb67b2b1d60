//! From bytes to code points, in the encoding that the first bytes tell.

use std::ops::Range;

use zeroize::Zeroizing;

/// Guesses the encoding as `json.detect_encoding` does, and decodes with `surrogatepass`.
pub(super) fn decode(body: &[u8]) -> Option<Zeroizing<Vec<u32>>> {
    Decoded::read(body).map(|decoded| decoded.text)
}

/// A decoded document that knows where in the bytes its characters stand.
pub(in crate::gate) struct Decoded<'a> {
    body: &'a [u8],
    mark: usize,
    encoding: Encoding,
    text: Zeroizing<Vec<u32>>,
}

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16(fn(u16) -> [u8; 2], fn([u8; 2]) -> u16),
    Utf32(fn(u32) -> [u8; 4], fn([u8; 4]) -> u32),
}

const UTF16_BE: Encoding = Encoding::Utf16(u16::to_be_bytes, u16::from_be_bytes);
const UTF16_LE: Encoding = Encoding::Utf16(u16::to_le_bytes, u16::from_le_bytes);
const UTF32_BE: Encoding = Encoding::Utf32(u32::to_be_bytes, u32::from_be_bytes);
const UTF32_LE: Encoding = Encoding::Utf32(u32::to_le_bytes, u32::from_le_bytes);

impl<'a> Decoded<'a> {
    /// `None` for bytes that are not in the encoding that they announce.
    pub(in crate::gate) fn read(body: &'a [u8]) -> Option<Self> {
        // The length of the byte order mark, and what it or the zeros among the first bytes tell.
        let (mark, encoding) = match body {
            [0, 0, 0xfe, 0xff, ..] => (4, UTF32_BE),
            [0xff, 0xfe, 0, 0, ..] => (4, UTF32_LE),
            [0xfe, 0xff, ..] => (2, UTF16_BE),
            [0xff, 0xfe, ..] => (2, UTF16_LE),
            [0xef, 0xbb, 0xbf, ..] => (3, Encoding::Utf8),
            [0, 0, _, _, ..] => (0, UTF32_BE),
            [0, _, _, _, ..] | [0, _] => (0, UTF16_BE),
            [_, 0, 0, 0, ..] => (0, UTF32_LE),
            [_, 0, _, _, ..] | [_, 0] => (0, UTF16_LE),
            _ => (0, Encoding::Utf8),
        };
        let text = match encoding {
            Encoding::Utf8 => utf8(&body[mark..]),
            Encoding::Utf16(_, unit) => utf16(&body[mark..], unit),
            Encoding::Utf32(_, unit) => utf32(&body[mark..], unit),
        };
        Some(Self { body, mark, encoding, text: Zeroizing::new(text?) })
    }

    /// The document, without a byte order mark.
    pub(in crate::gate) fn code_points(&self) -> &[u32] {
        &self.text
    }

    /// The bytes, with other text, of ASCII, in these places, which are ranges of code points in order. All other
    /// bytes stay what they are.
    pub(in crate::gate) fn replaced(&self, edits: &[(Range<usize>, &str)]) -> Vec<u8> {
        let mut written = Vec::with_capacity(self.body.len() + 64);
        let (mut copied, mut at, mut code_point) = (0, self.mark, 0);
        for (range, text) in edits {
            at += self.width(code_point..range.start);
            written.extend_from_slice(&self.body[copied..at]);
            match self.encoding {
                Encoding::Utf8 => written.extend_from_slice(text.as_bytes()),
                Encoding::Utf16(unit, _) => written.extend(text.bytes().flat_map(|b| unit(b.into()))),
                Encoding::Utf32(unit, _) => written.extend(text.bytes().flat_map(|b| unit(b.into()))),
            }
            at += self.width(range.clone());
            (copied, code_point) = (at, range.end);
        }
        written.extend_from_slice(&self.body[copied..]);
        written
    }

    /// How many bytes some characters take.
    fn width(&self, range: Range<usize>) -> usize {
        let one = |code_point: &u32| match (self.encoding, *code_point) {
            (Encoding::Utf8, 0..0x80) => 1,
            (Encoding::Utf8, 0x80..0x800) => 2,
            (Encoding::Utf8, 0x800..0x1_0000) => 3,
            (Encoding::Utf16(..), 0..0x1_0000) => 2,
            (Encoding::Utf8 | Encoding::Utf16(..), 0x1_0000..) | (Encoding::Utf32(..), _) => 4,
        };
        self.text[range].iter().map(one).sum()
    }
}

fn utf8(mut rest: &[u8]) -> Option<Vec<u32>> {
    let mut text = Vec::with_capacity(rest.len());
    while let Some(chunk) = rest.utf8_chunks().next() {
        text.extend(chunk.valid().chars().map(u32::from));
        rest = &rest[chunk.valid().len()..];
        match *rest {
            [] => break,
            // A surrogate, encoded as if it were a character.
            [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
                text.push(0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f));
                rest = &rest[3..];
            }
            [..] => return None,
        }
    }
    Some(text)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Vec<u32>> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(units.iter().map(|&pair| unit(pair)));
    let code_point = |c: Result<char, std::char::DecodeUtf16Error>| {
        c.map_or_else(|lone| u32::from(lone.unpaired_surrogate()), u32::from)
    };
    rest.is_empty().then(|| text.map(code_point).collect())
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<Vec<u32>> {
    let (units, rest) = bytes.as_chunks::<4>();
    let text: Vec<u32> = units.iter().map(|&four| unit(four)).collect();
    (rest.is_empty() && text.iter().all(|&c| c <= u32::from(char::MAX))).then_some(text)
}
