//! Pages behind server-side sessions, step by step as FusionAuth's article on this workflow has
//! them (rows 1 to 42).

use std::time::Duration;

use tokio::task::JoinSet;

use super::support::{Browser, PASSWORD, SHOPPER, Stage};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";
const SESSION: &str = "vestibule-session";
const CART: &str = "/shopping-cart";

const MINUTE: Duration = Duration::from_secs(60);

/// The store and the forum, both with sessions.
async fn set() -> Stage {
    set_with("").await
}

/// The same with further keys of each site.
async fn set_with(keys: &str) -> Stage {
    let sessions = format!("credential = \"session\"\n{keys}\nlanding = ");
    Stage::set_with(|config| config.replace("landing = ", &sessions), |_| {}).await
}

fn session(browser: &Browser) -> String {
    browser.cookie(SESSION).expect("a session").to_owned()
}

/// Rows 1 to 12.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_begins_a_session_and_shows_no_token() {
    let stage = set().await;
    let mut browser = stage.browser();
    let reply = browser.sign_in(SHOPPER, PASSWORD).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some(CART)));
    assert_eq!(browser.cookie(ACCESS), None, "no JWT in a cookie");
    assert_eq!(session(&browser).len(), 43, "256 bits in base64url");
    for name in [SESSION, REFRESH] {
        let line = reply
            .all("set-cookie")
            .into_iter()
            .find(|line| line.starts_with(name))
            .expect(name);
        assert!(line.ends_with("; HttpOnly; SameSite=Lax; Path=/"), "{line}");
    }
    let reply = browser.get(CART).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    let received = stage.store.last();
    assert_eq!(
        (received.header("x-auth-email"), received.header("cookie")),
        (Some(SHOPPER), None)
    );
    assert_eq!(stage.asked.refreshes.count(), 0);
    assert_eq!(stage.requests("signed_in").await, 1);
    assert!((stage.metric("vestibule_sessions").await - 1.0).abs() < 0.1);
}

/// Rows 13 to 17.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_idled_away_is_renewed_into_a_new_one_on_the_very_request() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    let before = browser.clone();
    stage.clock.advance(31 * MINUTE);
    let reply = browser.get("/shopping-cart?page=2").await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("private, no-store"))
    );
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
    assert_ne!(session(&browser), session(&before));
    assert_eq!(
        (browser.cookie(ACCESS), stage.asked.refreshes.count()),
        (None, 1)
    );
    assert_eq!(stage.requests("renewed").await, 1);
    assert_eq!(browser.get(CART).await.status, 200);
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert_eq!(
        before.thief_of(&[SESSION]).get(CART).await.status,
        302,
        "the old id is dead"
    );
}

