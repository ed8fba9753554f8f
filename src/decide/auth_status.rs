//! Who sends a request: what its credentials prove.
//!
//! * The access token or the session is checked first. The refresh token is used only where that
//!   proves nobody: it is expired, invalid or missing.
//! * A token that cannot be checked, because the provider may have changed its keys a moment ago,
//!   is refreshed too. Without a refresh token that is a failure, and no `no`.
//! * A revoked token is not refreshed. Its refresh token belongs to the same ended login, and the
//!   provider could only bring that login back.
//! * A definite no of the provider clears the cookies. A failure (provider or store unreachable)
//!   keeps them, and is neither a yes nor a no.
//! * A session outlives the access token it holds, but not without need: where a refresh token is
//!   there, the expired access token is refreshed, so that no user keeps a role for hours after it
//!   was taken from them. While the refresh fails, the session stays valid for its own lifetime.
//! * No script in a browser gets tokens in a response header: a browser that presents tokens in
//!   headers is not refreshed.

use std::sync::Arc;

use crate::model::cookie_change::CookieChange;
use crate::model::credential::{CredentialKind, RefreshRequest};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, TokenError};

use super::credentials::RequestCredentials;
use super::facts::{Facts, Known, Question};

/// What the credentials of a request prove.
pub(super) enum AuthStatus<'a> {
    /// Not known yet: this must be found out first.
    Needs(Question<'a>),
    /// The request is this user's.
    Authenticated(AuthenticatedPrincipal<'a>),
    /// The request is nobody's. The reason tells a revoked token from a missing one.
    Anonymous(Reason, Vec<CookieChange>),
    /// The provider or the store failed. The client keeps its credentials.
    Unavailable(Reason),
    /// A refresh is needed, and this kind of client gets none.
    Refused(Reason),
}

/// An authenticated user, and what the check did on the way.
pub(super) struct AuthenticatedPrincipal<'a> {
    /// The user that the credentials prove.
    pub(super) principal: Arc<Principal>,
    /// How the credential was presented.
    pub(super) kind: CredentialKind,
    /// The cookies that a refresh sets.
    pub(super) cookies: Vec<CookieChange>,
    /// `signed_in`, `renewed` or `renewed_from_invalid`.
    pub(super) reason: Reason,
    /// A refresh that is still possible: the refresh token was presented and not used.
    pub(super) unused_refresh: Option<RefreshRequest<'a>>,
}

/// Checks the credentials of `request`, or asks for what is not known yet.
pub(super) fn auth_status<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> AuthStatus<'a> {
    let credentials = RequestCredentials::of(request, site);
    let checked = match credentials.kind {
        CredentialKind::Session => check_session(&credentials, site, facts, now),
        CredentialKind::Jwt | CredentialKind::Bearer => check_token(&credentials, facts),
    };
    match checked {
        Ok(status) => status,
        Err(Some(TokenError::Revoked)) => {
            AuthStatus::Anonymous(Reason::Revoked, credentials.cleared())
        }
        Err(error) => refreshed(request, &credentials, error, facts),
    }
}

/// Checks the access token.
///
/// # Errors
/// It proves nobody: what is wrong with it, or `None` where there is none.
fn check_token<'a>(
    credentials: &RequestCredentials<'a>,
    facts: &Facts,
) -> Result<AuthStatus<'a>, Option<TokenError>> {
    match (credentials.token, &facts.token) {
        (Some(token), Known::NotAsked) => Ok(AuthStatus::Needs(Question::Verify(token))),
        (Some(_), Known::Found(principal)) => Ok(authenticated(
            principal,
            credentials.kind,
            credentials.refresh_request(),
        )),
        (Some(_), Known::Absent(error)) => Err(Some(*error)),
        (Some(_), Known::Failed(reason)) => Ok(AuthStatus::Unavailable(*reason)),
        (None, _) => Err(None),
    }
}

/// Checks the session. A stale one (its access token expired, or the application wants the token
/// and the session has none) counts as expired while a refresh may mend it.
///
/// # Errors
/// It proves nobody: what is wrong with it, or `None` where there is none.
fn check_session<'a>(
    credentials: &RequestCredentials<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Result<AuthStatus<'a>, Option<TokenError>> {
    match (credentials.token, &facts.session) {
        (Some(id), Known::NotAsked) => Ok(AuthStatus::Needs(Question::LoadSession(id))),
        (Some(_), Known::Found(session)) => {
            let refresh = credentials.refresh_request();
            let is_stale = session.principal.is_expired(now)
                || (site.forward_token && session.access.is_none());
            if is_stale && refresh.is_some() && !matches!(facts.refresh, Known::Failed(_)) {
                return Err(Some(TokenError::Expired));
            }
            Ok(authenticated(
                &session.principal,
                CredentialKind::Session,
                refresh.filter(|_| !is_stale),
            ))
        }
        (Some(_), Known::Absent(error)) => Err(Some(*error)),
        (Some(_), Known::Failed(reason)) => Ok(AuthStatus::Unavailable(*reason)),
        (None, _) => Err(None),
    }
}

fn authenticated<'a>(
    principal: &Arc<Principal>,
    kind: CredentialKind,
    unused_refresh: Option<RefreshRequest<'a>>,
) -> AuthStatus<'a> {
    AuthStatus::Authenticated(AuthenticatedPrincipal {
        principal: Arc::clone(principal),
        kind,
        cookies: Vec::new(),
        reason: Reason::SignedIn,
        unused_refresh,
    })
}

/// What the refresh token proves, where the access token or session does not: `error` tells why.
fn refreshed<'a>(
    request: &RequestView<'a>,
    credentials: &RequestCredentials<'a>,
    error: Option<TokenError>,
    facts: &Facts,
) -> AuthStatus<'a> {
    let Some(refresh) = credentials.refresh_request() else {
        if error == Some(TokenError::UnknownKey) {
            return AuthStatus::Unavailable(Reason::ProviderUnavailable);
        }
        return AuthStatus::Anonymous(Reason::SignedOut, credentials.cleared());
    };
    let is_bearer = credentials.kind == CredentialKind::Bearer;
    match &facts.refresh {
        // The new tokens would be sent in response headers, which an injected script could read.
        Known::NotAsked if is_bearer && request.fetch_metadata.is_browser => {
            AuthStatus::Refused(Reason::BrowserTokensRefused)
        }
        Known::NotAsked => AuthStatus::Needs(Question::Refresh(refresh)),
        Known::Found(refresh) => AuthStatus::Authenticated(AuthenticatedPrincipal {
            principal: Arc::clone(&refresh.principal),
            kind: credentials.kind,
            cookies: vec![CookieChange::SetTokens(refresh.tokens.clone())],
            reason: match error {
                Some(TokenError::Invalid | TokenError::Revoked) => Reason::RenewedFromInvalid,
                // A duplicate is not a missing cookie: something set it.
                None if credentials.is_duplicate => Reason::RenewedFromInvalid,
                Some(TokenError::Expired | TokenError::UnknownKey) | None => Reason::Renewed,
            },
            unused_refresh: None,
        }),
        Known::Absent(reason) => AuthStatus::Anonymous(*reason, credentials.cleared()),
        Known::Failed(reason) => AuthStatus::Unavailable(*reason),
    }
}
