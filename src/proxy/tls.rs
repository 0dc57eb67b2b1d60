//! TLS with clients: which certificate is shown to whom, and who may connect.

mod certificate;

use std::fmt;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Connection;
use pingora::{Error, ErrorType};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use crate::ports::upstream::{InvalidCa, roots};
pub use certificate::{Certificate, InvalidCertificate, InvalidKey, Mismatch};

/// What is spoken over TLS, preferred first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS as it is in force. Replaced whole when a file changes; a connection keeps the one that it began with.
pub struct Tls {
    certificates: Arc<Certificates>,
    acceptor: Acceptor,
}

/// Authorities that may vouch for clients.
pub struct ClientCa(RootCertStore);

/// Why there can be no TLS at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct InvalidTls(String);

impl ClientCa {
    /// Reads one or more certificates in PEM.
    ///
    /// # Errors
    /// There is none, or one that cannot be trusted.
    pub fn parse(pem: &[u8]) -> Result<Self, InvalidCa> {
        roots(pem).map(|(roots, _)| Self(roots))
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with these certificates, of which the first is for who asks for no name or for an unknown
    /// one. With `client_ca`, clients need a certificate.
    ///
    /// # Errors
    /// None that is known: what goes in is checked before.
    pub fn new(certificates: Vec<Certificate>, client_ca: Option<ClientCa>) -> Result<Self, InvalidTls> {
        let invalid = |error: &dyn fmt::Display| InvalidTls(error.to_string());
        let certificates = Arc::new(Certificates(certificates));
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(&error))?;
        let builder = match client_ca {
            Some(ClientCa(roots)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| invalid(&error))?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(certificates.clone());
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        Ok(Self { certificates, acceptor: Acceptor::from_server_config(Arc::new(config)) })
    }

    /// The certificates, as configured.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates.0
    }

    /// Agrees on TLS with a client.
    ///
    /// # Errors
    /// The client wants something else, or has no certificate that it needs.
    pub(super) async fn accept(&self, stream: Stream) -> pingora::Result<Stream> {
        // Pingora's own listeners make nothing else.
        let connection = stream.into_any().downcast::<Connection>();
        let connection = connection
            .map_err(|_| Error::explain(ErrorType::InternalError, "not a connection of its own"))?;
        Ok(Box::new(self.acceptor.tls_handshake(*connection).await?))
    }
}

/// The provider that the program has installed, else the one it would install.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// The certificates, and which of them is shown.
struct Certificates(Vec<Certificate>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("number", &self.0.len()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.0.iter().find(|one| one.is_for(name)));
        named.or_else(|| self.0.first()).map(|certificate| certificate.certified().clone())
    }
}
