//! Authorization codes and refresh tokens at the token endpoint.

use super::*;
use crate::embedded::openid::authorization_code::CODE_LIFETIME;

async fn code(browser: &mut TestBrowser<'_>) -> String {
    let answer = browser.get(&request_of(STORE, "")).await;
    answer.parameter("code").unwrap()
}

#[tokio::test]
async fn a_code_that_is_used_twice_ends_its_tokens() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    browser.sign_in(STORE).await;
    let code = code(&mut browser).await;
    let tokens = provider.exchange_code(STORE, &code).await.json();
    let again = provider.exchange_code(STORE, &code).await;
    assert_eq!(
        (again.status, &again.json()["error"]),
        (400, &"invalid_grant".into())
    );
    let refused = provider.refresh(STORE, &tokens["refresh_token"]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    browser.sign_in(STORE).await;
    let code = code(&mut browser).await;
    provider.clock.advance(CODE_LIFETIME);
    let late = provider.exchange_code(STORE, &code).await;
    assert_eq!(late.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_code_is_for_its_client_address_and_verifier() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    browser.sign_in(STORE).await;
    let kept = code(&mut browser).await;
    let other = provider.exchange_code(FORUM, &kept).await;
    assert_eq!(other.json()["error"], "invalid_grant");
    let owner = provider.exchange_code(STORE, &kept).await;
    assert_eq!(owner.status, 200, "another client does not use it up");

    let callback = callback("store");
    for (name, value) in [
        ("redirect_uri", "http://store.localhost:8080/"),
        (
            "code_verifier",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl",
        ),
        ("code_verifier", CHALLENGE),
    ] {
        let code = code(&mut browser).await;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &callback),
            ("code_verifier", VERIFIER),
        ];
        for pair in &mut form {
            if pair.0 == name {
                pair.1 = value;
            }
        }
        let refused = provider.call_as(STORE, "/oauth2/token", &form).await;
        assert_eq!(refused.json()["error"], "invalid_grant", "{name}");
        form.retain(|(other, _)| *other != name);
        let missing = provider.call_as(STORE, "/oauth2/token", &form).await;
        assert_eq!(missing.json()["error"], "invalid_request", "{name}");
    }
}

#[tokio::test]
async fn a_code_is_worth_nothing_after_the_sign_out() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let code = code(&mut browser).await;
    let hint = tokens["id_token"].as_str().unwrap();
    browser
        .get(&format!("/oauth2/logout?id_token_hint={hint}"))
        .await;
    let refused = provider.exchange_code(STORE, &code).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_client_authenticates_in_one_of_two_ways() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", STORE),
    ];
    let without = provider.post("/oauth2/token", &[], &form).await;
    assert_eq!(
        (without.status, &without.json()["error"]),
        (401, &"invalid_client".into())
    );
    assert!(
        without
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic")
    );
    form.push(("client_secret", "wrong"));
    let wrong = provider.post("/oauth2/token", &[], &form).await;
    assert_eq!(wrong.status, 401);
    form.pop();
    form.push(("client_secret", SECRET));
    let posted = provider.post("/oauth2/token", &[], &form).await;
    assert_eq!(posted.status, 200, "{posted:?}");

    let tokens = posted.json();
    let other = provider.refresh(FORUM, &tokens["refresh_token"]).await;
    assert_eq!(other.json()["error"], "invalid_grant");
    let basic = provider.refresh(STORE, &tokens["refresh_token"]).await;
    assert_eq!(basic.status, 200, "another client does not end it");
    for grant in ["", "password", "client_credentials"] {
        let form = [("grant_type", grant), ("username", SHOPPER)];
        let answer = provider.call_as(STORE, "/oauth2/token", &form).await;
        assert_eq!(answer.status, 400, "{grant}");
    }
}

#[tokio::test]
async fn a_used_refresh_token_ends_the_session_after_the_grace_period() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let old = &tokens["refresh_token"];
    let next = provider.refresh(STORE, old).await.json();
    assert_ne!(next["refresh_token"], *old);
    let retried = provider.refresh(STORE, old).await.json();
    assert_eq!(retried["refresh_token"], next["refresh_token"]);
    provider.clock.advance(Duration::from_secs(11));
    let replayed = provider.refresh(STORE, old).await;
    assert_eq!(replayed.json()["error"], "invalid_grant");
    let ended = provider.refresh(STORE, &next["refresh_token"]).await;
    assert_eq!(ended.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_client_revokes_its_own_sessions_only() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let store = browser.sign_in(STORE).await;
    let forum = browser.follow(FORUM).await;
    let revoke = async |client: &str, token: &Value| {
        let fields = [("token", token.as_str().unwrap())];
        provider
            .call_as(client, "/oauth2/revoke", &fields)
            .await
            .status
    };
    assert_eq!(revoke(FORUM, &store["refresh_token"]).await, 200);
    assert_eq!(revoke("nobody", &store["refresh_token"]).await, 401);
    let store = provider
        .refresh(STORE, &store["refresh_token"])
        .await
        .json();
    assert!(store["access_token"].is_string());
    assert_eq!(revoke(STORE, &store["refresh_token"]).await, 200);
    assert_eq!(revoke(STORE, &store["refresh_token"]).await, 200);
    let refused = provider.refresh(STORE, &store["refresh_token"]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(revoke(FORUM, &forum["access_token"]).await, 200);
    let refused = provider.refresh(FORUM, &forum["refresh_token"]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    let headers = [
        ("Host", provider.address.to_string()),
        (
            "Authorization",
            format!("Bearer {}", forum["access_token"].as_str().unwrap()),
        ),
    ];
    let user = provider
        .exchange("GET /oauth2/userinfo", &headers, "")
        .await;
    assert_eq!(user.status, 401);
    assert!(
        user.header("www-authenticate")
            .unwrap()
            .contains("invalid_token")
    );
}
