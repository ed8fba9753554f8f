//! A session lives while it is used, and never past its end.

use std::sync::Arc;
use std::time::Duration;

use super::super::{SessionHash, SessionStore, StoredSession};
use super::{Fixture, NOW, hash, millis, secs, within_a_second};
use crate::model::timestamp::Timestamp;

const IDLE: Duration = Duration::from_secs(60);

fn id(name: &str) -> SessionHash {
    SessionHash(hash(name))
}

fn session(sealed: &str, seconds: u64) -> StoredSession {
    StoredSession {
        sealed: sealed.as_bytes().into(),
        expires_at: NOW.plus(secs(seconds)),
    }
}

async fn one(fixture: &impl Fixture) -> Arc<dyn SessionStore> {
    fixture.stores().await.sessions
}

async fn replicas(fixture: &impl Fixture) -> (Arc<dyn SessionStore>, Arc<dyn SessionStore>) {
    let (here, there) = fixture.replicas().await;
    (here.sessions, there.sessions)
}

async fn read(store: &dyn SessionStore, name: &str, now: Timestamp) -> Option<StoredSession> {
    store.get(id(name), IDLE, now).await.unwrap()
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    assert_eq!(one(fixture).await.evicted(), 0);
    what_is_put_is_read(&*one(fixture).await).await;
    an_unused_session_expires(&*one(fixture).await).await;
    use_prolongs_a_session_but_never_past_its_end(&*one(fixture).await).await;
    a_shorter_idle_time_counts_from_the_next_read(&*one(fixture).await).await;
    a_deleted_session_is_gone(&*one(fixture).await).await;
    the_later_of_two_sessions_with_one_id_counts(&*one(fixture).await).await;
    an_expired_session_is_not_stored(&*one(fixture).await).await;
    replicas_see_the_same_sessions(fixture).await;
    a_deletion_reaches_every_replica_within_a_second(fixture).await;
}

async fn what_is_put_is_read(store: &dyn SessionStore) {
    assert_eq!(read(store, "a", NOW).await, None);
    // Any bytes, also none.
    for bytes in [vec![], vec![0, 1, 2, 255, 0], vec![7; 20_000]] {
        let put = StoredSession {
            sealed: bytes.into(),
            expires_at: NOW.plus(secs(600)),
        };
        store.put(id("a"), put.clone(), IDLE, NOW).await.unwrap();
        assert_eq!(
            read(store, "a", NOW.plus(millis(1))).await,
            Some(put.clone())
        );
        assert_eq!(read(store, "a", NOW.plus(secs(1))).await, Some(put));
        assert_eq!(read(store, "b", NOW).await, None);
    }
    assert_eq!(store.count(), 1);
}

async fn an_unused_session_expires(store: &dyn SessionStore) {
    store
        .put(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    store
        .put(id("b"), session("b", 600), IDLE, NOW)
        .await
        .unwrap();
    assert!(read(store, "a", NOW.plus(millis(59_999))).await.is_some());
    assert_eq!(read(store, "b", NOW.plus(secs(60))).await, None);
    assert_eq!(
        read(store, "b", NOW.plus(secs(59))).await,
        None,
        "an expired session does not come back"
    );
    assert_eq!(read(store, "a", NOW.plus(secs(120))).await, None);
}

async fn use_prolongs_a_session_but_never_past_its_end(store: &dyn SessionStore) {
    store
        .put(id("a"), session("a", 200), IDLE, NOW)
        .await
        .unwrap();
    for second in [50, 100, 150, 199] {
        store.sweep(NOW.plus(secs(second)));
        assert!(
            read(store, "a", NOW.plus(secs(second))).await.is_some(),
            "at {second}"
        );
    }
    assert_eq!(read(store, "a", NOW.plus(secs(200))).await, None);
}

async fn a_shorter_idle_time_counts_from_the_next_read(store: &dyn SessionStore) {
    store
        .put(id("a"), session("a", 600), secs(300), NOW)
        .await
        .unwrap();
    assert!(
        read(store, "a", NOW.plus(secs(200))).await.is_some(),
        "the idle time it was stored with"
    );
    assert_eq!(read(store, "a", NOW.plus(secs(260))).await, None);
}

async fn a_deleted_session_is_gone(store: &dyn SessionStore) {
    store
        .put(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    store
        .put(id("b"), session("b", 600), IDLE, NOW)
        .await
        .unwrap();
    assert!(read(store, "a", NOW).await.is_some());
    store.delete(id("a")).await.unwrap();
    assert_eq!(read(store, "a", NOW).await, None);
    assert!(read(store, "b", NOW).await.is_some());
    assert_eq!(
        store.delete(id("a")).await,
        Ok(()),
        "deleting it again succeeds"
    );
    assert_eq!(store.delete(id("never was")).await, Ok(()));
}

async fn the_later_of_two_sessions_with_one_id_counts(store: &dyn SessionStore) {
    store
        .put(id("a"), session("first", 100), IDLE, NOW)
        .await
        .unwrap();
    store
        .put(id("a"), session("second", 300), IDLE, NOW.plus(secs(30)))
        .await
        .unwrap();
    assert_eq!(
        read(store, "a", NOW.plus(secs(80))).await,
        Some(session("second", 300))
    );
    assert_eq!(
        read(store, "a", NOW.plus(secs(120))).await,
        Some(session("second", 300))
    );
    assert_eq!(store.count(), 1);
}

async fn an_expired_session_is_not_stored(store: &dyn SessionStore) {
    store
        .put(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    store
        .put(id("a"), session("a", 10), IDLE, NOW.plus(secs(10)))
        .await
        .unwrap();
    assert_eq!(read(store, "a", NOW.plus(secs(10))).await, None);
    store
        .put(id("b"), session("b", 10), Duration::ZERO, NOW)
        .await
        .unwrap();
    assert_eq!(read(store, "b", NOW).await, None);
}

async fn replicas_see_the_same_sessions(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    here.put(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    assert_eq!(
        read(&*there, "a", NOW.plus(secs(40))).await,
        Some(session("a", 600))
    );
    // The other replica has used it, so it is alive in this one.
    assert_eq!(
        read(&*here, "a", NOW.plus(secs(90))).await,
        Some(session("a", 600))
    );
    assert_eq!(read(&*here, "a", NOW.plus(secs(150))).await, None);
    assert_eq!(read(&*there, "a", NOW.plus(secs(150))).await, None);
}

async fn a_deletion_reaches_every_replica_within_a_second(fixture: &impl Fixture) {
    let (here, there) = replicas(fixture).await;
    here.put(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    here.put(id("b"), session("b", 600), IDLE, NOW)
        .await
        .unwrap();
    for name in ["a", "b"] {
        assert!(read(&*there, name, NOW).await.is_some());
    }
    here.delete(id("a")).await.unwrap();
    // At the time of the read, so the near cache is fresh: only a message can remove the session.
    assert!(within_a_second(async || read(&*there, "a", NOW).await.is_none()).await);
    assert!(read(&*there, "b", NOW).await.is_some());
    here.delete(id("b")).await.unwrap();
    assert_eq!(
        read(&*there, "b", NOW.plus(secs(1))).await,
        None,
        "a second later no message is needed"
    );
}
