//! The clients of sign-in by redirect, and what else an operator decides about it.

use std::sync::Arc;

use crate::config::settings::Rate;
use crate::embedded::ids;
use crate::model::secret::Secret;

/// The settings of sign-in by redirect.
#[derive(Clone, Debug)]
pub struct OpenIdSettings {
    /// The origin where browsers reach the server, without a slash at its end. It is also the
    /// issuer.
    pub url: String,
    /// The clients; no two have the same id.
    pub clients: Vec<Arc<RegisteredClient>>,
    /// Attempts to sign in, for one account.
    pub account_limit: Rate,
    /// Attempts to sign in, for one client address.
    pub address_limit: Rate,
}

/// A client of sign-in by redirect.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// The `client_id`. It is the application's id: users are registered and have roles there.
    pub id: String,
    /// The `client_secret`. It has 256 random bits or is as hard to guess.
    pub secret: Secret,
    /// Where codes may be sent, compared as text (RFC 9700, section 2.1).
    pub redirect_uris: Vec<String>,
    /// Where browsers may be sent after a logout, compared as text.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where logout tokens are posted.
    pub backchannel_logout_uri: Option<String>,
}

impl OpenIdSettings {
    /// The client with this id.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<&Arc<RegisteredClient>> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Whether browsers reach the server over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.starts_with("https:")
    }
}

impl RegisteredClient {
    /// Whether `secret` is the client's. Comparing hashes takes a time that tells nothing about it.
    #[must_use]
    pub fn has_secret(&self, secret: &str) -> bool {
        ids::sha256(secret) == ids::sha256(self.secret.expose())
    }
}
