//! The private key of the configuration.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use zeroize::Zeroizing;

/// `[api_auth] jwt_private_key_path`: signs tokens, and verifies them too where no `trusted_jwks_url` is set.
#[derive(Clone)]
pub struct PrivateKey {
    path: PathBuf,
    kind: KeyKind,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    thumbprint: Option<String>,
}

/// What kind of private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 to 8192 bits.
    Rsa,
    /// Edwards curve 25519.
    Ed25519,
    /// Elliptic curve P-256.
    P256,
    /// Elliptic curve P-384.
    P384,
}

impl KeyKind {
    /// The algorithm for `GUESS`: Airflow guesses for RSA and Ed25519 alone.
    pub(super) fn guess(self) -> Option<Algorithm> {
        match self {
            Self::Rsa => Some(Algorithm::RS256),
            Self::Ed25519 => Some(Algorithm::EdDSA),
            Self::P256 | Self::P384 => None,
        }
    }

    /// Whether the algorithm works with such a key.
    pub(super) fn fits(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa => algorithm.family() == AlgorithmFamily::Rsa,
            Self::Ed25519 => algorithm == Algorithm::EdDSA,
            Self::P256 => algorithm == Algorithm::ES256,
            Self::P384 => algorithm == Algorithm::ES384,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "an RSA key",
            Self::Ed25519 => "an Ed25519 key",
            Self::P256 => "a P-256 key",
            Self::P384 => "a P-384 key",
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, {})", self.kind, self.path.display())
    }
}

/// Why a key file cannot be used. Each names the file and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key file {}: {fault}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// What is wrong with a key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is no such file.
    #[error("not found; set `[api_auth] jwt_private_key_path` to the file that Airflow uses")]
    Missing,
    /// The file is there and cannot be read.
    #[error("cannot be read ({0}); let the user that runs airgate read it")]
    Unreadable(std::io::ErrorKind),
    /// The file has no content.
    #[error("is empty; make a key with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`")]
    Empty,
    /// The file is longer than any key.
    #[error("is larger than 64 KiB and so no key")]
    TooLarge,
    /// There is no PEM block in it.
    #[error(
        "is not a PEM file: no `-----BEGIN ... PRIVATE KEY-----`; if it is DER, convert it with `openssl pkey -inform DER`"
    )]
    NotPem,
    /// A PEM block of another kind.
    #[error("holds a `{0}` where a private key is needed; give the file with `-----BEGIN PRIVATE KEY-----`")]
    WrongKind(String),
    /// The key is protected by a password, which Airflow cannot give either.
    #[error("is encrypted; Airflow too takes no password: decrypt it with `openssl pkey -in FILE -out FILE`")]
    Encrypted,
    /// OpenSSH's own format.
    #[error("is in the format of OpenSSH; convert it with `ssh-keygen -p -N '' -m PKCS8 -f FILE`")]
    OpenSsh,
    /// Base64 or ASN.1 is broken, or the kind of key is unknown.
    #[error(
        "holds no key that works here (RSA of 2048 to 8192 bits, Ed25519, P-256 or P-384), or is damaged"
    )]
    Unusable,
}

impl PrivateKey {
    /// Largest key file, in bytes.
    const MAX: u64 = 64 * 1024;

    /// Reads a key file.
    ///
    /// # Errors
    /// The file cannot be read, or [`PrivateKey::parse`] fails.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let fail = |fault| KeyFileError { path: path.to_owned(), fault };
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => fail(KeyFault::Missing),
            kind => fail(KeyFault::Unreadable(kind)),
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut pem = Zeroizing::new(Vec::new());
        let read = file.take(Self::MAX + 1).read_to_end(&mut pem).map_err(unreadable)?;
        if read as u64 > Self::MAX {
            return Err(fail(KeyFault::TooLarge));
        }
        Self::parse(path, &pem)
    }

    /// Reads a key in PEM: PKCS#8, PKCS#1 (RSA) or SEC 1 (elliptic curves), not encrypted. `path` is for
    /// messages.
    ///
    /// # Errors
    /// The text holds no private key that works here.
    pub fn parse(path: &Path, pem: &[u8]) -> Result<Self, KeyFileError> {
        parse(pem)
            .map(|(kind, signing, verifying, thumbprint)| Self {
                path: path.to_owned(),
                kind,
                signing,
                verifying,
                thumbprint,
            })
            .map_err(|fault| KeyFileError { path: path.to_owned(), fault })
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Its name in a token's `kid`: SHA-256 over the public key as PyJWT writes it. That is not RFC 7638's
    /// thumbprint, because PyJWT also writes `key_ops` for RSA. `None` for elliptic curves, which Airflow
    /// cannot name either.
    pub fn thumbprint(&self) -> Option<&str> {
        self.thumbprint.as_deref()
    }
}

