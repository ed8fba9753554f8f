//! The embedded identity server: opened on its state directory, served on a listener.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redb::Database;

use super::accounts::{self, Accounts};
use super::api;
use super::database;
use super::outbox::Outbox;
use super::passwords::Passwords;
use super::pending_logins::PendingLogins;
use super::refresh_sessions::{self, Sessions};
use super::signing::SigningKey;
use super::tokens::Issuer;
use super::trusted_devices::{self, TrustedDevices};
use super::users::Users;
use crate::model::secret::Secret;
use crate::system::Clock;

/// How often what is over is forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

/// What the server is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The people it knows.
    pub users: Users,
    /// Keys and sessions rest in the directory `identity` in it.
    pub state_dir: PathBuf,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// What `Authorization` must hold where the API asks for a key.
    pub api_key: Secret,
    /// What time it is.
    pub clock: Clock,
}

/// How often each part of the API was called, whatever came of it.
#[derive(Debug, Default)]
pub struct Statistics {
    /// `POST /api/login`.
    pub logins: Calls,
    /// `POST /api/two-factor/login`.
    pub two_factor_logins: Calls,
    /// `POST /api/two-factor/send/{twoFactorId}`.
    pub code_requests: Calls,
    /// `POST /api/user/change-password`.
    pub password_changes: Calls,
    /// `POST /api/jwt/refresh` and `POST /oauth2/token`.
    pub refreshes: Calls,
    /// `DELETE /api/jwt/refresh`.
    pub revocations: Calls,
    /// `POST /api/logout`.
    pub logouts: Calls,
    /// `GET /.well-known/jwks.json`.
    pub key_fetches: Calls,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Calls(AtomicU64);

impl Calls {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why the server could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The state directory or the signing key in it.
    State(PathBuf, io::Error),
    /// The database.
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

/// A sign-in that waits for its code.
#[derive(Clone)]
pub struct CodeAwaited {
    pub(super) user: String,
    pub(super) application: Option<String>,
    pub(super) attempts: u32,
    /// The code that was sent last; the ones before it are void.
    pub(super) sent: Option<Secret>,
    /// How many were sent.
    pub(super) messages: u32,
}

/// What the API works with.
pub struct Identity {
    pub(super) users: Users,
    pub(super) accounts: Accounts,
    pub(super) trusts: TrustedDevices,
    pub(super) outbox: Option<Outbox>,
    pub(super) passwords: Passwords,
    pub(super) sessions: Sessions,
    pub(super) issuer: Issuer,
    pub(super) codes: PendingLogins<CodeAwaited>,
    pub(super) password_changes: PendingLogins<String>,
    pub(super) one_time_passwords: PendingLogins<String>,
    pub(super) api_key: Secret,
    pub(super) clock: Clock,
    pub(super) statistics: Arc<Statistics>,
}

/// An identity server that speaks FusionAuth's API.
pub struct IdentityServer {
    identity: Arc<Identity>,
}

/// Opens the server: finds or makes its key and its database. Blocks; waits for nobody.
///
/// # Errors
/// When the state directory is out of reach or in use by another process.
pub fn open(options: Options) -> Result<IdentityServer, OpenError> {
    let Options {
        users,
        state_dir,
        issuer,
        api_key,
        clock,
    } = options;
    let directory = state_dir.join("identity");
    let state = |error| OpenError::State(directory.clone(), error);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(state)?;
    let key = SigningKey::open(&directory, users.policy.algorithm).map_err(state)?;
    let path = directory.join("identity.redb");
    let tables = [
        refresh_sessions::SESSIONS,
        refresh_sessions::REFRESH_TOKENS,
        accounts::PASSWORDS,
        accounts::TIME_STEPS,
        accounts::RECOVERY_CODES,
        trusted_devices::TRUSTS,
    ];
    let failed = |error: redb::Error| OpenError::Database(path.clone(), Box::new(error));
    let database: Arc<Database> = Arc::new(database::open(&path, &tables).map_err(failed)?);
    let policy = users.policy;
    let sessions = Sessions::new(
        Arc::clone(&database),
        policy.refresh_token_lifetime,
        policy.grace,
    );
    let trusts = TrustedDevices::new(Arc::clone(&database));
    let now = clock.now();
    sessions
        .purge(now)
        .and_then(|()| trusts.purge(now))
        .map_err(failed)?;
    let passwords = Passwords::new(users.all().map(|user| user.password.expose()));
    let identity = Identity {
        outbox: users.outbox.as_deref().map(Outbox::new),
        users,
        accounts: Accounts::new(database),
        trusts,
        passwords,
        sessions,
        issuer: Issuer::new(key, issuer, policy.access_token_lifetime),
        codes: PendingLogins::new(Duration::from_secs(300)),
        password_changes: PendingLogins::new(Duration::from_secs(600)),
        one_time_passwords: PendingLogins::new(Duration::from_secs(60)),
        api_key,
        clock,
        statistics: Arc::default(),
    };
    Ok(IdentityServer {
        identity: Arc::new(identity),
    })
}

impl IdentityServer {
    /// How often it was called: stays readable while it is served.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        Arc::clone(&self.identity.statistics)
    }

    /// Answers on `listener` until `shutdown`, then finishes what it began.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: std::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = api::router(Arc::clone(&self.identity), url);
        tokio::select! {
            served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
            () = purge_forever(&self.identity) => Ok(()),
        }
    }
}

async fn purge_forever(identity: &Identity) {
    let mut ticks = tokio::time::interval(PURGE_EVERY);
    // The first tick comes at once; opening purged already.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let (sessions, trusts) = (identity.sessions.clone(), identity.trusts.clone());
        let now = identity.clock.now();
        let purge = move || sessions.purge(now).and_then(|()| trusts.purge(now));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(purge).await {
            tracing::warn!(%error, "expired sessions could not be purged");
        }
    }
}
