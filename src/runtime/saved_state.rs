//! The file `revocations` in `state_dir`: what a gateway must know after a restart and no server
//! keeps, sealed: revocations, and tokens that the provider has issued and that cannot be used yet.
//! It is written as a whole a moment after each change, off the threads that serve requests, and
//! read once at the start. With a shared store it is written only after that did not answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::model::sealing_keys::SealingKeys;
use crate::model::timestamp::Timestamp;
use crate::store::{SavedStores, Scope, Stores};
use crate::system::{self, Clock};

use super::cookie_keys;
use super::state_dir;

/// The name of the file.
const FILE: &str = "revocations";
/// What it is renamed to where it cannot be read.
const UNREADABLE: &str = "revocations.unreadable";
/// The purpose that the seal is bound to.
const PURPOSE: &str = "vestibule saved revocations";
/// The pause between two writes is this many times as long as a write takes, so that a large file
/// does not keep the disk busy.
const REST: u32 = 20;
/// The same where somebody waits for the next write.
const AWAITED_REST: u32 = 2;
/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(10);
/// The same where somebody waits for the next write.
const AWAITED_RETRY: Duration = Duration::from_millis(500);
/// How long somebody waits for a write.
const WRITE_WAIT: Duration = Duration::from_secs(4);
/// How often the file is written again where nothing changed but perhaps the sealing keys.
const REWRITE: Duration = Duration::from_secs(60 * 60);

/// Saves the stores of this process. It outlives every configuration.
pub(super) struct SavedState {
    stores: SavedStores,
    clock: Clock,
    /// Whether the file has something that no server keeps.
    needed: AtomicBool,
    /// Whether another process writes the file, which knows everything that this one knows.
    held: AtomicBool,
    changed: Notify,
    /// Somebody waits for the next write.
    awaited: Notify,
    /// The number of the last write that was begun.
    begun: AtomicU64,
    /// The number of the last write that was completed.
    completed: watch::Sender<u64>,
}

/// Where the file is, and the keys that seal it.
pub(super) struct SavedStateContext {
    pub state_dir: PathBuf,
    pub sealing: Arc<SealingKeys>,
}

impl SavedStateContext {
    pub fn new(state_dir: &Path, sealing: &Arc<SealingKeys>) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            sealing: Arc::clone(sealing),
        }
    }
}

/// Whether a gateway has run with a `state_dir` before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StateDirUse {
    /// It has not.
    New,
    /// It has, and left the keys that it made.
    Earlier,
}

impl StateDirUse {
    /// Of `state_dir`, before the keys are made.
    pub fn of(state_dir: &Path) -> Self {
        if state_dir.join(cookie_keys::FILE).exists() {
            Self::Earlier
        } else {
            Self::New
        }
    }
}

impl SavedState {
    /// Saves what has to be saved of `stores`.
    pub fn new(stores: &Stores, clock: Clock) -> Self {
        Self {
            stores: stores.saved.clone(),
            clock,
            needed: AtomicBool::new(stores.scope == Scope::Process),
            held: AtomicBool::new(false),
            changed: Notify::new(),
            awaited: Notify::new(),
            begun: AtomicU64::new(0),
            completed: watch::Sender::new(0),
        }
    }

    /// Leaves the file to another process.
    pub fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    /// The other process is gone.
    pub fn resume(&self) {
        self.held.store(false, Ordering::Release);
        self.changed();
    }

    /// What is saved has changed.
    pub fn changed(&self) {
        if self.is_needed() {
            self.changed.notify_one();
        }
    }

    /// What is saved has changed, and the server did not take it.
    pub fn server_failed(&self) {
        self.needed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Returns once a file was written that has what is in the stores now. At once where a server
    /// keeps everything, or another process writes the file.
    ///
    /// # Errors
    /// It was not written in time.
    pub async fn saved(&self) -> Result<(), ()> {
        if !self.is_needed() || self.held.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut completed = self.completed.subscribe();
        let next = self.begun.load(Ordering::Acquire) + 1;
        self.awaited.notify_one();
        self.changed.notify_one();
        let written = completed.wait_for(|completed| *completed >= next);
        match tokio::time::timeout(WRITE_WAIT, written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(()),
        }
    }

    fn is_needed(&self) -> bool {
        self.needed.load(Ordering::Acquire)
    }

    /// Reads what the process before this one saved. A file that cannot be read is logged, and so is
    /// one that is missing where there was a process; the gateway starts without it.
    pub fn restore(&self, context: &SavedStateContext, used: StateDirUse) {
        let state_dir = &context.state_dir;
        let path = state_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(sealed) => {
                if let Err(why) = restore(&self.stores, &context.sealing, &sealed, self.clock.now())
                {
                    let kept = state_dir.join(UNREADABLE);
                    // The next write would replace it.
                    let renamed = std::fs::rename(&path, &kept).is_ok();
                    tracing::error!(
                        path = %path.display(),
                        kept_as = renamed.then(|| tracing::field::display(kept.display())),
                        why,
                        "saved revocations cannot be read: copies of tokens that were signed out before this start are accepted until they expire"
                    );
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.is_needed() && used == StateDirUse::Earlier {
                    tracing::warn!(path = %path.display(), "no saved revocations: copies of tokens that were signed out before this start are accepted until they expire");
                }
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "saved revocations cannot be read: copies of tokens that were signed out before this start are accepted until they expire");
            }
        }
    }

