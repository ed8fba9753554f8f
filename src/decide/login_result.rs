//! What follows when the provider has answered a login, for the login form and for the steps after
//! it.
//!
//! * Success: the cookies are set, and the user goes on to where they wanted to go, by `303`, so
//!   that no browser posts the password again. A preserved post is offered first.
//! * The way on never leads back into the gateway's own login or logout, nor to an address that the
//!   gateway refuses.
//! * Where the provider asks for a step first, the user goes on to its page by `303`.

use std::sync::Arc;

use crate::model::challenge::{NextStep, OpenedChallenge};
use crate::model::cookie_change::CookieChange;
use crate::model::credential::CredentialKind;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, Redirect, StepPage};
use crate::model::login::LoginForm;
use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;
use crate::model::site::Site;
use crate::model::token::CompletedLogin;

use super::endpoint::{self, StepEndpoint};
use super::facts::{Facts, Known, Question};
use super::preserved_post;
use super::request_target;
use super::verdict::{Decision, Verdict};

/// What is carried through every step of a login.
#[derive(Clone, Copy)]
pub(super) struct LoginContext<'f> {
    /// The login name, as typed.
    pub(super) login_id: &'f str,
    /// Where the user goes after the login.
    pub(super) return_to: Option<&'f ReturnPath>,
    /// The sealed form that was posted after the login had expired.
    pub(super) preserved_post: Option<&'f Arc<str>>,
}

impl<'f> LoginContext<'f> {
    /// The context of a posted login form.
    pub(super) fn of_login(form: &'f LoginForm) -> Self {
        Self {
            login_id: &form.login_id,
            return_to: form.return_to.as_ref(),
            preserved_post: form.preserved_post.as_ref(),
        }
    }

    /// The context of a step: what the challenge holds, and the preserved post of its form.
    pub(super) fn of_step(
        opened: &'f OpenedChallenge,
        preserved_post: Option<&'f Arc<str>>,
    ) -> Self {
        let options = &opened.challenge.options;
        Self {
            login_id: &options.login_id,
            return_to: options.return_to.as_ref(),
            preserved_post,
        }
    }
}

/// The cookies that a browser gets for a login.
///
/// Where the provider gave no refresh token, that of an earlier login is cleared: it may be somebody
/// else's, whom the next refresh would log in.
pub(super) fn session_cookies(login: &CompletedLogin) -> Vec<CookieChange> {
    let tokens = &login.tokens;
    let keeps_none = tokens.refresh.is_none() && tokens.kind != CredentialKind::Bearer;
    std::iter::once(CookieChange::SetTokens(tokens.clone()))
        .chain(keeps_none.then_some(CookieChange::ClearRefresh))
        .chain(login.device.clone().map(CookieChange::SetDevice))
        .collect()
}

/// The user is logged in: shows the preserved post, where there is one, else redirects.
pub(super) fn login_succeeded<'a>(
    site: &Site,
    facts: &Facts,
    login: &CompletedLogin,
    context: LoginContext<'_>,
) -> Decision<'a> {
    let LoginContext {
        login_id,
        return_to,
        preserved_post,
    } = context;
    let verdict = match (preserved_post, &facts.restored_post) {
        (Some(sealed), Known::NotAsked) => {
            return Decision::Needs(Question::RestorePost {
                sealed: Arc::clone(sealed),
                sub: login.principal.identity.sub.clone(),
                login_id: login_id.to_owned(),
            });
        }
        (Some(_), Known::Found(restored)) => {
            let continue_to = destination(site, return_to).to_string();
            let page = preserved_post::restored_page(restored, continue_to);
            Verdict::reply(LocalResponse::PreservedPost(page), Reason::OwnEndpoint)
        }
        // What does not open was never sealed here, or under a key that is gone.
        (Some(_), Known::Absent(_) | Known::Failed(_)) | (None, _) => {
            redirect_after_login(site, return_to)
        }
    };
    Decision::Settled(verdict.with_cookies(session_cookies(login)))
}

/// A `303` to `return_to`, or to the site's landing page.
pub(super) fn redirect_after_login<'a>(site: &Site, return_to: Option<&ReturnPath>) -> Verdict<'a> {
    let redirect = Redirect {
        status: 303,
        location: LocalPath::from(destination(site, return_to)),
        clear_site_data: false,
    };
    Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint)
}

fn destination<'s>(site: &'s Site, return_to: Option<&'s ReturnPath>) -> &'s ReturnPath {
    return_to
        .filter(|path| !endpoint::is_login_or_logout(site, path))
        .filter(|path| request_target::is_accepted(site, path))
        .unwrap_or(&site.landing)
}

/// The form of the next step that the provider asks for.
pub(super) fn next_step<'a>(
    site: &Site,
    next: &NextStep,
    reason: Reason,
    context: LoginContext<'_>,
) -> Verdict<'a> {
    let response = match step_redirect(site, next, context, None) {
        Some(redirect) => LocalResponse::Redirect(redirect),
        None => LocalResponse::StepPage(Box::new(step_page(next.clone(), context))),
    };
    Verdict::reply(response, reason)
}

/// The query parameter of a step's page that tells by which method a code was sent.
pub(super) const CODE_SENT: &str = "sent";

/// A `303` to the page of `next_step`, so that the browser keeps no posted form in its history and
/// never asks to send one again. `code_sent` is the method by which a code was just sent.
///
/// `None` where the address would be longer than a request may be, and where a preserved post is
/// carried, which no address can hold: the page itself is the answer then.
pub(super) fn step_redirect(
    site: &Site,
    next_step: &NextStep,
    context: LoginContext<'_>,
    code_sent: Option<usize>,
) -> Option<Redirect> {
    if context.preserved_post.is_some() {
        return None;
    }
    let mut location = StepEndpoint::page_address(site, next_step);
    if let Some(method) = code_sent {
        location = location.with_parameter(CODE_SENT, &method.to_string());
    }
    (location.as_str().len() <= site.limits.own_target()).then_some(Redirect {
        status: 303,
        location,
        clear_site_data: false,
    })
}

/// The form of `next_step` as it is first shown.
pub(super) fn step_page(next_step: NextStep, context: LoginContext<'_>) -> StepPage {
    StepPage {
        status: 401,
        next_step,
        error: None,
        violations: Vec::new(),
        code_sent_by: None,
        retry_after: None,
        trust_device: false,
        login_id: context.login_id.to_owned(),
        return_to: context.return_to.cloned(),
        preserved_post: context.preserved_post.cloned(),
    }
}
