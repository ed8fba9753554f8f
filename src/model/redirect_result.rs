//! How logins by redirect begin and end, as the proxy is told.

use std::fmt;
use std::sync::Arc;

use super::reason::Reason;
use super::redirect_login::SealedRedirectLogin;
use super::return_path::ReturnPath;
use super::token::CompletedLogin;

/// An address at the identity provider that a browser is sent to: an absolute URL in ASCII, without
/// blanks and control characters. `Debug` prints no query, which may hold a `state` or an ID token.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderAddress(String);

impl From<url::Url> for ProviderAddress {
    /// A parsed URL is written in ASCII, with every other character escaped.
    fn from(url: url::Url) -> Self {
        Self(url.into())
    }
}

impl ProviderAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProviderAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0.split('?').next().unwrap_or_default();
        out.debug_tuple("ProviderAddress").field(&address).finish()
    }
}

/// A login that has begun: where the browser is sent, and the cookies that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunRedirect {
    /// The authorization request.
    pub address: ProviderAddress,
    /// The cookie of the login.
    pub cookie: SealedRedirectLogin,
    /// The ids of earlier logins of this browser that are given up.
    pub given_up: Vec<String>,
}

/// A login by redirect that succeeded.
#[derive(Clone, Debug)]
pub struct FinishedRedirect {
    /// The tokens and the user.
    pub login: CompletedLogin,
    /// Where to go now.
    pub return_to: Option<ReturnPath>,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// A login by redirect that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRedirect {
    /// Why.
    pub cause: RedirectRefusal,
    /// Where the user wanted to go, where that is known.
    pub return_to: Option<ReturnPath>,
}

/// A login by redirect that could not be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRedirect {
    /// What failed, or `throttled`.
    pub reason: Reason,
    /// Seconds until another attempt makes sense, with `throttled`.
    pub retry_after: Option<u32>,
    /// Where the user wanted to go.
    pub return_to: Option<ReturnPath>,
}

/// Why a login by redirect did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// The browser has no such login under way, or it has expired.
    Unknown,
    /// The response has come before: the code is used.
    Used,
    /// The provider said no, or another provider answered.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_no_query() {
        let url = url::Url::parse("https://id/auth?state=leaky").unwrap();
        let printed = format!("{:?}", ProviderAddress::from(url));
        assert!(printed.contains("https://id/auth"), "{printed}");
        assert!(!printed.contains("leaky"), "{printed}");
    }
}
