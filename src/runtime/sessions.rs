//! Server-side sessions: opened, looked at, ended (`docs/reference/sessions.md`).
//!
//! The visitor carries 256 random bits; the store keeps their hash and, sealed to the site, what
//! they stand for. A session of the store never opens the forum, and who reads the store reads
//! nothing.

use std::io::Read as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::credential::RefreshTicket;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey, Session, TokenError, TokenPair};
use crate::provider::verify::VerifiedClaims;
use crate::store::{SessionHash, StoredSession};
use crate::system;
use crate::telemetry::audit;
use crate::telemetry::labels::TokenCheck;

use super::{CredentialError, RequestContext, Runtime, SiteRuntime, checking};

/// Bytes of randomness in an id.
const ID_BYTES: usize = 32;

/// What a session holds, before it is sealed.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The verified claims.
    c: Map<String, Value>,
    /// Their `iat` and `exp`, in milliseconds.
    i: u64,
    e: u64,
    /// What a sign-out revokes.
    k: String,
    /// The access token, where the application is to have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    /// The refresh token, for a sign-out that comes without its cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<String>,
}

/// A session that has just begun.
pub(super) struct BegunSession {
    /// What the visitor carries.
    pub(super) id: Arc<str>,
    /// What it is called where the id must not be known: its hash.
    pub(super) known_as: String,
}

/// What a sign-out needs to know of a session.
pub(super) struct EndedSession {
    pub(super) session: RevocationKey,
    pub(super) sub: Option<String>,
    pub(super) refresh: Option<Secret>,
}

/// Sessions of one site that were opened a moment ago: what the store gives is compared with what
/// was opened, byte for byte, so that nothing is served that the store does not hold any more.
pub(super) struct RememberedSessions(Cache<SessionHash, (Arc<[u8]>, Session), Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<SessionHash, (Arc<[u8]>, Session)> for Weight {
    fn weight(&self, _: &SessionHash, (sealed, _): &(Arc<[u8]>, Session)) -> u64 {
        // The sealed text stands for the claims too: they are about as long.
        (sealed.len() as u64) * 3 + 512
    }
}

/// Sessions one site is expected to have in use at once.
const EXPECTED: usize = 10_000;
/// The most memory for one site's sessions, in bytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

impl RememberedSessions {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(EXPECTED, MOST_BYTES, Weight))
    }

    fn get(&self, id: SessionHash, sealed: &[u8]) -> Option<Session> {
        self.0
            .get(&id)
            .filter(|(opened, _)| **opened == *sealed)
            .map(|(_, open)| open)
    }
}

impl Runtime {
    /// What the session of this id keeps; its life goes on.
    ///
    /// # Errors
    /// [`CredentialError`]: `expired` for one that is over or that nobody knows.
    pub async fn session(
        &self,
        context: RequestContext<'_>,
        id: &str,
    ) -> Result<Session, CredentialError> {
        let result = self.look_into(context, id).await;
        self.counted(result)
    }

