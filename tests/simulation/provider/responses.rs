//! What the provider does with each call, and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::rules;
use super::super::schedule::{Endpoint, Product, Unusable};
use super::ledger::Spent;
use super::oidc::Issue;
use super::{IdentityProvider, State, keys};

/// The application's id at the provider.
pub const APPLICATION: &str = "store-app";
/// The provider's `iss`.
pub const ISSUER: &str = "simulation";

/// A status and a body.
pub(super) type Answer = (u16, String);

impl IdentityProvider {
    /// Does what a call asks, and answers it.
    pub(super) fn effect(&self, number: u64, endpoint: Endpoint, body: &Value) -> Answer {
        let mut state = self.state();
        if let Some(call) = state.calls.open.get_mut(&number) {
            call.effective = true;
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match endpoint {
            Endpoint::Keys => {
                let document = keys::document(state.key);
                (200, String::from_utf8(document).unwrap_or_default())
            }
            Endpoint::Discovery => Self::discovery(),
            Endpoint::Login if self.oidc().is_some() => self.redeem(&mut state, number, body),
            Endpoint::Login => self.login(&mut state, &text("loginId")),
            Endpoint::Refresh => self.refresh(&mut state, number, &text("refreshToken")),
            Endpoint::Logout => {
                let token = text("refreshToken");
                self.trace.note(|| format!("the provider ends {token}"));
                let current = state.ledger.tokens.get(&token);
                if current.is_some_and(|row| row.spent.is_none())
                    && let Some(grant) = state.ledger.grant_of(&token)
                {
                    grant.ended = true;
                    grant.over = grant.over.or(Some("it was revoked"));
                }
                (self.oidc().map_or(204, |_| 200), String::new())
            }
        }
    }

    fn login(&self, state: &mut State, login_id: &str) -> Answer {
        let Ok(visitor) = login_id.trim_start_matches("visitor").parse::<usize>() else {
            return (404, String::new());
        };
        let (grant, refresh) = self.begin_grant(state, visitor);
        if state.unregistered.contains(&visitor) {
            return (202, self.tokens(state, grant, &refresh, None));
        }
        (200, self.tokens(state, grant, &refresh, None))
    }

    /// A new sign-in of this visitor: its number, and its first refresh token.
    pub(super) fn begin_grant(&self, state: &mut State, visitor: usize) -> (usize, String) {
        let (grant, refresh) = state.ledger.begin(visitor, self.time.elapsed());
        if state.ended_at.contains(&self.time.now().secs()) {
            // Whether the login was before or after what ended, its `iat` does not tell.
            state.ledger.grants[grant].excused = true;
        }
        if self.oidc().is_some_and(|options| !options.names_sign_ins) {
            excuse_twins(state, grant, self.time.elapsed());
        }
        self.excuse_backdated(state, grant);
        (grant, refresh)
    }

    /// Tokens that are dated before what ended are refused as that is.
    fn excuse_backdated(&self, state: &mut State, grant: usize) {
        let backdates = self.unusable(state) == Some(Unusable::ExpiredOnArrival);
        state.ledger.grants[grant].excused |= backdates && !state.ended_at.is_empty();
    }

    fn refresh(&self, state: &mut State, number: u64, token: &str) -> Answer {
        let Some(row) = state.ledger.tokens.get(token) else {
            return self.no();
        };
        let caller = state.calls.open.get(&number).map(|call| &call.caller);
        let is_waiting = caller.is_some_and(|caller| caller.is_alive());
        let process = caller.map_or(0, |caller| caller.process);
        let (grant, spent) = (row.grant, row.spent.clone());
        let excused = row.excused || !is_waiting;
        if state.ledger.grants[grant].ended {
            return self.no();
        }
        self.excuse_backdated(state, grant);
        let Some(grace) = self.is_one_time() else {
            return (200, self.tokens(state, grant, token, None));
        };
        let now = self.time.elapsed();
        match spent {
            None => {
                let successor = state.ledger.issue(grant, now);
                self.trace
                    .note(|| format!("the provider exchanges {token} for {successor}"));
                let answer = self.tokens(state, grant, &successor, None);
                if let Some(row) = state.ledger.tokens.get_mut(token) {
                    row.excused = excused;
                    row.spent = Some(Spent {
                        at: now,
                        successor,
                        process,
                    });
                }
                (200, answer)
            }
            Some(spent) => {
                if !excused {
                    let what = format!("{token} is presented to the provider again");
                    self.trace.violate(rules::ONE_CALL, what);
                }
                if now < spent.at + grace {
                    return (200, self.tokens(state, grant, &spent.successor, None));
                }
                self.trace
                    .note(|| format!("the provider sees {token} again and ends the sign-in"));
                let grant = &mut state.ledger.grants[grant];
                grant.ended = true;
                grant.excused |= excused;
                self.no()
            }
        }
    }

    /// An access token of this visitor that somebody else made up.
    pub fn forge(&self, visitor: usize) -> String {
        let now = self.time.now().secs();
        keys::forge(&json!({
            "iss": ISSUER, "aud": APPLICATION, "sub": format!("visitor{visitor}"), "iat": now,
            "exp": now + 3_600, "applicationId": APPLICATION, "roles": ["member"],
        }))
    }

    /// Why the tokens that it issues now cannot be used.
    fn unusable(&self, state: &State) -> Option<Unusable> {
        let (until, how) = state.unusable?;
        (self.time.elapsed() < until).then_some(how)
    }

    /// The body of an answer with tokens. `nonce` is that of a sign-in by redirect.
    pub(super) fn tokens(
        &self,
        state: &mut State,
        grant: usize,
        refresh: &str,
        nonce: Option<&str>,
    ) -> String {
        let now = self.time.now().secs();
        let row = &state.ledger.grants[grant];
        let unusable = self.unusable(state);
        let mut claims = json!({
            "iss": ISSUER, "aud": APPLICATION, "sub": format!("visitor{}", row.visitor),
            "iat": now, "exp": now + self.options.token_life,
            "email": format!("visitor{}@example.com", row.visitor),
        });
        if self.oidc().is_none_or(|options| options.names_sign_ins) {
            claims["sid"] = json!(row.sid);
        }
        if self.oidc().is_some() || !state.unregistered.contains(&row.visitor) {
            claims["applicationId"] = json!(APPLICATION);
            claims["roles"] = json!(["member"]);
        }
        match unusable {
            Some(Unusable::ControlCharacter) => claims["preferred_username"] = json!("a\u{7}b"),
            Some(Unusable::ExpiredOnArrival) => {
                claims["iat"] = json!(now - 120);
                claims["exp"] = json!(now - 60);
            }
            Some(Unusable::TooLarge) => claims["padding"] = json!("x".repeat(5_600)),
            Some(Unusable::Huge) => claims["padding"] = json!("x".repeat(7_000)),
            None => {}
        }
        match self.options.product {
            Product::FusionAuth => {
                let token = keys::sign(state.key, &claims);
                json!({ "token": token, "refreshToken": refresh }).to_string()
            }
            Product::Oidc(options) => {
                self.oidc_tokens(state, options, &claims, &Issue { refresh, nonce })
            }
        }
    }

    /// The answer to a refresh token or a code that is not valid.
    pub(super) fn no(&self) -> Answer {
        let body = if self.oidc().is_some() {
            json!({ "error": "invalid_grant" })
        } else {
            let message = "The refresh token is not valid.";
            let error = json!({ "code": "[invalid]refreshToken", "message": message });
            json!({ "fieldErrors": { "refreshToken": [error] } })
        };
        (400, body.to_string())
    }
}

/// Two sign-ins of one person within a second have the same token where it names neither the sign-in
/// nor itself. Whoever ends one ends both.
fn excuse_twins(state: &mut State, grant: usize, now: Duration) {
    let visitor = state.ledger.grants[grant].visitor;
    let tokens = state.ledger.tokens.values();
    let of_now = tokens.filter(|row| row.issued.as_secs() == now.as_secs());
    let grants: BTreeSet<usize> = of_now.map(|row| row.grant).collect();
    let is_theirs = |of: &usize| state.ledger.grants[*of].visitor == visitor;
    let twins: Vec<usize> = grants.into_iter().filter(is_theirs).collect();
    if twins.len() > 1 {
        for twin in twins {
            state.ledger.grants[twin].excused = true;
        }
    }
}
