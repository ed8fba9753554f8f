//! One refresh: the token to use, and the request that presented it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::CredentialKind;
use crate::model::login::LoginRefused;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::token::TokenPair;
use crate::runtime::site::SiteRuntime;
use crate::store::LeaseKey;
use crate::telemetry::audit::{self, AuditContext, ProviderAnswer, SignInHash};
use crate::telemetry::labels::SignOutCause;

use super::lock::LEASE_TTL;
use super::outcome::RefreshOutcome;

/// A refresh token to use, and the request that presented it.
pub(super) struct RefreshTask {
    pub site_runtime: Arc<SiteRuntime>,
    pub kind: CredentialKind,
    pub key: LeaseKey,
    pub envelope: RefreshTokenEnvelope,
    pub client: IpAddr,
    pub request_id: String,
}

impl RefreshTask {
    /// How long to wait for whoever holds the lease, which calls the provider for tokens and
    /// perhaps for keys, and for whoever takes over if it dies.
    pub fn patience(&self) -> Duration {
        self.site_runtime.provider.settings.timeout * 4 + LEASE_TTL
    }

    /// The envelope that follows this one with the refresh token of `pair`, where that is another
    /// one.
    pub fn next(&self, pair: &TokenPair) -> Option<RefreshTokenEnvelope> {
        let refresh = pair.refresh.as_ref()?;
        (*refresh != self.envelope.refresh).then(|| RefreshTokenEnvelope {
            refresh: refresh.clone(),
            ..self.envelope.clone()
        })
    }

    pub fn audit_context(&self) -> AuditContext<'_> {
        AuditContext {
            site: &self.site_runtime.site.name,
            request_id: &self.request_id,
            client: self.client,
            session: Some(SignInHash::of(&self.envelope.revocation_key)),
        }
    }

    /// Records that the provider refused the refresh token: the visitor is signed out.
    pub fn refused_by_provider(&self, refused: &LoginRefused) {
        let answer = ProviderAnswer {
            status: refused.provider_status,
            error: refused.provider_error,
        };
        let site = &self.site_runtime;
        let (context, provider) = (self.audit_context(), &site.provider.name);
        audit::refresh_token_refused(context, &self.envelope.sub, provider, answer);
        site.metrics
            .unexpected_sign_out(SignOutCause::ProviderRefused);
    }

    /// Records what the refresh led to.
    pub fn audit(&self, outcome: &RefreshOutcome) {
        let context = self.audit_context();
        match outcome {
            RefreshOutcome::Renewed { .. } => audit::renewed(context, &self.envelope.sub),
            RefreshOutcome::Refused(reason) | RefreshOutcome::Unavailable(reason) => {
                audit::renewal_refused(context, &self.envelope.sub, *reason);
            }
            // Recorded by whoever revokes the sign-in.
            RefreshOutcome::Reused(_) => {}
        }
    }
}