    async fn look_into(
        &self,
        context: RequestContext<'_>,
        id: &str,
    ) -> Result<(Session, TokenCheck), CredentialError> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let hash = hash(id).ok_or(CredentialError::Token(TokenError::Invalid))?;
        let stored = match self
            .shared
            .stores
            .sessions
            .get(hash, site_runtime.site.session.idle, now)
            .await
        {
            Ok(stored) => stored.ok_or(CredentialError::Token(TokenError::Expired))?,
            Err(error) => {
                audit::store_failed(&error.0);
                return Err(CredentialError::Trouble(Reason::StoreUnavailable));
            }
        };
        let (open, label) = match site_runtime.sessions.get(hash, &stored.sealed) {
            Some(open) => (open, TokenCheck::Remembered),
            None => {
                let open = self
                    .open(site_runtime, &stored.sealed)
                    .ok_or(CredentialError::Token(TokenError::Expired))?;
                site_runtime
                    .sessions
                    .0
                    .insert(hash, (stored.sealed, open.clone()));
                (open, TokenCheck::Valid)
            }
        };
        if self.shared.stores.revocations.is_revoked(
            site_runtime.provider.realm(),
            &open.principal.session,
            now,
        ) {
            return Err(CredentialError::Token(TokenError::Revoked));
        }
        Ok((open, label))
    }

    fn open(&self, site_runtime: &SiteRuntime, sealed: &[u8]) -> Option<Session> {
        let record = self.record(site_runtime, sealed)?;
        let claims = VerifiedClaims {
            claims: record.c,
            issued: Some(Timestamp::from_millis(record.i)),
            expires: Timestamp::from_millis(record.e),
            session: RevocationKey(record.k),
        };
        let principal =
            checking::principal(site_runtime, claims, Timestamp::from_millis(record.i))?;
        let access = record
            .a
            .filter(|_| site_runtime.site.forward_token)
            .map(Arc::from);
        Some(Session {
            principal: Arc::new(principal),
            access,
        })
    }

    fn record(&self, site_runtime: &SiteRuntime, sealed: &[u8]) -> Option<Record> {
        unpacked(&self.sealing.open_bytes(&purpose(site_runtime), sealed)?)
    }

    /// Begins a session.
    pub(super) async fn begin_session(
        &self,
        site_runtime: &SiteRuntime,
        (pair, ticket): (&TokenPair, &RefreshTicket),
        principal: &Principal,
        now: Timestamp,
    ) -> Result<BegunSession, Reason> {
        let record = Record {
            c: principal.identity.claims.clone(),
            i: principal.issued.millis(),
            e: principal.expires.millis(),
            k: principal.session.0.clone(),
            a: site_runtime
                .site
                .forward_token
                .then(|| pair.access.expose().to_owned()),
            r: Some(ticket.refresh.expose().to_owned()).filter(|refresh| !refresh.is_empty()),
        };
        let body = packed(&record).ok_or(Reason::Internal)?;
        let sealed = self
            .sealing
            .seal_bytes(&purpose(site_runtime), body, system::random())
            .ok_or(Reason::Internal)?;
        let id = URL_SAFE_NO_PAD.encode(system::random::<ID_BYTES>());
        let life = site_runtime.site.session;
        let session = StoredSession {
            sealed: sealed.into(),
            expires_at: now.plus(life.absolute),
        };
        let hash = hash(&id).ok_or(Reason::Internal)?;
        match self
            .shared
            .stores
            .sessions
            .put(hash, session, life.idle, now)
            .await
        {
            Ok(()) => Ok(BegunSession {
                id: Arc::from(id),
                known_as: URL_SAFE_NO_PAD.encode(hash.0),
            }),
            Err(error) => {
                audit::store_failed(&error.0);
                Err(Reason::StoreUnavailable)
            }
        }
    }

    /// Ends the session of this id, where there is one: nobody gets in with it any more.
    pub(super) async fn end_session(&self, id: &str) {
        if let Some(hash) = hash(id) {
            self.end_session_at(hash).await;
        }
    }

    /// The same for [`BegunSession::known_as`].
    pub(super) async fn end_session_known_as(&self, name: &str) {
        if let Some(hash) = URL_SAFE_NO_PAD
            .decode(name)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
        {
            self.end_session_at(SessionHash(hash)).await;
        }
    }

    async fn end_session_at(&self, hash: SessionHash) {
        if let Err(error) = self.shared.stores.sessions.delete(hash).await {
            audit::store_failed(&error.0);
        }
    }

    /// What a sign-out with this id ends; `None` where the id is nobody's.
    pub(super) async fn session_to_end(
        &self,
        context: RequestContext<'_>,
        id: &str,
    ) -> Option<EndedSession> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let stored = match self
            .shared
            .stores
            .sessions
            .get(hash(id)?, site_runtime.site.session.idle, now)
            .await
        {
            Ok(stored) => stored?,
            Err(error) => {
                audit::store_failed(&error.0);
                return None;
            }
        };
        let record = self.record(site_runtime, &stored.sealed)?;
        Some(EndedSession {
            session: RevocationKey(record.k),
            sub: record
                .c
                .get("sub")
                .and_then(Value::as_str)
                .map(str::to_owned),
            refresh: record.r.map(Secret::new),
        })
    }
}

/// What a session is kept under; `None` for what no session was ever called.
fn hash(id: &str) -> Option<SessionHash> {
    let bytes = URL_SAFE_NO_PAD
        .decode(id)
        .ok()
        .filter(|bytes| bytes.len() == ID_BYTES)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    Some(SessionHash(hash))
}

/// A million sessions are to fit into memory: claims are mostly words that every token has, and
/// hexadecimal digits.
fn packed(record: &Record) -> Option<Vec<u8>> {
    let mut packer = DeflateEncoder::new(Vec::with_capacity(512), Compression::default());
    serde_json::to_writer(&mut packer, record).ok()?;
    packer.finish().ok()
}

fn unpacked(body: &[u8]) -> Option<Record> {
    let mut text = Vec::with_capacity(body.len() * 2);
    DeflateDecoder::new(body).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn purpose(site_runtime: &SiteRuntime) -> String {
    format!("vestibule session\0{}", site_runtime.site.name)
}
