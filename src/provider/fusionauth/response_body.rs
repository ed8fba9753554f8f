//! Reading the bodies of responses, and the errors of responses that cannot be used.

use serde::Deserialize;
use serde_json::Value;

use crate::model::secret::Secret;
use crate::model::token::TokenPair;
use crate::provider::ProviderError;
use crate::provider::http_client::Response;

/// The tokens of a successful login or refresh.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens {
    token: Option<String>,
    refresh_token: Option<String>,
    pub(super) two_factor_trust_id: Option<String>,
}

impl Tokens {
    /// The pair, with the refresh token `old` where the response has none.
    pub(super) fn into_pair(self, old: Option<&Secret>) -> Result<TokenPair, ProviderError> {
        let access = self
            .token
            .and_then(non_empty)
            .ok_or_else(|| misconfigured("a success without a token"))?;
        let new = self.refresh_token.and_then(non_empty);
        Ok(TokenPair::new(access, new.or_else(|| old.cloned())))
    }
}

pub(super) fn read_tokens(response: &Response) -> Result<Tokens, ProviderError> {
    read_json(&response.body)
}

/// Parses a body. The parser's error is dropped: it quotes the body, which may hold tokens.
pub(super) fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(body).map_err(|_| unreadable())
}

pub(super) fn non_empty(text: String) -> Option<Secret> {
    (!text.is_empty()).then(|| Secret::new(text))
}

/// FusionAuth's Errors object, which it sends with a 400: the fields that it names, each with at
/// least one error.
pub(super) struct FieldErrors(Vec<String>);

impl FieldErrors {
    /// Reads a body. `None` where it is no Errors object: then something in front of FusionAuth
    /// has sent it.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let has_errors = |errors: &Value| errors.as_array().is_some_and(|list| !list.is_empty());
        let fields: Vec<String> = body
            .get("fieldErrors")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(_, errors)| has_errors(errors))
            .map(|(name, _)| name.clone())
            .collect();
        let is_report = !fields.is_empty() || body.get("generalErrors").is_some_and(has_errors);
        is_report.then_some(Self(fields))
    }

    /// Whether it names this field.
    pub fn names(&self, field: &str) -> bool {
        self.0.iter().any(|name| name == field)
    }

    /// Whether it names this field and no other.
    pub fn names_only(&self, field: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| name == field)
    }
}

/// Whether a body is a JSON object.
pub(super) fn is_json_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body.is_object())
}

/// The operator must change a setting, here or at the provider.
pub(super) fn misconfigured(what: &str) -> ProviderError {
    ProviderError::Misconfigured(what.into())
}

/// The body is not the documented JSON.
pub(super) fn unreadable() -> ProviderError {
    ProviderError::Unavailable("the response is not the documented JSON".into())
}

/// The status is not documented for the request, or comes in another form than documented: a proxy
/// or another server has sent it.
pub(super) fn unexpected(status: u16) -> ProviderError {
    ProviderError::Unavailable(format!(
        "the status {status} is not documented in this form"
    ))
}
