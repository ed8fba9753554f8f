//! Answers as bytes, and the one door through which every response leaves.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{OrErr, Result};

use crate::model::api_response::ApiResponse;
use crate::model::cookie::{self, CookieKind, CookieNames, Lifetime};
use crate::model::credential::CredentialKind;
use crate::model::device::DEVICE_AGE;
use crate::model::local_response::{CookieChange, LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::model::site::Site;
use crate::model::token::IssuedTokens;
use crate::pages;

use super::context::ProxyContext;
use super::cors;
use super::page;
use super::problem_json::{PROBLEM_TYPE, problem_document};

/// Sends an answer of the gateway's own. What the request body still holds is read and thrown away
/// by Pingora, or the connection ends with the answer.
pub(super) async fn send(
    session: &mut Session,
    ctx: &mut ProxyContext,
    answer: &LocalResponse,
) -> Result<()> {
    let mut ready = compose(ctx, session.req_header(), answer)?;
    cors::allow(ctx, answer, &mut ready.head)?;
    finish(ctx, &mut ready.head)?;
    ctx.status = ready.head.status.as_u16();
    let head_only = session.req_header().method == http::Method::HEAD;
    // A 204 has no length (RFC 9110, section 8.6).
    if ctx.status != 204 {
        ready
            .head
            .insert_header(header::CONTENT_LENGTH, ready.body.len())?;
    }
    if ctx.response.close {
        session.set_keepalive(None);
    }
    let empty = head_only || ready.body.is_empty();
    session
        .write_response_header(Box::new(ready.head), empty)
        .await?;
    if !empty {
        session.write_response_body(Some(ready.body), true).await?;
    }
    if ctx.status == 413 {
        linger(session).await;
    }
    Ok(())
}

/// The most of a refused body that is read, in bytes.
const LINGER: usize = 16 * 1024 * 1024;
/// For how long, all in all, and for how long nothing may come.
const LINGER_FOR: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(500));

/// Reads on for a while and throws away: a client that sends its whole body before it looks for an
/// answer would else find the connection broken instead of the reason.
async fn linger(session: &mut Session) {
    let read = async {
        let mut left = LINGER;
        while let Ok(Ok(Some(part))) =
            tokio::time::timeout(LINGER_FOR.1, session.read_request_body()).await
        {
            let Some(rest) = left.checked_sub(part.len()) else {
                return;
            };
            left = rest;
        }
    };
    // Whoever takes longer is cut off, as before.
    let _ = tokio::time::timeout(LINGER_FOR.0, read).await;
}

/// An answer that waits to be sent.
pub(super) struct Ready {
    pub(super) head: ResponseHeader,
    pub(super) body: Bytes,
}

