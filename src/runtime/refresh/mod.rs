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
//!
//! "Could not check" is never "no". What the provider has issued is stored as the lease's
//! checkpoint before anything else is done with it, and stays there until it can be used, is
//! refused, or its refresh token has ended: a holder that dies, keys that cannot be fetched or
//! claims that cannot be carried cost nobody a sign-in, and no second call presents the used token.
//! After a failure the same token rests for a while (`backoff`).

mod backoff;
pub(super) mod lock;
mod new_token;
mod outcome;
mod pair_issuer;
mod service;
pub(super) mod single_flight;
mod store_seal;
mod task;
mod worker;

pub use outcome::{RefreshOutcome, RefreshSource};
pub use service::Refresh;

pub(super) use backoff::RefreshBackoff;
pub(super) use pair_issuer::PairIssuer;
pub(super) use service::InFlight;
pub(super) use worker::RefreshWorker;
