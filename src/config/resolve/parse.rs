//! One text to one typed value. What Airflow has too is read as laxly as Airflow reads it.

mod redis;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::names;
use crate::config::options as o;
use crate::config::settings::*;
pub use redis::redis_url;

/// Why a text is no value of its option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not what the option's table row says.
    Expected,
    /// It is, but is refused all the same; the text says why, and holds nothing of the value that
    /// may be secret.
    Because(String),
}

/// What parsing gives.
pub type Parsed<T> = Result<T, Fault>;

fn because<T>(reason: impl Into<String>) -> Parsed<T> {
    Err(Fault::Because(reason.into()))
}

/// Any text but the empty one.
pub fn text(text: &str) -> Parsed<String> {
    if text.is_empty() { Err(Fault::Expected) } else { Ok(text.to_owned()) }
}

/// Any text, the empty one too.
pub fn any(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// Python's `int()`, else a `float()` without a fraction, as Airflow's `getint`.
pub fn python_int(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let parts_are_digits = digits.split('_').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if parts_are_digits {
        return text.replace('_', "").parse().ok();
    }
    let float: f64 = text.parse().ok()?;
    let whole = float.is_finite() && float.fract() == 0.0 && float.abs() < 1e15;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 1e15")]
    whole.then_some(float as i128)
}

/// A whole number within bounds.
pub fn number<T: TryFrom<i128>>(least: i128, most: i128) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let number = python_int(text).filter(|n| (least..=most).contains(n)).ok_or(Fault::Expected)?;
        T::try_from(number).map_err(|_| Fault::Expected)
    }
}

/// A whole number up to a bound, where 0 has a meaning of its own.
pub fn number_or_none(most: i128) -> impl Fn(&str) -> Parsed<Option<NonZeroUsize>> {
    move |text| number::<usize>(0, most)(text).map(NonZeroUsize::new)
}

/// Seconds, or a text such as `1h 30m`. At most ten years, so that times can be added.
pub fn duration(text: &str) -> Parsed<Duration> {
    const MOST: Duration = Duration::from_secs(10 * 366 * 86400);
    let read = match python_int(text) {
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        None => humantime::parse_duration(text.trim()).ok(),
    };
    read.filter(|d| *d <= MOST).ok_or(Fault::Expected)
}

/// A duration that is not 0.
pub fn some_duration(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        Duration::ZERO => because("expected more than 0"),
        some => Ok(some),
    }
}

/// A duration, where 0 is off.
pub fn duration_or_off(text: &str) -> Parsed<Option<Duration>> {
    duration(text).map(|d| Some(d).filter(|d| !d.is_zero()))
}

/// Airflow's `getboolean`, a comment after the value included.
pub fn boolean(text: &str) -> Parsed<bool> {
    let text = text.split('#').next().unwrap_or_default().trim();
    match text.to_lowercase().as_str() {
        "t" | "true" | "1" => Ok(true),
        "f" | "false" | "0" => Ok(false),
        _ => Err(Fault::Expected),
    }
}

/// One of a few words.
pub fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or(Fault::Expected)
}

/// A place to listen.
pub fn listen(text: &str) -> Parsed<Listen> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Listen::Unix(PathBuf::from(path))),
        Some(_) => Err(Fault::Expected),
        None => text.parse().map(Listen::Tcp).map_err(|_| Fault::Expected),
    }
}

/// A network, or one address.
pub fn network(text: &str) -> Parsed<IpNet> {
    let network = text.parse::<IpNet>().map(|n| n.trunc());
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    network.or_else(|_| one()).map_err(|_| Fault::Expected)
}

/// The parts of an `http` or `https` URL.
struct Parts<'a> {
    scheme: Scheme,
    authority: &'a str,
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
}

fn url(text: &str) -> Parsed<Parts<'_>> {
    if text.contains('@') {
        return because("a URL with a user or password in it is refused: it would end up in logs");
    }
    let (scheme, rest) = text.split_once("://").ok_or(Fault::Expected)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(Fault::Expected),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains(['?', '#']) {
        return because("a URL with a query or fragment is refused");
    }
    let (host, port) = host_and_port(authority)?;
    Ok(Parts { scheme, authority, host, port, path })
}

/// A host, an IPv6 address without its brackets, and the port where one is written.
pub fn host_and_port(authority: &str) -> Parsed<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(Fault::Expected)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| Fault::Expected)?;
            (host, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("x") }))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.bytes().all(name) || authority.starts_with('[')) {
        return Err(Fault::Expected);
    }
    let port = port.map(|p| number::<u16>(1, 65535)(p)).transpose()?;
    Ok((host, port))
}

