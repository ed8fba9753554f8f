//! The endpoints of FusionAuth's hosted backend, so that its single-page SDKs work unchanged.
//!
//! * Only the site's own client is served, and only the addresses on the operator's list are
//!   redirected to, compared byte for byte.
//! * The login is the gateway's own page. It leads back to the address that the SDK opened, where
//!   the list is checked again. So the way back is stored nowhere, and nobody can replace it with
//!   another origin on the way.
//! * A refresh takes no body, so where the request comes from is what keeps other sites out.
//! * A logout is a `GET` that SDKs navigate to, which a link on any site could do too. It takes
//!   effect only for requests from the site or the client; everybody else gets the logout page.

use http::Method;

use crate::model::api_response::ApiResponse;
use crate::model::cookie_change::CookieChange;
use crate::model::credential::CredentialKind;
use crate::model::fusionauth_hosted_backend::{
    AllowedRedirect, HostedBackend, HostedEndpoint, HostedRequest, sdk_claims,
};
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, Problem, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::site::{SignIn, Site};
use crate::model::timestamp::Timestamp;

use super::auth_status::{AuthStatus, auth_status};
use super::credentials::RequestCredentials;
use super::facts::{Facts, Known, Question};
use super::forget;
use super::login::empty_login_page;
use super::logout::logout_page;
use super::unauthenticated::redirect_to_login;
use super::verdict::{Decision, Verdict};

/// Decides about a request for an endpoint of the hosted backend.
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
    if !is_from_client(call, request, backend) {
        return Decision::Settled(Verdict::problem(Reason::RejectedInput));
    }
    let decided = match call.endpoint {
        HostedEndpoint::Login | HostedEndpoint::Register => {
            login(request, site, backend, facts, now)
        }
        // The way back from FusionAuth's own pages, which this gateway never sends anybody to.
        HostedEndpoint::Callback => {
            let redirect = leave_site(backend.default_redirect());
            Ok(Decision::Settled(redirect))
        }
        HostedEndpoint::Me => Ok(me(request, site, facts, now)),
        HostedEndpoint::Refresh => Ok(refresh(request, site, backend, facts)),
        HostedEndpoint::Logout => logout(request, site, backend, facts, now),
    };
    decided.unwrap_or_else(|reason| Decision::Settled(Verdict::problem(reason)))
}

/// Whether the request names the site's client, in the path or in the query. `/app/me` and
/// `/app/callback` are called without one.
fn is_from_client(
    call: &HostedRequest,
    request: &RequestView<'_>,
    backend: &HostedBackend,
) -> bool {
    let Ok(queried) = parameter(request, "client_id") else {
        return false;
    };
    let named = [call.client_id.as_deref(), queried.as_deref()];
    let is_required = match call.endpoint {
        HostedEndpoint::Login
        | HostedEndpoint::Register
        | HostedEndpoint::Refresh
        | HostedEndpoint::Logout => true,
        HostedEndpoint::Callback | HostedEndpoint::Me => false,
    };
    named.iter().flatten().all(|id| backend.is_client(id))
        && (!is_required || named.iter().any(Option::is_some))
}

/// A parameter of the query.
///
/// # Errors
/// `rejected_input` where it occurs twice: nothing tells which of the two is meant.
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

/// `GET /app/login` and `GET /app/register`: to the login page and back here, or straight back to
/// the client where the user is logged in.
fn login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    backend: &HostedBackend,
    facts: &Facts,
    now: Timestamp,
) -> Result<Decision<'a>, Reason> {
    let redirect_uri = parameter(request, "redirect_uri")?;
    let state = parameter(request, "state")?;
    let to_client = backend
        .redirect_to(redirect_uri.as_deref(), state.as_deref())
        .ok_or(Reason::RejectedInput)?;
    let here = ReturnPath::parse(request.target.raw()).ok_or(Reason::RejectedInput)?;
    Ok(Decision::Settled(
        match auth_status(request, site, facts, now) {
            AuthStatus::Needs(question) => return Ok(Decision::Needs(question)),
            AuthStatus::Authenticated(user) => leave_site(to_client).with_cookies(user.cookies),
            AuthStatus::Anonymous(_, cookies) => {
                let redirect = redirect_to_login(site, Some(&here));
                Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint)
                    .with_cookies(cookies)
            }
            // As at the login page's own address: cookies are kept, the user may be authenticated
            // again as soon as the provider is back.
            AuthStatus::Unavailable(_) if site.sign_in == SignIn::Form => {
                empty_login_page(Some(here))
            }
            AuthStatus::Unavailable(_) => {
                let redirect = redirect_to_login(site, Some(&here));
                Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint)
            }
            AuthStatus::Refused(reason) => Verdict::problem(reason),
        },
    ))
}

