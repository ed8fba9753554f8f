//! A lease has one holder at a time, and its result is there for everyone who asks later.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Acquire, Fence, LeaseKey, LeaseResult, LeaseStore};
use super::{Fixture, NOW, block_on, hash, millis, secs};
use crate::model::timestamp::Timestamp;

const TTL: Duration = Duration::from_secs(10);

fn key(name: &str) -> LeaseKey {
    LeaseKey(hash(name))
}

/// A result that expires after 60 seconds; reuse is detected for up to 600.
fn result(sealed: &str) -> LeaseResult {
    LeaseResult {
        sealed: sealed.as_bytes().into(),
        expires_at: NOW.plus(secs(60)),
        reused_until: Some(NOW.plus(secs(600))),
    }
}

async fn one(fixture: &impl Fixture) -> Arc<dyn LeaseStore> {
    fixture.stores().await.leases
}

async fn replicas(fixture: &impl Fixture) -> (Arc<dyn LeaseStore>, Arc<dyn LeaseStore>) {
    let (here, there) = fixture.replicas().await;
    (here.leases, there.leases)
}

async fn acquire(store: &dyn LeaseStore, name: &str, second: u64) -> Acquire {
    store
        .acquire(key(name), TTL, NOW.plus(secs(second)))
        .await
        .unwrap()
}

/// Acquires a lease that must be free.
async fn acquired(store: &dyn LeaseStore, name: &str, second: u64) -> Fence {
    match acquire(store, name, second).await {
        Acquire::Acquired(fence) => fence,
        other @ (Acquire::Contended | Acquire::Completed(_) | Acquire::Reused) => {
            panic!("{other:?}")
        }
    }
}

async fn complete(store: &dyn LeaseStore, name: &str, fence: Fence, second: u64) -> bool {
    store
        .complete(key(name), fence, result(name), NOW.plus(secs(second)))
        .await
        .unwrap()
}

fn completed(sealed: &str) -> Acquire {
    Acquire::Completed(sealed.as_bytes().into())
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    a_lease_has_one_holder(fixture).await;
    a_lease_expires_unless_it_is_extended(fixture).await;
    a_lost_lease_changes_nothing(fixture).await;
    an_expired_result_means_reuse(fixture).await;
    without_reuse_detection_the_lease_is_free_again(&*one(fixture).await).await;
    without_a_result_the_next_caller_reuses(fixture).await;
    a_released_lease_is_free_and_fences_grow(fixture).await;
    waiters_are_woken(fixture).await;
    nobody_waits_for_a_free_or_completed_lease(&*one(fixture).await).await;
}

async fn a_lease_has_one_holder(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    acquired(&*here, "a", 0).await;
    assert_eq!(acquire(&*there, "a", 0).await, Acquire::Contended);
    assert_eq!(
        acquire(&*here, "a", 9).await,
        Acquire::Contended,
        "also for the holder"
    );
    acquired(&*there, "b", 0).await;
}

async fn a_lease_expires_unless_it_is_extended(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let fence = acquired(&*here, "a", 0).await;
    assert_eq!(
        here.extend(key("a"), fence, TTL, NOW.plus(secs(8))).await,
        Ok(true)
    );
    assert_eq!(acquire(&*there, "a", 17).await, Acquire::Contended);
    assert!(acquired(&*there, "a", 18).await > fence);
    assert_eq!(here.extend(key("never"), fence, TTL, NOW).await, Ok(false));
}

