//! The world of one simulation, and how a schedule is played in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use vestibule::config::settings::Settings;
use vestibule::model::sealing_keys::SealingKeys;

use super::clock::{TrueTime, WallClock};
use super::configuration;
use super::gateway::Gateway;
use super::life::Life;
use super::provider::{IdentityProvider, Ledger};
use super::redirect::Tab;
use super::rules;
use super::schedule::{Action, Event, Options, Product, Schedule};
use super::store::Server;
use super::trace::{Trace, Violation};
use super::visitor::Credentials;

/// How long the gateways have before the first event.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long after the last event every request has been answered.
const ALL_ANSWERED: Duration = Duration::from_secs(90);
/// How long after all trouble everything is as it was.
const SETTLED: Duration = Duration::from_secs(20);

/// The longest time until the provider is told again.
const TOLD_AGAIN: Duration = Duration::from_secs(40);

/// What came of a schedule.
#[derive(Debug)]
pub struct Played {
    pub violation: Option<Violation>,
    /// What happened, where it was asked for.
    pub lines: Vec<String>,
    /// How many requests were served.
    pub requests: usize,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub time: TrueTime,
    pub trace: Arc<Trace>,
    pub options: Options,
    pub provider: Arc<IdentityProvider>,
    pub server: Option<Arc<Server>>,
    pub gateways: Vec<Gateway>,
    pub visitors: Vec<Mutex<Visitor>>,
    pub streams: Mutex<Vec<Stream>>,
    pub requests: std::sync::atomic::AtomicUsize,
    /// The first seals.
    sealing_keys: Mutex<Vec<[u8; 32]>>,
    _folder: TempDir,
}

/// A visitor, and what a thief has copied.
#[derive(Debug, Default)]
pub struct Visitor {
    pub held: Credentials,
    pub copy: Option<Credentials>,
    /// The tabs at the provider's page.
    pub tabs: Vec<Tab>,
}

/// A response that stays open.
#[derive(Debug)]
pub struct Stream {
    pub grant: usize,
    pub life: Arc<Life>,
    pub is_open: Arc<std::sync::atomic::AtomicBool>,
}

/// Plays a schedule.
pub fn play(schedule: &Schedule, verbose: bool) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(&schedule.world, verbose);
        world.play(schedule).await;
        Played {
            violation: world.trace.violation(),
            lines: world.trace.lines(),
            requests: world.requests.load(std::sync::atomic::Ordering::Relaxed),
        }
    })
}

impl World {
    fn new(options: &Options, verbose: bool) -> Arc<Self> {
        let time = TrueTime::start();
        let trace = Arc::new(Trace::new(time, verbose));
        let folder = tempfile::tempdir().expect("a folder");
        let gateways = options.clocks.iter().enumerate().map(|(number, clock)| {
            let wall = WallClock::new(time, clock.offset, clock.drift);
            Gateway::new(number, wall, folder.path().join(number.to_string()))
        });
        // A phone cannot be sent to a page.
        let is_form = options.product == Product::FusionAuth;
        let visitors = (0..options.visitors).map(|number| {
            Mutex::new(Visitor {
                held: Credentials::new(number % 3 == 2 && is_form),
                ..Visitor::default()
            })
        });
        let latency = Duration::from_millis(options.store_latency);
        Arc::new(Self {
            provider: Arc::new(IdentityProvider::new(time, Arc::clone(&trace), options)),
            server: options.shared_store.then(|| Server::new(time, latency)),
            gateways: gateways.collect(),
            visitors: visitors.collect(),
            streams: Mutex::default(),
            requests: std::sync::atomic::AtomicUsize::new(0),
            sealing_keys: Mutex::new(vec![[1; 32]]),
            options: options.clone(),
            trace,
            time,
            _folder: folder,
        })
    }

