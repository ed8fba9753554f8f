//! The contract suite, and that no flood of requests makes a store grow beyond its limits.

use std::sync::Arc;
use std::time::Duration;

use super::super::contract::{self, Fixture, block_on};
use super::super::revocations::{Revocation, RevocationId};
use super::super::throttles::BACKOFF_RESET_AFTER;
use super::super::{
    Acquire, LeaseKey, LeaseResult, LeaseStore as _, RevocationStore as _, SessionHash,
    SessionStore as _, StoredSession, Stores, Sweep as _, ThrottleKeys, ThrottleStore as _,
};
use super::checkpoints::CheckpointLimits;
use super::lease_table::Limits;
use super::*;
use crate::config::settings::{Backoff, Rate};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::system::Clock;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const RATE: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(60),
    waits: Backoff::Exponential,
};

#[derive(Default)]
struct Memory {
    clock: Clock,
}

impl Fixture for Memory {
    async fn replicas(&self) -> (Stores, Stores) {
        let stores = Stores::in_memory(&self.clock);
        (stores.clone(), stores)
    }

    fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }
}

#[test]
fn sessions_keep_the_contract() {
    block_on(contract::sessions::check(&Memory::default()));
}

#[test]
fn leases_keep_the_contract() {
    block_on(contract::leases::check(&Memory::default()));
}

#[test]
fn revocations_keep_the_contract() {
    block_on(contract::revocations::check(&Memory::default()));
}

#[test]
fn pending_revocations_keep_the_contract() {
    block_on(contract::pending_revocations::check(&Memory::default()));
}

#[test]
fn throttles_keep_the_contract() {
    block_on(contract::throttles::check(&Memory::default()));
}

#[test]
fn memory_is_always_ready() {
    assert_eq!(
        block_on(async { Stores::in_memory(&Clock::new()).connection.ready().await }),
        Ok(())
    );
}

#[test]
fn no_window_holds_more_than_the_limit() {
    contract::throttles::no_window_holds_more_than_the_limit(&Memory::default(), 256);
}

#[test]
fn a_success_always_frees() {
    contract::throttles::a_success_always_frees(&Memory::default(), 256);
}

#[test]
fn never_two_holders() {
    contract::leases::never_two_holders(&Memory::default(), 512);
}

/// 32 bytes without a pattern, as hashes are.
fn hash(number: u64) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_le_bytes());
    digest.as_ref().try_into().unwrap()
}

fn session_hash(number: u64) -> SessionHash {
    SessionHash(hash(number))
}

fn session(bytes: usize, expires_at: Timestamp) -> StoredSession {
    StoredSession {
        sealed: vec![0; bytes].into(),
        expires_at,
    }
}

#[test]
fn sign_ins_that_never_return_are_forgotten_as_new_ones_come() {
    let sessions = MemorySessions::with_limits(1_000_000, usize::MAX);
    let (idle, far) = (Duration::from_secs(60), Duration::from_secs(3600));
    block_on(async {
        for number in 0..100_000 {
            let now = NOW.plus(Duration::from_millis(number * 100));
            let session = session(10, now.plus(far));
            sessions
                .put(session_hash(number), session, idle, now)
                .await
                .unwrap();
        }
    });
    // 600 are alive at a time, in expiry buckets of ten seconds.
    assert!(sessions.count() < 1_500, "{}", sessions.count());
    assert!(sessions.bucket_entries() < 1_500);
    sessions.sweep(NOW.plus(Duration::from_secs(20_000)));
    assert_eq!((sessions.count(), sessions.bucket_entries()), (0, 0));
}

#[test]
fn signing_in_and_out_all_day_leaves_nothing_behind() {
    let sessions = MemorySessions::with_limits(1_000_000, usize::MAX);
    let idle = Duration::from_secs(3600);
    block_on(async {
        for number in 0..200_000 {
            let id = session_hash(number);
            let session = session(10, NOW.plus(idle));
            sessions.put(id, session, idle, NOW).await.unwrap();
            sessions.delete(id).await.unwrap();
        }
    });
    assert_eq!(sessions.count(), 0);
    assert!(sessions.bucket_entries() < 75 * 300);
}

