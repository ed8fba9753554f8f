//! The way back: the application's answer, the errors of the way there, and the line in the log.

use http::{StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::model::answer::CookieChange;
use crate::model::cookie;
use crate::model::reason::Reason;
use crate::runtime::RenewedAhead;
use crate::telemetry::access_log::{self, AccessRecord};
use crate::telemetry::audit::{self, Occasion};
use crate::telemetry::labels::OutcomeLabel;

use super::passage::Passage;
use super::reply;
use super::server;
use super::view;

/// What the application's response becomes. Runs for informational responses too, which carry
/// nothing of ours.
pub(super) async fn adapt(
    session: &mut Session,
    response: &mut ResponseHeader,
    passage: &mut Passage,
) -> Result<()> {
    drop_managed_cookies(response, passage);
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    passage.upstream_took = passage.asked_upstream.map(|asked| asked.elapsed());
    passage.forwarded_response = true;
    passage.status = response.status.as_u16();
    settle_ahead(passage).await;
    watch_stream(session, response, passage).await;
    reply::finish(passage, response)
}

/// Whether the client has been told a final status: nothing can be repeated or replaced any more.
pub(super) fn has_begun(session: &Session) -> bool {
    let told = session.response_written().map(|head| head.status);
    told.is_some_and(|status| {
        !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// An application must not set the gateway's cookies.
fn drop_managed_cookies(response: &mut ResponseHeader, passage: &Passage) {
    let Some(site) = passage.site() else { return };
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

/// Waits for the renewal that runs beside the upstream call, and takes its cookies along.
pub(super) async fn settle_ahead(passage: &mut Passage) {
    let Some(ahead) = passage.ahead.take() else {
        return;
    };
    match ahead.await {
        Ok(RenewedAhead::Renewed(tokens)) => {
            passage.cookies.push(CookieChange::SetTokens(tokens));
            passage.reason = Reason::RenewedAhead;
        }
        // The access token lives out its time; nothing renews it any more.
        Ok(RenewedAhead::Refused) => passage.cookies.push(CookieChange::ClearRefresh),
        Ok(RenewedAhead::NotNow) | Err(_) => {}
    }
}

/// The media type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";

/// A response that may stay open for hours is counted, and ends with the visitor's session.
async fn watch_stream(session: &Session, response: &ResponseHeader, passage: &mut Passage) {
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
    let Some(guarded) = &passage.guarded else {
        return;
    };
    passage.stream = Some(guarded.metrics.stream_opened());
    if let Some(visitor) = passage
        .granted
        .as_ref()
        .and_then(|granted| granted.visitor.as_ref())
    {
        passage.closing =
            server::close_with(session, guarded.streams.opened(&visitor.session)).await;
        // Signed out between the decision and the application's answer: nobody will say it again.
        if passage.runtime.has_ended(guarded, &visitor.session) {
            guarded.streams.end(&visitor.session);
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
pub(super) fn record(session: &Session, passage: &Passage) {
    let took = passage.started.elapsed();
    let status = session
        .response_written()
        .map_or(passage.status, |head| head.status.as_u16());
    let site = passage
        .site()
        .map(|site| site.name.as_str())
        .unwrap_or_default();
    passage
        .runtime
        .site_metrics(passage.guarded.as_deref())
        .request(passage.outcome, passage.reason, took);
    let user = passage
        .granted
        .as_ref()
        .and_then(|granted| granted.visitor.as_ref());
    if let (Some(client), true) = (passage.client, is_for_the_audit(passage.reason)) {
        let at = Occasion {
            site,
            request_id: &passage.request_id,
            client,
        };
        audit::refused(
            at,
            user.map(|visitor| visitor.identity.sub.as_str()),
            passage.reason,
        );
    }
    if !access_log::is_on() {
        return;
    }
    let request = session.req_header();
    AccessRecord {
        request_id: &passage.request_id,
        site,
        method: request.method.as_str(),
        path: &view::path_for_logs(request),
        status,
        outcome: passage.outcome,
        rule: passage.rule.as_deref(),
        reason: passage.reason,
        duration: took,
        upstream: passage.upstream_took,
        user: user.map(|visitor| visitor.identity.sub.as_str()),
        client: passage.client,
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

impl Passage {
    /// The request came to nothing, for this reason.
    pub(super) fn failed(&mut self, reason: Reason) {
        self.reason = reason;
        self.outcome = if reason.is_failure() {
            OutcomeLabel::Failed
        } else {
            OutcomeLabel::Refused
        };
        self.status = reason.status();
    }
}