/// Row 11, and the end that no request moves.
#[tokio::test(flavor = "multi_thread")]
async fn every_request_extends_the_idle_life_but_not_past_the_absolute_one() {
    let stage = set().await;
    let browser = stage.signed_in().await;
    // Without the refresh token nothing but the session itself keeps it alive.
    let mut alone = browser.thief_of(&[SESSION]);
    for quarter in 1..48 {
        stage.clock.advance(15 * MINUTE);
        let reply = alone.get(CART).await;
        assert_eq!(
            (reply.status, reply.all("set-cookie")),
            (200, vec![]),
            "after {quarter} quarters of an hour"
        );
    }
    stage.clock.advance(15 * MINUTE);
    assert_eq!(alone.get(CART).await.status, 302, "twelve hours are over");
    assert_eq!(alone.cookie(SESSION), None);
    assert_eq!(stage.asked.refreshes.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_minutes_without_a_request_end_it() {
    let stage = set().await;
    let mut alone = stage.signed_in().await.thief_of(&[SESSION]);
    stage.clock.advance(30 * MINUTE);
    assert_eq!(alone.get(CART).await.status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lives_are_the_operators_to_choose() {
    let chosen = "[session]\nidle = \"2m\"\nabsolute = \"3m\"\n\n[server]";
    let kind = "credential = \"session\"\nlanding = ";
    let config = |config: String| {
        config
            .replace("[server]", chosen)
            .replace("landing = ", kind)
    };
    let stage = Stage::set_with(config, |_| {}).await;
    let mut alone = stage.signed_in().await.thief_of(&[SESSION]);
    stage.clock.advance(Duration::from_secs(119));
    assert_eq!(alone.get(CART).await.status, 200);
    stage.clock.advance(MINUTE);
    assert_eq!(alone.get(CART).await.status, 200);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(alone.get(CART).await.status, 302, "three minutes are over");
}

/// A token lives a minute here, the session half an hour: what the token says is kept fresh all the
/// same.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_token_has_ended_is_renewed() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    let before = session(&browser);
    stage.expire_access_tokens();
    assert_eq!(browser.get(CART).await.status, 200);
    assert_ne!(session(&browser), before);
    assert_eq!(
        (
            stage.asked.refreshes.count(),
            stage.requests("renewed").await
        ),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_out_of_reach_ends_no_session() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    stage.expire_access_tokens();
    stage.provider.shut();
    let reply = browser.get(CART).await;
    assert_eq!(
        (reply.status, reply.all("set-cookie")),
        (200, vec![]),
        "the session lives"
    );
    stage.clock.advance(31 * MINUTE);
    let reply = browser.get(CART).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (503, vec![]));
    stage.provider_recovers();
    assert_eq!(browser.get(CART).await.status, 200);
}

/// Rows 18 to 22.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refresh_token_leads_to_the_form_and_back() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    let before = browser.clone();
    stage.clock.advance(31 * 24 * 60 * MINUTE);
    let reply = browser.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/login?return_to=/shopping-cart"))
    );
    assert_eq!(
        (browser.cookie(SESSION), browser.cookie(REFRESH)),
        (None, None)
    );
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    assert_eq!(browser.get(CART).await.status, 200);
    assert_ne!(session(&browser), session(&before));
}

/// Rows 23 to 34.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_store_never_opens_the_forum() {
    let stage = set().await;
    let store = stage.signed_in().await;
    let mut forum = stage.forum_browser();
    assert_eq!(forum.get("/posts").await.status, 302);
    for (name, value) in &store.cookies {
        forum.set_cookie(name, value);
    }
    assert_eq!(forum.get("/posts").await.status, 302);
    assert_eq!(
        stage.asked.refreshes.count(),
        0,
        "the store's refresh token is not shown either"
    );
    assert_eq!(
        forum.sign_in(SHOPPER, PASSWORD).await.header("location"),
        Some("/posts")
    );
    assert_eq!(forum.get("/posts").await.status, 200);
    assert_eq!(stage.forum.last().header("x-auth-email"), Some(SHOPPER));
    assert_eq!(store.clone().get(CART).await.status, 200);
}

/// Rows 35 to 39.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_with_a_bad_session_id_gets_a_new_session_and_no_token() {
    let stage = set().await;
    let browser = stage.signed_in().await;
    for (bad, reason) in [
        ("A".repeat(43), "renewed"),
        ("bad".to_owned(), "renewed_from_invalid"),
    ] {
        let mut thief = browser.thief_of(&[REFRESH]);
        thief.set_cookie(SESSION, &bad);
        let reply = thief.get(CART).await;
        assert_eq!(reply.status, 200);
        assert_ne!(session(&thief), bad, "never the presented one");
        let first = browser.thief_of(&[SESSION]).get(CART).await.status;
        assert_eq!(
            first, 302,
            "the session that was begun with that token is dead, whatever id came with it"
        );
        assert_eq!((session(&thief).len(), thief.cookie(ACCESS)), (43, None));
        assert_eq!(stage.requests(reason).await, 1);
    }
}

