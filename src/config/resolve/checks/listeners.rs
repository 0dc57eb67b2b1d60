//! Where airgate listens: each place once, and none of them as its own upstream.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::layer::Findings;
use crate::config::location::{Located, Location};
use crate::config::options::{self as o, Opt};
use crate::config::settings::{Listen, Settings, UpstreamUrl};

pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    taken_twice(settings, findings);
    upstream_is_ours(&settings.upstream.urls, settings, findings);
}

fn places(settings: &Settings) -> impl Iterator<Item = (&'static Opt, &Located<Listen>)> {
    let server = settings.server.listen.iter().map(|listen| (&o::SERVER_LISTEN, listen));
    server.chain([(&o::ADMIN_LISTEN, &settings.admin.listen)])
}

/// One port is taken once.
fn taken_twice(settings: &Settings, findings: &mut Findings) {
    let mut seen: Vec<(&Opt, &Listen)> = Vec::new();
    for (option, listen) in places(settings) {
        let any_port = matches!(listen.value, Listen::Tcp(address) if address.port() == 0);
        if let Some((other, _)) = seen.iter().find(|(_, other)| !any_port && **other == listen.value) {
            let (title, place, other) = (option.title(), &listen.value, other.title());
            findings.errors.push(
                &listen.at,
                format!(
                    "{title}: {place} is taken twice: {other} has it already. Give each another port or path"
                ),
            );
        }
        seen.push((option, &listen.value));
    }
}

/// Adds each of `urls` at which an airgate with the settings `ours` listens. A request would go round in a circle,
/// until there is no connection left.
pub fn upstream_is_ours(urls: &[Located<UpstreamUrl>], ours: &Settings, findings: &mut Findings) {
    for url in urls {
        let Some((option, listen)) = places(ours).find(|(_, listen)| leads_to(url, listen)) else {
            continue;
        };
        let (title, listens) = (o::UPSTREAM_URL.title(), option.title());
        let (url_text, place) = (&url.value, &listen.value);
        let message = format!(
            "{title}: {url_text} is airgate itself, which listens there ({listens}: {place}). Give the address of \
             Airflow, or let airgate listen elsewhere"
        );
        let at = if url.at == Location::Default { &listen.at } else { &url.at };
        findings.errors.push(at, message);
    }
}

/// Whether who connects to the one reaches the other, as far as that is known without asking anybody: of names,
/// `localhost`; of the addresses at which `0.0.0.0` and `[::]` listen, those of the loopback interface.
fn leads_to(url: &UpstreamUrl, listen: &Listen) -> bool {
    match (url, listen) {
        (UpstreamUrl::Unix(to), Listen::Unix(at)) => to == at,
        (UpstreamUrl::Tcp { host, port, .. }, Listen::Tcp(at)) => {
            *port == at.port() && address(host).is_some_and(|to| covers(*at, to, |to| to.is_loopback()))
        }
        (UpstreamUrl::Unix(_), Listen::Tcp(_)) | (UpstreamUrl::Tcp { .. }, Listen::Unix(_)) => false,
    }
}

/// Where a connection to this host goes, of names `localhost` alone.
fn address(host: &str) -> Option<IpAddr> {
    if host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.parse().ok().map(reached)
}

/// Where a connection to this address goes.
pub fn reached(to: IpAddr) -> IpAddr {
    match to.to_canonical() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// Whether who listens at the one is reached at the other, `0.0.0.0` and `[::]` being all that `is_here`.
pub fn covers(at: SocketAddr, to: IpAddr, is_here: impl Fn(IpAddr) -> bool) -> bool {
    match (at.ip().to_canonical(), to) {
        (at, to) if at == to => true,
        (IpAddr::V4(at), IpAddr::V4(to)) => at.is_unspecified() && is_here(to.into()),
        // At both families, as Linux does unless it is told otherwise.
        (IpAddr::V6(at), to) => at.is_unspecified() && is_here(to),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve::parse;

    #[test]
    fn an_upstream_that_is_airgate_itself() {
        for (listen, url, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("127.0.0.1:8080", "https://127.0.0.1:8080", true),
            ("127.0.0.1:8080", "http://localhost:8080", true),
            ("127.0.0.1:8080", "http://LocalHost.:8080", true),
            ("127.0.0.1:8080", "http://0.0.0.0:8080", true),
            ("127.0.0.1:8080", "http://[::ffff:127.0.0.1]:8080", true),
            ("127.0.0.1:80", "http://localhost", true),
            ("0.0.0.0:8080", "http://127.0.0.1:8080", true),
            ("0.0.0.0:8080", "http://127.0.0.7:8080", true),
            ("0.0.0.0:8080", "http://localhost:8080", true),
            ("0.0.0.0:8080", "http://0.0.0.0:8080", true),
            ("[::]:8080", "http://127.0.0.1:8080", true),
            ("[::]:8080", "http://[::1]:8080", true),
            ("[::]:8080", "http://[::]:8080", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("[::1]:8080", "http://[::]:8080", true),
            ("10.0.0.5:8080", "http://10.0.0.5:8080", true),
            ("unix:/run/a.sock", "unix:/run//a.sock", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8081", false),
            ("127.0.0.1:8080", "http://127.0.0.2:8080", false),
            ("127.0.0.1:8080", "http://[::1]:8080", false),
            ("10.0.0.5:8080", "http://127.0.0.1:8080", false),
            ("0.0.0.0:8080", "http://[::1]:8080", false),
            // Whose they are is not known.
            ("0.0.0.0:8080", "http://10.0.0.5:8080", false),
            ("[::]:8080", "http://[fd00::5]:8080", false),
            ("0.0.0.0:8080", "http://airflow:8080", false),
            ("[::1]:8080", "http://localhost:8080", false),
            ("127.0.0.1:0", "http://127.0.0.1:8080", false),
            ("unix:/run/a.sock", "unix:/run/b.sock", false),
            ("unix:/run/a.sock", "http://localhost:80", false),
        ] {
            let (at, to) = (parse::listen(listen).unwrap(), parse::upstream_url(url).unwrap());
            assert_eq!(leads_to(&to, &at), expected, "{url} with airgate at {listen}");
        }
    }
}
