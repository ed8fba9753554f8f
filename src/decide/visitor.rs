//! Guarded pages: who may pass, who is renewed on the way, who is sent to sign in.

use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::answer::{Answer, CookieChange, Redirect};
use crate::model::cookie::Presented;
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::rule::{Access, SignedOut};
use crate::model::site::{Demand, Site};
use crate::model::token::{TokenFault, Visitor};

use super::facts::{Facts, Known, Question};
use super::{Decision, Grant, Verdict, trouble};

/// What a request's cookies amount to.
pub(super) enum Standing<'a> {
    /// Something must be found out first.
    Ask(Question<'a>),
    /// Signed in.
    In(SignedInVisitor<'a>),
    /// Nobody; `Reason` says whether a token was revoked or just not there.
    Out(Reason, Vec<CookieChange>),
    /// Nobody can say: cookies stay as they are.
    Trouble(Reason),
}

/// A visitor with what happened on the way to know them.
pub(super) struct SignedInVisitor<'a> {
    visitor: Arc<Visitor>,
    cookies: Vec<CookieChange>,
    reason: Reason,
    /// A sealed refresh token that was not used yet.
    spare_refresh: Option<&'a str>,
}

/// Steps 4 to 9 of the contract's section 3.
pub(super) fn decide<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Moment) -> Decision<'a> {
    let demand = site.demand(request.method, request.target.decoded_path());
    if demand.access == Access::Public {
        let grant = Grant { visitor: None, renew_ahead: None };
        return Decision::Settled(Verdict::forward(grant, Reason::Public));
    }
    let verdict = match standing(request, facts) {
        Standing::Ask(question) => return Decision::Needs(question),
        Standing::In(somebody) => admit(request, site, &demand, somebody, now),
        Standing::Out(_, cookies) if demand.access == Access::Optional => {
            Verdict::forward(Grant { visitor: None, renew_ahead: None }, Reason::Anonymous).with(cookies)
        }
        Standing::Out(reason, cookies) => turn_away(request, site, &demand, reason).with(cookies),
        // An optional page goes on without a name rather than not at all.
        Standing::Trouble(_) if demand.access == Access::Optional => {
            Verdict::forward(Grant { visitor: None, renew_ahead: None }, Reason::Anonymous)
        }
        Standing::Trouble(reason) => trouble(reason),
    };
    Decision::Settled(verdict)
}

/// Who the request's cookies prove, asking for what is not known yet.
pub(super) fn standing<'a>(request: &RequestView<'a>, facts: &Facts) -> Standing<'a> {
    let cookies = request.cookies;
    let refresh = cookies.refresh.value();
    let fault = match (cookies.access.value(), &facts.token) {
        (Some(token), Known::NotAsked) => return Standing::Ask(Question::Verify(token)),
        (Some(_), Known::Found(visitor)) => {
            return Standing::In(SignedInVisitor {
                visitor: Arc::clone(visitor),
                cookies: Vec::new(),
                reason: Reason::SignedIn,
                spare_refresh: refresh,
            });
        }
        (Some(_), Known::Absent(fault)) => Some(*fault),
        (Some(_), Known::Failed(reason)) => return Standing::Trouble(*reason),
        (None, _) => None,
    };
    if fault == Some(TokenFault::Revoked) {
        // Its refresh token belongs to the same ended sign-in: asking the provider could only bring it back.
        return Standing::Out(Reason::Revoked, vec![CookieChange::ClearCredentials]);
    }
    match (refresh, &facts.renewal) {
        (Some(sealed), Known::NotAsked) => Standing::Ask(Question::Renew(sealed)),
        (Some(_), Known::Found(renewed)) => Standing::In(SignedInVisitor {
            visitor: Arc::clone(&renewed.visitor),
            cookies: vec![CookieChange::SetTokens(renewed.tokens.clone())],
            reason: match fault {
                Some(TokenFault::Invalid | TokenFault::Revoked) => Reason::RenewedFromInvalid,
                // A duplicate is not "missing": somebody put it there.
                None if cookies.access == Presented::Ambiguous => Reason::RenewedFromInvalid,
                Some(TokenFault::Expired) | None => Reason::Renewed,
            },
            spare_refresh: None,
        }),
        (Some(_), Known::Absent(reason)) => Standing::Out(*reason, vec![CookieChange::ClearCredentials]),
        (Some(_), Known::Failed(reason)) => Standing::Trouble(*reason),
        (None, _) => {
            let leftover = cookies.any_credential().then_some(CookieChange::ClearCredentials);
            Standing::Out(Reason::SignedOut, leftover.into_iter().collect())
        }
    }
}

fn admit<'a>(
    request: &RequestView<'a>,
    site: &Site,
    demand: &Demand<'_>,
    somebody: SignedInVisitor<'a>,
    now: Moment,
) -> Verdict<'a> {
    let SignedInVisitor { visitor, cookies, reason, spare_refresh } = somebody;
    // The role first, as the contract orders it; both refusals carry the cookies of a renewal that took place.
    if demand.access == Access::Required && !visitor.identity.has_any_role(demand.roles) {
        return Verdict::problem(Reason::RoleMissing).with(cookies);
    }
    if is_cross_site_write(request, site) {
        return Verdict::problem(Reason::CrossSiteRequest).with(cookies);
    }
    let renew_ahead = spare_refresh.filter(|_| visitor.ends_within(site.refresh_ahead, now));
    Verdict::forward(Grant { visitor: Some(visitor), renew_ahead }, reason).with(cookies)
}

/// Whether another site makes this visitor's browser write, or open a WebSocket, in the visitor's name.
fn is_cross_site_write(request: &RequestView<'_>, site: &Site) -> bool {
    if !request.is_unsafe() && !request.marks.websocket {
        return false;
    }
    // `Referer` is not asked here: contract, section 3, step 8 names `Origin` and `Sec-Fetch-Site`.
    if request.marks.origin.is_none() && request.marks.fetch_site.is_none() {
        return false;
    }
    request.provenance(site) == Provenance::Foreign
}

/// The signed-out visitor of a page that asks for more.
fn turn_away<'a>(request: &RequestView<'a>, site: &Site, demand: &Demand<'_>, reason: Reason) -> Verdict<'a> {
    let redirect = match demand.signed_out {
        SignedOut::Auto => request.is_navigation(),
        SignedOut::Redirect => true,
        SignedOut::Status => false,
    };
    if !redirect {
        return Verdict::problem(reason);
    }
    let location = match return_address(request) {
        Some(path) => format!("{}?return_to={}", site.paths.login, utf8_percent_encode(path.as_str(), IN_QUERY)),
        None => site.paths.login.clone(),
    };
    Verdict::reply(Answer::Redirect(Redirect { status: 302, location, clear_site_data: false }), reason)
}

/// The address to come back to: only of a page that a person was opening, so that nobody lands on an icon.
fn return_address(request: &RequestView<'_>) -> Option<ReturnPath> {
    (request.method == Method::GET && request.is_navigation() && request.accepts_html())
        .then(|| ReturnPath::parse(request.target.raw()))
        .flatten()
}

/// What may stand unescaped in a query parameter's value.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl SignedInVisitor<'_> {
    /// What happened to the cookies on the way.
    pub(super) fn cookies(self) -> Vec<CookieChange> {
        self.cookies
    }
}
