//! Pages behind JWT cookies, step by step as FusionAuth's article on this workflow has them (rows 1
//! to 35).

use super::support::{PASSWORD, SHOPPER, Stage, field, raw};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";

/// Rows 1 to 10.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_at_the_store_leads_to_the_cart() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    assert_eq!(browser.get("/").await.status, 200);
    let form = browser.get("/login").await;
    assert_eq!(form.status, 200);
    let csrf = field(&form.body, "csrf");
    let reply = browser
        .post(
            "/login",
            &[
                ("loginId", SHOPPER),
                ("password", PASSWORD),
                ("csrf", &csrf),
            ],
        )
        .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/shopping-cart"))
    );
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    assert_eq!(stage.asked.logins.count(), 1);
    for name in [ACCESS, REFRESH] {
        let line = reply
            .all("set-cookie")
            .into_iter()
            .find(|line| line.starts_with(name))
            .expect(name);
        assert!(line.ends_with("; HttpOnly; SameSite=Lax; Path=/"), "{line}");
    }
    let reply = browser.get("/shopping-cart").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    let received = stage.store.last();
    assert_eq!(
        (received.target.as_str(), received.header("x-auth-email")),
        ("/shopping-cart", Some(SHOPPER))
    );
    assert_eq!(received.header("cookie"), None);
    assert_eq!(stage.asked.refreshes.count(), 0);
    assert_eq!(stage.requests("signed_in").await, 1);
}

/// Rows 11 to 14.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed_on_the_very_request() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let before = browser.clone();
    stage.expire_access_tokens();
    let reply = browser.get("/shopping-cart?page=2").await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "hello from the application")
    );
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    let received = stage.store.last();
    assert_eq!(
        (received.target.as_str(), received.header("x-auth-email")),
        ("/shopping-cart?page=2", Some(SHOPPER))
    );
    for name in [ACCESS, REFRESH] {
        assert_ne!(browser.cookie(name), before.cookie(name), "{name}");
    }
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert_eq!(stage.requests("renewed").await, 1);
    let reply = browser.get("/shopping-cart").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(stage.asked.refreshes.count(), 1);
}

/// Rows 11 to 14, for a token that is not there at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_token_is_renewed_like_an_expired_one() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    browser.forget(ACCESS);
    assert_eq!(browser.get("/shopping-cart").await.status, 200);
    assert!(browser.cookie(ACCESS).is_some());
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert_eq!(stage.requests("renewed").await, 1);
}

/// Rows 15 to 19.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refresh_token_leads_to_the_form_and_back() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage
        .clock
        .advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
    let reply = browser.get("/shopping-cart?page=2").await;
    assert_eq!(reply.status, 302);
    assert_eq!(
        reply.header("location"),
        Some("/login?return_to=/shopping-cart?page=2")
    );
    assert_eq!(
        (browser.cookie(ACCESS), browser.cookie(REFRESH)),
        (None, None)
    );
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert_eq!(stage.renewals("refused").await, 1);
    let signed_out = "vestibule_unexpected_sign_outs_total";
    let count = stage
        .count(signed_out, &["store", "provider_refused"])
        .await;
    assert_eq!(count, 1);
    assert!(stage.store.received().is_empty());
    let form = browser.get(reply.header("location").unwrap()).await;
    let (csrf, back) = (field(&form.body, "csrf"), field(&form.body, "return_to"));
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", csrf.as_str()),
        ("return_to", &back),
    ];
    let reply = browser.post("/login", &fields).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/shopping-cart?page=2"))
    );
    assert_eq!(browser.get("/shopping-cart?page=2").await.status, 200);
}

