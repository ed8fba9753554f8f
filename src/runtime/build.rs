//! Builds a runtime from settings. It opens no socket, spawns nothing, and takes over from the
//! previous runtime what did not change.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::settings::{self, Settings};
use crate::model::sealing_keys::SealingKeys;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::provider;
use crate::provider::jwks_cache::JwksCache;
use crate::store::{Scope, ThrottleKeys};
use crate::system::{self, Clock};

use super::Runtime;
use super::acme::AcmeResponder;
use super::assertion::{self, Assertions};
use super::basic_auth::BasicAuth;
use super::build_error::BuildError;
use super::connectors::{Connectors, Network};
use super::cookie_keys::{self, CookieKeys};
use super::early_refresh::EarlyRefresh;
use super::hooks::{HookProvider, Hooks};
use super::login::{
    Challenges, Completion, Login, PasswordLogin, RateLimiter, RedirectLogins, SecondStep,
    TrustedDevices,
};
use super::logout::Logout;
use super::preserved_post::PreservedPosts;
use super::provider_client::ProviderClient;
use super::refresh::{PairIssuer, Refresh, RefreshWorker};
use super::revocation::Revocation;
use super::saved_state::{SavedStateContext, StateDirUse};
use super::sessions::Sessions;
use super::shared::Shared;
use super::site::{SiteRuntime, by_host};
use super::status::Status;
use super::streams::Streams;
use super::tls;
use super::tokens::Tokens;
use super::tokens::issue::TokenIssuer;
use super::traces::Traces;

/// The providers by name.
type Providers = HashMap<String, Arc<ProviderClient>>;

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
    build_with(settings, previous, clock, &Network)
}

/// [`build()`] with other connectors than [`Network`].
///
/// # Errors
/// As [`build()`].
pub fn build_with(
    mut settings: Settings,
    previous: Option<&Runtime>,
    clock: Clock,
    connectors: &dyn Connectors,
) -> Result<Runtime, BuildError> {
    let shared = match previous {
        Some(previous) => {
            // It changes with a restart: the keys in another one open nothing.
            settings.state_dir.clone_from(&previous.settings.state_dir);
            Arc::clone(&previous.shared)
        }
        None => Arc::new(shared(&settings, clock, connectors)?),
    };
    let settings = Arc::new(settings);
    let providers = providers(&settings, connectors, &shared, previous)?;
    let sites = sites(&settings, &providers, &shared, previous)?;
    let traces = Traces::build(&settings, previous, &shared.spans.queue, connectors)?;
    let assertions = assertions(&settings, previous)?;
    let used = StateDirUse::of(&settings.state_dir);
    let cookie_keys = cookie_keys(&settings, shared.clock.now())?;
    let sealing = SealingKeys::new(&cookie_keys.keys)
        .map(Arc::new)
        .ok_or_else(|| BuildError("no key to seal cookies with".into()))?;
    let acme = AcmeResponder::new(&shared.acme, &sealing);
    let tls = tls::build(&settings, previous, acme).map_err(BuildError)?;
    if previous.is_none() {
        let context = SavedStateContext::new(&settings.state_dir, &sealing);
        shared.saved_state.restore(&context, used);
    }
    let core = Core::new(&shared, &settings, &sealing);
    let devices = TrustedDevices::new(&sealing, &cookie_keys.keys, &core.revocation);
    let (devices, senders) = (Arc::new(devices), HookProvider::all(&settings, &providers));
    let login = Arc::new(login(&shared, settings.login, &core, &sealing, &devices));
    Ok(Runtime {
        tokens: Tokens::new(&core.revocation, &shared.metrics),
        early_refresh: core.early_refresh(),
        basic_auth: basic_auth(&shared, &core, &login),
        login,
        logout: core.logout(&sealing),
        preserved_posts: PreservedPosts {
            leases: Arc::clone(&shared.stores.leases),
            sealing,
            devices,
        },
        hooks: Hooks::new(senders, &core.revocation, &shared.hook_gate, &shared.clock),
        redirects: Arc::clone(&shared.redirects),
        no_site: shared.metrics.site(""),
        by_host: by_host(&sites),
        status: Status::new(&shared, &providers, cookie_keys.made, &tls),
        sessions: core.sessions,
        refresh: core.refresh,
        revocation: core.revocation,
        traces,
        assertions,
        settings,
        shared,
        providers,
        sites,
        tls,
    })
}

