//! FusionAuth's API, as its public documentation describes it.
//!
//! The gateway's whole knowledge of the statuses is here, and the rule above all others is that only `200` is a
//! sign-in: FusionAuth says "right password, but …" with other codes from 202 to 242.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outbound::{Call, Outbound, Purpose, Received};
use super::{Abilities, Provider, ProviderError, SignInAttempt};
use crate::config::settings;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::sign_in::SignInRefused;
use crate::model::token::TokenPair;

/// Where the server is, and as whom it is spoken to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base URL without a trailing slash.
    pub url: String,
    /// The API key; none where the applications do not ask for one.
    pub api_key: Option<Secret>,
    /// Where the server has several tenants.
    pub tenant_id: Option<String>,
}

/// A FusionAuth server.
pub struct Fusionauth {
    login: Url,
    refresh: Url,
    logout: Url,
    keys: Url,
    /// Of every call. Only a sign-in needs the key, and a key that is not sent cannot leak.
    headers: HeaderMap,
    api_key: Option<HeaderValue>,
    timeout: Duration,
    reveal_account_state: bool,
    outbound: Arc<Outbound>,
}

impl Fusionauth {
    /// The server at `endpoint`, with the time-out and the manners of `settings`. Opens nothing.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] when the URL is none, or the key or the tenant cannot stand in a header.
    pub fn new(
        endpoint: &Endpoint,
        settings: &settings::Provider,
        outbound: Arc<Outbound>,
    ) -> Result<Self, ProviderError> {
        let at = |path: &str| {
            Url::parse(&format!("{}{path}", endpoint.url)).map_err(|_| misconfigured("the URL is not one"))
        };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        if let Some(tenant) = &endpoint.tenant_id {
            headers.insert(
                HeaderName::from_static("x-fusionauth-tenantid"),
                HeaderValue::from_str(tenant).map_err(|_| misconfigured("the tenant id cannot stand in a header"))?,
            );
        }
        let api_key = endpoint.api_key.as_ref().map(sensitive).transpose()?;
        Ok(Self {
            login: at("/api/login")?,
            refresh: at("/api/jwt/refresh")?,
            logout: at("/api/logout")?,
            keys: at("/.well-known/jwks.json")?,
            headers,
            api_key,
            timeout: settings.timeout,
            reveal_account_state: settings.reveal_account_state,
            outbound,
        })
    }

    /// A call as most of them are: `POST`, without the key, and not a sign-in.
    fn call(&self, url: &Url, body: Vec<u8>) -> Call {
        Call {
            method: Method::POST,
            url: url.clone(),
            headers: self.headers.clone(),
            body,
            timeout: self.timeout,
            purpose: Purpose::Upkeep,
        }
    }

