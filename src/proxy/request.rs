//! The first half of a request's way: hygiene, site, and the loop of questions until it is settled.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::HeaderValue;
use pingora::proxy::Session;

use crate::decide::{Decision, Facts, Known, Outcome, cors, decide, upstream_headers};
use crate::model::cookie::PresentedCookies;
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::runtime::{Runtime, SiteRuntime};
use crate::system;
use crate::telemetry::labels::OutcomeLabel;

use super::context::{Granted, ProxyContext};
use super::request_head::{self, Rejection, RequestHead};
use super::resolve;
use super::upstream;

/// [`settle`], and the answer where it panics: one request's fault is not the connection's, nor the
/// program's.
pub(super) async fn decide_or_fail(
    session: &mut Session,
    ctx: &mut ProxyContext,
) -> Option<LocalResponse> {
    let settled = catch_panic(pin!(settle(session, ctx))).await;
    match settled {
        Ok(settled) => settled,
        Err(Panicked) => {
            // What it said may hold what the request said: it is not repeated.
            tracing::error!(
                request_id = ctx.request_id,
                "a request failed inside the gateway"
            );
            ctx.failed(Reason::Internal);
            // How far its body was read nobody knows.
            ctx.response.close = true;
            ctx.granted = None;
            Some(LocalResponse::Problem(Problem::new(Reason::Internal)))
        }
    }
}

#[derive(Debug, PartialEq)]
struct Panicked;

/// Runs `work`, which is thrown away where it panics. It is borrowed: this future would be twice as
/// large if it owned it.
async fn catch_panic<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Panicked> {
    // Whatever it left half done, it is not asked again, and the request's own data is all it
    // borrowed.
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        },
    )
    .await
}

/// Settles what happens to a request: `None` forwards it, anything else is the answer.
async fn settle(session: &mut Session, ctx: &mut ProxyContext) -> Option<LocalResponse> {
    let mut head = RequestHead::of(session.req_header());
    ctx.request_id = request_id(head.request_id.as_ref());
    ctx.upstream.has_body = head.sends();
    resolve_client_ip(ctx, &head);
    match enter(session, ctx, &mut head) {
        Ok(site_runtime) => {
            limit(session, ctx, &head);
            ask_and_fetch(session, ctx, &site_runtime, &head).await
        }
        Err(unfit) => Some(reject(session, ctx, &head, unfit)),
    }
}

/// The gateway's own time is over: the rest is the application's, or the wire's. Gives the time.
pub(super) fn decided(ctx: &ProxyContext) -> Instant {
    let now = system::stopwatch();
    if let Some(site_runtime) = &ctx.site_runtime {
        site_runtime.metrics.decided(now - ctx.started);
    }
    now
}

/// Hygiene, then the site.
fn enter(
    session: &mut Session,
    ctx: &mut ProxyContext,
    head: &mut RequestHead,
) -> Result<Arc<SiteRuntime>, Rejection> {
    let raw = session
        .as_http1()
        .map(pingora::protocols::http::v1::server::HttpSession::get_headers_raw_bytes);
    request_head::validate_head(head, session.req_header(), &raw.unwrap_or_default())?;
    if let Some(site_runtime) = named_plainly(&ctx.runtime, head) {
        ctx.site_runtime = Some(Arc::clone(site_runtime));
        return Ok(Arc::clone(site_runtime));
    }
    let host = request_head::validate_host(head)?;
    if let Some(target) = request_head::origin_form(&head.target, &host)? {
        // What was judged is what is sent on.
        if session.req_header_mut().set_raw_path(&target).is_err() {
            return Err(Rejection {
                reason: Reason::MalformedRequest,
                status: 400,
            });
        }
        head.target = target;
    }
    let found = ctx.runtime.site_for(&host);
    let Some(site_runtime) = found.cloned() else {
        // An ambiguous target is malformed at every host.
        request_head::validate_target(head, crate::model::target::EncodedSlashes::Pass)?;
        return Err(Rejection {
            reason: Reason::UnknownSite,
            status: Reason::UnknownSite.status(),
        });
    };
    ctx.site_runtime = Some(Arc::clone(&site_runtime));
    Ok(site_runtime)
}

