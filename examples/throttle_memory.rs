//! How much memory a million client addresses take that try once, and then as many accounts as
//! the store holds, each with a full window. Fails above 100 MiB. Linux only: it asks `/proc`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, for people to read"
)]

use std::time::Duration;

use vestibule::config::settings::{Backoff, Rate};
use vestibule::model::timestamp::Timestamp;
use vestibule::store::{MemoryThrottles, ThrottleKeys, ThrottleStore};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ADDRESSES: u32 = 1_000_000;
const ACCOUNTS: u32 = 100_000;
const AT_MOST_MIB: u64 = 100;
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
/// As many as an address has where nothing is configured: accounts have fewer.
const RATE: Rate = Rate {
    attempts: 30,
    per: Duration::from_secs(60),
    waits: Backoff::Exponential,
};

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
    let (store, keys) = (MemoryThrottles::new(), ThrottleKeys::new([7; 32]));
    let before = resident();
    for number in 0..ADDRESSES {
        let address = std::net::Ipv4Addr::from(number).into();
        let _ = store
            .reserve(keys.address(address), RATE, NOW)
            .await
            .unwrap();
    }
    let many = resident();
    println!("{ADDRESSES} addresses that tried once: {many} MiB resident, {before} MiB before");
    for number in 0..ACCOUNTS {
        let account = keys.account("main", &number.to_string());
        for _ in 0..RATE.attempts {
            let _ = store.reserve(account, RATE, NOW).await.unwrap();
        }
    }
    let full = resident();
    println!(
        "{ACCOUNTS} accounts with {} attempts each: {full} MiB resident",
        RATE.attempts
    );
    assert!(many.max(full) <= AT_MOST_MIB, "more than {AT_MOST_MIB} MiB");
}