    /// Saves after each change. Never returns.
    pub async fn run(&self, current: impl Fn() -> SavedStateContext) {
        loop {
            let watch = system::stopwatch();
            let (shortest, longest) = match self.save(current()).await {
                Ok(()) => (watch.elapsed() * AWAITED_REST, watch.elapsed() * REST),
                Err(()) => (AWAITED_RETRY, RETRY),
            };
            tokio::time::sleep(shortest).await;
            let rest = longest.saturating_sub(shortest);
            let _ = tokio::time::timeout(rest, self.awaited.notified()).await;
            // Every hour also without a change, for the sealing keys may have changed.
            let _ = tokio::time::timeout(REWRITE, self.changed.notified()).await;
        }
    }

    /// Saves now, unless a server keeps everything or another process saves. A failure is logged.
    pub async fn save(&self, context: SavedStateContext) -> Result<(), ()> {
        if !self.is_needed() || self.held.load(Ordering::Acquire) {
            return Ok(());
        }
        // Before the stores are read: what comes later waits for the next one.
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let (stores, now) = (self.stores.clone(), self.clock.now());
        let path = context.state_dir.join(FILE);
        let work = move || save(&stores, &context, now);
        let saved = match tokio::task::spawn_blocking(work).await {
            Ok(saved) => saved,
            Err(error) => Err(io::Error::other(error)),
        };
        if saved.is_ok() {
            self.completed
                .send_modify(|completed| *completed = number.max(*completed));
        }
        saved.map_err(|error| {
            tracing::error!(path = %path.display(), %error, "revocations cannot be saved: a restart forgets them");
        })
    }
}

fn save(stores: &SavedStores, context: &SavedStateContext, now: Timestamp) -> io::Result<()> {
    let sealed = context
        .sealing
        .seal(PURPOSE, stores.snapshot(now), system::random())
        .ok_or_else(|| io::Error::other("it cannot be sealed"))?;
    state_dir::replace(&context.state_dir, FILE, &sealed)
}

fn restore(
    stores: &SavedStores,
    sealing: &SealingKeys,
    sealed: &[u8],
    now: Timestamp,
) -> Result<(), String> {
    let snapshot = sealing
        .open(PURPOSE, sealed)
        .ok_or("it was changed, or sealed with a key that was removed")?;
    stores
        .restore(&snapshot, now)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::model::token::RevocationKey;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    struct Process {
        stores: Stores,
        saved_state: SavedState,
        state_dir: PathBuf,
    }

    impl Process {
        /// One that starts with this `state_dir`.
        fn start(dir: &tempfile::TempDir, key: u8) -> Self {
            let stores = Stores::in_memory(&Clock::new());
            let saved_state = SavedState::new(&stores, Clock::new());
            let process = Self {
                stores,
                saved_state,
                state_dir: dir.path().join("state"),
            };
            process
                .saved_state
                .restore(&process.context(key), StateDirUse::Earlier);
            process
        }

        fn context(&self, key: u8) -> SavedStateContext {
            SavedStateContext {
                state_dir: self.state_dir.clone(),
                sealing: Arc::new(SealingKeys::new(&[[key; 32]]).unwrap()),
            }
        }

        async fn revoke(&self, name: &str) {
            let (key, until) = (RevocationKey(name.into()), Clock::new().now());
            let until = until.plus(Duration::from_secs(600));
            let revoked = self.stores.revocations.revoke("main", &key, until, NOW);
            revoked.await.unwrap();
            self.saved_state.save(self.context(1)).await.unwrap();
        }

        fn is_revoked(&self, name: &str) -> bool {
            let key = RevocationKey(name.into());
            self.stores.revocations.is_revoked("main", &key, NOW)
        }
    }

    #[tokio::test]
    async fn what_was_saved_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let before = Process::start(&dir, 1);
        before.revoke("a").await;
        before.revoke("b").await;
        let file = before.state_dir.join(FILE);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let after = Process::start(&dir, 1);
        assert!(after.is_revoked("a") && after.is_revoked("b") && !after.is_revoked("c"));
    }

    #[tokio::test]
    async fn only_one_of_two_processes_writes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let old = Process::start(&dir, 1);
        old.revoke("a").await;
        old.saved_state.hold();
        old.revoke("b").await;
        assert!(!Process::start(&dir, 1).is_revoked("b"));
        old.saved_state.resume();
        old.saved_state.save(old.context(1)).await.unwrap();
        assert!(Process::start(&dir, 1).is_revoked("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_write_does_not_wait_for_the_pause_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::start(&dir, 1);
        // The folder cannot be made: the first write fails, and the next one is due much later.
        std::fs::write(&process.state_dir, b"a file").unwrap();
        let waiting = async {
            assert_eq!(process.saved_state.saved().await, Err(()));
            std::fs::remove_file(&process.state_dir).unwrap();
            assert_eq!(process.saved_state.saved().await, Ok(()));
        };
        tokio::select! {
            () = process.saved_state.run(|| process.context(1)) => {}
            () = waiting => {}
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let before = Process::start(&dir, 1);
        before.revoke("a").await;
        let file = before.state_dir.join(FILE);
        let good = std::fs::read(&file).unwrap();
        let bad = [b"", &b"junk"[..], &good[..good.len() - 1]];
        for content in bad {
            std::fs::write(&file, content).unwrap();
            assert!(!Process::start(&dir, 1).is_revoked("a"));
            let kept = std::fs::read(before.state_dir.join(UNREADABLE)).unwrap();
            assert_eq!(kept, content);
        }
        std::fs::write(&file, &good).unwrap();
        assert!(!Process::start(&dir, 2).is_revoked("a"), "another key");
        std::fs::create_dir(&file).unwrap();
        assert!(!Process::start(&dir, 1).is_revoked("a"), "a directory");
        assert!(before.saved_state.save(before.context(1)).await.is_err());
    }
}
