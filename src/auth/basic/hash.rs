//! Password hashes: bcrypt, scrypt and argon2, and nothing weaker.

mod workers;

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use scrypt::Scrypt;

use crate::secret::Secret;
pub use workers::{Busy, HashLoad, HashWorkers};

/// A stored hash that a password can be verified against. Prints only its kind.
pub struct StoredHash(Kind);

enum Kind {
    /// The text as it stands: `$2a$`, `$2b$` or `$2y$`.
    Bcrypt(Box<str>),
    Argon2(Box<PasswordHash>),
    Scrypt(Box<PasswordHash>),
}

/// Why a stored hash is not taken. Never tells the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// A kind that is guessed too fast.
    #[error("{0} is too weak: use argon2, scrypt or bcrypt (`airgate hash-password`)")]
    Weak(&'static str),
    /// A kind that is not known here.
    #[error("{0} is not supported: use argon2, scrypt or bcrypt (`airgate hash-password`)")]
    Unsupported(&'static str),
    /// A good kind, but not a whole hash.
    #[error("not a valid {0} hash")]
    Malformed(&'static str),
    /// One check would take more time or memory than a request is worth: above bcrypt's cost 16,
    /// 256 MiB, 16 passes or 16 lanes.
    #[error("the cost of this {0} hash is too high")]
    TooCostly(&'static str),
}

/// A new hash could not be made: no random numbers for its salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot hash the password")]
pub struct HashFailed;

/// Hashes a password for a users file: argon2id with the parameters that OWASP recommends (19 MiB,
/// 2 passes, 1 lane), and a random salt.
///
/// # Errors
/// The system has no random numbers.
pub fn hash_password(password: &Secret) -> Result<String, HashFailed> {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.expose().as_bytes()).map_err(|_| HashFailed)?;
    Ok(hash.to_string())
}

impl StoredHash {
    /// Reads a hash as `htpasswd -B`, `airgate hash-password` and the PHC string format write it.
    ///
    /// # Errors
    /// A weak, an unknown, a broken or a much too costly hash.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let kind = if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            bcrypt_hash(text)?
        } else if text.starts_with("$argon2") {
            argon2_hash(text)?
        } else if text.starts_with("$scrypt$") {
            scrypt_hash(text)?
        } else {
            return Err(refused(text));
        };
        Ok(Self(kind))
    }

    /// Whether this is the password. Takes long, by design: run it by [`HashWorkers`]. bcrypt looks
    /// at the first 72 bytes only, as it does everywhere.
    pub fn verify(&self, password: &Secret) -> bool {
        let password = password.expose().as_bytes();
        match &self.0 {
            Kind::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Kind::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Kind::Scrypt(hash) => Scrypt::new().verify_password(password, &**hash).is_ok(),
        }
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Bcrypt(_) => "bcrypt(***)",
            Kind::Argon2(_) => "argon2(***)",
            Kind::Scrypt(_) => "scrypt(***)",
        })
    }
}

/// The most memory that one check may take, in KiB.
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
const MAX_BCRYPT_COST: u32 = 16;

fn bcrypt_hash(text: &str) -> Result<Kind, InvalidHash> {
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| InvalidHash::Malformed("bcrypt"))?;
    match parts.get_cost() {
        0..=3 => Err(InvalidHash::Malformed("bcrypt")),
        4..=MAX_BCRYPT_COST => Ok(Kind::Bcrypt(text.into())),
        _ => Err(InvalidHash::TooCostly("bcrypt")),
    }
}

fn argon2_hash(text: &str) -> Result<Kind, InvalidHash> {
    const KIND: &str = "argon2";
    let hash = phc(text, KIND)?;
    argon2::Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| InvalidHash::Malformed(KIND))?;
    let params = argon2::Params::try_from(&hash).map_err(|_| InvalidHash::Malformed(KIND))?;
    if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
        return Err(InvalidHash::TooCostly(KIND));
    }
    Ok(Kind::Argon2(Box::new(hash)))
}

fn scrypt_hash(text: &str) -> Result<Kind, InvalidHash> {
    const KIND: &str = "scrypt";
    let hash = phc(text, KIND)?;
    let params = scrypt::Params::try_from(&hash).map_err(|_| InvalidHash::Malformed(KIND))?;
    let memory = u64::from(params.r()).saturating_mul(128).checked_shl(u32::from(params.log_n()));
    let fits = memory.is_some_and(|bytes| bytes <= u64::from(MAX_MEMORY) * 1024);
    if !fits || params.log_n() > 20 || params.p() > MAX_LANES {
        return Err(InvalidHash::TooCostly(KIND));
    }
    Ok(Kind::Scrypt(Box::new(hash)))
}

fn phc(text: &str, kind: &'static str) -> Result<PasswordHash, InvalidHash> {
    let hash = PasswordHash::new(text).map_err(|_| InvalidHash::Malformed(kind))?;
    let whole = hash.salt.is_some() && hash.hash.is_some();
    if whole { Ok(hash) } else { Err(InvalidHash::Malformed(kind)) }
}

/// Says by name what is not taken.
fn refused(text: &str) -> InvalidHash {
    const WEAK: [(&str, &str); 7] = [
        ("{SHA}", "SHA-1 ({SHA})"),
        ("{SSHA}", "salted SHA-1 ({SSHA})"),
        ("$apr1$", "Apache's MD5 ($apr1$)"),
        ("$1$", "MD5-crypt ($1$)"),
        ("$5$", "SHA-256-crypt ($5$)"),
        ("$6$", "SHA-512-crypt ($6$)"),
        ("$2x$", "bcrypt with the sign error of 2011 ($2x$)"),
    ];
    const UNSUPPORTED: [(&str, &str); 6] = [
        ("$y$", "yescrypt ($y$)"),
        ("$7$", "scrypt in crypt's own format ($7$)"),
        ("$pbkdf2", "PBKDF2"),
        ("pbkdf2:", "Werkzeug's PBKDF2"),
        ("scrypt:", "Werkzeug's own format of scrypt"),
        ("$", "this kind of hash"),
    ];
    let find = |list: &[(&str, &'static str)]| {
        list.iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, name)| *name)
    };
    if let Some(name) = find(&WEAK) {
        InvalidHash::Weak(name)
    } else if let Some(name) = find(&UNSUPPORTED) {
        InvalidHash::Unsupported(name)
    } else {
        InvalidHash::Weak("a plain text or a DES crypt")
    }
}

#[cfg(test)]
mod tests;
