//! A refresh before the access token expires, while the application answers the request.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::model::credential::RefreshRequest;
use crate::system;
use crate::telemetry::trace;

use super::refresh::{Refresh, RefreshOutcome};
use super::request_context::RequestContext;
use super::revocation::Revocation;

/// Refreshes in the background.
pub struct EarlyRefresh {
    pub(super) refresh: Arc<Refresh>,
    pub(super) revocation: Arc<Revocation>,
}

impl EarlyRefresh {
    /// Starts a refresh that runs to its end even when the client disconnects. `None` where one
    /// with the same refresh token is under way already, or failed a moment ago: the access token
    /// is valid, so the request does not wait for the provider.
    #[must_use]
    pub fn start(
        &self,
        context: RequestContext<'_>,
        presented: RefreshRequest<'_>,
    ) -> Option<JoinHandle<RefreshOutcome>> {
        if !self.refresh.may_begin(context.site_runtime, presented) {
            return None;
        }
        let (refresh, revocation) = (Arc::clone(&self.refresh), Arc::clone(&self.revocation));
        let RequestContext { client, now, .. } = context;
        let site_runtime = Arc::clone(context.site_runtime);
        let request_id = context.request_id.to_owned();
        let (kind, token) = (presented.kind, presented.refresh.to_owned());
        let session = presented.session_id.map(str::to_owned);
        Some(system::detach(trace::carry(async move {
            let context = RequestContext {
                site_runtime: &site_runtime,
                client,
                host: None,
                request_id: &request_id,
                now,
            };
            let presented = RefreshRequest {
                kind,
                refresh: &token,
                session_id: session.as_deref(),
            };
            let outcome = refresh.run(context, presented).await;
            if let RefreshOutcome::Reused(envelope) = &outcome {
                revocation.revoke_reused(context, envelope).await;
            }
            outcome
        })))
    }
}
