//! Server-side sessions: the client carries an id, the store keeps what it stands for
//! (`docs/reference/sessions.md`).

pub(super) mod cache;
mod record;
mod service;

pub(super) use service::Revocable;
pub use service::Sessions;
