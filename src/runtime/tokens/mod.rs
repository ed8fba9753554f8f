//! Access tokens: verified, cached while they are in use, and issued to clients.

pub(super) mod cache;
pub(super) mod issue;
pub(super) mod verify;
pub(super) mod verify_pair;

pub use verify::{CredentialError, Tokens};
