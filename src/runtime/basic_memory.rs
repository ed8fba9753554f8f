//! Basic credentials that the provider has accepted, and the tokens it gave for them.
//!
//! No password is stored: the credentials are kept as HMAC-SHA256 under a random key of this
//! process. Wrong credentials are never stored, so that no flood of them can push out right ones.
//! The memory is bounded in bytes and outlives reloads.

use std::sync::Arc;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::authorization::BasicCredentials;
use crate::model::secret::Secret;
use crate::model::token::IssuedTokens;

use super::site::SiteRuntime;

/// The keyed hash of credentials, at one site.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialsHash(pub(super) [u8; 32]);

/// The keyed hash of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordHash([u8; 32]);

/// What is remembered of credentials.
pub struct RememberedLogin {
    /// The access token. It is verified on each request.
    pub access: Arc<str>,
    /// The sealed refresh token.
    pub refresh: Option<Arc<str>>,
    /// The `sub` of the user.
    pub sub: String,
    /// The password, for finding logins with another one.
    pub password: PasswordHash,
}

/// The remembered credentials of all sites.
pub struct BasicMemory {
    key: Key,
    logins: Cache<CredentialsHash, Arc<RememberedLogin>, Weight>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<CredentialsHash, Arc<RememberedLogin>> for Weight {
    fn weight(&self, _: &CredentialsHash, login: &Arc<RememberedLogin>) -> u64 {
        let refresh = login.refresh.as_ref().map_or(0, |token| token.len());
        (login.access.len() + refresh + login.sub.len()) as u64 + 256
    }
}

/// How many logins are expected to be in use at the same time.
const EXPECTED_LOGINS: usize = 10_000;
/// The most memory for them, in bytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

impl BasicMemory {
    /// An empty memory; `key` is random.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key: Key::new(HMAC_SHA256, &key),
            logins: Cache::with_weighter(EXPECTED_LOGINS, MAX_BYTES, Weight),
        }
    }

    /// The hash of `credentials` at the site, as sent. It changes with the site's provider and
    /// application.
    #[must_use]
    pub fn hash(
        &self,
        site_runtime: &SiteRuntime,
        credentials: BasicCredentials<'_>,
    ) -> CredentialsHash {
        let site = &site_runtime.site;
        CredentialsHash(self.hash_parts([
            &site.name,
            site_runtime.provider.realm(),
            &site.application_id,
            credentials.encoded(),
        ]))
    }

    /// The hash of a password.
    #[must_use]
    pub fn hash_password(&self, password: &Secret) -> PasswordHash {
        PasswordHash(self.hash_parts(["password", password.expose()]))
    }

    fn hash_parts<const N: usize>(&self, parts: [&str; N]) -> [u8; 32] {
        let mut context = Context::with_key(&self.key);
        for part in parts {
            context.update(part.as_bytes());
            context.update(b"\0");
        }
        let tag = context.sign();
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// What is remembered of these credentials.
    #[must_use]
    pub fn get(&self, hash: CredentialsHash) -> Option<Arc<RememberedLogin>> {
        self.logins.get(&hash)
    }

    /// Remembers credentials that the provider has just accepted. A login of the same user with
    /// another password is forgotten: the password was changed.
    pub fn put(&self, hash: CredentialsHash, login: RememberedLogin) {
        let (sub, password) = (login.sub.clone(), login.password);
        self.logins
            .retain(|_, other| other.sub != sub || other.password == password);
        self.logins.insert(hash, Arc::new(login));
    }

    /// Gives a login its new tokens after a refresh, unless it was forgotten meanwhile.
    pub fn update(&self, hash: CredentialsHash, login: &RememberedLogin, tokens: &IssuedTokens) {
        let refreshed = RememberedLogin {
            access: Arc::clone(&tokens.token),
            refresh: tokens.refresh.clone().or_else(|| login.refresh.clone()),
            sub: login.sub.clone(),
            password: login.password,
        };
        let _ = self.logins.replace(hash, Arc::new(refreshed), false);
    }

    /// Forgets a login, unless another has taken its place meanwhile.
    pub fn forget(&self, hash: CredentialsHash, login: &Arc<RememberedLogin>) {
        let is_same = |stored: &Arc<RememberedLogin>| Arc::ptr_eq(stored, login);
        self.logins.remove_if(&hash, is_same);
    }

    /// Forgets these credentials, and returns what was remembered.
    #[must_use]
    pub fn take(&self, hash: CredentialsHash) -> Option<Arc<RememberedLogin>> {
        self.logins.remove(&hash).map(|(_, login)| login)
    }

    /// Forgets every login of this user, whose password has changed.
    pub fn forget_user(&self, sub: &str) {
        self.logins.retain(|_, login| login.sub != sub);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::CredentialKind;

    fn login(memory: &BasicMemory, sub: &str, password: &str) -> RememberedLogin {
        RememberedLogin {
            access: "A".into(),
            refresh: Some("R".into()),
            sub: sub.into(),
            password: memory.hash_password(&Secret::new(password)),
        }
    }

    fn hash(number: u8) -> CredentialsHash {
        CredentialsHash([number; 32])
    }

    fn known(memory: &BasicMemory) -> Vec<u8> {
        let is_known = |number: &u8| memory.get(hash(*number)).is_some();
        (0..9).filter(is_known).collect()
    }

    #[test]
    fn a_changed_password_forgets_the_one_before() {
        let memory = BasicMemory::new([1; 32]);
        memory.put(hash(1), login(&memory, "ann", "old"));
        // The same password under another name of the account.
        memory.put(hash(2), login(&memory, "ann", "old"));
        memory.put(hash(3), login(&memory, "bob", "old"));
        assert_eq!(known(&memory), [1, 2, 3]);
        memory.put(hash(4), login(&memory, "ann", "new"));
        assert_eq!(known(&memory), [3, 4]);
        memory.forget_user("ann");
        assert_eq!(known(&memory), [3]);
    }

    #[test]
    fn what_was_forgotten_stays_forgotten() {
        let memory = BasicMemory::new([1; 32]);
        memory.put(hash(1), login(&memory, "ann", "x"));
        let first = memory.get(hash(1)).unwrap();
        let tokens = IssuedTokens {
            kind: CredentialKind::Bearer,
            token: "A2".into(),
            refresh: None,
            remember: false,
        };
        memory.update(hash(1), &first, &tokens);
        let second = memory.get(hash(1)).unwrap();
        assert_eq!(
            (&*second.access, second.refresh.as_deref()),
            ("A2", Some("R"))
        );
        memory.forget(hash(1), &first);
        assert_eq!(known(&memory), [1], "another has taken its place");
        assert!(memory.take(hash(1)).is_some());
        memory.update(hash(1), &second, &tokens);
        assert_eq!(
            known(&memory),
            [] as [u8; 0],
            "a refresh brings nothing back"
        );
    }

    #[test]
    fn a_hash_depends_on_the_key_and_on_every_part() {
        let (memory, other) = (BasicMemory::new([1; 32]), BasicMemory::new([2; 32]));
        assert_eq!(memory.hash_parts(["a", "b"]), memory.hash_parts(["a", "b"]));
        assert_ne!(memory.hash_parts(["a", "b"]), memory.hash_parts(["ab", ""]));
        assert_ne!(memory.hash_parts(["a"]), other.hash_parts(["a"]));
    }
}