async fn a_lost_lease_changes_nothing(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let lost = acquired(&*here, "a", 0).await;
    let fence = acquired(&*there, "a", 10).await;
    assert_eq!(
        here.extend(key("a"), lost, TTL, NOW.plus(secs(11))).await,
        Ok(false)
    );
    assert_eq!(here.release(key("a"), lost).await, Ok(()));
    assert!(!complete(&*here, "a", lost, 11).await);
    assert_eq!(
        acquire(&*here, "a", 12).await,
        Acquire::Contended,
        "the other holder still has it"
    );
    let theirs = LeaseResult {
        sealed: b"theirs".as_slice().into(),
        ..result("a")
    };
    assert_eq!(
        there
            .complete(key("a"), fence, theirs, NOW.plus(secs(12)))
            .await,
        Ok(true)
    );
    assert!(!complete(&*here, "a", lost, 13).await);
    assert!(!complete(&*there, "a", fence, 13).await, "once");
    assert_eq!(
        there.extend(key("a"), fence, TTL, NOW.plus(secs(13))).await,
        Ok(false)
    );
    assert_eq!(there.release(key("a"), fence).await, Ok(()));
    assert_eq!(acquire(&*here, "a", 14).await, completed("theirs"));
}

async fn an_expired_result_means_reuse(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let fence = acquired(&*here, "a", 0).await;
    assert!(complete(&*here, "a", fence, 1).await);
    for second in [1, 30, 59] {
        assert_eq!(acquire(&*there, "a", second).await, completed("a"));
        here.sweep(NOW.plus(secs(second)));
        assert_eq!(acquire(&*here, "a", second).await, completed("a"));
    }
    for second in [60, 61, 599] {
        here.sweep(NOW.plus(secs(second)));
        assert_eq!(acquire(&*here, "a", second).await, Acquire::Reused);
        assert_eq!(acquire(&*there, "a", second).await, Acquire::Reused);
    }
    assert!(!complete(&*here, "a", fence, 599).await);
    assert!(acquired(&*there, "a", 600).await > fence);
}

async fn without_reuse_detection_the_lease_is_free_again(store: &dyn LeaseStore) {
    let fence = acquired(store, "a", 0).await;
    let theirs = LeaseResult {
        reused_until: None,
        ..result("a")
    };
    assert_eq!(store.complete(key("a"), fence, theirs, NOW).await, Ok(true));
    assert_eq!(acquire(store, "a", 59).await, completed("a"));
    assert!(acquired(store, "a", 60).await > fence);
}

/// A pending login step succeeds once, and its result is of no use to anyone else.
async fn without_a_result_the_next_caller_reuses(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let fence = acquired(&*here, "step", 0).await;
    let nothing = LeaseResult {
        sealed: Arc::default(),
        expires_at: NOW,
        reused_until: Some(NOW.plus(secs(300))),
    };
    assert_eq!(
        here.complete(key("step"), fence, nothing, NOW).await,
        Ok(true)
    );
    for second in [0, 1, 299] {
        assert_eq!(acquire(&*there, "step", second).await, Acquire::Reused);
        assert_eq!(acquire(&*here, "step", second).await, Acquire::Reused);
    }
    acquired(&*there, "step", 300).await;
}

async fn a_released_lease_is_free_and_fences_grow(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    let mut last = Fence(0);
    for round in 0..10 {
        let store = if round % 2 == 0 { &*here } else { &*there };
        let fence = acquired(store, "a", 0).await;
        assert!(fence > last);
        assert_eq!(store.release(key("a"), fence).await, Ok(()));
        assert!(!complete(store, "a", fence, 0).await, "it was released");
        last = fence;
    }
}

