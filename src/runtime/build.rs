//! From settings to a runtime: opens no socket, spawns nothing, and takes over from the previous
//! one what did not change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::settings::{self, Settings};
use crate::model::credential::SealingKeys;
use crate::model::origin::Host;
use crate::model::site::Site;
use crate::model::site_headers::SiteHeaders;
use crate::model::timestamp::Timestamp;
use crate::pages::PageTheme;
use crate::provider;
use crate::provider::http_client::HttpClient;
use crate::provider::jwks_cache::JwksCache;
use crate::store::{self, Scope, ThrottleKeys};
use crate::system::{self, Clock};

use super::assertion::Assertions;
use super::remembered::RememberedTokens;
use super::sessions::RememberedSessions;
use super::upstreams::Upstreams;
use super::{ProviderClient, Runtime, Shared, SiteRuntime, Storage, cookie_keys, state};

/// Why settings that were checked cannot be brought to life here; in words for an operator.
#[derive(Debug)]
pub struct BuildError(pub String);

impl std::fmt::Display for BuildError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// Builds a runtime from `settings`, beside `previous` where there is one; then `clock` is the
/// previous one's.
///
/// # Errors
/// [`BuildError`] when keys cannot be made or read, or TLS cannot be set up.
pub fn build(
    settings: Settings,
    previous: Option<&Runtime>,
    clock: Clock,
) -> Result<Runtime, BuildError> {
    let shared = match previous {
        Some(previous) => Arc::clone(&previous.shared),
        None => Arc::new(shared(&settings, clock)?),
    };
    let settings = Arc::new(settings);
    let http = Arc::new(http_client()?);
    let mut providers = HashMap::new();
    for (name, wanted) in &settings.providers {
        let kept = previous
            .and_then(|runtime| runtime.providers.get(name))
            .filter(|provider_client| provider_client.settings == *wanted);
        let provider_client = match kept {
            Some(provider_client) => Arc::clone(provider_client),
            None => Arc::new(provider_client(name, wanted, &http, &shared)?),
        };
        providers.insert(name.clone(), provider_client);
    }
    let mut sites = Vec::with_capacity(settings.sites.len());
    let mut by_host = BTreeMap::new();
    for site in &settings.sites {
        let provider = providers
            .get(&site.provider)
            .ok_or_else(|| BuildError(format!("site {} names no provider", site.name)))?;
        let site_runtime = Arc::new(site_runtime(site, provider, &shared, previous)?);
        by_host.extend(
            hosts(site)
                .into_iter()
                .map(|host| (host.to_string(), Arc::clone(&site_runtime))),
        );
        sites.push(site_runtime);
    }
    let assertions = assertions(&settings, previous)?;
    let (cookie_keys, sealing_since) = cookie_keys(&settings, shared.clock.now())?;
    let no_key = || BuildError("no key to seal cookies with".into());
    let sealing = SealingKeys::new(&cookie_keys).ok_or_else(no_key)?;
    let device_marks = cookie_keys
        .iter()
        .map(|key| ThrottleKeys::shared(key))
        .collect();
    let no_site = shared.metrics.site("");
    Ok(Runtime {
        settings,
        shared,
        providers,
        sites,
        by_host,
        sealing,
        device_marks,
        sealing_since,
        assertions,
        no_site,
    })
}

fn shared(settings: &Settings, clock: Clock) -> Result<Shared, BuildError> {
    let stores = store::open(&settings.store).map_err(|error| BuildError(error.to_string()))?;
    let is_shared = stores.scope == Scope::Replicas;
    if is_shared && settings.cookie_keys.is_empty() {
        tracing::warn!(
            state_dir = %settings.state_dir.display(),
            "replicas open what others sealed only with the same keys: set `cookies.keys`, or share this folder"
        );
    }
    let throttle_keys = if is_shared {
        // Replicas count together, so they need the same keys: what they share already are those of
        // the cookies.
        let (keys, _) = cookie_keys(settings, clock.now())?;
        ThrottleKeys::shared(keys.first().map_or(&[], <[u8; 32]>::as_slice))
    } else {
        ThrottleKeys::new(system::random())
    };
    Ok(Shared::new(
        clock,
        http_client()?,
        Storage {
            stores,
            throttle_keys,
        },
    ))
}

