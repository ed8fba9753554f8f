//! Which credentials of a request count (`docs/reference/request-handling.md#credentials`).
//!
//! * A site that takes bearer tokens looks at the headers first: if either token header is present,
//!   cookies are ignored. A client that sends headers is not a browser, and cookies beside them
//!   belong to nobody in particular. A bearer token that has not the form of a JWT is no token
//!   header (see [`BearerTokens`](crate::model::request::BearerTokens)): it is the application's,
//!   and the cookies beside it count.
//! * Otherwise the cookies of the site's own credential kind count: session id or JWT, and the
//!   sealed refresh token.
//! * A cookie that occurs twice counts as none: nothing tells which of the two is the user's.

use crate::model::cookie_change::CookieChange;
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::request::RequestView;
use crate::model::request_cookies::PresentedCookie;
use crate::model::site::Site;

/// The credentials of a request that count.
#[derive(Clone, Copy)]
pub(super) struct RequestCredentials<'a> {
    /// How they were presented.
    pub(super) kind: CredentialKind,
    /// The access token, or the session id.
    pub(super) token: Option<&'a str>,
    /// The sealed refresh token.
    pub(super) refresh: Option<&'a str>,
    /// Whether the cookie of `token` occurred more than once, so that `token` is `None`.
    pub(super) is_duplicate: bool,
    /// Whether any credential was presented, usable or not.
    pub(super) any_presented: bool,
}

impl<'a> RequestCredentials<'a> {
    /// The credentials that count at `site`.
    pub(super) fn of(request: &RequestView<'a>, site: &Site) -> Self {
        let (cookies, bearer) = (request.cookies, request.bearer);
        if site.bearer && (bearer.access.is_some() || bearer.refresh.is_some()) {
            return Self {
                kind: CredentialKind::Bearer,
                token: bearer.access,
                refresh: bearer.refresh,
                is_duplicate: false,
                any_presented: true,
            };
        }
        let token = match site.credential {
            CredentialKind::Session => &cookies.session,
            CredentialKind::Jwt | CredentialKind::Bearer => &cookies.access,
        };
        Self {
            kind: site.credential,
            token: token.value(),
            refresh: cookies.refresh.value(),
            is_duplicate: *token == PresentedCookie::Duplicate,
            any_presented: cookies.has_credential(),
        }
    }

    /// The refresh that these credentials allow; `None` without a refresh token.
    pub(super) fn refresh_request(&self) -> Option<RefreshRequest<'a>> {
        self.refresh.map(|refresh| RefreshRequest {
            kind: self.kind,
            refresh,
            session_id: self.token.filter(|_| self.kind == CredentialKind::Session),
        })
    }

    /// The credential that a logout ends; `None` where there is neither a token nor a refresh
    /// token.
    pub(super) fn presented(&self) -> Option<PresentedCredential<'a>> {
        (self.token.is_some() || self.refresh.is_some()).then_some(PresentedCredential {
            kind: self.kind,
            token: self.token,
            refresh: self.refresh,
        })
    }

    /// The changes that remove these credentials from the client: its cookies are cleared where it
    /// sent any. Tokens in headers are the client's own to forget.
    pub(super) fn cleared(&self) -> Vec<CookieChange> {
        let in_cookies = self.any_presented && self.kind != CredentialKind::Bearer;
        in_cookies
            .then_some(CookieChange::ClearCredentials)
            .into_iter()
            .collect()
    }
}
