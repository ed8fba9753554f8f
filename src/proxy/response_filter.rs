//! The response phase: the upstream's response on its way to the client, the reasons of Pingora's
//! errors, and the access record.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::decide::forget;
use crate::decide::response_rewrite;
use crate::decide::upstream_response::{AskedUpgrade, UpstreamHead};
use crate::model::cookie_change::CookieChange;
use crate::model::reason::Reason;
use crate::model::set_cookie;
use crate::runtime::refresh::RefreshOutcome;
use crate::telemetry::access_log::{self, AccessRecord};
use crate::telemetry::audit::{self, AuditContext, SignInHash};

use super::log_path;
use super::reply;
use super::request_state::{RequestState, ResponseOwner};
use super::upstream;
use super::upstream_error::is_timeout;

/// Checks that the application's response has one meaning, and removes what ends at the gateway.
///
/// # Errors
/// Where the response is not to be passed on. Pingora closes the connection that it came over.
pub(super) fn validate_response(
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &RequestState,
) -> Result<()> {
    let asked = if ctx.upstream.is_websocket {
        AskedUpgrade::WebSocket
    } else {
        AskedUpgrade::None
    };
    let head = UpstreamHead {
        status: response.status,
        version: response.version,
        fields: &response.headers,
    };
    head.validate(asked)
        .map_err(|error| Error::new_up(ErrorType::Custom(error.as_str())))?;
    for name in head.removals() {
        response.remove_header(&name);
    }
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        response.insert_header(header::CONNECTION, "Upgrade")?;
    }
    // The status line is the gateway's own (RFC 9112, section 2.3).
    response.set_version(reply::version_for(session.req_header()));
    Ok(())
}

/// Changes the application's response into the client's. Pingora calls this for informational
/// responses too, which carry nothing of the gateway's.
pub(super) async fn filter_response(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut RequestState,
) -> Result<()> {
    drop_managed_cookies(response, ctx);
    rewrite_for_site(response, ctx);
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    upstream::responded(ctx);
    ctx.response.is_forwarded = true;
    ctx.status = response.status.as_u16();
    await_early_refresh(ctx).await;
    bind_cookies(response, ctx);
    watch_stream(session, response, ctx).await;
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        ctx.connection.switch_protocols();
    }
    if session.req_header().version == Version::HTTP_10 {
        delimit_by_close(session, response);
    }
    if ctx.runtime.closes_connections() {
        // The stop was asked for while the application worked.
        session.set_keepalive(None);
    }
    reply::finish(ctx, response)
}

/// HTTP/1.0 has no transfer codings (RFC 9112, section 6.1): a body of unknown length ends with the
/// connection. Pingora has made a chunked HTTP/1.1 response of one whose end was not marked.
fn delimit_by_close(session: &mut Session, response: &mut ResponseHeader) {
    response.set_version(Version::HTTP_10);
    response.remove_header(&header::TRANSFER_ENCODING);
    if !response.headers.contains_key(header::CONTENT_LENGTH) {
        session.set_keepalive(None);
    }
}

/// Whether a final status was sent to the client, so that the response can be neither repeated nor
/// replaced.
pub(super) fn has_started(session: &Session) -> bool {
    final_status(session).is_some()
}

/// The status of the response that was sent, other than informational ones before it.
fn final_status(session: &Session) -> Option<StatusCode> {
    let status = session.response_written()?.status;
    let is_final = !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS;
    is_final.then_some(status)
}

/// The status that the client was sent; 0 where it got none.
pub(super) fn sent_status(session: &Session, ctx: &RequestState) -> u16 {
    final_status(session).map_or(ctx.status, |status| status.as_u16())
}

/// Method and target of the request that the records are about: where a proxy asks, the one that it
/// asks about.
pub(super) fn described_request<'a>(
    session: &'a Session,
    ctx: &'a RequestState,
) -> (&'a Method, &'a [u8]) {
    let request = session.req_header();
    let asked = ctx.forward_auth.as_ref();
    match asked.and_then(|asked| asked.original.as_ref()) {
        Some((method, target)) => (method, target.as_slice()),
        None => (&request.method, request.raw_path()),
    }
}

