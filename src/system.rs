//! What no test can repeat: the time, randomness, and tasks that outlive their caller.
//!
//! This is the only file that asks the operating system for them. Pure code gets a [`Timestamp`]
//! and random bytes as arguments.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::model::timestamp::Timestamp;

/// A clock. Clones tell the same time, also after one of them was advanced or set.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    started: Instant,
    ahead_millis: Arc<AtomicU64>,
    /// How far the wall clock was set, and the monotonic one was not.
    set_millis: Arc<AtomicI64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::from_source(Source::System)
    }
}

/// Where the time of a [`Clock`] comes from.
#[derive(Clone, Default)]
enum Source {
    /// The operating system.
    #[default]
    System,
    /// A function.
    Function(Arc<dyn Fn() -> Timestamp + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::System => "System",
            Self::Function(_) => "Function",
        })
    }
}

impl Clock {
    /// A clock that tells the system time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that tells the time that `source` returns, for a simulation whose clocks differ.
    #[must_use]
    pub fn from_function(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::from_source(Source::Function(Arc::new(source)))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            started: Instant::now(),
            ahead_millis: Arc::default(),
            set_millis: Arc::default(),
        }
    }

    /// The current time of the wall clock, which operators and time servers set: it may jump, and
    /// other machines have another one.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = match &self.source {
            Source::System => system_time(),
            Source::Function(source) => source(),
        };
        let ahead = self.ahead_millis.load(Ordering::Relaxed);
        let set = self.set_millis.load(Ordering::Relaxed);
        Timestamp::from_millis(
            now.millis()
                .saturating_add(ahead)
                .saturating_add_signed(set),
        )
    }

    /// The time since this clock was made. Nobody sets it: it tells how long something has lasted
    /// in this process, whatever the wall clock does.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        let ahead = Duration::from_millis(self.ahead_millis.load(Ordering::Relaxed));
        self.started.elapsed() + ahead
    }

    /// Sets the wall clock of this clock and its clones forward, or back by a negative number, as a
    /// time server does.
    pub fn set_forward(&self, millis: i64) {
        self.set_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Advances this clock and its clones, so that a test need not wait.
    pub fn advance(&self, span: Duration) {
        self.ahead_millis.fetch_add(
            u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

/// The time of the operating system.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for the time"
)]
fn system_time() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The current time of a monotonic clock, for measuring how long something takes. It is the clock
/// of tokio's timers, so that a test which pauses them also pauses this.
#[must_use]
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// `N` unpredictable bytes.
///
/// # Panics
/// Where the operating system has no randomness. Nothing can be sealed safely then.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one source of randomness")]
#[expect(
    clippy::expect_used,
    reason = "without randomness there is no safe way on"
)]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system has no randomness");
    bytes
}

/// A unique id of 22 base64url characters, for telling requests apart and not for secrets. It takes
/// a twentieth of the time that randomness takes: one half is random and fixed per process, the
/// other is a keyed hash of a counter.
#[must_use]
pub fn unique_id() -> String {
    static PROCESS: OnceLock<(RandomState, [u8; 8])> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (key, own) = PROCESS.get_or_init(|| (RandomState::new(), random()));
    let count = key
        .hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
        .to_ne_bytes();
    let mut bytes = [0; 16];
    let (left, right) = bytes.split_at_mut(8);
    left.copy_from_slice(own);
    right.copy_from_slice(&count);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Runs `work` to its end, also where its caller was cancelled.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that detaches tasks"
)]
pub fn detach<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}
