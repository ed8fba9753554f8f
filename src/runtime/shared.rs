//! What outlives every configuration: a reload carries it over.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::store::{RevocationListener, Stores, ThrottleKeys};
use crate::system::{self, Clock};
use crate::telemetry::Metrics;

use super::acme::Acme;
use super::basic_auth::LoginsInFlight;
use super::basic_memory::BasicMemory;
use super::handover::Handover;
use super::hooks::HookGate;
use super::redirect_loop::RedirectCounter;
use super::refresh::lock::Leases;
use super::refresh::{InFlight, RefreshBackoff};
use super::revocation_queue::RevocationQueue;
use super::saved_state::SavedState;
use super::streams::OpenStreams;
use super::traces::SpanExport;

/// What outlives every configuration.
pub(super) struct Shared {
    pub clock: Clock,
    /// Whether the process was asked to stop.
    pub stopping: AtomicBool,
    pub metrics: Arc<Metrics>,
    /// The spans of recorded requests on their way out.
    pub spans: SpanExport,
    pub stores: Stores,
    pub leases: Arc<Leases>,
    /// The certificates that come by themselves.
    pub acme: Arc<Acme>,
    /// The responses that stay open, which a revocation ends.
    pub streams: Arc<OpenStreams>,
    /// Refresh tokens to be revoked at their providers.
    pub revocation_queue: Arc<RevocationQueue>,
    /// Saves revocations for the next start.
    pub saved_state: Arc<SavedState>,
    /// What this process and the one that takes its place tell each other.
    pub handover: Arc<Handover>,
    /// The refreshes of this process that run now.
    pub in_flight: Arc<InFlight>,
    /// The refreshes that failed a moment ago.
    pub refresh_backoff: Arc<RefreshBackoff>,
    pub redirects: Arc<RedirectCounter>,
    /// The Basic credentials that the providers have accepted.
    pub basic_memory: Arc<BasicMemory>,
    /// The logins with Basic credentials that run now.
    pub basic_in_flight: Arc<LoginsInFlight>,
    pub throttle_keys: Arc<ThrottleKeys>,
    /// Limits messages that turn out to be nobody's.
    pub hook_gate: Arc<HookGate>,
}

impl Shared {
    /// What starts with the process: nothing in flight, nothing measured.
    pub fn new(clock: Clock, stores: Stores, throttle_keys: ThrottleKeys) -> Self {
        let streams = Arc::new(OpenStreams::default());
        stores
            .revocations
            .listen(Arc::clone(&streams) as Arc<dyn RevocationListener>);
        let saved_state = Arc::new(SavedState::new(&stores, clock.clone()));
        let metrics = Arc::new(Metrics::new());
        metrics.configured(clock.now());
        let handover = Handover::new(&stores, Arc::clone(&saved_state), clock.clone());
        let queue = RevocationQueue::new(&stores, clock.clone(), Arc::clone(&saved_state));
        let leases = Arc::new(Leases::new(&stores, clock.clone()));
        let acme = Acme::new(&stores, clock.clone(), Arc::clone(&metrics));
        Self {
            clock,
            stopping: AtomicBool::new(false),
            spans: SpanExport::new(&metrics),
            metrics,
            acme: Arc::new(acme),
            leases,
            stores,
            streams,
            revocation_queue: Arc::new(queue),
            saved_state,
            handover: Arc::new(handover),
            in_flight: Arc::default(),
            refresh_backoff: Arc::default(),
            redirects: Arc::new(RedirectCounter::new()),
            basic_memory: Arc::new(BasicMemory::new(system::random())),
            basic_in_flight: Arc::default(),
            throttle_keys: Arc::new(throttle_keys),
            hook_gate: Arc::default(),
        }
    }
}
