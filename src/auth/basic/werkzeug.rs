//! The hashes of `ab_user`: what Werkzeug's `generate_password_hash` writes.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use scrypt::Params;

use crate::secret::Secret;

/// A stored hash, `method$salt$hex`. Prints only its method.
pub struct WerkzeugHash {
    method: Method,
    salt: Box<str>,
    digest: Vec<u8>,
}

/// How a hash is made, parameters included: what one check costs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `scrypt:N:r:p`. Werkzeug's default since 3.0, with `scrypt:32768:8:1`.
    Scrypt {
        /// The binary logarithm of `N`.
        log_n: u8,
        /// `r`.
        r: u32,
        /// `p`.
        p: u32,
    },
    /// `pbkdf2:sha256:iterations` or `pbkdf2:sha512:iterations`.
    Pbkdf2 {
        /// The hash function.
        function: HashFunction,
        /// How often it is applied.
        iterations: NonZeroU32,
    },
}

/// A hash function of PBKDF2 that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashFunction {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Why a stored hash is not taken. Never tells the hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidHash {
    /// A method that is not known here, or is guessed too fast.
    #[error("the method {0:?} is not supported: scrypt, pbkdf2:sha256 and pbkdf2:sha512 are")]
    Method(String),
    /// Not `method$salt$hex`.
    #[error("not one of Werkzeug's hashes")]
    Malformed,
    /// One check would take more time or memory than a request is worth.
    #[error("the cost of {0:?} is too high")]
    TooCostly(String),
}

/// The most memory that one check may take, in bytes.
const MAX_MEMORY: u64 = 256 << 20;
const MAX_LOG_N: u8 = 20;
const MAX_LANES: u32 = 16;
/// Ten times Werkzeug's default of today.
const MAX_ITERATIONS: u32 = 10_000_000;
/// `hashlib.scrypt`'s.
const SCRYPT_LENGTH: usize = 64;

impl WerkzeugHash {
    /// Reads `method$salt$hex`.
    ///
    /// # Errors
    /// See [`InvalidHash`].
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let mut parts = text.splitn(3, '$');
        let method = parts.next().unwrap_or_default();
        let (Some(salt), Some(hex)) = (parts.next(), parts.next()) else {
            return Err(match method.len() <= 32 && text.contains('$') {
                true => InvalidHash::Method(method.to_owned()),
                false => InvalidHash::Malformed,
            });
        };
        let method = Method::parse(method)?;
        let digest = from_hex(hex).filter(|digest| digest.len() == method.length());
        let digest = digest.ok_or(InvalidHash::Malformed)?;
        Ok(Self { method, salt: salt.into(), digest })
    }

    /// A hash that no password has, and that costs what the method costs.
    pub fn stand_in(method: Method) -> Self {
        Self { method, salt: "0123456789abcdef".into(), digest: vec![0; method.length()] }
    }

    /// Whether this is the password. Takes long, by design: run it by
    /// [`HashWorkers`](super::hash::HashWorkers).
    pub fn verify(&self, password: &Secret) -> bool {
        let (password, salt) = (password.expose().as_bytes(), self.salt.as_bytes());
        match self.method {
            Method::Scrypt { log_n, r, p } => {
                let mut digest = [0; SCRYPT_LENGTH];
                let Ok(params) = Params::new(log_n, r, p) else { return false };
                let made = scrypt::scrypt(password, salt, &params, &mut digest);
                made.is_ok() && subtle::ConstantTimeEq::ct_eq(&digest[..], &self.digest[..]).into()
            }
            Method::Pbkdf2 { function, iterations } => {
                pbkdf2::verify(function.algorithm(), iterations, salt, password, &self.digest).is_ok()
            }
        }
    }

    /// How it is made.
    pub fn method(&self) -> Method {
        self.method
    }
}

impl fmt::Debug for WerkzeugHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(***)", self.method)
    }
}

impl Method {
    /// What Airflow 3 makes.
    pub const DEFAULT: Self = Self::Scrypt { log_n: 15, r: 8, p: 1 };