/// The concepts that several others need.
struct Core {
    revocation: Arc<Revocation>,
    sessions: Arc<Sessions>,
    refresh: Arc<Refresh>,
}

impl Core {
    fn new(shared: &Shared, settings: &Settings, sealing: &Arc<SealingKeys>) -> Self {
        let (stores, clock) = (&shared.stores, &shared.clock);
        let revocation = Arc::new(Revocation {
            store: Arc::clone(&stores.revocations),
            queue: Arc::clone(&shared.revocation_queue),
            saved_state: Arc::clone(&shared.saved_state),
            sealing: Arc::clone(sealing),
            clock: clock.clone(),
        });
        let sessions = Arc::new(Sessions {
            store: Arc::clone(&stores.sessions),
            revocation: Arc::clone(&revocation),
            sealing: Arc::clone(sealing),
            issuer: TokenIssuer {
                sealing: Arc::clone(sealing),
            },
            metrics: Arc::clone(&shared.metrics),
        });
        let worker = Arc::new(RefreshWorker {
            clock: clock.clone(),
            sealing: Arc::clone(sealing),
            issuer: PairIssuer {
                clock: clock.clone(),
                sessions: Arc::clone(&sessions),
                revocation: Arc::clone(&revocation),
            },
            leases: Arc::clone(&shared.leases),
            saved_state: Arc::clone(&shared.saved_state),
            reuse_window: settings.reuse_window,
        });
        let refresh = Arc::new(Refresh {
            in_flight: Arc::clone(&shared.in_flight),
            backoff: Arc::clone(&shared.refresh_backoff),
            worker,
            sealing: Arc::clone(sealing),
            leases: Arc::clone(&shared.leases),
            sessions: Arc::clone(&sessions),
            revocation: Arc::clone(&revocation),
            clock: clock.clone(),
        });
        Self {
            revocation,
            sessions,
            refresh,
        }
    }

    fn logout(&self, sealing: &Arc<SealingKeys>) -> Logout {
        Logout::new(sealing, &self.sessions, &self.refresh, &self.revocation)
    }

    fn early_refresh(&self) -> EarlyRefresh {
        EarlyRefresh {
            refresh: Arc::clone(&self.refresh),
            revocation: Arc::clone(&self.revocation),
        }
    }
}

fn login(
    shared: &Shared,
    limits: settings::Login,
    core: &Core,
    sealing: &Arc<SealingKeys>,
    devices: &Arc<TrustedDevices>,
) -> Login {
    let rate_limiter = Arc::new(RateLimiter {
        store: Arc::clone(&shared.stores.throttles),
        keys: Arc::clone(&shared.throttle_keys),
        limits,
    });
    Login {
        challenges: Challenges {
            sealing: Arc::clone(sealing),
            clock: shared.clock.clone(),
        },
        passwords: PasswordLogin {
            rate_limiter: Arc::clone(&rate_limiter),
            devices: Arc::clone(devices),
        },
        steps: SecondStep {
            rate_limiter: Arc::clone(&rate_limiter),
            devices: Arc::clone(devices),
            leases: Arc::clone(&shared.leases),
            sealing: Arc::clone(sealing),
            clock: shared.clock.clone(),
        },
        redirects: RedirectLogins {
            sealing: Arc::clone(sealing),
            clock: shared.clock.clone(),
            leases: Arc::clone(&shared.stores.leases),
            sessions: Arc::clone(&shared.stores.sessions),
            rate_limiter,
        },
        completion: Completion {
            clock: shared.clock.clone(),
            sessions: Arc::clone(&core.sessions),
            devices: Arc::clone(devices),
        },
        sessions: Arc::clone(&core.sessions),
        basic_memory: Arc::clone(&shared.basic_memory),
    }
}

fn basic_auth(shared: &Shared, core: &Core, login: &Arc<Login>) -> BasicAuth {
    BasicAuth {
        memory: Arc::clone(&shared.basic_memory),
        in_flight: Arc::clone(&shared.basic_in_flight),
        tokens: Tokens::new(&core.revocation, &shared.metrics),
        refresh: Arc::clone(&core.refresh),
        early_refresh: core.early_refresh(),
        revocation: Arc::clone(&core.revocation),
        login: Arc::clone(login),
    }
}

