//! The application's own session is kept to the user for whom it was set (`forget`,
//! `docs/reference/cookies.md#application-cookies`).
//!
//! Applications have session cookies of their own, which outlive a login at the gateway. In a
//! shared browser the application would take the next user for the one before. So the owner cookie
//! tells whose the application's cookies are:
//!
//! * It is set at each login, beside the tokens. Cookies that an anonymous visitor had before, such
//!   as a basket, become the property of the user who logs in.
//! * Where a request is another user's, or nobody's, the cookies are taken out of it, and expired
//!   in the response. A login of another user expires them at once, so that no `public` page, for
//!   which nobody looks at credentials, can show them.
//! * Whoever cannot be told, because credentials were not looked at or could not be checked, is
//!   taken for the owner: their login would have expired the cookies.
//! * A logout expires them.
//! * Each response in which the application sets one of them sets the owner cookie too, so that
//!   both reach the browser or neither does. It also records the path and domain, without which a
//!   cookie cannot be expired.

use crate::model::application_cookies::{self, CookieOwner, CookieScope, OwnerHash};
use crate::model::cookie_change::CookieChange;
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::request_cookies::PresentedCookie;
use crate::model::site::Site;
use crate::model::token::Principal;

use super::facts::{Facts, Known, RedirectResult};
use super::verdict::{ApplicationCookies, Outcome, RequestCookies, Verdict};

/// The most cookies that one response expires. Clients and proxies limit the size of a head.
const MAX_EXPIRED: usize = 64;

/// Whose request it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visitor {
    User(OwnerHash),
    Nobody,
    /// Credentials were not looked at, or could not be checked.
    Unknown,
}

/// Whose the cookies of the request are, as the owner cookie says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PresentedOwner {
    /// Nobody's yet: there is no owner cookie.
    Nobody,
    User(OwnerHash),
    /// Somebody's: the owner cookie does not tell whose.
    Unreadable,
}

/// The verdict with what it means for the application's cookies, at a site that has `forget`.
pub(super) fn settle<'a>(
    mut verdict: Verdict<'a>,
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
) -> Verdict<'a> {
    let Some(visitor) = visitor(&verdict, request, site, facts) else {
        return verdict;
    };
    let presented = presented_owner(request);
    let is_foreign = match (presented, visitor) {
        (PresentedOwner::Nobody, _) | (_, Visitor::Unknown) => false,
        (PresentedOwner::User(owner), Visitor::User(user)) => owner != user,
        (PresentedOwner::Unreadable, _) | (_, Visitor::Nobody) => true,
    };
    let owner = match (visitor, presented) {
        (Visitor::User(user), _) => Some(user),
        (Visitor::Unknown, PresentedOwner::User(owner)) => Some(owner),
        (Visitor::Nobody | Visitor::Unknown, _) => None,
    };
    if is_foreign {
        verdict.cookies.extend(expire(request, site));
        verdict.cookies.push(match owner {
            Some(owner) => CookieChange::SetOwner(CookieOwner::new(owner)),
            None => CookieChange::ClearOwner,
        });
    } else if presented == PresentedOwner::Nobody
        && let (Some(owner), true) = (owner, keeps_cookies(&verdict, request))
    {
        let owner = CookieOwner::new(owner);
        verdict.cookies.push(CookieChange::SetOwner(owner));
    }
    verdict.application_cookies = Some(ApplicationCookies {
        request: if is_foreign {
            RequestCookies::Removed
        } else {
            RequestCookies::Kept
        },
        owner,
    });
    verdict
}

/// Whose request it is. `None` for a response of the gateway's own that logs nobody in.
fn visitor(
    verdict: &Verdict<'_>,
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
) -> Option<Visitor> {
    let user =
        |principal: &Principal| Visitor::User(OwnerHash::of(&site.name, &principal.identity.sub));
    match &verdict.outcome {
        Outcome::Forward(grant) => Some(match grant.principal() {
            Some(principal) => user(principal),
            None if verdict.reason == Reason::Public && has_credentials(request) => {
                Visitor::Unknown
            }
            None if was_not_checked(facts) => Visitor::Unknown,
            None => Visitor::Nobody,
        }),
        Outcome::Reply(_) => {
            let in_cookies = sets_tokens(verdict);
            match (&facts.login, &facts.refresh) {
                _ if !in_cookies => None,
                (Known::Found(login), _) => Some(user(&login.principal)),
                (_, Known::Found(refresh)) => Some(user(&refresh.principal)),
                _ => match facts.callback.as_deref() {
                    Some(RedirectResult::Finished(finished)) => {
                        Some(user(&finished.login.principal))
                    }
                    Some(RedirectResult::Refused(_) | RedirectResult::Failed(_)) | None => None,
                },
            }
        }
    }
}

