//! Basic credentials of clients without a form: checked by a login at the provider once, and from
//! then on against the memory (`docs/guide/api-clients.md`).
//!
//! * A remembered login is worth what its access token is worth: the token is verified on each
//!   request, and refreshed where it has expired. So a login that was revoked, or whose account the
//!   provider has locked, ends as any other.
//! * Where the token does not lead on, the password is tried again: it is a proof of its own.
//! * Requests with the same credentials at the same time make one login. It runs to its end whether
//!   or not its client waits.

use std::sync::Arc;

use crate::model::authorization::BasicCredentials;
use crate::model::credential::{CredentialKind, RefreshRequest};
use crate::model::login::{Credentials, LoginRefused};
use crate::model::reason::Reason;
use crate::model::token::{BasicLogin, CompletedLogin, TokenError};
use crate::provider::Device;
use crate::store::LeaseKey;
use crate::system;
use crate::telemetry::trace;

use super::basic_memory::{BasicMemory, CredentialsHash, RememberedLogin};
use super::early_refresh::EarlyRefresh;
use super::login::{Login, LoginError, PasswordAttempt};
use super::refresh::single_flight::{LeaderGuard, Role, SingleFlight};
use super::refresh::{Refresh, RefreshOutcome};
use super::request_context::RequestContext;
use super::revocation::Revocation;
use super::tokens::{CredentialError, Tokens};

/// The result of a login that others may wait for.
type LoginResult = Result<BasicLogin, LoginError>;

/// Checks Basic credentials.
pub struct BasicAuth {
    pub(super) memory: Arc<BasicMemory>,
    pub(super) in_flight: Arc<LoginsInFlight>,
    pub(super) tokens: Tokens,
    pub(super) refresh: Arc<Refresh>,
    pub(super) early_refresh: EarlyRefresh,
    pub(super) revocation: Arc<Revocation>,
    pub(super) login: Arc<Login>,
}

/// The logins with Basic credentials that run now.
pub(super) type LoginsInFlight = SingleFlight<LoginResult>;

/// Credentials to be checked.
#[derive(Clone, Copy)]
pub struct BasicAttempt<'a> {
    /// The credentials.
    pub credentials: BasicCredentials<'a>,
    /// What is known about the client.
    pub device: Device<'a>,
}

impl BasicAuth {
    /// The user of these credentials.
    ///
    /// # Errors
    /// [`LoginError`], as for any login. A refusal has no challenge.
    pub async fn check(
        &self,
        context: RequestContext<'_>,
        attempt: BasicAttempt<'_>,
    ) -> Result<BasicLogin, LoginError> {
        let hash = self.memory.hash(context.site_runtime, attempt.credentials);
        let Some(remembered) = self.memory.get(hash) else {
            return Box::pin(self.log_in(context, attempt, hash)).await;
        };
        match self.tokens.verify(context, &remembered.access).await {
            Ok(principal) => {
                if principal.expires_within(context.site_runtime.site.refresh_ahead, context.now) {
                    self.refresh_early(context, hash, &remembered);
                }
                Ok(BasicLogin {
                    principal,
                    access: Arc::clone(&remembered.access),
                    reason: Reason::SignedIn,
                })
            }
            Err(CredentialError::Unavailable(reason)) => Err(LoginError::Unavailable(reason)),
            Err(CredentialError::Token(error)) => {
                let refreshed = Box::pin(self.refreshed(context, hash, &remembered, error)).await;
                match refreshed {
                    Some(result) => result,
                    None => Box::pin(self.log_in(context, attempt, hash)).await,
                }
            }
        }
    }

    /// Remembers credentials that `login` has shown to be right.
    pub fn remember(
        &self,
        context: RequestContext<'_>,
        credentials: BasicCredentials<'_>,
        login: &CompletedLogin,
    ) {
        if let Some(decoded) = credentials.decode() {
            let hash = self.memory.hash(context.site_runtime, credentials);
            remember(&self.memory, hash, &decoded, login);
        }
    }

    /// Forgets credentials, and returns what was remembered of them.
    #[must_use]
    pub fn forget(
        &self,
        context: RequestContext<'_>,
        credentials: BasicCredentials<'_>,
    ) -> Option<Arc<RememberedLogin>> {
        let hash = self.memory.hash(context.site_runtime, credentials);
        self.memory.take(hash)
    }

    /// Refreshes a token that expires soon. The request does not wait: its response carries no
    /// tokens.
    fn refresh_early(
        &self,
        context: RequestContext<'_>,
        hash: CredentialsHash,
        remembered: &Arc<RememberedLogin>,
    ) {
        let Some(request) = refresh_request(remembered) else {
            return;
        };
        let Some(refresh) = self.early_refresh.start(context, request) else {
            return;
        };
        let (memory, remembered) = (Arc::clone(&self.memory), Arc::clone(remembered));
        system::detach(async move {
            // Whatever else comes of it, the next request finds out when the token has expired.
            if let Ok(RefreshOutcome::Renewed { renewed, .. }) = refresh.await {
                memory.update(hash, &remembered, &renewed.tokens);
            }
        });
    }

