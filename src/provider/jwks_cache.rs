//! The keys of one provider in memory, and when they may be fetched again.
//!
//! It has no clock and no task of its own: the caller refreshes it at the start, in the background,
//! and when a token names an unknown key. Its times are those of a monotonic clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::key_set::{KeySet, KeySetError};
use super::{Provider, ProviderError};
use crate::config::settings;
use crate::model::algorithm::Algorithm;
/// Reads a monotonic clock.
pub type Monotonic<'a> = dyn Fn() -> Duration + Sync + 'a;

/// The least time between two fetches for tokens that clients present: anybody can make up a `kid`.
const PRESENTED_INTERVAL: Duration = Duration::from_secs(10);
/// The least time between two fetches for tokens that the provider has just issued. A caller waits
/// for it to pass.
const ISSUED_INTERVAL: Duration = Duration::from_secs(1);

/// Where a token comes from whose key is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// A client has presented it.
    Presented,
    /// The provider has issued it a moment ago, in a response to the gateway.
    Issued,
}

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The keys are others now: tokens that were verified with the old ones must be verified again.
    Changed,
    /// The keys are the same as before.
    Unchanged,
    /// Another caller has fetched them since this call began.
    Shared,
    /// Another caller has tried to fetch them since this call began, and failed.
    SharedFailure,
    /// The keys are not those any more that the caller has seen.
    Superseded,
    /// Nothing was fetched, because the last fetch was a moment ago.
    TooSoon,
}

impl Refreshed {
    /// Whether the keys are now those that the provider published after the call began.
    #[must_use]
    pub fn is_current(self) -> bool {
        match self {
            Self::Changed | Self::Unchanged | Self::Shared => true,
            Self::SharedFailure | Self::Superseded | Self::TooSoon => false,
        }
    }
}

/// A fetch.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    /// Counts the fetches, so that a caller knows whether this one began after its call.
    number: u64,
    started: Duration,
    /// Whether it succeeded; `None` where it did not end, because its caller went away.
    succeeded: Option<bool>,
}

/// The keys of one provider. The last good set stays while a newer one cannot be fetched.
#[derive(Debug)]
pub struct JwksCache {
    current: ArcSwapOption<KeySet>,
    /// The algorithms that fetched keys may be used with; `None` for fixed keys, which are never
    /// fetched.
    allowed: Option<Vec<Algorithm>>,
    /// The last fetch. It is locked while keys are fetched, so that there is one fetch at a time.
    last_fetch: Mutex<Option<Fetch>>,
    /// How many fetches have begun.
    fetches: AtomicU64,
}

impl JwksCache {
    /// The keys that `settings` describe: the fixed HMAC secret where there is one, else the keys
    /// that the provider publishes, none yet.
    ///
    /// # Errors
    /// When the HMAC secret cannot be used.
    pub fn from_settings(settings: &settings::Provider) -> Result<Self, KeySetError> {
        let allowed = &settings.algorithms;
        Ok(match &settings.hmac_secret {
            None => Self::published(allowed.clone()),
            Some(secret) => {
                let secret = secret.expose().as_bytes();
                Self::fixed(KeySet::from_hmac_secret(secret, allowed)?)
            }
        })
    }

