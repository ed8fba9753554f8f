//! The steps that may follow a password, as forms: a code, the wish to be sent one, a new password.
//!
//! From whom, then what, then whether the challenge holds, then the form's own proof, and only then
//! the provider. No step can be begun without a challenge, which only a right password brings
//! (threat model, R-46).

use std::sync::Arc;

use crate::model::api_request::TokenDelivery;
use crate::model::challenge::{NextStep, OpenedChallenge, StepForm, StepSubmission};
use crate::model::local_response::{LocalResponse, LoginPage, StepPage};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::endpoint::StepEndpoint;
use super::facts::{Facts, Known, Question};
use super::login::{self, LoginContext, csrf_token_matches, form_size, login_succeeded};
use super::{Decision, RETRY_AFTER_FAILURE, Verdict, unavailable};

pub(super) fn decide<'a>(
    call: StepEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    if matches!(
        request.provenance(site),
        Provenance::CrossOrigin | Provenance::Allowed
    ) {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let fields = match &facts.step_form {
        Known::NotAsked => return Decision::Needs(Question::ReadStepForm(form_size(request))),
        Known::Found(fields) => fields,
        Known::Absent(reason) => return Decision::Settled(Verdict::problem(*reason)),
        Known::Failed(reason) => return Decision::Settled(unavailable(*reason)),
    };
    let opened = match open(call, &fields.challenge, facts, now) {
        Ok(opened) => opened,
        Err(ChallengeError::NotOpened(question)) => return Decision::Needs(question),
        Err(ChallengeError::Expired(opened)) => {
            return Decision::Settled(restart_login(
                opened.as_deref(),
                fields,
                (Reason::ChallengeExpired, None),
            ));
        }
        Err(ChallengeError::Unavailable(reason)) => return Decision::Settled(unavailable(reason)),
    };
    // Whoever asked for tokens in a body is no browser, and fills in no form.
    if opened.challenge.options.token_delivery == TokenDelivery::Body {
        return Decision::Settled(Verdict::problem(Reason::BrowserTokensRefused));
    }
    let form = SubmittedStep { opened, fields };
    if !csrf_token_matches(request, site, &fields.csrf) {
        return Decision::Settled(form.again(Reason::CsrfFailed, None));
    }
    match call {
        StepEndpoint::SendCode => send_code(&form, facts),
        StepEndpoint::TwoFactor => continue_login(
            code(&fields.code, fields.trust_device),
            &form,
            request,
            site,
            facts,
        ),
        StepEndpoint::NewPassword => {
            continue_login(password(&fields.password), &form, request, site, facts)
        }
    }
}

/// Why a challenge cannot be gone on with.
pub(super) enum ChallengeError<'a> {
    /// Nobody has looked into it yet.
    NotOpened(Question<'a>),
    /// It is over; what was in it, where it could be read.
    Expired(Option<Arc<OpenedChallenge>>),
    /// Nobody can say.
    Unavailable(Reason),
}

/// The challenge that was brought back, while it lasts. Of one that does not hold the provider
/// hears nothing.
pub(super) fn open<'a, 'f>(
    call: StepEndpoint,
    challenge: &Secret,
    facts: &'f Facts,
    now: Timestamp,
) -> Result<&'f Arc<OpenedChallenge>, ChallengeError<'a>> {
    match &facts.challenge {
        Known::NotAsked => Err(ChallengeError::NotOpened(Question::OpenChallenge {
            step: call.step(),
            challenge: challenge.clone(),
        })),
        Known::Found(opened) if now < opened.challenge.expires => Ok(opened),
        Known::Found(opened) => Err(ChallengeError::Expired(Some(Arc::clone(opened)))),
        Known::Absent(_) => Err(ChallengeError::Expired(None)),
        Known::Failed(reason) => Err(ChallengeError::Unavailable(*reason)),
    }
}

/// A code as an answer; `None` where nothing was typed.
pub(super) fn code(typed: &Secret, trust: bool) -> Option<StepSubmission> {
    let code = bare(typed.expose());
    (!code.is_empty()).then(|| StepSubmission::Code {
        code: Secret::new(code),
        trust_device: trust,
    })
}

/// A new password as an answer; `None` where nothing was typed.
pub(super) fn password(typed: &Secret) -> Option<StepSubmission> {
    (!typed.expose().is_empty()).then(|| StepSubmission::Password(typed.clone()))
}

/// A code without the blanks that apps show in it and that are copied along. Recovery codes have
/// letters, and may have blanks of their own.
fn bare(typed: &str) -> String {
    let packed: String = typed.split_whitespace().collect();
    if packed.bytes().all(|byte| byte.is_ascii_digit()) {
        packed
    } else {
        typed.trim().to_owned()
    }
}

