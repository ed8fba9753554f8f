//! Verification of access tokens: signed by the provider, for this application, valid now
//! (`docs/reference/tokens.md`).
//!
//! The checks are made in a fixed order. Size and form come before anything in the token is parsed.
//! The signature comes before any claim is used. Expiry comes last, so that
//! [`VerifyError::Expired`] means that nothing else is wrong: an expired token is refreshed, an
//! invalid one is not.
//!
//! The signature itself is checked by `jsonwebtoken`. What surrounds it is checked here, because
//! that library treats a claim of the wrong type as absent, accepts any `crit` and `typ`, and reads
//! the system's clock.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::key_set::{KeyChoiceError, KeySet};
use crate::model::algorithm::Algorithm;
use crate::model::strict_json;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// The longest token that is verified, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// What a token must contain.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// The value of `iss`, exactly.
    pub issuer: String,
    /// The value of `aud`, or one of its values.
    pub audience: String,
    /// The client whose tokens are accepted whatever their `aud`: their `azp` names the client that
    /// they were issued to.
    pub client: Option<String>,
    /// The `alg` values that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// How far the provider's clock may differ from that of the gateway.
    pub leeway: Duration,
}

/// The claims of a token whose signature and contents were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedClaims {
    /// All of them, as signed; `sub` is text and not empty.
    pub claims: Map<String, Value>,
    /// The time of `iat`, where it is present.
    pub issued: Option<Timestamp>,
    /// The time of `exp`, without leeway.
    pub expires: Timestamp,
    /// What a logout of this token's session revokes.
    pub session: RevocationKey,
}

/// Why a token is not accepted. The caller acts on it: it refreshes, refuses or fetches keys.
#[derive(Clone, Debug, PartialEq)]
pub enum VerifyError {
    /// It has expired and nothing else is wrong with it. Its claims were verified, so a logout may
    /// still use them.
    Expired(Box<VerifiedClaims>),
    /// It is not valid yet (`nbf`, `iat`) and nothing else is wrong with it: the provider's clock
    /// is ahead of the gateway's by more than the leeway. Its claims were verified.
    NotYetValid(Box<VerifiedClaims>),
    /// Its signature is right, but it is of another issuer, or for another audience.
    NotForUs,
    /// It is longer than [`MAX_TOKEN`]. Nothing in it was checked.
    TooLarge,
    /// It is malformed, or its key did not sign it.
    Invalid,
    /// It is well-formed, but the key that it names is unknown: fetch the keys and verify again.
    /// Nothing in it was checked.
    UnknownKey,
}

/// Verifies `token` with `keys` and compares its claims with `expect`.
///
/// # Errors
/// [`VerifyError`]. A client that presents a token with a key that is still unknown after the keys
/// were fetched has made it up; a token that the provider has just issued is not made up.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expect: &Expectations,
    now: Timestamp,
) -> Result<VerifiedClaims, VerifyError> {
    let header = HeaderRule {
        algorithms: &expect.algorithms,
        is_type: is_access_token_type,
    };
    let signed = signed_payload(token, keys, header)?;
    let claims = strict_json::object(&signed.payload).ok_or(VerifyError::Invalid)?;
    check_parties(&claims, expect)?;
    if is_of_another_kind(&claims) {
        return Err(VerifyError::Invalid);
    }
    let read = read_claims(claims, signed.input).ok_or(VerifyError::Invalid)?;
    check_times(read, expect.leeway, now)
}

/// Checks when the token is valid, after everything else.
fn check_times(
    read: ReadClaims,
    leeway: Duration,
    now: Timestamp,
) -> Result<VerifiedClaims, VerifyError> {
    let ReadClaims { verified, starts } = read;
    if starts.is_some_and(|starts| starts > now.plus(leeway)) {
        return Err(VerifyError::NotYetValid(Box::new(verified)));
    }
    if now >= verified.expires.plus(leeway) {
        return Err(VerifyError::Expired(Box::new(verified)));
    }
    Ok(verified)
}

/// What the header of a token may say.
#[derive(Clone, Copy)]
pub(super) struct HeaderRule<'a> {
    pub(super) algorithms: &'a [Algorithm],
    /// Whether a `typ`, where there is one, is that of the kind of token.
    pub(super) is_type: fn(&str) -> bool,
}

