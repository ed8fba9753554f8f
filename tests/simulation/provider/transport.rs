//! The way between one process of a gateway and the provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

use vestibule::provider::http_client::{HttpError, Request, Response, Transport};

use super::super::life::Life;
use super::super::schedule::{Endpoint, Failure};
use super::IdentityProvider;

/// The way between one process of a gateway and the provider.
pub struct ProviderTransport {
    pub provider: Arc<IdentityProvider>,
    pub life: Arc<Life>,
}

impl fmt::Debug for ProviderTransport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ProviderTransport")
    }
}

/// How long a call that gets no answer stays open: longer than any caller waits.
const HANGS_FOR: Duration = Duration::from_secs(30);

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// With the provider's yes or no.
    Answered,
    /// With an answer that says nothing about the token.
    Trouble,
    /// Without an answer.
    NoAnswer,
}

/// Ends the call, also where its caller stops to wait.
struct CallGuard {
    provider: Arc<IdentityProvider>,
    number: u64,
    result: CallEnd,
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.provider.end(self.number, self.result);
    }
}

#[async_trait]
impl Transport for ProviderTransport {
    async fn exchange(&self, request: Request) -> Result<Response, HttpError> {
        self.life.go_on().await;
        let (endpoint, body) = read(&request);
        let token = body["refreshToken"].as_str().unwrap_or_default().to_owned();
        let number = self.provider.begin(endpoint, token, Arc::clone(&self.life));
        let mut guard = CallGuard {
            provider: Arc::clone(&self.provider),
            number,
            result: CallEnd::NoAnswer,
        };
        let (sender, receiver) = oneshot::channel();
        let provider = Arc::clone(&self.provider);
        // The provider goes on when the caller does not wait any more.
        Handle::current().spawn(async move {
            let answer = provider.process(number, endpoint, body).await;
            // The caller may be gone.
            let _ = sender.send(answer);
        });
        let answer = receiver.await;
        self.life.go_on().await;
        let answer = answer.unwrap_or_else(|_| Err(HttpError("the connection broke".into())));
        if let Ok(answer) = &answer {
            let is_own_no = answer.body.starts_with(br#"{"fieldErrors":{"refreshToken"#)
                || answer.body.starts_with(br#"{"error":"invalid_grant""#);
            guard.result = if answer.status.is_success() || is_own_no {
                CallEnd::Answered
            } else {
                CallEnd::Trouble
            };
        }
        answer
    }
}

/// The endpoint that a request calls, and the members of its body.
fn read(request: &Request) -> (Endpoint, Value) {
    let json = || serde_json::from_slice(&request.body).unwrap_or_default();
    let form = || {
        let pairs = url::form_urlencoded::parse(&request.body);
        let mut members: serde_json::Map<String, Value> = pairs
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
            .collect();
        for name in ["refresh_token", "token"] {
            if let Some(token) = members.remove(name) {
                members.insert("refreshToken".to_owned(), token);
            }
        }
        Value::Object(members)
    };
    match request.url.path() {
        "/api/login" => (Endpoint::Login, json()),
        "/api/jwt/refresh" => (Endpoint::Refresh, json()),
        "/api/logout" => (Endpoint::Logout, json()),
        "/token" => {
            let form = form();
            let is_sign_in = form["grant_type"] == "authorization_code";
            let endpoint = if is_sign_in {
                Endpoint::Login
            } else {
                Endpoint::Refresh
            };
            (endpoint, form)
        }
        "/revoke" => (Endpoint::Logout, form()),
        "/.well-known/openid-configuration" => (Endpoint::Discovery, Value::Null),
        _ => (Endpoint::Keys, Value::Null),
    }
}

impl IdentityProvider {
    /// Does what a call asks.
    async fn process(
        &self,
        number: u64,
        endpoint: Endpoint,
        body: Value,
    ) -> Result<Response, HttpError> {
        let latency = Duration::from_millis(self.options.provider_latency);
        sleep(latency / 2).await;
        let trouble = self.trouble(endpoint);
        match trouble {
            Some(Failure::Unavailable) => return Ok(response(503, String::new())),
            Some(Failure::Hangs) => {
                sleep(HANGS_FOR).await;
                return Err(HttpError("the connection broke".into()));
            }
            Some(Failure::Page(status)) => {
                return Ok(response(status, "<html><body>nginx</body></html>".into()));
            }
            Some(Failure::WrongTenant) if self.oidc().is_some() => {
                return Ok(response(401, r#"{"error":"invalid_client"}"#.into()));
            }
            Some(Failure::WrongTenant) => {
                let body = r#"{"fieldErrors":{"tenantId":[{"code":"[invalid]tenantId"}]}}"#;
                return Ok(response(400, body.into()));
            }
            Some(Failure::LosesAnswers | Failure::Slow(_)) | None => {}
        }
        let (status, answer) = self.effect(number, endpoint, &body);
        if let Some(Failure::Slow(millis)) = trouble {
            sleep(Duration::from_millis(millis)).await;
        }
        sleep(latency / 2).await;
        if trouble == Some(Failure::LosesAnswers) {
            return Err(HttpError("the answer broke off".into()));
        }
        Ok(response(status, answer))
    }
}

fn response(status: u16, body: String) -> Response {
    Response {
        headers: http::HeaderMap::new(),
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
        body: body.into_bytes(),
    }
}
