//! Tokens made here, as Airflow makes them (`JWTGenerator`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::algorithm::algorithm_name;
use crate::secret::Secret;

/// Mints tokens that an Airflow with the same `[api_auth]` settings accepts.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    header: String,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Whom a token is for, as the auth manager's `serialize_user` writes it.
#[derive(Debug, Clone, Copy)]
pub enum Principal<'a> {
    /// A user of the simple auth manager: `sub`, `role`, `teams`.
    Simple {
        /// The name in `simple_auth_manager_users`.
        name: &'a str,
        /// The role there.
        role: &'a str,
        /// The teams there; empty without multi-team mode.
        teams: &'a [String],
    },
    /// A user of Flask-AppBuilder: `sub` is the id in `ab_user`.
    Fab {
        /// The id.
        id: i64,
    },
    /// A user of Keycloak: `user_id`, `name`, and Keycloak's own tokens, as for a client that sends no cookies.
    Keycloak {
        /// Keycloak's id of the user.
        id: &'a str,
        /// The name.
        name: &'a str,
        /// The access token, by which Airflow asks what the user may do.
        access: &'a Secret,
        /// The refresh token. None of a client's own grant, nor where it is nobody's business.
        refresh: Option<&'a Secret>,
    },
}

/// Why no token could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key failed. It was tried when it was read, so this should not happen.
    #[error("the key of tokens cannot sign: {0}")]
    Key(String),
}

impl Signer {
    pub(super) fn new(
        key: EncodingKey,
        algorithm: Algorithm,
        kid: &str,
        issuer: Option<&String>,
        audience: Option<&String>,
    ) -> Self {
        let kid = serde_json::Value::from(kid);
        let header = format!(r#"{{"alg":"{}","kid":{kid},"typ":"JWT"}}"#, algorithm_name(algorithm));
        // Airflow leaves out what is empty.
        let written = |value: Option<&String>| value.filter(|value| !value.is_empty()).cloned();
        Self {
            key,
            algorithm,
            header: URL_SAFE_NO_PAD.encode(header),
            issuer: written(issuer),
            audience: written(audience),
        }
    }

    /// Mints a token, good from `now` (in whole seconds) for `valid_for`. `jti` is that of the token it
    /// stands for, so that revoking the one revokes the other; without one it gets its own.
    ///
    /// # Errors
    /// The key failed.
    pub fn sign(
        &self,
        principal: Principal<'_>,
        jti: Option<&str>,
        valid_for: Duration,
        now: SystemTime,
    ) -> Result<Secret, SignError> {
        let failed = |error: &dyn std::fmt::Display| SignError::Key(error.to_string());
        let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut buffer = uuid::Uuid::encode_buffer();
        let payload = Payload {
            principal,
            jti: jti.unwrap_or_else(|| uuid::Uuid::new_v4().simple().encode_lower(&mut buffer)),
            issuer: self.issuer.as_deref(),
            audience: self.audience.as_deref(),
            issued,
            expires: issued.saturating_add(valid_for.as_secs()),
        };
        let payload = serde_json::to_vec(&payload).map_err(|error| failed(&error))?;
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = jsonwebtoken::crypto::sign(token.as_bytes(), &self.key, self.algorithm)
            .map_err(|error| failed(&error))?;
        token.push('.');
        token.push_str(&signature);
        Ok(Secret::new(token))
    }
}

impl Signer {
    /// A token for nobody that ended in 1970. With most algorithms it is always the same.
    ///
    /// # Errors
    /// The key failed.
    pub fn expired(&self) -> Result<Secret, SignError> {
        let nobody = Principal::Simple { name: "airgate", role: "", teams: &[] };
        self.sign(nobody, Some("airgate"), Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(86_400))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", algorithm_name(self.algorithm))
    }
}

/// The claims, in Airflow's order.
struct Payload<'a> {
    principal: Principal<'a>,
    jti: &'a str,
    issuer: Option<&'a str>,
    audience: Option<&'a str>,
    issued: u64,
    expires: u64,
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.principal {
            Principal::Simple { name, role, teams } => {
                map.serialize_entry("sub", name)?;
                map.serialize_entry("role", role)?;
                map.serialize_entry("teams", teams)?;
            }
            Principal::Fab { id } => map.serialize_entry("sub", &id.to_string())?,
            Principal::Keycloak { id, name, access, refresh } => {
                map.serialize_entry("user_id", id)?;
                map.serialize_entry("name", name)?;
                map.serialize_entry("access_token", access.expose())?;
                map.serialize_entry("refresh_token", &refresh.map(Secret::expose))?;
            }
        }
        map.serialize_entry("jti", self.jti)?;
        if let Some(issuer) = self.issuer {
            map.serialize_entry("iss", issuer)?;
        }
        if let Some(audience) = self.audience {
            map.serialize_entry("aud", audience)?;
        }
        map.serialize_entry("nbf", &self.issued)?;
        map.serialize_entry("exp", &self.expires)?;
        map.serialize_entry("iat", &self.issued)?;
        map.end()
    }
}
