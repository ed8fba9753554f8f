//! Configuration reload: the new configuration is built beside the running one and swapped in as a
//! whole. One with problems is refused, and the running one stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::config::settings::Settings;
use crate::runtime::{self, RuntimeHandle, cookie_keys};
use crate::telemetry::audit;
use crate::telemetry::labels::ReloadResult;

use super::embedded_servers::EmbeddedServers;
use super::service_manager;

/// How often files are looked at: a change takes effect within five seconds.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How often the database of an embedded identity server is tried, after the process that had it.
const DATABASE_POLL: Duration = Duration::from_millis(100);

/// What the watch waits for, beside changes.
pub(super) struct Until {
    /// Turns true at the end of the process.
    pub stop: watch::Receiver<bool>,
    /// Turns true when the process before this one has ended.
    pub predecessor_ended: watch::Receiver<bool>,
}

/// What the watch has noticed.
#[derive(PartialEq)]
enum Event {
    /// `SIGHUP`.
    Asked,
    /// It is time to look at the files.
    Poll,
    PredecessorEnded,
}

/// Completes a moment after the end of the process before this one. It can be cancelled.
async fn database_poll(predecessor_ended: &mut watch::Receiver<bool>) {
    // A dropped sender counts as the end.
    let _ = predecessor_ended.wait_for(|ended| *ended).await;
    tokio::time::sleep(DATABASE_POLL).await;
}

/// A configuration file, and the requests to read it again.
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// `SIGHUP`, from the start on: by default, it would end a process that does not listen for it
    /// yet.
    requests: Signal,
}

impl ConfigFile {
    /// Listens for `SIGHUP` from now on.
    ///
    /// # Errors
    /// If the signal cannot be caught.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        // Requests that come before the gateway's own executor runs are kept for it.
        let executor = Builder::new_current_thread().enable_io().build()?;
        let _context = executor.enter();
        let requests = signal(SignalKind::hangup())?;
        Ok(Self { path, requests })
    }
}

/// Reloads on `SIGHUP` and when the configuration, a file that it names, a users file or the keys
/// in `state_dir` change, until the process ends. Embedded identity servers are taken over from the
/// process before this one when that has ended.
pub(super) async fn watch(
    config: ConfigFile,
    runtime_handle: Arc<RuntimeHandle>,
    mut embedded_servers: EmbeddedServers,
    until: Until,
) {
    let Until {
        mut stop,
        mut predecessor_ended,
    } = until;
    let ConfigFile { path, mut requests } = config;
    // The files of the last configuration that was refused: a change of one may mend it.
    let mut refused = BTreeSet::new();
    let files = |embedded_servers: &EmbeddedServers, refused: &BTreeSet<PathBuf>| {
        let read = source_files(&path, &runtime_handle, embedded_servers);
        fingerprints(read.into_iter().chain(refused.iter().cloned()))
    };
    let mut seen = files(&embedded_servers, &refused);
    // One that goes on while other events come more often.
    let mut polls = tokio::time::interval(POLL_INTERVAL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = database_poll(&mut predecessor_ended), if embedded_servers.any_elsewhere() => {
                Event::PredecessorEnded
            }
            _ = requests.recv() => Event::Asked,
            _ = polls.tick() => Event::Poll,
        };
        if event == Event::PredecessorEnded {
            let ended = embedded_servers.open_elsewhere();
            ended.revoke(&runtime_handle.current()).await;
            embedded_servers.run(&stop);
            continue;
        }
        let now = files(&embedded_servers, &refused);
        // A file that is gone for a moment is being replaced.
        if event == Event::Poll && (now == seen || now.get(&path).is_none_or(Option::is_none)) {
            continue;
        }
        refused = match reload(&path, &runtime_handle, &mut embedded_servers).await {
            Ok(()) => BTreeSet::new(),
            Err(files) => files,
        };
        embedded_servers.run(&stop);
        seen = files(&embedded_servers, &refused);
        // A change during the reload is noticed in the next round. Files that only the new
        // configuration names count from now.
        for (file, fingerprint) in now {
            seen.entry(file).and_modify(|seen| *seen = fingerprint);
        }
    }
    embedded_servers.finished().await;
}

