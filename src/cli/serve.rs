//! The `serve` command: opens everything first, then runs it until a signal ends it.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::admin;
use crate::config::settings::{LogFormat, Server, Settings};
use crate::embedded::statistics::Statistics;
use crate::proxy::connection::{BindError, Listener, Security, Sockets};
use crate::proxy::{self, UpstreamProbe};
use crate::runtime::{self, RuntimeHandle, background};
use crate::system::{self, Clock};
use crate::telemetry::logging;

use super::embedded_servers::{EmbeddedServers, EndedSessions};
use super::stop::{self, StopRequest};
use super::{checked, config_reload, print_error, service_manager};

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
    let opened = Sockets::from_systemd()
        .map_err(|error| error.to_string())
        .and_then(|sockets| BoundServer::open_on(sockets, settings, Clock::new()));
    match opened {
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
}

impl BoundServer {
    /// Binds the sockets and reads the keys that `settings` name.
    ///
    /// # Errors
    /// A message for the operator: what could not be opened, and what to do.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, String> {
        Self::open_on(Sockets::default(), settings, clock)
    }

    /// As [`Self::open`], on the sockets that were given to this process.
    ///
    /// # Errors
    /// As [`Self::open`], and where a socket was given that no listener has.
    pub fn open_on(mut sockets: Sockets, settings: Settings, clock: Clock) -> Result<Self, String> {
        proxy::check_trusted_certificates()?;
        let failed = |error: BindError| error.to_string();
        let listeners = listen(&mut sockets, &settings.server).map_err(failed)?;
        let admin = sockets.listen(settings.server.admin.as_slice());
        let admin = admin.map_err(failed)?.pop();
        sockets.all_claimed().map_err(failed)?;
        let mut embedded_servers = EmbeddedServers::default();
        let (settings, changes) = embedded_servers.prepare(settings, &clock)?;
        let runtime = runtime::build(settings, None, clock).map_err(|fault| fault.to_string())?;
        let ended_sessions = embedded_servers.apply(changes);
        Ok(Self {
            runtime_handle: RuntimeHandle::new(runtime),
            listeners,
            admin,
            embedded_servers,
            ended_sessions,
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
        config: Option<PathBuf>,
        stop: watch::Receiver<StopRequest>,
    ) -> Result<(), String> {
        let Self {
            runtime_handle,
            listeners,
            admin,
            mut embedded_servers,
            ended_sessions,
        } = self;
        ended_sessions.revoke(&runtime_handle.current()).await;
        // The last requests need the providers and the store too.
        let (end, ended) = watch::channel(false);
        embedded_servers.run(&ended);
        let (drain, draining) = watch::channel(false);
        let before_drain = stop::before_drain(Arc::clone(&runtime_handle), stop);
        drop(system::detach(async move {
            before_drain.await;
            drain.send_replace(true);
        }));
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
        let addresses: Vec<String> = addresses(&listeners)
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = addresses.join(" "),
            "serving"
        );
        service_manager::ready(&format!("Serving on {}.", addresses.join(" ")));
        let served = proxy::serve(Arc::clone(&runtime_handle), listeners, draining).await;
        background::finish(&runtime_handle).await;
        end.send_replace(true);
        served.map_err(|error| error.to_string())
    }
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
