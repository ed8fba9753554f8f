//! Maria signs out at her OpenID Connect provider, or its administrator signs her out there.

use std::time::Duration;

use serde_json::json;

use super::support::openid::PERSON;
use super::support::{Message, OpenId};

fn with_sessions(config: &str) -> String {
    config.replace("landing = ", "credential = \"session\"\nlanding = ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_at_the_provider_ends_store_and_forum() {
    for (opaque, ended) in [
        (false, json!({ "sid": "sid-1" })),
        (false, json!({ "sub": PERSON })),
        (true, json!({ "sid": "sid-1", "sub": PERSON })),
        (true, json!({ "sub": PERSON })),
    ] {
        let provider = OpenId::open().await;
        provider.behaves(|ways| ways.opaque = opaque);
        let config = |config: String| {
            if opaque {
                with_sessions(&config)
            } else {
                config
            }
        };
        let stage = provider.stage_with(config).await;
        let (mut store, mut forum) = (stage.browser(), stage.forum_browser());
        assert_eq!(provider.sign_in(&mut store, "/cart").await.status, 303);
        assert_eq!(provider.sign_in(&mut forum, "/posts").await.status, 303);
        let copies = [store.clone(), forum.clone()].map(|browser| browser.fetching());
        stage.clock.advance(Duration::from_secs(1));
        let of_another = [json!({ "sid": "sid-2" }), json!({ "sub": "another" })];
        for (others, expected) in [(true, 200), (false, 401)] {
            let claims = if others {
                &of_another[..]
            } else {
                std::slice::from_ref(&ended)
            };
            for claims in claims {
                let token = provider.logout_token(claims);
                let reply = Message::logout_token(&token).send(stage.admin).await;
                assert_eq!(reply.status, 200, "{claims}");
            }
            for copy in &copies {
                let status = copy.clone().get("/posts").await.status;
                assert_eq!(status, expected, "{ended} opaque {opaque}");
            }
        }
        // Whoever signs in again is signed in.
        stage.clock.advance(Duration::from_secs(1));
        provider.behaves(|ways| {
            let sid = json!("sid-3");
            let (access, id) = (sid.clone(), sid);
            ways.access_claims = std::sync::Arc::new(move |claims| claims["sid"] = access.clone());
            ways.id_claims = std::sync::Arc::new(move |claims| claims["sid"] = id.clone());
        });
        assert_eq!(provider.sign_in(&mut store, "/cart").await.status, 303);
        assert_eq!(store.get("/cart").await.status, 200, "{ended}");
    }
}

/// A logout token without `nonce` and with `events` is no ID token, and an ID token no logout token.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_one_kind_do_not_pass_for_the_other() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    stage.clock.advance(Duration::from_secs(1));
    let with_nonce = provider.logout_token(&json!({ "sub": PERSON, "nonce": "n" }));
    let reply = Message::logout_token(&with_nonce).send(stage.admin).await;
    assert_eq!(reply.json()["error"], "invalid_request");
    let access = browser.cookie("vestibule-access").unwrap().to_owned();
    let reply = Message::logout_token(&access).send(stage.admin).await;
    assert_eq!(reply.status, 400);
    let mut browser = browser.fetching();
    assert_eq!(browser.get("/cart").await.status, 200);
    let token = provider.logout_token(&json!({ "sub": PERSON }));
    assert_eq!(
        Message::logout_token(&token).send(stage.admin).await.status,
        200
    );
    assert_eq!(browser.get("/cart").await.status, 401);
    // No access token either.
    browser.set_cookie("vestibule-access", &token);
    assert_eq!(browser.get("/cart").await.status, 401);
}
