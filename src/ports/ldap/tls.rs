//! TLS to a directory: whom to trust, and who we are.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::LdapError;
use super::connection::Stream;

/// TLS 1.2 and 1.3, the server's certificate always verified.
pub struct Tls(TlsConnector);

/// Why there can be no TLS. For whoever wrote the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTls {
    /// Not in PEM.
    #[error("cannot be read as PEM: {0}")]
    Pem(String),
    /// There is no certificate in it.
    #[error("holds no certificate: at least one is needed, in PEM")]
    Empty,
    /// The system has none either.
    #[error("the system has no certificate authorities: name some in tls_cacertfile")]
    NoSystemAuthorities,
    /// A certificate or a key that cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// Our own certificate and key, in PEM.
#[derive(Clone, Copy)]
pub struct ClientCertificate<'a> {
    /// The certificate, and those that lead to an authority.
    pub chain: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
}

impl Tls {
    /// Trusts the authorities in `ca` (PEM), else the system's. A certificate in `ca` that a server
    /// itself presents is trusted too: that is what a self-signed one takes.
    ///
    /// # Errors
    /// A file is not what it should be, or there is nobody to trust.
    pub fn new(ca: Option<&[u8]>, client: Option<ClientCertificate<'_>>) -> Result<Self, InvalidTls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier::new(ca, provider.clone())?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match client {
            None => config.with_no_client_auth(),
            Some(client) => {
                let chain = certificates(client.chain)?;
                let key = PrivateKeyDer::from_pem_slice(client.key)
                    .map_err(|error| InvalidTls::Pem(error.to_string()))?;
                config.with_client_auth_cert(chain, key).map_err(unusable)?
            }
        };
        Ok(Self(Arc::new(config).into()))
    }

    /// Begins TLS with the server of this name.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> Result<TlsStream<Box<dyn Stream>>, LdapError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| LdapError::Tls(e.to_string()))?;
        self.0.connect(name, stream).await.map_err(|error| LdapError::Tls(error.to_string()))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(InvalidTls::Empty),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(InvalidTls::Pem(error.to_string())),
    }
}

fn unusable(error: impl fmt::Display) -> InvalidTls {
    InvalidTls::Unusable(error.to_string())
}

/// Verifies as usual, and knows certificates that need no authority.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    known: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(ca: Option<&[u8]>, provider: Arc<CryptoProvider>) -> Result<Self, InvalidTls> {
        let mut roots = RootCertStore::empty();
        let known = match ca {
            Some(pem) => certificates(pem)?,
            None => Vec::new(),
        };
        for certificate in &known {
            roots.add(certificate.clone()).map_err(unusable)?;
        }
        if ca.is_none() {
            // Of the system's own, those that cannot be read are left out.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            return Err(InvalidTls::NoSystemAuthorities);
        }
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self { usual: usual.build().map_err(unusable)?, known })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // It was named to us, so no name in it need be right; that the server has its key is proved
        // by the handshake.
        if self.known.iter().any(|known| known == certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        self.usual.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
