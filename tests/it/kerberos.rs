//! Kerberos: real clients with tickets of a real KDC, through airgate, at a real Airflow. What the gate alone
//! decides is shown in front of a server that answers everything.

mod airflow2;
mod browser;
mod clients;
mod goldens;
mod keytab;
mod refusals;

use std::sync::OnceLock;

use crate::support::airgate::Setup;
use crate::support::kdc::{Kdc, REALM, kdc};
use crate::support::token::SECRET;
use crate::support::{Airgate, Upstream, airflow};

/// An airgate in front of the real Airflow, which knows `viewer` and not `alice`. Ends in `[kerberos]`.
fn before_airflow(options: &str) -> Setup {
    let airflow = airflow::simple();
    let config = format!(
        "[upstream]\nurl = \"{}\"\n[gate]\nairflow_cfg = \"{}\"\n",
        airflow.url,
        airflow.config().display()
    );
    with(config, kdc(), options)
}

/// An airgate in front of a server that answers everything with 200, with the user `viewer` alone.
fn setup(kdc: &Kdc, options: &str) -> Setup {
    static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
    let url = UPSTREAM.get_or_init(Upstream::start).url();
    let config = format!(
        "[upstream]\nurl = \"{url}\"\n[api_auth]\njwt_secret = \"{SECRET}\"\n[core]\n\
         simple_auth_manager_users = \"viewer:viewer\"\n"
    );
    with(config, kdc, options)
}

fn with(config: String, kdc: &Kdc, options: &str) -> Setup {
    let config = format!(
        "{config}[api]\nauth_backends = \"kerberos_auth, jwt\"\n[kerberos]\nreplay_cache = \".\"\n{options}"
    );
    Airgate::with(config).env("KRB5_CONFIG", &kdc.path("krb5.conf"))
}

/// A keytab by its name, with the realm dropped.
fn keytab(name: &str) -> String {
    format!("keytab = \"{}\"\nlocal_realms = \"{REALM}\"\n", kdc().path(name))
}

/// [`setup`] with a keytab.
fn with_keytab(name: &str, options: &str) -> Setup {
    setup(kdc(), &format!("{}{options}", keytab(name)))
}

/// Where clients find it: by the name that the service's keys are for.
fn localhost(gate: &Airgate, path: &str) -> String {
    format!("http://localhost:{}{path}", gate.address().port())
}
