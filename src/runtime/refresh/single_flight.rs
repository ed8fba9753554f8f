//! One task per key at a time; whoever comes meanwhile shares its result.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::store::LeaseKey;

/// The tasks of this process that run now.
pub struct SingleFlight<T> {
    running: Mutex<HashMap<LeaseKey, Arc<Flight<T>>>>,
}

/// A task, as its followers see it. They are woken in the order in which they came, which a `watch`
/// channel does not promise: a simulation repeats.
struct Flight<T> {
    result: OnceLock<T>,
    has_ended: AtomicBool,
    ended: Notify,
}

/// The part of a caller.
pub enum Role<T> {
    /// Nobody works on this key: do it, and complete the guard.
    Leader(LeaderGuard<T>),
    /// Somebody does: wait for the result.
    Follower(SharedResult<T>),
}

/// The result of a task that somebody else runs.
pub struct SharedResult<T>(Arc<Flight<T>>);

/// The duty to complete a task. Dropped without a result (the task panicked), it frees the key and
/// tells the followers.
pub struct LeaderGuard<T> {
    single_flight: Arc<SingleFlight<T>>,
    key: LeaseKey,
    flight: Arc<Flight<T>>,
}

impl<T> SingleFlight<T> {
    /// Joins the task for `key`, or becomes its leader.
    pub fn join(self: &Arc<Self>, key: LeaseKey) -> Role<T> {
        let mut running = self.running();
        if let Some(flight) = running.get(&key) {
            return Role::Follower(SharedResult(Arc::clone(flight)));
        }
        let flight = Arc::new(Flight {
            result: OnceLock::new(),
            has_ended: AtomicBool::new(false),
            ended: Notify::new(),
        });
        running.insert(key, Arc::clone(&flight));
        Role::Leader(LeaderGuard {
            single_flight: Arc::clone(self),
            key,
            flight,
        })
    }

    /// Whether somebody works on this key.
    pub fn is_running(&self, key: LeaseKey) -> bool {
        self.running().contains_key(&key)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<LeaseKey, Arc<Flight<T>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
        }
    }
}

impl<T: Clone> LeaderGuard<T> {
    /// Gives `result` to every follower, and back.
    pub fn complete(self, result: T) -> T {
        // Set once: this consumes the guard.
        let _ = self.flight.result.set(result.clone());
        result
    }
}

impl<T> Drop for LeaderGuard<T> {
    fn drop(&mut self) {
        self.single_flight.running().remove(&self.key);
        self.flight.has_ended.store(true, Ordering::Release);
        self.flight.ended.notify_waiters();
    }
}

impl<T: Clone> SharedResult<T> {
    /// The result of the leader; `None` where its task ended without one.
    pub async fn wait(self) -> Option<T> {
        // Registered before the look, so that an end in between is not missed.
        let ended = self.0.ended.notified();
        if !self.0.has_ended.load(Ordering::Acquire) {
            ended.await;
        }
        self.0.result.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LeaseKey = LeaseKey([7; 32]);

    fn leader(single_flight: &Arc<SingleFlight<u32>>) -> LeaderGuard<u32> {
        match single_flight.join(KEY) {
            Role::Leader(guard) => guard,
            Role::Follower(_) => panic!("somebody leads already"),
        }
    }

    fn follower(single_flight: &Arc<SingleFlight<u32>>) -> SharedResult<u32> {
        match single_flight.join(KEY) {
            Role::Follower(result) => result,
            Role::Leader(_) => panic!("a second leader"),
        }
    }

    #[tokio::test]
    async fn followers_share_the_result_of_the_leader() {
        let single_flight = Arc::default();
        let guard = leader(&single_flight);
        let followers = [follower(&single_flight), follower(&single_flight)];
        assert_eq!(guard.complete(3), 3);
        for follower in followers {
            assert_eq!(follower.wait().await, Some(3));
        }
        leader(&single_flight);
    }

    #[tokio::test]
    async fn followers_are_woken_in_the_order_in_which_they_came() {
        let single_flight = Arc::default();
        let guard = leader(&single_flight);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (follower, order) = (follower(&single_flight), Arc::clone(&order));
            tasks.spawn(async move {
                follower.wait().await;
                order.lock().unwrap().push(number);
            });
        }
        tokio::task::yield_now().await;
        guard.complete(3);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_leader_that_panics_leaves_no_result_and_frees_the_key() {
        let single_flight = Arc::default();
        let guard = leader(&single_flight);
        let follower = follower(&single_flight);
        drop(guard);
        assert_eq!(follower.wait().await, None);
        leader(&single_flight);
    }
}