fn shared(
    settings: &Settings,
    clock: Clock,
    connectors: &dyn Connectors,
) -> Result<Shared, BuildError> {
    let stores = connectors.stores(&settings.store, &clock);
    let stores = stores.map_err(|error| BuildError(error.to_string()))?;
    let is_shared = stores.scope == Scope::Replicas;
    if is_shared && settings.cookie_keys.is_empty() {
        tracing::warn!(
            state_dir = %settings.state_dir.display(),
            "replicas open what others sealed only with the same keys: set `cookies.keys`, or share this folder"
        );
    }
    let throttle_keys = if is_shared {
        // Replicas count together: their keys are made of what they share, the sealing keys.
        let keys = cookie_keys(settings, clock.now())?.keys;
        ThrottleKeys::shared(keys.first().map_or(&[], <[u8; 32]>::as_slice))
    } else {
        ThrottleKeys::new(system::random())
    };
    Ok(Shared::new(clock, stores, throttle_keys))
}

fn providers(
    settings: &Settings,
    connectors: &dyn Connectors,
    shared: &Shared,
    previous: Option<&Runtime>,
) -> Result<Providers, BuildError> {
    let mut providers = HashMap::new();
    for (name, wanted) in &settings.providers {
        let before = previous.and_then(|runtime| runtime.providers.get(name));
        let provider = match before {
            Some(before) if before.settings == *wanted => Arc::clone(before),
            _ => {
                // Keys that are good stay good, also while the provider cannot be asked.
                let keys = before
                    .filter(|before| before.settings.has_same_keys(wanted))
                    .map(|before| Arc::clone(&before.keys));
                Arc::new(provider_client(name, wanted, connectors, keys, shared)?)
            }
        };
        providers.insert(name.clone(), provider);
    }
    Ok(providers)
}

fn provider_client(
    name: &str,
    wanted: &settings::Provider,
    connectors: &dyn Connectors,
    keys: Option<Arc<JwksCache>>,
    shared: &Shared,
) -> Result<ProviderClient, BuildError> {
    let failed = |what: String| BuildError(format!("provider {name}: {what}"));
    // Of its own: a provider that hangs takes no permits of others.
    let client = connectors.http_client();
    let client = client.map_err(|error| failed(error.to_string()))?;
    let provider = provider::from_settings(wanted, Arc::new(client), &shared.clock)
        .map_err(|error| failed(error.to_string()))?;
    let keys = match keys {
        Some(keys) => keys,
        None => {
            Arc::new(JwksCache::from_settings(wanted).map_err(|error| failed(error.to_string()))?)
        }
    };
    Ok(ProviderClient {
        name: name.to_owned(),
        keys,
        settings: wanted.clone(),
        algorithms: wanted.algorithms.clone(),
        provider,
        metrics: shared.metrics.provider(name),
        clock: shared.clock.clone(),
    })
}

fn sites(
    settings: &Settings,
    providers: &Providers,
    shared: &Shared,
    previous: Option<&Runtime>,
) -> Result<Vec<Arc<SiteRuntime>>, BuildError> {
    let build = |site: &Arc<Site>| {
        let provider = providers
            .get(&site.provider)
            .ok_or_else(|| BuildError(format!("site {} names no provider", site.name)))?;
        let open = Arc::clone(&shared.streams);
        let streams = Streams::new(open, provider.realm(), &site.application_id);
        let before = previous.and_then(|runtime| {
            let mut sites = runtime.sites.iter();
            sites.find(|site_runtime| site_runtime.site.name == site.name)
        });
        let before = before.map(|before| &**before);
        let metrics = shared.metrics.site(&site.name);
        SiteRuntime::new(site, provider, metrics, streams, before)
            .map(Arc::new)
            .map_err(|what| BuildError(format!("site {}: {what}", site.name)))
    };
    settings.sites.iter().map(build).collect()
}

/// The sealing keys: those of the configuration, else those in `state_dir`.
fn cookie_keys(settings: &Settings, now: Timestamp) -> Result<CookieKeys, BuildError> {
    if settings.cookie_keys.is_empty() {
        return cookie_keys::read(&settings.state_dir, now)
            .map_err(|error| no_state(settings, &error));
    }
    Ok(CookieKeys {
        keys: settings.cookie_keys.iter().map(|key| key.0).collect(),
        made: settings.cookie_key_made,
    })
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
        assertion::read_or_create_key(&settings.state_dir)
            .map_err(|error| no_state(settings, &error))?
    } else {
        assertion::new_key().map_err(|error| BuildError(error.to_string()))?
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
