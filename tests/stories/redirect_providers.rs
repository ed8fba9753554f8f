//! Providers differ: how a client proves who it is, what they issue, and when they change their keys.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::support::openid::{CLIENT, REVOKE, SECRET, TOKEN, query_of};
use super::support::{Browser, OpenId, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sent_where_the_provider_takes_it() {
    for (methods, in_form) in [
        (json!(["client_secret_post"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), false),
        (Value::Null, false),
    ] {
        let provider = OpenId::open().await;
        let document = methods.clone();
        provider.behaves(|ways| {
            ways.document = std::sync::Arc::new(move |told| {
                told["token_endpoint_auth_methods_supported"] = document.clone();
            });
        });
        let stage = provider.stage().await;
        let mut browser = stage.browser();
        assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
        stage.expire_access_tokens();
        assert_eq!(browser.get("/cart").await.status, 200);
        let form = provider.last_form(TOKEN);
        assert_eq!(form["grant_type"], "refresh_token");
        let sent = form.get("client_secret").map(String::as_str);
        assert_eq!(sent, in_form.then_some(SECRET), "{methods}");
        let authorization = provider.last_authorization(TOKEN);
        assert_eq!(authorization.is_none(), in_form, "{methods}");
        browser.post("/logout", &[]).await;
        until("the revocation", || provider.asked(REVOKE) == 1).await;
        let form = provider.last_form(REVOKE);
        assert_eq!(form.contains_key("client_secret"), in_form, "{methods}");
        assert_eq!(form["token_type_hint"], "refresh_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_takes_the_place_of_the_secret() {
    let provider = OpenId::open().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let line = format!("private_key = {:?}", key.serialize_pem());
    let secret = format!("client_secret = \"{SECRET}\"");
    let stage = provider
        .stage_with(|config| config.replace(&secret, &line))
        .await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    let form = provider.last_form(TOKEN);
    assert!(!form.contains_key("client_secret"));
    assert_eq!(provider.last_authorization(TOKEN), None);
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let first = form["client_assertion"].clone();
    let (input, signature) = first.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key_raw())
        .verify(
            input.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .unwrap();
    let claims = URL_SAFE_NO_PAD.decode(input.rsplit_once('.').unwrap().1);
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    for (claim, value) in [
        ("iss", CLIENT),
        ("sub", CLIENT),
        ("aud", &provider.issuer()),
    ] {
        assert_eq!(claims[claim], value);
    }
    let now = stage.clock.now().secs();
    let expires = claims["exp"].as_u64().unwrap();
    assert!(now < expires && expires <= now + 60, "{claims}");
    // An assertion is used once.
    stage.expire_access_tokens();
    assert_eq!(browser.get("/cart").await.status, 200);
    assert_ne!(provider.last_form(TOKEN)["client_assertion"], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_provider_signs_nobody_out() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut signed_in = stage.browser();
    assert_eq!(provider.sign_in(&mut signed_in, "/cart").await.status, 303);
    for _ in 0..3 {
        provider.changes_its_key();
        let mut other = stage.browser();
        assert_eq!(provider.sign_in(&mut other, "/cart").await.status, 303);
        assert_eq!(other.get("/cart").await.status, 200);
        stage.expire_access_tokens();
        assert_eq!(signed_in.get("/cart").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_stays_the_same_is_used_again() {
    let provider = OpenId::open().await;
    provider.behaves(|ways| {
        ways.rotates = false;
        ways.id_token_at_refresh = false;
        ways.names_issuer = false;
    });
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    let first = {
        stage.expire_access_tokens();
        assert_eq!(browser.get("/cart").await.status, 200);
        provider.last_form(TOKEN)["refresh_token"].clone()
    };
    for _ in 0..3 {
        stage.expire_access_tokens();
        assert_eq!(browser.get("/cart").await.status, 200);
        assert_eq!(provider.last_form(TOKEN)["refresh_token"], first);
    }
    // The ID token of the sign-in is still the hint of the sign-out.
    let reply = browser.post("/logout", &[]).await;
    let address = reply.header("location").unwrap().to_owned();
    assert_eq!(query_of(&address)["id_token_hint"].split('.').count(), 3);
    until("the revocation", || provider.asked(REVOKE) == 1).await;
    assert_eq!(provider.last_form(REVOKE)["token"], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_refresh_token_the_provider_is_asked_again() {
    let provider = OpenId::open().await;
    provider.behaves(|ways| ways.refreshes = false);
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    assert_eq!(provider.sign_in(&mut browser, "/cart").await.status, 303);
    assert_eq!(browser.get("/cart").await.status, 200);
    stage.expire_access_tokens();
    let script = browser.clone().fetching().get("/cart").await;
    assert_eq!(script.status, 401, "{script:?}");
    let reply = provider.sign_in(&mut browser, "/cart").await;
    assert_eq!(reply.header("location"), Some("/cart"));
    assert_eq!(browser.get("/cart").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_an_alias_comes_back_to_it() {
    let provider = OpenId::open().await;
    let alias = "aliases = [\"shop.localhost:8080\"]\nlanding";
    let stage = provider
        .stage_with(|config| config.replacen("landing", alias, 1))
        .await;
    let mut browser = Browser::new(stage.address, "shop.localhost:8080");
    let address = provider.leave(&mut browser, "/cart").await;
    let expected = "http://shop.localhost:8080/_vestibule/callback";
    assert_eq!(query_of(&address)["redirect_uri"], expected);
    let reply = browser.get(&provider.signs_in(&address)).await;
    assert_eq!(reply.header("location"), Some("/cart"), "{reply:?}");
    assert_eq!(browser.get("/cart").await.status, 200);
    let reply = browser.post("/logout", &[]).await;
    let query = query_of(reply.header("location").unwrap());
    assert_eq!(
        query["post_logout_redirect_uri"],
        "http://shop.localhost:8080/"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_return_addresses_are_kept_and_fill_no_request() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut browser = stage.browser();
    let page = |letter: &str| format!("/oauth/authorize?request={}", letter.repeat(2000));
    let mut last = String::new();
    for letter in ["a", "b", "c", "d"] {
        stage.clock.advance(std::time::Duration::from_millis(5));
        let login = format!("/login?return_to={}", page(letter).replace('?', "%3F"));
        last = provider.leave(&mut browser, &login).await;
    }
    let held: usize = browser.cookies.iter().map(|(_, value)| value.len()).sum();
    assert!(held <= 6 * 1024, "{held}");
    let reply = browser.get(&provider.signs_in(&last)).await;
    assert_eq!(reply.header("location"), Some(page("d").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_token_endpoint_signs_nobody_out() {
    let provider = OpenId::open().await;
    let stage = provider.stage().await;
    let mut signed_in = stage.browser();
    assert_eq!(provider.sign_in(&mut signed_in, "/cart").await.status, 303);
    provider.behaves(|ways| ways.token_answer = Some((502, json!("<html>"))));
    stage.expire_access_tokens();
    let reply = signed_in.get("/cart").await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.all("set-cookie").is_empty(), "{reply:?}");
    provider.behaves(|ways| ways.token_answer = None);
    stage.clock.advance(std::time::Duration::from_secs(20));
    assert_eq!(signed_in.get("/cart").await.status, 200);
}
