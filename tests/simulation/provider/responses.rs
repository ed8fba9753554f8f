//! What the provider does with each call, and what it answers.

use serde_json::{Value, json};

use super::super::rules;
use super::super::schedule::{Endpoint, Unusable};
use super::ledger::Spent;
use super::{IdentityProvider, State, keys};

/// The application's id at the provider.
pub const APPLICATION: &str = "store-app";
/// The provider's `iss`.
pub const ISSUER: &str = "simulation";

/// A status and a body.
type Answer = (u16, String);

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
                (204, String::new())
            }
        }
    }

    fn login(&self, state: &mut State, login_id: &str) -> Answer {
        let Ok(visitor) = login_id.trim_start_matches("visitor").parse::<usize>() else {
            return (404, String::new());
        };
        let (grant, refresh) = state.ledger.begin(visitor, self.time.elapsed());
        let ended_now = state.ended_at.contains(&self.time.now().secs());
        let backdates = self.unusable(state) == Some(Unusable::ExpiredOnArrival);
        if ended_now || (backdates && !state.ended_at.is_empty()) {
            // Whether the login was before or after what ended, its `iat` does not tell.
            state.ledger.grants[grant].excused = true;
        }
        if state.unregistered.contains(&visitor) {
            return (202, self.tokens(state, grant, &refresh));
        }
        (200, self.tokens(state, grant, &refresh))
    }

    fn refresh(&self, state: &mut State, number: u64, token: &str) -> Answer {
        let Some(row) = state.ledger.tokens.get(token) else {
            return no();
        };
        let caller = state.calls.open.get(&number).map(|call| &call.caller);
        let is_waiting = caller.is_some_and(|caller| caller.is_alive());
        let process = caller.map_or(0, |caller| caller.process);
        let (grant, spent) = (row.grant, row.spent.clone());
        let excused = row.excused || !is_waiting;
        if state.ledger.grants[grant].ended {
            return no();
        }
        let Some(grace) = self.is_one_time() else {
            return (200, self.tokens(state, grant, token));
        };
        let now = self.time.elapsed();
        match spent {
            None => {
                let successor = state.ledger.issue(grant, now);
                self.trace
                    .note(|| format!("the provider exchanges {token} for {successor}"));
                let answer = self.tokens(state, grant, &successor);
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
                    return (200, self.tokens(state, grant, &spent.successor));
                }
                self.trace
                    .note(|| format!("the provider sees {token} again and ends the sign-in"));
                let grant = &mut state.ledger.grants[grant];
                grant.ended = true;
                grant.excused |= excused;
                no()
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

    /// The body of an answer with tokens.
    fn tokens(&self, state: &State, grant: usize, refresh: &str) -> String {
        let now = self.time.now().secs();
        let row = &state.ledger.grants[grant];
        let unusable = self.unusable(state);
        let mut claims = json!({
            "iss": ISSUER, "aud": APPLICATION, "sub": format!("visitor{}", row.visitor),
            "sid": row.sid, "iat": now, "exp": now + self.options.token_life,
            "email": format!("visitor{}@example.com", row.visitor),
        });
        if !state.unregistered.contains(&row.visitor) {
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
        json!({ "token": keys::sign(state.key, &claims), "refreshToken": refresh }).to_string()
    }
}

/// FusionAuth's answer to a refresh token that is not valid.
fn no() -> Answer {
    let error =
        json!({ "code": "[invalid]refreshToken", "message": "The refresh token is not valid." });
    let body = json!({ "fieldErrors": { "refreshToken": [error] } });
    (400, body.to_string())
}
