//! What FusionAuth says of itself: its clock, the issuer, the API key, the application, webhooks and
//! e-mail templates. `vestibule doctor` asks for it; no request of a user does.
//!
//! Except for the keys and the API key, an answer needs permissions that the gateway's API key need
//! not have.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::Endpoint;
use super::response_body::FieldErrors;
use crate::provider::http_client::{HttpClient, HttpError, Purpose, Request, Response};

/// Asks a server about itself.
pub struct Inspector {
    endpoint: Endpoint,
    timeout: Duration,
    http: Arc<HttpClient>,
}

/// What a server said to a question about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The answer.
    Found(T),
    /// There is no such thing: `404`.
    Missing,
    /// The API key may not ask: `401` or `403`.
    NotPermitted,
    /// There is no usable answer, and why.
    Failed(String),
}

/// The published keys, and the time at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKeys {
    /// The JWKS document.
    pub document: Vec<u8>,
    /// The `Date` field of the response.
    pub date: Option<String>,
}

/// What the server makes of the API key in a login without a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKey {
    /// It may log in.
    Accepted,
    /// It is wrong, or may not log in.
    Refused,
    /// It may log in, and there is no such application.
    UnknownApplication,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Whether users can log in to it.
    #[serde(default = "yes")]
    pub active: bool,
    /// Its tenant.
    pub tenant_id: Option<String>,
    /// What a login gives.
    #[serde(default)]
    pub login_configuration: LoginConfiguration,
    /// Its JWTs.
    #[serde(default)]
    pub jwt_configuration: JwtConfiguration,
    /// Its e-mail templates.
    #[serde(default)]
    pub email_configuration: EmailConfiguration,
}

/// What a login gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginConfiguration {
    /// Whether it gives a refresh token.
    pub generate_refresh_tokens: Option<bool>,
    /// Whether a refresh token gives a new JWT.
    pub allow_token_refresh: Option<bool>,
}

/// The JWTs of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JwtConfiguration {
    /// Whether it has settings of its own. Those of the tenant apply otherwise.
    pub enabled: Option<bool>,
    /// How long they live, in seconds.
    pub time_to_live_in_seconds: Option<u64>,
}

/// The e-mail templates of an application or a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailConfiguration {
    /// The e-mail to somebody who forgot the password.
    pub forgot_password_email_template_id: Option<String>,
    /// The e-mail to somebody who has no password yet.
    pub set_password_email_template_id: Option<String>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its e-mail templates.
    #[serde(default)]
    pub email_configuration: EmailConfiguration,
    /// The events that it sends at all.
    #[serde(default)]
    pub event_configuration: EventConfiguration,
}

/// The events that a tenant sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventConfiguration {
    /// By name; each an object with `enabled`.
    #[serde(default)]
    pub events: Map<String, Value>,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where events are sent.
    pub url: String,
    /// By name: whether the event is sent.
    #[serde(default)]
    pub events_enabled: Map<String, Value>,
}

/// An e-mail template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailTemplate {
    /// How operators call it.
    #[serde(default)]
    pub name: String,
    /// The HTML of the e-mail.
    #[serde(default)]
    pub default_html_template: String,
    /// The text of the e-mail.
    #[serde(default)]
    pub default_text_template: String,
}

const fn yes() -> bool {
    true
}

impl Inspector {
    /// Asks the server at `endpoint`, each question within `timeout`. Opens no connection.
    #[must_use]
    pub const fn new(endpoint: Endpoint, timeout: Duration, http: Arc<HttpClient>) -> Self {
        Self {
            endpoint,
            timeout,
            http,
        }
    }

