//! The forms of the steps that may follow a password: a second-factor code, a code to be sent, a
//! new password.
//!
//! `GET` shows the form of the challenge in the query. The challenge is bound to the browser that
//! posted the login form, so an address that somebody passes on leads to the login page. A
//! challenge that has expired leads there too, or on to where the user wanted to go, where they
//! have logged in meanwhile: the back button leads to such addresses.
//!
//! A posted step is checked in this order: the origin, the form's fields, the challenge, how its
//! tokens are delivered, the CSRF token, and only then the provider is asked. A challenge that has
//! expired leads back to the login form, with what is known from the first time.

use std::sync::Arc;

use http::Method;

use crate::model::api_request::TokenDelivery;
use crate::model::challenge::OpenedChallenge;
use crate::model::local_response::{LocalResponse, LoginPage, StepPage};
use crate::model::login::LoginRefused;
use crate::model::login_step::{StepForm, StepSubmission};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::auth_status::{AuthStatus, auth_status};
use super::challenge::{ChallengeError, open_challenge, submitted_code, submitted_password};
use super::csrf_token::csrf_token_matches;
use super::endpoint::{CHALLENGE, StepEndpoint};
use super::facts::{Facts, Known, Question};
use super::login::{self, single_parameter};
use super::login_result::{
    CODE_SENT, LoginContext, login_succeeded, next_step, redirect_after_login, step_page,
    step_redirect,
};
use super::preserved_post::form_size;
use super::verdict::{Decision, RETRY_AFTER_FAILURE, Verdict};

/// Decides about a request for the page of a step, or its posted form.
pub(super) fn decide<'a>(
    endpoint: StepEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    if *request.method == Method::POST {
        submit(endpoint, request, site, facts, now)
    } else {
        show(endpoint, request, site, facts, now)
    }
}

/// `GET`: the form of the step.
fn show<'a>(
    endpoint: StepEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let Some(challenge) = single_parameter(request, CHALLENGE) else {
        return login::show(request, site, facts, now);
    };
    let opened = match open_challenge(endpoint, &Secret::new(challenge), facts, now) {
        Ok(opened) if is_of_browser(opened, request, site) == Some(true) => opened,
        Ok(_) => return challenge_expired(None, request, site, facts, now),
        Err(ChallengeError::NotOpened(question)) => return Decision::Needs(question),
        Err(ChallengeError::Expired(opened)) => {
            let opened = opened.filter(|opened| is_of_browser(opened, request, site) == Some(true));
            return challenge_expired(opened.as_deref(), request, site, facts, now);
        }
        Err(ChallengeError::Unavailable(reason)) => {
            return Decision::Settled(Verdict::unavailable(reason));
        }
    };
    let methods = opened.challenge.methods().len();
    let code_sent_by = single_parameter(request, CODE_SENT)
        .and_then(|position| position.parse().ok())
        .filter(|position| *position < methods);
    let page = StepPage {
        status: 200,
        code_sent_by,
        ..step_page(
            opened.next_step.clone(),
            LoginContext::of_step(opened, None),
        )
    };
    let response = LocalResponse::StepPage(Box::new(page));
    Decision::Settled(Verdict::reply(response, Reason::OwnEndpoint))
}

/// What the page of an expired challenge leads to: on, where the user has logged in, else to the
/// login form.
fn challenge_expired<'a>(
    opened: Option<&OpenedChallenge>,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let expired = || {
        let reason = Reason::ChallengeExpired;
        restart_login(opened, None, reason, None)
    };
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(user) => {
            let options = opened.map(|opened| &opened.challenge.options);
            let return_to = options.and_then(|options| options.return_to.as_ref());
            redirect_after_login(site, return_to).with_cookies(user.cookies)
        }
        AuthStatus::Anonymous(_, cookies) => expired().with_cookies(cookies),
        AuthStatus::Unavailable(_) | AuthStatus::Refused(_) => expired(),
    })
}

/// Whether the browser that sent `request` posted the login form of this challenge. `None` where
/// the challenge is bound to no browser.
fn is_of_browser(opened: &OpenedChallenge, request: &RequestView<'_>, site: &Site) -> Option<bool> {
    let browser = opened.challenge.options.browser.as_deref()?;
    Some(csrf_token_matches(request, site, browser))
}

