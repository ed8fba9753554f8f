//! Pages of other origins: which may read what the gateway answers, and what they may send (Fetch,
//! section 3.2).
//!
//! Only origins of the site's own list, spelled out one by one, and only what programs are
//! answered: the sign-in form, read by another origin's script, would give its `csrf` token away.

use crate::model::local_response::{LocalResponse, Preflight};
use crate::model::origin::Origin;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;

use super::Verdict;
use super::endpoint::{self, Endpoint};

/// The header names that calls to the gateway's own endpoints may have, beside those that any page
/// may send.
const OWN_HEADERS: &str = "content-type, authorization, vestibule-refresh-token, x-requested-with";
/// Methods that the application behind may take or not.
pub(super) const ANY_METHOD: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// The longest list of header names that is said back.
const MAX_HEADERS: usize = 1024;

/// The listed origin whose page sent the request. The pages of a hosted backend's client read that
/// backend's endpoints and nothing else.
#[must_use]
pub fn reader<'s>(request: &RequestView<'_>, site: &'s Site) -> Option<&'s Origin> {
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

/// Whether pages of listed origins may read `answer`.
#[must_use]
pub fn may_be_read(answer: &LocalResponse) -> bool {
    match answer {
        LocalResponse::Problem(_)
        | LocalResponse::Json(_)
        | LocalResponse::NoContent
        | LocalResponse::Preflight(_) => true,
        LocalResponse::Redirect(_)
        | LocalResponse::AllowedRedirect { .. }
        | LocalResponse::LoginPage(_)
        | LocalResponse::StepPage(_)
        | LocalResponse::LogoutPage
        | LocalResponse::PreservedPost(_)
        | LocalResponse::ActionRequired(_)
        | LocalResponse::Asset(_)
        | LocalResponse::AssertionKeys => false,
    }
}

/// What a listed origin's page may send, where that is what the request asks.
pub(super) fn preflight<'a>(
    request: &RequestView<'a>,
    site: &Site,
    methods: &'static str,
) -> Option<Verdict<'a>> {
    let wanted = request.fetch_metadata.preflight_headers?;
    reader(request, site)?;
    // The application knows which headers it takes; the gateway's own endpoints take these.
    let own = methods != ANY_METHOD
        || wanted.is_empty()
        || wanted.len() > MAX_HEADERS
        || !is_list_of_names(wanted);
    let headers = if own {
        OWN_HEADERS.to_owned()
    } else {
        wanted.to_owned()
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
