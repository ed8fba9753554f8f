//! The server of the shared store: its data, its clock and its troubles.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::sleep;

use vestibule::store::{
    LeaseKey, MemoryPendingRevocations, MemoryThrottles, Revocation, RevocationId, SessionHash,
    StoreError,
};

use super::super::clock::TrueTime;
use super::super::life::Life;
use super::replica::Replica;

/// How long a gateway waits for a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of what was written last can be lost.
const JOURNAL: Duration = Duration::from_secs(5);

/// The server.
#[derive(Debug)]
pub struct Server {
    pub time: TrueTime,
    pub throttles: MemoryThrottles,
    state: Mutex<State>,
}

/// What the server holds.
#[derive(Debug, Default)]
pub struct Data {
    pub leases: BTreeMap<[u8; 32], Lease>,
    pub sessions: BTreeMap<[u8; 32], StoredValue>,
    pub revoked: BTreeMap<RevocationId, Revocation>,
    pub pending_revocations: Arc<MemoryPendingRevocations>,
    pub last_fence: u64,
    journal: VecDeque<(Duration, Undo)>,
    /// The server's time.
    pub now: Duration,
}

/// A lease, as `acquire.lua` and its like leave it, by the server's clock.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    pub fence: u64,
    pub held_until: Option<Duration>,
    pub result_until: Option<Duration>,
    pub reused_until: Option<Duration>,
    pub result: Option<Arc<[u8]>>,
    pub checkpoint: Option<(Arc<[u8]>, Duration)>,
}

/// A session, as it is stored, by the server's clock.
#[derive(Clone, Debug)]
pub struct StoredValue {
    pub expires_at: Duration,
    pub idle_until: Duration,
    pub sealed: Arc<[u8]>,
}

/// What a value was before a write.
#[derive(Debug)]
enum Undo {
    Lease([u8; 32], Option<Lease>),
    Session([u8; 32], Option<StoredValue>),
    Revoked(RevocationId, Option<Revocation>),
}

#[derive(Debug, Default)]
struct State {
    data: Data,
    subscribers: Vec<Weak<Replica>>,
    down_until: Duration,
    slow: (Duration, Duration),
    latency: Duration,
    /// Until when messages are lost. All connections break then.
    deaf_until: Option<Duration>,
    /// Grows when all connections break.
    generation: u64,
}

/// A message to all gateways.
#[derive(Clone, Debug)]
pub enum Message {
    SessionEnded(SessionHash),
    LeaseChanged,
    Revoked(Revocation),
}

impl Server {
    /// A server without data, which takes `latency` for an answer.
    pub fn new(time: TrueTime, latency: Duration) -> Arc<Self> {
        let state = State {
            latency,
            ..State::default()
        };
        Arc::new(Self {
            time,
            throttles: MemoryThrottles::new(),
            state: Mutex::new(state),
        })
    }

    /// Refuses connections for a while.
    pub fn go_down(&self, span: Duration) {
        let mut state = self.state();
        state.down_until = self.time.elapsed() + span;
        state.generation += 1;
    }

    /// Takes longer to answer, for a while.
    pub fn be_slow(&self, latency: Duration, span: Duration) {
        self.state().slow = (self.time.elapsed() + span, latency);
    }

    /// Loses all data and breaks all connections.
    pub fn restart_empty(&self) {
        let mut state = self.state();
        state.data = Data::default();
        state.generation += 1;
    }

    /// Loses what was written within `lost`, and breaks all connections.
    pub fn fail_over(&self, lost: Duration) {
        let now = self.time.elapsed();
        let mut state = self.state();
        state.data.undo_since(now.saturating_sub(lost));
        state.generation += 1;
    }

    /// Writes the session `from` over all others.
    pub fn copy_session(&self, from: [u8; 32]) {
        let mut state = self.state();
        let Some(value) = state.data.sessions.get(&from).cloned() else {
            return;
        };
        for other in state.data.sessions.values_mut() {
            *other = value.clone();
        }
    }

    /// Loses all messages for a while, after which the subscribers notice that their connections
    /// are broken.
    pub fn lose_messages(&self, span: Duration) {
        self.state().deaf_until = Some(self.time.elapsed() + span);
    }

    /// Ends all trouble.
    pub fn recover(&self) {
        let mut state = self.state();
        state.down_until = Duration::ZERO;
        state.slow = (Duration::ZERO, Duration::ZERO);
    }

    /// Whether connections are accepted, and which generation they are of.
    pub fn connect(&self) -> Option<u64> {
        let now = self.time.elapsed();
        let mut state = self.state();
        state.end_deafness(now);
        (state.down_until <= now && state.deaf_until.is_none()).then_some(state.generation)
    }

    /// Whether connections of this generation still work, as a ping finds.
    pub fn is_connected(&self, generation: u64) -> bool {
        self.connect() == Some(generation)
    }

