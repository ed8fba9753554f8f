//! How often each operation of the API was called.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of calls per operation, whatever their result.
#[derive(Debug, Default)]
pub struct Statistics {
    /// `POST /api/login`.
    pub logins: Counter,
    /// `POST /api/two-factor/login`.
    pub two_factor_logins: Counter,
    /// `POST /api/two-factor/send/{twoFactorId}`.
    pub code_requests: Counter,
    /// `POST /api/user/change-password`.
    pub password_changes: Counter,
    /// `POST /api/jwt/refresh` and `POST /oauth2/token`.
    pub refreshes: Counter,
    /// `DELETE /api/jwt/refresh`.
    pub revocations: Counter,
    /// `POST /api/logout`.
    pub logouts: Counter,
    /// `GET /.well-known/jwks.json`.
    pub key_fetches: Counter,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The current count.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
