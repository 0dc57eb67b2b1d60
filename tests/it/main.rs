//! Integration tests: the real airgate, in front of a recording upstream or of real Airflow.

mod airflow2;
mod bad_input;
mod browser;
mod callout;
mod clamp;
mod command_line;
mod container;
mod crossing;
mod custom;
mod database;
mod deploy;
mod docs;
mod documentation;
mod exchange;
mod exchanged;
mod exit;
mod experimental;
mod goldens;
mod identity;
mod imports;
#[cfg(feature = "kerberos")]
mod kerberos;
mod keycloak;
mod ldap;
mod life;
mod load;
mod lockout;
mod mixed;
mod openapi;
mod properties;
mod python_client;
mod resolve;
mod service_account;
mod status;
mod support;
mod tls;
mod translate;
mod transport;
mod uniform;
mod v1_cost;
mod v1_traps;
mod which_airflow;
#[cfg(not(feature = "kerberos"))]
mod without_kerberos;
mod zero_config;
