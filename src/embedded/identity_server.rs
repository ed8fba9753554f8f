//! The embedded identity server: opened on its state directory, then served on a listener.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use redb::Database;
use tokio::sync::watch;

use super::account_overrides;
use super::accounts::Accounts;
use super::browser_sessions::BROWSER_SESSIONS;
use super::database;
use super::fusionauth_api;
use super::logout_queue::LOGOUTS;
use super::openid;
use super::openid::clients::OpenIdSettings;
use super::refresh_sessions::{self, Session};
use super::server_state::ServerState;
use super::signing::SigningKey;
use super::statistics::Statistics;
use super::stoppable_listener::StoppableListener;
use super::trusted_devices;
use super::users::Users;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::system::Clock;

/// The interval at which expired sessions and device trusts are deleted.
const PURGE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long a server whose connections are closed one by one stops accepting before it ends: a
/// request on a connection that was accepted last is answered.
const ACCEPTED_LINGER: Duration = Duration::from_millis(300);

/// The settings of an identity server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The users and the policies for their passwords and tokens.
    pub users: Users,
    /// The server keeps its signing key and its database in the subdirectory `identity`.
    pub state_dir: PathBuf,
    /// The `iss` claim of the access tokens.
    pub issuer: String,
    /// The API key. Calls that need it send it as the value of `Authorization`.
    pub api_key: Secret,
    /// The clock. It is passed in so that tests can advance it.
    pub clock: Clock,
}

/// An error that prevents the server from opening, with the path concerned.
#[derive(Debug)]
pub enum OpenError {
    /// The state directory or the signing key cannot be used.
    State(PathBuf, io::Error),
    /// The database cannot be used.
    Database(PathBuf, Box<redb::Error>),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Database(path, error) => write!(out, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// An identity server with FusionAuth's API. Clones are the same server.
#[derive(Clone)]
pub struct IdentityServer {
    state: Arc<ServerState>,
    database: Arc<Database>,
    /// The directory of the signing key and the database.
    directory: PathBuf,
    ended: Arc<[EndedSession]>,
    closes_connections: Arc<AtomicBool>,
}

/// A session that ended because the users changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// The `sid` claim of its access tokens.
    pub id: String,
    /// The user's id.
    pub user: String,
    /// The latest `exp` that an access token of it can have.
    pub until: Timestamp,
}

/// Opens the server. Its signing key and database are created if they do not exist. The call blocks
/// on the file system but does not wait for locks.
///
/// # Errors
/// If the state directory cannot be used, or another process uses the database.
pub fn open(options: Options) -> Result<IdentityServer, OpenError> {
    let Options {
        users,
        state_dir,
        issuer,
        api_key,
        clock,
    } = options;
    let directory = state_dir.join("identity");
    let key = open_signing_key(&directory, &users)
        .map_err(|error| OpenError::State(directory.clone(), error))?;
    let path = directory.join("identity.redb");
    let database_error = |error: redb::Error| OpenError::Database(path.clone(), Box::new(error));
    let database: Arc<Database> = Arc::new(open_database(&path).map_err(database_error)?);
    let accounts = Accounts::new(users, key, issuer, Arc::clone(&database));
    let now = clock.now();
    let sessions = accounts.sessions.clone();
    // The users may have changed while the server was not running.
    let ended = sessions
        .end_others(|session| accounts.user_of(session).is_some(), now)
        .map_err(database_error)?;
    let ended = ended_sessions(ended, &accounts).into();
    let state = ServerState::new(accounts, Arc::clone(&database), api_key, clock);
    sessions
        .purge(now)
        .and_then(|()| state.trusted_devices.purge(now))
        .map_err(database_error)?;
    Ok(IdentityServer {
        state: Arc::new(state),
        database,
        directory,
        ended,
        closes_connections: Arc::default(),
    })
}

fn ended_sessions(sessions: Vec<Session>, accounts: &Accounts) -> Vec<EndedSession> {
    let lifetime = accounts.issuer.lifetime();
    let ended = |session: Session| EndedSession {
        until: Timestamp::from_millis(session.expires).plus(lifetime),
        id: session.id,
        user: session.user,
    };
    sessions.into_iter().map(ended).collect()
}

fn open_signing_key(directory: &Path, users: &Users) -> io::Result<SigningKey> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    SigningKey::open(directory, users.token_policy.algorithm)
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    let tables = [
        refresh_sessions::SESSIONS,
        refresh_sessions::REFRESH_TOKENS,
        account_overrides::PASSWORDS,
        account_overrides::TIME_STEPS,
        account_overrides::RECOVERY_CODES,
        trusted_devices::TRUSTS,
        BROWSER_SESSIONS,
        LOGOUTS,
    ];
    database::open(path, &tables)
}

