//! Applications that keep sessions of their own, as most do: two people at one browser, and the
//! application's own sign-out.

use axum::body::Body;
use axum::http::header::SET_COOKIE;
use axum::response::Response;

use super::support::{Browser, PASSWORD, Reply, SHOPPER, Stage, until};

const ADMIN: &str = "admin@example.com";

fn with(line: &str) -> impl FnOnce(String) -> String {
    let line = format!("{line}\nlanding =");
    move |config| config.replacen("landing =", &line, 1)
}

/// A store whose application gives everybody without a session one, and is asked to keep it to
/// them.
async fn set() -> Stage {
    let stage = Stage::set_with(with("forget = [\"sid\", \"wp_*\"]"), |_| {}).await;
    stage.store.answers(|received| {
        let mut response = Response::new(Body::from("a page"));
        let cookies = received.header("cookie").unwrap_or_default();
        if !cookies.contains("sid=") {
            let whose = received.header("x-auth-email").unwrap_or("anonymous");
            for line in [
                format!("sid={whose}; Path=/; HttpOnly"),
                format!("wp_1={whose}; Path=/wp-admin"),
                "theme=dark; Path=/".to_owned(),
            ] {
                response
                    .headers_mut()
                    .append(SET_COOKIE, line.parse().unwrap());
            }
        }
        response
    });
    stage
}

/// The lines that expire a cookie of the application.
fn expired<'r>(reply: &'r Reply, name: &str) -> Vec<&'r str> {
    let start = format!("{name}=; ");
    let lines = reply.all("set-cookie").into_iter();
    lines
        .filter(|line| line.starts_with(&start) && line.contains("Max-Age=0"))
        .collect()
}

/// The application's cookies of the last request.
fn carried(stage: &Stage) -> String {
    stage
        .store
        .last()
        .header("cookie")
        .unwrap_or_default()
        .to_owned()
}

