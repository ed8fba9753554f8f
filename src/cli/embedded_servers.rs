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

/// The embedded identity servers of this process, by the provider's name. Each listens on a loopback
/// address and takes an API key that is made at random when it is opened.
#[derive(Default)]
pub(super) struct EmbeddedServers(BTreeMap<String, EmbeddedServer>);

struct EmbeddedServer {
    users_file: PathBuf,
    /// The provider that reaches it.
    kind: ProviderKind,
    server: IdentityServer,
    /// Where it listens, until it runs.
    listener: Option<TcpListener>,
    /// Dropped, it stops the server.
    stop: watch::Sender<()>,
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
        ProviderKind::Fusionauth { .. } => None,
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
            removed: self.0.keys().cloned().collect(),
        };
        for (name, provider) in &mut settings.providers {
            let Some(file) = users_file_of(provider).cloned() else {
                continue;
            };
            let failed = |what: String| format!("provider {name}: {what}");
            let users = users_file::load(&file).map_err(|error| error.to_string())?;
            provider.kind = if let Some(known) = self.0.get(name) {
                let accounts = known
                    .server
                    .prepare_accounts(users, provider.issuer.clone());
                let accounts = accounts.map_err(|error| failed(error.to_string()))?;
                changes.removed.retain(|other| other != name);
                changes.updated.push((name.clone(), file, accounts));
                known.kind.clone()
            } else {
                let options = identity::Options {
                    users,
                    state_dir: settings.state_dir.join(name),
                    issuer: provider.issuer.clone(),
                    api_key: Secret::new(URL_SAFE_NO_PAD.encode(system::random::<32>())),
                    clock: clock.clone(),
                };
                let opened = EmbeddedServer::open(file, options).map_err(failed)?;
                let kind = opened.kind.clone();
                changes.opened.push((name.clone(), opened));
                kind
            };
        }
        Ok((settings, changes))
    }

    /// Puts `changes` in force. Servers that are opened do not run yet; those that are removed stop.
    pub(super) fn apply(&mut self, changes: EmbeddedChanges) -> EndedSessions {
        let mut all = Vec::new();
        for name in changes.removed {
            self.0.remove(&name);
        }
        for (name, file, accounts) in changes.updated {
            let Some(known) = self.0.get_mut(&name) else {
                continue;
            };
            known.users_file = file;
            match known.server.replace_accounts(accounts) {
                Ok(ended) => all.extend(ended.into_iter().map(|session| (name.clone(), session))),
                Err(error) => {
                    tracing::error!(provider = name, %error, "sessions of changed users could not be ended");
                }
            }
        }
        for (name, opened) in changes.opened {
            let ended = opened.server.ended().iter().cloned();
            all.extend(ended.map(|session| (name.clone(), session)));
            self.0.insert(name, opened);
        }
        EndedSessions(all)
    }

    /// Runs the servers that do not run yet, until `stop` turns true or they are removed.
    pub(super) fn run(&mut self, stop: &watch::Receiver<bool>) {
        for known in self.0.values_mut() {
            let Some(listener) = known.listener.take() else {
                continue;
            };
            let (mut stop, mut removed) = (stop.clone(), known.stop.subscribe());
            let stopped = async move {
                // A dropped sender counts as a stop.
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => {}
                    _ = removed.wait_for(|()| false) => {}
                }
            };
            drop(system::detach(
                known.server.clone().serve(listener, stopped),
            ));
        }
    }

    /// The users files, which are read again when they change.
    pub(super) fn users_files(&self) -> impl Iterator<Item = &Path> {
        self.0.values().map(|known| known.users_file.as_path())
    }

    /// How often the server of `provider` was called.
    pub(super) fn statistics(&self, provider: &str) -> Option<Arc<Statistics>> {
        self.0.get(provider).map(|known| known.server.statistics())
    }
}

impl EmbeddedServer {
    /// Opens one server on a loopback port.
    fn open(users_file: PathBuf, options: identity::Options) -> Result<Self, String> {
        let api_key = options.api_key.clone();
        let server = identity::open(options).map_err(|error| error.to_string())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        Ok(Self {
            users_file,
            kind: ProviderKind::Fusionauth {
                url: format!("http://{address}"),
                api_key,
                tenant_id: None,
            },
            server,
            listener: Some(listener),
            stop: watch::Sender::new(()),
        })
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
