//! How the process stops: the signals that ask for it, and the time between that and the end of
//! accepting connections.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::proxy::connection::Accepting;
use crate::runtime::RuntimeHandle;
use crate::system;

use super::service_manager;
use super::successor::Successor;

/// Whether and how the process was asked to stop. A later request replaces an earlier one only
/// where it is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// It was not asked.
    None,
    /// Requests in flight finish, while another process accepts the connections (`SIGQUIT`).
    /// Without one, as [`StopRequest::AtOnce`].
    HandedOver,
    /// Connections are accepted for `server.shutdown_delay`, then requests in flight finish
    /// (`SIGTERM`).
    AfterDelay,
    /// Requests in flight finish (`SIGINT`, a second `SIGTERM`).
    AtOnce,
}

/// Completes when `stop` asks for a stop. A dropped sender counts as one.
pub(super) async fn requested(stop: &mut watch::Receiver<StopRequest>) -> StopRequest {
    match stop.wait_for(|stop| *stop != StopRequest::None).await {
        Ok(request) => *request,
        Err(_) => StopRequest::AtOnce,
    }
}

/// Watches `stop` and the process that takes the place of this one, and tells when connections are
/// accepted.
pub(super) fn accepting(
    runtime_handle: Arc<RuntimeHandle>,
    stop: watch::Receiver<StopRequest>,
    successor: watch::Receiver<Successor>,
) -> Accepting {
    let (drain, draining) = watch::channel(false);
    let (pause, paused) = watch::channel(false);
    let mut serving = successor.clone();
    drop(system::detach(async move {
        while serving.changed().await.is_ok() {
            pause.send_replace(*serving.borrow_and_update() == Successor::Serving);
        }
    }));
    drop(system::detach(async move {
        before_drain(runtime_handle, stop, successor).await;
        drain.send_replace(true);
    }));
    Accepting {
        stop: draining,
        paused,
    }
}

/// Waits for `stop`, tells health checks of it at once, and completes when connections are no
/// longer to be accepted. Load balancers notice the health checks meanwhile.
async fn before_drain(
    runtime_handle: Arc<RuntimeHandle>,
    mut stop: watch::Receiver<StopRequest>,
    mut successor: watch::Receiver<Successor>,
) {
    loop {
        let request = requested(&mut stop).await;
        if request == StopRequest::HandedOver {
            match handed_over(&mut stop, &mut successor).await {
                // Health checks of the addresses are the other process's to answer.
                Successor::Serving => break,
                Successor::Starting => continue,
                Successor::None => {}
            }
        }
        tell(&runtime_handle);
        if request == StopRequest::AfterDelay {
            delay(&runtime_handle, &mut stop).await;
        }
        break;
    }
    tracing::info!("no new connections, requests in flight finish");
}

/// Waits for a process that starts in place of this one until it serves. If it is gone instead, or
/// another signal has come, it is [`Successor::Starting`] still: look again what is asked.
async fn handed_over(
    stop: &mut watch::Receiver<StopRequest>,
    successor: &mut watch::Receiver<Successor>,
) -> Successor {
    let now = *successor.borrow();
    if now != Successor::Starting {
        return now;
    }
    tracing::info!("SIGQUIT takes effect when the process that takes over can serve");
    stop.mark_unchanged();
    let settled = async {
        let settled = successor.wait_for(|now| *now != Successor::Starting);
        settled.await.map_or(Successor::None, |now| *now)
    };
    tokio::select! {
        settled = settled => {
            if settled == Successor::Serving {
                return settled;
            }
            tracing::error!("the process that was to take over is gone: SIGQUIT is ignored");
            // A dropped sender is found by whoever looks next.
            let _ = stop.changed().await;
        }
        _ = stop.changed() => {}
    }
    Successor::Starting
}

fn tell(runtime_handle: &RuntimeHandle) {
    runtime_handle.current().begin_stop();
    service_manager::stopping();
}

async fn delay(runtime_handle: &RuntimeHandle, stop: &mut watch::Receiver<StopRequest>) {
    let delay = runtime_handle.current().settings().server.shutdown_delay;
    if delay.is_zero() {
        return;
    }
    tracing::info!(
        delay_s = delay.as_secs_f64(),
        "not ready any more, connections are accepted until the delay is over"
    );
    let at_once = stop.wait_for(|stop| *stop >= StopRequest::AtOnce);
    // A second request ends the delay.
    let _ = tokio::time::timeout(delay, at_once).await;
}

/// Turns signals into requests to stop, until the process ends.
pub(super) async fn watch_signals(stop: watch::Sender<StopRequest>) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::quit()),
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
            _ = quit.recv() => {
                tracing::info!("SIGQUIT");
                // Asked again, it counts again.
                stop.send_modify(|now| *now = StopRequest::HandedOver.max(*now));
            }
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
