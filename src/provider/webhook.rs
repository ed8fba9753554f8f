//! FusionAuth's webhooks: their signature, and what their events end.
//!
//! The signature is a JWT whose one claim is the SHA-256 of the body, in base64. FusionAuth gives it
//! no times: who sends a message again is told apart by the id of the event. Times that it has all the
//! same count (RFC 7519, sections 4.1.4 and 4.1.5).

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::key_set::KeySet;
use super::verify::{HeaderRule, VerifyError, numeric_date, signed_claims};
use crate::model::algorithm::Algorithm;
use crate::model::strict_json;
use crate::model::timestamp::Timestamp;

/// The longest id in an event, in bytes.
const MAX_ID: usize = 256;

/// Which signatures of webhooks are accepted.
#[derive(Clone, Copy, Debug)]
pub struct SignatureExpectations<'a> {
    /// The `alg` values that are accepted.
    pub algorithms: &'a [Algorithm],
    /// How far the provider's clock may differ from that of the gateway.
    pub leeway: Duration,
}

/// Checks that `signature`, the value of `X-FusionAuth-Signature-JWT`, is of `body`, byte for byte.
///
/// # Errors
/// As [`verify`](super::verify::verify).
pub fn verify_signature(
    signature: &str,
    body: &[u8],
    keys: &KeySet,
    expect: SignatureExpectations<'_>,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let header = HeaderRule {
        algorithms: expect.algorithms,
        is_type: is_jwt,
    };
    let claims = signed_claims(signature, keys, header)?;
    let date = |name| numeric_date(&claims, name).map_err(|_| VerifyError::Invalid);
    let has_ended = date("exp")?.is_some_and(|end| end.plus(expect.leeway) <= now);
    let begins_later = date("nbf")?.is_some_and(|start| start > now.plus(expect.leeway));
    if has_ended || begins_later {
        return Err(VerifyError::Invalid);
    }
    let hash = claims.get("request_body_sha256").and_then(Value::as_str);
    let hash = hash
        .and_then(|hash| STANDARD.decode(hash).ok())
        .ok_or(VerifyError::Invalid)?;
    if hash == digest(&SHA256, body).as_ref() {
        Ok(())
    } else {
        Err(VerifyError::Invalid)
    }
}

/// Whether a `typ` is that of a JWT without a purpose.
fn is_jwt(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == "jwt"
}

/// Whether both secrets are the same, in a time that does not depend on where they differ.
#[must_use]
pub fn is_same_secret(presented: &[u8], expected: &[u8]) -> bool {
    let hash = |secret| digest(&SHA256, secret);
    verify_slices_are_equal(hash(presented).as_ref(), hash(expected).as_ref()).is_ok()
}

/// The kinds of events that end sign-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Refresh tokens were revoked: one, those of a user, of an application, or all.
    RefreshTokenRevoke,
    /// A user was locked.
    UserDeactivate,
    /// A user was deleted.
    UserDelete,
    /// A password was changed.
    UserPasswordUpdate,
    /// A user is not registered for an application any more.
    UserRegistrationDelete,
}

impl EventKind {
    fn from_type(name: &str) -> Option<Self> {
        match name {
            "jwt.refresh-token.revoke" => Some(Self::RefreshTokenRevoke),
            "user.deactivate" => Some(Self::UserDeactivate),
            "user.delete" | "user.delete.complete" => Some(Self::UserDelete),
            "user.password.update" => Some(Self::UserPasswordUpdate),
            "user.registration.delete" | "user.registration.delete.complete" => {
                Some(Self::UserRegistrationDelete)
            }
            _ => None,
        }
    }
}

/// A webhook's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It ends sign-ins.
    Ending(EndingEvent),
    /// It is of a kind that ends none.
    Other,
}

/// An event that ends sign-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndingEvent {
    /// Its kind.
    pub kind: EventKind,
    /// Its id, or else a hash of the message: the same however often it is sent.
    pub id: String,
    /// When it happened, by the provider's clock.
    pub created: Timestamp,
    /// The tenant in which it happened.
    pub tenant: Option<String>,
    /// What it ends.
    pub ended: EndedTokens,
    /// How long the access tokens that it ends may live, where it says so.
    pub token_lifetime: Option<Duration>,
}

/// Which sign-ins a message of a provider ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedTokens {
    /// The one with this `sid`.
    SignIn(String),
    /// Those of a user.
    User(String),
    /// Those of a user at one application.
    UserAtApplication {
        /// The user's `sub`.
        user: String,
        /// The application's id.
        application: String,
    },
    /// Those at an application.
    Application(String),
    /// All.
    All,
}

