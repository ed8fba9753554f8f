//! The provider's messages about ended sign-ins: webhooks, or logout tokens.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vestibule::runtime::hooks::HookKind;

use super::super::schedule::EndedByAdministrator;
use super::responses::APPLICATION;
use super::{IdentityProvider, keys};

/// A message of the provider, or one that claims to be.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The id of its event.
    pub id: String,
    pub kind: HookKind,
    pub body: Vec<u8>,
    /// The header with the signature, where it is not in the body.
    pub signature: Option<String>,
}

impl Webhook {
    fn new(id: String, event: &Value, sign: impl FnOnce(&Value) -> String) -> Self {
        let body = json!({ "event": event }).to_string().into_bytes();
        let hash = STANDARD.encode(digest(&SHA256, &body));
        Self {
            id,
            kind: HookKind::Fusionauth,
            signature: Some(sign(&json!({ "request_body_sha256": hash }))),
            body,
        }
    }

    /// A logout token, which is posted in a form.
    pub(super) fn of_logout_token(id: String, token: &str) -> Self {
        Self {
            id,
            kind: HookKind::BackchannelLogout,
            body: format!("logout_token={token}").into_bytes(),
            signature: None,
        }
    }
}

impl IdentityProvider {
    /// The administrator ends sign-ins. Returns the message about it and the numbers of the
    /// sign-ins; `None` where there is none.
    pub fn end_sign_ins(
        &self,
        visitor: usize,
        grant: Option<usize>,
        what: EndedByAdministrator,
    ) -> Option<(Webhook, Vec<usize>)> {
        let what = self.ended_here(what);
        let mut state = self.state();
        let all = state.ledger.grants.iter().enumerate();
        let is_ended = |number: usize, of: usize| match what {
            EndedByAdministrator::SignIn => Some(number) == grant,
            EndedByAdministrator::User => of == visitor,
            EndedByAdministrator::Application => true,
        };
        let ended = all.filter(|(number, grant)| is_ended(*number, grant.visitor));
        let ended: Vec<usize> = ended.map(|(number, _)| number).collect();
        let first = *ended.first()?;
        for number in &ended {
            let grant = &mut state.ledger.grants[*number];
            grant.ended = true;
            grant.over = grant.over.or(Some("an administrator ended it"));
        }
        let now = self.time.now();
        state.ended_at.push(now.secs());
        let id = format!("event-{}", state.ended_at.len());
        let mut event = json!({
            "type": "jwt.refresh-token.revoke", "id": id, "createInstant": now.millis(),
            "tenantId": "tenant",
            "applicationTimeToLiveInSeconds": { APPLICATION: self.options.token_life },
        });
        let user = format!("visitor{visitor}");
        self.trace
            .note(|| format!("an administrator ends {what:?} of visitor {visitor}: {id}"));
        if self.oidc().is_some() {
            let sid = state.ledger.grants[first].sid.clone();
            let sid = (what == EndedByAdministrator::SignIn).then_some(sid.as_str());
            return Some((self.logout_token(&state, id, &user, sid), ended));
        }
        match what {
            EndedByAdministrator::SignIn => {
                event["userId"] = json!(user);
                event["applicationId"] = json!(APPLICATION);
                event["refreshToken"] = json!({ "id": state.ledger.grants[first].sid });
            }
            EndedByAdministrator::User => event["userId"] = json!(user),
            EndedByAdministrator::Application => event["applicationId"] = json!(APPLICATION),
        }
        let webhook = Webhook::new(id, &event, |claims| keys::sign(state.key, claims));
        Some((webhook, ended))
    }

    /// Whether whatever the provider signed when it signed with this key can still be checked.
    pub fn publishes(&self, key: usize) -> bool {
        self.state().key < key + keys::PUBLISHED
    }

    /// The number of the key that signs.
    pub fn signing_key(&self) -> usize {
        self.state().key
    }

    /// Notes that a message was accepted.
    pub fn accepted(&self, webhook: &Webhook) {
        self.state().last_webhook = Some(webhook.clone());
    }

    /// The message that was accepted last.
    pub fn last_webhook(&self) -> Option<Webhook> {
        self.state().last_webhook.clone()
    }

    /// The gateway that accepted the last message has forgotten it.
    pub fn forget_webhook(&self) {
        self.state().last_webhook = None;
    }

    /// A message that a visitor was locked, which somebody else made up.
    pub fn forge_webhook(&self, visitor: usize) -> Webhook {
        if self.oidc().is_some() {
            return self.forge_logout_token(visitor);
        }
        let event = json!({
            "type": "user.deactivate", "id": "forged", "createInstant": self.time.now().millis(),
            "tenantId": "tenant", "user": { "id": format!("visitor{visitor}") },
        });
        Webhook::new("forged".to_owned(), &event, keys::forge)
    }
}
