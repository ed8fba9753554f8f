//! Which of the things a request carries counts as its proof
//! (`docs/reference/request-handling.md#credentials`).

use crate::model::cookie::PresentedCookie;
use crate::model::credential::CredentialKind;
use crate::model::request::RequestView;
use crate::model::site::Site;

/// What a request carries to prove who sends it.
#[derive(Clone, Copy)]
pub(super) struct RequestCredentials<'a> {
    pub(super) kind: CredentialKind,
    /// The access token or the session id.
    pub(super) token: Option<&'a str>,
    /// The sealed refresh token.
    pub(super) refresh: Option<&'a str>,
    /// The main one was there twice: nobody can say which is the visitor's.
    pub(super) is_duplicate: bool,
    /// Whether any of it arrived, usable or not.
    pub(super) any_presented: bool,
}

/// Headers before cookies, and only where the site takes them; of cookies those of the site's kind.
pub(super) fn of<'a>(request: &RequestView<'a>, site: &Site) -> RequestCredentials<'a> {
    let (cookies, bearer) = (request.cookies, request.bearer);
    if site.bearer && (bearer.access.is_some() || bearer.refresh.is_some()) {
        return RequestCredentials {
            kind: CredentialKind::Bearer,
            token: bearer.access,
            refresh: bearer.refresh,
            is_duplicate: false,
            any_presented: true,
        };
    }
    let main = match site.credential {
        CredentialKind::Session => &cookies.session,
        CredentialKind::Jwt | CredentialKind::Bearer => &cookies.access,
    };
    RequestCredentials {
        kind: site.credential,
        token: main.value(),
        refresh: cookies.refresh.value(),
        is_duplicate: *main == PresentedCookie::Duplicate,
        any_presented: cookies.has_credential(),
    }
}