impl Ready {
    pub(super) fn new(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Result<Self> {
        let mut head = ResponseHeader::build(status, Some(12))?;
        head.insert_header(header::CONTENT_TYPE, kind)?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        Ok(Self {
            head,
            body: body.into(),
        })
    }

    fn empty(status: u16) -> Result<Self> {
        let mut head = ResponseHeader::build(status, Some(8))?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        Ok(Self {
            head,
            body: Bytes::new(),
        })
    }
}

fn compose(ctx: &ProxyContext, request: &RequestHeader, answer: &LocalResponse) -> Result<Ready> {
    match answer {
        LocalResponse::Redirect(to) => redirect((to.status, &to.location), to.clear_site_data),
        LocalResponse::AllowedRedirect {
            to,
            clear_site_data,
        } => redirect((302, to.as_str()), *clear_site_data),
        LocalResponse::Problem(what) => problem(ctx, request, what),
        LocalResponse::LoginPage(form) => page::sign_in_form(ctx, request, form),
        LocalResponse::Unsent(preserved_post) => page::preserved_post(ctx, request, preserved_post),
        LocalResponse::StepPage(form) => page::step_form(ctx, request, form),
        LocalResponse::LogoutPage => page::sign_out_page(ctx, request),
        LocalResponse::ActionRequired(asks) => page::provider_asks(ctx, request, asks),
        LocalResponse::Asset(name) => asset(ctx, request, name),
        LocalResponse::AssertionKeys => {
            let keys = ctx.runtime.assertion_keys();
            Ready::new(200, "application/json", keys)
        }
        LocalResponse::Json(answer) => json(answer),
        LocalResponse::NoContent | LocalResponse::Preflight(_) => Ready::empty(204),
    }
}

fn json(answer: &ApiResponse) -> Result<Ready> {
    let body = serde_json::to_vec(answer);
    let body = body.or_err(
        pingora::ErrorType::InternalError,
        "an answer that is no JSON",
    )?;
    let mut ready = Ready::new(200, "application/json", body)?;
    ready
        .head
        .insert_header("x-content-type-options", "nosniff")?;
    Ok(ready)
}

fn redirect((status, location): (u16, &str), clear_site_data: bool) -> Result<Ready> {
    let mut ready = Ready::empty(status)?;
    ready.head.insert_header(header::LOCATION, location)?;
    if clear_site_data {
        ready
            .head
            .insert_header("clear-site-data", "\"cache\", \"storage\"")?;
    }
    Ok(ready)
}

/// A problem as a page or as a document.
pub(super) fn problem(
    ctx: &ProxyContext,
    request: &RequestHeader,
    what: &Problem,
) -> Result<Ready> {
    let mut ready = if ctx.response.is_navigation && !what.for_programs {
        page::problem_page(ctx, request, what)?
    } else {
        Ready::new(
            what.status,
            PROBLEM_TYPE,
            problem_document(what, &ctx.request_id),
        )?
    };
    if let Some(seconds) = what.retry_after {
        ready.head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    if let Some(methods) = what.allow {
        ready.head.insert_header(header::ALLOW, methods)?;
    }
    if let Some(challenge) = what.challenge {
        ready
            .head
            .insert_header(header::WWW_AUTHENTICATE, challenge)?;
    }
    Ok(ready)
}

fn asset(ctx: &ProxyContext, request: &RequestHeader, name: &str) -> Result<Ready> {
    let Some(asset) = page::look(ctx).asset(name) else {
        return problem(
            ctx,
            request,
            &Problem::new(Reason::OwnEndpoint).with_status(404),
        );
    };
    let mut ready = Ready::new(200, asset.content_type, asset.body.clone())?;
    ready
        .head
        .insert_header(header::CACHE_CONTROL, pages::assets::CACHE_CONTROL)?;
    ready
        .head
        .insert_header("x-content-type-options", "nosniff")?;
    if let Some(policy) = asset.policy {
        ready
            .head
            .insert_header(header::CONTENT_SECURITY_POLICY, policy)?;
    }
    Ok(ready)
}

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("vestibule-access-token");
const REFRESH_TOKEN: HeaderName = HeaderName::from_static("vestibule-refresh-token");

/// The one door: every response passes it, ours, the application's, and the page of an error after
/// a rotation. Adds the visitor's new cookies and keeps caches away from them.
pub(super) fn finish(ctx: &ProxyContext, head: &mut ResponseHeader) -> Result<()> {
    if !ctx.response.is_forwarded {
        head.insert_header("x-request-id", ctx.request_id.as_str())?;
    }
    let Some(site) = ctx.site() else {
        return Ok(());
    };
    if site.bearer && ctx.response.is_forwarded {
        // A client would take an application's for the gateway's.
        for name in [ACCESS_TOKEN, REFRESH_TOKEN] {
            head.remove_header(&name);
        }
    }
    if ctx.response.cookie_changes.is_empty() {
        return Ok(());
    }
    for change in &ctx.response.cookie_changes {
        if let CookieChange::SetTokens(tokens) = change
            && tokens.kind == CredentialKind::Bearer
        {
            head.insert_header(ACCESS_TOKEN, value_of(&tokens.proof)?)?;
            if let Some(refresh) = &tokens.refresh {
                head.insert_header(REFRESH_TOKEN, value_of(refresh)?)?;
            }
            continue;
        }
        for line in lines(site, change, &ctx.response.presented_cookies) {
            head.append_header(header::SET_COOKIE, value_of(&line)?)?;
        }
    }
    head.insert_header(header::CACHE_CONTROL, "private, no-store")?;
    Ok(())
}

fn value_of(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        pingora::Error::explain(
            pingora::ErrorType::InternalError,
            "a credential that is no header value",
        )
    })
}

