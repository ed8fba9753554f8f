use std::future::pending;

use async_trait::async_trait;

use super::*;
use crate::model::timestamp::Timestamp;
use crate::store::{MemoryLeases, Sweep};
use crate::system::Clock;

const KEY: LeaseKey = LeaseKey([7; 32]);

/// The leases of a replica that shares `store`.
fn replica(clock: &Clock, store: Arc<dyn LeaseStore>) -> Leases {
    let stores = Stores {
        leases: store,
        scope: Scope::Replicas,
        ..Stores::in_memory(clock)
    };
    Leases::new(&stores, clock.clone())
}

fn acquired(answer: Acquire) -> LeaseGuard {
    match answer {
        Acquire::Acquired(guard) => guard,
        Acquire::Contended | Acquire::Completed(_) | Acquire::Reused => panic!("not free"),
    }
}

/// The holder fetches keys for a minute, after the provider has answered.
#[tokio::test(start_paused = true)]
async fn a_lease_is_held_for_as_long_as_the_work_takes() {
    let clock = Clock::new();
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new(clock.clone()));
    let (here, there) = (replica(&clock, Arc::clone(&store)), replica(&clock, store));
    let guard = acquired(here.acquire(KEY).await);
    let work = here.with_heartbeat(&guard, async {
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(matches!(there.acquire(KEY).await, Acquire::Contended));
        }
        here.put_checkpoint(KEY, b"pair".as_slice().into(), LEASE_TTL * 100)
            .await
            .unwrap();
    });
    work.await;
    // It dies before it can store the result.
    drop(guard);
    tokio::time::sleep(LEASE_TTL).await;
    let guard = acquired(there.acquire(KEY).await);
    assert_eq!(guard.checkpoint(), Some(b"pair".as_slice()));
}

/// The shared store does not answer: what was left in this process is used.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_outlives_a_shared_store_that_lost_it() {
    let clock = Clock::new();
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new(clock.clone()));
    let here = replica(&clock, store);
    here.put_checkpoint(KEY, b"pair".as_slice().into(), LEASE_TTL)
        .await
        .unwrap();
    let emptied = Leases {
        shared: Some(Arc::new(MemoryLeases::new(clock))),
        ..here
    };
    let guard = acquired(emptied.acquire(KEY).await);
    assert_eq!(guard.checkpoint(), Some(b"pair".as_slice()));
    assert!(emptied.checkpoint(KEY).await.unwrap().is_some());
}

/// Does not answer.
#[derive(Debug)]
struct Lost;

impl Sweep for Lost {
    fn sweep(&self, _: Timestamp) {}
}

fn lost<T>() -> Result<T, StoreError> {
    Err(StoreError("connection refused".into()))
}

#[async_trait]
impl LeaseStore for Lost {
    async fn acquire(&self, _: LeaseKey, _: Duration) -> Result<store::Acquire, StoreError> {
        lost()
    }

    async fn extend(&self, _: LeaseKey, _: Fence, _: Duration) -> Result<bool, StoreError> {
        lost()
    }

    async fn put_checkpoint(
        &self,
        _: LeaseKey,
        _: Arc<[u8]>,
        _: Duration,
    ) -> Result<bool, StoreError> {
        lost()
    }

    async fn checkpoint(&self, _: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
        lost()
    }

    async fn complete(&self, _: LeaseKey, _: Fence, _: LeaseResult) -> Result<bool, StoreError> {
        lost()
    }

    async fn release(&self, _: LeaseKey, _: Fence) -> Result<(), StoreError> {
        lost()
    }

    async fn wait_for_change(&self, _: LeaseKey, _: Duration) {}
}