/// Drops each `Set-Cookie` of the application that would set one of the gateway's cookies.
fn drop_managed_cookies(response: &mut ResponseHeader, ctx: &RequestState) {
    let Some(site) = ctx.site() else { return };
    let fields = response.headers.get_all(header::SET_COOKIE);
    let passes = |value: &HeaderValue| !set_cookie::sets_managed(&site.cookies, value.as_bytes());
    if fields.iter().all(passes) {
        return;
    }
    let kept: Vec<HeaderValue> = fields
        .iter()
        .filter(|value| passes(value))
        .cloned()
        .collect();
    replace_cookies(response, kept);
}

/// Rewrites the fields that name the upstream, where the application set any.
fn rewrite_for_site(response: &mut ResponseHeader, ctx: &RequestState) {
    let Some(site) = ctx.site() else { return };
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let value = response.headers.get(&name);
        if let Some(value) = value.and_then(|value| response_rewrite::location(site, value)) {
            // It has been a header value: this does not fail.
            let _ = response.insert_header(name, value);
        }
    }
    let rewritten = |value: &HeaderValue| response_rewrite::set_cookie(site, value);
    let fields = response.headers.get_all(header::SET_COOKIE);
    if !fields.iter().any(|value| rewritten(value).is_some()) {
        return;
    }
    let cookies: Vec<HeaderValue> = fields
        .iter()
        .map(|value| rewritten(value).unwrap_or_else(|| value.clone()))
        .collect();
    replace_cookies(response, cookies);
}

/// Sets the owner cookie beside the application's cookies that `forget` names, where it sets any.
fn bind_cookies(response: &ResponseHeader, ctx: &mut RequestState) {
    let Some(site_runtime) = &ctx.site_runtime else {
        return;
    };
    let Some(ResponseOwner {
        owner,
        presented,
        path,
    }) = &ctx.response.owner
    else {
        return;
    };
    let lines = response.headers.get_all(header::SET_COOKIE).iter();
    let lines = lines.map(HeaderValue::as_bytes);
    let site = &site_runtime.site;
    if let Some(bound) = forget::bind(site, *owner, presented.as_deref(), path, lines) {
        let changes = &mut ctx.response.cookie_changes;
        changes.retain(|change| !matches!(change, CookieChange::SetOwner(_)));
        changes.push(CookieChange::SetOwner(bound));
    }
}

/// Sets `Set-Cookie` to these lines.
fn replace_cookies(response: &mut ResponseHeader, cookies: Vec<HeaderValue>) {
    response.remove_header(&header::SET_COOKIE);
    for value in cookies {
        // What was a header value is one: this does not fail.
        let _ = response.append_header(header::SET_COOKIE, value);
    }
}

/// Waits for the refresh that runs beside the upstream call, and takes its cookies into the
/// response.
pub(super) async fn await_early_refresh(ctx: &mut RequestState) {
    let Some(refresh) = ctx.early_refresh.take() else {
        return;
    };
    match refresh.await {
        Ok(RefreshOutcome::Renewed { renewed, .. }) => {
            ctx.response
                .cookie_changes
                .push(CookieChange::SetTokens(renewed.tokens));
            ctx.reason = Reason::EarlyRefresh;
        }
        // The access token is good until it expires. Nothing can refresh it any more.
        Ok(RefreshOutcome::Refused(_) | RefreshOutcome::Reused(_)) => {
            ctx.response.cookie_changes.push(CookieChange::ClearRefresh);
        }
        Ok(RefreshOutcome::Unavailable(_)) | Err(_) => {}
    }
}

/// The media type of server-sent events.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Counts a response that may stay open for hours (a WebSocket, server-sent events), and has it
/// closed when the visitor's session ends.
async fn watch_stream(session: &Session, response: &ResponseHeader, ctx: &mut RequestState) {
    let upgraded = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let content_type = response
        .headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let is_event_stream = content_type
        .get(..EVENT_STREAM.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM));
    if !(upgraded || is_event_stream) || has_started(session) {
        return;
    }
    let Some(site_runtime) = &ctx.site_runtime else {
        return;
    };
    ctx.stream = Some(site_runtime.metrics.stream_opened());
    if let Some(principal) = ctx
        .granted
        .as_ref()
        .and_then(|granted| granted.principal.as_ref())
    {
        // Also where the session ended between the decision and the application's response.
        let (runtime, at) = (Arc::clone(&ctx.runtime), Arc::clone(site_runtime));
        let of = Arc::clone(principal);
        let is_revoked = move || runtime.revocation.is_revoked_by_now(&at, &of);
        let ended = site_runtime.streams.opened(principal, is_revoked);
        ctx.stream_close = Some(ctx.connection.close_stream_after(ended).await);
    }
}

