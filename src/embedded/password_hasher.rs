//! Hashing and verification of passwords with argon2id, on threads that do not serve requests.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;

use crate::model::secret::Secret;
use crate::system;

/// The argon2id hash of `password` with a random salt, as a PHC string for the users file. The cost
/// is argon2's recommendation: 19 MiB and 2 passes.
///
/// # Errors
/// If the password is longer than argon2 accepts (4 GiB).
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    hash_with(Params::default(), password)
}

/// The hash of a password that everybody knows: the salt is fixed, so that a restart does not count
/// as a change of the password.
///
/// # Errors
/// As [`hash_password`].
pub(super) fn hash_public_password(password: &str) -> Result<String, PasswordError> {
    salted_hash(Params::default(), password, b"vestibule public")
}

/// An error while hashing a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordError;

impl std::fmt::Display for PasswordError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the password could not be hashed")
    }
}

impl std::error::Error for PasswordError {}

/// The cost parameters of an argon2id hash in PHC form.
///
/// # Errors
/// A message that says why the hash is not accepted, without the hash itself: it is not an argon2id
/// hash, it is incomplete, or its cost is too high.
pub fn parse_cost(hash: &str) -> Result<Params, &'static str> {
    let parsed = PasswordHash::new(hash).map_err(|_| "not a PHC string")?;
    if parsed.algorithm.as_str() != "argon2id" {
        return Err("not an argon2id hash");
    }
    if parsed.salt.is_none() || parsed.hash.is_none() {
        return Err("the hash or its salt is missing");
    }
    let params = Params::try_from(&parsed).map_err(|_| "its parameters are out of range")?;
    // A single login must not exhaust the machine.
    if params.m_cost() > 1024 * 1024 || params.t_cost() > 64 || params.p_cost() > 64 {
        return Err("its cost is above 1 GiB, 64 passes or 64 lanes");
    }
    Ok(params)
}

/// Hashes and verifies passwords. The number of concurrent operations is limited to the number of
/// processors, because each takes tens of mebibytes and of milliseconds.
#[derive(Clone)]
pub struct PasswordHasher {
    permits: Arc<Semaphore>,
    cost: Params,
    /// A hash that no password matches. It is verified for unknown users, so that they take the
    /// same time as a wrong password.
    decoy: Arc<str>,
}

impl PasswordHasher {
    /// A hasher for users with the given hashes. New hashes and the decoy have the highest cost
    /// among them, and at least the recommended one.
    pub fn new<'a>(hashes: impl Iterator<Item = &'a str>) -> Self {
        let costs = hashes.filter_map(|hash| parse_cost(hash).ok());
        let cost = costs.fold(Params::default(), |highest, cost| {
            if work(&cost) > work(&highest) {
                cost
            } else {
                highest
            }
        });
        let decoy = decoy(&cost).into();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            permits: Arc::new(Semaphore::new(threads)),
            cost,
            decoy,
        }
    }

    /// Whether `password` matches `hash`. `None` stands for an unknown user: the result is false.
    /// Every call does the work of the most expensive hash, so that the time tells neither which
    /// users exist nor which of the hashes is theirs.
    pub async fn verify(&self, hash: Option<String>, password: Secret) -> bool {
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let padding = parse_cost(&hash)
            .ok()
            .and_then(|cost| padding(&cost, &self.cost));
        let is_match = self.run_limited(move || {
            let is_match = PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.expose().as_bytes(), &hash)
                    .is_ok()
            });
            if let Some(padding) = padding {
                // Only the time counts.
                drop(hash_with(padding, password.expose()));
            }
            is_match
        });
        is_match.await.unwrap_or(false)
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// If the password is longer than argon2 accepts.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        let cost = self.cost.clone();
        self.run_limited(move || hash_with(cost, password.expose()))
            .await
            .unwrap_or(Err(PasswordError))
    }

    /// Runs `work` on a blocking thread once a permit is free. `None` if it panics.
    async fn run_limited<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        // The work holds the permit, so that it stays taken if the caller is cancelled.
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.ok()
    }
}