/// The site of a request like most: its `Host` is written as the configuration has it, its target
/// in origin-form.
fn named_plainly<'a>(runtime: &'a Runtime, head: &RequestHead) -> Option<&'a Arc<SiteRuntime>> {
    let host = head.host().filter(|_| head.target.first() == Some(&b'/'))?;
    runtime.site_called(host.to_str().ok()?)
}

/// Asks `decide` until nothing is left to find out.
async fn ask_and_fetch(
    session: &mut Session,
    ctx: &mut ProxyContext,
    site_runtime: &Arc<SiteRuntime>,
    head: &RequestHead,
) -> Option<LocalResponse> {
    let site = &site_runtime.site;
    let target = match request_head::validate_target(head, site.encoded_slashes) {
        Ok(target) if site.is_evaded_by(&head.method, &target) => {
            return Some(reject(
                session,
                ctx,
                head,
                Rejection {
                    reason: Reason::MalformedRequest,
                    status: 400,
                },
            ));
        }
        Ok(target) => target,
        Err(unfit) => return Some(reject(session, ctx, head, unfit)),
    };
    let mut cookies = PresentedCookies::read(&site.cookies, head.cookie_fields());
    let rest = cookies.rest.take();
    let request = head.view(&target, &cookies);
    note(ctx, &request, site);
    let mut facts = Facts::default();
    let verdict = loop {
        match decide(&request, site, &facts, ctx.now) {
            Decision::Needs(question) => resolve::fill(question, &mut facts, session, ctx).await,
            Decision::Settled(verdict) => break verdict,
        }
    };
    ctx.outcome = label(verdict.label());
    ctx.reason = verdict.reason;
    ctx.rule = site
        .match_rule(request.method, target.decoded_path())
        .pattern
        .cloned();
    ctx.response.cookie_changes = verdict.cookies;
    let ahead =
        matches!(&verdict.outcome, Outcome::Forward(grant) if grant.renew_ahead().is_some());
    if ahead || !ctx.response.cookie_changes.is_empty() {
        ctx.response.presented_cookies = cookies
            .names
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
    }
    match verdict.outcome {
        Outcome::Reply(answer) => Some(answer),
        Outcome::Forward(grant) => {
            let used_authorization = grant.used_authorization();
            let carried = if used_authorization {
                request.bearer.access
            } else {
                request.cookies.access.value()
            };
            let token = site
                .forward_token
                .then(|| token_of(&facts, carried))
                .flatten();
            if let Some(renewable) = grant.renew_ahead() {
                let client = Some(ctx.client.address);
                ctx.early_refresh =
                    Some(
                        ctx.runtime
                            .renew_ahead(site_runtime, renewable, client, &ctx.request_id),
                    );
            }
            upstream::leave_behind(session.req_header_mut(), rest);
            ctx.granted = Some(Granted {
                principal: grant.principal().cloned(),
                token,
                used_authorization,
            });
            ctx.upstream.started = Some(decided(ctx));
            None
        }
    }
}

/// What the answer will need to know of the request.
fn note(ctx: &mut ProxyContext, request: &RequestView<'_>, site: &Site) {
    ctx.response.is_navigation = request.is_navigation() || request.is_form_post();
    ctx.upstream.is_websocket = request.marks.websocket;
    ctx.response.cors_origin = cors::reader(request, site).map(ToString::to_string);
    ctx.response.form_cookie = request.cookies.form.value().map(str::to_owned);
}

/// The access token that goes along: the renewed one, else the one that was verified or that the
/// session keeps.
fn token_of(facts: &Facts, carried: Option<&str>) -> Option<Arc<str>> {
    if let Known::Found(renewed) = &facts.renewal {
        return Some(Arc::clone(&renewed.access));
    }
    if let Known::Found(open) = &facts.session {
        return open.access.clone();
    }
    carried
        .filter(|_| matches!(facts.token, Known::Found(_)))
        .map(Arc::from)
}

