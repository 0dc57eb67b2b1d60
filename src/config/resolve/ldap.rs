//! `[ldap]`.

use super::parse::{self, Fault, Parsed};
use super::reader::{Reader, Resolved};
use crate::config::options as o;
use crate::config::settings::{Ldap, LdapUrl};
use crate::secret::Secret;

impl Reader<'_> {
    pub(super) fn ldap(&mut self) -> Resolved<Ldap> {
        let servers = self.list(&o::LDAP_SERVER, server);
        let use_tls = self.one(&o::LDAP_USE_TLS, parse::boolean);
        let ca_file = self.file_read_once(&o::LDAP_TLS_CACERTFILE);
        let certificate_file = self.file_read_once(&o::LDAP_TLS_CERTFILE);
        let key_file = self.file_read_once(&o::LDAP_TLS_KEYFILE);
        let search = self.optional(&o::LDAP_SEARCH, parse::text);
        let search_filter = self.optional(&o::LDAP_SEARCH_FILTER, parse::text);
        let uid_field = self.one(&o::LDAP_UID_FIELD, parse::text);
        let bind_user = self.optional(&o::LDAP_BIND_USER, parse::text);
        let bind_password = self.optional(&o::LDAP_BIND_PASSWORD, parse::text);
        let username_format = self.optional(&o::LDAP_USERNAME_FORMAT, parse::text);
        let append_domain = self.optional(&o::LDAP_APPEND_DOMAIN, parse::text);
        let connect_timeout = self.one(&o::LDAP_CONNECT_TIMEOUT, parse::some_duration);
        let read_timeout = self.one(&o::LDAP_READ_TIMEOUT, parse::some_duration);
        Ok(Ldap {
            servers: servers?,
            use_tls: use_tls?,
            ca_file: ca_file?,
            certificate_file: certificate_file?,
            key_file: key_file?,
            search: search?,
            search_filter: search_filter?,
            uid_field: uid_field?,
            bind_user: bind_user?,
            bind_password: bind_password?.map(|password| password.map(Secret::new)),
            username_format: username_format?,
            append_domain: append_domain?,
            connect_timeout: connect_timeout?.value,
            read_timeout: read_timeout?.value,
        })
    }
}

/// A server of the directory: scheme, host and port.
fn server(text: &str) -> Parsed<LdapUrl> {
    let (scheme, rest) = text.split_once("://").ok_or(Fault::Expected)?;
    let (tls, standard) = match scheme.to_ascii_lowercase().as_str() {
        "ldap" => (false, 389),
        "ldaps" => (true, 636),
        "ldapi" => {
            let reason = "ldapi:// is not available: name the server by ldap:// and its port";
            return Err(Fault::Because(reason.to_owned()));
        }
        _ => return Err(Fault::Expected),
    };
    let (host, port) = parse::host_and_port(rest.strip_suffix('/').unwrap_or(rest))?;
    Ok(LdapUrl { tls, host: host.to_owned(), port: port.unwrap_or(standard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let url = |tls, host: &str, port| Some(LdapUrl { tls, host: host.to_owned(), port });
        for (text, expected) in [
            ("ldap://ldap.example.com", url(false, "ldap.example.com", 389)),
            ("ldaps://ldap.example.com/", url(true, "ldap.example.com", 636)),
            ("LDAP://127.0.0.1:13389", url(false, "127.0.0.1", 13389)),
            ("ldaps://[::1]:1636", url(true, "::1", 1636)),
            ("ldap.example.com", None),
            ("ldapi:///run/ldapi", None),
            ("http://ldap.example.com", None),
            ("ldap://", None),
            ("ldap://u@h", None),
            ("ldap://h/dc=example", None),
            ("ldap://h?x", None),
            ("ldap://h:0", None),
        ] {
            assert_eq!(server(text).ok(), expected, "{text}");
        }
    }
}
