//! What the fuzz targets try to break: the properties of `tests/it/properties`, which say what their
//! inputs are. `make fuzz` runs all targets; `FUZZ_SECONDS` is the time for each.

#[path = "../../tests/it/properties/airflow_cfg.rs"]
pub mod airflow_cfg;
#[path = "../../tests/it/properties/callout_answer.rs"]
pub mod callout_answer;
#[path = "../../tests/it/properties/config_toml.rs"]
pub mod config_toml;
#[path = "../../tests/it/properties/cors.rs"]
pub mod cors;
#[path = "../../tests/it/properties/credentials.rs"]
pub mod credentials;
#[path = "../../tests/it/properties/kerberos.rs"]
pub mod kerberos;
#[path = "../../tests/it/properties/keycloak_answer.rs"]
pub mod keycloak_answer;
#[path = "../../tests/it/properties/ldap_message.rs"]
pub mod ldap_message;
#[path = "../../tests/it/properties/ldap_names.rs"]
pub mod ldap_names;
#[path = "../../tests/it/properties/database_url.rs"]
pub mod database_url;
#[path = "../../tests/it/properties/limit.rs"]
pub mod limit;
#[path = "../../tests/it/properties/limit_body.rs"]
pub mod limit_body;
#[path = "../../tests/it/properties/target.rs"]
pub mod target;
#[path = "../../tests/it/properties/token.rs"]
pub mod token;
#[path = "../../tests/it/properties/token_body.rs"]
pub mod token_body;
#[path = "../../tests/it/properties/translation.rs"]
pub mod translation;
