//! FusionAuth's API, as its public documentation describes it.
//!
//! What a response means is read in one place for each call: `login_status` for the steps of a
//! login, this file for the other calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::http_client::{HttpClient, Purpose, Request, Response};
use super::oidc::{self, Oidc};
use super::{
    Capabilities, LoginAttempt, LoginSuccess, NewPasswordAttempt, Provider, ProviderError,
    RedirectSignIn, SecondFactorAttempt,
};
use crate::config::settings;
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::token::TokenPair;
use crate::system::Clock;

mod device_info;
pub mod inspection;
mod login;
mod login_status;
mod password_errors;
mod pending_step;
mod response_body;
#[cfg(test)]
mod tests;

use login::{ChangePasswordRequest, LoginRequest, SendRequest, TwoFactorRequest};
use login_status::{Disclosure, Step};
use response_body::{FieldErrors, is_json_object, misconfigured, unexpected};

/// The address of a server and the credentials for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base URL without a trailing slash.
    pub url: String,
    /// The API key; `None` where no application requires one.
    pub api_key: Option<Secret>,
    /// The tenant, where the server has several.
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
    jwks: Url,
    /// The headers of every request. The API key is not among them: only a login needs it, and a
    /// key that is not sent cannot leak.
    headers: HeaderMap,
    api_key: Option<HeaderValue>,
    timeout: Duration,
    disclosure: Disclosure,
    http: Arc<HttpClient>,
    /// The OpenID Connect endpoints, where users sign in by redirect.
    redirect: Option<Oidc>,
}

impl Fusionauth {
    /// The server at `endpoint`, with the timeout and the disclosure of account states that
    /// `settings` name. Opens no connection.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] when the URL is not one, or the API key or the tenant id
    /// cannot be sent in a header.
    pub fn new(
        endpoint: &Endpoint,
        settings: &settings::Provider,
        http: Arc<HttpClient>,
        clock: &Clock,
    ) -> Result<Self, ProviderError> {
        let url = |path: &str| {
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
                    .map_err(|_| misconfigured("the tenant id cannot be sent in a header"))?,
            );
        }
        let api_key = endpoint.api_key.as_ref().map(sensitive).transpose()?;
        let redirect = settings.client.as_ref().map(|client| {
            let document = document_url(endpoint);
            Oidc::new(
                &document,
                settings,
                client,
                Arc::clone(&http),
                clock.clone(),
            )
        });
        Ok(Self {
            login: url("/api/login")?,
            two_factor_login: url("/api/two-factor/login")?,
            two_factor_send: url("/api/two-factor/send")?,
            change_password: url("/api/user/change-password")?,
            refresh: url("/api/jwt/refresh")?,
            logout: url("/api/logout")?,
            jwks: url("/.well-known/jwks.json")?,
            headers,
            api_key,
            timeout: settings.timeout,
            disclosure: if settings.reveal_account_state {
                Disclosure::Revealed
            } else {
                Disclosure::Hidden
            },
            http,
            redirect: redirect.transpose()?,
        })
    }

    /// A `POST` without the API key that is not a step of a login, as most requests are.
    fn request(&self, url: &Url, body: Vec<u8>) -> Request {
        Request {
            method: Method::POST,
            url: url.clone(),
            headers: self.headers.clone(),
            body,
            timeout: self.timeout,
            purpose: Purpose::Background,
        }
    }

    /// A step of a login.
    fn login_request(&self, url: &Url, body: &impl Serialize) -> Result<Request, ProviderError> {
        Ok(Request {
            purpose: Purpose::Login,
            ..self.request(url, to_json(body)?)
        })
    }

    /// `POST /api/login`, the only request that needs the API key.
    async fn send_login(
        &self,
        body: &LoginRequest<'_>,
        step: Step,
    ) -> Result<LoginSuccess, ProviderError> {
        let mut request = self.login_request(&self.login, body)?;
        if let Some(key) = &self.api_key {
            request.headers.insert(AUTHORIZATION, key.clone());
        }
        login::read_success(step, &self.send(request).await?, self.disclosure)
    }

    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        self.http
            .send(request)
            .await
            .map_err(|error| ProviderError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Provider for Fusionauth {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            password_login: true,
            second_factor: true,
            change_password: true,
        }
    }

    fn redirect(&self) -> Option<&dyn RedirectSignIn> {
        self.redirect.as_ref()?.redirect()
    }

    async fn login(&self, attempt: LoginAttempt<'_>) -> Result<LoginSuccess, ProviderError> {
        self.send_login(&LoginRequest::with_password(attempt), Step::Password)
            .await
    }

    async fn second_factor(
        &self,
        attempt: SecondFactorAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let body = TwoFactorRequest::new(attempt);
        let request = self.login_request(&self.two_factor_login, &body)?;
        let response = self.send(request).await?;
        login::read_success(Step::SecondFactor, &response, self.disclosure)
    }

    async fn send_code(&self, id: &Secret, method: &Secret) -> Result<(), ProviderError> {
        let url = with_segment(&self.two_factor_send, id)?;
        let body = SendRequest {
            method_id: method.expose(),
        };
        let response = self.send(self.login_request(&url, &body)?).await?;
        match response.status.as_u16() {
            // Any documented success will do: without a code nobody is signed in.
            200 | 202 | 204 => Ok(()),
            400 if FieldErrors::read(&response.body).is_some() => {
                Err(refused(Reason::RejectedInput))
            }
            401 => Err(misconfigured(
                "the gateway is not allowed to have codes sent",
            )),
            404 if response.body.is_empty() => Err(refused(Reason::ChallengeExpired)),
            status => Err(unexpected(status)),
        }
    }

    async fn change_password(
        &self,
        attempt: NewPasswordAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let body = ChangePasswordRequest {
            change_password_id: attempt.id.expose(),
            password: attempt.password.expose(),
        };
        let request = self.login_request(&self.change_password, &body)?;
        let response = self.send(request).await?;
        login::check_status(Step::NewPassword, &response, self.disclosure)?;
        let one_time_password = login::read_one_time_password(&response)?;
        self.send_login(
            &LoginRequest::with_one_time_password(attempt, &one_time_password),
            Step::OneTimePassword,
        )
        .await
    }

    async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError> {
        if let Some(redirect) = &self.redirect {
            // Tokens of the authorization code belong to the client.
            return redirect.refresh(refresh).await;
        }
        let body = to_json(&RefreshRequest {
            refresh_token: refresh.expose(),
        })?;
        let response = self.send(self.request(&self.refresh, body)).await?;
        match response.status.as_u16() {
            200 => response_body::read_tokens(&response)?.into_pair(Some(refresh)),
            // A token that has ended: 404 without a body in the documentation, and 400 from the
            // server. The error page of a proxy or of another server is neither.
            404 if response.body.is_empty() => Err(refresh_refused(404, "unknown token")),
            400 => Err(match FieldErrors::read(&response.body) {
                Some(errors) if errors.names_only("refreshToken") => {
                    refresh_refused(400, "invalid refreshToken")
                }
                Some(_) => misconfigured("a refresh is refused for another field than the token"),
                None => unexpected(400),
            }),
            401 => Err(misconfigured("the gateway is not allowed to refresh")),
            status => Err(unexpected(status)),
        }
    }

    /// Calls `POST /api/logout`: it needs no API key, ends this one token and no other, responds
    /// alike when there is nothing to end, and carries the token in its body. `DELETE
    /// /api/jwt/refresh` needs an API key or the JWT, and has the token in its address, which
    /// servers log.
    async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError> {
        let body = to_json(&LogoutRequest {
            global: false,
            refresh_token: refresh.expose(),
        })?;
        let request = Request {
            purpose: Purpose::Revocation,
            ..self.request(&self.logout, body)
        };
        let response = self.send(request).await?;
        match response.status.as_u16() {
            // The response has no body. A page with this status was sent by something else.
            200 | 204 if response.body.is_empty() || is_json_object(&response.body) => Ok(()),
            401 | 403 => Err(misconfigured("the gateway is not allowed to revoke tokens")),
            status => Err(unexpected(status)),
        }
    }

    /// FusionAuth refreshes the tokens of a user who is not registered any more, and leaves out
    /// `applicationId` and `roles`.
    fn confirms_registration(&self, claims: &Map<String, Value>, application_id: &str) -> bool {
        let named = claims.get("applicationId").and_then(Value::as_str);
        named == Some(application_id)
    }

    async fn fetch_jwks(&self) -> Result<Vec<u8>, ProviderError> {
        if let Some(redirect) = &self.redirect {
            redirect.reload_discovery().await?;
        }
        let response = self
            .send(Request {
                method: Method::GET,
                ..self.request(&self.jwks, Vec::new())
            })
            .await?;
        match response.status.as_u16() {
            200 => Ok(response.body),
            status => Err(unexpected(status)),
        }
    }
}

