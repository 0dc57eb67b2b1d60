//! Tokens already verified.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use ahash::{AHasher, RandomState};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::claims::Lifetime;
use super::token::Token;
use super::verifier::{Verified, Verifier};
use crate::auth::Grant;

/// Remembers verified tokens, so that a token is verified once and not with every request.
///
/// A token is found by all of its bytes. It counts until its `exp` and leeway, and only while the keys that
/// verified it are the ones in force, and it is not revoked. Bounded to 10,000 tokens and 64 MiB, whichever
/// is less.
pub struct TokenCache(Cache<Box<[u8]>, Arc<Entry>, TokenWeight, SignatureHash>);

struct Entry {
    grant: Arc<Grant>,
    lifetime: Lifetime,
    jti: Option<Box<str>>,
    verifier: Arc<Verifier>,
    generation: u64,
}

#[derive(Clone)]
struct TokenWeight;

const TOKENS: usize = 10_000;
const BYTES: u64 = 64 * 1024 * 1024;

impl Weighter<Box<[u8]>, Arc<Entry>> for TokenWeight {
    /// A short token weighs as much as one of 10,000 may, so that one bound holds both.
    fn weight(&self, token: &Box<[u8]>, _: &Arc<Entry>) -> u64 {
        (token.len() as u64 + 512).max(BYTES / TOKENS as u64)
    }
}

/// Hashes the end of a token alone, which is a good part of its signature: of the tokens in the cache no
/// two have that in common, unless somebody can sign. What is looked up is compared as a whole.
#[derive(Clone, Default)]
struct SignatureHash(RandomState);

struct SignatureHasher(AHasher);

impl BuildHasher for SignatureHash {
    type Hasher = SignatureHasher;

    fn build_hasher(&self) -> SignatureHasher {
        SignatureHasher(self.0.build_hasher())
    }
}

impl Hasher for SignatureHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(&bytes[bytes.len().saturating_sub(32)..]);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        let (hash, lifecycle) = (SignatureHash::default(), DefaultLifecycle::default());
        Self(Cache::with(TOKENS, BYTES, TokenWeight, hash, lifecycle))
    }
}

impl TokenCache {
    /// The grant of a token that is still good.
    pub(in crate::auth) fn get(&self, token: &[u8], now: SystemTime) -> Option<Arc<Grant>> {
        if token.len() > Token::MAX {
            return None;
        }
        let entry = self.0.get(token)?;
        let good = entry.lifetime.holds(now)
            && entry.generation == entry.verifier.generation()
            && !entry.verifier.is_revoked(entry.jti.as_deref());
        good.then(|| Arc::clone(&entry.grant))
    }

    /// Remembers a token.
    pub(in crate::auth) fn insert(
        &self,
        token: &[u8],
        verifier: &Arc<Verifier>,
        verified: &Verified,
        grant: &Arc<Grant>,
    ) {
        let entry = Entry {
            grant: Arc::clone(grant),
            lifetime: verified.lifetime,
            jti: verified.jti.clone(),
            verifier: Arc::clone(verifier),
            generation: verified.generation,
        };
        self.0.insert(token.into(), Arc::new(entry));
    }

    #[cfg(test)]
    pub(in crate::auth) fn len(&self) -> usize {
        self.0.len()
    }
}
