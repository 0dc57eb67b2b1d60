//! `[ldap]` to the source `ldap`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::basic::check::Source;
use crate::auth::basic::ldap::name::{Kind, NameFormat};
use crate::auth::basic::ldap::{Find, Flow, Ldap, Settings as LdapSettings};
use crate::config::settings::{self, Settings};
use crate::config::{Errors, Located, Location, options as o};
use crate::ports::ldap::filter::Filter;
use crate::ports::ldap::tls::{ClientCertificate, Tls};
use crate::ports::ldap::{LdapServer, Security, Server, Timeouts, Url, dn};

/// The source, or what is wrong with its settings.
pub(super) fn source(settings: &Settings, errors: &mut Errors) -> Option<Arc<dyn Source>> {
    let ldap = &settings.ldap;
    let tls = tls(ldap, errors);
    let flow = flow(ldap, errors);
    if !dn::is_attribute(&ldap.uid_field.value) {
        let title = o::LDAP_UID_FIELD.title();
        let message =
            format!("{title}: expected {}, found {:?}", o::LDAP_UID_FIELD.allowed, ldap.uid_field.value);
        errors.push(&ldap.uid_field.at, message);
        return None;
    }
    let (tls, flow) = (tls?, flow?);
    let timeouts = Timeouts { connect: ldap.connect_timeout, read: ldap.read_timeout };
    // Where TLS is asked for and cannot be had there is no server, rather than one without.
    let security = |encrypted| match (encrypted, ldap.use_tls.value) {
        (true, _) => Some(Security::Tls(tls.clone()?)),
        (false, true) => Some(Security::StartTls(tls.clone()?)),
        (false, false) => Some(Security::Plain),
    };
    let servers = ldap.servers.iter().filter_map(|server| -> Option<Arc<dyn LdapServer>> {
        let security = security(server.value.tls)?;
        let url = Url { security, host: server.value.host.clone(), port: server.value.port };
        Some(Arc::new(Server::new(url, timeouts)))
    });
    let uid_field = ldap.uid_field.value.as_str().into();
    let asked = LdapSettings { flow, uid_field, read_timeout: ldap.read_timeout };
    Some(Arc::new(Ldap::new(servers.collect(), asked)))
}

/// Whom to trust; nobody where no server has TLS. Outer `None`: something is wrong with it.
#[expect(clippy::option_option, reason = "no TLS is not TLS that cannot be had")]
fn tls(ldap: &settings::Ldap, errors: &mut Errors) -> Option<Option<Arc<Tls>>> {
    if !ldap.use_tls.value && !ldap.servers.iter().any(|server| server.value.tls) {
        return Some(None);
    }
    let ca = read(&o::LDAP_TLS_CACERTFILE, ldap.ca_file.as_ref(), errors);
    let chain = read(&o::LDAP_TLS_CERTFILE, ldap.certificate_file.as_ref(), errors);
    let key = read(&o::LDAP_TLS_KEYFILE, ldap.key_file.as_ref(), errors);
    let (ca, chain, key) = (ca?, chain?, key?);
    let (option, at) = match (&ldap.certificate_file, &ldap.ca_file) {
        (Some(file), _) => (&o::LDAP_TLS_CERTFILE, &file.at),
        (None, Some(file)) => (&o::LDAP_TLS_CACERTFILE, &file.at),
        (None, None) => (&o::LDAP_SERVER, ldap.servers.first().map_or(&Location::Default, |s| &s.at)),
    };
    let client = chain.as_deref().zip(key.as_deref());
    let client = client.map(|(chain, key)| ClientCertificate { chain, key });
    match Tls::new(ca.as_deref(), client) {
        Ok(tls) => Some(Some(Arc::new(tls))),
        Err(error) => {
            errors.push(at, format!("{}: {error}", option.title()));
            None
        }
    }
}

/// The file's bytes, if one is named. `None` if it cannot be read.
#[expect(clippy::option_option, reason = "a file that is not named is not one that cannot be read")]
fn read(option: &o::Opt, file: Option<&Located<PathBuf>>, errors: &mut Errors) -> Option<Option<Vec<u8>>> {
    let Some(file) = file else { return Some(None) };
    match std::fs::read(&file.value) {
        Ok(bytes) => Some(Some(bytes)),
        Err(error) => {
            errors.push(&file.at, format!("{}: {}: {error}", option.title(), file.value.display()));
            None
        }
    }
}

/// Who is bound. That what belongs together is there was checked with the settings.
fn flow(ldap: &settings::Ldap, errors: &mut Errors) -> Option<Flow> {
    let find = match &ldap.search {
        None => None,
        Some(search) => {
            if dn::parse(&search.value).is_none() {
                let (title, allowed) = (o::LDAP_SEARCH.title(), o::LDAP_SEARCH.allowed);
                errors.push(&search.at, format!("{title}: expected {allowed}, found {:?}", search.value));
                return None;
            }
            let filter = ldap.search_filter.as_ref().map(|filter| {
                let parsed = Filter::parse(&filter.value);
                parsed.map_err(|error| {
                    errors.push(&filter.at, format!("{}: {error}", o::LDAP_SEARCH_FILTER.title()));
                })
            });
            Some(Find { base: search.value.as_str().into(), filter: filter.transpose().ok()? })
        }
    };
    match (&ldap.bind_user, &ldap.bind_password, find) {
        (Some(user), Some(password), Some(find)) => {
            Some(Flow::Indirect { user: user.value.as_str().into(), password: password.value.clone(), find })
        }
        (None, _, find) => {
            let format = ldap.username_format.as_ref();
            let domain = ldap.append_domain.as_ref().map(|domain| domain.value.as_str());
            match NameFormat::parse(format.map(|format| format.value.as_str()), domain) {
                Ok(format) if find.is_some() || format.kind() == Kind::DistinguishedName => {
                    Some(Flow::Direct { format, find })
                }
                Ok(_) => {
                    let place = format.or(ldap.append_domain.as_ref()).map(|text| &text.at);
                    let place = place.or(ldap.servers.first().map(|server| &server.at));
                    errors.push(place.unwrap_or(&Location::Default), needs_search());
                    None
                }
                Err(error) => {
                    let at = format.map_or(&Location::Default, |format| &format.at);
                    errors.push(at, format!("{}: {error}", o::LDAP_USERNAME_FORMAT.title()));
                    None
                }
            }
        }
        (Some(_), _, _) => None,
    }
}

fn needs_search() -> String {
    format!(
        "{} is needed, unless {} makes a distinguished name such as \"uid=%s,ou=people,dc=example,dc=com\": a \
         directory takes several spellings for one name, and the entry says which is the right one",
        o::LDAP_SEARCH.title(),
        o::LDAP_USERNAME_FORMAT.title()
    )
}
