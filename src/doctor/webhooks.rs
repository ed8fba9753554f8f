//! Whether the provider tells the gateway of users who were removed and of ended sessions.

use serde_json::{Map, Value};

use super::finding::{Finding, Topic};
use crate::provider::fusionauth::inspection::{Tenant, Webhook};

/// The end of the address of the gateway's hook.
const PATH: &str = "/hooks/fusionauth";
/// What the gateway acts on.
const EVENTS: [&str; 4] = [
    "jwt.refresh-token.revoke",
    "user.deactivate",
    "user.delete",
    "user.password.update",
];

pub(super) fn examine(topic: &Topic, all: &[Webhook], tenant: Option<&Tenant>) -> Vec<Finding> {
    let ours: Vec<&Webhook> = all.iter().filter(|webhook| is_ours(&webhook.url)).collect();
    if ours.is_empty() {
        return vec![topic.warn(
            "no webhook points here: users who were removed elsewhere stay signed in until their \
             token ends",
            format!(
                "add a webhook to {PATH} on `server.admin`, or on a site with `public_hooks`, with \
                 the events {}",
                EVENTS.join(", ")
            ),
        )];
    }
    let mut findings: Vec<Finding> = ours
        .iter()
        .map(|webhook| of_webhook(topic, webhook))
        .collect();
    let disabled = tenant.map(|it| missing(&it.event_configuration.events));
    if let Some(disabled) = disabled.filter(|it| !it.is_empty()) {
        let names = disabled.join(", ");
        let message = format!("the tenant sends no {names}");
        let hint = "enable these events on the tenant's page at the provider, under Webhooks";
        findings.push(topic.warn(message, hint));
    }
    findings
}

fn is_ours(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.path().ends_with(PATH))
}

fn of_webhook(topic: &Topic, webhook: &Webhook) -> Finding {
    let missing = missing(&webhook.events_enabled);
    if missing.is_empty() {
        return topic.ok(format!("its webhook {} has the events", webhook.url));
    }
    let message = format!("its webhook {} lacks {}", webhook.url, missing.join(", "));
    topic.warn(
        message,
        "enable these events on the webhook's page at the provider",
    )
}

/// The events that are not enabled. A tenant's are objects.
fn missing(enabled: &Map<String, Value>) -> Vec<&'static str> {
    let is_enabled = |event: &&str| {
        let value = enabled.get(*event);
        let value = value.map(|value| value.get("enabled").unwrap_or(value));
        value == Some(&Value::Bool(true))
    };
    EVENTS
        .into_iter()
        .filter(|event| !is_enabled(event))
        .collect()
}
