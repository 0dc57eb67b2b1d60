//! `[api_auth]` and `[[jwt.issuers]]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::location::Located;
use crate::secret::Secret;

/// `[api_auth]`: the tokens of Airflow itself.
#[derive(Debug, Clone)]
pub struct ApiAuth {
    /// `jwt_secret`: all verify, the first signs. Empty when there is none; none of them is empty.
    pub jwt_secrets: Vec<Located<Secret>>,
    /// `jwt_private_key_path`: a PEM file. Goes before the secrets.
    pub jwt_private_key_path: Option<Located<PathBuf>>,
    /// `jwt_algorithm`: the first signs, all verify. Empty (the default, and `GUESS`) is Airflow's
    /// guess: HS512 with a secret, by the key otherwise.
    pub jwt_algorithms: Vec<Located<JwtAlgorithm>>,
    /// `jwt_kid` of tokens minted here. Default: Airflow's own.
    pub jwt_kid: Option<String>,
    /// `jwt_issuer`: the first is written, all are accepted. Empty (the default): not checked.
    pub jwt_issuers: Vec<String>,
    /// `jwt_audience`: the first is written, all are accepted. From Airflow's own sources one
    /// literal text, commas included. Never empty. Default `apache-airflow`.
    pub jwt_audiences: Vec<String>,
    /// `jwt_leeway`: how far clocks may differ. Default 10 s.
    pub jwt_leeway: Duration,
    /// `trusted_jwks_url`: keys that verify. Goes before the private key and the secrets.
    pub trusted_jwks_url: Option<Located<JwksSource>>,
    /// `jwt_expiration_time` of a token from `/auth/token`. Default 86400 s.
    pub jwt_expiration_time: Duration,
    /// `jwt_cli_expiration_time` of a token from `/auth/token/cli`. Default 3600 s.
    pub jwt_cli_expiration_time: Duration,
}

impl ApiAuth {
    /// Whether tokens can be signed here. With a key set, a secret signs nothing that Airflow accepts.
    pub fn can_sign(&self) -> bool {
        self.jwt_private_key_path.is_some()
            || (self.trusted_jwks_url.is_none() && !self.jwt_secrets.is_empty())
    }
}

/// Where a set of keys (RFC 7517) is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// `http://` or `https://`.
    Url(String),
    /// A file, as Airflow takes everything else.
    File(PathBuf),
}

/// A signature algorithm (RFC 7518 and RFC 8037) that can be verified here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// One of `[[jwt.issuers]]`.
#[derive(Debug, Clone)]
pub struct JwtIssuer {
    /// `issuer`: the exact `iss`. Required.
    pub issuer: String,
    /// `jwks_url`: its keys. Required.
    pub jwks: Located<JwksSource>,
    /// `audience`: one of these must be in `aud`. Required, at least one.
    pub audiences: Vec<String>,
    /// `algorithms`. Default RS256. Never an HMAC: its key would be public.
    pub algorithms: Vec<JwtAlgorithm>,
    /// `username_claim`. Default `sub`.
    pub username_claim: String,
    /// `username_prefix` of the names it vouches for. Required, since a foreign `admin` is not
    /// ours; may be empty.
    pub username_prefix: String,
}

impl JwtAlgorithm {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name, as `alg` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}
