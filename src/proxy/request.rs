//! The first half of a request's way: hygiene, site, and the loop of questions until it is settled.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::HeaderValue;
use pingora::proxy::Session;

use crate::decide::{Decision, Facts, Known, Outcome, cors, decide, forward};
use crate::model::answer::{Answer, Problem};
use crate::model::cookie::PresentedCookies;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::runtime::{Guarded, Runtime};
use crate::system;
use crate::telemetry::labels::OutcomeLabel;

use super::fetch;
use super::passage::{Granted, Passage};
use super::server;
use super::upstream;
use super::view::{self, Head, Unfit};

/// [`settle`], and the answer where it panics: one request's fault is not the connection's, nor the
/// program's.
pub(super) async fn settle_or_fail(session: &mut Session, passage: &mut Passage) -> Option<Answer> {
    let settled = caught(pin!(settle(session, passage))).await;
    match settled {
        Ok(settled) => settled,
        Err(Panicked) => {
            // What it said may hold what the request said: it is not repeated.
            tracing::error!(
                request_id = passage.request_id,
                "a request failed inside the gateway"
            );
            passage.failed(Reason::Internal);
            // How far its body was read nobody knows.
            passage.close = true;
            passage.granted = None;
            Some(Answer::Problem(Problem::new(Reason::Internal)))
        }
    }
}

#[derive(Debug, PartialEq)]
struct Panicked;

/// Runs `work`, which is thrown away where it panics. It is borrowed: this future would be twice as
/// large if it owned it.
async fn caught<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Panicked> {
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
async fn settle(session: &mut Session, passage: &mut Passage) -> Option<Answer> {
    let mut head = Head::of(session.req_header());
    passage.request_id = request_id(head.request_id.as_ref());
    passage.sends = head.sends();
    believe(session, passage, &head);
    match enter(session, passage, &mut head) {
        Ok(guarded) => {
            limit(session, passage, &head);
            ask_and_fetch(session, passage, &guarded, &head).await
        }
        Err(unfit) => Some(turn_down(session, passage, &head, unfit)),
    }
}

/// The gateway's own time is over: the rest is the application's, or the wire's. Gives the time.
pub(super) fn decided(passage: &Passage) -> Instant {
    let now = system::stopwatch();
    if let Some(guarded) = &passage.guarded {
        guarded.metrics.decided(now - passage.started);
    }
    now
}

/// Hygiene, then the site.
fn enter(
    session: &mut Session,
    passage: &mut Passage,
    head: &mut Head,
) -> Result<Arc<Guarded>, Unfit> {
    let raw = session
        .as_http1()
        .map(pingora::protocols::http::v1::server::HttpSession::get_headers_raw_bytes);
    view::judge_head(head, session.req_header(), &raw.unwrap_or_default())?;
    if let Some(guarded) = named_plainly(&passage.runtime, head) {
        passage.guarded = Some(Arc::clone(guarded));
        return Ok(Arc::clone(guarded));
    }
    let host = view::judge_host(head)?;
    if let Some(target) = view::origin_form(&head.target, &host)? {
        // What was judged is what is sent on.
        if session.req_header_mut().set_raw_path(&target).is_err() {
            return Err(Unfit {
                reason: Reason::MalformedRequest,
                status: 400,
            });
        }
        head.target = target;
    }
    let found = passage.runtime.site_for(&host);
    let Some(guarded) = found.cloned() else {
        // An ambiguous target is malformed at every host.
        view::judge_target(head, crate::model::target::EncodedSlashes::Pass)?;
        return Err(Unfit {
            reason: Reason::UnknownSite,
            status: Reason::UnknownSite.status(),
        });
    };
    passage.guarded = Some(Arc::clone(&guarded));
    Ok(guarded)
}

/// The site of a request like most: its `Host` is written as the configuration has it, its target
/// in origin-form.
fn named_plainly<'a>(runtime: &'a Runtime, head: &Head) -> Option<&'a Arc<Guarded>> {
    let host = head.host().filter(|_| head.target.first() == Some(&b'/'))?;
    runtime.site_called(host.to_str().ok()?)
}

