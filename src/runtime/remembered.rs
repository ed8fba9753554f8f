//! Access tokens that were verified a moment ago: the one look-up a signed-in request costs.
//!
//! Keyed by the whole text of the token: nothing that differs in a single byte is taken for it.
//! Bounded in bytes, never past the token's end, emptied when the provider's keys change; a revoked
//! sign-in is asked for separately at every look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;

/// The tokens of one site.
pub struct RememberedTokens {
    cache: Cache<Box<str>, Entry, Weight>,
    keys: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    keys: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Entry> for Weight {
    fn weight(&self, token: &Box<str>, _: &Entry) -> u64 {
        // The token's text stands for the claims too: they are about as long.
        (token.len() as u64) * 3 + 512
    }
}

/// Tokens one site is expected to have in use at once.
const EXPECTED: usize = 10_000;
/// The most memory for one site's tokens, in bytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

impl RememberedTokens {
    /// Nothing remembered yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            cache: Cache::with_weighter(EXPECTED, MOST_BYTES, Weight),
            keys: AtomicU64::new(0),
        }
    }

    /// Whom `token` proves, if it was verified with the keys of `generation` and has not ended.
    pub fn get(&self, token: &str, generation: u64, now: Timestamp) -> Option<Arc<Principal>> {
        let entry = self.cache.get(token)?;
        (entry.keys == generation && now < entry.principal.expires).then_some(entry.principal)
    }

    /// Remembers what was just verified with the keys of `generation`.
    pub fn put(&self, token: &str, generation: u64, principal: &Arc<Principal>) {
        if self.keys.swap(generation, Ordering::Relaxed) != generation {
            // Tokens verified with other keys are never handed out again: make room at once.
            self.cache.clear();
        }
        self.cache.insert(
            token.into(),
            Entry {
                principal: Arc::clone(principal),
                keys: generation,
            },
        );
    }
}

impl Default for RememberedTokens {
    fn default() -> Self {
        Self::new()
    }
}
