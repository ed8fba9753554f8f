//! Whether a token is the provider's, for this application, now (`docs/reference/tokens.md`).
//!
//! The order is the point: nothing of a token is looked into before its size and form are right, no
//! claim is believed before the signature is, and `Expired` is said only of a token that is perfect
//! otherwise, because an expired token is renewed while an invalid one is suspicious.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key_set::{KeySet, NoKey};
use crate::model::strict_json;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// The longest token looked at, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// What a token must say.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// `iss`, exactly.
    pub issuer: String,
    /// Must be `aud` or one of it.
    pub audience: String,
    /// The `alg` values taken.
    pub algorithms: Vec<Algorithm>,
    /// How far the provider's clock may differ from ours.
    pub leeway: Duration,
}

/// The claims of a token whose signature and contents were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedClaims {
    /// All of them, as signed; `sub` is text and not empty.
    pub claims: Map<String, Value>,
    /// `iat`.
    pub issued: Option<Timestamp>,
    /// `exp`, without leeway.
    pub expires: Timestamp,
    /// What a sign-out of this token's session revokes.
    pub session: RevocationKey,
}

/// Why a token proves nobody.
#[derive(Clone, Debug, PartialEq)]
pub enum VerifyError {
    /// Nothing is wrong with it but its age: what it says was true, so a sign-out may still act on
    /// it.
    Expired(Box<VerifiedClaims>),
    /// Not a token of this provider for this application, or malformed.
    Invalid,
    /// Well-formed, but signed with a key that is not known (yet): fetch the keys and ask again.
    /// Nothing that it says was checked.
    UnknownKey,
}

/// Checks `token` against `keys` and what is expected of it.
///
/// # Errors
/// [`VerifyError`]; a caller that gets `UnknownKey` twice treats it as `Invalid`.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expect: &Expectations,
    now: Timestamp,
) -> Result<VerifiedClaims, VerifyError> {
    let signed = signed_payload(token, keys, &expect.algorithms)?;
    let claims = strict_json::object(&signed.payload).ok_or(VerifyError::Invalid)?;
    let verified = checked_claims(claims, signed.input, expect, now).ok_or(VerifyError::Invalid)?;
    if now >= verified.expires.plus(expect.leeway) {
        return Err(VerifyError::Expired(Box::new(verified)));
    }
    Ok(verified)
}

/// What a good signature covers.
#[derive(Debug)]
struct Signed<'a> {
    /// Header and payload as they stand in the token.
    input: &'a str,
    payload: Vec<u8>,
}

/// Form, header and signature; what the payload says is not looked at.
fn signed_payload<'a>(
    token: &'a str,
    keys: &KeySet,
    allowed: &[Algorithm],
) -> Result<Signed<'a>, VerifyError> {
    let parts = split(token).ok_or(VerifyError::Invalid)?;
    let header = strict_json::object(&parts.header).ok_or(VerifyError::Invalid)?;
    let (algorithm, kid) = read_header(&header, allowed).ok_or(VerifyError::Invalid)?;
    let check = keys.choose(kid, algorithm).map_err(|none| match none {
        NoKey::Unknown => VerifyError::UnknownKey,
        NoKey::Unfit => VerifyError::Invalid,
    })?;
    if !check.passes(parts.input.as_bytes(), &parts.signature) {
        return Err(VerifyError::Invalid);
    }
    Ok(Signed {
        input: parts.input,
        payload: parts.payload,
    })
}

/// A token taken apart.
struct Parts<'a> {
    /// Header and payload as they stand in the token.
    input: &'a str,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The compact form (RFC 7515, section 7.1) and no other.
fn split(token: &str) -> Option<Parts<'_>> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let (input, signature) = token.rsplit_once('.')?;
    let (header, payload) = input.split_once('.')?;
    // A second dot in the payload is outside the base64url alphabet, so five-part JWEs fail here.
    // The decoder also refuses padding and stray bits in the last character, so that one token has
    // one spelling.
    let part = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .filter(|bytes| !bytes.is_empty())
    };
    Some(Parts {
        input,
        header: part(header)?,
        payload: part(payload)?,
        signature: part(signature)?,
    })
}