/// Asks `decide` until nothing is left to find out.
async fn ask_and_fetch(
    session: &mut Session,
    passage: &mut Passage,
    guarded: &Arc<Guarded>,
    head: &Head,
) -> Option<Answer> {
    let site = &guarded.site;
    let target = match view::judge_target(head, site.encoded_slashes) {
        Ok(target) if site.is_evaded_by(&head.method, &target) => {
            return Some(turn_down(
                session,
                passage,
                head,
                Unfit {
                    reason: Reason::MalformedRequest,
                    status: 400,
                },
            ));
        }
        Ok(target) => target,
        Err(unfit) => return Some(turn_down(session, passage, head, unfit)),
    };
    let mut cookies = PresentedCookies::read(&site.cookies, head.cookie_fields());
    let rest = cookies.rest.take();
    let request = head.view(&target, &cookies);
    note(passage, &request, site);
    let mut facts = Facts::default();
    let verdict = loop {
        match decide(&request, site, &facts, passage.now) {
            Decision::Needs(question) => fetch::fill(question, &mut facts, session, passage).await,
            Decision::Settled(verdict) => break verdict,
        }
    };
    passage.outcome = label(verdict.label());
    passage.reason = verdict.reason;
    passage.rule = site
        .demand(request.method, target.decoded_path())
        .pattern
        .cloned();
    passage.cookies = verdict.cookies;
    let ahead =
        matches!(&verdict.outcome, Outcome::Forward(grant) if grant.renew_ahead().is_some());
    if ahead || !passage.cookies.is_empty() {
        passage.presented = cookies
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
                let client = passage.client;
                passage.ahead = Some(passage.runtime.renew_ahead(
                    guarded,
                    renewable,
                    client,
                    &passage.request_id,
                ));
            }
            upstream::leave_behind(session.req_header_mut(), rest);
            passage.granted = Some(Granted {
                visitor: grant.visitor().cloned(),
                token,
                used_authorization,
            });
            passage.asked_upstream = Some(decided(passage));
            None
        }
    }
}

/// What the answer will need to know of the request.
fn note(passage: &mut Passage, request: &RequestView<'_>, site: &Site) {
    passage.navigation = request.is_navigation() || request.is_form_post();
    passage.websocket = request.marks.websocket;
    passage.reader = cors::reader(request, site).map(ToString::to_string);
    passage.form_cookie = request.cookies.form.value().map(str::to_owned);
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
pub(super) fn refuse_mended_line(session: &mut Session, passage: &mut Passage) -> Answer {
    let head = Head::of(session.req_header());
    passage.request_id = request_id(None);
    believe(session, passage, &head);
    turn_down(
        session,
        passage,
        &head,
        Unfit {
            reason: Reason::MalformedRequest,
            status: 400,
        },
    )
}

/// An answer to what never became a request.
fn turn_down(session: &mut Session, passage: &mut Passage, head: &Head, unfit: Unfit) -> Answer {
    let marks = head.marks();
    passage.navigation = marks.fetch_mode == Some("navigate")
        || (marks.fetch_mode.is_none()
            && marks
                .accept
                .is_some_and(|accept| accept.contains("text/html")));
    passage.reason = unfit.reason;
    passage.outcome = OutcomeLabel::Refused;
    // Whatever follows on this connection may be the other half of an attempt to smuggle.
    passage.close = true;
    limit(session, passage, head);
    let mut problem = Problem::new(unfit.reason).under(unfit.status);
    if unfit.reason == Reason::MethodNotAllowed {
        problem.allow = Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    Answer::Problem(problem)
}

fn limit(session: &mut Session, passage: &Passage, head: &Head) {
    let limits = &passage.runtime.settings().server.limits;
    session.set_read_timeout(Some(limits.upstream_idle));
    session.set_write_timeout(Some(limits.upstream_idle));
    session.set_total_drain_timeout(Some(limits.header_timeout));
    if head.is_chunked() {
        // Pingora takes an empty chunk size for the end of the body, others pass over the line:
        // what is left on the wire then is for neither to read as a request.
        session.set_keepalive(None);
    }
}

/// Whom we believe to be the client.
fn believe(session: &Session, passage: &mut Passage, head: &Head) {
    let Some(peer) = server::peer(session) else {
        return;
    };
    let chain = forward::chain(
        peer.address,
        texts(&head.forwarded_for),
        &passage.runtime.settings().server.trusted_proxies,
    );
    if chain.peer_is_trusted && !head.forwarded.is_empty() {
        let earlier: Vec<&str> = texts(&head.forwarded).collect();
        passage.forwarded_before = (!earlier.is_empty()).then(|| earlier.join(", "));
    }
    let told = |text: Option<String>| {
        text.and_then(|text| text.try_into().ok())
            .or_else(|| Some(peer.text.clone()))
    };
    passage.forwarded_for = told(chain.forwarded_for);
    passage.real_ip = told((chain.client != peer.address).then(|| forward::address(chain.client)));
    passage.peer = Some(peer.address);
    passage.client = Some(chain.client);
}

fn texts(fields: &[HeaderValue]) -> impl DoubleEndedIterator<Item = &str> {
    fields.iter().filter_map(|value| value.to_str().ok())
}

/// Theirs, where it is fit to be kept, else a new one.
pub(super) fn request_id(theirs: Option<&HeaderValue>) -> String {
    match theirs
        .and_then(|value| value.to_str().ok())
        .filter(|id| forward::keeps_request_id(id))
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
        assert_eq!(caught(good).await, Ok(7));
        let bad = pin!(async {
            tokio::task::yield_now().await;
            panic!("in the middle");
        });
        let fallen: Result<(), _> = caught(bad).await;
        assert_eq!(fallen, Err(Panicked));
    }
}
