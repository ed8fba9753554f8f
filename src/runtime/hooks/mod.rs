//! Messages of identity providers that end sign-ins (`docs/reference/hooks.md`).
//!
//! The order of the checks: media type and size, then who sent the message, then what it says, then
//! whether it came before, then whether it concerns this gateway. What it ends is stored before the
//! message is marked as used and the provider gets its `200`: whatever fails in between, the
//! provider sends it again, and to end the same again changes nothing.

mod fields;
mod gate;
mod hook_error;
mod hook_provider;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

use crate::model::timestamp::Timestamp;
use crate::provider::webhook::{EndedTokens, EndingEvent, Event, EventKind, read_event};
use crate::store::RevocationId;
use crate::system::Clock;
use crate::telemetry::audit::{self, HookRecord};
use crate::telemetry::labels::{HookEvent, HookResult};

use super::revocation::Revocation;

pub use crate::model::hook::{HookAnswer, HookKind};

use fields::{bearer, logout_token_field, single};
use hook_error::{HookError, answer, in_time};

pub(super) use gate::HookGate;
pub(super) use hook_provider::HookProvider;

/// The header with the signature of FusionAuth's webhooks.
const SIGNATURE: HeaderName = HeaderName::from_static("x-fusionauth-signature-jwt");
/// How far ahead of the gateway's clock an event may be. What lies further ahead would refuse every
/// token until then.
const MAX_AHEAD: Duration = Duration::from_secs(60 * 60);
/// How old an event may be, and how long its id is kept.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Receives the messages of all providers.
pub struct Hooks {
    providers: Vec<HookProvider>,
    revocation: Arc<Revocation>,
    gate: Arc<HookGate>,
    clock: Clock,
}

/// A message as it arrived.
#[derive(Clone, Copy)]
pub struct HookRequest<'a> {
    /// What it claims to be.
    pub kind: HookKind,
    /// The provider that must have sent it; `None` for whichever has signed it.
    pub provider: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The body; `None` where it is larger than [`HookKind::max_body`].
    pub body: Option<&'a [u8]>,
    /// The client address.
    pub client: IpAddr,
}

/// What came of a message.
#[derive(Debug)]
struct Received<'a> {
    /// The providers that it concerns, or that may have been meant.
    providers: Vec<&'a HookProvider>,
    event: HookEvent,
    user: Option<String>,
    result: Result<HookResult, HookError>,
}

impl Hooks {
    /// Receives the messages of `providers`.
    pub(super) fn new(
        providers: Vec<HookProvider>,
        revocation: &Arc<Revocation>,
        gate: &Arc<HookGate>,
        clock: &Clock,
    ) -> Self {
        Self {
            providers,
            revocation: Arc::clone(revocation),
            gate: Arc::clone(gate),
            clock: clock.clone(),
        }
    }

    /// Takes a message, and ends what it ends.
    pub async fn receive(&self, request: HookRequest<'_>) -> HookAnswer {
        let received = self.process(request).await;
        record(request, &received);
        answer(request.kind, received.result)
    }

