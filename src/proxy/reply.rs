//! Responses of the gateway's own, and [`finish`], which every response passes before it is sent.

use http::{HeaderName, HeaderValue, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr as _, Result};

use crate::decide::cache_fields::directs_caches;
use crate::decide::credential_response_headers::{
    ACCESS_TOKEN, CACHE_CONTROL, CredentialHeaders, REFRESH_TOKEN,
};
use crate::decide::unauthenticated::default_challenge;
use crate::model::api_response::ApiResponse;
use crate::model::hook::HookAnswer;
use crate::model::local_response::{Health, LocalResponse, Problem};
use crate::model::origin::Scheme;
use crate::model::reason::Reason;
use crate::pages;

use super::cors;
use super::forward_auth;
use super::page_response::{self, theme};
use super::problem_json::{PROBLEM_TYPE, problem_document};
use super::rendered_response::RenderedResponse;
use super::request_state::RequestState;

/// The value of `Clear-Site-Data` after a sign-out.
const CLEAR_SITE_DATA: &str = "\"cache\", \"storage\"";

/// Sends a response of the gateway's own. The connection ends with it where the request's body was
/// not read.
pub(super) async fn send(
    session: &mut Session,
    ctx: &mut RequestState,
    response: &LocalResponse,
) -> Result<()> {
    let RenderedResponse { mut head, body } = render(ctx, session.req_header(), response)?;
    cors::allow(ctx, response, &mut head)?;
    finish(ctx, &mut head)?;
    forward_auth::finish(ctx, &mut head)?;
    head.set_version(version_for(session.req_header()));
    ctx.status = head.status.as_u16();
    if ctx.status == 401
        && !head.headers.contains_key(header::WWW_AUTHENTICATE)
        && let Some(site) = ctx.site()
    {
        head.insert_header(header::WWW_AUTHENTICATE, default_challenge(site))?;
    }
    let head_only = session.req_header().method == http::Method::HEAD;
    // A 204 has no length (RFC 9110, section 8.6).
    if ctx.status != 204 {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    if ctx.response.close {
        session.set_keepalive(None);
    }
    let empty = head_only || body.is_empty();
    session.write_response_header(Box::new(head), empty).await?;
    if !empty {
        session.write_response_body(Some(body), true).await?;
    } else if session.req_header().version == Version::HTTP_2 {
        // Pingora does not pass on that the head was all.
        session.write_response_body(None, true).await?;
    }
    Ok(())
}

/// The version of a response's status line: HTTP/1.1, and to a client that knows only HTTP/1.0
/// that.
pub(super) fn version_for(request: &RequestHeader) -> Version {
    if request.version == Version::HTTP_10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    }
}

