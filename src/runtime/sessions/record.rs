//! The record of a session, as it is sealed for the store.

use std::io::Read as _;
use std::sync::Arc;

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
use crate::system;

/// What the store keeps of a session, before it is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// The verified claims.
    c: Map<String, Value>,
    /// When the access token was issued, in milliseconds since the Unix epoch.
    i: u64,
    /// When it expires, in milliseconds since the Unix epoch.
    e: u64,
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
    pub sub: Option<String>,
    pub refresh: Option<Secret>,
}

impl Record {
    /// The record of a new session of `site`.
    pub fn new(site: &Site, tokens: NewTokens<'_>) -> Self {
        let refresh = tokens.ticket.refresh.expose();
        Self {
            c: tokens.principal.identity.claims.clone(),
            i: tokens.principal.issued_at.millis(),
            e: tokens.principal.expires_at.millis(),
            k: tokens.principal.revocation_key.0.clone(),
            a: site
                .forward_token
                .then(|| tokens.pair.access.expose().to_owned()),
            r: (!refresh.is_empty()).then(|| refresh.to_owned()),
        }
    }

    /// Compresses the record and seals it to `site`. `None` only if the cipher fails.
    pub fn seal(&self, sealing: &SealingKeys, site: &Site) -> Option<Arc<[u8]>> {
        let sealed = sealing.seal(&purpose(site), self.compress()?, system::random())?;
        Some(sealed.into())
    }

    /// Opens what [`Record::seal`] made for the same site; `None` for everything else.
    pub fn open(sealing: &SealingKeys, site: &Site, sealed: &[u8]) -> Option<Self> {
        Self::decompress(&sealing.open(&purpose(site), sealed)?)
    }

    /// The session of the record; `None` where a claim that becomes a header holds control
    /// characters.
    pub fn into_session(self, site_runtime: &SiteRuntime) -> Option<Session> {
        let issued = Timestamp::from_millis(self.i);
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
        Some(Session {
            principal: Arc::new(principal),
            access,
        })
    }

    /// What a sign-out ends of the session.
    pub fn into_revocable(self) -> RevocableSession {
        RevocableSession {
            key: RevocationKey(self.k),
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

/// The purpose that the seal is bound to: a session of one site does not open at another.
fn purpose(site: &Site) -> String {
    format!("vestibule session\0{}", site.name)
}
