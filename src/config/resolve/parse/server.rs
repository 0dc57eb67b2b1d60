//! `[server]`.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Fault, Parsed};
use crate::config::settings::{Listen, TrustedProxy};

/// A place to listen.
pub fn listen(text: &str) -> Parsed<Listen> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Listen::Unix(PathBuf::from(path))),
        Some(_) => Err(Fault::Expected),
        None => text.parse().map(Listen::Tcp).map_err(|_| Fault::Expected),
    }
}

/// A network, one address, or whoever comes by a Unix socket.
pub fn trusted_proxy(text: &str) -> Parsed<TrustedProxy> {
    if text == "unix" {
        return Ok(TrustedProxy::Unix);
    }
    let network = text.parse::<IpNet>().map(|n| n.trunc());
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    network.or_else(|_| one()).map(TrustedProxy::Network).map_err(|_| Fault::Expected)
}

/// A name that a request may be addressed to, without a port.
pub fn host_name(text: &str) -> Parsed<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn trusted_proxies() {
        let network = |text: &str| Some(TrustedProxy::Network(text.parse().unwrap()));
        for (text, expected) in [
            ("10.0.0.0/8", network("10.0.0.0/8")),
            ("10.1.2.3/8", network("10.0.0.0/8")),
            ("10.0.0.7", network("10.0.0.7/32")),
            ("::1", network("::1/128")),
            ("unix", Some(TrustedProxy::Unix)),
            ("unix:/run/airgate.sock", None),
            ("10.0.0.0/33", None),
            ("proxy", None),
        ] {
            assert_eq!(trusted_proxy(text).ok(), expected, "{text:?}");
        }
    }
}