/// Rows 20 to 29.
#[tokio::test(flavor = "multi_thread")]
async fn the_forum_asks_for_a_sign_in_of_its_own() {
    let stage = Stage::set().await;
    stage.signed_in().await;
    let mut browser = stage.forum_browser();
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(
        browser.get("/posts").await.header("location"),
        Some("/login?return_to=/posts")
    );
    let reply = browser.sign_in(SHOPPER, PASSWORD).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/posts"))
    );
    assert_eq!(stage.asked.logins.count(), 2);
    assert_eq!(browser.get("/posts").await.status, 200);
    assert_eq!(stage.forum.last().header("x-auth-email"), Some(SHOPPER));
    assert!(stage.store.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forums_cookies_do_not_open_the_store() {
    let names =
        "application_id = \"forum-application\"\ncookies = { access = \"fa\", refresh = \"fr\" }";
    let stage = Stage::set_with(
        |text| text.replace("application_id = \"forum-application\"", names),
        |_| {},
    )
    .await;
    let mut forum = stage.forum_browser();
    forum.sign_in(SHOPPER, PASSWORD).await;
    let (access, refresh) = (forum.cookie("fa").unwrap(), forum.cookie("fr").unwrap());
    for (given, kept) in [
        (vec![(ACCESS, access), (REFRESH, refresh)], 0),
        (vec![("fa", access), ("fr", refresh)], 2),
    ] {
        let mut store = stage.browser();
        for (name, value) in &given {
            store.set_cookie(name, value);
        }
        assert_eq!(store.get("/shopping-cart").await.status, 302, "{given:?}");
        assert_eq!(store.cookies.len(), kept, "what was ours is cleared");
    }
    assert_eq!(
        stage.asked.refreshes.count(),
        0,
        "nothing of the forum's is shown to the provider"
    );
    assert!(stage.store.received().is_empty());
    assert_eq!(forum.get("/posts").await.status, 200);
}

/// Rows 30 to 33.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_with_a_bad_token_is_served_and_counted() {
    let stage = Stage::set().await;
    let browser = stage.signed_in().await;
    let forged = format!("{}AAAA", browser.cookie(ACCESS).unwrap());
    for bad in ["rubbish", "", &forged] {
        let mut thief = browser.thief_of(&[REFRESH]);
        thief.set_cookie(ACCESS, bad);
        let reply = thief.get("/shopping-cart").await;
        assert_eq!(reply.status, 200, "{bad:?}");
        assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
        assert_ne!(thief.cookie(ACCESS), Some(bad));
    }
    assert_eq!(
        stage.asked.refreshes.count(),
        1,
        "the thief's later tries get the first one's pair"
    );
    assert_eq!(stage.requests("renewed_from_invalid").await, 3);
}

/// Rows 34 and 35.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_alone_is_served_until_it_ends() {
    let stage = Stage::set().await;
    let mut thief = stage.signed_in().await.thief_of(&[ACCESS]);
    for _ in 0..2 {
        let reply = thief.get("/shopping-cart").await;
        assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
        assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
        stage.clock.advance(std::time::Duration::from_secs(50));
    }
    stage.expire_access_tokens();
    let reply = thief.get("/shopping-cart").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/login?return_to=/shopping-cart"))
    );
    assert_eq!(thief.cookie(ACCESS), None);
    assert_eq!(
        thief.fetching().get("/shopping-cart").await.code(),
        "signed_out"
    );
    assert_eq!(stage.asked.refreshes.count(), 0);
    assert_eq!(stage.store.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_a_status_where_a_page_gets_a_redirect() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await.fetching();
    stage
        .clock
        .advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
    let reply = browser.get("/shopping-cart").await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "signed_out"));
    assert_eq!(browser.cookie(REFRESH), None);
    let reply = stage
        .browser()
        .with("X-Requested-With", "XMLHttpRequest")
        .get("/shopping-cart")
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "signed_out"));
}

/// HTTP/2 clients send each cookie in a field of its own; some proxies pass them on like that.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_may_come_in_several_fields() {
    let stage = Stage::set().await;
    let browser = stage.signed_in().await;
    stage.expire_access_tokens();
    let crumbs: Vec<String> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("Cookie: {name}={value}\r\n"))
        .collect();
    let crumbs = crumbs.concat();
    let host = "Host: store.localhost:8080\r\nConnection: close";
    let head = format!("GET /orders HTTP/1.1\r\n{host}\r\n{crumbs}Cookie: a=1\r\n\r\n");
    let reply = raw(stage.address, head.as_bytes()).await;
    assert_eq!((reply.status, reply.all("set-cookie").len()), (200, 2));
    let received = stage.store.last();
    assert_eq!(
        (received.header("x-auth-email"), received.header("cookie")),
        (Some(SHOPPER), Some("a=1"))
    );
}

/// Nobody can say which of two is the visitor's.
#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_came_twice_counts_as_none() {
    let stage = Stage::set().await;
    let browser = stage.signed_in().await;
    let (access, refresh) = (
        browser.cookie(ACCESS).unwrap(),
        browser.cookie(REFRESH).unwrap(),
    );
    let with = |pairs: &[(&str, &str)]| {
        let mut twice = stage.browser();
        twice.cookies = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        twice
    };
    let both = [(ACCESS, access), (ACCESS, access)];
    assert_eq!(with(&both).get("/shopping-cart").await.status, 302);
    assert_eq!(
        with(&[(REFRESH, refresh), (REFRESH, refresh)])
            .get("/shopping-cart")
            .await
            .status,
        302
    );
    assert_eq!(stage.asked.refreshes.count(), 0);
    let good_token = [(ACCESS, access), (REFRESH, refresh), (REFRESH, "another")];
    assert_eq!(with(&good_token).get("/shopping-cart").await.status, 200);
    assert_eq!(stage.requests("signed_in").await, 1);
    let good_refresh = [(ACCESS, access), (ACCESS, access), (REFRESH, refresh)];
    assert_eq!(with(&good_refresh).get("/shopping-cart").await.status, 200);
    assert_eq!(stage.requests("renewed_from_invalid").await, 1);
}
