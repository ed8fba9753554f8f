//! The embedded identity servers that run in this process beside the gateway.
//!
//! A configuration is taken in two steps, so that one that is refused changes nothing: `prepare`
//! reads and opens everything that can fail, and `apply` puts it in force.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::settings::{Provider, ProviderKind, Settings};
use crate::embedded::accounts::Accounts;
use crate::embedded::identity_server::{self as identity, EndedSession, IdentityServer};
use crate::embedded::statistics::Statistics;
use crate::embedded::users_file::{self, UsersFileError};
use crate::model::secret::Secret;
use crate::model::token::RevocationKey;
use crate::runtime::Runtime;
use crate::system::{self, Clock};
use crate::telemetry::audit;

use super::passed_servers::{PassedServer, Roster, RosterEntry};

/// The embedded identity servers of this process, by the provider's name. Each listens on a
/// loopback address and takes an API key that is made at random when it is opened.
#[derive(Default)]
pub(super) struct EmbeddedServers {
    by_name: BTreeMap<String, EmbeddedServer>,
    /// Those of the process whose place this one takes.
    passed: Vec<PassedServer>,
    roster: Roster,
}

struct EmbeddedServer {
    users_file: PathBuf,
    /// The provider that reaches it.
    kind: ProviderKind,
    api_key: Secret,
    state: State,
    listener: TcpListener,
    running: Option<JoinHandle<()>>,
    /// Dropped, it stops the server.
    stop: watch::Sender<()>,
}

enum State {
    Open(IdentityServer),
    /// It runs in the process before this one, which holds its database.
    Elsewhere(Box<identity::Options>),
}

/// What a new configuration changes.
pub(super) struct EmbeddedChanges {
    opened: Vec<(String, EmbeddedServer)>,
    /// With the users file that they come from.
    updated: Vec<(String, PathBuf, Accounts)>,
    removed: Vec<String>,
}

/// Sessions that ended because users changed, with the name of their provider.
pub(super) struct EndedSessions(Vec<(String, EndedSession)>);

/// Checks the users file of every embedded provider.
///
/// # Errors
/// All that cannot be used.
pub(super) fn check_users_files(settings: &Settings) -> Result<(), Vec<UsersFileError>> {
    let errors: Vec<UsersFileError> = settings
        .providers
        .values()
        .filter_map(users_file_of)
        .filter_map(|file| users_file::load(file).err())
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn users_file_of(provider: &Provider) -> Option<&PathBuf> {
    match &provider.kind {
        ProviderKind::Embedded { users } => Some(users),
        ProviderKind::Fusionauth { .. } | ProviderKind::Oidc { .. } => None,
    }
}

impl EmbeddedServers {
    /// Reads the users of every embedded provider of `settings`, and opens the servers that are not
    /// open. Gives each of these providers its address. Nothing is in force yet.
    ///
    /// # Errors
    /// What cannot be read or opened, for an operator.
    pub(super) fn prepare(
        &self,
        mut settings: Settings,
        clock: &Clock,
    ) -> Result<(Settings, EmbeddedChanges), String> {
        let mut changes = EmbeddedChanges {
            opened: Vec::new(),
            updated: Vec::new(),
            removed: self.by_name.keys().cloned().collect(),
        };
        for (name, provider) in &mut settings.providers {
            let Some(file) = users_file_of(provider).cloned() else {
                continue;
            };
            let failed = |what: String| format!("provider {name}: {what}");
            let users = users_file::load(&file).map_err(|error| error.to_string())?;
            let state_dir = settings.state_dir.join(name);
            let options = |users, api_key| identity::Options {
                users,
                state_dir,
                issuer: provider.issuer.clone(),
                api_key,
                clock: clock.clone(),
            };
            let passed = self.passed.iter().find(|passed| passed.name == *name);
            let opened = match (self.by_name.get(name), passed) {
                (Some(known), _) => match &known.state {
                    State::Open(server) => {
                        let accounts = server.prepare_accounts(users, provider.issuer.clone());
                        let accounts = accounts.map_err(|error| failed(error.to_string()))?;
                        changes.removed.retain(|other| other != name);
                        changes.updated.push((name.clone(), file, accounts));
                        provider.kind = known.kind.clone();
                        continue;
                    }
                    State::Elsewhere(_) => {
                        let options = options(users, known.api_key.clone());
                        EmbeddedServer::elsewhere(file, options, &known.listener)
                    }
                },
                (None, Some(passed)) => {
                    let options = options(users, passed.api_key.clone());
                    EmbeddedServer::elsewhere(file, options, &passed.listener)
                }
                (None, None) => {
                    let api_key = Secret::new(URL_SAFE_NO_PAD.encode(system::random::<32>()));
                    EmbeddedServer::open(file, options(users, api_key))
                }
            };
            let opened = opened.map_err(failed)?;
            provider.kind = opened.kind.clone();
            changes.removed.retain(|other| other != name);
            changes.opened.push((name.clone(), opened));
        }
        Ok((settings, changes))
    }

    /// Puts `changes` in force. Servers that are opened do not run yet; those that are removed
    /// stop.
    pub(super) fn apply(&mut self, changes: EmbeddedChanges) -> EndedSessions {
        let mut all = Vec::new();
        for name in changes.removed {
            self.by_name.remove(&name);
        }
        for (name, file, accounts) in changes.updated {
            let Some(known) = self.by_name.get_mut(&name) else {
                continue;
            };
            let State::Open(server) = &known.state else {
                continue;
            };
            known.users_file = file;
            match server.replace_accounts(accounts) {
                Ok(ended) => all.extend(ended.into_iter().map(|session| (name.clone(), session))),
                Err(error) => {
                    tracing::error!(provider = name, %error, "sessions of changed users could not be ended");
                }
            }
        }
        for (name, opened) in changes.opened {
            all.extend(opened.ended_at_opening(&name));
            self.by_name.insert(name, opened);
        }
        self.passed.clear();
        EndedSessions(all)
    }

    /// Whether a server runs in the process before this one.
    pub(super) fn any_elsewhere(&self) -> bool {
        self.by_name.values().any(EmbeddedServer::is_elsewhere)
    }

    /// Opens the servers of the process before this one, once that has ended. Those whose database
    /// is still in use remain, see [`Self::any_elsewhere`].
    pub(super) fn open_elsewhere(&mut self) -> EndedSessions {
        let mut all = Vec::new();
        for (name, known) in &mut self.by_name {
            let State::Elsewhere(options) = &known.state else {
                continue;
            };
            match identity::open((**options).clone()) {
                Ok(server) => {
                    known.state = State::Open(server);
                    all.extend(known.ended_at_opening(name));
                    tracing::info!(
                        provider = name,
                        "the embedded identity server runs here now"
                    );
                }
                Err(error) => {
                    tracing::debug!(provider = name, %error, "the embedded identity server cannot be taken over yet");
                }
            }
        }
        EndedSessions(all)
    }

    /// Runs the servers that do not run yet, until `stop` turns true or they are removed.
    pub(super) fn run(&mut self, stop: &watch::Receiver<bool>) {
        for known in self.by_name.values_mut() {
            let State::Open(server) = &known.state else {
                continue;
            };
            if known.running.is_some() {
                continue;
            }
            let listener = match known.listener.try_clone() {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::error!(%error, "an embedded identity server cannot run");
                    continue;
                }
            };
            let (mut stop, mut removed) = (stop.clone(), known.stop.subscribe());
            let stopped = async move {
                // A dropped sender counts as a stop.
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => {}
                    _ = removed.wait_for(|()| false) => {}
                }
            };
            let serving = server.clone().serve(listener, stopped);
            known.running = Some(system::detach(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "an embedded identity server has ended");
                }
            }));
        }
        let entries = self.by_name.iter();
        let entries = entries.filter_map(|(name, server)| server.roster_entry(name));
        self.roster.replace(entries.collect());
    }

    /// Completes when the servers have answered their last requests, after they were stopped.
    pub(super) async fn finished(self) {
        for running in self.by_name.into_values().filter_map(|known| known.running) {
            // One that failed is finished too.
            let _ = running.await;
        }
    }

    /// Begins with the servers of the process whose place this one takes.
    pub(super) fn after(passed: Vec<PassedServer>) -> Self {
        Self {
            passed,
            ..Self::default()
        }
    }

    /// The servers that run now, at any time.
    pub(super) fn roster(&self) -> Roster {
        self.roster.clone()
    }

    /// The users files, which are read again when they change.
    pub(super) fn users_files(&self) -> impl Iterator<Item = &Path> {
        self.by_name
            .values()
            .map(|known| known.users_file.as_path())
    }

    /// How often the server of `provider` was called.
    pub(super) fn statistics(&self, provider: &str) -> Option<Arc<Statistics>> {
        match &self.by_name.get(provider)?.state {
            State::Open(server) => Some(server.statistics()),
            State::Elsewhere(_) => None,
        }
    }
}

