//! The configuration in force: typed, merged, with the place each value comes from.
//!
//! One struct a section, one file each. What needs checking against the outside world later (a key
//! file, a users file) is [`Located`], so that the complaint can name the line.

mod api;
mod api_auth;
mod basic;
mod callout;
mod core;
mod database;
mod gate;
mod kerberos;
mod keycloak;
mod ldap;
mod limits;
mod lockout;
mod log;
mod redis;
mod server;
mod upstream;

use std::collections::BTreeMap;

pub use self::api::{Api, BackendName, BaseUrl, Cors};
pub use self::api_auth::{ApiAuth, JwksSource, JwtAlgorithm, JwtIssuer};
pub use self::basic::{Basic, BasicSource};
pub use self::callout::{Ambient, Callout};
pub use self::core::{Core, SimpleUser};
pub use self::database::Database;
pub use self::gate::{Gate, OtherRoutes};
pub use self::kerberos::{Kerberos, ServicePrincipal};
pub use self::keycloak::{Keycloak, KeycloakClient, KeycloakUrl};
pub use self::ldap::{Ldap, LdapUrl};
pub use self::limits::{LARGEST_BODY, Limits, RequestRate};
pub use self::lockout::{Lockout, WhenRedisIsDown};
pub use self::log::{AccessLog, Log, LogFile, LogLevel};
pub use self::redis::{Redis, RedisPlace, RedisUrl};
pub use self::server::{Admin, CertificateFiles, Listen, Server, ServerTls, StatusPage, TrustedProxy};
pub use self::upstream::{Airflow, AuthManager, IdentityMode, Release, Scheme, Upstream, UpstreamUrl};
use super::location::Located;
use super::table::Table;

/// Everything that can be configured, all sources merged.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[server]`: where and how we listen.
    pub server: Server,
    /// `[admin]`: metrics, health, status page.
    pub admin: Admin,
    /// `[upstream]`: the Airflow behind us.
    pub upstream: Upstream,
    /// `[basic]`: who checks a name and password.
    pub basic: Basic,
    /// `[ldap]`: the source `ldap`.
    pub ldap: Ldap,
    /// `[gate]`: what is neither API nor token.
    pub gate: Gate,
    /// `[core]`: the simple auth manager's users.
    pub core: Core,
    /// `[api]`: the API itself.
    pub api: Api,
    /// `[api_auth]`: Airflow's own tokens.
    pub api_auth: ApiAuth,
    /// `[kerberos]`: the backend `kerberos_auth`.
    pub kerberos: Kerberos,
    /// `[keycloak_auth_manager]`: the realm of Airflow's keycloak auth manager.
    pub keycloak: Keycloak,
    /// `[[jwt.issuers]]`: foreign issuers, in the order written.
    pub jwt_issuers: Vec<Located<JwtIssuer>>,
    /// `[callout.NAME]`: services of the operator's own, by name.
    pub callouts: Vec<Callout>,
    /// `[backend.NAME]`: what backends registered in Rust read, by name.
    pub backends: BTreeMap<String, Table>,
    /// `[database]`: Airflow's metadata database. `None` when it is not to be used.
    pub database: Option<Database>,
    /// `[lockout]`: what failures lead to. `None` when `attempts = 0` turns it off.
    pub lockout: Option<Lockout>,
    /// `[redis]`: what replicas share. `None` without `url`.
    pub redis: Option<Redis>,
    /// `[limits]`: what one client may take.
    pub limits: Limits,
    /// `[log]`: what is written down, and where.
    pub log: Log,
}

impl Settings {
    /// Which Airflow they are for. While nothing is known, 3.
    pub fn release(&self) -> Release {
        self.upstream.airflow.release()
    }

    /// Whether the upstream is given the client's own credential, and judges it again.
    pub fn passes_on(&self) -> bool {
        match self.release() {
            Release::Airflow2 => true,
            Release::Airflow3 => self.upstream.identity.value == IdentityMode::Passthrough,
        }
    }

    /// Whether Keycloak is asked for anything.
    pub fn asks_keycloak(&self) -> bool {
        match self.upstream.auth_manager.value {
            AuthManager::Keycloak => self.keycloak.client().is_some(),
            // Whom it names is told to Airflow by name.
            AuthManager::Simple | AuthManager::Fab => self.keycloak.client().is_some() && self.mints(),
        }
    }

    /// Whether tokens for the upstream are minted here: asked for, or possible and not ruled out.
    /// For the fab auth manager it takes the ids in its database, for keycloak a client of the realm.
    pub fn mints(&self) -> bool {
        match self.release() {
            Release::Airflow2 => return false,
            Release::Airflow3 => {}
        }
        let ids = self.database.is_some();
        match (self.upstream.identity.value, self.upstream.auth_manager.value) {
            (IdentityMode::Mint, AuthManager::Simple) => true,
            (IdentityMode::Auto, AuthManager::Simple) => self.api_auth.can_sign(),
            (IdentityMode::Mint, AuthManager::Fab) => ids,
            (IdentityMode::Auto, AuthManager::Fab) => ids && self.api_auth.can_sign(),
            (IdentityMode::Mint, AuthManager::Keycloak) => self.asks_keycloak(),
            (IdentityMode::Auto, AuthManager::Keycloak) => self.asks_keycloak() && self.api_auth.can_sign(),
            (
                IdentityMode::Exchange | IdentityMode::Passthrough,
                AuthManager::Simple | AuthManager::Fab | AuthManager::Keycloak,
            ) => false,
        }
    }
}
