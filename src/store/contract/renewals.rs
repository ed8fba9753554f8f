//! One renewal of a refresh token at a time, and its result for all who come with the old token.

use proptest::prelude::*;

use super::super::*;
use super::{NOW, Open, block_on, hash, millis, secs};

const SPAN: Duration = Duration::from_secs(10);

fn key(name: &str) -> LeaseKey {
    LeaseKey(hash(name))
}

/// At 60 seconds everybody may come with the old token, at 600 it is known as spent.
fn landing(sealed: &str) -> LeaseResult {
    let (until, spent_until) = (NOW.plus(secs(60)), Some(NOW.plus(secs(600))));
    LeaseResult {
        sealed: sealed.as_bytes().into(),
        until,
        spent_until,
    }
}

async fn lease(store: &dyn Store, name: &str, second: u64) -> Acquire {
    store
        .lease(key(name), SPAN, NOW.plus(secs(second)))
        .await
        .unwrap()
}

async fn held(store: &dyn Store, name: &str, second: u64) -> Fence {
    match lease(store, name, second).await {
        Acquire::Acquired(fence) => fence,
        other @ (Acquire::Contended | Acquire::Completed(_) | Acquire::Reused) => {
            panic!("{other:?}")
        }
    }
}

async fn land(store: &dyn Store, name: &str, fence: Fence, second: u64) -> bool {
    store
        .land(key(name), fence, landing(name), NOW.plus(secs(second)))
        .await
        .unwrap()
}

fn landed(sealed: &str) -> Acquire {
    Acquire::Completed(sealed.as_bytes().into())
}

pub(super) async fn hold(open: &impl Open) {
    one_holds_it_at_a_time(open).await;
    a_lease_runs_out_unless_it_is_extended(open).await;
    a_lost_lease_is_good_for_nothing(open).await;
    a_result_is_there_for_its_time_and_then_spent(open).await;
    what_was_not_replaced_is_never_spent(&*open.one().await).await;
    what_leaves_no_result_is_spent_at_once(open).await;
    a_released_lease_is_free_and_fences_grow(open).await;
    whoever_waits_is_woken(open).await;
    nobody_waits_for_what_is_done(&*open.one().await).await;
}

async fn one_holds_it_at_a_time(open: &impl Open) {
    let (here, there) = open.two().await;
    held(&*here, "a", 0).await;
    assert_eq!(lease(&*there, "a", 0).await, Acquire::Contended);
    assert_eq!(
        lease(&*here, "a", 9).await,
        Acquire::Contended,
        "also to who holds it"
    );
    held(&*there, "b", 0).await;
}

async fn a_lease_runs_out_unless_it_is_extended(open: &impl Open) {
    let (here, there) = open.two().await;
    let fence = held(&*here, "a", 0).await;
    assert_eq!(
        here.extend(key("a"), fence, SPAN, NOW.plus(secs(8))).await,
        Ok(true)
    );
    assert_eq!(lease(&*there, "a", 17).await, Acquire::Contended);
    assert!(held(&*there, "a", 18).await > fence);
    assert_eq!(here.extend(key("never"), fence, SPAN, NOW).await, Ok(false));
}

async fn a_lost_lease_is_good_for_nothing(open: &impl Open) {
    let (here, there) = open.two().await;
    let lost = held(&*here, "a", 0).await;
    let fence = held(&*there, "a", 10).await;
    assert_eq!(
        here.extend(key("a"), lost, SPAN, NOW.plus(secs(11))).await,
        Ok(false)
    );
    assert_eq!(here.release(key("a"), lost).await, Ok(()));
    assert!(!land(&*here, "a", lost, 11).await);
    assert_eq!(
        lease(&*here, "a", 12).await,
        Acquire::Contended,
        "untouched by all of that"
    );
    let result = LeaseResult {
        sealed: b"theirs".as_slice().into(),
        ..landing("a")
    };
    assert_eq!(
        there
            .land(key("a"), fence, result, NOW.plus(secs(12)))
            .await,
        Ok(true)
    );
    assert!(!land(&*here, "a", lost, 13).await);
    assert!(!land(&*there, "a", fence, 13).await, "once");
    assert_eq!(
        there
            .extend(key("a"), fence, SPAN, NOW.plus(secs(13)))
            .await,
        Ok(false)
    );
    assert_eq!(there.release(key("a"), fence).await, Ok(()));
    assert_eq!(lease(&*here, "a", 14).await, landed("theirs"));
}

