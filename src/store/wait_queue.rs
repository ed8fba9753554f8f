//! Requests of this process that wait for a lease to be completed or released.

use std::time::Duration;

use tokio::sync::Notify;

use super::LeaseKey;

/// Keys share this many notifiers. A waiter is sometimes woken for another key; it then tries to
/// acquire its lease again and waits on.
const NOTIFIERS: usize = 256;

/// The waiting requests, by the first byte of the key.
#[derive(Debug)]
pub(super) struct WaitQueue {
    notifiers: Box<[Notify]>,
}

impl WaitQueue {
    pub(super) fn new() -> Self {
        Self {
            notifiers: (0..NOTIFIERS).map(|_| Notify::new()).collect(),
        }
    }

    /// Wakes everyone who waits for `key`.
    pub(super) fn notify(&self, key: LeaseKey) {
        if let Some(notifier) = self.notifier(key) {
            notifier.notify_waiters();
        }
    }

    /// Waits for a notification for `key`, but no longer than `at_most`. Does not wait when
    /// `is_held` says that nobody holds the lease.
    pub(super) async fn wait(
        &self,
        key: LeaseKey,
        is_held: impl FnOnce() -> bool,
        at_most: Duration,
    ) {
        let Some(notifier) = self.notifier(key) else {
            return;
        };
        let mut wake_up = std::pin::pin!(notifier.notified());
        // Registers before it asks, so that a notification in between is not missed.
        wake_up.as_mut().enable();
        if is_held() {
            // A timeout and a notification mean the same: the caller tries again.
            let _ = tokio::time::timeout(at_most, wake_up).await;
        }
    }

    fn notifier(&self, key: LeaseKey) -> Option<&Notify> {
        let [first, ..] = key.0;
        self.notifiers.get(usize::from(first) % NOTIFIERS)
    }
}
