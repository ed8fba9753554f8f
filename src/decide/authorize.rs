//! Guarded pages: who may pass, who is renewed on the way, who is sent to sign in.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::model::credential::{CredentialKind, RefreshRequest};
use crate::model::local_path::LocalPath;
use crate::model::local_response::{CookieChange, LocalResponse, Problem, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::rule::{Access, UnauthenticatedAction};
use crate::model::site::{Requirement, Site};
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, TokenError};

use super::credentials::{self, RequestCredentials};
use super::facts::{Facts, Known, Question};
use super::preserved_post::{self, Preserve};
use super::{Decision, Grant, Outcome, Verdict, cors, redirect_loop, unavailable};

/// What a request's proof amounts to.
pub(super) enum AuthStatus<'a> {
    /// Something must be found out first.
    Ask(Question<'a>),
    /// Signed in.
    Authenticated(AuthenticatedPrincipal<'a>),
    /// Nobody; `Reason` says whether a token was revoked or just not there.
    Anonymous(Reason, Vec<CookieChange>),
    /// Nobody can say: the visitor keeps what they have.
    Unavailable(Reason),
    /// What would have to be done is not done for such a client.
    Refused(Reason),
}

/// A visitor with what happened on the way to know them.
pub(super) struct AuthenticatedPrincipal<'a> {
    principal: Arc<Principal>,
    kind: CredentialKind,
    cookies: Vec<CookieChange>,
    reason: Reason,
    /// What was not used yet to renew with.
    refresh: Option<RefreshRequest<'a>>,
}

/// The steps of `docs/reference/request-handling.md` from the rules on.
pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let requirement = site.match_rule(request.method, request.target.decoded_path());
    if requirement.access == Access::Public {
        return Decision::Settled(Verdict::forward(anonymous_grant(None), Reason::Public));
    }
    // A preflight carries no proof of its own: refused, the request it asks for would never come.
    if requirement.access == Access::Required
        && let Some(verdict) = cors::preflight(request, site, cors::ANY_METHOD)
    {
        return Decision::Settled(verdict);
    }
    let looked_at = Some(credentials::of(request, site).kind);
    let verdict = match auth_status(request, site, facts, now) {
        AuthStatus::Ask(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(somebody) => admit(request, site, &requirement, somebody, now),
        AuthStatus::Anonymous(_, cookies) if requirement.access == Access::Optional => {
            Verdict::forward(anonymous_grant(looked_at), Reason::Anonymous).with_cookies(cookies)
        }
        AuthStatus::Anonymous(reason, cookies) => {
            match preserved_post::preserve(request, site, &requirement, facts) {
                Preserve::Ask(question) => return Decision::Needs(question),
                Preserve::Page(form) => {
                    Verdict::reply(LocalResponse::LoginPage(form), reason).with_cookies(cookies)
                }
                Preserve::Nothing => {
                    let verdict = deny_unauthenticated(request, site, &requirement, reason)
                        .with_cookies(cookies);
                    return match &verdict.outcome {
                        Outcome::Reply(LocalResponse::Redirect(_)) => {
                            redirect_loop::before_login(request, site, facts, verdict)
                        }
                        Outcome::Reply(_) | Outcome::Forward(_) => Decision::Settled(verdict),
                    };
                }
            }
        }
        // An optional page goes on without a name rather than not at all.
        AuthStatus::Unavailable(_) if requirement.access == Access::Optional => {
            Verdict::forward(anonymous_grant(looked_at), Reason::Anonymous)
        }
        AuthStatus::Unavailable(reason) => unavailable(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    };
    Decision::Settled(verdict)
}

/// The grant of a request that goes on without an identity.
fn anonymous_grant<'a>(looked_at: Option<CredentialKind>) -> Grant<'a> {
    Grant {
        principal: None,
        early_refresh: None,
        kind: looked_at,
    }
}

/// Who the request's proof stands for, asking for what is not known yet.
pub(super) fn auth_status<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> AuthStatus<'a> {
    let proof = credentials::of(request, site);
    let renewable = proof.refresh.map(|refresh| RefreshRequest {
        kind: proof.kind,
        refresh,
        session_id: proof
            .token
            .filter(|_| proof.kind == CredentialKind::Session),
    });
    let known = match proof.kind {
        CredentialKind::Session => session(proof.token, site, facts, now, renewable),
        CredentialKind::Jwt | CredentialKind::Bearer => token(&proof, facts, renewable),
    };
    match known {
        Ok(auth_status) => auth_status,
        Err(Some(TokenError::Revoked)) => {
            // Its refresh token belongs to the same ended sign-in: asking the provider could only
            // bring it back.
            AuthStatus::Anonymous(Reason::Revoked, cleared(&proof))
        }
        Err(fault) => refreshed(request, &proof, fault, facts, renewable),
    }
}

