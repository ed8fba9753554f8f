//! Attempts are counted exactly, and nobody waits longer than the store says.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    Reservation, ReserveError, RetryAfter, Settlement, ThrottleKey, ThrottleKeys, ThrottleStore,
};
use super::{Fixture, NOW, block_on, secs};
use crate::config::settings::{Backoff, Rate};
use crate::model::timestamp::Timestamp;

const FIVE_A_MINUTE: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(60),
    waits: Backoff::Exponential,
};

fn key(name: &str) -> ThrottleKey {
    ThrottleKeys::new([7; 32]).account("main", name)
}

async fn one(fixture: &impl Fixture) -> Arc<dyn ThrottleStore> {
    fixture.stores().await.throttles
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    attempts_in_flight_count(&*one(fixture).await).await;
    a_success_forgets_the_attempts(&*one(fixture).await).await;
    a_released_attempt_does_not_count_and_the_others_do(&*one(fixture).await).await;
    the_wait_is_exact(&*one(fixture).await).await;
    a_refusal_does_not_prolong_the_wait(&*one(fixture).await).await;
    a_lower_limit_after_a_reload_holds_at_once(&*one(fixture).await).await;
    accounts_are_counted_apart(&*one(fixture).await).await;
    each_wait_is_twice_the_last_up_to_the_longest(&*one(fixture).await).await;
    a_success_resets_the_backoff(&*one(fixture).await).await;
    an_hour_without_a_wait_resets_the_backoff(&*one(fixture).await).await;
    a_released_attempt_makes_no_wait(&*one(fixture).await).await;
    fixed_waits_do_not_grow(&*one(fixture).await).await;
    a_long_window_is_not_cut_short(&*one(fixture).await).await;
    replicas_count_together(fixture).await;
}

async fn replicas_count_together(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let (here, there) = (here.throttles, there.throttles);
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

async fn fill(store: &dyn ThrottleStore, name: &str, at: Timestamp) -> Vec<Reservation> {
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(store.reserve(key(name), FIVE_A_MINUTE, at).await.unwrap());
    }
    taken
}

async fn wait(store: &dyn ThrottleStore, name: &str, at: Timestamp) -> Option<u32> {
    match store.reserve(key(name), FIVE_A_MINUTE, at).await {
        Ok(_) => None,
        Err(ReserveError::Throttled(RetryAfter(seconds))) => Some(seconds),
        Err(ReserveError::Store(error)) => panic!("{error}"),
    }
}

async fn attempts_in_flight_count(store: &dyn ThrottleStore) {
    let in_flight = fill(store, "ann", NOW).await;
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
    drop(in_flight);
    assert_eq!(
        wait(store, "ann", NOW).await,
        Some(60),
        "an attempt that is not settled counts"
    );
    assert_eq!(wait(store, "ann", NOW.plus(secs(60))).await, None);
}

