//! Guarded pages: who may pass, who is renewed on the way, who is sent to sign in.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::answer::{Answer, CookieChange, Problem, Redirect};
use crate::model::credential::{CredentialKind, Renewable};
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::return_path::ReturnPath;
use crate::model::rule::{Access, SignedOut};
use crate::model::site::{Demand, Site};
use crate::model::token::{TokenFault, Visitor};

use super::facts::{Facts, Known, Question};
use super::proof::{self, Proof};
use super::unsent::{self, Keep};
use super::{Decision, Grant, Outcome, Verdict, circle, cors, trouble};

/// What a request's proof amounts to.
pub(super) enum Standing<'a> {
    /// Something must be found out first.
    Ask(Question<'a>),
    /// Signed in.
    In(SignedInVisitor<'a>),
    /// Nobody; `Reason` says whether a token was revoked or just not there.
    Out(Reason, Vec<CookieChange>),
    /// Nobody can say: the visitor keeps what they have.
    Trouble(Reason),
    /// What would have to be done is not done for such a client.
    Refused(Reason),
}

/// A visitor with what happened on the way to know them.
pub(super) struct SignedInVisitor<'a> {
    visitor: Arc<Visitor>,
    kind: CredentialKind,
    cookies: Vec<CookieChange>,
    reason: Reason,
    /// What was not used yet to renew with.
    spare: Option<Renewable<'a>>,
}

/// Steps 4 to 9 of the contract's section 3.
pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Moment,
) -> Decision<'a> {
    let demand = site.demand(request.method, request.target.decoded_path());
    if demand.access == Access::Public {
        return Decision::Settled(Verdict::forward(nobody(None), Reason::Public));
    }
    // A preflight carries no proof of its own: refused, the request it asks for would never come.
    if demand.access == Access::Required
        && let Some(verdict) = cors::preflight(request, site, cors::ANY_METHOD)
    {
        return Decision::Settled(verdict);
    }
    let looked_at = Some(proof::of(request, site).kind);
    let verdict = match standing(request, site, facts, now) {
        Standing::Ask(question) => return Decision::Needs(question),
        Standing::In(somebody) => admit(request, site, &demand, somebody, now),
        Standing::Out(_, cookies) if demand.access == Access::Optional => {
            Verdict::forward(nobody(looked_at), Reason::Anonymous).with(cookies)
        }
        Standing::Out(reason, cookies) => match unsent::keep(request, site, &demand, facts) {
            Keep::Ask(question) => return Decision::Needs(question),
            Keep::Form(form) => Verdict::reply(Answer::SignInForm(form), reason).with(cookies),
            Keep::Nothing => {
                let verdict = turn_away(request, site, &demand, reason).with(cookies);
                return match &verdict.outcome {
                    Outcome::Reply(Answer::Redirect(_)) => {
                        circle::to_the_form(request, site, facts, verdict)
                    }
                    Outcome::Reply(_) | Outcome::Forward(_) => Decision::Settled(verdict),
                };
            }
        },
        // An optional page goes on without a name rather than not at all.
        Standing::Trouble(_) if demand.access == Access::Optional => {
            Verdict::forward(nobody(looked_at), Reason::Anonymous)
        }
        Standing::Trouble(reason) => trouble(reason),
        Standing::Refused(reason) => Verdict::problem(reason),
    };
    Decision::Settled(verdict)
}

/// The grant of a request that goes on without an identity.
fn nobody<'a>(looked_at: Option<CredentialKind>) -> Grant<'a> {
    Grant {
        visitor: None,
        renew_ahead: None,
        kind: looked_at,
    }
}

