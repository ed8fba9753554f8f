//! Responses that stay open (WebSockets, event streams), by the sign-in that they belong to, so that
//! they end with it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

use crate::model::token::RevocationKey;

/// The open streams of one site.
#[derive(Default)]
pub struct Streams {
    by_session: Mutex<HashMap<RevocationKey, Weak<Notify>>>,
}

impl Streams {
    /// Registers a stream that has just been opened. The future completes when the sign-in ends.
    pub fn opened(
        &self,
        session: &RevocationKey,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let notify = {
            let mut by_session = self
                .by_session
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(notify) = by_session.get(session).and_then(Weak::upgrade) {
                notify
            } else {
                by_session.retain(|_, notify| notify.strong_count() > 0);
                let notify = Arc::new(Notify::new());
                by_session.insert(session.clone(), Arc::downgrade(&notify));
                notify
            }
        };
        // Registered before it is awaited, so that a sign-out in between is not missed.
        let ended = Arc::clone(&notify).notified_owned();
        async move {
            ended.await;
            drop(notify);
        }
    }

    /// Ends every stream of this sign-in.
    pub fn end(&self, session: &RevocationKey) {
        let gone = self
            .by_session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(session);
        if let Some(notify) = gone.and_then(|notify| notify.upgrade()) {
            notify.notify_waiters();
        }
    }
}
