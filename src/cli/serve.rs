//! The `serve` command: opens everything first, then runs it until a signal ends it.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin;
use crate::config::settings::{LogFormat, Server, Settings};
use crate::embedded::statistics::Statistics;
use crate::proxy::connection::{BindError, Listener, Security, Sockets};
use crate::proxy::{self, UpstreamProbe};
use crate::runtime::{self, RuntimeHandle, background};
use crate::system::{self, Clock};
use crate::telemetry::logging;

use super::config_reload::{self, ConfigFile};
use super::embedded_servers::{EmbeddedServers, EndedSessions};
use super::predecessor::Predecessor;
use super::stop::{self, StopRequest};
use super::successor::{Estate, PassedSockets, Successor};
use super::{WithConfig, checked, print_error, service_manager};

/// How long the end waits for the process that has taken over and for embedded identity servers.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// What is run, and in whose place.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    with: WithConfig,
    /// Take over the listening sockets of the gateway that runs with the same `state_dir`. When
    /// this one serves, end that one with SIGQUIT
    #[arg(long)]
    upgrade: bool,
}

/// Runs the gateway.
pub(super) fn command(arguments: &Arguments) -> ExitCode {
    let config = match ConfigFile::new(arguments.with.config.clone()) {
        Ok(config) => config,
        Err(error) => {
            print_error(&format!("vestibule: SIGHUP cannot be caught: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let settings = match checked(&config.path) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if let Err(error) = log(&settings) {
        print_error(&error);
        return ExitCode::FAILURE;
    }
    let workers = settings.server.workers;
    match open(settings, arguments) {
        Ok(opened) => run_until_signal(workers, |stop| opened.run(Some(config), stop)),
        Err(error) => {
            print_error(&format!("vestibule: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn open(settings: Settings, arguments: &Arguments) -> Result<BoundServer, String> {
    let sockets = Sockets::from_systemd().map_err(|error| error.to_string())?;
    let predecessor = if arguments.upgrade {
        Predecessor::find(&settings.state_dir)?
    } else {
        None
    };
    if arguments.upgrade && predecessor.is_none() {
        tracing::warn!(
            state_dir = %settings.state_dir.display(),
            "no gateway runs with this state_dir: nothing to take over"
        );
    }
    BoundServer::open_with(sockets, predecessor, settings, Clock::new())
}

pub(super) fn log(settings: &Settings) -> Result<(), String> {
    let format = match settings.log.format {
        LogFormat::Json => logging::LogFormat::Json,
        LogFormat::Text => logging::LogFormat::Text,
    };
    let start = system::stopwatch();
    let uptime = Box::new(move || start.elapsed());
    logging::init(format, &settings.log.level, uptime).map_err(|error| error.to_string())
}

/// Runs `work` on a runtime of its own until a signal asks for a stop, then until it has stopped.
pub(super) fn run_until_signal<W>(
    workers: usize,
    work: impl FnOnce(watch::Receiver<StopRequest>) -> W,
) -> ExitCode
where
    W: Future<Output = Result<(), String>>,
{
    let outcome = match build_executor(workers) {
        Ok(runtime) => {
            let (stop, stopped) = watch::channel(StopRequest::None);
            let outcome = runtime.block_on(async {
                drop(system::detach(stop::watch_signals(stop)));
                work(stopped).await
            });
            // Detached tasks (a refresh whose client has gone) do not delay the exit.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("vestibule: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A tokio runtime with `workers` threads; 0 is one for each core.
fn build_executor(workers: usize) -> std::io::Result<Runtime> {
    let workers = if workers > 0 {
        workers
    } else {
        thread::available_parallelism().map_or(1, NonZero::get)
    };
    let mut builder = if workers == 1 {
        // A single thread needs no locks to hand tasks to others.
        Builder::new_current_thread()
    } else {
        let mut several = Builder::new_multi_thread();
        several.worker_threads(workers);
        several
    };
    builder.enable_all().build()
}

/// The gateway with everything done that can fail at the start: sockets are bound, keys are read.
/// Nothing runs yet.
pub struct BoundServer {
    runtime_handle: Arc<RuntimeHandle>,
    listeners: Vec<Listener>,
    admin: Option<TcpListener>,
    embedded_servers: EmbeddedServers,
    /// Ended by users who changed while the gateway did not run.
    ended_sessions: EndedSessions,
    /// The running process whose place this one takes.
    predecessor: Option<Predecessor>,
}

impl BoundServer {
    /// Binds the sockets and reads the keys that `settings` name.
    ///
    /// # Errors
    /// A message for the operator: what could not be opened, and what to do.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, String> {
        Self::open_with(Sockets::default(), None, settings, clock)
    }

    /// As [`Self::open`], on the sockets that were given to this process, and in the place of
    /// `predecessor`.
    fn open_with(
        mut sockets: Sockets,
        mut predecessor: Option<Predecessor>,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, String> {
        proxy::check_trusted_certificates()?;
        let mut embedded_servers = match &mut predecessor {
            Some(predecessor) => EmbeddedServers::after(predecessor.pass_to(&mut sockets)?),
            None => EmbeddedServers::default(),
        };
        let failed = |error: BindError| error.to_string();
        let listeners = listen(&mut sockets, &settings.server).map_err(failed)?;
        let admin = sockets.listen(settings.server.admin.as_slice());
        let admin = admin.map_err(failed)?.pop();
        sockets.all_claimed().map_err(failed)?;
        let (settings, changes) = embedded_servers.prepare(settings, &clock)?;
        let runtime = runtime::build(settings, None, clock).map_err(|fault| fault.to_string())?;
        let ended_sessions = embedded_servers.apply(changes);
        for address in addresses(&listeners) {
            // Its series are there from the start.
            drop(runtime.metrics().listener(&address.to_string()));
        }
        Ok(Self {
            runtime_handle: RuntimeHandle::new(runtime),
            listeners,
            admin,
            embedded_servers,
            ended_sessions,
            predecessor,
        })
    }

    /// The addresses of the sites' listeners: the plain ones, then those with TLS.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.listeners)
    }

    /// The address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// The handle that always gives the configuration in force.
    #[must_use]
    pub fn runtime_handle(&self) -> Arc<RuntimeHandle> {
        Arc::clone(&self.runtime_handle)
    }

    /// How often each embedded identity server was called, by the provider's name.
    #[must_use]
    pub fn statistics(&self, provider: &str) -> Option<Arc<Statistics>> {
        self.embedded_servers.statistics(provider)
    }

    /// Runs until `stop` asks for a stop and requests in flight have finished. With `config`, the
    /// file is read again on `SIGHUP` and when it changes.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(
        self,
        config: Option<ConfigFile>,
        stop: watch::Receiver<StopRequest>,
    ) -> Result<(), String> {
        let Self {
            runtime_handle,
            listeners,
            admin,
            mut embedded_servers,
            ended_sessions,
            predecessor,
        } = self;
        ended_sessions.revoke(&runtime_handle.current()).await;
        // The last requests need the providers and the store too.
        let (end, ended) = watch::channel(false);
        embedded_servers.run(&ended);
        start_background(&runtime_handle, &ended);
        let sockets = listeners.iter().map(|listener| &listener.socket);
        let estate = Estate {
            sockets: PassedSockets::copies_of(sockets.chain(&admin))?,
            embedded: embedded_servers.roster(),
            handover: Arc::clone(runtime_handle.current().handover()),
        };
        let (predecessor_end, predecessor_ended) = watch::channel(predecessor.is_none());
        let (_kept, watch) = match config {
            Some(config) => {
                let until = config_reload::Until {
                    stop: ended.clone(),
                    predecessor_ended: predecessor_ended.clone(),
                };
                let runtime_handle = Arc::clone(&runtime_handle);
                let watch = config_reload::watch(config, runtime_handle, embedded_servers, until);
                (None, Some(system::detach(watch)))
            }
            // Dropped, the servers would stop.
            None => (Some(embedded_servers), None),
        };
        background::first_sync(&runtime_handle).await;
        if let Some(predecessor) = predecessor {
            take_over(predecessor, &runtime_handle, predecessor_end).await?;
        }
        let passed_sockets = estate.sockets.clone();
        let (successor, serving) = watch::channel(Successor::None);
        let offer = system::detach(estate.offer(&runtime_handle, successor, ended.clone()));
        let accepting = stop::accepting(Arc::clone(&runtime_handle), stop, serving);
        if let Some(listener) = admin {
            let (handle, paused) = (Arc::clone(&runtime_handle), accepting.paused.clone());
            drop(system::detach(admin::serve(listener, handle, paused)));
        }
        drop(system::detach(close(
            passed_sockets,
            accepting.stop.clone(),
        )));
        announce(&listeners);
        let served = proxy::serve(Arc::clone(&runtime_handle), listeners, accepting).await;
        let ending = Ending {
            predecessor_ended,
            end,
            offer,
            watch,
        };
        ending.finish(&runtime_handle).await;
        served.map_err(|error| error.to_string())
    }
}

/// Starts the work that runs until `ended`.
fn start_background(runtime_handle: &Arc<RuntimeHandle>, ended: &watch::Receiver<bool>) {
    let (handle, probe) = (Arc::clone(runtime_handle), Arc::new(UpstreamProbe::new()));
    let work = background::run(handle, probe, ended.clone());
    drop(system::detach(work));
}

/// Says where this process serves.
fn announce(listeners: &[Listener]) {
    let addresses = addresses(listeners);
    let addresses = addresses.iter().map(SocketAddr::to_string);
    let addresses = addresses.collect::<Vec<_>>().join(" ");
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = addresses,
        "serving"
    );
    service_manager::ready(&format!("Serving on {addresses}."));
}

/// What runs until the last request has finished.
struct Ending {
    predecessor_ended: watch::Receiver<bool>,
    /// Ends the background work.
    end: watch::Sender<bool>,
    offer: JoinHandle<()>,
    watch: Option<JoinHandle<()>>,
}

impl Ending {
    async fn finish(mut self, runtime_handle: &RuntimeHandle) {
        // What the process before this one still learns must reach the one after it.
        let drain = runtime_handle.current().settings().server.drain;
        let predecessor_ended = self.predecessor_ended.wait_for(|ended| *ended);
        let _ = tokio::time::timeout(drain, predecessor_ended).await;
        background::finish(runtime_handle).await;
        self.end.send_replace(true);
        let last_words = async {
            // The process that has taken over hears what is left, and its requests are answered.
            let _ = self.offer.await;
            if let Some(watch) = self.watch {
                let _ = watch.await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, last_words).await;
    }
}

/// Takes over what the process before this one knows. `end` turns true when that one has ended.
async fn take_over(
    predecessor: Predecessor,
    runtime_handle: &Arc<RuntimeHandle>,
    end: watch::Sender<bool>,
) -> Result<(), String> {
    let retiring = predecessor.take_over(runtime_handle).await?;
    drop(system::detach(async move {
        retiring.until_ended().await;
        end.send_replace(true);
    }));
    Ok(())
}

/// Closes the copies of listening sockets when `draining` turns true. Sockets that nobody accepts
/// from any more must refuse connections.
async fn close(sockets: PassedSockets, mut draining: watch::Receiver<bool>) {
    // A dropped sender counts as the end.
    let _ = draining.wait_for(|draining| *draining).await;
    sockets.close();
}

/// The sites' listeners: the plain ones, then those with TLS.
fn listen(sockets: &mut Sockets, server: &Server) -> Result<Vec<Listener>, BindError> {
    let plain = sockets.listen(&server.listen)?;
    let mut listeners: Vec<Listener> = plain
        .into_iter()
        .map(|socket| Listener {
            socket,
            security: Security::Plain,
        })
        .collect();
    for tls in &server.tls {
        for socket in sockets.listen(&[tls.listen])? {
            listeners.push(Listener {
                socket,
                security: Security::Tls(tls.listen),
            });
        }
    }
    Ok(listeners)
}

fn addresses(listeners: &[Listener]) -> Vec<SocketAddr> {
    let sockets = listeners.iter().map(|listener| &listener.socket);
    sockets
        .filter_map(|socket| socket.local_addr().ok())
        .collect()
}
