//! The endpoints of FusionAuth's hosted backend, so that its single-page SDKs work unchanged.
//!
//! The sign-in is the gateway's own form, which leads back to the very address the SDK opened;
//! there the list of redirect URIs is asked again. So nothing about the way back is kept anywhere,
//! and nobody can change it to another origin.

use std::borrow::Cow;

use http::Method;

use crate::model::api_response::ApiResponse;
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::hosted_backend::{self, AllowedRedirect, HostedBackend, HostedCall, HostedPage};
use crate::model::local_path::LocalPath;
use crate::model::local_response::{CookieChange, LocalResponse, Problem, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::authorize::{AuthStatus, auth_status, to_the_form};
use super::credentials::{self, RequestCredentials};
use super::facts::{Facts, Known, Question};
use super::login::fresh_form;
use super::{Decision, Verdict, trouble};

pub(super) fn decide<'a>(
    call: &HostedCall,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let Some(backend) = &site.hosted else {
        return Decision::Settled(Verdict::problem(Reason::Internal));
    };
    if !client_fits(call, request, backend) {
        return Decision::Settled(Verdict::problem(Reason::RejectedInput));
    }
    let decided = match call.page {
        HostedPage::Login | HostedPage::Register => sign_in(request, (site, backend), facts, now),
        // The way back from FusionAuth's own pages, which nobody takes here.
        HostedPage::Callback => Ok(Decision::Settled(leave(backend.home(), false))),
        HostedPage::Me => Ok(me(request, site, facts, now)),
        HostedPage::Refresh => Ok(refresh(request, (site, backend), facts)),
        HostedPage::Logout => sign_out(request, (site, backend), facts),
    };
    decided.unwrap_or_else(|reason| Decision::Settled(Verdict::problem(reason)))
}

/// Whether it is the site's client that calls, in the path or in the query. `/app/me` and
/// `/app/callback` are called without one.
fn client_fits(call: &HostedCall, request: &RequestView<'_>, backend: &HostedBackend) -> bool {
    let Ok(queried) = parameter(request, "client_id") else {
        return false;
    };
    let named = [call.client.as_deref(), queried.as_deref()];
    let needed = match call.page {
        HostedPage::Login | HostedPage::Register | HostedPage::Refresh | HostedPage::Logout => true,
        HostedPage::Callback | HostedPage::Me => false,
    };
    named.iter().flatten().all(|id| backend.serves(id))
        && (!needed || named.iter().any(Option::is_some))
}

/// A parameter of the query. Given twice nobody can say which is meant.
fn parameter(request: &RequestView<'_>, name: &str) -> Result<Option<String>, Reason> {
    let query = request.target.query().unwrap_or_default();
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(have, _)| have == name);
    let first = values.next().map(|(_, value)| value.into_owned());
    if values.next().is_some() {
        Err(Reason::RejectedInput)
    } else {
        Ok(first)
    }
}

/// `GET /app/login` and `GET /app/register`: to the form and back here, or straight on for whoever
/// is signed in.
fn sign_in<'a>(
    request: &RequestView<'a>,
    (site, backend): (&Site, &HostedBackend),
    facts: &Facts,
    now: Timestamp,
) -> Result<Decision<'a>, Reason> {
    let (wanted, state) = (
        parameter(request, "redirect_uri")?,
        parameter(request, "state")?,
    );
    let there = backend
        .departure(wanted.as_deref(), state.as_deref())
        .ok_or(Reason::RejectedInput)?;
    let here = ReturnPath::parse(request.target.raw()).ok_or(Reason::RejectedInput)?;
    Ok(Decision::Settled(
        match auth_status(request, site, facts, now) {
            AuthStatus::Ask(question) => return Ok(Decision::Needs(question)),
            AuthStatus::Authenticated(somebody) => leave(there, false).with(somebody.cookies()),
            AuthStatus::Anonymous(_, cookies) => {
                let redirect = to_the_form(site, Some(&here));
                Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint).with(cookies)
            }
            // As at the form's own address: the visitor may be signed in again as soon as the
            // provider is back.
            AuthStatus::Unavailable(_) => fresh_form(Some(here)),
            AuthStatus::Refused(reason) => Verdict::problem(reason),
        },
    ))
}

