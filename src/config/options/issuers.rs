//! `[[jwt.issuers]]`.

use super::{BLANK, Opt, Shape};

options! {
    ISSUER_ISSUER {
        section: "jwt.issuers", key: "issuer", example: "https://login.example.com",
        help: "The exact `iss` of the issuer's tokens. Required"
    }
    ISSUER_JWKS_URL {
        section: "jwt.issuers", key: "jwks_url", allowed: "an http or https URL, or a path", example: "https://login.example.com/jwks.json",
        help: "A URL or file of its public keys. Required"
    }
    ISSUER_AUDIENCE {
        section: "jwt.issuers", key: "audience", shape: Shape::ArrayList, allowed: "a text, or an array of texts", example: "airflow",
        help: "One of these must be in `aud`. Required: a token meant for someone else must not work here"
    }
    ISSUER_ALGORITHMS {
        section: "jwt.issuers", key: "algorithms", shape: Shape::List, default: "RS256",
        allowed: "one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        help: "Algorithms that its tokens may be signed with"
    }
    ISSUER_USERNAME_CLAIM {
        section: "jwt.issuers", key: "username_claim", allowed: "a claim's name", default: "sub",
        help: "The claim that holds the user's name"
    }
    ISSUER_USERNAME_PREFIX {
        section: "jwt.issuers", key: "username_prefix", example: "login/",
        help: "Put before each of its names, so that its `admin` is not ours. Required; \"\" says that its names are ours"
    }
}
