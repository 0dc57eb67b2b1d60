//! URLs, and their hosts.

use super::{Fault, Parsed, because, number};
use crate::config::settings::Scheme;

/// The parts of an `http` or `https` URL.
pub struct Parts<'a> {
    pub scheme: Scheme,
    pub authority: &'a str,
    pub host: &'a str,
    pub port: Option<u16>,
    pub path: &'a str,
}

pub fn url(text: &str) -> Parsed<Parts<'_>> {
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
