//! Everything one request needs, built from settings, opened by nobody yet, swapped whole on
//! reload.
//!
//! [`build()`] makes a [`Runtime`] beside the living one; what did not change (a provider with its
//! keys, the store, the numbers, the renewals in flight) is carried over. A request takes one
//! `Arc<Runtime>` and sees one configuration from start to end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::config::settings::Settings;
use crate::model::credential::SealingKeys;
use crate::model::origin::Host;
use crate::model::redirect_loop::LoopIdentity;
use crate::model::site::Site;
use crate::model::site_headers::SiteHeaders;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::pages::PageTheme;
use crate::provider::http_client::HttpClient;
use crate::store::{Stores, ThrottleKeys};
use crate::system::Clock;
use crate::telemetry::audit::AuditContext;
use crate::telemetry::{Metrics, SiteMetrics};

mod assertion;
mod build;
mod checking;
pub mod cookie_keys;
mod devices;
mod flight;
mod issuing;
pub mod keeping;
mod landing;
mod leases;
mod provider_client;
mod remembered;
mod renewal;
mod renewing;
mod rounds;
mod sessions;
mod signing_in;
mod signing_out;
pub mod state;
mod stepping;
mod streams;
mod unsent;
mod upstreams;

pub use build::{BuildError, build};
pub use checking::CredentialError;
pub use provider_client::ProviderClient;
pub use renewing::{EarlyRefresh, RefreshError};
pub use signing_in::{Attempt, LoginError};
pub use stepping::Continuation;
pub use streams::Streams;
pub use upstreams::Upstreams;

use assertion::Assertions;
use leases::Leases;
use remembered::RememberedTokens;
use renewal::Flights;
use rounds::Rounds;
use sessions::RememberedSessions;

/// The configuration in force; replaced whole.
pub struct RuntimeHandle(ArcSwap<Runtime>);

impl RuntimeHandle {
    /// Starts with `runtime`.
    #[must_use]
    pub fn new(runtime: Runtime) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(runtime)))
    }

    /// The one in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Runtime> {
        self.0.load_full()
    }

    /// Puts `runtime` in force; requests in flight finish on what they began with.
    pub fn replace(&self, runtime: Runtime) {
        self.0.store(Arc::new(runtime));
    }
}

/// Everything one request needs.
pub struct Runtime {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    providers: HashMap<String, Arc<ProviderClient>>,
    sites: Vec<Arc<SiteRuntime>>,
    /// By the text of each [`Host`].
    by_host: BTreeMap<String, Arc<SiteRuntime>>,
    sealing: SealingKeys,
    /// Makes the marks of accounts on devices, one for each key that seals, in their order.
    device_marks: Vec<ThrottleKeys>,
    /// When the key that seals was made, where that is known.
    sealing_since: Option<Timestamp>,
    assertions: Arc<Assertions>,
    no_site: Arc<SiteMetrics>,
}

/// What outlives every configuration.
struct Shared {
    clock: Clock,
    metrics: Metrics,
    stores: Stores,
    flights: Arc<Flights>,
    leases: Leases,
    rounds: Rounds,
    throttle_keys: ThrottleKeys,
    /// Asks upstreams whether they live, beside the calls to providers.
    probes: HttpClient,
}

impl Shared {
    fn new(clock: Clock, probes: HttpClient, storage: Storage) -> Self {
        let Storage {
            stores,
            throttle_keys,
        } = storage;
        let leases = Leases::new(&stores);
        Self {
            clock,
            metrics: Metrics::new(),
            stores,
            flights: Arc::default(),
            leases,
            rounds: Rounds::new(),
            throttle_keys,
            probes,
        }
    }
}

/// Where things rest.
struct Storage {
    stores: Stores,
    throttle_keys: ThrottleKeys,
}