/// The algorithm and the `kid`. `jku`, `x5u`, `jwk` and `x5c` are not looked at: a token does not
/// bring the key it is checked with.
fn read_header<'a>(
    header: &'a Map<String, Value>,
    allowed: &[Algorithm],
) -> Option<(Algorithm, Option<&'a str>)> {
    // No extension is understood here, so whatever is critical is too much (RFC 7515, section
    // 4.1.11). `b64` changes what is signed (RFC 7797).
    if header.contains_key("crit") || header.contains_key("b64") {
        return None;
    }
    if let Some(typ) = header.get("typ")
        && !is_access_token_type(typ.as_str()?)
    {
        return None;
    }
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?),
    };
    let algorithm = Algorithm::named(header.get("alg")?.as_str()?)?;
    allowed.contains(&algorithm).then_some((algorithm, kid))
}

/// RFC 8725, section 3.11: `application/` may be left out; logout and other special tokens say so
/// here.
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(
        typ.strip_prefix("application/").unwrap_or(&typ),
        "jwt" | "at+jwt"
    )
}

/// Everything about the claims but expiry. A claim of the wrong type is a fault, never an absence.
fn checked_claims(
    claims: Map<String, Value>,
    input: &str,
    expect: &Expectations,
    now: Timestamp,
) -> Option<VerifiedClaims> {
    let issuer_is_right = claims.get("iss")?.as_str()? == expect.issuer;
    let is_for_us = names_audience(claims.get("aud")?, &expect.audience);
    let has_subject = !claims.get("sub")?.as_str()?.is_empty();
    // `events` marks a logout or other event token, the hashes mark an ID token: neither is for
    // access.
    let is_of_another_kind = ["events", "at_hash", "c_hash"]
        .iter()
        .any(|name| claims.contains_key(*name));
    if !issuer_is_right || !is_for_us || !has_subject || is_of_another_kind {
        return None;
    }
    let issued = moment(&claims, "iat").ok()?;
    let starts = moment(&claims, "nbf").ok()?;
    let latest = now.plus(expect.leeway);
    if issued.is_some_and(|issued| issued > latest) || starts.is_some_and(|starts| starts > latest)
    {
        return None;
    }
    let expires = moment(&claims, "exp").ok()??;
    let session = session_of(&claims, input)?;
    Some(VerifiedClaims {
        claims,
        issued,
        expires,
        session,
    })
}

/// `aud` is text or a list of texts (RFC 7519, section 4.1.3).
fn names_audience(aud: &Value, wanted: &str) -> bool {
    match aud {
        Value::String(audience) => audience == wanted,
        Value::Array(audiences) => {
            audiences.iter().all(Value::is_string)
                && audiences.iter().any(|audience| audience == wanted)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Not a `NumericDate`, or one before 1970.
struct NoDate;

/// A `NumericDate` (RFC 7519, section 2), which may have a fraction; `None` where there is no such
/// claim.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, NoDate> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(Timestamp::from_secs(seconds)));
    }
    let since = Duration::try_from_secs_f64(value.as_f64().ok_or(NoDate)?).map_err(|_| NoDate)?;
    Ok(Some(Timestamp::from_millis(
        u64::try_from(since.as_millis()).map_err(|_| NoDate)?,
    )))
}

/// The `sid`, else the `jti`, else a hash. The hash is over what is signed, not over the whole
/// token: an ECDSA signature has a second valid form, which would be a way around a revocation.
fn session_of(claims: &Map<String, Value>, input: &str) -> Option<RevocationKey> {
    for name in ["sid", "jti"] {
        let id = claims.get(name).map_or(Some(""), Value::as_str)?;
        if !id.is_empty() {
            return Some(RevocationKey(id.to_owned()));
        }
    }
    let hash = digest::digest(&digest::SHA256, input.as_bytes());
    Some(RevocationKey(URL_SAFE_NO_PAD.encode(hash)))
}

#[cfg(test)]
mod tests;
