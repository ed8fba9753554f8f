//! Who is sent to sign in for the third time within seconds goes round in circles: they are told
//! why, and stop.
//!
//! A circle is one visitor at one address. Ten tabs that open again at once are ten addresses; a
//! class that follows one link comes from elsewhere, each for the first time, and says so or
//! carries no cookie. So a request counts where a cookie tells its visitor, or where it comes from
//! a page of this very site.

use std::borrow::Cow;

use crate::model::cookie::{CookieKind, PresentedCookie};
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::model::redirect_loop::{LoopCause, LoopIdentity, MAX_REDIRECTS, RedirectLoop};
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::model::token::TokenError;

use super::credentials;
use super::facts::{Facts, Known, Question};
use super::{Decision, Outcome, Verdict};

/// `verdict`, which sends a visitor who is not signed in to the form, unless they have been sent
/// there too often.
pub(super) fn before_login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    verdict: Verdict<'a>,
) -> Decision<'a> {
    let Some(by) = loop_identity(request, site) else {
        return Decision::Settled(verdict);
    };
    let cause = || match &facts.token {
        _ if !duplicates(request, site).is_empty() => {
            LoopCause::Duplicates(duplicates(request, site))
        }
        Known::Absent(TokenError::Expired) => LoopCause::Clock,
        Known::NotAsked | Known::Found(_) | Known::Absent(_) | Known::Failed(_) => {
            if credentials::of(request, site).any_presented {
                LoopCause::Refused
            } else if is_unencrypted(request, site) {
                LoopCause::Unencrypted
            } else {
                LoopCause::NoCookie
            }
        }
    };
    break_loop_or(request, site, facts, (by, cause), verdict)
}

/// `verdict`, which sends a visitor on from the form who is signed in already, unless they come
/// back and back.
pub(super) fn after_login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    verdict: Verdict<'a>,
) -> Decision<'a> {
    let Some(by) = identity_from_cookies(request) else {
        return Decision::Settled(verdict);
    };
    break_loop_or(
        request,
        site,
        facts,
        (by, || LoopCause::Application),
        verdict,
    )
}

fn break_loop_or<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    (by, cause): (LoopIdentity<'a>, impl FnOnce() -> LoopCause),
    verdict: Verdict<'a>,
) -> Decision<'a> {
    let rounds = match &facts.redirects {
        Known::NotAsked => {
            return Decision::Needs(Question::CountRedirect {
                identity: by,
                target: request.target.raw(),
            });
        }
        Known::Found(rounds) => *rounds,
        Known::Absent(_) | Known::Failed(_) => 0,
    };
    let Outcome::Reply(LocalResponse::Redirect(to)) = &verdict.outcome else {
        return Decision::Settled(verdict);
    };
    if rounds < MAX_REDIRECTS {
        return Decision::Settled(verdict);
    }
    let mut problem = Problem::new(Reason::RedirectLoop);
    problem.redirect_loop = Some(RedirectLoop {
        cause: cause(),
        site_address: site.origin.to_string(),
        continue_to: to.location.to_string(),
    });
    Decision::Settled(
        Verdict::reply(LocalResponse::Problem(problem), Reason::RedirectLoop)
            .with_cookies(verdict.cookies),
    )
}

/// By what a visitor is known who may have come back from the form; `None` where this is their
/// first way here, as far as it tells: no person goes from a typed address or another site's link
/// round in circles.
fn loop_identity<'a>(request: &RequestView<'a>, site: &Site) -> Option<LoopIdentity<'a>> {
    if !request.is_navigation() {
        return None;
    }
    let from_here = match request.fetch_metadata.fetch_site {
        Some("same-origin") => true,
        Some(_) => is_unencrypted(request, site),
        None => {
            request
                .source_origin()
                .is_some_and(|page| site.is_own_origin(&page))
                || is_unencrypted(request, site)
        }
    };
    let says_nothing =
        request.fetch_metadata.fetch_site.is_none() && request.fetch_metadata.referer.is_none();
    match identity_from_cookies(request) {
        Some(by) => (from_here || says_nothing).then_some(by),
        None => from_here.then_some(LoopIdentity::Client),
    }
}

fn identity_from_cookies<'a>(request: &RequestView<'a>) -> Option<LoopIdentity<'a>> {
    let cookies = request.cookies;
    let credentials = [&cookies.access, &cookies.session, &cookies.refresh];
    let value = |cookie: &'a PresentedCookie<'a>| match cookie {
        PresentedCookie::Single(Cow::Borrowed(value)) => Some(*value),
        PresentedCookie::Single(Cow::Owned(value)) => Some(value.as_str()),
        PresentedCookie::Absent | PresentedCookie::Duplicate => None,
    };
    let by_credential = || {
        credentials
            .into_iter()
            .find_map(value)
            .map(LoopIdentity::Credential)
    };
    value(&cookies.form)
        .map(LoopIdentity::Form)
        .or_else(by_credential)
}

/// The names of the site's credential cookies that came more than once.
fn duplicates(request: &RequestView<'_>, site: &Site) -> Vec<String> {
    let cookies = request.cookies;
    let kinds = [
        (CookieKind::Access, &cookies.access),
        (CookieKind::Session, &cookies.session),
        (CookieKind::Refresh, &cookies.refresh),
    ];
    let twice = kinds
        .into_iter()
        .filter(|(_, cookie)| **cookie == PresentedCookie::Duplicate);
    twice
        .map(|(kind, _)| site.cookies.name(kind).to_owned())
        .collect()
}

/// Whether the page before had the site's name and `http`, where the site has `https`.
fn is_unencrypted(request: &RequestView<'_>, site: &Site) -> bool {
    let same_name = |page: &crate::model::origin::Origin| page.name == site.origin.name;
    site.origin.is_https()
        && request
            .source_origin()
            .is_some_and(|page| !page.is_https() && same_name(&page))
}
