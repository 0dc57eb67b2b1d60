//! `[server.tls]`: certificates, keys, and who vouches for clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::settings::{CertificateFiles, Settings};
use crate::config::{Errors, Located, Location};
use crate::proxy::tls::{Certificate, ClientCa, Mismatch, Tls};

pub(super) fn tls(settings: &Settings, errors: &mut Errors) -> Option<Arc<Tls>> {
    let from = settings.server.tls.as_ref()?;
    let certificates: Vec<_> =
        from.certificates.iter().filter_map(|files| certificate(files, errors)).collect();
    let client_ca = match &from.client_ca {
        Some(path) => Some(client_ca(path, errors)?),
        None => None,
    };
    if certificates.len() < from.certificates.len() {
        return None;
    }
    match Tls::new(certificates, client_ca) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(error) => {
            let at = from.certificates.first().map_or(&Location::Default, |files| &files.certificate.at);
            errors.push(at, format!("[server.tls] certificate: {error}"));
            None
        }
    }
}

fn client_ca(path: &Located<PathBuf>, errors: &mut Errors) -> Option<ClientCa> {
    let read =
        contents(path).and_then(|read| ClientCa::parse(&read).map_err(|error| said(&path.value, &error)));
    read.map_err(|message| errors.push(&path.at, format!("[server.tls] client_ca: {message}"))).ok()
}

fn certificate(files: &CertificateFiles, errors: &mut Errors) -> Option<Certificate> {
    let CertificateFiles { certificate, key } = files;
    let read = |path: &Located<_>, option: &str, errors: &mut Errors| match contents(path) {
        Ok(bytes) => Some(bytes),
        Err(message) => {
            errors.push(&path.at, format!("[server.tls] {option}: {message}"));
            None
        }
    };
    let (chain, secret) = (read(certificate, "certificate", errors), read(key, "key", errors));
    match Certificate::parse(certificate.value.display().to_string(), &chain?, &secret?) {
        Ok(found) => {
            if found.not_after < SystemTime::now() {
                tracing::warn!(at = %certificate.at, file = found.file, "a certificate of [server.tls] has expired");
            }
            Some(found)
        }
        Err(found) => {
            for wrong in found {
                let (path, option) = match wrong {
                    Mismatch::Certificate(_) => (certificate, "certificate"),
                    Mismatch::Key(_) | Mismatch::Pair => (key, "key"),
                };
                errors.push(&path.at, format!("[server.tls] {option}: {}", said(&path.value, &wrong)));
            }
            None
        }
    }
}

fn contents(path: &Located<PathBuf>) -> Result<Vec<u8>, String> {
    std::fs::read(&path.value).map_err(|error| said(&path.value, &error))
}

fn said(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
