//! One request's way through the gateway: what is known of it from its first byte to its log line.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::task::JoinHandle;

use crate::model::local_response::CookieChange;
use crate::model::reason::Reason;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::runtime::{EarlyRefresh, Runtime, SiteRuntime};
use crate::system;
use crate::telemetry::StreamGuard;
use crate::telemetry::labels::OutcomeLabel;

use super::server::StreamCloseGuard;

/// What Pingora calls the context of a request.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request, not a state"
)]
pub struct ProxyContext {
    /// The configuration this request sees from start to end.
    pub(super) runtime: Arc<Runtime>,
    pub(super) started: Instant,
    /// The one reading of the clock.
    pub(super) now: Timestamp,
    pub(super) request_id: String,
    /// The site, once found.
    pub(super) site_runtime: Option<Arc<SiteRuntime>>,
    /// The believed client address.
    pub(super) client: Option<IpAddr>,
    /// Who is at the other end of the connection.
    pub(super) peer: Option<IpAddr>,
    /// The value for `X-Forwarded-For`.
    pub(super) forwarded_for: Option<HeaderValue>,
    /// The value for `X-Real-IP`: the client.
    pub(super) real_ip: Option<HeaderValue>,
    /// The `Forwarded` field of a trusted proxy.
    pub(super) forwarded_before: Option<String>,
    /// The rule that matched, or what stood in its place.
    pub(super) rule: Option<Arc<str>>,
    /// Whether a person looks at a page.
    pub(super) navigation: bool,
    /// Whether a body is sent, or whatever comes after a handshake.
    pub(super) sends: bool,
    /// The names of the gateway's cookies that arrived, where some of them change.
    pub(super) presented: Vec<String>,
    /// The listed origin whose page sent the request.
    pub(super) reader: Option<String>,
    /// The value of the form's cookie that arrived.
    pub(super) form_cookie: Option<String>,
    /// What happens to the visitor's cookies, whoever answers.
    pub(super) cookies: Vec<CookieChange>,
    /// Set only by a grant: without it nothing is forwarded.
    pub(super) granted: Option<Granted>,
    /// A renewal that runs beside the upstream call.
    pub(super) ahead: Option<JoinHandle<EarlyRefresh>>,
    pub(super) outcome: OutcomeLabel,
    pub(super) reason: Reason,
    pub(super) status: u16,
    /// Whether the response comes from the application.
    pub(super) forwarded_response: bool,
    /// Whether the connection ends with the answer.
    pub(super) close: bool,
    /// Upstreams that could not be connected to, by position.
    pub(super) tried: Vec<usize>,
    pub(super) asked_upstream: Option<Instant>,
    pub(super) upstream_took: Option<Duration>,
    pub(super) stream: Option<StreamGuard>,
    /// Closes that stream when the visitor's session ends.
    pub(super) closing: Option<StreamCloseGuard>,
    pub(super) websocket: bool,
}

/// What a grant says, kept for as long as Pingora may try upstreams.
#[derive(Clone)]
pub(super) struct Granted {
    pub(super) principal: Option<Arc<Principal>>,
    /// The access token the visitor came with or was renewed to, for `forward_token`.
    pub(super) token: Option<Arc<str>>,
    /// Whether the request's `Authorization` was the gateway's to use.
    pub(super) used_authorization: bool,
}

impl ProxyContext {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        let now = runtime.clock().now();
        Self {
            runtime,
            started: system::stopwatch(),
            now,
            request_id: String::new(),
            site_runtime: None,
            client: None,
            forwarded_for: None,
            real_ip: None,
            forwarded_before: None,
            peer: None,
            rule: None,
            navigation: false,
            sends: false,
            presented: Vec::new(),
            reader: None,
            form_cookie: None,
            cookies: Vec::new(),
            granted: None,
            ahead: None,
            outcome: OutcomeLabel::Failed,
            reason: Reason::Internal,
            status: 0,
            forwarded_response: false,
            close: false,
            tried: Vec::new(),
            asked_upstream: None,
            upstream_took: None,
            stream: None,
            closing: None,
            websocket: false,
        }
    }

    pub(super) fn site(&self) -> Option<&Site> {
        self.site_runtime
            .as_ref()
            .map(|site_runtime| &*site_runtime.site)
    }
}
