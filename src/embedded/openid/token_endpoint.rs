//! `POST /oauth2/token`: tokens for an authorization code or a refresh token (RFC 6749, sections
//! 4.1.3 and 6).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::authorization_code::CodeGrant;
use super::browser::Browser;
use super::client_credentials::{ClientCredentials, invalid_client, oauth_error};
use super::clients::{OpenIdSettings, RegisteredClient};
use super::form_parameters::{FormParameters, is_form};
use super::openid_tokens::id_token;
use crate::embedded::accounts::password_fingerprint;
use crate::embedded::fusionauth_api::api_error::{ApiError, ApiResult};
use crate::embedded::fusionauth_api::blocking::with_database;
use crate::embedded::fusionauth_api::json_response::json_response;
use crate::embedded::fusionauth_api::refresh_grant::{IssuedTokens, exchange};
use crate::embedded::refresh_sessions::{NewSession, SessionWithToken};
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::{AuthenticationType, TokenSubject};

/// Exchanges a code or a refresh token for tokens.
pub async fn token(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    let form = FormParameters::parse(&body)
        .ok()
        .filter(|_| is_form(&headers));
    let Some(form) = form else {
        return Ok(oauth_error("invalid_request", "malformed_form"));
    };
    let Ok(credentials) = ClientCredentials::of(&headers, &form) else {
        return Ok(invalid_client());
    };
    match form.get("grant_type") {
        Some("refresh_token") => refresh_token_grant(&state, &form, credentials).await,
        Some("authorization_code") => {
            let settings = state.openid_settings();
            let Some(settings) = settings else {
                return Ok(oauth_error("unsupported_grant_type", "invalid_grant_type"));
            };
            let client = credentials.and_then(|given| given.authenticate(&settings));
            let Some(client) = client else {
                return Ok(invalid_client());
            };
            let request = CodeExchange {
                state: &state,
                client: &client,
                browser: Browser::new(&headers, &settings),
                form: &form,
            };
            request.answer().await
        }
        Some(_) => Ok(oauth_error("unsupported_grant_type", "invalid_grant_type")),
        None => Ok(oauth_error("invalid_request", "missing_grant_type")),
    }
}

/// A client that exchanges a code.
struct CodeExchange<'a> {
    state: &'a Arc<ServerState>,
    client: &'a Arc<RegisteredClient>,
    browser: Browser<'a>,
    form: &'a FormParameters,
}

impl CodeExchange<'_> {
    async fn answer(&self) -> ApiResult {
        let (Some(code), Some(redirect_uri), Some(verifier)) = (
            self.form.get("code"),
            self.form.get("redirect_uri"),
            self.form.get("code_verifier"),
        ) else {
            return Ok(oauth_error("invalid_request", "missing_parameter"));
        };
        let codes = &self.state.openid.codes;
        let now = self.state.clock.now();
        let invalid = || Ok(oauth_error("invalid_grant", "auth_code_not_found"));
        // A client that presents the code of another one does not use it up.
        let known = codes.get(code, now);
        if known.is_none_or(|grant| grant.client != self.client.id) {
            return invalid();
        }
        let Some(grant) = codes.update(code, now, |grant| grant.presented += 1) else {
            return invalid();
        };
        if grant.presented > 1 {
            self.end_reused(&grant).await?;
            return invalid();
        }
        let is_proved = grant.redirect_uri == redirect_uri && grant.is_proved_by(verifier);
        if !grant.is_in_time(now) || !is_proved {
            return invalid();
        }
        let Some(started) = self.start_session(&grant).await? else {
            return invalid();
        };
        let id = started.session.id.clone();
        let grant = codes.update(code, now, |grant| grant.session = Some(id));
        // It was presented again while the session was started.
        match grant {
            Some(grant) if grant.presented == 1 => self.tokens(&grant, started),
            Some(_) | None => {
                let session = started.session;
                with_database(self.state, move |state| state.end_session(session)).await?;
                invalid()
            }
        }
    }

    /// Ends what was started with a code that is presented again: one of the two who had it has
    /// stolen it (RFC 6749, section 4.1.2).
    async fn end_reused(&self, grant: &CodeGrant) -> Result<(), ApiError> {
        tracing::warn!(
            user = grant.user,
            client = grant.client,
            "a used authorization code was presented; its session was ended"
        );
        let (id, now) = (grant.session.clone(), self.state.clock.now());
        with_database(self.state, move |state| {
            let session = id.map(|id| state.sessions().by_id(&id, now)).transpose()?;
            session
                .flatten()
                .map_or(Ok(()), |session| state.end_session(session))
        })
        .await
    }

    /// `None` if the user has signed out or lost the account since the code was issued.
    async fn start_session(&self, grant: &CodeGrant) -> Result<Option<SessionWithToken>, ApiError> {
        let accounts = self.state.accounts();
        let Some(user) = accounts.users.by_id(&grant.user).cloned() else {
            return Ok(None);
        };
        let client = self.browser.metadata();
        let (grant, now) = (grant.clone(), self.state.clock.now());
        with_database(self.state, move |state| {
            let started = state.sessions().create(NewSession {
                user: &grant.user,
                application: &grant.client,
                password: password_fingerprint(&user),
                client,
                signed_in: grant.signed_in,
                browser_session: Some(&grant.browser_session),
            })?;
            // Asked after the session is there, so that a sign-out at the same time ends it.
            let is_active = state
                .browser_sessions
                .is_active(&grant.browser_session, now)?
                && state.accounts().user_of(&started.session).is_some();
            if !is_active {
                state.sessions().end(&started.session.id)?;
            }
            Ok(is_active.then_some(started))
        })
        .await
    }

    fn tokens(&self, grant: &CodeGrant, started: SessionWithToken) -> ApiResult {
        let accounts = self.state.accounts();
        let session = started.session;
        let user = accounts.user_of(&session).ok_or(ApiError::Internal)?;
        let subject = TokenSubject {
            user,
            application: Some(&grant.client),
            session: Some(&session.id),
            signed_in: grant.signed_in,
            authentication: AuthenticationType::Password,
        };
        let now = self.state.clock.now();
        let access_token = accounts.issuer.issue(&subject, None, now)?;
        let id_token = id_token(&accounts.issuer, &access_token, grant.nonce.as_deref())?;
        let issued = IssuedTokens {
            session,
            refresh_token: started.refresh_token,
            access_token,
        };
        let mut body = token_members(self.state, &issued);
        body.insert("id_token".to_owned(), id_token.into());
        if !grant.offline_access {
            body.remove("refresh_token");
            body.remove("refresh_token_id");
        }
        let scope = if grant.offline_access {
            "openid profile email offline_access"
        } else {
            "openid profile email"
        };
        body.insert("scope".to_owned(), scope.into());
        Ok(json_response(StatusCode::OK, &body))
    }
}

