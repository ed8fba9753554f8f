//! Whether an OpenID Connect provider answers, and knows the gateway's client.

use std::sync::Arc;

use http::header::DATE;
use http::{HeaderMap, Method};
use url::Url;

use super::finding::{Finding, Topic};
use super::provider_answers;
use crate::config::settings::Provider;
use crate::model::secret::Secret;
use crate::provider::http_client::{HttpClient, Purpose, Request};
use crate::provider::{self, ProviderError, oidc};
use crate::system::Clock;

/// What no provider takes for a refresh token.
const NO_REFRESH_TOKEN: &str = "vestibule-doctor";

pub(super) async fn examine(
    topic: &Topic,
    settings: &Provider,
    url: &str,
    clock: &Clock,
    http: &Arc<HttpClient>,
) -> Vec<Finding> {
    let provider = match provider::from_settings(settings, Arc::clone(http), clock) {
        Ok(provider) => provider,
        Err(error) => {
            let hint = "correct its table in the configuration";
            return vec![topic.fail(error.to_string(), hint)];
        }
    };
    let document = match provider.fetch_jwks().await {
        Ok(document) => document,
        Err(error) => {
            let message = format!("its keys at {url} cannot be fetched: {error}");
            let hint = match error {
                ProviderError::Misconfigured(_) => {
                    "write the issuer of its discovery document as `url`, to the last slash"
                }
                ProviderError::Refused(_) | ProviderError::Unavailable(_) => {
                    "start it, correct `url`, or let the firewall pass; its certificate must be \
                     one that this machine trusts"
                }
            };
            return vec![topic.fail(message, hint)];
        }
    };
    let date = date(settings, url, http).await;
    let client = provider.refresh(&Secret::new(NO_REFRESH_TOKEN)).await;
    vec![
        topic.ok(format!("{url} answers")),
        provider_answers::keys(topic, settings, &document),
        provider_answers::clock(topic, settings.leeway, date.as_deref(), clock.now()),
        known_client(topic, client.err()),
    ]
}

/// The `Date` of its discovery document.
async fn date(settings: &Provider, url: &str, http: &HttpClient) -> Option<String> {
    let request = Request {
        method: Method::GET,
        url: Url::parse(&oidc::document_url(url)).ok()?,
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: settings.timeout,
        purpose: Purpose::Background,
    };
    let response = http.send(request).await.ok()?;
    let date = response.headers.get(DATE)?.to_str().ok()?;
    Some(date.to_owned())
}

/// What the error says of the client: a provider looks at it before it looks at the token.
fn known_client(topic: &Topic, error: Option<ProviderError>) -> Finding {
    match error {
        Some(ProviderError::Refused(_)) => topic.ok("it knows the gateway's client"),
        Some(ProviderError::Misconfigured(cause)) => topic.fail(
            format!("it refuses the gateway's client: {cause}"),
            "correct `client_id`, and `client_secret` or `private_key`, and allow the client the \
             grant refresh_token",
        ),
        Some(ProviderError::Unavailable(cause)) => topic.warn(
            format!("the gateway's client is not checked: {cause}"),
            "see the provider's log",
        ),
        None => topic.warn(
            "it takes any text for a refresh token",
            "see that `url` is that of an OpenID Connect provider",
        ),
    }
}
