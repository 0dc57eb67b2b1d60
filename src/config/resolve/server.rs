//! `[server]` and `[admin]`.

use super::parse;
use super::reader::{Reader, Resolved, values};
use crate::config::options as o;
use crate::config::settings::{Admin, Server, StatusPage};

const PAGE: &[(&str, StatusPage)] =
    &[("off", StatusPage::Off), ("loopback", StatusPage::Loopback), ("all", StatusPage::All)];

impl Reader<'_> {
    pub(super) fn server(&mut self) -> Resolved<Server> {
        let listen = self.some(&o::SERVER_LISTEN, parse::listen);
        let threads = self.one(&o::SERVER_THREADS, parse::number_or_none(1024));
        let grace_period = self.one(&o::SERVER_GRACE_PERIOD, parse::duration);
        let drain_delay = self.one(&o::SERVER_DRAIN_DELAY, parse::duration);
        let trusted_proxies = self.list(&o::SERVER_TRUSTED_PROXIES, parse::network);
        Ok(Server {
            listen: listen?,
            threads: threads?.value,
            grace_period: grace_period?.value,
            drain_delay: drain_delay?.value,
            trusted_proxies: values(trusted_proxies?),
        })
    }

    pub(super) fn admin(&mut self) -> Resolved<Admin> {
        let listen = self.one(&o::ADMIN_LISTEN, parse::listen);
        let page = self.one(&o::ADMIN_PAGE, parse::word(PAGE));
        let hosts = self.list(&o::ADMIN_HOSTS, parse::host_name);
        Ok(Admin { listen: listen?, page: page?.value, hosts: values(hosts?) })
    }
}
