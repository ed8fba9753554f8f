//! Calls and time in any order.

use std::time::Duration;

use proptest::prelude::*;

use super::super::super::{Acquire, Fence, LeaseResult};
use super::super::{Fixture, block_on, secs};
use super::{TTL, key, replicas};

/// How much time may pass by itself during a test.
const SLACK: Duration = Duration::from_secs(40);

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
        (0_u64..90).prop_map(Step::Wait),
        any::<bool>().prop_map(Step::Acquire),
        any::<bool>().prop_map(Step::Acquire),
        (0_usize..4).prop_map(Step::Extend),
        (0_usize..4).prop_map(Step::Complete),
        (0_usize..4).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 1..60)
}

/// Whether something that lasts until `until` lasts at `now`. `None` where it depends on how much
/// time has passed by itself.
fn lasts(until: Option<Duration>, now: Duration) -> Option<bool> {
    match until {
        None => Some(false),
        Some(until) if now + SLACK < until => Some(true),
        Some(until) if now >= until + SLACK => Some(false),
        Some(_) => None,
    }
}

/// What the store has to answer: who holds the lease until when, or until when its result is there
/// and reuse is detected.
#[derive(Default)]
struct Expected {
    holder: Option<(Fence, Duration)>,
    result: Option<Duration>,
    reuse: Option<Duration>,
    fences: Vec<Fence>,
}

impl Expected {
    fn acquire(&mut self, now: Duration, answer: &Acquire) {
        let held = lasts(self.holder.map(|(_, until)| until), now);
        let (completed, reused) = (lasts(self.result, now), lasts(self.reuse, now));
        match answer {
            Acquire::Acquired { fence, .. } => {
                assert!(
                    held != Some(true) && completed != Some(true) && reused != Some(true),
                    "two holders, or two results"
                );
                assert!(
                    self.fences.iter().all(|earlier| earlier < fence),
                    "fences grow"
                );
                self.fences.push(*fence);
                self.holder = Some((*fence, now + TTL));
                (self.result, self.reuse) = (None, None);
            }
            Acquire::Contended => assert_ne!(held, Some(false), "nobody holds the lease"),
            Acquire::Completed(_) => assert_ne!(completed, Some(false), "there is no result"),
            Acquire::Reused => assert!(
                completed != Some(true) && reused != Some(false),
                "this is no reuse"
            ),
        }
    }

    /// One of the latest fences, 0 for the last.
    fn fence(&self, back: usize) -> Option<Fence> {
        self.fences.iter().rev().nth(back).copied()
    }

    /// Whether `fence` holds the lease. `None` where the lease has expired and nobody else has
    /// acquired it: then the store may say either.
    fn holds(&self, fence: Fence, now: Duration) -> Option<bool> {
        match self.holder {
            Some((holder, until)) if holder == fence => {
                lasts(Some(until), now).filter(|lasts| *lasts)
            }
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
    let (key, mut now, mut expected) = (key("a"), Duration::ZERO, Expected::default());
    for step in steps {
        match *step {
            Step::Wait(span) => {
                fixture.advance(secs(span));
                now += secs(span);
            }
            Step::Acquire(elsewhere) => {
                let store = if elsewhere { &there } else { &here };
                expected.acquire(now, &store.acquire(key, TTL).await.unwrap());
            }
            Step::Extend(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                let is_held = here.extend(key, fence, TTL).await.unwrap();
                let holds = expected.holds(fence, now).unwrap_or(is_held);
                assert_eq!(is_held, holds, "{step:?}");
                if is_held {
                    expected.holder = Some((fence, now + TTL));
                }
            }
            Step::Complete(back) => {
                let Some(fence) = expected.fence(back) else {
                    continue;
                };
                let result = LeaseResult {
                    sealed: b"x".as_slice().into(),
                    ttl: TTL / 2,
                    reuse_ttl: Some(TTL * 2),
                };
                let is_held = there.complete(key, fence, result).await.unwrap();
                let holds = expected.holds(fence, now).unwrap_or(is_held);
                assert_eq!(is_held, holds, "{step:?}");
                if is_held {
                    expected.holder = None;
                    expected.result = Some(now + TTL / 2);
                    expected.reuse = Some(now + TTL / 2 + TTL * 2);
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
