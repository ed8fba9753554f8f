//! One gateway's side of the shared store: its connection, its copy of the revocations and its
//! cache of sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use vestibule::model::timestamp::Timestamp;
use vestibule::model::token::RevocationKey;
use vestibule::store::{
    RevocationId, RevocationListener, SessionHash, StoreConnection, StoreError, StoredSession,
    Sweep,
};

use super::super::life::Life;
use super::server::{Data, Message, Server};

/// The pause before a connection is made again, and between two checks of one.
const FIRST_RECONNECT: Duration = Duration::from_millis(50);
const MAX_RECONNECT: Duration = Duration::from_secs(1);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long a session is served from the cache.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// One gateway's side of the shared store.
#[derive(Debug)]
pub struct Replica {
    pub server: Arc<Server>,
    pub life: Arc<Life>,
    pub lease_changed: Notify,
    pending_publish: Notify,
    failed: Notify,
    listener: OnceLock<Arc<dyn RevocationListener>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The generation of the connection; `None` while there is none.
    connection: Option<u64>,
    in_sync: bool,
    revoked: BTreeMap<(String, String), Timestamp>,
    sessions: BTreeMap<[u8; 32], (StoredSession, Timestamp)>,
}

impl Replica {
    /// The side of the process `life`. It is connected already.
    pub fn new(server: &Arc<Server>, life: &Arc<Life>) -> Arc<Self> {
        let replica = Arc::new(Self {
            server: Arc::clone(server),
            life: Arc::clone(life),
            lease_changed: Notify::new(),
            pending_publish: Notify::new(),
            failed: Notify::new(),
            listener: OnceLock::new(),
            state: Mutex::default(),
        });
        server.subscribe(&replica);
        replica
    }

    /// Runs a command on the server. Fails at once while there is no connection.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn run<T>(
        &self,
        command: impl FnOnce(&mut Data) -> (T, Option<Message>),
    ) -> Result<T, StoreError> {
        self.life.go_on().await;
        let Some(generation) = self.state().connection else {
            return Err(StoreError("not connected".into()));
        };
        let result = self.server.run(&self.life, generation, command).await;
        if result.is_err() && !self.server.is_connected(generation) {
            self.failed.notify_one();
        }
        result
    }

    /// Handles a message that came over a connection of this generation.
    pub fn receive(&self, message: &Message, generation: u64) {
        let mut state = self.state();
        if !self.life.is_alive() || state.connection != Some(generation) {
            return;
        }
        match message {
            Message::SessionEnded(id) => drop(state.sessions.remove(&id.0)),
            Message::LeaseChanged => self.lease_changed.notify_waiters(),
            Message::Revoked(key, until) => {
                drop(state);
                self.add_revocation(key.clone(), *until);
            }
        }
    }

    /// Refuses a sign-in in this gateway.
    pub fn add_revocation(&self, key: (String, String), until: Timestamp) {
        let id = RevocationId::of(&key.0, &RevocationKey(key.1.clone()));
        add(&mut self.state().revoked, key, until);
        if let Some(listener) = self.listener.get() {
            listener.revoked(id);
        }
    }

    /// Registers who hears of revocations. The first stays.
    pub fn listen(&self, listener: Arc<dyn RevocationListener>) {
        let _ = self.listener.set(listener);
    }

    /// The end of a revocation.
    pub fn revoked_until(&self, key: &(String, String)) -> Option<Timestamp> {
        self.state().revoked.get(key).copied()
    }

    /// Publishes all revocations as soon as there is a connection.
    pub fn publish_later(&self) {
        self.pending_publish.notify_one();
    }

    /// A session that was read within the last second.
    pub fn cached(&self, id: SessionHash, idle: Duration, now: Timestamp) -> Option<StoredSession> {
        let state = self.state();
        let (session, read_at) = state.sessions.get(&id.0)?;
        let fresh_until = read_at.plus(FRESH_FOR.min(idle)).min(session.expires_at);
        (*read_at <= now && now < fresh_until).then(|| session.clone())
    }

    /// Caches a session, or forgets it.
    pub fn cache(&self, id: SessionHash, session: Option<(StoredSession, Timestamp)>) {
        let mut state = self.state();
        match session {
            Some(entry) => drop(state.sessions.insert(id.0, entry)),
            None => drop(state.sessions.remove(&id.0)),
        }
    }

    /// How many sessions are cached.
    pub fn cached_sessions(&self) -> usize {
        self.state().sessions.len()
    }

    /// Connects, and returns when the connection fails.
    async fn connect_once(&self) -> bool {
        let Some(generation) = self.server.connect() else {
            return false;
        };
        self.state().connection = Some(generation);
        tokio::select! {
            biased;
            () = self.failed.notified() => {}
            () = self.check(generation) => {}
            () = self.keep_in_sync() => {}
        }
        true
    }

    async fn check(&self, generation: u64) {
        while self.server.is_connected(generation) {
            sleep(CHECK_EVERY).await;
            // A message may have been lost. Where this fails, it is done again.
            let _ = self.read_revocations().await;
        }
    }

    async fn keep_in_sync(&self) {
        loop {
            if self.sync().await.is_ok() {
                self.state().in_sync = true;
                self.pending_publish.notified().await;
            }
            sleep(CHECK_EVERY).await;
        }
    }

    /// Reads all revocations from the server.
    async fn read_revocations(&self) -> Result<BTreeMap<(String, String), Timestamp>, StoreError> {
        let on_server = self.run(|data| (data.revoked.clone(), None)).await?;
        for (key, until) in &on_server {
            self.add_revocation(key.clone(), *until);
        }
        Ok(on_server)
    }

    /// Exchanges all revocations with the server.
    async fn sync(&self) -> Result<(), StoreError> {
        let on_server = self.read_revocations().await?;
        let own = self.state().revoked.clone();
        for (key, until) in own {
            if on_server.get(&key).is_none_or(|known| *known < until) {
                self.publish(key, until).await?;
            }
        }
        Ok(())
    }

    /// Adds a revocation on the server.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn publish(&self, key: (String, String), until: Timestamp) -> Result<(), StoreError> {
        self.run(|data| {
            let news = data.revoke(key.clone(), until);
            ((), news.then_some(Message::Revoked(key, until)))
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(
    revoked: &mut BTreeMap<(String, String), Timestamp>,
    key: (String, String),
    until: Timestamp,
) {
    let end = revoked.entry(key).or_insert(until);
    *end = until.max(*end);
}

#[async_trait]
impl StoreConnection for Replica {
    async fn run(&self) {
        let mut pause = FIRST_RECONNECT;
        loop {
            self.life.go_on().await;
            if self.connect_once().await {
                pause = FIRST_RECONNECT;
            }
            {
                let mut state = self.state();
                state.connection = None;
                state.in_sync = false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_RECONNECT);
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let answer = timeout(CHECK_EVERY, self.run(|_| ((), None))).await;
        answer.unwrap_or_else(|_| Err(StoreError("no answer in time".into())))?;
        if self.state().in_sync {
            Ok(())
        } else {
            Err(StoreError("revocations are still being read".into()))
        }
    }
}

impl Sweep for Replica {
    fn sweep(&self, _now: Timestamp) {}
}