/// `GET /app/me`: who is signed in, in the provider's words.
fn me<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Timestamp) -> Decision<'a> {
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Ask(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(somebody) => {
            let claims = hosted_backend::told(&somebody.principal().identity);
            json(ApiResponse::Claims(claims)).with(somebody.cookies())
        }
        AuthStatus::Anonymous(reason, cookies) => Verdict::problem(reason).with(cookies),
        AuthStatus::Unavailable(reason) => trouble(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// `POST /app/refresh`: renews now. Its body, which the SDKs send empty and as plain text, says
/// nothing, so that only where it comes from keeps other sites' pages away.
fn refresh<'a>(
    request: &RequestView<'a>,
    (site, backend): (&Site, &HostedBackend),
    facts: &Facts,
) -> Decision<'a> {
    let of_the_client = request
        .source_origin()
        .is_some_and(|origin| backend.lists(&origin));
    if request.provenance(site) == Provenance::CrossOrigin && !of_the_client {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let RequestCredentials {
        kind,
        main,
        refresh,
        ..
    } = credentials::of(request, site);
    // The SDKs know cookies only, and take a 400 for "sign in again".
    let Some(refresh) = refresh.filter(|_| kind != CredentialKind::Bearer) else {
        return Decision::Settled(sign_in_again(Reason::SignedOut));
    };
    let session = main.filter(|_| kind == CredentialKind::Session);
    Decision::Settled(match &facts.renewal {
        Known::NotAsked => {
            return Decision::Needs(Question::Renew(RefreshRequest {
                kind,
                refresh,
                session,
            }));
        }
        Known::Found(renewed) => {
            let cookies = vec![CookieChange::SetTokens(renewed.tokens.clone())];
            json(ApiResponse::Claims(serde_json::Map::new())).with(cookies)
        }
        Known::Absent(reason) => sign_in_again(*reason).with(vec![CookieChange::ClearCredentials]),
        Known::Failed(reason) => trouble(*reason),
    })
}

fn sign_in_again<'a>(reason: Reason) -> Verdict<'a> {
    Verdict::reply(
        LocalResponse::Problem(Problem::new(reason).with_status(400)),
        reason,
    )
}

/// `GET /app/logout`: the SDKs navigate here, and a link on another site could too. Whoever comes
/// from the site or from one of the client's pages is signed out; everybody else finds the page
/// with the button.
fn sign_out<'a>(
    request: &RequestView<'a>,
    (site, backend): (&Site, &HostedBackend),
    facts: &Facts,
) -> Result<Decision<'a>, Reason> {
    let wanted = match parameter(request, "redirect_uri")? {
        Some(wanted) => Some(wanted),
        None => parameter(request, "post_logout_redirect_uri")?,
    };
    if !means_it(request, site, backend) {
        return Ok(Decision::Settled(Verdict::reply(
            LocalResponse::LogoutPage,
            Reason::OwnEndpoint,
        )));
    }
    let RequestCredentials {
        kind,
        main,
        refresh,
        ..
    } = credentials::of(request, site);
    if matches!(facts.sign_out, Known::NotAsked) && (main.is_some() || refresh.is_some()) {
        return Ok(Decision::Needs(Question::SignOut(PresentedCredential {
            kind,
            proof: main,
            refresh,
        })));
    }
    let verdict = match wanted.and_then(|wanted| backend.departure(Some(&wanted), None)) {
        Some(there) => leave(there, true),
        None => {
            let redirect = Redirect {
                status: 303,
                location: LocalPath::from(&site.after_logout),
                clear_site_data: true,
            };
            Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint)
        }
    };
    Ok(Decision::Settled(
        verdict.with(vec![CookieChange::ClearCredentials]),
    ))
}

/// Whether a person is leaving by a link or script of the site's own or the client's, or by typing
/// the address: told by what no page can forge for another.
fn means_it(request: &RequestView<'_>, site: &Site, backend: &HostedBackend) -> bool {
    // A handshake is opened by a script, whatever else it says of itself.
    if *request.method != Method::GET || !request.is_navigation() || request.marks.websocket {
        return false;
    }
    let sender = request.source_origin();
    let is_own = sender
        .as_ref()
        .is_some_and(|origin| site.is_own_origin(origin));
    let is_of_the_client = sender.as_ref().is_some_and(|origin| backend.lists(origin));
    match request.marks.fetch_site {
        Some("same-origin" | "none") => true,
        // One of the site's own pages began it, and another site's led on.
        Some(_) => is_of_the_client && !is_own,
        None => is_of_the_client || is_own,
    }
}

/// Whether a path of this site is the sign-out: nobody is led there by a sign-in.
pub(super) fn is_sign_out(site: &Site, path: &str) -> bool {
    let path: Cow<'_, [u8]> = percent_encoding::percent_decode_str(path).into();
    let call = site.hosted.as_ref().and_then(|_| HostedCall::read(&path));
    call.is_some_and(|call| call.page == HostedPage::Logout)
}

fn leave<'a>(to: AllowedRedirect, clear_site_data: bool) -> Verdict<'a> {
    Verdict::reply(
        LocalResponse::AllowedRedirect {
            to,
            clear_site_data,
        },
        Reason::OwnEndpoint,
    )
}

fn json<'a>(answer: ApiResponse) -> Verdict<'a> {
    Verdict::reply(LocalResponse::Json(answer), Reason::OwnEndpoint)
}
