//! Requests that a foreign page makes with the credentials of whoever looks at it (cross-site
//! request forgery).

use http::header::ORIGIN;
use http::{HeaderMap, HeaderName};

use super::cors::Policy;

/// How a browser addresses us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own<'a> {
    /// Host and port as the client wrote them: `Host`, `:authority`, or what a trusted proxy says.
    pub authority: &'a [u8],
    /// Whether the client's connection is known to be encrypted. If not, TLS may still end at a
    /// proxy that is not among the trusted ones, so that either scheme is ours.
    pub tls: bool,
}

/// Why a request counts as one of a foreign page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CrossSite {
    /// It has an `Origin` that is neither ours nor allowed by CORS.
    #[error("the request comes from a page of another origin")]
    Origin,
    /// It has no `Origin`, but the browser says that a page of another origin made it.
    #[error("the request comes from a page of another site")]
    FetchSite,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what a foreign page may have asked for. To be called where the credential is ambient
/// (cookie, Basic, Negotiate: a browser sends each by itself) and the operation changes something:
/// browsers keep a foreign page from reading the answer, not from making the request.
///
/// `Origin` counts if there is one, of every such header; `null` is foreign. Without it
/// `Sec-Fetch-Site` counts (W3C Fetch Metadata), where `cross-site` and `same-site` are foreign:
/// another host of our domain is not us. A request with neither is not a browser's, or a browser's
/// from before 2020 for what it takes for harmless.
///
/// # Errors
/// The request comes from a foreign page.
pub fn check(headers: &HeaderMap, own: Option<Own<'_>>, cors: Option<&Policy>) -> Result<(), CrossSite> {
    if headers.contains_key(ORIGIN) {
        let known = |origin: &[u8]| {
            own.is_some_and(|own| own.is(origin)) || cors.is_some_and(|cors| cors.allows(origin))
        };
        let all = headers.get_all(ORIGIN).iter().all(|origin| known(origin.as_bytes()));
        return if all { Ok(()) } else { Err(CrossSite::Origin) };
    }
    let foreign =
        |site: &[u8]| site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site");
    if headers.get_all(SEC_FETCH_SITE).iter().any(|site| foreign(site.as_bytes().trim_ascii())) {
        return Err(CrossSite::FetchSite);
    }
    Ok(())
}

impl Own<'_> {
    /// Whether an `Origin` is that of our own pages.
    fn is(&self, origin: &[u8]) -> bool {
        let (host, default_port) = if let Some(host) = after(origin, b"https://") {
            (host, &b":443"[..])
        } else if let (Some(host), false) = (after(origin, b"http://"), self.tls) {
            (host, &b":80"[..])
        } else {
            return false;
        };
        let (host, own) = (without(host, default_port), without(self.authority, default_port));
        !own.is_empty() && host.eq_ignore_ascii_case(own)
    }
}

fn after<'a>(origin: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = origin.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn without<'a>(authority: &'a [u8], port: &[u8]) -> &'a [u8] {
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::gate::cors::Origin;

    const FOREIGN: Result<(), CrossSite> = Err(CrossSite::Origin);
    const FETCHED: Result<(), CrossSite> = Err(CrossSite::FetchSite);

    /// Name, authority and whether TLS is known; `Origin`, `Sec-Fetch-Site`; the answer.
    type Row = (
        &'static str,
        (&'static str, bool),
        &'static [&'static str],
        &'static [&'static str],
        Result<(), CrossSite>,
    );

    #[test]
    fn foreign_pages_are_told_from_our_own() {
        const PLAIN: (&str, bool) = ("air.example", false);
        const TLS: (&str, bool) = ("air.example", true);
        #[rustfmt::skip]
        let rows: &[Row] = &[
            ("no browser", PLAIN, &[], &[], Ok(())),
            ("our own page", PLAIN, &["https://air.example"], &["same-origin"], Ok(())),
            ("our own page, TLS ended before us", PLAIN, &["http://air.example"], &[], Ok(())),
            ("TLS, and the page had none", TLS, &["http://air.example"], &[], FOREIGN),
            ("TLS on both", TLS, &["https://air.example"], &[], Ok(())),
            ("any case", PLAIN, &["HTTPS://AIR.example"], &[], Ok(())),
            ("port", ("air.example:8081", false), &["http://air.example:8081"], &[], Ok(())),
            ("another port", ("air.example:8081", false), &["http://air.example"], &[], FOREIGN),
            ("default port in Host", ("air.example:443", true), &["https://air.example"], &[], Ok(())),
            ("default port in Origin", PLAIN, &["http://air.example:80"], &[], Ok(())),
            ("the other scheme's default port", ("air.example:443", false), &["http://air.example"], &[], FOREIGN),
            ("IPv6", ("[::1]:8081", false), &["http://[::1]:8081"], &[], Ok(())),
            ("allowed by CORS", PLAIN, &["https://ui.example.com"], &["cross-site"], Ok(())),
            ("another origin", PLAIN, &["https://evil.example"], &[], FOREIGN),
            ("another origin, whatever the browser says", PLAIN, &["https://evil.example"], &["same-origin"], FOREIGN),
            ("null", PLAIN, &["null"], &[], FOREIGN),
            ("empty", PLAIN, &[""], &[], FOREIGN),
            ("ours as a prefix", PLAIN, &["https://air.example.evil.example"], &[], FOREIGN),
            ("ours as a suffix", PLAIN, &["https://evil-air.example"], &[], FOREIGN),
            ("a path", PLAIN, &["https://air.example/"], &[], FOREIGN),
            ("no scheme", PLAIN, &["air.example"], &[], FOREIGN),
            ("another scheme", PLAIN, &["ftp://air.example"], &[], FOREIGN),
            ("two, one foreign", PLAIN, &["https://air.example", "https://evil.example"], &[], FOREIGN),
            ("two, both known", PLAIN, &["https://air.example", "https://ui.example.com"], &[], Ok(())),
            ("no Host, an origin", ("", false), &["https://air.example"], &[], FOREIGN),
            ("no Host, an empty origin", ("", false), &["https://"], &[], FOREIGN),
            ("no Host, allowed by CORS", ("", false), &["https://ui.example.com"], &[], Ok(())),
            ("no Origin, same origin", PLAIN, &[], &["same-origin"], Ok(())),
            ("no Origin, typed in", PLAIN, &[], &["none"], Ok(())),
            ("no Origin, another site", PLAIN, &[], &["cross-site"], FETCHED),
            ("no Origin, another host of ours", PLAIN, &[], &["same-site"], FETCHED),
            ("no Origin, any case", PLAIN, &[], &["Cross-Site"], FETCHED),
            ("no Origin, said twice", PLAIN, &[], &["same-origin", "cross-site"], FETCHED),
        ];
        let allowed = vec![Origin::parse("https://ui.example.com").unwrap()];
        let cors = Policy::new::<&str>(allowed, &[], &[]).unwrap();
        for (name, (authority, tls), origins, sites, expected) in rows {
            let mut headers = HeaderMap::new();
            for origin in *origins {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            for site in *sites {
                headers.append(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            let own = (!authority.is_empty()).then_some(Own { authority: authority.as_bytes(), tls: *tls });
            assert_eq!(check(&headers, own, cors.as_ref()), *expected, "{name}");
            if origins.contains(&"https://ui.example.com") {
                assert_eq!(check(&headers, own, None), FOREIGN, "{name}, without CORS");
            }
        }
        let empty = Own { authority: b"", tls: false };
        assert!(!empty.is(b"https://") && !empty.is(b"http://:80"));
    }
}
