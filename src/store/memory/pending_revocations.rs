//! Pending revocations in the memory of one process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::super::{PendingId, PendingRevocation, PendingRevocationStore, StoreError, Sweep};
use crate::model::timestamp::Timestamp;

/// The most pending revocations.
pub(in crate::store) const MAX_PENDING: usize = 20_000;

/// Pending revocations within a limit. Beyond it the oldest are evicted.
#[derive(Debug)]
pub struct MemoryPendingRevocations {
    table: Mutex<Table>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<PendingId, Row>,
    /// The ids in the order in which they are given out. Those of removed rows stay until then.
    turns: VecDeque<PendingId>,
    /// Those that were evicted before they were removed.
    evicted: u64,
}

#[derive(Debug)]
struct Row {
    sealed: Arc<[u8]>,
    until: Timestamp,
}

impl Default for MemoryPendingRevocations {
    fn default() -> Self {
        Self::with_capacity(MAX_PENDING)
    }
}

impl MemoryPendingRevocations {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            table: Mutex::default(),
            capacity: capacity.max(1),
        }
    }

    pub(in crate::store) fn add(&self, pending: PendingRevocation, until: Timestamp) {
        let PendingRevocation { id, sealed } = pending;
        let mut table = self.table();
        if table.by_id.insert(id, Row { sealed, until }).is_none() {
            table.turns.push_back(id);
        }
        // The ids of removed rows count too, so that they cannot accumulate.
        while table.turns.len() > self.capacity {
            if let Some(oldest) = table.turns.pop_front() {
                let evicted = table.by_id.remove(&oldest).is_some();
                table.evicted += u64::from(evicted);
            }
        }
    }

    /// All of them with their ends, in no order.
    pub(in crate::store) fn all(&self) -> Vec<(PendingRevocation, Timestamp)> {
        let table = self.table();
        let rows = table.by_id.iter();
        rows.map(|(id, row)| (row.pending(*id), row.until))
            .collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn pending(&self, id: PendingId) -> PendingRevocation {
        PendingRevocation {
            id,
            sealed: Arc::clone(&self.sealed),
        }
    }
}

#[async_trait]
impl PendingRevocationStore for MemoryPendingRevocations {
    async fn put(
        &self,
        pending: PendingRevocation,
        keep: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.add(pending, now.plus(keep));
        Ok(())
    }

    async fn remove(&self, id: PendingId) -> Result<(), StoreError> {
        let mut table = self.table();
        table.by_id.remove(&id);
        if table.by_id.is_empty() {
            table.turns.clear();
        }
        Ok(())
    }

    async fn some(
        &self,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<PendingRevocation>, StoreError> {
        let mut table = self.table();
        let mut given = Vec::new();
        for _ in 0..table.turns.len() {
            if given.len() >= count {
                break;
            }
            let Some(id) = table.turns.pop_front() else {
                break;
            };
            let Some(row) = table.by_id.get(&id) else {
                continue;
            };
            if row.until <= now {
                table.by_id.remove(&id);
                continue;
            }
            given.push(row.pending(id));
            table.turns.push_back(id);
        }
        Ok(given)
    }
}

impl Sweep for MemoryPendingRevocations {
    fn sweep(&self, now: Timestamp) {
        let table = &mut *self.table();
        table.by_id.retain(|_, row| now < row.until);
        let by_id = &table.by_id;
        table.turns.retain(|id| by_id.contains_key(id));
    }

    fn evicted(&self) -> u64 {
        self.table().evicted
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contract;
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn pending_revocations_stay_within_their_limit() {
        let store = MemoryPendingRevocations::with_capacity(10);
        let (id, sealed) = (|n: u8| PendingId([n; 16]), Arc::from([0; 100]));
        for number in 0..100 {
            let pending = PendingRevocation {
                id: id(number),
                sealed: Arc::clone(&sealed),
            };
            store.add(pending, NOW.plus(Duration::from_secs(60)));
            if number % 2 == 0 {
                contract::block_on(store.remove(id(number))).unwrap();
            }
        }
        let mut kept: Vec<_> = store.all().into_iter().map(|(kept, _)| kept.id).collect();
        kept.sort();
        assert_eq!(kept, [91, 93, 95, 97, 99].map(id), "the newest");
    }
}
