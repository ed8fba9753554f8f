//! What is known of one request, from its first byte to its access record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::decide::https_redirect::Arrival;
use crate::decide::{ApplicationCookies, Outcome, Verdict};
use crate::model::application_cookies::OwnerHash;
use crate::model::cookie_change::CookieChange;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::runtime::load_balancer::Attempts;
use crate::runtime::refresh::RefreshOutcome;
use crate::runtime::{Runtime, SiteRuntime};
use crate::system;
use crate::telemetry::{InFlightGuard, StreamGuard};

use super::asked_request::ForwardAuth;
use super::connection::{Connection, StreamCloseGuard};
use super::request_trace::RequestTrace;

/// What Pingora calls the context of a request.
pub(super) struct RequestState {
    /// The configuration of this request, from start to end: a reload does not change it.
    pub(super) runtime: Arc<Runtime>,
    /// The connection that the request arrived on.
    pub(super) connection: Arc<Connection>,
    /// When the request's head was complete, for measuring durations.
    pub(super) started: Instant,
    /// The same moment as a time of day: the one reading of the clock.
    pub(super) now: Timestamp,
    /// The trace of the request, where it is recorded.
    pub(super) trace: Option<Box<RequestTrace>>,
    /// The value of `X-Request-Id`.
    pub(super) request_id: String,
    /// Who sent the request.
    pub(super) client: Client,
    /// The site, once its host was looked up.
    pub(super) site_runtime: Option<Arc<SiteRuntime>>,
    /// The pattern of the rule that matched.
    pub(super) rule: Option<Arc<str>>,
    /// Set only by a grant: without it nothing is forwarded.
    pub(super) granted: Option<Granted>,
    /// A refresh that runs beside the call to the upstream.
    pub(super) early_refresh: Option<JoinHandle<RefreshOutcome>>,
    /// What forwarding the request needs and finds out.
    pub(super) upstream: UpstreamState,
    /// What the response depends on.
    pub(super) response: ResponseState,
    /// How long the decision has waited for providers, the store and the request's body.
    pub(super) waited: Duration,
    /// Counts the request as being served.
    pub(super) in_flight: Option<InFlightGuard>,
    /// Counts the response as open, where it is a stream.
    pub(super) stream: Option<StreamGuard>,
    /// Closes that stream when the client's session ends.
    pub(super) stream_close: Option<StreamCloseGuard>,
    /// The request that a proxy asks about, where this is such a question.
    pub(super) forward_auth: Option<Box<ForwardAuth>>,
    /// Whether the request is a health check, which is neither counted nor recorded.
    pub(super) is_health_check: bool,
    /// How the request came out, for the metrics and the access record.
    pub(super) outcome: OutcomeLabel,
    /// Why.
    pub(super) reason: Reason,
    /// The status of the response; 0 before there is one.
    pub(super) status: u16,
}

/// Who sent a request.
pub(super) struct Client {
    /// The client's address: the peer's, unless a trusted proxy names another.
    pub(super) address: IpAddr,
    /// What is known of the way of the request.
    pub(super) arrival: Arrival,
    /// The value of `X-Forwarded-For` for the upstream, where trusted proxies reported a chain;
    /// otherwise it is the peer alone.
    pub(super) forwarded_for: Option<HeaderValue>,
    /// The `Forwarded` fields of a trusted proxy, which the gateway's own element follows.
    pub(super) forwarded: Option<String>,
    /// The `traceparent` of a new trace, where the client's is none.
    pub(super) new_traceparent: Option<String>,
}

/// What forwarding a request needs and finds out.
#[derive(Default)]
pub(super) struct UpstreamState {
    /// Whether a body follows the head, or anything after an upgrade.
    pub(super) has_body: bool,
    /// Whether the request is a WebSocket handshake.
    pub(super) is_websocket: bool,
    /// The bytes of the body that were read for the current upstream.
    pub(super) body_bytes: u64,
    /// The addresses that were tried.
    pub(super) attempts: Attempts,
    /// When forwarding began.
    pub(super) started: Option<Instant>,
    /// When the last attempt began, where others before it failed.
    pub(super) retried: Option<Instant>,
    /// How long the upstream took to begin its response.
    pub(super) latency: Option<Duration>,
}