/// What an access token amounts to; `Err` where it proves nobody, with what is wrong if there is
/// one.
fn token<'a>(
    proof: &RequestCredentials<'a>,
    facts: &Facts,
    spare: Option<RefreshRequest<'a>>,
) -> Result<AuthStatus<'a>, Option<TokenError>> {
    match (proof.token, &facts.token) {
        (Some(token), Known::NotAsked) => Ok(AuthStatus::Ask(Question::Verify(token))),
        (Some(_), Known::Found(principal)) => Ok(signed_in(principal, proof.kind, spare)),
        (Some(_), Known::Absent(fault)) => Err(Some(*fault)),
        (Some(_), Known::Failed(reason)) => Ok(AuthStatus::Unavailable(*reason)),
        (None, _) => Err(None),
    }
}

/// What a session amounts to. One whose access token has ended is renewed where that can be done,
/// so that nobody keeps for hours a role that was taken from them; where it cannot be done now, the
/// session lives out its life.
fn session<'a>(
    id: Option<&'a str>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
    spare: Option<RefreshRequest<'a>>,
) -> Result<AuthStatus<'a>, Option<TokenError>> {
    match (id, &facts.session) {
        (Some(id), Known::NotAsked) => Ok(AuthStatus::Ask(Question::LoadSession(id))),
        (Some(_), Known::Found(open)) => {
            let stale =
                open.principal.is_expired(now) || (site.forward_token && open.access.is_none());
            if stale && spare.is_some() && !matches!(facts.refresh, Known::Failed(_)) {
                return Err(Some(TokenError::Expired));
            }
            Ok(signed_in(
                &open.principal,
                CredentialKind::Session,
                spare.filter(|_| !stale),
            ))
        }
        (Some(_), Known::Absent(fault)) => Err(Some(*fault)),
        (Some(_), Known::Failed(reason)) => Ok(AuthStatus::Unavailable(*reason)),
        (None, _) => Err(None),
    }
}

fn signed_in<'a>(
    principal: &Arc<Principal>,
    kind: CredentialKind,
    spare: Option<RefreshRequest<'a>>,
) -> AuthStatus<'a> {
    let principal = Arc::clone(principal);
    AuthStatus::Authenticated(AuthenticatedPrincipal {
        principal,
        kind,
        cookies: Vec::new(),
        reason: Reason::SignedIn,
        refresh: spare,
    })
}

/// What the refresh token amounts to, where the proof itself does not hold.
fn refreshed<'a>(
    request: &RequestView<'a>,
    proof: &RequestCredentials<'a>,
    fault: Option<TokenError>,
    facts: &Facts,
    renewable: Option<RefreshRequest<'a>>,
) -> AuthStatus<'a> {
    let Some(renewable) = renewable else {
        return AuthStatus::Anonymous(Reason::SignedOut, cleared(proof));
    };
    match &facts.refresh {
        // A script injected into a page could read what comes back in a header.
        Known::NotAsked
            if proof.kind == CredentialKind::Bearer && request.fetch_metadata.is_browser =>
        {
            AuthStatus::Refused(Reason::BrowserTokensRefused)
        }
        Known::NotAsked => AuthStatus::Ask(Question::Refresh(renewable)),
        Known::Found(renewed) => AuthStatus::Authenticated(AuthenticatedPrincipal {
            principal: Arc::clone(&renewed.principal),
            kind: proof.kind,
            cookies: vec![CookieChange::SetTokens(renewed.tokens.clone())],
            reason: match fault {
                Some(TokenError::Invalid | TokenError::Revoked) => Reason::RenewedFromInvalid,
                // A duplicate is not "missing": somebody put it there.
                None if proof.is_duplicate => Reason::RenewedFromInvalid,
                Some(TokenError::Expired) | None => Reason::Renewed,
            },
            refresh: None,
        }),
        Known::Absent(reason) => AuthStatus::Anonymous(*reason, cleared(proof)),
        Known::Failed(reason) => AuthStatus::Unavailable(*reason),
    }
}

/// What goes with a proof that is no good: cookies, where any came.
fn cleared(proof: &RequestCredentials<'_>) -> Vec<CookieChange> {
    let cookies = proof.any_presented && proof.kind != CredentialKind::Bearer;
    cookies
        .then_some(CookieChange::ClearCredentials)
        .into_iter()
        .collect()
}

