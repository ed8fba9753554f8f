//! Where accounts and certificates rest: in `state_dir`, and with a shared store in that too, so
//! that every replica has them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::model::sealing_keys::SealingKeys;
use crate::runtime::state_dir;
use crate::store::{LeaseKey, LeaseStore};
use crate::system;

/// How long the shared store keeps a certificate or an account. Each replica has a copy in its
/// `state_dir`, and what was lost is ordered again.
const KEPT: Duration = Duration::from_secs(100 * 24 * 60 * 60);
/// How long it keeps the answer to a challenge.
pub(super) const CHALLENGE_KEPT: Duration = Duration::from_secs(10 * 60);

/// A store that all replicas share.
#[derive(Clone)]
pub(super) struct SharedStorage {
    pub(super) leases: Arc<dyn LeaseStore>,
    pub(super) sealing: Arc<SealingKeys>,
}

impl SharedStorage {
    /// What is stored under `name`; nothing while the store does not answer.
    pub(super) async fn load(&self, name: &str) -> Option<Vec<u8>> {
        let sealed = self.leases.checkpoint(key_of(name)).await.ok()??;
        self.sealing.open(&purpose(name), &sealed)
    }

    /// Stores `content` for `ttl`. A failure is logged: each replica then has to order by itself.
    pub(super) async fn save(&self, name: &str, content: &[u8], ttl: Duration) {
        let sealed = self
            .sealing
            .seal(&purpose(name), content.to_vec(), system::random());
        let Some(sealed) = sealed else {
            return;
        };
        let stored = self.leases.put_checkpoint(key_of(name), sealed.into(), ttl);
        if let Err(error) = stored.await {
            tracing::warn!(%error, name, "the replicas do not share this: the store failed");
        }
    }
}

/// The lease or checkpoint of this name.
pub(super) fn key_of(name: &str) -> LeaseKey {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, format!("acme\0{name}").as_bytes()).as_ref());
    LeaseKey(key)
}

fn purpose(name: &str) -> String {
    format!("acme:{name}")
}

/// Where something rests for the next start, and for the other replicas.
pub(super) struct Storage<'a> {
    pub(super) state_dir: &'a Path,
    pub(super) shared: Option<SharedStorage>,
}

impl Storage<'_> {
    /// What is stored under `name`: by another replica, else by this process or one before it.
    pub(super) async fn load(&self, name: &str) -> Option<Vec<u8>> {
        if let Some(shared) = &self.shared
            && let Some(content) = shared.load(name).await
        {
            return Some(content);
        }
        load_file(self.state_dir, name)
    }

    pub(super) async fn save(&self, name: &str, content: &[u8]) {
        if let Err(error) = state_dir::replace(self.state_dir, &file_name(name), content) {
            tracing::error!(%error, name, "state_dir cannot be written: a restart orders again");
        }
        if let Some(shared) = &self.shared {
            shared.save(name, content, KEPT).await;
        }
    }
}

/// What `state_dir` has under `name`.
pub(super) fn load_file(state_dir: &Path, name: &str) -> Option<Vec<u8>> {
    std::fs::read(state_dir.join(file_name(name))).ok()
}

/// The file of this name. Host names and hexadecimal digits are safe in file names.
fn file_name(name: &str) -> String {
    format!("acme-{name}")
}
