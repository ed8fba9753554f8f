//! The signed assertion: a short-lived JWT about the visitor, for applications that want proof of
//! where a request comes from instead of trust in the network
//! (`docs/reference/headers.md#signed-assertion`).

use std::io;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use quick_cache::sync::Cache;
use serde_json::json;

use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::system;

use super::state_dir;

/// How long an assertion is valid.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a cached assertion is used, so that each has at least a minute left to live.
const CACHED_FOR: Duration = Duration::from_secs(4 * 60);
/// How many assertions are cached.
const MAX_CACHED: usize = 10_000;
/// The file of the signing key in `state_dir`.
const FILE: &str = "assertion.key";

/// Signs assertions, one for each visitor every few minutes.
pub struct Assertions {
    key: EncodingKey,
    header: Header,
    /// The public key as a JWKS document (RFC 7517).
    jwks: String,
    cache: Cache<CacheKey, CachedAssertion>,
}

/// What one assertion is good for. A refreshed token may carry other roles: it has another expiry.
#[derive(PartialEq, Eq, Hash)]
struct CacheKey {
    site: String,
    session: String,
    expires_millis: u64,
}

#[derive(Clone)]
struct CachedAssertion {
    value: HeaderValue,
    until: Timestamp,
}

impl Assertions {
    /// Signs with this ES256 key (PKCS #8). `None` when it is not one.
    pub(super) fn new(pkcs8: &[u8]) -> Option<Self> {
        let key = EncodingKey::from_ec_der(pkcs8);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).ok()?;
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        // Over the uncompressed point. It must not change while the key stays: applications keep
        // the public key under this `kid`.
        let hash = digest(&SHA256, public.try_get_as_bytes().ok()?);
        let kid = URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16)?);
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self {
            key,
            header: Header {
                kid: Some(kid),
                ..Header::new(Algorithm::ES256)
            },
            jwks: serde_json::to_string(&JwkSet { keys: vec![jwk] }).ok()?,
            cache: Cache::new(MAX_CACHED),
        })
    }

    /// The public key as a JWKS document (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> String {
        self.jwks.clone()
    }

    /// The assertion about `principal` for the application of `site`, as a header value.
    #[must_use]
    pub fn header(&self, principal: &Principal, site: &Site, now: Timestamp) -> HeaderValue {
        let key = CacheKey {
            site: site.name.clone(),
            session: principal.revocation_key.0.clone(),
            expires_millis: principal.expires_at.millis(),
        };
        if let Some(cached) = self.cache.get(&key)
            && now < cached.until
        {
            return cached.value;
        }
        let value = self.sign(principal, site, now);
        let cached = CachedAssertion {
            value: value.clone(),
            until: now.plus(CACHED_FOR),
        };
        self.cache.insert(key, cached);
        value
    }

    fn sign(&self, principal: &Principal, site: &Site, now: Timestamp) -> HeaderValue {
        let mut claims = json!({
            "iss": site.origin.to_string(),
            "aud": site.name,
            "sub": principal.identity.sub,
            "roles": principal.identity.roles,
            "iat": now.secs(),
            "exp": now.plus(LIFETIME).secs(),
            "jti": URL_SAFE_NO_PAD.encode(system::random::<16>()),
        });
        if let (Some(email), Some(claims)) = (&principal.identity.email, claims.as_object_mut()) {
            claims.insert("email".into(), email.clone().into());
        }
        // base64url and dots are fit for a header. Without a signature the header is empty, which
        // verifies nowhere.
        jsonwebtoken::encode(&self.header, &claims, &self.key)
            .ok()
            .and_then(|token| HeaderValue::from_str(&token).ok())
            .unwrap_or_else(|| HeaderValue::from_static(""))
    }
}

/// The key that signs assertions (PKCS #8), read from `state_dir` and created on the first start.
///
/// # Errors
/// When `state_dir` cannot be used.
pub(super) fn read_or_create_key(state_dir: &Path) -> io::Result<Vec<u8>> {
    let text = state_dir::read_or_create(state_dir, FILE, || {
        Ok(STANDARD.encode(new_key()?).into_bytes())
    })?;
    STANDARD.decode(text.trim_ascii()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "assertion.key is not a key in base64",
        )
    })
}

/// A new key to sign assertions with (PKCS #8), which is stored nowhere.
///
/// # Errors
/// When the key cannot be generated.
pub(super) fn new_key() -> io::Result<Vec<u8>> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    Ok(key
        .map_err(|_| io::Error::other("no key could be made"))?
        .as_ref()
        .to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let first = read_or_create_key(&state).unwrap();
        assert_eq!(read_or_create_key(&state).unwrap(), first);
        let mode = std::fs::metadata(state.join("assertion.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
