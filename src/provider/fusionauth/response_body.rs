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
        Ok(TokenPair {
            access,
            refresh: new.or_else(|| old.cloned()),
        })
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

/// Whether an Errors object complains of `timeToLiveInSeconds`: the tenant does not allow the
/// lifetime of the new token.
pub(super) fn names_token_lifetime(body: &[u8]) -> bool {
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

/// The operator must change a setting, here or at the provider.
pub(super) fn misconfigured(what: &str) -> ProviderError {
    ProviderError::Misconfigured(what.into())
}

/// The body is not the documented JSON.
pub(super) fn unreadable() -> ProviderError {
    ProviderError::Unavailable("the response is not the documented JSON".into())
}

/// The status is not documented for the request.
pub(super) fn unexpected(status: u16) -> ProviderError {
    ProviderError::Unavailable(format!("the status {status} is not documented"))
}
