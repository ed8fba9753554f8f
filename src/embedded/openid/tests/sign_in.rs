//! From the authorization request to the tokens.

use super::*;
use crate::embedded::users::{AccountState, User};

#[tokio::test]
async fn a_sign_in_brings_tokens_to_the_client() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let answer = browser
        .sign_in_at(&request_of(STORE, ""), SHOPPER, DEMO_PASSWORD)
        .await;
    assert!(
        answer
            .location()
            .starts_with(&format!("{}?code=", callback("store")))
    );
    assert_eq!(answer.parameter("state").as_deref(), Some("the state"));
    assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER));
    let tokens = browser.tokens(STORE, &answer).await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "openid profile email offline_access");
    let (access, id) = (claims(&tokens["access_token"]), claims(&tokens["id_token"]));
    for name in [
        "iss",
        "aud",
        "sub",
        "sid",
        "email",
        "auth_time",
        "name",
        "exp",
    ] {
        assert!(!id[name].is_null(), "{name}");
        assert_eq!(id[name], access[name], "{name}");
    }
    assert_eq!(id["iss"], ISSUER);
    assert_eq!(id["aud"], STORE);
    assert_eq!(id["nonce"], "the nonce");
    assert!(id["at_hash"].is_string() && access["at_hash"].is_null());

    let user = provider
        .exchange(
            "GET /oauth2/userinfo",
            &[
                ("Host", provider.address.to_string()),
                (
                    "Authorization",
                    format!("Bearer {}", tokens["access_token"].as_str().unwrap()),
                ),
            ],
            "",
        )
        .await;
    assert_eq!(user.json()["sub"], id["sub"]);
    assert_eq!(user.json()["email"], SHOPPER);
    assert_eq!(user.json()["aud"], Value::Null);
}

#[tokio::test]
async fn a_client_without_offline_access_gets_no_refresh_token() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let path = request_of(STORE, "").replace("+offline_access", "");
    let answer = browser.sign_in_at(&path, SHOPPER, DEMO_PASSWORD).await;
    let tokens = browser.tokens(STORE, &answer).await;
    assert!(tokens["refresh_token"].is_null());
    assert!(tokens["id_token"].is_string());
}

