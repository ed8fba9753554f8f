//! Redirect loops: a user who is sent to log in again and again is stopped at the third redirect,
//! and told the likely cause.
//!
//! Only redirects that follow one another faster than a person can are a loop. Somebody who clicks
//! a link, looks at the login page, goes back and clicks again takes two seconds or more; a browser
//! that follows redirects takes a small part of one. So the next redirect counts with those before
//! it within [`BY_BROWSER`]. An application that takes longer than that for each of its redirects
//! makes a loop that is not seen here, and the browser itself ends it after 20 redirects. A request
//! that our own login page led to is known for what it is: the user has just logged in there, and
//! comes back unauthenticated. Between two of these a person types, so they count within
//! [`AFTER_FORM`].
//!
//! A prefetch counts for nothing: nobody has asked for the page yet.
//!
//! A loop is one user at one address. Ten tabs that a browser restores at once are ten addresses. A
//! class of pupils that follows one link arrives from elsewhere, each for the first time, and the
//! requests say so or carry no cookie. So a redirect counts only where a cookie identifies the
//! user, or where the request comes from a page of this site.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::cookie_names::CookieKind;
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::model::redirect_loop::{LoopCause, LoopIdentity, MAX_REDIRECTS, RedirectLoop};
use crate::model::request::RequestView;
use crate::model::request_cookies::PresentedCookie;
use crate::model::site::Site;
use crate::model::token::TokenError;

use super::credentials::RequestCredentials;
use super::endpoint;
use super::facts::{Facts, Known, Question};
use super::verdict::{Decision, Outcome, Verdict};

/// The longest time from one redirect to the next where the browser follows them by itself.
const BY_BROWSER: Duration = Duration::from_millis(1500);
/// The longest time from one redirect to the next where a person fills in our login form between
/// the two.
const AFTER_FORM: Duration = Duration::from_secs(10);

/// `verdict`, which redirects an unauthenticated user to the login page, unless that closes a loop.
pub(super) fn before_login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    verdict: Verdict<'a>,
) -> Decision<'a> {
    let Some(identity) = loop_identity(request, site) else {
        return Decision::Settled(verdict);
    };
    let within = if is_from_login_form(request, site) {
        AFTER_FORM
    } else {
        BY_BROWSER
    };
    match is_last_redirect(request, facts, identity, within) {
        Err(question) => Decision::Needs(question),
        Ok(false) => Decision::Settled(verdict),
        Ok(true) => break_loop(site, login_loop_cause(request, site, facts), verdict),
    }
}

/// `verdict`, which redirects an authenticated user from the login page to the application, unless
/// that closes a loop.
pub(super) fn after_login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    verdict: Verdict<'a>,
) -> Decision<'a> {
    let Some(identity) = identity_from_cookies(request) else {
        return Decision::Settled(verdict);
    };
    match is_last_redirect(request, facts, identity, BY_BROWSER) {
        Err(question) => Decision::Needs(question),
        Ok(false) => Decision::Settled(verdict),
        Ok(true) => break_loop(site, LoopCause::Application, verdict),
    }
}

/// Whether this redirect reaches the limit. Where the count is not available there is no limit.
///
/// # Errors
/// The question for the count, where it is not known yet.
fn is_last_redirect<'a>(
    request: &RequestView<'a>,
    facts: &Facts,
    identity: LoopIdentity<'a>,
    within: Duration,
) -> Result<bool, Question<'a>> {
    if request.is_prefetch() {
        return Ok(false);
    }
    match &facts.redirects {
        Known::NotAsked => Err(Question::CountRedirect {
            identity,
            target: request.target.raw(),
            within,
        }),
        Known::Found(count) => Ok(*count >= MAX_REDIRECTS),
        Known::Absent(_) | Known::Failed(_) => Ok(false),
    }
}