fn admit<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    somebody: AuthenticatedPrincipal<'a>,
    now: Timestamp,
) -> Verdict<'a> {
    let AuthenticatedPrincipal {
        principal,
        kind,
        cookies,
        reason,
        refresh: spare,
    } = somebody;
    // The role first, in the order of `docs/reference/request-handling.md`; both refusals carry the
    // cookies of a renewal that took place.
    if requirement.access == Access::Required && !principal.identity.has_any_role(requirement.roles)
    {
        return Verdict::problem(Reason::RoleMissing).with_cookies(cookies);
    }
    // Browsers send cookies by themselves, headers they do not.
    if kind != CredentialKind::Bearer && is_csrf(request, site) {
        return Verdict::problem(Reason::CrossSiteRequest).with_cookies(cookies);
    }
    let to_a_script = kind == CredentialKind::Bearer && request.fetch_metadata.is_browser;
    let renew_ahead = spare.filter(|_| {
        !to_a_script && principal.expires_within(early_refresh_window(request, site), now)
    });
    Verdict::forward(
        Grant {
            principal: Some(principal),
            early_refresh: renew_ahead,
            kind: Some(kind),
        },
        reason,
    )
    .with_cookies(cookies)
}

/// How long before its end a token is renewed: earlier for what changes something, so that what
/// people write seldom meets a session that has ended. The length of the token's life bounds both,
/// see [`Principal::expires_within`].
fn early_refresh_window(request: &RequestView<'_>, site: &Site) -> Duration {
    if request.is_unsafe() {
        site.refresh_ahead.saturating_mul(2)
    } else {
        site.refresh_ahead
    }
}

/// Whether another site makes this visitor's browser write, or open a WebSocket, in the visitor's
/// name.
fn is_csrf(request: &RequestView<'_>, site: &Site) -> bool {
    if !request.is_unsafe() && !request.fetch_metadata.is_websocket {
        return false;
    }
    // `Referer` is not asked here: `docs/reference/request-handling.md#cross-site-writes` names
    // `Origin` and `Sec-Fetch-Site`.
    if request.fetch_metadata.origin.is_none() && request.fetch_metadata.fetch_site.is_none() {
        return false;
    }
    request.provenance(site) == Provenance::CrossOrigin
}

/// The signed-out visitor of a page that asks for more.
fn deny_unauthenticated<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    reason: Reason,
) -> Verdict<'a> {
    let redirect = match requirement.unauthenticated {
        UnauthenticatedAction::Auto => request.is_navigation(),
        UnauthenticatedAction::Redirect => true,
        UnauthenticatedAction::Status => false,
    };
    if !redirect {
        let mut problem = Problem::new(reason);
        problem.www_authenticate = site.bearer.then(|| www_authenticate(request));
        return Verdict::reply(LocalResponse::Problem(problem), reason);
    }
    Verdict::reply(
        LocalResponse::Redirect(redirect_to_login(site, return_address(request).as_ref())),
        reason,
    )
}

/// To the sign-in form, and from there to `return_to`.
pub(super) fn redirect_to_login(site: &Site, return_to: Option<&ReturnPath>) -> Redirect {
    Redirect {
        status: 302,
        location: login_address(site, return_to),
        clear_site_data: false,
    }
}

/// The address of the sign-in form that leads on to `return_to`.
#[must_use]
pub fn login_address(site: &Site, return_to: Option<&ReturnPath>) -> LocalPath {
    let form = LocalPath::endpoint(&site.paths.login);
    match return_to {
        Some(path) => form.with_parameter("return_to", path.as_str()),
        None => form,
    }
}

/// What a client that is no browser is told to come with (RFC 6750, section 3).
pub(super) fn www_authenticate(request: &RequestView<'_>) -> &'static str {
    if request.bearer.access.is_some() {
        "Bearer error=\"invalid_token\""
    } else {
        "Bearer"
    }
}

/// The address to come back to: only of a page that a person was opening, so that nobody lands on
/// an icon.
fn return_address(request: &RequestView<'_>) -> Option<ReturnPath> {
    (request.method == Method::GET && request.is_navigation() && request.accepts_html())
        .then(|| ReturnPath::parse(request.target.raw()))
        .flatten()
}

impl AuthenticatedPrincipal<'_> {
    /// Who.
    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What happened to the cookies on the way.
    pub(super) fn cookies(self) -> Vec<CookieChange> {
        self.cookies
    }
}
