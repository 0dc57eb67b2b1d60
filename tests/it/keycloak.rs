//! Keycloak: its servers, and what airgate does with it.

mod server;