/// A page that names the cause of the loop, in place of the redirect of `verdict`. The changes to
/// the cookies stay.
fn break_loop<'a>(site: &Site, cause: LoopCause, verdict: Verdict<'a>) -> Decision<'a> {
    let Outcome::Reply(LocalResponse::Redirect(redirect)) = &verdict.outcome else {
        return Decision::Settled(verdict);
    };
    let mut problem = Problem::new(Reason::RedirectLoop);
    problem.redirect_loop = Some(Box::new(RedirectLoop {
        cause,
        site_address: site.origin.to_string(),
        continue_to: redirect.location.to_string(),
    }));
    Decision::Settled(
        Verdict::reply(LocalResponse::Problem(problem), Reason::RedirectLoop)
            .with_cookies(verdict.cookies),
    )
}

/// Why a user who should have logged in comes back unauthenticated.
fn login_loop_cause(request: &RequestView<'_>, site: &Site, facts: &Facts) -> LoopCause {
    let duplicates = duplicate_cookies(request, site);
    if !duplicates.is_empty() {
        return LoopCause::Duplicates(duplicates);
    }
    if matches!(facts.token, Known::Absent(TokenError::Expired)) {
        return LoopCause::Clock;
    }
    if RequestCredentials::of(request, site).any_presented {
        LoopCause::Refused
    } else if is_unencrypted(request, site) {
        LoopCause::Unencrypted
    } else {
        LoopCause::NoCookie
    }
}

/// What identifies a user who may have come back from the login page. `None` where the request is
/// no navigation, or the user's first one: a typed address, or a link of another site.
fn loop_identity<'a>(request: &RequestView<'a>, site: &Site) -> Option<LoopIdentity<'a>> {
    if !request.is_navigation() {
        return None;
    }
    let metadata = &request.fetch_metadata;
    let is_from_this_site = match metadata.fetch_site {
        Some("same-origin") => true,
        Some(_) => is_unencrypted(request, site),
        None => {
            request
                .source_origin()
                .is_some_and(|page| site.is_own_origin(&page))
                || is_unencrypted(request, site)
        }
    };
    let is_unspecified = metadata.fetch_site.is_none() && metadata.referer.is_none();
    match identity_from_cookies(request) {
        Some(identity) => (is_from_this_site || is_unspecified).then_some(identity),
        None => is_from_this_site.then_some(LoopIdentity::Client),
    }
}

/// Whether the login page or the page of one of its steps sent this request, by `Referer`.
fn is_from_login_form(request: &RequestView<'_>, site: &Site) -> bool {
    request
        .referring_page(site)
        .is_some_and(|page| endpoint::is_login_form(site, &page))
}

/// The form cookie, or else any credential cookie, each of which is unique to a browser.
fn identity_from_cookies<'a>(request: &RequestView<'a>) -> Option<LoopIdentity<'a>> {
    let cookies = request.cookies;
    let credentials = [&cookies.access, &cookies.session, &cookies.refresh];
    let value = |cookie: &'a PresentedCookie<'a>| match cookie {
        PresentedCookie::Single(Cow::Borrowed(value)) => Some(*value),
        PresentedCookie::Single(Cow::Owned(value)) => Some(value.as_str()),
        PresentedCookie::Absent | PresentedCookie::Duplicate => None,
    };
    value(&cookies.form).map(LoopIdentity::Form).or_else(|| {
        credentials
            .into_iter()
            .find_map(value)
            .map(LoopIdentity::Credential)
    })
}

/// The names of the site's credential cookies that occur more than once.
fn duplicate_cookies(request: &RequestView<'_>, site: &Site) -> Vec<String> {
    let cookies = request.cookies;
    [
        (CookieKind::Access, &cookies.access),
        (CookieKind::Session, &cookies.session),
        (CookieKind::Refresh, &cookies.refresh),
    ]
    .into_iter()
    .filter(|(_, cookie)| **cookie == PresentedCookie::Duplicate)
    .map(|(kind, _)| site.cookies.name(kind).to_owned())
    .collect()
}

/// Whether the referring page has the site's host under `http`, where the site is https. Such a
/// page gets none of the site's `Secure` cookies.
fn is_unencrypted(request: &RequestView<'_>, site: &Site) -> bool {
    site.origin.is_https()
        && request
            .source_origin()
            .is_some_and(|page| !page.is_https() && page.name == site.origin.name)
}
