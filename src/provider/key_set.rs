//! The keys that a provider signs with, and the choice of the key for a token.

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};

use crate::model::algorithm::Algorithm;

mod jwks_document;
#[cfg(test)]
mod tests;

/// The shortest HMAC secret that is accepted, in bytes (RFC 7518, section 3.2).
pub const MIN_HMAC_SECRET: usize = 32;

/// Why no set of keys can be made: for the operator, who corrects the configuration or the
/// provider. The text says what is wrong and holds no key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetError(pub String);

impl std::fmt::Display for KeySetError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for KeySetError {}

/// The keys that tokens are verified with; at least one.
///
/// Each key is bound to its algorithms when the set is made, so that no token can have a public key
/// used as an HMAC secret.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    generation: u64,
}

/// One key and the algorithms that it may be used with.
#[derive(Debug)]
struct Key {
    name: KeyName,
    /// Tells keys apart. Made of public numbers for a public key, empty for a secret.
    fingerprint: Vec<u8>,
    /// In the order of the configuration; at least one.
    algorithms: Vec<Algorithm>,
    verifying: VerifyingKey,
}

/// Which `kid` a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyName {
    /// This one; tokens without a `kid` may be verified with it too.
    Named(String),
    /// None: only tokens without a `kid` are verified with it.
    Unnamed,
    /// Every one: the configuration has a single secret and no other key.
    Any,
}

/// A key that was parsed once, when the set was made.
#[derive(Debug)]
pub(super) enum VerifyingKey {
    /// For every algorithm but `ES512`.
    Jwt(DecodingKey),
    /// For `ES512`, which `jsonwebtoken` does not have.
    P521(ParsedPublicKey),
}

impl VerifyingKey {
    /// Whether `signature`, in base64url as it stands in the token, is this key's signature of
    /// `message`. `algorithm` must be one that [`KeySet::choose`] gave the key for. HMACs are
    /// compared in constant time.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        match self {
            Self::Jwt(key) => jwt_algorithm(algorithm).is_some_and(|algorithm| {
                crypto::verify(signature, message, key, algorithm).unwrap_or(false)
            }),
            Self::P521(key) => URL_SAFE_NO_PAD
                .decode(signature)
                .is_ok_and(|signature| key.verify_sig(message, &signature).is_ok()),
        }
    }
}

/// The algorithm in the terms of `jsonwebtoken`; `None` for `ES512`, which it does not have.
fn jwt_algorithm(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    Some(match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::Es512 => return None,
        Algorithm::EdDsa | Algorithm::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
    })
}

/// Why the set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyChoiceError {
    /// No key has this `kid`, or no key fits a token without one: newer keys of the provider may.
    Unknown,
    /// The key of this `kid` is for other algorithms, or more than one key fits: the token is
    /// invalid.
    Unsuitable,
}

impl KeySet {
    /// The keys of a JWKS document (RFC 7517, section 5) that fit `allowed`. Entries that cannot be
    /// used are skipped, as section 5 demands.
    ///
    /// # Errors
    /// When the document is not a JWKS, or no entry can be used: a set without keys would sign
    /// everybody out.
    pub fn from_jwks(document: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        Self::new(jwks_document::read(document, allowed)?)
    }

    /// The one secret that is shared with the provider, for every `kid`.
    ///
    /// # Errors
    /// When it is shorter than [`MIN_HMAC_SECRET`], or `allowed` has no HMAC algorithm.
    pub fn from_hmac_secret(secret: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        if secret.len() < MIN_HMAC_SECRET {
            return Err(KeySetError(format!(
                "the HMAC secret is shorter than {MIN_HMAC_SECRET} bytes"
            )));
        }
        let algorithms: Vec<_> = allowed
            .iter()
            .copied()
            .filter(|algorithm| algorithm.hmac_bytes().is_some())
            .collect();
        if algorithms.is_empty() {
            return Err(KeySetError(
                "an HMAC secret is of no use without an HS algorithm".into(),
            ));
        }
        Self::new(vec![Key {
            name: KeyName::Any,
            fingerprint: Vec::new(),
            algorithms,
            verifying: VerifyingKey::Jwt(DecodingKey::from_secret(secret)),
        }])
    }

    fn new(mut keys: Vec<Key>) -> Result<Self, KeySetError> {
        // The order of a document means nothing; a key that is listed twice is one key.
        keys.sort_by(|a, b| (&a.name, &a.fingerprint).cmp(&(&b.name, &b.fingerprint)));
        keys.dedup_by(|a, b| a.same_as(b));
        if keys.is_empty() {
            return Err(KeySetError(
                "no key that can be used with the configured algorithms".into(),
            ));
        }
        Ok(Self {
            keys,
            generation: 0,
        })
    }

    /// Grows with every change of a provider's keys. A token that was verified under another
    /// generation is verified again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Whether both sets hold the same keys for the same algorithms, whatever the generation.
    pub(super) fn same_keys(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().zip(&other.keys).all(|(a, b)| a.same_as(b))
    }

    /// The key for a token with this `kid` and algorithm (`docs/reference/tokens.md#signing-keys`).
    /// A token without a `kid` gets the only key that fits its algorithm.
    ///
    /// Two keys that both fit are refused: trying one after the other would let whoever can place a
    /// key beside another choose between them.
    pub(super) fn choose(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&VerifyingKey, KeyChoiceError> {
        let is_named = |key: &&Key| match (&key.name, kid) {
            (KeyName::Any, _) | (_, None) => true,
            (KeyName::Named(name), Some(kid)) => name == kid,
            (KeyName::Unnamed, Some(_)) => false,
        };
        if kid.is_some() && !self.keys.iter().any(|key| is_named(&key)) {
            return Err(KeyChoiceError::Unknown);
        }
        let mut fitting = self
            .keys
            .iter()
            .filter(is_named)
            .filter(|key| key.algorithms.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(&key.verifying),
            (None, _) if kid.is_none() => Err(KeyChoiceError::Unknown),
            _ => Err(KeyChoiceError::Unsuitable),
        }
    }
}

impl Key {
    fn same_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.fingerprint == other.fingerprint
            && self.algorithms == other.algorithms
    }
}