/// The code or the new password.
fn continue_login<'a>(
    answer: Option<StepSubmission>,
    form: &SubmittedStep<'_>,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Decision<'a> {
    let Some(answer) = answer else {
        return Decision::Settled(form.again(Reason::RejectedInput, None));
    };
    Decision::Settled(match &facts.login {
        Known::NotAsked => {
            let (opened, kind) = (Arc::clone(form.opened), site.credential);
            let (session, device) = (
                request.cookies.session.value(),
                request.cookies.device.value(),
            );
            return Decision::Needs(Question::ContinueLogin {
                opened,
                submission: answer,
                kind,
                session,
                device,
            });
        }
        Known::Found(signed_in) => return login_succeeded(site, facts, signed_in, form.brought()),
        Known::Absent(refused) => form.refused(refused),
        Known::Failed(reason) => form.failed(*reason),
    })
}

/// The wish to be sent a code.
fn send_code<'a>(form: &SubmittedStep<'_>, facts: &Facts) -> Decision<'a> {
    Decision::Settled(match &facts.code_sent {
        Known::NotAsked => {
            let (opened, choice) = (Arc::clone(form.opened), form.fields.choice.clone());
            return Decision::Needs(Question::SendCode { opened, choice });
        }
        Known::Found(way) => {
            let page = StepPage {
                status: 200,
                code_sent_by: Some(*way),
                ..form.page()
            };
            Verdict::reply(LocalResponse::StepPage(Box::new(page)), Reason::OwnEndpoint)
        }
        Known::Absent(refused) => form.refused(refused),
        Known::Failed(reason) => form.failed(*reason),
    })
}

/// A form of a step that was posted while its challenge held.
struct SubmittedStep<'f> {
    opened: &'f Arc<OpenedChallenge>,
    fields: &'f StepForm,
}

impl SubmittedStep<'_> {
    /// The same step once more.
    fn page(&self) -> StepPage {
        StepPage {
            trust_device: self.fields.trust_device,
            ..page(self.opened.next_step.clone(), self.brought())
        }
    }

    fn brought(&self) -> LoginContext<'_> {
        let chosen = &self.opened.challenge.options;
        LoginContext {
            login_id: &chosen.login_id,
            return_to: chosen.return_to.as_ref(),
            preserved_post: self.fields.preserved_post.as_ref(),
        }
    }

    fn again<'a>(&self, reason: Reason, retry_after: Option<u32>) -> Verdict<'a> {
        let page = StepPage {
            status: reason.status(),
            error: Some(reason),
            retry_after,
            ..self.page()
        };
        Verdict::reply(LocalResponse::StepPage(Box::new(page)), reason)
    }

    fn failed<'a>(&self, reason: Reason) -> Verdict<'a> {
        self.again(
            reason,
            (reason == Reason::ProviderUnavailable).then_some(RETRY_AFTER_FAILURE),
        )
    }

    /// What the provider, or a limit, said to this step.
    fn refused<'a>(&self, refused: &LoginRefused) -> Verdict<'a> {
        let reason = refused.reason;
        if matches!(
            reason,
            Reason::WrongCode | Reason::RejectedInput | Reason::Throttled
        ) {
            let page = StepPage {
                status: reason.status(),
                error: Some(reason),
                violations: refused.violations.clone(),
                retry_after: refused.retry_after,
                ..self.page()
            };
            return Verdict::reply(LocalResponse::StepPage(Box::new(page)), reason);
        }
        if login::requires_action(reason) {
            return login::action_required(refused, self.brought());
        }
        restart_login(
            Some(self.opened),
            self.fields,
            (reason, refused.retry_after),
        )
    }
}

/// The form of `next` as it is first shown.
pub(super) fn page(next: NextStep, brought: LoginContext<'_>) -> StepPage {
    StepPage {
        status: 401,
        next_step: next,
        error: None,
        violations: Vec::new(),
        code_sent_by: None,
        retry_after: None,
        trust_device: false,
        login_id: brought.login_id.to_owned(),
        return_to: brought.return_to.cloned(),
        preserved_post: brought.preserved_post.cloned(),
    }
}

/// The sign-in form, with what is known from the first time.
fn restart_login<'a>(
    opened: Option<&OpenedChallenge>,
    fields: &StepForm,
    (reason, retry_after): (Reason, Option<u32>),
) -> Verdict<'a> {
    let chosen = opened.map(|opened| &opened.challenge.options);
    let form = LoginPage {
        status: reason.status(),
        error: Some(reason),
        cookie_missing: false,
        login_id: chosen
            .map(|chosen| chosen.login_id.clone())
            .unwrap_or_default(),
        return_to: chosen.and_then(|chosen| chosen.return_to.clone()),
        remember: chosen.is_some_and(|chosen| chosen.remember),
        preserved_post: fields.preserved_post.clone(),
        retry_after,
    };
    Verdict::reply(LocalResponse::LoginPage(form), reason)
}
