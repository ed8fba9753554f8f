//! The request phase: validates a request, finds its site, and decides whether it is forwarded or
//! answered.

use std::pin::pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession;
use pingora::proxy::Session;

use crate::decide::https_redirect::Arrival;
use crate::decide::rejection::Rejection;
use crate::decide::request_size::{self, HeadSize};
use crate::decide::request_target;
use crate::decide::request_validation;
use crate::decide::trace_context::new_traceparent;
use crate::decide::upstream_headers::{forwarded_token, is_valid_request_id};
use crate::decide::{Facts, Grant, Known, Outcome, RequestCookies, client_address, cors};
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::outcome_label::OutcomeLabel;
use crate::model::preserved_post::NotPreservedError;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::request_cookies::PresentedCookies;
use crate::model::rule::RuleClient;
use crate::model::site::Site;
use crate::runtime::{RequestContext, Runtime, SiteRuntime};
use crate::system;

use super::catch_panic::{Panicked, catch_panic};
use super::connection::RequestBody;
use super::decision_time;
use super::early_answers;
use super::forward_auth;
use super::permit;
use super::reach_verdict::reach_verdict;
use super::request_head::RequestHead;
use super::request_state::{Granted, RequestState};
use super::upstream;

/// Runs [`decide_request`]. A panic in it is answered with `500`, and ends neither the connection's
/// task nor the process.
pub(super) async fn decide_or_fail(
    session: &mut Session,
    ctx: &mut RequestState,
) -> Option<LocalResponse> {
    let recorded = ctx.trace.as_ref().map(|trace| trace.decision_context());
    let decided = {
        let work = pin!(decide_request(session, ctx));
        let work = catch_panic(work);
        match recorded {
            Some(context) => context.scope(work).await,
            None => work.await,
        }
    };
    match decided {
        Ok(response) => response,
        Err(Panicked) => {
            // The panic's message may hold parts of the request: it is not logged.
            tracing::error!(
                request_id = ctx.request_id,
                "a request failed inside the gateway"
            );
            ctx.failed(Reason::Internal);
            // Nobody knows how much of the body was read.
            ctx.response.close = true;
            ctx.granted = None;
            Some(LocalResponse::Problem(Problem::new(Reason::Internal)))
        }
    }
}

/// Decides what happens to a request. `None` forwards it, anything else is the answer.
async fn decide_request(session: &mut Session, ctx: &mut RequestState) -> Option<LocalResponse> {
    let mut head = RequestHead::read(session.req_header());
    ctx.request_id = choose_request_id(head.request_id.as_ref());
    ctx.upstream.has_body = head.has_body() || !session.is_body_empty();
    resolve_client_ip(ctx, &head);
    if head.has_invalid_trace() {
        let recorded = ctx.trace.as_ref().map(|trace| trace.traceparent());
        ctx.client.new_traceparent = Some(recorded.unwrap_or_else(begin_trace));
    }
    if let Err(rejection) = validate_head(session, &head) {
        return Some(reject(session, ctx, &head, rejection));
    }
    if let Some(answer) = early_answers::health_check(ctx, &head) {
        apply_timeouts(session, ctx);
        return Some(answer);
    }
    if let Some(answer) = early_answers::acme_challenge(ctx, &head).await {
        apply_timeouts(session, ctx);
        return Some(answer);
    }
    let read = forward_auth::read_original(session.req_header(), ctx, &mut head);
    let found = read.and_then(|()| find_site(session, ctx, &mut head));
    let limits = found.as_ref().map(|it| it.site.limits.head);
    let size = head_size(session, &head);
    if let Err(rejection) = request_size::validate_head_size(size, limits.unwrap_or_default()) {
        return Some(reject(session, ctx, &head, rejection));
    }
    match found {
        Ok(site_runtime) => {
            ctx.in_flight = Some(site_runtime.metrics.begin_request());
            apply_timeouts(session, ctx);
            head.read_token_header(session.req_header(), &site_runtime.site.service_tokens);
            decide_at_site(session, ctx, &site_runtime, &head).await
        }
        Err(rejection) => Some(
            early_answers::redirect_by_name(ctx, &head, rejection)
                .or_else(|| early_answers::asset_without_site(ctx, &head))
                .unwrap_or_else(|| reject(session, ctx, &head, rejection)),
        ),
    }
}

/// Checks what depends neither on the host nor on the site.
fn validate_head(session: &Session, head: &RequestHead) -> Result<(), Rejection> {
    let bytes = session.as_http1().map(HttpSession::get_headers_raw_bytes);
    request_validation::validate_head(&head.unvalidated(&bytes.unwrap_or_default()))
}

/// What a head of HTTP/1 holds beside method, target and fields: blanks and version of the request
/// line, its end, and the empty line.
const AROUND_FIELDS: usize = "  HTTP/1.1\r\n\r\n".len();

