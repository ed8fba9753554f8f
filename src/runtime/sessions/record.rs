//! The record of a session, as it is sealed for the store.

use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::{RevocationKey, Session};
use crate::provider::verify::VerifiedClaims;
use crate::runtime::site::SiteRuntime;
use crate::runtime::tokens::issue::NewTokens;
use crate::runtime::tokens::verify::principal;
use crate::store::SessionHash;
use crate::system;

use super::cache::OpenedSession;

/// What the store keeps of a session, before it is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// The verified claims.
    c: Map<String, Value>,
    /// When the access token was issued, in milliseconds since the Unix epoch.
    i: u64,
    /// When it expires, in milliseconds since the Unix epoch.
    e: u64,
    /// When the session ends, however much it is used, in milliseconds since the Unix epoch.
    x: u64,
    /// The key under which the sign-in is revoked.
    k: String,
    /// The access token, where it is forwarded to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    /// The refresh token, for a sign-out that comes without its cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<String>,
}

/// What a sign-out ends of a session.
pub(in crate::runtime) struct RevocableSession {
    pub key: RevocationKey,
    /// The end of the access token.
    pub access_expires: Timestamp,
    pub sub: Option<String>,
    pub refresh: Option<Secret>,
}

impl Record {
    /// The record of a new session of `site`.
    pub fn new(site: &Site, tokens: NewTokens<'_>) -> Self {
        let refresh = tokens.envelope.refresh.expose();
        Self {
            c: tokens.principal.identity.claims.clone(),
            i: tokens.principal.issued_at.millis(),
            e: tokens.principal.expires_at.millis(),
            x: tokens.now.plus(site.session_lifetime.absolute).millis(),
            k: tokens.principal.revocation_key.0.clone(),
            a: site
                .forward_token
                .then(|| tokens.pair.access.expose().to_owned()),
            r: (!refresh.is_empty()).then(|| refresh.to_owned()),
        }
    }

    /// When the session ends, however much it is used.
    pub const fn ends(&self) -> Timestamp {
        Timestamp::from_millis(self.x)
    }

    /// Compresses the record and seals it to `site` and to the session with this hash. `None` only
    /// if the cipher fails.
    pub fn seal(&self, sealing: &SealingKeys, site: &Site, hash: SessionHash) -> Option<Arc<[u8]>> {
        let sealed = sealing.seal(&purpose(site, hash), self.compress()?, system::random())?;
        Some(sealed.into())
    }

    /// Opens what [`Record::seal`] made for the same site and session; `None` for everything else.
    pub fn open(
        sealing: &SealingKeys,
        site: &Site,
        hash: SessionHash,
        sealed: &[u8],
    ) -> Option<Self> {
        Self::decompress(&sealing.open(&purpose(site, hash), sealed)?)
    }

    /// The session of the record; `None` where a claim that becomes a header holds control
    /// characters.
    pub fn into_session(
        self,
        site_runtime: &SiteRuntime,
        hash: SessionHash,
    ) -> Option<OpenedSession> {
        let (issued, ends) = (Timestamp::from_millis(self.i), self.ends());
        let claims = VerifiedClaims {
            claims: self.c,
            issued: Some(issued),
            expires: Timestamp::from_millis(self.e),
            session: RevocationKey(self.k),
        };
        let principal = principal(site_runtime, claims, issued)?;
        let access = self
            .a
            .filter(|_| site_runtime.site.forward_token)
            .map(Arc::from);
        let principal = Arc::new(principal);
        Some(OpenedSession {
            revocation_ids: Arc::new(
                site_runtime
                    .revocation_ids(&principal)
                    .with_credential(site_runtime.provider.realm(), &session_key(hash)),
            ),
            session: Session { principal, access },
            ends,
        })
    }

    /// What a sign-out ends of the session.
    pub fn into_revocable(self) -> RevocableSession {
        RevocableSession {
            key: RevocationKey(self.k),
            access_expires: Timestamp::from_millis(self.e),
            sub: self.c.get("sub").and_then(Value::as_str).map(str::to_owned),
            refresh: self.r.map(Secret::new),
        }
    }

    /// A million sessions are to fit into memory. Claims compress well: they are mostly names that
    /// every token has, and hexadecimal digits.
    fn compress(&self) -> Option<Vec<u8>> {
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(512), Compression::default());
        serde_json::to_writer(&mut encoder, self).ok()?;
        encoder.finish().ok()
    }

    fn decompress(body: &[u8]) -> Option<Self> {
        let mut text = Vec::with_capacity(body.len() * 2);
        DeflateDecoder::new(body).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// The key under which the session with this hash is revoked where its record cannot be read.
pub(in crate::runtime) fn session_key(hash: SessionHash) -> RevocationKey {
    RevocationKey(format!("session {}", URL_SAFE_NO_PAD.encode(hash.0)))
}

/// The purpose that the seal is bound to: a session of one site does not open at another, and
/// whoever writes to the store cannot put one session in the place of another.
fn purpose(site: &Site, hash: SessionHash) -> String {
    let hash = URL_SAFE_NO_PAD.encode(hash.0);
    format!("vestibule session\0{hash}\0{}", site.name)
}