/// Pingora escapes what has no place in a request line and goes on; the gateway does not (RFC 9112,
/// section 3.2).
pub(super) fn refuse_mended_line(session: &mut Session, ctx: &mut ProxyContext) -> LocalResponse {
    let head = RequestHead::of(session.req_header());
    ctx.request_id = request_id(None);
    resolve_client_ip(ctx, &head);
    reject(
        session,
        ctx,
        &head,
        Rejection {
            reason: Reason::MalformedRequest,
            status: 400,
        },
    )
}

/// An answer to what never became a request.
fn reject(
    session: &mut Session,
    ctx: &mut ProxyContext,
    head: &RequestHead,
    unfit: Rejection,
) -> LocalResponse {
    let marks = head.marks();
    ctx.response.is_navigation = marks.fetch_mode == Some("navigate")
        || (marks.fetch_mode.is_none()
            && marks
                .accept
                .is_some_and(|accept| accept.contains("text/html")));
    ctx.reason = unfit.reason;
    ctx.outcome = OutcomeLabel::Refused;
    // Whatever follows on this connection may be the other half of an attempt to smuggle.
    ctx.response.close = true;
    limit(session, ctx, head);
    let mut problem = Problem::new(unfit.reason).with_status(unfit.status);
    if unfit.reason == Reason::MethodNotAllowed {
        problem.allow = Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    LocalResponse::Problem(problem)
}

fn limit(session: &mut Session, ctx: &ProxyContext, head: &RequestHead) {
    let limits = &ctx.runtime.settings().server.limits;
    session.set_read_timeout(Some(limits.upstream_idle));
    session.set_write_timeout(Some(limits.upstream_idle));
    session.set_total_drain_timeout(Some(limits.header_timeout));
    if head.is_chunked() {
        // Pingora takes an empty chunk size for the end of the body, others pass over the line:
        // what is left on the wire then is for neither to read as a request.
        session.set_keepalive(None);
    }
}

/// Resolves the client address that is believed.
fn resolve_client_ip(ctx: &mut ProxyContext, head: &RequestHead) {
    let peer = &ctx.connection.peer;
    let chain = upstream_headers::chain(
        peer.address,
        texts(&head.forwarded_for),
        &ctx.runtime.settings().server.trusted_proxies,
    );
    if chain.peer_is_trusted && !head.forwarded.is_empty() {
        let earlier: Vec<&str> = texts(&head.forwarded).collect();
        ctx.client.forwarded = (!earlier.is_empty()).then(|| earlier.join(", "));
    }
    ctx.client.forwarded_for = chain.forwarded_for.and_then(|text| text.try_into().ok());
    ctx.client.address = chain.client;
}

fn texts(fields: &[HeaderValue]) -> impl DoubleEndedIterator<Item = &str> {
    fields.iter().filter_map(|value| value.to_str().ok())
}

/// Theirs, where it is fit to be kept, else a new one.
pub(super) fn request_id(theirs: Option<&HeaderValue>) -> String {
    match theirs
        .and_then(|value| value.to_str().ok())
        .filter(|id| upstream_headers::keeps_request_id(id))
    {
        Some(id) => id.to_owned(),
        None => system::fresh_name(),
    }
}

fn label(word: &str) -> OutcomeLabel {
    OutcomeLabel::ALL
        .iter()
        .copied()
        .find(|label| label.as_str() == word)
        .unwrap_or(OutcomeLabel::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_work_and_nothing_else() {
        let good = pin!(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(catch_panic(good).await, Ok(7));
        let bad = pin!(async {
            tokio::task::yield_now().await;
            panic!("in the middle");
        });
        let fallen: Result<(), _> = catch_panic(bad).await;
        assert_eq!(fallen, Err(Panicked));
    }
}
