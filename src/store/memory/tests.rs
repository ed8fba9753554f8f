//! The contract suite, and that no crowd makes the store grow.

use std::sync::Arc;

use super::super::contract::{self, Open, block_on};
use super::super::throttle::ThrottleKeys;
use super::*;
use crate::config::settings::Backoff;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const RATE: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(60),
    waits: Backoff::Exponential,
};

struct Memory;

impl Open for Memory {
    async fn two(&self) -> (Arc<dyn Store>, Arc<dyn Store>) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        (Arc::clone(&store), store)
    }
}

#[test]
fn keeps_the_contract() {
    block_on(contract::holds(&Memory));
}

#[test]
fn no_window_holds_more_than_the_limit() {
    contract::throttles::no_window_holds_more_than_the_limit(&Memory, 256);
}

#[test]
fn a_success_always_frees() {
    contract::throttles::a_success_always_frees(&Memory, 256);
}

#[test]
fn never_two_holders() {
    contract::renewals::never_two_holders(&Memory, 512);
}

/// 32 bytes without a pattern, as hashes are.
fn hash(number: u64) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_le_bytes());
    digest.as_ref().try_into().unwrap()
}

fn session(bytes: usize, ends: Timestamp) -> StoredSession {
    StoredSession {
        sealed: vec![0; bytes].into(),
        ends,
    }
}

#[test]
fn sign_ins_that_never_return_are_forgotten_as_new_ones_come() {
    let sessions = Sessions::new(1_000_000, usize::MAX);
    let (idle, far) = (Duration::from_secs(60), Duration::from_secs(3600));
    for number in 0..100_000 {
        let now = NOW.plus(Duration::from_millis(number * 100));
        sessions.put(
            SessionHash(hash(number)),
            session(10, now.plus(far)),
            idle,
            now,
        );
    }
    // 600 are alive at a time; their ends are filed by ten seconds.
    assert!(sessions.len() < 1_500, "{}", sessions.len());
    assert!(sessions.filings() < 1_500, "{}", sessions.filings());
    sessions.sweep(NOW.plus(Duration::from_secs(20_000)));
    assert_eq!((sessions.len(), sessions.filings()), (0, 0));
}

#[test]
fn signing_in_and_out_all_day_leaves_nothing_behind() {
    let sessions = Sessions::new(1_000_000, usize::MAX);
    let idle = Duration::from_secs(3600);
    for number in 0..200_000 {
        let id = SessionHash(hash(number));
        sessions.put(id, session(10, NOW.plus(idle)), idle, NOW);
        sessions.end(id);
    }
    assert_eq!(sessions.len(), 0);
    assert!(sessions.filings() < 75 * 300, "{}", sessions.filings());
}

#[test]
fn sessions_stay_in_bounds_and_the_soonest_to_end_go_first() {
    let sessions = Sessions::new(3_000, usize::MAX);
    let idle = Duration::from_secs(3600);
    // Used again and again, so that its end moves on while it is filed where it began.
    let used = SessionHash(hash(u64::MAX));
    sessions.put(used, session(10, NOW.plus(idle * 100)), idle, NOW);
    for number in 0..30_000 {
        let now = NOW.plus(Duration::from_secs(number));
        sessions.put(
            SessionHash(hash(number)),
            session(10, NOW.plus(idle * 100)),
            idle * 20,
            now,
        );
        assert!(sessions.get(used, idle * 20, now).is_some(), "at {number}");
    }
    assert_eq!(sessions.len(), 3_000);
    let now = NOW.plus(Duration::from_secs(30_000));
    let kept = |numbers: std::ops::Range<u64>| {
        numbers
            .filter(|number| {
                sessions
                    .get(SessionHash(hash(*number)), idle, now)
                    .is_some()
            })
            .count()
    };
    assert_eq!(kept(0..10_000), 0);
    assert!(kept(28_500..30_000) > 1_300, "{}", kept(28_500..30_000));
}

#[test]
fn sessions_stay_in_bounds_in_bytes() {
    let sessions = Sessions::new(1_000_000, 1_000_000);
    let idle = Duration::from_secs(60);
    for number in 0..10_000 {
        sessions.put(
            SessionHash(hash(number)),
            session(1_000, NOW.plus(idle)),
            idle,
            NOW,
        );
    }
    assert_eq!(sessions.len(), 1_000);
    sessions.put(
        SessionHash(hash(0)),
        session(2_000_000, NOW.plus(idle)),
        idle,
        NOW,
    );
    assert!(sessions.len() < 1_000);
}

