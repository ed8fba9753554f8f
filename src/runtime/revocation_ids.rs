//! Everything under which one access token can be revoked, computed once per token.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey};
use crate::store::{RevocationId, TokenGroup};

/// Everything under which one access token can be revoked.
pub(super) struct RevocationIds {
    pub sign_in: RevocationId,
    pub groups: [RevocationId; 4],
    /// The credential itself, for a sign-out with which nobody could tell whose it is.
    pub credential: Option<RevocationId>,
    /// The `iat` of the token.
    pub issued: Option<Timestamp>,
    /// The generation of the revocations among which it was not, see
    /// [`RevocationStore::generation`](crate::store::RevocationStore::generation).
    passed_at: AtomicU64,
}

/// A number that no generation reaches.
const NEVER: u64 = u64::MAX;

impl RevocationIds {
    /// Those of a token for `application`, from the provider with this
    /// [`realm`](super::provider_client::ProviderClient::realm).
    pub fn of(realm: &str, application: &str, principal: &Principal) -> Self {
        Self {
            sign_in: RevocationId::of(realm, &principal.revocation_key),
            groups: groups(realm, application, &principal.identity.sub),
            credential: None,
            issued: principal.issued(),
            passed_at: AtomicU64::new(NEVER),
        }
    }

    /// The same, for a token or a session that can also be revoked by itself, under `key`.
    pub fn with_credential(self, realm: &str, key: &RevocationKey) -> Self {
        Self {
            credential: Some(RevocationId::of(realm, key)),
            ..self
        }
    }

    /// Whether the token was found not to be revoked at this generation. Until the next one, this
    /// is all that a request looks at.
    pub fn passed_at(&self, generation: u64) -> bool {
        self.passed_at.load(Ordering::Relaxed) == generation
    }

    /// Notes that the token is not revoked at this generation.
    pub fn set_passed_at(&self, generation: u64) {
        self.passed_at.store(generation, Ordering::Relaxed);
    }

    /// The ids of the sign-in and of the groups that it belongs to.
    pub fn all(&self) -> impl Iterator<Item = RevocationId> {
        std::iter::once(self.sign_in).chain(self.groups)
    }
}

/// The groups to which a user's tokens for an application belong.
pub(super) fn groups(realm: &str, application: &str, user: &str) -> [RevocationId; 4] {
    [
        TokenGroup::User(user),
        TokenGroup::UserAtApplication { user, application },
        TokenGroup::Application(application),
        TokenGroup::Provider,
    ]
    .map(|group| RevocationId::of_group(realm, group))
}
