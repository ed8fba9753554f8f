//! The sign-in form: shown, posted, answered.

use std::sync::Arc;

use http::Method;

use crate::model::cookie::PresentedCookie;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{
    ActionRequired, CookieChange, LocalResponse, LoginPage, Redirect,
};
use crate::model::login::{Credentials, LoginForm, LoginRefused};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::CompletedLogin;

use super::authorize::{AuthStatus, auth_status};
use super::endpoint::StepEndpoint;
use super::facts::{Facts, FormSize, Known, Question};
use super::{Decision, RETRY_AFTER_FAILURE, Verdict, unavailable};
use super::{hosted_backend, mfa, preserved_post, redirect_loop};

pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    if *request.method == Method::POST {
        submit(request, site, facts)
    } else {
        show(request, site, facts, now)
    }
}

/// `GET /login`: the form, or on to where the visitor wanted to go when they are signed in already.
fn show<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Timestamp) -> Decision<'a> {
    let return_to = return_address(request);
    match auth_status(request, site, facts, now) {
        AuthStatus::Ask(question) => Decision::Needs(question),
        AuthStatus::Authenticated(somebody) => {
            let verdict =
                redirect_after_login(site, return_to.as_ref()).with_cookies(somebody.cookies());
            redirect_loop::after_login(request, site, facts, verdict)
        }
        AuthStatus::Anonymous(_, cookies) => {
            Decision::Settled(login_page(return_to).with_cookies(cookies))
        }
        // Cookies stay: the visitor may be signed in again as soon as the provider is back.
        AuthStatus::Unavailable(_) => Decision::Settled(login_page(return_to)),
        AuthStatus::Refused(reason) => Decision::Settled(Verdict::problem(reason)),
    }
}

/// The form without anything in it.
pub(super) fn login_page<'a>(return_to: Option<ReturnPath>) -> Verdict<'a> {
    let form = LoginPage {
        status: 200,
        error: None,
        cookie_missing: false,
        login_id: String::new(),
        return_to,
        remember: false,
        preserved_post: None,
        retry_after: None,
    };
    Verdict::reply(LocalResponse::LoginPage(form), Reason::OwnEndpoint)
}

/// `return_to` of the query. Given twice it is nobody's wish.
fn return_address(request: &RequestView<'_>) -> Option<ReturnPath> {
    let query = request.target.query()?;
    let mut values =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "return_to");
    let (_, value) = values.next()?;
    if values.next().is_some() {
        None
    } else {
        ReturnPath::parse(&value)
    }
}

/// `POST /login`: from whom, then what, then the form's own proof, and only then the password.
fn submit<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Decision<'a> {
    if request.provenance(site) == Provenance::CrossOrigin
        || request.provenance(site) == Provenance::Allowed
    {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let form = match &facts.login_form {
        Known::NotAsked => {
            return Decision::Needs(Question::ReadLoginForm(form_size(request)));
        }
        Known::Found(form) => form,
        Known::Absent(reason) => return Decision::Settled(Verdict::problem(*reason)),
        Known::Failed(reason) => return Decision::Settled(unavailable(*reason)),
    };
    if !csrf_token_matches(request, site, &form.csrf) {
        let cookieless = request.cookies.form == PresentedCookie::Absent;
        let form = LoginPage {
            cookie_missing: cookieless,
            ..prefill(form, Reason::CsrfFailed, None)
        };
        return Decision::Settled(Verdict::reply(
            LocalResponse::LoginPage(form),
            Reason::CsrfFailed,
        ));
    }
    if form.login_id.trim().is_empty() || form.password.expose().is_empty() {
        return Decision::Settled(redisplay(form, Reason::RejectedInput, None));
    }
    let verdict = match &facts.login {
        Known::NotAsked => {
            let credentials = Credentials {
                login_id: form.login_id.clone(),
                password: form.password.clone(),
                remember: form.remember,
                return_to: form.return_to.clone(),
            };
            let (kind, session) = (site.credential, request.cookies.session.value());
            let device = request.cookies.device.value();
            return Decision::Needs(Question::Login {
                credentials,
                kind,
                session,
                device,
            });
        }
        Known::Found(signed_in) => {
            return login_succeeded(site, facts, signed_in, login_context(form));
        }
        Known::Absent(refused) => refusal(form, refused),
        Known::Failed(reason) => {
            let wait = (*reason == Reason::ProviderUnavailable).then_some(RETRY_AFTER_FAILURE);
            redisplay(form, *reason, wait)
        }
    };
    Decision::Settled(verdict)
}

/// How large a form may be: it says itself that it holds an unsent one.
pub(super) fn form_size(request: &RequestView<'_>) -> FormSize {
    if preserved_post::is_carried_by(request) {
        FormSize::WithPreservedPost
    } else {
        FormSize::Plain
    }
}

/// What goes along through every step of a sign-in.
#[derive(Clone, Copy)]
pub(super) struct LoginContext<'f> {
    pub(super) login_id: &'f str,
    pub(super) return_to: Option<&'f ReturnPath>,
    pub(super) preserved_post: Option<&'f Arc<str>>,
}

fn login_context(form: &LoginForm) -> LoginContext<'_> {
    LoginContext {
        login_id: &form.login_id,
        return_to: form.return_to.as_ref(),
        preserved_post: form.preserved_post.as_ref(),
    }
}