#[tokio::test]
async fn who_is_signed_in_sees_no_form_at_the_next_client() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let nobody = browser.get(&request_of(FORUM, "&prompt=none")).await;
    assert_eq!(nobody.parameter("error").as_deref(), Some("login_required"));

    let store = browser.sign_in(STORE).await;
    provider.clock.advance(Duration::from_secs(100));
    let forum = browser.follow(FORUM).await;
    let (store, forum) = (claims(&store["id_token"]), claims(&forum["id_token"]));
    assert_eq!(store["sub"], forum["sub"]);
    assert_eq!(store["auth_time"], forum["auth_time"]);
    assert_ne!(store["sid"], forum["sid"]);
    assert_eq!(forum["aud"], FORUM);

    let silent = browser.get(&request_of(FORUM, "&prompt=none")).await;
    assert!(silent.parameter("code").is_some());
    let in_time = browser.get(&request_of(FORUM, "&max_age=100")).await;
    assert_eq!(in_time.status, 303);
    for more in ["&prompt=login", "&max_age=99", "&prompt=select_account"] {
        let page = browser.get(&request_of(FORUM, more)).await;
        assert_eq!(page.status, 200, "{more}");
    }
    let other = TestBrowser::new(&provider)
        .get(&request_of(FORUM, ""))
        .await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn another_sign_in_changes_the_cookie_and_ends_that_of_another_user() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let first = browser.cookies["vestibule-identity"].clone();
    let again = request_of(STORE, "&prompt=login");
    browser.sign_in_at(&again, SHOPPER, DEMO_PASSWORD).await;
    assert_ne!(browser.cookies["vestibule-identity"], first);
    let refreshed = provider.refresh(STORE, &tokens["refresh_token"]).await;
    assert_eq!(refreshed.status, 200, "the same user goes on");
    assert!(refreshed.json()["id_token"].is_string());

    let mut thief = TestBrowser::new(&provider);
    thief.cookies.insert("vestibule-identity".to_owned(), first);
    assert_eq!(thief.get(&request_of(STORE, "")).await.status, 200);

    let tokens = refreshed.json();
    browser
        .sign_in_at(&again, "admin@example.com", DEMO_PASSWORD)
        .await;
    let refused = provider.refresh(STORE, &tokens["refresh_token"]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_user_without_access_may_take_another_account() {
    let provider = TestProvider::start();
    let mut users = Users::default();
    for user in Users::demo().unwrap().all() {
        let mut user = User::clone(user);
        if user.email == SHOPPER {
            user.applications = Some(vec![STORE.to_owned()]);
        }
        users.add(user).unwrap();
    }
    let accounts = provider.server.prepare_accounts(users, ISSUER.to_owned());
    provider.server.replace_accounts(accounts.unwrap()).unwrap();
    let mut browser = TestBrowser::new(&provider);
    browser.sign_in(STORE).await;
    let page = browser.get(&request_of(FORUM, "")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("has no access"), "{page:?}");
    assert!(page.body.contains("error=access_denied"), "{page:?}");
    let silent = browser.get(&request_of(FORUM, "&prompt=none")).await;
    assert_eq!(silent.parameter("error").as_deref(), Some("access_denied"));
    let refused = browser
        .sign_in_at(&request_of(FORUM, ""), SHOPPER, DEMO_PASSWORD)
        .await;
    assert_eq!(refused.status, 403);
    let other = browser
        .sign_in_at(&request_of(FORUM, ""), "admin@example.com", DEMO_PASSWORD)
        .await;
    assert!(other.parameter("code").is_some());
}

#[tokio::test]
async fn a_locked_user_is_signed_out_everywhere() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let tokens = browser.sign_in(STORE).await;
    let mut users = Users::default();
    for user in Users::demo().unwrap().all() {
        let mut user = User::clone(user);
        user.state = AccountState::Locked;
        users.add(user).unwrap();
    }
    let accounts = provider.server.prepare_accounts(users, ISSUER.to_owned());
    let ended = provider.server.replace_accounts(accounts.unwrap()).unwrap();
    assert_eq!(ended.len(), 1);
    let refused = provider.refresh(STORE, &tokens["refresh_token"]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(browser.get(&request_of(STORE, "")).await.status, 200);
}

#[tokio::test]
async fn a_request_of_nobody_known_is_answered_with_a_page() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let evil = request_of(STORE, "").replace("store.localhost", "evil.example");
    for path in [
        evil.as_str(),
        "/oauth2/authorize",
        "/oauth2/authorize?client_id=x",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.header("location").is_none());
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html")
        );
    }
    let told = request_of(STORE, "").replace("S256", "plain");
    let told = browser.get(&told).await;
    assert_eq!(told.parameter("error").as_deref(), Some("invalid_request"));
    let posted = request_of(STORE, "");
    let (path, query) = posted.split_once('?').unwrap();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let form: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let shown = browser.submit(path, &form).await;
    assert_eq!(shown.location(), posted);
}

#[tokio::test]
async fn clients_find_their_endpoints_where_they_ask() {
    let provider = TestProvider::start();
    let path = "GET /.well-known/openid-configuration";
    let direct = [("Host", provider.address.to_string())];
    let direct = provider.exchange(path, &direct, "").await.json();
    let public = [("Host", "id.localhost:8080".to_owned())];
    let public = provider.exchange(path, &public, "").await.json();
    let own = format!("http://{}", provider.address);
    for name in [
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
    ] {
        assert!(direct[name].as_str().unwrap().starts_with(&own), "{name}");
        assert!(public[name].as_str().unwrap().starts_with(ISSUER), "{name}");
    }
    for name in ["issuer", "authorization_endpoint", "end_session_endpoint"] {
        assert_eq!(direct[name], public[name], "{name}");
        assert!(public[name].as_str().unwrap().starts_with(ISSUER), "{name}");
    }
    assert_eq!(public["code_challenge_methods_supported"][0], "S256");
    assert_eq!(
        public["authorization_response_iss_parameter_supported"],
        true
    );

    provider.server.set_openid(None);
    for path in ["/oauth2/authorize", "/oauth2/userinfo", "/oauth2/logout"] {
        let mut browser = TestBrowser::new(&provider);
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
}
