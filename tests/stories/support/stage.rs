//! A gateway with everything around it, on ports of the system's choice.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use vestibule::cli::serve::BoundServer;
use vestibule::cli::stop::StopRequest;
use vestibule::config::{SystemEnvironment, check_text};
use vestibule::embedded::identity_server as identity;
use vestibule::embedded::statistics::Statistics;
use vestibule::embedded::users::Users;
use vestibule::model::secret::Secret;
use vestibule::runtime::RuntimeHandle;
use vestibule::system::Clock;

use super::{Application, Browser, Door};

/// An account of the identity server.
pub const SHOPPER: &str = "shopper@example.com";
/// Everybody's password.
pub const PASSWORD: &str = "vestibule demo";

const API_KEY: &str = "stories-api-key";

/// Everything a story is played on. Dropped, it stops.
pub struct Stage {
    /// Moves the gateway's and the identity server's time.
    pub clock: Clock,
    /// Between the gateway and the identity server.
    pub provider: Door,
    /// What the identity server was asked.
    pub asked: Arc<Statistics>,
    /// The store's application.
    pub store: Application,
    /// The forum's application.
    pub forum: Application,
    /// Where the gateway listens: the first of its addresses.
    pub address: SocketAddr,
    /// All of them: the plain ones, then those with TLS.
    pub addresses: Vec<SocketAddr>,
    /// Where metrics and health are.
    pub admin: SocketAddr,
    /// The configuration in force.
    pub runtime_handle: Arc<RuntimeHandle>,
    /// The configuration as text, to be changed and built again.
    pub config: String,
    stop: watch::Sender<StopRequest>,
    running: Option<JoinHandle<Result<(), String>>>,
    _state: tempfile::TempDir,
}

impl Stage {
    /// The reference stage: store and forum, one-time refresh tokens, access tokens of 60 s, no
    /// health checks.
    pub async fn set() -> Self {
        Self::set_with(|config| config, |_| {}).await
    }

    /// The same with a changed configuration text or changed people and token policy.
    pub async fn set_with(
        config: impl FnOnce(String) -> String,
        people: impl FnOnce(&mut Users),
    ) -> Self {
        let stage = Self::begin(config, people, |_| {}).await;
        stage.until_ready().await;
        stage
    }

    /// The same, not waited for; `before` sees the door to the identity server before the gateway
    /// starts.
    pub async fn begin(
        config: impl FnOnce(String) -> String,
        people: impl FnOnce(&mut Users),
        before: impl FnOnce(&Door),
    ) -> Self {
        let state = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let mut users = Users::demo().unwrap();
        people(&mut users);
        let server = identity::open(identity::Options {
            users,
            state_dir: state.path().join("provider"),
            issuer: "stories".into(),
            api_key: Secret::new(API_KEY),
            clock: clock.clone(),
        })
        .unwrap();
        let asked = server.statistics();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = Door::before(listener.local_addr().unwrap()).await;
        tokio::spawn(server.serve(listener, std::future::pending()));
        before(&provider);
        let (store, forum) = (Application::open().await, Application::open().await);
        let text = config(reference(&provider, &store, &forum, state.path()));
        let settings =
            check_text("stories.toml", &text, &SystemEnvironment).unwrap_or_else(|e| panic!("{e}"));
        let opened = BoundServer::open(settings, clock.clone()).unwrap();
        let (addresses, admin) = (opened.addresses(), opened.admin_address().unwrap());
        let runtime_handle = opened.runtime_handle();
        let (stop, stopped) = watch::channel(StopRequest::None);
        let running = Some(tokio::spawn(opened.run(None, stopped)));
        Self {
            clock,
            provider,
            asked,
            store,
            forum,
            address: addresses[0],
            addresses,
            admin,
            runtime_handle,
            config: text,
            stop,
            running,
            _state: state,
        }
    }

    /// Another gateway with the same configuration and a `state_dir` of its own.
    pub async fn replica(&self) -> Replica {
        let state = tempfile::tempdir().unwrap();
        let line = format!("state_dir = \"{}\"", state.path().display());
        let config = with_line(&self.config, "state_dir", &line);
        let mut replica = Replica::start(&config, self.clock.clone()).await;
        replica.state = Some(state);
        replica
    }

    /// Stops the gateway and waits; everything around it stays.
    pub async fn stop_gateway(&mut self) {
        self.stop.send_replace(StopRequest::AtOnce);
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    /// Starts another gateway with the same configuration and `state_dir`.
    pub async fn start_again(&self) -> Replica {
        Replica::start(&self.config, self.clock.clone()).await
    }

    /// A browser at the store, without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.address, "store.localhost:8080")
    }

    /// A browser at the forum, without cookies.
    pub fn forum_browser(&self) -> Browser {
        Browser::new(self.address, "forum.localhost:8080")
    }

