//! The source `ldap`: what is missing, and what contradicts.

use super::{is_loopback, mintable};
use crate::config::layer::Findings;
use crate::config::location::Location;
use crate::config::options as o;
use crate::config::settings::*;

pub fn check(settings: &Settings, findings: &mut Findings) {
    let Some(source) = settings.basic.sources.iter().find(|s| s.value == BasicSource::Ldap) else {
        return unused(settings, findings);
    };
    let ldap = &settings.ldap;
    if ldap.servers.is_empty() {
        let message = format!("{}: ldap needs {}", o::BASIC_SOURCES.title(), o::LDAP_SERVER.title());
        findings.errors.push(&source.at, message);
    }
    identity(settings, &source.at, findings);
    account(ldap, findings);
    names(ldap, findings);
    tls(ldap, findings);
}

/// A directory that nobody asks.
fn unused(settings: &Settings, findings: &mut Findings) {
    if let Some(server) = settings.ldap.servers.first() {
        let sources = o::BASIC_SOURCES.title();
        let message = format!("{} has no effect: {sources} does not name ldap", o::LDAP_SERVER.title());
        findings.warn(&server.at, message);
    }
}

/// Whether Airflow can be told who it is.
fn identity(settings: &Settings, at: &Location, findings: &mut Findings) {
    let title = o::BASIC_SOURCES.title();
    if settings.passes_on() {
        return;
    }
    match mintable(settings) {
        Err(reason) => findings.errors.push(at, format!("{title}: ldap {reason}")),
        Ok(()) => match settings.upstream.auth_manager.value {
            AuthManager::Simple if settings.core.simple_users.is_none() => {
                let users = o::CORE_SIMPLE_AUTH_MANAGER_USERS.title();
                let message =
                    format!("{title}: ldap needs {users}, which says who there is and with which role");
                findings.errors.push(at, message);
            }
            AuthManager::Simple | AuthManager::Fab | AuthManager::Keycloak => {}
        },
    }
}

/// The account that searches, and what it needs.
fn account(ldap: &Ldap, findings: &mut Findings) {
    let (user, password) = (o::LDAP_BIND_USER.title(), o::LDAP_BIND_PASSWORD.title());
    let search = o::LDAP_SEARCH.title();
    match (&ldap.bind_user, &ldap.bind_password) {
        (Some(bind), None) => {
            let message = format!(
                "{user} needs {password}: without one the directory takes the bind for an anonymous one"
            );
            findings.errors.push(&bind.at, message);
        }
        (None, Some(bind)) => findings.errors.push(&bind.at, format!("{password} needs {user}")),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let (Some(bind), None) = (&ldap.bind_user, &ldap.search) {
        findings.errors.push(&bind.at, format!("{user} needs {search}: where it finds the users"));
    }
    if let (Some(filter), None) = (&ldap.search_filter, &ldap.search) {
        let filter_title = o::LDAP_SEARCH_FILTER.title();
        findings
            .errors
            .push(&filter.at, format!("{filter_title} needs {search}: without it nobody is filtered"));
    }
}

/// Names that are made and then not used.
fn names(ldap: &Ldap, findings: &mut Findings) {
    let options =
        [(&o::LDAP_USERNAME_FORMAT, &ldap.username_format), (&o::LDAP_APPEND_DOMAIN, &ldap.append_domain)];
    for (option, value) in options {
        if let (Some(value), Some(_)) = (value, &ldap.bind_user) {
            let user = o::LDAP_BIND_USER.title();
            let message =
                format!("{} has no effect: with {user} the entry that is found is bound", option.title());
            findings.warn(&value.at, message);
        }
    }
}

fn tls(ldap: &Ldap, findings: &mut Findings) {
    let use_tls = o::LDAP_USE_TLS.title();
    if ldap.use_tls.value
        && let Some(server) = ldap.servers.iter().find(|server| server.value.tls)
    {
        let message = format!("{use_tls} is for ldap:// only: ldaps:// has TLS from the first byte");
        findings.errors.push(&server.at, message);
    }
    match (&ldap.certificate_file, &ldap.key_file) {
        (Some(file), None) => missing(&o::LDAP_TLS_CERTFILE, &o::LDAP_TLS_KEYFILE, &file.at, findings),
        (None, Some(file)) => missing(&o::LDAP_TLS_KEYFILE, &o::LDAP_TLS_CERTFILE, &file.at, findings),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if ldap.use_tls.value {
        return;
    }
    for server in ldap.servers.iter().filter(|server| !server.value.tls && !is_loopback(&server.value.host)) {
        let message = format!(
            "{}: ldap://{} without {use_tls}: names and passwords cross the network in the clear",
            o::LDAP_SERVER.title(),
            server.value.host
        );
        findings.warn(&server.at, message);
    }
    if !ldap.servers.iter().any(|server| server.value.tls)
        && let Some(file) = &ldap.ca_file
    {
        let title = o::LDAP_TLS_CACERTFILE.title();
        findings.warn(&file.at, format!("{title} has no effect: there is neither ldaps:// nor {use_tls}"));
    }
}

fn missing(this: &o::Opt, other: &o::Opt, at: &Location, findings: &mut Findings) {
    findings.errors.push(at, format!("{} needs {}", this.title(), other.title()));
}
