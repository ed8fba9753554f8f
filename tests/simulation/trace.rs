//! What happened, in words, for whoever reads a failure.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::TrueTime;

/// Something that must never happen.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which rule is broken: one of the constants of [`super::rules`].
    pub rule: &'static str,
    /// What happened.
    pub what: String,
}

/// Notes and violations in the order in which they happened.
#[derive(Debug)]
pub struct Trace {
    time: TrueTime,
    verbose: bool,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<String>,
    violations: Vec<Violation>,
}

impl Trace {
    /// An empty trace, which keeps notes only where it is `verbose`.
    pub fn new(time: TrueTime, verbose: bool) -> Self {
        Self {
            time,
            verbose,
            log: Mutex::default(),
        }
    }

    /// Notes what happens.
    pub fn note(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            let line = self.line(&what());
            self.log().lines.push(line);
        }
    }

    /// Notes that `rule` is broken.
    pub fn violate(&self, rule: &'static str, what: impl Into<String>) {
        let what = what.into();
        let line = self.line(&format!("VIOLATION of {rule}: {what}"));
        let mut log = self.log();
        log.lines.push(line);
        log.violations.push(Violation { rule, what });
    }

    /// Whether anything was violated yet.
    pub fn has_violation(&self) -> bool {
        !self.log().violations.is_empty()
    }

    /// The first violation.
    pub fn violation(&self) -> Option<Violation> {
        self.log().violations.first().cloned()
    }

    /// The notes, one a line.
    pub fn lines(&self) -> Vec<String> {
        self.log().lines.clone()
    }

    fn line(&self, what: &str) -> String {
        format!("t={:.3} s {what}", self.time.elapsed().as_secs_f64())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