    async fn make(&self, call: Call) -> Result<Received, ProviderError> {
        self.outbound.make(call).await.map_err(|error| ProviderError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Provider for Fusionauth {
    fn abilities(&self) -> Abilities {
        Abilities { form_sign_in: true }
    }

    async fn sign_in(&self, attempt: SignInAttempt<'_>) -> Result<TokenPair, ProviderError> {
        let body = json(&LoginRequest {
            login_id: attempt.login_id,
            password: attempt.password.expose(),
            application_id: attempt.application_id,
            ip_address: attempt.client_address.to_canonical().to_string(),
        })?;
        let mut call = Call { purpose: Purpose::SignIn, ..self.call(&self.login, body) };
        if let Some(key) = &self.api_key {
            call.headers.insert(AUTHORIZATION, key.clone());
        }
        let received = self.make(call).await?;
        match received.status.as_u16() {
            200 => read_tokens(&received)?.pair(None),
            203 => Err(ProviderError::Refused(SignInRefused {
                change_reason: change_reason(&received.body),
                ..SignInRefused::because(Reason::PasswordChangeRequired)
            })),
            401 => Err(misconfigured("the API key is not accepted")),
            status => match sign_in_reason(status, self.reveal_account_state) {
                Some(reason) => Err(ProviderError::Refused(SignInRefused::because(reason))),
                None => Err(unexpected(status)),
            },
        }
    }

    async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError> {
        let body = json(&RefreshRequest { refresh_token: refresh.expose() })?;
        let received = self.make(self.call(&self.refresh, body)).await?;
        match received.status.as_u16() {
            200 => read_tokens(&received)?.pair(Some(refresh)),
            // The one 400 that says nothing about the token.
            400 if complains_of_lifetime(&received.body) => {
                Err(misconfigured("a renewal is refused for its timeToLiveInSeconds"))
            }
            // The documentation has 404, the server 400 for a token that has ended.
            400 | 401 | 404 => Err(ProviderError::Refused(SignInRefused::because(Reason::SignedOut))),
            status => Err(unexpected(status)),
        }
    }

    /// By the logout call: it needs no key, ends this one token and no other, answers alike when there is nothing
    /// to end, and carries the token in its body. `DELETE /api/jwt/refresh` needs a key or the JWT, and takes the
    /// token in its address, where logs keep it.
    async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError> {
        let body = json(&LogoutRequest { global: false, refresh_token: refresh.expose() })?;
        let received = self.make(self.call(&self.logout, body)).await?;
        match received.status.as_u16() {
            200 | 204 => Ok(()),
            401 | 403 => Err(misconfigured("the gateway may not sign anybody out")),
            status => Err(unexpected(status)),
        }
    }

    async fn published_keys(&self) -> Result<Vec<u8>, ProviderError> {
        let received = self.make(Call { method: Method::GET, ..self.call(&self.keys, Vec::new()) }).await?;
        match received.status.as_u16() {
            200 => Ok(received.body),
            status => Err(unexpected(status)),
        }
    }
}

/// The contract's section 4, less what carries more than a reason.
fn sign_in_reason(status: u16, reveal_account_state: bool) -> Option<Reason> {
    Some(match (status, reveal_account_state) {
        (202, _) => Reason::NotRegistered,
        (212, _) => Reason::EmailUnverified,
        (213, _) => Reason::RegistrationUnverified,
        (242, _) => Reason::TwoFactorRequired,
        (400, _) => Reason::RejectedInput,
        (404, _) | (410 | 423, false) => Reason::InvalidCredentials,
        (409, _) => Reason::LoginPrevented,
        (410, true) => Reason::AccountExpired,
        (423, true) => Reason::AccountLocked,
        _ => return None,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginRequest<'a> {
    login_id: &'a str,
    password: &'a str,
    application_id: &'a str,
    ip_address: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest<'a> {
    refresh_token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogoutRequest<'a> {
    /// `true` would end every session of the person.
    global: bool,
    refresh_token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    token: Option<String>,
    refresh_token: Option<String>,
}

impl Tokens {
    fn pair(self, old: Option<&Secret>) -> Result<TokenPair, ProviderError> {
        let access = self.token.filter(|token| !token.is_empty());
        let access = access.ok_or_else(|| misconfigured("a success without a token"))?;
        let new = self.refresh_token.filter(|token| !token.is_empty()).map(Secret::new);
        Ok(TokenPair { access: Secret::new(access), refresh: new.or_else(|| old.cloned()) })
    }
}

fn read_tokens(received: &Received) -> Result<Tokens, ProviderError> {
    // The error of the parser quotes what it read.
    serde_json::from_slice(&received.body)
        .map_err(|_| ProviderError::Unavailable("the answer is not the JSON it should be".into()))
}

/// FusionAuth's word for why (`Administrative`, `Breached`, `Expired`, `Validation`), if it is a word.
fn change_reason(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let word = body.get("changePasswordReason")?.as_str()?;
    let is_word = (1..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| word.to_owned())
}

fn complains_of_lifetime(body: &[u8]) -> bool {
    fn mentions(value: &Value) -> bool {
        const FIELD: &str = "timeToLiveInSeconds";
        match value {
            Value::String(text) => text.contains(FIELD),
            Value::Array(values) => values.iter().any(mentions),
            Value::Object(members) => members.iter().any(|(name, value)| name.contains(FIELD) || mentions(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    ["fieldErrors", "generalErrors"].iter().filter_map(|name| body.get(name)).any(mentions)
}

fn sensitive(key: &Secret) -> Result<HeaderValue, ProviderError> {
    let mut value =
        HeaderValue::from_str(key.expose()).map_err(|_| misconfigured("the API key cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, ProviderError> {
    serde_json::to_vec(body).map_err(|_| misconfigured("the call cannot be written as JSON"))
}

fn misconfigured(what: &str) -> ProviderError {
    ProviderError::Misconfigured(what.into())
}

fn unexpected(status: u16) -> ProviderError {
    ProviderError::Unavailable(format!("it answered {status}"))
}

#[cfg(test)]
mod tests;