fn render(
    ctx: &RequestState,
    request: &RequestHeader,
    response: &LocalResponse,
) -> Result<RenderedResponse> {
    // Only problems are answered before the site is known.
    let without_site = || problem(ctx, request, &Problem::new(Reason::Internal));
    match response {
        LocalResponse::Redirect(to) => redirect(
            to.status,
            to.location.as_str(),
            to.clear_site_data.then_some(CLEAR_SITE_DATA),
        ),
        LocalResponse::ProviderRedirect(to) => redirect(
            to.status,
            to.address.as_str(),
            to.clear_site_data.then_some(CLEAR_SITE_DATA),
        ),
        LocalResponse::AllowedRedirect {
            to,
            clear_site_data,
        } => redirect(302, to.as_str(), clear_site_data.then_some(CLEAR_SITE_DATA)),
        LocalResponse::Problem(what) => problem(ctx, request, what),
        LocalResponse::LoginPage(form) => ctx.site().map_or_else(without_site, |site| {
            page_response::login_page(ctx, site, request, form)
        }),
        LocalResponse::PreservedPost(preserved) => {
            page_response::preserved_post_page(ctx, request, preserved)
        }
        LocalResponse::StepPage(form) => ctx.site().map_or_else(without_site, |site| {
            page_response::step_page(ctx, site, request, form)
        }),
        LocalResponse::LogoutPage => ctx.site().map_or_else(without_site, |site| {
            page_response::logout_page(ctx, site, request)
        }),
        LocalResponse::SignedOutPage => ctx.site().map_or_else(without_site, |site| {
            page_response::signed_out_page(ctx, site, request)
        }),
        LocalResponse::Asset(name) => asset(ctx, request, name),
        LocalResponse::AssertionKeys => {
            RenderedResponse::new(200, "application/json", ctx.runtime.assertions.jwks())
        }
        LocalResponse::Json(body) => json(body),
        LocalResponse::AcmeChallenge(answer) => {
            RenderedResponse::new(200, "application/octet-stream", answer.clone())
        }
        LocalResponse::Hook(answer) => hook(ctx, answer),
        LocalResponse::Allowed => forward_auth::render_allowed(ctx, request),
        LocalResponse::HttpsRedirect(location) => https_redirect(location),
        LocalResponse::LinkedPage(link) => redirect(302, link.as_str(), None),
        LocalResponse::PrefetchRefused => RenderedResponse::empty(503),
        LocalResponse::HealthCheck(health) => health_check(*health),
        LocalResponse::NoContent | LocalResponse::Preflight(_) => RenderedResponse::empty(204),
    }
}

fn json(body: &ApiResponse) -> Result<RenderedResponse> {
    let body =
        serde_json::to_vec(body).or_err(ErrorType::InternalError, "a response that is not JSON")?;
    let mut response = RenderedResponse::new(200, "application/json", body)?;
    response
        .head
        .insert_header("x-content-type-options", "nosniff")?;
    Ok(response)
}

fn health_check(health: Health) -> Result<RenderedResponse> {
    let (status, text) = match health {
        Health::Ok => (200, "ok"),
        Health::Stopping => (503, "stopping"),
    };
    RenderedResponse::new(status, "text/plain; charset=utf-8", text)
}

