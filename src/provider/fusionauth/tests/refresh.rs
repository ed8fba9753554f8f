//! Refreshing and revoking.

use super::*;

#[tokio::test]
async fn a_refresh_carries_the_token_and_nothing_else() {
    let (server, script) = scripted(Script::saying(200, r#"{"token":"A"}"#)).await;
    let pair = server.refresh(&Secret::new(REFRESH)).await.unwrap();
    assert_eq!(
        pair,
        TokenPair::new(Secret::new("A"), Some(Secret::new(REFRESH)))
    );
    server.revoke(&Secret::new(REFRESH)).await.unwrap();
    let asked = std::mem::take(&mut *script.asked.lock().unwrap());
    assert_eq!(asked.len(), 2);
    for ((head, body), (path, wanted)) in asked.iter().zip([
        ("/api/jwt/refresh", json!({ "refreshToken": REFRESH })),
        (
            "/api/logout",
            json!({ "global": false, "refreshToken": REFRESH }),
        ),
    ]) {
        assert_eq!(
            (head.method.as_str(), head.uri.to_string().as_str()),
            ("POST", path)
        );
        assert!(
            !head.headers.contains_key("authorization") && !head.headers.contains_key("cookie")
        );
        assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), wanted);
    }
    let (server, _) = scripted(Script::saying(200, r#"{"token":"A","refreshToken":"R2"}"#)).await;
    assert_eq!(
        server.refresh(&Secret::new(REFRESH)).await.unwrap().refresh,
        Some(Secret::new("R2"))
    );
}

#[tokio::test]
async fn a_definite_refusal_ends_a_session() {
    let refresh = Secret::new(REFRESH);
    let dead =
        r#"{"fieldErrors":{"refreshToken":[{"code":"[invalid]refreshToken","message":"leaky"}]}}"#;
    for (status, body, error) in [
        (400, dead, "invalid refreshToken"),
        (404, "", "unknown token"),
    ] {
        let (server, _) = scripted(Script::saying(status, body)).await;
        let refused = steps::refusal(server.refresh(&refresh).await);
        let expected = LoginRefused {
            provider_status: Some(status),
            provider_error: Some(error),
            ..LoginRefused::new(Reason::SignedOut)
        };
        assert_eq!(refused, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn no_other_answer_ends_a_session() {
    let refresh = Secret::new(REFRESH);
    for (status, body) in [
        (401, ""),
        (401, "<html>"),
        (
            400,
            r#"{"fieldErrors":{"timeToLiveInSeconds":[{"code":"[tooBig]"}]}}"#,
        ),
        (
            400,
            r#"{"fieldErrors":{"tenantId":[{"code":"[invalid]tenantId"}]}}"#,
        ),
        (
            400,
            r#"{"fieldErrors":{"refreshToken":[{"code":"[invalid]refreshToken"}],"tenantId":[{}]}}"#,
        ),
        (
            400,
            r#"{"generalErrors":[{"message":"timeToLiveInSeconds is too large"}]}"#,
        ),
    ] {
        let (server, _) = scripted(Script::saying(status, body)).await;
        assert!(is_misconfigured(&server.refresh(&refresh).await), "{body}");
    }
    for (status, body) in [
        (404, "<html>"),
        (404, "404 page not found"),
        (404, "{}"),
        (400, ""),
        (400, "{}"),
        (400, "<html>"),
        (400, r#"{"fieldErrors":{}}"#),
        (400, r#"{"fieldErrors":{"refreshToken":[]}}"#),
        (403, "<html>"),
    ] {
        let (server, _) = scripted(Script::saying(status, body)).await;
        assert!(
            is_unavailable(&server.refresh(&refresh).await),
            "{status} {body}"
        );
    }
    for status in [
        201, 202, 203, 242, 302, 402, 403, 409, 410, 423, 429, 500, 503,
    ] {
        let (server, _) = scripted(Script::saying(status, r#"{"token":"leaky"}"#)).await;
        assert!(is_unavailable(&server.refresh(&refresh).await), "{status}");
    }
}

#[tokio::test]
async fn only_a_definite_answer_revokes_a_token_or_brings_keys() {
    let refresh = Secret::new(REFRESH);
    let (server, _) = scripted(Script::saying(200, "<html>leaky")).await;
    assert!(
        is_unavailable(&server.revoke(&refresh).await),
        "a page in place of the provider"
    );
    for status in [202, 302, 400, 404, 429, 500] {
        let (server, _) = scripted(Script::saying(status, "")).await;
        assert!(is_unavailable(&server.revoke(&refresh).await), "{status}");
        assert!(is_unavailable(&server.fetch_jwks().await), "{status}");
    }
}
