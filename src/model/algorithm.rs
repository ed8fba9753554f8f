//! The signature algorithms of tokens. `none` is not among them.

use serde::Deserialize;

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037; RFC 9864).
///
/// It deserializes from the names that the configuration offers: all but `PS256`, `PS384`, `PS512`
/// and `Ed25519`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// RSA with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// ECDSA on P-521 with SHA-512.
    #[serde(rename = "ES512")]
    Es512,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
    /// HMAC with SHA-384.
    #[serde(rename = "HS384")]
    Hs384,
    /// HMAC with SHA-512.
    #[serde(rename = "HS512")]
    Hs512,
    /// RSASSA-PSS with SHA-256.
    #[serde(skip)]
    Ps256,
    /// RSASSA-PSS with SHA-384.
    #[serde(skip)]
    Ps384,
    /// RSASSA-PSS with SHA-512.
    #[serde(skip)]
    Ps512,
    /// Ed25519 under the name that RFC 9864 gives it.
    #[serde(skip)]
    Ed25519,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] = &[
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Ed25519,
    ];

    /// The algorithm with this `alg` value. Names are case-sensitive (RFC 7515, section 4.1.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|algorithm| algorithm.name() == name)
    }

    /// Its `alg` value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// For HMAC the size of the hash in bytes, which is the least length of its key (RFC 7518,
    /// section 3.2); `None` for the others.
    #[must_use]
    pub const fn hmac_bytes(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Es256
            | Self::Es384
            | Self::Es512
            | Self::EdDsa
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512
            | Self::Ed25519 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_exactly_or_not_at_all() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(*algorithm));
        }
        for name in [
            "", "none", "None", "NONE", "nOnE", "rs256", "RS256 ", "EDDSA", "HS1", "ES521",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_configuration_and_tokens_spell_a_name_alike() {
        for algorithm in Algorithm::ALL {
            let read = serde_json::from_value(algorithm.name().into()).ok();
            let is_offered = !matches!(
                algorithm,
                Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::Ed25519
            );
            assert_eq!(read, is_offered.then_some(*algorithm), "{algorithm:?}");
        }
    }
}