#[tokio::test(start_paused = true)]
async fn a_lost_store_is_known_from_the_first_failure_to_the_next_answer() {
    const OTHER: LeaseKey = LeaseKey([8; 32]);
    let clock = Clock::new();
    let mut leases = replica(&clock, Arc::new(Lost));
    assert_eq!(leases.lost_for(), None);
    for seconds in [0, 7] {
        clock.advance(Duration::from_secs(seconds));
        let guard = acquired(leases.acquire(KEY).await);
        assert!(!leases.is_distributed(&guard));
        leases.release(guard).await;
        assert_eq!(leases.lost_for(), Some(Duration::from_secs(seconds)));
    }
    let put = leases.put_checkpoint(KEY, b"pair".as_slice().into(), LEASE_TTL);
    assert!(put.await.is_err(), "others do not get it");
    let here = leases.checkpoint(KEY).await;
    assert_eq!(here, Ok(Some(b"pair".as_slice().into())));
    assert!(leases.checkpoint(OTHER).await.is_err(), "not known");
    leases.shared = Some(Arc::new(MemoryLeases::new(clock.clone())));
    assert!(leases.is_distributed(&acquired(leases.acquire(OTHER).await)));
    assert_eq!(leases.lost_for(), None);
}

/// Another replica has issued the tokens of the checkpoint meanwhile.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_ends_here_when_another_replica_has_completed_the_lease() {
    let clock = Clock::new();
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new(clock.clone()));
    let (here, there) = (replica(&clock, Arc::clone(&store)), replica(&clock, store));
    let pair: Arc<[u8]> = b"pair".as_slice().into();
    let put = here.put_checkpoint(KEY, Arc::clone(&pair), LEASE_TTL * 100);
    put.await.unwrap();
    let result = LeaseResult {
        sealed: b"result".as_slice().into(),
        ttl: LEASE_TTL,
        reuse_ttl: Some(LEASE_TTL * 2),
    };
    let guard = acquired(there.acquire(KEY).await);
    there.complete(guard, result).await;
    for _ in 0..2 {
        let copied = here
            .local
            .put_checkpoint(KEY, Arc::clone(&pair), LEASE_TTL * 100);
        assert!(copied.await.is_ok());
        let answer = here.acquire(KEY).await;
        assert!(matches!(answer, Acquire::Completed(_) | Acquire::Reused));
        assert!(here.local.checkpoints().is_empty());
        clock.advance(LEASE_TTL);
    }
}

/// Answers once, then never again.
#[derive(Debug)]
struct Stuck;

impl Sweep for Stuck {
    fn sweep(&self, _: Timestamp) {}
}

#[async_trait]
impl LeaseStore for Stuck {
    async fn acquire(&self, _: LeaseKey, _: Duration) -> Result<store::Acquire, StoreError> {
        Ok(store::Acquire::Acquired {
            fence: Fence(1),
            checkpoint: None,
        })
    }

    async fn extend(&self, _: LeaseKey, _: Fence, _: Duration) -> Result<bool, StoreError> {
        pending().await
    }

    async fn put_checkpoint(
        &self,
        _: LeaseKey,
        _: Arc<[u8]>,
        _: Duration,
    ) -> Result<bool, StoreError> {
        pending().await
    }

    async fn checkpoint(&self, _: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
        pending().await
    }

    async fn complete(&self, _: LeaseKey, _: Fence, _: LeaseResult) -> Result<bool, StoreError> {
        pending().await
    }

    async fn release(&self, _: LeaseKey, _: Fence) -> Result<(), StoreError> {
        pending().await
    }

    async fn wait_for_change(&self, _: LeaseKey, _: Duration) {
        pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_work_does_not_wait_for_a_store_that_is_stuck() {
    let clock = Clock::new();
    let leases = replica(&clock, Arc::new(Stuck));
    let guard = acquired(leases.acquire(KEY).await);
    let work = tokio::time::sleep(Duration::from_secs(5));
    leases.with_heartbeat(&guard, work).await;
    assert_eq!(clock.monotonic(), Duration::from_secs(5));
}

/// This replica has seen the tokens that another one has left in the shared store.
#[tokio::test(start_paused = true)]
async fn a_copied_checkpoint_outlives_the_shared_store() {
    let clock = Clock::new();
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new(clock.clone()));
    let (mut here, there) = (replica(&clock, Arc::clone(&store)), replica(&clock, store));
    let put = there.put_checkpoint(KEY, b"pair".as_slice().into(), LEASE_TTL * 100);
    put.await.unwrap();
    let guard = acquired(here.acquire(KEY).await);
    here.copy_checkpoint(&guard, LEASE_TTL * 100).await;
    here.release(guard).await;
    here.shared = Some(Arc::new(Lost));
    let guard = acquired(here.acquire(KEY).await);
    assert_eq!(guard.checkpoint(), Some(b"pair".as_slice()));
}
