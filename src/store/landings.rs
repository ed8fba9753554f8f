//! Renewals under way and renewals done, of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ends::Ends;
use super::waiting::Waiting;
use super::{Acquire, Fence, LeaseKey, LeaseResult};
use crate::model::timestamp::Timestamp;

/// Looked at with each new lease: two for one, so that what is over cannot pile up.
const SWEPT_AT_ONCE: usize = 2;

/// How much may be known at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Refresh tokens that are renewed now or were within the reuse window.
    pub(super) landings: usize,
    /// Bytes of their results.
    pub(super) bytes: usize,
    /// Refresh tokens that were replaced some time ago.
    pub(super) spent: usize,
}

/// Refresh tokens within bounds; beyond them the soonest to be over go first.
#[derive(Debug)]
pub(super) struct Landings {
    slots: Mutex<Slots>,
    room: Room,
    waiting: Waiting,
}

#[derive(Debug, Default)]
struct Slots {
    live: HashMap<LeaseKey, Slot>,
    /// When each of `live` is over.
    ends: Ends<LeaseKey>,
    bytes: usize,
    /// What is left of a landing after its time, by half of its key: only that it was.
    spent: Ends<[u8; 16]>,
    last_fence: u64,
}

#[derive(Debug)]
enum Slot {
    Leased(Fence),
    Landed {
        sealed: Arc<[u8]>,
        spent_until: Option<Timestamp>,
    },
}

impl Landings {
    pub(super) fn new(room: Room) -> Self {
        Self {
            slots: Mutex::default(),
            room,
            waiting: Waiting::new(),
        }
    }

    pub(super) fn lease(&self, key: LeaseKey, span: Duration, now: Timestamp) -> Acquire {
        let mut slots = self.slots();
        for _ in 0..SWEPT_AT_ONCE {
            slots.retire_first(now, self.room);
            slots.spent.take_ended(now);
        }
        if slots.ends.of(&key).is_some_and(|end| end <= now) {
            slots.retire(key, now, self.room);
        }
        match slots.live.get(&key) {
            Some(Slot::Leased(_)) => return Acquire::Contended,
            Some(Slot::Landed { sealed, .. }) => return Acquire::Completed(Arc::clone(sealed)),
            None => {}
        }
        if slots.spent.of(&half(key)).is_some_and(|until| now < until) {
            return Acquire::Reused;
        }
        slots.last_fence += 1;
        let fence = Fence(slots.last_fence);
        slots.put(key, Slot::Leased(fence), now.plus(span));
        slots.make_room(self.room);
        Acquire::Acquired(fence)
    }

    pub(super) fn extend(
        &self,
        key: LeaseKey,
        fence: Fence,
        span: Duration,
        now: Timestamp,
    ) -> bool {
        let mut slots = self.slots();
        let held = slots.is_held(key, fence);
        if held {
            slots.ends.set(key, now.plus(span));
        }
        held
    }

    pub(super) fn land(&self, key: LeaseKey, fence: Fence, landing: LeaseResult) -> bool {
        {
            let mut slots = self.slots();
            if !slots.is_held(key, fence) {
                return false;
            }
            slots.put(
                key,
                Slot::Landed {
                    sealed: landing.sealed,
                    spent_until: landing.spent_until,
                },
                landing.until,
            );
            slots.make_room(self.room);
        }
        self.waiting.wake(key);
        true
    }

    pub(super) fn release(&self, key: LeaseKey, fence: Fence) {
        {
            let mut slots = self.slots();
            if slots.is_held(key, fence) {
                slots.take(key);
            }
        }
        self.waiting.wake(key);
    }

    pub(super) async fn landing(&self, key: LeaseKey, at_most: Duration) {
        let is_leased = || matches!(self.slots().live.get(&key), Some(Slot::Leased(_)));
        self.waiting.wait(key, is_leased, at_most).await;
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        let mut slots = self.slots();
        while slots.retire_first(now, self.room) {}
        while slots.spent.take_ended(now).is_some() {}
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let slots = self.slots();
        assert_eq!(slots.live.len(), slots.ends.len());
        (slots.live.len(), slots.bytes, slots.spent.len())
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn is_held(&self, key: LeaseKey, by: Fence) -> bool {
        matches!(self.live.get(&key), Some(Slot::Leased(fence)) if *fence == by)
    }

    fn put(&mut self, key: LeaseKey, slot: Slot, end: Timestamp) {
        self.take(key);
        self.bytes += slot.bytes();
        self.live.insert(key, slot);
        self.ends.set(key, end);
    }

    fn take(&mut self, key: LeaseKey) -> Option<Slot> {
        self.ends.remove(&key);
        let slot = self.live.remove(&key)?;
        self.bytes -= slot.bytes();
        Some(slot)
    }

    /// A lease whose time is over is free, a landing whose time is over leaves its mark.
    fn retire(&mut self, key: LeaseKey, now: Timestamp, room: Room) {
        let Some(Slot::Landed {
            spent_until: Some(until),
            ..
        }) = self.take(key)
        else {
            return;
        };
        if now < until {
            self.spent.set(half(key), until);
            while self.spent.len() > room.spent {
                self.spent.take_first();
            }
        }
    }

    fn retire_first(&mut self, now: Timestamp, room: Room) -> bool {
        let first = self.ends.first_ended(now);
        if let Some(key) = first {
            self.retire(key, now, room);
        }
        first.is_some()
    }

    /// What is forgotten for want of room leaves no mark: whoever comes with that token in time is
    /// no thief.
    fn make_room(&mut self, room: Room) {
        while self.live.len() > room.landings.max(1) || self.bytes > room.bytes {
            let Some(key) = self.ends.first() else { return };
            self.take(key);
        }
    }
}

impl Slot {
    fn bytes(&self) -> usize {
        match self {
            Self::Leased(_) => 0,
            Self::Landed { sealed, .. } => sealed.len(),
        }
    }
}

/// 128 bits of a hash tell any number apart.
fn half(key: LeaseKey) -> [u8; 16] {
    key.0.first_chunk().copied().unwrap_or_default()
}