async fn a_result_is_there_for_its_time_and_then_spent(open: &impl Open) {
    let (here, there) = open.two().await;
    let fence = held(&*here, "a", 0).await;
    assert!(land(&*here, "a", fence, 1).await);
    for second in [1, 30, 59] {
        assert_eq!(lease(&*there, "a", second).await, landed("a"));
        here.sweep(NOW.plus(secs(second)));
        assert_eq!(lease(&*here, "a", second).await, landed("a"));
    }
    for second in [60, 61, 599] {
        here.sweep(NOW.plus(secs(second)));
        assert_eq!(lease(&*here, "a", second).await, Acquire::Reused);
        assert_eq!(lease(&*there, "a", second).await, Acquire::Reused);
    }
    assert!(!land(&*here, "a", fence, 599).await);
    assert!(held(&*there, "a", 600).await > fence);
}

async fn what_was_not_replaced_is_never_spent(store: &dyn Store) {
    let fence = held(store, "a", 0).await;
    let result = LeaseResult {
        spent_until: None,
        ..landing("a")
    };
    assert_eq!(store.land(key("a"), fence, result, NOW).await, Ok(true));
    assert_eq!(lease(store, "a", 59).await, landed("a"));
    assert!(held(store, "a", 60).await > fence);
}

/// A step of a sign-in is good for one success, and brings nobody else anything.
async fn what_leaves_no_result_is_spent_at_once(open: &impl Open) {
    let (here, there) = open.two().await;
    let fence = held(&*here, "step", 0).await;
    let nothing = LeaseResult {
        sealed: Arc::default(),
        until: NOW,
        spent_until: Some(NOW.plus(secs(300))),
    };
    assert_eq!(here.land(key("step"), fence, nothing, NOW).await, Ok(true));
    for second in [0, 1, 299] {
        assert_eq!(lease(&*there, "step", second).await, Acquire::Reused);
        assert_eq!(lease(&*here, "step", second).await, Acquire::Reused);
    }
    held(&*there, "step", 300).await;
}

async fn a_released_lease_is_free_and_fences_grow(open: &impl Open) {
    let (here, there) = open.two().await;
    let mut last = Fence(0);
    for round in 0..10 {
        let store = if round % 2 == 0 { &*here } else { &*there };
        let fence = held(store, "a", 0).await;
        assert!(fence > last);
        assert_eq!(store.release(key("a"), fence).await, Ok(()));
        assert!(!land(store, "a", fence, 0).await, "given back");
        last = fence;
    }
}

async fn whoever_waits_is_woken(open: &impl Open) {
    let (here, there) = open.two().await;
    // The store's own answer, long before the time is up.
    for (name, lands) in [("a", true), ("b", false)] {
        let fence = held(&*here, name, 0).await;
        let waits = async {
            while lease(&*there, name, 1).await == Acquire::Contended {
                there.landing(key(name), secs(20)).await;
            }
        };
        let ends = async {
            tokio::task::yield_now().await;
            if lands {
                assert!(land(&*here, name, fence, 1).await);
            } else {
                here.release(key(name), fence).await.unwrap();
            }
        };
        let both = async { tokio::join!(waits, ends) };
        assert!(
            tokio::time::timeout(secs(5), both).await.is_ok(),
            "nobody woke who waited for {name}"
        );
    }
}

