//! What a client is given for the tokens of the provider: its credential, and the refresh token
//! sealed.

use std::sync::Arc;

use crate::model::cookie_names::{MAX_CHUNK, MAX_CHUNKED_TOTAL};
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::sealing_keys::SealingKeys;
use crate::model::site::{SignIn, Site};
use crate::model::timestamp::Timestamp;
use crate::model::token::{IssuedTokens, Principal, TokenPair};
use crate::system;

/// Tokens that the provider has just issued and whose access token was verified.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct NewTokens<'a> {
    /// How the client will present them.
    pub kind: CredentialKind,
    pub pair: &'a TokenPair,
    /// What is sealed with the refresh token.
    pub envelope: &'a RefreshTokenEnvelope,
    pub principal: &'a Principal,
    pub now: Timestamp,
}

/// What the client presents with each request.
pub(in crate::runtime) struct Credential {
    /// The access token, or the id of a session.
    pub value: Arc<str>,
    /// The hash of the session's id, where it is one.
    pub session_hash: Option<String>,
}

/// Seals refresh tokens for clients.
pub(in crate::runtime) struct TokenIssuer {
    pub sealing: Arc<SealingKeys>,
}

impl TokenIssuer {
    /// `tokens` in the form in which a client of their kind carries them.
    ///
    /// # Errors
    /// `tokens_too_large` where they do not fit into cookies, `internal` where the cipher fails.
    pub fn issue(
        &self,
        site: &Site,
        tokens: NewTokens<'_>,
        credential: Credential,
    ) -> Result<IssuedTokens, Reason> {
        let Credential {
            value,
            session_hash,
        } = credential;
        let refresh: Option<Arc<str>> = match &tokens.pair.refresh {
            None => None,
            Some(_) => {
                // Also of earlier tokens, which the provider may have issued for longer.
                let access_expires = tokens
                    .envelope
                    .access_expires
                    .max(Some(tokens.principal.expires_at));
                let keeps_id_token = match tokens.kind {
                    CredentialKind::Session => true,
                    CredentialKind::Jwt => site.sign_in == SignIn::Redirect,
                    CredentialKind::Bearer => false,
                };
                let id_token = tokens.envelope.id_token.clone();
                let mut envelope = RefreshTokenEnvelope {
                    id_token: id_token.filter(|_| keeps_id_token),
                    session_hash,
                    access_expires,
                    access_issued: Some(tokens.principal.issued_at),
                    ..tokens.envelope.clone()
                };
                let seal = |envelope: &RefreshTokenEnvelope| {
                    envelope.seal(&self.sealing, &site.name, tokens.kind, system::random())
                };
                let mut sealed = seal(&envelope).ok_or(Reason::Internal)?;
                // A cookie of its own for the ID token is not worth it: without it the provider
                // asks at a sign-out.
                if sealed.len() > MAX_CHUNK && envelope.id_token.take().is_some() {
                    sealed = seal(&envelope).ok_or(Reason::Internal)?;
                }
                Some(Arc::from(sealed))
            }
        };
        if tokens.kind != CredentialKind::Bearer {
            check_cookie_size(
                site,
                value.len() + refresh.as_ref().map_or(0, |text| text.len()),
            )?;
        }
        Ok(IssuedTokens {
            kind: tokens.kind,
            token: value,
            refresh,
            remember: tokens.envelope.remember,
        })
    }
}

fn check_cookie_size(site: &Site, bytes: usize) -> Result<(), Reason> {
    if bytes <= MAX_CHUNKED_TOTAL {
        return Ok(());
    }
    tracing::error!(
        site = site.name,
        bytes,
        "the provider's tokens are too large for cookies: use credential = \"session\", or fewer claims"
    );
    Err(Reason::TokensTooLarge)
}
