//! People at the sign-in form: mistakes, stale tabs, other sites' forms, guesses, and the way back.

use std::time::Duration;

use super::support::{
    Browser, LOGIN, PASSWORD, REFRESH, Reply, SHOPPER, Scripted, Stage, claims, field,
};

const DEVICE: &str = "vestibule-device";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn body(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// The shopper's good form, sent with these headers.
async fn post_with(browser: &mut Browser, headers: &[(&str, &str)]) -> Reply {
    let csrf = browser.csrf().await;
    let body = body(&[
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", &csrf),
    ]);
    browser
        .send("POST", "/login", headers, body.as_bytes())
        .await
}

/// What is set beside the device, which is always remembered.
fn credentials(reply: &Reply) -> Vec<&str> {
    reply
        .all("set-cookie")
        .into_iter()
        .filter(|line| !line.starts_with(DEVICE))
        .collect()
}

async fn logins(stage: &Stage, result: &str) -> u64 {
    stage
        .count("vestibule_logins_total", &["store", result])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_shows_the_form_again_with_the_name() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let name = "<script>\"sam\"@example.com";
    let reply = browser.sign_in(name, "not-the-pässword").await;
    assert_eq!(reply.status, 401);
    assert_eq!(field(&reply.body, "loginId"), name);
    assert!(
        !reply.body.contains("<script>\"") && !reply.body.contains("pässword"),
        "{}",
        reply.body
    );
    assert_eq!(browser.cookie("vestibule-access"), None);
    assert_eq!(logins(&stage, "invalid_credentials").await, 1);
    assert_eq!(stage.requests("invalid_credentials").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_account_looks_like_a_wrong_password() {
    let stage = Stage::set().await;
    let mut seen = Vec::new();
    for name in [SHOPPER, "nobody@example.com"] {
        let mut browser = stage.browser();
        let csrf = browser.csrf().await;
        let fields = [
            ("loginId", name),
            ("password", "wrong"),
            ("csrf", csrf.as_str()),
        ];
        let reply = browser.post("/login", &fields).await;
        let headers: Vec<String> = reply.headers.iter().map(|(name, _)| name.clone()).collect();
        let page = reply.body.replace(name, "NAME").replace(&csrf, "CSRF");
        seen.push((reply.status, headers, page));
    }
    assert_eq!(seen[0].0, 401);
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_form_comes_again_and_then_works() {
    let stage = Stage::set().await;
    for loses_cookie in [false, true] {
        let mut browser = stage.browser();
        let csrf = browser.csrf().await;
        let mut old = vec![
            ("loginId", SHOPPER),
            ("password", PASSWORD),
            ("return_to", "/orders#total"),
        ];
        if loses_cookie {
            browser.forget("vestibule-form");
            old.push(("csrf", &csrf));
        }
        let reply = browser.post("/login", &old).await;
        assert_eq!(reply.status, 403);
        assert_eq!(field(&reply.body, "loginId"), SHOPPER);
        assert!(!reply.body.contains(PASSWORD));
        let (csrf, back) = (field(&reply.body, "csrf"), field(&reply.body, "return_to"));
        let fields = [
            ("loginId", SHOPPER),
            ("password", PASSWORD),
            ("csrf", csrf.as_str()),
            ("return_to", &back),
        ];
        let reply = browser.post("/login", &fields).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (303, Some("/orders#total"))
        );
    }
    assert_eq!(stage.requests("csrf_failed").await, 2);
    assert_eq!(
        stage.asked.logins.count(),
        2,
        "the stale forms were not shown to the provider"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forms_token_of_another_browser_does_not_work() {
    let stage = Stage::set().await;
    let csrf = stage.browser().csrf().await;
    let mut browser = stage.browser();
    browser.csrf().await;
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
    assert_eq!(reply.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tabs_work_at_once() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let tabs = [browser.csrf().await, browser.csrf().await];
    for csrf in &tabs {
        let reply = browser
            .post(
                "/login",
                &[("loginId", SHOPPER), ("password", PASSWORD), ("csrf", csrf)],
            )
            .await;
        assert_eq!(reply.status, 303);
    }
    assert_eq!(browser.get("/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_form_is_refused_before_it_is_read() {
    let stage = Stage::set().await;
    for foreign in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://store.localhost:8080.evil.example"),
        ("Origin", "http://forum.localhost:8080"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Referer", "https://evil.example/login"),
    ] {
        let reply = post_with(&mut stage.browser(), &[FORM, foreign]).await;
        assert_eq!(
            (reply.status, reply.all("set-cookie")),
            (403, vec![]),
            "{foreign:?}"
        );
    }
    assert_eq!(stage.requests("cross_site_request").await, 7);
    assert_eq!(stage.asked.logins.count(), 0);
    assert_eq!(
        post_with(&mut stage.browser(), &[FORM]).await.status,
        303,
        "without any mark the form's proof decides"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_plain_form_are_refused() {
    let stage = Stage::set().await;
    for (kind, body, status) in [
        ("application/json", "{}", 415),
        ("multipart/form-data; boundary=x", "--x--\r\n", 415),
        ("text/plain", "loginId=a&password=b", 415),
        (FORM.1, "loginId=a&loginId=b&password=c", 400),
        (FORM.1, "loginId=a&password=%ff", 400),
    ] {
        let mut browser = stage.browser();
        browser.csrf().await;
        let reply = browser
            .send("POST", "/login", &[("Content-Type", kind)], body.as_bytes())
            .await;
        assert_eq!(reply.status, status, "{kind} {body}");
    }
    let reply = stage
        .browser()
        .send("POST", "/login", &[FORM], &vec![b'a'; 17 * 1024])
        .await;
    assert_eq!(reply.status, 413);
    assert_eq!(stage.asked.logins.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_stopped_and_time_opens_again() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    for spelling in [
        "shopper@example.com",
        " Shopper@Example.com",
        "SHOPPER@EXAMPLE.COM ",
        SHOPPER,
        SHOPPER,
    ] {
        assert_eq!(browser.sign_in(spelling, "wrong").await.status, 401);
    }
    for password in ["wrong", PASSWORD] {
        let reply = browser.sign_in(SHOPPER, password).await;
        assert_eq!(reply.status, 429);
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(stage.asked.logins.count(), 5);
    assert_eq!(
        stage
            .count("vestibule_throttled_total", &["store", "account"])
            .await,
        2
    );
    assert_eq!(logins(&stage, "throttled").await, 2);
    stage.clock.advance(Duration::from_secs(61));
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_frees_the_accounts_count() {
    let stage = Stage::set().await;
    for _ in 0..2 {
        for _ in 0..4 {
            assert_eq!(stage.browser().sign_in(SHOPPER, "wrong").await.status, 401);
        }
        assert_eq!(stage.browser().sign_in(SHOPPER, PASSWORD).await.status, 303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_many_accounts_are_stopped_by_their_address() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    for number in 0..30 {
        assert_eq!(
            browser
                .sign_in(&format!("{number}@example.com"), "wrong")
                .await
                .status,
            401
        );
    }
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 429);
    assert_eq!(
        stage
            .count("vestibule_throttled_total", &["store", "address"])
            .await,
        1
    );
}

/// Whether a browser that is sent there stays where it is.
fn stays_here(location: &str) -> bool {
    let here = url::Url::parse("http://store.localhost:8080/login").unwrap();
    here.join(location)
        .is_ok_and(|there| there.origin() == here.origin())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_return_address_leads_elsewhere() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.gives(LOGIN, &claims(&stage.clock), "first");
    let mut signed_in = stage.browser();
    assert_eq!(signed_in.sign_in("sam", "x").await.status, 303);
    let own = [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/.//evil.example",
        "/%2e//evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/a\r\nSet-Cookie: a=b",
        "/login",
        "",
    ];
    for hostile in own
        .into_iter()
        .chain(include_str!("../data/open_redirects.txt").lines())
    {
        let query = body(&[("return_to", hostile)]);
        let onward = signed_in.get(&format!("/login?{query}")).await;
        let mut stranger = stage.browser();
        let form = stranger.get(&format!("/login?{query}")).await;
        let csrf = field(&form.body, "csrf");
        let fields = [
            ("loginId", "sam"),
            ("password", "x"),
            ("csrf", csrf.as_str()),
            ("return_to", hostile),
        ];
        let posted = stranger.post("/login", &fields).await;
        for reply in [onward, posted] {
            let location = reply.header("location").unwrap();
            assert_eq!(reply.status, 303, "{hostile:?}");
            // Either the landing page, or the path of this site that a browser takes it for.
            let here = url::Url::parse("http://store.localhost:8080/login").unwrap();
            let same = || here.join(hostile) == here.join(location);
            assert!(
                location == "/shopping-cart" || same(),
                "{hostile:?} became {location:?}"
            );
            assert!(stays_here(location), "{location:?}");
        }
        let kept = field(&form.body, "return_to");
        assert!(kept.is_empty() || stays_here(&kept), "{kept:?}");
    }
    assert!(
        !stays_here("//evil.example") && !stays_here("https:evil.example"),
        "this test can fail"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_remembered_is_also_after_a_renewal() {
    let stage = Stage::set().await;
    for (remember, age) in [
        (None, None),
        (Some(("remember", "true")), Some("; Max-Age=2592000")),
    ] {
        let mut browser = stage.browser();
        let csrf = browser.csrf().await;
        let mut fields = vec![
            ("loginId", SHOPPER),
            ("password", PASSWORD),
            ("csrf", csrf.as_str()),
        ];
        fields.extend(remember);
        let signed_in = browser.post("/login", &fields).await;
        stage.expire_access_tokens();
        let renewed = browser.get("/orders").await;
        assert_eq!((signed_in.status, renewed.status), (303, 200));
        let (signed_in, renewed) = (credentials(&signed_in), credentials(&renewed));
        for line in signed_in.iter().chain(&renewed) {
            assert_eq!(
                line.find("; Max-Age").map(|at| &line[at..][..17]),
                age,
                "{line}"
            );
        }
        assert_eq!((signed_in.len(), renewed.len()), (2, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_is_sent_on_from_the_form() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let reply = browser.get("/login").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/shopping-cart"))
    );
    stage.expire_access_tokens();
    let reply = browser.get("/login?return_to=/orders%3Fpage%3D2").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2"))
    );
    assert_eq!(reply.all("set-cookie").len(), 2, "renewed on the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_sign_out_page_changes_nothing() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let reply = browser.get("/logout").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(reply.header("clear-site-data"), None);
    assert!(reply.body.contains("<button"));
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(stage.asked.logouts.count(), 0);
}

/// A token over 3,900 bytes travels in pieces, and the pieces go when it shrinks.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_token_is_cut_into_pieces() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut long = claims(&stage.clock);
    long["groups"] = "g".repeat(3_300).into();
    provider.gives(LOGIN, &long, "first");
    let mut browser = stage.browser();
    assert_eq!(browser.sign_in("sam", "x").await.status, 303);
    let names: Vec<&str> = browser
        .cookies
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "vestibule-form",
            "vestibule-access.0",
            "vestibule-access.1",
            "vestibule-refresh",
            DEVICE
        ]
    );
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(
        stage.store.last().header("x-auth-email"),
        Some("scripted@example.com")
    );
    stage.expire_access_tokens();
    provider.gives(REFRESH, &claims(&stage.clock), "second");
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(
        browser
            .cookie("vestibule-access.0")
            .or(browser.cookie("vestibule-access.1")),
        None
    );
    assert!(browser.cookie("vestibule-access").is_some());
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(provider.asked(REFRESH), 1);
}
