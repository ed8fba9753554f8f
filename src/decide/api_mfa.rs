//! The steps that may follow a password, for programs: the twin of [`super::mfa`].

use std::sync::Arc;

use crate::model::api_request::TokenDelivery;
use crate::model::challenge::{OpenedChallenge, StepSubmission};
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::api::{ApiError, bearer_kind, body, login_refused, login_response, no_content};
use super::endpoint::StepEndpoint;
use super::facts::{Facts, Known, Question};
use super::mfa::{self, ChallengeError};
use super::{Decision, Verdict, unavailable};

pub(super) fn decide<'a>(
    call: StepEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Result<Decision<'a>, ApiError> {
    let body = body(request, site, facts)?;
    let unfit = || ApiError::Refused(Reason::RejectedInput);
    let (challenge, wanted) = match call {
        StepEndpoint::TwoFactor => {
            let call = body.two_factor().ok_or_else(unfit)?;
            let answer = mfa::code(&call.code, call.trust_device).ok_or_else(unfit)?;
            (call.challenge, Wanted::Tokens(answer))
        }
        StepEndpoint::NewPassword => {
            let call = body.new_password().ok_or_else(unfit)?;
            let answer = mfa::password(&call.password).ok_or_else(unfit)?;
            (call.challenge, Wanted::Tokens(answer))
        }
        StepEndpoint::SendCode => {
            let call = body.send_code().ok_or_else(unfit)?;
            (call.challenge, Wanted::Code(call.choice))
        }
    };
    let opened = match mfa::open(call, &challenge, facts, now) {
        Ok(opened) => opened,
        Err(ChallengeError::NotOpened(question)) => return Ok(Decision::Needs(question)),
        Err(ChallengeError::Expired(_)) => return Err(ApiError::Refused(Reason::ChallengeExpired)),
        Err(ChallengeError::Unavailable(reason)) => return Err(ApiError::Unavailable(reason)),
    };
    let kind = match opened.challenge.options.token_delivery {
        TokenDelivery::Cookie => site.credential,
        TokenDelivery::Body => bearer_kind(request, site)?,
    };
    Ok(match wanted {
        Wanted::Tokens(answer) => continue_login(opened, answer, kind, request, facts),
        Wanted::Code(choice) => send_code(opened, choice, facts),
    })
}

enum Wanted {
    /// To be let in for this.
    Tokens(StepSubmission),
    /// To be sent a code.
    Code(Secret),
}

fn continue_login<'a>(
    opened: &Arc<OpenedChallenge>,
    answer: StepSubmission,
    kind: CredentialKind,
    request: &RequestView<'a>,
    facts: &Facts,
) -> Decision<'a> {
    Decision::Settled(match &facts.login {
        Known::NotAsked => {
            // A client that keeps its tokens itself has nothing to do with a browser's session.
            let in_cookies = kind != CredentialKind::Bearer;
            let session = request.cookies.session.value().filter(|_| in_cookies);
            let device = request.cookies.device.value().filter(|_| in_cookies);
            return Decision::Needs(Question::ContinueLogin {
                opened: Arc::clone(opened),
                submission: answer,
                kind,
                session,
                device,
            });
        }
        Known::Found(signed_in) => login_response(signed_in),
        Known::Absent(refused) => login_refused(refused),
        Known::Failed(reason) => unavailable(*reason),
    })
}

fn send_code<'a>(opened: &Arc<OpenedChallenge>, choice: Secret, facts: &Facts) -> Decision<'a> {
    let verdict: Verdict<'a> = match &facts.code_sent {
        Known::NotAsked => {
            return Decision::Needs(Question::SendCode {
                opened: Arc::clone(opened),
                choice,
            });
        }
        Known::Found(_) => no_content(),
        Known::Absent(refused) => login_refused(refused),
        Known::Failed(reason) => unavailable(*reason),
    };
    Decision::Settled(verdict)
}
