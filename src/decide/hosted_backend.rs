//! The endpoints of FusionAuth's hosted backend, so that its single-page SDKs work unchanged.
//!
//! The sign-in is the gateway's own form, which leads back to the very address the SDK opened;
//! there the list of redirect URIs is asked again. So nothing about the way back is kept anywhere,
//! and nobody can change it to another origin.

use std::borrow::Cow;

use http::Method;

use crate::model::api_response::ApiResponse;
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::hosted_backend::{
    self, AllowedRedirect, HostedBackend, HostedEndpoint, HostedRequest,
};
use crate::model::local_path::LocalPath;
use crate::model::local_response::{CookieChange, LocalResponse, Problem, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::authorize::{AuthStatus, auth_status, redirect_to_login};
use super::credentials::{self, RequestCredentials};
use super::facts::{Facts, Known, Question};
use super::login::login_page;
use super::{Decision, Verdict, unavailable};

pub(super) fn decide<'a>(
    call: &HostedRequest,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let Some(backend) = &site.hosted_backend else {
        return Decision::Settled(Verdict::problem(Reason::Internal));
    };
    if !client_fits(call, request, backend) {
        return Decision::Settled(Verdict::problem(Reason::RejectedInput));
    }
    let decided = match call.endpoint {
        HostedEndpoint::Login | HostedEndpoint::Register => {
            login(request, (site, backend), facts, now)
        }
        // The way back from FusionAuth's own pages, which nobody takes here.
        HostedEndpoint::Callback => Ok(Decision::Settled(redirect_to_client(
            backend.default_redirect(),
            false,
        ))),
        HostedEndpoint::Me => Ok(me(request, site, facts, now)),
        HostedEndpoint::Refresh => Ok(refresh(request, (site, backend), facts)),
        HostedEndpoint::Logout => logout(request, (site, backend), facts),
    };
    decided.unwrap_or_else(|reason| Decision::Settled(Verdict::problem(reason)))
}

/// Whether it is the site's client that calls, in the path or in the query. `/app/me` and
/// `/app/callback` are called without one.
fn client_fits(call: &HostedRequest, request: &RequestView<'_>, backend: &HostedBackend) -> bool {
    let Ok(queried) = parameter(request, "client_id") else {
        return false;
    };
    let named = [call.client_id.as_deref(), queried.as_deref()];
    let needed = match call.endpoint {
        HostedEndpoint::Login
        | HostedEndpoint::Register
        | HostedEndpoint::Refresh
        | HostedEndpoint::Logout => true,
        HostedEndpoint::Callback | HostedEndpoint::Me => false,
    };
    named.iter().flatten().all(|id| backend.is_client(id))
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
fn login<'a>(
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
        .redirect_to(wanted.as_deref(), state.as_deref())
        .ok_or(Reason::RejectedInput)?;
    let here = ReturnPath::parse(request.target.raw()).ok_or(Reason::RejectedInput)?;
    Ok(Decision::Settled(
        match auth_status(request, site, facts, now) {
            AuthStatus::Ask(question) => return Ok(Decision::Needs(question)),
            AuthStatus::Authenticated(somebody) => {
                redirect_to_client(there, false).with_cookies(somebody.cookies())
            }
            AuthStatus::Anonymous(_, cookies) => {
                let redirect = redirect_to_login(site, Some(&here));
                Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint)
                    .with_cookies(cookies)
            }
            // As at the form's own address: the visitor may be signed in again as soon as the
            // provider is back.
            AuthStatus::Unavailable(_) => login_page(Some(here)),
            AuthStatus::Refused(reason) => Verdict::problem(reason),
        },
    ))
}

