//! The login page and its form.
//!
//! * `GET`: an authenticated user is redirected to where they wanted to go, everybody else gets the
//!   form. While the provider is unavailable, the form is shown and cookies are kept.
//! * `POST`: checked in this order, so that a request which fails an earlier check costs nothing
//!   behind it: the origin, the form's fields, the CSRF token, empty input, and only then the
//!   password, at the provider.
//! * At a site whose users log in at the provider, `GET` redirects there, and `POST` is refused
//!   unless it carries a preserved post (`provider_login`).
//! * Whatever goes wrong, the form is shown again with what was typed except the password. So a tab
//!   with an old CSRF token is never a dead end.

use http::Method;

use crate::model::cookie_change::CookieChange;
use crate::model::local_response::{LocalResponse, LoginPage};
use crate::model::login::{Credentials, LoginForm, LoginRefused};
use crate::model::reason::Reason;
use crate::model::redirect_login::RedirectOptions;
use crate::model::request::{Provenance, RequestView};
use crate::model::request_cookies::PresentedCookie;
use crate::model::return_path::ReturnPath;
use crate::model::site::{SignIn, Site};
use crate::model::timestamp::Timestamp;

use super::auth_status::{AuthStatus, auth_status};
use super::csrf_token::csrf_token_matches;
use super::facts::{Facts, FormSize, Known, Question};
use super::login_result::{LoginContext, login_succeeded, next_step, redirect_after_login};
use super::preserved_post::form_size;
use super::verdict::{Decision, RETRY_AFTER_FAILURE, Verdict};
use super::{provider_login, redirect_loop};

/// Decides about a request for the login page.
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

/// `GET /login`: the form, or a redirect for an authenticated user.
pub(super) fn show<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let return_to = return_address(request);
    match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => Decision::Needs(question),
        AuthStatus::Authenticated(user) => {
            let verdict = redirect_after_login(site, return_to.as_ref()).with_cookies(user.cookies);
            redirect_loop::after_login(request, site, facts, verdict)
        }
        AuthStatus::Anonymous(_, cookies) => begin(request, site, facts, return_to, cookies),
        AuthStatus::Unavailable(_) => begin(request, site, facts, return_to, Vec::new()),
        AuthStatus::Refused(reason) => Decision::Settled(Verdict::problem(reason)),
    }
}

/// The form, or a redirect to the provider where users log in there.
fn begin<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    return_to: Option<ReturnPath>,
    cookies: Vec<CookieChange>,
) -> Decision<'a> {
    match site.sign_in {
        SignIn::Form => Decision::Settled(empty_login_page(return_to).with_cookies(cookies)),
        SignIn::Redirect => {
            let options = RedirectOptions {
                return_to,
                ..RedirectOptions::default()
            };
            let start = provider_login::Start {
                options,
                status: 302,
                cookies,
            };
            provider_login::begin(request, facts, start)
        }
    }
}

/// The empty login form, which leads to `return_to`.
pub(super) fn empty_login_page<'a>(return_to: Option<ReturnPath>) -> Verdict<'a> {
    let page = LoginPage {
        return_to,
        ..LoginPage::new()
    };
    Verdict::reply(LocalResponse::LoginPage(page), Reason::OwnEndpoint)
}

/// The query parameter `return_to`. Given twice it counts as absent.
pub(super) fn return_address(request: &RequestView<'_>) -> Option<ReturnPath> {
    ReturnPath::parse(&single_parameter(request, "return_to")?)
}

/// The value of a parameter of the query. Given twice it counts as absent.
pub(super) fn single_parameter(request: &RequestView<'_>, name: &str) -> Option<String> {
    let query = request.target.query()?;
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(have, _)| have == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}

/// `POST /login`: checks the form, then the password.
fn submit<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Decision<'a> {
    if matches!(
        request.provenance(site),
        Provenance::CrossOrigin | Provenance::Allowed
    ) {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let carries_post = form_size(request) == FormSize::WithPreservedPost;
    if site.sign_in == SignIn::Redirect && !carries_post {
        return Decision::Settled(provider_login::password_refused(site));
    }
    let form = match &facts.login_form {
        Known::NotAsked => return Decision::Needs(Question::ReadLoginForm(form_size(request))),
        Known::Found(form) => form,
        Known::Absent(reason) => return Decision::Settled(Verdict::problem(*reason)),
        Known::Failed(reason) => return Decision::Settled(Verdict::unavailable(*reason)),
    };
    if !csrf_token_matches(request, site, &form.csrf) {
        let page = LoginPage {
            cookie_missing: request.cookies.form == PresentedCookie::Absent,
            ..prefill(form, Reason::CsrfFailed, None)
        };
        let response = LocalResponse::LoginPage(page);
        return Decision::Settled(Verdict::reply(response, Reason::CsrfFailed));
    }
    if site.sign_in == SignIn::Redirect {
        let options = RedirectOptions {
            return_to: form.return_to.clone(),
            remember: form.remember,
            preserved_post: form.preserved_post.clone(),
        };
        let start = provider_login::Start {
            options,
            status: 303,
            cookies: Vec::new(),
        };
        return provider_login::begin(request, facts, start);
    }
    if form.login_id.trim().is_empty() || form.password.expose().is_empty() {
        return Decision::Settled(redisplay(form, Reason::RejectedInput, None));
    }
    check_password(request, site, facts, form)
}

/// Asks the provider, and shows what it says.
fn check_password<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    form: &LoginForm,
) -> Decision<'a> {
    Decision::Settled(match &facts.login {
        Known::NotAsked => {
            let credentials = Credentials {
                login_id: form.login_id.clone(),
                password: form.password.clone(),
                remember: form.remember,
                return_to: form.return_to.clone(),
                browser: Some(form.csrf.clone()),
            };
            return Decision::Needs(Question::Login {
                credentials: Box::new(credentials),
                kind: site.credential,
                session: request.cookies.session.value(),
                device: request.cookies.device.value(),
            });
        }
        Known::Found(login) => {
            return login_succeeded(site, facts, login, LoginContext::of_login(form));
        }
        Known::Absent(refused) => login_refused(site, form, refused),
        Known::Failed(reason) => {
            let is_outage = *reason == Reason::ProviderUnavailable;
            redisplay(form, *reason, is_outage.then_some(RETRY_AFTER_FAILURE))
        }
    })
}

fn login_refused<'a>(site: &Site, form: &LoginForm, refused: &LoginRefused) -> Verdict<'a> {
    match &refused.next_step {
        Some(next) => next_step(site, next, refused.reason, LoginContext::of_login(form)),
        None => redisplay(form, refused.reason, refused.retry_after),
    }
}

/// The form again, under the status of `error`, with what was typed except the password.
fn redisplay<'a>(form: &LoginForm, error: Reason, retry_after: Option<u32>) -> Verdict<'a> {
    let page = prefill(form, error, retry_after);
    Verdict::reply(LocalResponse::LoginPage(page), error)
}

fn prefill(form: &LoginForm, error: Reason, retry_after: Option<u32>) -> LoginPage {
    LoginPage {
        status: error.status(),
        error: Some(error),
        cookie_missing: false,
        login_id: form.login_id.clone(),
        return_to: form.return_to.clone(),
        remember: form.remember,
        preserved_post: form.preserved_post.clone(),
        lost_post: None,
        retry_after,
    }
}
