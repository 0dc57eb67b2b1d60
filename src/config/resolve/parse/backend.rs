//! `[api] auth_backends`.

use super::{Fault, Parsed, because};
use crate::config::names;
use crate::config::options as o;
use crate::config::settings::BackendName;

/// Modules of Airflow that hold its backends, in all releases.
const BACKEND_MODULES: &[&str] = &[
    "airflow.providers.fab.auth_manager.api.auth.backend.",
    "airflow.auth.managers.fab.api.auth.backend.",
    "airflow.api.auth.backend.",
    "airflow.contrib.auth.backends.",
    "airflow.api_connexion.auth.backend.",
];

/// A backend, by name or by its module in any release of Airflow.
pub fn backend(text: &str) -> Parsed<BackendName> {
    let name = BACKEND_MODULES.iter().find_map(|module| text.strip_prefix(module)).unwrap_or(text);
    match name {
        "jwt" => Ok(BackendName::Jwt),
        "session" => Ok(BackendName::Session),
        "basic_auth" | "password_auth" => Ok(BackendName::BasicAuth),
        "default" => Ok(BackendName::Default),
        "deny_all" => Ok(BackendName::DenyAll),
        "kerberos_auth" if cfg!(feature = "kerberos") => Ok(BackendName::KerberosAuth),
        "kerberos_auth" => {
            because("this airgate was built without Kerberos. Build it with the cargo feature `kerberos`")
        }
        "ldap_auth" => because(
            "Airflow 1.10 had ldap_auth for its pages, not for its API. For names and passwords of a directory write \
             basic_auth here, and ldap into [basic] sources",
        ),
        "google_auth" | "github_enterprise_auth" => {
            because(format!("Airflow 1.10 had {name} for its pages, not for its API. {CALLOUT}"))
        }
        "airflow.providers.google.common.auth_backend.google_openid" => because(
            "google_openid is Python code. For Google's ID tokens write jwt here, and a table [[jwt.issuers]] with \
             issuer = \"https://accounts.google.com\", jwks_url = \"https://www.googleapis.com/oauth2/v3/certs\", \
             your client's id as audience, username_claim = \"email\" and username_prefix = \"\"",
        ),
        _ => match text.strip_prefix("callout:") {
            Some(name) if names::is_name(name) => Ok(BackendName::Callout(name.to_owned())),
            Some(_) => because(names::NO_NAME),
            None if text.contains('.') => {
                because(format!("the Python module {text} cannot run in airgate. {CALLOUT}"))
            }
            None => Err(Fault::Expected),
        },
    }
}

/// What there is for what airgate does not know.
const CALLOUT: &str = "A backend of one's own is asked over HTTP: write callout:NAME here, and where it is asked \
                       into [callout.NAME] url";

/// A backend, where some are registered besides airgate's own.
pub fn backend_of(registered: &[&'static str], text: &str) -> Parsed<BackendName> {
    if let Some(name) = registered.iter().find(|name| **name == text) {
        return Ok(BackendName::Custom(name));
    }
    backend(text).map_err(|fault| match fault {
        Fault::Expected if text.is_empty() => Fault::Expected,
        Fault::Expected => {
            let own = match registered {
                [] => String::new(),
                names => format!(" This build also has {}.", names.join(", ")),
            };
            let allowed = o::API_AUTH_BACKENDS.allowed;
            Fault::Because(format!("expected {allowed}, found {text:?}.{own} {CALLOUT}"))
        }
        because @ Fault::Because(_) => because,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_of_every_release() {
        for (text, expected) in [
            ("jwt", BackendName::Jwt),
            ("session", BackendName::Session),
            ("basic_auth", BackendName::BasicAuth),
            ("default", BackendName::Default),
            ("deny_all", BackendName::DenyAll),
            ("airflow.api.auth.backend.default", BackendName::Default),
            ("airflow.api.auth.backend.deny_all", BackendName::DenyAll),
            ("airflow.api.auth.backend.basic_auth", BackendName::BasicAuth),
            ("airflow.api.auth.backend.session", BackendName::Session),
            ("airflow.auth.managers.fab.api.auth.backend.basic_auth", BackendName::BasicAuth),
            ("airflow.providers.fab.auth_manager.api.auth.backend.basic_auth", BackendName::BasicAuth),
            ("airflow.providers.fab.auth_manager.api.auth.backend.session", BackendName::Session),
            ("airflow.contrib.auth.backends.password_auth", BackendName::BasicAuth),
            ("callout:corp", BackendName::Callout("corp".into())),
            ("callout:my-service_2", BackendName::Callout("my-service_2".into())),
        ] {
            assert_eq!(backend(text), Ok(expected), "{text:?}");
        }
        for module in [
            "airflow.api.auth.backend",
            "airflow.auth.managers.fab.api.auth.backend",
            "airflow.providers.fab.auth_manager.api.auth.backend",
            "airflow.contrib.auth.backends",
        ] {
            assert_eq!(backend(&format!("{module}.kerberos_auth")), backend("kerberos_auth"), "{module}");
        }
    }

    #[test]
    fn backends_that_cannot_be_had_are_refused_with_what_there_is_instead() {
        for (text, expected) in [
            ("airflow.contrib.auth.backends.ldap_auth", "ldap into [basic] sources"),
            ("ldap_auth", "ldap into [basic] sources"),
            ("airflow.contrib.auth.backends.google_auth", "[callout.NAME] url"),
            ("airflow.contrib.auth.backends.github_enterprise_auth", "[callout.NAME] url"),
            ("airflow.providers.google.common.auth_backend.google_openid", "[[jwt.issuers]]"),
            ("my_company.auth.backend", "callout:NAME"),
            ("callout:", "a name is made of"),
            ("callout:a b", "a name is made of"),
            ("callout:a.b", "a name is made of"),
        ] {
            let refused = backend(text);
            let said = matches!(&refused, Err(Fault::Because(reason)) if reason.contains(expected));
            assert!(said, "{text:?}: {refused:?}");
        }
        assert_eq!(backend("basic"), Err(Fault::Expected));
    }

    #[test]
    fn registered_backends_are_named_besides_the_known() {
        let registered = ["api_key", "mtls"];
        assert_eq!(backend_of(&registered, "api_key"), Ok(BackendName::Custom("api_key")));
        assert_eq!(backend_of(&registered, "jwt"), Ok(BackendName::Jwt));
        let Err(Fault::Because(said)) = backend_of(&registered, "api_keys") else { unreachable!() };
        assert!(
            said.contains("found \"api_keys\". This build also has api_key, mtls. A backend of one's own"),
            "{said}"
        );
    }
}
