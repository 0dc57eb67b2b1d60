//! `[api_auth]` and `[[jwt.issuers]]`, as the configuration hands them over.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};

use super::algorithm::{AlgorithmError, algorithm, algorithm_name, is_a_key};
use super::claims::{Rules, Subject};
use super::jwks::{JwksSource, JwksStore};
use super::private_key::PrivateKey;
use super::signer::Signer;
use super::verifier::{Keys, Verifier};
use crate::auth::database::revoked::RevokedTokens;
use crate::secret::Secret;

/// The options of `[api_auth]` that concern tokens, read and typed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `jwt_secret`: all verify, the first signs. Default: none.
    pub secrets: Vec<Secret>,
    /// `jwt_private_key_path`: signs instead of the secret. Default: none.
    pub private_key: Option<PrivateKey>,
    /// `trusted_jwks_url`: verifies instead of the private key and the secret. Default: none.
    pub jwks: Option<JwksSource>,
    /// `jwt_algorithm`: allowed algorithms, the first signs. Empty or `GUESS`, the default: HS512 with a
    /// secret, RS256 or EdDSA with a private key, each key's own with a key set.
    pub algorithms: Vec<String>,
    /// `jwt_kid`: names the signing key in minted tokens. Default: `not-used` with a secret, else the key's
    /// thumbprint.
    pub kid: Option<String>,
    /// `jwt_issuer`: allowed `iss`; minted tokens get the first. Default: none, and `iss` is not looked at.
    pub issuers: Vec<String>,
    /// `jwt_audience`: allowed `aud`; minted tokens get the first. Default: `apache-airflow`. In Airflow it
    /// is one text, commas included.
    pub audience: Vec<String>,
    /// `jwt_leeway`: how far clocks may differ. Default: 10 s.
    pub leeway: Duration,
    /// `[core] auth_manager`. Default: simple.
    pub auth_manager: AuthManager,
    /// The tokens that Airflow has revoked. Default: its database is not followed.
    pub revoked: Option<Arc<RevokedTokens>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            private_key: None,
            jwks: None,
            algorithms: Vec::new(),
            kid: None,
            issuers: Vec::new(),
            audience: vec!["apache-airflow".to_owned()],
            leeway: Duration::from_secs(10),
            auth_manager: AuthManager::Simple,
            revoked: None,
        }
    }
}

/// Whose claims Airflow's tokens carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthManager {
    /// `SimpleAuthManager`.
    Simple,
    /// `FabAuthManager`.
    Fab,
    /// `KeycloakAuthManager`.
    Keycloak,
}

/// One of `[[jwt.issuers]]`: somebody else's tokens, accepted as credentials.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// The `iss` of its tokens, compared exactly.
    pub issuer: String,
    /// `jwks_url`: its keys.
    pub jwks: JwksSource,
    /// Allowed `aud`. Required: a token meant for somebody else must not work here.
    pub audience: Vec<String>,
    /// Allowed algorithms. Empty, the default: each key's own.
    pub algorithms: Vec<String>,
    /// The claim that holds the name. Default: `sub`.
    pub username_claim: String,
    /// Put before the name. Default: empty.
    pub username_prefix: String,
    /// How far clocks may differ: `[api_auth] jwt_leeway`.
    pub leeway: Duration,
}