    /// Adds a receiver of messages.
    pub fn subscribe(&self, replica: &Arc<Replica>) {
        self.state().subscribers.push(Arc::downgrade(replica));
    }

    /// Runs a command of a gateway, over a connection of this generation.
    ///
    /// # Errors
    /// Where the server does not answer. The command may have been run.
    pub async fn run<T>(
        &self,
        life: &Life,
        generation: u64,
        command: impl FnOnce(&mut Data) -> (T, Option<Message>),
    ) -> Result<T, StoreError> {
        let latency = self.latency();
        sleep((latency / 2).min(REPLY_TIMEOUT)).await;
        life.go_on().await;
        let reply = self.apply(generation, command);
        sleep((latency / 2).min(REPLY_TIMEOUT)).await;
        life.go_on().await;
        if latency > REPLY_TIMEOUT {
            return Err(StoreError("no answer in time".into()));
        }
        if self.state().generation != generation {
            return Err(StoreError("the connection broke".into()));
        }
        reply
    }

    fn apply<T>(
        &self,
        generation: u64,
        command: impl FnOnce(&mut Data) -> (T, Option<Message>),
    ) -> Result<T, StoreError> {
        let now = self.time.elapsed();
        let (reply, message, subscribers) = {
            let mut state = self.state();
            state.end_deafness(now);
            if now < state.down_until || state.generation != generation {
                return Err(StoreError("connection refused".into()));
            }
            state.data.now = now;
            let (reply, message) = command(&mut state.data);
            let message = message.filter(|_| state.deaf_until.is_none());
            state
                .subscribers
                .retain(|subscriber| subscriber.strong_count() > 0);
            (reply, message, state.subscribers.clone())
        };
        for subscriber in subscribers.iter().filter_map(Weak::upgrade) {
            if let Some(message) = &message {
                subscriber.receive(message, generation);
            }
        }
        Ok(reply)
    }

    fn latency(&self) -> Duration {
        let state = self.state();
        let (until, latency) = state.slow;
        if self.time.elapsed() < until {
            latency
        } else {
            state.latency
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_deafness(&mut self, now: Duration) {
        if self.deaf_until.is_some_and(|until| until <= now) {
            self.deaf_until = None;
            self.generation += 1;
        }
    }
}

impl Data {
    /// Writes a lease.
    pub fn put_lease(&mut self, key: [u8; 32], lease: Lease) {
        let before = self.leases.insert(key, lease);
        self.log(Undo::Lease(key, before));
    }

    /// Stores a checkpoint, as `put_checkpoint.lua` does. `false` when the lease was completed.
    pub fn put_checkpoint(&mut self, key: LeaseKey, sealed: Arc<[u8]>, ttl: Duration) -> bool {
        let lease = self.leases.get(&key.0).cloned().unwrap_or_default();
        if lease.result_until.max(lease.reused_until) > Some(self.now) {
            return false;
        }
        let checkpoint = Some((sealed, self.now + ttl));
        self.put_lease(
            key.0,
            Lease {
                checkpoint,
                ..lease
            },
        );
        true
    }

    /// Writes a session, or deletes it.
    pub fn put_session(&mut self, key: [u8; 32], value: Option<StoredValue>) {
        let before = match value {
            Some(value) => self.sessions.insert(key, value),
            None => self.sessions.remove(&key),
        };
        self.log(Undo::Session(key, before));
    }

    /// Adds a revocation, or extends it. Returns whether that is news.
    pub fn revoke(&mut self, revocation: Revocation) -> bool {
        let id = revocation.id;
        let before = self.revoked.get(&id).copied();
        let merged = before.map_or(revocation, |before| Revocation {
            id,
            issued_by: before.issued_by.max(revocation.issued_by),
            until: before.until.max(revocation.until),
        });
        if before == Some(merged) {
            return false;
        }
        self.revoked.insert(id, merged);
        self.log(Undo::Revoked(id, before));
        true
    }

    fn log(&mut self, undo: Undo) {
        let now = self.now;
        self.journal.push_back((now, undo));
        while self
            .journal
            .front()
            .is_some_and(|(at, _)| *at + JOURNAL < now)
        {
            self.journal.pop_front();
        }
    }

    fn undo_since(&mut self, since: Duration) {
        while self.journal.back().is_some_and(|(at, _)| since < *at) {
            match self.journal.pop_back() {
                Some((_, Undo::Lease(key, before))) => restore(&mut self.leases, key, before),
                Some((_, Undo::Session(key, before))) => restore(&mut self.sessions, key, before),
                Some((_, Undo::Revoked(key, before))) => restore(&mut self.revoked, key, before),
                None => return,
            }
        }
    }
}

fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => drop(map.insert(key, before)),
        None => drop(map.remove(&key)),
    }
}
