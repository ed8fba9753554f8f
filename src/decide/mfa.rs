//! The steps that may follow a password, as forms: a code, the wish to be sent one, a new password.
//!
//! From whom, then what, then whether the challenge holds, then the form's own proof, and only then
//! the provider. No step can be begun without a challenge, which only a right password brings
//! (threat model, R-46).

use std::sync::Arc;

use crate::model::api_call::TokenDelivery;
use crate::model::challenge::{NextStep, OpenedChallenge, StepFields, StepSubmission};
use crate::model::local_response::{LocalResponse, LoginPage, StepPage};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::endpoint::StepCall;
use super::facts::{Facts, Known, Question};
use super::login::{self, LoginContext, arrived, csrf_holds, size};
use super::{Decision, RETRY_AFTER_TROUBLE, Verdict, trouble};

pub(super) fn decide<'a>(
    call: StepCall,
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
        Known::NotAsked => return Decision::Needs(Question::ReadStepForm(size(request))),
        Known::Found(fields) => fields,
        Known::Absent(reason) => return Decision::Settled(Verdict::problem(*reason)),
        Known::Failed(reason) => return Decision::Settled(trouble(*reason)),
    };
    let opened = match open(call, &fields.challenge, facts, now) {
        Ok(opened) => opened,
        Err(ChallengeError::Unopened(question)) => return Decision::Needs(question),
        Err(ChallengeError::Over(opened)) => {
            return Decision::Settled(begin_again(
                opened.as_deref(),
                fields,
                (Reason::ChallengeExpired, None),
            ));
        }
        Err(ChallengeError::Trouble(reason)) => return Decision::Settled(trouble(reason)),
    };
    // Whoever asked for tokens in a body is no browser, and fills in no form.
    if opened.challenge.chosen.tokens == TokenDelivery::Body {
        return Decision::Settled(Verdict::problem(Reason::BrowserTokensRefused));
    }
    let form = Form { opened, fields };
    if !csrf_holds(request, site, &fields.csrf) {
        return Decision::Settled(form.again(Reason::CsrfFailed, None));
    }
    match call {
        StepCall::SendCode => send(&form, facts),
        StepCall::TwoFactor => proceed(
            code(&fields.code, fields.trust),
            &form,
            request,
            site,
            facts,
        ),
        StepCall::NewPassword => proceed(password(&fields.password), &form, request, site, facts),
    }
}

/// Why a challenge cannot be gone on with.
pub(super) enum ChallengeError<'a> {
    /// Nobody has looked into it yet.
    Unopened(Question<'a>),
    /// It is over; what was in it, where it could be read.
    Over(Option<Arc<OpenedChallenge>>),
    /// Nobody can say.
    Trouble(Reason),
}

/// The challenge that was brought back, while it lasts. Of one that does not hold the provider
/// hears nothing.
pub(super) fn open<'a, 'f>(
    call: StepCall,
    challenge: &Secret,
    facts: &'f Facts,
    now: Timestamp,
) -> Result<&'f Arc<OpenedChallenge>, ChallengeError<'a>> {
    match &facts.challenge {
        Known::NotAsked => Err(ChallengeError::Unopened(Question::OpenChallenge {
            step: call.step(),
            challenge: challenge.clone(),
        })),
        Known::Found(opened) if now < opened.challenge.ends => Ok(opened),
        Known::Found(opened) => Err(ChallengeError::Over(Some(Arc::clone(opened)))),
        Known::Absent(_) => Err(ChallengeError::Over(None)),
        Known::Failed(reason) => Err(ChallengeError::Trouble(*reason)),
    }
}

/// A code as an answer; `None` where nothing was typed.
pub(super) fn code(typed: &Secret, trust: bool) -> Option<StepSubmission> {
    let code = bare(typed.expose());
    (!code.is_empty()).then(|| StepSubmission::Code {
        code: Secret::new(code),
        trust,
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
fn proceed<'a>(
    answer: Option<StepSubmission>,
    form: &Form<'_>,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Decision<'a> {
    let Some(answer) = answer else {
        return Decision::Settled(form.again(Reason::RejectedInput, None));
    };
    Decision::Settled(match &facts.sign_in {
        Known::NotAsked => {
            let (opened, kind) = (Arc::clone(form.opened), site.credential);
            let (session, device) = (
                request.cookies.session.value(),
                request.cookies.device.value(),
            );
            return Decision::Needs(Question::Continue {
                opened,
                answer,
                kind,
                session,
                device,
            });
        }
        Known::Found(signed_in) => return arrived(site, facts, signed_in, form.brought()),
        Known::Absent(refused) => form.refused(refused),
        Known::Failed(reason) => form.failed(*reason),
    })
}

/// The wish to be sent a code.
fn send<'a>(form: &Form<'_>, facts: &Facts) -> Decision<'a> {
    Decision::Settled(match &facts.sent {
        Known::NotAsked => {
            let (opened, choice) = (Arc::clone(form.opened), form.fields.choice.clone());
            return Decision::Needs(Question::SendCode { opened, choice });
        }
        Known::Found(way) => {
            let page = StepPage {
                status: 200,
                sent: Some(*way),
                ..form.page()
            };
            Verdict::reply(LocalResponse::StepPage(Box::new(page)), Reason::OwnEndpoint)
        }
        Known::Absent(refused) => form.refused(refused),
        Known::Failed(reason) => form.failed(*reason),
    })
}

/// A form of a step that was posted while its challenge held.
struct Form<'f> {
    opened: &'f Arc<OpenedChallenge>,
    fields: &'f StepFields,
}

impl Form<'_> {
    /// The same step once more.
    fn page(&self) -> StepPage {
        StepPage {
            trust: self.fields.trust,
            ..page(self.opened.shown.clone(), self.brought())
        }
    }

    fn brought(&self) -> LoginContext<'_> {
        let chosen = &self.opened.challenge.chosen;
        LoginContext {
            login_id: &chosen.login_id,
            return_to: chosen.return_to.as_ref(),
            preserved_post: self.fields.preserved_post.as_ref(),
        }
    }

    fn again<'a>(&self, reason: Reason, retry_after: Option<u32>) -> Verdict<'a> {
        let page = StepPage {
            status: reason.status(),
            trouble: Some(reason),
            retry_after,
            ..self.page()
        };
        Verdict::reply(LocalResponse::StepPage(Box::new(page)), reason)
    }

    fn failed<'a>(&self, reason: Reason) -> Verdict<'a> {
        self.again(
            reason,
            (reason == Reason::ProviderUnavailable).then_some(RETRY_AFTER_TROUBLE),
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
                trouble: Some(reason),
                violations: refused.faults.clone(),
                retry_after: refused.retry_after,
                ..self.page()
            };
            return Verdict::reply(LocalResponse::StepPage(Box::new(page)), reason);
        }
        if login::asks_for_more(reason) {
            return login::asks(refused, self.brought());
        }
        begin_again(
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
        next,
        trouble: None,
        violations: Vec::new(),
        sent: None,
        retry_after: None,
        trust: false,
        login_id: brought.login_id.to_owned(),
        return_to: brought.return_to.cloned(),
        preserved_post: brought.preserved_post.cloned(),
    }
}

/// The sign-in form, with what is known from the first time.
fn begin_again<'a>(
    opened: Option<&OpenedChallenge>,
    fields: &StepFields,
    (reason, retry_after): (Reason, Option<u32>),
) -> Verdict<'a> {
    let chosen = opened.map(|opened| &opened.challenge.chosen);
    let form = LoginPage {
        status: reason.status(),
        trouble: Some(reason),
        cookieless: false,
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