/// What [`Settings::build`] makes.
#[derive(Debug)]
pub struct Tokens {
    /// Verifies Airflow's tokens. `None` without any key: then only the upstream can tell.
    pub verifier: Option<Arc<Verifier>>,
    /// Mints tokens. `None` without a key whose tokens this Airflow would accept.
    pub signer: Option<Signer>,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A bad name in `jwt_algorithm` or `algorithms`.
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    /// `GUESS` beside others.
    #[error("GUESS must stand alone, or be left out")]
    GuessAmongOthers,
    /// An algorithm that the key cannot do.
    #[error("algorithm {0} does not work with {1}")]
    Unfit(&'static str, String),
    /// Empty text in the list of secrets.
    #[error("`jwt_secret` is empty; leave it out if there is none")]
    EmptySecret,
    /// A key where a secret is needed.
    #[error(
        "`jwt_secret` holds a key (PEM, SSH or JWK); give the path of a private key in `jwt_private_key_path`"
    )]
    SecretIsAKey,
    /// Airflow guesses no algorithm for elliptic curves.
    #[error("for {0} set `jwt_algorithm` (ES256 for P-256, ES384 for P-384): Airflow guesses none")]
    CurveNeedsAlgorithm(String),
    /// Airflow computes no `kid` for elliptic curves.
    #[error("for {0} set `jwt_kid` and `trusted_jwks_url`: Airflow cannot name such a key itself")]
    CurveNeedsKid(String),
    /// Airflow would refuse its own tokens.
    #[error(
        "`jwt_kid` works with `jwt_private_key_path` only if `trusted_jwks_url` is set too: without it Airflow looks for the key's thumbprint, and refuses every other name"
    )]
    KidWithoutKeySet,
    /// Nobody would be meant.
    #[error("the audience is empty: name at least one")]
    NoAudience,
    /// Nobody would be trusted.
    #[error("the issuer is empty")]
    NoIssuer,
}

impl Settings {
    /// Makes verifier and signer. `store` gives the store of a source of keys: the one from before a reload
    /// where the source is unchanged, a new one else.
    ///
    /// # Errors
    /// All settings that cannot work.
    pub fn build(
        &self,
        store: impl FnOnce(&JwksSource) -> Arc<JwksStore>,
    ) -> Result<Tokens, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let algorithms = read_algorithms(&self.algorithms, &mut errors);
        if self.audience.is_empty() {
            errors.push(SettingsError::NoAudience);
        }
        for secret in &self.secrets {
            if secret.is_empty() {
                errors.push(SettingsError::EmptySecret);
            } else if is_a_key(secret.expose()) {
                errors.push(SettingsError::SecretIsAKey);
            }
        }
        let keys = if let Some(source) = &self.jwks {
            require(algorithms.as_deref(), "a key set", |a| a.family() != AlgorithmFamily::Hmac, &mut errors);
            self.check_curve(algorithms.as_deref(), &mut errors);
            if errors.is_empty() {
                Some(Keys::Set { store: store(source), algorithms: algorithms.clone() })
            } else {
                None
            }
        } else if let Some(key) = &self.private_key {
            require(algorithms.as_deref(), &key.kind().to_string(), |a| key.kind().fits(a), &mut errors);
            self.check_curve(algorithms.as_deref(), &mut errors);
            if self.kid.is_some() {
                errors.push(SettingsError::KidWithoutKeySet);
            }
            key.thumbprint().map(|kid| Keys::Own {
                kid: kid.into(),
                key: key.verifying.clone(),
                algorithms: algorithms
                    .clone()
                    .or_else(|| key.kind().guess().map(|a| vec![a]))
                    .unwrap_or_default(),
            })
        } else if self.secrets.is_empty() {
            None
        } else {
            require(algorithms.as_deref(), "a secret", |a| a.family() == AlgorithmFamily::Hmac, &mut errors);
            let decoding = |secret: &Secret| DecodingKey::from_secret(secret.expose().as_bytes());
            Some(Keys::Secrets {
                secrets: self.secrets.iter().map(decoding).collect(),
                algorithms: algorithms.clone().unwrap_or_else(|| vec![Algorithm::HS512]),
            })
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let revoked = self.revoked.clone();
        let verifier = keys.map(|keys| Arc::new(Verifier { keys, rules: self.rules(), revoked }));
        Ok(Tokens { verifier, signer: self.signer(algorithms.as_deref()) })
    }

