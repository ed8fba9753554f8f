//! The answers to challenges that are open: how the gateway shows the ACME server that a name is
//! its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::storage::{CHALLENGE_KEPT, SharedStorage};

/// The key authorizations (RFC 8555, section 8.1) of open challenges.
#[derive(Default)]
pub(super) struct Challenges(Mutex<HashMap<String, String>>);

/// What a challenge is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge<'a> {
    /// HTTP-01 (RFC 8555, section 8.3), by its token.
    Http(&'a str),
    /// TLS-ALPN-01 (RFC 8737), by the name in the handshake.
    TlsAlpn(&'a str),
}

impl Challenge<'_> {
    fn key(self) -> String {
        match self {
            Self::Http(token) => format!("http-01 {token}"),
            Self::TlsAlpn(name) => format!("tls-alpn-01 {name}"),
        }
    }
}

impl Challenges {
    /// Answers `challenge` from now on, on every replica.
    pub(super) async fn open(
        &self,
        challenge: Challenge<'_>,
        key_authorization: &str,
        shared: Option<&SharedStorage>,
    ) {
        let key = challenge.key();
        if let Some(shared) = shared {
            shared
                .save(&key, key_authorization.as_bytes(), CHALLENGE_KEPT)
                .await;
        }
        self.lock().insert(key, key_authorization.to_owned());
    }

    /// Ends every challenge of this process. Other replicas forget them by themselves.
    pub(super) fn close_all(&self) {
        self.lock().clear();
    }

    /// The key authorization of an open challenge.
    pub(super) async fn answer(
        &self,
        challenge: Challenge<'_>,
        shared: Option<&SharedStorage>,
    ) -> Option<String> {
        let key = challenge.key();
        let own = self.lock().get(&key).cloned();
        match (own, shared) {
            (Some(own), _) => Some(own),
            (None, Some(shared)) => String::from_utf8(shared.load(&key).await?).ok(),
            (None, None) => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without what is in it, which proves the account.
impl fmt::Debug for Challenges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Challenges")
    }
}
