//! Keycloak: the token endpoint of one realm, and what it says of a token's user.

mod answer;
mod form;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};

use super::http::{Client, Trust};
use super::{HttpClient, SendError};
use crate::secret::Secret;

/// A realm of Keycloak, as a client of it sees it.
///
/// Time limits, connections and their reuse belong to the implementation. Nothing is tried twice.
#[async_trait]
pub trait Keycloak: Send + Sync {
    /// Runs a grant at the token endpoint (RFC 6749), with the scope `openid`.
    ///
    /// # Errors
    /// No tokens: see [`KeycloakError`].
    async fn grant(&self, grant: Grant<'_>) -> Result<Tokens, KeycloakError>;

    /// Asks who an access token is for (OpenID Connect Core, section 5.3), which also tells whether its
    /// session lives and its user is enabled.
    ///
    /// # Errors
    /// The token is not live, or it cannot be told: see [`KeycloakError`].
    async fn user_info(&self, access_token: &Secret) -> Result<UserInfo, KeycloakError>;

    /// Asks whether the realm answers there, on nobody's behalf. Only that of [`Endpoint::Discovery`] leaves nothing in
    /// its log.
    ///
    /// # Errors
    /// It does not, or with what makes no sense: see [`KeycloakError::Unavailable`].
    async fn alive(&self, endpoint: Endpoint) -> Result<(), KeycloakError>;
}

/// Where a realm is asked. They may fail apart: what stands in front of Keycloak may send each elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The document that names the others (OpenID Connect Discovery, section 4).
    Discovery,
    /// For grants.
    Token,
    /// For access tokens.
    UserInfo,
}

/// One of OAuth's grants. The client is the configured one, but for `ClientCredentials`.
#[derive(Clone, Copy)]
pub enum Grant<'a> {
    /// A user's name and password.
    Password {
        /// The name, or an e-mail address where the realm allows it.
        username: &'a str,
        /// The password.
        password: &'a Secret,
    },
    /// A client's own id and secret.
    ClientCredentials {
        /// The id.
        id: &'a str,
        /// The secret.
        secret: &'a Secret,
    },
    /// Goes on with a session.
    RefreshToken(&'a Secret),
}

/// What a grant gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token. Not verified: it came from Keycloak itself.
    pub access: Secret,
    /// The refresh token. `None` for a client's own grant. Replaces the one that was used, which may be dead.
    pub refresh: Option<Secret>,
    /// Whom the ID token names, else the access token.
    pub user: TokenUser,
    /// The session's id. `None` where there is no session, as for a client's own grant.
    pub sid: Option<Box<str>>,
    /// How long the access token lives, from when it was asked for.
    pub expires_in: Duration,
}

/// Whom tokens name, as far as they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenUser {
    /// `sub`: the user's id.
    pub id: Option<Box<str>>,
    /// `preferred_username`.
    pub name: Option<Box<str>>,
}

/// A live token's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// `sub`: the user's id.
    pub id: Box<str>,
    /// `preferred_username`, else `clientId`. `None` where a realm says neither.
    pub name: Option<Box<str>>,
}

/// Why Keycloak gave nothing. The texts are for the log: no part of them goes to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeycloakError {
    /// The password, the token or the session is not good: `invalid_grant`, a user that is disabled or has
    /// something left to do; at userinfo 401 and 403.
    #[error("refused: {0}")]
    Refused(String),
    /// The client is not good: unknown, with another secret, or not allowed this grant.
    #[error("the client is refused: {0}")]
    Client(String),
    /// It cannot be told now: no answer, or one that makes no sense.
    #[error("{cause}")]
    Unavailable {
        /// Whether that says anything of Keycloak itself.
        fault: Fault,
        /// What failed.
        cause: String,
        /// When to try again.
        retry_after: Duration,
    },
}

/// What is the matter where Keycloak tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing came in time, or no connection: others would wait too.
    NoAnswer,
    /// 500 to 599: it is there, and says itself that it is not well.
    ServerError,
    /// An answer that means nothing here, as a firewall's page. It may be due to what this client sent, and tells
    /// nothing of what others would be answered.
    Odd,
}

/// Where the realm is, and how it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `server_url`: scheme, host, port and path, without a slash at its end.
    pub server_url: String,
    /// `realm`.
    pub realm: String,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: Secret,
    /// `ca_file`: PEM certificates of those who may vouch for the server. Default: the system's.
    pub ca: Option<Vec<u8>>,
    /// `verify`. Off takes any certificate. Default on.
    pub verify: bool,
    /// `timeout` of one request, connecting included.
    pub timeout: Duration,
}

