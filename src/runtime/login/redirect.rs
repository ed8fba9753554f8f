//! Sign-ins by redirect: begun with a cookie and an address at the provider, and finished when the
//! provider sends the browser back.
//!
//! A code is sent to the provider once, whatever the browser repeats: many providers take a second
//! time for theft and revoke the tokens (RFC 6749, section 4.1.2).

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::model::authorization_response::{CallbackAnswer, CallbackParameters};
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::redirect_login::{
    CALLBACK, LOGIN_LIFETIME, MAX_LOGIN_BYTES, MAX_LOGINS, RedirectLogin, RedirectOptions,
    SealedRedirectLogin,
};
use crate::model::redirect_result::{
    BegunRedirect, FailedRedirect, RedirectRefusal, RefusedRedirect,
};
use crate::model::request_cookies::PresentedRedirectLogin;
use crate::model::return_path::ReturnPath;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::provider::{AuthorizationRequest, CodeExchange, LoginSuccess, ProviderError};
use crate::runtime::request_context::RequestContext;
use crate::store::{Acquire, LeaseKey, LeaseStore, SessionHash, SessionStore, StoredSession};
use crate::system::{self, Clock};
use crate::telemetry::audit;

use super::LoginError;
use super::completion::{AcceptedDevice, AcceptedLogin};
use super::rate_limit::{Guess, RateLimiter};

/// A sign-in that is to begin.
#[derive(Clone, Copy)]
pub struct RedirectStart<'a> {
    /// What shall follow it.
    pub options: &'a RedirectOptions,
    /// The cookies of sign-ins that the browser has under way.
    pub presented: &'a [PresentedRedirectLogin<'a>],
}

/// What the provider sent back with a browser.
#[derive(Clone, Copy)]
pub struct RedirectReturn<'a> {
    /// The parameters of its response.
    pub callback: &'a CallbackParameters,
    /// The cookie of the sign-in with this `state`.
    pub sealed: &'a str,
    /// How the client will carry its tokens.
    pub kind: CredentialKind,
    /// The id of a session that a success replaces.
    pub replaces: Option<&'a str>,
    /// The sealed device cookie, as it came.
    pub device_cookie: Option<&'a str>,
}

/// Why a sign-in by redirect was not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectError {
    /// Nobody is signed in.
    Refused(RefusedRedirect),
    /// There is no usable answer.
    Unavailable(FailedRedirect),
}

impl RedirectError {
    /// The reason to count; `None` for a response that belongs to no sign-in of the browser, or
    /// came before.
    pub(super) fn counted_reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refused) => {
                let is_no = refused.cause == RedirectRefusal::Refused;
                is_no.then_some(Reason::SignInFailed)
            }
            Self::Unavailable(failure) => Some(failure.reason),
        }
    }
}

/// Begins and finishes sign-ins by redirect.
pub(in crate::runtime) struct RedirectLogins {
    pub sealing: Arc<SealingKeys>,
    pub clock: Clock,
    pub leases: Arc<dyn LeaseStore>,
    /// Keeps posted forms, which are too large for a cookie.
    pub sessions: Arc<dyn SessionStore>,
    pub rate_limiter: Arc<RateLimiter>,
}

/// A sign-in that came back with tokens.
pub(super) struct Returned<'a> {
    pub accepted: AcceptedLogin<'a>,
    pub login: RedirectLogin,
}

