//! A lease has one holder at a time, and its result is there for everyone who asks later.
//!
//! Stores run on their own clocks, which move on while a test runs: the times here are far enough
//! apart that a slow machine does not matter.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Acquire, Fence, LeaseKey, LeaseResult, LeaseStore};
use super::{Fixture, NOW, hash, secs};

mod interleaved;

pub(in crate::store) use interleaved::never_two_holders;

const TTL: Duration = Duration::from_secs(100);
/// Not the whole of [`TTL`], however slow the test is.
const MOST_OF_TTL: Duration = Duration::from_secs(60);
/// The rest of it.
const REST_OF_TTL: Duration = Duration::from_secs(40);

fn key(name: &str) -> LeaseKey {
    LeaseKey(hash(name))
}

/// A result that expires after 600 seconds; reuse is detected for 6000 more.
fn result(sealed: &str) -> LeaseResult {
    LeaseResult {
        sealed: sealed.as_bytes().into(),
        ttl: secs(600),
        reuse_ttl: Some(secs(6000)),
    }
}

async fn one(fixture: &impl Fixture) -> Arc<dyn LeaseStore> {
    fixture.stores().await.leases
}

async fn replicas(fixture: &impl Fixture) -> (Arc<dyn LeaseStore>, Arc<dyn LeaseStore>) {
    let (here, there) = fixture.replicas().await;
    (here.leases, there.leases)
}

async fn acquire(store: &dyn LeaseStore, name: &str) -> Acquire {
    store.acquire(key(name), TTL).await.unwrap()
}

/// Acquires a lease that must be free, and gives its checkpoint too.
async fn acquired_with(store: &dyn LeaseStore, name: &str) -> (Fence, Option<Arc<[u8]>>) {
    match acquire(store, name).await {
        Acquire::Acquired { fence, checkpoint } => (fence, checkpoint),
        other @ (Acquire::Contended | Acquire::Completed(_) | Acquire::Reused) => {
            panic!("{other:?}")
        }
    }
}

/// Acquires a lease that must be free and without a checkpoint.
async fn acquired(store: &dyn LeaseStore, name: &str) -> Fence {
    let (fence, checkpoint) = acquired_with(store, name).await;
    assert_eq!(checkpoint, None);
    fence
}

async fn complete(store: &dyn LeaseStore, name: &str, fence: Fence) -> bool {
    let completed = store.complete(key(name), fence, result(name));
    completed.await.unwrap()
}

fn completed(sealed: &str) -> Acquire {
    Acquire::Completed(sealed.as_bytes().into())
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    a_lease_has_one_holder(fixture).await;
    a_lease_expires_unless_it_is_extended(fixture).await;
    a_lost_lease_changes_nothing(fixture).await;
    an_expired_result_means_reuse(fixture).await;
    without_reuse_detection_the_lease_is_free_again(fixture).await;
    without_a_result_the_next_caller_reuses(fixture).await;
    a_released_lease_is_free_and_fences_grow(fixture).await;
    a_checkpoint_goes_to_the_next_holder(fixture).await;
    a_checkpoint_ends_with_the_lease_or_by_itself(fixture).await;
    who_lost_the_lease_may_leave_a_checkpoint(fixture).await;
    waiters_are_woken(fixture).await;
    nobody_waits_for_a_free_or_completed_lease(&*one(fixture).await).await;
}

async fn a_lease_has_one_holder(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    acquired(&*here, "a").await;
    assert_eq!(acquire(&*there, "a").await, Acquire::Contended);
    fixture.advance(MOST_OF_TTL);
    let again = acquire(&*here, "a").await;
    assert_eq!(again, Acquire::Contended, "also for the holder");
    acquired(&*there, "b").await;
}

async fn a_lease_expires_unless_it_is_extended(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let fence = acquired(&*here, "a").await;
    fixture.advance(MOST_OF_TTL);
    assert_eq!(here.extend(key("a"), fence, TTL).await, Ok(true));
    fixture.advance(MOST_OF_TTL);
    assert_eq!(acquire(&*there, "a").await, Acquire::Contended);
    fixture.advance(REST_OF_TTL);
    assert!(acquired(&*there, "a").await > fence);
    assert_eq!(here.extend(key("never"), fence, TTL).await, Ok(false));
}

