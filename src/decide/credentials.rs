//! Which of the things a request carries counts as its proof
//! (`docs/reference/request-handling.md#credentials`).

use crate::model::cookie::Presented;
use crate::model::credential::CredentialKind;
use crate::model::request::RequestView;
use crate::model::site::Site;

/// What a request carries to prove who sends it.
#[derive(Clone, Copy)]
pub(super) struct RequestCredentials<'a> {
    pub(super) kind: CredentialKind,
    /// The access token or the session id.
    pub(super) main: Option<&'a str>,
    /// The sealed refresh token.
    pub(super) refresh: Option<&'a str>,
    /// The main one was there twice: nobody can say which is the visitor's.
    pub(super) ambiguous: bool,
    /// Whether any of it arrived, usable or not.
    pub(super) any: bool,
}

/// Headers before cookies, and only where the site takes them; of cookies those of the site's kind.
pub(super) fn of<'a>(request: &RequestView<'a>, site: &Site) -> RequestCredentials<'a> {
    let (cookies, bearer) = (request.cookies, request.bearer);
    if site.bearer && (bearer.access.is_some() || bearer.refresh.is_some()) {
        return RequestCredentials {
            kind: CredentialKind::Bearer,
            main: bearer.access,
            refresh: bearer.refresh,
            ambiguous: false,
            any: true,
        };
    }
    let main = match site.credential {
        CredentialKind::Session => &cookies.session,
        CredentialKind::Jwt | CredentialKind::Bearer => &cookies.access,
    };
    RequestCredentials {
        kind: site.credential,
        main: main.value(),
        refresh: cookies.refresh.value(),
        ambiguous: *main == Presented::Duplicate,
        any: cookies.any_credential(),
    }
}
