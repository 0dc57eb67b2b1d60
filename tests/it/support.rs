//! What the tests stand on: an airgate of one's own, something behind it, something that asks.

pub mod airflow;
pub mod airgate;
pub mod bare;
pub mod browser;
pub mod client;
pub mod database;
#[cfg(feature = "kerberos")]
pub mod kdc;
pub mod keycloak;
pub mod ldap;
pub mod load;
pub mod prometheus;
pub mod redis;
pub mod tls;
pub mod token;
pub mod upstream;

pub use airgate::Airgate;
pub use client::{Answer, Ask, Connection, ask, delete, get, head, options, post, put};
pub use upstream::{Closed, Upstream};
