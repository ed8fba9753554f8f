//! What is answered before anybody asks for access: health checks, an ACME server, redirects to
//! https, and the gateway's own files where no site has the host.

use std::sync::Arc;

use http::Method;

use crate::decide::rejection::Rejection;
use crate::decide::{endpoint, https_redirect};
use crate::model::local_response::{Health, LocalResponse, Problem};
use crate::model::origin::{Host, Scheme};
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::model::site::Site;
use crate::model::target::Target;
use crate::pages;

use super::forward_auth;
use super::request_head::RequestHead;
use super::request_state::RequestState;

/// Answers a health check, whatever host it names: load balancers ask by address.
pub(super) fn health_check(ctx: &mut RequestState, head: &RequestHead) -> Option<LocalResponse> {
    if !endpoint::is_health_check(&head.target) {
        return None;
    }
    if !is_read(&head.method) {
        ctx.outcome = OutcomeLabel::Refused;
        ctx.reason = Reason::MethodNotAllowed;
        let mut problem = Problem::new(Reason::MethodNotAllowed);
        problem.allow = Some("GET, HEAD");
        return Some(LocalResponse::Problem(problem));
    }
    ctx.is_health_check = true;
    ctx.trace = None;
    let health = if ctx.runtime.is_stopping() {
        Health::Stopping
    } else {
        Health::Ok
    };
    Some(LocalResponse::HealthCheck(health))
}

/// Answers the ACME server, which asks over plain HTTP at whatever host it validates. A token that
/// is not the gateway's may be the application's own.
pub(super) async fn acme_challenge(
    ctx: &mut RequestState,
    head: &RequestHead,
) -> Option<LocalResponse> {
    let is_plain = ctx.connection.transport.scheme() == Scheme::Http;
    let token = endpoint::acme_token(&head.target).filter(|_| is_plain && is_read(&head.method))?;
    let answer = ctx.runtime.tls.acme.answer_http(token).await?;
    ctx.outcome = OutcomeLabel::Answered;
    ctx.reason = Reason::OwnEndpoint;
    Some(LocalResponse::AcmeChallenge(answer))
}

/// The redirect of a request that came in the clear. A question of a proxy is not redirected: the
/// proxy is told that a path of the gateway's own is none that it may ask about.
pub(super) fn before_rules(
    ctx: &mut RequestState,
    site: &Site,
    head: &RequestHead,
    target: &Target<'_>,
) -> Option<LocalResponse> {
    if ctx.forward_auth.is_none() {
        return redirect_to_https(ctx, site, head);
    }
    let is_own = endpoint::find(site, target).is_some();
    is_own.then(|| forward_auth::refuse_own_endpoint(ctx))
}

/// The redirect of a request that came in the clear.
fn redirect_to_https(
    ctx: &mut RequestState,
    site: &Site,
    head: &RequestHead,
) -> Option<LocalResponse> {
    let arrival = ctx.client.arrival;
    if arrival.scheme != Some(Scheme::Http) {
        return None;
    }
    let host = Host::parse(head.host()?.to_str().ok()?)?;
    let location = https_redirect::location(arrival, site, &host.name, &head.target)?;
    ctx.outcome = OutcomeLabel::Redirected;
    ctx.reason = Reason::OwnEndpoint;
    Some(LocalResponse::HttpsRedirect(location))
}

/// The redirect of a request that came in the clear, and names the port of the plain listener: that
/// host is no site's.
pub(super) fn redirect_by_name(
    ctx: &mut RequestState,
    head: &RequestHead,
    rejection: Rejection,
) -> Option<LocalResponse> {
    // The target of a request that is refused for its host alone is well-formed.
    if rejection.reason != Reason::UnknownSite {
        return None;
    }
    let runtime = Arc::clone(&ctx.runtime);
    runtime.sites().iter().find_map(|site_runtime| {
        let redirect = redirect_to_https(ctx, &site_runtime.site, head)?;
        ctx.site_runtime = Some(Arc::clone(site_runtime));
        Some(redirect)
    })
}

/// A file of the pages where no site has the requested host: the page that says so looks like the
/// others.
pub(super) fn asset_without_site(
    ctx: &mut RequestState,
    head: &RequestHead,
) -> Option<LocalResponse> {
    let name = endpoint::asset_name(&head.target).filter(|_| is_read(&head.method))?;
    pages::assets::asset(name)?;
    ctx.outcome = OutcomeLabel::Answered;
    ctx.reason = Reason::OwnEndpoint;
    Some(LocalResponse::Asset(name.to_owned()))
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