/// What a browser keeps of a sign-in.
pub(super) fn session_cookies(signed_in: &CompletedLogin) -> Vec<CookieChange> {
    let device = signed_in.device.clone().map(CookieChange::SetDevice);
    std::iter::once(CookieChange::SetTokens(signed_in.tokens.clone()))
        .chain(device)
        .collect()
}

/// Signed in: on to where the visitor wanted to go, or to what they wanted to send.
pub(super) fn login_succeeded<'a>(
    site: &Site,
    facts: &Facts,
    signed_in: &CompletedLogin,
    LoginContext {
        login_id,
        return_to,
        preserved_post,
    }: LoginContext<'_>,
) -> Decision<'a> {
    let sub = &signed_in.principal.identity.sub;
    let verdict = match (preserved_post, &facts.restored_post) {
        (Some(sealed), Known::NotAsked) => {
            let (sealed, login_id) = (Arc::clone(sealed), login_id.to_owned());
            return Decision::Needs(Question::RestorePost {
                sealed,
                sub: sub.clone(),
                login_id,
            });
        }
        (Some(_), Known::Found(returned)) => {
            let page = preserved_post::page(returned, destination(site, return_to).to_string());
            Verdict::reply(LocalResponse::PreservedPost(page), Reason::OwnEndpoint)
        }
        // What does not open was never the gateway's, or is too old for anybody to remember.
        (Some(_), Known::Absent(_) | Known::Failed(_)) | (None, _) => {
            redirect_after_login(site, return_to)
        }
    };
    Decision::Settled(verdict.with_cookies(session_cookies(signed_in)))
}

/// On to where the visitor wanted to go; 303, so that no browser posts the password a second time.
fn redirect_after_login<'a>(site: &Site, return_to: Option<&ReturnPath>) -> Verdict<'a> {
    let redirect = Redirect {
        status: 303,
        location: LocalPath::from(destination(site, return_to)),
        clear_site_data: false,
    };
    Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint)
}

fn destination<'s>(site: &'s Site, return_to: Option<&'s ReturnPath>) -> &'s ReturnPath {
    // Back to the form itself would be a circle.
    let leads_back = |path: &&ReturnPath| {
        let bare = path.as_str().split(['?', '#']).next().unwrap_or_default();
        let step = bare
            .strip_prefix(&site.paths.login)
            .and_then(|rest| StepEndpoint::from_suffix(rest.as_bytes()));
        bare == site.paths.login
            || step.is_some()
            || bare == site.paths.logout
            || hosted_backend::is_logout(site, bare)
    };
    return_to
        .filter(|path| !leads_back(path))
        .unwrap_or(&site.landing)
}

fn refusal<'a>(form: &LoginForm, refused: &LoginRefused) -> Verdict<'a> {
    if requires_action(refused.reason) {
        action_required(refused, login_context(form))
    } else {
        redisplay(form, refused.reason, refused.retry_after)
    }
}

/// Whether the password was right and the provider wants something first.
pub(super) const fn requires_action(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotRegistered
            | Reason::PasswordChangeRequired
            | Reason::EmailUnverified
            | Reason::RegistrationUnverified
            | Reason::TwoFactorRequired
    )
}

/// What the provider wants first: the form of the next step, else a page that says where it
/// happens.
pub(super) fn action_required<'a>(
    refused: &LoginRefused,
    brought: LoginContext<'_>,
) -> Verdict<'a> {
    if let Some(next) = &refused.next_step {
        let page = mfa::page((**next).clone(), brought);
        return Verdict::reply(LocalResponse::StepPage(Box::new(page)), refused.reason);
    }
    let page = ActionRequired {
        status: refused.reason.status(),
        reason: refused.reason,
    };
    Verdict::reply(LocalResponse::ActionRequired(page), refused.reason)
}

/// The form again, with what was typed except the password.
fn redisplay<'a>(form: &LoginForm, trouble: Reason, retry_after: Option<u32>) -> Verdict<'a> {
    Verdict::reply(
        LocalResponse::LoginPage(prefill(form, trouble, retry_after)),
        trouble,
    )
}

fn prefill(form: &LoginForm, trouble: Reason, retry_after: Option<u32>) -> LoginPage {
    LoginPage {
        status: trouble.status(),
        error: Some(trouble),
        cookie_missing: false,
        login_id: form.login_id.clone(),
        return_to: form.return_to.clone(),
        remember: form.remember,
        preserved_post: form.preserved_post.clone(),
        retry_after,
    }
}

/// Whether the form was served to this very browser: its token is made from the pre-session cookie.
pub(super) fn csrf_token_matches(request: &RequestView<'_>, site: &Site, posted: &str) -> bool {
    let Some(cookie) = request.cookies.form.value() else {
        return false;
    };
    let expected = csrf_token(&site.name, cookie);
    // Fixed time: the comparison must not tell how much of a guess is right.
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), posted.as_bytes())
        .is_ok()
}

/// The form's token for a pre-session cookie. Who can read the form has the cookie, who has only
/// the cookie's site's sibling domain has neither.
#[must_use]
pub fn csrf_token(site: &str, cookie: &str) -> String {
    use base64::Engine as _;
    let text = format!("vestibule form\0{site}\0{cookie}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_bound_to_site_and_cookie() {
        assert_eq!(csrf_token("store", "a"), csrf_token("store", "a"));
        assert_ne!(csrf_token("store", "a"), csrf_token("forum", "a"));
        assert_ne!(csrf_token("store", "a"), csrf_token("store", "b"));
    }
}
