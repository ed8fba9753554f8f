//! How a client presents its credentials.

use super::secret::Secret;

/// How the clients of a site present their credentials
/// (`docs/reference/request-handling.md#credentials`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The JWT itself and the sealed refresh token, in cookies.
    Jwt,
    /// The id of a server-side session that holds the JWT, and the sealed refresh token, in
    /// cookies.
    Session,
    /// The JWT and the sealed refresh token in headers, for clients that are not browsers.
    Bearer,
}

impl CredentialKind {
    /// The word of the configuration, which is also part of a seal's purpose.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Session => "session",
            Self::Bearer => "bearer",
        }
    }
}

/// The credentials of one login, as a client presents them. `Debug` prints the kind alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedCredential<'a> {
    /// How they were presented.
    pub kind: CredentialKind,
    /// The access token, or the session id.
    pub token: Option<&'a str>,
    /// The sealed refresh token.
    pub refresh: Option<&'a str>,
}

/// A refresh token to be used. `Debug` prints the kind alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshRequest<'a> {
    /// How it was presented, which is also how the new tokens are delivered.
    pub kind: CredentialKind,
    /// The sealed refresh token.
    pub refresh: &'a str,
    /// The id of the session that a new one replaces, for [`CredentialKind::Session`].
    pub session_id: Option<&'a str>,
}

impl<'a> PresentedCredential<'a> {
    /// The credentials of a client that is not a browser and posts its refresh token in a body.
    #[must_use]
    pub fn from_body(access: Option<&'a str>, refresh: &'a Secret) -> Self {
        Self {
            kind: CredentialKind::Bearer,
            token: access,
            refresh: Some(refresh.expose()),
        }
    }
}

impl<'a> RefreshRequest<'a> {
    /// The refresh token that a client which is not a browser posts in a body.
    #[must_use]
    pub fn from_body(refresh: &'a Secret) -> Self {
        Self {
            kind: CredentialKind::Bearer,
            refresh: refresh.expose(),
            session_id: None,
        }
    }
}

impl std::fmt::Debug for PresentedCredential<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PresentedCredential({})", self.kind.as_str())
    }
}

impl std::fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "RefreshRequest({})", self.kind.as_str())
    }
}
