//! Those who wait for somebody else's renewal.

use std::time::Duration;

use tokio::sync::Notify;

use super::LeaseKey;

/// Whoever waits is woken with some that wait for another token: a few, and each looks for itself.
const BELLS: usize = 256;

/// Bells by the first byte of the key.
#[derive(Debug)]
pub(super) struct Waiting(Box<[Notify]>);

impl Waiting {
    pub(super) fn new() -> Self {
        Self((0..BELLS).map(|_| Notify::new()).collect())
    }

    /// Wakes who waits for `key`.
    pub(super) fn wake(&self, key: LeaseKey) {
        if let Some(bell) = self.bell(key) {
            bell.notify_waiters();
        }
    }

    /// Backoff for the bell of `key`, `at_most` this long, unless `is_leased` says that there is
    /// nothing to wait for.
    pub(super) async fn wait(
        &self,
        key: LeaseKey,
        is_leased: impl FnOnce() -> bool,
        at_most: Duration,
    ) {
        let Some(bell) = self.bell(key) else { return };
        let mut rung = std::pin::pin!(bell.notified());
        // Listens first and looks then: a bell rung in between is heard.
        rung.as_mut().enable();
        if is_leased() {
            // Whichever comes first; the caller looks for itself.
            let _ = tokio::time::timeout(at_most, rung).await;
        }
    }

    fn bell(&self, key: LeaseKey) -> Option<&Notify> {
        let [first, ..] = key.0;
        self.0.get(usize::from(first) % BELLS)
    }
}
