//! Tokens already verified.

use std::sync::Arc;
use std::time::SystemTime;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::claims::Lifetime;
use super::token::Token;
use super::verifier::{Verified, Verifier};
use crate::auth::Grant;

/// Remembers verified tokens, so that a token is verified once and not with every request.
///
/// A token is found by all of its bytes. It counts until its `exp` and leeway, and only while the keys that
/// verified it are the ones in force. Bounded to 10,000 tokens and 64 MiB, whichever is less.
pub(in crate::auth) struct TokenCache(Cache<Box<[u8]>, Arc<Entry>, TokenWeight>);

struct Entry {
    grant: Arc<Grant>,
    lifetime: Lifetime,
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

impl TokenCache {
    pub fn new() -> Self {
        Self(Cache::with_weighter(TOKENS, BYTES, TokenWeight))
    }

    /// The grant of a token that is still good.
    pub fn get(&self, token: &[u8], now: SystemTime) -> Option<Arc<Grant>> {
        if token.len() > Token::MAX {
            return None;
        }
        let entry = self.0.get(token)?;
        let good = entry.lifetime.holds(now) && entry.generation == entry.verifier.generation();
        good.then(|| Arc::clone(&entry.grant))
    }

    /// Remembers a token.
    pub fn insert(&self, token: &[u8], verifier: &Arc<Verifier>, verified: &Verified, grant: &Arc<Grant>) {
        let entry = Entry {
            grant: Arc::clone(grant),
            lifetime: verified.lifetime,
            verifier: Arc::clone(verifier),
            generation: verified.generation,
        };
        self.0.insert(token.into(), Arc::new(entry));
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
