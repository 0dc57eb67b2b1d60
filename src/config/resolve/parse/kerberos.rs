//! `[kerberos]`.

use super::{Fault, Parsed};
use crate::config::settings::ServicePrincipal;

/// The service principal that clients ask for.
pub fn service_principal(text: &str) -> Parsed<ServicePrincipal> {
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(Fault::Expected);
    }
    let (name, realm) = text.split_once('@').map_or((text, None), |(name, realm)| (name, Some(realm)));
    if name.is_empty() || realm.is_some_and(|realm| realm.is_empty() || realm.contains('@')) {
        return Err(Fault::Expected);
    }
    match name.split_once('/') {
        None => Ok(ServicePrincipal::Renewer),
        Some((service, host)) if service.is_empty() || host.is_empty() || host.contains('/') => {
            Err(Fault::Expected)
        }
        Some((service, "_HOST")) => Ok(ServicePrincipal::AnyHost(service.to_owned())),
        Some(_) => Ok(ServicePrincipal::Exact(text.to_owned())),
    }
}

/// A Kerberos realm, as it is written behind a name.
pub fn realm(text: &str) -> Parsed<String> {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '@' | '/');
    if !text.is_empty() && text.chars().all(fits) { Ok(text.to_owned()) } else { Err(Fault::Expected) }
}
