//! The signed assertion: a short-lived JWT by the gateway, for applications that want proof instead
//! of trust in the network (`docs/reference/headers.md#signed-assertion`).

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
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
    key: EcdsaKeyPair,
    kid: String,
    remembered: Cache<(String, String, u64), (HeaderValue, Timestamp)>,
}

impl Assertions {
    /// With this ES256 key, PKCS #8. `None` when it is none.
    pub(super) fn new(pkcs8: &[u8]) -> Option<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public_key().as_ref());
        let kid = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..16)?);
        Some(Self {
            key,
            kid,
            remembered: Cache::new(REMEMBERED),
        })
    }

    /// The public key as a JWKS document (RFC 7517).
    pub(super) fn public(&self) -> String {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        let (x, y) = (
            point.get(1..33).unwrap_or_default(),
            point.get(33..65).unwrap_or_default(),
        );
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
        .to_string()
    }

    /// The assertion about `visitor` for the application of `site`, as a header value.
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
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.kid});
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
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(&claims));
        let signed = self.key.sign(&SystemRandom::new(), input.as_bytes()).ok();
        let signature = signed.map(|signature| URL_SAFE_NO_PAD.encode(signature));
        // base64url and dots; without a signature the header is empty, which verifies nowhere.
        signature
            .and_then(|signature| HeaderValue::from_str(&format!("{input}.{signature}")).ok())
            .unwrap_or_else(|| HeaderValue::from_static(""))
    }
}