impl EndedTokens {
    /// The `sub` of the user, where it is one user's.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) | Self::UserAtApplication { user, .. } => Some(user),
            Self::SignIn(_) | Self::Application(_) | Self::All => None,
        }
    }
}

/// A message that is not as its kind demands. The text names the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedError(pub &'static str);

impl std::fmt::Display for MalformedError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "`{}` is missing or of another form", self.0)
    }
}

impl std::error::Error for MalformedError {}

/// Reads the body of a webhook.
///
/// # Errors
/// [`MalformedError`]: a member is missing, or is of the wrong type. Nothing is guessed: an event
/// of one user whose id cannot be read must not end what is everybody's.
pub fn read_event(raw: &[u8]) -> Result<Event, MalformedError> {
    let body = strict_json::object(raw).ok_or(MalformedError("event"))?;
    let event = object(&body, "event")?.ok_or(MalformedError("event"))?;
    let Some(kind) = EventKind::from_type(required(event, "type")?) else {
        return Ok(Event::Other);
    };
    let created = event.get("createInstant").and_then(Value::as_u64);
    let created = created.ok_or(MalformedError("createInstant"))?;
    let tenant = id(event, "tenantId")?;
    let (user, application) = (user(event)?, id(event, "applicationId")?);
    let ended = match kind {
        EventKind::UserDeactivate | EventKind::UserDelete | EventKind::UserPasswordUpdate => {
            EndedTokens::User(user.ok_or(MalformedError("user"))?)
        }
        EventKind::UserRegistrationDelete => EndedTokens::UserAtApplication {
            user: user.ok_or(MalformedError("user"))?,
            application: application.ok_or(MalformedError("applicationId"))?,
        },
        EventKind::RefreshTokenRevoke => {
            match (object(event, "refreshToken")?, user, application) {
                (Some(token), _, _) => EndedTokens::SignIn(required(token, "id")?.to_owned()),
                (None, Some(user), Some(application)) => {
                    EndedTokens::UserAtApplication { user, application }
                }
                (None, Some(user), None) => EndedTokens::User(user),
                (None, None, Some(application)) => EndedTokens::Application(application),
                // Everything of whom: without a tenant it is no event of FusionAuth's.
                (None, None, None) if tenant.is_none() => return Err(MalformedError("tenantId")),
                (None, None, None) => EndedTokens::All,
            }
        }
    };
    Ok(Event::Ending(EndingEvent {
        kind,
        id: id(event, "id")?.unwrap_or_else(|| body_id(raw)),
        created: Timestamp::from_millis(created),
        tenant,
        ended,
        token_lifetime: token_lifetime(event)?,
    }))
}

/// The id of an event that names none: whoever sends it again sends the same bytes.
fn body_id(body: &[u8]) -> String {
    format!("sha256 {}", STANDARD.encode(digest(&SHA256, body)))
}

/// The id of the event's user: `userId`, else that of `user`.
fn user(event: &Map<String, Value>) -> Result<Option<String>, MalformedError> {
    let by_id = id(event, "userId")?;
    let user = object(event, "user")?;
    match (by_id, user) {
        (Some(id), _) => Ok(Some(id)),
        (None, Some(user)) => {
            let id = required(user, "id").map_err(|_| MalformedError("user"))?;
            Ok(Some(id.to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// The longest lifetime that `applicationTimeToLiveInSeconds` names.
fn token_lifetime(event: &Map<String, Value>) -> Result<Option<Duration>, MalformedError> {
    const NAME: &str = "applicationTimeToLiveInSeconds";
    let Some(lifetimes) = object(event, NAME)? else {
        return Ok(None);
    };
    let seconds = lifetimes.values().map(Value::as_u64);
    let seconds: Option<Vec<u64>> = seconds.collect();
    let longest = seconds.ok_or(MalformedError(NAME))?.into_iter().max();
    Ok(longest.map(Duration::from_secs))
}

/// An object member; `None` where it is absent or null.
fn object<'a>(
    of: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a Map<String, Value>>, MalformedError> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(MalformedError(name))
        }
    }
}

/// An id that may be absent or null.
fn id(of: &Map<String, Value>, name: &'static str) -> Result<Option<String>, MalformedError> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => required(of, name).map(|id| Some(id.to_owned())),
    }
}

/// A text that is there, and is no longer than an id may be.
fn required<'a>(of: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, MalformedError> {
    let text = of.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty() && text.len() <= MAX_ID)
        .ok_or(MalformedError(name))
}

#[cfg(test)]
mod tests;
