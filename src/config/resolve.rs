//! Values as read to settings as typed, with every error in them collected. One file a section.

mod api;
mod api_auth;
mod basic;
mod callout;
pub mod checks;
mod core;
mod database;
mod kerberos;
mod keycloak;
mod ldap;
mod limits;
mod lockout;
mod log;
pub mod parse;
mod reader;
mod redis;
mod server;
mod upstream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::reader::{Failed, Reader, Resolved};
use super::airflow::expand::Environment;
use super::layer::{Findings, Layer};
use super::location::{Located, Location};
use super::options::{self as o, Opt};
use super::settings::{Gate, OtherRoutes, Release, Settings};
use super::table::Table;

/// Where relative paths start.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Of our own configuration file; the working directory, where there is none.
    pub file: PathBuf,
    /// The working directory.
    pub working: PathBuf,
}

impl Folders {
    /// Where a relative path written at this place starts.
    pub fn of(&self, at: &Location) -> &Path {
        match at {
            Location::Column { .. } => &self.file,
            Location::Default
            | Location::File(_)
            | Location::Line { .. }
            | Location::Variable(_)
            | Location::Set(_) => &self.working,
        }
    }
}

/// Types the merged values. `found` is which Airflow the upstream has said to be. `None` when something is wrong, which
/// then is among the findings.
pub fn resolve(
    layer: &Layer,
    folders: &Folders,
    environment: &Environment,
    findings: &mut Findings,
    files: &mut Vec<PathBuf>,
    registered: &[&'static str],
    found: Option<Release>,
) -> Option<Settings> {
    let mut r = Reader { entries: &layer.entries, table: None, folders, environment, findings, files };
    let server = r.server();
    let admin = r.admin();
    let upstream = r.upstream(found);
    let basic = r.basic();
    let ldap = r.ldap();
    let gate = r.one(&o::GATE_OTHER_ROUTES, parse::word(OTHER_ROUTES));
    let core = r.core();
    let release = upstream.as_ref().map_or(Release::Airflow3, |upstream| upstream.airflow.release());
    let api = r.api(registered, release);
    let api_auth = r.api_auth();
    let kerberos = r.kerberos();
    let keycloak = r.keycloak();
    let database = r.database();
    let lockout = r.lockout();
    let redis = r.redis(api_auth.as_ref().ok());
    let limits = r.limits();
    let log = r.log();
    let issuers: Vec<_> = layer
        .issuers
        .iter()
        .map(|(at, entries)| Reader { entries, ..r.again() }.issuer(at).map(|i| Located::new(i, at.clone())))
        .collect();
    let callouts: Vec<_> = layer
        .callouts
        .iter()
        .map(|(name, (at, entries))| Reader { entries, table: Some(name), ..r.again() }.callout(name, at))
        .collect();
    let backends = r.backends(&layer.backends);
    let settings = move || {
        Ok::<_, Failed>(Settings {
            server: server?,
            admin: admin?,
            upstream: upstream?,
            basic: basic?,
            ldap: ldap?,
            gate: Gate { other_routes: gate?.value },
            core: core?,
            api: api?,
            api_auth: api_auth?,
            kerberos: kerberos?,
            keycloak: keycloak?,
            jwt_issuers: issuers.into_iter().collect::<Result<_, _>>()?,
            callouts: callouts.into_iter().collect::<Result<_, _>>()?,
            backends: backends?,
            database: database?,
            lockout: lockout?,
            redis: redis?,
            limits: limits?,
            log: log?,
        })
    };
    settings().ok()
}

/// The text of one value, for `config get-value`: of a list, its items with commas between them, however it was
/// written. What is wrong with it goes to the findings.
pub fn text_of(
    option: &Opt,
    layer: &Layer,
    folders: &Folders,
    environment: &Environment,
    findings: &mut Findings,
) -> Option<String> {
    let files = &mut Vec::new();
    let mut r = Reader { entries: &layer.entries, table: None, folders, environment, findings, files };
    if option.shape.is_list() {
        let items = r.items(option).ok()?.into_iter().map(|given| given.text);
        Some(items.filter(|item| !item.is_empty()).collect::<Vec<_>>().join(","))
    } else {
        r.given(option).ok().flatten().map(|given| given.text)
    }
}

const OTHER_ROUTES: &[(&str, OtherRoutes)] =
    &[("deny", OtherRoutes::Deny), ("ui", OtherRoutes::Ui), ("all", OtherRoutes::All)];

impl Reader<'_> {
    /// The tables of backends of one's own, with the files that their values are in.
    fn backends(&mut self, tables: &BTreeMap<String, Table>) -> Resolved<BTreeMap<String, Table>> {
        let mut failed = false;
        let mut read = BTreeMap::new();
        for (name, table) in tables {
            let mut table = table.clone();
            if let Err(error) = table.read_files(self.files) {
                self.findings.errors.push(&error.at, error.message);
                failed = true;
            }
            read.insert(name.clone(), table);
        }
        if failed { Err(Failed) } else { Ok(read) }
    }
}
