//! How much memory a million server-side sessions take, in the program's own allocator, and how
//! long reading one takes. Fails above 600 MiB. Linux only: it asks `/proc`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, for people to read"
)]
#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use vestibule::model::timestamp::Timestamp;
use vestibule::store::{MemorySessions, SessionHash, SessionStore, StoredSession, Sweep};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u64 = 1_000_000;
/// A visitor and a refresh token, sealed.
const BYTES: usize = 450;
const AT_MOST_MIB: u64 = 600;
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const IDLE: Duration = Duration::from_secs(30 * 60);

fn id(number: u64) -> SessionHash {
    SessionHash(
        digest(&SHA256, &number.to_le_bytes())
            .as_ref()
            .try_into()
            .unwrap(),
    )
}

/// The resident memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let store = MemorySessions::new();
    let before = resident();
    for number in 0..SESSIONS {
        // A thousand sign-ins a second.
        let now = NOW.plus(Duration::from_millis(number));
        let session = StoredSession {
            sealed: vec![7; BYTES].into(),
            expires_at: now.plus(IDLE * 24),
        };
        store.put(id(number), session, IDLE, now).await.unwrap();
    }
    let after = resident();
    println!(
        "{} sessions of {BYTES} bytes: {after} MiB resident, {before} MiB before",
        store.count()
    );
    // As visitors come back: everybody's end moves on.
    let later = NOW.plus(Duration::from_secs(1_000));
    let started = Instant::now();
    let found = {
        let mut found = 0;
        for number in 0..SESSIONS {
            found += u64::from(store.get(id(number), IDLE, later).await.unwrap().is_some());
        }
        found
    };
    let each = started.elapsed() / u32::try_from(SESSIONS).unwrap();
    let used = resident();
    println!(
        "{found} read, {} ns each with the hash of the id; {used} MiB resident",
        each.as_nanos()
    );
    store.sweep(later.plus(IDLE / 2));
    println!(
        "{} MiB resident after a sweep of sessions that are in use",
        resident()
    );
    assert!(
        after.max(used) <= AT_MOST_MIB,
        "more than {AT_MOST_MIB} MiB"
    );
}