async fn visited(stage: &Stage, login_id: &str) -> Browser {
    let mut browser = stage.browser();
    browser.sign_in(login_id, PASSWORD).await;
    let reply = browser.get("/orders").await;
    assert_eq!(reply.status, 200);
    assert_eq!(browser.cookie("sid"), Some(login_id));
    browser.get("/orders").await;
    let cookies = carried(stage);
    assert!(cookies.contains(&format!("sid={login_id}")) && cookies.contains("theme=dark"));
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_the_session_of_the_application_too() {
    let stage = set().await;
    let mut browser = visited(&stage, ADMIN).await;
    let reply = browser.post("/logout", &[]).await;
    assert_eq!(reply.status, 303);
    assert_eq!(
        expired(&reply, "sid"),
        ["sid=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    );
    // The browser did not even send it, because of its path.
    assert_eq!(
        expired(&reply, "wp_1"),
        ["wp_1=; Path=/wp-admin; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    );
    assert_eq!(
        browser.kept(),
        ["vestibule-form", "theme"],
        "{:?}",
        browser.cookies
    );
    browser.sign_in(SHOPPER, PASSWORD).await;
    browser.get("/orders").await;
    assert!(!carried(&stage).contains("sid="));
    assert_eq!(browser.cookie("sid"), Some(SHOPPER));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_user_is_not_taken_for_one_whose_login_has_expired() {
    let stage = set().await;
    let mut browser = visited(&stage, ADMIN).await;
    // The browser was closed: its own session cookies are gone, the application's is not.
    for cookie in ["vestibule-access", "vestibule-refresh"] {
        browser.forget(cookie);
    }
    let mut again = browser.clone();
    let reply = browser.sign_in(SHOPPER, PASSWORD).await;
    assert_eq!(reply.status, 303);
    assert_eq!(
        (expired(&reply, "sid").len(), expired(&reply, "wp_1").len()),
        (1, 1)
    );
    browser.get("/orders").await;
    assert!(!carried(&stage).contains("sid="));
    assert_eq!(browser.cookie("sid"), Some(SHOPPER));
    browser.get("/").await;
    assert!(
        carried(&stage).contains(&format!("sid={SHOPPER}")),
        "on public pages too"
    );
    // The same user comes back, and finds everything as it was.
    let reply = again.sign_in(ADMIN, PASSWORD).await;
    assert_eq!(expired(&reply, "sid").len(), 0);
    again.get("/orders").await;
    assert!(carried(&stage).contains(&format!("sid={ADMIN}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_user_carries_nothing_and_expires_it() {
    let stage = set().await;
    let mut browser = visited(&stage, ADMIN).await;
    let other = stage.signed_in().await;
    for cookie in ["vestibule-access", "vestibule-refresh"] {
        browser.set_cookie(cookie, other.cookie(cookie).unwrap());
    }
    let mut waiting = browser.clone().with("Sec-Purpose", "prefetch");
    let before = stage.store.received().len();
    assert_eq!(waiting.get("/orders").await.status, 503);
    assert_eq!(
        stage.store.received().len(),
        before,
        "a prefetch ends nothing"
    );
    let reply = browser.get("/orders").await;
    assert_eq!(carried(&stage), "theme=dark");
    let lines = reply.all("set-cookie");
    let at = |start: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(start))
            .unwrap()
    };
    assert!(
        at("sid=;") < at("sid=shopper"),
        "the new one stays: {lines:?}"
    );
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    assert_eq!(browser.cookie("sid"), Some(SHOPPER));
    browser.get("/orders").await;
    assert!(carried(&stage).contains(&format!("sid={SHOPPER}")));
    // Nobody is another user too.
    for cookie in ["vestibule-access", "vestibule-refresh"] {
        browser.forget(cookie);
    }
    let reply = browser.get("/products/1").await;
    assert_eq!(carried(&stage), "theme=dark");
    assert_eq!(expired(&reply, "sid").len(), 1);
    assert_eq!(browser.cookie("vestibule-owner"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_that_was_filled_before_the_sign_in_is_kept() {
    let stage = set().await;
    let mut browser = stage.browser();
    browser.get("/products/1").await;
    assert_eq!(browser.cookie("sid"), Some("anonymous"));
    assert_eq!(browser.cookie("vestibule-owner"), None);
    browser.sign_in(SHOPPER, PASSWORD).await;
    browser.get("/shopping-cart").await;
    assert!(carried(&stage).contains("sid=anonymous"));
    stage.expire_access_tokens();
    browser.get("/shopping-cart").await;
    assert!(
        carried(&stage).contains("sid=anonymous"),
        "a renewal changes nobody"
    );
    // From now on it is the shopper's. Its path was never seen.
    let reply = browser.post("/logout", &[]).await;
    assert_eq!(browser.cookie("sid"), None);
    let lines = expired(&reply, "sid");
    for scope in ["Path=/", "Path=/logout"] {
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&format!("{scope}; "))),
            "{lines:?}"
        );
    }
}

/// A browser at the store that follows links there.
async fn at_home(stage: &Stage) -> Browser {
    let browser = stage.signed_in().await;
    browser.with("Sec-Fetch-Site", "same-origin")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_own_sign_out_signs_out() {
    let paths = "sign_out_paths = [\"/accounts/logout/\", \"/wp-login.php?action=logout\"]";
    let stage = Stage::set_with(with(paths), |_| {}).await;
    let targets = [
        "/accounts/logout/",
        "/wp-login.php?action=logout&_wpnonce=a1",
    ];
    for (round, target) in targets.into_iter().enumerate() {
        let mut browser = at_home(&stage).await;
        assert_eq!(browser.get("/orders").await.status, 200);
        let received = stage.store.received().len();
        // Not by a page of another site, a script, a prefetch, or an image.
        let mut elsewhere = stage.browser().with("Sec-Fetch-Site", "cross-site");
        elsewhere.cookies.clone_from(&browser.cookies);
        let script = browser.clone().fetching();
        let prefetch = browser.clone().with("Sec-Purpose", "prefetch");
        for mut other in [elsewhere, script, prefetch] {
            let reply = other.get(target).await;
            assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
            assert!(reply.body.contains("action=\"/logout\""), "{}", reply.body);
        }
        assert_eq!(browser.get("/orders").await.status, 200);
        let reply = match round {
            0 => browser.post(target, &[]).await,
            _ => browser.get(target).await,
        };
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
        assert!(reply.header("clear-site-data").is_some());
        assert_eq!(browser.cookie("vestibule-access"), None);
        assert_eq!(
            stage.store.received().len(),
            received + 1,
            "the application is not asked"
        );
        until("the end at the provider", || {
            stage.asked.revocations.count() + stage.asked.logouts.count() > round as u64
        })
        .await;
    }
    // Another action of that page is the application's, and so is a path beneath.
    let mut browser = at_home(&stage).await;
    for target in ["/wp-login.php?action=lostpassword", "/accounts/logout/x"] {
        assert_eq!(browser.get(target).await.status, 200);
        assert_eq!(stage.store.last().target, target);
    }
    // Nobody lands there after a sign-in.
    let mut fresh = stage.browser();
    let csrf = fresh.csrf().await;
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("return_to", "/accounts/logout/?next=/"),
    ];
    let reply = fresh.post("/login", &fields).await;
    assert_eq!(reply.header("location"), Some("/shopping-cart"));
}
