//! `[callout.NAME]`.

use super::url::url;
use super::{Fault, Parsed, because, token};

/// Where a callout is asked.
pub fn callout_url(text: &str) -> Parsed<String> {
    if text.contains('#') {
        return because("a URL with a fragment is refused");
    }
    url(text.split('?').next().unwrap_or_default())?;
    match text.parse::<http::Uri>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Fault::Expected),
    }
}

/// A header that goes out to a callout, in lower case. Not one of those that any client can use to claim to
/// be somebody, that the callout is told by airgate, or that belong to one connection.
pub fn callout_header(text: &str) -> Parsed<String> {
    let name = text.to_ascii_lowercase();
    if name == "*" {
        return because("`*` is refused: list the headers that hold a credential");
    }
    token(&name)?;
    let folded = name.replace(['_', '.'], "-");
    let claims = ["x-forwarded-", "x-auth-", "x-airgate-", "x-original-"];
    let claimed = ["forwarded", "x-real-ip", "remote-user", "x-remote-user", "x-request-id"];
    if claims.iter().any(|prefix| folded.starts_with(prefix)) || claimed.contains(&&*folded) {
        return because(format!("{text} is refused: any client can write it, and it is no credential"));
    }
    let hop = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "accept",
    ];
    if hop.contains(&&*folded) {
        return because(format!("{text} is refused: it belongs to one connection or its body"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_callout() {
        for (text, expected) in [
            ("Authorization", Some("authorization")),
            ("cookie", Some("cookie")),
            ("X-Api-Key", Some("x-api-key")),
            ("User-Agent", Some("user-agent")),
            ("X-Forwarded-User", None),
            ("X_Forwarded_User", None),
            ("X-Auth-User", None),
            ("X.Auth.Token", None),
            ("Remote_User", None),
            ("Forwarded", None),
            ("X-Original-URI", None),
            ("X-Real-IP", None),
            ("X-Airgate-User", None),
            ("Host", None),
            ("Content-Length", None),
            ("Transfer-Encoding", None),
            ("Connection", None),
            ("*", None),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(callout_header(text).ok().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn urls_of_a_callout() {
        for (text, fits) in [
            ("http://127.0.0.1:9000/verify?app=airflow", true),
            ("https://auth.example.com", true),
            ("https://user:hunter2@auth.example.com/", false),
            ("http://auth/#x", false),
            ("ftp://auth/", false),
            ("auth:9000", false),
            ("http://auth/a b", false),
            ("", false),
        ] {
            let read = callout_url(text);
            assert_eq!(read.is_ok(), fits, "{text:?}: {read:?}");
        }
    }
}
