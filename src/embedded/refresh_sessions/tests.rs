//! Rotation of refresh tokens, expiry and deletion.

use super::*;

const LIFETIME: Duration = Duration::from_secs(1000);
const GRACE: Duration = Duration::from_secs(10);

fn open(directory: &tempfile::TempDir) -> RefreshSessions {
    let database = database::open(
        &directory.path().join("test.redb"),
        &[SESSIONS, REFRESH_TOKENS],
    )
    .unwrap();
    RefreshSessions::new(Arc::new(database), LIFETIME, GRACE)
}

fn create(
    sessions: &RefreshSessions,
    user: &str,
    application: &str,
    now: Timestamp,
) -> SessionWithToken {
    sessions
        .create(new_session(user, application, now))
        .unwrap()
}

fn new_session<'a>(user: &'a str, application: &'a str, now: Timestamp) -> NewSession<'a> {
    NewSession {
        user,
        application,
        password: "hash".to_owned(),
        client: ClientMetadata::default(),
        signed_in: now,
        browser_session: None,
    }
}

fn successor(rotation: Rotation) -> Secret {
    match rotation {
        Rotation::Rotated(rotated) => rotated.refresh_token,
        Rotation::Reused(_) | Rotation::Invalid => panic!("{rotation:?}"),
    }
}

/// The rows of the token table: hash and JSON.
fn rows(sessions: &RefreshSessions) -> Vec<(String, String)> {
    let read = sessions.database.begin_read().unwrap();
    let table = read.open_table(REFRESH_TOKENS).unwrap();
    let rows = table.iter().unwrap().map(Result::unwrap);
    rows.map(|(key, value)| {
        (
            key.value().to_owned(),
            String::from_utf8(value.value().to_vec()).unwrap(),
        )
    })
    .collect()
}

#[test]
fn a_used_token_returns_the_current_one_within_grace_and_ends_the_session_after() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = open(&directory);
    let SessionWithToken {
        session,
        refresh_token: first,
    } = create(&sessions, "ada", "store", Timestamp::from_secs(100));
    let second = successor(
        sessions
            .rotate(first.expose(), Timestamp::from_secs(101))
            .unwrap(),
    );
    let third = successor(
        sessions
            .rotate(second.expose(), Timestamp::from_secs(102))
            .unwrap(),
    );
    let again = sessions
        .rotate(first.expose(), Timestamp::from_secs(111))
        .unwrap();
    assert_eq!(
        again,
        Rotation::Rotated(Box::new(SessionWithToken {
            session,
            refresh_token: third.clone()
        }))
    );
    let late = sessions
        .rotate(first.expose(), Timestamp::from_millis(111_001))
        .unwrap();
    assert!(matches!(late, Rotation::Reused(session) if session.user == "ada"));
    assert_eq!(
        sessions
            .rotate(third.expose(), Timestamp::from_secs(112))
            .unwrap(),
        Rotation::Invalid
    );
}

#[test]
fn a_refresh_does_not_extend_a_session() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = open(&directory);
    let mut token = create(&sessions, "ada", "store", Timestamp::from_secs(0)).refresh_token;
    for second in [300, 600, 999] {
        token = successor(
            sessions
                .rotate(token.expose(), Timestamp::from_secs(second))
                .unwrap(),
        );
    }
    assert_eq!(
        sessions
            .rotate(token.expose(), Timestamp::from_secs(1000))
            .unwrap(),
        Rotation::Invalid
    );
    assert_eq!(
        sessions
            .by_token(token.expose(), Timestamp::from_secs(1000))
            .unwrap(),
        None
    );
}

#[test]
fn tokens_are_not_stored_in_plaintext() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = open(&directory);
    let first = create(&sessions, "ada", "store", Timestamp::from_secs(0)).refresh_token;
    let second = successor(
        sessions
            .rotate(first.expose(), Timestamp::from_secs(1))
            .unwrap(),
    );
    let rows = rows(&sessions);
    assert_eq!(rows.len(), 2);
    for token in [first, second] {
        assert!(
            rows.iter().all(
                |(key, value)| !key.contains(token.expose()) && !value.contains(token.expose())
            )
        );
    }
}

#[test]
fn expired_sessions_tokens_and_successors_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = open(&directory);
    let first = create(&sessions, "ada", "store", Timestamp::from_secs(0)).refresh_token;
    let second = successor(
        sessions
            .rotate(first.expose(), Timestamp::from_secs(1))
            .unwrap(),
    );
    sessions.purge(Timestamp::from_secs(11)).unwrap();
    assert_eq!(
        rows(&sessions)
            .iter()
            .filter(|(_, value)| value.contains("\"successor\":\""))
            .count(),
        1
    );
    sessions.purge(Timestamp::from_secs(12)).unwrap();
    assert_eq!(
        rows(&sessions)
            .iter()
            .filter(|(_, value)| value.contains("\"successor\":\""))
            .count(),
        0
    );
    // The used token is still known as used.
    assert_eq!(rows(&sessions).len(), 2);
    sessions.purge(Timestamp::from_secs(1000)).unwrap();
    assert!(rows(&sessions).is_empty());
    assert_eq!(
        sessions
            .rotate(second.expose(), Timestamp::from_secs(12))
            .unwrap(),
        Rotation::Invalid
    );
}

#[test]
fn only_the_selected_sessions_end() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = open(&directory);
    let now = Timestamp::from_secs(0);
    for (user, application) in [
        ("ada", "store"),
        ("ada", "forum"),
        ("bob", "store"),
        ("bob", "forum"),
    ] {
        create(&sessions, user, application, now);
    }
    let filter = |user: Option<&str>, application: Option<&str>| SessionFilter {
        user: user.map(ToOwned::to_owned),
        application: application.map(ToOwned::to_owned),
    };
    let end = |filter: SessionFilter| {
        let ended = sessions.end_others(|session| !filter.matches(session), now);
        ended.unwrap().len()
    };
    assert_eq!(end(filter(Some("ada"), Some("forum"))), 1);
    assert_eq!(
        sessions.list(&SessionFilter::default(), now).unwrap().len(),
        3
    );
    assert_eq!(end(filter(None, Some("store"))), 2);
    let left = sessions.list(&SessionFilter::default(), now).unwrap();
    assert_eq!(
        left.iter()
            .map(|session| session.user.as_str())
            .collect::<Vec<_>>(),
        ["bob"]
    );
    assert_eq!(end(filter(Some("bob"), None)), 1);
    assert!(
        sessions
            .list(&SessionFilter::default(), now)
            .unwrap()
            .is_empty()
    );
}
