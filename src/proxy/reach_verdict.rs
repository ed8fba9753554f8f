//! Asks `decide` about a request and looks up what it needs to know.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pingora::proxy::Session;

use crate::decide::{Decision, Facts, Known, Verdict, decide};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::token::TokenError;
use crate::runtime::SiteRuntime;
use crate::telemetry::labels::SignOutCause;

use super::decision_time;
use super::request_state::RequestState;
use super::resolve;

/// Asks `decide` and resolves its questions until there is a verdict, which is recorded.
pub(super) async fn reach_verdict<'a>(
    request: &RequestView<'a>,
    facts: &mut Facts,
    session: &mut Session,
    ctx: &mut RequestState,
    site_runtime: &Arc<SiteRuntime>,
) -> Verdict<'a> {
    let site = &site_runtime.site;
    let verdict = loop {
        match decide(request, site, facts, ctx.now) {
            Decision::Needs(question) => {
                let mut waited = Duration::ZERO;
                let answer = resolve::resolve(question, facts, session, ctx, site_runtime);
                decision_time::measure_waits(pin!(answer), &mut waited).await;
                ctx.waited += waited;
            }
            Decision::Settled(verdict) => break verdict,
        }
    };
    ctx.record_verdict(request, site, &verdict);
    if is_session_lost(facts, verdict.reason) {
        let metrics = &site_runtime.metrics;
        metrics.unexpected_sign_out(SignOutCause::StoreLost);
    }
    tracing::debug!(
        request_id = ctx.request_id,
        site = site.name,
        reason = verdict.reason.as_str(),
        waited_ms = ctx.waited.as_secs_f64() * 1e3,
        "decided"
    );
    verdict
}

/// Whether a visitor is signed out because the store does not know the session, and no refresh
/// token was there to start another one.
fn is_session_lost(facts: &Facts, reason: Reason) -> bool {
    reason == Reason::SignedOut
        && matches!(facts.session, Known::Absent(TokenError::Expired))
        && matches!(facts.refresh, Known::NotAsked)
}