/// The amount of work of a hash: memory times passes.
fn work(cost: &Params) -> u64 {
    u64::from(cost.m_cost()) * u64::from(cost.t_cost())
}

/// The cost of a further hash, which together with one of `cost` takes the work of one of
/// `highest`. `None` where less than a hundredth is missing.
fn padding(cost: &Params, highest: &Params) -> Option<Params> {
    let missing = work(highest).checked_sub(work(cost))?;
    if missing * 100 < work(highest) {
        return None;
    }
    let memory = u32::try_from(missing / u64::from(highest.t_cost())).ok()?;
    let memory = memory.max(Params::MIN_M_COST * highest.p_cost());
    Params::new(memory, highest.t_cost(), highest.p_cost(), None).ok()
}

/// Random bytes in the form of a hash. No password is known for them, and making them takes neither
/// the time nor the memory of a hash.
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
    salted_hash(cost, password, &system::random::<16>())
}

fn salted_hash(cost: Params, password: &str, salt: &[u8; 16]) -> Result<String, PasswordError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    let hash: PasswordHash = argon2
        .hash_password_with_salt(password.as_bytes(), salt)
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
        let hasher = PasswordHasher::new([hash.as_str()].into_iter());
        assert!(
            hasher
                .verify(Some(hash.clone()), Secret::new("open sesame"))
                .await
        );
        assert!(!hasher.verify(Some(hash), Secret::new("open sesame ")).await);
        assert!(!hasher.verify(None, Secret::new("open sesame")).await);
    }

    #[test]
    fn an_unknown_user_costs_as_much_as_the_most_expensive_hash() {
        let expensive = hash_with(Params::new(32 * 1024, 3, 1, None).unwrap(), "x").unwrap();
        let cheap = hash_with(Params::new(8, 1, 1, None).unwrap(), "x").unwrap();
        let hasher = PasswordHasher::new([cheap.as_str(), expensive.as_str()].into_iter());
        assert!(
            hasher.decoy.starts_with("$argon2id$v=19$m=32768,t=3,p=1$"),
            "{}",
            hasher.decoy
        );
        let cost = parse_cost(&hasher.decoy).unwrap();
        assert_eq!(
            (cost.m_cost(), cost.t_cost(), cost.p_cost()),
            (32768, 3, 1),
            "the decoy is verified like a hash"
        );
        let hasher = PasswordHasher::new([cheap.as_str()].into_iter());
        assert!(
            hasher.decoy.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hasher.decoy
        );
    }

    #[test]
    fn a_cheap_hash_is_padded_to_the_work_of_the_most_expensive_one() {
        let highest = Params::new(64 * 1024, 3, 1, None).unwrap();
        for (memory, passes) in [(8, 1), (19_456, 2), (64 * 1024, 1), (32 * 1024, 3)] {
            let cost = Params::new(memory, passes, 1, None).unwrap();
            let padding = padding(&cost, &highest).unwrap();
            let (all, wanted) = (work(&cost) + work(&padding), work(&highest));
            assert!(
                all.abs_diff(wanted) * 100 <= wanted,
                "{memory} {passes}: {all} of {wanted}"
            );
        }
        assert!(padding(&highest, &highest).is_none());
        let above = Params::new(128 * 1024, 3, 1, None).unwrap();
        assert!(padding(&above, &highest).is_none());
    }

    #[test]
    fn other_hashes_are_refused() {
        assert_eq!(parse_cost("secret").unwrap_err(), "not a PHC string");
        let hash = hash_password("x").unwrap();
        assert_eq!(
            parse_cost(&hash.replace("argon2id", "argon2i")).unwrap_err(),
            "not an argon2id hash"
        );
        assert!(parse_cost(&hash.replace("m=19456", "m=4000000")).is_err());
        assert_eq!(
            parse_cost("$argon2id$v=19$m=19456,t=2,p=1").unwrap_err(),
            "the hash or its salt is missing"
        );
    }
}