impl RedirectLogins {
    /// Where the browser is sent, and the cookie that it gets.
    ///
    /// # Errors
    /// [`LoginError::Unavailable`] where the provider has not told its addresses yet, or a posted
    /// form cannot be kept.
    pub(super) async fn begin(
        &self,
        context: RequestContext<'_>,
        start: RedirectStart<'_>,
    ) -> Result<BegunRedirect, LoginError> {
        let site_runtime = context.site_runtime;
        let site = &site_runtime.site;
        let login = RedirectLogin::new(system::random(), start.options, self.clock.now());
        let (state, nonce, verifier) = (login.state(), login.nonce(), login.verifier());
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri(context),
            state: &state,
            nonce: &nonce,
            verifier: &verifier,
        };
        let address = site_runtime.provider.authorization_address(request).await?;
        if let Some(post) = &start.options.preserved_post {
            self.keep_post(context, &login, post).await?;
        }
        let cookie = login
            .seal(&self.sealing, &site.name, system::random())
            .ok_or(LoginError::Unavailable(Reason::Internal))?;
        Ok(BegunRedirect {
            address,
            given_up: self.given_up(site, start.presented, &cookie),
            cookie,
        })
    }

    /// The ids of the sign-ins that are given up for `new`: those that cannot be finished any more,
    /// and the oldest of too many.
    fn given_up(
        &self,
        site: &Site,
        presented: &[PresentedRedirectLogin<'_>],
        new: &SealedRedirectLogin,
    ) -> Vec<String> {
        let now = self.clock.now();
        let mut open = Vec::new();
        let mut given_up = Vec::new();
        // Browsers send what they have longest first: that tells apart what began in one moment.
        for (age, cookie) in presented.iter().enumerate() {
            let login = RedirectLogin::open(&self.sealing, &site.name, cookie.value);
            match login.filter(|login| !login.is_expired(now)) {
                Some(login) => open.push((login.begun, age, cookie)),
                None => given_up.push(cookie.id.to_owned()),
            }
        }
        open.sort_unstable_by_key(|(begun, age, _)| Reverse((*begun, *age)));
        let mut bytes = new.value.len();
        for (earlier, (_, _, cookie)) in (1..).zip(open) {
            bytes += cookie.value.len();
            if earlier >= MAX_LOGINS || bytes > MAX_LOGIN_BYTES {
                given_up.push(cookie.id.to_owned());
            }
        }
        given_up
    }

    /// The tokens that the provider gives for its response.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub(super) async fn redeem<'a>(
        &self,
        context: RequestContext<'_>,
        back: RedirectReturn<'a>,
    ) -> Result<Returned<'a>, RedirectError> {
        let site = &context.site_runtime.site;
        let login = RedirectLogin::open(&self.sealing, &site.name, back.sealed)
            .filter(|login| login.state() == back.callback.state)
            .filter(|login| !login.is_expired(self.clock.now()))
            .ok_or_else(|| refused(RedirectRefusal::Unknown, None))?;
        let return_to = || login.return_to.clone();
        let code = match &back.callback.answer {
            CallbackAnswer::Code(code) => code,
            CallbackAnswer::Error(error) => {
                let told = audit::ProviderError {
                    code: Some(&error.code),
                    description: error.description.as_deref(),
                };
                audit::sign_in_failed(context.audit_context(), Reason::SignInFailed, told);
                return Err(refused(RedirectRefusal::Refused, return_to()));
            }
        };
        if !self.is_first_time(&login).await {
            return Err(refused(RedirectRefusal::Used, return_to()));
        }
        let success = match self.exchange(context, &login, code, back.callback).await {
            Ok(success) => success,
            // Nobody was asked.
            Err(LoginError::Refused(refusal)) if refusal.reason == Reason::Throttled => {
                let failure = FailedRedirect {
                    retry_after: refusal.retry_after,
                    ..failure(refusal.reason, return_to())
                };
                return Err(unavailable(context, failure));
            }
            Err(LoginError::Refused(_)) => {
                let told = audit::ProviderError::default();
                audit::sign_in_failed(context.audit_context(), Reason::SignInFailed, told);
                return Err(refused(RedirectRefusal::Refused, return_to()));
            }
            Err(LoginError::Unavailable(reason)) => {
                return Err(unavailable(context, failure(reason, return_to())));
            }
        };
        Ok(Returned {
            accepted: AcceptedLogin {
                success,
                nonce: Some(login.nonce()),
                kind: back.kind,
                remember: login.remember,
                device: AcceptedDevice::Presented(back.device_cookie),
            },
            login,
        })
    }

    /// Asks the provider, within the limits on attempts: codes can be guessed like passwords.
    async fn exchange(
        &self,
        context: RequestContext<'_>,
        login: &RedirectLogin,
        code: &Secret,
        callback: &CallbackParameters,
    ) -> Result<LoginSuccess, LoginError> {
        let site_runtime = context.site_runtime;
        let permit = self.rate_limiter.acquire_address(context).await?;
        let exchange = CodeExchange {
            code,
            issuer: callback.issuer.as_deref(),
            verifier: &login.verifier(),
            redirect_uri: &redirect_uri(context),
        };
        let answer = site_runtime.provider.redeem(exchange).await;
        let guess = match &answer {
            Err(ProviderError::Refused(_)) => Guess::Counted,
            Ok(_) | Err(ProviderError::Unavailable(_) | ProviderError::Misconfigured(_)) => {
                Guess::None
            }
        };
        self.rate_limiter.record_address(permit, guess).await;
        answer.map_err(LoginError::from)
    }

    /// Whoever acquires the lease on the sign-in is the first, on whatever replica. The lease is
    /// never released, and lasts longer than any replica takes the cookie, whatever its clock says.
    /// Without the store the code itself tells: the provider takes it once.
    async fn is_first_time(&self, login: &RedirectLogin) -> bool {
        let key = LeaseKey(key_of("vestibule login by redirect", login));
        match self.leases.acquire(key, LOGIN_LIFETIME * 3).await {
            Ok(Acquire::Acquired { .. }) => true,
            Ok(Acquire::Contended | Acquire::Completed(_) | Acquire::Reused) => false,
            Err(error) => {
                audit::store_failed(&error.0);
                true
            }
        }
    }

    /// Keeps a posted form until the browser is back. A cookie cannot hold one.
    async fn keep_post(
        &self,
        context: RequestContext<'_>,
        login: &RedirectLogin,
        post: &str,
    ) -> Result<(), LoginError> {
        // Nobody has signed in: what is stored is limited like guesses.
        let permit = self.rate_limiter.acquire_address(context).await?;
        self.rate_limiter
            .record_address(permit, Guess::Counted)
            .await;
        let kept = StoredSession {
            sealed: post.as_bytes().into(),
            expires_at: context.now.plus(LOGIN_LIFETIME),
        };
        let put = self
            .sessions
            .put(post_key(login), kept, LOGIN_LIFETIME, context.now);
        put.await.map_err(|error| {
            audit::store_failed(&error.0);
            LoginError::Unavailable(Reason::StoreUnavailable)
        })
    }

    /// The form that was kept for a sign-in, which is forgotten then.
    pub(super) async fn kept_post(
        &self,
        context: RequestContext<'_>,
        login: &RedirectLogin,
    ) -> Option<Arc<str>> {
        if !login.has_preserved_post {
            return None;
        }
        let key = post_key(login);
        let found = self.sessions.get(key, Duration::ZERO, context.now).await;
        let found = found
            .inspect_err(|error| audit::store_failed(&error.0))
            .ok()??;
        if let Err(error) = self.sessions.delete(key).await {
            audit::store_failed(&error.0);
        }
        std::str::from_utf8(&found.sealed).ok().map(Arc::from)
    }
}

/// Where the provider sends the browser back: to the host that has its cookies.
fn redirect_uri(context: RequestContext<'_>) -> String {
    format!("{}{CALLBACK}", context.origin())
}

fn post_key(login: &RedirectLogin) -> SessionHash {
    SessionHash(key_of("vestibule posted form", login))
}

fn key_of(used_as: &str, login: &RedirectLogin) -> [u8; 32] {
    let hash = digest(&SHA256, format!("{used_as}\0{}", login.state()).as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(hash.as_ref());
    key
}

pub(super) const fn failure(reason: Reason, return_to: Option<ReturnPath>) -> FailedRedirect {
    FailedRedirect {
        reason,
        retry_after: None,
        return_to,
    }
}

/// Records that a sign-in could not be finished.
pub(super) fn unavailable(context: RequestContext<'_>, failure: FailedRedirect) -> RedirectError {
    let told = audit::ProviderError::default();
    audit::sign_in_failed(context.audit_context(), failure.reason, told);
    RedirectError::Unavailable(failure)
}

fn refused(cause: RedirectRefusal, return_to: Option<ReturnPath>) -> RedirectError {
    RedirectError::Refused(RefusedRedirect { cause, return_to })
}