    /// The published keys.
    ///
    /// # Errors
    /// Why there are none, for an operator.
    pub async fn keys(&self) -> Result<PublishedKeys, String> {
        let response = self.ask("/.well-known/jwks.json", None).await;
        let response = response.map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(format!("it answers {}", response.status.as_u16()));
        }
        let date = response.headers.get(DATE);
        let date = date.and_then(|date| date.to_str().ok());
        Ok(PublishedKeys {
            date: date.map(str::to_owned),
            document: response.body,
        })
    }

    /// The issuer of the tenant's tokens.
    pub async fn issuer(&self) -> Answer<String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
        }
        let tenant = self.endpoint.tenant_id.as_ref();
        let tenant = tenant.map_or_else(String::new, |tenant| format!("/{tenant}"));
        let path = format!("/.well-known/openid-configuration{tenant}");
        let answer: Answer<Discovery> = read(self.ask(&path, None).await);
        answer.map(|discovery| discovery.issuer)
    }

    /// What the API key is good for. A login without a name is refused before any account is
    /// looked at, so it counts as no attempt.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn login_key(&self, application_id: &str) -> Result<LoginKey, String> {
        let body = json!({ "applicationId": application_id }).to_string();
        let response = self.ask("/api/login", Some(body.into_bytes())).await;
        let response = response.map_err(|error| error.to_string())?;
        match response.status.as_u16() {
            401 | 403 => Ok(LoginKey::Refused),
            400 => {
                let errors = FieldErrors::read(&response.body);
                let unknown = errors.is_some_and(|errors| errors.names("applicationId"));
                Ok(if unknown {
                    LoginKey::UnknownApplication
                } else {
                    LoginKey::Accepted
                })
            }
            404 => Ok(LoginKey::Accepted),
            status => Err(format!("it answers {status}")),
        }
    }

    /// An application.
    pub async fn application(&self, id: &str) -> Answer<Application> {
        #[derive(Deserialize)]
        struct Body {
            application: Application,
        }
        let answer: Answer<Body> = self.get(&["api", "application", id]).await;
        answer.map(|body| body.application)
    }

    /// A tenant.
    pub async fn tenant(&self, id: &str) -> Answer<Tenant> {
        #[derive(Deserialize)]
        struct Body {
            tenant: Tenant,
        }
        let answer: Answer<Body> = self.get(&["api", "tenant", id]).await;
        answer.map(|body| body.tenant)
    }

    /// All webhooks.
    pub async fn webhooks(&self) -> Answer<Vec<Webhook>> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            webhooks: Vec<Webhook>,
        }
        let answer: Answer<Body> = self.get(&["api", "webhook"]).await;
        answer.map(|body| body.webhooks)
    }

    /// An e-mail template.
    pub async fn email_template(&self, id: &str) -> Answer<EmailTemplate> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            email_template: EmailTemplate,
        }
        let answer: Answer<Body> = self.get(&["api", "email", "template", id]).await;
        answer.map(|body| body.email_template)
    }

    async fn get<T: for<'a> Deserialize<'a>>(&self, segments: &[&str]) -> Answer<T> {
        let mut url = match Url::parse(&self.endpoint.url) {
            Ok(url) => url,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        read(
            self.send(Method::GET, url, Vec::new(), api_key_field(&self.endpoint))
                .await,
        )
    }

    /// A question without the API key, or with a body and the API key.
    async fn ask(&self, path: &str, body: Option<Vec<u8>>) -> Result<Response, HttpError> {
        let url = Url::parse(&format!("{}{path}", self.endpoint.url))
            .map_err(|error| HttpError(error.to_string()))?;
        match body {
            None => self.send(Method::GET, url, Vec::new(), None).await,
            Some(body) => {
                let key = api_key_field(&self.endpoint);
                self.send(Method::POST, url, body, key).await
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Vec<u8>,
        key: Option<HeaderValue>,
    ) -> Result<Response, HttpError> {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(ACCEPT, json.clone());
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, json);
        }
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, key);
        }
        let tenant = self.endpoint.tenant_id.as_deref();
        if let Some(Ok(tenant)) = tenant.map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static("x-fusionauth-tenantid"), tenant);
        }
        let request = Request {
            method,
            url,
            headers,
            body,
            timeout: self.timeout,
            purpose: Purpose::Background,
        };
        self.http.send(request).await
    }
}

/// The API key as the value of `Authorization`.
fn api_key_field(endpoint: &Endpoint) -> Option<HeaderValue> {
    let key = endpoint.api_key.as_ref()?;
    let mut value = HeaderValue::from_str(key.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl<T> Answer<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Found(value) => Answer::Found(change(value)),
            Self::Missing => Answer::Missing,
            Self::NotPermitted => Answer::NotPermitted,
            Self::Failed(cause) => Answer::Failed(cause),
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(response: Result<Response, HttpError>) -> Answer<T> {
    match response {
        Err(error) => Answer::Failed(error.to_string()),
        Ok(response) => match response.status.as_u16() {
            200 => match serde_json::from_slice(&response.body) {
                Ok(value) => Answer::Found(value),
                // The error would quote the body.
                Err(_) => Answer::Failed("it answers in another form than documented".into()),
            },
            401 | 403 => Answer::NotPermitted,
            404 => Answer::Missing,
            status => Answer::Failed(format!("it answers {status}")),
        },
    }
}
