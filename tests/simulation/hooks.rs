//! The provider's administrator, who ends sign-ins there. The provider tells a gateway by webhook,
//! and others send webhooks that are not the provider's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use tokio::time::{sleep, timeout};

use vestibule::runtime::hooks::HookRequest;

use super::provider::Webhook;
use super::rules;
use super::schedule::EndedByAdministrator;
use super::world::World;

/// How often the provider sends a message that is not accepted, and how long it waits in between.
const DELIVERIES: usize = 6;
const REDELIVERY: Duration = Duration::from_secs(6);
/// How long a gateway may take to answer.
const LONGEST_HOOK: Duration = Duration::from_secs(10);

/// What became of a message.
#[derive(PartialEq)]
enum Delivery {
    /// It was answered with this status.
    Answered(u16),
    /// It was received, and the process ended before the answer.
    Lost,
    /// No gateway received it, or none answered in time.
    Failed,
}

impl World {
    /// The administrator ends something, and the provider tells this gateway until that accepts it.
    pub async fn end_at_provider(
        self: &Arc<Self>,
        number: usize,
        gateway: usize,
        what: EndedByAdministrator,
    ) {
        let number = number % self.visitors.len();
        let grant = self.held(number).grant;
        let Some((webhook, grants)) = self.provider.end_sign_ins(number, grant, what) else {
            return;
        };
        let mut was_lost = false;
        let key = self.provider.signing_key();
        for attempt in 0..DELIVERIES {
            let at = gateway + attempt;
            match self.send(&webhook, at).await {
                Delivery::Answered(200) => break,
                // Received before: the answer to the first time was lost with its process.
                Delivery::Answered(400) if self.provider.oidc().is_none() => break,
                Delivery::Answered(400) if was_lost && self.gateway(at).wall.is_right() => break,
                // A logout token is also refused by a clock that is wrong, and while its key is
                // not known.
                Delivery::Answered(400)
                    if attempt + 1 == DELIVERIES && self.provider.publishes(key) =>
                {
                    self.check_refused_logout(at, &webhook);
                }
                Delivery::Answered(_) | Delivery::Failed => {}
                Delivery::Lost => was_lost = true,
            }
            if attempt + 1 == DELIVERIES {
                return;
            }
            sleep(REDELIVERY).await;
        }
        self.provider.accepted(&webhook);
        let now = self.time.elapsed();
        self.provider.with_ledger(|ledger| {
            for grant in &grants {
                let grant = &mut ledger.grants[*grant];
                grant.signed_out = grant.signed_out.or(Some(now));
            }
        });
        self.check_streams(&grants).await;
    }

    /// Somebody sends a webhook that the provider did not sign, or one that it sent before.
    pub async fn misuse_hooks(self: &Arc<Self>, number: usize, gateway: usize) {
        let number = number % self.visitors.len();
        let forged = self.provider.forge_webhook(number);
        // A store that lost its data may have lost that it was received.
        let is_known = !self.provider.had_store_trouble();
        let sent_before = self.provider.last_webhook().filter(|_| is_known);
        for webhook in [Some(forged), sent_before].into_iter().flatten() {
            if self.send(&webhook, gateway).await == Delivery::Answered(200) {
                let what =
                    format!("gateway {gateway} accepts a webhook that is not the provider's");
                self.trace.violate(rules::HOOKS_ARE_CHECKED, what);
            }
        }
    }

    /// A gateway whose clock is right takes a logout token.
    fn check_refused_logout(&self, gateway: usize, webhook: &Webhook) {
        if self.gateway(gateway).wall.is_right() {
            let what = format!("gateway {gateway} refuses {}", webhook.id);
            self.trace.violate(rules::HOOKS_ARE_TAKEN, what);
        }
    }

    async fn send(&self, webhook: &Webhook, gateway: usize) -> Delivery {
        let gateway = self.gateway(gateway);
        let Some(process) = gateway.process() else {
            return Delivery::Failed;
        };
        process.accepting().await;
        if !process.life.is_alive() {
            return Delivery::Failed;
        }
        let _guard = process.begin_request();
        let runtime = process.runtime_handle.current();
        let mut headers = HeaderMap::new();
        let media_type = HeaderValue::from_static(webhook.kind.media_type());
        headers.insert(header::CONTENT_TYPE, media_type);
        if let Some(signature) = &webhook.signature {
            let signature = HeaderValue::from_str(signature).expect("a token");
            headers.insert("x-fusionauth-signature-jwt", signature);
        }
        let request = HookRequest {
            kind: webhook.kind,
            provider: Some("main"),
            headers: &headers,
            body: Some(&webhook.body),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let answer = tokio::select! {
            biased;
            answer = timeout(LONGEST_HOOK, runtime.hooks.receive(request)) => answer,
            () = process.life.died() => return Delivery::Lost,
        };
        let Ok(answer) = answer else {
            let what = format!("gateway {} does not answer a webhook", gateway.number);
            self.trace.violate(rules::ANSWERED, what);
            return Delivery::Failed;
        };
        self.trace.note(|| {
            format!(
                "gateway {} answers the webhook {}: {}",
                gateway.number, webhook.id, answer.status
            )
        });
        Delivery::Answered(answer.status)
    }
}
