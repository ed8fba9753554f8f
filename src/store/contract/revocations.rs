//! A revoked sign-in is revoked on all replicas until its tokens expire.

use std::sync::{Arc, Mutex};

use super::super::{RevocationId, RevocationListener, RevocationStore};
use super::{Fixture, NOW, millis, secs, within_a_second};
use crate::model::token::RevocationKey;

fn session(name: &str) -> RevocationKey {
    RevocationKey(name.to_owned())
}

async fn one(fixture: &impl Fixture) -> Arc<dyn RevocationStore> {
    fixture.stores().await.revocations
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    a_revocation_holds_until_its_end(&*one(fixture).await).await;
    the_later_end_counts(&*one(fixture).await).await;
    every_replica_knows_within_a_second(fixture).await;
    every_replica_is_told_once(fixture).await;
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<RevocationId>>);

impl RevocationListener for Told {
    fn revoked(&self, id: RevocationId) {
        self.0.lock().unwrap().push(id);
    }
}

async fn every_replica_is_told_once(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let told = Arc::new(Told::default());
    there.revocations.listen(Arc::clone(&told) as _);
    let id = RevocationId::of("main", &session("a"));
    for (seconds, count) in [(60, 1), (60, 1), (30, 1), (90, 2)] {
        let until = NOW.plus(secs(seconds));
        here.revocations
            .revoke("main", &session("a"), until, NOW)
            .await
            .unwrap();
        let is_told = async || told.0.lock().unwrap().len() == count;
        assert!(within_a_second(is_told).await, "until {seconds}");
    }
    assert!(told.0.lock().unwrap().iter().all(|told| *told == id));
}

async fn a_revocation_holds_until_its_end(store: &dyn RevocationStore) {
    let end = NOW.plus(secs(60));
    assert!(!store.is_revoked("main", &session("a"), NOW));
    store.revoke("main", &session("a"), end, NOW).await.unwrap();
    assert!(store.is_revoked("main", &session("a"), NOW));
    assert!(store.is_revoked("main", &session("a"), NOW.plus(millis(59_999))));
    assert!(!store.is_revoked("main", &session("a"), end));
    assert!(!store.is_revoked("main", &session("b"), NOW));
    assert!(
        !store.is_revoked("other", &session("a"), NOW),
        "a session belongs to one provider"
    );
    assert!(
        !store.is_revoked("mai", &session("na"), NOW),
        "the parts of a key are kept apart"
    );
    store.sweep(NOW);
    assert!(
        store.is_revoked("main", &session("a"), NOW),
        "a sweep removes only expired revocations"
    );
}

async fn the_later_end_counts(store: &dyn RevocationStore) {
    for seconds in [60, 30, 90, 10] {
        store
            .revoke("main", &session("a"), NOW.plus(secs(seconds)), NOW)
            .await
            .unwrap();
    }
    assert!(store.is_revoked("main", &session("a"), NOW.plus(secs(89))));
    store.sweep(NOW.plus(secs(60)));
    assert!(store.is_revoked("main", &session("a"), NOW.plus(secs(89))));
    assert!(!store.is_revoked("main", &session("a"), NOW.plus(secs(90))));
}

async fn every_replica_knows_within_a_second(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let (here, there) = (here.revocations, there.revocations);
    for (seconds, last) in [(60, 59), (90, 89), (30, 89)] {
        here.revoke("main", &session("a"), NOW.plus(secs(seconds)), NOW)
            .await
            .unwrap();
        let is_revoked = async || there.is_revoked("main", &session("a"), NOW.plus(secs(last)));
        assert!(within_a_second(is_revoked).await, "until {seconds}");
    }
    assert!(!there.is_revoked("main", &session("a"), NOW.plus(secs(90))));
}
