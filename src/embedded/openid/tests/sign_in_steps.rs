//! The form, its limits, and what may follow the password.

use super::*;
use crate::embedded::totp::totp_code;
use crate::embedded::users::DEMO_TOTP;

#[tokio::test]
async fn a_form_of_another_page_is_shown_again() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let path = request_of(STORE, "");
    let csrf = browser.get(&path).await.field("csrf");
    let second_tab = browser.get(&path).await;
    assert_eq!(second_tab.field("csrf"), csrf);
    let form = |csrf| {
        [
            ("csrf", csrf),
            ("step", "password"),
            ("loginId", SHOPPER),
            ("password", DEMO_PASSWORD),
        ]
    };
    let wrong = browser.submit(&path, &form("wrong")).await;
    assert_eq!(wrong.status, 403);
    assert_eq!(wrong.field("csrf"), csrf);
    assert!(wrong.body.contains(SHOPPER) && !wrong.body.contains(DEMO_PASSWORD));

    let mut headers = browser.headers();
    headers.push(("Origin", "http://store.localhost:8080".to_owned()));
    let foreign = browser.submit_with(&path, &headers, &form(&csrf)).await;
    assert_eq!(foreign.status, 403);
    let mut headers = browser.headers();
    headers.push(("Sec-Fetch-Site", "same-site".to_owned()));
    let sibling = browser.submit_with(&path, &headers, &form(&csrf)).await;
    assert_eq!(sibling.status, 403);
    let mut other = TestBrowser::new(&provider);
    assert_eq!(other.submit(&path, &form(&csrf)).await.status, 403);
    assert_eq!(browser.submit(&path, &form(&csrf)).await.status, 303);
}

#[tokio::test]
async fn nothing_frames_the_page_or_stops_the_way_back() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let hint = "&login_hint=%22%3E%3Cscript%3E";
    let page = browser.get(&request_of(STORE, hint)).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("form-action"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(!page.body.contains("<script"), "{page:?}");
    assert!(page.body.contains("store.localhost"));
    assert_eq!(browser.get("/oauth2/style.css").await.status, 200);
}

#[tokio::test]
async fn known_and_unknown_names_are_refused_and_throttled_alike() {
    let provider = TestProvider::start();
    for login_id in [SHOPPER, "nobody@example.com"] {
        let mut browser = TestBrowser::new(&provider);
        browser.address = if login_id == SHOPPER {
            "192.0.2.1"
        } else {
            "192.0.2.2"
        };
        let mut bodies = Vec::new();
        for _ in 0..5 {
            let answer = browser
                .sign_in_at(&request_of(STORE, ""), login_id, "wrong")
                .await;
            assert_eq!(answer.status, 401, "{login_id}");
            bodies.push(answer.body.contains("name or the password is wrong"));
        }
        assert!(bodies.into_iter().all(|told| told));
        let answer = browser
            .sign_in_at(&request_of(STORE, ""), login_id, DEMO_PASSWORD)
            .await;
        assert_eq!(answer.status, 429, "{login_id}");
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        provider.clock.advance(Duration::from_secs(61));
        let answer = browser
            .sign_in_at(&request_of(STORE, ""), login_id, DEMO_PASSWORD)
            .await;
        assert_eq!(answer.status == 303, login_id == SHOPPER, "{login_id}");
    }
}

#[tokio::test]
async fn the_password_alone_is_not_enough_for_a_user_with_two_factors() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let path = request_of(STORE, "");
    let page = browser
        .sign_in_at(&path, "twofactor@example.com", DEMO_PASSWORD)
        .await;
    assert_eq!(page.status, 200);
    assert!(!browser.cookies.contains_key("vestibule-identity"));
    let (csrf, challenge) = (page.field("csrf"), page.field("challenge"));
    let form = |step, name, value| {
        [
            ("csrf", csrf.as_str()),
            ("step", step),
            ("challenge", challenge.as_str()),
            (name, value),
        ]
        .map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned()))
    };
    let submit = async |browser: &mut TestBrowser<'_>, form: [(String, String); 4]| {
        let form = form
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        browser.submit(&path, &form).await
    };
    let wrong = submit(&mut browser, form("code", "code", "000000")).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.field("challenge"), challenge);
    let sent = submit(&mut browser, form("send", "method", "EMAIL")).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    assert!(sent.body.contains("on its way"));
    let none = submit(&mut browser, form("send", "method", "PIGEON")).await;
    assert_eq!(none.status, 400);
    let code = totp_code(DEMO_TOTP, provider.clock.now()).unwrap();
    let right = submit(&mut browser, form("code", "code", &code)).await;
    assert!(right.parameter("code").is_some());
    assert!(browser.cookies.contains_key("vestibule-identity"));
    let late = submit(&mut browser, form("code", "code", &code)).await;
    assert_eq!(late.status, 401, "the login has ended");
    assert!(late.body.contains("name=\"loginId\""));
}

#[tokio::test]
async fn a_user_who_needs_a_new_password_chooses_it() {
    let provider = TestProvider::start();
    let mut browser = TestBrowser::new(&provider);
    let path = request_of(STORE, "");
    let page = browser
        .sign_in_at(&path, "newpassword@example.com", DEMO_PASSWORD)
        .await;
    assert_eq!(page.status, 200);
    let (csrf, challenge) = (page.field("csrf"), page.field("challenge"));
    let form = |password| {
        [
            ("csrf", csrf.as_str()),
            ("step", "new_password"),
            ("challenge", challenge.as_str()),
            ("password", password),
        ]
    };
    let short = browser.submit(&path, &form("x")).await;
    assert_eq!(short.status, 400);
    let right = browser.submit(&path, &form("a better password")).await;
    assert!(right.parameter("code").is_some());
    let mut later = TestBrowser::new(&provider);
    let answer = later
        .sign_in_at(&path, "newpassword@example.com", "a better password")
        .await;
    assert!(answer.parameter("code").is_some());
}
