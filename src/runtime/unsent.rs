//! Seals a form that met an ended session, and opens it again with the sign-in that follows.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::credential::CredentialKind;
use crate::model::device::KnownDevice;
use crate::model::preserved_post::{
    Author, MAX_SEALED, PostedForm, PreservedPost, RestoredPost, purpose,
};
use crate::store::{Acquire, LeaseKey};
use crate::system;
use crate::telemetry::audit;

use super::{RequestContext, Runtime};

/// How long after it was written a form may be sent: a person looks for their password, or for
/// their telephone.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

impl Runtime {
    /// Seals `form`, which was posted to `target`. Who wrote it is told by the refresh token that
    /// came with it, whether or not the provider still takes it, and where none came (somebody
    /// signed out in another tab) by the device, which knows who signed in last. `None` where it is
    /// too large to be carried.
    #[must_use]
    pub fn keep_form(
        &self,
        context: RequestContext<'_>,
        target: &str,
        form: PostedForm,
        (refresh, device): (Option<(CredentialKind, &str)>, Option<&str>),
    ) -> Option<Arc<str>> {
        let site = &context.site_runtime.site.name;
        let ticket = refresh.and_then(|(kind, sealed)| self.sealing.open(site, kind, sealed));
        let last_here = || KnownDevice::open(&self.sealing, site, device?)?.last();
        let author = match ticket {
            Some(ticket) => Some(Author::Person(ticket.sub)),
            None => last_here().map(|account| Author::LastHere(account.0)),
        };
        let unsent = PreservedPost {
            id: system::fresh_name(),
            author,
            target: target.to_owned(),
            form,
            until: context.now.plus(KEPT_FOR).millis(),
        };
        let inside = serde_json::to_vec(&unsent).ok()?;
        let sealed = URL_SAFE_NO_PAD.encode(self.sealing.seal_bytes(
            &purpose(site),
            inside,
            system::random(),
        )?);
        (sealed.len() <= MAX_SEALED).then(|| sealed.into())
    }

    /// Opens a form that came back with the sign-in of `sub`, who typed `login_id`. `None` where it
    /// is none of this site's, or too old.
    pub async fn return_form(
        &self,
        context: RequestContext<'_>,
        sealed: &str,
        (sub, login_id): (&str, &str),
    ) -> Option<RestoredPost> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let inside = self
            .sealing
            .open_bytes(&purpose(&context.site_runtime.site.name), &sealed)?;
        let unsent: PreservedPost = serde_json::from_slice(&inside).ok()?;
        if unsent.has_ended(context.now) {
            return None;
        }
        // Only what may be sent is used up: of what can only be copied no harm comes.
        let by_same_person = unsent.is_of(sub, &self.marks(context.site_runtime, login_id));
        let first_time = by_same_person && self.is_first_time(context, &unsent).await;
        Some(RestoredPost {
            preserved_post: unsent,
            by_same_person,
            first_time,
        })
    }

    /// Whoever takes the lease on it is the first, on whatever replica: it is never given back.
    async fn is_first_time(&self, context: RequestContext<'_>, unsent: &PreservedPost) -> bool {
        let name = format!("vestibule unsent form\0{}", unsent.id);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
        let Some(key) = digest.as_ref().first_chunk() else {
            return false;
        };
        match self
            .shared
            .stores
            .leases
            .acquire(LeaseKey(*key), KEPT_FOR, context.now)
            .await
        {
            Ok(Acquire::Acquired(_)) => true,
            Ok(Acquire::Contended | Acquire::Completed(_) | Acquire::Reused) => false,
            Err(error) => {
                audit::store_failed(&error.0);
                false
            }
        }
    }
}
