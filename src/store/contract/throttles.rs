//! Attempts are counted exactly, and nobody is locked out longer than said.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::{NOW, Open, block_on, secs};
use crate::config::settings::Backoff;

const FIVE_A_MINUTE: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(60),
    waits: Backoff::Exponential,
};

fn key(name: &str) -> ThrottleKey {
    ThrottleKeys::new([7; 32]).account("main", name)
}

pub(super) async fn hold(open: &impl Open) {
    attempts_in_flight_hold_their_place(&*open.one().await).await;
    a_success_frees_the_account(&*open.one().await).await;
    a_released_place_is_free_and_no_other(&*open.one().await).await;
    the_wait_is_exact(&*open.one().await).await;
    a_refusal_does_not_prolong_the_wait(&*open.one().await).await;
    a_lower_limit_after_a_reload_holds_at_once(&*open.one().await).await;
    names_do_not_share_places(&*open.one().await).await;
    each_wait_is_twice_the_last_up_to_the_longest(&*open.one().await).await;
    a_success_ends_the_doubling(&*open.one().await).await;
    an_hour_without_a_wait_ends_the_doubling(&*open.one().await).await;
    a_place_that_was_given_back_makes_no_wait(&*open.one().await).await;
    even_waits_do_not_grow(&*open.one().await).await;
    a_long_span_is_not_cut_short(&*open.one().await).await;
    replicas_count_together(open).await;
}

async fn replicas_count_together(open: &impl Open) {
    let (here, there) = open.two().await;
    let mut taken = fill(&*here, "ann", NOW).await;
    assert_eq!(wait(&*there, "ann", NOW).await, Some(60));
    here.settle(taken.pop().unwrap(), Settlement::Released)
        .await
        .unwrap();
    assert_eq!(wait(&*there, "ann", NOW).await, None);
    there
        .settle(taken.pop().unwrap(), Settlement::Succeeded)
        .await
        .unwrap();
    fill(&*here, "ann", NOW).await;
}

async fn fill(store: &dyn Store, name: &str, at: Timestamp) -> Vec<Reservation> {
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(store.reserve(key(name), FIVE_A_MINUTE, at).await.unwrap());
    }
    taken
}

async fn wait(store: &dyn Store, name: &str, at: Timestamp) -> Option<u32> {
    match store.reserve(key(name), FIVE_A_MINUTE, at).await {
        Ok(_) => None,
        Err(ReserveError::Throttled(RetryAfter(seconds))) => Some(seconds),
        Err(ReserveError::Store(error)) => panic!("{error}"),
    }
}

async fn attempts_in_flight_hold_their_place(store: &dyn Store) {
    let in_flight = fill(store, "ann", NOW).await;
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
    drop(in_flight);
    assert_eq!(
        wait(store, "ann", NOW).await,
        Some(60),
        "an attempt nobody settled has failed"
    );
    assert_eq!(wait(store, "ann", NOW.plus(secs(60))).await, None);
}

async fn a_success_frees_the_account(store: &dyn Store) {
    let mut taken = fill(store, "ann", NOW).await;
    let last = taken.pop().unwrap();
    for failed in taken {
        store.settle(failed, Settlement::Failed).await.unwrap();
    }
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
    store.settle(last, Settlement::Succeeded).await.unwrap();
    fill(store, "ann", NOW).await;
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
}

async fn a_released_place_is_free_and_no_other(store: &dyn Store) {
    let mut taken = fill(store, "ann", NOW).await;
    store
        .settle(taken.pop().unwrap(), Settlement::Released)
        .await
        .unwrap();
    assert_eq!(wait(store, "ann", NOW).await, None);
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
    // A success freed this place before its holder gave it back: nobody else's goes.
    store
        .settle(taken.pop().unwrap(), Settlement::Succeeded)
        .await
        .unwrap();
    fill(store, "ann", NOW).await;
    store
        .settle(taken.pop().unwrap(), Settlement::Released)
        .await
        .unwrap();
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
}

