//! The body of a call to a JSON endpoint: from whom it may come, and where its tokens may go.
//!
//! * A call from a page of this site, of a listed origin, or from no browser at all is read. One
//!   from any other page is refused before its body is read.
//! * Tokens are returned in a body only where the site allows it (`bearer = true`), and never to a
//!   browser: a script that was injected into a page could read them.

use crate::model::api_request::ApiRequestBody;
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::site::Site;

use super::facts::{Facts, Known, Question};
use super::verdict::{Decision, Verdict};

/// Why a call ends before its own question is asked.
pub(super) enum ApiError {
    /// The body must be read first.
    BodyNotRead,
    /// The call is refused.
    Refused(Reason),
    /// The gateway, the provider or the store failed.
    Unavailable(Reason),
}

impl From<ApiError> for Decision<'_> {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::BodyNotRead => Self::Needs(Question::ReadBody),
            ApiError::Refused(reason) => Self::Settled(Verdict::problem(reason)),
            ApiError::Unavailable(reason) => Self::Settled(Verdict::unavailable(reason)),
        }
    }
}

/// The body of the call.
///
/// # Errors
/// [`ApiError`] where it has not been read, or may not or cannot be.
pub(super) fn request_body<'f>(
    request: &RequestView<'_>,
    site: &Site,
    facts: &'f Facts,
) -> Result<&'f ApiRequestBody, ApiError> {
    if request.provenance(site) == Provenance::CrossOrigin {
        return Err(ApiError::Refused(Reason::CrossSiteRequest));
    }
    match &facts.body {
        Known::NotAsked => Err(ApiError::BodyNotRead),
        Known::Found(body) => Ok(body),
        Known::Absent(reason) => Err(ApiError::Refused(*reason)),
        Known::Failed(reason) => Err(ApiError::Unavailable(*reason)),
    }
}

/// The credential kind of a client that gets its tokens in the body: [`CredentialKind::Bearer`].
///
/// # Errors
/// `bearer_not_enabled` where the site returns no tokens in bodies, `browser_tokens_refused` for a
/// browser.
pub(super) fn bearer_kind(
    request: &RequestView<'_>,
    site: &Site,
) -> Result<CredentialKind, ApiError> {
    if !site.bearer {
        return Err(ApiError::Refused(Reason::BearerNotEnabled));
    }
    if request.fetch_metadata.is_browser {
        return Err(ApiError::Refused(Reason::BrowserTokensRefused));
    }
    Ok(CredentialKind::Bearer)
}
