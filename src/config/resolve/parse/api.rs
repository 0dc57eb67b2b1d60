//! `[api]`, but for its backends.

use super::url::url;
use super::{Fault, Parsed, because};
use crate::config::settings::BaseUrl;

/// `[api] base_url`.
pub fn base_url(text: &str) -> Parsed<BaseUrl> {
    let parts = url(text)?;
    let path = parts.path.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(plain);
    if !path.split('/').skip(1).all(segment) {
        return because(
            "its path may only hold letters, digits, `-`, `.`, `_` and `~` between single slashes",
        );
    }
    Ok(BaseUrl { scheme: parts.scheme, authority: parts.authority.to_owned(), path: path.to_owned() })
}

/// An origin, as browsers send it.
pub fn origin(text: &str) -> Parsed<String> {
    if text == "*" {
        return because(
            "`*` is refused: the API is called with credentials, and browsers reject every answer that allows \
             credentials to all origins. List the exact origins, such as \"https://airflow.example.com\"",
        );
    }
    if text == "null" {
        return because("`null` is refused: every sandboxed page has this origin, whoever wrote it");
    }
    let (scheme, rest) = text.split_once("://").ok_or(Fault::Expected)?;
    let bare = rest.trim_end_matches('/');
    let scheme_fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'@' | b'\\' | b'*' | b'"');
    if scheme.is_empty() || bare.is_empty() || !bare.bytes().all(fits) {
        return Err(Fault::Expected);
    }
    let exact = format!("{scheme}://{bare}").to_ascii_lowercase();
    if exact != text || !scheme.bytes().all(scheme_fits) {
        return because(format!(
            "browsers never send {text:?}, and origins are compared exactly: write {exact:?}"
        ));
    }
    Ok(exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Scheme;

    #[test]
    fn base_urls() {
        let url = |authority: &str, path: &str| {
            Some(BaseUrl { scheme: Scheme::Https, authority: authority.to_owned(), path: path.to_owned() })
        };
        for (text, expected) in [
            ("https://host/airflow", url("host", "/airflow")),
            ("https://host:8443/a/b/", url("host:8443", "/a/b")),
            ("https://host", url("host", "")),
            ("https://host/", url("host", "")),
            ("https://host//a", None),
            ("https://host/a/../b", None),
            ("https://host/%61", None),
            ("/airflow", None),
        ] {
            assert_eq!(base_url(text).ok(), expected, "{text:?}");
        }
    }
}
