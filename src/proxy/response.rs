//! The way back: the application's answer, the errors of the way there, and the line in the log.

use http::{StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::model::cookie;
use crate::model::local_response::CookieChange;
use crate::model::reason::Reason;
use crate::runtime::EarlyRefresh;
use crate::telemetry::access_log::{self, AccessRecord};
use crate::telemetry::audit::{self, AuditContext};

use super::context::ProxyContext;
use super::reply;
use super::request_head;

/// What the application's response becomes. Runs for informational responses too, which carry
/// nothing of ours.
pub(super) async fn adapt(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut ProxyContext,
) -> Result<()> {
    drop_managed_cookies(response, ctx);
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    ctx.upstream.latency = ctx.upstream.started.map(|asked| asked.elapsed());
    ctx.response.is_forwarded = true;
    ctx.status = response.status.as_u16();
    settle_ahead(ctx).await;
    watch_stream(session, response, ctx).await;
    reply::finish(ctx, response)
}

/// Whether the client has been told a final status: nothing can be repeated or replaced any more.
pub(super) fn has_begun(session: &Session) -> bool {
    let told = session.response_written().map(|head| head.status);
    told.is_some_and(|status| {
        !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// An application must not set the gateway's cookies.
fn drop_managed_cookies(response: &mut ResponseHeader, ctx: &ProxyContext) {
    let Some(site) = ctx.site() else { return };
    let set = response.headers.get_all(header::SET_COOKIE);
    let theirs = |value: &http::HeaderValue| !cookie::sets_managed(&site.cookies, value.as_bytes());
    if set.iter().all(theirs) {
        return;
    }
    let set: Vec<_> = set.iter().cloned().collect();
    response.remove_header(&header::SET_COOKIE);
    for value in set.into_iter().filter(|value| theirs(value)) {
        // It was a header value a moment ago.
        let _ = response.append_header(header::SET_COOKIE, value);
    }
}

/// Backoff for the renewal that runs beside the upstream call, and takes its cookies along.
pub(super) async fn settle_ahead(ctx: &mut ProxyContext) {
    let Some(ahead) = ctx.early_refresh.take() else {
        return;
    };
    match ahead.await {
        Ok(EarlyRefresh::Renewed(tokens)) => {
            ctx.response
                .cookie_changes
                .push(CookieChange::SetTokens(tokens));
            ctx.reason = Reason::EarlyRefresh;
        }
        // The access token lives out its time; nothing renews it any more.
        Ok(EarlyRefresh::Refused) => ctx.response.cookie_changes.push(CookieChange::ClearRefresh),
        Ok(EarlyRefresh::NotNow) | Err(_) => {}
    }
}

/// The media type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";

/// A response that may stay open for hours is counted, and ends with the visitor's session.
async fn watch_stream(session: &Session, response: &ResponseHeader, ctx: &mut ProxyContext) {
    let upgraded = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let kind = response
        .headers
        .get(header::CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default();
    let events = kind
        .get(..EVENTS.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(EVENTS));
    if !(upgraded || events) || session.response_written().is_some() {
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
        let ended = site_runtime.streams.opened(&principal.session);
        ctx.stream_close = Some(ctx.connection.close_stream_after(ended).await);
        // Signed out between the decision and the application's answer: nobody will say it again.
        if ctx.runtime.has_ended(site_runtime, &principal.session) {
            site_runtime.streams.end(&principal.session);
        }
    }
}

/// Whose fault an error is; `None` when there is nobody left to tell.
pub(super) fn blame(error: &Error) -> Option<Reason> {
    let kind = error.etype();
    if matches!(kind, ErrorType::HTTPStatus(400)) {
        return Some(Reason::MalformedRequest);
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
        // Our own words for "no upstream is left", see `upstream::pick`.
        ErrorSource::Internal | ErrorSource::Unset if *kind == ErrorType::ConnectError => {
            Some(Reason::UpstreamUnavailable)
        }
        ErrorSource::Internal | ErrorSource::Unset => Some(Reason::Internal),
    }
}

fn is_timeout(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    )
}

/// One line, one counter, both with the same reason.
pub(super) fn record(session: &Session, ctx: &ProxyContext) {
    let took = ctx.started.elapsed();
    let status = session
        .response_written()
        .map_or(ctx.status, |head| head.status.as_u16());
    let site = ctx
        .site()
        .map(|site| site.name.as_str())
        .unwrap_or_default();
    ctx.runtime
        .site_metrics(ctx.site_runtime.as_deref())
        .request(ctx.outcome, ctx.reason, took);
    let user = ctx
        .granted
        .as_ref()
        .and_then(|granted| granted.principal.as_ref());
    if is_for_the_audit(ctx.reason) {
        let at = AuditContext {
            site,
            request_id: &ctx.request_id,
            client: ctx.client.address,
        };
        audit::refused(
            at,
            user.map(|principal| principal.identity.sub.as_str()),
            ctx.reason,
        );
    }
    if !access_log::is_on() {
        return;
    }
    let request = session.req_header();
    AccessRecord {
        request_id: &ctx.request_id,
        site,
        method: request.method.as_str(),
        path: &request_head::path_for_logs(request),
        status,
        outcome: ctx.outcome,
        rule: ctx.rule.as_deref(),
        reason: ctx.reason,
        duration: took,
        upstream: ctx.upstream.latency,
        user: user.map(|principal| principal.identity.sub.as_str()),
        client: Some(ctx.client.address),
    }
    .write();
}

/// Refusals that an honest browser of somebody with every right does not meet; that nobody is
/// signed in is no event, and refused sign-ins have records of their own.
fn is_for_the_audit(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RoleMissing
            | Reason::CrossSiteRequest
            | Reason::CsrfFailed
            | Reason::BrowserTokensRefused
            | Reason::Revoked
            | Reason::MalformedRequest
    )
}
