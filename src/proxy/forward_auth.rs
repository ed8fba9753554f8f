//! The requests of a proxy that forwards to the application itself, and asks about each request
//! first (`decide::forward_auth`).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::decide::client_address::is_trusted;
use crate::decide::forward_auth::{self, AuthRequest, DeniedResponse};
use crate::decide::rejection::Rejection;
use crate::decide::request_validation::validate_host;
use crate::model::local_response::LocalResponse;
use crate::model::origin::Host;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::runtime::SiteRuntime;

use super::asked_request::ForwardAuth;
use super::rendered_response::RenderedResponse;
use super::request_head::RequestHead;
use super::request_state::RequestState;
use super::upstream;

/// The fields that repeat `Set-Cookie` one by one: nginx can copy a field of this response by its
/// name, and of several fields of one name only the first.
const SET_COOKIE_COPIES: [HeaderName; 8] = [
    HeaderName::from_static("vestibule-set-cookie-1"),
    HeaderName::from_static("vestibule-set-cookie-2"),
    HeaderName::from_static("vestibule-set-cookie-3"),
    HeaderName::from_static("vestibule-set-cookie-4"),
    HeaderName::from_static("vestibule-set-cookie-5"),
    HeaderName::from_static("vestibule-set-cookie-6"),
    HeaderName::from_static("vestibule-set-cookie-7"),
    HeaderName::from_static("vestibule-set-cookie-8"),
];

/// Takes the client's request out of a proxy's question. A request that is no question, or not from
/// a trusted proxy, or about a site without `forward_auth`, stays as it is: like every other
/// unknown path beneath `/_vestibule/`, it is not found.
///
/// # Errors
/// Where the proxy does not tell one request.
pub(super) fn read_original(
    request: &RequestHeader,
    ctx: &mut RequestState,
    head: &mut RequestHead,
) -> std::result::Result<(), Rejection> {
    let question = AuthRequest {
        method: &head.method,
        target: &head.target,
        fields: &request.headers,
    };
    if !question.is_for_endpoint() || !may_ask(ctx) {
        return Ok(());
    }
    let asked_at = validate_host(head.host())?;
    let own = ctx.runtime.site_for(&asked_at).cloned();
    if own.as_ref().is_some_and(|site| !site.site.forward_auth) {
        return Ok(());
    }
    let denied = question.denied_response();
    let original = question.original();
    let is_told = |site: &Arc<SiteRuntime>| own.as_ref().is_none_or(|own| Arc::ptr_eq(own, site));
    let told = original.and_then(|original| {
        let host = original.host.clone().unwrap_or_else(|| asked_at.clone());
        let site = ctx.runtime.site_for(&host);
        // A proxy that asks under the site's own host says which one it is. Another one beside it
        // was said by the client.
        if own.is_some() && !site.is_some_and(is_told) {
            return Err(Rejection::MALFORMED);
        }
        Ok((original, host, site.cloned()))
    });
    let (original, host, site) = match told {
        Ok((original, host, Some(site))) if site.site.forward_auth => (original, host, site),
        Ok(_) => return Ok(()),
        Err(rejection) => {
            ctx.forward_auth = Some(Box::new(ForwardAuth {
                denied,
                base: None,
                original: None,
            }));
            return Err(rejection);
        }
    };
    let scheme = site.site.origin.scheme.as_str();
    ctx.forward_auth = Some(Box::new(ForwardAuth {
        denied,
        base: own.is_none().then(|| format!("{scheme}://{host}")),
        original: Some((original.method.clone(), original.target.clone())),
    }));
    head.become_original(original, host_field(&host)?, &request.headers);
    Ok(())
}

fn host_field(host: &Host) -> std::result::Result<HeaderValue, Rejection> {
    HeaderValue::try_from(host.to_string()).map_err(|_| Rejection::MALFORMED)
}

/// Whether the peer of the connection is a proxy whose word counts, and any site listens to it.
fn may_ask(ctx: &RequestState) -> bool {
    let proxies = &ctx.runtime.settings().server.trusted_proxies;
    let mut sites = ctx.runtime.sites().iter();
    sites.any(|site_runtime| site_runtime.site.forward_auth)
        && is_trusted(ctx.connection.peer.address, proxies)
}

/// Refuses a request for one of the gateway's own endpoints.
pub(super) fn refuse_own_endpoint(ctx: &mut RequestState) -> LocalResponse {
    tracing::warn!(
        request_id = ctx.request_id,
        site = ctx.site().map(|site| site.name.as_str()),
        "a proxy asks about a path of the gateway's own; it has to send such requests here"
    );
    ctx.outcome = OutcomeLabel::Refused;
    ctx.reason = Reason::OwnEndpoint;
    LocalResponse::Problem(forward_auth::own_endpoint())
}

/// The answer in the form that the proxy understands, where a proxy asked.
pub(super) fn respond(ctx: &RequestState, answer: LocalResponse) -> LocalResponse {
    match &ctx.forward_auth {
        Some(asked) => forward_auth::respond(answer, asked.denied),
        None => answer,
    }
}

/// The response that permits a request.
pub(super) fn render_allowed(
    ctx: &RequestState,
    request: &RequestHeader,
) -> Result<RenderedResponse> {
    let mut response = RenderedResponse::empty(200)?;
    let headers = upstream::headers_for(ctx, request.version)?;
    for (name, value) in &forward_auth::allowed_fields(headers, &request.headers) {
        response.head.insert_header(name, value)?;
    }
    Ok(response)
}

/// Completes the head of a response for the proxy that asked.
pub(super) fn finish(ctx: &RequestState, head: &mut ResponseHeader) -> Result<()> {
    let Some(asked) = &ctx.forward_auth else {
        return Ok(());
    };
    if let Some(base) = &asked.base
        && let Some(location) = head
            .headers
            .get(header::LOCATION)
            .map(HeaderValue::as_bytes)
        && location.starts_with(b"/")
    {
        let absolute = [base.as_bytes(), location].concat();
        head.insert_header(header::LOCATION, absolute.as_slice())?;
    }
    if asked.denied == DeniedResponse::StatusOnly {
        let cookies = new_cookies_first(&head.headers);
        for (name, value) in SET_COOKIE_COPIES.into_iter().zip(cookies) {
            head.insert_header(name, value)?;
        }
    }
    Ok(())
}

/// The `Set-Cookie` fields, those that set something before those that expire something.
fn new_cookies_first(fields: &HeaderMap) -> Vec<HeaderValue> {
    let lines = fields.get_all(header::SET_COOKIE).iter().cloned();
    let (expired, mut cookies): (Vec<_>, Vec<_>) =
        lines.partition(|line| memchr::memmem::find(line.as_bytes(), b"Max-Age=0").is_some());
    cookies.extend(expired);
    cookies
}