/// A site with everything that serves it.
pub struct SiteRuntime {
    /// What the operator wrote.
    pub site: Arc<Site>,
    /// How its pages look.
    pub look: PageTheme,
    /// Its numbers.
    pub metrics: Arc<SiteMetrics>,
    /// Where its application listens.
    pub upstreams: Upstreams,
    /// Its responses that stay open.
    pub streams: Arc<Streams>,
    /// Header values that are the same for every request.
    pub headers: SiteHeaders,
    provider: Arc<ProviderClient>,
    tokens: RememberedTokens,
    sessions: RememberedSessions,
}

/// On whose behalf something is found out.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    /// The site.
    pub site_runtime: &'a Arc<SiteRuntime>,
    /// The believed client address.
    pub client: std::net::IpAddr,
    /// The request's id.
    pub request_id: &'a str,
    /// The request's one reading of the clock.
    pub now: Timestamp,
}

impl<'a> RequestContext<'a> {
    fn audit_context(&self) -> AuditContext<'a> {
        AuditContext {
            site: &self.site_runtime.site.name,
            request_id: self.request_id,
            client: self.client,
        }
    }
}

impl Runtime {
    /// What the operator wrote.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock of this process.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The site that `host` names.
    #[must_use]
    pub fn site_for(&self, host: &Host) -> Option<&Arc<SiteRuntime>> {
        self.site_called(&host.to_string())
    }

    /// The site of a host that is written as [`Host`] writes it; spelled otherwise it has to be
    /// read first.
    #[must_use]
    pub fn site_called(&self, host: &str) -> Option<&Arc<SiteRuntime>> {
        self.by_host.get(host)
    }

    /// Every site, in written order.
    #[must_use]
    pub fn sites(&self) -> &[Arc<SiteRuntime>] {
        &self.sites
    }

    /// Every provider.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<ProviderClient>> {
        self.providers.values()
    }

    /// The numbers of this process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// All numbers in Prometheus's text format, those that are looked up for it included.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        self.shared
            .metrics
            .sessions(self.shared.stores.sessions.count());
        if let Some(since) = self.sealing_since {
            self.shared
                .metrics
                .cookie_key_age(since.until(self.shared.clock.now()));
        }
        self.shared.metrics.render()
    }

    /// The numbers of a request's site, or of requests that belong to none.
    #[must_use]
    pub fn site_metrics<'a>(&'a self, site_runtime: Option<&'a SiteRuntime>) -> &'a SiteMetrics {
        site_runtime.map_or(&*self.no_site, |site_runtime| &*site_runtime.metrics)
    }

    /// The public keys of the signed assertion, a JWKS document.
    #[must_use]
    pub fn assertion_keys(&self) -> String {
        self.assertions.public()
    }

    /// Counts one more round of this visitor at this address; how many there were lately, this one
    /// included. Whoever shows no cookie is told from others by the believed address and
    /// `user_agent`.
    #[must_use]
    pub fn count_round(
        &self,
        context: RequestContext<'_>,
        (by, target): (LoopIdentity<'_>, &str),
        user_agent: Option<&[u8]>,
    ) -> u32 {
        let client = (by == LoopIdentity::Client).then_some((context.client, user_agent));
        self.shared.rounds.count(
            (&context.site_runtime.site.name, by, client, target),
            context.now,
        )
    }

    /// The signed assertion about `visitor` for the application of `site`.
    #[must_use]
    pub fn assertion(&self, site: &Site, principal: &Principal, now: Timestamp) -> HeaderValue {
        self.assertions.about(principal, site, now)
    }

    /// Whether every provider's keys are loaded and the store answers.
    ///
    /// # Errors
    /// What is missing, in words for an operator.
    pub async fn ready(&self) -> Result<(), String> {
        for provider in self.providers.values() {
            if provider.keys.current().is_none() {
                return Err(format!(
                    "the keys of provider {} are not loaded yet",
                    provider.name
                ));
            }
        }
        self.shared
            .stores
            .connection
            .ready()
            .await
            .map_err(|error| error.to_string())
    }
}
