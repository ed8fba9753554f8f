//! The embedded identity servers of one process, as the next one gets them.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::embedded::identity_server::IdentityServer;
use crate::model::secret::Secret;

/// An embedded identity server as one process passes it to the next one.
pub(super) struct PassedServer {
    pub name: String,
    pub api_key: Secret,
    pub listener: TcpListener,
}

/// The embedded identity servers of this process, for the process that takes its place.
#[derive(Clone, Default)]
pub(super) struct Roster(Arc<Mutex<Servers>>);

#[derive(Default)]
struct Servers {
    entries: Vec<RosterEntry>,
    /// Whether the next process has taken over: connections are closed after their responses.
    close_connections: bool,
}

/// A server of this process.
pub(super) struct RosterEntry {
    pub passed: PassedServer,
    /// `None` where it runs in the process before this one.
    pub server: Option<IdentityServer>,
}

impl Roster {
    /// The servers that run from now on.
    pub(super) fn replace(&self, entries: Vec<RosterEntry>) {
        let mut servers = self.servers();
        servers.entries = entries;
        servers.apply();
    }

    /// The servers that run now.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub(super) fn current(&self) -> std::io::Result<Vec<PassedServer>> {
        let servers = self.servers();
        let copies = servers.entries.iter().map(|entry| {
            Ok(PassedServer {
                name: entry.passed.name.clone(),
                api_key: entry.passed.api_key.clone(),
                listener: entry.passed.listener.try_clone()?,
            })
        });
        copies.collect()
    }

    /// Leads the next process to connections that do not end with this one.
    pub(super) fn close_connections(&self) {
        let mut servers = self.servers();
        servers.close_connections = true;
        servers.apply();
    }

    /// The next process is gone.
    pub(super) fn keep_connections(&self) {
        let mut servers = self.servers();
        servers.close_connections = false;
        servers.apply();
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Servers {
    fn apply(&self) {
        for server in self
            .entries
            .iter()
            .filter_map(|entry| entry.server.as_ref())
        {
            if self.close_connections {
                server.close_connections();
            } else {
                server.keep_connections();
            }
        }
    }
}
