//! Somebody who was never here before opens the store, looks around, signs in and buys.

use super::support::{PASSWORD, SHOPPER, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_public_page_needs_nobody() {
    let stage = Stage::set().await;
    let reply = stage.browser().get("/").await;
    assert_eq!(reply.status, 200);
    assert!(stage.store.last().header("x-auth-user-id").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_page_leads_to_the_form_and_back() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let reply = browser.get("/orders?page=2").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/login?return_to=/orders?page=2"))
    );
    let csrf = browser.csrf().await;
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("return_to", "/orders?page=2#total"),
    ];
    let reply = browser.post("/login", &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2#total"))
    );
    let reply = browser.get("/orders?page=2").await;
    assert_eq!(reply.status, 200);
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
}
