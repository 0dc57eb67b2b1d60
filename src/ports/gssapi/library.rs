//! MIT's `libgssapi_krb5`, loaded at run time.
//!
//! Loaded and not linked, so that the binary runs where no Kerberos is installed, and builds without its
//! headers. Only the dozen functions that accepting takes are declared, by RFC 2744 and MIT's extension of
//! credential stores, which no environment variable has to be changed for. The unsafe code of it
//! is in `ffi.rs`.

mod ffi;
mod status;

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::{Acceptor, Established, Failure, Fault, Keys, Service};
use ffi::{Context, Credential, Functions, KeyValue, KeyValues, Name, Oid};
use status::Status;

/// `clockskew` of krb5.conf, as it is by default.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The library, in memory until the process ends: what it has allocated cannot outlive it.
static LIBRARY: OnceLock<Functions> = OnceLock::new();

/// The library's name, of every release since 2004.
const SONAME: &str = "libgssapi_krb5.so.2";
/// The file of the replay cache in its folder.
const REPLAY_CACHE: &str = "airgate.rcache2";

/// Why there is no GSSAPI.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not installed, or it lacks a function.
    #[error("needs MIT Kerberos, {SONAME} (Debian: libgssapi-krb5-2): {0}")]
    Library(#[from] libloading::Error),
    /// A path or name that C cannot take.
    #[error("{0:?} holds a NUL")]
    Nul(String),
}

/// An [`Acceptor`] by MIT's library.
pub struct MitAcceptor {
    functions: &'static Functions,
    keytab: Option<(PathBuf, CString)>,
    replay_cache: Option<(PathBuf, CString)>,
    name: Option<(CString, &'static Oid)>,
    /// What was wrong with the library's own replay cache at the last token: where it is only the library
    /// knows, so nobody can look at it without a token.
    own_cache: Mutex<Option<String>>,
}

impl MitAcceptor {
    /// Loads the library, unless it is loaded.
    ///
    /// # Errors
    /// It is not installed.
    pub fn new(keys: &Keys) -> Result<Self, LoadError> {
        let functions = match LIBRARY.get() {
            Some(functions) => functions,
            None => {
                let loaded = Functions::load(SONAME)?;
                LIBRARY.get_or_init(|| loaded)
            }
        };
        let name = |text: &str| CString::new(text).map_err(|_| LoadError::Nul(text.to_owned()));
        let replay_cache = keys.replay_cache.as_ref().map(|folder| folder.join(REPLAY_CACHE));
        Ok(Self {
            functions,
            keytab: named("FILE:", keys.keytab.clone())?,
            replay_cache: named("file2:", replay_cache)?,
            name: match &keys.service {
                Service::Any => None,
                Service::Principal(principal) => Some((name(principal)?, &ffi::KRB5_PRINCIPAL_NAME)),
                Service::AnyHost(service) => Some((name(service)?, &ffi::HOSTBASED_SERVICE)),
            },
            own_cache: Mutex::default(),
        })
    }

    /// The credential of the keytab as it is now.
    fn credential(&self) -> Result<Credential<'_>, String> {
        let name = match &self.name {
            Some((text, kind)) => Name::import(self.functions, text.as_bytes(), kind)
                .map(Some)
                .map_err(|status| format!("principal: {}", status.text(self.functions)))?,
            None => None,
        };
        let pairs =
            [(c"keytab", name_of(self.keytab.as_ref())), (c"rcache", name_of(self.replay_cache.as_ref()))];
        let pairs: Vec<_> =
            pairs.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?))).collect();
        let store = KeyValues::of(&pairs);
        Credential::acquire(self.functions, name.as_ref(), &ffi::MECHANISMS, &store)
            .and_then(|mut credential| credential.negotiate_only(&ffi::KERBEROS_ALONE).map(|()| credential))
            .map_err(|status| self.no_credential(status))
    }

    /// Remembers what is wrong with the library's own replay cache, or that nothing is: only a good token
    /// and one that was used before get that far.
    fn remember(&self, failure: Option<&Failure>) {
        let unable = match failure {
            None | Some(Failure::Bad(Fault::Replayed, _)) => None,
            Some(Failure::Unable(text)) => Some(text.clone()),
            Some(Failure::Bad(..)) => return,
        };
        if self.replay_cache.is_none() {
            *self.own_cache.lock().unwrap_or_else(PoisonError::into_inner) = unable;
        }
    }

    /// Why there is no credential. The library calls every keytab that it cannot read missing or empty.
    fn no_credential(&self, status: Status) -> String {
        match self.keytab.as_ref().map(|(path, _)| (path, File::open(path))) {
            Some((path, Err(error))) => format!("keytab {}: {error}", path.display()),
            Some((_, Ok(_))) | None => format!("keytab: {}", status.text(self.functions)),
        }
    }
}

