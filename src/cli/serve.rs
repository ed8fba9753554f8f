//! The `serve` command: opens everything first, then runs it until a signal ends it.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin;
use crate::config::settings::{LogFormat, Settings};
use crate::embedded::statistics::Statistics;
use crate::proxy::{self, UpstreamProbe, connection};
use crate::runtime::{self, RuntimeHandle, background};
use crate::system::{self, Clock};
use crate::telemetry::logging;

use super::embedded_servers::{EmbeddedServers, EndedSessions};
use super::{checked, config_reload, print_error};

/// Runs the gateway with the configuration in `path`.
pub(super) fn command(path: &Path) -> ExitCode {
    let settings = match checked(path) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    if let Err(error) = log(&settings) {
        print_error(&error);
        return ExitCode::FAILURE;
    }
    let workers = settings.server.workers;
    match BoundServer::open(settings, Clock::new()) {
        Ok(opened) => run_until_signal(workers, |stop| opened.run(Some(path.to_owned()), stop)),
        Err(error) => {
            print_error(&format!("vestibule: {error}"));
            ExitCode::FAILURE
        }
    }
}

pub(super) fn log(settings: &Settings) -> Result<(), String> {
    let format = match settings.log.format {
        LogFormat::Json => logging::LogFormat::Json,
        LogFormat::Text => logging::LogFormat::Text,
    };
    logging::init(format, &settings.log.level).map_err(|error| error.to_string())
}

/// Runs `work` on a runtime of its own until `SIGTERM` or `SIGINT`, then until it has stopped.
pub(super) fn run_until_signal<W>(
    workers: usize,
    work: impl FnOnce(watch::Receiver<bool>) -> W,
) -> ExitCode
where
    W: Future<Output = Result<(), String>>,
{
    let outcome = match build_executor(workers) {
        Ok(runtime) => {
            let (stop, stopped) = watch::channel(false);
            let outcome = runtime.block_on(async {
                drop(system::detach(wait_for_signal(stop)));
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

async fn wait_for_signal(stop: watch::Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("cannot listen for signals: only SIGKILL will stop this process");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: no new connections, requests in flight finish"),
        _ = interrupt.recv() => tracing::info!("SIGINT: no new connections, requests in flight finish"),
    }
    stop.send_replace(true);
    // A second Ctrl-C ends the process at once.
    interrupt.recv().await;
    std::process::exit(130);
}

/// The gateway with everything done that can fail at the start: sockets are bound, keys are read.
/// Nothing runs yet.
pub struct BoundServer {
    runtime_handle: Arc<RuntimeHandle>,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
    embedded_servers: EmbeddedServers,
    /// Ended by users who changed while the gateway did not run.
    ended_sessions: EndedSessions,
    drain: Duration,
}

impl BoundServer {
    /// Binds the sockets and reads the keys that `settings` name.
    ///
    /// # Errors
    /// A message for the operator: what could not be opened, and what to do.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, String> {
        proxy::check_trusted_certificates()?;
        let bind = |addresses: &[SocketAddr]| {
            connection::bind(addresses).map_err(|error| error.to_string())
        };
        let listeners = bind(&settings.server.listen)?;
        let admin = bind(settings.server.admin.as_slice())?.pop();
        let mut embedded_servers = EmbeddedServers::default();
        let drain = settings.server.drain;
        let (settings, changes) = embedded_servers.prepare(settings, &clock)?;
        let runtime = runtime::build(settings, None, clock).map_err(|fault| fault.to_string())?;
        let ended_sessions = embedded_servers.apply(changes);
        Ok(Self {
            runtime_handle: RuntimeHandle::new(runtime),
            listeners,
            admin,
            embedded_servers,
            ended_sessions,
            drain,
        })
    }

    /// The addresses of the sites' listeners.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
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

    /// Runs until `stop` turns true and requests in flight have finished. With `config`, the file
    /// is read again on `SIGHUP` and when it changes.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(
        self,
        config: Option<PathBuf>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let Self {
            runtime_handle,
            listeners,
            admin,
            mut embedded_servers,
            ended_sessions,
            drain,
        } = self;
        ended_sessions.revoke(&runtime_handle.current()).await;
        // The last requests need the providers and the store too.
        let (end, ended) = watch::channel(false);
        embedded_servers.run(&ended);
        drop(system::detach(note_stop(
            Arc::clone(&runtime_handle),
            stop.clone(),
        )));
        drop(system::detach(background::run(
            Arc::clone(&runtime_handle),
            Arc::new(UpstreamProbe::new()),
            ended.clone(),
        )));
        if let Some(listener) = admin {
            drop(system::detach(admin::serve(
                listener,
                Arc::clone(&runtime_handle),
            )));
        }
        let _kept = match config {
            Some(path) => {
                drop(system::detach(config_reload::watch(
                    path,
                    Arc::clone(&runtime_handle),
                    embedded_servers,
                    ended.clone(),
                )));
                None
            }
            // Dropped, the servers would stop.
            None => Some(embedded_servers),
        };
        background::first_sync(&runtime_handle).await;
        let addresses: Vec<String> = listeners
            .iter()
            .filter_map(|listener| Some(listener.local_addr().ok()?.to_string()))
            .collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = addresses.join(" "),
            "serving"
        );
        let served = proxy::serve(Arc::clone(&runtime_handle), listeners, stop, drain).await;
        background::finish(&runtime_handle).await;
        end.send_replace(true);
        served.map_err(|error| error.to_string())
    }
}

/// Tells health checks of the stop, as soon as it is asked for.
async fn note_stop(runtime_handle: Arc<RuntimeHandle>, stop: watch::Receiver<bool>) {
    stopped(stop).await;
    runtime_handle.current().begin_stop();
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // A dropped sender counts as a stop.
    let _ = stop.wait_for(|stop| *stop).await;
}