/// The refresh token grant. A session of FusionAuth's API is refreshed by the `client_id` alone, as
/// there; one of a sign-in by redirect only by its client (RFC 6749, section 6).
async fn refresh_token_grant(
    state: &Arc<ServerState>,
    form: &FormParameters,
    credentials: Option<ClientCredentials>,
) -> ApiResult {
    state.statistics.refreshes.increment();
    let Some(presented) = form.get("refresh_token").map(ToOwned::to_owned) else {
        return Ok(oauth_error("invalid_request", "missing_refresh_token"));
    };
    let Some(credentials) = credentials else {
        return Ok(oauth_error("invalid_request", "missing_client_id"));
    };
    let settings = state.openid_settings();
    let authenticate = |settings: &Arc<OpenIdSettings>| credentials.authenticate(settings);
    let client = settings.as_ref().and_then(authenticate);
    let (token, now) = (presented.clone(), state.clock.now());
    let session = with_database(state, move |state| state.sessions().by_token(&token, now)).await?;
    let is_by_redirect = session
        .as_ref()
        .is_some_and(|session| session.browser_session.is_some());
    let is_known = settings
        .as_ref()
        .is_some_and(|settings| settings.client(&credentials.id).is_some());
    let is_wrong_secret = is_known && credentials.secret.is_some();
    if client.is_none() && (is_by_redirect || is_wrong_secret) {
        return Ok(invalid_client());
    }
    // The client is checked before the token is used: a client that presents the token of another
    // one must not end it.
    if session.is_some_and(|session| session.application != credentials.id) {
        return Ok(oauth_error("invalid_grant", "client_id_mismatch"));
    }
    let Some(issued) = exchange(state, presented, None).await? else {
        return Ok(oauth_error("invalid_grant", "refresh_token_not_found"));
    };
    let mut body = token_members(state, &issued);
    if is_by_redirect {
        let id_token = id_token(&state.issuer(), &issued.access_token, None)?;
        body.insert("id_token".to_owned(), id_token.into());
    }
    Ok(json_response(StatusCode::OK, &body))
}

/// The members that every answer with tokens has, with FusionAuth's.
fn token_members(state: &ServerState, issued: &IssuedTokens) -> Map<String, Value> {
    let now = state.clock.now();
    let members = json!({
        "access_token": issued.access_token.token,
        "expires_in": issued.access_token.claims.exp.saturating_sub(now.secs()),
        "token_type": "Bearer",
        "userId": issued.session.user,
        "refresh_token": issued.refresh_token.expose(),
        "refresh_token_id": issued.session.id,
    });
    match members {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