async fn waiters_are_woken(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    // The store wakes the waiters long before their time is up.
    for (name, completes) in [("a", true), ("b", false)] {
        let fence = acquired(&*here, name, 0).await;
        let waits = async {
            while acquire(&*there, name, 1).await == Acquire::Contended {
                there.wait_for_change(key(name), secs(20)).await;
            }
        };
        let ends = async {
            tokio::task::yield_now().await;
            if completes {
                assert!(complete(&*here, name, fence, 1).await);
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
    let fence = acquired(store, "a", 0).await;
    assert!(complete(store, "a", fence, 1).await);
    assert!(
        tokio::time::timeout(secs(5), store.wait_for_change(key("a"), secs(20)))
            .await
            .is_ok()
    );
    assert!(
        tokio::time::timeout(secs(5), store.wait_for_change(key("never"), secs(20)))
            .await
            .is_ok()
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    /// By the first replica, or by the other one.
    Acquire(bool),
    /// With one of the latest fences.
    Extend(usize),
    Complete(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..9_000).prop_map(Step::Wait),
        any::<bool>().prop_map(Step::Acquire),
        any::<bool>().prop_map(Step::Acquire),
        (0_usize..4).prop_map(Step::Extend),
        (0_usize..4).prop_map(Step::Complete),
        (0_usize..4).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the store has to answer: who holds the lease until when, or until when its result is there
/// and reuse is detected.
#[derive(Default)]
struct Expected {
    holder: Option<(Fence, Timestamp)>,
    completed: Option<(Timestamp, Timestamp)>,
    fences: Vec<Fence>,
}

impl Expected {
    fn acquire(&mut self, now: Timestamp, answer: &Acquire) {
        let held = self.holder.is_some_and(|(_, until)| now < until);
        let (completed, reused) = self.completed.map_or((false, false), |(result, reuse)| {
            (now < result, now < reuse)
        });
        match answer {
            Acquire::Acquired(fence) => {
                assert!(
                    !held && !completed && !reused,
                    "two holders, or two results"
                );
                assert!(
                    self.fences.iter().all(|earlier| earlier < fence),
                    "fences grow"
                );
                self.fences.push(*fence);
                self.holder = Some((*fence, now.plus(TTL)));
                self.completed = None;
            }
            Acquire::Contended => assert!(held, "nobody holds the lease"),
            Acquire::Completed(_) => assert!(completed, "there is no result"),
            Acquire::Reused => assert!(!completed && reused, "this is no reuse"),
        }
    }

    /// One of the latest fences, 0 for the last.
    fn fence(&self, back: usize) -> Option<Fence> {
        self.fences.iter().rev().nth(back).copied()
    }

    /// Whether `fence` holds the lease. `None` where the lease has expired and nobody else has
    /// acquired it: then the store may say either.
    fn holds(&self, fence: Fence, now: Timestamp) -> Option<bool> {
        match self.holder {
            Some((holder, until)) if holder == fence => (now < until).then_some(true),
            _ => Some(false),
        }
    }
}

/// However calls and time interleave, a lease has one holder at a time, fences grow, and a lost
/// lease changes nothing.
pub(in crate::store) fn never_two_holders(fixture: &impl Fixture, cases: u32) {
    proptest!(ProptestConfig::with_cases(cases), |(steps in steps())| {
        block_on(interleaved(fixture, &steps));
    });
}

async fn interleaved(fixture: &impl Fixture, steps: &[Step]) {
    let (here, there) = replicas(fixture).await;
    let (key, mut now, mut expected) = (key("a"), NOW, Expected::default());
    for step in steps {
        match *step {
            Step::Wait(span) => now = now.plus(millis(span)),
            Step::Acquire(elsewhere) => {
                let store = if elsewhere { &there } else { &here };
                expected.acquire(now, &store.acquire(key, TTL, now).await.unwrap());
            }
            Step::Extend(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                let is_held = here.extend(key, fence, TTL, now).await.unwrap();
                let holds = expected.holds(fence, now).unwrap_or(is_held);
                assert_eq!(is_held, holds, "{step:?}");
                if is_held {
                    expected.holder = Some((fence, now.plus(TTL)));
                }
            }
            Step::Complete(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                let (expires_at, reused_until) = (now.plus(secs(5)), now.plus(secs(20)));
                let result = LeaseResult {
                    sealed: b"x".as_slice().into(),
                    expires_at,
                    reused_until: Some(reused_until),
                };
                let is_held = there.complete(key, fence, result, now).await.unwrap();
                let holds = expected.holds(fence, now).unwrap_or(is_held);
                assert_eq!(is_held, holds, "{step:?}");
                if is_held {
                    expected.holder = None;
                    expected.completed = Some((expires_at, reused_until));
                }
            }
            Step::Release(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                here.release(key, fence).await.unwrap();
                if expected.holder.is_some_and(|(holder, _)| holder == fence) {
                    expected.holder = None;
                }
            }
        }
    }
}
