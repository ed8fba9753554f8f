//! Prefetches: a browser fetches a page before anybody asks for it, because the pointer rests on a
//! link, or because the application lists it in speculation rules. Nobody may ever see the page, so
//! a prefetch is looked at only.
//!
//! * It counts for nothing (`redirect_loop`), ends nothing (`logout`,
//!   `fusionauth_hosted_backend`) and preserves no post (`preserved_post`).
//! * It sets no cookie but those of a refresh, whose old refresh token may be spent.
//! * A form that would come with a new form cookie is refused with `503`. Browsers take what they
//!   prefetched for the page itself, and a form without its cookie can only fail. After a `503`
//!   they fetch the page when somebody asks for it.
//! * So is a page before which another user's cookies of the application would have to be expired.
//! * A write at one of the gateway's own endpoints is refused likewise. No browser prefetches with
//!   `POST`, but a prerendered page may send one.

use crate::model::cookie_change::CookieChange;
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::request::RequestView;

use super::endpoint::{ApiEndpoint, Endpoint};
use super::verdict::{Decision, Outcome, Verdict};

/// Refuses a prefetch that writes at `endpoint`. A refresh is no such write.
pub(super) fn refuse_write<'a>(
    endpoint: &Endpoint,
    request: &RequestView<'a>,
) -> Option<Verdict<'a>> {
    let is_refresh = matches!(
        endpoint,
        Endpoint::Api(ApiEndpoint::Refresh) | Endpoint::Hosted(_)
    );
    // A code can be used once.
    let writes = request.is_unsafe() || *endpoint == Endpoint::Callback;
    (request.is_prefetch() && writes && !is_refresh).then(refused)
}

/// Takes from the decision about a prefetch what it must not do.
pub(super) fn limit<'a>(decision: Decision<'a>, request: &RequestView<'a>) -> Decision<'a> {
    let Decision::Settled(mut verdict) = decision else {
        return decision;
    };
    let would_expire = |change: &CookieChange| matches!(change, CookieChange::ExpireApplication(_));
    let is_foreign = verdict.cookies.iter().any(would_expire);
    verdict
        .cookies
        .retain(|change| matches!(change, CookieChange::SetTokens(_)));
    let is_form = matches!(
        verdict.outcome,
        Outcome::Reply(LocalResponse::LoginPage(_) | LocalResponse::StepPage(_))
    );
    // Without its cookie the login that it begins can only fail.
    let is_login = matches!(
        verdict.outcome,
        Outcome::Reply(LocalResponse::ProviderRedirect(_))
    );
    if is_login || is_foreign || (is_form && request.cookies.form.value().is_none()) {
        return Decision::Settled(refused().with_cookies(verdict.cookies));
    }
    Decision::Settled(verdict)
}

fn refused<'a>() -> Verdict<'a> {
    Verdict::reply(LocalResponse::PrefetchRefused, Reason::OwnEndpoint)
}