/// The size of the head. Fields that arrived compressed count as written in HTTP/1, so that the
/// same limit holds in every protocol.
fn head_size(session: &Session, head: &RequestHead) -> HeadSize {
    let target = head.target.len();
    let fields = match session.as_http1().map(HttpSession::get_headers_raw_bytes) {
        Some(bytes) => {
            let method = session.req_header().method.as_str().len();
            bytes.len().saturating_sub(method + target + AROUND_FIELDS)
        }
        None => written_length(&session.req_header().headers),
    };
    HeadSize { target, fields }
}

fn written_length(headers: &HeaderMap) -> usize {
    let lines = headers.iter();
    lines
        .map(|(name, value)| name.as_str().len() + ": ".len() + value.len() + "\r\n".len())
        .sum()
}

/// Finds the site by `Host`.
fn find_site(
    session: &mut Session,
    ctx: &mut RequestState,
    head: &mut RequestHead,
) -> Result<Arc<SiteRuntime>, Rejection> {
    if let Some(site_runtime) = site_by_exact_host(&ctx.runtime, head) {
        check_connection(ctx, head)?;
        ctx.site_runtime = Some(Arc::clone(site_runtime));
        return Ok(Arc::clone(site_runtime));
    }
    let host = request_validation::validate_host(head.host())?;
    if let Some(target) = request_target::origin_form(&head.target, &host)? {
        // The target that was validated is the one that is forwarded.
        session
            .req_header_mut()
            .set_raw_path(&target)
            .map_err(|_| Rejection::MALFORMED)?;
        head.target = target;
    }
    let Some(site_runtime) = ctx.runtime.site_for(&host).cloned() else {
        return Err(request_target::reject_unknown_host(&head.target));
    };
    check_connection(ctx, head)?;
    ctx.site_runtime = Some(Arc::clone(&site_runtime));
    Ok(site_runtime)
}

/// Refuses a request whose host has another certificate than the one that the client was shown. A
/// browser then opens another connection.
fn check_connection(ctx: &RequestState, head: &RequestHead) -> Result<(), Rejection> {
    let host = head.host().and_then(|host| host.to_str().ok());
    if ctx.forward_auth.is_some() {
        // The connection is the proxy's, and for the gateway.
        return Ok(());
    }
    if ctx.connection.is_for(host.unwrap_or_default()) {
        Ok(())
    } else {
        Err(request_target::reject_unknown_host(&head.target))
    }
}

/// The fast path that most requests take: the site whose host is spelled as in the `Host` field,
/// for a target in origin-form.
fn site_by_exact_host<'a>(
    runtime: &'a Runtime,
    head: &RequestHead,
) -> Option<&'a Arc<SiteRuntime>> {
    let host = head.host().filter(|_| head.target.first() == Some(&b'/'))?;
    runtime.site_called(host.to_str().ok()?)
}

/// Prepares what the verdict about the request asks for: `None` forwards it, anything else is the
/// answer.
async fn decide_at_site(
    session: &mut Session,
    ctx: &mut RequestState,
    site_runtime: &Arc<SiteRuntime>,
    head: &RequestHead,
) -> Option<LocalResponse> {
    let site = &site_runtime.site;
    let rule_headers = headers_of_rules(site, session.req_header());
    let client = RuleClient {
        address: ctx.client.address,
        headers: &rule_headers,
    };
    let target = match request_target::validate_target(&head.target, &head.method, client, site) {
        Ok(target) => target,
        Err(rejection) => return Some(reject(session, ctx, head, rejection)),
    };
    if let Some(answer) = early_answers::before_rules(ctx, site, head, &target) {
        return Some(answer);
    }
    if site.limits.body.is_some()
        && let RequestBody::Length(length) = RequestBody::of(&session.req_header().headers)
        && let Err(rejection) = request_size::validate_content_length(length, &target, site)
    {
        return Some(reject(session, ctx, head, rejection));
    }
    let mut cookies = PresentedCookies::parse(&site.cookies, head.cookie_fields());
    let mut upstream_cookies = cookies.upstream_cookies.take();
    if !site.forget.is_empty() {
        cookies.forgettable = site.forget.presented(&site.cookies, head.cookie_fields());
    }
    let request = head.view(&target, &cookies, client);
    record_request(ctx, &request, site);
    let mut facts = Facts::default();
    let is_asked = ctx.forward_auth.is_some();
    if is_asked {
        // The proxy has the body, so no form can be carried through the login.
        facts.preserved_post = Known::Absent(NotPreservedError::NoForm);
    }
    let verdict = reach_verdict(&request, &mut facts, session, ctx, site_runtime).await;
    if let Some(application_cookies) = verdict.application_cookies {
        ctx.record_owner(&request, application_cookies);
        if application_cookies.request == RequestCookies::Removed {
            upstream_cookies = Some(site.forget.without(&site.cookies, head.cookie_fields()));
        }
    }
    match verdict.outcome {
        Outcome::Reply(response) => Some(response),
        Outcome::Forward(grant) => {
            let token = forwarded_token(&request, site, &facts, &grant);
            start_early_refresh(ctx, site_runtime, &grant);
            upstream::strip_header(session.req_header_mut(), upstream_cookies);
            upstream::settle_upgrade(session.req_header_mut(), ctx);
            ctx.granted = Some(Granted {
                principal: grant.principal().cloned(),
                token,
                used_authorization: grant.used_authorization(),
            });
            if is_asked {
                return Some(permit::allow(ctx).await);
            }
            ctx.upstream.started = Some(decision_time::record(ctx));
            None
        }
    }
}