/// An upstream: no path but `/`.
pub fn upstream_url(text: &str) -> Parsed<UpstreamUrl> {
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
    Ok(UpstreamUrl { scheme: parts.scheme, host: parts.host.to_owned(), port })
}

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

/// Where a set of keys is found. A path is as it was written.
pub fn jwks(text: &str) -> Parsed<JwksSource> {
    if !text.contains("://") {
        return Ok(JwksSource::File(PathBuf::from(text)));
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    url(&text[..end])?;
    match text.parse::<http::Uri>() {
        Ok(_) => Ok(JwksSource::Url(text.to_owned())),
        Err(_) => Err(Fault::Expected),
    }
}

/// The name in a certificate. Never empty: without a name, the certificate would not be checked.
pub fn server_name(text: &str) -> Parsed<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if text.is_empty() {
        return because("an empty name is refused: the upstream's certificate would not be checked");
    }
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}

/// The major version of an Airflow.
pub fn release(text: &str) -> Parsed<Release> {
    match python_int(text) {
        Some(2) => Ok(Release::Airflow2),
        Some(3) => Ok(Release::Airflow3),
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
            because("the auth manager keycloak is not available in this release")
        }
        _ => Err(Fault::Expected),
    }
}

/// Modules of Airflow that hold its backends, in all releases.
const BACKEND_MODULES: &[&str] = &[
    "airflow.providers.fab.auth_manager.api.auth.backend.",
    "airflow.auth.managers.fab.api.auth.backend.",
    "airflow.api.auth.backend.",
    "airflow.contrib.auth.backends.",
    "airflow.api_connexion.auth.backend.",
];

/// A backend, by name or by its module in any release of Airflow.
pub fn backend(text: &str) -> Parsed<BackendName> {
    let name = BACKEND_MODULES.iter().find_map(|module| text.strip_prefix(module)).unwrap_or(text);
    match name {
        "jwt" => Ok(BackendName::Jwt),
        "session" => Ok(BackendName::Session),
        "basic_auth" | "password_auth" => Ok(BackendName::BasicAuth),
        "default" => Ok(BackendName::Default),
        "deny_all" => Ok(BackendName::DenyAll),
        "kerberos_auth" if cfg!(feature = "kerberos") => Ok(BackendName::KerberosAuth),
        "kerberos_auth" => {
            because("this airgate was built without Kerberos. Build it with the cargo feature `kerberos`")
        }
        "ldap_auth" => because(
            "Airflow 1.10 had ldap_auth for its pages, not for its API. For names and passwords of a directory write \
             basic_auth here, and ldap into [basic] sources",
        ),
        "google_auth" | "github_enterprise_auth" => {
            because(format!("Airflow 1.10 had {name} for its pages, not for its API. {CALLOUT}"))
        }
        "airflow.providers.google.common.auth_backend.google_openid" => because(
            "google_openid is Python code. For Google's ID tokens write jwt here, and a table [[jwt.issuers]] with \
             issuer = \"https://accounts.google.com\", jwks_url = \"https://www.googleapis.com/oauth2/v3/certs\", \
             your client's id as audience, username_claim = \"email\" and username_prefix = \"\"",
        ),
        _ => match text.strip_prefix("callout:") {
            Some(name) if names::is_name(name) => Ok(BackendName::Callout(name.to_owned())),
            Some(_) => because(names::NO_NAME),
            None if text.contains('.') => {
                because(format!("the Python module {text} cannot run in airgate. {CALLOUT}"))
            }
            None => Err(Fault::Expected),
        },
    }
}

/// The service principal that clients ask for.
pub fn service_principal(text: &str) -> Parsed<ServicePrincipal> {
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Fault::Expected);
    }
    let (name, realm) = text.split_once('@').map_or((text, None), |(name, realm)| (name, Some(realm)));
    if name.is_empty() || realm.is_some_and(|realm| realm.is_empty() || realm.contains('@')) {
        return Err(Fault::Expected);
    }
    match name.split_once('/') {
        None => Ok(ServicePrincipal::Renewer),
        Some((service, host)) if service.is_empty() || host.is_empty() || host.contains('/') => {
            Err(Fault::Expected)
        }
        Some((service, "_HOST")) => Ok(ServicePrincipal::AnyHost(service.to_owned())),
        Some(_) => Ok(ServicePrincipal::Exact(text.to_owned())),
    }
}

/// A Kerberos realm, as it is written behind a name.
pub fn realm(text: &str) -> Parsed<String> {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '@' | '/');
    if !text.is_empty() && text.chars().all(fits) { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}

/// What there is for what airgate does not know.
const CALLOUT: &str = "A backend of one's own is asked over HTTP: write callout:NAME here, and where it is asked \
                       into [callout.NAME] url";