    /// A browser at the store that has signed in as the shopper.
    pub async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let reply = browser.sign_in(SHOPPER, PASSWORD).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        browser
    }

    /// The provider answers again, and refreshes that failed have rested.
    pub fn provider_recovers(&self) {
        self.provider.open();
        self.clock.advance(Duration::from_secs(1));
    }

    /// Past the end of every access token issued so far, leeway included.
    pub fn expire_access_tokens(&self) {
        self.clock.advance(Duration::from_secs(60 + 31));
    }

    /// One number of `/metrics`: the whole sample name with its labels.
    pub async fn metric(&self, sample: &str) -> f64 {
        let text = Browser::new(self.admin, "admin").get("/metrics").await.body;
        let line = text.lines().find(|line| {
            line.strip_prefix(sample)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0.0)
    }

    /// The sum of a family's samples that have all these label values.
    pub async fn count(&self, family: &str, values: &[&str]) -> u64 {
        let text = Browser::new(self.admin, "admin").get("/metrics").await.body;
        let ours = |line: &&str| {
            line.strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('{'))
                && values
                    .iter()
                    .all(|value| line.contains(&format!("\"{value}\"")))
        };
        text.lines()
            .filter(ours)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// How many requests of the store ended for this reason. A request ends after its response has
    /// been sent, so this waits for those in flight. Streams that stay open end the wait.
    pub async fn requests(&self, reason: &str) -> u64 {
        let in_flight = r#"vestibule_requests_in_flight{site="store"}"#;
        let none_in_flight = async {
            while self.metric(in_flight).await > 0.0 {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), none_in_flight).await;
        self.count("vestibule_requests_total", &["store", reason])
            .await
    }

    /// How many renewals of the store ended so.
    pub async fn renewals(&self, result: &str) -> u64 {
        self.count("vestibule_renewals_total", &["store", result])
            .await
    }

    /// Stops and waits: requests in flight finish.
    pub async fn stop(mut self) -> Result<(), String> {
        self.stop.send_replace(StopRequest::AtOnce);
        self.running.take().unwrap().await.unwrap()
    }

    /// Backoff until the gateway has the provider's keys.
    pub async fn until_ready(&self) {
        until_ready(&self.runtime_handle).await;
    }
}

/// A gateway beside the one of the stage, or in its place. Dropped, it stops.
pub struct Replica {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where metrics and health are.
    pub admin: SocketAddr,
    /// The configuration in force.
    pub runtime_handle: Arc<RuntimeHandle>,
    stop: watch::Sender<StopRequest>,
    state: Option<tempfile::TempDir>,
}

impl Replica {
    async fn start(config: &str, clock: Clock) -> Self {
        let settings = check_text("stories.toml", config, &SystemEnvironment)
            .unwrap_or_else(|e| panic!("{e}"));
        let opened = BoundServer::open(settings, clock).unwrap();
        let (stop, stopped) = watch::channel(StopRequest::None);
        let (address, runtime_handle) = (opened.addresses()[0], opened.runtime_handle());
        let admin = opened.admin_address().unwrap();
        tokio::spawn(opened.run(None, stopped));
        let replica = Self {
            address,
            admin,
            runtime_handle,
            stop,
            state: None,
        };
        replica.until_ready().await;
        replica
    }

    /// As [`Stage::until_ready`].
    pub async fn until_ready(&self) {
        until_ready(&self.runtime_handle).await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.send_replace(StopRequest::AtOnce);
    }
}

/// Backoff until a gateway has the provider's keys, and its store answers.
async fn until_ready(runtime_handle: &RuntimeHandle) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while runtime_handle.current().status.ready().await.is_err() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the gateway does not become ready"
        );
        tokio::task::yield_now().await;
    }
}

/// Backoff for something that happens by itself, 20 s at most.
pub async fn until(what: &str, happened: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} does not happen"
        );
        tokio::task::yield_now().await;
    }
}

/// A configuration with its first line for `key` replaced.
pub fn with_line(config: &str, key: &str, line: &str) -> String {
    let start = format!("{key} = ");
    let old = config
        .lines()
        .find(|line| line.starts_with(&start))
        .expect("the key");
    config.replacen(old, line, 1)
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.send_replace(StopRequest::AtOnce);
    }
}

fn reference(
    provider: &Door,
    store: &Application,
    forum: &Application,
    state: &std::path::Path,
) -> String {
    format!(
        r#"
state_dir = "{}"

[server]
listen = ["127.0.0.1:0"]
admin = "[::1]:0"

[providers.main]
kind = "fusionauth"
url = "http://{}"
api_key = "{API_KEY}"
issuer = "stories"
timeout = "30s"

[[sites]]
name = "store"
origin = "http://store.localhost:8080"
application_id = "store-application"
upstreams = ["http://{}"]
landing = "/shopping-cart"

[[sites.rules]]
path = "/"
access = "public"

[[sites.rules]]
path = "/static/*"
access = "public"

[[sites.rules]]
path = "/products/*"
access = "optional"

[[sites.rules]]
path = "/admin/*"
access = "required"
roles = ["admin"]

[[sites]]
name = "forum"
origin = "http://forum.localhost:8080"
application_id = "forum-application"
upstreams = ["http://{}"]
landing = "/posts"

[[sites.rules]]
path = "/"
access = "public"
"#,
        state.join("gateway").display(),
        provider.address(),
        store.address(),
        forum.address(),
    )
}
