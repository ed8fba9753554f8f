//! Logins at the identity provider's own pages, to which the browser is redirected.
//!
//! * The login page redirects to the provider at once. Where something must be told first (a form
//!   was posted after the login had expired), it is a page with one button.
//! * The callback, where the provider sends the browser back, is good for one login of this
//!   browser: `state` must be that of a cookie, which is cleared then.
//! * A callback that came before, or belongs to no login of the browser, is never a dead end: an
//!   authenticated user goes on, everybody else gets a page that offers to begin again.
//! * What posts a password gets `409` with the address of the login page.

use crate::model::authorization_response::CallbackParameters;
use crate::model::cookie_change::CookieChange;
use crate::model::local_response::{LocalResponse, Problem, ProviderRedirect};
use crate::model::reason::Reason;
use crate::model::redirect_login::RedirectOptions;
use crate::model::redirect_result::{
    BegunRedirect, FinishedRedirect, RedirectRefusal, RefusedRedirect,
};
use crate::model::request::RequestView;
use crate::model::return_path::ReturnPath;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::auth_status::{AuthStatus, auth_status};
use super::facts::{Facts, Known, Question, RedirectResult};
use super::login_result::{LoginContext, login_succeeded, redirect_after_login};
use super::verdict::{Decision, RETRY_AFTER_FAILURE, Verdict};

/// Redirects to the provider. `cookies` are the changes that the response makes besides.
pub(super) fn begin<'a>(request: &RequestView<'a>, facts: &Facts, start: Start) -> Decision<'a> {
    let Start {
        options,
        status,
        cookies,
    } = start;
    let verdict = match &facts.redirect {
        Known::NotAsked => {
            return Decision::Needs(Question::BeginRedirect {
                options: Box::new(options),
                presented: &request.cookies.redirect_logins,
            });
        }
        Known::Found(begun) => return Decision::Settled(leave(begun, status, cookies)),
        Known::Absent(refused) => {
            let mut problem = Problem::new(refused.reason);
            problem.retry_after = refused.retry_after;
            Verdict::reply(LocalResponse::Problem(problem), refused.reason)
        }
        Known::Failed(reason) => {
            let problem = failed(*reason, options.return_to);
            Verdict::reply(LocalResponse::Problem(problem), *reason)
        }
    };
    Decision::Settled(verdict)
}

/// A login that is to begin.
pub(super) struct Start {
    /// What shall follow it.
    pub(super) options: RedirectOptions,
    /// 302, or 303 after a form.
    pub(super) status: u16,
    /// Changes to the client's cookies besides.
    pub(super) cookies: Vec<CookieChange>,
}

/// The redirect to the provider.
fn leave<'a>(begun: &BegunRedirect, status: u16, mut cookies: Vec<CookieChange>) -> Verdict<'a> {
    let redirect = ProviderRedirect {
        status,
        address: begun.address.clone(),
        clear_site_data: false,
    };
    let given_up = begun.given_up.iter().cloned();
    cookies.extend(given_up.map(CookieChange::ClearRedirectLogin));
    cookies.push(CookieChange::SetRedirectLogin(begun.cookie.clone()));
    let response = LocalResponse::ProviderRedirect(redirect);
    Verdict::reply(response, Reason::OwnEndpoint).with_cookies(cookies)
}

/// A failure of the provider or the store, from which the user may begin again.
fn failed(reason: Reason, return_to: Option<ReturnPath>) -> Problem {
    let mut problem = Problem::new(reason);
    problem.retry_after = (problem.status == 503).then_some(RETRY_AFTER_FAILURE);
    problem.return_to = return_to;
    problem
}

/// `409`: a password that is posted here is not looked at.
pub(super) fn password_refused<'a>(site: &Site) -> Verdict<'a> {
    let mut problem = Problem::new(Reason::SignInRedirects);
    problem.sign_in_address = Some(format!("{}{}", site.origin, site.paths.login).into());
    Verdict::reply(LocalResponse::Problem(problem), Reason::SignInRedirects)
}

/// Decides about a request for the callback.
pub(super) fn callback<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let callback = request.target.query().and_then(CallbackParameters::parse);
    let Some(callback) = callback else {
        return no_login(request, site, facts, now);
    };
    let login = callback.login_id().and_then(|id| {
        let sealed = request.cookies.redirect_login(id)?;
        Some((id.to_owned(), sealed))
    });
    let Some((id, sealed)) = login else {
        return no_login(request, site, facts, now);
    };
    match facts.callback.as_deref() {
        None => Decision::Needs(Question::FinishRedirect {
            callback: Box::new(callback),
            sealed,
            kind: site.credential,
            session: request.cookies.session.value(),
            device: request.cookies.device.value(),
        }),
        Some(RedirectResult::Finished(finished)) => {
            without_cookie(succeeded(site, facts, finished), id)
        }
        Some(RedirectResult::Refused(RefusedRedirect { cause, return_to })) => match cause {
            RedirectRefusal::Unknown => without_cookie(no_login(request, site, facts, now), id),
            RedirectRefusal::Used => {
                let redirect = redirect_after_login(site, return_to.as_ref());
                without_cookie(Decision::Settled(redirect), id)
            }
            RedirectRefusal::Refused => {
                let refused = begin_again(return_to.clone());
                without_cookie(Decision::Settled(refused), id)
            }
        },
        Some(RedirectResult::Failed(failure)) => {
            // The page leads to a new login, and never to this callback again.
            let return_to = failure.return_to.as_ref().unwrap_or(&site.landing);
            let mut problem = failed(failure.reason, Some(return_to.clone()));
            problem.retry_after = failure.retry_after.or(problem.retry_after);
            let verdict = Verdict::reply(LocalResponse::Problem(problem), failure.reason);
            without_cookie(Decision::Settled(verdict), id)
        }
    }
}

fn succeeded<'a>(site: &Site, facts: &Facts, finished: &FinishedRedirect) -> Decision<'a> {
    let context = LoginContext {
        // The device cookie knows the account by its id: no name was typed here.
        login_id: &finished.login.principal.identity.sub,
        return_to: finished.return_to.as_ref(),
        preserved_post: finished.preserved_post.as_ref(),
    };
    login_succeeded(site, facts, &finished.login, context)
}

/// The decision, which clears the cookie of the login.
fn without_cookie(decision: Decision<'_>, id: String) -> Decision<'_> {
    let Decision::Settled(mut verdict) = decision else {
        return decision;
    };
    verdict.cookies.push(CookieChange::ClearRedirectLogin(id));
    Decision::Settled(verdict)
}

/// A response that belongs to no login of this browser. Whoever is authenticated came back with the
/// Back button, or opened the address again.
fn no_login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(user) => {
            redirect_after_login(site, None).with_cookies(user.cookies)
        }
        AuthStatus::Anonymous(_, cookies) => begin_again(None).with_cookies(cookies),
        AuthStatus::Unavailable(_) => begin_again(None),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// The page that says that nobody was logged in, and offers to begin again.
fn begin_again<'a>(return_to: Option<ReturnPath>) -> Verdict<'a> {
    let mut problem = Problem::new(Reason::SignInFailed);
    problem.return_to = return_to;
    Verdict::reply(LocalResponse::Problem(problem), Reason::SignInFailed)
}
