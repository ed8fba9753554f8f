//! Passwords as argon2id hashes, checked away from the threads that serve requests.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;

use crate::model::secret::Secret;
use crate::system;

/// The argon2id hash of `password` with a fresh salt, as a PHC string: what stands in the users
/// file. The cost is argon2's recommended 19 MiB and 2 passes.
///
/// # Errors
/// When the password is longer than argon2 takes (4 GiB).
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    hash_with(Params::default(), password)
}

/// A password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordError;

impl std::fmt::Display for PasswordError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the password could not be hashed")
    }
}

impl std::error::Error for PasswordError {}

/// The cost of an argon2id hash, or why it is none that this server takes.
///
/// # Errors
/// What is wrong, in words, without the hash.
pub fn cost_of(hash: &str) -> Result<Params, &'static str> {
    let parsed = PasswordHash::new(hash).map_err(|_| "not a PHC string")?;
    if parsed.algorithm.as_str() != "argon2id" {
        return Err("not an argon2id hash");
    }
    if parsed.salt.is_none() || parsed.hash.is_none() {
        return Err("the hash or its salt is missing");
    }
    let params = Params::try_from(&parsed).map_err(|_| "its parameters are out of range")?;
    // One sign-in must not take the whole machine.
    if params.m_cost() > 1024 * 1024 || params.t_cost() > 64 || params.p_cost() > 64 {
        return Err("its cost is above 1 GiB, 64 passes or 64 lanes");
    }
    Ok(params)
}

/// Checks and makes hashes, a bounded number at a time: each takes tens of mebibytes and
/// milliseconds.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    cost: Params,
    /// Of no password at all. Verified for users that do not exist, so that they cost what a wrong
    /// password costs.
    decoy: Arc<str>,
}

impl Passwords {
    /// For users whose hashes are `hashes`. The decoy and new hashes take the highest cost among
    /// them, at least the recommended one.
    pub fn new<'a>(hashes: impl Iterator<Item = &'a str>) -> Self {
        let costs = hashes.filter_map(|hash| cost_of(hash).ok());
        let cost = costs.fold(Params::default(), |most, one| {
            if work(&one) > work(&most) { one } else { most }
        });
        let decoy = decoy(&cost).into();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            permits: Arc::new(Semaphore::new(threads)),
            cost,
            decoy,
        }
    }

    /// Whether `password` is the one of `hash`; `None` is an unknown user: never, and it takes as
    /// long.
    pub async fn matches(&self, hash: Option<String>, password: Secret) -> bool {
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let right = self.apart(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.expose().as_bytes(), &hash)
                    .is_ok()
            })
        });
        right.await.unwrap_or(false)
    }

    /// A hash for a new password.
    ///
    /// # Errors
    /// When the password is longer than argon2 takes.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        let cost = self.cost.clone();
        self.apart(move || hash_with(cost, password.expose()))
            .await
            .unwrap_or(Err(PasswordError))
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        // The permit travels with the work: a caller that goes away does not let another one start
        // beside it.
        let job = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        job.await.ok()
    }
}

fn work(cost: &Params) -> u64 {
    u64::from(cost.m_cost()) * u64::from(cost.t_cost())
}

/// Random bytes in the form of a hash: nobody finds a password for them, and making them takes
/// neither the time nor the memory of a hash.
fn decoy(cost: &Params) -> String {
    let (salt, hash) = (system::random::<16>(), system::random::<32>());
    let (m, t, p) = (cost.m_cost(), cost.t_cost(), cost.p_cost());
    format!(
        "$argon2id$v=19$m={m},t={t},p={p}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

fn hash_with(cost: Params, password: &str) -> Result<String, PasswordError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    let salt = system::random::<16>();
    let hash: PasswordHash = argon2
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|_| PasswordError)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_matches() {
        let hash = hash_password("open sesame").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let passwords = Passwords::new([hash.as_str()].into_iter());
        assert!(
            passwords
                .matches(Some(hash.clone()), Secret::new("open sesame"))
                .await
        );
        assert!(
            !passwords
                .matches(Some(hash), Secret::new("open sesame "))
                .await
        );
        assert!(!passwords.matches(None, Secret::new("open sesame")).await);
    }

    #[test]
    fn an_unknown_user_costs_what_the_dearest_known_one_costs() {
        let dear = hash_with(Params::new(32 * 1024, 3, 1, None).unwrap(), "x").unwrap();
        let cheap = hash_with(Params::new(8, 1, 1, None).unwrap(), "x").unwrap();
        let passwords = Passwords::new([cheap.as_str(), dear.as_str()].into_iter());
        assert!(
            passwords
                .decoy
                .starts_with("$argon2id$v=19$m=32768,t=3,p=1$"),
            "{}",
            passwords.decoy
        );
        let cost = cost_of(&passwords.decoy).unwrap();
        assert_eq!(
            (cost.m_cost(), cost.t_cost(), cost.p_cost()),
            (32768, 3, 1),
            "it is verified like a hash"
        );
        let passwords = Passwords::new([cheap.as_str()].into_iter());
        assert!(
            passwords
                .decoy
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            passwords.decoy
        );
    }

    #[test]
    fn other_hashes_are_refused() {
        assert_eq!(cost_of("secret").unwrap_err(), "not a PHC string");
        let hash = hash_password("x").unwrap();
        assert_eq!(
            cost_of(&hash.replace("argon2id", "argon2i")).unwrap_err(),
            "not an argon2id hash"
        );
        assert!(cost_of(&hash.replace("m=19456", "m=4000000")).is_err());
        assert_eq!(
            cost_of("$argon2id$v=19$m=19456,t=2,p=1").unwrap_err(),
            "the hash or its salt is missing"
        );
    }
}