/// The headers of the request that a rule of the site names.
fn headers_of_rules(site: &Site, request: &RequestHeader) -> Vec<HeaderName> {
    let named = site.headers_of_rules();
    named
        .filter(|name| request.headers.contains_key(*name))
        .cloned()
        .collect()
}

/// Keeps what the response will need of the request.
fn record_request(ctx: &mut RequestState, request: &RequestView<'_>, site: &Site) {
    ctx.response.is_navigation = request.is_navigation() || request.is_form_post();
    ctx.upstream.is_websocket = request.fetch_metadata.is_websocket;
    ctx.response.cors_origin = cors::reader(request, site).map(ToString::to_string);
    ctx.response.form_cookie = request.cookies.form.value().map(str::to_owned);
}

/// Starts the refresh that runs beside the upstream call, where the grant asks for one.
fn start_early_refresh(ctx: &mut RequestState, site_runtime: &Arc<SiteRuntime>, grant: &Grant<'_>) {
    if let Some(refresh) = grant.early_refresh() {
        let context = RequestContext {
            site_runtime,
            client: ctx.client.address,
            host: None,
            request_id: &ctx.request_id,
            now: ctx.now,
        };
        ctx.early_refresh = ctx.runtime.early_refresh.start(context, refresh);
    }
}

/// Rejects a request line that Pingora would repair: Pingora escapes what has no place in a target
/// and goes on, the gateway does not (RFC 9112, section 3.2).
pub(super) fn reject_request_line(session: &mut Session, ctx: &mut RequestState) -> LocalResponse {
    let head = RequestHead::read(session.req_header());
    ctx.request_id = choose_request_id(None);
    resolve_client_ip(ctx, &head);
    reject(session, ctx, &head, Rejection::MALFORMED)
}

/// The answer to a request that policy never sees.
fn reject(
    session: &mut Session,
    ctx: &mut RequestState,
    head: &RequestHead,
    rejection: Rejection,
) -> LocalResponse {
    ctx.response.is_navigation = request_validation::is_shown_as_page(&head.fetch_metadata());
    ctx.reason = rejection.reason;
    ctx.outcome = OutcomeLabel::Refused;
    // What follows on this connection may be the second half of a smuggled request.
    ctx.response.close = true;
    apply_timeouts(session, ctx);
    LocalResponse::Problem(rejection.problem())
}

/// Limits how long the client may take to send its body. How long it may take to read the response,
/// the stream limits.
fn apply_timeouts(session: &mut Session, ctx: &RequestState) {
    let limits = &ctx.runtime.settings().server.limits;
    session.set_read_timeout(Some(limits.upstream_idle));
    session.set_total_drain_timeout(Some(limits.header_timeout));
    // HTTP/1.0 has no informational responses (RFC 9110, section 15.2).
    let is_http_1_0 = session.req_header().version == Version::HTTP_10;
    session
        .as_downstream_mut()
        .set_ignore_info_resp(is_http_1_0);
}

/// Resolves the client's address and the forwarded chain for the upstream.
fn resolve_client_ip(ctx: &mut RequestState, head: &RequestHead) {
    let client = client_address::resolve_client_ip(
        ctx.connection.peer.address,
        values(&head.forwarded_for),
        &ctx.runtime.settings().server.trusted_proxies,
    );
    ctx.client.forwarded = client.trusted_forwarded(values(&head.forwarded));
    let proto = head.forwarded_proto.as_ref();
    ctx.client.arrival = Arrival::new(
        ctx.connection.transport.scheme(),
        proto
            .filter(|_| client.peer_is_trusted)
            .map(HeaderValue::as_bytes),
        ctx.runtime.settings().server.tls.len(),
    );
    ctx.client.forwarded_for = client.forwarded_for.and_then(|text| text.try_into().ok());
    ctx.client.address = client.ip;
}

/// The values in their order.
fn values(fields: &[HeaderValue]) -> impl DoubleEndedIterator<Item = &[u8]> {
    fields.iter().map(HeaderValue::as_bytes)
}

/// The `traceparent` of a trace that begins here.
fn begin_trace() -> String {
    let (trace, parent) = (system::random(), system::random());
    new_traceparent(u128::from_ne_bytes(trace), u64::from_ne_bytes(parent))
}

/// The client's `X-Request-Id` where it may be kept, else a new one.
fn choose_request_id(presented: Option<&HeaderValue>) -> String {
    match presented
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_valid_request_id(id))
    {
        Some(id) => id.to_owned(),
        None => system::unique_id(),
    }
}
