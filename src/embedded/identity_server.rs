//! The embedded identity server: opened on its state directory, then served on a listener.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::Database;

use super::account_changes::{self, AccountChanges};
use super::database;
use super::fusionauth_api;
use super::outbox::Outbox;
use super::password_hasher::PasswordHasher;
use super::pending_logins::PendingLogins;
use super::refresh_sessions::{self, RefreshSessions};
use super::server_state::ServerState;
use super::signing::SigningKey;
use super::statistics::Statistics;
use super::token_issuer::TokenIssuer;
use super::trusted_devices::{self, TrustedDevices};
use super::users::Users;
use crate::model::secret::Secret;
use crate::system::Clock;

/// The interval at which expired sessions and device trusts are deleted.
const PURGE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long a login waits for its second-factor code.
const CODE_LIFETIME: Duration = Duration::from_secs(300);

/// How long a login waits for a new password.
const PASSWORD_CHANGE_LIFETIME: Duration = Duration::from_secs(600);

/// How long the one-time password after a change of password is valid.
const ONE_TIME_PASSWORD_LIFETIME: Duration = Duration::from_secs(60);

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

/// An identity server with FusionAuth's API.
pub struct IdentityServer {
    state: Arc<ServerState>,
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
    let policy = users.token_policy;
    let sessions = RefreshSessions::new(
        Arc::clone(&database),
        policy.refresh_token_lifetime,
        policy.grace,
    );
    let trusted_devices = TrustedDevices::new(Arc::clone(&database));
    let now = clock.now();
    sessions
        .purge(now)
        .and_then(|()| trusted_devices.purge(now))
        .map_err(database_error)?;
    let state = ServerState {
        outbox: users.outbox.as_deref().map(Outbox::new),
        password_hasher: PasswordHasher::new(users.all().map(|user| user.password.expose())),
        users,
        account_changes: AccountChanges::new(database),
        trusted_devices,
        sessions,
        issuer: TokenIssuer::new(key, issuer, policy.access_token_lifetime),
        pending_codes: PendingLogins::new(CODE_LIFETIME),
        pending_password_changes: PendingLogins::new(PASSWORD_CHANGE_LIFETIME),
        one_time_passwords: PendingLogins::new(ONE_TIME_PASSWORD_LIFETIME),
        api_key,
        clock,
        statistics: Arc::default(),
    };
    Ok(IdentityServer {
        state: Arc::new(state),
    })
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
        account_changes::PASSWORDS,
        account_changes::TIME_STEPS,
        account_changes::RECOVERY_CODES,
        trusted_devices::TRUSTS,
    ];
    database::open(path, &tables)
}

impl IdentityServer {
    /// The call counts. They remain readable while the server is served.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        Arc::clone(&self.state.statistics)
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
        let router = fusionauth_api::router(Arc::clone(&self.state), url);
        tokio::select! {
            served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
            () = purge_periodically(&self.state) => Ok(()),
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
        let (sessions, trusted_devices) = (state.sessions.clone(), state.trusted_devices.clone());
        let now = state.clock.now();
        let purge = move || {
            sessions
                .purge(now)
                .and_then(|()| trusted_devices.purge(now))
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(purge).await {
            tracing::warn!(%error, "expired sessions could not be deleted");
        }
    }
}