async fn nobody_waits_for_what_is_done(store: &dyn Store) {
    let fence = held(store, "a", 0).await;
    assert!(land(store, "a", fence, 1).await);
    assert!(
        tokio::time::timeout(secs(5), store.landing(key("a"), secs(20)))
            .await
            .is_ok()
    );
    assert!(
        tokio::time::timeout(secs(5), store.landing(key("never"), secs(20)))
            .await
            .is_ok()
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    /// By one of the replicas.
    Acquire(bool),
    /// With one of the fences that were ever given.
    Extend(usize),
    Land(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..9_000).prop_map(Step::Wait),
        any::<bool>().prop_map(Step::Acquire),
        any::<bool>().prop_map(Step::Acquire),
        (0_usize..4).prop_map(Step::Extend),
        (0_usize..4).prop_map(Step::Land),
        (0_usize..4).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the law expects, kept beside the store: who holds it until when, or what is known of the
/// landing.
#[derive(Default)]
struct Expected {
    holder: Option<(Fence, Timestamp)>,
    landed: Option<(Timestamp, Timestamp)>,
    given: Vec<Fence>,
}

impl Expected {
    fn lease(&mut self, now: Timestamp, answer: &Acquire) {
        let held = self.holder.is_some_and(|(_, until)| now < until);
        let (landed, spent) = self
            .landed
            .map_or((false, false), |(until, spent)| (now < until, now < spent));
        match answer {
            Acquire::Acquired(fence) => {
                assert!(
                    !held && !landed && !spent,
                    "two holders, or a second renewal"
                );
                assert!(
                    self.given.iter().all(|earlier| earlier < fence),
                    "fences grow"
                );
                self.given.push(*fence);
                self.holder = Some((*fence, now.plus(SPAN)));
                self.landed = None;
            }
            Acquire::Contended => assert!(held, "nobody holds it"),
            Acquire::Completed(_) => assert!(landed, "nothing landed"),
            Acquire::Reused => assert!(!landed && spent, "not spent"),
        }
    }

    /// A fence among the latest.
    fn fence(&self, back: usize) -> Option<Fence> {
        self.given.iter().rev().nth(back).copied()
    }

    /// Whether `fence` must, or must not, be good for something. A lease that has run out and that
    /// nobody else took may be either.
    fn good(&self, fence: Fence, now: Timestamp, answer: bool) -> bool {
        match self.holder {
            Some((holder, until)) if holder == fence => {
                assert!(answer || until <= now, "a lease was lost before its time");
            }
            _ => assert!(!answer, "a lost lease did something"),
        }
        answer
    }
}

/// However leases, results and time interleave: one holder at a time, fences that grow, lost leases
/// good for nothing.
pub(in super::super) fn never_two_holders(open: &impl Open, cases: u32) {
    proptest!(ProptestConfig::with_cases(cases), |(steps in steps())| {
        block_on(interleaved(open, &steps));
    });
}

async fn interleaved(open: &impl Open, steps: &[Step]) {
    let (here, there) = open.two().await;
    let (key, mut now, mut expected) = (key("a"), NOW, Expected::default());
    for step in steps {
        match *step {
            Step::Wait(span) => now = now.plus(millis(span)),
            Step::Acquire(elsewhere) => {
                let store = if elsewhere { &there } else { &here };
                expected.lease(now, &store.lease(key, SPAN, now).await.unwrap());
            }
            Step::Extend(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                let answer = here.extend(key, fence, SPAN, now).await.unwrap();
                if expected.good(fence, now, answer) {
                    expected.holder = Some((fence, now.plus(SPAN)));
                }
            }
            Step::Land(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                let (until, spent) = (now.plus(secs(5)), now.plus(secs(20)));
                let landing = LeaseResult {
                    sealed: b"x".as_slice().into(),
                    until,
                    spent_until: Some(spent),
                };
                let answer = there.land(key, fence, landing, now).await.unwrap();
                if expected.good(fence, now, answer) {
                    (expected.holder, expected.landed) = (None, Some((until, spent)));
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
