//! Reading a JWKS document (RFC 7517): lenient about entries that are not for us, strict about the
//! rest.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key_set::{Check, Key, KeyName, KeySetError};

/// The weakest RSA key taken, in bits (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;

/// The usable keys of `document`, in its order; may be none.
pub(super) fn read(document: &[u8], allowed: &[Algorithm]) -> Result<Vec<Key>, KeySetError> {
    let document: Map<String, Value> = serde_json::from_slice(document)
        .map_err(|_| KeySetError("the key document is not a JSON object".into()))?;
    let Some(Value::Array(entries)) = document.get("keys") else {
        return Err(KeySetError("the key document has no array `keys`".into()));
    };
    Ok(entries
        .iter()
        .filter_map(Value::as_object)
        .filter_map(|entry| read_key(entry, allowed))
        .collect())
}

fn read_key(entry: &Map<String, Value>, allowed: &[Algorithm]) -> Option<Key> {
    if !is_for_signatures(entry) {
        return None;
    }
    let name = match entry.get("kid") {
        None => KeyName::Unnamed,
        Some(Value::String(kid)) => KeyName::Named(kid.clone()),
        Some(_) => return None,
    };
    let bound = match entry.get("alg") {
        None => None,
        // A name we do not know binds the key to what we cannot do.
        Some(alg) => Some(Algorithm::named(alg.as_str()?)?),
    };
    let material = Material::read(entry)?;
    let uses: Vec<_> = allowed
        .iter()
        .filter(|algorithm| bound.is_none_or(|bound| bound == **algorithm))
        .filter_map(|&algorithm| {
            Some((
                algorithm,
                Check::Signature(material.for_algorithm(algorithm)?),
            ))
        })
        .collect();
    (!uses.is_empty()).then(|| Key {
        name,
        material: material.fingerprint(),
        uses,
    })
}

/// `use` and `key_ops` (RFC 7517, sections 4.2 and 4.3), where there are any, must speak of
/// signatures.
fn is_for_signatures(entry: &Map<String, Value>) -> bool {
    let right_use = entry.get("use").is_none_or(|word| word == "sig");
    let right_operations = entry.get("key_ops").is_none_or(|words| {
        words
            .as_array()
            .is_some_and(|words| words.iter().any(|word| word == "verify"))
    });
    right_use && right_operations
}

/// The public key itself. Symmetric keys have no place in a published document and are not read.
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Curve { name: String, point: Vec<u8> },
}

impl Material {
    fn read(entry: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        match text("kty")? {
            "RSA" => {
                // Some libraries write the sign byte of a two's complement number in front.
                let n = without_leading_zeros(&bytes("n")?);
                let e = without_leading_zeros(&bytes("e")?);
                // With 1 for an exponent every text is its own signature; an even one is no
                // exponent.
                let is_exponent = bits(&e) >= 2 && e.last().is_some_and(|byte| byte % 2 == 1);
                (bits(&n) >= MIN_RSA_BITS && is_exponent).then_some(Self::Rsa { n, e })
            }
            "EC" => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != y.len() {
                    return None;
                }
                // Uncompressed form: SEC 1, section 2.3.3.
                Some(Self::Curve {
                    name: text("crv")?.to_owned(),
                    point: [&[4], x.as_slice(), y.as_slice()].concat(),
                })
            }
            "OKP" => Some(Self::Curve {
                name: text("crv")?.to_owned(),
                point: bytes("x")?,
            }),
            _ => None,
        }
    }

    fn fingerprint(&self) -> Vec<u8> {
        let (first, second) = match self {
            Self::Rsa { n, e } => (n.as_slice(), e.as_slice()),
            Self::Curve { name, point } => (point.as_slice(), name.as_bytes()),
        };
        [&first.len().to_be_bytes(), first, second].concat()
    }

    /// The key ready for `algorithm`; `None` where they do not belong together or it is no such
    /// key.
    fn for_algorithm(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        match self {
            Self::Rsa { n, e } => PublicKeyComponents { n, e }
                .to_parsed_public_key(rsa_parameters(algorithm)?)
                .ok(),
            Self::Curve { name, point } => {
                let (curve, parameters) = curve_parameters(algorithm)?;
                if curve != name {
                    return None;
                }
                ParsedPublicKey::new(parameters, point).ok()
            }
        }
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => None,
    }
}

/// The `crv` an algorithm is bound to, and how its signatures are checked.
fn curve_parameters(
    algorithm: Algorithm,
) -> Option<(&'static str, &'static dyn signature::VerificationAlgorithm)> {
    match algorithm {
        Algorithm::Es256 => Some(("P-256", &signature::ECDSA_P256_SHA256_FIXED)),
        Algorithm::Es384 => Some(("P-384", &signature::ECDSA_P384_SHA384_FIXED)),
        Algorithm::Es512 => Some(("P-521", &signature::ECDSA_P521_SHA512_FIXED)),
        Algorithm::EdDsa | Algorithm::Ed25519 => Some(("Ed25519", &signature::ED25519)),
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => None,
    }
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
