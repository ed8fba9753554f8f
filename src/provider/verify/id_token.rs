//! Verification of ID tokens (OpenID Connect Core, section 3.1.3.7): who has signed in, told by the
//! provider to this client and nobody else.

use std::time::Duration;

use aws_lc_rs::digest::{self, Algorithm as Digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{
    HeaderRule, KeySet, VerifiedClaims, VerifyError, check_times, names_audience, read_claims,
    signed_payload, split,
};
use crate::model::algorithm::Algorithm;
use crate::model::strict_json;
use crate::model::timestamp::Timestamp;

/// What an ID token must contain.
#[derive(Clone, Copy, Debug)]
pub struct IdTokenExpectations<'a> {
    /// The value of `iss`, exactly.
    pub issuer: &'a str,
    /// The client: the value of `aud`, or one of its values.
    pub client_id: &'a str,
    /// The `alg` values that are accepted.
    pub algorithms: &'a [Algorithm],
    /// How far the provider's clock may differ from that of the gateway.
    pub leeway: Duration,
    /// The `nonce` of the login; `None` for a token that came with a refresh, which has none of its
    /// own.
    pub nonce: Option<&'a str>,
    /// The access token that came with it, which `at_hash` is compared with where it is present.
    pub access: Option<&'a str>,
}

/// Verifies `token` with `keys` and compares its claims with `expect`.
///
/// # Errors
/// [`VerifyError`]; [`VerifyError::NotForUs`] also for another `nonce` or access token.
pub fn verify_id_token(
    token: &str,
    keys: &KeySet,
    expect: &IdTokenExpectations<'_>,
    now: Timestamp,
) -> Result<VerifiedClaims, VerifyError> {
    let header = HeaderRule {
        algorithms: expect.algorithms,
        is_type: is_id_token_type,
    };
    let signed = signed_payload(token, keys, header)?;
    let claims = strict_json::object(&signed.payload).ok_or(VerifyError::Invalid)?;
    // A logout token (OpenID Connect Back-Channel Logout, section 2.4).
    if claims.contains_key("events") {
        return Err(VerifyError::Invalid);
    }
    if !is_for_us(&claims, expect).ok_or(VerifyError::Invalid)?
        || !is_of_access_token(&claims, expect.access, signed.algorithm)
    {
        return Err(VerifyError::NotForUs);
    }
    // Required (section 2), unlike in an access token.
    if !claims.contains_key("iat") {
        return Err(VerifyError::Invalid);
    }
    let read = read_claims(claims, signed.input).ok_or(VerifyError::Invalid)?;
    check_times(read, expect.leeway, now)
}

/// The claims of an ID token that the gateway got from the provider for the last tokens of a login,
/// and has sealed since. The seal stands for the signature, whose key the provider may have
/// withdrawn. Its times are those of the login, and are not checked.
///
/// # Errors
/// [`VerifyError::Invalid`], and [`VerifyError::NotForUs`] where issuer or client were changed.
pub fn read_kept_id_token(
    token: &str,
    expect: &IdTokenExpectations<'_>,
) -> Result<VerifiedClaims, VerifyError> {
    let parts = split(token).ok_or(VerifyError::Invalid)?;
    let claims = strict_json::object(&parts.payload).ok_or(VerifyError::Invalid)?;
    if !is_for_us(&claims, expect).ok_or(VerifyError::Invalid)? {
        return Err(VerifyError::NotForUs);
    }
    let read = read_claims(claims, parts.input).ok_or(VerifyError::Invalid)?;
    Ok(read.verified)
}

/// An ID token says `JWT` or nothing, never `at+jwt`.
fn is_id_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == "jwt"
}

/// Whether the issuer made it for this client and this login. `None` where a claim is missing or of
/// the wrong type.
fn is_for_us(claims: &Map<String, Value>, expect: &IdTokenExpectations<'_>) -> Option<bool> {
    let issuer = claims.get("iss")?.as_str()?;
    let aud = claims.get("aud")?;
    let named = names_audience(aud, expect.client_id)?;
    let has_others = aud.as_array().is_some_and(|audiences| audiences.len() > 1);
    let is_party = match claims.get("azp") {
        Some(party) => party.as_str()? == expect.client_id,
        // With several audiences only this claim tells to whom it was issued.
        None => !has_others,
    };
    let nonce = claims.get("nonce").map_or(Some(""), Value::as_str)?;
    let is_of_login = expect.nonce.is_none_or(|expected| expected == nonce);
    Some(issuer == expect.issuer && named && is_party && is_of_login)
}

/// Whether `at_hash`, where present, is the left half of the hash of the access token (section
/// 3.1.3.6).
fn is_of_access_token(
    claims: &Map<String, Value>,
    access: Option<&str>,
    algorithm: Algorithm,
) -> bool {
    let (Some(hash), Some(access)) = (claims.get("at_hash"), access) else {
        return true;
    };
    let whole = digest::digest(digest_of(algorithm), access.as_bytes());
    let half = whole.as_ref().get(..whole.as_ref().len() / 2);
    let expected = URL_SAFE_NO_PAD.encode(half.unwrap_or_default());
    hash.as_str() == Some(expected.as_str())
}

/// The hash of a signature algorithm.
const fn digest_of(algorithm: Algorithm) -> &'static Digest {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 | Algorithm::Hs256 => {
            &digest::SHA256
        }
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 | Algorithm::Hs384 => {
            &digest::SHA384
        }
        Algorithm::Rs512
        | Algorithm::Ps512
        | Algorithm::Es512
        | Algorithm::Hs512
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => &digest::SHA512,
    }
}
