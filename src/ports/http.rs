//! A client for URLs that are not the upstream: key sets of issuers, Keycloak.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{HttpClient, SendError};

/// An HTTP client with bounds. Follows no redirect: what a URL answers elsewhere was not asked for.
pub struct Client {
    inner: reqwest::Client,
    max_body: usize,
    roots: Roots,
}

/// Whether anybody can vouch for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Roots {
    /// There are authorities, or nobody needs them.
    Some,
    /// The system has none: `https` fails, and the client is there for all that is `http`.
    None,
}

/// Who may vouch for a server.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// The system's authorities.
    System,
    /// These too, in PEM.
    Also(&'a [u8]),
    /// These alone, in PEM.
    Only(&'a [u8]),
    /// Nobody is asked: any certificate will do, and who sits in between reads everything.
    Anybody,
}

impl Client {
    /// A client whose requests take at most `timeout` in all, and whose answers have at most
    /// `max_body` bytes. `ca` holds additional certificate authorities in PEM.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub fn new(timeout: Duration, max_body: usize, ca: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        Self::trusting(timeout, max_body, ca.map_or(Trust::System, Trust::Also))
    }

    /// Likewise, with other ideas of whom to trust.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub fn trusting(timeout: Duration, max_body: usize, trust: Trust<'_>) -> Result<Self, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .timeout(timeout)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .pool_idle_timeout(Duration::from_secs(30))
                .user_agent(concat!("airgate/", env!("CARGO_PKG_VERSION")))
        };
        let built = match trust {
            Trust::System => builder(),
            Trust::Also(pem) => builder().tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?),
            Trust::Only(pem) => builder().tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?),
            Trust::Anybody => builder().tls_danger_accept_invalid_certs(true),
        }
        .build();
        let (inner, roots) = match (built, trust) {
            // A client of the system's authorities is refused where there are none.
            (Err(_), Trust::System) => (builder().tls_certs_only([]).build()?, Roots::None),
            (built, Trust::System | Trust::Also(_) | Trust::Only(_) | Trust::Anybody) => {
                (built?, Roots::Some)
            }
        };
        Ok(Self { inner, max_body, roots })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, SendError> {
        let request = request.try_into().map_err(|e| failed(&e))?;
        let mut response = self.inner.execute(request).await.map_err(|e| self.failed(&e))?;
        let mut head = http::Response::new(());
        *head.status_mut() = response.status();
        *head.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))? {
            if body.len() + chunk.len() > self.max_body {
                return Err(SendError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(head.map(|()| body.freeze()))
    }
}

impl Client {
    /// Why there is no answer; and that nobody vouches for anybody here, where that is the cause.
    fn failed(&self, error: &reqwest::Error) -> SendError {
        match (failed(error), self.roots) {
            (SendError::Connect(cause), Roots::None) if cause.contains("certificate") => {
                SendError::Connect(format!("{cause}: this system has no certificate authorities"))
            }
            (other, Roots::Some | Roots::None) => other,
        }
    }
}

fn failed(error: &reqwest::Error) -> SendError {
    if error.is_timeout() {
        SendError::Timeout
    } else if error.is_connect() {
        SendError::Connect(root_cause(error))
    } else {
        SendError::Other(root_cause(error))
    }
}

/// The innermost cause: the outer ones repeat the URL, which may hold what should not be logged.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
