//! Responses that stay open (WebSockets, event streams), by the sign-in that they belong to, so that
//! they end with it, on whatever replica it was ended.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::model::token::RevocationKey;
use crate::store::{RevocationId, RevocationListener};

/// The open streams of all sites.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    by_id: Mutex<HashMap<RevocationId, Weak<Notify>>>,
}

/// The open streams of the sites of one provider.
pub struct Streams {
    all: Arc<OpenStreams>,
    /// The provider's [`realm`](super::provider_client::ProviderClient::realm).
    realm: String,
}

impl Streams {
    /// The streams among `all` whose sign-ins are of the provider with this realm.
    pub(super) fn new(all: Arc<OpenStreams>, realm: &str) -> Self {
        Self {
            all,
            realm: realm.to_owned(),
        }
    }

    /// Registers a stream that has just been opened. The future completes when the sign-in ends.
    pub fn opened(
        &self,
        session: &RevocationKey,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let notify = self.all.get_or_insert(self.id(session));
        // Registered before it is awaited, so that a sign-out in between is not missed.
        let ended = Arc::clone(&notify).notified_owned();
        async move {
            ended.await;
            drop(notify);
        }
    }

    /// Ends every stream of this sign-in.
    pub fn end(&self, session: &RevocationKey) {
        self.all.revoked(self.id(session));
    }

    fn id(&self, session: &RevocationKey) -> RevocationId {
        RevocationId::of(&self.realm, session)
    }
}

impl OpenStreams {
    fn get_or_insert(&self, id: RevocationId) -> Arc<Notify> {
        let mut by_id = self.by_id();
        if let Some(notify) = by_id.get(&id).and_then(Weak::upgrade) {
            return notify;
        }
        by_id.retain(|_, notify| notify.strong_count() > 0);
        let notify = Arc::new(Notify::new());
        by_id.insert(id, Arc::downgrade(&notify));
        notify
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<RevocationId, Weak<Notify>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationListener for OpenStreams {
    /// Ends the streams of a sign-in, also where another replica revoked it.
    fn revoked(&self, id: RevocationId) {
        let ended = self.by_id().remove(&id);
        if let Some(notify) = ended.and_then(|notify| notify.upgrade()) {
            notify.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn key(name: &str) -> RevocationKey {
        RevocationKey(name.to_owned())
    }

    fn is_ended(stream: &mut std::pin::Pin<Box<impl Future<Output = ()>>>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        stream.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn a_revocation_from_anywhere_ends_the_streams_of_its_sign_in() {
        let all = Arc::new(OpenStreams::default());
        let here = Streams::new(Arc::clone(&all), "main");
        let other = Streams::new(Arc::clone(&all), "other");
        let mut ends = Box::pin(here.opened(&key("a")));
        let mut stays = Box::pin(here.opened(&key("b")));
        let mut elsewhere = Box::pin(other.opened(&key("a")));
        all.revoked(RevocationId::of("main", &key("a")));
        assert!(is_ended(&mut ends), "also where it was not polled before");
        assert!(!is_ended(&mut stays));
        assert!(!is_ended(&mut elsewhere), "a sign-in at another provider");
        other.end(&key("a"));
        assert!(is_ended(&mut elsewhere));
    }

    #[test]
    fn streams_that_were_closed_are_forgotten() {
        let all = Arc::new(OpenStreams::default());
        let here = Streams::new(Arc::clone(&all), "main");
        for number in 0..10 {
            drop(here.opened(&key(&number.to_string())));
        }
        let _open = here.opened(&key("open"));
        assert_eq!(all.by_id().len(), 1);
    }
}
