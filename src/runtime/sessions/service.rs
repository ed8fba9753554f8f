//! Sessions: created at a sign-in or a refresh, loaded on each request, ended at a sign-out.
//!
//! The client carries 256 random bits. The store keeps their SHA-256 and the sealed record of the
//! session, so that whoever reads the store can neither present a session nor read one.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::sealing_keys::SealingKeys;
use crate::model::token::{IssuedTokens, RevocationKey, Session, TokenError};
use crate::runtime::request_context::RequestContext;
use crate::runtime::revocation::Revocation;
use crate::runtime::site::SiteRuntime;
use crate::runtime::tokens::issue::{Credential, NewTokens, TokenIssuer};
use crate::runtime::tokens::verify::{Checked, CredentialError, record};
use crate::store::{SessionHash, SessionStore, StoreError, StoredSession};
use crate::system;
use crate::telemetry::Metrics;
use crate::telemetry::audit;
use crate::telemetry::labels::TokenCheck;

use super::cache::OpenedSession;
use super::record::{Record, RevocableSession, session_key};

/// Bytes of randomness in the id of a session.
const ID_BYTES: usize = 32;

/// The sessions of every site.
pub struct Sessions {
    pub(in crate::runtime) store: Arc<dyn SessionStore>,
    pub(in crate::runtime) revocation: Arc<Revocation>,
    pub(in crate::runtime) sealing: Arc<SealingKeys>,
    pub(in crate::runtime) issuer: TokenIssuer,
    pub(in crate::runtime) metrics: Arc<Metrics>,
}

/// What a sign-out with a session id ends.
pub(in crate::runtime) enum Revocable {
    /// A session.
    Session(RevocableSession),
    /// There is no such session, or its record does not open.
    Nothing,
    /// The store did not answer: nobody can tell. The key revokes a session with this id.
    Unread(RevocationKey),
}

impl Sessions {
    /// The session with this id, whose idle time starts again.
    ///
    /// # Errors
    /// [`CredentialError`]: `expired` also for a session that never was.
    pub async fn load(
        &self,
        context: RequestContext<'_>,
        id: &str,
    ) -> Result<Session, CredentialError> {
        let result = self.load_cached(context, id).await;
        record(&self.metrics, &result);
        result.map(|checked| checked.value)
    }

    async fn load_cached(
        &self,
        context: RequestContext<'_>,
        id: &str,
    ) -> Result<Checked<Session>, CredentialError> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let expired = CredentialError::Token(TokenError::Expired);
        let hash = hash(id).ok_or(CredentialError::Token(TokenError::Invalid))?;
        let stored = self
            .read(context, hash)
            .await
            .map_err(|_| CredentialError::Unavailable(Reason::StoreUnavailable))?
            .ok_or(expired)?;
        let cache = &site_runtime.session_cache;
        let (opened, label) = match cache.get(hash, &stored.sealed) {
            Some(opened) => (opened, TokenCheck::Remembered),
            None => {
                let opened = self.open(site_runtime, hash, &stored.sealed);
                let opened = opened.ok_or(expired)?;
                cache.put(hash, stored.sealed, &opened);
                (opened, TokenCheck::Valid)
            }
        };
        // The store enforces the end too, but whoever can write to it can move that one.
        if opened.ends <= now {
            return Err(expired);
        }
        self.revocation
            .check(&opened.revocation_ids, now)
            .map_err(CredentialError::Token)?;
        let value = opened.session;
        Ok(Checked { value, label })
    }

    async fn read(
        &self,
        context: RequestContext<'_>,
        hash: SessionHash,
    ) -> Result<Option<StoredSession>, StoreError> {
        let idle = context.site_runtime.site.session_lifetime.idle;
        self.store
            .get(hash, idle, context.now)
            .await
            .inspect_err(|error| audit::store_failed(&error.0))
    }

    fn open(
        &self,
        site_runtime: &SiteRuntime,
        hash: SessionHash,
        sealed: &[u8],
    ) -> Option<OpenedSession> {
        let record = Record::open(&self.sealing, &site_runtime.site, hash, sealed)?;
        record.into_session(site_runtime, hash)
    }

    /// `tokens` in the form in which a client of their kind carries them. For clients that carry a
    /// session id, a session is created.
    ///
    /// # Errors
    /// `store_unavailable` where no session could be created, and those of [`TokenIssuer::issue`].
    pub(in crate::runtime) async fn issue(
        &self,
        site_runtime: &SiteRuntime,
        tokens: NewTokens<'_>,
    ) -> Result<IssuedTokens, Reason> {
        let credential = match tokens.kind {
            CredentialKind::Session => self.create(site_runtime, tokens).await?,
            CredentialKind::Jwt | CredentialKind::Bearer => Credential {
                value: Arc::from(tokens.pair.access.expose()),
                session_hash: None,
            },
        };
        self.issuer.issue(&site_runtime.site, tokens, credential)
    }

    async fn create(
        &self,
        site_runtime: &SiteRuntime,
        tokens: NewTokens<'_>,
    ) -> Result<Credential, Reason> {
        let site = &site_runtime.site;
        let id = URL_SAFE_NO_PAD.encode(system::random::<ID_BYTES>());
        let hash = hash(&id).ok_or(Reason::Internal)?;
        let record = Record::new(site, tokens);
        let session = StoredSession {
            sealed: record
                .seal(&self.sealing, site, hash)
                .ok_or(Reason::Internal)?,
            expires_at: record.ends(),
        };
        self.store
            .put(hash, session, site.session_lifetime.idle, tokens.now)
            .await
            .map_err(|error| {
                audit::store_failed(&error.0);
                Reason::StoreUnavailable
            })?;
        Ok(Credential {
            value: Arc::from(id),
            session_hash: Some(URL_SAFE_NO_PAD.encode(hash.0)),
        })
    }

    /// Ends the session with this id, if there is one.
    pub(in crate::runtime) async fn end(&self, id: &str) {
        if let Some(hash) = hash(id) {
            self.delete(hash).await;
        }
    }

    /// Ends the session whose id has this hash, see
    /// [`RefreshTokenEnvelope::session_hash`](crate::model::refresh_token_envelope::RefreshTokenEnvelope::session_hash).
    pub(in crate::runtime) async fn end_by_hash(&self, hash: &str) {
        let bytes = URL_SAFE_NO_PAD.decode(hash).ok();
        if let Some(hash) = bytes.and_then(|bytes| bytes.try_into().ok()) {
            self.delete(SessionHash(hash)).await;
        }
    }

    async fn delete(&self, hash: SessionHash) {
        if let Err(error) = self.store.delete(hash).await {
            audit::store_failed(&error.0);
        }
    }

    /// What a sign-out with this session id ends.
    pub(in crate::runtime) async fn revocable(
        &self,
        context: RequestContext<'_>,
        id: &str,
    ) -> Revocable {
        let Some(hash) = hash(id) else {
            return Revocable::Nothing;
        };
        let Ok(stored) = self.read(context, hash).await else {
            return Revocable::Unread(session_key(hash));
        };
        let site = &context.site_runtime.site;
        let opened = stored
            .and_then(|stored| Record::open(&self.sealing, site, hash, &stored.sealed))
            .map(Record::into_revocable);
        opened.map_or(Revocable::Nothing, Revocable::Session)
    }
}

/// The hash under which the store keeps a session; `None` where `id` cannot be the id of one.
fn hash(id: &str) -> Option<SessionHash> {
    let bytes = URL_SAFE_NO_PAD
        .decode(id)
        .ok()
        .filter(|bytes| bytes.len() == ID_BYTES)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    Some(SessionHash(hash))
}
