//! The identity provider: FusionAuth's API or OpenID Connect, as far as the gateway calls it, with
//! its troubles.

mod calls;
mod codes;
mod keys;
mod ledger;
mod oidc;
mod responses;
mod transport;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::TrueTime;
use super::life::Life;
use super::rules;
use super::schedule::{Endpoint, Failure, Options, Rotation, Unusable};
use super::trace::Trace;

pub use ledger::Ledger;
pub use responses::{APPLICATION, ISSUER};
pub use transport::ProviderTransport;
pub use webhooks::Webhook;

use calls::{Call, Calls};
use codes::Codes;
use transport::CallEnd;

/// How long the gateway hands out the result of a renewal: `refresh.reuse_window`.
pub const REUSE_WINDOW: Duration = Duration::from_secs(60);
/// How long the data of a renewal may be on its way to the store.
const ON_THE_WAY: Duration = Duration::from_secs(8);

/// The identity provider.
#[derive(Debug)]
pub struct IdentityProvider {
    time: TrueTime,
    trace: Arc<Trace>,
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    calls: Calls,
    codes: Codes,
    /// How many access tokens were issued that are no JWTs.
    opaque: u64,
    /// The number of the key that signs.
    key: usize,
    troubles: BTreeMap<Endpoint, (Duration, Failure)>,
    unusable: Option<(Duration, Unusable)>,
    unregistered: BTreeSet<usize>,
    /// In which seconds an administrator ended sign-ins.
    ended_at: Vec<u64>,
    /// The last message that a gateway accepted.
    last_webhook: Option<Webhook>,
    /// Until when the store that the gateways share may fail them.
    store_trouble: Duration,
    /// From when to when it was lost, with all that it knew until then.
    store_lost: Option<(Duration, Duration)>,
}

impl IdentityProvider {
    /// A provider without users.
    pub fn new(time: TrueTime, trace: Arc<Trace>, options: &Options) -> Self {
        Self {
            time,
            trace,
            options: options.clone(),
            state: Mutex::default(),
        }
    }

    /// Lets an endpoint fail for a while.
    pub fn fail(&self, endpoint: Endpoint, how: Failure, span: Duration) {
        let until = self.time.elapsed() + span;
        self.state().troubles.insert(endpoint, (until, how));
    }

    /// Signs with a new key from now on.
    pub fn rotate_key(&self) {
        self.state().key += 1;
    }

    /// Issues tokens that cannot be used, for a while.
    pub fn issue_unusable(&self, how: Unusable, span: Duration) {
        let until = self.time.elapsed() + span;
        self.state().unusable = Some((until, how));
    }

    /// Deletes the registration of a visitor.
    pub fn unregister(&self, visitor: usize) {
        let mut state = self.state();
        state.unregistered.insert(visitor);
        for grant in &mut state.ledger.grants {
            if grant.visitor == visitor {
                grant.over = Some("the registration was deleted");
                // FusionAuth still renews, and its tokens tell.
                grant.ended |= self.oidc().is_some();
            }
        }
    }

    /// Whether the provider does not let this visitor sign in.
    pub fn is_unregistered(&self, visitor: usize) -> bool {
        self.state().unregistered.contains(&visitor)
    }

    /// Ends all trouble.
    pub fn recover(&self) {
        let mut state = self.state();
        state.troubles.clear();
        state.unusable = None;
    }