    async fn process(&self, request: HookRequest<'_>) -> Received<'_> {
        let meant = self.meant(request);
        let event = match request.kind {
            HookKind::Fusionauth => HookEvent::Other,
            HookKind::BackchannelLogout => HookEvent::BackchannelLogout,
        };
        let refused = |error| Received {
            providers: meant.clone(),
            event,
            user: None,
            result: Err(error),
        };
        let Some(first) = meant.first().copied() else {
            return refused(HookError::UnknownProvider);
        };
        let body = match checked_body(request) {
            Ok(body) => body,
            Err(error) => return refused(error),
        };
        let Some(passed) = self.gate.enter(request.client, self.clock.monotonic()) else {
            return refused(HookError::Throttled);
        };
        match request.kind {
            HookKind::Fusionauth => {
                let now = self.clock.now();
                let senders = authenticate(&meant, request.headers, body, now).await;
                if senders.is_ok() {
                    self.gate.authentic(&passed);
                }
                match senders {
                    Ok(senders) => self.webhook(senders, body).await,
                    Err(error) => refused(error),
                }
            }
            HookKind::BackchannelLogout => {
                let (received, is_authentic) = self.logout_token(first, body).await;
                if is_authentic {
                    self.gate.authentic(&passed);
                }
                received
            }
        }
    }

    /// The providers that may have sent a message.
    fn meant(&self, request: HookRequest<'_>) -> Vec<&HookProvider> {
        let is_meant = |provider: &&HookProvider| {
            request
                .provider
                .is_none_or(|name| provider.client.name == name)
                && match request.kind {
                    HookKind::Fusionauth => provider.sends_webhooks,
                    HookKind::BackchannelLogout => true,
                }
        };
        self.providers.iter().filter(is_meant).collect()
    }

    /// Takes a webhook that these providers have sent.
    async fn webhook<'a>(&self, senders: Vec<&'a HookProvider>, body: &[u8]) -> Received<'a> {
        let received = |providers, event, user, result| Received {
            providers,
            event,
            user,
            result,
        };
        let event = match read_event(body) {
            Ok(Event::Ending(event)) => event,
            Ok(Event::Other) => {
                return received(senders, HookEvent::Other, None, Ok(HookResult::Ignored));
            }
            Err(error) => {
                let error = HookError::Malformed(error.to_string());
                return received(senders, HookEvent::Other, None, Err(error));
            }
        };
        let label = label(event.kind);
        let user = event.ended.user().map(str::to_owned);
        let concerned = concerned(&senders, &event);
        let now = self.clock.now();
        let expires = event.created.plus(MAX_AGE);
        if event.created > now.plus(MAX_AHEAD) || expires <= now {
            let error = HookError::Malformed("`createInstant` is too far from now".to_owned());
            return received(senders, label, user, Err(error));
        }
        if concerned.is_empty() {
            return received(senders, label, user, Ok(HookResult::Ignored));
        }
        let mut result = Ok(HookResult::Ok);
        for provider in &concerned {
            let end = End {
                ended: &event.ended,
                issued_by: event.created,
                token_lifetime: event.token_lifetime,
                message: RevocationId::of_message(provider.client.realm(), &event.id),
                expires,
            };
            if let Err(error) = self.end(provider, end).await {
                result = Err(error);
            }
        }
        received(concerned, label, user, result)
    }

    /// Takes a logout token of `provider`. Returns whether its signature was right, too.
    async fn logout_token<'a>(
        &self,
        provider: &'a HookProvider,
        body: &[u8],
    ) -> (Received<'a>, bool) {
        let received = |user, result| Received {
            providers: vec![provider],
            event: HookEvent::BackchannelLogout,
            user,
            result,
        };
        let Some(token) = logout_token_field(body) else {
            let error = HookError::Malformed("`logout_token` is missing or repeated".to_owned());
            return (received(None, Err(error)), false);
        };
        let now = self.clock.now();
        let verified = provider
            .client
            .verify_logout_token(&token, &provider.logout_audiences, now);
        let token = match in_time(verified).await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => {
                let error = HookError::Malformed(error.to_string());
                return (received(None, Err(error)), true);
            }
            Err(error) => return (received(None, Err(error)), false),
        };
        let ended = provider.of_clients(token.ended);
        let user = ended.user().map(str::to_owned);
        let end = End {
            ended: &ended,
            // The second of the `iat` has passed only in part.
            issued_by: token
                .issued
                .plus(LAST_MILLISECOND)
                .min(now)
                .max(token.issued),
            token_lifetime: None,
            message: RevocationId::of_message(provider.client.realm(), &token.id),
            expires: token.expires,
        };
        let result = self.end(provider, end).await;
        (received(user, result.map(|()| HookResult::Ok)), true)
    }

    /// Ends what a message ends, once.
    async fn end(&self, provider: &HookProvider, end: End<'_>) -> Result<(), HookError> {
        let now = self.clock.now();
        if self.revocation.is_used(end.message, now) {
            return Err(HookError::Replayed);
        }
        let revocation = provider.revocation(&end, now);
        let stored = self.revocation.revoke_all(&[revocation], now).await;
        stored.map_err(|_| HookError::NotStored)?;
        match self
            .revocation
            .mark_used(end.message, end.expires, now)
            .await
        {
            Ok(false) => Err(HookError::Replayed),
            // What it ends is stored, also where the mark is not. Another replica may take the message
            // again, which ends nothing more; if it came here again, it would be a replay.
            Ok(true) | Err(_) => Ok(()),
        }
    }
}

/// From the beginning of a second to its last millisecond.
const LAST_MILLISECOND: Duration = Duration::from_millis(999);

/// What a message ends.
struct End<'a> {
    ended: &'a EndedTokens,
    /// Tokens that were issued by this time.
    issued_by: Timestamp,
    /// How long access tokens may live, where the message says so.
    token_lifetime: Option<Duration>,
    /// Tells the message from others.
    message: RevocationId,
    /// After this time it is not accepted any more.
    expires: Timestamp,
}

