//! `[api_auth]` and `[[jwt.issuers]]`.

use super::parse;
use super::reader::{Failed, Reader, Resolved, values};
use crate::config::layer::Value;
use crate::config::location::{Located, Location};
use crate::config::options as o;
use crate::config::settings::{ApiAuth, JwksSource, JwtIssuer};
use crate::secret::Secret;

impl Reader<'_> {
    pub(super) fn api_auth(&mut self) -> Resolved<ApiAuth> {
        let secrets = self.secrets();
        let private_key = self.file_read_once(&o::API_AUTH_JWT_PRIVATE_KEY_PATH);
        let algorithms = self.list(&o::API_AUTH_JWT_ALGORITHM, parse::algorithm);
        let kid = self.optional(&o::API_AUTH_JWT_KID, parse::text);
        let issuers = self.list(&o::API_AUTH_JWT_ISSUER, parse::text);
        let audiences = self.list(&o::API_AUTH_JWT_AUDIENCE, parse::text);
        let leeway = self.one(&o::API_AUTH_JWT_LEEWAY, parse::duration);
        let jwks = self.optional(&o::API_AUTH_TRUSTED_JWKS_URL, parse::jwks);
        let expiration = self.one(&o::API_AUTH_JWT_EXPIRATION_TIME, parse::some_duration);
        let cli_expiration = self.one(&o::API_AUTH_JWT_CLI_EXPIRATION_TIME, parse::some_duration);
        let mut audiences = values(audiences?);
        if audiences.is_empty() {
            audiences.push(o::API_AUTH_JWT_AUDIENCE.default.to_owned());
        }
        Ok(ApiAuth {
            jwt_secrets: secrets?,
            jwt_private_key_path: private_key?,
            jwt_algorithms: algorithms?
                .into_iter()
                .filter_map(|a| Some(Located::new(a.value?, a.at)))
                .collect(),
            jwt_kid: kid?.map(|kid| kid.value),
            jwt_issuers: values(issuers?),
            jwt_audiences: audiences,
            jwt_leeway: leeway?.value,
            trusted_jwks_url: jwks?.map(|jwks| self.jwks(jwks)),
            jwt_expiration_time: expiration?.value,
            jwt_cli_expiration_time: cli_expiration?.value,
        })
    }

    /// The signing secrets. Written as nothing there is none, as in Airflow; a file or command that
    /// was to give one and gives nothing is an error.
    fn secrets(&mut self) -> Resolved<Vec<Located<Secret>>> {
        let option = &o::API_AUTH_JWT_SECRET;
        let empty_is_none =
            self.entry(option).is_none_or(|e| matches!(e.value, Value::Untyped(_) | Value::Text(_)));
        let has_key = self.entry(&o::API_AUTH_JWT_PRIVATE_KEY_PATH).is_some()
            || self.entry(&o::API_AUTH_TRUSTED_JWKS_URL).is_some();
        let given = self.items(option)?;
        let mut secrets = Vec::new();
        let mut failed = false;
        for given in given {
            if given.text.is_empty() && !empty_is_none {
                self.findings
                    .errors
                    .push(&given.at, format!("{}: a secret must not be empty", option.title()));
                failed = true;
            } else if !given.text.is_empty() {
                secrets.push(Located::new(Secret::new(given.text), given.at));
            } else if given.at != Location::Default && !has_key {
                let message = format!("{}: is empty, and counts as not set", option.title());
                self.findings.warn(&given.at, message);
            }
        }
        if failed { Err(Failed) } else { Ok(secrets) }
    }

    /// A file of keys is found from where it was written.
    fn jwks(&self, source: Located<JwksSource>) -> Located<JwksSource> {
        let folder = self.folders.of(&source.at).to_owned();
        source.map(|source| match source {
            JwksSource::Url(url) => JwksSource::Url(url),
            JwksSource::File(path) => JwksSource::File(folder.join(path)),
        })
    }

    pub(super) fn issuer(&mut self, at: &Location) -> Resolved<JwtIssuer> {
        let issuer = self.required(&o::ISSUER_ISSUER, at, parse::text);
        let jwks = self.required(&o::ISSUER_JWKS_URL, at, parse::jwks);
        let audiences = match self.given_somewhere(&o::ISSUER_AUDIENCE, at) {
            Ok(()) => self.some(&o::ISSUER_AUDIENCE, parse::text),
            Err(failed) => Err(failed),
        };
        let algorithms = self.some(&o::ISSUER_ALGORITHMS, parse::issuer_algorithm);
        let username_claim = self.one(&o::ISSUER_USERNAME_CLAIM, parse::text);
        let username_prefix = self.required(&o::ISSUER_USERNAME_PREFIX, at, parse::any);
        Ok(JwtIssuer {
            issuer: issuer?.value,
            jwks: self.jwks(jwks?),
            audiences: values(audiences?),
            algorithms: values(algorithms?),
            username_claim: username_claim?.value,
            username_prefix: username_prefix?.value,
        })
    }
}
