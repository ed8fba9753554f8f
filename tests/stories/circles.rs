//! Visitors who are sent to sign in again and again, whatever they do; and crowds that only look
//! like it.

use std::time::Duration;

use super::support::{Browser, LOGIN, PASSWORD, Reply, SHOPPER, Scripted, Stage, claims, field};

const PROOFS: [&str; 2] = ["vestibule-access", "vestibule-refresh"];
/// What a browser says when a page of the site led it here.
const FROM_HERE: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// What it says when the sign-in form led it here.
const FROM_THE_FORM: [(&str, &str); 2] = [
    FROM_HERE,
    (
        "Referer",
        "http://store.localhost:8080/login?return_to=/orders",
    ),
];

/// Opens `target` as whoever comes back from the form does.
async fn comes_back(browser: &mut Browser, target: &str) -> Reply {
    browser.send("GET", target, &[FROM_HERE], b"").await
}

/// That the page stops the visitor, says this, and leads on to the form.
fn stops(reply: &Reply, says: &str) {
    assert_eq!(
        (reply.status, reply.header("location")),
        (403, None),
        "{reply:?}"
    );
    assert!(
        reply.body.contains("Too many redirects to sign in"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains(says), "{}", reply.body);
    assert!(
        reply.body.contains("href=\"/login?return_to=/orders\""),
        "{}",
        reply.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_sends_the_signed_in_to_sign_in() {
    let stage = Stage::set().await;
    stage.store.answers(|_| {
        let response = axum::response::Response::builder()
            .status(302)
            .header("location", "/login?return_to=/orders");
        response.body(axum::body::Body::empty()).unwrap()
    });
    let mut browser = stage.signed_in().await;
    for again in 0..2 {
        let (mut target, mut hops) = ("/orders".to_owned(), 0);
        let last = loop {
            let reply = browser.get(&target).await;
            let Some(location) = reply.header("location") else {
                break reply;
            };
            target = location.to_owned();
            hops += 1;
        };
        assert_eq!(
            (last.status, hops),
            (403, 5),
            "{again}: twice through the application and on, and then no more"
        );
        assert!(
            last.body
                .contains("You are signed in, but the application redirects you"),
            "{}",
            last.body
        );
        assert!(last.body.contains("href=\"/orders\""), "{}", last.body);
    }
    assert_eq!(stage.requests("redirect_loop").await, 2);
    assert_eq!(stage.asked.logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_brings_no_credential_back() {
    let stage = Stage::set().await;
    for keeps_the_form in [true, false] {
        let mut browser = stage
            .browser()
            .with("User-Agent", if keeps_the_form { "one" } else { "another" });
        for round in 1..=3 {
            assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
            if keeps_the_form {
                for name in PROOFS {
                    browser.forget(name);
                }
            } else {
                browser.cookies.clear();
            }
            let reply = browser.send("GET", "/orders", &FROM_THE_FORM, b"").await;
            if round < 3 {
                assert_eq!(
                    (reply.status, reply.header("location")),
                    (302, Some("/login?return_to=/orders"))
                );
            } else {
                stops(&reply, "returned no cookie of this site");
                assert!(
                    reply
                        .body
                        .contains("open it as http://store.localhost:8080"),
                    "{}",
                    reply.body
                );
            }
        }
        // Whoever goes on may try again.
        assert_eq!(comes_back(&mut browser, "/orders").await.status, 302);
    }
    assert_eq!(stage.requests("redirect_loop").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_of_the_cookies_are_named_and_not_shown() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    for name in PROOFS {
        browser
            .cookies
            .push((name.to_owned(), "the-twin".to_owned()));
    }
    for _ in 0..2 {
        assert_eq!(
            comes_back(&mut browser.clone(), "/orders").await.status,
            302
        );
    }
    let reply = comes_back(&mut browser.clone(), "/orders").await;
    stops(&reply, "vestibule-access, vestibule-refresh");
    assert!(
        !reply.body.contains("the-twin")
            && !reply.body.contains(browser.cookie(PROOFS[1]).unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_makes_every_token_old() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.says(
        LOGIN,
        200,
        serde_json::json!({ "token": provider.token(&claims(&stage.clock)) }),
    );
    let mut browser = stage.browser();
    assert_eq!(browser.sign_in("sam", "x").await.status, 303);
    stage.expire_access_tokens();
    for _ in 0..2 {
        assert_eq!(
            comes_back(&mut browser.clone(), "/orders").await.status,
            302
        );
    }
    stops(
        &comes_back(&mut browser.clone(), "/orders").await,
        "compare the clocks",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_that_open_again_are_no_circle() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    browser.csrf().await;
    for tab in 0..10 {
        assert_eq!(browser.get(&format!("/orders/{tab}")).await.status, 302);
    }
    for _ in 0..10 {
        let reply = browser
            .send("GET", "/orders", &[("Sec-Fetch-Site", "none")], b"")
            .await;
        assert_eq!(reply.status, 302, "the same page in each");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_follows_one_link_is_no_circle() {
    let stage = Stage::set().await;
    for pupil in 0..30 {
        let mut browser = stage.browser().with("User-Agent", "the school's");
        browser = match pupil % 3 {
            0 => browser.with("Sec-Fetch-Site", "cross-site"),
            1 => browser.with("Sec-Fetch-Site", "none"),
            _ => browser.with("Referer", "https://school.example/links"),
        };
        assert_eq!(browser.get("/orders").await.status, 302);
        assert_eq!(
            browser
                .sign_in(&format!("{pupil}@example.com"), "")
                .await
                .status,
            400
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_two_seconds_apart_are_no_circle_and_programs_make_none() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    browser.csrf().await;
    for _ in 0..6 {
        assert_eq!(comes_back(&mut browser, "/orders").await.status, 302);
        stage.clock.advance(Duration::from_secs(2));
    }
    for _ in 0..6 {
        let looks_ahead = [FROM_HERE, ("Sec-Purpose", "prefetch;prerender")];
        let reply = browser.send("GET", "/orders", &looks_ahead, b"").await;
        assert_eq!(reply.status, 302);
    }
    let mut script = browser.fetching();
    for _ in 0..5 {
        assert_eq!(comes_back(&mut script, "/orders").await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_cookie_says_that_no_cookie_came() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let csrf = browser.csrf().await;
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", csrf.as_str()),
    ];
    browser.cookies.clear();
    let reply = browser.post("/login", &fields).await;
    assert_eq!(reply.status, 403);
    assert!(
        reply.body.contains("Your browser returned no cookie."),
        "{}",
        reply.body
    );
    assert_eq!(field(&reply.body, "loginId"), SHOPPER);
    let reply = browser.post("/login", &fields).await;
    assert_eq!(reply.status, 403, "the cookie is another now");
    assert!(
        reply.body.contains("This page was open for a while."),
        "{}",
        reply.body
    );
}