async fn the_wait_is_exact(store: &dyn Store) {
    for second in 0..5 {
        assert_eq!(wait(store, "ann", NOW.plus(secs(second * 10))).await, None);
    }
    assert_eq!(wait(store, "ann", NOW.plus(secs(45))).await, Some(15));
    assert_eq!(
        wait(store, "ann", NOW.plus(Duration::from_millis(45_500))).await,
        Some(15),
        "rounded up"
    );
    assert_eq!(
        wait(store, "ann", NOW.plus(Duration::from_millis(59_999))).await,
        Some(1)
    );
    assert_eq!(wait(store, "ann", NOW.plus(secs(60))).await, None);
    assert_eq!(
        wait(store, "ann", NOW.plus(secs(60))).await,
        Some(70),
        "the second time, counted from the tenth second"
    );
}

async fn even_waits_do_not_grow(store: &dyn Store) {
    let even = Rate {
        waits: Backoff::Fixed,
        ..FIVE_A_MINUTE
    };
    for minute in 0..4 {
        for _ in 0..5 {
            assert!(
                store
                    .reserve(key("ann"), even, NOW.plus(secs(60 * minute)))
                    .await
                    .is_ok()
            );
        }
        let refused = store
            .reserve(key("ann"), even, NOW.plus(secs(60 * minute + 1)))
            .await;
        assert_eq!(refused, Err(ReserveError::Throttled(RetryAfter(59))));
    }
}

/// All places are taken again as soon as that can be; each wait, in seconds.
async fn waits(store: &dyn Store, mut now: Timestamp, times: usize) -> Vec<u32> {
    let mut waits = Vec::new();
    for _ in 0..times {
        fill(store, "ann", now).await;
        let told = wait(store, "ann", now).await.unwrap();
        // Whoever keeps trying waits no longer.
        for second in 1..told.min(50) {
            assert_eq!(
                wait(store, "ann", now.plus(secs(second.into()))).await,
                Some(told - second)
            );
        }
        waits.push(told);
        now = now.plus(secs(told.into()));
    }
    waits
}

async fn each_wait_is_twice_the_last_up_to_the_longest(store: &dyn Store) {
    assert_eq!(
        waits(store, NOW, 7).await,
        [60, 120, 240, 480, 900, 900, 900]
    );
    assert_eq!(wait(store, "bob", NOW).await, None, "nobody else waits");
}

async fn a_success_ends_the_doubling(store: &dyn Store) {
    assert_eq!(waits(store, NOW, 3).await, [60, 120, 240]);
    let later = NOW.plus(secs(60 + 120 + 240));
    let place = store
        .reserve(key("ann"), FIVE_A_MINUTE, later)
        .await
        .unwrap();
    store.settle(place, Settlement::Succeeded).await.unwrap();
    assert_eq!(waits(store, later, 2).await, [60, 120]);
}

async fn an_hour_without_a_wait_ends_the_doubling(store: &dyn Store) {
    assert_eq!(waits(store, NOW, 2).await, [60, 120]);
    let ended = NOW.plus(secs(60 + 120));
    let almost = ended.plus(secs(3599));
    assert_eq!(waits(store, almost, 1).await, [240]);
    assert_eq!(
        waits(store, almost.plus(secs(240 + 3600)), 2).await,
        [60, 120]
    );
}

async fn a_place_that_was_given_back_makes_no_wait(store: &dyn Store) {
    let mut taken = fill(store, "ann", NOW).await;
    store
        .settle(taken.pop().unwrap(), Settlement::Released)
        .await
        .unwrap();
    assert_eq!(waits(store, NOW.plus(secs(60)), 2).await, [60, 120]);
}

async fn a_long_span_is_not_cut_short(store: &dyn Store) {
    let hourly = Rate {
        attempts: 1,
        per: secs(3600),
        waits: Backoff::Exponential,
    };
    for hour in 0..3 {
        let now = NOW.plus(secs(hour * 3600));
        assert!(store.reserve(key("ann"), hourly, now).await.is_ok());
        assert_eq!(
            store.reserve(key("ann"), hourly, now).await,
            Err(ReserveError::Throttled(RetryAfter(3600)))
        );
    }
}

