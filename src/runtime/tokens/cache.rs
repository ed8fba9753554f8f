//! Verified access tokens of one site: the one look-up that a signed-in request costs.
//!
//! The key is the whole text of the token, so that a token that differs in a single byte is not
//! taken for it. The cache is bounded in bytes, serves no token after its `exp`, and is emptied
//! when the provider's keys change. A revocation does not remove tokens from it: each is checked
//! again when it is presented next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::runtime::revocation_ids::RevocationIds;

/// The verified access tokens of one site.
pub struct TokenCache {
    cache: Cache<Box<str>, Entry, Weight>,
    /// The generation of the keys that verified the entries.
    generation: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    token: Arc<CachedToken>,
    generation: u64,
}

/// A verified access token.
pub struct CachedToken {
    /// What it proves.
    pub principal: Arc<Principal>,
    pub(in crate::runtime) revocation_ids: RevocationIds,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Entry> for Weight {
    fn weight(&self, token: &Box<str>, _: &Entry) -> u64 {
        // The token counts three times: twice for the claims, which are about as long.
        (token.len() as u64) * 3 + 640
    }
}

/// How many tokens one site is expected to have in use at the same time.
const EXPECTED_TOKENS: usize = 10_000;
/// The most memory for the tokens of one site, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

impl TokenCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self {
            cache: Cache::with_weighter(EXPECTED_TOKENS, MAX_BYTES, Weight),
            generation: AtomicU64::new(0),
        }
    }

    /// What is known of `token`, if the keys of `generation` verified it and it has not expired.
    pub fn get(&self, token: &str, generation: u64, now: Timestamp) -> Option<Arc<CachedToken>> {
        let entry = self.cache.get(token)?;
        (entry.generation == generation && now < entry.token.principal.expires_at)
            .then_some(entry.token)
    }

    /// Adds a token that the keys of `generation` have just verified.
    pub fn put(&self, token: &str, generation: u64, verified: Arc<CachedToken>) {
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            // Tokens that other keys verified are never served again.
            self.cache.clear();
        }
        self.cache.insert(
            token.into(),
            Entry {
                token: verified,
                generation,
            },
        );
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}