async fn a_success_forgets_the_attempts(store: &dyn ThrottleStore) {
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

async fn a_released_attempt_does_not_count_and_the_others_do(store: &dyn ThrottleStore) {
    let mut taken = fill(store, "ann", NOW).await;
    store
        .settle(taken.pop().unwrap(), Settlement::Released)
        .await
        .unwrap();
    assert_eq!(wait(store, "ann", NOW).await, None);
    assert_eq!(wait(store, "ann", NOW).await, Some(60));
    // A success forgot this attempt before it was released: no other one is released instead.
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

async fn the_wait_is_exact(store: &dyn ThrottleStore) {
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

async fn fixed_waits_do_not_grow(store: &dyn ThrottleStore) {
    let fixed = Rate {
        waits: Backoff::Fixed,
        ..FIVE_A_MINUTE
    };
    for minute in 0..4 {
        for _ in 0..5 {
            assert!(
                store
                    .reserve(key("ann"), fixed, NOW.plus(secs(60 * minute)))
                    .await
                    .is_ok()
            );
        }
        let refused = store
            .reserve(key("ann"), fixed, NOW.plus(secs(60 * minute + 1)))
            .await;
        assert_eq!(refused, Err(ReserveError::Throttled(RetryAfter(59))));
    }
}

/// Fills the window as soon as that is allowed, again and again. Returns each wait in seconds.
async fn waits(store: &dyn ThrottleStore, mut now: Timestamp, times: usize) -> Vec<u32> {
    let mut waits = Vec::new();
    for _ in 0..times {
        fill(store, "ann", now).await;
        let seconds = wait(store, "ann", now).await.unwrap();
        // Retrying does not prolong the wait.
        for second in 1..seconds.min(50) {
            assert_eq!(
                wait(store, "ann", now.plus(secs(second.into()))).await,
                Some(seconds - second)
            );
        }
        waits.push(seconds);
        now = now.plus(secs(seconds.into()));
    }
    waits
}

async fn each_wait_is_twice_the_last_up_to_the_longest(store: &dyn ThrottleStore) {
    assert_eq!(
        waits(store, NOW, 7).await,
        [60, 120, 240, 480, 900, 900, 900]
    );
    assert_eq!(wait(store, "bob", NOW).await, None, "nobody else waits");
}

async fn a_success_resets_the_backoff(store: &dyn ThrottleStore) {
    assert_eq!(waits(store, NOW, 3).await, [60, 120, 240]);
    let later = NOW.plus(secs(60 + 120 + 240));
    let attempt = store
        .reserve(key("ann"), FIVE_A_MINUTE, later)
        .await
        .unwrap();
    store.settle(attempt, Settlement::Succeeded).await.unwrap();
    assert_eq!(waits(store, later, 2).await, [60, 120]);
}

async fn an_hour_without_a_wait_resets_the_backoff(store: &dyn ThrottleStore) {
    assert_eq!(waits(store, NOW, 2).await, [60, 120]);
    let ended = NOW.plus(secs(60 + 120));
    let almost = ended.plus(secs(3599));
    assert_eq!(waits(store, almost, 1).await, [240]);
    assert_eq!(
        waits(store, almost.plus(secs(240 + 3600)), 2).await,
        [60, 120]
    );
}

async fn a_released_attempt_makes_no_wait(store: &dyn ThrottleStore) {
    let mut taken = fill(store, "ann", NOW).await;
    store
        .settle(taken.pop().unwrap(), Settlement::Released)
        .await
        .unwrap();
    assert_eq!(waits(store, NOW.plus(secs(60)), 2).await, [60, 120]);
}

async fn a_long_window_is_not_cut_short(store: &dyn ThrottleStore) {
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

async fn a_refusal_does_not_prolong_the_wait(store: &dyn ThrottleStore) {
    fill(store, "ann", NOW).await;
    for second in 1..60 {
        assert_eq!(
            wait(store, "ann", NOW.plus(secs(second))).await,
            u32::try_from(60 - second).ok()
        );
    }
    assert_eq!(wait(store, "ann", NOW.plus(secs(60))).await, None);
}

async fn a_lower_limit_after_a_reload_holds_at_once(store: &dyn ThrottleStore) {
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
        "until the fourth is a minute old"
    );
    let none = Rate {
        attempts: 0,
        per: Duration::from_secs(60),
        waits: Backoff::Exponential,
    };
    assert!(store.reserve(key("bob"), none, NOW).await.is_err());
}

async fn accounts_are_counted_apart(store: &dyn ThrottleStore) {
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

/// Runs `steps` and returns the times of the attempts that were allowed and count.
fn admitted(fixture: &impl Fixture, steps: &[Step], rate: Rate) -> Vec<Timestamp> {
    block_on(async {
        let store = one(fixture).await;
        let (mut now, mut counted, mut in_flight) = (NOW, Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Wait(millis) => now = now.plus(Duration::from_millis(*millis)),
                Step::Attempt => {
                    if let Ok(attempt) = store.reserve(key("ann"), rate, now).await {
                        in_flight.push((attempt, now));
                    }
                }
                Step::Fail => counted.extend(in_flight.pop().map(|(_, at)| at)),
                Step::Release => {
                    if let Some((attempt, _)) = in_flight.pop() {
                        store.settle(attempt, Settlement::Released).await.unwrap();
                    }
                }
                Step::Succeed => {
                    if let Some((attempt, _)) = in_flight.pop() {
                        store.settle(attempt, Settlement::Succeeded).await.unwrap();
                        // The window is empty: all attempts are allowed at once.
                        for _ in 0..rate.attempts {
                            let attempt = store.reserve(key("ann"), rate, now).await.unwrap();
                            in_flight.push((attempt, now));
                        }
                        assert!(store.reserve(key("ann"), rate, now).await.is_err());
                    }
                }
            }
        }
        counted.extend(in_flight.into_iter().map(|(_, at)| at));
        counted.sort();
        counted
    })
}

/// In no window of `rate.per` are there more attempts than `rate.attempts`, however they are
/// spread.
pub(in crate::store) fn no_window_holds_more_than_the_limit(fixture: &impl Fixture, cases: u32) {
    let settled = vec![Step::Fail, Step::Release];
    proptest!(ProptestConfig::with_cases(cases), |(steps in steps(settled), attempts in 1_u32..7)| {
        let rate = Rate { attempts, per: Duration::from_secs(60), waits: Backoff::Exponential };
        let admitted = admitted(fixture, &steps, rate);
        for pair in admitted.windows(attempts as usize + 1) {
            prop_assert!(pair[0].until(pair[attempts as usize]) >= rate.per, "{:?}", admitted);
        }
    });
}

/// After a success the window is empty, whatever happened before.
pub(in crate::store) fn a_success_always_frees(fixture: &impl Fixture, cases: u32) {
    let settled = vec![Step::Fail, Step::Release, Step::Succeed];
    proptest!(ProptestConfig::with_cases(cases), |(steps in steps(settled), attempts in 1_u32..7)| {
        admitted(fixture, &steps, Rate { attempts, per: Duration::from_secs(60), waits: Backoff::Exponential });
    });
}
