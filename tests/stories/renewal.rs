//! Many requests, one refresh token: one call to the provider, and nobody signed out by a race.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::support::{
    Browser, LOGIN, Listening, REFRESH as ASK, Reply, SHOPPER, Scripted, Stage, claims, field_error,
};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";

fn pair(browser: &Browser) -> (String, String) {
    (
        browser.cookie(ACCESS).unwrap().to_owned(),
        browser.cookie(REFRESH).unwrap().to_owned(),
    )
}

/// So many requests of this browser at once; what each got and has then.
fn at_once(browser: &Browser, many: usize) -> JoinSet<(Reply, Browser)> {
    let mut requests = JoinSet::new();
    for _ in 0..many {
        let mut tab = browser.clone();
        requests.spawn(async move { (tab.get("/orders").await, tab) });
    }
    requests
}

fn all_served_alike(answers: &[(Reply, Browser)]) {
    for (reply, tab) in answers {
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (200, "hello from the application")
        );
        assert_eq!(pair(tab), pair(&answers[0].1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_tabs_and_one_that_hangs_up_make_one_call() {
    let stage = Stage::set().await;
    let browser = stage.signed_in().await;
    stage.expire_access_tokens();
    stage.provider.hold();
    let knocks = stage.provider.knocks();
    let gone = Listening::to(stage.address, &browser.request("GET", "/orders", &[], b"")).await;
    stage.provider.knocked_after(knocks).await;
    let tabs = at_once(&browser, 59);
    drop(gone);
    stage.provider.open();
    let answers = tabs.join_all().await;
    all_served_alike(&answers);
    assert_ne!(pair(&answers[0].1), pair(&browser));
    assert_eq!(stage.asked.refreshes.count(), 1);
    let (shared, replayed) = (
        stage.renewals("shared").await,
        stage.renewals("replayed").await,
    );
    assert_eq!(shared + replayed, 59);
    assert_eq!(answers[0].1.clone().get("/orders").await.status, 200);
    assert_eq!(stage.asked.refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_make_one_call() {
    // A slow machine takes its time to accept so many connections.
    let limits = "[server.limits]\nupstream_connect = \"30s\"\n\n[providers.main]";
    let patient = |text: String| text.replacen("[providers.main]", limits, 1);
    let stage = Stage::set_with(patient, |_| {}).await;
    let browser = stage.signed_in().await;
    stage.expire_access_tokens();
    let answers = at_once(&browser, 1_000).join_all().await;
    assert_eq!(answers.len(), 1_000);
    all_served_alike(&answers);
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert_eq!(stage.renewals("renewed").await, 1);
    assert_eq!(stage.requests("renewed").await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_gets_the_same_pair() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let mut late = browser.clone();
    stage.expire_access_tokens();
    browser.get("/orders").await;
    stage.clock.advance(Duration::from_secs(50));
    assert_eq!(late.get("/orders").await.status, 200);
    assert_eq!(pair(&late), pair(&browser));
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert_eq!(stage.renewals("replayed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_the_window_ends_the_session() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let mut thief = browser.thief_of(&[REFRESH]);
    stage.expire_access_tokens();
    browser.get("/orders").await;
    stage.clock.advance(Duration::from_secs(61));
    let reply = thief.get("/orders").await;
    assert_eq!((reply.status, thief.cookie(REFRESH)), (302, None));
    let copies =
        [&[ACCESS][..], &[REFRESH], &[ACCESS, REFRESH]].map(|names| browser.thief_of(names));
    for mut copy in copies {
        assert_eq!(copy.get("/orders").await.status, 302, "{:?}", copy.cookies);
    }
    assert_eq!(stage.requests("revoked").await, 4);
    assert_eq!(
        stage.asked.refreshes.count(),
        1,
        "the thief's copy was not shown to the provider"
    );
    assert_eq!(stage.store.received().len(), 1);
}

/// The window is longer than a token lives: what is remembered is then too old to be handed out.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_pair_that_has_ended_is_renewed_in_turn() {
    let window = |config: String| format!("{config}\n[refresh]\nreuse_window = \"10m\"\n");
    let stage = Stage::set_with(window, |_| {}).await;
    let mut browser = stage.signed_in().await;
    let mut late = browser.clone();
    stage.expire_access_tokens();
    browser.get("/orders").await;
    stage.expire_access_tokens();
    assert_eq!(late.get("/orders").await.status, 200);
    assert_eq!(stage.asked.refreshes.count(), 2);
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(pair(&late), pair(&browser));
    assert_eq!(stage.asked.refreshes.count(), 2);
    assert_eq!(stage.store.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_near_its_end_is_renewed_beside_the_request() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let before = pair(&browser);
    stage.clock.advance(Duration::from_secs(35));
    assert_eq!(
        browser.get("/orders").await.all("set-cookie").len(),
        0,
        "not yet: a third of its life is left"
    );
    stage.clock.advance(Duration::from_secs(10));
    let reply = browser.get("/orders").await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("private, no-store"))
    );
    let after = pair(&browser);
    assert!(before.0 != after.0 && before.1 != after.1);
    assert_eq!(stage.requests("renewed_ahead").await, 1);
    stage.clock.advance(Duration::from_secs(35));
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(stage.asked.refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ahead_that_fails_for_now_costs_nobody_anything() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(45));
    stage.provider.shut();
    let reply = browser.get("/orders").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
    assert_eq!(
        (
            stage.requests("signed_in").await,
            stage.renewals("unavailable").await
        ),
        (1, 1)
    );
    stage.provider_recovers();
    assert_eq!(browser.get("/orders").await.all("set-cookie").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ahead_that_is_refused_takes_the_refresh_token_only() {
    let short = |people: &mut vestibule::embedded::users::Users| {
        people.token_policy.refresh_token_lifetime = Duration::from_secs(40);
    };
    let stage = Stage::set_with(|config| config, short).await;
    let mut browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(45));
    assert_eq!(browser.get("/orders").await.status, 200);
    assert!(browser.cookie(ACCESS).is_some() && browser.cookie(REFRESH).is_none());
    assert_eq!(browser.get("/orders").await.status, 200);
    stage.expire_access_tokens();
    assert_eq!(browser.get("/orders").await.status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_token_for_somebody_else_is_nobodys() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    for (claim, value) in [
        ("sub", "another"),
        ("aud", "forum-application"),
        ("iss", "elsewhere"),
    ] {
        provider.gives(LOGIN, &claims(&stage.clock), claim);
        let mut browser = stage.browser();
        browser.sign_in("sam", "x").await;
        stage.expire_access_tokens();
        let mut wrong = claims(&stage.clock);
        wrong[claim] = json!(value);
        provider.gives(ASK, &wrong, "second");
        let reply = browser.get("/orders").await;
        assert_eq!(
            (
                reply.status,
                browser.cookie(ACCESS),
                browser.cookie(REFRESH)
            ),
            (302, None, None),
            "{claim}"
        );
    }
    assert_eq!(stage.requests("signed_out").await, 3);
    assert!(stage.store.received().is_empty());
}

/// FusionAuth's default: the refresh token stays the same, said again or not said at all.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_that_do_not_rotate_are_used_again() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.gives(LOGIN, &claims(&stage.clock), "same");
    let mut browser = stage.browser();
    browser.sign_in("sam", "x").await;
    for (round, said) in [json!("same"), json!(null), json!("same")]
        .into_iter()
        .enumerate()
    {
        stage.expire_access_tokens();
        let token = provider.token(&claims(&stage.clock));
        let answer = json!({ "token": token, "refreshToken": said });
        provider.answers(ASK, move |received| {
            let same = String::from_utf8_lossy(&received.body).contains("\"same\"");
            if same {
                (200, answer.clone())
            } else {
                (400, field_error("refreshToken"))
            }
        });
        let old = browser.clone();
        for mut tab in [browser.clone(), old] {
            assert_eq!(tab.get("/orders").await.status, 200);
            assert_eq!(tab.cookie(ACCESS), Some(token.as_str()));
            browser = tab;
        }
        assert_eq!(provider.asked(ASK), round + 1);
    }
}

/// What the provider says to a renewal: dead, or just not well.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_definite_no_signs_anybody_out() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let page = json!("<html><h1>404 Not Found</h1>");
    let lifetime = field_error("timeToLiveInSeconds");
    for (says, body, status, code) in [
        (400, field_error("refreshToken"), 401, "signed_out"),
        (404, json!(null), 401, "signed_out"),
        (404, page.clone(), 503, "provider_unavailable"),
        (400, page, 503, "provider_unavailable"),
        (400, json!({}), 503, "provider_unavailable"),
        (401, json!(null), 500, "provider_misconfigured"),
        (400, field_error("tenantId"), 500, "provider_misconfigured"),
        (400, lifetime, 500, "provider_misconfigured"),
        (403, json!({}), 503, "provider_unavailable"),
        (429, json!({}), 503, "provider_unavailable"),
        (500, json!({}), 503, "provider_unavailable"),
        (200, json!("no object"), 503, "provider_unavailable"),
    ] {
        provider.gives(LOGIN, &claims(&stage.clock), &format!("{says}{body}"));
        let mut browser = stage.browser();
        browser.sign_in("sam", "x").await;
        let before = pair(&browser);
        stage.expire_access_tokens();
        provider.says(ASK, says, body.clone());
        let reply = browser.clone().fetching().get("/orders").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{says} {body}"
        );
        browser.keep(&reply);
        assert_eq!(
            browser.cookie(REFRESH).is_some(),
            code != "signed_out",
            "{says} {body}"
        );
        if code != "signed_out" {
            assert_eq!(pair(&browser), before);
            stage.clock.advance(Duration::from_secs(1));
            provider.gives(ASK, &claims(&stage.clock), "second");
            assert_eq!(
                browser.get("/orders").await.status,
                200,
                "{says} {body}: it passes"
            );
        }
    }
}