/// What the response to a request depends on.
#[derive(Default)]
pub(super) struct ResponseState {
    /// Whether a browser shows the response as a page.
    pub(super) is_navigation: bool,
    /// Whether the response comes from the upstream.
    pub(super) is_forwarded: bool,
    /// Whether the connection is closed after the response.
    pub(super) close: bool,
    /// The allowed origin whose page sent the request.
    pub(super) cors_origin: Option<String>,
    /// The value of the form cookie that arrived.
    pub(super) form_cookie: Option<String>,
    /// The names of the gateway's cookies that arrived, where some of them change.
    pub(super) presented_cookies: Vec<String>,
    /// Whose the application's cookies are, at a site that has `forget`.
    pub(super) owner: Option<ResponseOwner>,
    /// What happens to the client's cookies, whoever responds.
    pub(super) cookie_changes: Vec<CookieChange>,
}

/// Whose the application's cookies are.
pub(super) struct ResponseOwner {
    pub(super) owner: OwnerHash,
    /// The owner cookie of the request.
    pub(super) presented: Option<String>,
    /// The path of the request.
    pub(super) path: String,
}

/// What a grant says, kept for as long as Pingora may try upstreams.
#[derive(Clone)]
pub(super) struct Granted {
    pub(super) principal: Option<Arc<Principal>>,
    /// The access token that the client presented or that a refresh issued, for `forward_token`.
    pub(super) token: Option<Arc<str>>,
    /// Whether the request's `Authorization` was meant for the gateway.
    pub(super) used_authorization: bool,
}

impl RequestState {
    pub(super) fn new(runtime: Arc<Runtime>, connection: Arc<Connection>) -> Self {
        let now = runtime.clock().now();
        Self {
            runtime,
            started: system::stopwatch(),
            now,
            trace: None,
            request_id: String::new(),
            client: Client {
                address: connection.peer.address,
                arrival: Arrival::default(),
                forwarded_for: None,
                forwarded: None,
                new_traceparent: None,
            },
            connection,
            site_runtime: None,
            rule: None,
            granted: None,
            early_refresh: None,
            upstream: UpstreamState::default(),
            response: ResponseState::default(),
            waited: Duration::ZERO,
            in_flight: None,
            stream: None,
            stream_close: None,
            forward_auth: None,
            is_health_check: false,
            outcome: OutcomeLabel::Failed,
            reason: Reason::Internal,
            status: 0,
        }
    }

    /// Keeps of a verdict what the response and the records need.
    pub(super) fn record_verdict(
        &mut self,
        request: &RequestView<'_>,
        site: &Site,
        verdict: &Verdict<'_>,
    ) {
        self.outcome = verdict.label();
        self.reason = verdict.reason;
        let path = request.target.decoded_path();
        let requirement = site.match_rule(request.method, path, request.client);
        self.rule = requirement.pattern.cloned();
        self.response.cookie_changes.clone_from(&verdict.cookies);
        // The names are needed where cookies change, now or after an early refresh.
        let may_refresh =
            matches!(&verdict.outcome, Outcome::Forward(grant) if grant.early_refresh().is_some());
        if may_refresh || !verdict.cookies.is_empty() {
            let names = request.cookies.managed_names.iter();
            self.response.presented_cookies = names.map(|name| (*name).to_owned()).collect();
        }
    }

    /// Keeps whose the application's cookies are, for those that it sets in its response.
    pub(super) fn record_owner(
        &mut self,
        request: &RequestView<'_>,
        application_cookies: ApplicationCookies,
    ) {
        self.response.owner = application_cookies.owner.map(|owner| ResponseOwner {
            owner,
            presented: request.cookies.owner.value().map(str::to_owned),
            path: request.target.path().to_owned(),
        });
    }

    pub(super) fn site(&self) -> Option<&Site> {
        self.site_runtime
            .as_ref()
            .map(|site_runtime| &*site_runtime.site)
    }

    /// Notes that the request failed or was refused for `reason`.
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
