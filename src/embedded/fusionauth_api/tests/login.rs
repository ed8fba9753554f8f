//! Logins with a password, and what the API tells about users.

use super::*;

#[tokio::test]
async fn a_login_returns_user_and_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (status, body) = server.login("Admin@example.com", DEMO_PASSWORD).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["user"]["email"], "admin@example.com");
    assert!(body["user"].get("password").is_none());
    let claims = claims(&body["token"]);
    assert_eq!(claims["aud"], STORE);
    assert_eq!(claims["iss"], "identity.test");
    assert_eq!(claims["sub"], body["user"]["id"]);
    assert_eq!(claims["sid"], body["refreshTokenId"]);
    assert_eq!(claims["roles"], json!(["admin"]));
    assert_eq!(claims["authenticationType"], "PASSWORD");
    assert_eq!(
        claims["exp"].as_u64().unwrap() * 1000,
        body["tokenExpirationInstant"].as_u64().unwrap()
    );
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );
    assert_eq!(server.statistics.logins.count(), 1);
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_a_wrong_key_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    assert_eq!(
        server.login("shopper@example.com", "wrong").await,
        (404, Value::Null)
    );
    assert_eq!(
        server.login("nobody@example.com", DEMO_PASSWORD).await,
        (404, Value::Null)
    );
    let body = json!({ "loginId": "shopper", "password": DEMO_PASSWORD }).to_string();
    for headers in [
        &[][..],
        &[("Authorization", "")],
        &[("Authorization", "another key")],
    ] {
        assert_eq!(
            server.call("POST /api/login", headers, &body).await,
            (401, Value::Null)
        );
    }
    let (status, body) = server
        .call("POST /api/login", &[KEY], "{\"loginId\":\"shopper\"}")
        .await;
    assert_eq!(
        (status, &body["fieldErrors"]["password"][0]["code"]),
        (400, &json!("[blank]password"))
    );
    assert_eq!(server.call("POST /api/login", &[KEY], "[").await.0, 400);
    let large = "x".repeat(64 * 1024 + 1);
    assert_eq!(server.call("POST /api/login", &[KEY], &large).await.0, 413);
}

#[tokio::test]
async fn an_empty_api_key_is_never_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start_with_key(directory.path(), Users::demo().unwrap(), "");
    for headers in [&[][..], &[("Authorization", "")]] {
        assert_eq!(
            server
                .call("GET /api/user?loginId=shopper", headers, "")
                .await
                .0,
            401
        );
    }
}

#[tokio::test]
async fn users_are_described_without_their_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (_, signed_in) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let bearer = format!("Bearer {}", signed_in["token"].as_str().unwrap());
    let (status, body) = server
        .call("GET /api/user", &[("Authorization", &bearer)], "")
        .await;
    assert_eq!((status, &body["user"]), (200, &signed_in["user"]));
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(
        server
            .call("GET /api/user", &[("Authorization", &bearer)], "")
            .await
            .0,
        401
    );
    let (status, body) = server
        .call("GET /api/user?loginId=twofactor", &[KEY], "")
        .await;
    let shown = body.to_string();
    assert_eq!(
        (status, shown.contains(DEMO_TOTP), shown.contains("argon2")),
        (200, false, false),
        "{shown}"
    );
}

#[tokio::test]
async fn a_token_carries_the_names_of_the_users_file() {
    let directory = tempfile::tempdir().unwrap();
    let users = with_shopper(|user| {
        user.name = Some("Ada Lovelace".into());
        user.given_name = Some("Ada".into());
        user.family_name = Some("Lovelace".into());
    });
    let server = TestServer::start(directory.path(), users);
    let (_, body) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let claims = claims(&body["token"]);
    for (name, expected) in [
        ("name", json!("Ada Lovelace")),
        ("given_name", json!("Ada")),
        ("family_name", json!("Lovelace")),
        ("email", json!("shopper@example.com")),
        ("email_verified", json!(true)),
        ("preferred_username", json!("shopper")),
    ] {
        assert_eq!(claims[name], expected, "{name}");
    }
    assert_eq!(body["user"]["firstName"], "Ada");
    assert_eq!(body["user"]["lastName"], "Lovelace");
}

#[tokio::test]
async fn the_state_of_an_account_is_told_only_with_the_password() {
    for expected in [423, 410, 409, 212, 213, 202] {
        let directory = tempfile::tempdir().unwrap();
        let users = with_shopper(|user| match expected {
            423 => user.state = AccountState::Locked,
            410 => user.state = AccountState::Expired,
            409 => user.state = AccountState::LoginPrevented,
            212 => user.email_verified = false,
            213 => user.unverified_applications = vec![STORE.to_owned()],
            _ => user.applications = Some(Vec::new()),
        });
        let server = TestServer::start(directory.path(), users);
        let (status, body) = server.login("shopper@example.com", DEMO_PASSWORD).await;
        assert_eq!(status, expected, "{body}");
        assert!(body.get("refreshToken").is_none());
        assert_eq!(server.login("shopper@example.com", "wrong").await.0, 404);
        if expected == 202 {
            let claims = claims(&body["token"]);
            assert!(
                claims.get("roles").is_none() && claims.get("applicationId").is_none(),
                "{claims}"
            );
        }
    }
}