/// A backend, where some are registered besides airgate's own.
pub fn backend_of(registered: &[&'static str], text: &str) -> Parsed<BackendName> {
    if let Some(name) = registered.iter().find(|name| **name == text) {
        return Ok(BackendName::Custom(name));
    }
    backend(text).map_err(|fault| match fault {
        Fault::Expected if text.is_empty() => Fault::Expected,
        Fault::Expected => {
            let own = match registered {
                [] => String::new(),
                names => format!(" This build also has {}.", names.join(", ")),
            };
            let allowed = o::API_AUTH_BACKENDS.allowed;
            Fault::Because(format!("expected {allowed}, found {text:?}.{own} {CALLOUT}"))
        }
        because @ Fault::Because(_) => because,
    })
}

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

/// Printable ASCII.
pub fn printable(text: &str) -> Parsed<String> {
    let fits = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if fits && !text.trim().is_empty() { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}

/// A source of `[basic] sources`.
pub fn basic_source(text: &str) -> Parsed<BasicSource> {
    match text {
        "upstream" => Ok(BasicSource::Upstream),
        "file" => Ok(BasicSource::File),
        "database" => Ok(BasicSource::Database),
        "ldap" => Ok(BasicSource::Ldap),
        "keycloak" => because(format!("the source {text} is not available in this release")),
        _ => Err(Fault::Expected),
    }
}

/// The name of a database that SQLAlchemy knows and we do not.
pub fn other_database(url: &str) -> Option<&str> {
    let scheme = url.trim().split_once("://")?.0;
    let dialect = scheme.split('+').next().unwrap_or_default();
    let word =
        !dialect.is_empty() && dialect.len() < 32 && dialect.bytes().all(|b| b.is_ascii_alphanumeric());
    let known = ["postgresql", "postgres", "mysql", "mariadb", "sqlite"];
    Some(dialect).filter(|dialect| word && !known.contains(dialect))
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

/// A method or the name of a header (RFC 9110, section 5.6.2), or `*`.
pub fn token(text: &str) -> Parsed<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(fits) { Err(Fault::Expected) } else { Ok(text.to_owned()) }
}

/// A user of the simple auth manager.
pub fn simple_user(text: &str) -> Parsed<SimpleUser> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, role, teams) = match parts.as_slice() {
        [name, role] => (*name, *role, None),
        [name, role, teams] => (*name, *role, Some(teams.split('|').map(str::to_owned).collect())),
        _ => return Err(Fault::Expected),
    };
    if name.is_empty() {
        return Err(Fault::Expected);
    }
    match role.to_ascii_lowercase().as_str() {
        "viewer" | "user" | "op" | "admin" => {
            Ok(SimpleUser { name: name.to_owned(), role: role.to_owned(), teams })
        }
        _ => because(format!("expected the role viewer, user, op or admin, found {role:?}")),
    }
}

/// An algorithm. `GUESS` is `None`.
pub fn algorithm(text: &str) -> Parsed<Option<JwtAlgorithm>> {
    if text == "GUESS" {
        return Ok(None);
    }
    let known = JwtAlgorithm::ALL.iter().find(|a| a.as_str() == text);
    match (known, text) {
        (Some(algorithm), _) => Ok(Some(*algorithm)),
        (None, "none") => because("`none` is refused: anybody can write a token that nobody signed"),
        (None, "ES512" | "ES521" | "ES256K") => {
            because(format!("{text} cannot be verified here; Airflow can, so choose another one for both"))
        }
        (None, _) => Err(Fault::Expected),
    }
}

