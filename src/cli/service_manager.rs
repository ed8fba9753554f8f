//! What systemd is told of the process (`sd_notify(3)`). Without `NOTIFY_SOCKET` nothing is sent.

use sd_notify::NotifyState;

/// The gateway serves: the start, or the reload, is complete. `status` is a line for `systemctl
/// status`.
pub(super) fn ready(status: &str) {
    let process = NotifyState::MainPid(std::process::id());
    send(&[NotifyState::Ready, process, NotifyState::Status(status)]);
}

/// A reload begins. [`ready`] ends it, also where the new configuration is refused.
pub(super) fn reloading() {
    // With `Type=notify-reload`, systemd counts a reload by the time at which it began.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, now]);
    }
}

/// A stop was asked for.
pub(super) fn stopping() {
    send(&[
        NotifyState::Stopping,
        NotifyState::Status("Stopping: requests in flight finish."),
    ]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told of the state of this process");
    }
}
