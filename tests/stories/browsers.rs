//! What browsers do by themselves: look ahead, fetch icons, open popups, ask for styles at any
//! host.

use super::support::{Browser, PASSWORD, SHOPPER, Stage, field, raw, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_look_ahead_sets_no_cookie_and_ends_nothing() {
    let stage = Stage::set().await;
    for (name, value) in [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Moz", "prefetch"),
    ] {
        let mut browser = stage.browser().with(name, value);
        let reply = browser.get("/login").await;
        assert_eq!((reply.status, reply.header("set-cookie")), (503, None));
        let reply = browser.get("/orders").await;
        assert_eq!((reply.status, reply.header("set-cookie")), (302, None));
        let mut signed_in = stage.signed_in().await.with(name, value);
        assert_eq!(signed_in.post("/logout", &[]).await.status, 503);
        assert_eq!(signed_in.get("/orders").await.status, 200, "still");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_site_has_its_style() {
    let stage = Stage::set().await;
    for (host, status) in [("nobody.example", 421), ("no_host_at_all!", 400)] {
        let mut browser = Browser::new(stage.address, host);
        let page = browser.get("/orders").await;
        assert_eq!(page.status, status);
        for kind in [
            "<link rel=\"stylesheet\" href=\"",
            "<img class=\"mark\" src=\"",
        ] {
            let (_, rest) = page.body.split_once(kind).expect("a file of the page");
            let file = rest.split_once('"').unwrap().0;
            let reply = browser.get(file).await;
            assert_eq!(reply.status, 200, "{host}{file}");
        }
        assert_eq!(browser.get("/_vestibule/other.css").await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_popup_of_the_site_keeps_its_opener_and_another_does_not() {
    let stage = Stage::set().await;
    let policy = async |headers: &[(&str, &str)]| {
        let reply = stage.browser().send("GET", "/login", headers, b"").await;
        assert_eq!(reply.status, 200);
        reply
            .header("cross-origin-opener-policy")
            .map(str::to_owned)
    };
    let (kept, cut) = (
        Some("unsafe-none".to_owned()),
        Some("same-origin".to_owned()),
    );
    assert_eq!(policy(&[("Sec-Fetch-Site", "same-origin")]).await, kept);
    let referer = ("Referer", "http://store.localhost:8080/orders");
    assert_eq!(policy(&[referer]).await, kept);
    for headers in [
        &[("Sec-Fetch-Site", "none")][..],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Referer", "https://evil.example/"),
        ],
        &[("Sec-Fetch-Site", "cross-site")],
        &[],
    ] {
        assert_eq!(policy(headers).await, cut, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_access_is_told_who_they_are_and_may_be_somebody_else() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let page = browser.get("/admin/?a=1").await;
    assert_eq!(page.status, 403);
    assert!(
        page.body
            .contains("signed in as \u{2068}shopper@example.com\u{2069}")
    );
    let (_, form) = page
        .body
        .split_once("<form method=\"post\" action=\"")
        .unwrap();
    let action = form.split_once('"').unwrap().0;
    let reply = browser.post(action, &[]).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/login?return_to=/admin/?a=1"))
    );
    assert!(browser.kept().iter().all(|name| *name == "vestibule-form"));
    let form = browser.get(reply.header("location").unwrap()).await;
    assert_eq!(field(&form.body, "return_to"), "/admin/?a=1");
    let reply = stage.signed_in().await.fetching().get("/admin/").await;
    assert_eq!(reply.code(), "role_missing");
    assert!(!reply.body.contains("shopper"), "a script need not know");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_page_without_anybody_asks_nothing() {
    let stage = Stage::set().await;
    let page = stage.browser().get("/logout").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("You are signed out") && !page.body.contains("<form"));
    let page = stage.signed_in().await.get("/logout").await;
    assert!(page.body.contains("Sign out?") && page.body.contains("<form"));
}

#[tokio::test(flavor = "multi_thread")]
async fn icons_and_rules_of_crawlers_never_lead_to_the_form() {
    let stage = Stage::set().await;
    for path in ["/robots.txt", "/favicon.ico", "/.well-known/security.txt"] {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: store.localhost:8080\r\nConnection: close\r\n");
        for accept in ["", "Accept: */*\r\n", "Accept: text/html\r\n"] {
            let reply = raw(stage.address, format!("{head}{accept}\r\n").as_bytes()).await;
            assert_eq!(
                (reply.status, reply.header("location")),
                (401, None),
                "{path}"
            );
        }
    }
    let reply = stage.browser().get("/.well-known/change-password").await;
    assert_eq!(reply.status, 404);
    let stage = Stage::set_with(
        |config| {
            let site = "landing = \"/shopping-cart\"\n";
            config.replace(
                site,
                &format!("{site}theme.links.forgot_password = \"/forgot\"\n"),
            )
        },
        |_| {},
    )
    .await;
    let reply = stage.browser().get("/.well-known/change-password").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/forgot"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_at_any_host_and_recorded_nowhere() {
    let stage = Stage::set().await;
    for host in ["store.localhost:8080", "nobody.example", "127.0.0.1:8080"] {
        let reply = Browser::new(stage.address, host)
            .get("/_vestibule/health")
            .await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"), "{host}");
    }
    // As HAProxy asks.
    let reply = raw(stage.address, b"GET /_vestibule/health HTTP/1.0\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    assert_eq!(stage.count("vestibule_requests_total", &[]).await, 0);
    let reply = stage.browser().post("/_vestibule/health", &[]).await;
    assert_eq!(
        (reply.status, reply.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_so_once_a_stop_is_asked_for() {
    let stage = Stage::set().await;
    let runtime = stage.runtime_handle.current();
    runtime.begin_stop();
    let reply = stage.browser().get("/_vestibule/health").await;
    assert_eq!((reply.status, reply.body.as_str()), (503, "stopping"));
    let stage = Stage::set().await;
    let runtime = stage.runtime_handle.current();
    stage.stop().await.unwrap();
    until("the note of the stop", || runtime.is_stopping()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_our_pages_stops_the_way_on() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let policy = browser.get("/login").await;
    let policy = policy.header("content-security-policy").unwrap();
    assert!(!policy.contains("form-action"), "{policy}");
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
}
