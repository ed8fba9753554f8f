//! The new password that a login required.

use super::*;
use crate::embedded::password_policy::PasswordPolicy;

#[tokio::test]
async fn a_required_new_password_replaces_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (status, body) = server.login("newpassword@example.com", DEMO_PASSWORD).await;
    assert_eq!(
        (status, &body["changePasswordReason"]),
        (203, &json!("Administrative"))
    );
    let id = body["changePasswordId"].as_str().unwrap();
    let change = async |password: &str| {
        server
            .post(
                "/api/user/change-password",
                json!({ "changePasswordId": id, "password": password }),
            )
            .await
    };
    assert_eq!(
        server
            .call(&format!("GET /api/user/change-password/{id}"), &[], "")
            .await
            .0,
        200
    );
    for (password, code) in [
        ("", "[blank]password"),
        ("short", "[tooShort]password"),
        (DEMO_PASSWORD, "[previouslyUsed]password"),
        (&"x".repeat(257), "[tooLong]password"),
    ] {
        let (status, refused) = change(password).await;
        assert_eq!(
            (status, &refused["fieldErrors"]["password"][0]["code"]),
            (400, &json!(code))
        );
    }
    let (status, changed) = change("a new password").await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(change("another password").await.0, 404);
    let once = json!({ "oneTimePassword": changed["oneTimePassword"], "applicationId": STORE })
        .to_string();
    let (status, body) = server.call("POST /api/login", &[KEY], &once).await;
    assert_eq!(
        (status, &claims(&body["token"])["authenticationType"]),
        (200, &json!("ONE_TIME_PASSWORD"))
    );
    assert_eq!(server.call("POST /api/login", &[KEY], &once).await.0, 404);
}

#[tokio::test]
async fn a_changed_password_survives_a_restart_until_the_users_file_changes() {
    let directory = tempfile::tempdir().unwrap();
    let users = Users::demo().unwrap();
    let server = TestServer::start(directory.path(), users.clone());
    let (_, body) = server.login("newpassword@example.com", DEMO_PASSWORD).await;
    let change =
        json!({ "changePasswordId": body["changePasswordId"], "password": "a new password" });
    let (status, changed) = server.post("/api/user/change-password", change).await;
    assert_eq!(status, 200, "{changed}");
    server.stop().await;
    let server = TestServer::start(directory.path(), users);
    assert_eq!(
        server
            .login("newpassword@example.com", DEMO_PASSWORD)
            .await
            .0,
        404
    );
    assert_eq!(
        server
            .login("newpassword@example.com", "a new password")
            .await
            .0,
        200
    );
    server.stop().await;
    // A new hash in the users file takes precedence over the change.
    let server = TestServer::start(directory.path(), hashed_again());
    assert_eq!(
        server
            .login("newpassword@example.com", DEMO_PASSWORD)
            .await
            .0,
        203
    );
}

#[tokio::test]
async fn changing_the_password_ends_every_session() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (_, before) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    server.stop().await;
    let users = with_shopper(|user| user.must_change_password = Some(ChangeReason::Breached));
    let server = TestServer::start(directory.path(), users);
    let (_, body) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let path = format!(
        "/api/user/change-password/{}",
        body["changePasswordId"].as_str().unwrap()
    );
    assert_eq!(
        server
            .post(&path, json!({ "password": "a new password" }))
            .await
            .0,
        200
    );
    assert_eq!(server.refresh(&before["refreshToken"]).await.0, 400);
}

#[tokio::test]
async fn every_violation_of_the_policy_is_reported_with_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let mut users = Users::demo().unwrap();
    let (min_length, require_number, require_mixed_case, require_non_alpha) =
        (12, true, true, true);
    users.password_policy = PasswordPolicy {
        min_length,
        require_number,
        require_mixed_case,
        require_non_alpha,
        ..PasswordPolicy::default()
    };
    let server = TestServer::start(directory.path(), users);
    let (_, body) = server.login("newpassword@example.com", DEMO_PASSWORD).await;
    let change = async |password: &str| {
        let body = json!({ "changePasswordId": body["changePasswordId"], "password": password });
        server.post("/api/user/change-password", body).await
    };
    let (status, refused) = change("password").await;
    let errors = refused["fieldErrors"]["password"].as_array().unwrap();
    let codes: Vec<_> = errors
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect();
    assert_eq!(status, 400);
    assert_eq!(
        codes,
        [
            "[tooShort]password",
            "[requireNumber]password",
            "[singleCase]password",
            "[onlyAlpha]password"
        ]
    );
    assert!(
        errors[0]["message"].as_str().unwrap().contains("12"),
        "{refused}"
    );
    assert_eq!(
        change("a Better passw0rd").await.0,
        200,
        "the id is still valid"
    );
}