/// `GET /app/me`: the claims of the user who is logged in.
fn me<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Timestamp) -> Decision<'a> {
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(user) => {
            let claims = sdk_claims(&user.principal.identity);
            json(ApiResponse::Claims(claims)).with_cookies(user.cookies)
        }
        AuthStatus::Anonymous(reason, cookies) => Verdict::problem(reason).with_cookies(cookies),
        AuthStatus::Unavailable(reason) => Verdict::unavailable(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// `POST /app/refresh`: refreshes now. The SDKs send an empty body as plain text, which any page
/// could do without a preflight, so the origin is checked.
fn refresh<'a>(
    request: &RequestView<'a>,
    site: &Site,
    backend: &HostedBackend,
    facts: &Facts,
) -> Decision<'a> {
    let is_from_client = request
        .source_origin()
        .is_some_and(|origin| backend.lists_origin(&origin));
    if request.provenance(site) == Provenance::CrossOrigin && !is_from_client {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    // The SDKs know cookies only.
    let refresh = RequestCredentials::of(request, site)
        .refresh_request()
        .filter(|refresh| refresh.kind != CredentialKind::Bearer);
    let Some(refresh) = refresh else {
        return Decision::Settled(login_required(Reason::SignedOut));
    };
    Decision::Settled(match &facts.refresh {
        Known::NotAsked => return Decision::Needs(Question::Refresh(refresh)),
        Known::Found(refresh) => {
            let cookies = vec![CookieChange::SetTokens(refresh.tokens.clone())];
            json(ApiResponse::Claims(serde_json::Map::new())).with_cookies(cookies)
        }
        Known::Absent(reason) => {
            login_required(*reason).with_cookies(vec![CookieChange::ClearCredentials])
        }
        Known::Failed(reason) => Verdict::unavailable(*reason),
    })
}

/// The SDKs start a new login at a `400`.
fn login_required<'a>(reason: Reason) -> Verdict<'a> {
    let problem = Problem::new(reason).with_status(400);
    Verdict::reply(LocalResponse::Problem(problem), reason)
}

/// `GET /app/logout`: ends the login, or shows the logout page.
fn logout<'a>(
    request: &RequestView<'a>,
    site: &Site,
    backend: &HostedBackend,
    facts: &Facts,
    now: Timestamp,
) -> Result<Decision<'a>, Reason> {
    let redirect_uri = match parameter(request, "redirect_uri")? {
        Some(uri) => Some(uri),
        None => parameter(request, "post_logout_redirect_uri")?,
    };
    if !is_intentional_logout(request, site, backend) {
        return Ok(logout_page(request, site, facts, now));
    }
    if matches!(facts.logout, Known::NotAsked)
        && let Some(credential) = RequestCredentials::of(request, site).presented()
    {
        return Ok(Decision::Needs(Question::Logout(credential)));
    }
    let response = match redirect_uri.and_then(|uri| backend.redirect_to(Some(&uri), None)) {
        Some(to) => LocalResponse::AllowedRedirect {
            to,
            clear_site_data: true,
        },
        None => LocalResponse::Redirect(Redirect {
            status: 303,
            location: LocalPath::from(&site.after_logout),
            clear_site_data: true,
        }),
    };
    let verdict = Verdict::reply(response, Reason::OwnEndpoint);
    let mut cookies = vec![CookieChange::ClearCredentials];
    cookies.extend(forget::at_logout(request, site));
    Ok(Decision::Settled(verdict.with_cookies(cookies)))
}

/// Whether a user logs out by a link or script of the site or its client, or by typing the address.
/// Judged by `Sec-Fetch-*`, `Origin` and `Referer`, none of which a page can forge as another's.
fn is_intentional_logout(request: &RequestView<'_>, site: &Site, backend: &HostedBackend) -> bool {
    let metadata = &request.fetch_metadata;
    // A WebSocket handshake is a `GET` too, and only scripts make one.
    let is_intended = *request.method == Method::GET && request.is_navigation();
    if !is_intended || metadata.is_websocket || request.is_prefetch() {
        return false;
    }
    let source = request.source_origin();
    let is_own = source
        .as_ref()
        .is_some_and(|origin| site.is_own_origin(origin));
    let is_from_client = source
        .as_ref()
        .is_some_and(|origin| backend.lists_origin(origin));
    match metadata.fetch_site {
        Some("same-origin" | "none") => true,
        // Cross-site although the source is the site itself: the navigation started here and
        // another site redirected it back.
        Some(_) => is_from_client && !is_own,
        None => is_from_client || is_own,
    }
}

/// A redirect to an address of the operator's list.
fn leave_site<'a>(to: AllowedRedirect) -> Verdict<'a> {
    Verdict::reply(
        LocalResponse::AllowedRedirect {
            to,
            clear_site_data: false,
        },
        Reason::OwnEndpoint,
    )
}

fn json<'a>(response: ApiResponse) -> Verdict<'a> {
    Verdict::reply(LocalResponse::Json(response), Reason::OwnEndpoint)
}
