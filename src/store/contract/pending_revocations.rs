//! A pending revocation is kept until it is removed or has expired.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::{PendingId, PendingRevocation, PendingRevocationStore};
use super::{Fixture, NOW, hash, millis, secs};
use crate::model::timestamp::Timestamp;

const KEEP: Duration = Duration::from_secs(60);

fn pending(name: &str, sealed: &[u8]) -> PendingRevocation {
    PendingRevocation {
        id: PendingId(*hash(name).first_chunk().unwrap()),
        sealed: sealed.into(),
    }
}

async fn all(store: &dyn PendingRevocationStore, now: Timestamp) -> Vec<PendingRevocation> {
    let mut all = store.some(100, now).await.unwrap();
    all.sort_by_key(|pending| pending.id);
    all
}

async fn one(fixture: &impl Fixture) -> Arc<dyn PendingRevocationStore> {
    fixture.stores().await.pending_revocations
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    assert_eq!(one(fixture).await.evicted(), 0);
    what_is_put_is_given_until_it_is_removed(&*one(fixture).await).await;
    what_has_expired_is_not_given(&*one(fixture).await).await;
    whoever_asks_again_is_given_each(&*one(fixture).await).await;
    every_replica_is_given_the_same(fixture).await;
}

async fn what_is_put_is_given_until_it_is_removed(store: &dyn PendingRevocationStore) {
    assert_eq!(all(store, NOW).await, []);
    let (first, other) = (pending("a", &[0, 255, 7]), pending("b", b""));
    for put in [pending("a", b"before"), first.clone(), other.clone()] {
        store.put(put, KEEP, NOW).await.unwrap();
    }
    let mut both = vec![first.clone(), other.clone()];
    both.sort_by_key(|pending| pending.id);
    for _ in 0..2 {
        assert_eq!(all(store, NOW).await, both);
    }
    store.remove(first.id).await.unwrap();
    assert_eq!(all(store, NOW).await, std::slice::from_ref(&other));
    assert_eq!(store.remove(first.id).await, Ok(()), "again");
    store.remove(other.id).await.unwrap();
    assert_eq!(all(store, NOW).await, []);
}

async fn what_has_expired_is_not_given(store: &dyn PendingRevocationStore) {
    let (short, long) = (pending("short", b"s"), pending("long", b"l"));
    store.put(short.clone(), KEEP, NOW).await.unwrap();
    store.put(long.clone(), KEEP * 2, NOW).await.unwrap();
    let last = NOW.plus(millis(59_999));
    assert_eq!(all(store, last).await.len(), 2);
    store.sweep(last);
    assert_eq!(all(store, NOW.plus(KEEP)).await, [long]);
    store.sweep(NOW.plus(KEEP * 2));
    assert_eq!(all(store, NOW.plus(KEEP * 2)).await, []);
}

async fn whoever_asks_again_is_given_each(store: &dyn PendingRevocationStore) {
    let mut left = BTreeSet::new();
    for number in 0..20 {
        let put = pending(&number.to_string(), b"sealed");
        left.insert(put.id);
        store.put(put, KEEP, NOW).await.unwrap();
    }
    for _ in 0..1_000 {
        let some = store.some(3, NOW.plus(secs(1))).await.unwrap();
        assert!(some.len() <= 3);
        for given in some {
            left.remove(&given.id);
        }
    }
    assert_eq!(left.len(), 0);
}

async fn every_replica_is_given_the_same(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let (here, there) = (here.pending_revocations, there.pending_revocations);
    let put = pending("a", b"sealed");
    here.put(put.clone(), KEEP, NOW).await.unwrap();
    assert_eq!(all(&*there, NOW).await, std::slice::from_ref(&put));
    there.remove(put.id).await.unwrap();
    assert_eq!(all(&*here, NOW).await, []);
}
