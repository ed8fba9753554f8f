//! A form that was posted after the session had ended: sealed for the client, and restored after
//! the sign-in that follows.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::credential::CredentialKind;
use crate::model::known_device::KnownDevice;
use crate::model::preserved_post::{
    Author, PostedForm, PreservedPost, RestoredPost, max_sealed, seal_purpose,
};
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::sealing_keys::SealingKeys;
use crate::store::{Acquire, LeaseKey, LeaseStore};
use crate::system;
use crate::telemetry::audit;

use super::login::TrustedDevices;
use super::request_context::RequestContext;

/// How long after it was posted a form can be restored: long enough to look for a password or a
/// telephone.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Preserves and restores posted forms.
pub struct PreservedPosts {
    pub(super) leases: Arc<dyn LeaseStore>,
    pub(super) sealing: Arc<SealingKeys>,
    pub(super) devices: Arc<TrustedDevices>,
}

/// A form that was posted after the session had ended.
pub struct UnauthenticatedPost<'a> {
    /// The path and query that it was posted to.
    pub target: &'a str,
    /// Its fields.
    pub form: PostedForm,
    /// The sealed refresh token that came with it, and how it was carried.
    pub refresh: Option<(CredentialKind, &'a str)>,
    /// The sealed device cookie that came with it.
    pub device_cookie: Option<&'a str>,
}

impl PreservedPosts {
    /// Seals `post`; `None` where it is too large to be carried.
    ///
    /// The refresh token that came with it names the author, whether or not the provider still
    /// accepts it. Where none came (the person signed out in another tab), it is the account that
    /// signed in last from the device.
    #[must_use]
    pub fn preserve(
        &self,
        context: RequestContext<'_>,
        post: UnauthenticatedPost<'_>,
    ) -> Option<Arc<str>> {
        let limit = max_sealed(context.site_runtime.site.preserve_post);
        let site = &context.site_runtime.site.name;
        let preserved = PreservedPost {
            id: system::unique_id(),
            author: self.author(site, &post),
            target: post.target.to_owned(),
            form: post.form,
            until: context.now.plus(LIFETIME).millis(),
        };
        let body = serde_json::to_vec(&preserved).ok()?;
        let sealed = self
            .sealing
            .seal(&seal_purpose(site), body, system::random())?;
        let sealed = URL_SAFE_NO_PAD.encode(sealed);
        (sealed.len() <= limit).then(|| sealed.into())
    }

    fn author(&self, site: &str, post: &UnauthenticatedPost<'_>) -> Option<Author> {
        let envelope = post.refresh.and_then(|(kind, sealed)| {
            RefreshTokenEnvelope::open(&self.sealing, site, kind, sealed)
        });
        if let Some(envelope) = envelope {
            return Some(Author::Person(envelope.sub));
        }
        let device = KnownDevice::open(&self.sealing, site, post.device_cookie?)?;
        Some(Author::LastHere(device.last_account()?.0))
    }

    /// Opens a form that came back with the sign-in of the person `sub`, who typed `login_id`.
    /// `None` where it was not sealed for this site, or is too old.
    pub async fn restore(
        &self,
        context: RequestContext<'_>,
        sealed: &str,
        sub: &str,
        login_id: &str,
    ) -> Option<RestoredPost> {
        let site_runtime = context.site_runtime;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let body = self
            .sealing
            .open(&seal_purpose(&site_runtime.site.name), &sealed)?;
        let preserved_post: PreservedPost = serde_json::from_slice(&body).ok()?;
        if preserved_post.is_expired(context.now) {
            return None;
        }
        let account = self.devices.account_hashes(site_runtime, login_id);
        let by_same_person = preserved_post.is_by(sub, &account);
        // A form of another person is only shown, never sent: that does not use it up.
        let first_time = by_same_person && self.is_first_time(&preserved_post).await;
        Some(RestoredPost {
            post: preserved_post,
            by_author: by_same_person,
            first_time,
        })
    }

    /// Whoever acquires the lease on the form is the first, on whatever replica. The lease is never
    /// released, and lasts longer than any replica takes the form, whatever its clock says.
    async fn is_first_time(&self, post: &PreservedPost) -> bool {
        let name = format!("vestibule unsent form\0{}", post.id);
        let hash = digest(&SHA256, name.as_bytes());
        let Some(key) = hash.as_ref().first_chunk() else {
            return false;
        };
        let key = LeaseKey(*key);
        match self.leases.acquire(key, LIFETIME * 2).await {
            Ok(Acquire::Acquired { .. }) => true,
            Ok(Acquire::Contended | Acquire::Completed(_) | Acquire::Reused) => false,
            Err(error) => {
                audit::store_failed(&error.0);
                false
            }
        }
    }
}