/// The body of a message whose media type is right.
fn checked_body(request: HookRequest<'_>) -> Result<&[u8], HookError> {
    let mut types = request.headers.get_all(header::CONTENT_TYPE).iter();
    let media_type = match (types.next(), types.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    };
    let media_type = media_type.split(';').next().unwrap_or_default();
    if !media_type
        .trim_ascii()
        .eq_ignore_ascii_case(request.kind.media_type())
    {
        return Err(HookError::MediaType);
    }
    request.body.ok_or(HookError::TooLarge)
}

/// Finds out which of the providers that may be meant has sent a webhook. A signature, where there
/// is one, must be right: the secret does not make up for a wrong one.
async fn authenticate<'a>(
    meant: &[&'a HookProvider],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<&'a HookProvider>, HookError> {
    let mut senders: Vec<&HookProvider> = Vec::new();
    if headers.contains_key(SIGNATURE) {
        let signature = single(headers, &SIGNATURE);
        let signature = signature.ok_or(HookError::NotAuthentic("the signature is repeated"))?;
        let mut errors = Vec::new();
        for provider in meant {
            let verified = provider.client.verify_webhook(signature, body, now);
            match in_time(verified).await {
                Ok(()) => senders.push(provider),
                Err(error) => errors.push(error),
            }
        }
        if senders.is_empty() {
            // Where one of them could not be asked, it may be its message.
            let unchecked = errors.iter().position(|error| *error == HookError::NoKeys);
            return Err(errors.swap_remove(unchecked.unwrap_or_default()));
        }
        return Ok(senders);
    }
    let secret = single(headers, &header::AUTHORIZATION).and_then(bearer);
    let secret = secret.ok_or(HookError::NotAuthentic("neither signature nor secret"))?;
    senders.extend(meant.iter().filter(|provider| provider.has_secret(secret)));
    if senders.is_empty() {
        return Err(HookError::NotAuthentic("the secret is not right"));
    }
    Ok(senders)
}

/// The senders that an event concerns: it is of their tenant, and of two that are one issuer, the
/// first.
fn concerned<'a>(senders: &[&'a HookProvider], event: &EndingEvent) -> Vec<&'a HookProvider> {
    let mut concerned: Vec<&HookProvider> = Vec::new();
    for provider in senders {
        let is_known = |known: &&HookProvider| known.client.realm() == provider.client.realm();
        if provider.has_tenant(event.tenant.as_deref()) && !concerned.iter().any(is_known) {
            concerned.push(provider);
        }
    }
    concerned
}

const fn label(kind: EventKind) -> HookEvent {
    match kind {
        EventKind::RefreshTokenRevoke => HookEvent::RefreshTokenRevoke,
        EventKind::UserDeactivate => HookEvent::UserDeactivate,
        EventKind::UserDelete => HookEvent::UserDelete,
        EventKind::UserPasswordUpdate => HookEvent::UserPasswordUpdate,
        EventKind::UserRegistrationDelete => HookEvent::UserRegistrationDelete,
    }
}

/// Counts a message, and writes its audit record.
fn record(request: HookRequest<'_>, received: &Received<'_>) {
    let (result, cause) = match &received.result {
        Ok(result) => (*result, None),
        Err(HookError::UnknownProvider) => (HookResult::Refused, Some("no such provider")),
        Err(HookError::Throttled) => (HookResult::Throttled, None),
        Err(HookError::NoKeys) => (HookResult::Unavailable, Some("the keys are not known")),
        Err(HookError::NotStored) => (HookResult::Unavailable, Some("it was not stored")),
        Err(HookError::MediaType) => (HookResult::Refused, Some("another media type")),
        Err(HookError::TooLarge) => (HookResult::Refused, Some("too large")),
        Err(HookError::NotAuthentic(why)) => (HookResult::Refused, Some(*why)),
        Err(HookError::Malformed(why)) => (HookResult::Refused, Some(why.as_str())),
        Err(HookError::Replayed) => (HookResult::Refused, Some("received before")),
    };
    for provider in &received.providers {
        provider.metrics.hook(received.event, result);
    }
    let providers = received.providers.iter();
    let names: Vec<&str> = providers.map(|it| it.client.name.as_str()).collect();
    audit::hook(HookRecord {
        provider: &names.join(","),
        event: received.event,
        result,
        cause,
        user: received.user.as_deref(),
        client: request.client,
    });
}
