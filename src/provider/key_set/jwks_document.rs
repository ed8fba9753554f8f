//! Reading a JWKS document (RFC 7517). Entries are read one by one: an entry that cannot be used is
//! skipped and does not affect the others.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, OctetKeyPairParameters,
    RSAKeyParameters,
};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Key, KeyName, KeySetError, VerifyingKey};
use crate::model::algorithm::Algorithm;

/// The least size of an RSA key, in bits (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;

/// The keys of `document` that can be used with one of the `allowed` algorithms, in its order;
/// possibly none.
pub(super) fn read(document: &[u8], allowed: &[Algorithm]) -> Result<Vec<Key>, KeySetError> {
    let document: Map<String, Value> = serde_json::from_slice(document)
        .map_err(|_| KeySetError("the key document is not a JSON object".into()))?;
    let Some(Value::Array(entries)) = document.get("keys") else {
        return Err(KeySetError("the key document has no array `keys`".into()));
    };
    Ok(entries
        .iter()
        .filter_map(|entry| read_key(entry, allowed))
        .collect())
}

fn read_key(entry: &Value, allowed: &[Algorithm]) -> Option<Key> {
    let members = entry.as_object()?;
    if !is_for_signatures(members) {
        return None;
    }
    let name = match members.get("kid") {
        None => KeyName::Unnamed,
        Some(Value::String(kid)) => KeyName::Named(kid.clone()),
        Some(_) => return None,
    };
    let bound = match members.get("alg") {
        None => None,
        // A key for an algorithm that is not known here cannot be used.
        Some(alg) => Some(Algorithm::from_name(alg.as_str()?)?),
    };
    let key = PublicKey::read(entry)?;
    let algorithms: Vec<_> = allowed
        .iter()
        .copied()
        .filter(|&algorithm| bound.is_none_or(|bound| bound == algorithm))
        .filter(|&algorithm| KeyType::of(algorithm) == Some(key.key_type))
        .collect();
    (!algorithms.is_empty()).then_some(Key {
        name,
        fingerprint: key.fingerprint,
        algorithms,
        verifying: key.verifying,
    })
}

/// `use` and `key_ops` (RFC 7517, sections 4.2 and 4.3) must allow verification where they are
/// present.
fn is_for_signatures(members: &Map<String, Value>) -> bool {
    let use_fits = members.get("use").is_none_or(|word| word == "sig");
    let operations_fit = members.get("key_ops").is_none_or(|words| {
        words
            .as_array()
            .is_some_and(|words| words.iter().any(|word| word == "verify"))
    });
    use_fits && operations_fit
}

/// The kind of key that an algorithm verifies with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyType {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl KeyType {
    /// `None` for HMAC: a secret has no place in a published document.
    fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Some(Self::Rsa),
            Algorithm::Es256 => Some(Self::P256),
            Algorithm::Es384 => Some(Self::P384),
            Algorithm::Es512 => Some(Self::P521),
            Algorithm::EdDsa | Algorithm::Ed25519 => Some(Self::Ed25519),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => None,
        }
    }
}

/// A public key whose numbers were checked.
struct PublicKey {
    key_type: KeyType,
    fingerprint: Vec<u8>,
    verifying: VerifyingKey,
}

impl PublicKey {
    /// `None` for a kind of key that is not used here, and for numbers that are not a key.
    fn read(entry: &Value) -> Option<Self> {
        match AlgorithmParameters::deserialize(entry).ok()? {
            AlgorithmParameters::RSA(numbers) => Self::rsa(&numbers),
            AlgorithmParameters::EllipticCurve(point) => Self::elliptic(&point),
            AlgorithmParameters::OctetKeyPair(point) => Self::edwards(&point),
            AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => None,
        }
    }

    fn rsa(numbers: &RSAKeyParameters) -> Option<Self> {
        let decode = |text: &str| Some(without_leading_zeros(&URL_SAFE_NO_PAD.decode(text).ok()?));
        // Some libraries write the sign byte of a two's complement number in front.
        let (n, e) = (decode(&numbers.n)?, decode(&numbers.e)?);
        // With the exponent 1 every text is its own signature; an even number is not an exponent.
        let is_exponent = bits(&e) >= 2 && e.last().is_some_and(|byte| byte % 2 == 1);
        if bits(&n) < MIN_RSA_BITS || !is_exponent {
            return None;
        }
        // `jsonwebtoken` parses the numbers only when it verifies.
        PublicKeyComponents { n: &n, e: &e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .ok()?;
        Some(Self {
            key_type: KeyType::Rsa,
            fingerprint: fingerprint(&n, &e),
            verifying: VerifyingKey::Jwt(DecodingKey::from_rsa_raw_components(&n, &e)),
        })
    }

    fn elliptic(point: &EllipticCurveKeyParameters) -> Option<Self> {
        // Otherwise the boundary between the coordinates would not be known.
        if point.x.len() != point.y.len() {
            return None;
        }
        let key = DecodingKey::from_ec_components(&point.x, &point.y).ok()?;
        let (key_type, verification): (_, &'static dyn VerificationAlgorithm) = match point.curve {
            EllipticCurve::P256 => (KeyType::P256, &ECDSA_P256_SHA256_FIXED),
            EllipticCurve::P384 => (KeyType::P384, &ECDSA_P384_SHA384_FIXED),
            EllipticCurve::P521 => (KeyType::P521, &ECDSA_P521_SHA512_FIXED),
            EllipticCurve::Ed25519 | _ => return None,
        };
        Self::point(key_type, key, verification)
    }

    fn edwards(point: &OctetKeyPairParameters) -> Option<Self> {
        if point.curve != EllipticCurve::Ed25519 {
            return None;
        }
        let key = DecodingKey::from_ed_components(&point.x).ok()?;
        Self::point(KeyType::Ed25519, key, &ED25519)
    }

    /// `jsonwebtoken` parses the point only when it verifies, so it is parsed here once: a point
    /// that is not on the curve is not a key.
    fn point(
        key_type: KeyType,
        key: DecodingKey,
        verification: &'static dyn VerificationAlgorithm,
    ) -> Option<Self> {
        let point = key.try_get_as_bytes().ok()?;
        let parsed = ParsedPublicKey::new(verification, point).ok()?;
        Some(Self {
            key_type,
            fingerprint: fingerprint(point, &[]),
            verifying: if key_type == KeyType::P521 {
                VerifyingKey::P521(parsed)
            } else {
                VerifyingKey::Jwt(key)
            },
        })
    }
}

/// Both numbers, unambiguously. Points of different curves differ in length; an RSA modulus is
/// longer than any of them.
fn fingerprint(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&first.len().to_be_bytes(), first, second].concat()
}

fn without_leading_zeros(number: &[u8]) -> Vec<u8> {
    number
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect()
}

fn bits(number: &[u8]) -> usize {
    let unused = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - unused
}