/// The `Set-Cookie` values of one change.
fn lines(site: &Site, change: &CookieChange, presented: &[String]) -> Vec<String> {
    let names = &site.cookies;
    let arrived: Vec<&str> = presented.iter().map(String::as_str).collect();
    match change {
        CookieChange::SetTokens(tokens) => set_tokens(site, tokens, &arrived),
        CookieChange::ClearCredentials => {
            [CookieKind::Access, CookieKind::Refresh, CookieKind::Session]
                .into_iter()
                .flat_map(|kind| {
                    // The other kind's cookie is cleared only where one came.
                    let of_the_site =
                        kind == CookieKind::Refresh || kind == main_cookie(site.credential);
                    cleared(names, kind, of_the_site.then_some(names.of(kind)), &arrived)
                })
                .chain(names.hosted.then(|| cookie::clear(names, cookie::EXPIRY)))
                .collect()
        }
        CookieChange::ClearRefresh => {
            let kind = CookieKind::Refresh;
            cleared(names, kind, Some(names.of(kind)), &arrived)
        }
        CookieChange::SetDevice(device) => {
            let (kind, value) = (CookieKind::Device, device.as_str());
            let stale = cookie::stale(names, kind, &arrived, value)
                .into_iter()
                .map(|name| cookie::clear(names, name));
            let lifetime = if device.is_lasting() {
                Lifetime::For(DEVICE_AGE)
            } else {
                Lifetime::Browser
            };
            stale
                .chain(cookie::set(names, kind, value, lifetime))
                .collect()
        }
    }
}

fn set_tokens(site: &Site, tokens: &IssuedTokens, arrived: &[&str]) -> Vec<String> {
    let names = &site.cookies;
    let lifetime = if tokens.remember {
        Lifetime::For(site.cookie_max_age)
    } else {
        Lifetime::Browser
    };
    let main = main_cookie(tokens.kind);
    // Whatever the site's configuration was when it came: one proof is enough.
    let other = if main == CookieKind::Session {
        CookieKind::Access
    } else {
        CookieKind::Session
    };
    let mut lines = cleared(names, other, None, arrived);
    let values = [
        (main, Some(&tokens.proof)),
        (CookieKind::Refresh, tokens.refresh.as_ref()),
    ];
    for (kind, value) in values {
        let Some(value) = value else { continue };
        lines.extend(
            cookie::stale(names, kind, arrived, value)
                .into_iter()
                .map(|name| cookie::clear(names, name)),
        );
        lines.extend(cookie::set(names, kind, value, lifetime));
    }
    if names.hosted
        && let Some(end) = tokens.ends()
    {
        lines.push(cookie::expiry(names, end, lifetime));
    }
    lines
}

/// The cookie that carries the proof.
fn main_cookie(kind: CredentialKind) -> CookieKind {
    match kind {
        CredentialKind::Session => CookieKind::Session,
        CredentialKind::Jwt | CredentialKind::Bearer => CookieKind::Access,
    }
}

/// What makes a browser forget `always` and every piece of this kind that arrived.
fn cleared(
    names: &CookieNames,
    kind: CookieKind,
    always: Option<&str>,
    arrived: &[&str],
) -> Vec<String> {
    let own = names.of(kind);
    let mut gone: Vec<&str> = always.into_iter().collect();
    for name in arrived.iter().filter(|name| {
        name.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }) {
        if !gone.contains(name) {
            gone.push(name);
        }
    }
    gone.into_iter()
        .map(|name| cookie::clear(names, name))
        .collect()
}
