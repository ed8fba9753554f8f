//! A provider as a sender of messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::Settings;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::provider::webhook::{EndedTokens, is_same_secret};
use crate::runtime::provider_client::ProviderClient;
use crate::runtime::revocation::kept_for;
use crate::store::{Revocation, RevocationId, TokenGroup};
use crate::telemetry::ProviderMetrics;

use super::End;

/// How long an access token may live of which nothing is known.
const MAX_ACCESS_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A provider as a sender of messages.
pub(in crate::runtime) struct HookProvider {
    pub client: Arc<ProviderClient>,
    pub metrics: Arc<ProviderMetrics>,
    /// Whether it sends FusionAuth's webhooks.
    pub sends_webhooks: bool,
    secret: Option<Secret>,
    tenant: Option<String>,
    /// The `aud` of its tokens at the gateway's sites.
    pub audiences: Vec<String>,
    /// The `aud` of logout tokens: those, and the gateway's client.
    pub logout_audiences: Vec<String>,
    /// How long its cookies and sessions may be kept at any site.
    kept_for: Duration,
}

impl std::fmt::Debug for HookProvider {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "HookProvider({:?})", self.client.name)
    }
}

impl HookProvider {
    /// Every provider, in the order of their names.
    pub fn all(settings: &Settings, clients: &HashMap<String, Arc<ProviderClient>>) -> Vec<Self> {
        let of_settings = settings.providers.iter();
        of_settings
            .filter_map(|(name, provider)| {
                let client = Arc::clone(clients.get(name)?);
                let sites = || settings.sites.iter().filter(|site| site.provider == *name);
                let mut audiences: Vec<String> =
                    sites().map(|site| site.application_id.clone()).collect();
                audiences.sort();
                audiences.dedup();
                let client_id = provider.client.as_ref().map(|client| client.id.clone());
                Some(Self {
                    metrics: Arc::clone(&client.metrics),
                    client,
                    sends_webhooks: provider.kind.sends_webhooks(),
                    secret: provider.webhook_secret.clone(),
                    tenant: provider.kind.tenant_id().map(str::to_owned),
                    logout_audiences: audiences.iter().cloned().chain(client_id).collect(),
                    audiences,
                    kept_for: sites().map(|site| kept_for(site)).max().unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Whether this is the secret that it shares with the gateway.
    pub fn has_secret(&self, presented: &str) -> bool {
        self.secret
            .as_ref()
            .is_some_and(|secret| is_same_secret(presented.as_bytes(), secret.expose().as_bytes()))
    }

    /// Whether an event of this tenant concerns it.
    pub fn has_tenant(&self, tenant: Option<&str>) -> bool {
        match (&self.tenant, tenant) {
            (Some(own), Some(tenant)) => own.eq_ignore_ascii_case(tenant),
            (None, _) | (_, None) => true,
        }
    }

    /// What a logout token of this provider ends: everything of the user, where it is for a client
    /// that is no site's.
    pub fn of_clients(&self, ended: EndedTokens) -> EndedTokens {
        match ended {
            EndedTokens::UserAtApplication { user, application }
                if !self.audiences.contains(&application) =>
            {
                EndedTokens::User(user)
            }
            EndedTokens::UserAtApplication { .. }
            | EndedTokens::SignIn(_)
            | EndedTokens::User(_)
            | EndedTokens::Application(_)
            | EndedTokens::All => ended,
        }
    }

    /// The revocation of what a message ends.
    pub(super) fn revocation(&self, end: &End<'_>, now: Timestamp) -> Revocation {
        let realm = self.client.realm();
        let lifetime = end.token_lifetime.unwrap_or(MAX_ACCESS_LIFETIME);
        let tokens_end = end.issued_by.max(now).plus(lifetime);
        let until = now
            .plus(self.kept_for)
            .max(tokens_end.plus(self.client.settings.leeway));
        let group = |group| Revocation {
            id: RevocationId::of_group(realm, group),
            issued_by: end.issued_by,
            until,
        };
        match end.ended {
            EndedTokens::SignIn(session) => {
                let key = RevocationKey(session.clone());
                Revocation::of_sign_in(RevocationId::of(realm, &key), until)
            }
            EndedTokens::User(user) => group(TokenGroup::User(user)),
            EndedTokens::UserAtApplication { user, application } => {
                group(TokenGroup::UserAtApplication { user, application })
            }
            EndedTokens::Application(application) => group(TokenGroup::Application(application)),
            EndedTokens::All => group(TokenGroup::Provider),
        }
    }
}