/// `POST`: the step is taken, or a code is sent.
fn submit<'a>(
    endpoint: StepEndpoint,
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
    let form = match &facts.step_form {
        Known::NotAsked => return Decision::Needs(Question::ReadStepForm(form_size(request))),
        Known::Found(form) => form,
        Known::Absent(reason) => return Decision::Settled(Verdict::problem(*reason)),
        Known::Failed(reason) => return Decision::Settled(Verdict::unavailable(*reason)),
    };
    let preserved_post = form.preserved_post.as_ref();
    let opened = match open_challenge(endpoint, &form.challenge, facts, now) {
        Ok(opened) => opened,
        Err(ChallengeError::NotOpened(question)) => return Decision::Needs(question),
        Err(ChallengeError::Expired(opened)) => {
            let expired = Reason::ChallengeExpired;
            return Decision::Settled(restart_login(
                opened.as_deref(),
                preserved_post,
                expired,
                None,
            ));
        }
        Err(ChallengeError::Unavailable(reason)) => {
            return Decision::Settled(Verdict::unavailable(reason));
        }
    };
    // A client that asked for tokens in a body is not a browser and posts no form.
    if opened.challenge.options.token_delivery == TokenDelivery::Body {
        return Decision::Settled(Verdict::problem(Reason::BrowserTokensRefused));
    }
    if is_of_browser(opened, request, site) == Some(false) {
        let expired = Reason::ChallengeExpired;
        return Decision::Settled(restart_login(None, preserved_post, expired, None));
    }
    let step = SubmittedStep { site, opened, form };
    if !csrf_token_matches(request, site, &form.csrf) {
        return Decision::Settled(step.redisplay(Reason::CsrfFailed, None));
    }
    let submission = match endpoint {
        StepEndpoint::SendCode => return send_code(&step, facts),
        StepEndpoint::TwoFactor => submitted_code(&form.code).map(|code| StepSubmission::Code {
            code,
            trust_device: form.trust_device,
        }),
        StepEndpoint::NewPassword => {
            submitted_password(&form.password).map(StepSubmission::Password)
        }
    };
    match submission {
        Some(submission) => continue_login(submission, &step, request, site, facts),
        None => Decision::Settled(step.redisplay(Reason::RejectedInput, None)),
    }
}

/// A code or a new password: asks the provider, and shows what it says.
fn continue_login<'a>(
    submission: StepSubmission,
    step: &SubmittedStep<'_>,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Decision<'a> {
    Decision::Settled(match &facts.login {
        Known::NotAsked => {
            return Decision::Needs(Question::ContinueLogin {
                opened: Arc::clone(step.opened),
                submission,
                kind: site.credential,
                session: request.cookies.session.value(),
                device: request.cookies.device.value(),
            });
        }
        Known::Found(login) => return login_succeeded(site, facts, login, step.context()),
        Known::Absent(refused) => step.refused(refused),
        Known::Failed(reason) => step.failed(*reason),
    })
}

/// Asks the provider to send a code.
fn send_code<'a>(step: &SubmittedStep<'_>, facts: &Facts) -> Decision<'a> {
    Decision::Settled(match &facts.code_sent {
        Known::NotAsked => {
            return Decision::Needs(Question::SendCode {
                opened: Arc::clone(step.opened),
                choice: step.form.choice.clone(),
            });
        }
        Known::Found(method) => {
            let next_step = &step.opened.next_step;
            if let Some(redirect) =
                step_redirect(step.site, next_step, step.context(), Some(*method))
            {
                let response = LocalResponse::Redirect(redirect);
                return Decision::Settled(Verdict::reply(response, Reason::OwnEndpoint));
            }
            let page = StepPage {
                status: 200,
                code_sent_by: Some(*method),
                ..step.page()
            };
            Verdict::reply(LocalResponse::StepPage(Box::new(page)), Reason::OwnEndpoint)
        }
        Known::Absent(refused) => step.refused(refused),
        Known::Failed(reason) => step.failed(*reason),
    })
}

/// A posted step whose challenge has not expired.
struct SubmittedStep<'f> {
    site: &'f Site,
    opened: &'f Arc<OpenedChallenge>,
    form: &'f StepForm,
}

impl SubmittedStep<'_> {
    /// The form of the same step.
    fn page(&self) -> StepPage {
        StepPage {
            trust_device: self.form.trust_device,
            ..step_page(self.opened.next_step.clone(), self.context())
        }
    }

    fn context(&self) -> LoginContext<'_> {
        LoginContext::of_step(self.opened, self.form.preserved_post.as_ref())
    }

    /// The form again, under the status of `error`.
    fn redisplay<'a>(&self, error: Reason, retry_after: Option<u32>) -> Verdict<'a> {
        let page = StepPage {
            status: error.status(),
            error: Some(error),
            retry_after,
            ..self.page()
        };
        Verdict::reply(LocalResponse::StepPage(Box::new(page)), error)
    }

    /// The provider or the store failed: the step can be repeated.
    fn failed<'a>(&self, reason: Reason) -> Verdict<'a> {
        let is_outage = reason == Reason::ProviderUnavailable;
        self.redisplay(reason, is_outage.then_some(RETRY_AFTER_FAILURE))
    }

    /// The provider or the throttle refused this step. What the user can correct shows the step
    /// again, a further step shows that one, everything else leads back to the login form.
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
        if let Some(next) = &refused.next_step {
            return next_step(self.site, next, reason, self.context());
        }
        let preserved_post = self.form.preserved_post.as_ref();
        restart_login(
            Some(self.opened),
            preserved_post,
            reason,
            refused.retry_after,
        )
    }
}

/// The login form, prefilled with what the challenge held.
fn restart_login<'a>(
    opened: Option<&OpenedChallenge>,
    preserved_post: Option<&Arc<str>>,
    reason: Reason,
    retry_after: Option<u32>,
) -> Verdict<'a> {
    let mut page = LoginPage {
        status: reason.status(),
        error: Some(reason),
        preserved_post: preserved_post.cloned(),
        retry_after,
        ..LoginPage::new()
    };
    if let Some(opened) = opened {
        let options = &opened.challenge.options;
        page.login_id.clone_from(&options.login_id);
        page.return_to.clone_from(&options.return_to);
        page.remember = options.remember;
    }
    Verdict::reply(LocalResponse::LoginPage(page), reason)
}
