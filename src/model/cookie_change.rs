//! The changes that a response makes to the credentials a client holds.

use super::application_cookies::{CookieOwner, CookieScope};
use super::known_device::SealedDevice;
use super::redirect_login::SealedRedirectLogin;
use super::token::IssuedTokens;

/// A change to a client's cookies; for bearer clients, to the tokens that they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieChange {
    /// Sets new tokens, which replace the old ones.
    SetTokens(IssuedTokens),
    /// Clears every credential: after a logout, or where the provider refused them.
    ClearCredentials,
    /// Clears the refresh token. The access token stays until it expires.
    ClearRefresh,
    /// Sets the device cookie, after a login.
    SetDevice(SealedDevice),
    /// Sets the cookie of a login by redirect, which has begun.
    SetRedirectLogin(SealedRedirectLogin),
    /// Clears the cookie of the login by redirect with this id.
    ClearRedirectLogin(String),
    /// Sets the owner cookie: from now on the application's cookies are this user's.
    SetOwner(CookieOwner),
    /// Clears the owner cookie.
    ClearOwner,
    /// Expires cookies of the application, before the application sets any in the same response.
    ExpireApplication(Vec<CookieScope>),
}
