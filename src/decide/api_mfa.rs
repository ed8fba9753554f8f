//! The steps that may follow a password, for programs: the twin of [`super::mfa`].

use std::sync::Arc;

use crate::model::api_call::TokenDelivery;
use crate::model::challenge::{OpenedChallenge, StepSubmission};
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::api::{Stop, body, done, in_bodies, refusal, welcome};
use super::endpoint::StepCall;
use super::facts::{Facts, Known, Question};
use super::mfa::{self, ChallengeError};
use super::{Decision, Verdict, trouble};

pub(super) fn decide<'a>(
    call: StepCall,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Result<Decision<'a>, Stop> {
    let body = body(request, site, facts)?;
    let unfit = || Stop::Refused(Reason::RejectedInput);
    let (challenge, wanted) = match call {
        StepCall::TwoFactor => {
            let call = body.code().ok_or_else(unfit)?;
            let answer = mfa::code(&call.code, call.trust).ok_or_else(unfit)?;
            (call.challenge, Wanted::Tokens(answer))
        }
        StepCall::NewPassword => {
            let call = body.new_password().ok_or_else(unfit)?;
            let answer = mfa::password(&call.password).ok_or_else(unfit)?;
            (call.challenge, Wanted::Tokens(answer))
        }
        StepCall::SendCode => {
            let call = body.send().ok_or_else(unfit)?;
            (call.challenge, Wanted::Code(call.choice))
        }
    };
    let opened = match mfa::open(call, &challenge, facts, now) {
        Ok(opened) => opened,
        Err(ChallengeError::Unopened(question)) => return Ok(Decision::Needs(question)),
        Err(ChallengeError::Over(_)) => return Err(Stop::Refused(Reason::ChallengeExpired)),
        Err(ChallengeError::Trouble(reason)) => return Err(Stop::Trouble(reason)),
    };
    let kind = match opened.challenge.chosen.tokens {
        TokenDelivery::Cookie => site.credential,
        TokenDelivery::Body => in_bodies(request, site)?,
    };
    Ok(match wanted {
        Wanted::Tokens(answer) => proceed(opened, answer, kind, request, facts),
        Wanted::Code(choice) => send(opened, choice, facts),
    })
}

enum Wanted {
    /// To be let in for this.
    Tokens(StepSubmission),
    /// To be sent a code.
    Code(Secret),
}

fn proceed<'a>(
    opened: &Arc<OpenedChallenge>,
    answer: StepSubmission,
    kind: CredentialKind,
    request: &RequestView<'a>,
    facts: &Facts,
) -> Decision<'a> {
    Decision::Settled(match &facts.sign_in {
        Known::NotAsked => {
            // A client that keeps its tokens itself has nothing to do with a browser's session.
            let in_cookies = kind != CredentialKind::Bearer;
            let session = request.cookies.session.value().filter(|_| in_cookies);
            let device = request.cookies.device.value().filter(|_| in_cookies);
            return Decision::Needs(Question::Continue {
                opened: Arc::clone(opened),
                answer,
                kind,
                session,
                device,
            });
        }
        Known::Found(signed_in) => welcome(signed_in),
        Known::Absent(refused) => refusal(refused),
        Known::Failed(reason) => trouble(*reason),
    })
}

fn send<'a>(opened: &Arc<OpenedChallenge>, choice: Secret, facts: &Facts) -> Decision<'a> {
    let verdict: Verdict<'a> = match &facts.sent {
        Known::NotAsked => {
            return Decision::Needs(Question::SendCode {
                opened: Arc::clone(opened),
                choice,
            });
        }
        Known::Found(_) => done(),
        Known::Absent(refused) => refusal(refused),
        Known::Failed(reason) => trouble(*reason),
    };
    Decision::Settled(verdict)
}