/// The claims of a JWT that is no access token. Form, header and signature were checked by `rule`,
/// none of the claims was.
pub(super) fn signed_claims(
    token: &str,
    keys: &KeySet,
    rule: HeaderRule<'_>,
) -> Result<Map<String, Value>, VerifyError> {
    let signed = signed_payload(token, keys, rule)?;
    strict_json::object(&signed.payload).ok_or(VerifyError::Invalid)
}

/// The parts of a token whose signature was verified.
#[derive(Debug)]
struct Signed<'a> {
    /// Header and payload as they stand in the token: what was signed.
    input: &'a str,
    payload: Vec<u8>,
    algorithm: Algorithm,
}

/// Checks form, header and signature. The payload is decoded and not parsed.
fn signed_payload<'a>(
    token: &'a str,
    keys: &KeySet,
    rule: HeaderRule<'_>,
) -> Result<Signed<'a>, VerifyError> {
    if token.len() > MAX_TOKEN {
        return Err(VerifyError::TooLarge);
    }
    let parts = split(token).ok_or(VerifyError::Invalid)?;
    let header = strict_json::object(&parts.header).ok_or(VerifyError::Invalid)?;
    let (algorithm, kid) = read_header(&header, rule).ok_or(VerifyError::Invalid)?;
    let key = keys.choose(kid, algorithm).map_err(|error| match error {
        KeyChoiceError::Unknown => VerifyError::UnknownKey,
        KeyChoiceError::Unsuitable => VerifyError::Invalid,
    })?;
    if !key.verify(algorithm, parts.input.as_bytes(), parts.signature) {
        return Err(VerifyError::Invalid);
    }
    Ok(Signed {
        input: parts.input,
        payload: parts.payload,
        algorithm,
    })
}

/// The parts of a token in compact form.
struct Parts<'a> {
    /// Header and payload as they stand in the token.
    input: &'a str,
    header: Vec<u8>,
    payload: Vec<u8>,
    /// In base64url, as it stands in the token.
    signature: &'a str,
}

/// Splits a token in compact form (RFC 7515, section 7.1); `None` for any other form.
fn split(token: &str) -> Option<Parts<'_>> {
    let (input, signature) = token.rsplit_once('.')?;
    let (header, payload) = input.split_once('.')?;
    // A further dot in the payload is outside the base64url alphabet, so encrypted tokens with five
    // parts are refused here. The decoder also refuses padding and unused bits in the last
    // character, so that a token has one spelling.
    let decode = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .filter(|bytes| !bytes.is_empty())
    };
    // `jsonwebtoken` takes the signature as text. A malformed one is refused here all the same,
    // before a key is looked up and perhaps fetched for it.
    decode(signature)?;
    Some(Parts {
        input,
        header: decode(header)?,
        payload: decode(payload)?,
        signature,
    })
}

/// The algorithm and the `kid` of a header. `jku`, `x5u`, `jwk` and `x5c` are not read: a token
/// cannot bring the key that it is verified with.
fn read_header<'a>(
    header: &'a Map<String, Value>,
    rule: HeaderRule<'_>,
) -> Option<(Algorithm, Option<&'a str>)> {
    // No extension is supported, so any critical one makes the token invalid (RFC 7515, section
    // 4.1.11). `b64` changes what is signed (RFC 7797).
    if header.contains_key("crit") || header.contains_key("b64") {
        return None;
    }
    if let Some(typ) = header.get("typ")
        && !(rule.is_type)(typ.as_str()?)
    {
        return None;
    }
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?),
    };
    let algorithm = Algorithm::from_name(header.get("alg")?.as_str()?)?;
    rule.algorithms
        .contains(&algorithm)
        .then_some((algorithm, kid))
}

/// Whether `typ` is that of an access token. `application/` may be left out (RFC 8725, section
/// 3.11). Logout tokens and others have a `typ` of their own.
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(
        typ.strip_prefix("application/").unwrap_or(&typ),
        "jwt" | "at+jwt" | "bearer"
    )
}

