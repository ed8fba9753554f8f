//! The policy of the gateway, as one pure function.
//!
//! [`decide`] takes a request, its site, the facts known so far and the time. It returns either a
//! [`Question`] that only the caller can answer, because the answer takes input and output, or a
//! [`Verdict`]. The caller has no policy of its own and runs this loop:
//!
//! ```text
//! loop {
//!     match decide(&request, &site, &facts, now) {
//!         Decision::Needs(question) => facts.fill(resolve(question).await),
//!         Decision::Settled(verdict) => break verdict,
//!     }
//! }
//! ```
//!
//! The loop ends: a question whose slot in [`Facts`] is filled is never asked again.
//!
//! Each file states its policy in its head comment. In reading order:
//!
//! * `endpoint`: which paths belong to the gateway.
//! * `credentials` and `auth_status`: which credentials of a request count, and whom they prove.
//! * `authorize`: who may see a page of the application.
//! * `service_access`: programs without an account. `basic_access`: clients without a form.
//! * `unauthenticated`, `redirect_loop`, `preserved_post`: what everybody else gets.
//! * `provider_login`: logins at the provider's own pages.
//! * `login`, `login_result`, `csrf_token`, `challenge`, `mfa`, `logout`: the gateway's forms.
//! * `api`, `api_body`, `api_login`, `api_mfa`, `cors`: the JSON endpoints, and pages of other
//!   origins.
//! * `fusionauth_hosted_backend`: the endpoints that FusionAuth's SDKs call. `receive_hook`:
//!   messages of the provider.
//! * `forget`: whose the application's own cookies are.
//! * `prefetch`, `opener`: what a browser's prefetch may not do, and what a popup keeps.
//! * `request_validation` and `rejection`, `request_size`, `request_target`, `client_address`,
//!   `forwarded`, `trace_context`: what is checked before any policy.
//! * `proxy_protocol`, `https_redirect`: what a proxy in front says of the client, and requests
//!   that came in the clear.
//! * `forward_auth`: requests that a proxy in front forwards itself, and asks about.
//! * `upstream_headers`, `upstream_response`, `response_rewrite`, `credential_response_headers`,
//!   `cache_fields`: what the application and the client are sent.
//! * `explain`: the same decisions, told to the operator.

use crate::model::local_response::{LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

mod api;
mod api_body;
mod api_login;
mod api_mfa;
mod auth_status;
mod authorize;
mod basic_access;
pub mod cache_fields;
mod challenge;
pub mod client_address;
pub mod cors;
pub mod credential_response_headers;
mod credentials;
pub mod csrf_token;
pub mod endpoint;
pub mod explain;
pub mod facts;
pub mod forget;
pub mod forward_auth;
pub mod forwarded;
mod fusionauth_hosted_backend;
pub mod https_redirect;
mod login;
mod login_result;
mod logout;
mod mfa;
pub mod opener;
mod prefetch;
pub mod preserved_post;
mod provider_login;
pub mod proxy_protocol;
mod receive_hook;
mod redirect_loop;
pub mod rejection;
pub mod request_size;
pub mod request_target;
pub mod request_validation;
pub mod response_rewrite;
mod service_access;
pub mod trace_context;
pub mod unauthenticated;
pub mod upstream_headers;
pub mod upstream_response;
mod verdict;

pub use facts::{Facts, Known, Question, RedirectResult};
pub use verdict::{ApplicationCookies, Decision, Grant, Outcome, RequestCookies, Verdict};

use endpoint::Endpoint;

/// Decides about a request at the site that its host names. The request passed the validation of
/// its head and target before.
///
/// Pure: a fact that is not in `facts` is asked for, never assumed.
#[must_use]
pub fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let decision = match endpoint::find(site, request.target) {
        Some(endpoint) => decide_endpoint(endpoint, request, site, facts, now),
        None => authorize::decide(request, site, facts, now),
    };
    let decision = match decision {
        Decision::Settled(verdict) if !site.forget.is_empty() => {
            Decision::Settled(forget::settle(verdict, request, site, facts))
        }
        Decision::Needs(_) | Decision::Settled(_) => decision,
    };
    if request.is_prefetch() {
        prefetch::limit(decision, request)
    } else {
        decision
    }
}

/// A request for one of the gateway's own endpoints: preflight and method first, then the endpoint.
fn decide_endpoint<'a>(
    endpoint: Endpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let for_api_clients = endpoint.is_for_api_clients();
    if for_api_clients && let Some(verdict) = cors::preflight(request, site, endpoint.methods()) {
        return Decision::Settled(verdict);
    }
    let refused = method_not_allowed(&endpoint, request)
        .or_else(|| prefetch::refuse_write(&endpoint, request));
    let decision = match refused {
        Some(verdict) => Decision::Settled(verdict),
        None => call_endpoint(endpoint, request, site, facts, now),
    };
    if for_api_clients {
        decision.for_api_client()
    } else {
        decision
    }
}

fn call_endpoint<'a>(
    endpoint: Endpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let file = |response| Decision::Settled(Verdict::reply(response, Reason::OwnEndpoint));
    match endpoint {
        Endpoint::Api(endpoint) => api::decide(endpoint, request, site, facts, now),
        Endpoint::Hosted(call) => {
            fusionauth_hosted_backend::decide(&call, request, site, facts, now)
        }
        Endpoint::Login => login::decide(request, site, facts, now),
        Endpoint::Callback => provider_login::callback(request, site, facts, now),
        Endpoint::Step(endpoint) => mfa::decide(endpoint, request, site, facts, now),
        Endpoint::Logout => logout::decide(request, site, facts, now),
        Endpoint::ApplicationLogout => logout::decide_application(request, site, facts, now),
        Endpoint::Asset(name) => file(LocalResponse::Asset(name)),
        Endpoint::Hook(kind) => receive_hook::decide(kind, facts),
        Endpoint::Unknown => file(not_found()),
        Endpoint::AssertionKeys => file(LocalResponse::AssertionKeys),
        Endpoint::ChangePassword => Decision::Settled(change_password(site)),
    }
}

/// The page where a password is changed, for password managers and browsers (W3C, A Well-Known URL
/// for Changing Passwords); `404` where the site has none.
fn change_password<'a>(site: &Site) -> Verdict<'a> {
    let response = match &site.theme.links.forgot_password {
        Some(link) => LocalResponse::LinkedPage(link.clone()),
        None => not_found(),
    };
    Verdict::reply(response, Reason::OwnEndpoint)
}

fn not_found() -> LocalResponse {
    LocalResponse::Problem(Problem::new(Reason::OwnEndpoint).with_status(404))
}

/// `405` with `Allow`, where the endpoint does not take the request's method.
fn method_not_allowed<'a>(endpoint: &Endpoint, request: &RequestView<'a>) -> Option<Verdict<'a>> {
    let mut problem = Problem::new(Reason::MethodNotAllowed);
    problem.allow = Some(endpoint.disallows(request.method)?);
    Some(Verdict::reply(
        LocalResponse::Problem(problem),
        Reason::MethodNotAllowed,
    ))
}

#[cfg(test)]
mod tests;
