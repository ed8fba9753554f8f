//! The provider as an OpenID Connect provider: discovery, the authorization code flow, and
//! back-channel logout.

use serde_json::{Value, json};

use super::super::rules;
use super::super::schedule::{AccessTokens, EndedByAdministrator, OidcOptions, Product};
use super::codes::Exchange;
use super::responses::{APPLICATION, Answer, ISSUER};
use super::{IdentityProvider, State, Webhook, keys};

/// The member of `events` that makes a token a logout token.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How long a logout token is valid, in seconds.
const LOGOUT_TOKEN_LIFE: u64 = 120;

impl IdentityProvider {
    /// How this provider does OpenID Connect; `None` for FusionAuth.
    pub fn oidc(&self) -> Option<OidcOptions> {
        match self.options.product {
            Product::FusionAuth => None,
            Product::Oidc(options) => Some(options),
        }
    }

    /// The query of the callback, after this visitor has signed in at `address`.
    pub fn authorize(&self, visitor: usize, address: &str) -> Option<String> {
        let url = url::Url::parse(address).ok()?;
        let state = url.query_pairs().find(|(name, _)| name == "state")?.1;
        let now = self.time.elapsed();
        let mut own = self.state();
        if own.unregistered.contains(&visitor) {
            return Some(format!("error=access_denied&state={state}"));
        }
        let code = own.codes.issue(visitor, address, now)?;
        self.trace
            .note(|| format!("the provider issues {code} to visitor {visitor}"));
        Some(format!("code={code}&state={state}&iss={ISSUER}"))
    }

    /// A code that `visitor` got in a browser of their own, for a sign-in that no gateway began.
    pub fn foreign_code(&self, visitor: usize, redirect_uri: &str) -> Option<String> {
        let address = format!(
            "http://127.0.0.1:1/auth?redirect_uri={redirect_uri}&code_challenge=foreign&nonce=foreign"
        );
        let now = self.time.elapsed();
        self.state().codes.issue(visitor, &address, now)
    }

    /// The discovery document.
    pub(super) fn discovery() -> Answer {
        let url = |path: &str| format!("http://127.0.0.1:1/{path}");
        let document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": url("auth"),
            "token_endpoint": url("token"),
            "jwks_uri": url("jwks"),
            "end_session_endpoint": url("logout"),
            "revocation_endpoint": url("revoke"),
            "authorization_response_iss_parameter_supported": true,
        });
        (200, document.to_string())
    }

    /// The tokens for an authorization code, which can be exchanged once.
    pub(super) fn redeem(&self, state: &mut State, number: u64, body: &Value) -> Answer {
        let now = self.time.elapsed();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let caller = state.calls.open.get(&number);
        let process = caller.map_or(0, |call| call.caller.process);
        let name = text("code");
        let exchange = Exchange {
            verifier: text("code_verifier"),
            redirect_uri: text("redirect_uri"),
            checks_pkce: self.oidc().is_some_and(|options| options.checks_pkce),
        };
        let Some(code) = state.codes.get_mut(name) else {
            return self.no();
        };
        if let Some((grant, by)) = code.used {
            // Only the store knows what other processes did.
            let is_forgotten = by != process && !self.options.shared_store;
            let excused = is_forgotten || !state.store_trouble.is_zero();
            if !excused {
                let what = format!("{name} is presented to the provider again");
                self.trace.violate(rules::ONE_CALL, what);
            }
            self.trace
                .note(|| format!("the provider sees {name} again and ends the sign-in"));
            let grant = &mut state.ledger.grants[grant];
            grant.ended = true;
            grant.excused |= excused;
            return self.no();
        }
        if !code.is_for(&exchange, now) {
            return self.no();
        }
        let (visitor, nonce) = (code.visitor, code.nonce.clone());
        let (grant, refresh) = self.begin_grant(state, visitor);
        if let Some(code) = state.codes.get_mut(name) {
            code.used = Some((grant, process));
        }
        self.trace
            .note(|| format!("the provider exchanges {name} for {refresh}"));
        (200, self.tokens(state, grant, &refresh, Some(&nonce)))
    }

    /// The body of an answer of the token endpoint. `nonce` is that of a sign-in.
    pub(super) fn oidc_tokens(
        &self,
        state: &mut State,
        options: OidcOptions,
        claims: &Value,
        issue: &Issue<'_>,
    ) -> String {
        state.opaque += 1;
        let access = match options.access_tokens {
            AccessTokens::Jwt => keys::sign(state.key, claims),
            AccessTokens::Opaque => format!("opaque-{}", state.opaque),
        };
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer",
            "expires_in": self.options.token_life,
        });
        if issue.nonce.is_some() || options.refreshed_id_token {
            let mut claims = claims.clone();
            if let Some(nonce) = issue.nonce {
                claims["nonce"] = json!(nonce);
            }
            answer["id_token"] = json!(keys::sign(state.key, &claims));
        }
        // Where refresh tokens are not exchanged, a renewal need not repeat them.
        if issue.nonce.is_some() || self.is_one_time().is_some() {
            answer["refresh_token"] = json!(issue.refresh);
        }
        answer.to_string()
    }

    /// The logout token about what an administrator ended of `user`.
    pub(super) fn logout_token(
        &self,
        state: &State,
        id: String,
        user: &str,
        sid: Option<&str>,
    ) -> Webhook {
        let mut claims = self.logout_claims(&id);
        match sid {
            Some(sid) => claims["sid"] = json!(sid),
            None => claims["sub"] = json!(user),
        }
        Webhook::of_logout_token(id, &keys::sign(state.key, &claims))
    }

    /// A logout token that somebody else made up.
    pub(super) fn forge_logout_token(&self, visitor: usize) -> Webhook {
        let mut claims = self.logout_claims("forged");
        claims["sub"] = json!(format!("visitor{visitor}"));
        Webhook::of_logout_token("forged".to_owned(), &keys::forge(&claims))
    }

    fn logout_claims(&self, id: &str) -> Value {
        let now = self.time.now().secs();
        json!({
            "iss": ISSUER, "aud": APPLICATION, "iat": now, "exp": now + LOGOUT_TOKEN_LIFE,
            "jti": id, "events": { LOGOUT_EVENT: {} },
        })
    }

    /// What the administrator ends at this provider: logout tokens know sign-ins and users, and
    /// sign-ins only where the tokens name them.
    pub(super) fn ended_here(&self, what: EndedByAdministrator) -> EndedByAdministrator {
        match (self.oidc(), what) {
            (None, what) => what,
            (Some(options), EndedByAdministrator::SignIn) if options.names_sign_ins => what,
            (Some(_), _) => EndedByAdministrator::User,
        }
    }
}

/// Tokens that are issued.
pub(super) struct Issue<'a> {
    pub refresh: &'a str,
    /// That of a sign-in; a renewal has none.
    pub nonce: Option<&'a str>,
}