/// Whether verified claims are those of another token than an access token. `events` marks a logout
/// or other event token, the hashes mark an ID token. Keycloak tells its kinds of tokens by a claim
/// `typ`.
fn is_of_another_kind(claims: &Map<String, Value>) -> bool {
    let is_marked = ["events", "at_hash", "c_hash"]
        .iter()
        .any(|name| claims.contains_key(*name));
    let kind = claims.get("typ").and_then(Value::as_str);
    is_marked || matches!(kind, Some("ID" | "Refresh" | "Offline" | "Logout"))
}

/// Checks who issued the token, and for whom.
fn check_parties(claims: &Map<String, Value>, expect: &Expectations) -> Result<(), VerifyError> {
    let issuer = claims.get("iss").and_then(Value::as_str);
    let issuer = issuer.ok_or(VerifyError::Invalid)?;
    let party = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_ours = expect.client.is_some() && party("azp") == expect.client.as_deref();
    let is_for_us = claims
        .get("aud")
        .and_then(|aud| names_audience(aud, &expect.audience))
        .ok_or(VerifyError::Invalid)?
        || is_ours;
    if issuer == expect.issuer && is_for_us {
        Ok(())
    } else {
        Err(VerifyError::NotForUs)
    }
}

/// Claims of a token whose times were not compared with the clock yet.
struct ReadClaims {
    verified: VerifiedClaims,
    /// When they begin to be valid.
    starts: Option<Timestamp>,
}

/// The claims, and when they begin to be valid. A claim of the wrong type makes the token invalid;
/// it does not count as absent.
fn read_claims(claims: Map<String, Value>, input: &str) -> Option<ReadClaims> {
    if claims.get("sub")?.as_str()?.is_empty() {
        return None;
    }
    let issued = numeric_date(&claims, "iat").ok()?;
    let starts = numeric_date(&claims, "nbf").ok()?.max(issued);
    let expires = numeric_date(&claims, "exp").ok()??;
    let session = revocation_key(&claims, input)?;
    let verified = VerifiedClaims {
        claims,
        issued,
        expires,
        session,
    };
    Some(ReadClaims { verified, starts })
}

/// Whether `aud`, a string or an array of strings (RFC 7519, section 4.1.3), names `wanted`. `None`
/// where it is neither.
fn names_audience(aud: &Value, wanted: &str) -> Option<bool> {
    audiences(aud).map(|audiences| audiences.contains(&wanted))
}

/// The values of `aud`; `None` where it is neither a string nor an array of strings.
pub(super) fn audiences(aud: &Value) -> Option<Vec<&str>> {
    match aud {
        Value::String(audience) => Some(vec![audience]),
        Value::Array(audiences) => audiences.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// A claim is not a `NumericDate`, or lies before 1970: the token is invalid.
pub(super) struct NumericDateError;

/// The time of a `NumericDate` claim (RFC 7519, section 2), which may have a fraction; `None` where
/// the claim is absent.
pub(super) fn numeric_date(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<Timestamp>, NumericDateError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(Timestamp::from_secs(seconds)));
    }
    let since = Duration::try_from_secs_f64(value.as_f64().ok_or(NumericDateError)?)
        .map_err(|_| NumericDateError)?;
    Ok(Some(Timestamp::from_millis(
        u64::try_from(since.as_millis()).map_err(|_| NumericDateError)?,
    )))
}

/// What a logout revokes: the `sid`, else the `jti`, else a hash of what was signed. The signature
/// is not hashed: one of ECDSA has a second valid form, which would evade a revocation.
fn revocation_key(claims: &Map<String, Value>, input: &str) -> Option<RevocationKey> {
    for name in ["sid", "jti"] {
        let id = claims.get(name).map_or(Some(""), Value::as_str)?;
        if !id.is_empty() {
            return Some(RevocationKey(id.to_owned()));
        }
    }
    Some(signed_key(input))
}

/// What revokes one token alone, whatever it says: a hash of what was signed.
#[must_use]
pub fn token_key(token: &str) -> RevocationKey {
    signed_key(token.rsplit_once('.').map_or(token, |(input, _)| input))
}

fn signed_key(input: &str) -> RevocationKey {
    let hash = digest::digest(&digest::SHA256, input.as_bytes());
    RevocationKey(URL_SAFE_NO_PAD.encode(hash))
}

pub mod id_token;
#[cfg(test)]
mod tests;
