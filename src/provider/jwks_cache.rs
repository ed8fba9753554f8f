//! The keys of one provider in memory, and when they may be fetched again.
//!
//! It has no clock and no task of its own: the caller refreshes it at the start, in the background,
//! and when a token names an unknown key.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::key_set::{KeySet, KeySetError};
use super::{Provider, ProviderError};
use crate::config::settings;
use crate::model::algorithm::Algorithm;
use crate::model::timestamp::Timestamp;

/// The least time between two fetches that unknown keys cause: any client can make up a `kid`.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The keys are others now: tokens that were verified with the old ones must be verified again.
    Changed,
    /// The keys are the same as before.
    Unchanged,
    /// Nothing was fetched, because the last fetch was a moment ago; it may have been one that this
    /// call waited for.
    TooSoon,
}

/// The keys of one provider. The last good set stays while a newer one cannot be fetched.
#[derive(Debug)]
pub struct JwksCache {
    current: ArcSwapOption<KeySet>,
    /// The algorithms that fetched keys may be used with; `None` for fixed keys, which are never
    /// fetched.
    allowed: Option<Vec<Algorithm>>,
    /// When the last fetch started. It is locked while keys are fetched, so that there is one fetch
    /// at a time.
    last_fetch: Mutex<Option<Timestamp>>,
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
        now: Timestamp,
    ) -> Result<Refreshed, ProviderError> {
        let mut last_fetch = self.last_fetch.lock().await;
        *last_fetch = Some(now);
        self.fetch(provider).await
    }

    /// Fetches the keys because a token names an unknown one, unless the last fetch was less than
    /// ten seconds ago. A caller that comes while a fetch is under way waits for it and gets
    /// `TooSoon`: it looks at [`JwksCache::current`] again either way.
    ///
    /// # Errors
    /// As [`JwksCache::refresh`].
    pub async fn refresh_for_unknown_key(
        &self,
        provider: &dyn Provider,
        now: Timestamp,
    ) -> Result<Refreshed, ProviderError> {
        let mut last_fetch = self.last_fetch.lock().await;
        // In both directions: a clock that was set back must not prevent fetches for hours.
        if last_fetch
            .is_some_and(|last| last.until(now).max(now.until(last)) < UNKNOWN_KEY_INTERVAL)
        {
            return Ok(Refreshed::TooSoon);
        }
        // Before the call: one that fails, or whose caller goes away, counts too.
        *last_fetch = Some(now);
        self.fetch(provider).await
    }

    /// Must be called with `last_fetch` locked.
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use serde_json::json;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::model::secret::Secret;
    use crate::model::token::TokenPair;
    use crate::provider::test_keys::TestKey;
    use crate::provider::{
        Capabilities, LoginAttempt, LoginSuccess, NewPasswordAttempt, SecondFactorAttempt,
    };

    /// Publishes what it is given, once for each permit.
    struct Publisher {
        document: std::sync::Mutex<Result<Vec<u8>, ProviderError>>,
        fetches: AtomicUsize,
        permits: Semaphore,
    }

    impl Publisher {
        fn of(keys: &[&TestKey]) -> Self {
            let publisher = Self {
                document: std::sync::Mutex::new(Ok(Vec::new())),
                fetches: AtomicUsize::new(0),
                permits: Semaphore::new(1000),
            };
            publisher.publish(keys);
            publisher
        }

        fn publish(&self, keys: &[&TestKey]) {
            let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
            self.respond(Ok(json!({ "keys": keys }).to_string().into_bytes()));
        }

        fn respond(&self, response: Result<Vec<u8>, ProviderError>) {
            *self.document.lock().unwrap() = response;
        }
    }

    #[async_trait]
    impl Provider for Publisher {
        fn capabilities(&self) -> Capabilities {
            Capabilities::default()
        }

        async fn login(&self, _: LoginAttempt<'_>) -> Result<LoginSuccess, ProviderError> {
            unreachable!()
        }

        async fn second_factor(
            &self,
            _: SecondFactorAttempt<'_>,
        ) -> Result<LoginSuccess, ProviderError> {
            unreachable!()
        }

        async fn send_code(&self, _: &Secret, _: &Secret) -> Result<(), ProviderError> {
            unreachable!()
        }

        async fn change_password(
            &self,
            _: NewPasswordAttempt<'_>,
        ) -> Result<LoginSuccess, ProviderError> {
            unreachable!()
        }

        async fn refresh(&self, _: &Secret) -> Result<TokenPair, ProviderError> {
            unreachable!()
        }

        async fn revoke(&self, _: &Secret) -> Result<(), ProviderError> {
            unreachable!()
        }

        async fn fetch_jwks(&self) -> Result<Vec<u8>, ProviderError> {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            self.document.lock().unwrap().clone()
        }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn generation(cache: &JwksCache) -> Option<u64> {
        cache.current().map(|keys| keys.generation())
    }

    #[tokio::test]
    async fn the_last_good_keys_stay_and_changes_are_reported() {
        let (first, second) = (TestKey::es256("one"), TestKey::ed25519("two"));
        let publisher = Publisher::of(&[&first, &second]);
        let cache = JwksCache::published(vec![Algorithm::Es256, Algorithm::EdDsa]);
        assert!(cache.current().is_none());
        assert_eq!(
            cache.refresh(&publisher, at(0)).await,
            Ok(Refreshed::Changed)
        );
        assert_eq!(generation(&cache), Some(1));

        publisher.publish(&[&second, &first]);
        assert_eq!(
            cache.refresh(&publisher, at(1)).await,
            Ok(Refreshed::Unchanged),
            "order means nothing"
        );

        for response in [
            Ok(b"<html>".to_vec()),
            Ok(b"{\"keys\":[]}".to_vec()),
            Err(ProviderError::Unavailable("x".into())),
        ] {
            publisher.respond(response);
            assert!(matches!(
                cache.refresh(&publisher, at(2)).await,
                Err(ProviderError::Unavailable(_))
            ));
            assert_eq!(generation(&cache), Some(1));
        }

        publisher.publish(&[&second]);
        assert_eq!(
            cache.refresh(&publisher, at(3)).await,
            Ok(Refreshed::Changed)
        );
        assert_eq!(generation(&cache), Some(2));
    }

    #[tokio::test]
    async fn unknown_keys_ask_at_most_every_ten_seconds() {
        let key = TestKey::es256("one");
        let publisher = Publisher::of(&[&key]);
        let cache = JwksCache::published(vec![Algorithm::Es256]);
        publisher.respond(Err(ProviderError::Unavailable("down".into())));
        assert!(
            cache
                .refresh_for_unknown_key(&publisher, at(0))
                .await
                .is_err()
        );
        publisher.publish(&[&key]);
        assert_eq!(
            cache.refresh_for_unknown_key(&publisher, at(9)).await,
            Ok(Refreshed::TooSoon)
        );
        assert_eq!(
            cache.refresh_for_unknown_key(&publisher, at(10)).await,
            Ok(Refreshed::Changed)
        );
        assert_eq!(
            cache.refresh_for_unknown_key(&publisher, at(11)).await,
            Ok(Refreshed::TooSoon)
        );
        // The clock was set back by an hour.
        let earlier = Timestamp::from_secs(at(0).secs() - 3600);
        assert_eq!(
            cache.refresh_for_unknown_key(&publisher, earlier).await,
            Ok(Refreshed::Unchanged)
        );
        assert_eq!(publisher.fetches.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_crowd_makes_one_fetch() {
        let key = TestKey::es256("one");
        let publisher = Publisher::of(&[&key]);
        publisher.permits.forget_permits(1000);
        let cache = JwksCache::published(vec![Algorithm::Es256]);
        let ask = || cache.refresh_for_unknown_key(&publisher, at(0));
        let let_it_answer = async { publisher.permits.add_permits(1000) };
        let (a, b, c, ()) = tokio::join!(ask(), ask(), ask(), let_it_answer);
        assert_eq!(
            (a, b, c),
            (
                Ok(Refreshed::Changed),
                Ok(Refreshed::TooSoon),
                Ok(Refreshed::TooSoon)
            )
        );
        assert_eq!(publisher.fetches.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn fixed_keys_are_never_asked_for() {
        let publisher = Publisher::of(&[]);
        let secret = b"a secret of at least 32 bytes in all";
        let cache =
            JwksCache::fixed(KeySet::from_hmac_secret(secret, &[Algorithm::Hs256]).unwrap());
        assert_eq!(
            cache.refresh(&publisher, at(0)).await,
            Ok(Refreshed::Unchanged)
        );
        assert_eq!(generation(&cache), Some(1));
        assert_eq!(publisher.fetches.load(Ordering::SeqCst), 0);
    }
}
