//! Keycloak: its servers, and what airgate does with it.

mod log_in;
mod server;
