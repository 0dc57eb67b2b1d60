//! An origin of the allow-list.

use http::HeaderValue;
use http::uri::Authority;

/// An origin that may call the API from a browser: `scheme://host[:port]`, spelled as browsers
/// spell it (RFC 6454, section 6.2), since it is compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Why a text is no origin to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// `*`. Airflow refuses it too.
    #[error(
        "`*` cannot be combined with credentials, which the API needs: browsers refuse such answers. \
         List the exact origins, such as `https://ui.example.com`"
    )]
    Wildcard,
    /// `null`. Any page can have it, by loading itself into a sandboxed frame.
    #[error("`null` is what browsers send for every sandboxed page, whoever wrote it: it cannot be allowed")]
    Null,
    /// A path, a query or only a slash after the host.
    #[error(
        "an origin ends with its host and port, so this one never matches: leave out the `/` and what follows"
    )]
    Path,
    /// An upper-case letter.
    #[error("browsers send origins in lower case, so this one never matches")]
    UpperCase,
    /// `:443` with https or `:80` with http.
    #[error("browsers leave out the default port, so this one never matches: leave it out too")]
    DefaultPort,
    /// Anything else.
    #[error("not an origin: expected `scheme://host` or `scheme://host:port`")]
    Malformed,
}

impl Origin {
    /// Reads one entry of `[api] access_control_allow_origins`.
    ///
    /// # Errors
    /// Everything that Airflow takes and that then never matches, so that a mistake is seen at start
    /// and not in somebody's browser; and `*` and `null`, which would allow everybody.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        match text {
            "*" => return Err(InvalidOrigin::Wildcard),
            "null" => return Err(InvalidOrigin::Null),
            _other => {}
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin::Malformed)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let parsed: Authority = authority.parse().map_err(|_| InvalidOrigin::Malformed)?;
        let well_formed = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !parsed.host().is_empty()
            && !authority.contains(['@', '*', '%'])
            && (parsed.port_u16().is_some() || authority.len() == parsed.host().len());
        if !well_formed {
            return Err(InvalidOrigin::Malformed);
        }
        if authority.len() != rest.len() {
            return Err(InvalidOrigin::Path);
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidOrigin::UpperCase);
        }
        if matches!((scheme, parsed.port_u16()), ("https", Some(443)) | ("http", Some(80))) {
            return Err(InvalidOrigin::DefaultPort);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| InvalidOrigin::Malformed)
    }

    /// The origin as it is sent.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        use InvalidOrigin::{DefaultPort, Malformed, Null, Path, UpperCase, Wildcard};
        for (text, expected) in [
            ("https://ui.example.com", Ok(())),
            ("http://localhost:8080", Ok(())),
            ("https://ui.example.com:8443", Ok(())),
            ("http://10.0.0.1", Ok(())),
            ("http://[::1]:8080", Ok(())),
            ("http://[::1]", Ok(())),
            ("https://xn--bcher-kva.example", Ok(())),
            ("https://ui.example.com:80", Ok(())),
            ("chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai", Ok(())),
            ("*", Err(Wildcard)),
            ("null", Err(Null)),
            ("https://ui.example.com/", Err(Path)),
            ("https://ui.example.com/airflow", Err(Path)),
            ("https://ui.example.com?x", Err(Path)),
            ("HTTPS://ui.example.com", Err(UpperCase)),
            ("https://UI.example.com", Err(UpperCase)),
            ("https://ui.example.com:443", Err(DefaultPort)),
            ("http://ui.example.com:80", Err(DefaultPort)),
            ("", Err(Malformed)),
            ("ui.example.com", Err(Malformed)),
            ("https://", Err(Malformed)),
            ("://ui.example.com", Err(Malformed)),
            ("https:ui.example.com", Err(Malformed)),
            ("https://*.example.com", Err(Malformed)),
            ("https://user@ui.example.com", Err(Malformed)),
            ("https://ui.example.com:", Err(Malformed)),
            ("https://ui.example.com:https", Err(Malformed)),
            ("https://ui.example.com:99999", Err(Malformed)),
            ("https://a.example https://b.example", Err(Malformed)),
            ("https://a.example,https://b.example", Err(Malformed)),
            ("https://bücher.example", Err(Malformed)),
            ("https://ui.example.com\r\nx: y", Err(Malformed)),
        ] {
            assert_eq!(Origin::parse(text).map(|_| ()), expected, "{text}");
        }
    }
}
