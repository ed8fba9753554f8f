//! How the process stops: the signals that ask for it, and the time between that and the end of
//! accepting connections.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::runtime::RuntimeHandle;

use super::service_manager;

/// Whether and how the process was asked to stop. A later request replaces an earlier one only where
/// it is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// It was not asked.
    None,
    /// Connections are accepted for `server.shutdown_delay`, then requests in flight finish
    /// (`SIGTERM`).
    AfterDelay,
    /// Requests in flight finish (`SIGINT`, a second `SIGTERM`).
    AtOnce,
}

/// Completes when `stop` asks for a stop. A dropped sender counts as one.
pub(super) async fn requested(mut stop: watch::Receiver<StopRequest>) -> StopRequest {
    match stop.wait_for(|stop| *stop != StopRequest::None).await {
        Ok(request) => *request,
        Err(_) => StopRequest::AtOnce,
    }
}

/// Waits for `stop`, tells health checks of it at once, and completes when connections are no longer
/// to be accepted. Load balancers notice the health checks meanwhile.
pub(super) async fn before_drain(
    runtime_handle: Arc<RuntimeHandle>,
    mut stop: watch::Receiver<StopRequest>,
) {
    let request = requested(stop.clone()).await;
    let runtime = runtime_handle.current();
    runtime.begin_stop();
    service_manager::stopping();
    let delay = runtime.settings().server.shutdown_delay;
    drop(runtime);
    if request == StopRequest::AfterDelay && !delay.is_zero() {
        tracing::info!(
            delay_s = delay.as_secs_f64(),
            "not ready any more, connections are accepted until the delay is over"
        );
        let at_once = stop.wait_for(|stop| *stop >= StopRequest::AtOnce);
        // A second request ends the delay.
        let _ = tokio::time::timeout(delay, at_once).await;
    }
    tracing::info!("no new connections, requests in flight finish");
}

/// Turns signals into requests to stop, until the process ends.
pub(super) async fn watch_signals(stop: watch::Sender<StopRequest>) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("cannot listen for signals: only SIGKILL will stop this process");
        return;
    };
    let ask = |request| {
        stop.send_if_modified(|now| {
            let is_new = *now < request;
            *now = request.max(*now);
            is_new
        })
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("SIGTERM");
                if !ask(StopRequest::AfterDelay) {
                    ask(StopRequest::AtOnce);
                }
            }
            _ = interrupt.recv() => {
                tracing::info!("SIGINT");
                if !ask(StopRequest::AtOnce) {
                    // A second Ctrl-C ends the process at once.
                    std::process::exit(130);
                }
            }
        }
    }
}
