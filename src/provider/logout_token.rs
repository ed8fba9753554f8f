//! The logout tokens of OIDC Back-Channel Logout 1.0, sections 2.4 and 2.6.

use std::time::Duration;

use serde_json::{Map, Value};

use super::key_set::KeySet;
use super::verify::{
    HeaderRule, NumericDateError, VerifyError, audiences, numeric_date, signed_claims,
};
use super::webhook::EndedTokens;
use crate::model::algorithm::Algorithm;
use crate::model::timestamp::Timestamp;

/// The member of `events` that makes a token a logout token.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a token may be that says nothing of its end.
const MAX_AGE: Duration = Duration::from_secs(120);
/// The longest `jti`, `sid` or `sub`, in bytes.
const MAX_ID: usize = 1024;

/// What a logout token must contain.
#[derive(Clone, Copy, Debug)]
pub struct LogoutExpectations<'a> {
    /// The value of `iss`, exactly.
    pub issuer: &'a str,
    /// The `aud` values of the gateway's clients. A token names one of them.
    pub audiences: &'a [String],
    /// The `alg` values that are accepted.
    pub algorithms: &'a [Algorithm],
    /// How far the provider's clock may differ from that of the gateway.
    pub leeway: Duration,
}

/// A logout token that passed its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// Its `jti`.
    pub id: String,
    /// What it ends.
    pub ended: EndedTokens,
    /// Its `iat`, in whole seconds as a rule.
    pub issued: Timestamp,
    /// After this time it does not verify any more.
    pub expires: Timestamp,
}

/// Why a logout token is not accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum LogoutTokenError {
    /// Its form, its key or its signature is not right.
    Token(VerifyError),
    /// A claim is missing, wrong or forbidden: this one.
    Claim(ClaimError),
}

/// A claim that is not as it must be: its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimError(pub &'static str);

impl std::fmt::Display for ClaimError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.0;
        let wrong = match name {
            "iss" => "is not the issuer of the provider",
            "aud" => "names no client of the gateway",
            "nonce" => "is that of an ID token, not of a logout token",
            "events" => "does not say that this is a logout token",
            "exp" => "is over, or no time",
            "iat" => "is missing, no time, ahead of this clock, or older than two minutes",
            "nbf" => "is ahead of this clock, or no time",
            _ => "is missing or of another form",
        };
        write!(out, "`{name}` {wrong}")
    }
}

impl std::error::Error for ClaimError {}

/// Verifies a logout token at `now`.
///
/// # Errors
/// [`LogoutTokenError`]. Whether its `jti` was used before, the caller finds out.
pub fn verify_logout_token(
    token: &str,
    keys: &KeySet,
    expect: LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<LogoutToken, LogoutTokenError> {
    let header = HeaderRule {
        algorithms: expect.algorithms,
        is_type: is_logout_token_type,
    };
    let claims = signed_claims(token, keys, header).map_err(LogoutTokenError::Token)?;
    read_claims(&claims, expect, now).map_err(|name| LogoutTokenError::Claim(ClaimError(name)))
}

/// `logout+jwt` is recommended, and providers from before that leave `typ` out or write `JWT`
/// (section 2.4).
fn is_logout_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(
        typ.strip_prefix("application/").unwrap_or(&typ),
        "logout+jwt" | "jwt"
    )
}

/// # Errors
/// The name of the claim that is wrong.
fn read_claims(
    claims: &Map<String, Value>,
    expect: LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<LogoutToken, &'static str> {
    if claims.get("iss").and_then(Value::as_str) != Some(expect.issuer) {
        return Err("iss");
    }
    let named = claims.get("aud").and_then(audiences).ok_or("aud")?;
    let mut ours = expect.audiences.iter();
    let audience = ours
        .find(|audience| named.contains(&audience.as_str()))
        .ok_or("aud")?;
    // An ID token must not pass for a logout token (section 2.4).
    if claims.contains_key("nonce") {
        return Err("nonce");
    }
    let events = claims.get("events").and_then(Value::as_object);
    let event = events.and_then(|events| events.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err("events");
    }
    let (issued, expires) = times(claims, expect.leeway, now)?;
    let (session, user) = (id(claims, "sid")?, id(claims, "sub")?);
    let ended = match (session, user) {
        (Some(session), _) => EndedTokens::SignIn(session.to_owned()),
        (None, Some(user)) => EndedTokens::UserAtApplication {
            user: user.to_owned(),
            application: audience.clone(),
        },
        (None, None) => return Err("sub"),
    };
    Ok(LogoutToken {
        id: id(claims, "jti")?.ok_or("jti")?.to_owned(),
        ended,
        issued,
        expires,
    })
}

/// The `iat`, and until when the token is accepted: its `exp`, or [`MAX_AGE`] after its `iat`.
fn times(
    claims: &Map<String, Value>,
    leeway: Duration,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), &'static str> {
    let issued = date(claims, "iat")?.ok_or("iat")?;
    if issued > now.plus(leeway) {
        return Err("iat");
    }
    let (end, by) = match date(claims, "exp")? {
        Some(end) => (end, "exp"),
        None => (issued.plus(MAX_AGE), "iat"),
    };
    let expires = end.plus(leeway);
    if expires <= now {
        return Err(by);
    }
    if date(claims, "nbf")?.is_some_and(|starts| starts > now.plus(leeway)) {
        return Err("nbf");
    }
    Ok((issued, expires))
}

fn date(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, &'static str> {
    numeric_date(claims, name).map_err(|NumericDateError| name)
}

/// A text that may be absent.
fn id<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, &'static str> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let text = value.as_str();
    text.filter(|text| !text.is_empty() && text.len() <= MAX_ID)
        .map(Some)
        .ok_or(name)
}

#[cfg(test)]
mod tests;
