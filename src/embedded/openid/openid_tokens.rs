//! ID tokens (OpenID Connect Core 1.0, section 2) and logout tokens (OpenID Connect Back-Channel
//! Logout 1.0, section 2.4).

use std::io;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::embedded::ids;
use crate::embedded::logout_queue::PendingLogout;
use crate::embedded::token_issuer::{AccessToken, Claims, TokenIssuer};
use crate::model::timestamp::Timestamp;

/// How long a logout token is valid.
const LOGOUT_TOKEN_LIFETIME: Duration = Duration::from_secs(120);

/// Claims of the access token that concern only FusionAuth's API.
const NOT_OF_OPENID: [&str; 3] = ["authenticationType", "applicationId", "tid"];

/// The ID token for `access`. Its `at_hash` also keeps it from being taken for an access token.
///
/// # Errors
/// When the cryptographic library fails.
pub fn id_token(
    issuer: &TokenIssuer,
    access: &AccessToken,
    nonce: Option<&str>,
) -> io::Result<String> {
    let mut claims = profile(&access.claims)?;
    let hash = digest(&SHA256, access.token.as_bytes());
    let half = hash.as_ref().get(..16).unwrap_or_default();
    claims.insert("at_hash".to_owned(), URL_SAFE_NO_PAD.encode(half).into());
    if let Some(nonce) = nonce {
        claims.insert("nonce".to_owned(), nonce.into());
    }
    issuer.key().sign(&claims)
}

/// The claims of an access token that OpenID Connect knows.
///
/// # Errors
/// When they are no JSON object, which does not happen.
pub fn profile(claims: &Claims) -> io::Result<Map<String, Value>> {
    let Value::Object(mut members) = serde_json::to_value(claims)? else {
        return Err(io::Error::other("claims are no object"));
    };
    members.retain(|name, _| !NOT_OF_OPENID.contains(&name.as_str()));
    Ok(members)
}

/// A logout token. Each attempt to tell a client has one of its own: a client takes none twice.
///
/// # Errors
/// When the cryptographic library fails.
pub fn logout_token(
    issuer: &TokenIssuer,
    logout: &PendingLogout,
    now: Timestamp,
) -> io::Result<String> {
    let claims = json!({
        "iss": issuer.name(),
        "aud": logout.client,
        "sub": logout.user,
        "sid": logout.session,
        "iat": now.secs(),
        "exp": now.plus(LOGOUT_TOKEN_LIFETIME).secs(),
        "jti": ids::random_uuid(),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    issuer.key().sign_as("logout+jwt", &claims)
}
