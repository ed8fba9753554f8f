//! Configuration reload: the new configuration is built beside the running one and swapped in as a
//! whole. One with problems is refused, and the running one stays.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::settings::Settings;
use crate::runtime::{self, RuntimeHandle, cookie_keys};
use crate::telemetry::audit;
use crate::telemetry::labels::ReloadResult;

use super::embedded_servers::EmbeddedServers;
use super::service_manager;

/// How often files are looked at: a change takes effect within five seconds.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Reloads on `SIGHUP` and when the file, the files of a theme, certificates of listeners or
/// upstreams, a users file or the keys in `state_dir` change, until `stop` turns true.
pub(super) async fn watch(
    path: PathBuf,
    runtime_handle: Arc<RuntimeHandle>,
    mut embedded_servers: EmbeddedServers,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("cannot listen for SIGHUP");
        // Dropped, the embedded servers would stop.
        let _ = stop.wait_for(|stop| *stop).await;
        return;
    };
    let mut seen = fingerprints(&path, &runtime_handle, &embedded_servers);
    loop {
        let asked = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = hangup.recv() => true,
            () = tokio::time::sleep(POLL_INTERVAL) => false,
        };
        let now = fingerprints(&path, &runtime_handle, &embedded_servers);
        // A file that is gone for a moment is being replaced.
        if !asked && (now == seen || now.get(&path).is_none_or(Option::is_none)) {
            continue;
        }
        reload(&path, &runtime_handle, &mut embedded_servers).await;
        embedded_servers.run(&stop);
        seen = fingerprints(&path, &runtime_handle, &embedded_servers);
        // A change during the reload is noticed in the next round. Files that only the new
        // configuration names count from now.
        for (file, fingerprint) in now {
            seen.entry(file).and_modify(|seen| *seen = fingerprint);
        }
    }
}

/// The addresses of the TLS listeners.
fn tls_addresses(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
    settings.server.tls.iter().map(|tls| tls.listen)
}

/// A file's time and length; `None` where there is none.
type Fingerprint = Option<(SystemTime, u64)>;

/// Everything the running configuration was read from, and its keys.
fn fingerprints(
    path: &Path,
    runtime_handle: &RuntimeHandle,
    embedded_servers: &EmbeddedServers,
) -> BTreeMap<PathBuf, Fingerprint> {
    let current = runtime_handle.current();
    let settings = current.settings();
    let themes = settings
        .sites
        .iter()
        .flat_map(|site| site.theme.source_files.iter().cloned());
    let upstreams = settings.sites.iter().flat_map(|site| &site.upstreams);
    let upstreams = upstreams.filter_map(|upstream| upstream.tls.as_ref());
    let upstreams = upstreams.flat_map(|tls| tls.files.iter().cloned());
    let files = [path.to_owned(), settings.state_dir.join(cookie_keys::FILE)]
        .into_iter()
        .chain(themes)
        .chain(settings.server.tls_files().cloned())
        .chain(upstreams)
        .chain(embedded_servers.users_files().map(Path::to_owned));
    files
        .map(|file| (fingerprint(&file), file))
        .map(|(fingerprint, file)| (file, fingerprint))
        .collect()
}

fn fingerprint(path: &Path) -> Fingerprint {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// How many idle connections to upstreams are kept in all.
fn kept_connections(settings: &Settings) -> usize {
    settings
        .sites
        .iter()
        .map(|site| site.upstream_keepalive)
        .sum()
}

/// Names what changed and takes effect only after a restart.
fn warn_of_restart(settings: &Settings, before: &Settings) {
    if settings.server.listen != before.server.listen
        || !tls_addresses(settings).eq(tls_addresses(before))
        || settings.server.admin != before.server.admin
    {
        tracing::warn!("listening addresses have changed: restart to apply that");
    }
    if settings.store != before.store {
        tracing::warn!("the store has changed: restart to apply that");
    }
    if kept_connections(settings) != kept_connections(before) {
        tracing::warn!("`upstream_keepalive` has changed: restart to apply that");
    }
}

async fn reload(
    path: &Path,
    runtime_handle: &RuntimeHandle,
    embedded_servers: &mut EmbeddedServers,
) {
    service_manager::reloading();
    let current = runtime_handle.current();
    let before = current.settings();
    let (count, result) = match crate::config::load(path) {
        Err(problems) => {
            for problem in problems.iter() {
                tracing::error!(%problem, "a problem in the new configuration");
            }
            (problems.iter().count(), None)
        }
        Ok(settings) => {
            warn_of_restart(&settings, before);
            let clock = current.clock().clone();
            let built =
                embedded_servers
                    .prepare(settings, &clock)
                    .and_then(|(settings, changes)| {
                        runtime::build(settings, Some(&current), clock)
                            .map(|runtime| (runtime, changes))
                            .map_err(|fault| fault.to_string())
                    });
            match built {
                Ok(built) => (0, Some(built)),
                Err(problems) => {
                    for problem in problems.lines() {
                        tracing::error!(problem, "the new configuration cannot be used");
                    }
                    (problems.lines().count(), None)
                }
            }
        }
    };
    let status = match result {
        Some((runtime, changes)) => {
            let ended = embedded_servers.apply(changes);
            runtime_handle.replace(runtime);
            ended.revoke(&runtime_handle.current()).await;
            current.metrics().reloaded(ReloadResult::Ok);
            audit::reloaded();
            "Serving with the configuration of the last reload."
        }
        None => {
            current.metrics().reloaded(ReloadResult::Refused);
            audit::reload_refused(count);
            "The last reload was refused: serving with the configuration before it. The log has \
             the problems."
        }
    };
    service_manager::ready(status);
}
