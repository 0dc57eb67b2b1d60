//! `[keycloak_auth_manager]`.

use super::url::url;
use super::{Fault, Parsed};
use crate::config::settings::{KeycloakUrl, Scheme};

/// Where Keycloak is, with the path that it may have. Airflow too drops the slashes at its end.
pub fn keycloak_url(text: &str) -> Parsed<KeycloakUrl> {
    let parts = url(text)?;
    let trimmed = text.trim_end_matches('/');
    trimmed.parse::<http::Uri>().map_err(|_| Fault::Expected)?;
    let tls = match parts.scheme {
        Scheme::Http => false,
        Scheme::Https => true,
    };
    Ok(KeycloakUrl { text: trimmed.to_owned(), tls, host: parts.host.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url =
            |text: &str, tls, host: &str| Some(KeycloakUrl { text: text.into(), tls, host: host.into() });
        for (text, expected) in [
            ("https://sso.example.com", url("https://sso.example.com", true, "sso.example.com")),
            ("http://127.0.0.1:8080//", url("http://127.0.0.1:8080", false, "127.0.0.1")),
            ("https://h/auth/", url("https://h/auth", true, "h")),
            ("https://[::1]:8443", url("https://[::1]:8443", true, "::1")),
            ("https://h/a b", None),
            ("https://u:p@h", None),
            ("https://h?x", None),
            ("sso.example.com", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(keycloak_url(text).ok(), expected, "{text:?}");
        }
    }
}
