//! One gateway's side of the shared store: its connection, its copy of the revocations and its
//! cache of sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use vestibule::model::timestamp::Timestamp;
use vestibule::store::{
    Revocation, RevocationId, SavedStores, SessionHash, StoreConnection, StoreError,
    StoredCheckpoint, StoredSession, Sweep,
};
use vestibule::system::Clock;

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
    /// What this process knows of revocations, and its own leases.
    pub saved: SavedStores,
    clock: Clock,
    pending_publish: Notify,
    failed: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The generation of the connection; `None` while there is none.
    connection: Option<u64>,
    down_since: Option<Duration>,
    in_sync: bool,
    sessions: BTreeMap<[u8; 32], (StoredSession, Timestamp)>,
}

impl Replica {
    /// The side of the process `life`. It is connected already.
    pub fn new(server: &Arc<Server>, life: &Arc<Life>, clock: &Clock) -> Arc<Self> {
        let state = State {
            down_since: Some(clock.monotonic()),
            ..State::default()
        };
        let replica = Arc::new(Self {
            server: Arc::clone(server),
            life: Arc::clone(life),
            lease_changed: Notify::new(),
            saved: SavedStores::new(clock),
            clock: clock.clone(),
            pending_publish: Notify::new(),
            failed: Notify::new(),
            state: Mutex::new(state),
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
            Message::Revoked(revocation) => {
                drop(state);
                self.saved.revocations.add(*revocation, None);
            }
        }
    }

    /// Publishes all revocations and checkpoints as soon as there is a connection.
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
        {
            let mut state = self.state();
            state.connection = Some(generation);
            state.down_since = None;
        }
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
                if self.publish_checkpoints().await.is_ok() {
                    self.pending_publish.notified().await;
                }
            }
            sleep(CHECK_EVERY).await;
        }
    }

    /// Reads all revocations from the server.
    async fn read_revocations(&self) -> Result<BTreeMap<RevocationId, Revocation>, StoreError> {
        let on_server = self.run(|data| (data.revoked.clone(), None)).await?;
        for revocation in on_server.values() {
            self.saved.revocations.add(*revocation, None);
        }
        Ok(on_server)
    }

    /// Exchanges all revocations with the server.
    async fn sync(&self) -> Result<(), StoreError> {
        let on_server = self.read_revocations().await?;
        let mut own = self.saved.revocations.all();
        own.sort_by_key(|revocation| revocation.id);
        for revocation in own {
            let known = on_server.get(&revocation.id);
            if known != Some(&revocation) {
                self.publish(revocation).await?;
            }
        }
        Ok(())
    }

    /// Adds a revocation on the server.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn publish(&self, revocation: Revocation) -> Result<bool, StoreError> {
        self.run(|data| {
            let news = data.revoke(revocation);
            (news, news.then_some(Message::Revoked(revocation)))
        })
        .await
    }

    /// Puts the checkpoints of this gateway on the server, where it has none for the same lease.
    async fn publish_checkpoints(&self) -> Result<(), StoreError> {
        let mut own = self.saved.leases.checkpoints();
        own.sort_by_key(|checkpoint| checkpoint.key);
        for checkpoint in own {
            let key = checkpoint.key;
            if !self.run(|data| (keep(data, checkpoint), None)).await? {
                self.saved.leases.remove_checkpoint(key);
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `put_checkpoint.lua` does where an earlier checkpoint stays.
fn keep(data: &mut Data, checkpoint: StoredCheckpoint) -> bool {
    let StoredCheckpoint { key, sealed, ttl } = checkpoint;
    let earlier = data.leases.get(&key.0);
    let has_earlier = earlier
        .and_then(|lease| lease.checkpoint.as_ref())
        .is_some_and(|(_, end)| data.now < *end);
    has_earlier || data.put_checkpoint(key, sealed, ttl)
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
                state.down_since.get_or_insert(self.clock.monotonic());
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

    fn down_since(&self) -> Option<Duration> {
        self.state().down_since
    }
}

impl Sweep for Replica {
    fn sweep(&self, _now: Timestamp) {}
}