/// Rows 40 to 42, and what ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_session_id_is_served_and_extended_and_dead_after_the_sign_out() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    let mut thief = browser.thief_of(&[SESSION]);
    assert_eq!(thief.get(CART).await.status, 200);
    stage.clock.advance(20 * MINUTE);
    assert_eq!(thief.get(CART).await.status, 200);
    stage.clock.advance(20 * MINUTE);
    assert_eq!(thief.get(CART).await.status, 200, "extended");
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    assert_eq!(
        browser
            .cookies
            .iter()
            .filter(|(name, _)| [SESSION, REFRESH].contains(&name.as_str()))
            .count(),
        0
    );
    assert_eq!(thief.get(CART).await.status, 302);
    assert_eq!(stage.asked.refreshes.count(), 0);
}

/// The session knows the refresh token it began with, also when its cookie is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_with_the_session_alone_ends_everything() {
    let stage = set().await;
    let browser = stage.signed_in().await;
    let mut alone = browser.thief_of(&[SESSION]);
    assert_eq!(alone.post("/logout", &[]).await.status, 303);
    for names in [&[SESSION][..], &[REFRESH], &[SESSION, REFRESH]] {
        assert_eq!(
            browser.thief_of(names).get(CART).await.status,
            302,
            "{names:?}"
        );
    }
    super::support::until("the provider hears of it", || {
        stage.asked.logouts.count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_ends_the_session_before() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    let mut old = browser.thief_of(&[SESSION]);
    let csrf = stage.browser().csrf().await;
    assert!(!csrf.is_empty());
    let mut again = stage.browser();
    again.set_cookie(SESSION, &session(&browser));
    again.set_cookie(SESSION, "not-a-session-any-more");
    assert_eq!(again.sign_in(SHOPPER, PASSWORD).await.status, 303);
    assert_eq!(
        old.get(CART).await.status,
        200,
        "another browser's sign-in is nothing to it"
    );
    // A form that was open already, posted by the browser that holds the session.
    let mut form = stage.browser();
    let csrf = form.csrf().await;
    for (name, value) in &form.cookies {
        browser.set_cookie(name, value);
    }
    let before = session(&browser);
    let fields = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", csrf.as_str()),
    ];
    assert_eq!(browser.post("/login", &fields).await.status, 303);
    assert_ne!(session(&browser), before);
    assert_eq!(old.get(CART).await.status, 302, "the old id is dead");
    assert_eq!(browser.get(CART).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_tabs_share_one_renewal_and_one_session() {
    let stage = set().await;
    let browser = stage.signed_in().await;
    stage.clock.advance(31 * MINUTE);
    let mut tabs = JoinSet::new();
    for _ in 0..60 {
        let mut tab = browser.clone();
        tabs.spawn(async move {
            let reply = tab.get(CART).await;
            (reply.status, session(&tab))
        });
    }
    let got = tabs.join_all().await;
    assert_ne!(got[0].1, session(&browser));
    for one in &got {
        assert_eq!(*one, (200, got[0].1.clone()));
    }
    assert_eq!(stage.asked.refreshes.count(), 1);
    let mut late = browser.clone();
    assert_eq!(
        (late.get(CART).await.status, session(&late)),
        (200, got[0].1.clone())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_wants_the_token_gets_the_sessions() {
    let stage = set_with("forward_token = true").await;
    let mut browser = stage.signed_in().await;
    browser.get(CART).await;
    let first = stage
        .store
        .last()
        .header("authorization")
        .expect("a token")
        .to_owned();
    assert!(first.starts_with("Bearer ey"), "{first}");
    stage.expire_access_tokens();
    browser.get(CART).await;
    let renewed = stage
        .store
        .last()
        .header("authorization")
        .expect("a token")
        .to_owned();
    assert_ne!(renewed, first);
    browser.get(CART).await;
    assert_eq!(
        stage.store.last().header("authorization"),
        Some(renewed.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ahead_changes_the_session_beside_the_call() {
    let stage = set().await;
    let mut browser = stage.signed_in().await;
    let before = session(&browser);
    stage.clock.advance(Duration::from_secs(45));
    assert_eq!(browser.get(CART).await.status, 200);
    assert_ne!(session(&browser), before);
    assert_eq!(stage.requests("renewed_ahead").await, 1);
}