    /// Reads what stands before the first `$`. Without parameters they are Werkzeug's defaults of today,
    /// as they are there.
    ///
    /// # Errors
    /// As of [`WerkzeugHash::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let shown = || text.chars().take(32).collect::<String>();
        let other = || InvalidHash::Method(shown());
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["scrypt"] => Ok(Self::DEFAULT),
            ["scrypt", n, r, p] => {
                let (n, r, p): (u32, u32, u32) = (
                    number(n).ok_or_else(other)?,
                    number(r).ok_or_else(other)?,
                    number(p).ok_or_else(other)?,
                );
                if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
                    return Err(other());
                }
                let memory = u64::from(n).saturating_mul(u64::from(r)).saturating_mul(128);
                let log_n = n.trailing_zeros() as u8;
                if memory > MAX_MEMORY || log_n > MAX_LOG_N || p > MAX_LANES {
                    return Err(InvalidHash::TooCostly(shown()));
                }
                Params::new(log_n, r, p).map_err(|_| other())?;
                Ok(Self::Scrypt { log_n, r, p })
            }
            ["pbkdf2"] => Self::pbkdf2("sha256", "1000000").ok_or_else(other),
            ["pbkdf2", function] => Self::pbkdf2(function, "1000000").ok_or_else(other),
            ["pbkdf2", function, iterations] => {
                if number(iterations).is_some_and(|iterations| iterations > MAX_ITERATIONS) {
                    return Err(InvalidHash::TooCostly(shown()));
                }
                Self::pbkdf2(function, iterations).ok_or_else(other)
            }
            _ => Err(other()),
        }
    }

    fn pbkdf2(function: &str, iterations: &str) -> Option<Self> {
        let function = match function {
            "sha256" => HashFunction::Sha256,
            "sha512" => HashFunction::Sha512,
            _ => return None,
        };
        Some(Self::Pbkdf2 { function, iterations: NonZeroU32::new(number(iterations)?)? })
    }

    /// Bytes of a digest.
    fn length(self) -> usize {
        match self {
            Self::Scrypt { .. } => SCRYPT_LENGTH,
            Self::Pbkdf2 { function: HashFunction::Sha256, .. } => 32,
            Self::Pbkdf2 { function: HashFunction::Sha512, .. } => 64,
        }
    }
}

impl fmt::Debug for Method {
    /// As Werkzeug writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scrypt { log_n, r, p } => write!(f, "scrypt:{}:{r}:{p}", 1_u32 << log_n),
            Self::Pbkdf2 { function: HashFunction::Sha256, iterations } => {
                write!(f, "pbkdf2:sha256:{iterations}")
            }
            Self::Pbkdf2 { function: HashFunction::Sha512, iterations } => {
                write!(f, "pbkdf2:sha512:{iterations}")
            }
        }
    }
}

impl HashFunction {
    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Digits alone, as Werkzeug writes them.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Lower-case hexadecimal digits, as Python's `hex()` writes them: others are never equal there.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || text.len() > 256 {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Werkzeug 3.1 wrote for `pässwörd✓`.
    #[test]
    fn hashes_of_werkzeug_are_verified() {
        for (name, stored) in HASHES {
            let hash = WerkzeugHash::parse(stored).unwrap();
            assert!(hash.verify(&Secret::new("pässwörd✓")), "{name}");
            assert!(!hash.verify(&Secret::new("pässwörd")), "{name}: another password");
            assert!(!hash.verify(&Secret::new("")), "{name}: an empty one");
            assert!(!format!("{hash:?}").contains(stored.rsplit('$').next().unwrap()), "{name}");
        }
    }