/// An algorithm of a foreign issuer.
pub fn issuer_algorithm(text: &str) -> Parsed<JwtAlgorithm> {
    match algorithm(text)? {
        Some(JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512) => {
            because(format!("{text} is refused: with keys that are public, anybody could sign"))
        }
        Some(algorithm) => Ok(algorithm),
        None => Err(Fault::Expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_python() {
        for (text, expected) in [
            ("7", Some(7)),
            (" 7\n", Some(7)),
            ("+7", Some(7)),
            ("-7", Some(-7)),
            ("007", Some(7)),
            ("1_000", Some(1000)),
            ("7.0", Some(7)),
            ("7.", Some(7)),
            ("1e3", Some(1000)),
            ("7.5", None),
            ("_7", None),
            ("7__0", None),
            ("", None),
            ("seven", None),
            ("inf", None),
            ("nan", None),
            ("0x10", None),
        ] {
            assert_eq!(python_int(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("20s", Some(20)),
            ("5m", Some(300)),
            ("1h 30m", Some(5400)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("3600", Some(3600)),
            ("3600.0", Some(3600)),
            ("-1", None),
            ("5 apples", None),
            ("", None),
            ("1000y", None),
        ] {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn booleans_are_read_as_in_airflow() {
        for (text, expected) in [
            ("True", Some(true)),
            ("t", Some(true)),
            ("1", Some(true)),
            ("FALSE # a comment", Some(false)),
            (" f ", Some(false)),
            ("0", Some(false)),
            ("yes", None),
            ("on", None),
            ("", None),
        ] {
            assert_eq!(boolean(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn upstream_urls() {
        let url = |scheme, host: &str, port| Ok(UpstreamUrl { scheme, host: host.to_owned(), port });
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

    #[test]
    fn places_to_listen() {
        for (text, expected) in [
            ("127.0.0.1:0", Some(Listen::Tcp("127.0.0.1:0".parse().unwrap()))),
            ("[::1]:8081", Some(Listen::Tcp("[::1]:8081".parse().unwrap()))),
            ("unix:/run/a.sock", Some(Listen::Unix(PathBuf::from("/run/a.sock")))),
            ("unix:a.sock", None),
            ("unix:", None),
            ("localhost:8081", None),
            ("8081", None),
        ] {
            assert_eq!(listen(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn networks() {
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("10.0.0.7", Some("10.0.0.7/32")),
            ("::1", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("proxy", None),
        ] {
            assert_eq!(network(text).ok().map(|n| n.to_string()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn backends_of_every_release() {
        for (text, expected) in [
            ("jwt", BackendName::Jwt),
            ("session", BackendName::Session),
            ("basic_auth", BackendName::BasicAuth),
            ("default", BackendName::Default),
            ("deny_all", BackendName::DenyAll),
            ("airflow.api.auth.backend.default", BackendName::Default),
            ("airflow.api.auth.backend.deny_all", BackendName::DenyAll),
            ("airflow.api.auth.backend.basic_auth", BackendName::BasicAuth),
            ("airflow.api.auth.backend.session", BackendName::Session),
            ("airflow.auth.managers.fab.api.auth.backend.basic_auth", BackendName::BasicAuth),
            ("airflow.providers.fab.auth_manager.api.auth.backend.basic_auth", BackendName::BasicAuth),
            ("airflow.providers.fab.auth_manager.api.auth.backend.session", BackendName::Session),
            ("airflow.contrib.auth.backends.password_auth", BackendName::BasicAuth),
            ("callout:corp", BackendName::Callout("corp".into())),
            ("callout:my-service_2", BackendName::Callout("my-service_2".into())),
        ] {
            assert_eq!(backend(text), Ok(expected), "{text:?}");
        }
        for module in [
            "airflow.api.auth.backend",
            "airflow.auth.managers.fab.api.auth.backend",
            "airflow.providers.fab.auth_manager.api.auth.backend",
            "airflow.contrib.auth.backends",
        ] {
            assert_eq!(backend(&format!("{module}.kerberos_auth")), backend("kerberos_auth"), "{module}");
        }
    }

    #[test]
    fn backends_that_cannot_be_had_are_refused_with_what_there_is_instead() {
        for (text, expected) in [
            ("airflow.contrib.auth.backends.ldap_auth", "ldap into [basic] sources"),
            ("ldap_auth", "ldap into [basic] sources"),
            ("airflow.contrib.auth.backends.google_auth", "[callout.NAME] url"),
            ("airflow.contrib.auth.backends.github_enterprise_auth", "[callout.NAME] url"),
            ("airflow.providers.google.common.auth_backend.google_openid", "[[jwt.issuers]]"),
            ("my_company.auth.backend", "callout:NAME"),
            ("callout:", "a name is made of"),
            ("callout:a b", "a name is made of"),
            ("callout:a.b", "a name is made of"),
        ] {
            let refused = backend(text);
            let said = matches!(&refused, Err(Fault::Because(reason)) if reason.contains(expected));
            assert!(said, "{text:?}: {refused:?}");
        }
        assert_eq!(backend("basic"), Err(Fault::Expected));
    }

    #[test]
    fn registered_backends_are_named_besides_the_known() {
        let registered = ["api_key", "mtls"];
        assert_eq!(backend_of(&registered, "api_key"), Ok(BackendName::Custom("api_key")));
        assert_eq!(backend_of(&registered, "jwt"), Ok(BackendName::Jwt));
        let Err(Fault::Because(said)) = backend_of(&registered, "api_keys") else { unreachable!() };
        assert!(
            said.contains("found \"api_keys\". This build also has api_key, mtls. A backend of one's own"),
            "{said}"
        );
    }

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
