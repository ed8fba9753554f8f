//! The keys that the provider signs with, and the tokens that it signs.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// How many keys there are; after the last one the first is used again.
const KEYS: usize = 8;

/// How many of the newest keys the provider publishes.
pub const PUBLISHED: usize = 3;

struct Key {
    name: String,
    pair: EcdsaKeyPair,
    jwk: Value,
}

/// Generated once for all simulations of this process: signatures are random in any case, and
/// nothing depends on them.
fn keys() -> &'static [Key] {
    static ALL: OnceLock<Vec<Key>> = OnceLock::new();
    ALL.get_or_init(|| (0..KEYS).map(generate).collect())
}

fn generate(number: usize) -> Key {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = pair.public_key().as_ref().to_vec();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let name = format!("key-{number}");
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": name,
        "x": text(&point[1..33]), "y": text(&point[33..]),
    });
    Key { name, pair, jwk }
}

/// The JWKS document while the key with this number signs.
pub fn document(current: usize) -> Vec<u8> {
    let published = (0..PUBLISHED).filter_map(|back| current.checked_sub(back));
    let keys: Vec<&Value> = published.map(|number| &keys()[number % KEYS].jwk).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A token with these claims, signed with the key with this number.
pub fn sign(current: usize, claims: &Value) -> String {
    sign_with(&keys()[current % KEYS], claims)
}

/// A token with these claims, signed with a key that is not the provider's.
pub fn forge(claims: &Value) -> String {
    static FOREIGN: OnceLock<Key> = OnceLock::new();
    sign_with(FOREIGN.get_or_init(|| generate(KEYS)), claims)
}

fn sign_with(key: &Key, claims: &Value) -> String {
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": key.name });
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = key.pair.sign(&SystemRandom::new(), input.as_bytes());
    let signature = signature.expect("a signature");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}