/// The addresses of the TLS listeners.
fn tls_addresses(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
    settings.server.tls.iter().map(|tls| tls.listen)
}

/// A file's time and length; `None` where there is none.
type Fingerprint = Option<(SystemTime, u64)>;

/// Everything the running configuration was read from, and its keys.
fn source_files(
    path: &Path,
    runtime_handle: &RuntimeHandle,
    embedded_servers: &EmbeddedServers,
) -> BTreeSet<PathBuf> {
    let current = runtime_handle.current();
    let settings = current.settings();
    let mut files = settings.files.clone();
    files.extend([path.to_owned(), settings.state_dir.join(cookie_keys::FILE)]);
    files.extend(embedded_servers.users_files().map(Path::to_owned));
    files
}

fn fingerprints(files: impl Iterator<Item = PathBuf>) -> BTreeMap<PathBuf, Fingerprint> {
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

/// The keys that differ and that a reload does not change.
fn need_restart(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let (server, was) = (&after.server, &before.server);
    let (log, logged) = (&after.log, &before.log);
    let keys = [
        ("server.listen", server.listen != was.listen),
        (
            "server.tls.listen",
            !tls_addresses(after).eq(tls_addresses(before)),
        ),
        ("server.admin", server.admin != was.admin),
        ("server.workers", server.workers != was.workers),
        ("state_dir", after.state_dir != before.state_dir),
        ("store", after.store != before.store),
        (
            "upstream_keepalive",
            kept_connections(after) != kept_connections(before),
        ),
        ("log.format", log.format != logged.format),
        ("log.level", log.level != logged.level),
    ];
    let changed = keys.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(key, _)| key).collect()
}

fn warn_of_restart(before: &Settings, settings: &Settings) {
    let keys = need_restart(before, settings);
    if !keys.is_empty() {
        tracing::warn!(
            keys = keys.join(" "),
            "these settings have changed, and take effect after a restart or `serve --upgrade`"
        );
    }
}

/// The error is the files that the refused configuration was read from.
async fn reload(
    path: &Path,
    runtime_handle: &RuntimeHandle,
    embedded_servers: &mut EmbeddedServers,
) -> Result<(), BTreeSet<PathBuf>> {
    service_manager::reloading();
    let current = runtime_handle.current();
    let before = current.settings();
    let report = crate::config::review(path, current.clock().now());
    let (count, result) = match report.settings {
        Err(problems) => {
            for problem in problems.iter() {
                tracing::error!(%problem, "a problem in the new configuration");
            }
            (problems.iter().count(), None)
        }
        Ok(settings) => {
            warn_of_restart(before, &settings);
            let clock = current.clock().clone();
            let built =
                embedded_servers
                    .prepare(settings, &clock)
                    .and_then(|(settings, changes)| {
                        runtime::build(settings, Some(&current), clock)
                            .map(|runtime| (runtime, changes))
                            .map_err(|error| error.to_string())
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
    let (status, outcome) = match result {
        Some((runtime, changes)) => {
            let ended = embedded_servers.apply(changes);
            runtime_handle.replace(runtime);
            ended.revoke(&runtime_handle.current()).await;
            current
                .metrics()
                .reloaded(ReloadResult::Ok, current.clock().now());
            audit::reloaded();
            ("Serving with the configuration of the last reload.", Ok(()))
        }
        None => {
            current
                .metrics()
                .reloaded(ReloadResult::Refused, current.clock().now());
            audit::reload_refused(count);
            let status = "The last reload was refused: serving with the configuration before it. \
                          The log has the problems.";
            (status, Err(report.files))
        }
    };
    service_manager::ready(status);
    outcome
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_request_before_the_gateway_runs_ends_nothing_and_is_kept() {
        let mut config = ConfigFile::new("vestibule.toml".into()).unwrap();
        let process = std::process::id().to_string();
        let status = Command::new("kill").args(["-HUP", &process]).status();
        assert!(status.unwrap().success());
        let executor = Builder::new_current_thread().enable_all().build().unwrap();
        assert!(executor.block_on(config.requests.recv()).is_some());
    }
}
