//! A revoked sign-in is revoked on all replicas until its tokens expire, and so is what was issued
//! to a revoked group up to a time.

use std::sync::{Arc, Mutex};

use super::super::{Revocation, RevocationId, RevocationListener, RevocationStore, TokenGroup};
use super::{Fixture, NOW, millis, secs, within_a_second};
use crate::model::token::RevocationKey;

fn session(name: &str) -> RevocationKey {
    RevocationKey(name.to_owned())
}

async fn one(fixture: &impl Fixture) -> Arc<dyn RevocationStore> {
    fixture.stores().await.revocations
}

pub(in crate::store) async fn check(fixture: &impl Fixture) {
    assert_eq!(one(fixture).await.evicted(), 0);
    a_revocation_holds_until_its_end(&*one(fixture).await).await;
    the_later_end_counts(&*one(fixture).await).await;
    every_replica_knows_within_a_second(fixture).await;
    every_replica_is_told_once(fixture).await;
    a_group_is_revoked_up_to_a_time(&*one(fixture).await).await;
    the_generation_changes_with_every_revocation(&*one(fixture).await).await;
    every_replica_knows_of_a_group_within_a_second(fixture).await;
    a_mark_is_set_once(fixture).await;
}

fn user(name: &str) -> RevocationId {
    RevocationId::of_group("main", TokenGroup::User(name))
}

/// The revocation of what was issued to `a` in the first `issued_by` milliseconds after [`NOW`].
fn of_user_a(issued_by: u64, until: u64) -> Revocation {
    Revocation {
        id: user("a"),
        issued_by: NOW.plus(millis(issued_by)),
        until: NOW.plus(secs(until)),
    }
}

async fn a_group_is_revoked_up_to_a_time(store: &dyn RevocationStore) {
    assert_eq!(store.issued_by(user("a"), NOW), None);
    store.revoke_all(&[of_user_a(7, 60)], NOW).await.unwrap();
    let at = |secs_later| store.issued_by(user("a"), NOW.plus(secs(secs_later)));
    assert_eq!(at(59), Some(NOW.plus(millis(7))));
    assert_eq!(at(60), None);
    let others = [
        RevocationId::of_group("other", TokenGroup::User("a")),
        RevocationId::of_group("main", TokenGroup::Application("a")),
        RevocationId::of_group("main", TokenGroup::Provider),
        RevocationId::of("main", &session("a")),
        user("b"),
    ];
    for other in others {
        assert_eq!(store.issued_by(other, NOW), None);
    }
    // Later ones extend it, each in its way, and earlier ones change nothing.
    for (issued_by, until, expected) in [(9, 60, (9, 59)), (5, 90, (9, 89)), (3, 30, (9, 89))] {
        let revocation = of_user_a(issued_by, until);
        store.revoke_all(&[revocation], NOW).await.unwrap();
        let (issued_by, last) = expected;
        assert_eq!(at(last), Some(NOW.plus(millis(issued_by))));
    }
    assert_eq!(at(90), None);
    store.sweep(NOW.plus(secs(90)));
    assert_eq!(at(89), Some(NOW.plus(millis(9))), "kept for a while");
}

async fn the_generation_changes_with_every_revocation(store: &dyn RevocationStore) {
    assert_eq!(store.generation(), 0);
    let mut seen = Vec::new();
    for revocation in [of_user_a(7, 60), of_user_a(8, 60), of_user_a(8, 61)] {
        store.revoke_all(&[revocation], NOW).await.unwrap();
        seen.push(store.generation());
    }
    let (end, other) = (NOW.plus(secs(60)), session("b"));
    store.revoke("main", &other, end, NOW).await.unwrap();
    seen.push(store.generation());
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

async fn every_replica_knows_of_a_group_within_a_second(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let told = Arc::new(Told::default());
    there.revocations.listen(Arc::clone(&told) as _);
    for (issued_by, until, expected) in [(7, 60, 7), (9, 60, 9), (8, 90, 9)] {
        let before = there.revocations.generation();
        let revocation = of_user_a(issued_by, until);
        // With a sign-in in one call.
        let also = RevocationId::of("main", &session(&format!("{issued_by}")));
        let also = Revocation::of_sign_in(also, NOW.plus(secs(60)));
        here.revocations
            .revoke_all(&[also, revocation], NOW)
            .await
            .unwrap();
        let last = NOW.plus(secs(until - 1));
        let knows = async || {
            there.revocations.issued_by(user("a"), last) == Some(NOW.plus(millis(expected)))
                && there.revocations.issued_by(also.id, NOW) == Some(Revocation::ALL)
        };
        assert!(within_a_second(knows).await, "{issued_by} {until}");
        assert!(there.revocations.generation() > before);
        assert!(told.0.lock().unwrap().contains(&user("a")));
    }
}

async fn a_mark_is_set_once(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let message = RevocationId::of_message("main", "a");
    let until = NOW.plus(secs(60));
    let (first, second) = tokio::join!(
        here.revocations.mark_used(message, until, NOW),
        there.revocations.mark_used(message, until, NOW),
    );
    assert!(first.unwrap() != second.unwrap(), "one of them");
    for store in [&here, &there] {
        let again = store.revocations.mark_used(message, until, NOW).await;
        assert!(!again.unwrap());
    }
    let of_another = RevocationId::of_message("other", "a");
    assert!(
        here.revocations
            .mark_used(of_another, until, NOW)
            .await
            .unwrap()
    );
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<RevocationId>>);

impl RevocationListener for Told {
    fn revoked(&self, id: RevocationId) {
        self.0.lock().unwrap().push(id);
    }
}

async fn every_replica_is_told_once(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let told = Arc::new(Told::default());
    there.revocations.listen(Arc::clone(&told) as _);
    let id = RevocationId::of("main", &session("a"));
    for (seconds, count) in [(60, 1), (60, 1), (30, 1), (90, 2)] {
        let until = NOW.plus(secs(seconds));
        here.revocations
            .revoke("main", &session("a"), until, NOW)
            .await
            .unwrap();
        let is_told = async || told.0.lock().unwrap().len() == count;
        assert!(within_a_second(is_told).await, "until {seconds}");
    }
    assert!(told.0.lock().unwrap().iter().all(|told| *told == id));
}

async fn a_revocation_holds_until_its_end(store: &dyn RevocationStore) {
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
        "the parts of a key are kept apart"
    );
    store.sweep(NOW);
    assert!(
        store.is_revoked("main", &session("a"), NOW),
        "a sweep removes only expired revocations"
    );
}

async fn the_later_end_counts(store: &dyn RevocationStore) {
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

async fn every_replica_knows_within_a_second(fixture: &impl Fixture) {
    let (here, there) = fixture.replicas().await;
    let (here, there) = (here.revocations, there.revocations);
    for (seconds, last) in [(60, 59), (90, 89), (30, 89)] {
        here.revoke("main", &session("a"), NOW.plus(secs(seconds)), NOW)
            .await
            .unwrap();
        let is_revoked = async || there.is_revoked("main", &session("a"), NOW.plus(secs(last)));
        assert!(within_a_second(is_revoked).await, "until {seconds}");
    }
    assert!(!there.is_revoked("main", &session("a"), NOW.plus(secs(90))));
}