#[test]
fn sessions_stay_in_bounds_and_the_soonest_to_end_go_first() {
    let sessions = MemorySessions::with_limits(3_000, usize::MAX);
    let idle = Duration::from_secs(3600);
    let is_there = async |id, idle, now| sessions.get(id, idle, now).await.unwrap().is_some();
    block_on(async {
        // Used again and again: it lives longer than the bucket it was put into says.
        let used = session_hash(u64::MAX);
        let put = session(10, NOW.plus(idle * 100));
        sessions.put(used, put, idle, NOW).await.unwrap();
        for number in 0..30_000 {
            let now = NOW.plus(Duration::from_secs(number));
            let session = session(10, NOW.plus(idle * 100));
            sessions
                .put(session_hash(number), session, idle * 20, now)
                .await
                .unwrap();
            assert!(is_there(used, idle * 20, now).await, "at {number}");
        }
        assert_eq!(sessions.count(), 3_000);
        let now = NOW.plus(Duration::from_secs(30_000));
        let count = async |numbers: std::ops::Range<u64>| {
            let mut count = 0;
            for number in numbers {
                count += u32::from(is_there(session_hash(number), idle, now).await);
            }
            count
        };
        assert_eq!(count(0..10_000).await, 0);
        assert!(count(28_500..30_000).await > 1_300);
    });
}

#[test]
fn sessions_stay_in_bounds_in_bytes() {
    let sessions = MemorySessions::with_limits(1_000_000, 1_000_000);
    let idle = Duration::from_secs(60);
    let put = async |number, bytes| {
        let session = session(bytes, NOW.plus(idle));
        sessions
            .put(session_hash(number), session, idle, NOW)
            .await
            .unwrap();
    };
    block_on(async {
        for number in 0..10_000 {
            put(number, 1_000).await;
        }
        assert_eq!(sessions.count(), 1_000);
        put(0, 2_000_000).await;
    });
    assert!(sessions.count() < 1_000);
}

#[test]
fn a_million_leases_stay_in_bounds() {
    let clock = Clock::new();
    let limits = Limits {
        leases: 10_000,
        bytes: 500_000,
        reused: 5_000,
        checkpoints: CheckpointLimits {
            count: 1_000,
            bytes: 100_000,
        },
    };
    let leases = MemoryLeases::with_limits(limits, clock.clone());
    let ttl = Duration::from_secs(30);
    block_on(async {
        for number in 0..1_000_000 {
            clock.advance(Duration::from_millis(1));
            let key = LeaseKey(hash(number));
            let Ok(Acquire::Acquired { fence, .. }) = leases.acquire(key, ttl).await else {
                panic!("{number}")
            };
            match number % 4 {
                0 => leases.release(key, fence).await.unwrap(),
                1 => {
                    let sealed = vec![0; 200].into();
                    let put = leases.put_checkpoint(key, sealed, Duration::from_secs(100_000));
                    assert_eq!(put.await, Ok(true));
                }
                _ => {
                    let result = LeaseResult {
                        sealed: vec![0; 1_000].into(),
                        ttl: Duration::from_millis(400),
                        reuse_ttl: Some(Duration::from_secs(900)),
                    };
                    assert_eq!(leases.complete(key, fence, result).await, Ok(true));
                }
            }
        }
    });
    let usage = leases.usage();
    assert!(
        usage.leases <= 10_000 && usage.bytes <= 500_000,
        "{usage:?}"
    );
    assert!((4_001..=5_000).contains(&usage.reused), "{usage:?}");
    let kept = usage.checkpoints;
    assert_eq!((kept.count, kept.bytes), (500, 100_000));
    clock.advance(Duration::from_secs(200_000));
    leases.sweep(NOW);
    let usage = leases.usage();
    assert_eq!((usage.leases, usage.bytes, usage.reused), (0, 0, 0));
    assert_eq!((usage.checkpoints.count, usage.checkpoints.bytes), (0, 0));
}

/// A flood of refreshes must not make clients that come late look like attackers.
#[test]
fn an_evicted_result_is_not_reported_as_reused() {
    let limits = Limits {
        leases: 10,
        bytes: usize::MAX,
        reused: 10,
        checkpoints: CheckpointLimits {
            count: 10,
            bytes: usize::MAX,
        },
    };
    let leases = MemoryLeases::with_limits(limits, Clock::new());
    let acquire = async |number| {
        let ttl = Duration::from_secs(6_000);
        leases.acquire(LeaseKey(hash(number)), ttl).await.unwrap()
    };
    block_on(async {
        for number in 0..11 {
            let Acquire::Acquired { fence, .. } = acquire(number).await else {
                panic!("{number}")
            };
            let result = LeaseResult {
                sealed: Arc::from([]),
                ttl: Duration::from_secs(1_000 + 100 * number),
                reuse_ttl: Some(Duration::from_secs(60)),
            };
            let key = LeaseKey(hash(number));
            assert_eq!(leases.complete(key, fence, result).await, Ok(true));
        }
        assert_eq!(leases.evicted(), 1);
        assert!(matches!(acquire(1).await, Acquire::Completed(_)));
        assert!(matches!(acquire(0).await, Acquire::Acquired { .. }));
    });
}