    /// Runs `work` on the sign-ins.
    pub fn with_ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.state().ledger)
    }

    /// Notes that this process died. `forgets` tells how much of what it did is lost with it.
    pub fn holder_died(&self, life: &Life, forgets: Duration) {
        let since = self.time.elapsed().saturating_sub(forgets.max(ON_THE_WAY));
        let mut state = self.state();
        let State { ledger, calls, .. } = &mut *state;
        ledger.excuse_spent(since, Some(life.process));
        for call in calls.open.values() {
            if call.caller.process == life.process
                && let Some(token) = ledger.tokens.get_mut(&call.token)
            {
                token.excused = true;
            }
        }
    }

    /// Notes that the shared store fails the gateways for a while, or lost what it knew.
    pub fn store_fails(&self, span: Duration) {
        let now = self.time.elapsed();
        let mut state = self.state();
        let State { ledger, calls, .. } = &mut *state;
        let since = now.saturating_sub(REUSE_WINDOW + ON_THE_WAY);
        ledger.excuse_spent(since, None);
        for call in calls.open.values() {
            if let Some(token) = ledger.tokens.get_mut(&call.token) {
                token.excused = true;
            }
        }
        state.store_trouble = state.store_trouble.max(now + span);
    }

    /// Notes that the shared store does not answer for a while, and knows afterwards what it knew
    /// before. Only the first such span is looked at, and only where nothing failed before it.
    pub fn store_is_lost(&self, span: Duration) {
        let now = self.time.elapsed();
        let mut state = self.state();
        if state.store_trouble.is_zero() {
            state.store_lost = Some((now, now + span.min(REUSE_WINDOW)));
        } else {
            // It may have been back before, or have lost what it knew.
            state.store_lost = None;
        }
    }

    /// Whether the shared store ever failed the gateways.
    pub fn had_store_trouble(&self) -> bool {
        !self.store_trouble().is_zero()
    }

    /// Until when the shared store may fail the gateways.
    pub fn store_trouble(&self) -> Duration {
        self.state().store_trouble
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How an endpoint fails now.
    fn trouble(&self, endpoint: Endpoint) -> Option<Failure> {
        let now = self.time.elapsed();
        let state = self.state();
        // The discovery document and the keys are one service.
        let endpoint = match endpoint {
            Endpoint::Discovery => Endpoint::Keys,
            Endpoint::Login | Endpoint::Refresh | Endpoint::Logout | Endpoint::Keys => endpoint,
        };
        let (until, how) = state.troubles.get(&endpoint)?;
        (now < *until).then_some(*how)
    }

    /// A call arrives. Checks the rules about calls, and returns its number.
    fn begin(&self, endpoint: Endpoint, token: String, caller: Arc<Life>) -> u64 {
        let now = self.time.elapsed();
        let mut state = self.state();
        match endpoint {
            Endpoint::Refresh => self.check_refresh(&mut state, &token, &caller, now),
            Endpoint::Logout => {
                let others = state.calls.under_way(endpoint, &token);
                if others.iter().any(|other| other.process == caller.process) {
                    let what = format!("gateway {} revokes {token} twice at once", caller.gateway);
                    self.trace.violate(rules::ONE_REVOCATION, what);
                }
            }
            Endpoint::Keys => {
                if state.calls.fetches_keys_too_often(caller.process, now) {
                    let what = format!("gateway {} fetches the keys too often", caller.gateway);
                    self.trace.violate(rules::FEW_KEY_FETCHES, what);
                }
            }
            Endpoint::Login | Endpoint::Discovery => {}
        }
        state.calls.begin(Call {
            endpoint,
            token,
            caller,
            effective: false,
        })
    }

    fn check_refresh(&self, state: &mut State, token: &str, caller: &Life, now: Duration) {
        let gateway = caller.gateway;
        self.trace
            .note(|| format!("gateway {gateway} calls refresh with {token}"));
        if state.calls.is_too_soon(caller.process, token, now) {
            let what = format!("gateway {gateway} repeats the refresh with {token} at once");
            self.trace.violate(rules::BACKS_OFF, what);
        }
        let others = state.calls.under_way(Endpoint::Refresh, token);
        let in_store_trouble = now < state.store_trouble;
        let store_lost = state.store_lost;
        let Some(row) = state.ledger.tokens.get_mut(token) else {
            return;
        };
        let due = Duration::from_secs(self.options.token_life * 2 / 3);
        if let (Some((lost, back)), Some(spent)) = (store_lost, &row.spent)
            && self.is_one_time().is_some()
            && (lost..back).contains(&now)
            && (row.issued + due..lost).contains(&spent.at)
            && spent.process != caller.process
        {
            let what = format!(
                "gateway {gateway} calls refresh with {token}, whose result the lost store may have"
            );
            self.trace.violate(rules::ONE_CALL, what);
        }
        row.excused |= in_store_trouble || others.iter().any(|other| !other.is_alive());
        if !others.is_empty() && !row.excused {
            let what = format!("gateway {gateway} calls refresh with {token} beside another call");
            self.trace.violate(rules::ONE_CALL, what);
        }
    }

    /// A call has ended for its caller.
    fn end(&self, number: u64, result: CallEnd) {
        let now = self.time.elapsed();
        let mut state = self.state();
        let Some(call) = state.calls.open.remove(&number) else {
            return;
        };
        if result == CallEnd::Answered {
            return;
        }
        let (gateway, endpoint, token) = (call.caller.gateway, call.endpoint, &call.token);
        self.trace.note(|| {
            format!("gateway {gateway} ends its call of {endpoint:?} {token} with {result:?}")
        });
        if endpoint == Endpoint::Refresh {
            state.calls.fail(call.caller.process, token, now);
            let is_lost = result == CallEnd::NoAnswer && call.effective;
            if let Some(row) = state.ledger.tokens.get_mut(token) {
                row.excused |= is_lost;
            }
        }
    }

    fn is_one_time(&self) -> Option<Duration> {
        match self.options.rotation {
            Rotation::Reusable => None,
            Rotation::OneTime { grace } => Some(Duration::from_secs(grace)),
        }
    }
}