    const HASHES: &[(&str, &str)] = &[
        (
            "scrypt, the default",
            "scrypt:32768:8:1$PMW67s4P1tkcP1lR$b12f2239b968e1b761d5dbf4fc35f9667edcf0019188f27b34cbe10a1f5d325bc977146a0c10b41ff24fc2953dda7dbd144a54ffaf7b38fe543e9e766e610db2",
        ),
        (
            "scrypt, small",
            "scrypt:1024:8:2$CkosHr0wM9j5IYYq$b70d592f28482f32deba2e698af74d03fb8d35bdd52c48d334ab1510f380b569ed79ee0ae06cd96c6f197be359d8f067e5aa98124d0c78a711c21786609b6a71",
        ),
        (
            "PBKDF2 with SHA-256",
            "pbkdf2:sha256:2000$1lz4XS7UT7QO3ck1$fe74acca0a86c36502fb8014294b85e12fc2a9696656cb7c7eee4065c671832a",
        ),
        (
            "PBKDF2 with SHA-512",
            "pbkdf2:sha512:2000$cKQqxrivSubyvxAn$56d4880af51fcd957ef0dc89e2fe2c6b9fdcf7141850a84fbe3b569397544bc9bf16d75259eb8f291d989d2a61a11198a34de3326f42f7ea19c8a641281ee0e4",
        ),
    ];

    #[test]
    fn what_is_not_taken_is_named() {
        let (salt, digest) = ("s", "0".repeat(128));
        let hash = |method: &str| format!("{method}${salt}${digest}");
        let method = |method: &str| Err(InvalidHash::Method(method.into()));
        let costly = |method: &str| Err(InvalidHash::TooCostly(method.into()));
        for (name, stored, expected) in [
            ("the default", hash("scrypt:32768:8:1"), Ok("scrypt:32768:8:1")),
            ("without parameters", hash("scrypt"), Ok("scrypt:32768:8:1")),
            ("PBKDF2", hash("pbkdf2:sha512:1000"), Ok("pbkdf2:sha512:1000")),
            ("its default", hash("pbkdf2:sha512"), Ok("pbkdf2:sha512:1000000")),
            ("a short digest", hash("pbkdf2:sha256:1000"), Err(InvalidHash::Malformed)),
            ("MD5", hash("md5"), method("md5")),
            ("plain", hash("plain"), method("plain")),
            ("SHA-1", hash("pbkdf2:sha1:1000"), method("pbkdf2:sha1:1000")),
            ("bcrypt", "$2b$12$abcdef".into(), method("")),
            ("argon2", hash("argon2"), method("argon2")),
            ("no dollar", "scrypt:32768:8:1".into(), Err(InvalidHash::Malformed)),
            ("one dollar", "scrypt:32768:8:1$salt".into(), method("scrypt:32768:8:1")),
            ("empty", String::new(), Err(InvalidHash::Malformed)),
            ("N is no power of two", hash("scrypt:32767:8:1"), method("scrypt:32767:8:1")),
            ("N is 1", hash("scrypt:1:8:1"), method("scrypt:1:8:1")),
            ("a sign", hash("scrypt:+32768:8:1"), method("scrypt:+32768:8:1")),
            ("too much memory", hash("scrypt:1048576:8:1"), costly("scrypt:1048576:8:1")),
            (
                "overflow",
                hash("scrypt:2147483648:4294967295:4294967295"),
                costly("scrypt:2147483648:4294967295:429"),
            ),
            ("too many passes", hash("pbkdf2:sha256:4000000000"), costly("pbkdf2:sha256:4000000000")),
            ("none", hash("pbkdf2:sha256:0"), method("pbkdf2:sha256:0")),
            ("upper case digits", format!("scrypt$s${}", "A".repeat(128)), Err(InvalidHash::Malformed)),
        ] {
            let read = WerkzeugHash::parse(&stored).map(|hash| format!("{:?}", hash.method()));
            assert_eq!(read, expected.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn nobody_has_the_stand_in() {
        for method in [Method::Scrypt { log_n: 4, r: 8, p: 1 }, Method::parse("pbkdf2:sha512:10").unwrap()] {
            assert!(!WerkzeugHash::stand_in(method).verify(&Secret::new("x")));
        }
    }
}
