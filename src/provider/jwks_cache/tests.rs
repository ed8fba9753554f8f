use std::sync::atomic::AtomicUsize;

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

/// The time of a paused runtime.
fn paused_now() -> tokio::time::Instant {
    tokio::time::sleep(Duration::ZERO).deadline()
}

/// A monotonic clock that stands still.
fn at(secs: u64) -> impl Fn() -> Duration + Sync {
    move || Duration::from_secs(1_000_000 + secs)
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
        cache.refresh(&publisher, &at(0)).await,
        Ok(Refreshed::Changed)
    );
    assert_eq!(generation(&cache), Some(1));

    publisher.publish(&[&second, &first]);
    assert_eq!(
        cache.refresh(&publisher, &at(1)).await,
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
            cache.refresh(&publisher, &at(2)).await,
            Err(ProviderError::Unavailable(_))
        ));
        assert_eq!(generation(&cache), Some(1));
    }

    publisher.publish(&[&second]);
    assert_eq!(
        cache.refresh(&publisher, &at(3)).await,
        Ok(Refreshed::Changed)
    );
    assert_eq!(generation(&cache), Some(2));
}

/// Asks because of a token whose key is not among those in force.
async fn ask(
    cache: &JwksCache,
    publisher: &Publisher,
    origin: TokenOrigin,
    clock: &Monotonic<'_>,
) -> Result<Refreshed, ProviderError> {
    let seen = generation(cache);
    let asked = cache.refresh_for_unknown_key(publisher, origin, seen, clock);
    asked.await
}

#[tokio::test]
async fn presented_tokens_cause_a_fetch_at_most_every_ten_seconds() {
    let key = TestKey::es256("one");
    let publisher = Publisher::of(&[&key]);
    let cache = JwksCache::published(vec![Algorithm::Es256]);
    let ask = async |secs| ask(&cache, &publisher, TokenOrigin::Presented, &at(secs)).await;
    publisher.respond(Err(ProviderError::Unavailable("down".into())));
    assert!(ask(0).await.is_err());
    publisher.publish(&[&key]);
    assert_eq!(ask(9).await, Ok(Refreshed::TooSoon));
    assert_eq!(ask(10).await, Ok(Refreshed::Changed));
    assert_eq!(ask(11).await, Ok(Refreshed::TooSoon));
    assert_eq!(ask(20).await, Ok(Refreshed::Unchanged));
    assert_eq!(publisher.fetches.load(Ordering::SeqCst), 3);
}

/// The provider has changed its key right after the last fetch.
#[tokio::test(start_paused = true)]
async fn an_issued_token_waits_for_a_fetch_of_its_own() {
    let (old, new) = (TestKey::es256("one"), TestKey::es256("two"));
    let publisher = Publisher::of(&[&old]);
    let cache = JwksCache::published(vec![Algorithm::Es256]);
    let began = paused_now();
    let clock = || Duration::from_secs(9) + (paused_now() - began);
    let ask = || ask(&cache, &publisher, TokenOrigin::Issued, &clock);
    assert_eq!(ask().await, Ok(Refreshed::Changed));
    publisher.publish(&[&new]);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert_eq!(a, Ok(Refreshed::Changed));
    assert_eq!(
        (b, c),
        (Ok(Refreshed::Superseded), Ok(Refreshed::Superseded))
    );
    assert_eq!(
        (paused_now() - began),
        ISSUED_INTERVAL,
        "no more than one a second"
    );
    assert_eq!(publisher.fetches.load(Ordering::SeqCst), 2, "one for all");
}

/// Each waits for a second to pass since the last fetch.
#[tokio::test(start_paused = true)]
async fn callers_that_came_before_a_fetch_share_it() {
    let key = TestKey::es256("one");
    let publisher = Publisher::of(&[&key]);
    let cache = JwksCache::published(vec![Algorithm::Es256]);
    let began = paused_now();
    let clock = || paused_now() - began;
    let ask = || ask(&cache, &publisher, TokenOrigin::Issued, &clock);
    assert_eq!(ask().await, Ok(Refreshed::Changed));
    for (document, result) in [
        (None, Refreshed::Shared),
        (Some("down"), Refreshed::SharedFailure),
    ] {
        if let Some(cause) = document {
            publisher.respond(Err(ProviderError::Unavailable(cause.into())));
        }
        let before = publisher.fetches.load(Ordering::SeqCst);
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        let own =
            |asked: &Result<Refreshed, _>| asked.is_err() || *asked == Ok(Refreshed::Unchanged);
        assert!(own(&a), "{a:?}");
        assert_eq!((b, c, d), (Ok(result), Ok(result), Ok(result)));
        let fetches = publisher.fetches.load(Ordering::SeqCst);
        assert_eq!(fetches, before + 1, "all came before it began");
        assert_eq!(result.is_current(), document.is_none());
    }
}

#[tokio::test]
async fn a_crowd_makes_one_fetch() {
    let key = TestKey::es256("one");
    let publisher = Publisher::of(&[&key]);
    publisher.permits.forget_permits(1000);
    let cache = JwksCache::published(vec![Algorithm::Es256]);
    let clock = at(0);
    let ask = || ask(&cache, &publisher, TokenOrigin::Presented, &clock);
    let let_it_answer = async { publisher.permits.add_permits(1000) };
    let (a, b, c, ()) = tokio::join!(ask(), ask(), ask(), let_it_answer);
    assert_eq!(
        (a, b, c),
        (
            Ok(Refreshed::Changed),
            Ok(Refreshed::Superseded),
            Ok(Refreshed::Superseded)
        )
    );
    assert_eq!(publisher.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn fixed_keys_are_never_asked_for() {
    let publisher = Publisher::of(&[]);
    let secret = b"a secret of at least 32 bytes in all";
    let cache = JwksCache::fixed(KeySet::from_hmac_secret(secret, &[Algorithm::Hs256]).unwrap());
    assert_eq!(
        cache.refresh(&publisher, &at(0)).await,
        Ok(Refreshed::Unchanged)
    );
    assert_eq!(generation(&cache), Some(1));
    assert_eq!(publisher.fetches.load(Ordering::SeqCst), 0);
}