/// The address of the discovery document: that of the tenant, where there are several.
fn document_url(endpoint: &Endpoint) -> String {
    let document = oidc::document_url(&endpoint.url);
    match &endpoint.tenant_id {
        Some(tenant) => format!("{document}/{tenant}"),
        None => document,
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
    /// `true` would end every session of the user.
    global: bool,
    refresh_token: &'a str,
}

/// `url` with one more path segment, which is escaped so that it stays one.
fn with_segment(url: &Url, segment: &Secret) -> Result<Url, ProviderError> {
    let mut url = url.clone();
    // Dots would lead to another address.
    let name = Some(segment.expose()).filter(|name| !matches!(*name, "" | "." | ".."));
    match (name, url.path_segments_mut()) {
        (Some(name), Ok(mut segments)) => {
            segments.push(name);
        }
        (None, _) | (_, Err(())) => {
            return Err(misconfigured("the id cannot be part of an address"));
        }
    }
    Ok(url)
}

/// The API key as a header value that HTTP/2 does not index and `Debug` does not show.
fn sensitive(key: &Secret) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::from_str(key.expose())
        .map_err(|_| misconfigured("the API key cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn to_json(body: &impl Serialize) -> Result<Vec<u8>, ProviderError> {
    serde_json::to_vec(body).map_err(|_| misconfigured("the call cannot be written as JSON"))
}

/// The refresh token has ended. `error` is what the response of this status means.
fn refresh_refused(status: u16, error: &'static str) -> ProviderError {
    ProviderError::Refused(LoginRefused {
        provider_status: Some(status),
        provider_error: Some(error),
        ..LoginRefused::new(Reason::SignedOut)
    })
}

fn refused(reason: Reason) -> ProviderError {
    ProviderError::Refused(LoginRefused::new(reason))
}
