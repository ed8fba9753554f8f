//! Refreshes: one call to the provider per refresh token at a time, whoever asks and whoever hangs
//! up (`docs/reference/refresh.md`).
//!
//! Parallel tabs, retries and late requests present the same refresh token. The first of them leads
//! and calls the provider in a task that does not depend on its own connection; all others of this
//! process follow and share the result (`single_flight`). Between replicas a lease in the store
//! decides who calls the provider (`lock`). For the length of the reuse window the store hands
//! the result to everybody who still presents the old token. After that, a token that was rotated
//! is a copy: that is [`RefreshOutcome::Reused`], and whoever asked for the refresh revokes the
//! sign-in.

pub(super) mod lock;
mod new_token;
mod outcome;
mod service;
pub(super) mod single_flight;
mod worker;

pub use outcome::{RefreshOutcome, RefreshSource};
pub use service::Refresh;

pub(super) use service::InFlight;
pub(super) use worker::RefreshWorker;
