//! The store of revocations: sign-ins that were ended before their tokens expired, one by one or as
//! everything of a user, of an application or of a provider that was issued up to a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};

use super::{StoreError, Sweep};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// How long a revocation is kept after its end. A clock that was set forward by mistake is set
/// back, and the tokens that had expired by it are valid again.
const KEPT_AFTER_END: Duration = Duration::from_secs(3600);

/// The revocations that ended by this time are not needed any more at `now`.
pub(super) fn removable_at(now: Timestamp) -> Timestamp {
    now.minus(KEPT_AFTER_END)
}

/// Revoked sign-ins.
#[async_trait]
pub trait RevocationStore: Sweep + Send + Sync + fmt::Debug {
    /// Adds revocations. Of two with the same id the later [`Revocation::until`] and the later
    /// [`Revocation::issued_by`] count.
    ///
    /// # Errors
    /// [`StoreError`] when other replicas do not know of them yet. This process refuses the tokens
    /// all the same.
    async fn revoke_all(
        &self,
        revocations: &[Revocation],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Revokes the tokens of `session` at `provider` until `until`, the `exp` of the longest-lived
    /// of them.
    ///
    /// # Errors
    /// As [`RevocationStore::revoke_all`].
    async fn revoke(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = RevocationId::of(provider, session);
        self.revoke_all(&[Revocation::of_sign_in(id, until)], now)
            .await
    }

    /// Marks `id` as used until `until`, for messages that count once. Returns whether it was
    /// unused. Of replicas that mark it at the same time, with the same `until`, one is told so.
    ///
    /// # Errors
    /// [`StoreError`] when the server does not answer. Then this process has not marked it either.
    async fn mark_used(
        &self,
        id: RevocationId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Registers who hears of each revocation as soon as this process learns of it, from whatever
    /// replica. The first listener stays.
    fn listen(&self, listener: Arc<dyn RevocationListener>);

    /// The time up to which the tokens under `id` are revoked if they were issued by then;
    /// [`Revocation::ALL`] for a sign-in that was revoked. `None` where nothing is revoked. It is
    /// answered from memory.
    fn issued_by(&self, id: RevocationId, now: Timestamp) -> Option<Timestamp>;

    /// Changes with every revocation that this process learns of, after
    /// [`RevocationStore::issued_by`] tells it. Zero as long as there was none. What was not
    /// revoked stays so as long as this number does.
    fn generation(&self) -> u64;

    /// Whether the tokens of `session` at `provider` are revoked.
    fn is_revoked(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool {
        // Computes the hash only where there is something to compare it with.
        self.generation() != 0
            && self
                .issued_by(RevocationId::of(provider, session), now)
                .is_some()
    }
}

/// Hears of revocations.
pub trait RevocationListener: Send + Sync + fmt::Debug {
    /// What `id` names was revoked, here or on another replica, or its revocation was extended.
    /// Called after [`RevocationStore::issued_by`] says so, and must not block.
    fn revoked(&self, id: RevocationId);
}

/// What was revoked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// A sign-in, or a [`TokenGroup`].
    pub id: RevocationId,
    /// Tokens that were issued at this time or before are revoked.
    pub issued_by: Timestamp,
    /// The end of the revocation.
    pub until: Timestamp,
}

impl Revocation {
    /// The [`Revocation::issued_by`] of a sign-in: whenever its tokens are issued, they are
    /// revoked.
    pub const ALL: Timestamp = Timestamp::from_millis(u64::MAX);

    /// The revocation of every token of one sign-in.
    #[must_use]
    pub const fn of_sign_in(id: RevocationId, until: Timestamp) -> Self {
        Self {
            id,
            issued_by: Self::ALL,
            until,
        }
    }
}

/// Tokens of one provider that are revoked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenGroup<'a> {
    /// Those of the user with this `sub`.
    User(&'a str),
    /// Those of a user for one application.
    UserAtApplication {
        /// The user's `sub`.
        user: &'a str,
        /// The `aud` of the tokens.
        application: &'a str,
    },
    /// Those for the application with this `aud`.
    Application(&'a str),
    /// All.
    Provider,
}

/// Identifies a sign-in at a provider, a group of tokens or a message: the first 16 bytes of a
/// SHA-256, the same on all replicas. It reveals no name, and a provider cannot choose one that
/// matches anything of another provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(super) [u8; 16]);

impl RevocationId {
    /// The id of the sign-in `session` at `provider`.
    #[must_use]
    pub fn of(provider: &str, session: &RevocationKey) -> Self {
        let mut hash = Context::new(&SHA256);
        // The length comes first, so that no two pairs give the same bytes.
        hash.update(&(provider.len() as u64).to_le_bytes());
        hash.update(provider.as_bytes());
        hash.update(session.0.as_bytes());
        Self::finish(hash)
    }

    /// The id of a group of tokens of `provider`.
    #[must_use]
    pub fn of_group(provider: &str, group: TokenGroup<'_>) -> Self {
        match group {
            TokenGroup::User(user) => Self::of_parts("user", &[provider, user]),
            TokenGroup::UserAtApplication { user, application } => {
                Self::of_parts("user at application", &[provider, user, application])
            }
            TokenGroup::Application(application) => {
                Self::of_parts("application", &[provider, application])
            }
            TokenGroup::Provider => Self::of_parts("provider", &[provider]),
        }
    }

    /// The id of a message of `provider` that counts once.
    #[must_use]
    pub fn of_message(provider: &str, message: &str) -> Self {
        Self::of_parts("message", &[provider, message])
    }

    fn of_parts(kind: &str, parts: &[&str]) -> Self {
        let mut hash = Context::new(&SHA256);
        // No provider's name is as long: no sign-in has such an id.
        hash.update(&u64::MAX.to_le_bytes());
        for part in std::iter::once(&kind).chain(parts) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self::finish(hash)
    }

    fn finish(hash: Context) -> Self {
        let hash = hash.finish();
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }
}
