//! `[api_auth]`.

use super::{BLANK, Opt, SECONDS, Shape, old};

options! {
    API_AUTH_JWT_SECRET {
        section: "api_auth", key: "jwt_secret", shape: Shape::ArrayList, allowed: "a text, or an array of texts", secret: true, airflow: true,
        example: "{ file = \"/run/secrets/jwt_secret\" }",
        help: "The key that Airflow signs its tokens with. In an array the first signs and all verify, for rotation"
    }
    API_AUTH_JWT_PRIVATE_KEY_PATH {
        section: "api_auth", key: "jwt_private_key_path", allowed: "a path", airflow: true, example: "/run/secrets/jwt.pem",
        help: "A PEM private key (RSA or Ed25519) that signs in place of jwt_secret"
    }
    API_AUTH_JWT_ALGORITHM {
        section: "api_auth", key: "jwt_algorithm", shape: Shape::CommaList, airflow: true,
        allowed: "one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, or GUESS", default: "GUESS",
        help: "The first signs, all verify. GUESS is Airflow's own: HS512 with a secret, else by the key"
    }
    API_AUTH_JWT_KID {
        section: "api_auth", key: "jwt_kid", airflow: true, example: "my-key",
        help: "The `kid` of tokens signed here. Default: Airflow's own, `not-used` with a secret, else the key's thumbprint"
    }
    API_AUTH_JWT_ISSUER {
        section: "api_auth", key: "jwt_issuer", shape: Shape::CommaList, airflow: true, example: "https://airflow.example.com",
        help: "The `iss` of tokens: the first is written, all are accepted. Not checked by default"
    }
    API_AUTH_JWT_AUDIENCE {
        section: "api_auth", key: "jwt_audience", shape: Shape::ArrayList, airflow: true, allowed: "a text, or an array of texts",
        aliases: &[old("api", "jwt_audience")], default: "apache-airflow",
        help: "The `aud` of tokens. A text is one audience, commas included, as in Airflow; in an array the first is written and all are accepted"
    }
    API_AUTH_JWT_LEEWAY {
        section: "api_auth", key: "jwt_leeway", shape: Shape::Duration, allowed: SECONDS, airflow: true, default: "10",
        help: "How far the clocks of issuer and gate may differ"
    }
    API_AUTH_TRUSTED_JWKS_URL {
        section: "api_auth", key: "trusted_jwks_url", airflow: true, allowed: "an http or https URL, or a path", example: "https://airflow.example.com/jwks.json",
        help: "A URL or file of the public keys that tokens may be signed with. Goes before jwt_private_key_path and jwt_secret when tokens are verified"
    }
    API_AUTH_JWT_EXPIRATION_TIME {
        section: "api_auth", key: "jwt_expiration_time", shape: Shape::Duration, allowed: SECONDS, airflow: true, default: "86400",
        help: "How long a token from /auth/token lives"
    }
    API_AUTH_JWT_CLI_EXPIRATION_TIME {
        section: "api_auth", key: "jwt_cli_expiration_time", shape: Shape::Duration, allowed: SECONDS, airflow: true, default: "3600",
        help: "How long a token from /auth/token/cli lives"
    }
}
