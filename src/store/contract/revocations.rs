//! Who was signed out stays signed out, everywhere.

use super::super::*;
use super::{NOW, Open, millis, secs, within_a_second};

fn session(name: &str) -> RevocationKey {
    RevocationKey(name.to_owned())
}

pub(super) async fn hold(open: &impl Open) {
    a_revocation_holds_until_its_end(&*open.one().await).await;
    the_later_end_holds(&*open.one().await).await;
    every_replica_hears_within_a_second(open).await;
}

async fn a_revocation_holds_until_its_end(store: &dyn Store) {
    let end = NOW.plus(secs(60));
    assert!(!store.is_revoked("main", &session("a"), NOW));
    store.revoke("main", &session("a"), end, NOW).await.unwrap();
    assert!(store.is_revoked("main", &session("a"), NOW));
    assert!(store.is_revoked("main", &session("a"), NOW.plus(millis(59_999))));
    assert!(!store.is_revoked("main", &session("a"), end));
    assert!(!store.is_revoked("main", &session("b"), NOW));
    assert!(
        !store.is_revoked("other", &session("a"), NOW),
        "a session belongs to one provider"
    );
    assert!(
        !store.is_revoked("mai", &session("na"), NOW),
        "names do not run together"
    );
    store.sweep(NOW);
    assert!(
        store.is_revoked("main", &session("a"), NOW),
        "a sweep takes only what is over"
    );
}

async fn the_later_end_holds(store: &dyn Store) {
    for seconds in [60, 30, 90, 10] {
        store
            .revoke("main", &session("a"), NOW.plus(secs(seconds)), NOW)
            .await
            .unwrap();
    }
    assert!(store.is_revoked("main", &session("a"), NOW.plus(secs(89))));
    store.sweep(NOW.plus(secs(60)));
    assert!(store.is_revoked("main", &session("a"), NOW.plus(secs(89))));
    assert!(!store.is_revoked("main", &session("a"), NOW.plus(secs(90))));
}

async fn every_replica_hears_within_a_second(open: &impl Open) {
    let (here, there) = open.two().await;
    for (seconds, last) in [(60, 59), (90, 89), (30, 89)] {
        here.revoke("main", &session("a"), NOW.plus(secs(seconds)), NOW)
            .await
            .unwrap();
        let heard = async || there.is_revoked("main", &session("a"), NOW.plus(secs(last)));
        assert!(within_a_second(heard).await, "until {seconds}");
    }
    assert!(!there.is_revoked("main", &session("a"), NOW.plus(secs(90))));
}
