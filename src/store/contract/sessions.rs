//! A session lives while it is used, and never past its end.

use super::super::*;
use super::{NOW, Open, hash, millis, secs, within_a_second};

const IDLE: Duration = Duration::from_secs(60);

fn id(name: &str) -> SessionHash {
    SessionHash(hash(name))
}

fn session(sealed: &str, seconds: u64) -> StoredSession {
    StoredSession {
        sealed: sealed.as_bytes().into(),
        ends: NOW.plus(secs(seconds)),
    }
}

async fn read(store: &dyn Store, name: &str, now: Timestamp) -> Option<StoredSession> {
    store.session(id(name), IDLE, now).await.unwrap()
}

pub(super) async fn hold(open: &impl Open) {
    what_is_put_is_read(&*open.one().await).await;
    an_unused_session_ends(&*open.one().await).await;
    use_prolongs_a_session_but_never_past_its_end(&*open.one().await).await;
    a_shorter_life_counts_from_the_next_request_on(&*open.one().await).await;
    what_is_ended_is_gone(&*open.one().await).await;
    a_session_put_twice_is_the_later_one(&*open.one().await).await;
    what_has_ended_is_not_kept(&*open.one().await).await;
    replicas_see_the_same_sessions(open).await;
    an_end_is_heard_everywhere_within_a_second(open).await;
}

async fn what_is_put_is_read(store: &dyn Store) {
    assert_eq!(read(store, "a", NOW).await, None);
    // Any bytes, none included.
    for bytes in [vec![], vec![0, 1, 2, 255, 0], vec![7; 20_000]] {
        let put = StoredSession {
            sealed: bytes.into(),
            ends: NOW.plus(secs(600)),
        };
        store
            .put_session(id("a"), put.clone(), IDLE, NOW)
            .await
            .unwrap();
        assert_eq!(
            read(store, "a", NOW.plus(millis(1))).await,
            Some(put.clone())
        );
        assert_eq!(read(store, "a", NOW.plus(secs(1))).await, Some(put));
        assert_eq!(read(store, "b", NOW).await, None);
    }
    assert_eq!(store.sessions(), 1);
}

async fn an_unused_session_ends(store: &dyn Store) {
    store
        .put_session(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    store
        .put_session(id("b"), session("b", 600), IDLE, NOW)
        .await
        .unwrap();
    assert!(read(store, "a", NOW.plus(millis(59_999))).await.is_some());
    assert_eq!(read(store, "b", NOW.plus(secs(60))).await, None);
    assert_eq!(
        read(store, "b", NOW.plus(secs(59))).await,
        None,
        "what is over does not come back"
    );
    assert_eq!(read(store, "a", NOW.plus(secs(120))).await, None);
}

async fn use_prolongs_a_session_but_never_past_its_end(store: &dyn Store) {
    store
        .put_session(id("a"), session("a", 200), IDLE, NOW)
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

async fn a_shorter_life_counts_from_the_next_request_on(store: &dyn Store) {
    store
        .put_session(id("a"), session("a", 600), secs(300), NOW)
        .await
        .unwrap();
    assert!(
        read(store, "a", NOW.plus(secs(200))).await.is_some(),
        "what was promised holds"
    );
    assert_eq!(read(store, "a", NOW.plus(secs(260))).await, None);
}

async fn what_is_ended_is_gone(store: &dyn Store) {
    store
        .put_session(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    store
        .put_session(id("b"), session("b", 600), IDLE, NOW)
        .await
        .unwrap();
    assert!(read(store, "a", NOW).await.is_some());
    store.end_session(id("a")).await.unwrap();
    assert_eq!(read(store, "a", NOW).await, None);
    assert!(read(store, "b", NOW).await.is_some());
    assert_eq!(
        store.end_session(id("a")).await,
        Ok(()),
        "ending what is over is a success"
    );
    assert_eq!(store.end_session(id("never was")).await, Ok(()));
}

async fn a_session_put_twice_is_the_later_one(store: &dyn Store) {
    store
        .put_session(id("a"), session("first", 100), IDLE, NOW)
        .await
        .unwrap();
    store
        .put_session(id("a"), session("second", 300), IDLE, NOW.plus(secs(30)))
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
    assert_eq!(store.sessions(), 1);
}

async fn what_has_ended_is_not_kept(store: &dyn Store) {
    store
        .put_session(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    store
        .put_session(id("a"), session("a", 10), IDLE, NOW.plus(secs(10)))
        .await
        .unwrap();
    assert_eq!(read(store, "a", NOW.plus(secs(10))).await, None);
    store
        .put_session(id("b"), session("b", 10), Duration::ZERO, NOW)
        .await
        .unwrap();
    assert_eq!(read(store, "b", NOW).await, None);
}

async fn replicas_see_the_same_sessions(open: &impl Open) {
    let (here, there) = open.two().await;
    here.put_session(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    assert_eq!(
        read(&*there, "a", NOW.plus(secs(40))).await,
        Some(session("a", 600))
    );
    // Used there, so alive here.
    assert_eq!(
        read(&*here, "a", NOW.plus(secs(90))).await,
        Some(session("a", 600))
    );
    assert_eq!(read(&*here, "a", NOW.plus(secs(150))).await, None);
    assert_eq!(read(&*there, "a", NOW.plus(secs(150))).await, None);
}

async fn an_end_is_heard_everywhere_within_a_second(open: &impl Open) {
    let (here, there) = open.two().await;
    here.put_session(id("a"), session("a", 600), IDLE, NOW)
        .await
        .unwrap();
    here.put_session(id("b"), session("b", 600), IDLE, NOW)
        .await
        .unwrap();
    for name in ["a", "b"] {
        assert!(read(&*there, name, NOW).await.is_some());
    }
    here.end_session(id("a")).await.unwrap();
    // At the same moment: only a told end can take it away from who has just read it.
    assert!(within_a_second(async || read(&*there, "a", NOW).await.is_none()).await);
    assert!(read(&*there, "b", NOW).await.is_some());
    here.end_session(id("b")).await.unwrap();
    assert_eq!(
        read(&*there, "b", NOW.plus(secs(1))).await,
        None,
        "a second later nobody needs to be told"
    );
}
