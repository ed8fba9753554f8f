//! The keys a provider signs with, and which of them speaks for which token.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;

use super::algorithm::Algorithm;

/// The shortest HMAC secret taken, in bytes (RFC 7518, section 3.2).
pub const MIN_HMAC_SECRET: usize = 32;

/// Why there is no set of keys to be had; the text says what is wrong, without key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetError(pub String);

impl std::fmt::Display for KeySetError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// Keys that may vouch for tokens; never empty.
///
/// Each key is bound to its algorithms when the set is made, so that no token can talk a public key
/// into being an HMAC secret.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    generation: u64,
}

/// One key under the algorithms it may be used with.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: KeyName,
    /// Tells keys apart; public for a public key, empty for a secret.
    pub(super) material: Vec<u8>,
    pub(super) uses: Vec<(Algorithm, Check)>,
}

/// Which `kid` a key answers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyName {
    /// This one, and tokens without.
    Named(String),
    /// Only tokens without a `kid`.
    Unnamed,
    /// Every one: the operator said that there is no other key.
    Any,
}

/// A key ready to check signatures of one algorithm.
pub(super) enum Check {
    Signature(ParsedPublicKey),
    Mac(Box<hmac::Key>),
}

impl std::fmt::Debug for Check {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Signature(_) => "Signature",
            Self::Mac(_) => "Mac",
        })
    }
}

impl Check {
    /// Whether `signature` is this key's over `message`; secrets are compared in constant time.
    pub(super) fn passes(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Signature(key) => key.verify_sig(message, signature).is_ok(),
            Self::Mac(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

/// Why no key can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// None of that name: newer keys may have it.
    Unknown,
    /// There is one of that name, but not for this algorithm, or more than one.
    Unfit,
}

impl KeySet {
    /// The keys of a JWKS document (RFC 7517, section 5) that fit `allowed`. Entries that cannot be
    /// used are passed over, as section 5 asks.
    ///
    /// # Errors
    /// When it is no such document, or no entry can be used: a set without keys would sign
    /// everybody out.
    pub fn from_jwks(document: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        Self::new(super::jwks::read(document, allowed)?)
    }

    /// The one secret shared with the provider, for whichever `kid`.
    ///
    /// # Errors
    /// When it is shorter than [`MIN_HMAC_SECRET`], or `allowed` has no HMAC algorithm.
    pub fn from_hmac_secret(secret: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        if secret.len() < MIN_HMAC_SECRET {
            return Err(KeySetError(format!(
                "the HMAC secret is shorter than {MIN_HMAC_SECRET} bytes"
            )));
        }
        let uses: Vec<_> = allowed
            .iter()
            .filter_map(|&algorithm| {
                Some((
                    algorithm,
                    Check::Mac(Box::new(hmac::Key::new(
                        hmac_parameters(algorithm)?,
                        secret,
                    ))),
                ))
            })
            .collect();
        if uses.is_empty() {
            return Err(KeySetError(
                "an HMAC secret is of no use without an HS algorithm".into(),
            ));
        }
        Self::new(vec![Key {
            name: KeyName::Any,
            material: Vec::new(),
            uses,
        }])
    }

    fn new(mut keys: Vec<Key>) -> Result<Self, KeySetError> {
        // The order of a document means nothing; a key that is listed twice is one key.
        keys.sort_by(|a, b| (&a.name, &a.material).cmp(&(&b.name, &b.material)));
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

    /// Grows with every change of a provider's keys: what was verified under another generation is
    /// verified anew.
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
    ///
    /// Two keys that both fit are none: trying one after the other would let whoever can place a
    /// key beside another choose between them.
    pub(super) fn choose(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Check, NoKey> {
        let named = |key: &&Key| match (&key.name, kid) {
            (KeyName::Any, _) | (_, None) => true,
            (KeyName::Named(name), Some(kid)) => name == kid,
            (KeyName::Unnamed, Some(_)) => false,
        };
        if kid.is_some() && !self.keys.iter().any(|key| named(&key)) {
            return Err(NoKey::Unknown);
        }
        let mut fitting = self
            .keys
            .iter()
            .filter(named)
            .filter_map(|key| key.check_for(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(check), None) => Ok(check),
            (None, _) if kid.is_none() => Err(NoKey::Unknown),
            _ => Err(NoKey::Unfit),
        }
    }
}

impl Key {
    fn check_for(&self, algorithm: Algorithm) -> Option<&Check> {
        self.uses
            .iter()
            .find(|(of, _)| *of == algorithm)
            .map(|(_, check)| check)
    }

    fn same_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.material == other.material
            && self
                .uses
                .iter()
                .map(|(of, _)| of)
                .eq(other.uses.iter().map(|(of, _)| of))
    }
}

fn hmac_parameters(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => None,
    }
}

#[cfg(test)]
mod tests;