async fn a_refusal_does_not_prolong_the_wait(store: &dyn Store) {
    fill(store, "ann", NOW).await;
    for second in 1..60 {
        assert_eq!(
            wait(store, "ann", NOW.plus(secs(second))).await,
            u32::try_from(60 - second).ok()
        );
    }
    assert_eq!(wait(store, "ann", NOW.plus(secs(60))).await, None);
}

async fn a_lower_limit_after_a_reload_holds_at_once(store: &dyn Store) {
    for second in 0..5 {
        assert_eq!(wait(store, "ann", NOW.plus(secs(second))).await, None);
    }
    let two = Rate {
        attempts: 2,
        per: Duration::from_secs(60),
        waits: Backoff::Exponential,
    };
    let refused = store.reserve(key("ann"), two, NOW.plus(secs(5))).await;
    assert_eq!(
        refused,
        Err(ReserveError::Throttled(RetryAfter(58))),
        "until the fourth is over"
    );
    let none = Rate {
        attempts: 0,
        per: Duration::from_secs(60),
        waits: Backoff::Exponential,
    };
    assert!(store.reserve(key("bob"), none, NOW).await.is_err());
}

async fn names_do_not_share_places(store: &dyn Store) {
    fill(store, "ann", NOW).await;
    assert_eq!(wait(store, "bob", NOW).await, None);
    assert_eq!(
        wait(store, " ANN\t", NOW).await,
        Some(60),
        "spelling does not make a new account"
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Attempt,
    Fail,
    Release,
    Succeed,
}

fn steps(settled: Vec<Step>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..40_000).prop_map(Step::Wait),
        Just(Step::Attempt),
        Just(Step::Attempt),
        Just(Step::Attempt),
        proptest::sample::select(settled),
    ];
    prop::collection::vec(step, 1..120)
}

/// Runs `steps` and gives back the moments of the attempts that got a place and never gave it back.
fn admitted(open: &impl Open, steps: &[Step], rate: Rate) -> Vec<Timestamp> {
    block_on(async {
        let store = open.one().await;
        let (mut now, mut kept, mut in_flight) = (NOW, Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Wait(millis) => now = now.plus(Duration::from_millis(*millis)),
                Step::Attempt => {
                    if let Ok(place) = store.reserve(key("ann"), rate, now).await {
                        in_flight.push((place, now));
                    }
                }
                Step::Fail => kept.extend(in_flight.pop().map(|(_, at)| at)),
                Step::Release => {
                    if let Some((place, _)) = in_flight.pop() {
                        store.settle(place, Settlement::Released).await.unwrap();
                    }
                }
                Step::Succeed => {
                    if let Some((place, _)) = in_flight.pop() {
                        store.settle(place, Settlement::Succeeded).await.unwrap();
                        // Full freedom: all places are there at once.
                        for _ in 0..rate.attempts {
                            let place = store.reserve(key("ann"), rate, now).await.unwrap();
                            in_flight.push((place, now));
                        }
                        assert!(store.reserve(key("ann"), rate, now).await.is_err());
                    }
                }
            }
        }
        kept.extend(in_flight.into_iter().map(|(_, at)| at));
        kept.sort();
        kept
    })
}

/// In no window of `rate.per` are there more attempts than `rate.attempts`, however they are
/// spread.
pub(in super::super) fn no_window_holds_more_than_the_limit(open: &impl Open, cases: u32) {
    let settled = vec![Step::Fail, Step::Release];
    proptest!(ProptestConfig::with_cases(cases), |(steps in steps(settled), attempts in 1_u32..7)| {
        let rate = Rate { attempts, per: Duration::from_secs(60), waits: Backoff::Exponential };
        let admitted = admitted(open, &steps, rate);
        for pair in admitted.windows(attempts as usize + 1) {
            prop_assert!(pair[0].until(pair[attempts as usize]) >= rate.per, "{:?}", admitted);
        }
    });
}

/// After a success every place is free, whatever happened before.
pub(in super::super) fn a_success_always_frees(open: &impl Open, cases: u32) {
    let settled = vec![Step::Fail, Step::Release, Step::Succeed];
    proptest!(ProptestConfig::with_cases(cases), |(steps in steps(settled), attempts in 1_u32..7)| {
        admitted(open, &steps, Rate { attempts, per: Duration::from_secs(60), waits: Backoff::Exponential });
    });
}
