//! The signed assertion: a short-lived JWT by the gateway, for applications that want proof instead
//! of trust in the network (`docs/reference/headers.md#signed-assertion`).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use quick_cache::sync::Cache;
use serde_json::json;

use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::system;

/// How long an assertion holds.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// A remembered assertion is handed out for this long, so that each has a minute left to live.
const HANDED_OUT_FOR: Duration = Duration::from_secs(4 * 60);
/// How many are remembered.
const REMEMBERED: usize = 10_000;

/// Signs assertions, each person's once every few minutes.
pub(super) struct Assertions {
    key: EncodingKey,
    header: Header,
    /// The public key as a JWKS document (RFC 7517).
    jwks: String,
    remembered: Cache<(String, String, u64), (HeaderValue, Timestamp)>,
}

impl Assertions {
    /// Signs with an ES256 key in PKCS #8; `None` when `pkcs8` is not one.
    pub(super) fn new(pkcs8: &[u8]) -> Option<Self> {
        let key = EncodingKey::from_ec_der(pkcs8);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).ok()?;
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        // Over the uncompressed point. It must not change while the key stays: applications keep
        // the public key under this `kid`.
        let digest = digest(&SHA256, public.try_get_as_bytes().ok()?);
        let kid = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..16)?);
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self {
            key,
            header: Header {
                kid: Some(kid),
                ..Header::new(Algorithm::ES256)
            },
            jwks: serde_json::to_string(&JwkSet { keys: vec![jwk] }).ok()?,
            remembered: Cache::new(REMEMBERED),
        })
    }

    /// The public key as a JWKS document (RFC 7517).
    pub(super) fn public(&self) -> String {
        self.jwks.clone()
    }

    /// The assertion about `principal` for the application of `site`, as a header value.
    pub(super) fn about(&self, principal: &Principal, site: &Site, now: Timestamp) -> HeaderValue {
        // A renewed token may carry other roles: it gets an assertion of its own.
        let key = (
            site.name.clone(),
            principal.session.0.clone(),
            principal.expires.millis(),
        );
        if let Some((value, until)) = self.remembered.get(&key)
            && now < until
        {
            return value;
        }
        let value = self.sign(principal, site, now);
        self.remembered
            .insert(key, (value.clone(), now.plus(HANDED_OUT_FOR)));
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
        // base64url and dots; without a signature the header is empty, which verifies nowhere.
        jsonwebtoken::encode(&self.header, &claims, &self.key)
            .ok()
            .and_then(|token| HeaderValue::from_str(&token).ok())
            .unwrap_or_else(|| HeaderValue::from_static(""))
    }
}
