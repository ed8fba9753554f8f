//! The keys of one provider as they are now, and when they may be asked for again.
//!
//! Whoever has a clock and can wait drives it: on start, in the background, and when a token names
//! an unknown key.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::algorithm::Algorithm;
use super::key_set::KeySet;
use super::{Provider, ProviderError};
use crate::model::timestamp::Timestamp;

/// The least time between two fetches that unknown keys ask for: anyone can make up a `kid`.
pub const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(10);

/// What came of asking for newer keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Other keys are in force: what was remembered under the old ones is worth nothing.
    Changed,
    /// The same keys as before.
    Unchanged,
    /// Not asked: they were asked for a moment ago, perhaps by whoever this call waited for.
    TooSoon,
}

/// The keys of one provider. The last good set stays when a newer one cannot be had.
#[derive(Debug)]
pub struct JwksCache {
    current: ArcSwapOption<KeySet>,
    /// `None`: the keys are fixed and never asked for.
    published_for: Option<Vec<Algorithm>>,
    /// Held while keys are fetched, which makes it one fetch at a time.
    asked: Mutex<Option<Timestamp>>,
}

impl JwksCache {
    /// Keys that the provider publishes, none yet; `allowed` is what they may be used with.
    #[must_use]
    pub fn published(allowed: Vec<Algorithm>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            published_for: Some(allowed),
            asked: Mutex::new(None),
        }
    }

    /// Keys that are known from the configuration and do not change.
    #[must_use]
    pub fn fixed(keys: KeySet) -> Self {
        let keys = Arc::new(keys.with_generation(1));
        Self {
            current: ArcSwapOption::new(Some(keys)),
            published_for: None,
            asked: Mutex::new(None),
        }
    }

    /// The keys in force, `None` before the first good answer. [`KeySet::generation`] tells sets
    /// apart, from 1.
    #[must_use]
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.current.load_full()
    }

    /// Fetches the keys now, after a fetch under way: for the start and the background, at the
    /// caller's pace.
    ///
    /// # Errors
    /// When the provider does not give usable keys; those in force stay.
    pub async fn refresh(
        &self,
        provider: &dyn Provider,
        now: Timestamp,
    ) -> Result<Refreshed, ProviderError> {
        let mut asked = self.asked.lock().await;
        *asked = Some(now);
        self.fetch(provider).await
    }

    /// Fetches the keys because a token names one that is not known, unless they were asked for
    /// less than [`UNKNOWN_KEY_PAUSE`] ago. Whoever comes while a fetch is under way waits for it
    /// and gets `TooSoon`: the next step is the same, look at [`JwksCache::current`] again.
    ///
    /// # Errors
    /// As [`JwksCache::refresh`].
    pub async fn refresh_for_unknown_key(
        &self,
        provider: &dyn Provider,
        now: Timestamp,
    ) -> Result<Refreshed, ProviderError> {
        let mut asked = self.asked.lock().await;
        // Both ways, so that a clock that was set back does not stop renewal for hours.
        if asked.is_some_and(|last| last.until(now).max(now.until(last)) < UNKNOWN_KEY_PAUSE) {
            return Ok(Refreshed::TooSoon);
        }
        // Before the call: one that fails, or whose caller goes away, counts too.
        *asked = Some(now);
        self.fetch(provider).await
    }

    /// Only called with `asked` held.
    async fn fetch(&self, provider: &dyn Provider) -> Result<Refreshed, ProviderError> {
        let Some(allowed) = &self.published_for else {
            return Ok(Refreshed::Unchanged);
        };
        let document = provider.published_keys().await?;
        let keys = KeySet::from_jwks(&document, allowed)
            .map_err(|fault| ProviderError::Unavailable(fault.0))?;
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
        Capabilities, LoginSuccess, NewPasswordAttempt, SecondFactorAttempt, SignInAttempt,
    };

    /// Publishes what it is given, once for each permit.
    struct Publisher {
        document: std::sync::Mutex<Result<Vec<u8>, ProviderError>>,
        asked: AtomicUsize,
        permits: Semaphore,
    }

    impl Publisher {
        fn of(keys: &[&TestKey]) -> Self {
            let publisher = Self {
                document: std::sync::Mutex::new(Ok(Vec::new())),
                asked: AtomicUsize::new(0),
                permits: Semaphore::new(1000),
            };
            publisher.publish(keys);
            publisher
        }

        fn publish(&self, keys: &[&TestKey]) {
            let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
            self.answer(Ok(json!({ "keys": keys }).to_string().into_bytes()));
        }

        fn answer(&self, answer: Result<Vec<u8>, ProviderError>) {
            *self.document.lock().unwrap() = answer;
        }
    }

    #[async_trait]
    impl Provider for Publisher {
        fn abilities(&self) -> Capabilities {
            Capabilities::default()
        }

        async fn sign_in(&self, _: SignInAttempt<'_>) -> Result<LoginSuccess, ProviderError> {
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

        async fn published_keys(&self) -> Result<Vec<u8>, ProviderError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            self.document.lock().unwrap().clone()
        }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn generation(ring: &JwksCache) -> Option<u64> {
        ring.current().map(|keys| keys.generation())
    }

    #[tokio::test]
    async fn the_last_good_keys_stay_and_changes_are_told() {
        let (first, second) = (TestKey::es256("one"), TestKey::ed25519("two"));
        let publisher = Publisher::of(&[&first, &second]);
        let ring = JwksCache::published(vec![Algorithm::Es256, Algorithm::EdDsa]);
        assert!(ring.current().is_none());
        assert_eq!(
            ring.refresh(&publisher, at(0)).await,
            Ok(Refreshed::Changed)
        );
        assert_eq!(generation(&ring), Some(1));

        publisher.publish(&[&second, &first]);
        assert_eq!(
            ring.refresh(&publisher, at(1)).await,
            Ok(Refreshed::Unchanged),
            "order means nothing"
        );

        for trouble in [
            Ok(b"<html>".to_vec()),
            Ok(b"{\"keys\":[]}".to_vec()),
            Err(ProviderError::Unavailable("x".into())),
        ] {
            publisher.answer(trouble);
            assert!(matches!(
                ring.refresh(&publisher, at(2)).await,
                Err(ProviderError::Unavailable(_))
            ));
            assert_eq!(generation(&ring), Some(1));
        }

        publisher.publish(&[&second]);
        assert_eq!(
            ring.refresh(&publisher, at(3)).await,
            Ok(Refreshed::Changed)
        );
        assert_eq!(generation(&ring), Some(2));
    }

    #[tokio::test]
    async fn unknown_keys_ask_at_most_every_ten_seconds() {
        let key = TestKey::es256("one");
        let publisher = Publisher::of(&[&key]);
        let ring = JwksCache::published(vec![Algorithm::Es256]);
        publisher.answer(Err(ProviderError::Unavailable("down".into())));
        assert!(
            ring.refresh_for_unknown_key(&publisher, at(0))
                .await
                .is_err()
        );
        publisher.publish(&[&key]);
        assert_eq!(
            ring.refresh_for_unknown_key(&publisher, at(9)).await,
            Ok(Refreshed::TooSoon)
        );
        assert_eq!(
            ring.refresh_for_unknown_key(&publisher, at(10)).await,
            Ok(Refreshed::Changed)
        );
        assert_eq!(
            ring.refresh_for_unknown_key(&publisher, at(11)).await,
            Ok(Refreshed::TooSoon)
        );
        // The clock was set back by an hour.
        let earlier = Timestamp::from_secs(at(0).secs() - 3600);
        assert_eq!(
            ring.refresh_for_unknown_key(&publisher, earlier).await,
            Ok(Refreshed::Unchanged)
        );
        assert_eq!(publisher.asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_crowd_makes_one_fetch() {
        let key = TestKey::es256("one");
        let publisher = Publisher::of(&[&key]);
        publisher.permits.forget_permits(1000);
        let ring = JwksCache::published(vec![Algorithm::Es256]);
        let ask = || ring.refresh_for_unknown_key(&publisher, at(0));
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
        assert_eq!(publisher.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn fixed_keys_are_never_asked_for() {
        let publisher = Publisher::of(&[]);
        let secret = b"a secret of at least 32 bytes in all";
        let ring = JwksCache::fixed(KeySet::from_hmac_secret(secret, &[Algorithm::Hs256]).unwrap());
        assert_eq!(
            ring.refresh(&publisher, at(0)).await,
            Ok(Refreshed::Unchanged)
        );
        assert_eq!(generation(&ring), Some(1));
        assert_eq!(publisher.asked.load(Ordering::SeqCst), 0);
    }
}