impl EmbeddedServer {
    /// Opens one server on a loopback port.
    fn open(users_file: PathBuf, options: identity::Options) -> Result<Self, String> {
        let api_key = options.api_key.clone();
        let server = identity::open(options).map_err(|error| error.to_string())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
        Self::with_state(users_file, api_key, State::Open(server), listener)
    }

    /// The server that listens on `listener` in the process before this one.
    fn elsewhere(
        users_file: PathBuf,
        options: identity::Options,
        listener: &TcpListener,
    ) -> Result<Self, String> {
        let listener = listener.try_clone().map_err(|error| error.to_string())?;
        let api_key = options.api_key.clone();
        let state = State::Elsewhere(Box::new(options));
        Self::with_state(users_file, api_key, state, listener)
    }

    fn with_state(
        users_file: PathBuf,
        api_key: Secret,
        state: State,
        listener: TcpListener,
    ) -> Result<Self, String> {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        Ok(Self {
            users_file,
            kind: ProviderKind::Fusionauth {
                url: format!("http://{address}"),
                api_key: api_key.clone(),
                tenant_id: None,
            },
            api_key,
            state,
            listener,
            running: None,
            stop: watch::Sender::new(()),
        })
    }

    fn roster_entry(&self, name: &str) -> Option<RosterEntry> {
        Some(RosterEntry {
            passed: PassedServer {
                name: name.to_owned(),
                api_key: self.api_key.clone(),
                listener: self.listener.try_clone().ok()?,
            },
            server: match &self.state {
                State::Open(server) => Some(server.clone()),
                State::Elsewhere(_) => None,
            },
        })
    }

    fn is_elsewhere(&self) -> bool {
        matches!(self.state, State::Elsewhere(_))
    }

    fn ended_at_opening(&self, name: &str) -> Vec<(String, EndedSession)> {
        match &self.state {
            State::Open(server) => {
                let ended = server.ended().iter().cloned();
                ended.map(|session| (name.to_owned(), session)).collect()
            }
            State::Elsewhere(_) => Vec::new(),
        }
    }
}

impl EndedSessions {
    /// Refuses the tokens and sessions at the gateway, and closes open streams.
    pub(super) async fn revoke(self, runtime: &Runtime) {
        for (provider, session) in self.0 {
            let key = RevocationKey(session.id);
            runtime.revoke(&provider, &key, session.until).await;
            audit::ended_by_users_file(&provider, &session.user);
        }
    }
}