impl IdentityServer {
    /// The call counts. They remain readable while the server is served.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        Arc::clone(&self.state.statistics)
    }

    /// The sessions that ended when the server was opened, because the users had changed since it
    /// last ran.
    #[must_use]
    pub fn ended(&self) -> &[EndedSession] {
        &self.ended
    }

    /// Prepares new users and a new issuer for [`IdentityServer::replace_accounts`].
    ///
    /// # Errors
    /// If the signing key cannot be used.
    pub fn prepare_accounts(&self, users: Users, issuer: String) -> Result<Accounts, OpenError> {
        let key = open_signing_key(&self.directory, &users)
            .map_err(|error| OpenError::State(self.directory.clone(), error))?;
        let database = Arc::clone(&self.database);
        Ok(Accounts::new(users, key, issuer, database))
    }

    /// Puts `accounts` in force. Sessions of users that are gone, cannot sign in any more or have
    /// another password end, and are returned.
    ///
    /// # Errors
    /// If the database fails. The accounts are in force all the same, and sessions that they do not
    /// allow are not refreshed.
    pub fn replace_accounts(&self, accounts: Accounts) -> Result<Vec<EndedSession>, redb::Error> {
        let ended = self.state.replace_accounts(accounts)?;
        Ok(ended_sessions(ended, &self.state.accounts()))
    }

    /// Puts settings of sign-in by redirect in force; `None` for no sign-in by redirect.
    pub fn set_openid(&self, settings: Option<OpenIdSettings>) {
        self.state.openid.settings.store(settings.map(Arc::new));
    }

    /// Closes connections after their responses from now on, so that no request is sent on one that
    /// the end of [`Self::serve`] closes.
    pub fn close_connections(&self) {
        self.closes_connections.store(true, Ordering::Release);
    }

    /// Keeps connections open again.
    pub fn keep_connections(&self) {
        self.closes_connections.store(false, Ordering::Release);
    }

    /// Serves the API on `listener` until `shutdown` completes, then finishes the open requests.
    ///
    /// # Errors
    /// If the listener cannot be used.
    pub async fn serve(
        self,
        listener: std::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = watch::channel(false);
        let closes = Arc::clone(&self.closes_connections);
        let shutdown = async move {
            shutdown.await;
            stop.send_replace(true);
            if closes.load(Ordering::Acquire) {
                tokio::time::sleep(ACCEPTED_LINGER).await;
            }
        };
        let listener = StoppableListener {
            listener,
            stop: stopped,
        };
        let closes = Arc::clone(&self.closes_connections);
        let close_if_asked = middleware::map_response(move |mut response: Response| {
            if closes.load(Ordering::Acquire) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            async { response }
        });
        let router = fusionauth_api::router(Arc::clone(&self.state))
            .merge(openid::router(Arc::clone(&self.state), url))
            .layer(close_if_asked);
        tokio::select! {
            served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
            () = purge_periodically(&self.state) => Ok(()),
            () = openid::deliver_logouts(&self.state) => Ok(()),
        }
    }
}

/// Deletes expired sessions and device trusts every [`PURGE_INTERVAL`], without end.
async fn purge_periodically(state: &ServerState) {
    let mut interval = tokio::time::interval(PURGE_INTERVAL);
    // The first tick completes immediately, and `open` has just purged.
    interval.tick().await;
    loop {
        interval.tick().await;
        let (sessions, trusted_devices) = (state.sessions(), state.trusted_devices.clone());
        let browser_sessions = state.browser_sessions.clone();
        let now = state.clock.now();
        let purge = move || {
            sessions.purge(now)?;
            trusted_devices.purge(now)?;
            browser_sessions.retain(|session| session.expires > now.millis())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(purge).await {
            tracing::warn!(%error, "expired sessions could not be deleted");
        }
    }
}
