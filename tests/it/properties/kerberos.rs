//! `Negotiate` tokens and the names of Kerberos. Input: the header's text, a line feed, a principal.

use airgate::auth::kerberos::principal::Principal;
use airgate::auth::kerberos::token::Token;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A token is what was encoded, of bounded length, and begins as GSSAPI's do. A principal is its name and its
/// realm; a name that has lost its realm is never taken for one that has another.
pub fn holds(input: &[u8]) {
    let mut parts = input.splitn(2, |&b| b == b'\n');
    let encoded = parts.next().unwrap_or_default();
    if let Ok(token) = Token::parse(encoded) {
        let joined: Vec<u8> = encoded.iter().copied().filter(|&b| b != b' ').collect();
        assert_eq!(token.as_bytes(), STANDARD.decode(joined).unwrap());
        assert!(token.as_bytes().len() <= Token::MAX);
        assert_eq!(token.as_bytes().first(), Some(&0x60));
    }
    let Some(Ok(text)) = parts.next().map(str::from_utf8) else { return };
    let Ok(principal) = Principal::parse(text) else { return };
    assert!(!principal.name().is_empty() && !principal.realm().is_empty());
    assert_eq!(format!("{}@{}", principal.name(), principal.realm()), text);
    assert_eq!(principal.user(&["ANOTHER.REALM.STILL".into()]), text);
    assert_eq!(principal.user(&[principal.realm().into()]), principal.name());
    assert!(Principal::parse(principal.name()).is_err(), "a user without realm looks like one with it");
    assert!(!text.contains(char::is_control));
}
