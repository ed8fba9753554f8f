//! CORS: which pages of other origins may call, and which responses they may read (Fetch, section
//! 3.2).
//!
//! * Only the origins that the site lists one by one may, and the pages of the hosted backend's
//!   client for that backend's endpoints alone. There is no wildcard.
//! * They read only what API clients get. The login form stays unreadable: its CSRF token would
//!   let their scripts post it.
//! * The gateway answers preflights for its own JSON endpoints and for pages that require a login.
//!   A preflight carries no credentials, so one for such a page would never reach the application.

use crate::model::local_response::{LocalResponse, Preflight};
use crate::model::origin::Origin;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;

use super::endpoint::{self, Endpoint};
use super::verdict::Verdict;

/// The request header names that the gateway's own endpoints take, beside those that need no
/// preflight.
const OWN_HEADERS: &str = "content-type, authorization, vestibule-refresh-token, x-requested-with";
/// The methods that a preflight for a page of the application is granted: whether the application
/// takes them is for the application to say.
pub(super) const ANY_METHOD: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// The longest list of header names that is granted as requested, in bytes.
const MAX_HEADERS: usize = 1024;

/// The origin of the page that sent the request, where its pages may read the response.
#[must_use]
pub fn reader<'s>(request: &RequestView<'_>, site: &'s Site) -> Option<&'s Origin> {
    // Most sites list no origin: those parse none.
    let lists_any = !site.allowed_origins.is_empty() || site.hosted_backend.is_some();
    let origin = Origin::parse(request.fetch_metadata.origin.filter(|_| lists_any)?)?;
    let listed = site
        .allowed_origins
        .iter()
        .find(|listed| **listed == origin);
    listed.or_else(|| {
        let of_the_client = site
            .hosted_backend
            .as_ref()?
            .origins()
            .find(|listed| **listed == origin)?;
        matches!(endpoint::find(site, request.target)?, Endpoint::Hosted(_))
            .then_some(of_the_client)
    })
}

/// Whether pages of listed origins may read `response`.
#[must_use]
pub fn may_be_read(response: &LocalResponse) -> bool {
    match response {
        LocalResponse::Problem(_)
        | LocalResponse::Json(_)
        | LocalResponse::NoContent
        | LocalResponse::Preflight(_) => true,
        LocalResponse::Redirect(_)
        | LocalResponse::ProviderRedirect(_)
        | LocalResponse::AllowedRedirect { .. }
        | LocalResponse::LoginPage(_)
        | LocalResponse::StepPage(_)
        | LocalResponse::LogoutPage
        | LocalResponse::SignedOutPage
        | LocalResponse::LinkedPage(_)
        | LocalResponse::HttpsRedirect(_)
        | LocalResponse::AcmeChallenge(_)
        | LocalResponse::Allowed
        | LocalResponse::HealthCheck(_)
        | LocalResponse::PrefetchRefused
        | LocalResponse::Hook(_)
        | LocalResponse::PreservedPost(_)
        | LocalResponse::Asset(_)
        | LocalResponse::AssertionKeys => false,
    }
}

/// The answer to a preflight of a listed origin; `None` for every other request. `methods` are the
/// methods to grant.
pub(super) fn preflight<'a>(
    request: &RequestView<'a>,
    site: &Site,
    methods: &'static str,
) -> Option<Verdict<'a>> {
    let requested = request.fetch_metadata.preflight_headers?;
    reader(request, site)?;
    // Which headers the application takes is for it to say: the requested ones are granted. The
    // gateway's own endpoints take a fixed list.
    let is_own_list = methods != ANY_METHOD
        || requested.is_empty()
        || requested.len() > MAX_HEADERS
        || !is_list_of_names(requested);
    let headers = if is_own_list {
        OWN_HEADERS.to_owned()
    } else {
        requested.to_owned()
    };
    Some(Verdict::reply(
        LocalResponse::Preflight(Preflight { methods, headers }),
        Reason::OwnEndpoint,
    ))
}

fn is_list_of_names(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b',' | b' '))
}
