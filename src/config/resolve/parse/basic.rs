//! `[basic]`.

use super::{Fault, Parsed};
use crate::config::settings::BasicSource;

/// A source of `[basic] sources`.
pub fn basic_source(text: &str) -> Parsed<BasicSource> {
    match text {
        "upstream" => Ok(BasicSource::Upstream),
        "file" => Ok(BasicSource::File),
        "database" => Ok(BasicSource::Database),
        "ldap" => Ok(BasicSource::Ldap),
        "keycloak" => Ok(BasicSource::Keycloak),
        _ => Err(Fault::Expected),
    }
}