    /// Keys that the provider publishes, none yet. They may be used with the algorithms `allowed`.
    #[must_use]
    pub fn published(allowed: Vec<Algorithm>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            allowed: Some(allowed),
            last_fetch: Mutex::new(None),
            fetches: AtomicU64::new(0),
        }
    }

    /// Keys from the configuration, which do not change.
    #[must_use]
    pub fn fixed(keys: KeySet) -> Self {
        let keys = Arc::new(keys.with_generation(1));
        Self {
            current: ArcSwapOption::new(Some(keys)),
            allowed: None,
            last_fetch: Mutex::new(None),
            fetches: AtomicU64::new(0),
        }
    }

    /// The keys in force; `None` before the first successful fetch. The [`KeySet::generation`] of
    /// the first set is 1.
    #[must_use]
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.current.load_full()
    }

    /// Fetches the keys now, or after a fetch that is under way. For the start and the background,
    /// where the caller sets the pace.
    ///
    /// # Errors
    /// When the provider does not return usable keys; those in force stay.
    pub async fn refresh(
        &self,
        provider: &dyn Provider,
        monotonic: &Monotonic<'_>,
    ) -> Result<Refreshed, ProviderError> {
        let mut last_fetch = self.last_fetch.lock().await;
        self.fetch_as(provider, &mut last_fetch, monotonic()).await
    }

    /// Fetches the keys because a token names an unknown one. For a presented token nothing is
    /// fetched within ten seconds after the start of the last fetch. For an issued token the call
    /// waits until a second has passed since then, so that a change of keys costs no visitor a
    /// sign-in. `seen` is the generation of the keys among which it is not, if there are any: a
    /// caller that waits for the fetch of another looks at the new keys before it asks again.
    ///
    /// # Errors
    /// As [`JwksCache::refresh`].
    pub async fn refresh_for_unknown_key(
        &self,
        provider: &dyn Provider,
        origin: TokenOrigin,
        seen: Option<u64>,
        monotonic: &Monotonic<'_>,
    ) -> Result<Refreshed, ProviderError> {
        if self.allowed.is_none() {
            return Ok(Refreshed::Unchanged);
        }
        let begun = self.fetches.load(Ordering::Relaxed);
        let mut last_fetch = self.last_fetch.lock().await;
        if self.current().map(|keys| keys.generation()) != seen {
            return Ok(Refreshed::Superseded);
        }
        if let Some(fetch) = *last_fetch {
            match fetch.succeeded.filter(|_| fetch.number > begun) {
                Some(true) => return Ok(Refreshed::Shared),
                Some(false) => return Ok(Refreshed::SharedFailure),
                None => {}
            }
            let since = monotonic().saturating_sub(fetch.started);
            match origin {
                TokenOrigin::Presented if since < PRESENTED_INTERVAL => {
                    return Ok(Refreshed::TooSoon);
                }
                TokenOrigin::Presented => {}
                TokenOrigin::Issued => {
                    tokio::time::sleep(ISSUED_INTERVAL.saturating_sub(since)).await;
                }
            }
        }
        self.fetch_as(provider, &mut last_fetch, monotonic()).await
    }

    /// Fetches the keys, and records it in `last_fetch`, which is locked.
    async fn fetch_as(
        &self,
        provider: &dyn Provider,
        last_fetch: &mut Option<Fetch>,
        started: Duration,
    ) -> Result<Refreshed, ProviderError> {
        let number = self.fetches.fetch_add(1, Ordering::Relaxed) + 1;
        let fetch = |succeeded| Fetch {
            number,
            started,
            succeeded,
        };
        // Before the call: one that fails, or whose caller goes away, counts too.
        *last_fetch = Some(fetch(None));
        let fetched = self.fetch(provider).await;
        *last_fetch = Some(fetch(Some(fetched.is_ok())));
        fetched
    }

    async fn fetch(&self, provider: &dyn Provider) -> Result<Refreshed, ProviderError> {
        let Some(allowed) = &self.allowed else {
            return Ok(Refreshed::Unchanged);
        };
        let document = provider.fetch_jwks().await?;
        let keys = KeySet::from_jwks(&document, allowed)
            .map_err(|error| ProviderError::Unavailable(error.0))?;
        let before = self.current.load_full();
        if before
            .as_ref()
            .is_some_and(|before| before.same_keys(&keys))
        {
            return Ok(Refreshed::Unchanged);
        }
        let generation = before.map_or(0, |before| before.generation()) + 1;
        self.current
            .store(Some(Arc::new(keys.with_generation(generation))));
        Ok(Refreshed::Changed)
    }
}

#[cfg(test)]
mod tests;