/// Who the request's proof stands for, asking for what is not known yet.
pub(super) fn standing<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Moment,
) -> Standing<'a> {
    let proof = proof::of(request, site);
    let renewable = proof.refresh.map(|refresh| Renewable {
        kind: proof.kind,
        refresh,
        session: proof.main.filter(|_| proof.kind == CredentialKind::Session),
    });
    let known = match proof.kind {
        CredentialKind::Session => session(proof.main, site, facts, now, renewable),
        CredentialKind::Jwt | CredentialKind::Bearer => token(&proof, facts, renewable),
    };
    match known {
        Ok(standing) => standing,
        Err(Some(TokenFault::Revoked)) => {
            // Its refresh token belongs to the same ended sign-in: asking the provider could only
            // bring it back.
            Standing::Out(Reason::Revoked, cleared(&proof))
        }
        Err(fault) => renewed(request, &proof, fault, facts, renewable),
    }
}

/// What an access token amounts to; `Err` where it proves nobody, with what is wrong if there is
/// one.
fn token<'a>(
    proof: &Proof<'a>,
    facts: &Facts,
    spare: Option<Renewable<'a>>,
) -> Result<Standing<'a>, Option<TokenFault>> {
    match (proof.main, &facts.token) {
        (Some(token), Known::NotAsked) => Ok(Standing::Ask(Question::Verify(token))),
        (Some(_), Known::Found(visitor)) => Ok(signed_in(visitor, proof.kind, spare)),
        (Some(_), Known::Absent(fault)) => Err(Some(*fault)),
        (Some(_), Known::Failed(reason)) => Ok(Standing::Trouble(*reason)),
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
    now: Moment,
    spare: Option<Renewable<'a>>,
) -> Result<Standing<'a>, Option<TokenFault>> {
    match (id, &facts.session) {
        (Some(id), Known::NotAsked) => Ok(Standing::Ask(Question::LoadSession(id))),
        (Some(_), Known::Found(open)) => {
            let stale =
                open.visitor.has_ended(now) || (site.forward_token && open.access.is_none());
            if stale && spare.is_some() && !matches!(facts.renewal, Known::Failed(_)) {
                return Err(Some(TokenFault::Expired));
            }
            Ok(signed_in(
                &open.visitor,
                CredentialKind::Session,
                spare.filter(|_| !stale),
            ))
        }
        (Some(_), Known::Absent(fault)) => Err(Some(*fault)),
        (Some(_), Known::Failed(reason)) => Ok(Standing::Trouble(*reason)),
        (None, _) => Err(None),
    }
}

fn signed_in<'a>(
    visitor: &Arc<Visitor>,
    kind: CredentialKind,
    spare: Option<Renewable<'a>>,
) -> Standing<'a> {
    let visitor = Arc::clone(visitor);
    Standing::In(SignedInVisitor {
        visitor,
        kind,
        cookies: Vec::new(),
        reason: Reason::SignedIn,
        spare,
    })
}

/// What the refresh token amounts to, where the proof itself does not hold.
fn renewed<'a>(
    request: &RequestView<'a>,
    proof: &Proof<'a>,
    fault: Option<TokenFault>,
    facts: &Facts,
    renewable: Option<Renewable<'a>>,
) -> Standing<'a> {
    let Some(renewable) = renewable else {
        return Standing::Out(Reason::SignedOut, cleared(proof));
    };
    match &facts.renewal {
        // A script injected into a page could read what comes back in a header.
        Known::NotAsked if proof.kind == CredentialKind::Bearer && request.marks.browser => {
            Standing::Refused(Reason::BrowserTokensRefused)
        }
        Known::NotAsked => Standing::Ask(Question::Renew(renewable)),
        Known::Found(renewed) => Standing::In(SignedInVisitor {
            visitor: Arc::clone(&renewed.visitor),
            kind: proof.kind,
            cookies: vec![CookieChange::SetTokens(renewed.tokens.clone())],
            reason: match fault {
                Some(TokenFault::Invalid | TokenFault::Revoked) => Reason::RenewedFromInvalid,
                // A duplicate is not "missing": somebody put it there.
                None if proof.ambiguous => Reason::RenewedFromInvalid,
                Some(TokenFault::Expired) | None => Reason::Renewed,
            },
            spare: None,
        }),
        Known::Absent(reason) => Standing::Out(*reason, cleared(proof)),
        Known::Failed(reason) => Standing::Trouble(*reason),
    }
}