/// The reason for an error of Pingora's. `None` where the client went away, so that there is nobody
/// to answer.
pub(super) fn classify_error(error: &Error) -> Option<Reason> {
    let kind = error.etype();
    if *kind == ErrorType::HTTPStatus(400) {
        return Some(Reason::MalformedRequest);
    }
    if *kind == ErrorType::HTTPStatus(413) {
        return Some(Reason::RequestTooLarge);
    }
    match error.esource() {
        ErrorSource::Downstream => {
            let gone = matches!(
                kind,
                ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed
            ) || is_timeout(kind);
            (!gone).then_some(Reason::MalformedRequest)
        }
        ErrorSource::Upstream if is_timeout(kind) => Some(Reason::UpstreamTimeout),
        ErrorSource::Upstream => Some(Reason::UpstreamUnavailable),
        // No upstream is left, see `upstream::select_peer`.
        ErrorSource::Internal | ErrorSource::Unset if *kind == ErrorType::ConnectError => {
            Some(Reason::UpstreamUnavailable)
        }
        ErrorSource::Internal | ErrorSource::Unset => Some(Reason::Internal),
    }
}

/// Writes the access record and counts the request, both with the same reason. Some refusals get an
/// audit record too.
pub(super) fn record_request(session: &Session, ctx: &RequestState) {
    if ctx.is_health_check {
        return;
    }
    let took = ctx.started.elapsed();
    let status = sent_status(session, ctx);
    let site = ctx
        .site()
        .map(|site| site.name.as_str())
        .unwrap_or_default();
    let metrics = ctx.runtime.site_metrics(ctx.site_runtime.as_deref());
    metrics.request(ctx.outcome, ctx.reason, took);
    metrics.response(status);
    let user = ctx
        .granted
        .as_ref()
        .and_then(|granted| granted.principal.as_ref());
    let context = || AuditContext {
        site,
        request_id: &ctx.request_id,
        client: ctx.client.address,
        session: user.map(|principal| SignInHash::of(&principal.revocation_key.0)),
    };
    if is_audited(ctx.reason) {
        let user = user.map(|principal| principal.identity.sub.as_str());
        audit::refused(context(), user, ctx.reason);
    }
    if ctx.reason == Reason::ServiceToken
        && let (Some(site_runtime), Some(token)) = (&ctx.site_runtime, user)
        && site_runtime
            .service_token_uses
            .is_recorded(&token.identity.sub, ctx.now)
    {
        audit::service_token_used(context(), &token.identity.sub);
    }
    if !ctx.runtime.settings().log.access.includes(status) || !access_log::is_on() {
        return;
    }
    let (method, target) = described_request(session, ctx);
    AccessRecord {
        request_id: &ctx.request_id,
        site,
        protocol: protocol(session.req_header().version),
        method: method.as_str(),
        path: &log_path::path_for_logs(target),
        status,
        outcome: ctx.outcome,
        rule: ctx.rule.as_deref(),
        reason: ctx.reason,
        duration: took,
        upstream: ctx.upstream.latency,
        user: user.map(|principal| principal.identity.sub.as_str()),
        session: user.map(|principal| SignInHash::of(&principal.revocation_key.0)),
        client: Some(ctx.client.address),
    }
    .write();
}

/// The name of a request's protocol.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// Whether a refusal gets an audit record: those that the browser of an authorized person does not
/// meet. That nobody is signed in is no event, and refused sign-ins have records of their own.
fn is_audited(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RoleMissing
            | Reason::ServiceTokenInvalid
            | Reason::ServiceTokenExpired
            | Reason::CrossSiteRequest
            | Reason::CsrfFailed
            | Reason::BrowserTokensRefused
            | Reason::Revoked
            | Reason::MalformedRequest
    )
}
