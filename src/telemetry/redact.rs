//! What must not be logged is taken out here, before it gets anywhere near a log.

use std::borrow::Cow;

/// The path of a request target, for logs: a query may hold a token (`?access_token=`, RFC 6750,
/// section 2.3), and the authority of an absolute form a password.
pub fn path(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(target.len());
    let target = &target[..end];
    if target.starts_with(b"/") || target == b"*" {
        return target;
    }
    let Some(scheme) = target.windows(3).position(|w| w == b"://") else { return b"-" };
    let rest = &target[scheme + 3..];
    rest.iter().position(|&b| b == b'/').map_or(b"/", |slash| &rest[slash..])
}

/// A URL of the configuration without user, password, query and fragment, for logs and labels.
pub fn url(url: &str) -> Cow<'_, str> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    match authority.rfind('@') {
        None => Cow::Borrowed(url),
        Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
    }
}

/// The start of a text, with what is no plain character replaced, for logs whose writer escapes
/// less than a terminal needs.
pub fn text(value: &str, max: usize) -> Cow<'_, str> {
    let start = &value[..value.floor_char_boundary(max)];
    let plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    if start.len() == value.len() && start.chars().all(plain) {
        return Cow::Borrowed(value);
    }
    let mut text: String = start.chars().map(|c| if plain(c) { c } else { '\u{fffd}' }).collect();
    if start.len() < value.len() {
        text.push('…');
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_target_is_left() {
        for (name, target, expected) in [
            ("origin form", &b"/api/v2/dags"[..], &b"/api/v2/dags"[..]),
            ("query", b"/auth?access_token=s3cret", b"/auth"),
            ("fragment", b"/auth#access_token=s3cret", b"/auth"),
            ("absolute form", b"http://u:s3cret@host/api?x", b"/api"),
            ("absolute form without a path", b"http://u:s3cret@host?/x", b"/"),
            ("authority form", b"u:s3cret@host:443", b"-"),
            ("asterisk form", b"*", b"*"),
            ("not UTF-8", b"/\xff?\xff", b"/\xff"),
            ("empty", b"", b"-"),
        ] {
            assert_eq!(path(target), expected, "{name}");
        }
    }

    #[test]
    fn urls() {
        for (name, given, expected) in [
            ("plain", "https://idp/certs", "https://idp/certs"),
            ("query", "https://idp/certs?key=s3cret", "https://idp/certs"),
            ("user", "https://u:s3cret@idp/certs", "https://idp/certs"),
            ("an @ in the password", "https://u:s3@cret@idp", "https://idp"),
            ("an @ in the path", "https://idp/@certs", "https://idp/@certs"),
            ("a file", "/etc/jwks.json", "/etc/jwks.json"),
        ] {
            assert_eq!(url(given), expected, "{name}");
        }
    }

    #[test]
    fn texts() {
        for (name, given, expected) in [
            ("plain", "admin", "admin"),
            ("controls", "a\n\u{1b}[m\u{9b}", "a\u{fffd}\u{fffd}[m\u{fffd}"),
            ("long", "123456789", "12345678…"),
        ] {
            assert_eq!(text(given, 8), expected, "{name}");
        }
    }
}
