//! Backends that are the operator's own.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};

use super::Kept;
use crate::auth::Backend;
use crate::auth::callout::{Ambient, Callout, CalloutSettings};
use crate::config::errors::Note;
use crate::config::settings::{self, BackendName, Settings};
use crate::config::table::Table;
use crate::config::{Errors, Location};
use crate::ports::http::Client;
use crate::ports::upstream::Ca;

/// The largest answer of a callout.
const CALLOUT_ANSWER: usize = 256 * 1024;

/// The backends of the chain that are the operator's own: services, and what is registered in Rust.
pub(super) fn own_backends(
    settings: &Settings,
    kept: &Kept,
    errors: &mut Errors,
) -> HashMap<BackendName, Arc<dyn Backend>> {
    let mut built = HashMap::new();
    for backend in &settings.api.auth_backends {
        let made = match &backend.value {
            BackendName::Callout(name) => {
                // Without its section the settings would not have passed their checks.
                let Some(settings) = settings.callouts.iter().find(|callout| callout.name == *name) else {
                    continue;
                };
                callout(settings, kept)
            }
            BackendName::Custom(name) => {
                let empty = Table::empty(name);
                let table = settings.backends.get(*name).unwrap_or(&empty);
                kept.registry.build(name, table, &kept.runtime).map_err(|note| {
                    let at = if note.at == Location::Default { backend.at.clone() } else { note.at };
                    Note { at, message: note.message }
                })
            }
            BackendName::Jwt
            | BackendName::Session
            | BackendName::BasicAuth
            | BackendName::KerberosAuth
            | BackendName::Default
            | BackendName::DenyAll => continue,
        };
        match made {
            Ok(made) => drop(built.insert(backend.value.clone(), made)),
            Err(Note { at, message }) => errors.push(&at, message),
        }
    }
    built
}

fn callout(settings: &settings::Callout, kept: &Kept) -> Result<Arc<dyn Backend>, Note> {
    let wrong = |at: &Location, error: &dyn std::fmt::Display| Note {
        at: at.clone(),
        message: format!("[callout.{}]: {error}", settings.name),
    };
    let url = settings.url.value.parse::<Uri>().map_err(|error| wrong(&settings.url.at, &error))?;
    let names = settings.headers.iter().map(|name| HeaderName::from_bytes(name.as_bytes()));
    let headers: Vec<_> = names.collect::<Result<_, _>>().map_err(|error| wrong(&settings.at, &error))?;
    let challenge = settings.challenge.as_deref().map(HeaderValue::from_str).transpose();
    let challenge = challenge.map_err(|error| wrong(&settings.at, &error))?;
    let (ca, ca_at) = match &settings.ca_file {
        Some(path) => {
            let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.value.display());
            let pem = std::fs::read(&path.value).map_err(|error| wrong(&path.at, &said(&error)))?;
            Ca::parse(&pem).map_err(|error| wrong(&path.at, &said(&error)))?;
            (Some(pem), &path.at)
        }
        None => (None, &settings.at),
    };
    let client = Client::new(settings.timeout, CALLOUT_ANSWER, ca.as_deref());
    let client = client.map_err(|error| wrong(ca_at, &error))?;
    let ambient = match settings.ambient {
        settings::Ambient::Auto => Ambient::Auto,
        settings::Ambient::Yes => Ambient::Yes,
        settings::Ambient::No => Ambient::No,
    };
    let (runtime, cache_ttl) = (kept.runtime.clone(), settings.cache_ttl);
    let own = CalloutSettings { url, headers, ambient, challenge, cache_ttl };
    let callout = Callout::new(&settings.name, own, Arc::new(client), runtime);
    Ok(Arc::new(callout.map_err(|error| wrong(&settings.at, &error))?))
}