    /// What the refresh token leads to, where the access token does not prove anybody any more.
    /// `None` where the login is forgotten and the password is to be tried again.
    async fn refreshed(
        &self,
        context: RequestContext<'_>,
        hash: CredentialsHash,
        remembered: &Arc<RememberedLogin>,
        error: TokenError,
    ) -> Option<LoginResult> {
        let request = refresh_request(remembered).filter(|_| error != TokenError::Revoked);
        let Some(request) = request else {
            if error == TokenError::UnknownKey {
                let reason = Reason::ProviderUnavailable;
                return Some(Err(LoginError::Unavailable(reason)));
            }
            self.memory.forget(hash, remembered);
            return None;
        };
        match self.refresh.run(context, request).await {
            RefreshOutcome::Renewed { renewed, .. } => {
                self.memory.update(hash, remembered, &renewed.tokens);
                Some(Ok(BasicLogin {
                    principal: renewed.principal,
                    access: renewed.access,
                    reason: match error {
                        TokenError::Invalid => Reason::RenewedFromInvalid,
                        TokenError::Expired | TokenError::UnknownKey | TokenError::Revoked => {
                            Reason::Renewed
                        }
                    },
                }))
            }
            RefreshOutcome::Unavailable(reason) => Some(Err(LoginError::Unavailable(reason))),
            RefreshOutcome::Refused(_) => {
                self.memory.forget(hash, remembered);
                None
            }
            RefreshOutcome::Reused(envelope) => {
                self.revocation.revoke_reused(context, &envelope).await;
                self.memory.forget(hash, remembered);
                None
            }
        }
    }

    /// Logs in at the provider, or waits for a login with the same credentials.
    async fn log_in(
        &self,
        context: RequestContext<'_>,
        attempt: BasicAttempt<'_>,
        hash: CredentialsHash,
    ) -> LoginResult {
        let refused = LoginRefused::new(Reason::InvalidCredentials);
        let credentials = attempt.credentials.decode();
        let credentials = credentials.ok_or(LoginError::Refused(refused))?;
        let result = match self.in_flight.join(LeaseKey(hash.0)) {
            Role::Follower(result) => result.wait().await,
            Role::Leader(guard) => {
                // Another login may have been completed before this one began.
                if let Some(remembered) = self.memory.get(hash)
                    && let Ok(principal) = self.tokens.verify(context, &remembered.access).await
                {
                    return guard.complete(Ok(BasicLogin {
                        principal,
                        access: Arc::clone(&remembered.access),
                        reason: Reason::SignedIn,
                    }));
                }
                self.start(context, attempt, credentials, guard).await
            }
        };
        // The task panicked, and that refuses nobody.
        result.unwrap_or(Err(LoginError::Unavailable(Reason::Internal)))
    }

    /// Runs the login in a task of its own.
    async fn start(
        &self,
        context: RequestContext<'_>,
        attempt: BasicAttempt<'_>,
        credentials: Credentials,
        guard: LeaderGuard<LoginResult>,
    ) -> Option<LoginResult> {
        let hash = self.memory.hash(context.site_runtime, attempt.credentials);
        let (login, memory) = (Arc::clone(&self.login), Arc::clone(&self.memory));
        let site_runtime = Arc::clone(context.site_runtime);
        let RequestContext { client, now, .. } = context;
        let request_id = context.request_id.to_owned();
        let user_agent = attempt.device.user_agent.map(str::to_owned);
        let task = system::detach(trace::carry(async move {
            let context = RequestContext {
                site_runtime: &site_runtime,
                client,
                host: None,
                request_id: &request_id,
                now,
            };
            let attempt = PasswordAttempt {
                credentials: &credentials,
                kind: CredentialKind::Bearer,
                replaces: None,
                device: Device {
                    user_agent: user_agent.as_deref(),
                },
                device_cookie: None,
            };
            let result = login.password(context, attempt).await;
            if let Ok(completed) = &result {
                remember(&memory, hash, &credentials, completed);
            }
            guard.complete(as_basic(result))
        }));
        task.await.ok()
    }
}

/// The refresh that a remembered login allows.
fn refresh_request(remembered: &RememberedLogin) -> Option<RefreshRequest<'_>> {
    let refresh = remembered.refresh.as_deref()?;
    Some(RefreshRequest {
        kind: CredentialKind::Bearer,
        refresh,
        session_id: None,
    })
}

fn remember(
    memory: &BasicMemory,
    hash: CredentialsHash,
    credentials: &Credentials,
    login: &CompletedLogin,
) {
    let remembered = RememberedLogin {
        access: Arc::clone(&login.tokens.token),
        refresh: login.tokens.refresh.clone(),
        sub: login.principal.identity.sub.clone(),
        password: memory.hash_password(&credentials.password),
    };
    memory.put(hash, remembered);
}

/// The result for clients that send the password each time: without the challenge of a further
/// step, which they could not answer.
fn as_basic(result: Result<CompletedLogin, LoginError>) -> LoginResult {
    match result {
        Ok(login) => Ok(BasicLogin {
            principal: login.principal,
            access: login.tokens.token,
            reason: Reason::SignedIn,
        }),
        Err(LoginError::Refused(refused)) => Err(LoginError::Refused(LoginRefused {
            retry_after: refused.retry_after,
            ..LoginRefused::new(refused.reason)
        })),
        Err(LoginError::Unavailable(reason)) => Err(LoginError::Unavailable(reason)),
    }
}
