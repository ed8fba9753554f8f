//! What serves requests, built from settings and replaced as a whole on reload.
//!
//! [`build()`] makes a [`Runtime`] beside the one in force and opens no connection. What did not
//! change is carried over: a provider with its keys, the stores, the metrics, the refreshes in
//! flight. A request takes one `Arc<Runtime>` and sees one configuration from start to end.
//!
//! Each concept is a struct that holds what it needs, and is called by name:
//! `runtime.tokens.verify(…)`, `runtime.refresh.run(…)`. Imports between concepts run one way, each
//! line may import those above it:
//!
//! ```text
//! revocation_ids
//! streams, upstreams, service_token_uses, state_dir, cookie_keys, token_check, provider_call, provider_client
//! token and session caches
//! connectors, traces, site, request_context, assertion, redirect_loop, basic_memory
//! revocation_schedule, saved_state, handover, revocation_queue
//! revocation
//! tokens
//! sessions
//! refresh, unchecked_logouts
//! login, early_refresh, logout, hooks
//! basic_auth, preserved_post
//! acme, tls
//! Runtime, status, build, background
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::settings::Settings;
use crate::model::origin::Host;
use crate::model::request_limits::HeadLimits;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::system::Clock;
use crate::telemetry::{Metrics, SiteMetrics};

pub mod acme;
pub mod assertion;
pub mod background;
pub mod basic_auth;
pub mod basic_memory;
mod build;
mod build_error;
mod connectors;
pub mod cookie_keys;
pub mod early_refresh;
pub mod handover;
pub mod hooks;
pub mod load_balancer;
pub mod login;
pub mod logout;
pub mod preserved_post;
mod provider_call;
pub mod provider_client;
pub mod redirect_loop;
pub mod refresh;
mod request_context;
pub mod revocation;
mod revocation_ids;
mod revocation_queue;
mod revocation_schedule;
mod runtime_handle;
mod saved_state;
mod service_token_uses;
pub mod sessions;
mod shared;
mod site;
mod state_dir;
pub mod status;
pub mod streams;
pub mod tls;
mod token_check;
pub mod tokens;
pub mod traces;
mod unchecked_logouts;
pub mod upstream_checks;

pub use build::{build, build_with};
pub use build_error::BuildError;
pub use connectors::{Connectors, Network};
pub use request_context::RequestContext;
pub use runtime_handle::RuntimeHandle;
pub use site::SiteRuntime;
pub use state_dir::replace as replace_file;

use assertion::Assertions;
use basic_auth::BasicAuth;
use early_refresh::EarlyRefresh;
use handover::Handover;
use hooks::Hooks;
use login::Login;
use logout::Logout;
use preserved_post::PreservedPosts;
use provider_client::ProviderClient;
use redirect_loop::RedirectCounter;
use refresh::Refresh;
use revocation::Revocation;
use sessions::Sessions;
use shared::Shared;
use status::Status;
use tls::TlsListeners;
use tokens::Tokens;
use traces::Traces;

/// What serves requests under one configuration.
pub struct Runtime {
    /// Verifies access tokens.
    pub tokens: Tokens,
    /// Loads server-side sessions.
    pub sessions: Arc<Sessions>,
    /// Refreshes access tokens.
    pub refresh: Arc<Refresh>,
    /// Refreshes access tokens before they expire, while the application answers.
    pub early_refresh: EarlyRefresh,
    /// Signs people in.
    pub login: Arc<Login>,
    /// Checks Basic credentials.
    pub basic_auth: BasicAuth,
    /// Signs people out.
    pub logout: Logout,
    /// Takes the messages of providers that end sign-ins.
    pub hooks: Hooks,
    /// Knows which sign-ins were revoked.
    pub revocation: Arc<Revocation>,
    /// Preserves forms that were posted after the session had ended.
    pub preserved_posts: PreservedPosts,
    /// Detects redirect loops.
    pub redirects: Arc<RedirectCounter>,
    /// The metrics page and the readiness check.
    pub status: Status,
    /// What the TLS listeners need, and the answers to the ACME server.
    pub tls: Arc<TlsListeners>,
    /// Records a share of the requests, where that is configured.
    pub traces: Option<Arc<Traces>>,
    /// Signs assertions for applications.
    pub assertions: Arc<Assertions>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    providers: HashMap<String, Arc<ProviderClient>>,
    sites: Vec<Arc<SiteRuntime>>,
    /// By the text of each [`Host`].
    by_host: BTreeMap<String, Arc<SiteRuntime>>,
    /// The metrics of requests that belong to no site.
    no_site: Arc<SiteMetrics>,
}

impl Runtime {
    /// The settings that the runtime was built from.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock of this process.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Notes that the process was asked to stop. Every configuration of this process is told.
    pub fn begin_stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
    }

    /// Whether the process was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// The change to a process that takes the place of this one.
    #[must_use]
    pub fn handover(&self) -> &Arc<Handover> {
        &self.shared.handover
    }

    /// Whether connections are closed after their responses: this process stops, or another one
    /// accepts the connections.
    #[must_use]
    pub fn closes_connections(&self) -> bool {
        self.is_stopping() || self.shared.handover.is_handed_over()
    }

    /// Refuses every token and session of the sign-in `key` at `provider` until `until`, because
    /// the provider has ended it, and closes its open streams. Nothing where there is no such
    /// provider.
    pub async fn revoke(&self, provider: &str, key: &RevocationKey, until: Timestamp) {
        if let Some(provider) = self.providers.get(provider) {
            self.revocation.revoke(provider, key, until).await;
        }
    }

    /// The site that answers to `host`.
    #[must_use]
    pub fn site_for(&self, host: &Host) -> Option<&Arc<SiteRuntime>> {
        self.site_called(&host.to_string())
    }

    /// The site that answers to a host in the spelling of [`Host`]. A host in another spelling is
    /// not found: parse it first.
    #[must_use]
    pub fn site_called(&self, host: &str) -> Option<&Arc<SiteRuntime>> {
        self.by_host.get(host)
    }

    /// Every site, in the order of the configuration.
    #[must_use]
    pub fn sites(&self) -> &[Arc<SiteRuntime>] {
        &self.sites
    }

    /// The limits of a head whose site is not known yet: whatever a site accepts, they accept.
    #[must_use]
    pub fn largest_head(&self) -> HeadLimits {
        self.sites
            .iter()
            .map(|site_runtime| site_runtime.site.limits.head)
            .fold(HeadLimits::default(), HeadLimits::or)
    }

    /// The metrics of this process.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The metrics of a request's site, or of requests that belong to none.
    #[must_use]
    pub fn site_metrics<'a>(&'a self, site_runtime: Option<&'a SiteRuntime>) -> &'a SiteMetrics {
        site_runtime.map_or(&*self.no_site, |site_runtime| &*site_runtime.metrics)
    }
}