fn http_client() -> Result<HttpClient, BuildError> {
    HttpClient::new().map_err(|error| BuildError(error.to_string()))
}

fn provider_client(
    name: &str,
    wanted: &settings::Provider,
    http: &Arc<HttpClient>,
    shared: &Shared,
) -> Result<ProviderClient, BuildError> {
    let build_error = |what: String| BuildError(format!("provider {name}: {what}"));
    let provider = provider::from_settings(wanted, Arc::clone(http))
        .map_err(|error| build_error(error.to_string()))?;
    let keys = JwksCache::from_settings(wanted).map_err(|error| build_error(error.to_string()))?;
    Ok(ProviderClient {
        name: name.to_owned(),
        keys,
        settings: wanted.clone(),
        algorithms: wanted.algorithms.clone(),
        provider,
        metrics: shared.metrics.provider(name),
    })
}

fn site_runtime(
    site: &Arc<Site>,
    provider: &Arc<ProviderClient>,
    shared: &Shared,
    previous: Option<&Runtime>,
) -> Result<SiteRuntime, BuildError> {
    let streams = previous
        .and_then(|runtime| {
            runtime
                .sites
                .iter()
                .find(|site_runtime| site_runtime.site.name == site.name)
        })
        .map_or_else(Arc::default, |site_runtime| {
            Arc::clone(&site_runtime.streams)
        });
    Ok(SiteRuntime {
        site: Arc::clone(site),
        look: PageTheme::of(&site.theme)
            .map_err(|fault| BuildError(format!("site {}: {fault}", site.name)))?,
        metrics: shared.metrics.site(&site.name),
        upstreams: Upstreams::new(&site.upstreams),
        streams,
        headers: SiteHeaders::new(&site.name, &site.origin).map_err(|_| {
            BuildError(format!(
                "site {}: its name or origin is no header value",
                site.name
            ))
        })?,
        provider: Arc::clone(provider),
        tokens: RememberedTokens::new(),
        sessions: RememberedSessions::new(),
    })
}

/// Every `Host` that names the site: with its port, and without where that is the default.
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

/// The keys, and when the first of them was made.
fn cookie_keys(
    settings: &Settings,
    now: Timestamp,
) -> Result<(Vec<[u8; 32]>, Option<Timestamp>), BuildError> {
    if settings.cookie_keys.is_empty() {
        let kept = cookie_keys::read(&settings.state_dir, now)
            .map_err(|error| no_state(settings, &error))?;
        return Ok((kept.keys, kept.made));
    }
    Ok((
        settings.cookie_keys.iter().map(|key| key.0).collect(),
        settings.cookie_key_made,
    ))
}

fn assertions(
    settings: &Settings,
    previous: Option<&Runtime>,
) -> Result<Arc<Assertions>, BuildError> {
    let wanted = |settings: &Settings| settings.sites.iter().any(|site| site.assertion);
    let same = |previous: &&Runtime| {
        previous.settings.state_dir == settings.state_dir
            && wanted(&previous.settings) == wanted(settings)
    };
    if let Some(previous) = previous.filter(same) {
        return Ok(Arc::clone(&previous.assertions));
    }
    let key = if wanted(settings) {
        state::assertion_key(&settings.state_dir).map_err(|error| no_state(settings, &error))?
    } else {
        state::new_assertion_key().map_err(|error| BuildError(error.to_string()))?
    };
    Assertions::new(&key)
        .map(Arc::new)
        .ok_or_else(|| BuildError("assertion.key is not an ES256 key".into()))
}

fn no_state(settings: &Settings, error: &std::io::Error) -> BuildError {
    BuildError(format!(
        "state_dir {}: {error}; make it writable, or set another state_dir",
        settings.state_dir.display()
    ))
}
