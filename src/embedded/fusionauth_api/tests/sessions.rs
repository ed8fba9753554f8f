//! Refresh, logout and revocation of sessions.

use super::*;

#[tokio::test]
async fn a_refresh_replaces_the_refresh_token_and_keeps_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    server.clock.advance(Duration::from_secs(5));
    let (status, second) = server.refresh(&first["refreshToken"]).await;
    assert_eq!(status, 200, "{second}");
    assert_ne!(second["refreshToken"], first["refreshToken"]);
    assert_eq!(second["refreshTokenId"], first["refreshTokenId"]);
    let (old, new) = (claims(&first["token"]), claims(&second["token"]));
    assert_eq!(
        (&new["sid"], &new["auth_time"]),
        (&old["sid"], &old["auth_time"])
    );
    assert_eq!(new["authenticationType"], "REFRESH_TOKEN");
    assert!(new["iat"].as_u64() > old["iat"].as_u64());
    // Within the grace period the used token returns the current one, and nothing is replaced.
    assert_eq!(
        server.refresh(&first["refreshToken"]).await.1["refreshToken"],
        second["refreshToken"]
    );
    // After the grace period it counts as stolen, and the session ends.
    server.clock.advance(Duration::from_secs(11));
    let (status, refused) = server.refresh(&first["refreshToken"]).await;
    assert_eq!(
        (status, &refused["fieldErrors"]["refreshToken"][0]["code"]),
        (400, &json!("[invalid]refreshToken"))
    );
    assert_eq!(server.refresh(&second["refreshToken"]).await.0, 400);
    assert_eq!(server.statistics.refreshes.count(), 4);
}

#[tokio::test]
async fn sessions_and_keys_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let users = Users::demo().unwrap();
    let server = TestServer::start(directory.path(), users.clone());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let (_, second) = server.refresh(&first["refreshToken"]).await;
    let keys = server.call("GET /.well-known/jwks.json", &[], "").await;
    server.stop().await;
    let server = TestServer::start(directory.path(), users);
    assert_eq!(
        server.call("GET /.well-known/jwks.json", &[], "").await,
        keys
    );
    // The response to the first refresh was lost in the restart: the grace period still applies.
    let (status, again) = server.refresh(&first["refreshToken"]).await;
    assert_eq!(
        (status, &again["refreshToken"]),
        (200, &second["refreshToken"])
    );
    let (status, third) = server.refresh(&second["refreshToken"]).await;
    assert_eq!(
        (status, &third["refreshTokenId"]),
        (200, &first["refreshTokenId"])
    );
    let bearer = format!("Bearer {}", first["token"].as_str().unwrap());
    let (status, validated) = server
        .call("GET /api/jwt/validate", &[("Authorization", &bearer)], "")
        .await;
    assert_eq!(
        (status, &validated["jwt"]["sub"]),
        (200, &first["user"]["id"])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_session_ends_by_logout() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let tokens = async || server.login("shopper@example.com", DEMO_PASSWORD).await.1;
    let ended = async |token: &Value| server.refresh(token).await.0 == 400;

    let (one, other) = (tokens().await, tokens().await);
    assert_eq!(
        server
            .post(
                "/api/logout",
                json!({ "refreshToken": one["refreshToken"] })
            )
            .await
            .0,
        200
    );
    assert!(ended(&one["refreshToken"]).await);
    assert!(!ended(&other["refreshToken"]).await);
    let global = json!({ "refreshToken": other["refreshToken"], "global": true });
    let third = tokens().await;
    assert_eq!(server.post("/api/logout", global).await.0, 200);
    assert!(ended(&third["refreshToken"]).await);
    assert_eq!(server.call("POST /api/logout", &[], "").await.0, 200);
}