/// Whether the response sets new tokens in cookies.
fn sets_tokens(verdict: &Verdict<'_>) -> bool {
    verdict.cookies.iter().any(|change| {
        matches!(change, CookieChange::SetTokens(tokens) if tokens.kind != CredentialKind::Bearer)
    })
}

/// Whether the client keeps the gateway's cookies.
fn keeps_cookies(verdict: &Verdict<'_>, request: &RequestView<'_>) -> bool {
    sets_tokens(verdict) || request.cookies.has_credential()
}

fn has_credentials(request: &RequestView<'_>) -> bool {
    let bearer = request.bearer;
    request.cookies.has_credential()
        || bearer.access.is_some()
        || bearer.refresh.is_some()
        || bearer.service.is_some()
        || request.basic.is_some()
}

fn was_not_checked(facts: &Facts) -> bool {
    matches!(facts.token, Known::Failed(_))
        || matches!(facts.session, Known::Failed(_))
        || matches!(facts.refresh, Known::Failed(_))
        || matches!(facts.basic, Known::Failed(_))
}

fn presented_owner(request: &RequestView<'_>) -> PresentedOwner {
    match &request.cookies.owner {
        PresentedCookie::Absent => PresentedOwner::Nobody,
        PresentedCookie::Single(value) => match CookieOwner::parse_owner(value) {
            Some(owner) => PresentedOwner::User(owner),
            None => PresentedOwner::Unreadable,
        },
        PresentedCookie::Duplicate => PresentedOwner::Unreadable,
    }
}

/// The changes of a logout: the application's cookies end with the login.
pub(super) fn at_logout(request: &RequestView<'_>, site: &Site) -> Vec<CookieChange> {
    if site.forget.is_empty() {
        return Vec::new();
    }
    let is_owned = request.cookies.owner != PresentedCookie::Absent;
    let cleared = is_owned.then_some(CookieChange::ClearOwner);
    expire(request, site).into_iter().chain(cleared).collect()
}

/// Expires the cookies that the owner cookie records, and those of the request that it does not
/// know, in every scope that they may have.
fn expire(request: &RequestView<'_>, site: &Site) -> Option<CookieChange> {
    let recorded = request.cookies.owner.value().and_then(CookieOwner::parse);
    let mut scopes = recorded.map_or_else(Vec::new, |owner| owner.scopes().to_vec());
    let domains = domains(site);
    for name in &request.cookies.forgettable {
        let room = MAX_EXPIRED.saturating_sub(scopes.len());
        if room == 0 {
            break;
        }
        // Of a name that is no plain text nobody can write a field.
        let Some(name) = application_cookies::text(name) else {
            continue;
        };
        if !scopes.iter().any(|scope| scope.name == name) {
            let path = request.target.path();
            scopes.extend(CookieScope::candidates(name, path, &domains).take(room));
        }
    }
    scopes.truncate(MAX_EXPIRED);
    (!scopes.is_empty()).then_some(CookieChange::ExpireApplication(scopes))
}

/// The domains of which a page of the site may have cookies: its hosts, and what is above them. A
/// browser ignores those that it does not accept.
fn domains(site: &Site) -> Vec<String> {
    let hosts = std::iter::once(&site.origin.name).chain(site.aliases.iter().map(|it| &it.name));
    let is_name =
        |host: &&String| host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains(':');
    let mut domains: Vec<String> = Vec::new();
    for host in hosts.filter(is_name) {
        let mut rest = Some(host.as_str());
        while let Some(domain) = rest.filter(|domain| domain.contains('.')) {
            if !domains.iter().any(|known| known == domain) {
                domains.push(domain.to_owned());
            }
            rest = domain.split_once('.').map(|(_, parent)| parent);
        }
    }
    domains
}

/// The owner cookie of a response in which the application sets cookies: `lines` are its
/// `Set-Cookie` values, `presented` is the owner cookie of the request, `path` its path. `None`
/// where none of them is one that `forget` names.
#[must_use]
pub fn bind<'l>(
    site: &Site,
    owner: OwnerHash,
    presented: Option<&str>,
    path: &str,
    lines: impl Iterator<Item = &'l [u8]>,
) -> Option<CookieOwner> {
    let before = presented.and_then(CookieOwner::parse);
    let mut bound = before
        .filter(|before| before.owner == owner)
        .unwrap_or_else(|| CookieOwner::new(owner));
    let mut any = false;
    for scope in lines.filter_map(|line| CookieScope::of_set_cookie(line, path)) {
        if site.forget.matches(scope.name.as_bytes()) {
            any = true;
            bound.record(scope);
        }
    }
    any.then_some(bound)
}
