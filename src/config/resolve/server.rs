//! `[server]` and `[admin]`.

use super::parse;
use super::reader::{Failed, Reader, Resolved, values};
use crate::config::location::Location;
use crate::config::options as o;
use crate::config::settings::{Admin, CertificateFiles, Server, ServerTls, StatusPage};

const PAGE: &[(&str, StatusPage)] =
    &[("off", StatusPage::Off), ("loopback", StatusPage::Loopback), ("all", StatusPage::All)];

impl Reader<'_> {
    pub(super) fn server(&mut self) -> Resolved<Server> {
        let listen = self.some(&o::SERVER_LISTEN, parse::listen);
        let threads = self.one(&o::SERVER_THREADS, parse::number_or_none(1024));
        let grace_period = self.one(&o::SERVER_GRACE_PERIOD, parse::duration);
        let drain_delay = self.one(&o::SERVER_DRAIN_DELAY, parse::duration);
        let trusted_proxies = self.list(&o::SERVER_TRUSTED_PROXIES, parse::trusted_proxy);
        let tls = self.server_tls();
        Ok(Server {
            listen: listen?,
            threads: threads?.value,
            grace_period: grace_period?.value,
            drain_delay: drain_delay?.value,
            trusted_proxies: trusted_proxies?,
            tls: tls?,
        })
    }

    pub(super) fn admin(&mut self) -> Resolved<Admin> {
        let listen = self.one(&o::ADMIN_LISTEN, parse::listen);
        let page = self.one(&o::ADMIN_PAGE, parse::word(PAGE));
        let hosts = self.list(&o::ADMIN_HOSTS, parse::host_name);
        Ok(Admin { listen: listen?, page: page?.value, hosts: values(hosts?) })
    }

    fn server_tls(&mut self) -> Resolved<Option<ServerTls>> {
        let certificates = self.files_read_once(&o::SERVER_TLS_CERTIFICATE);
        let keys = self.files_read_once(&o::SERVER_TLS_KEY);
        let client_ca = self.file_read_once(&o::SERVER_TLS_CLIENT_CA);
        let (certificates, keys, client_ca) = (certificates?, keys?, client_ca?);
        let (certificate, key) = (o::SERVER_TLS_CERTIFICATE.title(), o::SERVER_TLS_KEY.title());
        let lonely = certificates.first().or(keys.first()).or(client_ca.as_ref());
        if certificates.len() != keys.len() || (certificates.is_empty() && client_ca.is_some()) {
            let (certificates, keys) = (certificates.len(), keys.len());
            let message = format!(
                "{certificate} and {key}: there must be one key for each certificate, found {certificates} and {keys}"
            );
            self.findings.errors.push(lonely.map_or(&Location::Default, |path| &path.at), message);
            return Err(Failed);
        }
        let pairs = certificates.into_iter().zip(keys);
        let certificates: Vec<_> =
            pairs.map(|(certificate, key)| CertificateFiles { certificate, key }).collect();
        Ok(Some(ServerTls { certificates, client_ca }).filter(|tls| !tls.certificates.is_empty()))
    }
}
