//! The gateways: each is a process with the real runtime, its own clock and its own folder.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

use vestibule::config::settings::{self, Settings};
use vestibule::provider::http_client::{HttpClient, HttpError};
use vestibule::runtime::load_balancer::Backend;
use vestibule::runtime::upstream_checks::Probe;
use vestibule::runtime::{Connectors, RuntimeHandle, SiteRuntime, background, build_with};
use vestibule::store::{StoreError, Stores};
use vestibule::system::Clock;

use super::clock::WallClock;
use super::life::Life;
use super::provider::{IdentityProvider, ProviderTransport};
use super::store::{self, Server};

/// How long a process that stops waits for its requests and then for its detached tasks.
const DRAIN: Duration = Duration::from_secs(30);
const DETACHED: Duration = Duration::from_secs(1);

/// A gateway: a machine on which one process runs at a time.
#[derive(Debug)]
pub struct Gateway {
    pub number: usize,
    pub wall: WallClock,
    pub state_dir: PathBuf,
    process: Mutex<Option<Process>>,
}

/// A running process.
#[derive(Clone)]
pub struct Process {
    pub life: Arc<Life>,
    pub runtime_handle: Arc<RuntimeHandle>,
    connectors: Arc<ModelConnectors>,
    stop: Arc<watch::Sender<bool>>,
    requests: Arc<watch::Sender<usize>>,
    accepting: watch::Receiver<bool>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Process({})", self.life.process)
    }
}

/// The ways from one process to the provider and the store.
struct ModelConnectors {
    provider: Arc<IdentityProvider>,
    server: Option<Arc<Server>>,
    life: Arc<Life>,
}

impl Connectors for ModelConnectors {
    fn http_client(&self) -> Result<HttpClient, HttpError> {
        Ok(HttpClient::with_transport(ProviderTransport {
            provider: Arc::clone(&self.provider),
            life: Arc::clone(&self.life),
        }))
    }

    fn stores(&self, _: &settings::Store, clock: &Clock) -> Result<Stores, StoreError> {
        Ok(match &self.server {
            Some(server) => store::connect(server, &self.life, clock),
            None => Stores::in_memory(clock),
        })
    }
}

/// Held while a process serves a request.
pub struct RequestGuard(Arc<watch::Sender<usize>>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// Requests are answered by the policy alone: there are no upstreams to check.
struct NoUpstreams;

#[async_trait]
impl Probe for NoUpstreams {
    async fn check(&self, _: &SiteRuntime, _: &Backend) -> Result<(), String> {
        Ok(())
    }
}

impl Gateway {
    /// A gateway whose process does not run yet.
    pub fn new(number: usize, wall: WallClock, state_dir: PathBuf) -> Self {
        Self {
            number,
            wall,
            state_dir,
            process: Mutex::default(),
        }
    }

    /// The running process.
    pub fn process(&self) -> Option<Process> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.clone()
    }

    /// Starts a process. `settings` are those of all gateways.
    pub fn start(
        &self,
        settings: &Settings,
        provider: &Arc<IdentityProvider>,
        server: Option<&Arc<Server>>,
    ) {
        static PROCESSES: AtomicU64 = AtomicU64::new(0);
        let number = PROCESSES.fetch_add(1, Ordering::Relaxed);
        let life = Arc::new(Life::new(number, self.number));
        let connectors = Arc::new(ModelConnectors {
            provider: Arc::clone(provider),
            server: server.cloned(),
            life: Arc::clone(&life),
        });
        let settings = self.settings(settings);
        let runtime = build_with(settings, None, self.wall.clock(), &*connectors)
            .unwrap_or_else(|error| panic!("{error}"));
        let runtime_handle = RuntimeHandle::new(runtime);
        let (stop, stopped) = watch::channel(false);
        Handle::current().spawn(background::run(
            Arc::clone(&runtime_handle),
            Arc::new(NoUpstreams),
            stopped,
        ));
        let (accept, accepting) = watch::channel(false);
        let starting = Arc::clone(&runtime_handle);
        Handle::current().spawn(async move {
            background::first_sync(&starting).await;
            accept.send_replace(true);
        });
        let process = Process {
            life,
            runtime_handle,
            connectors,
            stop: Arc::new(stop),
            requests: Arc::new(watch::Sender::new(0)),
            accepting,
        };
        self.set_process(Some(process));
    }

    /// Lets the process read its configuration again.
    pub fn reload(&self, settings: &Settings) {
        let Some(process) = self.process() else {
            return;
        };
        let current = process.runtime_handle.current();
        let runtime = build_with(
            self.settings(settings),
            Some(&current),
            self.wall.clock(),
            &*process.connectors,
        )
        .unwrap_or_else(|error| panic!("{error}"));
        process.runtime_handle.replace(runtime);
    }

    /// Ends the process at once.
    pub fn kill(&self) -> Option<Arc<Life>> {
        let process = self.process()?;
        self.set_process(None);
        process.stop.send_replace(true);
        process.life.end();
        Some(process.life)
    }

    /// Stops the process: its requests finish, and detached tasks have a second.
    pub async fn stop(&self) -> Option<Arc<Life>> {
        let process = self.process()?;
        self.set_process(None);
        let mut requests = process.requests.subscribe();
        let drained = requests.wait_for(|requests| *requests == 0);
        // Requests that take longer are broken off.
        let _ = tokio::time::timeout(DRAIN, drained).await;
        background::finish(&process.runtime_handle).await;
        process.stop.send_replace(true);
        sleep(DETACHED).await;
        process.life.end();
        Some(process.life)
    }

    fn settings(&self, common: &Settings) -> Settings {
        Settings {
            state_dir: self.state_dir.clone(),
            ..common.clone()
        }
    }

    fn set_process(&self, process: Option<Process>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }
}

impl Process {
    /// Waits until the process accepts connections.
    pub async fn accepting(&self) {
        // An error means that the process ended before.
        let _ = self
            .accepting
            .clone()
            .wait_for(|accepting| *accepting)
            .await;
    }

    /// Counts a request for as long as the guard lives.
    pub fn begin_request(&self) -> RequestGuard {
        self.requests.send_modify(|requests| *requests += 1);
        RequestGuard(Arc::clone(&self.requests))
    }
}