    /// Whether an elliptic curve key has what Airflow needs to be told.
    fn check_curve(&self, algorithms: Option<&[Algorithm]>, errors: &mut Vec<SettingsError>) {
        let Some(key) = &self.private_key else { return };
        if key.kind().guess().is_some() {
            return;
        }
        if algorithms.is_none() {
            errors.push(SettingsError::CurveNeedsAlgorithm(key.kind().to_string()));
        }
        if self.kid.is_none() || self.jwks.is_none() {
            errors.push(SettingsError::CurveNeedsKid(key.kind().to_string()));
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            required: &["exp", "iat", "nbf"],
            issuers: self.issuers.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway,
            subject: match self.auth_manager {
                AuthManager::Simple => Subject::Simple,
                AuthManager::Fab => Subject::Fab,
                AuthManager::Keycloak => Subject::Keycloak,
            },
        }
    }

    fn signer(&self, algorithms: Option<&[Algorithm]>) -> Option<Signer> {
        let listed = algorithms.and_then(|list| list.first().copied());
        let (key, algorithm, kid) = if let Some(key) = &self.private_key {
            let algorithm = listed.or(key.kind().guess()).filter(|&a| key.kind().fits(a))?;
            (key.signing.clone(), algorithm, self.kid.as_deref().or(key.thumbprint())?)
        } else if self.jwks.is_some() {
            // Airflow would sign with the secret, and refuse its own token: it verifies by the key set.
            return None;
        } else {
            let secret = self.secrets.first()?;
            let key = EncodingKey::from_secret(secret.expose().as_bytes());
            (key, listed.unwrap_or(Algorithm::HS512), self.kid.as_deref().unwrap_or("not-used"))
        };
        Some(Signer::new(key, algorithm, kid, self.issuers.first(), self.audience.first()))
    }
}

impl IssuerSettings {
    /// Makes the verifier of the issuer's tokens. `exp` is required, `iat` and `nbf` are looked at where
    /// they are. `store` is as for [`Settings::build`].
    ///
    /// # Errors
    /// All settings that cannot work.
    pub fn build(
        &self,
        store: impl FnOnce(&JwksSource) -> Arc<JwksStore>,
    ) -> Result<Arc<Verifier>, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let algorithms = read_algorithms(&self.algorithms, &mut errors);
        require(algorithms.as_deref(), "a key set", |a| a.family() != AlgorithmFamily::Hmac, &mut errors);
        if self.issuer.is_empty() {
            errors.push(SettingsError::NoIssuer);
        }
        if self.audience.iter().all(String::is_empty) {
            errors.push(SettingsError::NoAudience);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let rules = Rules {
            required: &["exp"],
            issuers: vec![self.issuer.clone()],
            audience: self.audience.clone(),
            leeway: self.leeway,
            subject: Subject::Claim {
                name: self.username_claim.clone(),
                prefix: self.username_prefix.clone(),
            },
        };
        let keys = Keys::Set { store: store(&self.jwks), algorithms };
        // Airflow's list is of its own tokens.
        Ok(Arc::new(Verifier { keys, rules, revoked: None }))
    }
}

/// `None` stands for `GUESS`.
fn read_algorithms(names: &[String], errors: &mut Vec<SettingsError>) -> Option<Vec<Algorithm>> {
    if names.is_empty() || names == ["GUESS"] {
        return None;
    }
    let mut list = Vec::new();
    for name in names {
        if name == "GUESS" {
            errors.push(SettingsError::GuessAmongOthers);
            continue;
        }
        match algorithm(name) {
            Ok(algorithm) => list.push(algorithm),
            Err(error) => errors.push(error.into()),
        }
    }
    Some(list)
}

fn require(
    algorithms: Option<&[Algorithm]>,
    key: &str,
    fits: impl Fn(Algorithm) -> bool,
    errors: &mut Vec<SettingsError>,
) {
    let unfit = algorithms.unwrap_or_default().iter().filter(|&&algorithm| !fits(algorithm));
    errors.extend(unfit.map(|&algorithm| SettingsError::Unfit(algorithm_name(algorithm), key.to_owned())));
}