/// `GET /app/me`: who is signed in, in the provider's words.
fn me<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Timestamp) -> Decision<'a> {
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Ask(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(somebody) => {
            let claims = hosted_backend::sdk_claims(&somebody.principal().identity);
            json(ApiResponse::Claims(claims)).with_cookies(somebody.cookies())
        }
        AuthStatus::Anonymous(reason, cookies) => Verdict::problem(reason).with_cookies(cookies),
        AuthStatus::Unavailable(reason) => unavailable(reason),
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
        .is_some_and(|origin| backend.lists_origin(&origin));
    if request.provenance(site) == Provenance::CrossOrigin && !of_the_client {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let RequestCredentials {
        kind,
        token: main,
        refresh,
        ..
    } = credentials::of(request, site);
    // The SDKs know cookies only, and take a 400 for "sign in again".
    let Some(refresh) = refresh.filter(|_| kind != CredentialKind::Bearer) else {
        return Decision::Settled(login_required(Reason::SignedOut));
    };
    let session = main.filter(|_| kind == CredentialKind::Session);
    Decision::Settled(match &facts.refresh {
        Known::NotAsked => {
            return Decision::Needs(Question::Refresh(RefreshRequest {
                kind,
                refresh,
                session_id: session,
            }));
        }
        Known::Found(renewed) => {
            let cookies = vec![CookieChange::SetTokens(renewed.tokens.clone())];
            json(ApiResponse::Claims(serde_json::Map::new())).with_cookies(cookies)
        }
        Known::Absent(reason) => {
            login_required(*reason).with_cookies(vec![CookieChange::ClearCredentials])
        }
        Known::Failed(reason) => unavailable(*reason),
    })
}

fn login_required<'a>(reason: Reason) -> Verdict<'a> {
    Verdict::reply(
        LocalResponse::Problem(Problem::new(reason).with_status(400)),
        reason,
    )
}

/// `GET /app/logout`: the SDKs navigate here, and a link on another site could too. Whoever comes
/// from the site or from one of the client's pages is signed out; everybody else finds the page
/// with the button.
fn logout<'a>(
    request: &RequestView<'a>,
    (site, backend): (&Site, &HostedBackend),
    facts: &Facts,
) -> Result<Decision<'a>, Reason> {
    let wanted = match parameter(request, "redirect_uri")? {
        Some(wanted) => Some(wanted),
        None => parameter(request, "post_logout_redirect_uri")?,
    };
    if !is_intentional_logout(request, site, backend) {
        return Ok(Decision::Settled(Verdict::reply(
            LocalResponse::LogoutPage,
            Reason::OwnEndpoint,
        )));
    }
    let RequestCredentials {
        kind,
        token: main,
        refresh,
        ..
    } = credentials::of(request, site);
    if matches!(facts.logout, Known::NotAsked) && (main.is_some() || refresh.is_some()) {
        return Ok(Decision::Needs(Question::Logout(PresentedCredential {
            kind,
            token: main,
            refresh,
        })));
    }
    let verdict = match wanted.and_then(|wanted| backend.redirect_to(Some(&wanted), None)) {
        Some(there) => redirect_to_client(there, true),
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
        verdict.with_cookies(vec![CookieChange::ClearCredentials]),
    ))
}

/// Whether a person is leaving by a link or script of the site's own or the client's, or by typing
/// the address: told by what no page can forge for another.
fn is_intentional_logout(request: &RequestView<'_>, site: &Site, backend: &HostedBackend) -> bool {
    // A handshake is opened by a script, whatever else it says of itself.
    if *request.method != Method::GET
        || !request.is_navigation()
        || request.fetch_metadata.is_websocket
    {
        return false;
    }
    let sender = request.source_origin();
    let is_own = sender
        .as_ref()
        .is_some_and(|origin| site.is_own_origin(origin));
    let is_of_the_client = sender
        .as_ref()
        .is_some_and(|origin| backend.lists_origin(origin));
    match request.fetch_metadata.fetch_site {
        Some("same-origin" | "none") => true,
        // One of the site's own pages began it, and another site's led on.
        Some(_) => is_of_the_client && !is_own,
        None => is_of_the_client || is_own,
    }
}

/// Whether a path of this site is the sign-out: nobody is led there by a sign-in.
pub(super) fn is_logout(site: &Site, path: &str) -> bool {
    let path: Cow<'_, [u8]> = percent_encoding::percent_decode_str(path).into();
    let call = site
        .hosted_backend
        .as_ref()
        .and_then(|_| HostedRequest::parse(&path));
    call.is_some_and(|call| call.endpoint == HostedEndpoint::Logout)
}

fn redirect_to_client<'a>(to: AllowedRedirect, clear_site_data: bool) -> Verdict<'a> {
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
