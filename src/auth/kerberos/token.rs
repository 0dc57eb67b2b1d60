//! The token in an `Authorization: Negotiate` header.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A first token of a negotiation, decoded: SPNEGO's, or Kerberos's alone, by its outermost tag.
pub struct Token(Vec<u8>);

/// Why it cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidToken {
    /// The scheme alone.
    Empty,
    /// More than [`Token::MAX`].
    TooLong,
    /// Other characters than those of base64, or padding that does not fit.
    NotBase64,
    /// NTLM without SPNEGO around it, as browsers and Windows fall back to.
    Ntlm,
    /// A second leg, for which there is no first one here.
    Continuation,
    /// Neither.
    Unknown,
}

impl Token {
    /// The longest token, in bytes. A ticket of Active Directory holds its user's groups: at most 48,000
    /// bytes by Windows's own limit (`MaxTokenSize`).
    pub const MAX: usize = 48 * 1024;

    /// Decodes a header's text. Spaces inside do not count, as in Airflow 2.
    ///
    /// # Errors
    /// It cannot be a first token of Kerberos.
    pub fn parse(encoded: &[u8]) -> Result<Self, InvalidToken> {
        if encoded.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if encoded.len() > Self::MAX / 3 * 4 {
            return Err(InvalidToken::TooLong);
        }
        let decoded = if encoded.contains(&b' ') {
            let joined: Vec<u8> = encoded.iter().copied().filter(|&b| b != b' ').collect();
            STANDARD.decode(joined)
        } else {
            STANDARD.decode(encoded)
        };
        let bytes = decoded.map_err(|_| InvalidToken::NotBase64)?;
        match bytes.first() {
            // RFC 2743, section 3.1: [APPLICATION 0]
            Some(0x60) => Ok(Self(bytes)),
            // RFC 4178, section 4.2: negTokenResp [1]
            Some(0xa1) => Err(InvalidToken::Continuation),
            _ if bytes.starts_with(b"NTLMSSP\0") => Err(InvalidToken::Ntlm),
            Some(_) => Err(InvalidToken::Unknown),
            None => Err(InvalidToken::Empty),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl InvalidToken {
    /// What is wrong, for the answer and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "The Negotiate token is empty",
            Self::TooLong => "The Negotiate token is too long",
            Self::NotBase64 => "The Negotiate token is not base64",
            Self::Ntlm => "The Negotiate token is NTLM, and only Kerberos is accepted",
            Self::Continuation => "The Negotiate token continues a negotiation, and only one leg is accepted",
            Self::Unknown => "The Negotiate token is not one of SPNEGO or Kerberos",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let long = |n: usize| STANDARD.encode([&[0x60][..], &vec![0; n - 1]].concat());
        let (longest, longer) = (long(Token::MAX), long(Token::MAX + 1));
        let rows: [(&str, &[u8], Result<usize, InvalidToken>); 12] = [
            ("SPNEGO", b"YGYrBgEFBQI=", Ok(8)),
            ("a space inside", b"YGYr BgEF  BQI=", Ok(8)),
            ("the longest", longest.as_bytes(), Ok(Token::MAX)),
            ("longer", longer.as_bytes(), Err(InvalidToken::TooLong)),
            ("empty", b"", Err(InvalidToken::Empty)),
            ("only spaces", b"   ", Err(InvalidToken::Empty)),
            ("not base64", b"!!!", Err(InvalidToken::NotBase64)),
            ("no padding", b"YGYrBgEFBQI", Err(InvalidToken::NotBase64)),
            ("two tokens", b"YGYrBgEFBQI=, Basic dTpw", Err(InvalidToken::NotBase64)),
            ("NTLM", b"TlRMTVNTUAABAAAA", Err(InvalidToken::Ntlm)),
            ("a second leg", b"oQcwBaADCgEA", Err(InvalidToken::Continuation)),
            ("garbage", b"Z2FyYmFnZQ==", Err(InvalidToken::Unknown)),
        ];
        for (name, encoded, expected) in rows {
            assert_eq!(Token::parse(encoded).map(|token| token.as_bytes().len()), expected, "{name}");
        }
    }
}
