//! The server's clock, by which replicas whose clocks differ agree on windows and idle times.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::command_connection::Connection;
use crate::model::timestamp::Timestamp;
use crate::system::Clock;

/// A difference that is taken for the time that the question took. The difference in use changes
/// only by more than that, so that times stay in order.
const TOLERANCE_MILLIS: i64 = 250;

/// Converts times of this process into times of the server, and back.
pub(super) struct ServerClock {
    local: Clock,
    /// By how many milliseconds the server's clock is ahead.
    ahead: AtomicI64,
}

impl ServerClock {
    /// A clock that agrees with `local` until it is measured.
    pub(super) fn new(local: Clock) -> Self {
        Self {
            local,
            ahead: AtomicI64::new(0),
        }
    }

    /// Asks the server for its time. Call it again from time to time: either clock may be set.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn measure(&self, connection: &Connection) -> Result<(), redis::RedisError> {
        let mut time = redis::cmd("EVAL");
        // With a key, so that a cluster always asks the same node.
        time.arg("return redis.call('TIME')")
            .arg(1)
            .arg("vestibule:revoked");
        let before = self.local.now();
        let (seconds, micros): (u64, u64) = connection.query(&time).await?;
        let after = self.local.now();
        let server = Timestamp::from_secs(seconds).plus(Duration::from_micros(micros));
        self.adopt(before.plus(before.until(after) / 2), server);
        Ok(())
    }

    fn adopt(&self, local: Timestamp, server: Timestamp) {
        let ahead = signed(server).saturating_sub(signed(local));
        if ahead.abs_diff(self.ahead()) > TOLERANCE_MILLIS.unsigned_abs() {
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// The server's time at a time of this process.
    pub(super) fn to_server(&self, at: Timestamp) -> Timestamp {
        shifted(at, self.ahead())
    }

    /// The time of this process at a time of the server.
    pub(super) fn to_local(&self, at: Timestamp) -> Timestamp {
        shifted(at, self.ahead().saturating_neg())
    }

    fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

fn signed(at: Timestamp) -> i64 {
    i64::try_from(at.millis()).unwrap_or(i64::MAX)
}

fn shifted(at: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_add_signed(by))
}

impl std::fmt::Debug for ServerClock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ServerClock(ahead: {} ms)", self.ahead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn times_are_converted_there_and_back() {
        let clock = ServerClock::new(Clock::new());
        assert_eq!(clock.to_server(NOW), NOW);
        for server in [NOW.plus(Duration::from_secs(90)), Timestamp::from_secs(7)] {
            clock.adopt(NOW, server);
            assert_eq!(clock.to_server(NOW), server);
            assert_eq!(clock.to_local(server), NOW);
        }
    }

    #[test]
    fn what_the_question_took_changes_nothing() {
        let clock = ServerClock::new(Clock::new());
        clock.adopt(NOW, NOW.plus(Duration::from_millis(250)));
        assert_eq!(clock.to_server(NOW), NOW);
        clock.adopt(NOW, NOW.plus(Duration::from_millis(251)));
        assert_ne!(clock.to_server(NOW), NOW);
    }
}
