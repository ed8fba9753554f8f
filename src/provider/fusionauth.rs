//! FusionAuth's API, as its public documentation describes it.
//!
//! The gateway's whole knowledge of FusionAuth's statuses is here and in `statuses`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http_client::{Call, HttpClient, Purpose, Response};
use super::{
    Capabilities, LoginSuccess, NewPasswordAttempt, Provider, ProviderError, SecondFactorAttempt,
    SignInAttempt,
};
use crate::config::settings;
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::token::TokenPair;

mod awaited;
mod device;
mod password_faults;
mod sign_in;
mod statuses;
#[cfg(test)]
mod tests;

use sign_in::{
    ChangePasswordRequest, LoginRequest, SendRequest, TwoFactorRequest, admitted,
    one_time_password, succeeded,
};
use statuses::{AccountState, Step};

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
    two_factor_login: Url,
    two_factor_send: Url,
    change_password: Url,
    refresh: Url,
    logout: Url,
    keys: Url,
    /// Of every call. Only a sign-in needs the key, and a key that is not sent cannot leak.
    headers: HeaderMap,
    api_key: Option<HeaderValue>,
    timeout: Duration,
    account_state: AccountState,
    outbound: Arc<HttpClient>,
}

impl Fusionauth {
    /// The server at `endpoint`, with the time-out and the manners of `settings`. Opens nothing.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] when the URL is none, or the key or the tenant cannot stand
    /// in a header.
    pub fn new(
        endpoint: &Endpoint,
        settings: &settings::Provider,
        outbound: Arc<HttpClient>,
    ) -> Result<Self, ProviderError> {
        let at = |path: &str| {
            Url::parse(&format!("{}{path}", endpoint.url))
                .map_err(|_| misconfigured("the URL is not one"))
        };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        if let Some(tenant) = &endpoint.tenant_id {
            headers.insert(
                HeaderName::from_static("x-fusionauth-tenantid"),
                HeaderValue::from_str(tenant)
                    .map_err(|_| misconfigured("the tenant id cannot stand in a header"))?,
            );
        }
        let api_key = endpoint.api_key.as_ref().map(sensitive).transpose()?;
        Ok(Self {
            login: at("/api/login")?,
            two_factor_login: at("/api/two-factor/login")?,
            two_factor_send: at("/api/two-factor/send")?,
            change_password: at("/api/user/change-password")?,
            refresh: at("/api/jwt/refresh")?,
            logout: at("/api/logout")?,
            keys: at("/.well-known/jwks.json")?,
            headers,
            api_key,
            timeout: settings.timeout,
            account_state: if settings.reveal_account_state {
                AccountState::Revealed
            } else {
                AccountState::Hidden
            },
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
            purpose: Purpose::Background,
        }
    }

    /// A call of a sign-in.
    fn step(&self, url: &Url, body: &impl Serialize) -> Result<Call, ProviderError> {
        Ok(Call {
            purpose: Purpose::SignIn,
            ..self.call(url, json(body)?)
        })
    }

    /// `POST /api/login`, the one call that needs the key.
    async fn log_in(
        &self,
        request: &LoginRequest<'_>,
        step: Step,
    ) -> Result<LoginSuccess, ProviderError> {
        let mut call = self.step(&self.login, request)?;
        if let Some(key) = &self.api_key {
            call.headers.insert(AUTHORIZATION, key.clone());
        }
        admitted(step, &self.make(call).await?, self.account_state)
    }

    async fn make(&self, call: Call) -> Result<Response, ProviderError> {
        self.outbound
            .make(call)
            .await
            .map_err(|error| ProviderError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Provider for Fusionauth {
    fn abilities(&self) -> Capabilities {
        Capabilities {
            form_sign_in: true,
            second_factor: true,
            change_password: true,
        }
    }

    async fn sign_in(&self, attempt: SignInAttempt<'_>) -> Result<LoginSuccess, ProviderError> {
        self.log_in(&LoginRequest::with_password(attempt), Step::Password)
            .await
    }

    async fn second_factor(
        &self,
        attempt: SecondFactorAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let call = self.step(&self.two_factor_login, &TwoFactorRequest::new(attempt))?;
        admitted(
            Step::SecondFactor,
            &self.make(call).await?,
            self.account_state,
        )
    }

    async fn send_code(&self, id: &Secret, method: &Secret) -> Result<(), ProviderError> {
        let url = beneath(&self.two_factor_send, id)?;
        let call = self.step(
            &url,
            &SendRequest {
                method_id: method.expose(),
            },
        )?;
        let received = self.make(call).await?;
        match received.status.as_u16() {
            // Without a code nobody is let in, so any documented yes will do.
            200 | 202 | 204 => Ok(()),
            400 => Err(ProviderError::Refused(LoginRefused::because(
                Reason::RejectedInput,
            ))),
            401 => Err(misconfigured("the gateway may not have codes sent")),
            404 => Err(ProviderError::Refused(LoginRefused::because(
                Reason::ChallengeExpired,
            ))),
            status => Err(unexpected(status)),
        }
    }

    async fn change_password(
        &self,
        attempt: NewPasswordAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let request = ChangePasswordRequest {
            change_password_id: attempt.id.expose(),
            password: attempt.password.expose(),
        };
        let received = self
            .make(self.step(&self.change_password, &request)?)
            .await?;
        succeeded(Step::NewPassword, &received, self.account_state)?;
        let once = one_time_password(&received)?;
        self.log_in(
            &LoginRequest::with_one_time_password(attempt, &once),
            Step::OneTimePassword,
        )
        .await
    }

    async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError> {
        let body = json(&RefreshRequest {
            refresh_token: refresh.expose(),
        })?;
        let received = self.make(self.call(&self.refresh, body)).await?;
        match received.status.as_u16() {
            200 => read_tokens(&received)?.pair(Some(refresh)),
            // The one 400 that says nothing about the token.
            400 if complains_of_lifetime(&received.body) => Err(misconfigured(
                "a renewal is refused for its timeToLiveInSeconds",
            )),
            // The documentation has 404, the server 400 for a token that has ended.
            400 | 401 | 404 => Err(ProviderError::Refused(LoginRefused::because(
                Reason::SignedOut,
            ))),
            status => Err(unexpected(status)),
        }
    }

    /// By the logout call: it needs no key, ends this one token and no other, answers alike when
    /// there is nothing to end, and carries the token in its body. `DELETE /api/jwt/refresh` needs
    /// a key or the JWT, and takes the token in its address, where logs keep it.
    async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError> {
        let body = json(&LogoutRequest {
            global: false,
            refresh_token: refresh.expose(),
        })?;
        let received = self.make(self.call(&self.logout, body)).await?;
        match received.status.as_u16() {
            200 | 204 => Ok(()),
            401 | 403 => Err(misconfigured("the gateway may not sign anybody out")),
            status => Err(unexpected(status)),
        }
    }

    async fn published_keys(&self) -> Result<Vec<u8>, ProviderError> {
        let received = self
            .make(Call {
                method: Method::GET,
                ..self.call(&self.keys, Vec::new())
            })
            .await?;
        match received.status.as_u16() {
            200 => Ok(received.body),
            status => Err(unexpected(status)),
        }
    }
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
    two_factor_trust_id: Option<String>,
}

impl Tokens {
    fn pair(self, old: Option<&Secret>) -> Result<TokenPair, ProviderError> {
        let access = self
            .token
            .and_then(non_empty)
            .ok_or_else(|| misconfigured("a success without a token"))?;
        let new = self.refresh_token.and_then(non_empty);
        Ok(TokenPair {
            access,
            refresh: new.or_else(|| old.cloned()),
        })
    }
}

fn read_tokens(received: &Response) -> Result<Tokens, ProviderError> {
    // The error of the parser quotes what it read.
    serde_json::from_slice(&received.body).map_err(|_| unreadable())
}

fn non_empty(text: String) -> Option<Secret> {
    (!text.is_empty()).then(|| Secret::new(text))
}

/// `url` with one more segment, which stays one whatever stands in it.
fn beneath(url: &Url, segment: &Secret) -> Result<Url, ProviderError> {
    let mut url = url.clone();
    // A segment of dots would lead to another call.
    let name = Some(segment.expose()).filter(|name| !matches!(*name, "" | "." | ".."));
    match (name, url.path_segments_mut()) {
        (Some(name), Ok(mut segments)) => {
            segments.push(name);
        }
        (None, _) | (_, Err(())) => return Err(misconfigured("the id cannot stand in an address")),
    }
    Ok(url)
}

fn complains_of_lifetime(body: &[u8]) -> bool {
    fn mentions(value: &Value) -> bool {
        const FIELD: &str = "timeToLiveInSeconds";
        match value {
            Value::String(text) => text.contains(FIELD),
            Value::Array(values) => values.iter().any(mentions),
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| name.contains(FIELD) || mentions(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    ["fieldErrors", "generalErrors"]
        .iter()
        .filter_map(|name| body.get(name))
        .any(mentions)
}

fn sensitive(key: &Secret) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::from_str(key.expose())
        .map_err(|_| misconfigured("the API key cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, ProviderError> {
    serde_json::to_vec(body).map_err(|_| misconfigured("the call cannot be written as JSON"))
}

fn misconfigured(what: &str) -> ProviderError {
    ProviderError::Misconfigured(what.into())
}

fn unreadable() -> ProviderError {
    ProviderError::Unavailable("the answer is not the JSON it should be".into())
}

fn unexpected(status: u16) -> ProviderError {
    ProviderError::Unavailable(format!("it answered {status}"))
}