#[tokio::test]
async fn a_session_ends_by_revocation_of_its_token_or_id() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let tokens = async || server.login("shopper@example.com", DEMO_PASSWORD).await.1;
    let ended = async |token: &Value| server.refresh(token).await.0 == 400;

    let one = tokens().await;
    let by_token = format!(
        "DELETE /api/jwt/refresh?token={}",
        one["refreshToken"].as_str().unwrap()
    );
    assert_eq!(server.call(&by_token, &[], "").await.0, 401);
    assert!(!ended(&one["refreshToken"]).await);
    assert_eq!(server.call(&by_token, &[KEY], "").await.0, 200);
    assert!(ended(&one["refreshToken"]).await);
    assert_eq!(server.call(&by_token, &[KEY], "").await.0, 404);

    let one = tokens().await;
    let by_id = format!(
        "DELETE /api/jwt/refresh/{}",
        one["refreshTokenId"].as_str().unwrap()
    );
    assert_eq!(server.call(&by_id, &[KEY], "").await.0, 200);
    assert!(ended(&one["refreshToken"]).await);
}

#[tokio::test]
async fn sessions_end_by_revocation_for_a_user_or_an_application() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let tokens = async || server.login("shopper@example.com", DEMO_PASSWORD).await.1;
    let ended = async |token: &Value| server.refresh(token).await.0 == 400;

    let one = tokens().await;
    let by_user = format!(
        "DELETE /api/jwt/refresh?userId={}",
        one["user"]["id"].as_str().unwrap()
    );
    let (_, admin) = server.login("admin@example.com", DEMO_PASSWORD).await;
    let bearer = format!("Bearer {}", admin["token"].as_str().unwrap());
    assert_eq!(
        server
            .call(&by_user, &[("Authorization", &bearer)], "")
            .await
            .0,
        401
    );
    assert_eq!(server.call(&by_user, &[KEY], "").await.0, 200);
    assert!(ended(&one["refreshToken"]).await);
    assert!(!ended(&admin["refreshToken"]).await);
    assert_eq!(
        server
            .call(
                &format!("DELETE /api/jwt/refresh?applicationId={STORE}"),
                &[KEY],
                ""
            )
            .await
            .0,
        200
    );
    assert!(ended(&admin["refreshToken"]).await);
}

#[tokio::test]
async fn the_refresh_grant_is_bound_to_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let token = first["refreshToken"].as_str().unwrap();
    let grant = async |form: String| {
        server
            .call(
                "POST /oauth2/token",
                &[("Content-Type", "application/x-www-form-urlencoded")],
                &form,
            )
            .await
    };
    let form =
        |client: &str| format!("grant_type=refresh_token&refresh_token={token}&client_id={client}");
    let (status, body) = grant(form("another")).await;
    assert_eq!(
        (status, &body["error_reason"]),
        (400, &json!("client_id_mismatch"))
    );
    let (status, body) = grant(form(STORE)).await;
    assert_eq!(
        (status, &body["userId"], &body["token_type"]),
        (200, &first["user"]["id"], &json!("Bearer"))
    );
    assert_eq!(
        body["expires_in"]
            .as_u64()
            .map(|seconds| (59..=60).contains(&seconds)),
        Some(true),
        "{body}"
    );
    let (status, body) =
        grant("grant_type=refresh_token&refresh_token=none&client_id=x".to_owned()).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    assert_eq!(
        grant("grant_type=password&client_id=x".to_owned()).await.1["error"],
        "unsupported_grant_type"
    );
}

#[tokio::test]
async fn a_cookie_takes_precedence_over_the_body_of_a_refresh() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let cookie = format!(
        "a=b; refresh_token={}",
        first["refreshToken"].as_str().unwrap()
    );
    let (status, _) = server
        .call(
            "POST /api/jwt/refresh",
            &[("Cookie", &cookie)],
            "{\"refreshToken\":\"another\"}",
        )
        .await;
    assert_eq!(status, 200);
    let body = json!({ "refreshToken": first["refreshToken"], "timeToLiveInSeconds": 60 });
    let (status, body) = server.post("/api/jwt/refresh", body).await;
    assert_eq!(
        (
            status,
            body["fieldErrors"].get("timeToLiveInSeconds").is_some()
        ),
        (400, true),
        "{body}"
    );
}
