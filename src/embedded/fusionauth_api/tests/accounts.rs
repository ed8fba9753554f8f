//! A changed users file: whose sessions end, and whose logins.

use super::*;
use crate::embedded::ids;

/// Puts `users` in force, and returns the users whose sessions ended.
fn replace(server: &TestServer, users: Users) -> Vec<String> {
    let accounts = server
        .server
        .prepare_accounts(users, "identity.test".to_owned())
        .unwrap();
    let ended = server.server.replace_accounts(accounts).unwrap();
    ended.into_iter().map(|session| session.user).collect()
}

/// `users`, where the shopper is changed; without the shopper for `None`.
fn changed(users: &Users, change: Option<fn(&mut User)>) -> Users {
    let mut result = Users::new(users.token_policy);
    for user in users.all() {
        let mut user = User::clone(user);
        if user.email == "shopper@example.com" {
            let Some(change) = change else { continue };
            change(&mut user);
        }
        result.add(user).unwrap();
    }
    result
}

/// Changes after which the shopper's sessions must not go on.
const ENDING: [fn(&mut User); 5] = [
    |user| user.state = AccountState::Locked,
    |user| user.password = Secret::new(hash_password("another password").unwrap()),
    |user| user.applications = Some(vec!["other".to_owned()]),
    |user| user.unverified_applications = vec![STORE.to_owned()],
    |user| user.email_verified = false,
];

#[tokio::test]
async fn sessions_of_changed_users_end_at_once_and_no_others() {
    let changes = std::iter::once(None).chain(ENDING.map(Some));
    for (number, change) in changes.enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let users = Users::demo().unwrap();
        let server = TestServer::start(directory.path(), users.clone());
        let (_, shopper) = server.login("shopper@example.com", DEMO_PASSWORD).await;
        let (_, admin) = server.login("admin@example.com", DEMO_PASSWORD).await;
        assert!(
            replace(&server, users.clone()).is_empty(),
            "nothing changed"
        );
        let ended = replace(&server, changed(&users, change));
        let id = ids::uuid_of_email("shopper@example.com");
        assert_eq!(ended, [id], "{number}");
        assert_eq!(server.refresh(&shopper["refreshToken"]).await.0, 400);
        assert_eq!(server.refresh(&admin["refreshToken"]).await.0, 200);
    }
}

#[tokio::test]
async fn a_changed_password_ends_sessions_also_while_the_server_does_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let users = Users::demo().unwrap();
    let server = TestServer::start(directory.path(), users.clone());
    let (_, shopper) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    assert!(server.server.ended().is_empty());
    server.stop().await;
    let hash = hash_password("another password").unwrap();
    let changed = with_shopper(|user| user.password = Secret::new(hash.clone()));
    let server = TestServer::start(directory.path(), changed);
    let sid = shopper["refreshTokenId"].as_str().unwrap();
    assert!(server.server.ended().iter().any(|ended| ended.id == sid));
    assert_eq!(server.refresh(&shopper["refreshToken"]).await.0, 400);
}

#[tokio::test]
async fn a_login_that_began_with_the_old_password_is_not_completed() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (status, pending) = server.login("twofactor@example.com", DEMO_PASSWORD).await;
    assert_eq!(status, 242);
    replace(&server, hashed_again());
    let code = totp_code(DEMO_TOTP, server.clock.now()).unwrap();
    let body = json!({ "twoFactorId": pending["twoFactorId"], "code": code });
    assert_eq!(server.post("/api/two-factor/login", body).await.0, 404);
}

#[tokio::test]
async fn new_users_and_new_policies_are_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let mut users = Users::demo().unwrap();
    let server = TestServer::start(directory.path(), changed(&users, None));

    let login = || server.login("shopper@example.com", DEMO_PASSWORD);
    assert_eq!(login().await.0, 404);
    users.token_policy.access_token_lifetime = Duration::from_secs(7);
    replace(&server, users);
    let (status, signed_in) = login().await;
    assert_eq!(status, 200);
    let claims = claims(&signed_in["token"]);
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        7
    );
}
