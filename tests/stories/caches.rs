//! No cache may keep a response that carries cookies or tokens, whatever the application says.

use axum::body::Body;
use axum::response::Response;

use super::support::{Phone, Reply, SHOPPER, Stage};

/// Each of these tells some cache to keep the response.
const DIRECTIVES: &[(&str, &str)] = &[
    ("x-accel-expires", "3600"),
    ("cache-control", "public, max-age=3600, s-maxage=3600"),
    ("cdn-cache-control", "public, max-age=3600"),
    ("cloudflare-cdn-cache-control", "max-age=3600"),
    ("surrogate-control", "max-age=3600"),
    ("edge-control", "cache-maxage=1h"),
    ("expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ("pragma", "public"),
];
/// These tell none.
const OTHERS: &[(&str, &str)] = &[
    ("etag", "\"one\""),
    ("age", "0"),
    ("vary", "Accept-Encoding"),
    ("surrogate-key", "cart"),
];

/// An application that wants everything to be cached.
fn says_public(stage: &Stage, status: u16) {
    stage.store.answers(move |_| {
        let mut response = Response::builder().status(status);
        for (name, value) in DIRECTIVES.iter().chain(OTHERS) {
            response = response.header(*name, *value);
        }
        response.body(Body::empty()).unwrap()
    });
}

fn is_kept_from_caches(reply: &Reply) {
    assert_eq!(reply.all("cache-control"), ["private, no-store"]);
    for (name, _) in DIRECTIVES
        .iter()
        .filter(|(name, _)| *name != "cache-control")
    {
        assert_eq!(reply.all(name), Vec::<&str>::new(), "{name}");
    }
    for (name, value) in OTHERS {
        assert_eq!(reply.header(name), Some(*value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_with_new_cookies_is_kept_from_every_cache() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    for status in [200, 206, 304, 404, 503] {
        says_public(&stage, status);
        stage.expire_access_tokens();
        let reply = browser.get("/orders").await;
        assert_eq!(reply.status, status);
        assert!(!reply.all("set-cookie").is_empty());
        is_kept_from_caches(&reply);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_clears_cookies_is_kept_from_every_cache() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let mut saved = browser.clone();
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    says_public(&stage, 200);
    let reply = saved.get("/products/1").await;
    assert_eq!(reply.status, 200);
    assert!(
        !reply.all("set-cookie").is_empty(),
        "the copies are cleared"
    );
    is_kept_from_caches(&reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_with_tokens_in_headers_is_kept_from_every_cache() {
    let bearer = |config: String| config.replace("landing = ", "bearer = true\nlanding = ");
    let stage = Stage::set_with(bearer, |_| {}).await;
    let mut phone = Phone::new(stage.address);
    assert_eq!(phone.sign_in(SHOPPER).await.status, 200);
    for status in [200, 206, 304] {
        says_public(&stage, status);
        stage.expire_access_tokens();
        let reply = phone.get("/cart").await;
        assert_eq!(reply.status, status);
        assert!(reply.header("vestibule-access-token").is_some());
        is_kept_from_caches(&reply);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_credentials_keeps_what_the_application_says() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    says_public(&stage, 200);
    let reply = browser.get("/orders").await;
    for (name, value) in DIRECTIVES.iter().chain(OTHERS) {
        assert_eq!(reply.header(name), Some(*value), "{name}");
    }
}