impl Settings {
    /// The realm's `iss`, as Airflow's provider writes it.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.server_url, self.realm)
    }

    /// The realm's keys (RFC 7517).
    ///
    /// # Errors
    /// `server_url` is no URL.
    pub fn certs(&self) -> Result<Uri, InvalidKeycloak> {
        self.endpoint("certs")
    }

    fn endpoint(&self, name: &str) -> Result<Uri, InvalidKeycloak> {
        self.below_realm(&format!("protocol/openid-connect/{name}"))
    }

    fn below_realm(&self, path: &str) -> Result<Uri, InvalidKeycloak> {
        let realm = form::encoded(&self.realm);
        format!("{}/realms/{realm}/{path}", self.server_url).parse().map_err(|_| InvalidKeycloak::Url)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("issuer", &self.issuer())
            .field("client_id", &self.client_id)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

/// Why there can be no client of Keycloak.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKeycloak {
    /// The address cannot be put together.
    #[error("server_url and realm make no URL")]
    Url,
    /// The certificates cannot be used.
    #[error("{0}")]
    Client(#[from] reqwest::Error),
}

/// Keycloak over HTTP, on connections that are kept alive and reused.
pub struct HttpKeycloak {
    settings: Settings,
    client: Arc<dyn HttpClient>,
    token: Uri,
    user_info: Uri,
    /// OpenID Connect Discovery, section 4.
    discovery: Uri,
}

impl HttpKeycloak {
    /// The largest answer that is read: key sets may be long, tokens are a few thousand bytes.
    const MAX_ANSWER: usize = 1 << 20;

    /// A client for this realm. Asks nobody yet.
    ///
    /// # Errors
    /// See [`InvalidKeycloak`].
    pub fn new(settings: Settings) -> Result<Self, InvalidKeycloak> {
        let trust = match (&settings.ca, settings.verify) {
            (_, false) => Trust::Anybody,
            (Some(pem), true) => Trust::Only(pem),
            (None, true) => Trust::System,
        };
        let client = Arc::new(Client::trusting(settings.timeout, Self::MAX_ANSWER, trust)?);
        Self::with(settings, client)
    }

    /// Likewise, by another HTTP client.
    ///
    /// # Errors
    /// `server_url` and `realm` make no URL.
    pub fn with(settings: Settings, client: Arc<dyn HttpClient>) -> Result<Self, InvalidKeycloak> {
        let (token, user_info) = (settings.endpoint("token")?, settings.endpoint("userinfo")?);
        let discovery = settings.below_realm(".well-known/openid-configuration")?;
        Ok(Self { settings, client, token, user_info, discovery })
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The HTTP client, for the realm's keys.
    pub fn client(&self) -> &Arc<dyn HttpClient> {
        &self.client
    }

    async fn send(
        &self,
        request: http::Result<Request<Bytes>>,
    ) -> Result<http::Response<Bytes>, KeycloakError> {
        let request = request.map_err(|error| odd(error.to_string()))?;
        self.client.send(request).await.map_err(|error| {
            let fault = match error {
                SendError::Timeout | SendError::Connect(_) | SendError::Other(_) => Fault::NoAnswer,
                SendError::TooLarge => Fault::Odd,
            };
            KeycloakError::Unavailable { fault, cause: format!("keycloak: {error}"), retry_after: RETRY }
        })
    }
}

#[async_trait]
impl Keycloak for HttpKeycloak {
    async fn grant(&self, grant: Grant<'_>) -> Result<Tokens, KeycloakError> {
        let own = (self.settings.client_id.as_str(), &self.settings.client_secret);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.token.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(form::body(grant, own));
        answer::tokens(&self.send(request).await?)
    }

    async fn user_info(&self, access_token: &Secret) -> Result<UserInfo, KeycloakError> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose()));
        let mut bearer =
            bearer.map_err(|_| KeycloakError::Refused("the token cannot stand in a header".to_owned()))?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .uri(self.user_info.clone())
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Bytes::new());
        answer::user_info(&self.send(request).await?)
    }

    async fn alive(&self, endpoint: Endpoint) -> Result<(), KeycloakError> {
        let nobodys = Secret::new("airgate");
        let answered = match endpoint {
            Endpoint::Discovery => {
                let request = Request::builder()
                    .uri(self.discovery.clone())
                    .header(ACCEPT, HeaderValue::from_static("application/json"))
                    .body(Bytes::new());
                if self.send(request).await.is_ok_and(|said| answer::names_realm(&said, &self.settings.realm))
                {
                    return Ok(());
                }
                // Something in front of Keycloak may hide that document. What is needed decides.
                self.user_info(&nobodys).await.map(drop)
            }
            Endpoint::Token => self.grant(Grant::RefreshToken(&nobodys)).await.map(drop),
            Endpoint::UserInfo => self.user_info(&nobodys).await.map(drop),
        };
        match answered {
            Ok(()) | Err(KeycloakError::Refused(_) | KeycloakError::Client(_)) => Ok(()),
            Err(error @ KeycloakError::Unavailable { .. }) => Err(error),
        }
    }
}

/// When to ask again, where Keycloak does not say.
const RETRY: Duration = Duration::from_secs(5);

fn odd(cause: impl Into<String>) -> KeycloakError {
    KeycloakError::Unavailable { fault: Fault::Odd, cause: cause.into(), retry_after: RETRY }
}