#[test]
fn a_million_renewals_stay_in_bounds() {
    let room = Room {
        landings: 10_000,
        bytes: 500_000,
        spent: 5_000,
    };
    let landings = Landings::new(room);
    for number in 0..1_000_000 {
        let (key, now) = (
            LeaseKey(hash(number)),
            NOW.plus(Duration::from_millis(number)),
        );
        let Acquire::Acquired(fence) = landings.lease(key, Duration::from_secs(30), now) else {
            panic!("{number}")
        };
        match number % 4 {
            0 => landings.release(key, fence),
            1 => {}
            _ => {
                let (until, spent_until) = (
                    now.plus(Duration::from_millis(400)),
                    now.plus(Duration::from_secs(900)),
                );
                let landing = LeaseResult {
                    sealed: vec![0; 1_000].into(),
                    until,
                    spent_until: Some(spent_until),
                };
                assert!(landings.land(key, fence, landing));
            }
        }
    }
    let (live, bytes, spent) = landings.sizes();
    assert!(
        live <= 10_000 && bytes <= 500_000 && spent <= 5_000,
        "{live} {bytes} {spent}"
    );
    assert!(spent > 4_000, "{spent}");
    landings.sweep(NOW.plus(Duration::from_secs(10_000)));
    assert_eq!(landings.sizes(), (0, 0, 0));
}

/// A flood of renewals must not make thieves of honest late comers.
#[test]
fn what_is_forgotten_for_want_of_room_is_not_spent() {
    let landings = Landings::new(Room {
        landings: 10,
        bytes: usize::MAX,
        spent: 10,
    });
    let lease = |number| landings.lease(LeaseKey(hash(number)), Duration::from_secs(60), NOW);
    for number in 0..11 {
        let Acquire::Acquired(fence) = lease(number) else {
            panic!("{number}")
        };
        let until = NOW.plus(Duration::from_secs(10 + number));
        let landing = LeaseResult {
            sealed: Arc::from([]),
            until,
            spent_until: Some(until.plus(Duration::from_secs(60))),
        };
        assert!(landings.land(LeaseKey(hash(number)), fence, landing));
    }
    assert!(matches!(lease(1), Acquire::Completed(_)));
    assert!(matches!(lease(0), Acquire::Acquired(_)));
}

#[test]
fn a_million_names_stay_in_bounds_and_do_not_free_the_one_under_attack() {
    let keys = ThrottleKeys::new([7; 32]);
    let mut places = Places::new(1_000);
    let victim = keys.account("main", "ann");
    for _ in 0..5 {
        let _ = places.reserve(victim, RATE, NOW).unwrap();
    }
    for number in 0..1_000_000_u32 {
        let address = std::net::Ipv4Addr::from(number).into();
        let _ = places.reserve(keys.address(address), RATE, NOW).unwrap();
    }
    assert_eq!(places.len(), 1_000);
    assert!(places.reserve(victim, RATE, NOW).is_err());
    let later = NOW.plus(Duration::from_secs(60));
    for number in 0..600_u32 {
        let _ = places
            .reserve(
                keys.address(std::net::Ipv4Addr::from(number).into()),
                RATE,
                later,
            )
            .unwrap();
    }
    assert_eq!(
        places.len(),
        601,
        "what is over goes as new ones come; the one that had to wait is remembered"
    );
    places.sweep(later.plus(RATE.per));
    assert_eq!(places.len(), 1);
    places.sweep(later.plus(super::super::throttle::FADES_AFTER));
    assert_eq!(places.len(), 0);
}

fn add(revocations: &Revocations, number: u64, end: Timestamp, now: Timestamp) {
    revocations.add(
        RevocationId::of("main", &RevocationKey(number.to_string())),
        end,
        Some(now),
    );
}

#[test]
fn revocations_stay_in_bounds_and_the_soonest_to_end_go_first() {
    let revocations = Revocations::new(1_600);
    for number in 0..100_000 {
        add(
            &revocations,
            number,
            NOW.plus(Duration::from_secs(1 + number)),
            NOW,
        );
    }
    assert_eq!(revocations.len(), 1_600);
    let is_revoked =
        |number: u64| revocations.contains("main", &RevocationKey(number.to_string()), NOW);
    assert!((99_000..100_000).all(is_revoked));
    assert!(!(0..1_000).any(is_revoked));
    revocations.sweep(NOW.plus(Duration::from_secs(100_001)));
    assert_eq!(revocations.len(), 0);
}

#[test]
fn what_is_over_goes_without_a_sweep() {
    let revocations = Revocations::new(1_000_000);
    for number in 0..10_000_u64 {
        let now = NOW.plus(Duration::from_secs(number));
        add(&revocations, number, now.plus(Duration::from_secs(10)), now);
    }
    assert!(revocations.len() < 500, "{}", revocations.len());
}
