//! A certificate with its key, read from PEM.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate that clients are shown, with its key and what it says of itself.
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    /// The file it was read from, for metrics and messages.
    pub file: String,
    /// The names it is for, in lower case; `*.` for any one label.
    pub names: Vec<String>,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it ends to be valid.
    pub not_after: SystemTime,
}

/// Why a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// Not in PEM.
    #[error("cannot be read as PEM: {0}")]
    Pem(String),
    /// There is none.
    #[error("holds no certificate: at least one is needed, in PEM")]
    Empty,
    /// It is none.
    #[error("holds a certificate that cannot be read: {0}")]
    Broken(String),
}

/// Why a private key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not in PEM. The reason is left out: it may quote the key.
    #[error("cannot be read as PEM")]
    Pem,
    /// There is none, or it is encrypted.
    #[error("holds no private key: one is needed, in PEM, without a passphrase")]
    Empty,
    /// Of a kind that cannot sign.
    #[error("holds a private key that cannot be used: {0}")]
    Unusable(String),
}

/// Why a pair of files is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] InvalidCertificate),
    /// The key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// They do not belong together.
    #[error("is not the key of the certificate")]
    Pair,
}

impl Certificate {
    /// Reads a chain and its key. `file` is what messages and metrics call the chain.
    ///
    /// # Errors
    /// One of them cannot be read, or neither, or they do not belong together.
    pub fn parse(file: String, chain: &[u8], key: &[u8]) -> Result<Self, Vec<Mismatch>> {
        match (self::chain(chain), self::key(key)) {
            (Ok(chain), Ok(key)) => Self::of(file, chain, key).map_err(|wrong| vec![wrong]),
            (chain, key) => Err(chain
                .err()
                .map(Mismatch::from)
                .into_iter()
                .chain(key.err().map(Mismatch::from))
                .collect()),
        }
    }

    fn of(
        file: String,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Mismatch> {
        let first = chain.first().ok_or(InvalidCertificate::Empty)?;
        let (_, read) = X509Certificate::from_der(first)
            .map_err(|error| InvalidCertificate::Broken(error.to_string()))?;
        let validity = read.validity();
        let (not_before, not_after) =
            (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()));
        let names = names(&read);
        let certified =
            CertifiedKey::from_der(chain, key, &super::provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => Mismatch::Pair,
                rustls::Error::InvalidCertificate(why) => InvalidCertificate::Broken(why.to_string()).into(),
                other => InvalidKey::Unusable(other.to_string()).into(),
            })?;
        Ok(Self { certified: Arc::new(certified), file, names, not_before, not_after })
    }

    /// Whether it is for this host (RFC 9525, section 6.3: a wildcard stands for one whole label).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|name| match name.strip_prefix('*') {
            Some(domain) => {
                domain.starts_with('.') && host.split_once('.').is_some_and(|(_, rest)| rest == &domain[1..])
            }
            None => *name == host,
        })
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificate> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| InvalidCertificate::Pem(error.to_string()))?;
    if chain.is_empty() { Err(InvalidCertificate::Empty) } else { Ok(chain) }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, InvalidKey> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => InvalidKey::Empty,
        _ => InvalidKey::Pem,
    })
}

/// The DNS names of a certificate. Its subject counts for nothing, as for every client of today.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &[u8] = include_bytes!("../../../tests/tls/airflow.pem");
    const KEY: &[u8] = include_bytes!("../../../tests/tls/airflow.key");
    const OTHER: &[u8] = include_bytes!("../../../tests/tls/wildcard.key");
    const WILDCARD: &[u8] = include_bytes!("../../../tests/tls/wildcard.pem");

    fn read(chain: &[u8], key: &[u8]) -> Result<Certificate, Vec<Mismatch>> {
        Certificate::parse("a.pem".into(), chain, key)
    }

    #[test]
    fn names_are_matched_label_by_label() {
        let (plain, wildcard) = (read(CHAIN, KEY).unwrap(), read(WILDCARD, OTHER).unwrap());
        for (host, first, second) in [
            ("airflow.example.com", true, false),
            ("AIRFLOW.example.com.", true, false),
            ("a.apps.example.com", false, true),
            ("A.Apps.Example.com", false, true),
            ("a.b.apps.example.com", false, false),
            ("apps.example.com", false, false),
            (".apps.example.com", false, true),
            ("example.com", false, false),
            ("", false, false),
        ] {
            assert_eq!((plain.is_for(host), wildcard.is_for(host)), (first, second), "{host}");
        }
        assert!(plain.not_before < plain.not_after);
    }

    #[test]
    fn what_is_no_pair_is_refused_with_the_reason() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, chain, key, expected) in [
            ("no certificate", &b""[..], KEY, "holds no certificate: at least one is needed, in PEM"),
            ("a key in its place", KEY, KEY, "holds no certificate: at least one is needed, in PEM"),
            ("no key", CHAIN, &b""[..], "holds no private key: one is needed, in PEM, without a passphrase"),
            (
                "a certificate in its place",
                CHAIN,
                CHAIN,
                "holds no private key: one is needed, in PEM, without a passphrase",
            ),
            ("cut off", CHAIN, &KEY[..KEY.len() / 2], "cannot be read as PEM"),
            ("another's key", CHAIN, OTHER, "is not the key of the certificate"),
            ("no certificate inside", broken, KEY, "holds a certificate that cannot be read"),
            (
                "neither",
                b"",
                b"",
                "holds no certificate: at least one is needed, in PEM; holds no private key: one is needed, in PEM, \
                 without a passphrase",
            ),
        ] {
            let found = read(chain, key).err().unwrap_or_default();
            let said = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            assert!(said.starts_with(expected), "{name}: {said}");
        }
    }
}
