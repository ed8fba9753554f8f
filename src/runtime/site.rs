//! A site with everything that serves its requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::constant_upstream_headers::SiteHeaders;
use crate::model::origin::Host;
use crate::model::site::Site;
use crate::model::token::Principal;
use crate::pages::PageTheme;
use crate::provider::verify::token_key;
use crate::telemetry::SiteMetrics;

use super::load_balancer::LoadBalancer;
use super::provider_client::ProviderClient;
use super::revocation_ids::RevocationIds;
use super::service_token_uses::ServiceTokenUses;
use super::sessions::cache::SessionCache;
use super::streams::Streams;
use super::tokens::cache::{CachedToken, TokenCache};

/// A site with everything that serves its requests.
pub struct SiteRuntime {
    /// The site as the operator configured it.
    pub site: Arc<Site>,
    /// The theme of its pages.
    pub theme: PageTheme,
    /// Its metrics.
    pub metrics: Arc<SiteMetrics>,
    /// The backends of its application.
    pub load_balancer: LoadBalancer,
    /// Its responses that stay open.
    pub streams: Streams,
    /// Header values that are the same for every request.
    pub headers: SiteHeaders,
    /// Which uses of its service tokens are recorded.
    pub service_token_uses: ServiceTokenUses,
    pub(super) provider: Arc<ProviderClient>,
    pub(super) token_cache: TokenCache,
    pub(super) session_cache: SessionCache,
    /// Whether the provider's last answer to a refresh left the refresh token as it was: then it
    /// may be presented again.
    pub(super) reusable_refresh_tokens: AtomicBool,
}

impl SiteRuntime {
    /// The runtime of `site`, with empty caches. From `previous` it takes over the open streams,
    /// and what is known of the upstreams and of the provider.
    ///
    /// # Errors
    /// Why the site cannot be served, in words for an operator.
    pub(super) fn new(
        site: &Arc<Site>,
        provider: &Arc<ProviderClient>,
        metrics: Arc<SiteMetrics>,
        streams: Streams,
        previous: Option<&Self>,
    ) -> Result<Self, String> {
        let reusable = previous.is_some_and(|previous| {
            previous.site.provider == site.provider
                && previous.reusable_refresh_tokens.load(Ordering::Relaxed)
        });
        Ok(Self {
            site: Arc::clone(site),
            theme: PageTheme::of(&site.theme).map_err(|error| error.to_string())?,
            load_balancer: LoadBalancer::new(
                site,
                &metrics,
                previous.map(|before| &before.load_balancer),
            ),
            metrics,
            streams,
            headers: SiteHeaders::new(&site.name, &site.origin)
                .map_err(|_| "its name or origin is no header value")?,
            service_token_uses: ServiceTokenUses::new(&site.service_tokens),
            provider: Arc::clone(provider),
            token_cache: TokenCache::new(),
            session_cache: SessionCache::new(),
            reusable_refresh_tokens: AtomicBool::new(reusable),
        })
    }

    /// Everything under which the token of `principal` can be revoked.
    pub(super) fn revocation_ids(&self, principal: &Principal) -> RevocationIds {
        RevocationIds::of(self.provider.realm(), &self.site.application_id, principal)
    }

    /// Caches a token that the keys of `generation` have just verified.
    pub(super) fn cache_token(
        &self,
        token: &str,
        generation: u64,
        principal: &Arc<Principal>,
    ) -> Arc<CachedToken> {
        let verified = Arc::new(CachedToken {
            principal: Arc::clone(principal),
            revocation_ids: self
                .revocation_ids(principal)
                .with_credential(self.provider.realm(), &token_key(token)),
        });
        self.token_cache
            .put(token, generation, Arc::clone(&verified));
        verified
    }

    /// Logs that a token of the provider is not valid yet.
    pub(super) fn warn_of_clocks(&self) {
        tracing::error!(
            site = self.site.name,
            provider = self.provider.name,
            "a token of the provider is not valid yet: compare the clocks"
        );
    }
}

/// The sites by every host that they answer to.
pub(super) fn by_host(sites: &[Arc<SiteRuntime>]) -> BTreeMap<String, Arc<SiteRuntime>> {
    sites
        .iter()
        .flat_map(|site_runtime| {
            hosts(&site_runtime.site)
                .into_iter()
                .map(|host| (host.to_string(), Arc::clone(site_runtime)))
        })
        .collect()
}

/// Every `Host` of a site: with its port, and without it where it is the default.
fn hosts(site: &Site) -> Vec<Host> {
    let origin = &site.origin;
    let own = Host {
        name: origin.name.clone(),
        port: Some(origin.port),
    };
    std::iter::once(&own)
        .chain(&site.aliases)
        .flat_map(|host| {
            let port = host.port.unwrap_or(origin.scheme.default_port());
            let bare = (port == origin.scheme.default_port()).then(|| Host {
                name: host.name.clone(),
                port: None,
            });
            std::iter::once(Host {
                name: host.name.clone(),
                port: Some(port),
            })
            .chain(bare)
        })
        .collect()
}
