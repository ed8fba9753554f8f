//! A request that a proxy asks about (`forward_auth.rs`).

use http::Method;

use crate::decide::forward_auth::DeniedResponse;

/// What is known of a request that a proxy asks about.
pub(super) struct ForwardAuth {
    /// What the proxy does with a refusal.
    pub(super) denied: DeniedResponse,
    /// Scheme and host of the client's request, where the proxy asks under another host: a relative
    /// `Location` would lead there.
    pub(super) base: Option<String>,
    /// Method and target of the client's request; `None` where they are not told.
    pub(super) original: Option<(Method, Vec<u8>)>,
}