impl Acceptor for MitAcceptor {
    fn accept(&self, token: &[u8]) -> Result<Established, Failure> {
        let credential = self.credential().map_err(Failure::Unable)?;
        let accepted = Context::accept(self.functions, &credential, token);
        let accepted = accepted.map_err(|status| status.failure(self.functions));
        self.remember(accepted.as_ref().err());
        let accepted = accepted?;
        if accepted.continues {
            return Err(Failure::Bad(Fault::Continued, "more than one leg".into()));
        }
        if !accepted.by_kerberos {
            return Err(Failure::Bad(Fault::Mechanism, "another mechanism than Kerberos".into()));
        }
        if accepted.anonymous {
            return Err(Failure::Bad(Fault::Anonymous, "an anonymous client".into()));
        }
        let principal = accepted.client.display().map_err(|status| status.failure(self.functions))?;
        let principal = String::from_utf8(principal)
            .map_err(|_| Failure::Bad(Fault::Other, "a name that is not UTF-8".into()))?;
        // The library adds what clocks may differ by, which is no time that the ticket has.
        let left = Duration::from_secs(accepted.lifetime.into()).saturating_sub(CLOCK_SKEW);
        let lifetime = (accepted.lifetime != ffi::INDEFINITE).then_some(left);
        Ok(Established { principal, reply: accepted.reply, lifetime })
    }

    fn probe(&self) -> Result<(), String> {
        drop(self.credential()?);
        if let Some((file, _)) = &self.replay_cache {
            let open = OpenOptions::new().create(true).append(true).mode(0o600).open(file);
            open.map_err(|error| format!("replay cache {}: {error}", file.display()))?;
        }
        let own = self.own_cache.lock().unwrap_or_else(PoisonError::into_inner);
        own.clone().map_or(Ok(()), Err)
    }
}

/// A file, with its name for the library.
fn named(kind: &str, path: Option<PathBuf>) -> Result<Option<(PathBuf, CString)>, LoadError> {
    let Some(path) = path else { return Ok(None) };
    let text = [kind.as_bytes(), path.as_os_str().as_bytes()].concat();
    let text = CString::new(text).map_err(|_| LoadError::Nul(path.display().to_string()))?;
    Ok(Some((path, text)))
}

/// The name for the library.
fn name_of(file: Option<&(PathBuf, CString)>) -> Option<&CStr> {
    file.map(|(_, name)| name.as_c_str())
}

/// An acceptor that can be shared.
///
/// # Errors
/// As [`MitAcceptor::new`].
pub fn acceptor(keys: &Keys) -> Result<Arc<dyn Acceptor>, LoadError> {
    Ok(Arc::new(MitAcceptor::new(keys)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_installed_is_named() {
        let error = Functions::load("libno-such-library.so.9").err().map(LoadError::from).unwrap();
        let text = error.to_string();
        assert!(
            text.starts_with("needs MIT Kerberos, libgssapi_krb5.so.2 (Debian: libgssapi-krb5-2): "),
            "{text}"
        );
    }

    #[test]
    fn a_path_that_c_cannot_take() {
        let keys = Keys { keytab: Some("a\0b".into()), service: Service::Any, replay_cache: None };
        assert!(matches!(MitAcceptor::new(&keys), Err(LoadError::Nul(_))));
    }
}
