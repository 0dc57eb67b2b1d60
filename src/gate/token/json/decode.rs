//! From bytes to code points, in the encoding that the first bytes tell.

use zeroize::Zeroizing;

/// Guesses the encoding as `json.detect_encoding` does, and decodes with `surrogatepass`.
pub(super) fn decode(body: &[u8]) -> Option<Zeroizing<Vec<u32>>> {
    let text = match body {
        [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0, 0, _, _, ..] => utf32(body, u32::from_be_bytes),
        [0, _, _, _, ..] | [0, _] => utf16(body, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => utf32(body, u32::from_le_bytes),
        [_, 0, _, _, ..] | [_, 0] => utf16(body, u16::from_le_bytes),
        _ => utf8(body),
    };
    text.map(Zeroizing::new)
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
