//! Vestibule: the room a visitor passes through before entering the house.
//!
//! A reverse proxy that signs visitors in for applications that were never changed for it. This
//! file is the plan on the wall; the rooms in reading order:
//!
//! * [`model`]: what things are. Plain data, made at the border and trusted inside.
//! * [`decide`]: what follows from what. All policy, pure: *ask, fetch, ask again* until it is
//!   settled.
//! * `config`: what the operator wrote, checked, every problem at once.
//! * `provider`: who vouches for people. FusionAuth's API, keys and the verification of tokens.
//! * `store`: where sessions, shared renewals, revocations and throttles rest.
//! * `telemetry`: metrics, access log and audit log, for operators.
//! * `runtime`: everything one request needs, built from settings and swapped whole on reload.
//! * `pages`: the HTML of the forms and problem pages, from `static/`, in the languages of
//!   `static/words/`.
//! * `proxy`: the only room that knows Pingora. Makes a view of the request, asks `decide`, carries
//!   it out.
//! * `admin`: the admin listener, with metrics and health checks.
//! * `embedded`: an identity server that speaks FusionAuth's API, and the demo's store and forum.
//! * `system`: the clock, randomness and detached work, each asked for in this one place.
//! * `cli`: the commands.
//!
//! `model`, `decide` and `pages` are pure: they compile with `--no-default-features`, without
//! tokio, Pingora, a clock or randomness in reach. The table of who may import whom is held by
//! `tests/architecture` and told in `docs/development/structure.md`.

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