type Parts = (KeyKind, EncodingKey, DecodingKey, Option<String>);

fn parse(pem: &[u8]) -> Result<Parts, KeyFault> {
    if pem.trim_ascii().is_empty() {
        return Err(KeyFault::Empty);
    }
    let text = std::str::from_utf8(pem).map_err(|_| KeyFault::NotPem)?;
    let blocks: Vec<Block<'_>> = blocks(text).collect();
    let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")) else {
        return Err(blocks
            .first()
            .map_or(KeyFault::NotPem, |block| KeyFault::WrongKind(block.label.to_owned())));
    };
    if block.label == "ENCRYPTED PRIVATE KEY" || block.body.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(KeyFault::Encrypted);
    }
    match block.label {
        "PRIVATE KEY" => {
            let whole = block.whole.as_bytes();
            EncodingKey::from_rsa_pem(whole)
                .and_then(|key| accept(KeyKind::Rsa, Algorithm::RS256, key))
                .or_else(|_| {
                    EncodingKey::from_ed_pem(whole)
                        .and_then(|key| accept(KeyKind::Ed25519, Algorithm::EdDSA, key))
                })
                .or_else(|_| {
                    let key = EncodingKey::from_ec_pem(whole)?;
                    accept(KeyKind::P256, Algorithm::ES256, key.clone())
                        .or_else(|_| accept(KeyKind::P384, Algorithm::ES384, key))
                })
                .map_err(|_| KeyFault::Unusable)
        }
        "RSA PRIVATE KEY" => EncodingKey::from_rsa_pem(block.whole.as_bytes())
            .and_then(|key| accept(KeyKind::Rsa, Algorithm::RS256, key))
            .map_err(|_| KeyFault::Unusable),
        "EC PRIVATE KEY" => {
            let der = Zeroizing::new(block.der().ok_or(KeyFault::Unusable)?);
            [
                (KeyKind::P256, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING),
                (KeyKind::P384, Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING),
            ]
            .into_iter()
            .find_map(|(kind, algorithm, signing)| {
                let pair = EcdsaKeyPair::from_private_key_der(signing, &der).ok()?;
                let document = pair.to_pkcs8v1().ok()?;
                accept(kind, algorithm, EncodingKey::from_ec_der(document.as_ref())).ok()
            })
            .ok_or(KeyFault::Unusable)
        }
        "OPENSSH PRIVATE KEY" => Err(KeyFault::OpenSsh),
        other => Err(KeyFault::WrongKind(other.to_owned())),
    }
}

/// Derives the public half, signs once to be sure of the key, and computes the thumbprint.
fn accept(kind: KeyKind, algorithm: Algorithm, key: EncodingKey) -> jsonwebtoken::errors::Result<Parts> {
    let jwk = Jwk::from_encoding_key(&key, algorithm)?;
    let public = DecodingKey::from_jwk(&jwk)?;
    let signature = jsonwebtoken::crypto::sign(b"probe", &key, algorithm)?;
    if !jsonwebtoken::crypto::verify(&signature, b"probe", &public, algorithm)? {
        return Err(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into());
    }
    Ok((kind, key, public, thumbprint(&jwk)))
}

/// `thumbprint(key_to_jwk_dict(key))` of Airflow: JSON with sorted keys and no spaces.
fn thumbprint(jwk: &Jwk) -> Option<String> {
    let json = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            format!(r#"{{"e":"{}","key_ops":["verify"],"kty":"RSA","n":"{}"}}"#, rsa.e, rsa.n)
        }
        AlgorithmParameters::OctetKeyPair(pair) => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, pair.x)
        }
        // Elliptic curves; the enum is non-exhaustive.
        _ => return None,
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, json.as_bytes());
    Some(URL_SAFE_NO_PAD.encode(digest))
}

