//! OpenID Connect providers: discovery, the authorization code flow with PKCE, refresh, revocation
//! (RFC 7009) and RP-initiated logout, and the password grant where it is configured.
//!
//! What the answers of the token endpoint mean is read in `token_response`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;
use url::form_urlencoded::Serializer;

use super::http_client::{HttpClient, Purpose, Request, Response};
use super::{
    AuthorizationRequest, Capabilities, CodeExchange, EndSessionRequest, LoginAttempt,
    LoginSuccess, NewPasswordAttempt, Provider, ProviderError, RedirectSignIn, SecondFactorAttempt,
};
use crate::config::settings::{self, OidcClient};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::redirect_result::ProviderAddress;
use crate::model::secret::Secret;
use crate::model::site::SignIn;
use crate::model::token::TokenPair;
use crate::system::Clock;

mod address;
mod client_authentication;
mod discovery;
#[cfg(test)]
mod tests;
mod token_response;
use client_authentication::{ClientAuthentication, Proof};
use discovery::{Discovery, DiscoveryCache, EndpointRule};
use token_response::{Grant, TokenAnswer, read_tokens};

/// An OpenID Connect provider.
pub struct Oidc {
    issuer: String,
    client: OidcClient,
    authentication: ClientAuthentication,
    document: DocumentRequest,
    discovery: DiscoveryCache,
    timeout: Duration,
    http: Arc<HttpClient>,
    clock: Clock,
}

/// Where the discovery document is, and what it must say.
struct DocumentRequest {
    url: Url,
    endpoints: EndpointRule,
}

/// The address of the discovery document of the issuer at `url`, which ends in no slash.
#[must_use]
pub fn document_url(url: &str) -> String {
    format!("{url}/.well-known/openid-configuration")
}

/// What is sent to an endpoint of the provider.
struct Call<'a> {
    url: &'a Url,
    fields: Vec<(&'a str, &'a str)>,
    purpose: Purpose,
}

impl Oidc {
    /// The provider whose discovery document is at `document`, for this client of `settings`. Opens
    /// no connection.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] when `document` is no URL, or the client's secret or key
    /// cannot be used.
    pub fn new(
        document: &str,
        settings: &settings::Provider,
        client: &OidcClient,
        http: Arc<HttpClient>,
        clock: Clock,
    ) -> Result<Self, ProviderError> {
        let url = Url::parse(document).map_err(|_| misconfigured("the URL is not one"))?;
        Ok(Self {
            issuer: settings.issuer.clone(),
            authentication: ClientAuthentication::new(client)?,
            client: client.clone(),
            document: DocumentRequest {
                url,
                endpoints: EndpointRule::of(client),
            },
            discovery: DiscoveryCache::default(),
            timeout: settings.timeout,
            http,
            clock,
        })
    }

    /// What the provider has published: fetched where it is not known yet.
    async fn discovery(&self) -> Result<Arc<Discovery>, ProviderError> {
        self.discovery.get_or_fetch(|| self.fetch_discovery()).await
    }

    /// Fetches the discovery document again. The last good one stays where that fails.
    ///
    /// # Errors
    /// Where there is none at all.
    pub async fn reload_discovery(&self) -> Result<Arc<Discovery>, ProviderError> {
        self.discovery.reload(|| self.fetch_discovery()).await
    }

    async fn fetch_discovery(&self) -> Result<Discovery, ProviderError> {
        let body = self.fetch(&self.document.url).await?;
        Discovery::parse(&body, &self.issuer, self.document.endpoints)
    }

    /// `GET`s a document that is public.
    async fn fetch(&self, url: &Url) -> Result<Vec<u8>, ProviderError> {
        let request = Request {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
            body: Vec::new(),
            timeout: self.timeout,
            purpose: Purpose::Background,
        };
        let response = self.send(request).await?;
        match response.status.as_u16() {
            200 => Ok(response.body),
            status => Err(unexpected(status)),
        }
    }

    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        let sent = self.http.send(request).await;
        sent.map_err(|error| ProviderError::Unavailable(error.to_string()))
    }

    /// Posts a form to an endpoint that knows the client.
    async fn post(&self, discovery: &Discovery, call: Call<'_>) -> Result<Response, ProviderError> {
        let proof = self.authentication.prove(discovery, &self.clock)?;
        let body = form(&call.fields, &proof);
        let mut headers = HeaderMap::from_iter([
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            ),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        headers.extend(proof.authorization.map(|value| (AUTHORIZATION, value)));
        self.send(Request {
            method: Method::POST,
            url: call.url.clone(),
            headers,
            body,
            timeout: self.timeout,
            purpose: call.purpose,
        })
        .await
    }

    /// Asks the token endpoint.
    async fn tokens(
        &self,
        grant: Grant,
        fields: Vec<(&str, &str)>,
    ) -> Result<TokenAnswer, ProviderError> {
        let discovery = self.discovery().await?;
        let purpose = match grant {
            Grant::Code | Grant::Password => Purpose::Login,
            Grant::Refresh => Purpose::Background,
        };
        let call = Call {
            url: &discovery.token,
            fields,
            purpose,
        };
        let response = self.post(&discovery, call).await?;
        read_tokens(grant, &response, self.clock.now())
    }

    /// Whether the issuer that a response names is the right one (RFC 9207, section 2.4).
    fn is_own_response(&self, discovery: &Discovery, issuer: Option<&str>) -> bool {
        match issuer {
            Some(issuer) => issuer == self.issuer,
            None => !discovery.names_issuer_in_responses,
        }
    }
}

