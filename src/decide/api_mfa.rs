//! The steps that may follow a password, as JSON endpoints. Their forms are in `mfa`.

use std::sync::Arc;

use crate::model::api_request::TokenDelivery;
use crate::model::challenge::OpenedChallenge;
use crate::model::credential::CredentialKind;
use crate::model::local_response::LocalResponse;
use crate::model::login_step::StepSubmission;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::api_body::{ApiError, bearer_kind, request_body};
use super::api_login::{BrowserState, login_refused, login_response};
use super::challenge::{ChallengeError, open_challenge, submitted_code, submitted_password};
use super::endpoint::StepEndpoint;
use super::facts::{Facts, Known, Question};
use super::verdict::{Decision, Verdict};

/// Decides about a call that continues a login.
///
/// # Errors
/// [`ApiError`] where the provider is not asked.
pub(super) fn decide<'a>(
    endpoint: StepEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Result<Decision<'a>, ApiError> {
    let StepCall { challenge, action } = parse(endpoint, request, site, facts)?;
    let opened = match open_challenge(endpoint, &challenge, facts, now) {
        Ok(opened) => opened,
        Err(ChallengeError::NotOpened(question)) => return Ok(Decision::Needs(question)),
        Err(ChallengeError::Expired(_)) => {
            return Err(ApiError::Refused(Reason::ChallengeExpired));
        }
        Err(ChallengeError::Unavailable(reason)) => return Err(ApiError::Unavailable(reason)),
    };
    let kind = match opened.challenge.options.token_delivery {
        TokenDelivery::Cookie => site.credential,
        TokenDelivery::Body => bearer_kind(request, site)?,
    };
    Ok(match action {
        Action::Continue(submission) => continue_login(opened, submission, kind, request, facts),
        Action::SendCode { choice } => send_code(opened, choice, facts),
    })
}

/// A call that was read.
struct StepCall {
    /// The sealed challenge of the pending login.
    challenge: Secret,
    action: Action,
}

/// What a call asks for.
enum Action {
    /// To continue the login with this.
    Continue(StepSubmission),
    /// To be sent a code.
    SendCode {
        /// The sealed choice of a method.
        choice: Secret,
    },
}

fn parse(
    endpoint: StepEndpoint,
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
) -> Result<StepCall, ApiError> {
    let body = request_body(request, site, facts)?;
    let call = match endpoint {
        StepEndpoint::TwoFactor => body.two_factor().and_then(|body| {
            let submission = StepSubmission::Code {
                code: submitted_code(&body.code)?,
                trust_device: body.trust_device,
            };
            Some(StepCall {
                challenge: body.challenge,
                action: Action::Continue(submission),
            })
        }),
        StepEndpoint::NewPassword => body.new_password().and_then(|body| {
            let password = submitted_password(&body.password)?;
            Some(StepCall {
                challenge: body.challenge,
                action: Action::Continue(StepSubmission::Password(password)),
            })
        }),
        StepEndpoint::SendCode => body.send_code().map(|body| StepCall {
            challenge: body.challenge,
            action: Action::SendCode {
                choice: body.choice,
            },
        }),
    };
    call.ok_or(ApiError::Refused(Reason::RejectedInput))
}

fn continue_login<'a>(
    opened: &Arc<OpenedChallenge>,
    submission: StepSubmission,
    kind: CredentialKind,
    request: &RequestView<'a>,
    facts: &Facts,
) -> Decision<'a> {
    Decision::Settled(match &facts.login {
        Known::NotAsked => {
            let BrowserState { session, device } = BrowserState::of(request, kind);
            return Decision::Needs(Question::ContinueLogin {
                opened: Arc::clone(opened),
                submission,
                kind,
                session,
                device,
            });
        }
        Known::Found(login) => login_response(login),
        Known::Absent(refused) => login_refused(refused),
        Known::Failed(reason) => Verdict::unavailable(*reason),
    })
}

fn send_code<'a>(opened: &Arc<OpenedChallenge>, choice: Secret, facts: &Facts) -> Decision<'a> {
    Decision::Settled(match &facts.code_sent {
        Known::NotAsked => {
            return Decision::Needs(Question::SendCode {
                opened: Arc::clone(opened),
                choice,
            });
        }
        Known::Found(_) => Verdict::reply(LocalResponse::NoContent, Reason::OwnEndpoint),
        Known::Absent(refused) => login_refused(refused),
        Known::Failed(reason) => Verdict::unavailable(*reason),
    })
}