/// A PEM block (RFC 7468).
struct Block<'a> {
    label: &'a str,
    body: &'a str,
    whole: &'a str,
}

impl Block<'_> {
    fn der(&self) -> Option<Vec<u8>> {
        let base64: Zeroizing<String> =
            Zeroizing::new(self.body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        STANDARD.decode(base64.as_bytes()).ok()
    }
}

fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find("-----BEGIN ")?;
        let block = &rest[start..];
        let label = block["-----BEGIN ".len()..].split("-----").next()?;
        let end = format!("-----END {label}-----");
        let at = block.find(&end)?;
        let (whole, after) = block.split_at(at + end.len());
        rest = after;
        let body = whole.get("-----BEGIN ".len() + label.len() + "-----".len()..at)?;
        Some(Block { label, body, whole })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jwt").join(name)
    }

    #[test]
    fn key_files() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let sec1 = std::fs::read(path("p256-sec1.pem")).unwrap();
        let with_parameters =
            [b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", &sec1[..]];
        let wrong = |label: &str| Err(KeyFault::WrongKind(label.to_owned()));
        for (name, path, expected) in [
            ("PKCS#8 RSA", path("rsa.pem"), Ok(KeyKind::Rsa)),
            ("PKCS#1", path("rsa-pkcs1.pem"), Ok(KeyKind::Rsa)),
            ("Ed25519", path("ed25519.pem"), Ok(KeyKind::Ed25519)),
            ("P-256", path("p256.pem"), Ok(KeyKind::P256)),
            ("P-384", path("p384.pem"), Ok(KeyKind::P384)),
            ("SEC 1", path("p256-sec1.pem"), Ok(KeyKind::P256)),
            ("SEC 1 after its parameters", made("ec", &with_parameters.concat()), Ok(KeyKind::P256)),
            ("missing", path("nope.pem"), Err(KeyFault::Missing)),
            (
                "a folder",
                folder.path().to_owned(),
                Err(KeyFault::Unreadable(std::io::ErrorKind::IsADirectory)),
            ),
            ("empty", made("empty", b""), Err(KeyFault::Empty)),
            ("blank", made("blank", b" \n"), Err(KeyFault::Empty)),
            ("too large", made("large", &vec![b'x'; 70_000]), Err(KeyFault::TooLarge)),
            ("text", made("text", b"secret"), Err(KeyFault::NotPem)),
            ("DER", made("der", &[0x30, 0x82, 0xff]), Err(KeyFault::NotPem)),
            ("cut off", made("cut", b"-----BEGIN PRIVATE KEY-----\nMII"), Err(KeyFault::NotPem)),
            ("a public key", path("public.pem"), wrong("PUBLIC KEY")),
            ("a certificate", path("certificate.pem"), wrong("CERTIFICATE")),
            ("encrypted", path("encrypted.pem"), Err(KeyFault::Encrypted)),
            ("encrypted, PKCS#1", path("encrypted-pkcs1.pem"), Err(KeyFault::Encrypted)),
            ("OpenSSH", path("openssh.pem"), Err(KeyFault::OpenSsh)),
            ("P-521", path("p521.pem"), Err(KeyFault::Unusable)),
            ("RSA of 1024 bits", path("rsa-1024.pem"), Err(KeyFault::Unusable)),
            (
                "damaged",
                made("damaged", b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"),
                Err(KeyFault::Unusable),
            ),
        ] {
            let read = PrivateKey::read(&path);
            if let Err(error) = &read {
                assert!(error.to_string().contains(&path.display().to_string()), "{name}: {error}");
            }
            assert_eq!(read.map(|key| key.kind()).map_err(|error| error.fault), expected, "{name}");
        }
    }

    #[test]
    fn thumbprints_are_airflows() {
        let vectors: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path("vectors.json")).unwrap()).unwrap();
        for name in ["rsa.pem", "ed25519.pem"] {
            let key = PrivateKey::read(&path(name)).unwrap();
            assert_eq!(key.thumbprint(), vectors["thumbprints"][name].as_str(), "{name}");
        }
        assert_eq!(PrivateKey::read(&path("p256.pem")).unwrap().thumbprint(), None);
    }

    #[test]
    fn debug_shows_no_key() {
        let key = PrivateKey::read(&path("ed25519.pem")).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.starts_with("PrivateKey(an Ed25519 key, "), "{shown}");
    }
}