    async fn play(self: &Arc<Self>, schedule: &Schedule) {
        for gateway in &self.gateways {
            self.start(gateway);
        }
        sleep(WARM_UP).await;
        let mut running = JoinSet::new();
        for event in &schedule.events {
            sleep_until(self.time.at(WARM_UP + Duration::from_millis(event.at))).await;
            if self.trace.has_violation() {
                return;
            }
            let (world, action) = (Arc::clone(self), event.action.clone());
            running.spawn(async move { world.act(action).await });
        }
        let all = async { while running.join_next().await.is_some() {} };
        if timeout(ALL_ANSWERED, all).await.is_err() {
            let what = "something still waits after the last event";
            self.trace.violate(rules::ANSWERED, what);
        }
        if self.trace.has_violation() {
            return;
        }
        self.settle(schedule).await;
    }

    /// Ends all trouble, and checks that everybody who is signed in is served.
    async fn settle(self: &Arc<Self>, schedule: &Schedule) {
        self.trace.note(|| "all trouble ends".into());
        self.provider.recover();
        if let Some(server) = &self.server {
            server.recover();
        }
        for gateway in &self.gateways {
            gateway.wall.set_right();
            if gateway.process().is_none() {
                self.start(gateway);
            }
        }
        sleep(SETTLED).await;
        let is_unusable = |action: &Action| matches!(action, Action::Unusable { .. });
        if schedule
            .events
            .iter()
            .any(|event| is_unusable(&event.action))
        {
            sleep(Duration::from_secs(self.options.token_life) + SETTLED).await;
        }
        let is_sign_out = |event: &Event| matches!(event.action, Action::SignOut { .. });
        if schedule.events.iter().any(is_sign_out) {
            self.check_told().await;
        }
        for number in 0..self.visitors.len() {
            self.check_recovery(number).await;
            self.check_sign_in(number).await;
        }
    }

    /// Checks that the provider was told of every sign-out. A store that lost data may have lost
    /// what it was to be told.
    async fn check_told(&self) {
        sleep(TOLD_AGAIN).await;
        if self.provider.had_store_trouble() {
            return;
        }
        let untold = |ledger: &mut Ledger| ledger.untold().map(str::to_owned);
        if let Some(token) = self.provider.with_ledger(untold) {
            let what = format!("the provider is not told to end {token}");
            self.trace.violate(rules::TOLD, what);
        }
    }

    /// Starts a gateway's process.
    pub fn start(&self, gateway: &Gateway) {
        self.trace
            .note(|| format!("gateway {} starts", gateway.number));
        let settings = self.settings();
        gateway.start(&settings, &self.provider, self.server.as_ref());
    }

    /// Lets all gateways read their configuration again.
    pub fn reload_all(&self) {
        for gateway in &self.gateways {
            gateway.reload(&self.settings());
        }
    }

    /// The settings of all gateways.
    pub fn settings(&self) -> Settings {
        configuration::settings(&self.options, &self.sealing_keys())
    }

    /// Adds a sealing key as an operator does: first every gateway can open what it seals, then it
    /// seals.
    pub fn rotate_sealing_key(&self) {
        let key = [u8::try_from(self.sealing_keys().len() + 1).unwrap_or_default(); 32];
        self.sealing_keys().push(key);
        self.reload_all();
        {
            let mut keys = self.sealing_keys();
            keys.pop();
            keys.insert(0, key);
        }
        self.reload_all();
    }

    /// Opens what any gateway seals.
    pub fn opener(&self) -> SealingKeys {
        SealingKeys::new(&self.sealing_keys()).expect("keys")
    }

    /// The gateway with this number, counted around.
    pub fn gateway(&self, number: usize) -> &Gateway {
        &self.gateways[number % self.gateways.len()]
    }

    /// The visitor with this number, counted around.
    pub fn visitor(&self, number: usize) -> MutexGuard<'_, Visitor> {
        let visitor = &self.visitors[number % self.visitors.len()];
        visitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sealing_keys(&self) -> MutexGuard<'_, Vec<[u8; 32]>> {
        self.sealing_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
