//! The life of a gateway's process.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A process. After its death nothing of it has any effect.
#[derive(Debug)]
pub struct Life {
    /// Tells this process from all others.
    pub process: u64,
    /// The number of its gateway.
    pub gateway: usize,
    dead: AtomicBool,
    died: Notify,
}

impl Life {
    /// A process that lives.
    pub fn new(process: u64, gateway: usize) -> Self {
        Self {
            process,
            gateway,
            dead: AtomicBool::new(false),
            died: Notify::new(),
        }
    }

    /// Whether it lives.
    pub fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    /// Waits for its death.
    pub async fn died(&self) {
        let died = self.died.notified();
        if self.is_alive() {
            died.await;
        }
    }

    /// Returns at once while it lives. A dead process does nothing any more, so this then waits for
    /// ever.
    pub async fn go_on(&self) {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }
}
