//! Time: the true time of a simulation, and the clock on the wall of each gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use vestibule::model::timestamp::Timestamp;
use vestibule::system::Clock;

/// The true time at which every simulation starts, in milliseconds since the Unix epoch.
const START: i64 = 1_700_000_000_000;

/// The true time.
#[derive(Clone, Copy, Debug)]
pub struct TrueTime {
    started: Instant,
}

impl TrueTime {
    /// The time of a simulation that starts now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// How long the simulation has run.
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    /// The moment at which the simulation has run for `since`.
    pub fn at(self, since: Duration) -> Instant {
        self.started + since
    }

    /// The time of day.
    pub fn now(self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(START + millis(self.elapsed())).unwrap_or_default())
    }
}

/// A clock that is wrong by an offset, and by more with each second.
#[derive(Clone, Debug)]
pub struct WallClock {
    time: TrueTime,
    offset: Arc<AtomicI64>,
    /// Millionths of the time that has passed.
    drift: i64,
}

impl WallClock {
    /// A clock that is `offset` milliseconds ahead and runs too fast by `drift` millionths.
    pub fn new(time: TrueTime, offset: i64, drift: i64) -> Self {
        Self {
            time,
            offset: Arc::new(AtomicI64::new(offset)),
            drift,
        }
    }

    /// Sets the clock forward by `millis`, or back.
    pub fn step(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::Relaxed);
    }

    /// Whether the clock is right but for its drift.
    pub fn is_right(&self) -> bool {
        self.offset.load(Ordering::Relaxed) == 0
    }

    /// Sets the clock right.
    pub fn set_right(&self) {
        let drifted = millis(self.time.elapsed()) * self.drift / 1_000_000;
        self.offset.store(-drifted, Ordering::Relaxed);
    }

    /// This clock, for a runtime.
    pub fn clock(&self) -> Clock {
        let wall = self.clone();
        Clock::from_function(move || wall.now())
    }

    fn now(&self) -> Timestamp {
        let elapsed = millis(self.time.elapsed());
        let now = START
            + elapsed
            + elapsed * self.drift / 1_000_000
            + self.offset.load(Ordering::Relaxed);
        Timestamp::from_millis(u64::try_from(now).unwrap_or_default())
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
