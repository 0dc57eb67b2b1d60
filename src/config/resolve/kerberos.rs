//! `[kerberos]`.

use super::parse;
use super::reader::{Reader, Resolved, values};
use crate::config::options as o;
use crate::config::settings::Kerberos;

impl Reader<'_> {
    pub(super) fn kerberos(&mut self) -> Resolved<Kerberos> {
        let keytab = self.path(&o::KERBEROS_KEYTAB);
        let principal = self.optional(&o::KERBEROS_PRINCIPAL, parse::service_principal);
        let local_realms = self.list(&o::KERBEROS_LOCAL_REALMS, parse::realm);
        let replay_cache = self.path(&o::KERBEROS_REPLAY_CACHE);
        Ok(Kerberos {
            keytab: keytab?,
            principal: principal?,
            local_realms: values(local_realms?),
            replay_cache: replay_cache?,
        })
    }
}
