//! `[upstream]`.

use super::url::url;
use super::{Fault, Parsed, because, python_int};
use crate::config::settings::{Airflow, AuthManager, Release, Scheme, UpstreamUrl};

/// The bytes that the path of a Unix socket must stay below, on Linux.
const MOST_OF_A_SOCKET: usize = 108;

/// An upstream: no path but `/`, or a Unix socket.
pub fn upstream_url(text: &str) -> Parsed<UpstreamUrl> {
    if let Some(path) = text.strip_prefix("unix:") {
        let fits = path.starts_with('/') && !path.ends_with('/') && path.len() < MOST_OF_A_SOCKET;
        return if fits { Ok(UpstreamUrl::Unix(path.into())) } else { Err(Fault::Expected) };
    }
    let parts = url(text)?;
    if !matches!(parts.path, "" | "/") {
        return because(
            "a URL with a path is refused: requests are forwarded with the path they came with. If Airflow has a \
             path of its own, set [api] base_url",
        );
    }
    let port = parts.port.unwrap_or(match parts.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    });
    Ok(UpstreamUrl::Tcp { scheme: parts.scheme, host: parts.host.to_owned(), port })
}

/// The name in a certificate. Never empty: without a name, the certificate would not be checked.
pub fn server_name(text: &str) -> Parsed<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if text.is_empty() {
        return because("an empty name is refused: the upstream's certificate would not be checked");
    }
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}

/// The major version of an Airflow: `found` where it is to be asked.
pub fn airflow(text: &str, found: Option<Release>) -> Parsed<Airflow> {
    match (text, python_int(text)) {
        ("auto", _) => Ok(found.map_or(Airflow::Unknown, Airflow::Found)),
        (_, Some(2)) => Ok(Airflow::Set(Release::Airflow2)),
        (_, Some(3)) => Ok(Airflow::Set(Release::Airflow3)),
        _ => Err(Fault::Expected),
    }
}

/// An auth manager, by word or class.
pub fn auth_manager(text: &str) -> Parsed<AuthManager> {
    match text {
        "simple" | "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager" => {
            Ok(AuthManager::Simple)
        }
        "fab"
        | "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        | "airflow.auth.managers.fab.fab_auth_manager.FabAuthManager" => Ok(AuthManager::Fab),
        "keycloak" | "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager" => {
            Ok(AuthManager::Keycloak)
        }
        _ => Err(Fault::Expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_urls() {
        let url = |scheme, host: &str, port| Ok(UpstreamUrl::Tcp { scheme, host: host.to_owned(), port });
        let user = "a URL with a user or password in it is refused: it would end up in logs";
        let query = "a URL with a query or fragment is refused";
        let path = "a URL with a path is refused: requests are forwarded with the path they came with. If Airflow \
                    has a path of its own, set [api] base_url";
        let reason = |text: &str| Err(Fault::Because(text.to_owned()));
        for (text, expected) in [
            ("http://127.0.0.1:8080", url(Scheme::Http, "127.0.0.1", 8080)),
            ("http://airflow/", url(Scheme::Http, "airflow", 80)),
            ("HTTPS://airflow.example.com", url(Scheme::Https, "airflow.example.com", 443)),
            ("http://[::1]:8080", url(Scheme::Http, "::1", 8080)),
            ("https://[::1]", url(Scheme::Https, "::1", 443)),
            ("unix:/run/airflow.sock", Ok(UpstreamUrl::Unix("/run/airflow.sock".into()))),
            ("unix:run/airflow.sock", Err(Fault::Expected)),
            ("unix:/", Err(Fault::Expected)),
            ("unix:", Err(Fault::Expected)),
            ("http://u:p@h", reason(user)),
            ("http://h/airflow", reason(path)),
            ("http://h?x=1", reason(query)),
            ("http://h/#x", reason(query)),
            ("https://", Err(Fault::Expected)),
            ("https://:443", Err(Fault::Expected)),
            ("http://h:0", Err(Fault::Expected)),
            ("http://h:99999", Err(Fault::Expected)),
            ("http://h:", Err(Fault::Expected)),
            ("http://[::1]8080", Err(Fault::Expected)),
            ("http://[h]:1", Err(Fault::Expected)),
            ("http://a b", Err(Fault::Expected)),
            ("127.0.0.1:8080", Err(Fault::Expected)),
            ("ftp://h", Err(Fault::Expected)),
            ("", Err(Fault::Expected)),
        ] {
            assert_eq!(upstream_url(text), expected, "{text:?}");
        }
    }
}