#[async_trait]
impl Provider for Oidc {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            password_login: self.client.sign_in == SignIn::Form,
            second_factor: false,
            change_password: false,
        }
    }

    fn redirect(&self) -> Option<&dyn RedirectSignIn> {
        (self.client.sign_in == SignIn::Redirect).then_some(self)
    }

    /// The resource owner password credentials grant (RFC 6749, section 4.3).
    async fn login(&self, attempt: LoginAttempt<'_>) -> Result<LoginSuccess, ProviderError> {
        let scope = self.client.scopes.join(" ");
        let fields = vec![
            ("grant_type", "password"),
            ("username", attempt.login_id),
            ("password", attempt.password.expose()),
            ("scope", scope.as_str()),
        ];
        let answer = self.tokens(Grant::Password, fields).await?;
        Ok(LoginSuccess {
            tokens: answer.into_pair(None),
            trust: None,
        })
    }

    async fn second_factor(
        &self,
        _: SecondFactorAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        Err(no_such_step())
    }

    async fn send_code(&self, _: &Secret, _: &Secret) -> Result<(), ProviderError> {
        Err(no_such_step())
    }

    async fn change_password(
        &self,
        _: NewPasswordAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        Err(no_such_step())
    }

    async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError> {
        let fields = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        let answer = self.tokens(Grant::Refresh, fields).await?;
        Ok(answer.into_pair(Some(refresh)))
    }

    /// RFC 7009. A provider without a revocation endpoint cannot be told.
    async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError> {
        let discovery = self.discovery().await?;
        let Some(url) = &discovery.revocation else {
            return Ok(());
        };
        let call = Call {
            url,
            fields: vec![
                ("token", refresh.expose()),
                ("token_type_hint", "refresh_token"),
            ],
            purpose: Purpose::Revocation,
        };
        let response = self.post(&discovery, call).await?;
        match response.status.as_u16() {
            200 | 204 => Ok(()),
            400 | 401 | 403 => Err(misconfigured(
                "the gateway's client is not allowed to revoke tokens",
            )),
            status => Err(unexpected(status)),
        }
    }

    async fn fetch_jwks(&self) -> Result<Vec<u8>, ProviderError> {
        let discovery = self.reload_discovery().await?;
        self.fetch(&discovery.jwks).await
    }
}

#[async_trait]
impl RedirectSignIn for Oidc {
    async fn authorization_address(
        &self,
        request: AuthorizationRequest<'_>,
    ) -> Result<ProviderAddress, ProviderError> {
        let discovery = self.discovery().await?;
        let endpoint = discovery.authorization.as_ref();
        let endpoint = endpoint
            .ok_or_else(|| misconfigured("the discovery document has no authorization_endpoint"))?;
        Ok(address::authorization(endpoint, &self.client, &request))
    }

    async fn redeem(&self, exchange: CodeExchange<'_>) -> Result<LoginSuccess, ProviderError> {
        let discovery = self.discovery().await?;
        if !self.is_own_response(&discovery, exchange.issuer) {
            tracing::warn!("a sign-in was answered by another issuer than the configured one");
            return Err(refused(Reason::SignInFailed));
        }
        let fields = vec![
            ("grant_type", "authorization_code"),
            ("code", exchange.code.expose()),
            ("redirect_uri", exchange.redirect_uri),
            ("code_verifier", exchange.verifier.expose()),
        ];
        let answer = self.tokens(Grant::Code, fields).await?;
        if answer.id_token.is_none() {
            return Err(misconfigured(
                "the provider issued no ID token: `scopes` needs \"openid\"",
            ));
        }
        Ok(LoginSuccess {
            tokens: answer.into_pair(None),
            trust: None,
        })
    }

    fn end_session_address(&self, request: EndSessionRequest<'_>) -> Option<ProviderAddress> {
        let discovery = self.discovery.current()?;
        let endpoint = discovery.end_session.as_ref()?;
        Some(address::end_session(endpoint, &self.client.id, request))
    }
}

/// The fields of a request and its proof as `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)], proof: &Proof) -> Vec<u8> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(fields);
    form.extend_pairs(
        proof
            .fields
            .iter()
            .map(|(name, value)| (*name, value.expose())),
    );
    form.finish().into_bytes()
}

/// The operator must change a setting, here or at the provider.
fn misconfigured(what: &str) -> ProviderError {
    ProviderError::Misconfigured(what.into())
}

/// The status is not documented for the request, or comes in another form than documented.
fn unexpected(status: u16) -> ProviderError {
    ProviderError::Unavailable(format!(
        "the status {status} is not documented in this form"
    ))
}

fn refused(reason: Reason) -> ProviderError {
    ProviderError::Refused(LoginRefused::new(reason))
}

/// [`Provider::capabilities`] rules the call out.
fn no_such_step() -> ProviderError {
    misconfigured("the provider has no such step")
}
