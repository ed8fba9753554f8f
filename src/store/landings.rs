//! Renewals under way and renewals done, of one process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Fence, Landing, Lease, RenewalKey};
use crate::model::moment::Moment;

/// At most this many refresh tokens are known at once; the soonest to be over go first.
#[derive(Debug)]
pub(super) struct Landings {
    slots: Mutex<Slots>,
    most: usize,
    /// Somebody landed or gave back.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    by_key: HashMap<RenewalKey, Slot>,
    last_fence: u64,
}

#[derive(Debug)]
enum Slot {
    Leased { fence: Fence, until: Moment },
    Landed(Landing),
}

impl Slot {
    /// When nothing needs to be known of it any more.
    fn over(&self) -> Moment {
        match self {
            Self::Leased { until, .. } => *until,
            Self::Landed(landing) => landing.spent_until.unwrap_or(landing.until).max(landing.until),
        }
    }
}

impl Landings {
    pub(super) fn new(most: usize) -> Self {
        Self { slots: Mutex::default(), most: most.max(1), changed: Notify::new() }
    }

    pub(super) fn lease(&self, key: RenewalKey, span: Duration, now: Moment) -> Lease {
        let mut slots = self.slots();
        match slots.by_key.get(&key) {
            Some(Slot::Leased { until, .. }) if now < *until => return Lease::Busy,
            Some(Slot::Landed(landing)) if now < landing.until => return Lease::Landed(landing.sealed.clone()),
            Some(Slot::Landed(Landing { spent_until: Some(until), .. })) if now < *until => return Lease::Spent,
            Some(Slot::Leased { .. } | Slot::Landed(_)) | None => {}
        }
        slots.make_room(self.most, now);
        slots.last_fence += 1;
        let fence = Fence(slots.last_fence);
        slots.by_key.insert(key, Slot::Leased { fence, until: now.plus(span) });
        Lease::Held(fence)
    }

    pub(super) fn extend(&self, key: RenewalKey, fence: Fence, span: Duration, now: Moment) -> bool {
        let mut slots = self.slots();
        if !slots.is_held(key, fence) {
            return false;
        }
        slots.by_key.insert(key, Slot::Leased { fence, until: now.plus(span) });
        true
    }

    pub(super) fn land(&self, key: RenewalKey, fence: Fence, landing: Landing) -> bool {
        {
            let mut slots = self.slots();
            if !slots.is_held(key, fence) {
                return false;
            }
            slots.by_key.insert(key, Slot::Landed(landing));
        }
        self.changed.notify_waiters();
        true
    }

    pub(super) fn release(&self, key: RenewalKey, fence: Fence) {
        {
            let mut slots = self.slots();
            if slots.is_held(key, fence) {
                slots.by_key.remove(&key);
            }
        }
        self.changed.notify_waiters();
    }

    pub(super) async fn landing(&self, at_most: Duration) {
        // Whichever comes first; the caller looks for itself.
        let _ = tokio::time::timeout(at_most, self.changed.notified()).await;
    }

    pub(super) fn sweep(&self, now: Moment) {
        self.slots().sweep(now);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn is_held(&self, key: RenewalKey, by: Fence) -> bool {
        matches!(self.by_key.get(&key), Some(Slot::Leased { fence, .. }) if *fence == by)
    }

    fn sweep(&mut self, now: Moment) {
        self.by_key.retain(|_, slot| now < slot.over());
    }

    /// Called before one is put in. Half go at once, so that a crowd does not pay for the room each time.
    fn make_room(&mut self, most: usize, now: Moment) {
        if self.by_key.len() < most {
            return;
        }
        self.sweep(now);
        if self.by_key.len() < most {
            return;
        }
        let mut ends: Vec<Moment> = self.by_key.values().map(Slot::over).collect();
        let middle = ends.len() / 2;
        let (_, cut, _) = ends.select_nth_unstable(middle);
        let cut = *cut;
        self.by_key.retain(|_, slot| cut < slot.over());
    }
}