async fn a_lost_lease_changes_nothing(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let lost = acquired(&*here, "a").await;
    fixture.advance(TTL);
    let fence = acquired(&*there, "a").await;
    assert_eq!(here.extend(key("a"), lost, TTL).await, Ok(false));
    assert_eq!(here.release(key("a"), lost).await, Ok(()));
    assert!(!complete(&*here, "a", lost).await);
    assert_eq!(
        acquire(&*here, "a").await,
        Acquire::Contended,
        "the other holder still has it"
    );
    let theirs = LeaseResult {
        sealed: b"theirs".as_slice().into(),
        ..result("a")
    };
    let completes = there.complete(key("a"), fence, theirs).await;
    assert_eq!(completes, Ok(true));
    assert!(!complete(&*here, "a", lost).await);
    assert!(!complete(&*there, "a", fence).await, "once");
    assert_eq!(there.extend(key("a"), fence, TTL).await, Ok(false));
    assert_eq!(there.release(key("a"), fence).await, Ok(()));
    assert_eq!(acquire(&*here, "a").await, completed("theirs"));
}

async fn an_expired_result_means_reuse(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let fence = acquired(&*here, "a").await;
    assert!(complete(&*here, "a", fence).await);
    for span in [0, 300, 260] {
        fixture.advance(secs(span));
        assert_eq!(acquire(&*there, "a").await, completed("a"));
        here.sweep(NOW);
        assert_eq!(acquire(&*here, "a").await, completed("a"));
    }
    for span in [40, 1, 5_000] {
        fixture.advance(secs(span));
        here.sweep(NOW);
        assert_eq!(acquire(&*here, "a").await, Acquire::Reused);
        assert_eq!(acquire(&*there, "a").await, Acquire::Reused);
    }
    assert!(!complete(&*here, "a", fence).await);
    fixture.advance(secs(999));
    assert!(acquired(&*there, "a").await > fence);
}

async fn without_reuse_detection_the_lease_is_free_again(fixture: &impl Fixture) {
    let store = one(fixture).await;
    let fence = acquired(&*store, "a").await;
    let theirs = LeaseResult {
        reuse_ttl: None,
        ..result("a")
    };
    assert_eq!(store.complete(key("a"), fence, theirs).await, Ok(true));
    fixture.advance(secs(560));
    assert_eq!(acquire(&*store, "a").await, completed("a"));
    fixture.advance(REST_OF_TTL);
    assert!(acquired(&*store, "a").await > fence);
}

/// A pending login step succeeds once, and its result is of no use to anyone else.
async fn without_a_result_the_next_caller_reuses(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let fence = acquired(&*here, "step").await;
    let nothing = LeaseResult {
        sealed: Arc::default(),
        ttl: Duration::ZERO,
        reuse_ttl: Some(secs(300)),
    };
    assert_eq!(here.complete(key("step"), fence, nothing).await, Ok(true));
    for span in [0, 1, 250] {
        fixture.advance(secs(span));
        assert_eq!(acquire(&*there, "step").await, Acquire::Reused);
        assert_eq!(acquire(&*here, "step").await, Acquire::Reused);
    }
    fixture.advance(secs(49));
    acquired(&*there, "step").await;
}

async fn a_released_lease_is_free_and_fences_grow(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let mut last = Fence(0);
    for round in 0..10 {
        let store = if round % 2 == 0 { &*here } else { &*there };
        let fence = acquired(store, "a").await;
        assert!(fence > last);
        assert_eq!(store.release(key("a"), fence).await, Ok(()));
        assert!(!complete(store, "a", fence).await, "it was released");
        last = fence;
    }
}

