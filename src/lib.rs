//! Vestibule, a reverse proxy that logs users in for the applications behind it.
//!
//! The modules, in reading order:
//!
//! * [`model`]: the types that everything else is made of. Plain data, validated where it is made.
//! * [`decide`]: the policy, as one pure function from a request and the known facts to a
//!   question or a verdict.
//! * `config`: the configuration file, parsed and validated. All problems are reported at once.
//! * `provider`: the client of the identity provider, the keys that it signs with, and the
//!   verification of its tokens.
//! * `store`: sessions, the leases of shared refreshes, revocations and throttles, in memory or in
//!   Redis.
//! * `telemetry`: logs, audit records and metrics.
//! * `runtime`: the services that answer the questions of [`decide`], built from the configuration
//!   and replaced as a whole on reload.
//! * [`pages`]: the HTML of the forms and error pages, from `static/`, in the languages of
//!   `static/words/`.
//! * `proxy`: the server, and the only module that uses Pingora. It turns a request into what
//!   [`decide`] reads, resolves its questions and carries the verdict out.
//! * `admin`: the listener for metrics and health checks.
//! * `embedded`: an identity server with FusionAuth's API and OpenID Connect, and the sample
//!   applications of the demo.
//! * `system`: the clock, randomness and detached tasks.
//! * `doctor`: what may be wrong outside the configuration.
//! * `cli`: the commands.
//!
//! A request runs through them in this order: `proxy` validates it and finds its site, [`decide`]
//! asks what it needs to know, `runtime` finds that out with the help of `provider` and `store`,
//! and `proxy` forwards the request or answers it.
//!
//! `model`, `decide` and `pages` are pure: they compile with `--no-default-features`, without
//! tokio, Pingora, a clock or randomness. `docs/development/structure.md` has the table of which
//! module may import which, and `tests/architecture.rs` enforces it.

pub mod decide;
pub mod model;
pub mod pages;

#[cfg(feature = "edge")]
pub mod admin;
#[cfg(feature = "edge")]
pub mod cli;
#[cfg(feature = "edge")]
pub mod config;
#[cfg(feature = "edge")]
pub mod doctor;
#[cfg(feature = "edge")]
pub mod embedded;
#[cfg(feature = "edge")]
pub mod provider;
#[cfg(feature = "edge")]
pub mod proxy;
#[cfg(feature = "edge")]
pub mod runtime;
#[cfg(feature = "edge")]
pub mod store;
#[cfg(feature = "edge")]
pub mod system;
#[cfg(feature = "edge")]
pub mod telemetry;
