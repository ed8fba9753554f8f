//! Responses that stay open (WebSockets, event streams), by the sign-in that they belong to, so
//! that they end with it, on whatever replica it was ended.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::token::Principal;
use crate::store::{RevocationId, RevocationListener};

use super::revocation_ids::RevocationIds;

/// The open streams of all sites.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// By each id under which the token of a stream can be revoked, then by the number of the
    /// stream.
    by_id: HashMap<RevocationId, HashMap<u64, Arc<Notify>>>,
    /// The number of the next stream.
    next: u64,
}

/// The open streams of one site.
pub struct Streams {
    all: Arc<OpenStreams>,
    /// The [`realm`](super::provider_client::ProviderClient::realm) of the site's provider.
    realm: String,
    /// The `aud` of the site's tokens.
    application: String,
}

/// The registration of a stream, until it is dropped.
struct Registration {
    all: Arc<OpenStreams>,
    number: u64,
    ids: Vec<RevocationId>,
    /// Something was revoked that may concern the stream.
    notify: Arc<Notify>,
}

impl Streams {
    /// The streams among `all` whose tokens are for `application`, from the provider with this
    /// realm.
    pub(super) fn new(all: Arc<OpenStreams>, realm: &str, application: &str) -> Self {
        Self {
            all,
            realm: realm.to_owned(),
            application: application.to_owned(),
        }
    }

    /// Registers a stream that has just been opened with the token of `principal`. The future
    /// completes when `is_revoked` says so. It is asked at first, and whenever something was
    /// revoked that may concern the token.
    pub fn opened<F: Fn() -> bool + Send>(
        &self,
        principal: &Principal,
        is_revoked: F,
    ) -> impl Future<Output = ()> + Send + use<F> {
        let ids = RevocationIds::of(&self.realm, &self.application, principal);
        let registration = OpenStreams::register(&self.all, ids.all().collect());
        async move {
            while !is_revoked() {
                registration.notify.notified().await;
            }
        }
    }
}

impl OpenStreams {
    fn register(all: &Arc<Self>, ids: Vec<RevocationId>) -> Registration {
        let notify = Arc::new(Notify::new());
        let mut open = all.open();
        let number = open.next;
        open.next += 1;
        for id in &ids {
            let streams = open.by_id.entry(*id).or_default();
            streams.insert(number, Arc::clone(&notify));
        }
        drop(open);
        Registration {
            all: Arc::clone(all),
            number,
            ids,
            notify,
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationListener for OpenStreams {
    /// Wakes the streams that the revocation may concern, also where another replica revoked.
    fn revoked(&self, id: RevocationId) {
        if let Some(streams) = self.open().by_id.get(&id) {
            // Keeps a permit for a stream that does not wait yet.
            for notify in streams.values() {
                notify.notify_one();
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.all.open();
        for id in &self.ids {
            if let Some(streams) = open.by_id.get_mut(id) {
                streams.remove(&self.number);
                if streams.is_empty() {
                    open.by_id.remove(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::model::identity::Identity;
    use crate::model::timestamp::Timestamp;
    use crate::model::token::RevocationKey;
    use crate::store::TokenGroup;

    fn principal(sub: &str, sign_in: &str) -> Principal {
        let claims = serde_json::json!({ "sub": sub });
        Principal {
            identity: Identity::from_claims(claims.as_object().unwrap().clone()).unwrap(),
            issued_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(60),
            revocation_key: RevocationKey(sign_in.to_owned()),
            identity_headers: Vec::new(),
        }
    }

    /// An open stream, and whether its token is revoked.
    struct Stream {
        ended: std::pin::Pin<Box<dyn Future<Output = ()>>>,
        is_revoked: Arc<AtomicBool>,
    }

    impl Stream {
        fn open(streams: &Streams, principal: &Principal) -> Self {
            let is_revoked = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&is_revoked);
            let ended = streams.opened(principal, move || asked.load(Ordering::Relaxed));
            Self {
                ended: Box::pin(ended),
                is_revoked,
            }
        }

        fn is_ended(&mut self) -> bool {
            let mut context = Context::from_waker(Waker::noop());
            self.ended.as_mut().poll(&mut context) == Poll::Ready(())
        }
    }

    #[test]
    fn a_revocation_from_anywhere_ends_the_streams_that_it_concerns() {
        let all = Arc::new(OpenStreams::default());
        let here = Streams::new(Arc::clone(&all), "main", "store");
        let forum = Streams::new(Arc::clone(&all), "main", "forum");
        let other = Streams::new(Arc::clone(&all), "other", "store");
        let ids = [
            RevocationId::of("main", &RevocationKey("a".into())),
            RevocationId::of_group("main", TokenGroup::User("u1")),
            RevocationId::of_group(
                "main",
                TokenGroup::UserAtApplication {
                    user: "u1",
                    application: "store",
                },
            ),
            RevocationId::of_group("main", TokenGroup::Application("store")),
            RevocationId::of_group("main", TokenGroup::Provider),
        ];
        let concerned = [
            [true, false, false, false],
            [true, true, false, false],
            [true, false, false, false],
            [true, false, true, false],
            [true, true, true, false],
        ];
        for (id, concerned) in ids.into_iter().zip(concerned) {
            let mut streams = [
                Stream::open(&here, &principal("u1", "a")),
                Stream::open(&forum, &principal("u1", "b")),
                Stream::open(&here, &principal("u2", "b")),
                Stream::open(&other, &principal("u1", "a")),
            ];
            // Tokens that were issued later than what was revoked.
            all.revoked(id);
            assert!(streams.iter_mut().all(|stream| !stream.is_ended()));
            for stream in &streams {
                stream.is_revoked.store(true, Ordering::Relaxed);
            }
            all.revoked(id);
            let ended = streams.iter_mut().map(Stream::is_ended);
            assert_eq!(ended.collect::<Vec<_>>(), concerned);
        }
    }

    #[test]
    fn what_was_revoked_before_the_first_look_ends_a_stream() {
        let all = Arc::new(OpenStreams::default());
        let streams = Streams::new(Arc::clone(&all), "main", "store");
        let mut stream = Stream::open(&streams, &principal("u1", "a"));
        stream.is_revoked.store(true, Ordering::Relaxed);
        assert!(stream.is_ended());
    }

    #[test]
    fn streams_that_were_closed_are_forgotten() {
        let all = Arc::new(OpenStreams::default());
        let streams = Streams::new(Arc::clone(&all), "main", "store");
        for number in 0..10 {
            drop(Stream::open(
                &streams,
                &principal("u1", &number.to_string()),
            ));
        }
        let open = Stream::open(&streams, &principal("u1", "open"));
        assert_eq!(all.open().by_id.len(), 5);
        drop(open);
        assert!(all.open().by_id.is_empty());
    }
}