/// The holder dies, or gives up: what the provider has issued is not lost.
async fn a_checkpoint_goes_to_the_next_holder(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let sealed: Arc<[u8]> = b"first".as_slice().into();
    let week = secs(7 * 24 * 60 * 60);
    assert_eq!(here.checkpoint(key("a")).await, Ok(None));
    acquired(&*here, "a").await;
    let put = here.put_checkpoint(key("a"), Arc::clone(&sealed), week);
    assert_eq!(put.await, Ok(true));
    assert_eq!(acquire(&*there, "a").await, Acquire::Contended);
    assert_eq!(there.checkpoint(key("a")).await, Ok(Some(sealed.clone())));
    fixture.advance(TTL);
    let (fence, left) = acquired_with(&*there, "a").await;
    assert_eq!(left, Some(sealed), "the first holder died");
    let newer: Arc<[u8]> = b"second".as_slice().into();
    let put = there.put_checkpoint(key("a"), Arc::clone(&newer), week);
    assert_eq!(put.await, Ok(true));
    there.release(key("a"), fence).await.unwrap();
    fixture.advance(secs(6 * 24 * 60 * 60));
    here.sweep(NOW);
    let (fence, left) = acquired_with(&*here, "a").await;
    assert_eq!(left, Some(newer), "long after the second gave up");
    assert!(complete(&*here, "a", fence).await);
    assert_eq!(acquire(&*there, "a").await, completed("a"));
}

async fn a_checkpoint_ends_with_the_lease_or_by_itself(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let sealed: Arc<[u8]> = b"x".as_slice().into();
    let put = async |name, ttl| {
        let put = here.put_checkpoint(key(name), Arc::clone(&sealed), ttl);
        put.await.unwrap()
    };
    let fence = acquired(&*here, "a").await;
    assert!(put("a", secs(100_000)).await);
    assert!(complete(&*here, "a", fence).await);
    assert_eq!(there.checkpoint(key("a")).await, Ok(None));
    assert!(!put("a", secs(100_000)).await, "the result is there");
    fixture.advance(secs(600));
    assert!(!put("a", secs(100_000)).await, "the result was used");
    assert_eq!(there.checkpoint(key("a")).await, Ok(None));

    let fence = acquired(&*here, "b").await;
    assert!(put("b", secs(1000)).await);
    here.release(key("b"), fence).await.unwrap();
    fixture.advance(secs(1000));
    assert_eq!(there.checkpoint(key("b")).await, Ok(None));
    acquired(&*there, "b").await;
}

/// A replica could not reach the store in time, and another one holds its lease.
async fn who_lost_the_lease_may_leave_a_checkpoint(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    acquired(&*here, "a").await;
    fixture.advance(TTL);
    acquired(&*there, "a").await;
    let sealed: Arc<[u8]> = b"late".as_slice().into();
    let put = here.put_checkpoint(key("a"), Arc::clone(&sealed), secs(1000));
    assert_eq!(put.await, Ok(true));
    assert_eq!(there.checkpoint(key("a")).await, Ok(Some(sealed)));
}

async fn waiters_are_woken(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    // The store wakes the waiters long before their time is up.
    for (name, completes) in [("a", true), ("b", false)] {
        let fence = acquired(&*here, name).await;
        let waits = async {
            while acquire(&*there, name).await == Acquire::Contended {
                there.wait_for_change(key(name), secs(20)).await;
            }
        };
        let ends = async {
            tokio::task::yield_now().await;
            if completes {
                assert!(complete(&*here, name, fence).await);
            } else {
                here.release(key(name), fence).await.unwrap();
            }
        };
        let both = async { tokio::join!(waits, ends) };
        assert!(
            tokio::time::timeout(secs(5), both).await.is_ok(),
            "nobody woke the waiter for {name}"
        );
    }
}

async fn nobody_waits_for_a_free_or_completed_lease(store: &dyn LeaseStore) {
    let fence = acquired(store, "a").await;
    assert!(complete(store, "a", fence).await);
    for name in ["a", "never"] {
        let waits = store.wait_for_change(key(name), secs(20));
        assert!(tokio::time::timeout(secs(5), waits).await.is_ok(), "{name}");
    }
}