/// What goes with a proof that is no good: cookies, where any came.
fn cleared(proof: &Proof<'_>) -> Vec<CookieChange> {
    let cookies = proof.any && proof.kind != CredentialKind::Bearer;
    cookies
        .then_some(CookieChange::ClearCredentials)
        .into_iter()
        .collect()
}

fn admit<'a>(
    request: &RequestView<'a>,
    site: &Site,
    demand: &Demand<'_>,
    somebody: SignedInVisitor<'a>,
    now: Moment,
) -> Verdict<'a> {
    let SignedInVisitor {
        visitor,
        kind,
        cookies,
        reason,
        spare,
    } = somebody;
    // The role first, as the contract orders it; both refusals carry the cookies of a renewal that
    // took place.
    if demand.access == Access::Required && !visitor.identity.has_any_role(demand.roles) {
        return Verdict::problem(Reason::RoleMissing).with(cookies);
    }
    // Browsers send cookies by themselves, headers they do not.
    if kind != CredentialKind::Bearer && is_cross_site_write(request, site) {
        return Verdict::problem(Reason::CrossSiteRequest).with(cookies);
    }
    let to_a_script = kind == CredentialKind::Bearer && request.marks.browser;
    let renew_ahead =
        spare.filter(|_| !to_a_script && visitor.ends_within(ahead(request, site), now));
    Verdict::forward(
        Grant {
            visitor: Some(visitor),
            renew_ahead,
            kind: Some(kind),
        },
        reason,
    )
    .with(cookies)
}

/// How long before its end a token is renewed: earlier for what changes something, so that what
/// people write seldom meets a session that has ended. The length of the token's life bounds both,
/// see [`Visitor::ends_within`].
fn ahead(request: &RequestView<'_>, site: &Site) -> Duration {
    if request.is_unsafe() {
        site.refresh_ahead.saturating_mul(2)
    } else {
        site.refresh_ahead
    }
}

/// Whether another site makes this visitor's browser write, or open a WebSocket, in the visitor's
/// name.
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
fn turn_away<'a>(
    request: &RequestView<'a>,
    site: &Site,
    demand: &Demand<'_>,
    reason: Reason,
) -> Verdict<'a> {
    let redirect = match demand.signed_out {
        SignedOut::Auto => request.is_navigation(),
        SignedOut::Redirect => true,
        SignedOut::Status => false,
    };
    if !redirect {
        let mut problem = Problem::new(reason);
        problem.challenge = site.bearer.then(|| challenge(request));
        return Verdict::reply(Answer::Problem(problem), reason);
    }
    Verdict::reply(
        Answer::Redirect(to_the_form(site, return_address(request).as_ref())),
        reason,
    )
}

/// To the sign-in form, and from there to `return_to`.
pub(super) fn to_the_form(site: &Site, return_to: Option<&ReturnPath>) -> Redirect {
    Redirect {
        status: 302,
        location: form_address(site, return_to),
        clear_site_data: false,
    }
}

/// The address of the sign-in form that leads on to `return_to`.
#[must_use]
pub fn form_address(site: &Site, return_to: Option<&ReturnPath>) -> String {
    match return_to {
        Some(path) => format!(
            "{}?return_to={}",
            site.paths.login,
            utf8_percent_encode(path.as_str(), IN_QUERY)
        ),
        None => site.paths.login.clone(),
    }
}

/// What a client that is no browser is told to come with (RFC 6750, section 3).
pub(super) fn challenge(request: &RequestView<'_>) -> &'static str {
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

/// What may stand unescaped in a query parameter's value.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

impl SignedInVisitor<'_> {
    /// Who.
    pub(super) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// What happened to the cookies on the way.
    pub(super) fn cookies(self) -> Vec<CookieChange> {
        self.cookies
    }
}
