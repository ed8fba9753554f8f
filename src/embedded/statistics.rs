//! How often each operation of the API was called.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of calls per operation, whatever their result.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Calls of `POST /api/login`: logins with a password.
    pub logins: Counter,
    /// Calls of `POST /api/two-factor/login`: second-factor codes.
    pub two_factor_logins: Counter,
    /// Calls of `POST /api/two-factor/send/{twoFactorId}`: codes to send.
    pub code_requests: Counter,
    /// Calls of `POST /api/user/change-password`.
    pub password_changes: Counter,
    /// Calls of `POST /api/jwt/refresh` and `POST /oauth2/token`.
    pub refreshes: Counter,
    /// Calls of `DELETE /api/jwt/refresh`: revocations of sessions.
    pub revocations: Counter,
    /// Calls of `POST /api/logout`.
    pub logouts: Counter,
    /// Calls of `GET /.well-known/jwks.json`.
    pub key_fetches: Counter,
}

/// A counter that other threads can read while it grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number of calls so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