/// A virtual machine that was suspended, or a time server, sets the clock forward by two minutes.
#[test]
fn the_wall_clock_ends_no_lease_and_no_result() {
    let clock = Clock::new();
    let leases = MemoryLeases::new(clock.clone());
    let key = LeaseKey(hash(1));
    let ttl = Duration::from_secs(60);
    block_on(async {
        let Ok(Acquire::Acquired { fence, .. }) = leases.acquire(key, ttl).await else {
            panic!()
        };
        let before = clock.now();
        for step in [120_000, -600_000] {
            clock.set_forward(step);
            leases.sweep(clock.now());
            assert_eq!(leases.acquire(key, ttl).await, Ok(Acquire::Contended));
        }
        assert!(clock.now() < before);
        let result = LeaseResult {
            sealed: Arc::from([]),
            ttl,
            reuse_ttl: Some(ttl),
        };
        assert_eq!(leases.complete(key, fence, result).await, Ok(true));
        for step in [120_000, -600_000] {
            clock.set_forward(step);
            leases.sweep(clock.now());
            assert!(matches!(
                leases.acquire(key, ttl).await,
                Ok(Acquire::Completed(_))
            ));
        }
    });
}

#[test]
fn a_million_addresses_stay_in_bounds_and_do_not_free_the_account_under_attack() {
    let keys = ThrottleKeys::new([7; 32]);
    let throttles = MemoryThrottles::with_capacity(1_000);
    let victim = keys.account("main", "ann");
    let from = |number: u32| keys.address(std::net::Ipv4Addr::from(number).into());
    block_on(async {
        for _ in 0..5 {
            let _ = throttles.reserve(victim, RATE, NOW).await.unwrap();
        }
        for number in 0..1_000_000 {
            let _ = throttles.reserve(from(number), RATE, NOW).await.unwrap();
        }
        assert_eq!(throttles.count(), 1_000);
        assert!(throttles.reserve(victim, RATE, NOW).await.is_err());
        let later = NOW.plus(Duration::from_secs(60));
        for number in 0..600 {
            let _ = throttles.reserve(from(number), RATE, later).await.unwrap();
        }
        assert_eq!(
            throttles.count(),
            601,
            "expired windows go as new ones come; the one that had to wait is remembered"
        );
        throttles.sweep(later.plus(RATE.per));
        assert_eq!(throttles.count(), 1);
        throttles.sweep(later.plus(BACKOFF_RESET_AFTER));
        assert_eq!(throttles.count(), 0);
    });
}

fn revoke(revocations: &MemoryRevocations, number: u64, until: Timestamp, now: Timestamp) {
    let id = RevocationId::of("main", &RevocationKey(number.to_string()));
    revocations.add(Revocation::of_sign_in(id, until), Some(now));
}

#[test]
fn revocations_stay_in_bounds_and_the_soonest_to_end_go_first() {
    let revocations = MemoryRevocations::with_capacity(1_600);
    for number in 0..100_000 {
        let until = NOW.plus(Duration::from_secs(1 + number));
        revoke(&revocations, number, until, NOW);
    }
    assert_eq!(revocations.count(), 1_600);
    let is_revoked =
        |number: u64| revocations.is_revoked("main", &RevocationKey(number.to_string()), NOW);
    assert!((99_000..100_000).all(is_revoked));
    assert!(!(0..1_000).any(is_revoked));
    revocations.sweep(NOW.plus(Duration::from_secs(100_001 + 3600)));
    assert_eq!(revocations.count(), 0);
}

#[test]
fn expired_revocations_go_without_a_sweep() {
    let revocations = MemoryRevocations::with_capacity(1_000_000);
    for number in 0..10_000_u64 {
        let now = NOW.plus(Duration::from_secs(60 * number));
        revoke(&revocations, number, now.plus(Duration::from_secs(10)), now);
    }
    assert!(revocations.count() < 500, "{}", revocations.count());
}
