//! Requests, and the rules that their answers must keep.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use vestibule::model::cookie_change::CookieChange;
use vestibule::model::reason::Reason;

use super::provider::REUSE_WINDOW;
use super::request::{ClientRequest, ClientResponse, serve};
use super::rules;
use super::visitor::Credentials;
use super::world::World;

/// How long a request may take.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// How long after a sign-out old credentials may still pass somewhere.
const SIGN_OUT_KNOWN: Duration = Duration::from_secs(1);
/// How much earlier than after the whole window a token may count as presented late: answers take
/// their time.
const WINDOW_SLACK: Duration = Duration::from_secs(3);

/// Whose credentials a request presents.
#[derive(Clone, Debug)]
pub struct Presented {
    pub visitor: usize,
    /// The provider's refresh token.
    pub token: Option<String>,
    /// The sign-in.
    pub grant: Option<usize>,
    pub is_sign_out: bool,
}

impl Presented {
    /// No credentials.
    pub fn nothing(visitor: usize) -> Self {
        Self {
            visitor,
            token: None,
            grant: None,
            is_sign_out: false,
        }
    }
}

impl World {
    /// What these credentials of a visitor are.
    pub fn presented(&self, visitor: usize, held: &Credentials) -> Presented {
        Presented {
            visitor,
            token: self.token(held),
            grant: held.grant,
            is_sign_out: false,
        }
    }

    /// Sends a request and judges the answer. `None` where there is none: the gateway does not run,
    /// or it was killed.
    pub async fn ask(
        self: &Arc<Self>,
        presented: Presented,
        gateway: usize,
        request: &ClientRequest,
    ) -> Option<ClientResponse> {
        let gateway = self.gateway(gateway);
        let process = gateway.process()?;
        process.accepting().await;
        if !process.life.is_alive() {
            return None;
        }
        let begun = self.time.elapsed();
        self.requests.fetch_add(1, Ordering::Relaxed);
        // The `state` of a sign-in is random.
        let path = request.path.split("&state=").next().unwrap_or_default();
        self.trace.note(|| {
            format!(
                "visitor {} asks gateway {} for {} with {}",
                presented.visitor,
                gateway.number,
                path,
                presented.token.as_deref().unwrap_or("no refresh token")
            )
        });
        self.note_late_replay(&presented, begun);
        let response = tokio::select! {
            biased;
            response = timeout(LONGEST_REQUEST, serve(&process, request)) => response,
            () = process.life.died() => return None,
        };
        let Ok(response) = response else {
            let what = format!("a request of visitor {} is not answered", presented.visitor);
            self.trace.violate(rules::ANSWERED, what);
            return None;
        };
        self.trace.note(|| {
            format!(
                "gateway {} answers visitor {}: {} {}",
                gateway.number,
                presented.visitor,
                if response.forwarded {
                    "served"
                } else {
                    "refused"
                },
                response.reason.as_str()
            )
        });
        self.judge(&presented, begun, &response);
        Some(response)
    }

    /// Whoever presents a token that was exchanged longer ago than the window ends the sign-in.
    fn note_late_replay(&self, presented: &Presented, now: Duration) {
        let Some(token) = &presented.token else {
            return;
        };
        self.provider.with_ledger(|ledger| {
            let spent = ledger.tokens.get(token).and_then(|row| row.spent.clone());
            let is_late = spent.is_some_and(|spent| spent.at + REUSE_WINDOW < now + WINDOW_SLACK);
            if let Some(grant) = ledger.grant_of(token).filter(|_| is_late) {
                grant.over = grant.over.or(Some("a used token was presented late"));
            }
        });
    }

    fn judge(&self, presented: &Presented, begun: Duration, response: &ClientResponse) {
        let visitor = presented.visitor;
        if let Some(principal) = &response.principal {
            let identity = &principal.identity;
            if identity.sub != format!("visitor{visitor}") {
                let what = format!("visitor {visitor} is served as {}", identity.sub);
                self.trace.violate(rules::OWN_IDENTITY, what);
            }
            if identity.roles.is_empty() {
                let what = format!("visitor {visitor} is served, and is not registered");
                self.trace.violate(rules::REGISTERED, what);
            }
        }
        if presented.is_sign_out {
            return;
        }
        if is_refused(response) && self.must_stay(presented) {
            let what = format!(
                "visitor {visitor} holds a good refresh token, and {}",
                if response.forwarded {
                    "loses a cookie"
                } else {
                    response.reason.as_str()
                }
            );
            self.trace.violate(rules::STAYS_SIGNED_IN, what);
        }
        self.judge_sign_out(presented, begun, response);
    }

    /// Whether these credentials must not be refused.
    fn must_stay(&self, presented: &Presented) -> bool {
        let Some(token) = &presented.token else {
            return false;
        };
        self.provider.with_ledger(|ledger| {
            ledger
                .grant_of(token)
                .is_some_and(|grant| grant.over.is_none() && !grant.excused)
        })
    }

    /// Whether these credentials must be served.
    pub fn must_be_served(&self, presented: &Presented) -> bool {
        let Some(token) = &presented.token else {
            return false;
        };
        let now = self.time.elapsed();
        self.note_late_replay(presented, now);
        self.must_stay(presented)
            && self.provider.with_ledger(|ledger| {
                let row = ledger.tokens.get(token);
                row.is_some_and(|row| !row.excused || row.spent.is_none())
            })
    }

    fn judge_sign_out(&self, presented: &Presented, begun: Duration, response: &ClientResponse) {
        let renews = response
            .changes
            .iter()
            .any(|change| matches!(change, CookieChange::SetTokens(_)));
        let Some(grant) = presented
            .grant
            .filter(|_| renews || response.principal.is_some())
        else {
            return;
        };
        let signed_out = self
            .provider
            .with_ledger(|ledger| ledger.grants[grant].signed_out);
        let Some(signed_out) = signed_out else { return };
        let known = signed_out.max(self.provider.store_trouble()) + SIGN_OUT_KNOWN;
        if known < begun {
            let what = format!(
                "credentials of visitor {} pass {:.1} s after the sign-out",
                presented.visitor,
                begun.saturating_sub(signed_out).as_secs_f64()
            );
            self.trace.violate(rules::SIGN_OUT_HOLDS, what);
        }
    }
}

/// Whether the answer tells that nobody is signed in, or takes a credential.
fn is_refused(response: &ClientResponse) -> bool {
    let told =
        !response.forwarded && matches!(response.reason, Reason::SignedOut | Reason::Revoked);
    let loses = response.changes.iter().any(|change| {
        matches!(
            change,
            CookieChange::ClearCredentials | CookieChange::ClearRefresh
        )
    });
    told || loses
}