/// The answer to a message of the provider.
fn hook(ctx: &RequestState, answer: &HookAnswer) -> Result<RenderedResponse> {
    let mut response = match answer.body(&ctx.request_id) {
        Some((media_type, body)) => RenderedResponse::new(answer.status, media_type, body)?,
        None => RenderedResponse::empty(answer.status)?,
    };
    let head = &mut response.head;
    if let Some(seconds) = answer.retry_after() {
        head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    if let Some(challenge) = answer.challenge() {
        head.insert_header(header::WWW_AUTHENTICATE, challenge)?;
    }
    Ok(response)
}

fn redirect(
    status: u16,
    location: &str,
    clear_site_data: Option<&'static str>,
) -> Result<RenderedResponse> {
    let mut response = RenderedResponse::empty(status)?;
    response.head.insert_header(header::LOCATION, location)?;
    if let Some(value) = clear_site_data {
        response.head.insert_header("clear-site-data", value)?;
    }
    Ok(response)
}

/// No cache keeps it: behind a proxy that terminates TLS the same address would lead to itself.
fn https_redirect(location: &str) -> Result<RenderedResponse> {
    let mut response = redirect(308, location, None)?;
    response
        .head
        .insert_header(header::CACHE_CONTROL, "no-store")?;
    Ok(response)
}

/// A problem, as a page for a browser that navigates, else as a problem document.
fn problem(
    ctx: &RequestState,
    request: &RequestHeader,
    what: &Problem,
) -> Result<RenderedResponse> {
    let mut response = if ctx.response.is_navigation && !what.for_api_client {
        page_response::problem_page(ctx, request, what)?
    } else {
        let document = problem_document(what, &ctx.request_id);
        RenderedResponse::new(what.status, PROBLEM_TYPE, document)?
    };
    let head = &mut response.head;
    if let Some(seconds) = what.retry_after {
        head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    if let Some(methods) = what.allow {
        head.insert_header(header::ALLOW, methods)?;
    }
    if let Some(address) = &what.sign_in_address {
        head.insert_header(header::LOCATION, &**address)?;
    }
    if let Some(challenge) = &what.www_authenticate {
        head.insert_header(header::WWW_AUTHENTICATE, challenge.as_str())?;
    }
    Ok(response)
}

/// One of the pages' own files; `404` where the theme has none of this name.
fn asset(ctx: &RequestState, request: &RequestHeader, name: &str) -> Result<RenderedResponse> {
    let Some(asset) = theme(ctx).asset(name) else {
        let not_found = Problem::new(Reason::OwnEndpoint).with_status(404);
        return problem(ctx, request, &not_found);
    };
    let mut response = RenderedResponse::new(200, asset.content_type, asset.body.clone())?;
    let head = &mut response.head;
    head.insert_header(header::CACHE_CONTROL, pages::assets::CACHE_CONTROL)?;
    head.insert_header("x-content-type-options", "nosniff")?;
    if let Some(policy) = asset.policy {
        head.insert_header(header::CONTENT_SECURITY_POLICY, policy)?;
    }
    Ok(response)
}

/// Completes the head of a response. Every response passes here before it is sent: the gateway's
/// own, the application's, and the error page after a refresh, whose new cookies must not get lost.
/// Adds the client's new credentials, and keeps caches away from them.
pub(super) fn finish(ctx: &RequestState, head: &mut ResponseHeader) -> Result<()> {
    if !ctx.response.is_forwarded {
        head.insert_header("x-request-id", ctx.request_id.as_str())?;
    }
    let Some(site) = ctx.site() else {
        return Ok(());
    };
    if let Some(policy) = &site.https.hsts
        && ctx.client.arrival.scheme != Some(Scheme::Http)
    {
        // Over plain HTTP it must not be sent (RFC 6797, section 7.2).
        head.insert_header(header::STRICT_TRANSPORT_SECURITY, policy)?;
    }
    if site.bearer && ctx.response.is_forwarded {
        // A client would take an application's fields of these names for the gateway's.
        for name in [ACCESS_TOKEN, REFRESH_TOKEN] {
            head.remove_header(&name);
        }
    }
    if ctx.response.cookie_changes.is_empty() {
        return Ok(());
    }
    let credentials = CredentialHeaders::new(
        site,
        &ctx.response.cookie_changes,
        &ctx.response.presented_cookies,
    )
    .map_err(|_| {
        Error::explain(
            ErrorType::InternalError,
            "a credential that is no header value",
        )
    })?;
    // A browser takes them in their order: what the application sets anew stays.
    if !credentials.expired_cookies.is_empty() {
        let fields = head.headers.get_all(header::SET_COOKIE).iter();
        let of_application: Vec<HeaderValue> = fields.cloned().collect();
        head.remove_header(&header::SET_COOKIE);
        for line in credentials
            .expired_cookies
            .into_iter()
            .chain(of_application)
        {
            head.append_header(header::SET_COOKIE, line)?;
        }
    }
    for line in credentials.set_cookies {
        head.append_header(header::SET_COOKIE, line)?;
    }
    if let Some(token) = credentials.access_token {
        head.insert_header(ACCESS_TOKEN, token)?;
    }
    if let Some(token) = credentials.refresh_token {
        head.insert_header(REFRESH_TOKEN, token)?;
    }
    keep_from_caches(head)
}

/// Marks a response that carries credentials, so that no cache gives one visitor's to another.
fn keep_from_caches(head: &mut ResponseHeader) -> Result<()> {
    let directing: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| directs_caches(name))
        .cloned()
        .collect();
    for name in &directing {
        head.remove_header(name);
    }
    head.insert_header(header::CACHE_CONTROL, CACHE_CONTROL)
}
